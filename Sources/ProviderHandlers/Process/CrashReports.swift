import Glibc

extension Program {
    /// Sees to it that a crash ends this process at once and says nothing of what is in memory.
    ///
    /// Where a Swift toolchain is installed, Swift's runtime reports a crash on standard error, with the memory that registers
    /// point to, in which prompts and the API key may be; and a SIGABRT that is sent, as systemd's watchdog does, then ends the
    /// report and not the process. Whoever sets SWIFT_BACKTRACE has asked for it.
    public static func forbidCrashReports() {
        guard unsafe getenv("SWIFT_BACKTRACE") == nil else { return }
        // All that the runtime takes for a crash.
        for number in [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGTRAP] { signal(number, SIG_DFL) }
    }
}
