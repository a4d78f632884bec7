"""A worker that is killed, and a worker that is stuck."""

from types import SimpleNamespace

import pytest
from Support.machine import wait_for

from provider import lost_nothing


def await_restart(provider, worker, restarts):
    """Waits until systemd has started a worker again."""
    wait_for(lambda: provider.restarts(worker) > restarts and provider.both_active(),
             says=f"worker {worker} is started again")


@pytest.fixture(scope="module")
def kill(serving, provider, debian):
    """Worker 1 is killed when both have requests in flight: which and how many, and what was there before."""
    one, two = provider.pids()
    restarts = provider.restarts(1)
    load = provider.load("--long", "40", "--long-parallel", "40", "--long-tokens", "200")
    load.wait_for(40)
    wait_for(lambda: provider.in_flight(one) + provider.in_flight(two) == 40, says="40 requests are in flight")
    lost, kept = provider.in_flight(one), provider.in_flight(two)
    assert lost and kept, "one worker got every request: nothing to see"
    debian.do("kill", "-KILL", one)
    return SimpleNamespace(load=load, lost=lost, kept=kept, other=two, restarts=restarts)


def test_a_new_request_is_served_after_kill_9_of_a_worker(kill, provider):
    assert provider.streams(1)


def test_systemd_starts_a_killed_worker_again(kill, provider):
    await_restart(provider, 1, kill.restarts)


def test_only_the_requests_of_the_killed_worker_are_lost(kill):
    """Nothing is tried again, and the other worker serves its own."""
    counts = kill.load.end()
    assert (counts["failed"], counts["long"]) == (kill.lost, kill.kept)


def test_the_other_worker_is_left_alone(kill, provider):
    assert provider.pid(2) == kill.other


@pytest.fixture(scope="module")
def stuck(serving, provider, debian):
    """Worker 2 is stopped, under load: what the load is, and how often the worker was started again before."""
    with debian.drop_in("provider-fcgi@.service", "[Service]\nWatchdogSec=3\n"):
        # A worker gets the time when it starts.
        provider.rolling_restart()
        restarts = provider.restarts(2)
        debian.do("kill", "-STOP", provider.pid(2))
        load = provider.load("--short", "200", "--short-parallel", "4")
        yield SimpleNamespace(load=load, restarts=restarts)
    provider.rolling_restart()


def test_the_watchdog_kills_a_worker_that_is_stuck(stuck, debian):
    debian.await_log("provider-fcgi@2", "Watchdog timeout")


def test_systemd_starts_a_worker_that_was_stuck_again(stuck, provider):
    await_restart(provider, 2, stuck.restarts)


def test_the_other_worker_serves_while_a_worker_is_stuck(stuck):
    assert lost_nothing(stuck.load.end(), short=200, long=0)
