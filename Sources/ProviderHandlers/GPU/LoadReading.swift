import Glibc

/// What a driver reports for a GPU's utilization: the only rule for nvidia-smi, NVML and amdgpu.
///
/// A short list says that the GPU has no counter of utilization. A number from 0 to 100 is the utilization. Everything else
/// is a GPU in trouble, on which nothing may be started.
enum LoadReading: Equatable {
    /// The utilization in percent.
    case percent(Int)
    /// The GPU does not have the counter, or the driver keeps it from this user.
    case noCounter
    /// The GPU is in trouble, in the driver's words, which fit a log line.
    case trouble(String)

    private static let maxWords = 100

    /// nvidia-smi's texts for a missing counter, with or without brackets.
    private static let noCounterTexts: Set<String> = [
        "N/A", "Not Supported", "Not Found", "Insufficient Permissions", "Requested functionality has been deprecated",
    ]
    /// NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, NO_DATA and DEPRECATED of NVML's nvmlReturn_t.
    private static let noCounterCodes: Set<CInt> = [3, 4, 13, 20, 26]
    /// GPU_IS_LOST and RESET_REQUIRED: they describe the whole GPU, whichever function returns them.
    private static let lostCodes: Set<CInt> = [15, 16]
    /// The kernel's errors for a file of amdgpu that this GPU does not have. Not EPERM: amdgpu_pm.c returns EPERM while the
    /// GPU is in reset.
    private static let noCounterErrors: Set<CInt> = [ENOENT, ENOTDIR, EOPNOTSUPP, EINVAL, ENODATA, EACCES]
    /// What nvidia-smi prints for a GPU that needs no reset.
    private static let noReset: Set<String> = ["None", "No"]

    /// Reads a number that the driver gave as a number.
    init(_ percent: Int) {
        self = 0...100 ~= percent ? .percent(percent) : .trouble("\(percent)")
    }

    /// Reads the text of nvidia-smi's element, such as `7 %`.
    init(printed text: String) {
        if Self.isNoCounter(text) {
            self = .noCounter
        } else if let percent = GPUValue.percent(Self.singleSpaced(text)) {
            self = .percent(percent)
        } else {
            self = .trouble(Self.words(text))
        }
    }

    /// Reads the contents of amdgpu's file, a number without a unit.
    init(file bytes: [UInt8]) {
        let text = String(decoding: bytes, as: UTF8.self)
        let digits = Self.singleSpaced(text)
        if Self.isNoCounter(text) {
            self = .noCounter
        } else if digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let number = Int(digits)
        {
            self.init(number)
        } else {
            self = .trouble(Self.words(text))
        }
    }

    /// Reads NVML's error.
    init(_ failure: NVMLFailure) {
        self = Self.isNoCounter(failure) ? .noCounter : .trouble(Self.words(failure.words))
    }

    /// Reads the error of a file of amdgpu's.
    init(_ failure: UnreadableFile) {
        switch failure.code {
        case let code where Self.noCounterErrors.contains(code): self = .noCounter
        case EPERM: self = .trouble("\(failure.reason): the GPU is in reset")
        default: self = .trouble(Self.words(failure.reason))
        }
    }

    // MARK: The same list elsewhere

    /// Whether a text of nvidia-smi, or an empty text, means that the value does not exist.
    static func isNoCounter(_ text: String) -> Bool {
        let text = singleSpaced(text)
        return text.isEmpty || noCounterTexts.contains(withoutBrackets(text))
    }

    /// Whether NVML lacks the value, or keeps it from this user.
    static func isNoCounter(_ failure: NVMLFailure) -> Bool { noCounterCodes.contains(failure.code) }

    /// Whether the error speaks of the GPU as a whole, even if NVML was asked for a detail.
    static func isLost(_ failure: NVMLFailure) -> Bool { lostCodes.contains(failure.code) }

    /// Why a GPU needs a reset, by an element of nvidia-smi's that tells of resets; nil when it needs none.
    static func resetTrouble(_ text: String) -> String? {
        isNoCounter(text) || noReset.contains(singleSpaced(text)) ? nil : words(text)
    }

    // MARK: Texts

    /// A driver's text for a log line: printable, short and never empty.
    static func words(_ text: String) -> String { printable(withoutBrackets(singleSpaced(text))) }

    /// Returns the same for text in brackets, and for its own result.
    static func printable(_ text: String) -> String {
        let excerpt = singleSpaced(ForeignText.excerpt(singleSpaced(text).utf8, limit: maxWords))
        return excerpt.isEmpty ? "unprintable text" : excerpt
    }

    private static func singleSpaced(_ text: String) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func withoutBrackets(_ text: String) -> String {
        guard text.hasPrefix("["), text.hasSuffix("]"), text.count > 2 else { return text }
        return singleSpaced(String(text.dropFirst().dropLast()))
    }
}

extension GPU {
    /// Applies what the driver reported for the utilization.
    ///
    /// - Parameter place: what was read, as the driver calls it, for the message.
    mutating func take(_ reading: LoadReading, from place: String) {
        switch reading {
        case .percent(let percent): utilization = percent
        case .noCounter: utilization = nil
        case .trouble(let words):
            utilization = nil
            add(fault: "\(place): \(words)")
        }
    }

    /// Adds a trouble of the GPU to the known troubles.
    mutating func add(fault words: String) {
        if fault != words { fault = fault.map { "\($0); \(words)" } ?? words }
    }
}
