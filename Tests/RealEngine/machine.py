"""The parts of a provider's machine, each of which ends with its `with`: the built worker behind real nginx, and engines.

Everything listens on ports the kernel chose, in a folder of its own.
"""

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
from Support.machine import ROOT, running, wait_for

HERE = Path(__file__).resolve().parent
BINARIES = Path(os.environ.get("PROVIDER_BINARIES", ROOT / ".build/debug"))


@dataclass
class Engine:
    url: str
    log: Path


@contextmanager
def real_engine(folder):
    """llama.cpp's own server with a tiny model."""
    model, log = folder / "tiny.gguf", folder / "engine.log"
    subprocess.run([sys.executable, HERE / "make_model.py", model], check=True)
    with log.open("wb") as output, running(
            sys.executable, HERE / "engine.py", model, stdout=subprocess.PIPE, stderr=output, text=True) as process:
        # Its own log lines share the stream.
        for line in process.stdout:
            if "listening http" in line:
                break
        Thread(target=process.stdout.read, daemon=True).start()
        url = line[line.index("http"):].split()[0].rstrip("I")
        wait_for(lambda: httpx.get(url + "/health").status_code == 200, 60, "the engine is ready", process)
        yield Engine(url, log)


@dataclass
class Provider:
    url: str
    worker_log: Path
    access_log: Path
    worker: subprocess.Popen

    def stop_worker(self):
        self.worker.terminate()
        self.worker.wait(60)


@contextmanager
def provider(folder, engine, central, forward, settings={}, directives=()):
    """nginx in front of the worker in front of an engine.

    `settings` is environment of the worker's, `directives` are pairs of a shipped directive of nginx's and another one.
    """
    worker_socket, prefix, log = folder / "fcgi.sock", folder / "nginx", folder / "worker.log"
    environment = {
        # No GPU of this machine decides anything: nvidia-smi alone is asked, and shows an idle one.
        "PATH": str(ROOT / "Tests/Fakes/idle"), "PROVIDER_GPU_SOURCE": "nvidia-smi",
        "PROVIDER_SERVER_SOCKET": str(worker_socket), "PROVIDER_OLLAMA_URL": engine, "PROVIDER_OLLAMA_FORWARD": forward,
        "PROVIDER_URL": central, "PROVIDER_API_KEY": "key-of-the-provider", "PROVIDER_LOG_LEVEL": "trace",
    } | settings
    # nginx takes over a listening socket as it does from an nginx that it replaces, so that no port is ever lost.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener, log.open("wb") as output:
        listener.set_inheritable(True)
        port = listener.getsockname()[1]
        address = engine.removeprefix("http://")
        subprocess.run([ROOT / "scripts/nginx-prefix", prefix, str(port), worker_socket, address], check=True)
        for shipped, other in directives:
            replace(prefix, shipped, other)
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        upstream = prefix / "conf.d/provider-upstream.conf"
        with running(BINARIES / "provider-fcgi", "--nginx-upstream", upstream, env=environment, stderr=output) as worker:
            wait_for(lambda: b"ready: listening" in log.read_bytes(), 60, "the worker is ready", worker)
            with running(
                    "nginx", "-e", "stderr", "-p", prefix, "-c", prefix / "nginx.conf", stderr=subprocess.DEVNULL,
                    env=dict(os.environ, PATH=path, NGINX=f"{listener.fileno()};"),
                    pass_fds=[listener.fileno()]) as nginx:
                url = f"http://127.0.0.1:{port}"
                wait_for(lambda: httpx.get(url + "/busy").status_code == 200, 60, "nginx is ready", nginx)
                yield Provider(url, log, prefix / "access.log", worker)


def replace(prefix, shipped, other):
    found = [file for file in prefix.glob("*/*.conf") if shipped in file.read_text()]
    assert found, f"nginx/ has no such directive any more: {shipped}"
    for file in found:
        file.write_text(file.read_text().replace(shipped, other))
