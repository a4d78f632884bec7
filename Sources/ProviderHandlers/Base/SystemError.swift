import Glibc

/// The system's words for an error number (strerror(3)).
public func systemError(_ code: CInt) -> String {
    unsafe String(cString: strerror(code))
}
