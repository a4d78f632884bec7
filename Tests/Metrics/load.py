"""Clients with known outcomes: what they count is what the provider has to have counted."""

import http.client
import json
from collections import Counter
from threading import Condition, Thread

PATHS = {"chat_completions": "/v1/chat/completions", "completions": "/v1/completions", "health": "/health", "busy": "/busy"}


class Request:
    """One request whose outcome is known beforehand."""

    def __init__(self, endpoint, status, code="", *, method="POST", model=None, hmac="good", leaves=False):
        self.endpoint, self.outcome = endpoint, (endpoint, 499 if leaves else status, "client_gone" if leaves else code)
        self.method, self.status, self.hmac, self.leaves = method, status, hmac, leaves
        self.is_cut = model == "cut"
        self.body = json.dumps({"model": model, "stream": True}) if model else None

    def send(self, port):
        """Sends the request; an outcome that is not the known one is an error."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            headers = {"X-Inferoute-HMAC": self.hmac} if self.body else {}
            connection.request(self.method, PATHS[self.endpoint], self.body, headers)
            response = connection.getresponse()
            assert response.status == self.status, (self.outcome, response.status, response.read())
            if self.leaves:
                assert response.read1(), "the stream has begun"
                return 0
            body = response.read()
            if self.outcome[2]:
                assert json.loads(body)["error"]["code"] == self.outcome[2]
            return len(body)
        finally:
            connection.close()


# The codes and statuses of docs/API.md.
MIX = [
    Request("chat_completions", 200, model="plain"),
    Request("chat_completions", 200, model="stream"),
    Request("completions", 200, model="plain"),
    Request("busy", 200, method="GET"),
    Request("chat_completions", 404, model="missing"),
    Request("completions", 401, "invalid_hmac", model="plain", hmac="bad"),
    Request("chat_completions", 200, model="cut"),
    Request("completions", 502, "engine_unreachable", model="gone"),
    Request("chat_completions", 200, model="left", leaves=True),
    Request("health", 200, method="GET"),
    Request("chat_completions", 405, "method_not_allowed", method="GET"),
]


class Load:
    """Clients that send the mix without end, until the end of the `with`; they can be paused."""

    def __init__(self, port, clients=8, mix=MIX):
        self.outcomes, self.bytes, self.cuts, self.disconnects = Counter(), 0, 0, 0
        self.failures = []
        self._port, self._mix = port, mix
        self._changed = Condition()
        self._is_paused = self._is_over = False
        self._running = 0
        self._threads = [Thread(target=self._client, args=(number,), daemon=True) for number in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(120)

    @property
    def total(self):
        return sum(self.outcomes.values())

    def await_more(self, count):
        """Waits until `count` more requests have ended."""
        with self._changed:
            goal = self.total + count
            assert self._changed.wait_for(lambda: self.total >= goal or self.failures, 120), "the load stands still"
        assert not self.failures, self.failures[:3]

    def pause(self):
        """Sends nothing more, and waits for the end of what runs."""
        with self._changed:
            self._is_paused = True
            assert self._changed.wait_for(lambda: self._running == 0, 120)

    def resume(self):
        with self._changed:
            self._is_paused = False
            self._changed.notify_all()

    def count(self, request, size):
        with self._changed:
            self.outcomes[request.outcome] += 1
            self.bytes += size
            self.cuts += request.is_cut
            self.disconnects += request.leaves
            self._changed.notify_all()

    def _client(self, number):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._is_paused or self._is_over)
                if self._is_over:
                    return
                self._running += 1
            request = self._mix[number % len(self._mix)]
            number += 1
            try:
                self.count(request, request.send(self._port))
            except (AssertionError, OSError, ValueError, http.client.HTTPException) as error:
                with self._changed:
                    self.failures.append(repr(error))
                    self._is_over = True
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()


class HeldStream(Thread):
    """A stream that the engine holds after its first token; it ends, or breaks off with its worker."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.has_begun = self.is_broken = False
        self.size = 0
        self._port = port
        self.start()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        connection.request("POST", PATHS["chat_completions"], json.dumps({"model": "held", "stream": True}), {"X-Inferoute-HMAC": "good"})
        response = connection.getresponse()
        text = response.read1()
        self.has_begun = True
        text += response.read()
        self.size = len(text)
        # To nginx the end of its connection to a worker is a proper end.
        self.is_broken = b"data: [DONE]" not in text
        connection.close()
