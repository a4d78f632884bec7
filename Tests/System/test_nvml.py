"""A library in place of NVIDIA's: a child of the worker loads it, within the unit's restrictions."""

import pytest
from Support.machine import wait_for


@pytest.fixture(scope="module", autouse=True)
def library(serving, provider, debian):
    path = f"/usr/lib/{debian.ask('uname', '-m')}-linux-gnu/libnvidia-ml.so.1"
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


def test_the_process_that_reads_nvml_ends_with_a_killed_worker(provider, debian):
    worker = provider.pid(1)
    probe = debian.do("pgrep", "--parent", worker, "--full", "--", "--nvml-probe").strip()
    debian.do("kill", "-KILL", worker)
    wait_for(lambda: not debian.succeeds("kill", "-0", probe))
