"""One browser and one nginx for all tests; a fresh worker and a fresh page for each."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

import documents
import machine as machines


def pytest_addoption(parser):
    parser.addoption("--screenshots", type=Path, help="a folder for the pictures that the documents show")


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
