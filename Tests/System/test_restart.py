"""A rolling restart under load."""

import pytest
from Support.machine import wait_for

from provider import RESTART, lost_nothing


@pytest.fixture(scope="module")
def old(serving, provider):
    return provider.pids()


@pytest.fixture(scope="module")
def load(old, provider, debian):
    """The load during the restart, which has begun."""
    load = provider.load("--short", "5000", "--long", "100", endless=True)
    load.wait_for(300)
    debian.do("systemctl", "start", "--no-block", RESTART)
    return load


def test_a_new_request_is_served_while_a_worker_drains(load, provider, debian):
    def drains():
        return debian.is_state("provider-fcgi@1", "deactivating")

    wait_for(drains)
    assert provider.streams(1)
    assert drains(), "the drain was over before the response"


def test_the_rolling_restart_ends_under_load(load, debian):
    wait_for(lambda: debian.is_state(RESTART, "inactive"), 90)


def test_the_rolling_restart_loses_no_request(load):
    assert lost_nothing(load.end(), short=5000, long=100)


def test_both_workers_are_new(load, provider, old):
    assert provider.are_new(old)
