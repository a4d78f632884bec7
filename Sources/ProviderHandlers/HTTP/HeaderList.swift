import CCurl

/// A request's header fields as libcurl's list, freed with its owner.
@safe struct HeaderList: ~Copyable {
    private(set) var list: UnsafeMutablePointer<curl_slist>?

    init(_ request: HTTPRequest) {
        unsafe list = nil
        // A value with a control character could start a field of its own; no valid one has any.
        let fields = request.headers.filter { !$0.value.isEmpty && $0.value.utf8.allSatisfy(\.isFieldByte) }
        for field in fields { append("\(field.name): \(field.value)") }
        // "Name:" without a value keeps libcurl from adding a field of its own (CURLOPT_HTTPHEADER(3)): what the client
        // did not say is not said for it, and a body is not held back for a 100 Continue that engines do not send.
        for name in ["Accept", "Content-Type", "Expect"] where fields.first(name) == nil {
            append("\(name):")
        }
        if case .stream(length: nil) = request.body { append("Transfer-Encoding: chunked") }
    }

    deinit {
        unsafe curl_slist_free_all(list)
    }

    private mutating func append(_ line: String) {
        // A null list means out of memory; the fields gathered so far are still the list's owner.
        if let longer = unsafe curl_slist_append(list, line) { unsafe list = unsafe longer }
    }
}
