import Glibc
import Testing

@testable import ProviderHandlers

/// The rule for a driver's word in place of the utilization.
@Suite("Replacements of the load")
struct LoadReadingTests {
    private static let noCounterTexts = [
        "N/A", "Not Supported", "Not Found", "Insufficient Permissions", "Requested functionality has been deprecated",
    ]

    @Test("no counter, whatever the spacing, with or without brackets", arguments: noCounterTexts)
    func noCounter(_ text: String) {
        let wide = text.replacing(" ", with: " \t\n ")
        for form in [text, "[\(text)]", "[ \(text) ]", "  \(text)\n", " [\(wide)] ", wide] {
            #expect(LoadReading(printed: form) == .noCounter, "\(form)")
            #expect(LoadReading(file: Array(form.utf8)) == .noCounter, "\(form)")
            #expect(LoadReading.resetTrouble(form) == nil, "\(form)")
            #expect(GPUValue.text(form) == nil, "\(form)")
        }
        #expect(LoadReading(printed: text + "!") == .trouble(text + "!"))
        #expect(LoadReading(printed: "not " + text) == .trouble("not " + text))
    }

    @Test("an empty text means no counter", arguments: ["", " ", "\n\t "])
    func nothing(_ text: String) {
        #expect(LoadReading(printed: text) == .noCounter)
        #expect(LoadReading(file: Array(text.utf8)) == .noCounter)
        #expect(LoadReading.resetTrouble(text) == nil)
    }

    @Test(
        "every other text is trouble",
        arguments: [
            ("[Unknown Error]", "Unknown Error"), ("ERR!", "ERR!"), ("GPU is lost", "GPU is lost"),
            ("GPU requires reset", "GPU requires reset"), ("Timeout", "Timeout"), ("[ Driver  Error ]", "Driver Error"),
            ("101 %", "101 %"), ("100.5 %", "100.5 %"), ("-1 %", "-1 %"), ("+1 %", "+1 %"),
            ("4294967295 %", "4294967295 %"),
            ("99999999999999999999 %", "99999999999999999999 %"), ("7", "7"), ("7 MiB", "7 MiB"),
            ("7 % idle", "7 % idle"),
            ("[7 %]", "7 %"), ("nan %", "nan %"), ("n/a", "n/a"), ("[N/A", "[N/A"), ("N/A]", "N/A]"), ("[]", "[]"),
            ("\u{202E}", "unprintable text"), ("a\u{1B}[31mb", "a[31mb"), ("٧ %", "٧ %"),
        ])
    func trouble(_ text: String, _ words: String) {
        #expect(LoadReading(printed: text) == .trouble(words))
    }

    @Test("numbers in range", arguments: [("0 %", 0), ("07 %", 7), ("10.9 %", 10), ("100 %", 100), ("100.00 %", 100)])
    func numbers(_ text: String, _ percent: Int) {
        #expect(LoadReading(printed: text) == .percent(percent))
        #expect(LoadReading(percent) == .percent(percent))
    }

    @Test("numbers out of range", arguments: [-1, 101, 255, 4_294_967_295, Int.max, Int.min])
    func outOfRange(_ number: Int) {
        #expect(LoadReading(number) == .trouble("\(number)"))
        #expect(LoadReading(file: Array("\(number)\n".utf8)) == .trouble("\(number)"))
    }

    @Test("words are short and of one line")
    func words() {
        guard case .trouble(let words) = LoadReading(printed: String(repeating: "word\n", count: 1000)) else {
            Issue.record("no trouble")
            return
        }
        #expect(words.count <= 100 && words.hasPrefix("word word ") && words.hasSuffix("word"))
        #expect(LoadReading.words(words) == words)
    }

    @Test("NVML's codes", arguments: Array(1...28) + [999])
    func codes(_ code: CInt) {
        let failure = NVMLFailure(code: code, words: "Words\nof NVML")
        let isNoCounter = [3, 4, 13, 20, 26].contains(code)
        #expect(LoadReading(failure) == (isNoCounter ? .noCounter : .trouble("Words of NVML")))
        #expect(LoadReading.isLost(failure) == [15, 16].contains(code))
    }

    @Test("the kernel's errors")
    func errors() {
        for code in [ENOENT, ENOTDIR, EOPNOTSUPP, EINVAL, ENODATA, EACCES] {
            #expect(LoadReading(UnreadableFile(reason: systemError(code), code: code)) == .noCounter, "\(code)")
        }
        for code in [EIO, ENODEV, ENXIO, EBUSY, ETIMEDOUT, ENOMEM, EAGAIN, EISDIR, 0] {
            let reading = LoadReading(UnreadableFile(reason: systemError(code), code: code))
            #expect(reading == .trouble(systemError(code)), "\(code)")
        }
        #expect(
            LoadReading(UnreadableFile(reason: systemError(EPERM), code: EPERM))
                == .trouble("Operation not permitted: the GPU is in reset"))
    }

    @Test("elements that tell of a reset")
    func reset() {
        for text in ["None", "No", " None "] { #expect(LoadReading.resetTrouble(text) == nil) }
        for text in ["Yes", "Reset", "Reboot", "Drain P2P", "Drain and Reset", "ERR!", "Unknown Error", "none"] {
            #expect(LoadReading.resetTrouble(text) == text)
            #expect(LoadReading.resetTrouble("[\(text)]") == text)
        }
    }
}
