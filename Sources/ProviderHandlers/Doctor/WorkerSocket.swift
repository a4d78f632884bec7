import Glibc

/// Asks the worker itself for /busy, as nginx would: one FastCGI request on one connection.
struct WorkerSocket: Sendable {
    /// What is at the configured address.
    enum Place: Sendable, Equatable {
        case missing
        case noSocket
        /// This user may not look into the directory.
        case hidden
        /// Mode as `ls` counts it, without the file's type.
        case socket(mode: UInt32, group: String)
        case port
    }

    /// What came of the request.
    enum Reply: Sendable, Equatable {
        /// The worker's response, head and body.
        case output(String)
        case refused
        /// This user may not connect.
        case forbidden
        /// Connected, and no response in time.
        case silent
        case failed(String)
    }

    private static let limit = 5
    /// Far above the response (bytes).
    private static let maxBytes = 65_536

    let server: Configuration.Server

    var name: String { server.socket.isEmpty ? "\(server.host):\(server.port)" : server.socket }

    var place: Place {
        guard !server.socket.isEmpty else { return .port }
        var information = stat()
        guard unsafe stat(server.socket, &information) == 0 else { return errno == EACCES ? .hidden : .missing }
        guard information.st_mode & S_IFMT == S_IFSOCK else { return .noSocket }
        return .socket(mode: UInt32(information.st_mode & 0o777), group: Self.groupName(information.st_gid))
    }

    private static func groupName(_ number: gid_t) -> String {
        var entry = unsafe group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        let code = unsafe getgrgid_r(number, &entry, &buffer, buffer.count, &found)
        guard code == 0, unsafe found != nil else { return "\(number)" }
        return unsafe String(cString: entry.gr_name)
    }

    // MARK: The request

    /// Blocks for some seconds at most.
    func ask() -> Reply {
        let isIPv6 = server.socket.isEmpty && server.host.contains(":")
        let family = server.socket.isEmpty ? isIPv6 ? AF_INET6 : AF_INET : AF_UNIX
        let descriptor = socket(family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return .failed(systemError(errno)) }
        defer { close(descriptor) }
        // The send limit holds for connect(2) as well (unix(7), tcp(7)).
        var limit = timeval(tv_sec: Self.limit, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        guard let code = connect(descriptor) else { return .failed("\(name) is no numeric address") }
        switch code {
        case 0: break
        case ECONNREFUSED: return .refused
        case EACCES, EPERM: return .forbidden
        case ENOENT: return .refused
        case EAGAIN, EINPROGRESS, ETIMEDOUT: return .silent
        default: return .failed(systemError(code))
        }
        guard send(Self.request, descriptor) else { return .failed(systemError(errno)) }
        return read(descriptor)
    }

    /// - Returns: the error number, 0 for none; nil for a name, which doctor does not resolve.
    private func connect(_ descriptor: CInt) -> CInt? {
        guard server.socket.isEmpty else {
            let isConnected = unsafe withUnixAddress(Array(server.socket.utf8)) {
                unsafe Glibc.connect(descriptor, $0, $1) == 0
            }
            return isConnected ? 0 : errno
        }
        let port = UInt16(clamping: server.port).bigEndian
        if server.host.contains(":") {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port
            guard unsafe inet_pton(AF_INET6, server.host, &address.sin6_addr) == 1 else { return nil }
            return ProviderHandlers.connect(descriptor, to: &address) == 0 ? 0 : errno
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port
        let host = server.host == "localhost" ? "127.0.0.1" : server.host
        guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
        return ProviderHandlers.connect(descriptor, to: &address) == 0 ? 0 : errno
    }

    private func send(_ bytes: [UInt8], _ descriptor: CInt) -> Bool {
        // Short enough for one call.
        unsafe bytes.withUnsafeBytes { buffer in
            unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL)) == buffer.count
        }
    }

    private func read(_ descriptor: CInt) -> Reply {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8192)
        let deadline = ContinuousClock.now + .seconds(Self.limit)
        while bytes.count < Self.maxBytes {
            // A limit for all of it: SO_RCVTIMEO would be a limit for each piece.
            var readable = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&readable, 1, (deadline - .now).pollMilliseconds)
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0 else { break }
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.recv(descriptor, $0.baseAddress, $0.count, 0)
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return .failed(systemError(errno)) }
            if count == 0 { return .output(Self.output(in: bytes)) }
            bytes += chunk[..<count]
        }
        return .silent
    }

    // MARK: FastCGI

    /// GET /busy (FastCGI Specification 1.0, 3.3): BEGIN_REQUEST as a responder, PARAMS, and an empty STDIN.
    static let request: [UInt8] = {
        let parameters = [
            ("REQUEST_METHOD", "GET"), ("DOCUMENT_URI", "/busy"), ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("GATEWAY_INTERFACE", "CGI/1.1"), ("REMOTE_ADDR", "127.0.0.1"), ("REQUEST_ID", "doctor"),
        ]
        let encoded = parameters.flatMap { name, value in
            [UInt8(name.utf8.count), UInt8(value.utf8.count)] + Array(name.utf8) + Array(value.utf8)
        }
        return record(1, [0, 1, 0, 0, 0, 0, 0, 0]) + record(4, encoded) + record(4, []) + record(5, [])
    }()

    private static func record(_ type: UInt8, _ content: [UInt8]) -> [UInt8] {
        [1, type, 0, 1, UInt8(content.count >> 8), UInt8(content.count & 0xFF), 0, 0] + content
    }

    /// The text of all STDOUT records; an incomplete record ends it.
    static func output(in bytes: [UInt8]) -> String {
        var output: [UInt8] = []
        var place = 0
        while place + 8 <= bytes.count {
            let length = Int(bytes[place + 4]) << 8 | Int(bytes[place + 5])
            let padding = Int(bytes[place + 6])
            guard place + 8 + length <= bytes.count else { break }
            if bytes[place + 1] == 6 { output += bytes[(place + 8)..<(place + 8 + length)] }
            place += 8 + length + padding
        }
        return String(decoding: output, as: UTF8.self)
    }
}
