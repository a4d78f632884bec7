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

    private let points = Locked<[Int: [Point]]>([:])

    /// Keeps a sample of the GPUs.
    ///
    /// - Parameter time: seconds since 1970.
    func note(_ sample: GPUSample, at time: Int) {
        let start = time - time % Self.interval
        points.withLock { points in
            for gpu in sample.gpus {
                var line = points[gpu.index] ?? []
                let next = Point(time: start, utilization: gpu.utilization, memoryUsed: gpu.memoryUsed)
                if let last = line.last, last.time == start {
                    let utilization = [last.utilization, next.utilization].compactMap(\.self).max()
                    line[line.count - 1] = Point(time: start, utilization: utilization, memoryUsed: next.memoryUsed)
                } else {
                    line.append(next)
                }
                let oldest = start - Self.limit * Self.interval
                points[gpu.index] = Array(line.drop { $0.time <= oldest })
            }
        }
    }

    /// The points of a GPU, oldest first.
    func points(of index: Int) -> [Point] { points.withLock { $0[index] ?? [] } }
}
