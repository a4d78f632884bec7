// Swift takes the global `stdout` for a variable that may change; it never does.
@unsafe @preconcurrency import Glibc

extension Program {
    /// EX_IOERR (sysexits.h): something was printed and could not be written.
    public static let outputExitStatus: CInt = 74

    private static let name = Locked("")

    /// From now on the process exits with 74 if its standard output cannot be written. Must be called before anything is opened.
    ///
    /// If the parent has closed a standard descriptor, /dev/null takes its number, and cannot be written. Otherwise the next
    /// socket would take the number, and would get the output.
    public static func checkOutput(program: String) {
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            // open(2) gives the lowest free number, and the numbers below are taken.
            _ = unsafe open("/dev/null", O_RDONLY)
        }
        name.withLock { $0 = program }
        atexit(endIfOutputIsLost)
    }

    fileprivate static func complainOfOutput(_ code: CInt) {
        let reason = code == 0 ? "" : ": \(systemError(code))"
        complain("cannot write to standard output\(reason)", program: name.withLock { $0 })
    }
}

/// A free function: atexit(3) takes no closure.
private func endIfOutputIsLost() {
    errno = 0
    // ferror(3) tells of an earlier write that failed; its error number is lost.
    guard unsafe fflush(stdout) != 0 || ferror(stdout) != 0 else { return }
    Program.complainOfOutput(errno)
    _exit(Program.outputExitStatus)
}
