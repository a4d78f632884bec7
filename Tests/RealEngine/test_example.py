"""The example of the documentation, docs/openai_client.py, does what its comments say."""

import contextlib
import subprocess
import sys

import pytest
from Support.machine import wait_for

import machine
import peers
from test_failures import BUSY, FREE, failing, gpu  # noqa: F401  # fixtures among them

EXAMPLE = machine.ROOT / "docs/openai_client.py"


@contextlib.contextmanager
def example(provider, model, hmac="good"):
    with subprocess.Popen(
            [sys.executable, EXAMPLE, provider.url, model, hmac, "Say something, please: äöü €"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        yield process


def outcome(process):
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_a_stream(provider):
    with example(provider, "tiny") as process:
        status, output, errors = outcome(process)
    assert (status, errors) == (0, "")
    assert output.strip()


def test_an_invalid_hmac(provider):
    with example(provider, "tiny", hmac="bad") as process:
        assert outcome(process) == (1, "", "refused: 401 invalid_hmac\n")


def test_a_busy_gpu(failing, gpu):  # noqa: F811
    def refused():
        with example(failing, "gone") as process:
            return outcome(process) == (75, "", "try another provider: gpu_busy\n")

    try:
        gpu.show(BUSY)
        wait_for(refused, 60, "the GPU is busy")
    finally:
        gpu.show(FREE)


def test_a_cut_stream(failing, forward):  # noqa: F811
    peers.FailingEngine.seen.clear()
    with example(failing, "cut") as process:
        assert process.stdout.read(4) == "Once"
        peers.FailingEngine.seen.set()
        status, _, errors = outcome(process)
    assert status == 1
    assert errors.startswith("\ncut: " + ("engine_unreachable" if forward == "worker" else ""))


def test_a_stream_that_is_given_up(failing, forward):  # noqa: F811
    with example(failing, "given-up") as process:
        status, output, errors = outcome(process)
    assert (status, output) == (1, "Once")
    assert errors == "\ncut: " + ("engine_unreachable\n" if forward == "worker" else "no finish_reason\n")
