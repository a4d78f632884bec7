import Glibc
import ProviderHandlers

/// What a request gets that is accepted now, for as long as it runs.
struct Service {
    let pipeline: Pipeline
    let hmacParameter: String
    let maxThreads: Int

    init(_ pipeline: Pipeline, _ configuration: Configuration) {
        self.pipeline = pipeline
        hmacParameter = FastCGIConnection.parameterName(ofHeader: configuration.provider.hmacHeader)
        maxThreads = configuration.server.maxInFlight + WorkerThreads.reserve
    }
}

/// What the threads are at; under one lock.
struct ThreadState {
    var service: Service
    var threads: Set<pthread_t> = []
    var idle = 0
    /// Low-water mark of idle threads since the last look. Threads beyond it end late, because starting a thread costs more
    /// than a request does.
    var leastIdle = 0
    /// Number of threads waiting in accept that are to end.
    var surplus = 0
    var accepted: UInt64 = 0
    /// The same at the last look.
    var acceptedBefore: UInt64 = 0
    var isStopping = false
    /// Whether accepting waits for descriptors or memory.
    var isShort = false
    /// Number of idle threads that wait until there are descriptors again.
    var heldBack = 0

    /// Whether another thread has to be there for the next connection.
    var needsThread: Bool {
        idle == 0 && !isStopping && threads.count < min(service.maxThreads, ProcessResources.maxThreads)
    }
}
