"""The official OpenAI client gets through a provider what it gets from the engine itself."""

import asyncio
import base64
import json
import operator
import re

import httpx
import openai
import pytest

from conftest import wait_until

# The same every time: nothing random, nothing left over from the prompt before.
SAME = {"seed": 1, "temperature": 0, "extra_body": {"cache_prompt": False}}
MESSAGES = [{"role": "user", "content": "Say something, please: äöü €"}]

# One for all calls: a client's connections belong to the loop that made them.
LOOP = asyncio.Runner()

# What two answers to one question may differ in.
VOLATILE = {"id", "created", "timings"}


def call(client, what, **ask):
    """What either kind of client makes of a request: an answer, or the chunks of a stream."""
    create = operator.attrgetter(what)(client).create
    if isinstance(client, openai.OpenAI):
        answer = create(**ask)
        return list(answer) if ask.get("stream") else answer

    async def run():
        answer = await create(**ask)
        return [chunk async for chunk in answer] if ask.get("stream") else answer

    return LOOP.run(run())


def plain(answer):
    """An answer without what differs from one to the next."""
    return {key: value for key, value in answer.model_dump().items() if key not in VOLATILE}


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
        answer = httpx.post(base + path, json=body | prompt)
        assert answer.status_code == 200
        return answer.headers["content-type"], VOLATILE_BYTES.sub(b"", answer.content)

    through, straight = fetch(provider), fetch(engine[0])
    assert through == straight
    assert through[0].startswith("text/event-stream") == is_stream
    assert through[1].endswith(b"data: [DONE]\n\n") == is_stream


TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "Tells the weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "enum": ["Berlin"]}}, "required": ["city"]}}}]


@pytest.mark.parametrize("is_stream", [False, True])
def test_tools(client, direct, is_stream):
    """Random weights call no tool, but the engine reads them all: those on offer, a call and its result."""
    called = {"id": "call-1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Berlin"}'}}
    messages = MESSAGES + [
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call-1", "content": "rain"}]
    options = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}

    def answers(one, **more):
        answer = call(one, "chat.completions", model="tiny", messages=messages, max_tokens=20, **options, **more, **SAME)
        return [plain(part) for part in answer] if is_stream else [plain(answer)]

    through = answers(client, tools=TOOLS, tool_choice="auto")
    assert through == answers(direct, tools=TOOLS, tool_choice="auto")
    without = answers(client)[-1]["usage"]["prompt_tokens"]
    assert through[-1]["usage"]["prompt_tokens"] > without + 40


def test_structured_output(client, direct):
    """Grammar makes even random weights say what was asked for."""
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": TOOLS[0]["function"]["parameters"]}}
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=100, response_format=form, **SAME)
    through = call(client, "chat.completions", **ask)
    assert json.loads(through.choices[0].message.content) == {"city": "Berlin"}
    assert plain(through) == plain(call(direct, "chat.completions", **ask))


def test_a_body_the_size_of_a_picture(client, direct):
    """This engine takes no pictures and says so; a body of megabytes has to reach it for that."""
    picture = "data:image/png;base64," + base64.b64encode(bytes(6_000_000)).decode()
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]}]

    def outcome(one):
        with pytest.raises(openai.APIStatusError) as raised:
            call(one, "chat.completions", model="tiny", messages=messages, max_tokens=1)
        return type(raised.value), raised.value.status_code, raised.value.body

    assert outcome(client) == outcome(direct)


def test_a_prompt_of_megabytes(client, direct):
    """One that the engine reads to its end before it finds it longer than its context."""
    def outcome(one):
        with pytest.raises(openai.BadRequestError) as raised:
            call(one, "completions", model="tiny", prompt="a b " * 500_000, max_tokens=1)
        return raised.value.body

    assert outcome(client) == outcome(direct)


def test_errors_are_typed(client, direct, stranger):
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
    for stream in (False, True):
        with pytest.raises(openai.AuthenticationError) as refused:
            call(stranger, "chat.completions", model="tiny", messages=MESSAGES, stream=stream)
        assert refused.value.code == "invalid_hmac"
    with pytest.raises(openai.APIStatusError) as large:
        call(client, "completions", model="tiny", prompt="a" * 33_554_432)
    assert (large.value.status_code, large.value.code) == (413, "body_too_large")


def test_closing_a_stream_stops_the_engine(client, engine):
    _, log = engine
    before = log.read_text(errors="replace").count("cancel task")
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
    wait_until("the engine cancels", lambda: log.read_text(errors="replace").count("cancel task") > before)


def test_many_at_once(provider, direct):
    """Streams side by side do not mix."""
    def ask(number):
        return dict(model="tiny", prompt=f"Once {number}", max_tokens=40, stream=True, **SAME)

    async def run():
        async with openai.AsyncOpenAI(base_url=provider + "/v1", api_key="unused", max_retries=0) as client:
            async def one(number):
                return [plain(chunk) async for chunk in await client.completions.create(**ask(number))]

            return await asyncio.gather(*(one(number) for number in range(12)))

    for number, through in enumerate(asyncio.run(run())):
        assert through == [plain(chunk) for chunk in direct.completions.create(**ask(number))]


def test_nothing_secret_is_logged(client, worker_log):
    call(
        client, "chat.completions", model="tiny", messages=[{"role": "user", "content": "prompt-of-the-user"}],
        max_tokens=1)
    log = worker_log.read_text()
    assert "path=/v1/chat/completions" in log
    for secret in ("prompt-of-the-user", "secret-of-the-client", "key-of-the-provider", "good"):
        assert secret not in log
