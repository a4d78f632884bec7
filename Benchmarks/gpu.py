"""Compares NVML with nvidia-smi on a machine with NVIDIA GPUs, and measures what asking either costs.

Usage: python3 Benchmarks/gpu.py PROVIDER-FCGI [SECONDS]

Prints tables for docs/GPU.md. To be run once while the GPUs are idle and once under load; changes nothing. Run by
`make bench-gpu`.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree

RUNS = 10
INTERVAL = 200  # ms, as the worker asks


def nvidia_smi(*options):
    """One run: what it printed, and its wall-clock and CPU time in ms."""
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


class Probe:
    """The worker's process that reads NVML, and what it has said."""

    def __init__(self, program):
        self.samples = []
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [program, "--nvml-probe", str(INTERVAL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            word = json.loads(line)
            if "sample" not in word:
                print(f"NVML: {word}", file=sys.stderr)
                return
            self.samples.append((time.monotonic(), self.cpu(), word["sample"]["_0"]))

    def cpu(self):
        """Seconds of all its threads."""
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

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
    print(f"\nNVML: first sample after {(first - probe.started) * 1000:.0f} ms; {len(probe.samples)} samples, "
          f"one in {1000 * (last - first) / max(1, len(probe.samples) - 1):.0f} ms; {share:.2f} % of a core.")


if __name__ == "__main__":
    main()
