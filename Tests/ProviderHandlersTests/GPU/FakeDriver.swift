import Foundation
import TestSupport

@testable import ProviderHandlers

/// The files of NVIDIA's driver in a directory that stands for the root of the file system.
struct FakeDriver {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for path in ["dev", "proc/driver/nvidia"] {
            try FileManager.default.createDirectory(
                atPath: directory.path + "/" + path, withIntermediateDirectories: true)
        }
    }

    var driver: NVIDIADriver { NVIDIADriver(root: directory.path) }

    func add(_ path: String) throws {
        try directory.write("", to: String(path.dropFirst()))
    }

    func remove(_ path: String) throws {
        try FileManager.default.removeItem(atPath: directory.path + path)
    }
}

extension NVIDIADriver {
    /// A machine without any of the files.
    static var nowhere: NVIDIADriver { NVIDIADriver(root: "/nonexistent") }
}
