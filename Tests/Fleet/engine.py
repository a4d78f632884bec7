"""Usage: engine.py NAME LOG

An engine for scripts/test-fleet on 127.0.0.1:11434. Writes "begun ID" to LOG when it is given a request, and "answered
ID" before the first byte of the answer, ID being the request's user. Streams max_tokens tokens, each with NAME and ID,
after a second of silence when the prompt is "slow".
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

name, path = sys.argv[1:]
log = open(path, "a", buffering=1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = request["user"]
        log.write(f"begun {user}\n")
        if request["messages"][0]["content"] == "slow":
            time.sleep(1)
        log.write(f"answered {user}\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for index in range(request["max_tokens"]):
            content = f"{name} {user} {index}"
            self.event(json.dumps({"choices": [{"index": 0, "delta": {"content": content}}]}))
            time.sleep(0.05)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, data):
        data = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients that left


Server(("127.0.0.1", 11434), Handler).serve_forever()
