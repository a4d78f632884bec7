"""Each state of the page, made for real: the built worker, its GPU, engine, central system and reporter."""

import http.client
import json

import pytest
from playwright.sync_api import expect

from Metrics.peers import Central, Engine, served
from Metrics.provider import NVIDIA_SMI
from Support.machine import free_port

# A look of the worker at the GPU, and of the page at the worker.
LIMIT = 30_000


@pytest.fixture
def headline(browser, axe):
    """Opens the page of a machine, on which one can expect sentences; axe-core judges each."""
    contexts = []

    def headline(machine):
        context = browser.new_context(locale="en-GB")
        contexts.append(context)
        page = context.new_page()
        page.goto(machine.status_url + "/")

        def says(text):
            expect(page.locator("#sentence")).to_contain_text(text, timeout=LIMIT)
            axe(page)

        return says

    yield headline
    for context in contexts:
        context.close()


def test_the_gpu_decides(provider, headline):
    machine = provider()
    says = headline(machine)
    says("Accepting requests")
    machine.set_gpu(NVIDIA_SMI.replace(">7 %<", ">63 %<"))
    says("Refusing: GPU 0 at 63 %, the limit is 20 %")
    machine.set_gpu("#!/bin/sh\necho 'Unable to determine the device handle'\nexit 9\n")
    says("Refusing: the driver does not answer (nvidia-smi")
    machine.set_gpu(NVIDIA_SMI)
    says("Accepting requests")


def test_the_worker_stops_and_starts_again(provider, headline):
    machine = provider()
    says = headline(machine)
    says("Accepting requests")
    worker = machine.workers.pop("provider-fcgi@1")
    worker.terminate()
    assert worker.wait(60) == 0
    # The socket stays open in this test, as the service manager would keep it: without a worker nobody accepts.
    machine.socket.rename(machine.socket.with_suffix(".away"))
    says("The worker is not running: systemctl start provider-fcgi.target")
    machine.socket.with_suffix(".away").rename(machine.socket)
    machine.start("provider-fcgi@1")
    says("Accepting requests")


def test_the_limit_is_reached(provider, headline):
    machine = provider(PROVIDER_SERVER_MAX_IN_FLIGHT="1")
    connection = http.client.HTTPConnection("127.0.0.1", machine.port)
    Engine.release.clear()
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "held", "stream": True}))
    response = connection.getresponse()
    headline(machine)("Refusing: 1 of 1 requests in flight")
    Engine.release.set()
    assert b"[DONE]" in response.read()


def test_the_engine_is_down(provider, headline):
    machine = provider(engine=f"127.0.0.1:{free_port()}")
    headline(machine)("The engine is down")


class Refusing(Central):
    def do_POST(self):
        self.read()
        self.respond(401, b'{"error":"unknown key"}')


def test_the_report_is_refused(provider, headline):
    with served(Refusing) as central:
        machine = provider(central=central)
        assert machine.report().returncode == 77
    headline(machine)("The last report failed: central refused the key")
