"""The official OpenAI client gets through a provider what it gets from the engine itself."""

import asyncio
import base64
import re

import httpx
import openai
import pytest
from Support.machine import wait_for

from asking import LOOP, MESSAGES, SAME, call, plain

@pytest.mark.parametrize("arguments", [
    {"max_tokens": 40}, {"max_tokens": 7, "stop": ["x"]}, {"max_tokens": 5, "n": 2}, {"max_tokens": 3, "logprobs": True},
])
def test_chat(client, direct, arguments):
    ask = dict(model="tiny", messages=MESSAGES, **arguments, **SAME)
    assert plain(call(client, "chat.completions", **ask)) == plain(call(direct, "chat.completions", **ask))


def test_completions(client, direct):
    ask = dict(model="tiny", prompt="Once upon a time", max_tokens=40, **SAME)
    assert plain(call(client, "completions", **ask)) == plain(call(direct, "completions", **ask))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_chat_stream(client, direct, options):
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=60, stream=True, **options, **SAME)
    through, straight = ([plain(chunk) for chunk in call(one, "chat.completions", **ask)] for one in (client, direct))
    assert len(through) > 40
    assert through == straight
    assert bool(through[-1].get("usage")) == bool(options)


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_completions_stream(client, direct, options):
    ask = dict(model="tiny", prompt="Once", max_tokens=60, stream=True, **options, **SAME)
    through, straight = ([plain(chunk) for chunk in call(one, "completions", **ask)] for one in (client, direct))
    assert len(through) > 20
    assert through == straight


# Beneath the client: the same bytes, but for ids and times.
VOLATILE_BYTES = re.compile(rb'"id":"[^"]*"|"created":[0-9]+|"timings":\{[^}]*\}')


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("path, prompt", [
    ("/v1/chat/completions", {"messages": MESSAGES}), ("/v1/completions", {"prompt": "Once"}),
])
def test_bytes(provider, engine, path, prompt, is_stream):
    body = {"model": "tiny", "max_tokens": 30, "stream": is_stream, "seed": 1, "temperature": 0, "cache_prompt": False}

    def fetch(base):
        response = httpx.post(base + path, json=body | prompt)
        assert response.status_code == 200
        return response.headers["content-type"], VOLATILE_BYTES.sub(b"", response.content)

    through, straight = fetch(provider.url), fetch(engine.url)
    assert through == straight
    assert through[0].startswith("text/event-stream") == is_stream
    assert through[1].endswith(b"data: [DONE]\n\n") == is_stream


def test_a_body_the_size_of_a_picture(client, direct):
    """This engine refuses pictures; for that, a body of megabytes has to reach it."""
    picture = "data:image/png;base64," + base64.b64encode(bytes(6_000_000)).decode()
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]}]

    def outcome(one):
        with pytest.raises(openai.APIStatusError) as raised:
            call(one, "chat.completions", model="tiny", messages=messages, max_tokens=1)
        return type(raised.value), raised.value.status_code, raised.value.body

    assert outcome(client) == outcome(direct)


def test_a_prompt_of_megabytes(client, direct):
    """A prompt that the engine reads to its end before it finds it longer than its context."""
    def outcome(one):
        with pytest.raises(openai.BadRequestError) as raised:
            call(one, "completions", model="tiny", prompt="a b " * 500_000, max_tokens=1)
        return raised.value.body

    assert outcome(client) == outcome(direct)


def test_errors_are_typed(client, direct):
    bodies = []
    for one in (client, direct):
        with pytest.raises(openai.BadRequestError) as bad:
            call(one, "chat.completions", model="tiny", messages="no list")
        bodies.append(bad.value.body)
    assert bodies[0] == bodies[1]
    with pytest.raises(openai.NotFoundError) as not_found:
        call(client, "embeddings", model="tiny", input="a")
    assert not_found.value.code == "not_found"
    assert "/v1/chat/completions" in not_found.value.message
    with pytest.raises(openai.APIStatusError) as large:
        call(client, "completions", model="tiny", prompt="a" * 33_554_432)
    assert (large.value.status_code, large.value.code) == (413, "body_too_large")


def test_closing_a_stream_stops_the_engine(client, engine):
    def cancelled():
        return engine.log.read_text(errors="replace").count("cancel task")

    before = cancelled()
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=4000, stream=True, **SAME)

    async def leave():
        stream = await client.chat.completions.create(**ask)
        async for _ in stream:
            break
        await stream.close()

    if isinstance(client, openai.AsyncOpenAI):
        LOOP.run(leave())
    else:
        stream = client.chat.completions.create(**ask)
        next(iter(stream))
        stream.close()
    wait_for(lambda: cancelled() > before, 60, "the engine cancels")


def test_many_at_once(provider, direct):
    """Streams side by side do not mix."""
    def ask(number):
        return dict(model="tiny", prompt=f"Once {number}", max_tokens=40, stream=True, **SAME)

    async def run():
        async with openai.AsyncOpenAI(base_url=provider.url + "/v1", api_key="unused", max_retries=0) as client:
            async def one(number):
                return [plain(chunk) async for chunk in await client.completions.create(**ask(number))]

            return await asyncio.gather(*(one(number) for number in range(12)))

    for number, through in enumerate(asyncio.run(run())):
        assert through == [plain(chunk) for chunk in direct.completions.create(**ask(number))]


def test_nothing_secret_is_logged(client, provider):
    response = call(
        client, "chat.completions.with_raw_response", model="tiny",
        messages=[{"role": "user", "content": "prompt-of-the-user"}], max_tokens=1)
    for file, path in (
            (provider.worker_log, "path=/v1/chat/completions"), (provider.access_log, '"/v1/chat/completions"')):
        # The line of this very request; it may come after the response.
        line = wait_for(lambda: [
            line for line in file.read_text().splitlines() if response.headers["X-Request-Id"] in line and path in line],
            60, "the request is logged")
        assert len(line) == 1
        for secret in ("prompt-of-the-user", "secret-of-the-client", "key-of-the-provider", "good"):
            assert secret not in file.read_text()
