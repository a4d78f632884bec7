"""What `systemctl status` says of the workers, in their own words; test_nvml has the words with a GPU."""

import re

import pytest
from Support.machine import wait_for

pytestmark = pytest.mark.usefixtures("serving")


def say(provider, pattern):
    """Whether all workers say so; a worker speaks at most every 5 s."""
    return all(re.fullmatch(pattern, provider.status_text(worker)) for worker in (1, 2))


def test_an_idle_machine_without_a_gpu(provider):
    wait_for(lambda: say(provider, "accepting, 0 of 512 in flight"))


@pytest.fixture(scope="module")
def load(provider):
    load = provider.load("--long", "6", "--long-parallel", "6", "--long-tokens", "400")
    load.wait_for(6)
    yield load
    wait_for(provider.both_ready)


def test_each_worker_tells_of_the_machines_requests(load, provider):
    wait_for(lambda: say(provider, "accepting, 6 of 512 in flight"))


def test_workers_that_drain(load, provider, debian):
    debian.do("systemctl", "stop", "--no-block", "provider-fcgi")
    try:
        wait_for(lambda: any(re.fullmatch("draining, [1-6] in flight", provider.status_text(worker)) for worker in (1, 2)))
    finally:
        counts = load.end()
        wait_for(lambda: all(debian.is_state(f"provider-fcgi@{worker}", "inactive") for worker in (1, 2)))
        debian.do("systemctl", "start", "provider-fcgi")
    assert (counts["failed"], counts["long"]) == (0, 6)
