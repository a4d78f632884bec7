import Foundation
import Synchronization

/// A connected socket with blocking, buffered reads; both ends of every test connection are one.
public final class SocketConnection: @unchecked Sendable {
    // `@unchecked`: `descriptor` is closed once, under the lock; `buffer` belongs to the reading thread.
    private let state: Mutex<Int32?>
    private var buffer: [UInt8] = []
    private var position = 0

    /// Takes over a descriptor. No read waits longer than a minute: that ends a test that has failed already.
    init(_ descriptor: Int32) {
        state = Mutex(descriptor)
        var limit = timeval.patience
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit {
        close()
    }

    /// Connects to a port of this machine.
    public convenience init(port: Int) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("socket") }
        var address = loopback(port: port)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let error = SocketError("connect to \(port)")
            Glibc.close(descriptor)
            throw error
        }
        self.init(descriptor)
    }

    /// Connects to a Unix socket.
    public convenience init(path: String) throws {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SocketError("socket") }
        guard withUnixAddress(of: path, { connect(descriptor, $0, $1) }) == 0 else {
            let error = SocketError("connect to \(path)")
            Glibc.close(descriptor)
            throw error
        }
        self.init(descriptor)
    }

    private var descriptor: Int32 { state.withLock { $0 ?? -1 } }

    public func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    public func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SocketError("send") }
            sent += count
        }
    }

    /// Up to `limit` bytes, as soon as there are any; empty at the end.
    public func read(upTo limit: Int = 65_536) throws -> [UInt8] {
        if position == buffer.count { try fill() }
        let end = min(buffer.count, position + limit)
        defer { position = end }
        return Array(buffer[position..<end])
    }

    /// Exactly `count` bytes.
    public func read(exactly count: Int) throws -> [UInt8] {
        var result: [UInt8] = []
        while result.count < count {
            let piece = try read(upTo: count - result.count)
            guard !piece.isEmpty else { throw SocketError("ended after \(result.count) of \(count) bytes") }
            result += piece
        }
        return result
    }

    /// A line without its line end; nil at the end of the connection.
    public func readLine() throws -> String? {
        var line: [UInt8] = []
        while true {
            if position == buffer.count { try fill() }
            guard position < buffer.count else { return line.isEmpty ? nil : String(decoding: line, as: UTF8.self) }
            let byte = buffer[position]
            position += 1
            if byte == 0x0A { break }
            line.append(byte)
        }
        if line.last == 0x0D { line.removeLast() }
        return String(decoding: line, as: UTF8.self)
    }

    public func readToEnd() throws -> [UInt8] {
        var result: [UInt8] = []
        while case let piece = try read(), !piece.isEmpty { result += piece }
        return result
    }

    /// Blocks until the peer has closed, dropping what it still sends.
    public func waitForHangUp() throws {
        do {
            while try !read().isEmpty {}
        } catch let error as SocketError where error.code == ECONNRESET {
            return
        }
    }

    /// Whether the peer closes within the time; reads nothing.
    func hasHungUp(within limit: Duration) throws -> Bool {
        // POLLRDHUP (poll(2)), which Glibc's module leaves out.
        var polled = pollfd(fd: descriptor, events: 0x2000, revents: 0)
        return poll(&polled, 1, Int32(limit.components.attoseconds / 1_000_000_000_000_000)) > 0
    }

    /// Ends both directions; a reader sees the end. The descriptor stays until its owner closes it.
    public func shutDown() {
        state.withLock { descriptor in
            if let open = descriptor { _ = shutdown(open, Int32(SHUT_RDWR)) }
        }
    }

    public func close() {
        state.withLock { descriptor in
            if let open = descriptor { Glibc.close(open) }
            descriptor = nil
        }
    }

    /// Closes so that the peer sees a reset.
    public func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    private func fill() throws {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = piece.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        guard count >= 0 else { throw SocketError("receive") }
        buffer = Array(piece[..<count])
        position = 0
    }
}

/// A socket call that failed, with errno's words.
public struct SocketError: Error, CustomStringConvertible {
    public let description: String
    let code: Int32

    init(_ action: String) {
        code = errno
        description = "\(action): \(String(cString: strerror(code)))"
    }
}

func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
    return address
}
