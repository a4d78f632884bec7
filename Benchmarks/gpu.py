"""Compares NVML with nvidia-smi on a machine with NVIDIA GPUs, and measures the cost of both.

Usage: python3 Benchmarks/gpu.py PROVIDER-FCGI [SECONDS]

Prints tables for docs/GPU.md. Run it once while the GPUs are idle and once under load. It changes nothing. Run by
`make bench-gpu`. GPU_INTERVAL is the time between two reads of NVML in milliseconds [50].
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

RUNS = 10
INTERVAL = int(os.environ.get("GPU_INTERVAL", "50"))  # ms, as the worker asks


def nvidia_smi(*options):
    """One run: its output, and its wall-clock and CPU time in ms."""
    started = time.monotonic()
    process = subprocess.Popen(["nvidia-smi", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return text, (time.monotonic() - started) * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def number(gpu, path):
    words = (gpu.findtext(path) or "N/A").split()
    return int(float(words[0])) if words and words[0][0].isdigit() else None


def from_document(text):
    """The GPUs of `nvidia-smi -x -q` by UUID, with the keys of NVML's samples."""
    return {
        gpu.findtext("uuid"): {
            "productName": gpu.findtext("product_name"),
            "utilization": number(gpu, "utilization/gpu_util"),
            "memoryTotal": number(gpu, "fb_memory_usage/total"),
            "memoryUsed": number(gpu, "fb_memory_usage/used"),
            "memoryFree": number(gpu, "fb_memory_usage/free"),
        }
        for gpu in ElementTree.fromstring(text).iter("gpu")
    }


def cost(name, *options):
    runs = sorted(nvidia_smi(*options)[1:] for _ in range(RUNS))
    text = nvidia_smi(*options)[0]
    form = "XML" if text.lstrip().startswith(b"<?xml") else "no XML"
    wall, cpu = runs[RUNS // 2][0], sorted(run[1] for run in runs)[RUNS // 2]
    print(f"| `{name}` | {wall:.0f} ms, at most {runs[-1][0]:.0f} ms | {cpu:.0f} ms | {len(text)} bytes, {form} |")


def cpu(process):
    """Seconds of all threads of a process."""
    total = 0
    for path in glob.glob(f"/proc/{process}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def shares(program, seconds):
    """CPU time of an idle worker and of its process that reads NVML, in percent of a core."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ, "PROVIDER_SERVER_SOCKET": f"{directory}/socket", "PROVIDER_API_KEY": "none",
            "PROVIDER_GPU_SOURCE": "nvml", "PROVIDER_GPU_SAMPLE_INTERVAL": str(INTERVAL / 1000)}
        file = os.path.join(directory, "config.yaml")
        with open(file, "w", encoding="ascii") as empty:
            os.chmod(file, 0o600)
            empty.write("{}\n")
        worker = subprocess.Popen(
            [program, "--config", file], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # The start is over by then.
            time.sleep(3)
            children = []
            for path in glob.glob(f"/proc/{worker.pid}/task/*/children"):
                with open(path, encoding="ascii") as file:
                    children += [int(child) for child in file.read().split()]
            before = cpu(worker.pid), sum(cpu(child) for child in set(children))
            time.sleep(seconds)
            after = cpu(worker.pid), sum(cpu(child) for child in set(children))
        finally:
            worker.terminate()
            worker.wait()
        return [100 * (last - first) / seconds for first, last in zip(before, after)]


class Probe:
    """The worker's process that reads NVML, and its output."""

    def __init__(self, program):
        self.samples = []
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [program, "--nvml-probe", str(INTERVAL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        sample = None
        for line in self.process.stdout:
            kind, *loads = line.decode().split()
            if kind == "load" and sample:
                loads = [None if load == "-" else int(load) for load in loads]
                sample = {**sample, "gpus": [
                    {**gpu, "utilization": load} for gpu, load in zip(sample["gpus"], loads)]}
            elif kind != "alive" or not sample:
                word = json.loads(line)
                if "sample" not in word:
                    print(f"NVML: {word}", file=sys.stderr)
                    return
                sample = word["sample"]["_0"]
            self.samples.append((time.monotonic(), cpu(self.process.pid), sample))

    def end(self):
        self.process.stdin.close()
        self.thread.join()
        self.process.wait()


def main():
    if not shutil.which("nvidia-smi"):
        sys.exit("there is no nvidia-smi here")
    program, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 20
    probe = Probe(program)
    time.sleep(seconds / 2)
    documents = from_document(nvidia_smi("-x", "-q")[0])
    asked = time.monotonic()
    time.sleep(seconds / 2)
    probe.end()
    if not probe.samples:
        sys.exit("NVML gave no sample")
    print("| GPU | field | NVML | nvidia-smi |\n|---|---|---|---|")
    for gpu in min(probe.samples, key=lambda sample: abs(sample[0] - asked))[2]["gpus"]:
        other = documents.get(gpu.get("uuid"), {})
        for key in ["productName", "utilization", "memoryTotal", "memoryUsed", "memoryFree"]:
            print(f"| {gpu['index']} | {key} | {gpu.get(key)} | {other.get(key)} |")
    (first, before, _), (last, after, _) = probe.samples[0], probe.samples[-1]
    print("\n| source | time of one run | CPU time of one run | output |\n|---|---|---|---|")
    cost("nvidia-smi -x -q", "-x", "-q")
    cost("nvidia-smi -x -q -d UTILIZATION,MEMORY", "-x", "-q", "-d", "UTILIZATION,MEMORY")
    share = 100 * (after - before) / (last - first) if last > first else 0
    print(f"\nNVML every {INTERVAL} ms: first sample after {(first - probe.started) * 1000:.0f} ms; "
          f"{len(probe.samples)} words, one in {1000 * (last - first) / max(1, len(probe.samples) - 1):.0f} ms; "
          f"{share:.2f} % of a core.")
    worker, child = shares(program, seconds)
    print(f"A worker that serves nobody: {worker:.2f} % of a core; its process that reads NVML: {child:.2f} %.")


if __name__ == "__main__":
    main()
