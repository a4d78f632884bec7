"""Usage: load.py [OPTIONS]

Sends streamed completions to nginx on 127.0.0.1:8080, and prints one line: how many short and long requests were served,
how many failed, and the longest wait for a first byte. Served means status 200, a stream that ends with [DONE], and a
response that nginx has finished. Failures follow, each on a line, up to ten.
"""

import argparse
import asyncio
import json
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--short", type=int, default=0, help="short streams, of one token, at least")
parser.add_argument("--short-parallel", type=int, default=24)
parser.add_argument("--long", type=int, default=0, help="long streams, at least")
parser.add_argument("--long-parallel", type=int, default=40)
parser.add_argument("--long-tokens", type=int, default=150)
parser.add_argument("--until", metavar="FILE", help="goes on until this file exists")
parser.add_argument("--limit", type=float, default=120, help="seconds after which nothing new is sent")
parser.add_argument("--progress", metavar="FILE", help="gets a byte for each response that has begun")
options = parser.parse_args()


class Load:
    def __init__(self):
        self.started = time.monotonic()
        self.sent = {"short": 0, "long": 0}
        self.served = {"short": 0, "long": 0}
        self.failures = []
        self.slowest = 0.0
        self.progress = open(options.progress or os.devnull, "ab", buffering=0)

    def goes_on(self, kind, least):
        if time.monotonic() - self.started > options.limit:
            return False
        return self.sent[kind] < least or bool(options.until and least and not os.path.exists(options.until))

    async def client(self, kind, least, tokens, number):
        while self.goes_on(kind, least):
            self.sent[kind] += 1
            try:
                failure = await asyncio.wait_for(self.request(tokens, number), 120)
            except (OSError, TimeoutError, asyncio.TimeoutError) as error:
                failure = repr(error)
            if failure:
                self.failures.append(f"{kind}: {failure}")
            else:
                self.served[kind] += 1

    async def request(self, tokens, client):
        """What went wrong, or None."""
        message = {"role": "user", "content": "hello"}
        body = json.dumps({"model": "m", "stream": True, "max_tokens": tokens, "messages": [message]})
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", 8080)
        try:
            head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            # Each is a separate client: together they exceed nginx's limit for a client.
            head += f"X-Forwarded-For: 198.51.100.{client}\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write((head + body).encode())
            response = await reader.read(65536)
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.progress.write(b".")
            while data := await reader.read(65536):
                response += data
        finally:
            writer.close()
        if not response.startswith(b"HTTP/1.1 200 "):
            return f"refused: {response[:60]} {response[-120:]}"
        if b"data: [DONE]\n\n" not in response or not response.endswith(b"\r\n0\r\n\r\n"):
            return f"broken off: {response[-120:]}"
        # Each token's event has this key.
        if response.count(b'"delta"') < tokens:
            return f"tokens are missing: {response.count(b'delta')} of {tokens}"
        return None


async def main():
    load = Load()
    short = (load.client("short", options.short, 1, number) for number in range(options.short_parallel))
    long = (
        load.client("long", options.long, options.long_tokens, 100 + number) for number in range(options.long_parallel))
    await asyncio.gather(*short, *long)
    print(
        f"short={load.served['short']} long={load.served['long']} failed={len(load.failures)}",
        f"slowest_first_byte_ms={load.slowest * 1000:.0f} seconds={time.monotonic() - load.started:.0f}",
    )
    for failure in load.failures[:10]:
        print(failure)


asyncio.run(main())
