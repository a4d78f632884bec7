import Foundation

@testable import ProviderHandlers

/// Files that are read at the start: a mistake in one is told in a line, and nothing else comes of it.

/// Reads each input through the whole loader.
final class ConfigurationFuzzer: Sendable {
    static let shared = ConfigurationFuzzer()

    private let file = MemoryFile()

    func run(_ bytes: [UInt8]) {
        file.write(bytes)
        do throws(ConfigurationError) {
            let configuration = try Configuration.load(path: file.path, environment: [:]).configuration
            precondition(configuration.server.maxInFlight > 0)
            precondition(configuration.ollama.idleTimeout > .zero)
        } catch {
            precondition(isOneLine(error.description))
        }
    }
}

/// Has each input be the API key's file, once as the configuration names it and once as systemd's credential.
final class KeyFileFuzzer: Sendable {
    static let shared = KeyFileFuzzer()

    private let configuration = MemoryFile()
    private let key = MemoryFile()
    private let environments: [[String: String]]
    /// Errors about a file without a key contain nothing of the file, wherever it is.
    private let problems: [(empty: String?, other: String?)]

    private init() {
        let credentials = ScratchDirectory()
        credentials.link("api_key", to: key.path)
        environments = [["PROVIDER_API_KEY_FILE": key.path], ["CREDENTIALS_DIRECTORY": credentials.path]]
        problems = environments.map { [key, configuration] environment in
            (
                Self.load([], key, configuration, environment).problem,
                Self.load([1], key, configuration, environment).problem
            )
        }
    }

    func run(_ bytes: [UInt8]) {
        let end = bytes.lastIndex { !" \t\r\n".utf8.contains($0) }.map { $0 + 1 } ?? 0
        let isKey = bytes[..<end].allSatisfy { (0x21...0x7E).contains($0) && !#""'"#.utf8.contains($0) }
        for (index, environment) in environments.enumerated() {
            let (key, problem) = Self.load(bytes, key, configuration, environment)
            if end == 0 && index == 1 {
                // systemd's units hand over an empty credential where there is no key.
                precondition(key == "")
            } else if end == 0 || !isKey {
                precondition(key == nil && problem == (end == 0 ? problems[index].empty : problems[index].other))
            } else {
                precondition(key.map { $0.utf8.elementsEqual(bytes[..<end]) } ?? false)
            }
        }
    }

    private static func load(
        _ bytes: [UInt8], _ key: MemoryFile, _ configuration: MemoryFile, _ environment: [String: String]
    ) -> (key: String?, problem: String?) {
        key.write(bytes)
        do throws(ConfigurationError) {
            let loaded = try Configuration.load(path: configuration.path, environment: environment)
            precondition(loaded.warnings.isEmpty)
            return (loaded.configuration.provider.apiKey.reveal(), nil)
        } catch {
            precondition(isOneLine(error.description))
            return (nil, error.description)
        }
    }
}

/// Input: a line with `ollama.url`, then nginx's file.
func fuzzNginxUpstream(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: 0x0A, maxSplits: 1, omittingEmptySubsequences: false)
    let text = parts.count > 1 ? String(decoding: parts[1], as: UTF8.self) : ""
    // Others are refused where the configuration is read.
    guard let url = BaseURL.normalized(String(decoding: parts[0], as: UTF8.self)) else { return }
    func compare(_ text: String) -> NginxUpstream.Finding { NginxUpstream.compare(url, text, place: "file") }
    switch compare(text) {
    case .unknown: preconditionFailure("it has been read")
    case .disagrees(let problem): precondition(isOneLine(problem))
    case .agrees:
        precondition(text.contains("upstream") && text.contains("provider_engine") && text.contains("server"))
        precondition(compare("# upstream provider_engine { server 192.0.2.1:9; }\n" + text) == .agrees)
        // With another server that is not the engine, the check fails.
        let other = url == "http://192.0.2.1:9" ? "192.0.2.2:9" : "192.0.2.1:9"
        precondition(compare("upstream provider_engine { server \(other); }\n" + text) != .agrees)
    }
}
