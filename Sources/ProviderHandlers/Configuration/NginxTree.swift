import Glibc

/// nginx's whole configuration, with included files in place.
struct NginxTree {
    /// Far above any real configuration.
    private static let limits = (files: 1000, depth: 8, bytes: 1_048_576)

    /// The files that a pattern names, as glob(3) does; an absolute pattern.
    typealias Source = (_ pattern: String) -> [(name: String, text: String)]

    private let directory: String
    private let source: Source
    private var fileCount = 0

    private init(directory: String, source: @escaping Source) {
        self.directory = directory
        self.source = source
    }

    /// The directives of `nginx.conf` in a directory of the disk; leaves out unreadable files.
    static func read(directory: String) -> [NginxDirective] {
        var tree = Self(directory: directory) { pattern in
            files(matching: pattern).compactMap { file in
                guard let text = try? BoundedFile(file, limit: limits.bytes) else { return nil }
                return (ForeignText.printable(file), String(decoding: text.bytes, as: UTF8.self))
            }
        }
        return tree.directives(in: "nginx.conf")
    }

    /// The directives of the first of these files, as `nginx -T` prints them.
    static func read(_ files: [(name: String, text: String)]) -> [NginxDirective] {
        guard let main = files.first?.name, let slash = main.lastIndex(of: "/") else { return [] }
        var tree = Self(directory: String(main[..<slash])) { pattern in
            files.filter { file in unsafe fnmatch(pattern, file.name, FNM_PATHNAME) == 0 }
        }
        return tree.directives(in: main)
    }

    private mutating func directives(in path: String, depth: Int = 0) -> [NginxDirective] {
        // Relative paths count from the directory of nginx.conf (ngx_conf_full_name).
        let path = path.hasPrefix("/") ? path : directory + "/" + path
        guard depth < Self.limits.depth else { return [] }
        var found: [NginxDirective] = []
        for file in source(path) where fileCount < Self.limits.files {
            fileCount += 1
            found += including(NginxDirective.parse(file.text, file: file.name), depth: depth)
        }
        return found
    }

    private mutating func including(_ directives: [NginxDirective], depth: Int) -> [NginxDirective] {
        var result: [NginxDirective] = []
        for var directive in directives {
            if directive.name == "include", let path = directive.words.dropFirst().first {
                result += self.directives(in: path, depth: depth + 1)
            } else {
                directive.block = including(directive.block, depth: depth)
                result.append(directive)
            }
        }
        return result
    }

    /// By glob(3), as nginx does it.
    private static func files(matching pattern: String) -> [String] {
        var result = unsafe glob_t()
        defer { unsafe globfree(&result) }
        guard unsafe glob(pattern, 0, nil, &result) == 0 else { return [] }
        return unsafe (0..<Int(result.gl_pathc)).compactMap { index in
            unsafe result.gl_pathv[index].map { unsafe String(cString: $0) }
        }
    }

    /// What `fastcgi_pass` says where it leads to the worker: its address, or an upstream with that address.
    ///
    /// - Parameter all: every directive of the configuration.
    static func targets(of server: Configuration.Server, in all: [NginxDirective]) -> Set<String> {
        let own = server.socket.isEmpty ? "\(server.host):\(server.port)" : "unix:\(server.socket)"
        let upstreams = all.filter { upstream in
            upstream.name == "upstream"
                && upstream.block.contains { $0.name == "server" && $0.words.dropFirst().first == own }
        }
        return Set([own] + upstreams.compactMap { $0.words.dropFirst().first })
    }
}
