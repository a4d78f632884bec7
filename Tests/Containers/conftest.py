"""The images of the Dockerfile and the containers of compose.yaml, for real but for two things.

The base image is made here by mmdebstrap, since no registry is asked. The programs are those of `make build`, since that base
has no Swift. All tests share the containers, in the order of the files' numbers.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from containers import Containers
from Support.machine import RELEASE, require, require_built, require_root

pytest_plugins = ["Support.session"]


@pytest.fixture(scope="session")
def containers(pytestconfig):
    require_root()
    require("containers", "podman", "podman-compose", "runc", "mmdebstrap", "nsenter", "curl")
    require_built("test-containers", *(RELEASE / f"provider-{name}" for name in ("fcgi", "reporter", "sandbox")))
    # Short: a container's socket paths have room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pc.", dir="/tmp"))
    containers = pytestconfig.containers = Containers(folder)
    try:
        containers.import_base()
        containers.start_sandbox()
        yield containers
    finally:
        containers.remove_all()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of every container's log to a failure."""
    report = (yield).get_result()
    if report.failed and (containers := getattr(item.config, "containers", None)):
        for service in ("worker", "nginx", "reporter"):
            report.sections.append((service, "\n".join(containers.logs(service).splitlines()[-20:])))
