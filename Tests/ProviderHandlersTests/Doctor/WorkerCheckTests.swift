import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct WorkerCheckTests {
    private func statuses(
        at place: WorkerSocket.Place = .socket(mode: 0o660, group: "www-data"), _ reply: WorkerSocket.Reply,
        site: SiteReply.Kind? = nil
    ) -> [Finding.Status] {
        let site = site.map {
            SiteCheck(url: "http://s", reply: SiteReply(kind: $0), files: .unknown("not looked at"))
        }
        return WorkerCheck(name: "/run/s", place: place, reply: reply).findings(site).map(\.status)
    }

    private static let busy = WorkerSocket.Reply.output("Status: 200 OK\r\n\r\n{\"busy\":false}")

    @Test func places() {
        #expect(statuses(Self.busy) == [.ok, .ok])
        #expect(statuses(at: .port, Self.busy) == [.ok, .ok])
        #expect(statuses(at: .missing, .refused) == [.fail, .skip])
        #expect(statuses(at: .missing, .refused, site: .worker) == [.fail, .skip])
        #expect(statuses(at: .noSocket, .refused) == [.fail, .skip])
        #expect(statuses(at: .hidden, .forbidden) == [.skip, .skip])
        #expect(statuses(at: .hidden, .forbidden, site: .worker) == [.skip, .ok])
        #expect(statuses(at: .socket(mode: 0o666, group: "g"), Self.busy) == [.warn, .ok])
    }

    @Test func replies() {
        #expect(statuses(.output("220 mail")) == [.ok, .fail])
        #expect(statuses(.refused) == [.ok, .fail])
        #expect(statuses(.silent) == [.ok, .fail])
        #expect(statuses(.failed("Connection reset by peer")) == [.ok, .fail])
    }

    /// Without the right to connect, nginx's responses count, and nothing is guessed.
    @Test func throughNginx() {
        #expect(statuses(.forbidden, site: .worker) == [.ok, .ok])
        #expect(statuses(.forbidden, site: .nginx(code: "worker_unavailable")) == [.ok, .fail])
        #expect(statuses(.forbidden, site: .nginx(code: "rate_limited")) == [.ok, .skip])
        #expect(statuses(.forbidden, site: .other("a page")) == [.ok, .skip])
        #expect(statuses(.forbidden) == [.ok, .skip])
    }

    @Test func units() {
        let shown = Systemd.parse("Id=a@1.service\nActiveState=active\n\nId=a@2.service\nActiveState=failed\n")
        #expect(WorkerCheck.judge(shown) == WorkerCheck.Units(active: 1, failed: 1))
        #expect(WorkerCheck.judge([]) == nil)
    }

    @Test func fastCGIRecords() {
        let bytes: [UInt8] = [1, 6, 0, 1, 0, 2, 1, 0, 0x61, 0x62, 0, 1, 7, 0, 1, 0, 1, 0, 0, 0x78, 1, 6, 0, 1, 0, 9]
        #expect(WorkerSocket.output(in: bytes) == "ab")
        #expect(WorkerSocket.output(in: []) == "")
        #expect(WorkerSocket.output(in: [1, 6, 0, 1, 255, 255, 0, 0, 1]) == "")
    }

    @Test(.timeLimit(.patience)) func aSocketThatNobodyServes() throws {
        let directory = try TemporaryDirectory()
        var server = Configuration.Server()
        server.socket = directory.path + "/s"
        #expect(WorkerSocket(server: server).place == .missing)
        let listener = try UnixListener(server.socket)
        // Nobody accepts: systemd holds such a socket.
        #expect(WorkerSocket(server: server).ask() == .silent)
        withExtendedLifetime(listener) {}
    }
}
