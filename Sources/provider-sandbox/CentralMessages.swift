import Foundation

/// A health report as the central system decodes it: unknown keys are ignored and null counts as absent, but a wrong type is
/// an error.
struct ReceivedReport: Decodable {
    struct Model: Decodable {
        let id: String?
        let object: String?
        let created: Int?
        let ownedBy: String?
    }

    struct GPU: Decodable {
        let productName: String?
        let driverVersion: String?
        let cudaVersion: String?
        let gpuCount: Int?
        let uuid: String?
        let utilization: Int?
        let memoryTotal: Int?
        let memoryUsed: Int?
        let memoryFree: Int?
        let isBusy: Bool?
    }

    struct Tunnel: Decodable {
        let url: String?
    }

    let object: String
    let data: [Model]
    let gpu: GPU?
    let ngrok: Tunnel?
    let cloudflare: Tunnel?
    let providerType: String?

    /// - Throws: `Mismatch`; its description tells the sandbox's user what is wrong.
    init(_ json: Data) throws(Mismatch) {
        do {
            self = try JSONDecoder.snakeCase.decode(ReceivedReport.self, from: json)
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
            DecodingError.dataCorrupted(let context)
        {
            throw Mismatch(Self.path(context) + context.debugDescription)
        } catch DecodingError.keyNotFound(let key, let context) {
            throw Mismatch(Self.path(context) + "\(key.stringValue) is missing")
        } catch {
            throw Mismatch("\(error)")
        }
        guard object == "list" else { throw Mismatch("object is not \"list\"") }
        // JSONDecoder takes 7.0 for an integer; the central system does not.
        if let number = JSONNumbers.firstFraction(in: json) { throw Mismatch("\(number) is not an integer") }
    }

    private static func path(_ context: DecodingError.Context) -> String {
        guard !context.codingPath.isEmpty else { return "" }
        return context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".") + ": "
    }

    /// A difference from the report's format.
    struct Mismatch: Error {
        let description: String

        init(_ description: String) { self.description = description }
    }
}

/// Finds numbers as they are written, which no decoder offers.
enum JSONNumbers {
    /// The first number with a fraction or an exponent in a valid JSON document.
    static func firstFraction(in json: Data) -> String? {
        // With strings gone, a point or a letter next to a digit can only be a number's.
        let outside = String(decoding: json, as: UTF8.self).replacing(/"(?:[^"\\]|\\.)*"/, with: "\"\"")
        return outside.firstMatch(of: /-?[0-9]+(?:\.|[eE])[-+.0-9eE]*/).map { String($0.output) }
    }
}

/// The request of `validate_hmac`.
struct HMACQuestion: Decodable {
    let hmac: String
}

/// The response of `validate_hmac`.
struct HMACVerdict: Encodable {
    let valid: Bool
    var error: String?
}
