@main
struct ProviderSandbox {
    static func main() {}
}
