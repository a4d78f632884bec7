"""Each refusal and each failure is the exception of the official client that its user would expect."""

import contextlib
import itertools

import httpx
import openai
import pytest
from Support.machine import wait_for

import machine
import peers
from asking import MESSAGES, call

GPU = """<?xml version="1.0" ?>
<nvidia_smi_log><attached_gpus>1</attached_gpus><gpu id="00000000:01:00.0"><product_name>NVIDIA Test</product_name>
<uuid>GPU-0</uuid><utilization><gpu_util>{} %</gpu_util></utilization></gpu></nvidia_smi_log>
"""
FREE, BUSY, FAILED = GPU.format(0), GPU.format(90), "Unable to determine the device handle for GPU0: Unknown Error"


class FakeGPU:
    """An nvidia-smi that prints what it is told to."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.path = folder, f"{folder}:/usr/bin:/bin"
        self.show(FREE)
        (folder / "nvidia-smi.sh").write_text("cat $here/document\n")
        (folder / "nvidia-smi").symlink_to(machine.ROOT / "Tests/Fakes/nvidia-smi")

    def show(self, document):
        new = self.folder / "new"
        new.write_text(document)
        new.rename(self.folder / "document")


# As the tunnel's agent names its clients: none has used up what another may ask for.
ADDRESSES = itertools.count(1)


def somebody():
    return {"X-Forwarded-For": f"2001:db8::{next(ADDRESSES):x}"}


@pytest.fixture(scope="module")
def gpu(tmp_path_factory, forward):
    return FakeGPU(tmp_path_factory.mktemp("gpu") / "bin")


@pytest.fixture(scope="module")
def failing(central, forward, gpu, tmp_path_factory):
    """A provider with a failing engine, and time-outs and a rate that a test can wait for."""
    with peers.served(peers.FailingEngine) as engine, machine.provider(
            tmp_path_factory.mktemp("failing"), engine, central, forward,
            settings={
                "PATH": gpu.path, "PROVIDER_GPU_SAMPLE_INTERVAL": "0.02", "PROVIDER_OLLAMA_FIRST_BYTE_TIMEOUT": "2"},
            directives=[("proxy_read_timeout 600s;", "proxy_read_timeout 2s;"), ("rate=100r/s", "rate=1r/m")],
    ) as provider:
        yield provider


def ask(client, model="gone", **more):
    headers = somebody() | more.pop("extra_headers", {})
    return call(client, "chat.completions", model=model, messages=MESSAGES, extra_headers=headers, **more)


@contextlib.contextmanager
def raises(kind, status, code):
    with pytest.raises(kind) as raised:
        yield raised
    error = raised.value
    assert (type(error), error.status_code, error.code) == (kind, status, code)
    # Said by us, in the shape of OpenAI's own, and found again in the logs.
    assert error.message and error.type and error.request_id


@pytest.mark.parametrize("stream", [False, True])
def test_an_hmac_that_central_does_not_know(official, failing, stream):
    with raises(openai.AuthenticationError, 401, "invalid_hmac"):
        ask(official(failing, hmac="bad"), stream=stream)


@pytest.mark.parametrize("stream", [False, True])
def test_central_fails(official, failing, stream):
    with raises(openai.InternalServerError, 503, "hmac_unavailable") as raised:
        ask(official(failing, hmac="broken"), stream=stream)
    assert raised.value.response.headers["Retry-After"]


@pytest.mark.parametrize("document, code", [(BUSY, "gpu_busy"), (FAILED, "gpu_unknown")], ids=["busy", "failed"])
def test_the_gpu_is_not_free(official, failing, gpu, document, code):
    def reason():
        response = httpx.get(failing.url + "/busy", headers=somebody())
        return response.raise_for_status().json().get("reason")

    try:
        gpu.show(document)
        wait_for(lambda: reason() == code, 60, code)
        with raises(openai.InternalServerError, 503, code) as raised:
            ask(official(failing))
        assert raised.value.response.headers["Retry-After"]
    finally:
        gpu.show(FREE)
        wait_for(lambda: reason() is None, 60, "the GPU is free")


@pytest.mark.parametrize("stream", [False, True])
def test_the_engine_breaks_off_before_it_responds(official, failing, stream):
    with raises(openai.InternalServerError, 502, "engine_unreachable"):
        ask(official(failing), model="gone", stream=stream)


def test_the_engine_does_not_respond_in_time(official, failing):
    with raises(openai.InternalServerError, 504, "engine_timeout"):
        ask(official(failing), model="silent")


def test_a_response_is_cut(official, failing, forward):
    """Never half a response: the worker holds it back until it is whole, nginx cuts it off visibly."""
    if forward == "worker":
        with raises(openai.InternalServerError, 502, "engine_unreachable"):
            ask(official(failing), model="half")
    else:
        with pytest.raises(openai.APIConnectionError):
            ask(official(failing), model="half")


def test_a_stream_is_cut(official, failing, forward):
    """What came before is there, and then the loop over the stream raises, instead of ending as if that were all."""
    chunks = []

    def seen(chunk):
        chunks.append(chunk.choices[0].delta.content)
        peers.FailingEngine.seen.set()

    peers.FailingEngine.seen.clear()
    with pytest.raises(openai.APIError) as raised:
        ask(official(failing), model="cut", stream=True, seen=seen)
    assert chunks == ["Once"]
    if forward == "worker":
        assert type(raised.value) is openai.APIError
        assert raised.value.code == "engine_unreachable"
        assert "broke off" in raised.value.message
    else:
        assert type(raised.value) is openai.APIConnectionError


def test_a_stream_is_given_up(official, failing, forward):
    """HTTP ends properly, as Ollama does it when its runner has died. nginx alone cannot know that the stream is cut."""
    chunks = []

    def ask_for_it():
        ask(official(failing), model="given-up", stream=True,
            seen=lambda chunk: chunks.append(chunk.choices[0].delta.content))

    if forward == "worker":
        with pytest.raises(openai.APIError) as raised:
            ask_for_it()
        assert raised.value.code == "engine_unreachable"
    else:
        ask_for_it()
    assert chunks == ["Once", ""]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_asks_too_much(official, failing, stream):
    """The limit is each client's own."""
    flood = somebody()
    with httpx.Client() as busy:
        statuses = {busy.get(failing.url + "/busy", headers=flood).status_code for _ in range(202)}
    assert statuses == {200, 429}
    with raises(openai.RateLimitError, 429, "rate_limited") as raised:
        ask(official(failing), stream=stream, extra_headers=flood)
    assert raised.value.response.headers["Retry-After"] == "1"
    with raises(openai.InternalServerError, 502, "engine_unreachable"):
        ask(official(failing), stream=stream)


def test_the_worker_is_not_there(official, failing, forward, central, tmp_path_factory):
    with machine.provider(tmp_path_factory.mktemp("gone"), "http://127.0.0.1:9", central, forward) as provider:
        one = official(provider)
        with raises(openai.InternalServerError, 502, "engine_unreachable"):
            ask(one)
        provider.stop_worker()
        with raises(openai.InternalServerError, 503, "worker_unavailable"):
            ask(one)
