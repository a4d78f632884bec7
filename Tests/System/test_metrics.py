"""The status server of the package: two workers tell one machine's figures, which outlive both."""

import json
import re
from pathlib import Path

import pytest
from Support.machine import wait_for

pytestmark = pytest.mark.usefixtures("serving")

STATUS = "http://127.0.0.1:9180"
DIRECTORY = "/run/provider-client"


def value(provider, metric):
    """The sum of a metric's samples; 0 without any."""
    response = provider.curl(STATUS + "/metrics")
    return sum(float(number) for number in re.findall(rf"^{metric}(?:{{.*}})? (\S+)$", response.text, re.M))


def status(provider):
    return json.loads(provider.curl(STATUS + "/status.json").text)


def completions(provider):
    return value(provider, 'provider_requests_total{endpoint="chat_completions".*}')


def test_the_directory_is_the_services_and_nginxs(debian):
    assert debian.stat(DIRECTORY) == "2755 provider-client:www-data"
    [scoreboard] = debian.ask("sh", "-c", f"ls -d {DIRECTORY}/scoreboard*").splitlines()
    assert debian.stat(scoreboard) == "600 provider-client:www-data"


def test_both_workers_share_the_scoreboard(provider):
    assert value(provider, "provider_workers") == 2
    assert {worker["name"] for worker in status(provider)["workers"]} == {"provider-fcgi@1", "provider-fcgi@2"}
    assert status(provider)["settings"]["scoreboard"] == DIRECTORY + "/scoreboard"


def test_the_page_is_served(provider):
    page = provider.curl(STATUS + "/")
    assert page.status == 200 and "<title>" in page.text
    assert provider.curl(STATUS + "/status.js").status == 200


def test_every_request_is_counted_once(provider):
    before = completions(provider)
    assert provider.all_respond(200)
    wait_for(lambda: completions(provider) == before + 8)


def test_a_restart_of_all_workers_keeps_the_counts(provider, debian):
    before, old = completions(provider), provider.pids()
    assert before > 0
    debian.do("systemctl", "restart", "provider-fcgi")
    wait_for(provider.both_ready)
    assert provider.are_new(old)
    # Each look of the line above is a completion too.
    assert completions(provider) > before


def test_a_report_leaves_its_outcome(provider, debian):
    debian.do("systemctl", "start", "provider-reporter.service")
    assert value(provider, "provider_report_last_exit_status") == 0
    assert value(provider, "provider_report_last_success_timestamp_seconds") > 1.7e9
    assert status(provider)["report"]["outcome"] == "accepted"
    assert debian.stat(DIRECTORY + "/report.json").endswith(" provider-client:www-data")


def test_the_public_site_has_none_of_it(provider):
    for path in ("/metrics", "/status.json"):
        assert provider.curl("http://127.0.0.1:8080" + path).status == 404
        assert provider.curl("--header", "PROVIDER_STATUS: on", "http://127.0.0.1:8080" + path).status == 404


def test_another_name_is_misdirected(provider):
    assert provider.curl("--header", "Host: example.org", STATUS + "/metrics").status == 421


@pytest.fixture(scope="module")
def handoff(provider, debian):
    """As docs/HANDOFF.md says."""
    examples = "/usr/share/doc/provider-client/examples"
    if not Path(debian.folder, "tree" + examples).exists():
        pytest.skip("dpkg installs no documents here")
    config = provider.config
    debian.do("install", "-m", "644", f"{examples}/provider-upstream.conf", "/etc/nginx/conf.d/")
    debian.do("install", "-m", "644", f"{examples}/provider-handoff.conf", "/etc/nginx/snippets/")
    provider.config = config + "ollama:\n  url: http://127.0.0.1:11434\n  forward: nginx\n"
    debian.do("sh", "-c", "nginx -t -q && systemctl reload nginx && systemctl reload provider-fcgi")
    yield
    provider.config = config
    debian.do("systemctl", "reload", "provider-fcgi")
    debian.do("rm", "/etc/nginx/conf.d/provider-upstream.conf", "/etc/nginx/snippets/provider-handoff.conf")
    debian.do("systemctl", "reload", "nginx")


def test_nginx_tells_of_forwarded_completions(handoff, provider, debian):
    """nginx's processes run as www-data, and the worker inside its unit's restrictions."""
    wait_for(lambda: debian.succeeds("test", "-S", DIRECTORY + "/handoff.sock"))
    assert debian.stat(DIRECTORY + "/handoff.sock") == "660 provider-client:www-data"
    wait_for(lambda: provider.streams(3))
    before = completions(provider)
    assert all(provider.streams(3) for _ in range(5))
    wait_for(lambda: completions(provider) == before + 5)
