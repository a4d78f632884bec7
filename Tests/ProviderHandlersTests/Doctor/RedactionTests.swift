import Testing

@testable import ProviderHandlers

@Suite struct RedactionTests {
    @Test func theConfigurationHasEveryKeyAndNoSecret() {
        var configuration = Configuration()
        configuration.provider.apiKey = Secret("abc123")
        configuration.gpu.devices = ["GPU-11112222-3333-4444-5555-666677778888"]
        let text = Redaction.configuration(configuration)
        for key in ConfigurationSchema.keys { #expect(text.contains("  \(key.name):"), "\(key.path)") }
        #expect(text.contains("api_key: <redacted>"))
        #expect(!text.contains("abc123") && !text.contains("66667777"))
    }

    @Test(arguments: [
        ("request done id=0123456789abcdef0123456789abcdef status=200", "request done id=<redacted> status=200"),
        (#"{"id":"0123456789abcdef0123456789abcdef","n":12}"#, #"{"id":"<redacted>","n":12}"#),
        (#"{"p50":0.09500000000000001,"n":12}"#, #"{"p50":0.09500000000000001,"n":12}"#),
        ("GPU-11112222-3333-4444-5555-666677778888 lost", "GPU<redacted> lost"),
        ("authtoken=2abc api_key=secret", "authtoken=<redacted> api_key=<redacted>"),
        ("p50=1.0500000000000001e-05 n=1.0500000000000001E+05", "p50=1.0500000000000001e-05 n=1.0500000000000001E+05"),
        (#"hmac="a b c" n=12"#, "hmac=<redacted> n=12"),
        (#"{"p50":1.0500000000000001e-05,"n":-1E+16}"#, #"{"p50":1.0500000000000001e-05,"n":-1E+16}"#),
        (
            #"host provider-fcgi[12]: {"message":"done","client":"10.0.0.1","id":"ab","hmac":"a \"b","api_key":12}"#,
            #"host provider-fcgi[12]: {"message":"done","client":"<redacted>","id":"<redacted>","hmac":"<redacted>","#
                + #""api_key":"<redacted>"}"#
        ),
        (
            #"{"message":"authtoken=2abc lost","id":"cut of"#,
            #"{"message":"authtoken=<redacted> lost","id":"<redacted>"#
        ),
        (
            #"said {"keys":["a",["b"]],"n":[1]} id=ab n=2"#,
            #"said {"keys":["<redacted>",["<redacted>"]],"n":[1]} id=<redacted> n=2"#
        ),
        (
            "2027-01-15T08:00:00+0000 host provider-fcgi[12]: ready",
            "2027-01-15T08:00:00+0000 host provider-fcgi[12]: ready"
        ),
    ])
    func logLines(line: String, expected: String) {
        #expect(Redaction.log(line) == expected)
    }

    @Test(arguments: [
        (
            "{ \"a\" : 0.00012345678901234567,\r\n\"uuid\":\"GPU-11112222-3333-4444-5555-666677778888\"}\n",
            "{ \"a\" : 0.00012345678901234567,\r\n\"uuid\":\"GPU<redacted>\"}\n"
        ),
        ("<html> id=ab 0123456789abcdef0123456789abcdef", "<html> id=<redacted> <redacted>"),
        ("{0123456789abcdef0123456789abcdef", "{<redacted>"),
    ])
    func documents(text: String, expected: String) {
        #expect(Redaction.json(text) == expected)
    }

    @Test func nvidiaSMIsDocument() {
        let text = Redaction.gpuDocument(
            """
            <serial>1650123456789</serial>
            <uuid>GPU-11112222-3333-4444-5555-666677778888</uuid>
            <gpu_util>7 %</gpu_util>
            <process_name>/home/someone/train.py</process_name>
            """)
        #expect(
            text == """
                <serial><redacted></serial>
                <uuid><redacted></uuid>
                <gpu_util>7 %</gpu_util>
                <process_name><redacted></process_name>

                """)
    }
}
