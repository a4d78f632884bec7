import Glibc

/// Properties that all our programs need of their process.
public enum Program {
    /// The environment at this moment.
    public static var environment: [String: String] {
        var result: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let parts = unsafe String(cString: text)
                .split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            unsafe entry += 1
        }
        return result
    }

    /// Sees to it that this process and its children leave no core files, which would hold prompts and the API key.
    ///
    /// systemd-coredump, to which the kernel hands cores whatever the limit is, honours the limit as well.
    public static func forbidCoreFiles() {
        var limit = rlimit(rlim_cur: 0, rlim_max: 0)
        // Lowering is always allowed (setrlimit(2)).
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
    }

    /// The variables that a child inherits: for finding programs and libraries, for the user's language, and for seeing the
    /// GPUs. Whatever else is there may be a secret: the API key, a proxy's password, the tunnel's token, NVIDIA_API_KEY.
    static func forOthers(_ environment: [String: String]) -> [String: String] {
        environment.filter { name, _ in
            othersNames.contains(name) || othersPrefixes.contains { name.hasPrefix($0) }
        }
    }

    private static let othersNames: Set = [
        "PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "LANGUAGE", "TZ", "NVIDIA_VISIBLE_DEVICES",
        "NVIDIA_DRIVER_CAPABILITIES",
    ]
    /// CUDA_VISIBLE_DEVICES, CUDA_MPS_PIPE_DIRECTORY, CUDA_DEVICE_MEMORY_LIMIT and their like.
    private static let othersPrefixes = ["LC_", "CUDA_"]

    /// Says on standard error why the program ends, as `program: message`.
    public static func complain(_ message: String, program: String) {
        StandardError.write("\(program): \(message)\n")
    }
}
