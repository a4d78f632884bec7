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
# Seconds: 0.2 % of a core at one poll every 2 s.
TARGET = 0.004
# A debug build takes almost three times as long as a release build, which takes half of the target: a factor of two is left for
# a busy machine.
DEBUG_FACTOR = 3


def processor_time(process):
    """Seconds of all threads, also of ended ones, to the nanosecond: the clock that clock_getcpuclockid(3) names."""
    return time.clock_gettime(~process.pid << 3 | 2)


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
    # The longest document: a point for each 5 s of 15 minutes, and 50 completions. Steps of 4 s skip no point.
    for index in range(230):
        offset.write_text(f"{4 * (index + 1)}")
        machine.metrics()
    for _ in range(50):
        post(machine)
    status = machine.status()
    assert [len(gpu["history"]) for gpu in status["gpus"]] == [180] * GPUS and len(status["completions"]) == 50
    worker = machine.workers["provider-fcgi@1"]
    before = processor_time(worker)
    for _ in range(POLLS):
        machine.status()
    each = (processor_time(worker) - before) / POLLS
    print(f"{each * 1000:.2f} ms of processor time for a poll, {each / 2:.3%} of a core")
    assert each < TARGET * DEBUG_FACTOR
