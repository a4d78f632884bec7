import Synchronization
import TestSupport

/// Holds arrivals until all expected arrivals are there; holds none while none are expected.
final class Meeting: Sendable {
    private struct Place {
        var expected = 0
        var gate = Gate()
    }

    private let places = Mutex<[String: Place]>([:])
    private let size = Mutex(0)

    /// Expects `count` requests at each place from now on, once.
    func call(_ count: Int) throws {
        size.withLock { $0 = count }
        places.withLock { places in
            for name in ["central", "engine"] { places[name] = Place(expected: count) }
        }
    }

    func join(_ name: String) throws {
        let (gate, isLast) = places.withLock { places -> (Gate?, Bool) in
            guard var place = places[name], place.expected > 0 else { return (nil, false) }
            place.expected -= 1
            places[name] = place
            return (place.gate, place.expected == 0)
        }
        guard let gate else { return }
        if isLast { for _ in 0..<size.withLock({ $0 }) { gate.open() } }
        try gate.wait()
    }
}
