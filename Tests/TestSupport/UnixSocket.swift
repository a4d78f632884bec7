import Foundation

/// A Unix socket that listens, as systemd holds one for its services; for handing over to a program.
public final class UnixListener: Sendable {
    public let descriptor: CInt
    public let path: String

    public init(_ path: String) throws {
        self.path = path
        descriptor = try unixSocket(SOCK_STREAM, at: path)
        guard listen(descriptor, 4096) == 0 else { throw SocketError("listen on \(path)") }
    }

    deinit { close(descriptor) }
}

/// A silent connection to a Unix socket, as nginx makes them.
public final class UnixConnection: Sendable {
    private let descriptor: CInt

    public init(_ path: String) throws {
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard withUnixAddress(of: path, { connect(descriptor, $0, $1) }) == 0 else {
            throw SocketError("connect to \(path)")
        }
    }

    deinit { close(descriptor) }
}

/// The service manager's end of sd_notify(3).
public final class NotifySocket: Sendable {
    public let path: String
    private let descriptor: CInt

    public init(_ path: String) throws {
        self.path = path
        descriptor = try unixSocket(SOCK_DGRAM, at: path)
        // Ends a test that has failed already.
        var limit = timeval.patience
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Blocks until the message, past others.
    public func receive(_ message: String) throws {
        while try receive() != message {}
    }

    /// Takes what is there now; blocks for nothing.
    public func receiveAll() -> [String] {
        var messages: [String] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = recv(descriptor, &buffer, buffer.count, CInt(MSG_DONTWAIT)), count >= 0 {
            messages.append(String(decoding: buffer[..<count], as: UTF8.self))
        }
        return messages
    }

    /// Blocks until the next message; passes over the lines for `systemctl status`.
    public func receive() throws -> String {
        while true {
            let message = try receiveAny()
            if !message.hasPrefix("STATUS=") { return message }
        }
    }

    /// Blocks until a line for `systemctl status` that `condition` accepts.
    public func receiveStatus(_ condition: (String) -> Bool) throws {
        while true {
            let message = try receiveAny()
            if message.hasPrefix("STATUS="), condition(String(message.dropFirst("STATUS=".count))) { return }
        }
    }

    private func receiveAny() throws -> String {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw SocketError("receive") }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}

private func unixSocket(_ type: __socket_type, at path: String) throws -> CInt {
    let descriptor = socket(AF_UNIX, CInt(type.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard withUnixAddress(of: path, { bind(descriptor, $0, $1) }) == 0 else { throw SocketError("bind \(path)") }
    return descriptor
}

func withUnixAddress<Result>(of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}
