"""The images are built, the containers start, and a completion and a report pass through them."""

import json

from Support.machine import wait_for


def test_the_images_build(containers):
    containers.compose("build")


def test_the_containers_start(containers):
    containers.compose("up", "--detach")
    wait_for(containers.is_healthy, says="the worker is healthy")
    wait_for(lambda: containers.curl(containers.url + "/busy").status == 200, says="nginx responds")


def test_a_completion_streams(containers):
    response = containers.complete(20)
    assert response.status == 200, response.text
    assert response.has_streamed(20), response.text
    assert containers.curl(containers.url + "/nothing").status == 404


def test_a_report_arrives(containers):
    response = wait_for(
        lambda: (response := containers.curl(containers.report_url)).status == 200 and response,
        says="the report has arrived")
    report = json.loads(response.text)
    assert report["object"] == "list"
    print(report["provider_type"], [model["id"] for model in report["data"]])


def test_the_status_page_and_the_metrics_are_served(containers):
    page = containers.curl(containers.status_url + "/")
    assert page.status == 200 and "<title>" in page.text
    metrics = containers.curl(containers.status_url + "/metrics")
    assert metrics.status == 200
    assert 'provider_requests_total{endpoint="chat_completions",status="200",code=""} 1\n' in metrics.text
    # The reporter's outcome reaches the worker.
    wait_for(lambda: "\nprovider_report_last_exit_status 0\n" in containers.curl(containers.status_url + "/metrics").text,
             says="the report's outcome is in the metrics")
    assert containers.curl("--header", "Host: example.org", containers.status_url + "/metrics").status == 421
    assert containers.curl(containers.url + "/metrics").status == 404
