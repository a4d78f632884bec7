"""Reloads, while streams are in flight that none of them may touch."""

import pytest
from Support.machine import wait_for

from provider import MISTAKE, lost_nothing

pytestmark = pytest.mark.usefixtures("serving")

OPTIONS = """[Service]
ExecStart=
ExecStart=/usr/bin/provider-fcgi --nginx-upstream /run/test/upstream
"""


@pytest.fixture(scope="module")
def streams(provider):
    load = provider.load("--long", "8", "--long-parallel", "8", "--long-tokens", "100")
    load.wait_for(8)
    return load


@pytest.fixture(scope="module")
def pids(provider, streams):
    return provider.pids()


@pytest.fixture(scope="module")
def good(provider, streams):
    """A configuration with a visible effect: no request is small enough."""
    provider.set_max_body(20)
    return provider.config


def reload_workers(debian):
    return debian.succeeds("systemctl", "reload", "provider-fcgi@*")


def reload_by_name(debian):
    return debian.succeeds("systemctl", "reload", "provider-fcgi")


def test_a_reload_takes_up_the_new_configuration(provider, debian, pids, good):
    def missing_keys():
        return debian.ask("journalctl", "--no-pager", "-o", "cat", "-t", "provider-fcgi").count("no API key")

    missing = missing_keys()
    assert reload_workers(debian)
    wait_for(lambda: provider.both_have_logged("reloaded from"))
    # systemd 252 hides the credential from the check before a reload.
    assert missing_keys() == missing
    assert provider.all_respond(413)


def test_a_reload_of_a_broken_file_fails(provider, debian, good):
    provider.config = "server: [\n"
    assert not reload_workers(debian)
    wait_for(lambda: provider.both_have_logged(MISTAKE))


def test_a_reload_of_a_broken_file_fails_by_the_name_of_the_program(provider, debian, good):
    assert not reload_by_name(debian)
    debian.await_log("provider-fcgi", MISTAKE)


def test_the_workers_keep_the_old_configuration(provider, good):
    assert provider.all_respond(413)


def test_a_reload_takes_up_the_mended_file(provider, debian, good):
    provider.config = good
    provider.set_max_body(33554432)
    assert reload_by_name(debian)
    wait_for(lambda: provider.all_respond(200))


def test_a_reload_starts_no_process(provider, pids):
    assert provider.pids() == pids


def test_streams_in_flight_end_properly(streams):
    assert lost_nothing(streams.end(), short=0, long=8)


def test_a_reload_checks_the_file_that_an_option_names(provider, debian):
    """The check before a reload has the options of the worker's unit."""
    def write_upstream(address):
        """nginx's file that names the engine."""
        debian.write("/run/test/upstream", f"upstream provider_engine {{ server {address}; }}\n")

    good = provider.config
    with debian.drop_in("provider-fcgi@.service", OPTIONS):
        provider.config += "ollama:\n  forward: nginx\n"
        write_upstream("127.0.0.1:11434")
        debian.do("systemctl", "restart", "provider-fcgi")
        assert reload_workers(debian), "a reload with options in a drop-in"
        write_upstream("127.0.0.1:1")
        assert not reload_workers(debian), "a reload when the file of an option has a mistake"
        provider.config = good
