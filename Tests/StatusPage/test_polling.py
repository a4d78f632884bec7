"""When the page asks, and what it says while nobody responds."""

import re
import time

import pytest
from playwright.sync_api import expect

import documents
from Support.machine import wait_for

NO_WORKER = "The worker is not running: systemctl start provider-fcgi.target"


def test_without_a_worker_the_page_loads_and_shows_the_command(machine, open_page):
    machine.worker.stop()
    page = open_page(is_awaited=False, permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator("#sentence")).to_have_text(NO_WORKER)
    expect(page.locator("#word")).to_have_text("Fault")
    expect(page.locator("#figures")).to_be_hidden()
    page.get_by_role("button", name="Copy the command").click()
    assert page.evaluate("navigator.clipboard.readText()") == "systemctl start provider-fcgi.target"


def test_a_worker_that_ends_and_comes_back(machine, open_page):
    page = open_page()
    machine.worker.stop()
    expect(page.locator("#sentence")).to_have_text(NO_WORKER)
    # The figures stay, and say their age once they are older than 5 s.
    expect(page.locator("#figures")).to_be_visible()
    expect(page.locator("#age")).to_be_hidden()
    expect(page.locator("#age")).to_have_text(re.compile(r"The\sfigures\sare\s[5-9]\ss\sold"), timeout=8000)
    machine.worker.start()
    expect(page.locator("#sentence")).to_have_text("Accepting requests")
    expect(page.locator("#age")).to_be_hidden()
    expect(page.locator("#fix")).to_be_hidden()


def test_figures_that_were_old_when_they_came(machine, open_page):
    machine.worker.document = documents.accepting(time=documents.ago(seconds=75))
    expect(open_page().locator("#age")).to_have_text(re.compile(r"The\sfigures\sare\s1\smin\s1\d\ss\sold"))


def test_the_readers_clock_may_be_wrong(open_page):
    page = open_page(script="{ const now = Date.now; Date.now = () => now() + 3600000 }")
    expect(page.locator("#report-attempt")).to_contain_text("(2\u00a0min")
    expect(page.locator("#age")).to_be_hidden()


def test_a_worker_that_hangs(machine, open_page):
    """One request at most, which ends after 5 s; the age of the figures is said meanwhile."""
    page = open_page()
    machine.worker.most_running = 0
    machine.worker.release.clear()
    expect(page.locator("#age")).to_have_text(re.compile(r"The\sfigures\sare\s[56]\ss\sold"), timeout=8000)
    expect(page.locator("#sentence")).to_have_text(
        "The worker is not responding: systemctl restart provider-fcgi.target", timeout=8000)
    machine.worker.release.set()
    expect(page.locator("#sentence")).to_have_text("Accepting requests", timeout=8000)


def test_a_slow_response_is_awaited_alone(machine, open_page):
    page = open_page()
    machine.worker.release.clear()
    machine.worker.most_running = 0
    wait_for(lambda: machine.worker.running == 1, says="the page asks")
    page.wait_for_timeout(3000)
    assert machine.worker.most_running == 1
    machine.worker.release.set()
    expect(page.locator("#age")).to_be_hidden()


@pytest.mark.parametrize("response, sentence", [
    ((404, b"{}"), "The worker does not serve its status: HTTP 404"),
    ((502, b"{}"), NO_WORKER), ((503, b"{}"), NO_WORKER),
    ((504, b"{}"), "The worker is not responding: systemctl restart provider-fcgi.target"),
])
def test_other_statuses(machine, open_page, show, response, sentence):
    machine.worker.document = response
    page = open_page(is_awaited=False)
    expect(page.locator("#sentence")).to_have_text(sentence)
    show(page, "accepting")
    expect(page.locator("#sentence")).to_have_text("Accepting requests")


def test_without_nginx(open_page):
    page = open_page()
    page.context.set_offline(True)
    expect(page.locator("#sentence")).to_have_text("nginx is not responding: systemctl restart nginx")
    page.context.set_offline(False)
    expect(page.locator("#sentence")).to_have_text("Accepting requests")


def test_it_asks_every_two_seconds(machine, open_page):
    page = open_page()
    start, before = time.monotonic(), machine.worker.requests
    wait_for(lambda: page.wait_for_timeout(20) or machine.worker.requests >= before + 3, says="three more requests")
    assert 4 < time.monotonic() - start < 9


def test_a_hidden_page_does_not_ask(machine, open_page):
    page = open_page(script="""
        window.seen = "visible";
        Object.defineProperty(document, "visibilityState", { get: () => window.seen });
    """)
    turn = "state => { window.seen = state; document.dispatchEvent(new Event('visibilitychange')) }"
    page.evaluate(turn, "hidden")
    # A request under way may still end.
    page.wait_for_timeout(500)
    before = machine.worker.requests
    page.wait_for_timeout(4500)
    assert machine.worker.requests == before
    page.evaluate(turn, "visible")
    wait_for(lambda: page.wait_for_timeout(20) or machine.worker.requests > before, timeout=1.5, says="it asks at once")
