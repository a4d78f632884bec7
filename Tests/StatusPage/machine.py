"""The machine behind the page: real nginx with the shipped files, and a worker on a Unix socket.

The scripted worker serves the document that a test gives it. A test that wants the built worker starts that on `socket`.
"""

import json
import os
import socketserver
import struct
import subprocess
import urllib.request
from contextlib import contextmanager
from threading import Event, Lock, Thread

from Support.machine import ROOT, free_port, wait_for


class ScriptedWorker:
    """Speaks FastCGI, one request a connection, as provider-fcgi does to nginx."""

    def __init__(self, path):
        self.path = path
        self.document = None
        self.release = Event()
        self.release.set()
        self.lock = Lock()
        self.requests = self.running = self.most_running = 0
        self.server = None

    def start(self):
        worker = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    worker.respond(self.rfile, self.wfile)
                except BrokenPipeError:
                    pass

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self.server = Server(str(self.path), Handler)
        # nginx's processes may run as another user.
        os.chmod(self.path, 0o666)
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.path.unlink()
            self.server = None

    def respond(self, reading, writing):
        parameters = {}
        while True:
            _, kind, _, length, padding, _ = struct.unpack(">BBHHBB", reading.read(8))
            content = reading.read(length + padding)[:length]
            if kind == 4:
                parameters |= dict(pairs(content))
            if kind == 5 and not length:
                break
        with self.lock:
            self.requests += 1
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.release.wait()
        with self.lock:
            self.running -= 1
        status, body = 404, b'{"error":{"code":"not_found"}}'
        if parameters.get(b"PROVIDER_STATUS") == b"on":
            document = self.document() if callable(self.document) else self.document
            status, body = (200, json.dumps(document).encode()) if isinstance(document, dict) else document
        head = f"Status: {status}\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\r\n".encode()
        output = head + body
        for start in range(0, len(output), 65528):
            part = output[start:start + 65528]
            writing.write(struct.pack(">BBHHBB", 1, 6, 1, len(part), 0, 0) + part)
        writing.write(struct.pack(">BBHHBB8x", 1, 3, 1, 8, 0, 0))


def pairs(content):
    position = 0

    def length():
        nonlocal position
        size = content[position]
        position += 1
        if size >> 7:
            size = int.from_bytes(bytes([size & 127]) + content[position:position + 3], "big")
            position += 3
        return size

    while position < len(content):
        name, value = length(), length()
        yield content[position:position + name], content[position + name:position + name + value]
        position += name + value


class Machine:
    def __init__(self, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.socket = folder / "fcgi.sock"
        self.worker = ScriptedWorker(self.socket)
        self.folder = folder

    def write_prefix(self):
        command = [ROOT / "scripts/nginx-prefix", self.folder, str(free_port()), self.socket, "", str(self.port)]
        subprocess.run(command, check=True)

    def is_there(self):
        try:
            return urllib.request.urlopen(self.url, timeout=1).status == 200
        except OSError:
            return False


def let_others_in(folder):
    """nginx's workers, which root starts as another user, have to reach the socket."""
    for part in (folder, *folder.parents):
        if part.stat().st_mode & 0o005 == 0o005:
            break
        part.chmod(0o755)


@contextmanager
def machine(folder):
    let_others_in(folder)
    made = Machine(folder)
    made.write_prefix()
    process = subprocess.Popen(["nginx", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"])
    try:
        wait_for(made.is_there, says="nginx serves the page")
        yield made
    finally:
        made.worker.release.set()
        made.worker.stop()
        process.terminate()
        process.wait(30)
