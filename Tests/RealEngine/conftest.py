"""The machine that the tests share: it is started once for each way of forwarding."""

import openai
import pytest

import machine
import peers


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    with machine.real_engine(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture(scope="session")
def central():
    with peers.served(peers.Central) as url:
        yield url


@pytest.fixture(scope="session", params=["worker", "nginx"])
def forward(request):
    """Who sends completions to the engine, as `ollama.forward` says."""
    return request.param


@pytest.fixture(scope="session")
def provider(engine, central, forward, tmp_path_factory):
    with machine.provider(tmp_path_factory.mktemp(forward), engine.url, central, forward) as provider:
        yield provider


@pytest.fixture
def direct(engine):
    """The official client, straight to the engine."""
    return openai.OpenAI(base_url=engine.url + "/v1", api_key="unused", max_retries=0)


@pytest.fixture(params=[openai.OpenAI, openai.AsyncOpenAI], ids=["sync", "async"])
def official(request):
    """Makes either official client, the way of an orchestrator."""
    return lambda provider, hmac="good": request.param(
        base_url=provider.url + "/v1", api_key="secret-of-the-client", max_retries=0,
        default_headers={"X-Inferoute-HMAC": hmac})


@pytest.fixture
def client(official, provider):
    return official(provider)
