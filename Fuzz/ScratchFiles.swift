import Foundation
import Glibc

/// A private file in memory, read by its path.
final class MemoryFile: Sendable {
    let path: String
    private let descriptor: CInt

    init() {
        var name = Array("/dev/shm/provider-fuzz-XXXXXX".utf8CString)
        descriptor = mkstemp(&name)
        precondition(descriptor >= 0)
        unlink(&name)
        path = "/proc/self/fd/\(descriptor)"
    }

    /// Replaces what it holds.
    func write(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        precondition(ftruncate(descriptor, 0) == 0)
        precondition(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
    }
}

/// A directory that goes when the process ends.
final class ScratchDirectory: Sendable {
    let path: String

    init() {
        var name = Array("/dev/shm/provider-fuzz-XXXXXX".utf8CString)
        precondition(mkdtemp(&name) != nil)
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        scratch.append(path)
        if scratch.count == 1 {
            atexit { for path in scratch { try? FileManager.default.removeItem(atPath: path) } }
        }
    }

    /// Makes a symbolic link by its path within, and the directories above it.
    func link(_ name: String, to destination: String) {
        let place = URL(fileURLWithPath: path + "/" + name)
        do {
            try FileManager.default.createDirectory(
                at: place.deletingLastPathComponent(), withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(atPath: place.path, withDestinationPath: destination)
        } catch {
            preconditionFailure("\(error)")
        }
    }
}

/// `nonisolated(unsafe)`: written while the target is set up, on the thread that runs it, and read at its end.
nonisolated(unsafe) private var scratch: [String] = []
