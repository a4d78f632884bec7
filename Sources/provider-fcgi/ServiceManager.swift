import Glibc

/// Tells systemd how the worker is (sd_notify(3)); says nothing to anyone else.
enum ServiceManager {
    /// CLOCK_MONOTONIC in microseconds, by which systemd tells which reload a message belongs to.
    static var monotonicMicroseconds: Int {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1000
    }

    /// One datagram to the socket named by `$NOTIFY_SOCKET`; libsystemd would be a whole library for it.
    static func notify(_ state: String) {
        guard let name = unsafe getenv("NOTIFY_SOCKET").map({ unsafe String(cString: $0) }), !name.isEmpty else {
            return
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var path = Array(name.utf8)
        guard path.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else { return }
        // An abstract socket is written with @ and starts with a zero byte.
        if path.first == UInt8(ascii: "@") { path[0] = 0 }
        unsafe withUnixAddress(path) { address, size in
            _ = unsafe sendto(descriptor, state, state.utf8.count, CInt(MSG_NOSIGNAL), address, size)
        }
    }
}
