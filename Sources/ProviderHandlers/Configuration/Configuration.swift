/// Everything an operator can set, validated, with the defaults that hold when no file says otherwise.
///
/// `config.example.yaml` documents every key; a test keeps the two equal.
public struct Configuration: Sendable, Equatable {
    public var server = Server()
    public var ollama = Ollama()
    public var provider = Provider()
    public var ngrok = Ngrok()
    public var cloudflare = Cloudflare()
    public var gpu = GPU()
    public var log = Log()

    public init() {}

    /// Where the worker listens and how much it takes on.
    public struct Server: Sendable, Equatable {
        /// Path of the Unix socket nginx connects to; empty means `host` and `port` instead.
        public var socket = "/run/provider-client/fcgi.sock"
        /// Group that owns the socket; empty leaves it to the process.
        public var socketGroup = ""
        /// Numeric address or name to listen on when `socket` is empty.
        public var host = "127.0.0.1"
        /// TCP port to listen on when `socket` is empty.
        public var port = 9000
        /// Whether other machines may reach a TCP socket.
        public var allowRemote = false
        /// Limit of completions that run at once; the next completion gets a 503.
        public var maxInFlight = 64
        /// Largest request body in bytes; a larger body gets a 413.
        public var maxBodyBytes = 33_554_432
        /// Path of the file that the workers of this machine share; the layout's version is added to it. Empty keeps admission
        /// and counts to each worker.
        public var scoreboard = "/run/provider-client/scoreboard"
        /// How long requests in flight may take to finish after SIGTERM.
        public var drainTimeout = Duration.seconds(600)
    }

    /// The local inference engine.
    public struct Ollama: Sendable, Equatable {
        /// Base URL without a trailing slash.
        public var url = "http://localhost:11434"
        public var forward = Forwarder.worker
        public var connectTimeout = Duration.seconds(5)
        /// From the sent request to the first byte of the response.
        public var firstByteTimeout = Duration.seconds(600)
        /// Between two reads of the response.
        public var idleTimeout = Duration.seconds(600)
    }

    /// Which program sends an admitted completion to the engine.
    public enum Forwarder: String, Sendable, Equatable, CaseIterable {
        case worker
        /// Handoff: the worker redirects nginx to its location `@engine`.
        case nginx
    }

    /// The central system, and how this machine authenticates there.
    public struct Provider: Sendable, Equatable {
        /// Bearer key for the central system; never printed.
        public var apiKey = Secret("")
        /// File that holds the key, in place of `apiKey`; read when the configuration is loaded.
        public var apiKeyFile = ""
        /// Base URL of the central system without a trailing slash.
        public var url = "http://localhost:80"
        /// Reported as `provider_type`.
        public var type = "ollama"
        public var hmac = HMACPolicy.optional
        /// Request header that carries the HMAC.
        public var hmacHeader = "X-Inferoute-HMAC"
        /// Limit of one run of the reporter: collecting, asking the engine again, and delivering.
        public var reportTimeout = Duration.seconds(60)
    }

    /// Whether a completion without an HMAC is admitted.
    public enum HMACPolicy: String, Sendable, Equatable, CaseIterable {
        /// Validated when present.
        case optional
        /// A completion without an HMAC gets a 401.
        case required
    }

    /// The public tunnel of ngrok.
    public struct Ngrok: Sendable, Equatable {
        /// Public URL to report; where it is empty, the agent at `api` is asked.
        public var url = ""
        /// Base URL of the ngrok agent's local API.
        public var api = "http://127.0.0.1:4040"
        /// Name of the tunnel that leads to nginx; where it is empty, `port` finds the tunnel.
        public var tunnel = ""
        /// nginx's port: of several tunnels, the tunnel that leads there is taken.
        public var port = 8080
    }

    /// The public tunnel of Cloudflare; with both keys empty the report does not mention it.
    public struct Cloudflare: Sendable, Equatable {
        /// Public URL to report; where it is empty, cloudflared at `metrics` is asked.
        public var url = ""
        /// Base URL of cloudflared's metrics server, which knows the host name of a quick tunnel; may be empty.
        public var metrics = ""

        /// Whether the operator uses Cloudflare's tunnel.
        var isUsed: Bool { !url.isEmpty || !metrics.isEmpty }
    }

    /// How GPUs are read and when they count as busy.
    public struct GPU: Sendable, Equatable {
        public var source = GPUSource.auto
        /// Program name looked up on PATH, then in WSL 2's directory; or a path.
        public var nvidiaSMI = "nvidia-smi"
        /// Limit of one run of nvidia-smi; above 5 s `maxSampleAge` has to leave room for two runs.
        public var nvidiaSMITimeout = Duration.seconds(5)
        /// Utilization in percent above which (strictly) a GPU is busy.
        public var busyThreshold = 20
        public var busyPolicy = BusyPolicy.any
        /// Positions in nvidia-smi's order or UUIDs; empty means all.
        public var devices: [String] = []
        /// Between two runs of nvidia-smi. NVML has a separate interval.
        public var sampleInterval = Duration.seconds(1)
        /// Once the newest sample is older, the GPU state is unknown.
        public var maxSampleAge = Duration.seconds(10)
        /// Limit of completions that one sample admits; 0 means no limit. See `GPULook`.
        public var admitPerSample = 0

        /// Longest pause after a slow run of nvidia-smi, unless `sampleInterval` is longer.
        static let longestPause = Duration.seconds(5)
    }

    /// Where the GPUs' load is read.
    public enum GPUSource: String, Sendable, Equatable, CaseIterable {
        /// NVML where it works, else nvidia-smi; the amdgpu driver on a machine without both.
        case auto
        case nvml
        case nvidiaSMI = "nvidia-smi"
        /// The amdgpu driver alone.
        case amdgpu
    }

    /// Whether one busy GPU makes the machine busy, or only all of them.
    public enum BusyPolicy: String, Sendable, Equatable, CaseIterable {
        case any
        case all
    }

    /// What is logged, and how.
    public struct Log: Sendable, Equatable {
        public var level = LogLevel.info
        public var format = LogFormat.text
    }
}

extension LogSettings {
    public convenience init(_ log: Configuration.Log) {
        self.init(level: log.level, format: log.format)
    }

    /// From the next line on.
    public func change(to log: Configuration.Log) {
        change(level: log.level, format: log.format)
    }
}
