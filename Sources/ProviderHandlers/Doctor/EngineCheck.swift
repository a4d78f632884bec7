/// Whether the engine can be reached, lists models and, when asked, generates.
struct EngineCheck: Sendable {
    private static let listLimit = Duration.seconds(5)

    /// The list as far as the judgement needs it.
    struct List: Sendable, Equatable {
        var path: String
        var models: [String]
    }

    var url: String
    var list: Result<List, NoModelList>
    /// How long the list took.
    var time: Duration
    var probe = EngineProbe.Outcome.notAsked

    static func look(_ engine: Configuration.Ollama, _ http: HTTPClient, probes: Bool) -> Self {
        let started = ContinuousClock.now
        let list: Result<List, NoModelList>
        do throws(NoModelList) {
            let found = try EngineModels(http: http, engine: engine).find(within: listLimit)
            list = .success(List(path: found.path, models: found.models.map(\.id)))
        } catch {
            list = .failure(error)
        }
        var look = Self(url: engine.url, list: list, time: .now - started)
        if probes, case .success(let list) = list {
            look.probe = EngineProbe(url: engine.url, http: http).ask(list.models)
        }
        return look
    }

    // MARK: The judgement

    var findings: [Finding] { [reachable, models, completion] }

    private var isLocal: Bool { Loopback.contains(url: url) }
    private var start: String { isLocal ? "systemctl start ollama" : "start the engine at \(url)" }
    private var restart: String { isLocal ? "systemctl restart ollama" : "restart the engine at \(url)" }
    private var log: String { isLocal ? "journalctl -u ollama -n 50" : "read the log of the engine at \(url)" }

    private var reachable: Finding {
        guard case .failure(let failure) = list, [.unreachable, .silent].contains(failure.kind) else {
            return .ok(.engineReachable, "\(url) responds")
        }
        return .fail(
            .engineReachable, failure.description,
            fix: failure.kind == .silent ? restart : "\(start), or correct ollama.url")
    }

    private var models: Finding {
        switch list {
        case .success(let list):
            let place =
                "\(list.path) lists \(list.models.count) model\(list.models.count == 1 ? "" : "s") in \(time.inSeconds.formatted(2)) s"
            guard list.models.isEmpty else { return .ok(.engineModels, place) }
            return .warn(.engineModels, place, fix: "ollama pull MODEL")
        case .failure(let failure):
            if reachable.isFailure { return .skip(.engineModels, because: .engineReachable) }
            return .fail(
                .engineModels, failure.description,
                fix: failure.kind == .hostRefused
                    ? "write 127.0.0.1 or localhost in ollama.url, or set OLLAMA_ORIGINS for the engine"
                    : "correct ollama.url: curl \(url)/v1/models has to list the models")
        }
    }

    private var completion: Finding {
        if reachable.isFailure { return .skip(.engineCompletion, because: .engineReachable) }
        if models.isFailure { return .skip(.engineCompletion, because: .engineModels) }
        switch probe {
        case .notAsked where models.status == .warn: return .skip(.engineCompletion, "no model to ask")
        case .notAsked: return .skip(.engineCompletion, "not asked without --probe")
        case .completion(let model, let time):
            return .ok(.engineCompletion, "one token of \(model) in \(time.inSeconds.formatted(1)) s")
        case .noCompletion(let words): return .fail(.engineCompletion, words, fix: log)
        case .failed(.timedOut):
            return .warn(
                .engineCompletion, "no whole completion within \(EngineProbe.limit.inSeconds.formatted(0)) s",
                fix: "try again: the engine may still be loading the model")
        case .failed(let error):
            return .fail(.engineCompletion, "\(error)", fix: log)
        }
    }
}
