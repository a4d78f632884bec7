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
