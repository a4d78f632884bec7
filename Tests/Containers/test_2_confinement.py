"""The permissions of each container, and its view of the others."""

import re
from pathlib import Path

import pytest

KEY, SOCKET = "/run/secrets/api_key", "/run/provider-client/fcgi.sock"


@pytest.mark.parametrize("service, user", [("worker", 10001), ("reporter", 10001), ("nginx", 33)])
def test_a_container_may_do_nothing_that_it_does_not_need(containers, service, user):
    status = Path(f"/proc/{containers.pid(service)}/status").read_text()
    fields = dict(re.findall(r"^(\w+):\t(.*)$", status, re.M))
    assert fields["Uid"] == "\t".join([str(user)] * 4)
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert fields[capabilities] == "0" * 16, capabilities
    assert fields["NoNewPrivs"] == "1"
    # As root, whom file modes would not stop.
    assert containers.execute(service, "touch", "/usr/bin/something", user="0").returncode != 0, "its root is writable"


@pytest.mark.parametrize("service, path", [("nginx", KEY), ("reporter", SOCKET)])
def test_a_container_does_not_see_what_is_not_its_own(containers, service, path):
    assert containers.execute(service, "true").returncode == 0
    assert containers.execute(service, "test", "-e", path).returncode == 1


def test_only_nginx_can_connect_to_the_worker(containers):
    """Anyone who can connect controls the worker: nginx's group only."""
    assert containers.execute("worker", "stat", "--format", "%a %u %g", SOCKET).stdout.strip() == "660 10001 33"


def test_the_log_has_no_key(containers):
    assert "the-key" not in containers.logs("worker")


def test_nginx_does_not_see_the_scoreboard(containers):
    result = containers.execute("worker", "sh", "-c", "stat --format '%a %u' /run/provider-scoreboard/scoreboard*")
    assert result.stdout.strip() == "600 10001"
    assert containers.execute("nginx", "test", "-e", "/run/provider-scoreboard").returncode == 1
