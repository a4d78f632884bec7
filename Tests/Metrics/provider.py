"""A provider's machine: workers on one inherited socket and one scoreboard, behind real nginx, watched by a real Prometheus."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

from Support.machine import ROOT, free_port, wait_for

BINARIES = Path(os.environ.get("PROVIDER_BINARIES", ROOT / ".build/debug"))
# One idle GPU with all figures that nvidia-smi gives. Only what the shell has itself: the folder is all of PATH.
NVIDIA_SMI = """#!/bin/sh
echo '<?xml version="1.0" ?>
<nvidia_smi_log>
<driver_version>550.54.14</driver_version><cuda_version>12.4</cuda_version><attached_gpus>1</attached_gpus>
<gpu id="00000000:01:00.0"><product_name>NVIDIA "Idle" 1000</product_name><uuid>GPU-1d1e</uuid>
<fb_memory_usage><total>1000 MiB</total><used>250 MiB</used><free>750 MiB</free></fb_memory_usage>
<utilization><gpu_util>7 %</gpu_util></utilization><temperature><gpu_temp>41 C</gpu_temp></temperature>
<gpu_power_readings><power_draw>61.00 W</power_draw></gpu_power_readings></gpu>
</nvidia_smi_log>'
"""


def get(url, timeout=30):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as response:
        return response.read().decode()


class Provider:
    def __init__(self, folder, processes, engine, central, forward="worker"):
        self.folder, self._processes = folder, processes
        self.socket = folder / "fcgi.sock"
        self.workers = {}
        self._started = 0
        self._tools = tools = folder / "tools"
        tools.mkdir()
        self.set_gpu(NVIDIA_SMI)
        self.environment = {
            "PATH": str(tools), "PROVIDER_GPU_SOURCE": "nvidia-smi", "PROVIDER_GPU_SAMPLE_INTERVAL": "0.5",
            "PROVIDER_OLLAMA_URL": f"http://{engine}", "PROVIDER_URL": f"http://{central}", "PROVIDER_API_KEY": "the-key",
            "PROVIDER_OLLAMA_FORWARD": forward, "PROVIDER_SERVER_SCOREBOARD": str(folder / "scoreboard"),
            "PROVIDER_LOG_LEVEL": "warning", "PROVIDER_CONFIG": str(folder / "config.yaml")}
        (folder / "config.yaml").write_text("# All by environment.\n")
        # As systemd does: one socket for all workers.
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.socket))
        self._listener.listen(4096)
        self.socket.chmod(0o666)
        port, self.status_port = free_port(), free_port()
        self.port = port
        self.url, self.status_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{self.status_port}"
        self.prefix = folder / "nginx"
        subprocess.run(
            [ROOT / "scripts/nginx-prefix", self.prefix, str(port), self.socket, engine if forward == "nginx" else "",
             str(self.status_port)], check=True)
        # All clients have one address.
        (self.prefix / "snippets/provider-limits.conf").write_text("")
        self._nginx = processes.start("nginx", "-e", "stderr", "-p", self.prefix, "-c", self.prefix / "nginx.conf",
                                      log=folder / "nginx.log")
        wait_for(lambda: (self.prefix / "nginx.pid").exists(), says="nginx runs", process=self._nginx)

    def close(self):
        self._listener.close()

    def set_gpu(self, script):
        """Puts another nvidia-smi in place."""
        # The worker may be running it: a new file takes its place.
        draft = self._tools / "next"
        draft.write_text(script)
        draft.chmod(0o755)
        draft.rename(self._tools / "nvidia-smi")

    # --- Workers --------------------------------------------------------------------------------

    def start(self, name):
        """Starts a worker, which accepts when this returns."""
        self._started += 1
        log = self.folder / f"worker-{self._started}.log"
        options = ["--nginx-upstream", self.prefix / "conf.d/provider-upstream.conf"]
        forwards = self.environment["PROVIDER_OLLAMA_FORWARD"] == "nginx"
        worker = self.workers[name] = self._processes.start(
            BINARIES / "provider-fcgi", *(options if forwards else []), log=log, stdin=self._listener,
            env=dict(self.environment, WORKER_NAME=name))
        wait_for(lambda: name in self.running(), 60, lambda: f"{name} runs\n" + log.read_text(), worker)

    def running(self):
        """The names of the workers, as any worker tells them."""
        try:
            return {worker["name"] for worker in self.status()["workers"]}
        except OSError:
            return set()

    def restart(self, name):
        """Lets the worker finish what it has begun, and starts a successor."""
        worker = self.workers.pop(name)
        worker.terminate()
        assert worker.wait(60) == 0, "the worker cut requests"
        self.start(name)

    def kill(self, name):
        worker = self.workers.pop(name)
        worker.send_signal(signal.SIGKILL)
        worker.wait(60)

    def report(self):
        """Runs the reporter once; it leaves the outcome beside the scoreboard."""
        return subprocess.run(
            [BINARIES / "provider-reporter"], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60)

    # --- What it tells --------------------------------------------------------------------------

    def metrics(self):
        return get(self.status_url + "/metrics")

    def status(self):
        return json.loads(get(self.status_url + "/status.json"))

    def samples(self, name):
        """Every sample of a metric, as a pair of its labels and its value."""
        found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", self.metrics(), re.M)
        return [(dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)) for labels, value in found]

    def value(self, name):
        return sum(value for _, value in self.samples(name))

    def requests(self):
        """`provider_requests_total` as a count for each endpoint, status and code."""
        return Counter({
            (labels["endpoint"], int(labels["status"]), labels["code"]): int(value)
            for labels, value in self.samples("provider_requests_total")})

    def access_log(self):
        return [json.loads(line) for line in (self.prefix / "access.log").read_text().splitlines()]


class Prometheus:
    """Scrapes a provider every second, and has the shipped alert rules."""

    def __init__(self, folder, processes, provider):
        self._provider = provider
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(ROOT / "examples/prometheus/alerts.yml")],
            "scrape_configs": [{
                "job_name": "provider",
                "static_configs": [{"targets": [provider.status_url.removeprefix("http://")]}]}]}
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))
        log = folder / "prometheus.log"
        self._process = processes.start(
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            "--web.listen-address=127.0.0.1:0", log=log)
        address = wait_for(lambda: re.search(r'msg="Listening on" address=(\S+)', log.read_text()), 60,
                           lambda: "Prometheus listens\n" + log.read_text(), self._process)
        self.url = f"http://{address[1]}"
        wait_for(self._is_ready, 60, "Prometheus is ready", self._process)

    def _is_ready(self):
        try:
            return bool(get(self.url + "/-/ready"))
        except OSError:
            return False

    def query(self, text):
        """The result of an instant query; fails with Prometheus' own words."""
        try:
            response = json.loads(get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': text})}"))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{text}: {error.read().decode()}") from None
        assert response["status"] == "success" and not response.get("warnings"), response
        return response["data"]["result"]

    def value(self, text):
        result = self.query(text)
        return float(result[0]["value"][1]) if result else None

    def get(self, path):
        return json.loads(get(self.url + path))["data"]

    def await_scrape(self):
        """Waits until a scrape that has begun from now on is stored."""
        begun = self.value("vector(time())")
        wait_for(lambda: (at := self.value('timestamp(up{job="provider"})')) and at > begun, says="a scrape has come")
