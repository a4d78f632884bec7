"""A real Prometheus watches two workers that serve, are restarted one after the other, and one of which is killed."""

import re
import subprocess
from types import SimpleNamespace

import pytest

from load import MIX, HeldStream, Load, Request
from peers import Engine
from Support.machine import ROOT, wait_for
from test_1_files import promtool, queries

HELD = Request("chat_completions", 200, model="held")
COUNTER = re.compile("provider_.+_(total|bucket|count|sum)")


@pytest.fixture(scope="module")
def life(provider, prometheus):
    """All that the clients counted while the machine went through everything that happens to its workers."""
    def await_load():
        load.await_more(200)
        prometheus.await_scrape()

    with Load(provider.port, clients=12) as load:
        await_load()
        for name in ("provider-fcgi@1", "provider-fcgi@2"):
            provider.restart(name)
            await_load()
        lost, at_kill = kill_under_load(provider, load)
        await_load()
        provider.start("provider-fcgi@1")
        await_load()
    assert not load.failures, load.failures[:3]
    wait_for(lambda: provider.requests() == load.outcomes, 30,
             lambda: f"counted more: {provider.requests() - load.outcomes}, less: {load.outcomes - provider.requests()}")
    prometheus.await_scrape()
    return SimpleNamespace(load=load, lost=lost, at_kill=at_kill)


def kill_under_load(provider, load):
    """Kills a worker while both stream, so that it is known which requests are lost; returns how many, and the gauge before."""
    # No other request ends in the moment of the kill: nobody could tell whether it was counted.
    load.pause()
    streams = [HeldStream(provider.port) for _ in range(16)]
    wait_for(lambda: all(stream.has_begun for stream in streams), says="all streams have begun")
    before = provider.value("provider_requests_in_flight")
    provider.kill("provider-fcgi@1")
    wait_for(lambda: any(stream.is_broken for stream in streams), says="the streams of the killed worker break off")
    load.resume()
    load.await_more(100)
    wait_for(lambda: provider.running() == {"provider-fcgi@2"}, says="the killed worker is no longer counted")
    Engine.release.set()
    for stream in streams:
        stream.join(60)
        if not stream.is_broken:
            load.count(HELD, stream.size)
    return sum(stream.is_broken for stream in streams), before


def test_promtool_accepts_the_metrics(provider, life):
    result = promtool("check", "metrics", input=provider.metrics())
    assert (result.returncode, result.stdout) == (0, "")


def test_every_outcome_was_counted_once(provider, life):
    assert provider.requests() == life.load.outcomes
    assert set(request.outcome for request in MIX) == set(life.load.outcomes)


def test_a_kill_frees_the_places_and_keeps_the_counts(provider, life):
    assert life.at_kill == 16
    assert 0 < life.lost < 16, "one worker had every stream: nothing to see"
    assert provider.value("provider_requests_in_flight") == 0


def test_the_other_counters_agree_with_the_clients(provider, life):
    load = life.load
    assert provider.value("provider_client_disconnects_total") == load.disconnects
    assert provider.value("provider_streams_cut_total") == load.cuts
    admitted = {endpoint: sum(count for (name, _, code), count in load.outcomes.items()
                              if name == endpoint and code != "method_not_allowed")
                for endpoint in ("chat_completions", "completions")}
    for metric in ("provider_request_duration_seconds", "provider_time_to_first_byte_seconds"):
        counts = {labels["endpoint"]: value for labels, value in provider.samples(metric + "_count")}
        assert counts.keys() == admitted.keys()
        if metric == "provider_request_duration_seconds":
            assert counts == admitted
    hmac = {labels["result"]: value for labels, value in provider.samples("provider_hmac_validation_seconds_count")}
    assert hmac["invalid"] == load.outcomes["completions", 401, "invalid_hmac"]
    # The validations of the streams that were lost with their worker were counted before.
    assert hmac["valid"] + hmac["invalid"] >= sum(admitted.values())
    assert hmac["unavailable"] == 0


def test_the_totals_in_prometheus_are_those_of_the_clients(prometheus, life):
    result = prometheus.query("provider_requests_total")
    counted = {(series["metric"]["endpoint"], int(series["metric"]["status"]), series["metric"].get("code", "")):
               int(series["value"][1]) for series in result}
    assert counted == life.load.outcomes


def test_no_counter_went_back(prometheus, life):
    names = [name for name in prometheus.get("/api/v1/label/__name__/values") if COUNTER.fullmatch(name)]
    assert len(names) == 5 + 4 * 3
    for name in names:
        result = prometheus.query(f"resets({name}[30m])")
        assert result, name
        assert [series["metric"] for series in result if series["value"][1] != "0"] == [], name
    assert prometheus.value("count_over_time(up[30m])") > 5
    # A scrape may have been in the worker that was killed.
    assert prometheus.value("sum_over_time(up[30m]) - count_over_time(up[30m])") >= -1


@pytest.mark.parametrize("title, query", queries(), ids=[title for title, _ in queries()])
def test_each_query_of_the_dashboard_returns_data(prometheus, life, title, query):
    query = query.replace("$instance", ".*").replace("$__rate_interval", "5m")
    assert "$" not in query
    assert prometheus.query(query), query


def test_prometheus_evaluates_each_alert(prometheus, life):
    rules = [rule for group in prometheus.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) == 5
    for rule in rules:
        assert (rule["health"], rule["state"]) == ("ok", "inactive"), rule
        prometheus.query(rule["query"])


def test_figures_of_the_machine(provider, life):
    assert provider.value("provider_workers") == 2
    assert provider.value("provider_requests_in_flight_limit") == 64
    assert provider.value("provider_busy") == 0
    assert provider.value("provider_gpu_utilization_ratio") == 0.07
    assert provider.value("provider_gpu_memory_used_bytes") == 250 << 20
    assert provider.value("provider_gpu_temperature_celsius") == 41
    assert provider.value("provider_gpu_power_watts") == 61
    assert provider.value("provider_engine_up") == provider.value("provider_engine_models") == 1
    assert provider.value("provider_report_last_exit_status") == 0
    states = {labels["state"]: value for labels, value in provider.samples("provider_gpu_state")}
    assert states == {"idle": 1, "busy": 0, "unreadable": 0, "unknown": 0, "none": 0}


def test_the_document_has_each_metric_and_no_other(provider, life):
    text = (ROOT / "docs/METRICS.md").read_text()
    rows = set(re.findall(r"^\| `(provider_\w+)`", text, re.M))
    families = set(re.findall(r"^# TYPE (\S+)", provider.metrics(), re.M))
    assert rows == families


def test_no_label_holds_a_secret(provider, life):
    text = provider.metrics() + str(provider.status())
    for secret in ("the-key", "good", "bad", "127.0.0.1:" + str(provider.port)):
        assert secret not in text.replace("http://127.0.0.1", "")


def test_status_json_has_the_same_totals(provider, life):
    status = provider.status()
    since_start = {(one["endpoint"], one["status"], one["code"] or ""): one["count"]
                   for one in status["requests"]["since_start"]["outcomes"]}
    assert since_start == life.load.outcomes
    assert status["headline"] == {"state": "accepting", "text": "Accepting requests"}
    assert len(status["completions"]) == 50
    assert {worker["name"] for worker in status["workers"]} == {"provider-fcgi@1", "provider-fcgi@2"}
    assert status["report"]["outcome"] == "accepted"


@pytest.mark.parametrize("path", ["/metrics", "/status.json"])
@pytest.mark.parametrize("header", [None, "PROVIDER_STATUS: on", "Provider-Status: on", "HTTP_PROVIDER_STATUS: on"])
def test_the_public_site_has_none_of_it(provider, path, header):
    command = ["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}"]
    result = subprocess.run([*command, *(["--header", header] if header else []), provider.url + path], capture_output=True, text=True)
    assert result.stdout == "404"


def test_the_alert_for_a_missing_worker_comes(provider, prometheus, life):
    """The last test: the workers end."""
    for name in list(provider.workers):
        provider.workers.pop(name).terminate()
    wait_for(lambda: prometheus.value("up") == 0, says="a scrape has failed")
    wait_for(lambda: any(alert["labels"]["alertname"] == "ProviderNoWorker" for alert in prometheus.get("/api/v1/alerts")["alerts"]),
             says="the alert is pending")
