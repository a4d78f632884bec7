"""One browser and one nginx for all tests; a fresh worker and a fresh page for each. Machines with the built worker."""

import os
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

import documents
import machine as machines
from Metrics.peers import Central, Engine, served
from Metrics.provider import BINARIES, NVIDIA_SMI, Provider
from Support.machine import Processes, require_built


def pytest_addoption(parser):
    parser.addoption("--screenshots", type=Path, help="a folder for the pictures that the documents show")


def pytest_configure():
    require_built("test-page", BINARIES / "provider-fcgi", BINARIES / "provider-reporter")


@pytest.fixture(scope="session")
def browser():
    """Debian's, or the program that CHROMIUM names."""
    with sync_playwright() as playwright:
        # Chromium has no sandbox for root.
        arguments = ["--disable-lcd-text", *(["--no-sandbox"] if os.getuid() == 0 else [])]
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shared_machine(tmp_path_factory):
    with machines.machine(tmp_path_factory.mktemp("nginx")) as machine:
        yield machine


@pytest.fixture
def machine(shared_machine):
    """nginx and a worker that says that all is well."""
    shared_machine.worker = worker = machines.ScriptedWorker(shared_machine.socket)
    worker.document = documents.accepting
    worker.start()
    yield shared_machine
    worker.release.set()
    worker.stop()


@pytest.fixture
def open_page(browser, machine):
    """Opens the page in a browser of its own; the test fails when the browser complained of anything but a failed request."""
    contexts, complaints = [], []

    def open_page(is_awaited=True, script=None, **options):
        context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1200, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        if script:
            page.add_init_script(script)
        page.goto(machine.url)
        if is_awaited:
            page.wait_for_selector("#figures:not([hidden])")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


@pytest.fixture
def show(machine):
    """Brings the machine into a state, and waits until an open page says so."""
    def show(page, state):
        page.context.set_offline(state == "no_nginx")
        machine.worker.document = documents.FAILURES.get(state) or (lambda: documents.with_headline(state))
        # The page asks at once.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("#headline")).to_have_attribute("data-state", state)

    return show


@pytest.fixture(scope="session")
def axe():
    """Fails when axe-core finds anything on a page."""
    axe = Axe()

    def check(page):
        results = axe.run(page, options={"resultTypes": ["violations"]}).response
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in results["violations"]] == []
        assert len(results["passes"]) > 20

    return check


@pytest.fixture(scope="session")
def processes():
    with Processes() as processes:
        yield processes


@pytest.fixture(scope="session")
def peers():
    """The addresses of the engine and of the central system."""
    with served(Engine) as engine, served(Central) as central:
        yield engine, central
        Engine.release.set()


@pytest.fixture
def provider(processes, peers, tmp_path_factory):
    """Makes a machine with one built worker."""
    made = []

    def provider(engine=peers[0], central=peers[1], gpu=NVIDIA_SMI, **environment):
        folder = tmp_path_factory.mktemp("w")
        machines.let_others_in(folder)
        machine = Provider(folder, processes, engine, central)
        machine.set_gpu(gpu)
        machine.environment |= environment
        machine.start("provider-fcgi@1")
        made.append(machine)
        return machine

    yield provider
    for machine in made:
        machine.close()
