// swift-tools-version: 6.2
import PackageDescription

// The manifest is policy: every target of ours is held to the same rules, and a
// warning is an error, so that none is ever left for the next reader.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

// A warning of the linker is an error as well. LLVM's linker, which Swift brings along, links a release: gold warns of mktemp,
// which an object file of FoundationEssentials names and no code of ours reaches.
let strictLinker: [LinkerSetting] = [
    .unsafeFlags(["-use-ld=lld", "-Xlinker", "--fatal-warnings"], .when(configuration: .release))
]

// Targets that call C: each use of an unsafe construct has to be marked `unsafe`.
let strictMemory = strict + [.strictMemorySafety()]

let package = Package(
    name: "provider-client",
    products: [
        .executable(name: "provider-fcgi", targets: ["provider-fcgi"]),
        .executable(name: "provider-reporter", targets: ["provider-reporter"]),
        // For the tests: the library that they put in the place of NVIDIA's.
        .library(name: "FakeNVML", type: .dynamic, targets: ["FakeNVML"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        // Sandbox and tests only; never linked into a shipped binary.
        .package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1"),
    ],
    targets: [
        .systemLibrary(name: "CFastCGI", providers: [.apt(["libfcgi-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
        // Declarations alone: the library is loaded at run time, where it is there.
        .systemLibrary(name: "CNVML"),
        // Part of glibc, but not of Swift's module of it.
        .systemLibrary(name: "CGlibc"),
        .target(
            name: "ProviderHandlers",
            dependencies: [
                "CCurl", "CYAML", "CExpat", "CGlibc", "CNVML",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strictMemory
        ),
        .executableTarget(
            name: "provider-fcgi",
            dependencies: [
                "CFastCGI", "CGlibc", "ProviderHandlers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strictMemory,
            linkerSettings: strictLinker
        ),
        .executableTarget(
            name: "provider-reporter",
            dependencies: [
                "ProviderHandlers",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict,
            linkerSettings: strictLinker
        ),
        .executableTarget(
            name: "provider-sandbox",
            dependencies: [
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "FlyingFox", package: "FlyingFox"),
                .product(name: "FlyingSocks", package: "FlyingFox"),
            ],
            swiftSettings: strict,
            linkerSettings: strictLinker
        ),
        .target(name: "FakeNVML", path: "Tests/FakeNVML"),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        // `make soak`.
        .executableTarget(
            name: "provider-soak",
            dependencies: [
                "TestSupport",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Soak", swiftSettings: strict),
        // Another worker's process, for the scoreboard's tests.
        .executableTarget(
            name: "scoreboard-peer", dependencies: ["ProviderHandlers"], path: "Tests/ScoreboardPeer",
            swiftSettings: strict),
        .testTarget(
            name: "ProviderHandlersTests",
            dependencies: [
                "ProviderHandlers", "TestSupport",
                // Started as the child that reads NVML.
                "provider-fcgi",
                "scoreboard-peer",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: ["TestSupport", "provider-fcgi", "provider-reporter", "provider-sandbox"],
            swiftSettings: strict
        ),
    ]
)

// libFuzzer brings its own main, so this target links only with `--sanitize fuzzer`: scripts/fuzz asks for it.
if Context.environment["PROVIDER_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "provider-fuzz",
            dependencies: ["ProviderHandlers", .product(name: "Logging", package: "swift-log")],
            path: "Fuzz", exclude: ["seeds"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}

// ThreadSanitizer sees what Swift's Mutex does only with this, in each program: scripts/test-sanitized asks for it.
if Context.environment["PROVIDER_TSAN"] != nil {
    for target in package.targets where ["ProviderHandlers", "TestSupport", "provider-sandbox"].contains(target.name) {
        target.dependencies.append("SeenMutex")
    }
    package.targets.append(.target(name: "SeenMutex", path: "Tests/SeenMutex"))
}
