/// Reads server-sent events by the rules of the standard (WHATWG HTML, 9.2.6), to compare with.
enum EventStream {
    /// The lines, which end with LF, CR or both; the last one may have no end.
    static func lines(of stream: some Collection<UInt8>) -> [[UInt8]] {
        var lines: [[UInt8]] = [[]]
        var isAfterCR = false
        for byte in stream {
            if byte == 0x0D || byte == 0x0A && !isAfterCR {
                lines.append([])
            } else if byte != 0x0A {
                lines[lines.count - 1].append(byte)
            }
            isAfterCR = byte == 0x0D
        }
        return lines
    }

    /// The data of each event that an empty line has completed.
    static func events(in stream: some Collection<UInt8>) -> [[UInt8]] {
        var events: [[UInt8]] = []
        var data: [UInt8]?
        // The last line has no end, or nothing in it.
        for line in lines(of: stream).dropLast() {
            if line.isEmpty {
                if let complete = data { events.append(complete) }
                data = nil
                continue
            }
            let field = line.prefix { $0 != 0x3A }
            guard field.elementsEqual("data".utf8) else { continue }
            var value = line.dropFirst(field.count + 1)
            if value.first == 0x20 { value.removeFirst() }
            data = data.map { $0 + [0x0A] + value } ?? Array(value)
        }
        return events
    }
}
