/// Writes metrics in Prometheus' text format (version 0.0.4, prometheus.io/docs/instrumenting/exposition_formats).
///
/// A family is announced once; its samples follow at once.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    enum Kind: String {
        case counter, gauge, histogram
    }

    typealias Labels = KeyValuePairs<String, String>

    private(set) var text = ""

    /// Starts a family of samples.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    /// Writes a sample; a value that is not known is no sample.
    mutating func sample(_ name: String, _ value: Double?, _ labels: Labels = [:]) {
        guard let value else { return }
        text += name + Self.written(labels) + " " + Self.number(value) + "\n"
    }

    /// Writes a sample that only grows.
    mutating func count(_ name: String, _ value: UInt64, _ labels: Labels = [:]) {
        text += name + Self.written(labels) + " \(value)\n"
    }

    /// Writes the samples of one histogram; the counts become cumulative.
    mutating func histogram(_ name: String, _ labels: Labels, _ timing: Timing, _ histogram: Histogram) {
        var count: UInt64 = 0
        for (bound, part) in zip(timing.bounds, histogram.buckets) {
            count += part
            bucket(name, labels, Self.number(Double(bound) / 1e9), count)
        }
        bucket(name, labels, "+Inf", histogram.count)
        text += name + "_sum" + Self.written(labels) + " " + Self.number(Double(histogram.sum) / 1e9) + "\n"
        text += name + "_count" + Self.written(labels) + " \(histogram.count)\n"
    }

    private mutating func bucket(_ name: String, _ labels: Labels, _ bound: String, _ count: UInt64) {
        text += name + "_bucket" + Self.written(labels, "le=\"\(bound)\"") + " \(count)\n"
    }

    private static func written(_ labels: Labels, _ last: String? = nil) -> String {
        let parts = labels.map { "\($0.key)=\"\(escaped($0.value))\"" } + [last].compactMap { $0 }
        return parts.isEmpty ? "" : "{" + parts.joined(separator: ",") + "}"
    }

    private static func escaped(_ value: String) -> String {
        var escaped = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }

    /// Without a fraction where there is none.
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map { "\($0)" } ?? "\(value)"
    }
}
