import Foundation

@testable import ProviderHandlers

/// JSON that is parsed whole: nothing may trap, and what is accepted has to make sense.

func fuzzModels(_ bytes: [UInt8]) {
    for shape in ModelList.Shape.allCases {
        guard let list = try? ModelList(bytes, shape) else { continue }
        // As the central system is told of them, which takes integers only.
        guard let models = json(JSON.encode(list.models)) as? [[String: Any]] else {
            preconditionFailure("no list")
        }
        precondition(models.count == list.models.count)
        precondition(models.allSatisfy { $0["id"] is String && isInteger($0["created"]) })
    }
}

/// Reads the input as the ngrok agent's list, with each way to choose, and as cloudflared's response.
func fuzzTunnels(_ bytes: [UInt8]) {
    if let tunnels = NgrokTunnels(bytes) {
        for name in ["", "a"] {
            switch tunnels.choice(name: name, port: 8080) {
            case .url(let url): checkURL(url)
            case .none(let reason): checkReason(reason)
            }
        }
    }
    switch QuickTunnel(bytes) {
    case .url(let url): checkURL(url)
    case .none(let reason): checkReason(reason)
    }
}

private func checkURL(_ url: String) {
    precondition(url.hasPrefix("https://") && url.utf8.count < 2000 && url.utf8.allSatisfy { 0x21...0x7E ~= $0 })
    precondition(!url.contains("@") || url.dropFirst(8).prefix { $0 != "/" }.allSatisfy { $0 != "@" })
}

/// It goes into the log.
private func checkReason(_ reason: String) {
    precondition(!reason.isEmpty && reason.utf8.count < 16_384 && isOneLine(reason))
}

/// Input: a byte that chooses the status, then the body.
func fuzzCentral(_ bytes: [UInt8]) {
    let statuses = [200, 204, 302, 401, 403, 429, 500, 503]
    let status = statuses[Int(bytes.first ?? 0) % statuses.count]
    let body = Array(bytes.dropFirst())
    let said = (json(body) as? [String: Any])?["valid"] as? Bool
    switch HMACValidator.Verdict(HTTPResponse(head: HTTPResponseHead(status: status), body: body)) {
    // The other reader refuses more, such as unused strings that are not UTF-8.
    case .valid: precondition(status == 200 && said != false && String(decoding: body, as: UTF8.self).contains("true"))
    case .invalid: precondition(said != true)
    // Only a 401 that is no verdict is about the key.
    case .keyRefused: precondition(status == 401 && said == nil)
    case .none(let cause):
        precondition(isOneLine(cause))
        precondition(said != nil || status != 401)
    }
}

// MARK: - What several look for

func isOneLine(_ text: String) -> Bool {
    !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
}

/// What another reader than ours makes of it; nil for anything that is no JSON.
func json(_ bytes: [UInt8]) -> Any? {
    try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
}

/// Whether a value of `json` is a whole number, or none at all.
func isInteger(_ value: Any?) -> Bool {
    guard let value, !(value is NSNull) else { return true }
    guard let number = value as? NSNumber else { return false }
    return number.stringValue == String(number.int64Value)
}
