import Foundation
import Glibc
import Testing

@testable import ProviderHandlers

/// Whether a stream is journald's (systemd.exec(5), JOURNAL_STREAM).
struct JournalTests {
    @Test func deviceAndInodeBothCount() throws {
        var ends: [CInt] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        var information = stat()
        #expect(fstat(ends[1], &information) == 0)
        let device = information.st_dev
        let inode = information.st_ino
        func receives(_ stream: String?) -> Bool {
            Journal.receives(ends[1], stream: stream)
        }
        #expect(receives("\(device):\(inode)"))
        for other in [
            nil, "", ":", "\(device):", ":\(inode)", "\(device):\(inode + 1)", "\(device + 1):\(inode)",
            "\(inode):\(device)",
            "\(device):\(inode):", "nonsense",
        ] {
            #expect(!receives(other), "\(other ?? "none")")
        }
        #expect(!Journal.receives(-1, stream: "\(device):\(inode)"))
    }
}
