"""The shipped alert rules and the dashboard, as far as they can be judged without metrics."""

import json
import re
import shutil
import subprocess

import pytest

from Support.machine import ROOT

RULES = ROOT / "examples/prometheus/alerts.yml"
DASHBOARD = ROOT / "examples/grafana/provider.json"


def queries():
    """The title and the query of each target of the dashboard."""
    return [(f"{panel['title']}, {target['refId']}", target["expr"])
            for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]]


def promtool(*arguments, **options):
    return subprocess.run(["promtool", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def test_promtool_accepts_the_alert_rules():
    result = promtool("check", "rules", RULES)
    assert result.returncode == 0 and "5 rules found" in result.stdout, result.stdout


def test_each_alert_comes_when_it_has_to(tmp_path):
    shutil.copy(RULES, tmp_path)
    shutil.copy(ROOT / "Tests/Metrics/alerts_test.yml", tmp_path)
    result = promtool("test", "rules", tmp_path / "alerts_test.yml")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("right, wrong", [("provider_engine_up == 0", "provider_engine_up == 1"), ("for: 15m", "for: 10m"),
                                          ("> 720", "> 1000"), ('job="provider"', 'job="another"')])
def test_a_mistake_in_the_rules_would_be_found(tmp_path, right, wrong):
    text = RULES.read_text()
    assert right in text
    (tmp_path / "alerts.yml").write_text(text.replace(right, wrong))
    shutil.copy(ROOT / "Tests/Metrics/alerts_test.yml", tmp_path)
    assert promtool("test", "rules", tmp_path / "alerts_test.yml").returncode == 1


def test_each_alert_says_what_to_do():
    text = RULES.read_text()
    alerts = text.count("- alert:")
    assert alerts == text.count("summary:") == text.count("description:") == text.count("severity:") == 5


def test_the_dashboard_can_be_imported():
    dashboard = json.loads(DASHBOARD.read_text())
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers) > 15
    # Every panel asks the source and the machines that the user has chosen.
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "instance"}
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {"${datasource}"}
    for title, query in queries():
        assert query.count("provider_") == query.count('instance=~"$instance"') > 0, title
    # No two panels overlap.
    cells = [(x, y) for panel in dashboard["panels"] for grid in [panel["gridPos"]]
             for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])]
    assert len(cells) == len(set(cells)) and all(x < 24 for x, _ in cells)


def test_the_document_names_each_metric_of_rules_and_dashboard():
    text = (ROOT / "docs/METRICS.md").read_text()
    named = set(re.findall(r"`(provider_\w+)`", text))
    used = set(re.findall(r"\bprovider_\w+", RULES.read_text() + " ".join(query for _, query in queries())))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in used} <= named


def test_nginx_accepts_the_documented_server_for_another_machine(tmp_path):
    document = (ROOT / "docs/METRICS.md").read_text()
    server = re.search(r"^    server \{\n(?:    .*\n)+?    \}\n", document, re.M)[0]
    assert server.count("10.77.0.1:9181") == server.count("http://127.0.0.1:9180") == 1
    subprocess.run([ROOT / "scripts/nginx-prefix", tmp_path, "8080", tmp_path / "fcgi.sock"], check=True)
    # nginx opens the address; this machine has another.
    (tmp_path / "sites-enabled/metrics.conf").write_text(server.replace("10.77.0.1:9181", "127.0.0.1:9181"))
    result = subprocess.run(["nginx", "-t", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout
