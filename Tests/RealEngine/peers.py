"""What stands for the central system, and for an engine with faults that no real one has on demand."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread


@contextmanager
def served(handler):
    """The base URL of a server with these handlers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Peer(BaseHTTPRequestHandler):
    def read(self):
        return self.rfile.read(int(self.headers["Content-Length"]))

    def respond(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        pass


class Central(Peer):
    """Knows one HMAC, and fails over another."""

    def do_POST(self):
        match json.loads(self.read()):
            case {"hmac": "good"}: self.respond(200, b'{"valid":true}')
            case {"hmac": "broken"}: self.respond(500, b"down")
            case _: self.respond(401, b'{"valid":false,"error":"unknown"}')


class FailingEngine(Peer):
    """Does what the model's name says."""

    protocol_version = "HTTP/1.1"
    # Set by the test once its client has what was sent.
    seen = Event()

    def do_POST(self):
        self.close_connection = True
        match json.loads(self.read())["model"]:
            case "silent": self.connection.recv(1)
            case "gone": pass
            case "half": self.begin("application/json", b'{"id":"half","object":"chat.completion","choices":[')
            case "cut":
                chunk = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "cut", "choices": [
                    {"index": 0, "delta": {"role": "assistant", "content": "Once"}, "finish_reason": None}]}
                self.begin("text/event-stream", b"data: " + json.dumps(chunk).encode() + b"\n\n")
                assert self.seen.wait(60)
            case "given-up":
                # Ollama with a dead runner: an event without content, then a proper end.
                self.begin("text/event-stream", b"".join(b"data: " + json.dumps({
                    "id": "a", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [
                        {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None}],
                }).encode() + b"\n\n" for model, content in [("m", "Once"), ("", "")]))
                self.wfile.write(b"0\r\n\r\n")

    def begin(self, kind, text):
        """A response in chunks, the last of which never comes."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text))
