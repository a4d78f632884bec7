import FoundationEssentials

/// JSON of our own types, and checks of foreign JSON.
enum JSON {
    /// Our own types hold only strings, booleans and integers, which always encode.
    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        do {
            return try Array(encoder.encode(value))
        } catch {
            preconditionFailure("cannot encode \(type(of: value)): \(error)")
        }
    }

    /// The object of a value, which has keys, and one key more. The text is JSON already: JSONEncoder is slow with long lists.
    static func encode(_ value: some Encodable, adding key: String, _ text: String) -> [UInt8] {
        encode(value).dropLast() + Array(",\"\(key)\":\(text)}".utf8)
    }

    /// Whether the bytes are one JSON value and nothing else (RFC 8259).
    static func isOneValue(_ bytes: [UInt8]) -> Bool {
        (try? JSONDecoder().decode(AnyValue.self, from: Data(bytes))) != nil
    }

    /// The decoder reads the whole text before it asks for anything.
    private struct AnyValue: Decodable {
        init(from decoder: any Decoder) {}
    }
}

/// A value that JSON always has: an unknown one is null, where a plain optional would be left out.
@propertyWrapper struct Nullable<Value: Encodable>: Encodable {
    var wrappedValue: Value?

    // Written out, so that memberwise initializers of the types that use the wrapper take the value itself.
    init(wrappedValue value: Value?) {
        wrappedValue = value
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        // An optional encodes itself, as null where it is nil.
        try container.encode(wrappedValue)
    }
}

extension Nullable: Sendable where Value: Sendable {}
