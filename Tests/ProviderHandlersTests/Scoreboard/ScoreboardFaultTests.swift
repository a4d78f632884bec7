import Foundation
import TestSupport
import Testing

@testable import ProviderHandlers

/// Files that are no scoreboard, from the start or from some moment on.
@Suite struct ScoreboardFaultTests {
    let directory: TemporaryDirectory
    let path: String
    var file: String { path + ".v1" }

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.path + "/scoreboard"
    }

    /// It admits by itself, and has said why once.
    private func expectPrivate(_ reason: String, at path: String? = nil) {
        let path = path ?? self.path
        let board = Scoreboard(path)
        #expect(!board.isShared)
        #expect(
            board.check()
                == .lost(
                    "The scoreboard \(path).v1 \(reason). This worker admits and counts by itself until it can share one."
                ))
        #expect(board.check() == nil)
        #expect(board.claim(limit: 1))
        #expect(!board.claim(limit: 1))
        board.record { $0.count(.clientDisconnects) }
        #expect(board.totals().counters == [.clientDisconnects: 1])
    }

    @Test func aFileThatCannotBeUsed() throws {
        expectPrivate("cannot be opened: No such file or directory", at: directory.path + "/missing/scoreboard")
        let size = 64 * 4096 * 8 + 4096
        try directory.write("garbage", to: "scoreboard.v1", mode: 0o600)
        expectPrivate("is not a scoreboard: expected \(size) bytes, found 7; delete it")
        try directory.write(bytes: [UInt8](repeating: 0x55, count: size), to: "scoreboard.v1", mode: 0o600)
        expectPrivate("is not a scoreboard: its head is garbage; delete it")
        try directory.write("", to: "scoreboard.v1", mode: 0o644)
        expectPrivate("has mode 0644, expected 0600")
        unlink(file)
        symlink("/dev/null", file)
        expectPrivate("cannot be opened: Too many levels of symbolic links")
        unlink(file)
        mkfifo(file, 0o600)
        expectPrivate("is no regular file")
        unlink(file)
        mkdir(file, 0o700)
        expectPrivate("cannot be opened: Is a directory")
    }

    @Test(.enabled(if: geteuid() != 0)) func aDirectoryThatCannotBeWritten() {
        chmod(directory.path, 0o500)
        defer { chmod(directory.path, 0o700) }
        expectPrivate("cannot be opened: Permission denied")
    }

    @Test(.enabled(if: geteuid() == 0)) func aFileOfAnotherUser() throws {
        try directory.write("", to: "scoreboard.v1", mode: 0o600)
        chown(file, 1234, 1234)
        expectPrivate("belongs to user 1234, expected 0")
    }

    @Test(.enabled(if: geteuid() == 0)) func aFullFileSystem() throws {
        guard mount("none", directory.path, "tmpfs", 0, "size=256k") == 0 else { return }
        defer { umount2(directory.path, CInt(MNT_DETACH)) }
        expectPrivate("cannot be made: No space left on device")
    }

    /// As a worker leaves it that is killed while it makes the file.
    @Test func aFileThatIsNotReadyYet() throws {
        try directory.write("", to: "scoreboard.v1", mode: 0o600)
        #expect(Scoreboard(path).isShared)
        try directory.write(bytes: [UInt8](repeating: 0, count: 64 * 4096 * 8 + 4096), to: "scoreboard.v1", mode: 0o600)
        #expect(Scoreboard(path).isShared)
    }

    @Test func noPathIsNoSharing() {
        let board = Scoreboard(nil)
        #expect(!board.isShared)
        #expect(board.check() == nil)
        #expect(board.claim(limit: 1))
        #expect(!board.claim(limit: 1))
    }

    /// - Parameter rejoins: whether `check` finds a new file at once.
    private func expectSurvival(rejoins: Bool, _ harm: () throws -> Void) throws {
        let boards = [Scoreboard(path), Scoreboard(path)]
        for board in boards {
            #expect(board.claim(limit: 4))
            board.record { $0.count(.clientDisconnects, by: 5) }
        }
        try harm()
        for board in boards {
            // Never more than its own limit, and its own place counts.
            #expect(!board.claim(limit: 1))
            board.record { $0.count(.clientDisconnects, by: 2) }
            board.pass(.idle)
            let counted = board.totals().counters[.clientDisconnects]
            #expect(counted! >= 7)
        }
        let notices = boards.map { $0.check() }
        if rejoins {
            #expect(notices.allSatisfy { $0?.isLost == false })
            #expect(boards.allSatisfy { $0.isShared })
            #expect(boards[0].machineInFlight == 2)
            #expect(boards[1].totals().counters[.clientDisconnects] == 14)
        } else {
            #expect(notices.allSatisfy { $0?.isLost == true })
            #expect(boards.allSatisfy { $0.check() == nil })
            // Once the file is deleted, they meet in a new file.
            unlink(file)
            #expect(boards.map { $0.check()?.isLost } == [false, false])
            #expect(boards[0].machineInFlight == 2)
            #expect(boards[1].totals().counters[.clientDisconnects] == 14)
        }
        for board in boards { board.release() }
        #expect(boards[1].machineInFlight == 0)
    }

    @Test func aFileThatIsTruncated() throws {
        try expectSurvival(rejoins: true) { truncate(file, 0) }
    }

    @Test(arguments: [100, 4096, 4096 + 32768]) func aFileThatIsCutShort(_ size: Int) throws {
        try expectSurvival(rejoins: false) {
            truncate(file, size)
            #expect(boardsSize() == size)
        }
    }

    private func boardsSize() -> Int {
        var information = stat()
        return stat(file, &information) == 0 ? Int(information.st_size) : -1
    }

    @Test(arguments: [UInt8(0), 0x55, 0xFF]) func aFileThatIsOverwritten(_ byte: UInt8) throws {
        try expectSurvival(rejoins: byte == 0) {
            let handle = try #require(FileHandle(forWritingAtPath: file))
            try handle.write(contentsOf: Data(repeating: byte, count: boardsSize()))
        }
    }

    /// The slot of a worker that has nothing to do, while another admits.
    @Test func aSlotThatIsOverwritten() throws {
        let (first, second) = (Scoreboard(path), Scoreboard(path))
        // The places, and the nonce.
        for offset in [4096, 4096 + 16] {
            let handle = try #require(FileHandle(forWritingAtPath: file))
            try handle.seek(toOffset: UInt64(offset))
            try handle.write(contentsOf: Data(repeating: 255, count: 8))
            #expect(first.check()?.text.contains("was overwritten or truncated. This worker shares it again.") == true)
            #expect(second.claim(limit: 1))
            second.release()
        }
        #expect(second.isShared)
    }

    @Test func aFileThatIsDeleted() throws {
        try expectSurvival(rejoins: true) { unlink(file) }
    }

    @Test func aFileThatIsReplaced() throws {
        try expectSurvival(rejoins: true) {
            rename(file, file + ".old")
            try directory.write("", to: "scoreboard.v1", mode: 0o600)
        }
    }

    /// A SIGBUS of any other mapping has its usual effect.
    @Test(.enabled(if: Sanitizer.current == nil, "A sanitizer reports the SIGBUS as its find."))
    func anotherFileThatIsTruncated() async throws {
        let other = try directory.write(bytes: [UInt8](repeating: 0, count: 32), to: "engine")
        let peer = try Peer("crash", path, "0", "0", "0", other)
        #expect(try await peer.process.waitForExit() == .signal(SIGBUS))
    }

    /// Each thread meets the SIGBUS that another may be handling.
    @Test func aFileThatIsTruncatedUnderLoad() async throws {
        for _ in 0..<5 {
            let boards = [Scoreboard(path), Scoreboard(path)]
            let file = file
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        try await onThread {
                            for _ in 0..<2000 where boards[index % 2].claim(limit: 2) {
                                if boards[index % 2].ownInFlight > 2 {
                                    throw NeverHappened(description: "over the limit")
                                }
                                boards[index % 2].record { $0.observe(.admission, 1000) }
                                boards[index % 2].release()
                            }
                        }
                    }
                }
                group.addTask {
                    try await onThread {
                        for _ in 0..<20 {
                            truncate(file, 0)
                            usleep(500)
                        }
                    }
                }
                try await group.waitForAll()
            }
            for board in boards { _ = board.check() }
            #expect(boards[0].machineInFlight == 0)
        }
    }
}
