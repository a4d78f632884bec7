"""A provider's machine for the official clients: llama.cpp's own server, the built worker, real nginx.

Everything listens on ports the kernel chose, in a folder of its own, and ends with the tests.
"""

import os
import socket
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import openai
import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARIES = Path(os.environ.get("PROVIDER_BINARIES", ROOT / ".build/debug"))


def wait_until(what, condition, process=None, limit=60):
    """The limit only ends a test that has failed already."""
    deadline = time.monotonic() + limit
    while not (result := condition()):
        assert process is None or process.poll() is None, f"{what}: the process has ended"
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.005)
    return result


def stop(process):
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("provider")


@pytest.fixture(scope="session")
def engine(folder):
    """The base URL of llama.cpp's server, and its log."""
    model, log = folder / "tiny.gguf", folder / "engine.log"
    subprocess.run([sys.executable, HERE / "make_model.py", model], check=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, HERE / "engine.py", model], stdout=subprocess.PIPE, stderr=output, text=True)
    # Its own log lines share the stream.
    for line in process.stdout:
        if "listening http" in line:
            break
    Thread(target=process.stdout.read, daemon=True).start()
    url = line[line.index("http"):].split()[0].rstrip("I")
    wait_until("the engine is ready", lambda: httpx.get(url + "/health").status_code == 200, process)
    yield url, log
    stop(process)


class Central(BaseHTTPRequestHandler):
    """Knows one HMAC."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        valid = body == b'{"hmac":"good"}'
        answer = b'{"valid":true}' if valid else b'{"valid":false,"error":"unknown"}'
        self.send_response(200 if valid else 401)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def central():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Central)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="session")
def worker_log(folder):
    return folder / "worker.log"


@pytest.fixture(scope="session")
def provider(engine, central, folder, worker_log):
    """The base URL of nginx in front of the worker in front of the engine."""
    worker_socket = folder / "fcgi.sock"
    # No PATH, so that a GPU of this machine decides nothing.
    environment = {
        "PATH": "/nonexistent", "PROVIDER_SERVER_SOCKET": str(worker_socket), "PROVIDER_OLLAMA_URL": engine[0],
        "PROVIDER_URL": central, "PROVIDER_API_KEY": "key-of-the-provider", "PROVIDER_LOG_LEVEL": "trace",
    }
    with worker_log.open("wb") as output:
        worker = subprocess.Popen([BINARIES / "provider-fcgi"], env=environment, stderr=output)
    wait_until("the worker is ready", lambda: b"ready: listening" in worker_log.read_bytes(), worker)
    # nginx takes over a listening socket as it does from an nginx that it replaces, so that no port is ever lost.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        port = listener.getsockname()[1]
        prefix = folder / "nginx"
        subprocess.run([ROOT / "scripts/nginx-prefix", prefix, str(port), worker_socket], check=True)
        listener.set_inheritable(True)
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        nginx = subprocess.Popen(
            ["nginx", "-e", "stderr", "-p", prefix, "-c", prefix / "nginx.conf"], stderr=subprocess.DEVNULL,
            env=dict(os.environ, PATH=path, NGINX=f"{listener.fileno()};"), pass_fds=[listener.fileno()])
    url = f"http://127.0.0.1:{port}"
    wait_until("nginx is ready", lambda: httpx.get(url + "/busy").status_code == 200, nginx)
    yield url
    stop(nginx)
    stop(worker)


@pytest.fixture
def direct(engine):
    """The official client, straight to the engine."""
    return openai.OpenAI(base_url=engine[0] + "/v1", api_key="unused", max_retries=0)


@pytest.fixture(params=[openai.OpenAI, openai.AsyncOpenAI], ids=["sync", "async"])
def official(request, provider):
    """Makes either official client, the way of an orchestrator."""
    return lambda hmac: request.param(
        base_url=provider + "/v1", api_key="secret-of-the-client", max_retries=0,
        default_headers={"X-Inferoute-HMAC": hmac})


@pytest.fixture
def client(official):
    return official("good")


@pytest.fixture
def stranger(official):
    """One that central does not know."""
    return official("bad")
