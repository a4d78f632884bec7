import Testing

@testable import ProviderHandlers

@Suite struct HeadParserTests {
    private func parse(_ lines: [String]) -> [HTTPResponseHead] {
        var parser = HeadParser()
        return lines.compactMap { line in
            let bytes = Array((line + "\r\n").utf8)
            return parser.add(bytes.span.bytes)
        }
    }

    @Test func aHead() {
        let heads = parse(["HTTP/1.1 404 Not Found", "Content-Type:  text/plain ", "X-Empty:", "X:a:b", ""])
        #expect(
            heads == [
                HTTPResponseHead(
                    status: 404,
                    headers: [
                        HTTPHeader("Content-Type", "text/plain"), HTTPHeader("X-Empty", ""), HTTPHeader("X", "a:b"),
                    ])
            ])
    }

    @Test func interimResponsesArePassedOverAndTrailersDropped() {
        let heads = parse([
            "HTTP/1.1 103 Early Hints", "Link: </a>", "", "HTTP/1.1 200 OK", "A: 1", "", "Trailer: 1", "",
        ])
        #expect(heads == [HTTPResponseHead(status: 200, headers: [HTTPHeader("A", "1")])])
    }

    @Test func aStatusWithoutAPhrase() {
        #expect(parse(["HTTP/1.1 200", ""]).map(\.status) == [200])
    }

    @Test func controlCharactersCannotEndAField() {
        let heads = parse(["HTTP/1.1 200 OK", "A: 1\r2\u{0}3\u{7F}4\t5", ": no name", "no colon", ""])
        #expect(heads.first?.headers == [HTTPHeader("A", "1234\t5")])
    }

    /// nginx refuses the whole response for any of these.
    @Test func whatIsNoFieldIsMendedOrLeftOut() {
        let heads = parse([
            "HTTP/1.1 200 OK", "A : 1", "B C: 2", "D\u{E9}: 3", " folded onto nothing", "E: 4", " folded", "\t on",
            "F;: 5", " dropped with its field", "G!#$%&'*+-.^_`|~9:6", "",
        ])
        #expect(
            heads.first?.headers == [
                HTTPHeader("A", "1"), HTTPHeader("E", "4 folded on"), HTTPHeader("G!#$%&'*+-.^_`|~9", "6"),
            ])
    }

    @Test func valuesKeepTheirBytes() {
        var parser = HeadParser()
        _ = parser.add(Array("HTTP/1.1 200 OK\n".utf8).span.bytes)
        let value: [UInt8] = Array("caf".utf8) + [0xE9, 0xC3, 0xA9, 0xFF]
        _ = parser.add((Array("A: ".utf8) + value).span.bytes)
        let head = parser.add(Array("\r\n".utf8).span.bytes)
        #expect(head?.headers.first?.value.latin1 == value)
    }
}
