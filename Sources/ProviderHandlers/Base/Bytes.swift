extension [UInt8] {
    /// Appends a copy of the bytes.
    mutating func append(_ bytes: RawSpan) {
        unsafe bytes.withUnsafeBytes { buffer in unsafe append(contentsOf: buffer) }
    }
}
