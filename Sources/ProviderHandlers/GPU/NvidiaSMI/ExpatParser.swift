import CExpat

/// Owns an expat parser for one document.
///
/// The C object never leaves this class and is freed with it. expat is reentrant, one parser at a time in one thread.
@safe final class ExpatParser {
    private let parser: XML_Parser
    private var builder = GPUDocumentBuilder()
    private var refusal: String?

    private init() throws(Failure) {
        guard let parser = unsafe XML_ParserCreate(nil) else { throw Failure(reason: "cannot be read: no memory") }
        unsafe self.parser = unsafe parser
        unsafe XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetElementHandler(
            parser,
            { owner, name, _ in unsafe ExpatParser.of(owner).start(String(cString: name!)) },
            { owner, _ in unsafe ExpatParser.of(owner).end() })
        unsafe XML_SetCharacterDataHandler(parser) { owner, text, count in
            let bytes = unsafe UnsafeRawBufferPointer(start: text, count: Int(count))
            unsafe ExpatParser.of(owner).builder.add(bytes.bytes)
        }
        // nvidia-smi declares no entities. A document that does is after expansion without end ("billion laughs").
        unsafe XML_SetEntityDeclHandler(parser) { owner, _, _, _, _, _, _, _, _ in
            unsafe ExpatParser.of(owner).stop("declares an entity")
        }
    }

    deinit {
        unsafe XML_ParserFree(parser)
    }

    /// Why a document is refused, to follow "the document".
    struct Failure: Error {
        let reason: String
    }

    /// Reads up to the end of the root element; what comes after it is not looked at.
    ///
    /// - Throws: unless the root element is there and complete. An external DTD is never fetched.
    static func parse(_ document: ArraySlice<UInt8>) throws(Failure) -> GPUDocumentBuilder {
        try ExpatParser().parse(document)
    }

    private func parse(_ document: ArraySlice<UInt8>) throws(Failure) -> GPUDocumentBuilder {
        _ = unsafe document.withUnsafeBytes { bytes in
            // The output is bounded far below what CInt holds.
            unsafe XML_Parse(
                parser, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(bytes.count), CInt(XML_TRUE))
        }
        if builder.isComplete { return builder }
        if let refusal { throw Failure(reason: refusal) }
        let cause =
            unsafe XML_ErrorString(XML_GetErrorCode(parser)).map { unsafe String(cString: $0) } ?? "unknown error"
        throw Failure(reason: "is broken or cut short in line \(unsafe XML_GetCurrentLineNumber(parser)): \(cause)")
    }

    private static func of(_ owner: UnsafeMutableRawPointer?) -> ExpatParser {
        // Set in init, and only called back from within parse, which keeps the object alive.
        unsafe Unmanaged.fromOpaque(owner!).takeUnretainedValue()
    }

    private func start(_ name: String) {
        // A stopped parser may still call back for what it has in hand.
        guard refusal == nil && !builder.isComplete else { return }
        if let reason = builder.start(name) { stop(reason) }
    }

    private func end() {
        guard refusal == nil && !builder.isComplete else { return }
        builder.end()
        if builder.isComplete { unsafe XML_StopParser(parser, XML_Bool(XML_FALSE)) }
    }

    private func stop(_ reason: String) {
        refusal = refusal ?? reason
        unsafe XML_StopParser(parser, XML_Bool(XML_FALSE))
    }
}
