"""A library in place of NVIDIA's: a child of the worker loads it, within the unit's restrictions."""

import platform
import re

import pytest
from Support.machine import wait_for

# Where the library lies, and what it responds with.
DIRECTORY = f"/usr/lib/{platform.machine()}-linux-gnu"
ANSWERS = DIRECTORY + "/answers"


@pytest.fixture(scope="module", autouse=True)
def library(serving, provider, debian):
    path = f"{DIRECTORY}/libnvidia-ml.so.1"
    debian.do("cp", "/opt/debs/libFakeNVML.so", path)
    provider.rolling_restart()
    yield
    wait_for(provider.both_active, says="systemd has started the worker again")
    debian.do("rm", path)
    provider.rolling_restart()


def test_the_workers_read_the_gpus_through_nvml(provider):
    wait_for(lambda: provider.both_have_logged("GPUs are read through NVML"))


def test_the_workers_report_the_gpus(provider):
    wait_for(lambda: '"product_name":"NVIDIA Example"' in provider.curl("http://127.0.0.1:8080/health").text)


def test_doctor_compares_the_workers_sample_with_a_fresh_sample(provider):
    found = provider.doctor()
    assert found.trouble == {}
    assert found.saw("gpu.driver").startswith("read through NVML, driver ")
    # Of the status page, through nginx.
    assert re.search(r"; the worker's sample is 0\.\d s old$", found.saw("gpu.sample"))
    assert found.saw("gpu.devices").startswith("GPU 0 NVIDIA Example ")


def test_systemd_is_told_the_utilization(provider):
    wait_for(lambda: all(
        re.fullmatch(r"accepting, 0 of 512 in flight, GPU \d+ %", provider.status_text(worker)) for worker in (1, 2)))


@pytest.fixture
def busy(provider, debian):
    """GPU 0 is busy. The library counts nothing: the worker may not write into its folder."""
    debian.write(ANSWERS, "once 1\ngpu0.utilization 63\n")
    provider.rolling_restart()
    yield
    debian.do("rm", ANSWERS)
    provider.rolling_restart()
    wait_for(provider.both_ready)


def test_systemd_is_told_that_a_gpu_is_busy(busy, provider):
    wait_for(lambda: all(provider.status_text(worker) == "refusing: GPU busy (63 %)" for worker in (1, 2)))
    found = provider.doctor()
    assert found.trouble == {}
    assert " 63 %" in found.saw("gpu.devices")


def test_the_process_that_reads_nvml_ends_with_a_killed_worker(provider, debian):
    worker = provider.pid(1)
    probe = debian.do("pgrep", "--parent", worker, "--full", "--", "--nvml-probe").strip()
    debian.do("kill", "-KILL", worker)
    wait_for(lambda: not debian.succeeds("kill", "-0", probe))
