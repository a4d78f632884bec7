import TestSupport
import Testing

@testable import ProviderHandlers

@Suite("Signs of NVIDIA's driver")
struct NVIDIADriverTests {
    @Test(
        "each of its files is one",
        arguments: ["/proc/driver/nvidia/version", "/dev/nvidia0", "/dev/nvidia15", "/dev/dxg"])
    func file(_ path: String) async throws {
        let files = try FakeDriver()
        let driver = files.driver
        #expect(driver.sign() == nil)
        try files.add(path)
        #expect(driver.sign() == GPUSign(description: "\(path) is there"))
        try files.remove(path)
        #expect(driver.sign() == GPUSign(description: "\(path) was there"))
        try files.add("/dev/dxg")
        #expect(driver.sign() == GPUSign(description: "/dev/dxg is there"))
    }

    @Test("other files are none")
    func other() async throws {
        let files = try FakeDriver()
        for name in ["nvidia", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "xnvidia0", "dxg0", "null"] {
            try files.add("/dev/\(name)")
        }
        #expect(files.driver.sign() == nil)
        #expect(NVIDIADriver.nowhere.sign() == nil)
    }

    @Test("the defaults are none, also when they are written down")
    func settings() {
        var configuration = Configuration.GPU()
        configuration.source = .auto
        configuration.nvidiaSMI = "nvidia-smi"
        configuration.busyThreshold = 50
        #expect(GPUSign(configuration) == nil)
    }
}
