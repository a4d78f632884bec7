"""A worker that is stuck, and a worker that is told to stop."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

from Support.machine import wait_for


def test_a_stuck_worker_is_unhealthy(containers):
    worker = containers.pid("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        assert not containers.is_healthy(timeout=20)
    finally:
        os.kill(worker, signal.SIGCONT)
    wait_for(containers.is_healthy, says="the worker is healthy again")


def test_a_worker_that_is_stopped_finishes_its_requests(containers):
    stream = containers.folder / "stream"
    with ThreadPoolExecutor() as pool:
        client = pool.submit(containers.complete, 150, "--output", stream)
        wait_for(lambda: stream.exists() and "data: {" in stream.read_text(), says="the stream has begun")
        assert containers.podman("stop", "--time", "60", containers.container("worker")).returncode == 0
        assert client.result().exit == 0
    assert "data: [DONE]" in stream.read_text().splitlines(), "the stream was cut off"
    assert containers.inspect("worker", "ExitCode") == "0", "the worker cut requests"
    assert containers.curl(containers.url + "/busy").status == 503
