/// The last 15 minutes of each GPU, a point every five seconds.
final class GPUHistory: Sendable {
    struct Point: Sendable, Equatable {
        /// Seconds since 1970, a multiple of `interval`.
        var time: Int
        /// The highest of the interval, in percent.
        var utilization: Int?
        /// MiB, the last of the interval.
        var memoryUsed: Int?
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
