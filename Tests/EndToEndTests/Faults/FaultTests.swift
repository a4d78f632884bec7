import Testing

/// Every fault of docs/RELIABILITY.md, made for real: the built worker behind real nginx.
@Suite struct FaultTests {
    @Test(arguments: Fault.engine)
    func engine(_ fault: Fault) async throws { try await fault.verify() }

    @Test(arguments: Fault.central)
    func central(_ fault: Fault) async throws { try await fault.verify() }

    @Test(arguments: Fault.gpu)
    func gpu(_ fault: Fault) async throws { try await fault.verify() }

    @Test(arguments: Fault.machine)
    func machine(_ fault: Fault) async throws { try await fault.verify() }

    @Test(arguments: Fault.processes)
    func processes(_ fault: Fault) async throws { try await fault.verify() }

    /// Neither a row without its test, nor a fault without its row.
    @Test(.enabled(if: !FaultDocument.isWriting), arguments: Fault.Part.allCases)
    func theDocumentHasThemAll(part: Fault.Part) throws {
        #expect(
            try FaultDocument.rows(of: part).map(FaultDocument.name)
                == Fault.all.filter { $0.part == part }.map(\.name))
    }
}

extension Fault {
    static let all = engine + central + gpu + machine + processes
}
