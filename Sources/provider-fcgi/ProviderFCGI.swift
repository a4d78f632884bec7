@main
struct ProviderFCGI {
    static func main() {}
}
