import Dispatch
import Glibc
import ProviderHandlers

/// SIGTERM and SIGINT, for a process that has to end what it has started before it ends.
///
/// Not by sources of Dispatch's: of the signals sent while the process started nvidia-smi, about two in a hundred never
/// reached one. Whichever thread a signal is given to, the handler runs.
enum StopSignals {
    /// A pipe that the handler writes to: it may do little else (signal-safety(7)). No child inherits it.
    private static let (reading, writing): (CInt, CInt) = {
        var ends: [CInt] = [-1, -1]
        pipe(&ends)
        return (ends[0], ends[1])
    }()

    /// From now on either signal ends the process, with status 0, and what the reporter has started with it.
    ///
    /// Also where nobody has set a default for the signals: the first process of a container ignores them otherwise.
    static func end(_ reporter: Reporter) {
        // Made first: the handler must not be the one to do that.
        let reading = reading
        // A queue, and so a thread, of its own: it blocks.
        DispatchQueue(label: "stop").async {
            var byte: UInt8 = 0
            while read(reading, &byte, 1) < 0 && errno == EINTR {}
            reporter.stop()
            _exit(0)
        }
        for number in [SIGTERM, SIGINT] {
            signal(number) { _ in
                let code = errno
                var byte: UInt8 = 0
                write(StopSignals.writing, &byte, 1)
                errno = code
            }
        }
    }
}
