"""Requests through the public machine, and the fate of each."""

import json
from concurrent.futures import ThreadPoolExecutor

QUICK, SLOW = "quick", "slow" + " word" * 2000


def send(fleet, request, prompt=QUICK, tokens=3, options=()):
    """Sends one streamed completion; `request` is its name in every log."""
    body = {"model": "m", "stream": True, "user": request, "max_tokens": tokens,
            "messages": [{"role": "user", "content": prompt}]}
    return fleet.public.curl(
        "--no-buffer", "--max-time", "120", "--header", "Content-Type: application/json", "--user-agent", request,
        "--data-binary", json.dumps(body), *options, fleet.public.url + "/v1/chat/completions")


def fate(response):
    """The outcome of a request as its client sees it."""
    lines = response.text.splitlines()
    if response.status != 200:
        return "lost"
    if response.exit == 0 and "data: [DONE]" in lines:
        return "served"
    if response.exit != 0 or any(line.startswith('data: {"error"') for line in lines):
        return "broken off"
    return "cut short, and the client cannot tell"


class Load:
    """Many requests at once, in the background, `parallel` at a time. Every other request is slow to begin."""

    def __init__(self, fleet, prefix, count, parallel, tokens=3):
        self._pool = ThreadPoolExecutor(parallel)
        self._futures = {}
        for number in range(1, count + 1):
            request = f"{prefix}-{number}"
            prompt = QUICK if number % 2 else SLOW
            self._futures[request] = self._pool.submit(send, fleet, request, prompt, tokens)

    def responses(self):
        """Waits for all of them: each request's name with its response."""
        with self._pool:
            return {request: future.result() for request, future in self._futures.items()}
