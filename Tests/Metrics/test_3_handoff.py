"""Completions that nginx forwards by itself: the totals are those of nginx's access log."""

import http.client
import json
from collections import Counter

import pytest

from load import Load, Request
from Support.machine import wait_for

MIX = [
    Request("chat_completions", 200, model="plain"),
    Request("chat_completions", 200, model="stream"),
    Request("completions", 200, model="plain"),
    Request("chat_completions", 404, model="missing"),
    Request("completions", 401, "invalid_hmac", model="plain", hmac="bad"),
    Request("completions", 502, "engine_unreachable", model="gone"),
]
ENDPOINTS = {"/v1/chat/completions": "chat_completions", "/v1/completions": "completions"}


def logged(provider):
    """Completions in nginx's access log, as a count for each endpoint and status."""
    return Counter((ENDPOINTS[line["path"]], int(line["status"])) for line in provider.access_log() if line["path"] in ENDPOINTS)


def counted(provider):
    counts = Counter()
    for (endpoint, status, _), count in provider.requests().items():
        if endpoint in ENDPOINTS.values():
            counts[endpoint, status] += count
    return counts


def await_agreement(provider):
    wait_for(lambda: counted(provider) == logged(provider), 30,
             lambda: f"more than nginx: {counted(provider) - logged(provider)}, less: {logged(provider) - counted(provider)}")


@pytest.fixture(scope="module")
def load(handoff):
    with Load(handoff.port, mix=MIX) as load:
        load.await_more(600)
    assert not load.failures, load.failures[:3]
    return load


def test_the_totals_are_those_of_nginx(handoff, load):
    await_agreement(handoff)
    # With the worker's codes for the responses of nginx itself.
    assert handoff.requests() == load.outcomes


def test_bytes_and_durations_are_counted(handoff, load):
    # As nginx counts them: with the lengths of the chunks.
    assert load.bytes < handoff.value("provider_response_bytes_total") < 1.1 * load.bytes
    assert handoff.value("provider_request_duration_seconds_count") == load.total


def test_a_client_that_leaves_before_the_response_counts_as_499(handoff, load):
    connection = http.client.HTTPConnection("127.0.0.1", handoff.port, timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "silent"}), {"X-Inferoute-HMAC": "good"})
    before = len(handoff.access_log())
    connection.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    wait_for(lambda: len(handoff.access_log()) > before, says="nginx has logged the request")
    assert handoff.access_log()[-1]["status"] == "499"
    await_agreement(handoff)
    assert handoff.requests()["chat_completions", 499, "client_gone"] == 1


def test_a_restart_of_the_receiving_worker_costs_one_message_at_most(handoff, load):
    for name in list(handoff.workers):
        handoff.restart(name)
        with Load(handoff.port, mix=MIX) as more:
            more.await_more(100)
        assert not more.failures, more.failures[:3]
    wait_for(lambda: (logged(handoff) - counted(handoff)).total() <= 2, 30,
             lambda: f"less than nginx: {logged(handoff) - counted(handoff)}")
    assert counted(handoff) - logged(handoff) == Counter()
