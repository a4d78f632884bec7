import Glibc

/// A program of the machine that is run once, within limits.
enum OtherProgram {
    enum Outcome: Sendable, Equatable {
        case missing
        case output([UInt8])
        /// Why there is no output, in a few words.
        case failed(String)
    }

    /// Runs a program, looked up on PATH and in the usual directories, with an environment without secrets.
    ///
    /// - Parameters:
    ///   - limit: then it is ended.
    ///   - hasErrors: whether its standard output counts also when it fails.
    static func run(
        _ name: String, _ arguments: [String], limit: Duration = .seconds(5), hasErrors: Bool = false
    ) -> Outcome {
        let own = Program.environment
        let path = (own["PATH"].map { $0 + ":" } ?? "") + "/usr/bin:/bin"
        guard case .found(let file) = ProgramLookup.find(name, path: path, else: "/usr/sbin") else { return .missing }
        var environment = Program.forOthers(own)
        environment["PATH"] = path + ":/usr/sbin:/sbin"
        environment["LC_ALL"] = "C"
        let child = LimitedProcess(limits: .init(run: limit))
        let result: LimitedProcess.Result
        do throws(ChildProcess.NotStarted) {
            result = try child.run(file, arguments: arguments, environment: environment)
        } catch {
            return .failed("\(error)")
        }
        if result.isTimedOut { return .failed("no result within \(limit.inSeconds.formatted(0)) s") }
        guard result.ending == .exited(0) || hasErrors else {
            let words = ForeignText.excerpt(result.errorOutput, limit: 160)
            return .failed(words.isEmpty ? "\(name) \(result.ending)" : words)
        }
        // Some print their version to standard error.
        return .output(result.output.isEmpty ? result.errorOutput : result.output)
    }

    /// The program that runs now, or a program beside it.
    static func beside(_ name: String) -> String? {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe target.withUnsafeMutableBytes { buffer in
            unsafe readlink("/proc/self/exe", buffer.baseAddress!, buffer.count)
        }
        guard count > 0 else { return nil }
        let own = String(decoding: target.prefix(count), as: UTF8.self)
        guard let slash = own.lastIndex(of: "/") else { return nil }
        let path = own[...slash] + name
        return unsafe access(String(path), X_OK) == 0 ? String(path) : nil
    }
}
