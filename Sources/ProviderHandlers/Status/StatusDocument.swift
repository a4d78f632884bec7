import FoundationEssentials

/// `/status.json`: the machine's state for people and scripts. docs/STATUS.md describes each key; keys keep their meaning.
struct StatusDocument: Encodable {
    let time: String
    let headline: Headline
    let admission: AdmissionState
    let gpu: GPUState
    /// Written by `json`.
    let gpus: [GPUEntry]
    let requests: Requests
    let completions: [CompletionEntry]
    let workers: [Worker]
    let engine: Engine
    @Nullable var publicURL: String?
    @Nullable var report: Report?
    let settings: Settings

    enum CodingKeys: String, CodingKey {
        case time, headline, admission, gpu, requests, completions, workers, engine, report, settings
        case publicURL = "public_url"
    }

    struct Headline: Encodable {
        let state: String
        let text: String
    }

    struct AdmissionState: Encodable {
        let accepting: Bool
        @Nullable var code: String?
        @Nullable var reason: String?
    }

    struct GPUState: Encodable {
        let state: String
        @Nullable var detail: String?
        @Nullable var source: String?
        /// Seconds.
        @Nullable var sampleAge: Double?

        enum CodingKeys: String, CodingKey {
            case state, detail, source
            case sampleAge = "sample_age_seconds"
        }
    }

    struct GPUEntry: Encodable {
        let index: Int
        @Nullable var name: String?
        @Nullable var uuid: String?
        /// Percent.
        @Nullable var utilization: Int?
        /// Bytes.
        @Nullable var memoryUsed: Int?
        @Nullable var memoryTotal: Int?
        @Nullable var temperature: Int?
        @Nullable var power: Int?
        /// Written by `json`.
        let history: [GPUHistory.Point]

        enum CodingKeys: String, CodingKey {
            case index, name, uuid
            case utilization = "utilization_percent"
            case memoryUsed = "memory_used_bytes"
            case memoryTotal = "memory_total_bytes"
            case temperature = "temperature_celsius"
            case power = "power_watts"
        }
    }

    struct Requests: Encodable {
        let inFlight: Int
        let limit: Int
        let sinceStart: SinceStart
        let recent: Recent

        enum CodingKeys: String, CodingKey {
            case limit
            case inFlight = "in_flight"
            case sinceStart = "since_start"
            case recent = "last_15_minutes"
        }
    }

    struct SinceStart: Encodable {
        /// The start of the longest-running worker; the counts also hold those of workers that have ended.
        @Nullable var since: String?
        let outcomes: [OutcomeCount]
    }

    struct Recent: Encodable {
        let outcomes: [OutcomeCount]
        let duration: Quantiles
        let firstByte: Quantiles

        enum CodingKeys: String, CodingKey {
            case outcomes
            case duration = "duration_seconds"
            case firstByte = "time_to_first_byte_seconds"
        }
    }

    struct OutcomeCount: Encodable {
        let endpoint: String
        let status: Int
        @Nullable var code: String?
        let count: UInt64
    }

    /// Seconds.
    struct Quantiles: Encodable {
        @Nullable var p50: Double?
        @Nullable var p95: Double?
    }

    struct CompletionEntry: Encodable {
        let time: String
        let endpoint: String
        let status: Int
        @Nullable var code: String?
        let milliseconds: UInt64
        let bytes: UInt64
    }

    struct Worker: Encodable {
        let name: String
        let version: String
        let since: String
    }

    struct Engine: Encodable {
        let url: String
        @Nullable var up: Bool?
        @Nullable var detail: String?
        let models: [String]
        @Nullable var checked: String?
    }

    struct Report: Encodable {
        let lastAttempt: String
        @Nullable var lastSuccess: String?
        let exitStatus: Int32
        let outcome: String
        @Nullable var responseStatus: Int?
        let interval: Double
        let nextDue: String

        enum CodingKeys: String, CodingKey {
            case outcome
            case lastAttempt = "last_attempt"
            case lastSuccess = "last_success"
            case exitStatus = "exit_status"
            case responseStatus = "response_status"
            case interval = "interval_seconds"
            case nextDue = "next_due"
        }
    }

    struct Settings: Encodable {
        let maxInFlight: Int
        let busyThreshold: Int
        let busyPolicy: String
        let admitPerSample: Int
        let devices: [String]
        let forward: String
        @Nullable var scoreboard: String?

        enum CodingKeys: String, CodingKey {
            case devices, forward, scoreboard
            case maxInFlight = "max_in_flight"
            case busyThreshold = "busy_threshold"
            case busyPolicy = "busy_policy"
            case admitPerSample = "admit_per_sample"
        }
    }
}

extension StatusDocument {
    init(_ machine: MachineStatus) {
        let configuration = machine.admission.configuration
        let (state, text) = machine.headline
        time = Self.written(machine.time)
        headline = Headline(state: state, text: text)
        admission = AdmissionState(
            accepting: machine.admission.refusal == nil, code: machine.admission.refusal?.code,
            reason: machine.admission.reason)
        gpu = GPUState(machine)
        gpus = machine.admission.gpus.map { GPUEntry($0, machine.history($0.index)) }
        requests = Requests(machine)
        completions = machine.totals.completions.map(CompletionEntry.init)
        workers = machine.totals.workers.map { worker in
            Worker(name: worker.name, version: worker.version, since: Self.written(seconds: Double(worker.started)))
        }
        engine = Engine(
            url: configuration.ollama.url, up: machine.engine.isUp, detail: machine.engine.detail,
            models: machine.engine.models, checked: machine.engine.checked.map(Self.written))
        publicURL = machine.publicURL
        report = machine.report.map(Report.init)
        settings = Settings(
            maxInFlight: configuration.server.maxInFlight, busyThreshold: configuration.gpu.busyThreshold,
            busyPolicy: configuration.gpu.busyPolicy.rawValue, admitPerSample: configuration.gpu.admitPerSample,
            devices: configuration.gpu.devices, forward: configuration.ollama.forward.rawValue,
            scoreboard: machine.isShared ? configuration.server.scoreboard : nil)
    }

    /// The document as JSON, with the GPUs at its end.
    ///
    /// JSONEncoder is too slow for the histories: it took four fifths of the time of a poll.
    var json: [UInt8] {
        let gpus = gpus.map { gpu in
            let history = gpu.history.map(\.json).joined(separator: ",")
            return String(decoding: JSON.encode(gpu, adding: "history", "[\(history)]"), as: UTF8.self)
        }
        return JSON.encode(self, adding: "gpus", "[\(gpus.joined(separator: ","))]")
    }

    /// RFC 3339, in UTC to the millisecond.
    fileprivate static func written(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// - Parameter seconds: since 1970.
    static func written(seconds: Double) -> String { written(Date(timeIntervalSince1970: seconds)) }

    fileprivate static func mebibytes(_ count: Int?) -> Int? { count.map { $0 * 1_048_576 } }
}

extension StatusDocument.GPUState {
    fileprivate init(_ machine: MachineStatus) {
        var detail: String?
        if case .unknown(let reason, _) = machine.admission.gpu { detail = reason }
        self.init(
            state: machine.admission.condition.label, detail: detail,
            source: machine.admission.gpu.sample?.origin.rawValue,
            sampleAge: machine.sampleAge?.inSeconds)
    }
}

extension StatusDocument.GPUEntry {
    fileprivate init(_ gpu: GPU, _ history: [GPUHistory.Point]) {
        self.init(
            index: gpu.index, name: gpu.productName, uuid: gpu.uuid, utilization: gpu.utilization,
            memoryUsed: StatusDocument.mebibytes(gpu.memoryUsed),
            memoryTotal: StatusDocument.mebibytes(gpu.memoryTotal), temperature: gpu.temperature, power: gpu.power,
            history: history)
    }
}

extension StatusDocument.Requests {
    fileprivate init(_ machine: MachineStatus) {
        let totals = machine.totals
        let since = totals.workers.map(\.started).min()
        self.init(
            inFlight: machine.admission.inFlight, limit: machine.admission.configuration.server.maxInFlight,
            sinceStart: StatusDocument.SinceStart(
                since: since.map { StatusDocument.written(seconds: Double($0)) },
                outcomes: Self.outcomes(totals.counters)),
            recent: StatusDocument.Recent(
                outcomes: Self.outcomes(totals.recentCounters),
                duration: Self.quantiles(totals, .chatCompletion, .completion),
                firstByte: Self.quantiles(totals, .firstByteOfChatCompletion, .firstByteOfCompletion)))
    }

    private static func outcomes(_ counters: [Counter: UInt64]) -> [StatusDocument.OutcomeCount] {
        counters.compactMap { counter, count in
            guard case .requests(let endpoint, let status, let code) = counter, count > 0 else { return nil }
            return StatusDocument.OutcomeCount(
                endpoint: endpoint.label, status: status, code: code.isEmpty ? nil : code, count: count)
        }.sorted { ($0.endpoint, $0.status, $0.code ?? "") < ($1.endpoint, $1.status, $1.code ?? "") }
    }

    private static func quantiles(
        _ totals: ScoreboardTotals, _ chat: Timing, _ other: Timing
    ) -> StatusDocument.Quantiles {
        var all = totals.recentTimings[chat] ?? Histogram(chat)
        if let histogram = totals.recentTimings[other] { all.add(histogram) }
        return StatusDocument.Quantiles(p50: all.quantile(0.5, chat), p95: all.quantile(0.95, chat))
    }
}

extension StatusDocument.CompletionEntry {
    fileprivate init(_ completion: Completion) {
        self.init(
            time: StatusDocument.written(seconds: Double(completion.time) / 1000), endpoint: completion.endpoint.label,
            status: completion.status, code: completion.code.isEmpty ? nil : completion.code,
            milliseconds: completion.milliseconds, bytes: completion.bytes)
    }
}

extension StatusDocument.Report {
    fileprivate init(_ record: ReportRecord) {
        self.init(
            lastAttempt: StatusDocument.written(seconds: record.lastAttempt),
            lastSuccess: record.lastSuccess.map { StatusDocument.written(seconds: $0) }, exitStatus: record.exitStatus,
            outcome: record.outcome, responseStatus: record.responseStatus, interval: record.interval,
            nextDue: StatusDocument.written(seconds: record.lastAttempt + record.interval))
    }
}
