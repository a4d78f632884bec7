"""`systemctl stop`, `start` and `restart` by the name that people type."""

import pytest
from Support.machine import wait_for

from provider import MISTAKE

pytestmark = pytest.mark.usefixtures("serving")


def are_all(debian, state):
    """Whether both workers and the socket are in a state of systemd's."""
    return all(debian.is_state(unit, state) for unit in ("provider-fcgi@1", "provider-fcgi@2", "provider-fcgi.socket"))


def test_stop_ends_workers_and_socket(debian):
    debian.do("systemctl", "stop", "provider-fcgi")
    wait_for(lambda: are_all(debian, "inactive"))


def test_nginx_says_that_no_worker_is_there(provider):
    wait_for(lambda: provider.responds(503))


def test_start_starts_workers_and_socket(debian):
    debian.do("systemctl", "start", "provider-fcgi")
    assert are_all(debian, "active")


def test_restart_leaves_no_old_worker(provider, debian):
    old = provider.pids()
    debian.do("systemctl", "restart", "provider-fcgi")
    assert provider.are_new(old)


def test_the_log_by_name_names_the_workers(debian):
    debian.await_log("provider-fcgi", "Running: provider-fcgi@1.service provider-fcgi@2.service")


def test_the_documented_pattern_finds_the_lines_of_the_workers(debian):
    debian.await_log("provider-fcgi@*", "ready: ")


def test_a_restart_with_a_broken_file_fails_and_a_mended_file_brings_back_all(provider, debian):
    good = provider.config
    provider.config = "server: [\n"
    assert not debian.succeeds("systemctl", "restart", "provider-fcgi")
    debian.await_log("provider-fcgi", MISTAKE)
    provider.config = good
    debian.do("systemctl", "restart", "provider-fcgi")
    # Through the socket.
    wait_for(lambda: provider.responds(200))
