/// The last 15 minutes of each GPU, a point every five seconds.
final class GPUHistory: Sendable {
    struct Point: Sendable, Equatable {
        /// Seconds since 1970, a multiple of `interval`.
        let time: Int
        /// The highest of the interval, in percent.
        let utilization: Int?
        /// MiB, the last of the interval.
        let memoryUsed: Int?
        /// The point in `/status.json`. Written once: a page that is open asks for every point each 2 s.
        let json: String

        init(time: Int, utilization: Int?, memoryUsed: Int?) {
            self.time = time
            self.utilization = utilization
            self.memoryUsed = memoryUsed
            let bytes = memoryUsed.map { $0 * 1_048_576 }
            json = """
                {"time":"\(StatusDocument.written(seconds: Double(time)))",\
                "utilization_percent":\(utilization.map(String.init) ?? "null"),\
                "memory_used_bytes":\(bytes.map(String.init) ?? "null")}
                """
        }
    }

    /// Seconds.
    static let interval = 5
    static let limit = 180
    private static let span = limit * interval

    private let points = Locked<[Int: [Point]]>([:])

    /// Keeps a sample of the GPUs.
    ///
    /// - Parameter time: seconds since 1970.
    func note(_ sample: GPUSample, at time: Int) {
        let start = time - time % Self.interval
        points.withLock { points in
            for gpu in sample.gpus {
                var line = Self.recent(points[gpu.index], at: start)
                let next = Point(time: start, utilization: gpu.utilization, memoryUsed: gpu.memoryUsed)
                if let last = line.last, last.time == start {
                    let utilization = [last.utilization, next.utilization].compactMap(\.self).max()
                    line[line.count - 1] = Point(time: start, utilization: utilization, memoryUsed: next.memoryUsed)
                } else {
                    line.append(next)
                }
                points[gpu.index] = line
            }
        }
    }

    /// The points of a GPU in the 15 minutes before `time`, oldest first.
    ///
    /// A GPU that nobody can read gets no new points, so its old points are left out here.
    func points(of index: Int, at time: Int) -> [Point] {
        Self.recent(points.withLock { $0[index] }, at: time - time % Self.interval)
    }

    /// The points of the last 15 minutes. After a step back of the clock there are later points: their times have not come yet.
    ///
    /// - Parameter start: of the newest interval.
    private static func recent(_ line: [Point]?, at start: Int) -> [Point] {
        (line ?? []).filter { $0.time <= start && $0.time > start - span }
    }
}
