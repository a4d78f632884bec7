import Testing

@testable import ProviderHandlers

@Suite struct HostRefusalTests {
    @Test(arguments: [
        ("http://gpu-box:11434", "gpu-box:11434"), ("http://engine.example/base", "engine.example"),
        ("https://engine.example:8443", "engine.example:8443"),
    ])
    func aNameIsNamed(url: String, host: String) {
        let words = HostRefusal.explanation(status: 403, isBodyEmpty: true, url: url)
        #expect(
            words == "Ollama refuses the Host \(host); use localhost or an address of its machine in ollama.url")
    }

    /// Ollama takes these, so the reason may be another.
    @Test(arguments: [
        "http://localhost:11434", "http://127.0.0.1:11434", "http://[::1]:11434", "http://a.localhost",
        "http://a.local",
        "http://host.docker.internal:11434",
    ])
    func aHostThatOllamaTakes(url: String) throws {
        let words = try #require(HostRefusal.explanation(status: 403, isBodyEmpty: true, url: url))
        #expect(words.hasPrefix("403 without a body, as when Ollama refuses the Host "))
    }

    @Test(arguments: [(403, false), (401, true), (404, true), (200, true), (502, true)])
    func anythingElseIsNot(status: Int, isBodyEmpty: Bool) {
        #expect(HostRefusal.explanation(status: status, isBodyEmpty: isBodyEmpty, url: "http://gpu-box") == nil)
    }
}
