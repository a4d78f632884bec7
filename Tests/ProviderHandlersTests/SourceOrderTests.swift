import Foundation
import TestSupport
import Testing

/// A folder of the library uses the types of the folders before it in the list, never of folders after it. The files beside
/// the folders use them all.
@Suite("Folders import one way")
struct SourceOrderTests {
    private static let folders = [
        "Base", "Log", "Process", "Scoreboard", "HTTP", "Configuration", "GPU", "Request", "Engine", "Central",
        "Health",
        "Status", "Doctor",
    ]

    @Test("every folder is in the order")
    func complete() throws {
        let root = Repository.root + "/Sources/ProviderHandlers"
        let present = try FileManager.default.contentsOfDirectory(atPath: root).filter { !$0.hasSuffix(".swift") }
        #expect(present.sorted() == Self.folders.sorted())
    }

    @Test("no file uses a type of a later folder")
    func oneWay() throws {
        let sources = try (Self.folders + [""]).map(SourceFolder.init)
        let owners = sources.enumerated().flatMap { index, folder in folder.types.map { ($0, index) } }
        let places = Dictionary(owners, uniquingKeysWith: min)
        for (index, folder) in sources.enumerated() {
            for file in folder.files {
                for (name, line) in file.words where !folder.ownNames.contains(name) {
                    guard let place = places[name], place > index else { continue }
                    Issue.record(
                        "\(folder.name)/\(file.path):\(line): uses \(name) of \(sources[place].name)/, a later folder")
                }
            }
        }
    }

    @Test("comments and the text of literals are no code")
    func stripping() {
        let code = SourceCode(
            ##"""
            let a = "A \(B) \"C" // D
            /* E /* F */ G */ let h = #"I " \#(J)"#
            let k = """
                L \(M("N"))
                """
            """##)
        #expect(code.words.map(\.name).filter { $0.first!.isUppercase } == ["B", "J", "M"])
        #expect(code.words.map(\.line) == [1, 1, 1, 2, 2, 2, 3, 3, 4])
    }
}

/// The sources of one folder. The empty name stands for the files beside the folders.
private struct SourceFolder {
    let name: String
    var files: [(path: String, words: [(name: String, line: Int)])] = []
    /// What it declares at the top level and not for one file alone.
    var types: Set<String> = []
    /// Its declarations at any depth: there the name need not mean another folder's type.
    var ownNames: Set<String> = []

    init(_ name: String) throws {
        self.name = name
        let root = Repository.root + "/Sources/ProviderHandlers/" + name
        let manager = FileManager.default
        let paths =
            name.isEmpty ? try manager.contentsOfDirectory(atPath: root) : try manager.subpathsOfDirectory(atPath: root)
        for path in paths.sorted() where path.hasSuffix(".swift") {
            let code = SourceCode(try String(contentsOfFile: root + "/" + path, encoding: .utf8))
            types.formUnion(code.declarations.filter { $0.isTopLevel && !$0.isPrivate }.map(\.name))
            ownNames.formUnion(code.declarations.map(\.name))
            files.append((path, code.words))
        }
    }
}

/// Swift's text without its comments and without the text of its string literals; interpolations are code.
private struct SourceCode {
    /// Without members: a type behind a dot belongs to the type before the dot.
    private(set) var words: [(name: String, line: Int)] = []
    private(set) var declarations: [(name: String, isTopLevel: Bool, isPrivate: Bool)] = []

    private static let kinds: Set = ["struct", "class", "enum", "protocol", "actor", "typealias"]

    private let bytes: [UInt8]
    private var place = 0
    private var line = 1
    private var depth = 0
    /// The two words before.
    private var before = ("", "")
    private var isMember = false

    init(_ text: String) {
        bytes = Array(text.utf8)
        code(isInterpolation: false)
    }

    private mutating func code(isInterpolation: Bool) {
        var parentheses = 0
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "/") where isAt("//"): while place < bytes.count && bytes[place] != 0x0A { advance() }
            case UInt8(ascii: "/") where isAt("/*"): comment()
            case UInt8(ascii: "\""): literal()
            case UInt8(ascii: "#") where isAt("#\"") || isAt("##\""): literal()
            case let byte where Self.isWordByte(byte): word()
            case let byte:
                if byte == UInt8(ascii: "(") { parentheses += 1 }
                if byte == UInt8(ascii: ")") { parentheses -= 1 }
                if byte == UInt8(ascii: "{") { depth += 1 }
                if byte == UInt8(ascii: "}") { depth -= 1 }
                isMember = byte == UInt8(ascii: ".")
                advance()
                if isInterpolation && parentheses == 0 { return }
            }
        }
    }

    private mutating func word() {
        let start = place
        while place < bytes.count, Self.isWordByte(bytes[place]) { place += 1 }
        let name = String(decoding: bytes[start..<place], as: UTF8.self)
        if Self.kinds.contains(before.1), name.first?.isUppercase == true {
            declarations.append((name, depth == 0, before.0 == "private" || before.0 == "fileprivate"))
        }
        before = (name == "final" ? before.0 : before.1, name)
        if !isMember { words.append((name, line)) }
        isMember = false
    }

    private mutating func comment() {
        var nesting = 0
        repeat {
            if isAt("/*") {
                nesting += 1
                advance(2)
            } else if isAt("*/") {
                nesting -= 1
                advance(2)
            } else {
                advance()
            }
        } while nesting > 0 && place < bytes.count
    }

    private mutating func literal() {
        let hashes = String(repeating: "#", count: bytes[place...].prefix { $0 == UInt8(ascii: "#") }.count)
        advance(hashes.utf8.count)
        let quotes = isAt("\"\"\"") ? "\"\"\"" : "\""
        advance(quotes.utf8.count)
        while place < bytes.count {
            if isAt(quotes + hashes) {
                return advance(quotes.utf8.count + hashes.utf8.count)
            } else if isAt("\\" + hashes + "(") {
                advance(1 + hashes.utf8.count)
                code(isInterpolation: true)
            } else if isAt("\\" + hashes) {
                advance(2 + hashes.utf8.count)
            } else {
                advance()
            }
        }
    }

    private func isAt(_ text: String) -> Bool { bytes[place...].starts(with: text.utf8) }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where place < bytes.count {
            if bytes[place] == 0x0A { line += 1 }
            place += 1
        }
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: byte >= 0x80
        }
    }
}
