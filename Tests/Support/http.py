"""Requests by curl, from wherever the client has to be."""

import json
import subprocess
from dataclasses import dataclass


@dataclass
class Response:
    # 0 if no response came.
    status: int
    text: str
    # curl's exit status: 0 says that the response has ended properly.
    exit: int

    def has_streamed(self, tokens):
        """Whether this is a stream of at least `tokens` tokens, with a proper end."""
        lines = self.text.splitlines()
        return self.exit == 0 and self.text.count('"delta"') >= tokens and "data: [DONE]" in lines


def curl(*options, inside=()):
    """Runs curl. `inside` is the beginning of a command that runs the rest elsewhere, as in a network namespace."""
    result = subprocess.run(
        [*inside, "curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60",
         "--write-out", "\n%{http_code}", *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    text, _, status = result.stdout.rpartition("\n")
    return Response(int(status or 0), text, result.returncode)


def completion(url, tokens, *options, inside=(), model="m", prompt="hello"):
    """A streamed completion from the provider at `url`."""
    body = {"model": model, "stream": True, "max_tokens": tokens, "messages": [{"role": "user", "content": prompt}]}
    return curl(
        "--no-buffer", "--header", "Content-Type: application/json", "--data-binary", json.dumps(body), *options,
        url + "/v1/chat/completions", inside=inside)
