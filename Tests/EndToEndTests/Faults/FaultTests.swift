import TestSupport
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

    /// What every row relies on: one connection that is not closed, and one child that does not end, are found.
    @Test func whatIsLeftOverIsFound() async throws {
        let program = try FakeNvidiaSMI(FakeNvidiaSMI.printing(FakeNvidiaSMI.document("0 %")))
        let rig = try await FaultRig { central, engine in
            try await Deployment(
                settings: ["PATH": program.environment["PATH"]], central: central, engine: engine)
        }
        let base = try await rig.rest()
        try await rig.expectNothing(beyond: base)
        let connection = try SocketConnection(path: rig.deployment.socket)
        await #expect(throws: NeverHappened.self) {
            try await rig.expectNothing(beyond: base, within: .seconds(1))
        }
        connection.close()
        // The thread that took it stays, as it should: the next base line has one more.
        let next = try await rig.rest()
        try program.behave("echo $$ >$here/hanging\nexec sleep 600\n")
        try await eventually("it hangs") { program.process("hanging") != nil }
        await #expect(throws: NeverHappened.self) {
            try await rig.expectNothing(beyond: next, within: .seconds(1))
        }
        // Takes the child with it.
        rig.deployment.worker.terminate()
        #expect(try await rig.deployment.worker.waitForExit() == .status(0))
    }

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
