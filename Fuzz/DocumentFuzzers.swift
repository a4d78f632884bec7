import Foundation
import Glibc

@testable import ProviderHandlers

/// Documents that are parsed whole: nothing may trap, and what is accepted has to make sense.

func fuzzNvidiaSMI(_ bytes: [UInt8]) {
    do throws(GPUDocumentError) {
        let sample = try GPUDocument.parse(bytes)
        precondition(!sample.gpus.isEmpty)
        for gpu in sample.gpus {
            precondition(gpu.utilization.map { (0...100).contains($0) } ?? true)
            precondition([gpu.memoryTotal, gpu.memoryUsed, gpu.memoryFree].allSatisfy { $0.map { $0 >= 0 } ?? true })
        }
    } catch {
        precondition(isOneLine(error.words))
    }
}

func fuzzModels(_ bytes: [UInt8]) {
    _ = try? JSONDecoder().decode(ModelList.self, from: Data(bytes))
}

func fuzzTunnels(_ bytes: [UInt8]) {
    guard let url = try? Tunnel.url(in: bytes) else { return }
    precondition(url.hasPrefix("https://"))
}

func fuzzCentral(_ bytes: [UInt8]) {
    let status = Int(bytes.first ?? 0) * 4
    let body = Array(bytes.dropFirst())
    let head = HTTPResponseHead(
        status: status, headers: [HTTPHeader("Retry-After", String(decoding: body, as: UTF8.self))])
    let verdict = HMACValidator.Verdict(HTTPResponse(head: head, body: body))
    precondition(verdict != .valid || status == 200 && String(decoding: body, as: UTF8.self).contains("true"))
    let pause = ReportDelivery.retryAfter(head)
    precondition(pause.map { (.zero ... .seconds(86_400)).contains($0) } ?? true)
}

/// Reads each input as a file in memory, through the whole loader.
final class ConfigurationFuzzer: Sendable {
    static let shared = ConfigurationFuzzer()

    private let descriptor: CInt
    private let path: String

    private init() {
        var name = Array("/dev/shm/configuration-XXXXXX".utf8CString)
        descriptor = mkstemp(&name)
        precondition(descriptor >= 0)
        unlink(&name)
        path = "/proc/self/fd/\(descriptor)"
    }

    func run(_ bytes: [UInt8]) {
        ftruncate(descriptor, 0)
        precondition(pwrite(descriptor, bytes, bytes.count, 0) == bytes.count)
        do throws(ConfigurationError) {
            let configuration = try Configuration.load(path: path, environment: [:]).configuration
            precondition(configuration.server.maxInFlight > 0)
            precondition(configuration.ollama.idleTimeout > .zero)
        } catch {
            precondition(isOneLine(error.description))
        }
    }
}

private func isOneLine(_ text: String) -> Bool {
    !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
}
