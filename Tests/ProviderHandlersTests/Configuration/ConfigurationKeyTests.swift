import TestSupport
import Testing

@testable import ProviderHandlers

/// A key with another value than its default, as the file and the environment write it.
struct Setting: Sendable, CustomTestStringConvertible {
    let key: String
    let yaml: String
    let variable: String
    let text: String
    let change: @Sendable (inout Configuration) -> Void

    init(
        _ key: String, _ yaml: String, _ variable: String, _ text: String? = nil,
        change: @escaping @Sendable (inout Configuration) -> Void
    ) {
        self.key = key
        self.yaml = yaml
        self.variable = variable
        self.text = text ?? yaml
        self.change = change
    }

    var testDescription: String { key }

    /// `section: {key: value}`.
    var document: String {
        let parts = key.split(separator: ".")
        return "\(parts[0]):\n  \(parts[1]): \(yaml)\n"
    }

    var changed: Configuration {
        var configuration = Configuration()
        change(&configuration)
        return configuration
    }
}

let settings: [Setting] = [
    Setting("server.socket", "/tmp/a b.sock", "PROVIDER_SERVER_SOCKET") { $0.server.socket = "/tmp/a b.sock" },
    Setting("server.socket_group", "www-data", "PROVIDER_SERVER_SOCKET_GROUP") { $0.server.socketGroup = "www-data" },
    Setting("server.host", "::1", "PROVIDER_SERVER_HOST") { $0.server.host = "::1" },
    Setting("server.port", "65535", "PROVIDER_SERVER_PORT") { $0.server.port = 65_535 },
    Setting("server.allow_remote", "true", "PROVIDER_SERVER_ALLOW_REMOTE") { $0.server.allowRemote = true },
    Setting("server.max_in_flight", "1", "PROVIDER_SERVER_MAX_IN_FLIGHT") { $0.server.maxInFlight = 1 },
    Setting("server.max_body_bytes", "1", "PROVIDER_SERVER_MAX_BODY_BYTES") { $0.server.maxBodyBytes = 1 },
    Setting("server.drain_timeout", "86400", "PROVIDER_SERVER_DRAIN_TIMEOUT") {
        $0.server.drainTimeout = .seconds(86_400)
    },
    Setting("ollama.url", "HTTPS://[::1]:8443/engine//", "PROVIDER_OLLAMA_URL") {
        $0.ollama.url = "https://[::1]:8443/engine"
    },
    Setting("ollama.forward", "nginx", "PROVIDER_OLLAMA_FORWARD") { $0.ollama.forward = .nginx },
    Setting("ollama.connect_timeout", "0.25", "PROVIDER_OLLAMA_CONNECT_TIMEOUT") {
        $0.ollama.connectTimeout = .milliseconds(250)
    },
    Setting("ollama.first_byte_timeout", ".5", "PROVIDER_OLLAMA_FIRST_BYTE_TIMEOUT") {
        $0.ollama.firstByteTimeout = .milliseconds(500)
    },
    // Never rounded down to nothing.
    Setting("ollama.idle_timeout", "0.0001", "PROVIDER_OLLAMA_IDLE_TIMEOUT") {
        $0.ollama.idleTimeout = .milliseconds(1)
    },
    // Without quotes a number to YAML, and still a text to us.
    Setting("provider.api_key", "0123450", "PROVIDER_API_KEY") { $0.provider.apiKey = Secret("0123450") },
    Setting("provider.url", "http://central.example:8080/", "PROVIDER_URL") {
        $0.provider.url = "http://central.example:8080"
    },
    Setting("provider.type", "yes", "PROVIDER_TYPE") { $0.provider.type = "yes" },
    Setting("provider.hmac", "required", "PROVIDER_HMAC") { $0.provider.hmac = .required },
    Setting("provider.hmac_header", "X-Request-Id", "PROVIDER_HMAC_HEADER") {
        $0.provider.hmacHeader = "X-Request-Id"
    },
    Setting("provider.report_timeout", "90", "PROVIDER_REPORT_TIMEOUT") { $0.provider.reportTimeout = .seconds(90) },
    Setting("ngrok.url", "https://a-b.ngrok-free.app", "PROVIDER_NGROK_URL") {
        $0.ngrok.url = "https://a-b.ngrok-free.app"
    },
    Setting("ngrok.api", "http://10.0.0.1:4040", "PROVIDER_NGROK_API") { $0.ngrok.api = "http://10.0.0.1:4040" },
    Setting("ngrok.tunnel", "my provider", "PROVIDER_NGROK_TUNNEL") { $0.ngrok.tunnel = "my provider" },
    Setting("ngrok.port", "8443", "PROVIDER_NGROK_PORT") { $0.ngrok.port = 8443 },
    Setting("cloudflare.url", "https://a-b.trycloudflare.com/", "PROVIDER_CLOUDFLARE_URL") {
        $0.cloudflare.url = "https://a-b.trycloudflare.com"
    },
    Setting("cloudflare.metrics", "http://127.0.0.1:20241", "PROVIDER_CLOUDFLARE_METRICS") {
        $0.cloudflare.metrics = "http://127.0.0.1:20241"
    },
    Setting("server.scoreboard", "/dev/shm/board", "PROVIDER_SERVER_SCOREBOARD") {
        $0.server.scoreboard = "/dev/shm/board"
    },
    Setting("gpu.source", "nvidia-smi", "PROVIDER_GPU_SOURCE") { $0.gpu.source = .nvidiaSMI },
    Setting("gpu.nvidia_smi", "/usr/bin/nvidia-smi", "PROVIDER_GPU_NVIDIA_SMI") {
        $0.gpu.nvidiaSMI = "/usr/bin/nvidia-smi"
    },
    Setting("gpu.nvidia_smi_timeout", "2.5", "PROVIDER_GPU_NVIDIA_SMI_TIMEOUT") {
        $0.gpu.nvidiaSMITimeout = .milliseconds(2500)
    },
    Setting("gpu.busy_threshold", "0", "PROVIDER_GPU_BUSY_THRESHOLD") { $0.gpu.busyThreshold = 0 },
    Setting("gpu.busy_policy", "all", "PROVIDER_GPU_BUSY_POLICY") { $0.gpu.busyPolicy = .all },
    Setting("gpu.devices", "[0, 12, GPU-8f3ac6bd, 'MIG-1']", "PROVIDER_GPU_DEVICES", "0, 12,GPU-8f3ac6bd ,MIG-1") {
        $0.gpu.devices = ["0", "12", "GPU-8f3ac6bd", "MIG-1"]
    },
    Setting("gpu.sample_interval", "2", "PROVIDER_GPU_SAMPLE_INTERVAL") { $0.gpu.sampleInterval = .seconds(2) },
    Setting("gpu.max_sample_age", "7.125", "PROVIDER_GPU_MAX_SAMPLE_AGE") {
        $0.gpu.maxSampleAge = .milliseconds(7125)
    },
    Setting("gpu.admit_per_sample", "4096", "PROVIDER_GPU_ADMIT_PER_SAMPLE") { $0.gpu.admitPerSample = 4096 },
    Setting("log.level", "debug", "PROVIDER_LOG_LEVEL") { $0.log.level = .debug },
    Setting("log.format", "json", "PROVIDER_LOG_FORMAT") { $0.log.format = .json },
]

@Suite("Configuration: keys")
struct ConfigurationKeyTests {
    /// For `provider.api_key_file` see `APIKeyTests`.
    @Test func everyKeyIsTested() {
        let tested = settings.map(\.key) + ["provider.api_key_file"]
        #expect(tested.sorted() == ConfigurationSchema.keys.map(\.path).sorted())
        #expect(settings.allSatisfy { $0.changed != Configuration() })
    }

    @Test(arguments: settings)
    func fromTheFile(_ setting: Setting) throws {
        let loaded = try ConfigurationFixture().load(setting.document)
        #expect(loaded.configuration == setting.changed)
        #expect(loaded.warnings.isEmpty)
    }

    @Test(arguments: settings)
    func fromTheEnvironment(_ setting: Setting) throws {
        let loaded = try ConfigurationFixture().load(environment: [setting.variable: setting.text])
        #expect(loaded.configuration == setting.changed)
        #expect(loaded.warnings.isEmpty)
    }

    @Test func theEnvironmentOverridesTheFile() throws {
        let loaded = try ConfigurationFixture().load(
            "server: {port: 1, host: a}\n", environment: ["PROVIDER_SERVER_PORT": "2"])
        #expect(loaded.configuration.server.port == 2)
        #expect(loaded.configuration.server.host == "a")
    }

    @Test func allKeysTogether() throws {
        let document = ConfigurationSchema.sections.map { section in
            let lines = settings.filter { $0.key.hasPrefix(section + ".") }
                .map { "  \($0.key.dropFirst(section.count + 1)): \($0.yaml)\n" }
            return "\(section):\n" + lines.joined()
        }.joined()
        var expected = Configuration()
        for setting in settings { setting.change(&expected) }
        #expect(try ConfigurationFixture().load(document).configuration == expected)
    }

    @Test(arguments: [
        "", "# nothing\n", "---\n", "---\n...\n", "~\n", "null", "{}", "gpu:\n", "gpu: {}\n", "gpu: ~\nlog:\n",
        "server:\n  port:\n  socket: ~\n  socket_group: null\nprovider:\n  api_key:\ngpu:\n  devices:\n",
        "\u{FEFF}log:\n  level: info\n", "%YAML 1.2\n---\nlog: {level: info}\n", "log:\r\n  level: info\r\n",
    ])
    func blankMeansDefault(_ document: String) throws {
        #expect(try ConfigurationFixture().load(document).configuration == Configuration())
    }

    @Test func emptyTextIsNotBlank() throws {
        let loaded = try ConfigurationFixture().load("server: {socket: ''}\nprovider: {type: 'null'}\n")
        #expect(loaded.configuration.server.socket.isEmpty)
        #expect(loaded.configuration.provider.type == "null")
    }

    @Test func variablesAreNamedOnce() {
        let variables = ConfigurationSchema.keys.map(\.variable)
        #expect(Set(variables).count == variables.count)
        #expect(!variables.contains("PROVIDER_CONFIG"))
    }
}
