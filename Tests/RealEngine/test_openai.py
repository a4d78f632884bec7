"""The official OpenAI client gets through a provider what it gets from the engine itself."""

import base64
import json

import httpx
import openai
import pytest

from conftest import wait_until

# The same every time: nothing random, nothing left over from the prompt before.
SAME = {"seed": 1, "temperature": 0, "extra_body": {"cache_prompt": False}}
MESSAGES = [{"role": "user", "content": "Say something, please: äöü €"}]

# What two answers to one question may differ in.
VOLATILE = {"id", "created", "timings"}


def plain(answer):
    """An answer without what differs from one to the next."""
    return {key: value for key, value in answer.model_dump().items() if key not in VOLATILE}


@pytest.mark.parametrize("arguments", [
    {"max_tokens": 40}, {"max_tokens": 7, "stop": ["x"]}, {"max_tokens": 5, "n": 2}, {"max_tokens": 3, "logprobs": True},
])
def test_chat(client, direct, arguments):
    ask = dict(model="tiny", messages=MESSAGES, **arguments, **SAME)
    assert plain(client.chat.completions.create(**ask)) == plain(direct.chat.completions.create(**ask))


def test_completions(client, direct):
    ask = dict(model="tiny", prompt="Once upon a time", max_tokens=40, **SAME)
    assert plain(client.completions.create(**ask)) == plain(direct.completions.create(**ask))


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_chat_stream(client, direct, options):
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=60, stream=True, **options, **SAME)
    through, straight = ([plain(chunk) for chunk in one.chat.completions.create(**ask)] for one in (client, direct))
    assert len(through) > 40
    assert through == straight
    assert bool(through[-1].get("usage")) == bool(options)


def test_completions_stream(client, direct):
    ask = dict(model="tiny", prompt="Once", max_tokens=60, stream=True, **SAME)
    through, straight = ([plain(chunk) for chunk in one.completions.create(**ask)] for one in (client, direct))
    assert through == straight


def test_bytes_of_a_stream(provider, engine):
    """Beneath the client: the events are the same bytes, ids and times aside."""
    body = {"model": "tiny", "messages": MESSAGES, "max_tokens": 30, "stream": True, "seed": 1, "temperature": 0,
            "cache_prompt": False}

    def events(base):
        answer = httpx.post(base + "/v1/chat/completions", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event if event == "data: [DONE]" else json.loads(event[6:]) for event in answer.text.split("\n\n") if event]

    through, straight = events(provider), events(engine[0])
    for event in through[:-1] + straight[:-1]:
        for key in VOLATILE:
            event.pop(key, None)
    assert through == straight
    assert through[-1] == "data: [DONE]"


def test_tools(client, direct):
    tools = [{"type": "function", "function": {
        "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=20, tools=tools, **SAME)

    def outcome(one):
        try:
            return plain(one.chat.completions.create(**ask))
        except openai.APIStatusError as error:
            return error.status_code, error.body

    assert outcome(client) == outcome(direct)


def test_a_body_the_size_of_a_picture(client, direct):
    """This engine takes no pictures and says so; a body of megabytes has to reach it for that."""
    picture = "data:image/png;base64," + base64.b64encode(bytes(6_000_000)).decode()
    messages = [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": picture}}]}]

    def outcome(one):
        with pytest.raises(openai.APIStatusError) as raised:
            one.chat.completions.create(model="tiny", messages=messages, max_tokens=1)
        return type(raised.value), raised.value.status_code, raised.value.body

    assert outcome(client) == outcome(direct)


def test_errors_are_typed(client, direct, provider):
    for one in (client, direct):
        with pytest.raises(openai.BadRequestError):
            one.chat.completions.create(model="tiny", messages="no list")
    with pytest.raises(openai.NotFoundError) as not_found:
        client.embeddings.create(model="tiny", input="a")
    assert not_found.value.code == "not_found"
    stranger = openai.OpenAI(
        base_url=provider + "/v1", api_key="unused", max_retries=0, default_headers={"X-Inferoute-HMAC": "bad"})
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model="tiny", messages=MESSAGES)
    assert refused.value.code == "invalid_hmac"


def test_closing_a_stream_stops_the_engine(client, engine):
    _, log = engine
    before = log.read_text(errors="replace").count("cancel task")
    stream = client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=4000, stream=True, **SAME)
    next(iter(stream))
    stream.close()
    wait_until("the engine cancels", lambda: log.read_text(errors="replace").count("cancel task") > before)


@pytest.mark.asyncio
async def test_async(provider, direct):
    ask = dict(model="tiny", messages=MESSAGES, max_tokens=30, **SAME)
    async with openai.AsyncOpenAI(base_url=provider + "/v1", api_key="unused", max_retries=0) as client:
        assert plain(await client.chat.completions.create(**ask)) == plain(direct.chat.completions.create(**ask))
        chunks = [plain(chunk) async for chunk in await client.chat.completions.create(stream=True, **ask)]
    assert chunks == [plain(chunk) for chunk in direct.chat.completions.create(stream=True, **ask)]


def test_nothing_secret_is_logged(client, worker_log):
    client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "prompt-of-the-user"}], max_tokens=1)
    log = worker_log.read_text()
    assert "path=/v1/chat/completions" in log
    for secret in ("prompt-of-the-user", "secret-of-the-client", "key-of-the-provider", "good"):
        assert secret not in log
