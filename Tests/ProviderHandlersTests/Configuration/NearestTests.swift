import Testing

@testable import ProviderHandlers

@Suite("Configuration: nearest word")
struct NearestTests {
    @Test(arguments: [
        ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "abd", 1), ("abc", "acb", 1),
        ("abc", "ab", 1),
        ("abc", "xabc", 1), ("kitten", "sitting", 3), ("prot", "port", 1),
    ])
    func distance(_ first: String, _ second: String, _ expected: Int) {
        #expect(Nearest.distance(Array(first.utf8), Array(second.utf8)) == expected)
        #expect(Nearest.distance(Array(second.utf8), Array(first.utf8)) == expected)
    }

    @Test(arguments: [
        ("sokcet", "socket"), ("SOCKET", "socket"), ("max_inflight", "max_in_flight"), ("maxInFlight", "max_in_flight"),
        ("drain", "drain_timeout"), ("hots", "host"), ("zzz", nil), ("x", nil), ("", nil),
        (String(repeating: "socket", count: 20), nil),
    ])
    func match(_ word: String, _ expected: String?) {
        let keys = ConfigurationSchema.keys(of: "server").map(\.name)
        #expect(Nearest.match(word, among: keys) == expected)
    }
}
