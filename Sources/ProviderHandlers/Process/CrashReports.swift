import Glibc

extension Program {
    /// Makes a crash end this process at once, without a report of its memory.
    ///
    /// Where a Swift toolchain is installed, Swift's runtime reports a crash on standard error. The report shows memory, in which
    /// prompts and the API key may be. systemd's SIGABRT would end only the report. SWIFT_BACKTRACE asks for reports.
    public static func forbidCrashReports() {
        guard unsafe getenv("SWIFT_BACKTRACE") == nil else { return }
        // All that the runtime takes for a crash.
        for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP] { signal(number, SIG_DFL) }
    }
}
