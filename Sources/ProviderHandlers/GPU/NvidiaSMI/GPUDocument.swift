/// Why an output of nvidia-smi is no sample; each case keeps what nvidia-smi itself said, which may be nothing.
enum GPUDocumentError: Error, Equatable {
    /// Plain text, or nothing, where a document should be: nvidia-smi prints its errors to standard output.
    case noDocument(words: String)
    /// A document that is incomplete or broken.
    case broken(reason: String, words: String)
    /// A complete document without a GPU.
    case noGPU(words: String)
}

/// What `nvidia-smi -x -q` prints.
enum GPUDocument {
    /// Reads a document; pure.
    ///
    /// Goes by the elements, never by the DTD's version: driver 525 prints the DTD of version 12 with the names of 11.
    /// Text around the document, such as a warning, is passed over.
    ///
    /// - Parameter output: all of standard output, whatever the exit status.
    static func parse(_ output: [UInt8]) throws(GPUDocumentError) -> GPUSample {
        guard let start = start(of: output) else { throw .noDocument(words: ForeignText.excerpt(output)) }
        let around = ForeignText.excerpt(output[..<start])
        let builder: GPUDocumentBuilder
        do throws(ExpatParser.Failure) {
            builder = try ExpatParser.parse(withoutProcessNames(output[start...]))
        } catch {
            throw .broken(reason: error.reason, words: around)
        }
        guard !builder.sample.gpus.isEmpty else {
            throw .noGPU(words: builder.errorString.map { ForeignText.excerpt(Array($0.utf8)) } ?? around)
        }
        return builder.sample
    }

    /// Where the document begins: some outputs lack the declaration, some the DOCTYPE too.
    private static func start(of output: [UInt8]) -> Int? {
        let beginnings = ["<?xml", "<!DOCTYPE nvidia_smi_log", "<nvidia_smi_log"].map { Array($0.utf8) }
        return output.indices.first { index in
            output[index] == UInt8(ascii: "<") && beginnings.contains { output[index...].starts(with: $0) }
        }
    }

    /// Blanks the processes' names: nvidia-smi does not escape them, so that one may hold any bytes and break the
    /// document (common-workflow-language/cwltool pull 1910).
    private static func withoutProcessNames(_ document: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let opening = Array("<process_name>".utf8)
        let closing = Array("</process_name>".utf8)
        var document = document
        var position = document.startIndex
        while let open = index(of: opening, in: document[position...]),
            let close = index(of: closing, in: document[(open + opening.count)...])
        {
            for index in (open + opening.count)..<close { document[index] = UInt8(ascii: " ") }
            position = close
        }
        return document
    }

    private static func index(of tag: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        bytes.indices.first { bytes[$0] == tag[0] && bytes[$0...].starts(with: tag) }
    }
}
