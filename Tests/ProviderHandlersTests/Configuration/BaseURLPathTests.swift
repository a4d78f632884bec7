import TestSupport
import Testing

@testable import ProviderHandlers

/// Base URLs as people copy them from other clients.
@Suite("Configuration: base URLs that end in /v1 or /api")
struct BaseURLPathTests {
    @Test(arguments: [
        ("http://h:11434/v1", "http://h:11434"), ("http://h:11434/v1/", "http://h:11434"),
        ("http://h:11434/v1//", "http://h:11434"), ("HTTP://h:11434//V1", "http://h:11434"),
        ("http://h/api", "http://h"), ("http://h/API/", "http://h"), ("http://h/api/v1", "http://h"),
        ("http://[::1]:8080/v1", "http://[::1]:8080"), ("https://h/openai/v1", "https://h/openai"),
        ("http://h/v1/chat/completions", "http://h"), ("http://h/v1/models", "http://h"),
        ("http://h/api/chat", "http://h"), ("http://h/api/tags/", "http://h"), ("http://v1/api", "http://v1"),
    ])
    func warned(_ written: String, _ base: String) throws {
        let url = try #require(BaseURL.normalized(written))
        #expect(BaseURLPath.base(of: url) == base)
        let warnings = try ConfigurationFixture().load("ollama: {url: '\(written)'}\n").warnings
        let end = url.dropFirst(base.count)
        #expect(
            warnings == [
                "ollama.url ends in \(end): the worker will ask \(url)/v1/chat/completions; write \(base) instead"
            ])
    }

    @Test(arguments: [
        "http://h:11434", "http://h:11434/", "http://h/", "http://h/ollama", "http://h/api/ollama",
        "http://h/v1/ollama",
        "http://h/v10", "http://h/xapi", "http://api", "http://v1", "http://v1:80/", "http://h/v1.0", "http://h/models",
    ])
    func notWarned(_ written: String) throws {
        #expect(BaseURLPath.base(of: try #require(BaseURL.normalized(written))) == nil)
        #expect(try ConfigurationFixture().load("ollama: {url: '\(written)'}\n").warnings == [])
    }

    @Test func everyBaseURL() throws {
        let document = """
            provider: {url: 'https://c.example/api/'}
            ngrok: {url: 'https://t.example/v1', api: 'http://127.0.0.1:4040/api'}
            """
        #expect(
            try ConfigurationFixture().load(document).warnings == [
                "provider.url ends in /api: the reporter will ask https://c.example/api/api/provider/health; "
                    + "write https://c.example instead",
                "ngrok.url ends in /v1: the central system will ask https://t.example/v1/v1/chat/completions; "
                    + "write https://t.example instead",
                "ngrok.api ends in /api: the reporter will ask http://127.0.0.1:4040/api/api/tunnels; "
                    + "write http://127.0.0.1:4040 instead",
            ])
    }
}
