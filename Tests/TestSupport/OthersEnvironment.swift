/// Variables in the environment of our programs, and the variables that a child needs.
public enum OthersEnvironment {
    /// Handed on, besides PATH.
    public static let needed = [
        "LD_LIBRARY_PATH": "/nowhere", "HOME": "/a b=c", "LANG": "C.UTF-8", "LANGUAGE": "en", "LC_ALL": "C",
        "TZ": "UTC",
        "NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "utility", "CUDA_VISIBLE_DEVICES": "0",
    ]

    /// Kept from children: secrets, paths to secrets, and an unknown variable.
    public static let secret = [
        "PROVIDER_NONE", "NGROK_AUTHTOKEN", "OPENAI_API_KEY", "NVIDIA_API_KEY", "CREDENTIALS_DIRECTORY",
        "NOTIFY_SOCKET",
        "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "no_proxy", "LD_PRELOAD_PATH",
        "ld_library_path",
        "SOMETHING",
    ].reduce(into: [:]) { $0[$1] = "/other-secret" }

    /// Reads what /proc/PID/environ has.
    public static func parse(_ text: String?) -> [String: String] {
        (text ?? "").split(separator: "\0").reduce(into: [:]) { variables, entry in
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
    }
}
