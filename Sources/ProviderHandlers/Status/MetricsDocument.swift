extension MachineStatus {
    /// The metrics in Prometheus' text format. docs/METRICS.md describes each.
    var metrics: String {
        var text = PrometheusText()
        addRequests(&text)
        addAdmission(&text)
        addGPUs(&text)
        addEngineAndReport(&text)
        text.family("provider_build_info", .gauge, "Always 1; the label has the version.")
        text.sample("provider_build_info", 1, ["version": providerClientVersion])
        return text.text
    }

    private func addRequests(_ text: inout PrometheusText) {
        var requests: [(Endpoint, Int, String, UInt64)] = []
        var bytes: [Endpoint: UInt64] = [:]
        var cuts: [String: UInt64] = [:]
        for (counter, value) in totals.counters {
            switch counter {
            case .requests(let endpoint, let status, let code): requests.append((endpoint, status, code, value))
            case .responseBytes(let endpoint): bytes[endpoint, default: 0] += value
            case .streamsCut(let code): cuts[code, default: 0] += value
            case .clientDisconnects: break
            }
        }
        text.family("provider_requests_total", .counter, "Requests that have ended.")
        for (endpoint, status, code, value) in requests.sorted(by: {
            ($0.0.rawValue, $0.1, $0.2) < ($1.0.rawValue, $1.1, $1.2)
        }) {
            text.count(
                "provider_requests_total", value, ["endpoint": endpoint.label, "status": "\(status)", "code": code])
        }
        text.family("provider_response_bytes_total", .counter, "Bytes of response bodies.")
        for endpoint in Endpoint.allCases {
            text.count("provider_response_bytes_total", bytes[endpoint] ?? 0, ["endpoint": endpoint.label])
        }
        text.family(
            "provider_client_disconnects_total", .counter,
            "Requests whose client left before the response was complete.")
        text.count("provider_client_disconnects_total", totals.counters[.clientDisconnects] ?? 0)
        text.family("provider_streams_cut_total", .counter, "Responses that ended early while the client was there.")
        for (code, value) in cuts.sorted(by: { $0.key < $1.key }) {
            text.count("provider_streams_cut_total", value, ["code": code])
        }
        addTimings(&text)
    }

    private func addTimings(_ text: inout PrometheusText) {
        func add(_ name: String, _ help: String, _ series: [(PrometheusText.Labels, Timing)]) {
            text.family(name, .histogram, help)
            for (labels, timing) in series {
                text.histogram(name, labels, timing, totals.timings[timing] ?? Histogram(timing))
            }
        }
        let chat: PrometheusText.Labels = ["endpoint": "chat_completions"]
        let other: PrometheusText.Labels = ["endpoint": "completions"]
        add(
            "provider_request_duration_seconds", "Admitted completions, from accept to the end of the response.",
            [(chat, .chatCompletion), (other, .completion)])
        add(
            "provider_time_to_first_byte_seconds",
            "Admitted completions, from accept to the first byte of the response.",
            [(chat, .firstByteOfChatCompletion), (other, .firstByteOfCompletion)])
        add("provider_admission_seconds", "From accept until the engine is asked.", [([:], .admission)])
        add(
            "provider_hmac_validation_seconds", "Requests to the central system for an HMAC's validation.",
            [
                (["result": "valid"], .validHMAC), (["result": "invalid"], .invalidHMAC),
                (["result": "unavailable"], .unavailableHMAC),
            ])
    }

    private func addAdmission(_ text: inout PrometheusText) {
        func gauge(_ name: String, _ help: String, _ value: Double?) {
            text.family(name, .gauge, help)
            text.sample(name, value)
        }
        gauge("provider_requests_in_flight", "Completions that run on this machine.", Double(admission.inFlight))
        gauge(
            "provider_requests_in_flight_limit", "server.max_in_flight.",
            Double(admission.configuration.server.maxInFlight))
        gauge("provider_workers", "Workers that run.", Double(totals.workers.count))
        gauge("provider_busy", "1 while the next completion would be refused.", admission.refusal == nil ? 0 : 1)
        text.family("provider_gpu_state", .gauge, "1 for the present state of the GPUs.")
        for state in GPUCondition.allCases {
            text.sample("provider_gpu_state", state == admission.condition ? 1 : 0, ["state": state.label])
        }
        text.family("provider_gpu_state_seconds_total", .counter, "Time in each state of the GPUs.")
        for state in GPUCondition.allCases {
            text.sample(
                "provider_gpu_state_seconds_total", Double(totals.gpuTimes[state] ?? 0) / 1e9, ["state": state.label])
        }
    }

    private func addGPUs(_ text: inout PrometheusText) {
        let gpus = admission.gpus
        func gauge(_ name: String, _ help: String, _ value: (GPU) -> Double?) {
            text.family(name, .gauge, help)
            for gpu in gpus {
                let labels: PrometheusText.Labels = [
                    "gpu": "\(gpu.index)", "uuid": gpu.uuid ?? "", "name": gpu.productName ?? "",
                ]
                text.sample(name, value(gpu), labels)
            }
        }
        gauge("provider_gpu_utilization_ratio", "Utilization from 0 to 1.") { $0.utilization.map { Double($0) / 100 } }
        gauge("provider_gpu_memory_used_bytes", "Memory in use.") { $0.memoryUsed.map { Double($0) * 1_048_576 } }
        gauge("provider_gpu_memory_total_bytes", "All memory.") { $0.memoryTotal.map { Double($0) * 1_048_576 } }
        gauge("provider_gpu_temperature_celsius", "Temperature.") { $0.temperature.map(Double.init) }
        gauge("provider_gpu_power_watts", "Power draw.") { $0.power.map(Double.init) }
        text.family("provider_gpu_sample_age_seconds", .gauge, "Age of the newest GPU sample.")
        text.sample("provider_gpu_sample_age_seconds", sampleAge?.inSeconds)
    }

    private func addEngineAndReport(_ text: inout PrometheusText) {
        func gauge(_ name: String, _ help: String, _ value: Double?) {
            text.family(name, .gauge, help)
            text.sample(name, value)
        }
        gauge("provider_engine_up", "1 while the engine lists its models.", engine.isUp.map { $0 ? 1 : 0 })
        gauge(
            "provider_engine_models", "Models of the engine.", engine.isUp == true ? Double(engine.models.count) : nil)
        gauge("provider_report_last_attempt_timestamp_seconds", "When a report was last tried.", report?.lastAttempt)
        gauge(
            "provider_report_last_success_timestamp_seconds", "When a report was last delivered.", report?.lastSuccess)
        gauge(
            "provider_report_last_exit_status", "Exit status of the last report, 0 for delivered.",
            report.map { Double($0.exitStatus) })
    }
}

extension GPUCondition {
    /// The label in the metrics and in status.json.
    var label: String { "\(self)" }
}
