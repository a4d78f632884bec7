import TestSupport
import Testing

@testable import ProviderHandlers

@Suite struct CentralCheckTests {
    private static let now = 1_800_000_000

    private func check(
        _ outcome: Result<HTTPResponse, HTTPError>, url: String = "https://central.example",
        key: CentralCheck.Key = .present, connection: HTTPConnectionFacts = .init()
    ) -> [Finding] {
        CentralCheck(
            url: url, key: key, keyAdvice: "check provider.api_key", outcome: outcome, connection: connection,
            now: Self.now
        ).findings
    }

    private func response(_ status: Int, _ body: String, date: String? = nil) -> Result<HTTPResponse, HTTPError> {
        let headers = date.map { [HTTPHeader("Date", $0)] } ?? []
        return .success(HTTPResponse(head: .init(status: status, headers: headers), body: Array(body.utf8)))
    }

    private func statuses(_ findings: [Finding]) -> [Finding.Status] { findings.map(\.status) }

    @Test func aVerdictMeansThatTheKeyIsTaken() {
        let found = check(response(401, #"{"valid":false}"#, date: "Fri, 15 Jan 2027 08:00:00 GMT"))
        #expect(statuses(found) == [.ok, .ok, .ok, .ok], "\(found)")
    }

    @Test(arguments: [401]) func anyOther401IsARefusal(status: Int) {
        for body in ["", "{}", #"{"error":"unauthorized"}"#] {
            #expect(statuses(check(response(status, body))) == [.ok, .ok, .fail, .skip])
        }
    }

    @Test(arguments: [200, 302, 403, 404, 500, 503]) func anyOtherStatusIsNoCentralSystem(status: Int) {
        #expect(statuses(check(response(status, "<html>"))) == [.fail, .ok, .skip, .skip])
    }

    @Test func withoutAConnectionNothingElseFails() {
        let found = check(.failure(.unreachable("refused")))
        #expect(statuses(found) == [.fail, .skip, .skip, .skip])
        #expect(found[1].saw == "not looked at, because central.reachable failed")
    }

    @Test func aRefusedCertificateIsAFailureOfTLSAlone() {
        let found = check(
            .failure(.unreachable("certificate has expired")), connection: .init(hasFailedInTLS: true))
        #expect(statuses(found) == [.ok, .fail, .skip, .skip])
        #expect(found[3].saw == "not looked at, because central.tls failed")
    }

    @Test(arguments: [(15, Finding.Status.ok), (14, .ok), (13, .warn), (0, .warn)])
    func fewDaysOfACertificateWarn(days: Int, expected: Finding.Status) {
        let end = Self.now + days * 86_400 + 10
        let found = check(response(401, #"{"valid":false}"#), connection: .init(certificateEnd: end))
        #expect(found[1].status == expected && found[1].saw.contains("\(days) more days"))
    }

    @Test(arguments: [
        ("Fri, 15 Jan 2027 07:59:30 GMT", Finding.Status.ok), ("Fri, 15 Jan 2027 07:59:29 GMT", .warn),
        ("Fri, 15 Jan 2027 08:00:31 GMT", .warn), ("yesterday, perhaps", .skip),
    ])
    func theClockMayDifferBy30Seconds(date: String, expected: Finding.Status) {
        #expect(check(response(401, #"{"valid":false}"#, date: date))[3].status == expected)
    }

    @Test func aMissingKeyFailsAndAnUnreadableKeyIsSkipped() {
        #expect(statuses(check(response(401, ""), key: .missing)) == [.ok, .ok, .fail, .skip])
        #expect(statuses(check(response(401, ""), key: .unreadable("/etc/k"))) == [.ok, .ok, .skip, .skip])
    }

    @Test func withoutTLSThereIsNoCertificate() {
        #expect(check(response(401, ""), url: "http://127.0.0.1")[1].status == .skip)
    }

    @Test(arguments: [("Jan 15 08:00:00 2027 GMT", 1_800_000_000 as Int?), ("never", nil)])
    func certificatesDates(text: String, time: Int?) {
        #expect(HTTPDate.time(text) == time)
    }

    @Test(arguments: [
        ("certificate is not yet valid", "timedatectl"), ("certificate has expired", "timedatectl"),
        ("no alternative certificate subject name matches target host name", "provider.url"),
        ("self-signed certificate", "ca-certificates"),
    ])
    func theAdviceIsForTheReason(reason: String, advice: String) {
        let found = check(.failure(.unreachable(reason)), connection: .init(hasFailedInTLS: true))
        #expect(found[1].fix.contains(advice), "\(found[1])")
    }

    @Test(arguments: [(404, "provider.url"), (407, "https_proxy"), (429, "wait"), (302, "redirect"), (500, "operator")])
    func theAdviceIsForTheStatus(status: Int, advice: String) {
        #expect(check(response(status, "<html>"))[0].fix.contains(advice))
    }
}
