import Glibc

/// Whether what a process writes reaches journald.
enum Journal {
    /// Whether a descriptor is the stream that systemd has connected to journald.
    ///
    /// `JOURNAL_STREAM` names that stream by device and inode, "separated by a colon" (systemd.exec(5)). A child may have
    /// inherited the variable and another stream, so both numbers are compared.
    static func receives(_ descriptor: CInt, environment: [String: String]) -> Bool {
        guard let stream = environment["JOURNAL_STREAM"] else { return false }
        var information = stat()
        guard unsafe fstat(descriptor, &information) == 0 else { return false }
        return stream == "\(information.st_dev):\(information.st_ino)"
    }
}
