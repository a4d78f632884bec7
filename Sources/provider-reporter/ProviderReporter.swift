@main
struct ProviderReporter {
    static func main() {}
}
