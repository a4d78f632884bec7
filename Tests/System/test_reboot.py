"""The machine powers off with streams in flight, and boots."""

import pytest
from Support.machine import wait_for

from provider import lost_nothing


@pytest.fixture(scope="module")
def counts(serving, provider, debian):
    """The outcome of the streams; the machine has booted again."""
    # 10 s each, which is more than nginx gives a stream when it is merely restarted.
    load = provider.load("--long", "8", "--long-parallel", "8", "--long-tokens", "200")
    load.wait_for(8)
    debian.power_off()
    counts = load.end()
    debian.boot_again()
    return counts


def test_streams_in_flight_end_properly(counts):
    assert lost_nothing(counts, short=0, long=8)


def test_the_provider_serves_again_without_a_hand(counts, provider):
    wait_for(provider.both_ready)


def test_the_provider_reports_again(counts, provider):
    wait_for(provider.report_has_arrived, 60)
