import Glibc

/// A moment in UTC to the millisecond, described as RFC 3339 has it: `2026-01-31T23:59:59.999Z`.
struct LogTime: CustomStringConvertible {
    let description: String

    /// Now.
    init() {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        self.init(seconds: now.tv_sec, nanoseconds: now.tv_nsec)
    }

    /// - Parameter seconds: since 1970, in UTC; years from 0 to 9999.
    init(seconds: Int, nanoseconds: Int) {
        var seconds = seconds
        var date = unsafe tm()
        unsafe gmtime_r(&seconds, &date)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = unsafe [
            padded(Int(date.tm_year) + 1900, 4), padded(Int(date.tm_mon) + 1, 2), padded(Int(date.tm_mday), 2),
        ]
        let time = unsafe [padded(Int(date.tm_hour), 2), padded(Int(date.tm_min), 2), padded(Int(date.tm_sec), 2)]
        description =
            day.joined(separator: "-") + "T" + time.joined(separator: ":") + "."
            + padded(nanoseconds / 1_000_000, 3) + "Z"
    }
}
