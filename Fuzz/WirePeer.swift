import Foundation
import Glibc
import Synchronization

/// A server that keeps every byte that it is sent.
///
/// It reads HTTP by the letter: what is ambiguous, or more than one request, is a failure here and not something to mend.
final class WirePeer: Sendable {
    struct Seen {
        var startLine: String
        /// In lower case, each with its values.
        var fields: [String: [String]]
        var body: [UInt8]
    }

    let url: String
    private let descriptor: CInt
    private let seen = Mutex<[Seen]>([])
    private let response: @Sendable (Seen) -> (status: Int, body: String)

    init(_ response: @escaping @Sendable (Seen) -> (status: Int, body: String)) {
        self.response = response
        let (descriptor, port) = Self.listen()
        self.descriptor = descriptor
        url = "http://127.0.0.1:\(port)"
        Thread.detachNewThread { [self] in
            // libFuzzer's alarm would interrupt accept and recv; the threads started here inherit that.
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_BLOCK, &all, nil)
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                Thread.detachNewThread { [self] in
                    serve(connection)
                    close(connection)
                }
            }
        }
    }

    private static func listen() -> (descriptor: CInt, port: UInt16) {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { socketAddress in
                precondition(bind(descriptor, socketAddress, size) == 0 && Glibc.listen(descriptor, 16) == 0)
                precondition(getsockname(descriptor, socketAddress, &size) == 0)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// The whole requests since the last call.
    func take() -> [Seen] {
        seen.withLock { seen in
            defer { seen = [] }
            return seen
        }
    }

    private func serve(_ connection: CInt) {
        var input = Input(connection)
        while let request = input.next() {
            // The client waits for the response: anything behind the body would be a second request.
            precondition(input.isEmpty, "bytes behind the request")
            let (status, body) = response(request)
            seen.withLock { $0.append(request) }
            let text =
                "HTTP/1.1 \(status) X\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            let bytes = Array(text.utf8)
            guard send(connection, bytes, bytes.count, CInt(MSG_NOSIGNAL)) == bytes.count else { return }
        }
    }
}

/// The bytes of a connection, read as requests.
private struct Input {
    private let connection: CInt
    private var bytes: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    init(_ connection: CInt) {
        self.connection = connection
    }

    var isEmpty: Bool { bytes.isEmpty }

    /// nil when the connection ends before the request does.
    mutating func next() -> WirePeer.Seen? {
        guard let startLine = line() else { return nil }
        var fields: [String: [String]] = [:]
        while let line = line(), !line.isEmpty {
            // By bytes: to Swift a blank with an accent upon it is none.
            let name = line.utf8.prefix { $0 != 0x3A }
            let value = line.utf8.dropFirst(name.count)
            precondition(value.starts(with: ": ".utf8), "no field: \(line)")
            fields[String(decoding: name, as: UTF8.self).lowercased(), default: []]
                .append(String(decoding: value.dropFirst(2), as: UTF8.self))
        }
        let lengths = fields["content-length"] ?? []
        let codings = fields["transfer-encoding"] ?? []
        precondition(lengths.count + codings.count <= 1, "two ways to tell where the body ends")
        guard let body = codings.isEmpty ? take(lengths.first.map { Int($0)! } ?? 0) : chunks() else { return nil }
        return WirePeer.Seen(startLine: startLine, fields: fields, body: body)
    }

    /// A line without its CR LF, of which neither may stand alone.
    private mutating func line() -> String? {
        while true {
            if let end = bytes.firstIndex(of: 0x0A) {
                let line = bytes[..<end]
                precondition(line.last == 0x0D && !line.dropLast().contains(0x0D), "a line end of its own kind")
                bytes.removeFirst(end + 1)
                return String(decoding: line.dropLast(), as: UTF8.self)
            }
            guard fill() else { return nil }
        }
    }

    private mutating func chunks() -> [UInt8]? {
        var body: [UInt8] = []
        while let size = line() {
            guard let piece = take(Int(size, radix: 16)!), line() == "" else { return nil }
            if piece.isEmpty { return body }
            body += piece
        }
        return nil
    }

    private mutating func take(_ count: Int) -> [UInt8]? {
        while bytes.count < count { guard fill() else { return nil } }
        defer { bytes.removeFirst(count) }
        return Array(bytes[..<count])
    }

    private mutating func fill() -> Bool {
        let count = recv(connection, &buffer, buffer.count, 0)
        if count > 0 { bytes += buffer[..<count] }
        return count > 0
    }
}
