"""nginx/provider-status.conf: who gets what, and with which headers."""

import http.client
import re

import pytest

import machine as machines

FILES = {"/": "text/html", "/status.css": "text/css", "/status.js": "text/javascript", "/icon.svg": "image/svg+xml"}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                               "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache"}


def ask(machine, path, host=None, method="GET", headers={}):
    connection = http.client.HTTPConnection("127.0.0.1", machine.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": host or f"127.0.0.1:{machine.port}", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", [*FILES, "/status.json", "/metrics"])
def test_everything_has_the_headers(machine, path):
    status, headers, _ = ask(machine, path)
    assert status == 200
    assert {name: headers.get_all(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}
    assert headers["Set-Cookie"] is None
    assert headers["Server"] == "nginx"
    assert headers["Content-Type"] == FILES.get(path, "application/json")


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:9180", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:9180"])
def test_names_of_this_machine(machine, host):
    assert ask(machine, "/", host)[0] == 200
    assert ask(machine, "/status.json", host)[0] == 200


@pytest.mark.parametrize("host", [
    "example.org", "localhost.example.org", "127.0.0.1.example.org", "10.0.0.1", "a127.0.0.1", "127.0.0.1x", "0.0.0.0", "[::2]"])
@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/none"])
def test_any_other_name_is_misdirected(machine, host, path):
    before = machine.worker.requests
    assert ask(machine, path, host)[0] == 421
    assert machine.worker.requests == before


def test_a_full_url_counts_for_the_host_header(machine):
    assert ask(machine, "http://example.org/status.json", "localhost")[0] == 421


@pytest.mark.parametrize("path", [
    "/index.html", "/health", "/busy", "/v1/chat/completions", "/status", "/status.json/", "/status.js.map", "/favicon.ico",
    "/../nginx.conf", "/.provider-client/worker_unavailable", "/%2e%2e/provider.conf", "//status.js/x"])
def test_nothing_else_is_there(machine, path):
    before = machine.worker.requests
    assert ask(machine, path)[0] in (400, 404)
    assert machine.worker.requests == before


@pytest.mark.parametrize("path", ["/status.json", "/metrics"])
def test_without_a_worker(machine, path):
    machine.worker.stop()
    status, headers, body = ask(machine, path)
    assert (status, headers["Content-Type"]) == (502, "application/json")
    assert b"The worker gave no response" in body
    assert headers["Content-Security-Policy"]


def test_the_public_site_does_not_set_the_parameter():
    """Whatever a client sends: the parameter is in provider-status.conf alone."""
    for file in (machines.ROOT / "nginx").glob("*.conf"):
        lines = [line for line in file.read_text().splitlines() if re.match(r"\s*fastcgi_param\s+PROVIDER_STATUS", line)]
        assert len(lines) == (2 if file.name == "provider-status.conf" else 0), file


def test_the_page_is_small_and_needs_nothing_foreign():
    files = [file for file in (machines.ROOT / "nginx/status").iterdir()]
    assert {f"/{file.name}" for file in files} == set(FILES) - {"/"} | {"/index.html"}
    assert sum(file.stat().st_size for file in files) < 40 << 10
    for file in files:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write|\beval\b|document\.cookie", text), file
