import Foundation
import Logging
import Testing

@testable import ProviderHandlers

@Suite struct LogLineTests {
    private static let time = Date(timeIntervalSince1970: 1_700_000_000.0075)

    private func line(_ message: String, _ fields: Logger.Metadata = [:], level: Logger.Level = .info) -> LogLine {
        LogLine(level: level, message: message, fields: fields)
    }

    /// The members of a JSON line by name.
    private func parse(_ line: LogLine) throws -> [String: Any] {
        let object = try JSONSerialization.jsonObject(with: Data(line.json(at: Self.time).utf8))
        return try #require(object as? [String: Any])
    }

    @Test func text() {
        let line = line("it is", ["b": "two words", "a": .stringConvertible(7), "c": "", "d": #"x"y"#])
        #expect(line.text(hasPriority: true) == #"<6>it is a=7 b="two words" c="" d="x'y""#)
        #expect(line.text(hasPriority: false).hasPrefix("it is "))
        #expect(self.line("none", ["a": .stringConvertible(NoValue())]).text(hasPriority: false) == "none a=-")
        #expect(self.line("a\n<0>b\u{1B}").text(hasPriority: true) == "<6>a\u{FFFD}<0>b\u{FFFD}")
    }

    @Test(arguments: [
        (Logger.Level.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3), (.critical, 2),
    ])
    func priorities(level: Logger.Level, priority: Int) {
        #expect(line("a", level: level).text(hasPriority: true) == "<\(priority)>a")
    }

    @Test func json() {
        let line = line(
            "it is",
            [
                "text": "7", "number": .stringConvertible(7), "truth": .stringConvertible(true),
                "none": .stringConvertible(NoValue()), "share": .stringConvertible(0.5),
            ], level: .warning)
        #expect(
            line.json(at: Self.time) == """
                {"time":"2023-11-14T22:13:20.007Z","level":"warning","message":"it is","none":null,"number":7,\
                "share":"0.5","text":"7","truth":true}
                """)
    }

    /// Whatever a client sends as its path is one line, and comes out of the JSON as it went in.
    @Test(arguments: [
        #"""#, #"\"#, #"\""#, "a\nb", "\u{0}\u{1F}\u{7F}\u{9B}", "é\u{2028}\u{1F600}", "}\",\"level\":\"x",
        "\u{202E}abc",
    ])
    func hostileText(text: String) throws {
        let line = line(text, ["path": "\(text)", "k\(text)": "1"])
        let json = line.json(at: Self.time)
        #expect(!json.unicodeScalars.contains { $0.properties.generalCategory == .control })
        let members = try parse(line)
        #expect(members["message"] as? String == text)
        #expect(members["path"] as? String == text)
        #expect(members["k\(text)"] as? String == "1")
        #expect(members["level"] as? String == "info")
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_399.9995, "2000-02-28T23:59:59.999Z"),
        (951_782_400.0015, "2000-02-29T00:00:00.001Z"), (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ])
    func times(seconds: Double, text: String) {
        let json = line("a").json(at: Date(timeIntervalSince1970: seconds))
        #expect(json.hasPrefix(#"{"time":"\#(text)","level""#))
    }

    @Test func settingsReachLoggersThatExist() {
        let settings = LogSettings(Configuration.Log())
        let first = StandardErrorLog(settings)
        var own = StandardErrorLog(settings)
        own.logLevel = .trace
        settings.change(to: Configuration.Log(level: .error, format: .json))
        #expect(first.logLevel == .error)
        #expect(own.logLevel == .trace)
        #expect(settings.format == .json)
    }
}
