"""What a page that is open costs the worker."""

import json
import re
import shutil
import subprocess
import time
import urllib.request

from Metrics.provider import NVIDIA_SMI
from Support.machine import ROOT

GPUS = 8
POLLS = 200
# How much longer a poll of full histories may take than a poll of empty histories: 3 to 4 times was seen, and 12 times while
# JSONEncoder wrote each point. A ratio within one run holds on a slow or busy machine too.
FACTOR = 7


def processor_time(process):
    """Seconds of all threads, also of ended ones, to the nanosecond: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime(~process.pid << 3 | 2)


def poll_time(machine):
    worker = machine.workers["provider-fcgi@1"]
    before = processor_time(worker)
    for _ in range(POLLS):
        machine.status()
    return (processor_time(worker) - before) / POLLS


def with_gpus(count):
    """An nvidia-smi that lists more of the same GPU."""
    gpu = re.search(r"<gpu id.*</gpu>", NVIDIA_SMI, re.S)[0]
    return NVIDIA_SMI.replace(gpu, "\n".join(gpu.replace("GPU-1d1e", f"GPU-{index}") for index in range(count)))


def post(machine):
    body = json.dumps({"model": "plain"}).encode()
    request = urllib.request.Request(machine.url + "/v1/chat/completions", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30).read()


def test_a_poll_takes_the_worker_little_time(provider, tmp_path):
    library, offset = tmp_path / "clock.so", tmp_path / "offset"
    compiler = next(filter(shutil.which, ("clang", "cc", "gcc")))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, ROOT / "Tests/Fakes/clock.c"], check=True)
    offset.write_text("0")
    machine = provider(
        gpu=with_gpus(GPUS), LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset), PROVIDER_GPU_SAMPLE_INTERVAL="5")
    empty = poll_time(machine)
    # The longest document: a point for each 5 s of 15 minutes, and 50 completions. Steps of 4 s skip no point.
    for index in range(230):
        offset.write_text(f"{4 * (index + 1)}")
        machine.metrics()
    for _ in range(50):
        post(machine)
    status = machine.status()
    assert [len(gpu["history"]) for gpu in status["gpus"]] == [180] * GPUS and len(status["completions"]) == 50
    full = poll_time(machine)
    print(f"{empty * 1000:.2f} and {full * 1000:.2f} ms of processor time for a poll; at a poll each 2 s, {full / 2:.3%} of a core")
    assert full < FACTOR * empty
