import Foundation

/// An HTTP response as seen by curl, a foreign client.
public struct CurlResponse: Sendable {
    public let status: Int
    /// The head of the last response, lines as they came.
    public let head: String
    public let body: String

    /// The value of a header; nil when absent.
    public func header(_ name: String) -> String? { headers(name).first }

    /// The values of all headers of a name, in their order.
    public func headers(_ name: String) -> [String] {
        head.split(whereSeparator: \.isNewline).compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == name.lowercased() else { return nil }
            return parts[1].trimmingCharacters(in: .whitespaces)
        }
    }

    /// The body as JSON; nil when it is none.
    public var json: Any? { try? JSONSerialization.jsonObject(with: Data(body.utf8)) }

    /// `error.code` of a body in the shape of OpenAI's errors, all four keys present; nil for any other body.
    public var errorCode: String? {
        guard let error = (json as? [String: Any])?["error"] as? [String: Any],
            Set(error.keys) == ["message", "type", "param", "code"]
        else { return nil }
        return error["code"] as? String
    }
}

/// Runs curl to its end.
///
/// - Throws: `NeverHappened` when it got no response.
public func curl(_ arguments: String...) async throws -> CurlResponse {
    try await curl(arguments)
}

/// The same with a list.
public func curl(_ arguments: [String]) async throws -> CurlResponse {
    let directory = try TemporaryDirectory()
    let process = try ChildProcess(
        "curl",
        ["--silent", "--show-error", "--noproxy", "*", "--dump-header", directory.path + "/head"] + arguments)
    guard try await process.waitForExit() == .status(0) else {
        throw NeverHappened(description: "curl got no response: \(process.standardError)")
    }
    let heads = try String(contentsOfFile: directory.path + "/head", encoding: .utf8)
    // An interim response (100 Continue) comes before the final response.
    let head = heads.components(separatedBy: "\r\n\r\n").last { $0.hasPrefix("HTTP/") } ?? ""
    let status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return CurlResponse(status: status, head: head, body: process.standardOutput)
}
