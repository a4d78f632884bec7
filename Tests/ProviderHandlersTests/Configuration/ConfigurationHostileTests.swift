import TestSupport
import Testing

@testable import ProviderHandlers

/// Hostile texts: they end in a configuration or an error, and soon.
@Suite("Configuration: hostile files")
struct ConfigurationHostileTests {
    let fixture: ConfigurationFixture
    init() throws { fixture = try ConfigurationFixture() }

    @Test func anAliasBombIsRefusedAtItsFirstAnchor() throws {
        var bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for (name, before) in zip("bcdefghij", "abcdefghi") {
            bomb += "\(name): &\(name) [" + Array(repeating: "*\(before)", count: 9).joined(separator: ", ") + "]\n"
        }
        #expect(
            try fixture.problem(bomb)
                == "config.yaml:1: a: expected a value, found an anchor; a value that starts with & needs quotes")
    }

    /// A megabyte of what a parser could recurse or loop over.
    @Test(arguments: [
        "[", "{", "- ", "? ", "{a: ", "[{", "a: {", "*a ", "&a ", "!a ", "'", "\"", "|\n", "%a\n", "---\n", "\t",
    ])
    func repeated(_ piece: String) throws {
        let count = ConfigurationFile.sizeLimit / piece.utf8.count
        let problem = try fixture.problem(String(repeating: piece, count: count))
        #expect(problem?.hasPrefix("config.yaml:") == true)
    }

    @Test func aMegabyteOfKeys() throws {
        let document = (0..<90_000).map { "k\($0): 1\n" }.joined()
        #expect(try fixture.problem(document)?.hasPrefix("config.yaml:1: k0: unknown key") == true)
        #expect(
            try fixture.problem(document + "k0: 1\n")
                == "config.yaml:90001: k0: expected once, given again; the first is in line 1")
    }

    /// Changes a configuration at random places, the same ones in every run.
    @Test(arguments: 0..<8)
    func mutated(_ seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let original = Array(hostileSeed.utf8)
        let pieces = [
            "\t", "\n", ": ", "- ", "{", "}", "[", "]", "'", "\"", "\\", "#", "&a", "*a", "!", "|", ">", "%", "---\n",
            "\0", "\u{FEFF}", "~",
        ]
        var outcomes = (loaded: 0, refused: 0)
        for _ in 0..<250 {
            var bytes = original
            for _ in 0...Int.random(in: 0...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.insert(contentsOf: Array(pieces.randomElement(using: &random)!.utf8), at: place)
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + 7))
                default: bytes.insert(contentsOf: bytes[..<place].suffix(40), at: place)
                }
            }
            let file = try fixture.directory.write(bytes: bytes, to: "config.yaml")
            if try fixture.problem({ try fixture.load(path: file) }) == nil {
                outcomes.loaded += 1
            } else {
                outcomes.refused += 1
            }
        }
        // Both happen, so the changes are neither too small nor too large to say anything.
        #expect(outcomes.loaded > 0 && outcomes.refused > 0, "\(outcomes)")
    }

    @Test func noise() throws {
        var random = SplitMix(state: 1)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 1...300, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let file = try fixture.directory.write(bytes: bytes, to: "config.yaml")
            _ = try fixture.problem { try fixture.load(path: file) }
        }
    }
}

/// A file with some of everything that loads.
private let hostileSeed = """
    # A comment.
    server:
      socket: "/run/x.sock"
      port: 9000
      drain_timeout: 1.5
    ollama: {url: http://localhost:11434, connect_timeout: 5}
    provider:
      api_key: 'abc'
      hmac: optional
      type: >-
        folded
    gpu:
      devices:
      - 0
      - GPU-1
      busy_policy: any   # trailing
    log: {level: info}

    """

/// Random numbers that are the same in every run (Steele, Lea and Flood: Fast splittable pseudorandom number generators).
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
