"""What stands for the engine and the central system: each request names what comes of it."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

TOKEN = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


class Peer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def read(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *arguments):
        pass


class Central(Peer):
    """Knows one HMAC, and takes every report."""

    def do_POST(self):
        match self.read():
            case {"hmac": "good"}: self.respond(200, b'{"valid":true}')
            case {"hmac": _}: self.respond(401, b'{"valid":false,"error":"unknown"}')
            case _: self.respond(200, b"{}")


class Engine(Peer):
    """The model's name says how its response goes."""

    # Streams of the model "held" end once this is set.
    release = Event()

    def do_GET(self):
        self.respond(200, b'{"object":"list","data":[{"id":"plain","object":"model","owned_by":"a"}]}')

    def do_POST(self):
        match self.read()["model"]:
            case "plain": self.respond(200, b'{"choices":[]}')
            case "missing": self.respond(404, b'{"error":{"message":"no such model"}}')
            case "stream": self.stream(TOKEN, TOKEN)
            case "cut": self.stream(TOKEN, is_cut=True)
            case "gone": self.close_connection = True
            # The client leaves: the provider then closes the connection.
            case "left":
                self.stream(TOKEN, is_cut=True, waits_for=lambda: self.connection.recv(1))
            case "silent":
                self.connection.recv(1)
                self.close_connection = True
            case "held": self.stream(TOKEN, waits_for=self.release.wait)

    def stream(self, *tokens, is_cut=False, waits_for=lambda: None):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for token in tokens:
            self.chunk(token)
        waits_for()
        if is_cut:
            self.close_connection = True
            return
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def chunk(self, text):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *arguments):
        """A peer that has left is no failure."""


@contextmanager
def served(handler):
    """The address and port of a server of such handlers."""
    server = Server(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
