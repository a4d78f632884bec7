/// A tar file in the gzip format.
///
/// It is made in memory. The program tar would need a folder with the files, and a signal may end doctor before it removes that
/// folder. The contents are not compressed, because a bundle has less than a megabyte.
enum Archive {
    private static let block = 512

    /// - Parameters:
    ///   - files: names of at most 100 bytes.
    ///   - time: when the files were made, in seconds since 1970.
    static func tarGz(_ files: [(name: String, text: String)], time: Int) -> [UInt8] {
        var tar: [UInt8] = []
        for file in files {
            let text = Array(file.text.utf8)
            tar += header(file.name, size: text.count, time: time) + text
            tar += zeros(-text.count & (block - 1))
        }
        return gzip(tar + zeros(2 * block))
    }

    private static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    /// The header of a regular file that root owns (POSIX.1-2017, pax, "ustar Interchange Format").
    private static func header(_ name: String, size: Int, time: Int) -> [UInt8] {
        func octal(_ number: Int, digits: Int) -> [UInt8] {
            let text = String(number, radix: 8)
            return Array((String(repeating: "0", count: max(0, digits - text.count)) + text).utf8) + [0]
        }
        func field(_ text: String, _ length: Int) -> [UInt8] {
            let bytes = Array(text.utf8.prefix(length))
            return bytes + zeros(length - bytes.count)
        }
        var header = field(name, 100) + octal(0o600, digits: 7) + octal(0, digits: 7) + octal(0, digits: 7)
        header += octal(size, digits: 11) + octal(time, digits: 11)
        let checksum = header.count
        // The checksum counts itself as spaces.
        header += Array(repeating: UInt8(ascii: " "), count: 8) + field("0", 1) + zeros(100)
        header += field("ustar", 6) + field("00", 2)
        header += zeros(block - header.count)
        let sum = header.reduce(0) { $0 + Int($1) }
        header.replaceSubrange(checksum..<checksum + 7, with: octal(sum, digits: 6))
        return header
    }

    /// RFC 1952, with stored blocks (RFC 1951, 3.2.4).
    private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        func little(_ number: UInt32, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> (8 * UInt32($0))) }
        }
        let largest = 65_535
        var result: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]
        for start in stride(from: 0, to: bytes.count, by: largest) {
            let piece = bytes[start..<min(start + largest, bytes.count)]
            let length = UInt32(piece.count)
            result += [start + largest >= bytes.count ? 1 : 0] + little(length, 2) + little(~length, 2) + piece
        }
        return result + little(crc(bytes), 4) + little(UInt32(truncatingIfNeeded: bytes.count), 4)
    }

    private static let crcTable: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    /// CRC-32 (RFC 1952, 8).
    private static func crc(_ bytes: [UInt8]) -> UInt32 {
        let table = crcTable
        return ~bytes.reduce(~0) { crc, byte in table[Int((crc ^ UInt32(byte)) & 0xFF)] ^ crc >> 8 }
    }
}
