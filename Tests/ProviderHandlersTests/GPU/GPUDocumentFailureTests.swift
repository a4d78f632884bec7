import Testing

@testable import ProviderHandlers

@Suite("output of nvidia-smi that is not a GPU document")
struct GPUDocumentFailureTests {
    private func failure(_ text: String) -> GPUDocumentError? {
        do throws(GPUDocumentError) {
            _ = try GPUDocument.parse(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    @Test("text instead keeps its words")
    func text() {
        let text = "\nNo example was found\u{1B}[31m\r\n\n\tAsk \u{202E}elsewhere \u{0}\n"
        #expect(failure(text) == .noDocument(words: "No example was found[31m; Ask elsewhere"))
    }

    @Test("words are bounded")
    func bounded() {
        guard case .noDocument(let words) = failure(String(repeating: "word ", count: 1_000_000)) else {
            Issue.record("a document?")
            return
        }
        #expect(words.count == 500)
        #expect(failure("a\nb\nc\nd\ne\nf") == .noDocument(words: "a; b; c; d"))
    }

    @Test("nothing at all", arguments: ["", " \n"])
    func empty(_ text: String) {
        #expect(failure(text) == .noDocument(words: ""))
    }

    @Test("no GPU, with nvidia-smi's account of why")
    func noGPU() {
        #expect(failure(Documents.document([])) == .noGPU(words: ""))
        #expect(failure("No devices\n" + Documents.document([])) == .noGPU(words: "No devices"))
        let text = Documents.log([]).replacing(
            "</attached_gpus>", with: "</attached_gpus><error_string>Lost it</error_string>")
        #expect(failure(text) == .noGPU(words: "Lost it"))
    }

    @Test(
        "broken",
        arguments: [
            Text("tags that do not match", Documents.document().replacing("</utilization>", with: "</utilisation>")),
            Text(
                "undeclared entity", Documents.declaration + Documents.log().replacing("560.35.03", with: "&undefined;")
            ),
            Text("another root", Documents.document().replacing("nvidia_smi_log", with: "other_log")),
            Text("a longer root", Documents.declaration + "<nvidia_smi_logs><gpu/></nvidia_smi_logs>"),
            Text("without end", "<nvidia_smi_log>" + String(repeating: "<a>", count: 100_000)),
            Text(
                "too deep",
                "<nvidia_smi_log>" + String(repeating: "<a>", count: 64) + String(repeating: "</a>", count: 64)
                    + "<gpu/></nvidia_smi_log>"),
        ])
    func broken(_ text: Text) {
        guard case .broken(let reason, _) = failure(text.text) else {
            Issue.record("\(String(describing: failure(text.text)))")
            return
        }
        #expect(!reason.isEmpty)
    }

    @Test("the words before a broken document are kept")
    func wordsBefore() {
        guard case .broken(_, let words) = failure("Lost GPU 3\n" + Documents.document().dropLast(40)) else {
            Issue.record("a document?")
            return
        }
        #expect(words == "Lost GPU 3")
    }

    @Test(
        "entities are refused before they can expand",
        arguments: [
            "<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;&b;&b;\">",
            "<!ENTITY c SYSTEM \"file:///etc/hostname\">",
            "<!ENTITY % c \"<!ELEMENT gpu ANY>\">",
        ])
    func entities(_ declarations: String) {
        let text = "<!DOCTYPE nvidia_smi_log [\(declarations)]>" + Documents.log().replacing("560.35.03", with: "&c;")
        #expect(failure(text) == .broken(reason: "declares an entity", words: ""))
    }

    @Test("cut short at any byte it is no sample")
    func cut() {
        let bytes = Array(Documents.twoGPUs().utf8)
        let complete = bytes.count - "\n".utf8.count
        for end in 0..<complete {
            #expect(throws: GPUDocumentError.self, "cut at \(end)") { try GPUDocument.parse(Array(bytes[..<end])) }
        }
        #expect(throws: Never.self) { try GPUDocument.parse(Array(bytes[..<complete])) }
    }

    @Test(
        "with any byte changed it is a sample of as many GPUs or an error",
        arguments: [0x00, 0x20, 0x26, 0x3C, 0x3E, 0xFF] as [UInt8])
    func changed(_ byte: UInt8) throws {
        let original = Array(Documents.document().utf8)
        var refused = 0
        for index in original.indices {
            var bytes = original
            bytes[index] = byte
            do throws(GPUDocumentError) {
                let sample = try GPUDocument.parse(bytes)
                #expect(sample.gpus.count == 1, "changed at \(index)")
            } catch {
                refused += 1
            }
        }
        #expect(refused > 0)
    }
}
