import FoundationEssentials

/// Everything that `/metrics` and `/status.json` tell, at one moment.
struct MachineStatus {
    var time: Date
    var totals: ScoreboardTotals
    var admission: AdmissionNow
    /// Since the newest sample was taken; nil without one.
    var sampleAge: Duration?
    var engine: EngineState
    var report: ReportRecord?
    var publicURL: String?
    var isShared: Bool
    /// The points of a GPU's last 15 minutes, by its index.
    var history: (Int) -> [GPUHistory.Point]

    /// What the engine said when it was last asked.
    struct EngineState {
        /// nil while it has not been asked yet.
        var isUp: Bool?
        var detail: String?
        var models: [String] = []
        var checked: Date?
    }

    /// The most important fact, in the order of docs/STATUS.md.
    var headline: (state: String, text: String) {
        if engine.isUp == false {
            return ("engine_down", "The engine is down" + (engine.detail.map { ": \($0)" } ?? ""))
        }
        if let refusal = admission.refusal, let reason = admission.reason {
            let state =
                switch refusal {
                case .gpuUnknown: "gpu_unknown"
                case .gpuBusy: "gpu_busy"
                // Admission has no other refusal.
                default: "limit_reached"
                }
            return (state, "Refusing: \(reason)")
        }
        if let report, report.exitStatus != 0 { return ("report_failed", "The last report failed: \(report.outcome)") }
        return ("accepting", "Accepting requests")
    }
}
