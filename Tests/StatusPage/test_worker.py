"""Each state of the page, made for real: the built worker, its GPU, engine, central system and reporter."""

import http.client
import json

import pytest
from playwright.sync_api import expect

from Metrics.peers import Central, Engine, served
from Metrics.provider import BINARIES, NVIDIA_SMI, Provider
from Support.machine import Processes, free_port, require_built

# A look of the worker at the GPU, and of the page at the worker.
LIMIT = 30_000


@pytest.fixture(scope="module")
def processes():
    require_built("test-page", BINARIES / "provider-fcgi", BINARIES / "provider-reporter")
    with Processes() as processes:
        yield processes


@pytest.fixture(scope="module")
def peers():
    with served(Engine) as engine, served(Central) as central:
        yield engine, central
        Engine.release.set()


@pytest.fixture
def provider(processes, peers, tmp_path_factory):
    """Makes a machine with one worker."""
    made = []

    def provider(engine=peers[0], central=peers[1], **environment):
        folder = tmp_path_factory.mktemp("w")
        for part in (folder, *folder.parents[:2]):
            part.chmod(0o755)
        machine = Provider(folder, processes, engine, central)
        machine.environment |= environment
        machine.start("provider-fcgi@1")
        made.append(machine)
        return machine

    yield provider
    for machine in made:
        machine.close()


@pytest.fixture
def headline(browser):
    """Opens the page of a machine; returns its sentence."""
    contexts = []

    def headline(machine):
        context = browser.new_context(locale="en-GB")
        contexts.append(context)
        page = context.new_page()
        page.goto(machine.status_url + "/")
        return page.locator("#sentence")

    yield headline
    for context in contexts:
        context.close()


def set_gpu(machine, script):
    # The worker may be reading it: a new file takes its place.
    draft = machine.folder / "tools/next"
    draft.write_text(script)
    draft.chmod(0o755)
    draft.rename(machine.folder / "tools/nvidia-smi")


def test_the_gpu_decides(provider, headline):
    machine = provider()
    sentence = headline(machine)
    expect(sentence).to_contain_text("Accepting requests", timeout=LIMIT)
    set_gpu(machine, NVIDIA_SMI.replace(">7 %<", ">63 %<"))
    expect(sentence).to_contain_text("Refusing: GPU 0 at 63 %, the limit is 20 %", timeout=LIMIT)
    set_gpu(machine, "#!/bin/sh\necho 'Unable to determine the device handle'\nexit 9\n")
    expect(sentence).to_contain_text("Refusing: the driver does not answer (nvidia-smi", timeout=LIMIT)
    set_gpu(machine, NVIDIA_SMI)
    expect(sentence).to_contain_text("Accepting requests", timeout=LIMIT)


def test_the_worker_stops_and_starts_again(provider, headline):
    machine = provider()
    sentence = headline(machine)
    expect(sentence).to_contain_text("Accepting requests", timeout=LIMIT)
    worker = machine.workers.pop("provider-fcgi@1")
    worker.terminate()
    assert worker.wait(60) == 0
    # The socket stays open in this test, as the service manager would keep it: without a worker nobody accepts.
    machine.socket.rename(machine.socket.with_suffix(".away"))
    expect(sentence).to_contain_text("The worker is not running: systemctl start provider-fcgi.target", timeout=LIMIT)
    machine.socket.with_suffix(".away").rename(machine.socket)
    machine.start("provider-fcgi@1")
    expect(sentence).to_contain_text("Accepting requests", timeout=LIMIT)


def test_the_limit_is_reached(provider, headline):
    machine = provider(PROVIDER_SERVER_MAX_IN_FLIGHT="1")
    connection = http.client.HTTPConnection("127.0.0.1", machine.port)
    Engine.release.clear()
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "held", "stream": True}))
    response = connection.getresponse()
    expect(headline(machine)).to_contain_text("Refusing: 1 of 1 requests in flight", timeout=LIMIT)
    Engine.release.set()
    assert b"[DONE]" in response.read()


def test_the_engine_is_down(provider, headline):
    machine = provider(engine=f"127.0.0.1:{free_port()}")
    expect(headline(machine)).to_contain_text("The engine is down", timeout=LIMIT)


class Refusing(Central):
    def do_POST(self):
        self.read()
        self.respond(401, b'{"error":"unknown key"}')


def test_the_report_is_refused(provider, headline):
    with served(Refusing) as central:
        machine = provider(central=central)
        assert machine.report().returncode == 77
    expect(headline(machine)).to_contain_text("The last report failed: central refused the key", timeout=LIMIT)
