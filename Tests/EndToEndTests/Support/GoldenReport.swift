/// The report on the machine of `FakeEngine.oneModel` and the fake nvidia-smi: the body of `GET /health` and of a delivered
/// report.
enum GoldenReport {
    static let json = """
        {"data":[{"created":5,"id":"m","object":"model","owned_by":"library"}],"gpu":{"cuda_version":"12.4",\
        "driver_version":"550.54.14","gpu_count":1,"gpus":[{"index":0,"memory_free":24108,"memory_total":24564,\
        "memory_used":4,"mig_devices":[],"power":26,"product_name":"NVIDIA Test 4000","temperature":40,\
        "utilization":7,"uuid":"GPU-00000000-1111-2222-3333-444444444444"}],\
        "is_busy":false,"memory_free":24108,"memory_total":24564,\
        "memory_used":4,"product_name":"NVIDIA Test 4000","utilization":7,\
        "uuid":"GPU-00000000-1111-2222-3333-444444444444"},\
        "ngrok":{"url":"https://example.ngrok-free.app"},"object":"list","provider_type":"ollama"}
        """
}
