"""Folders, peers and machines for the tests of the metrics."""

import shutil
import tempfile
from pathlib import Path

import pytest

from peers import Central, Engine, served
from provider import BINARIES, Prometheus, Provider
from Support.machine import Processes, require, require_built

pytest_plugins = ["Support.session"]


@pytest.fixture(scope="session", autouse=True)
def programs():
    require("metrics", "nginx", "prometheus", "promtool")
    require_built("test-metrics", BINARIES / "provider-fcgi", BINARIES / "provider-reporter")


@pytest.fixture(scope="session")
def processes():
    with Processes() as processes:
        yield processes


@pytest.fixture(scope="session")
def folder(processes):
    # Short: a socket's path has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pm.", dir="/tmp"))
    # nginx's processes may run as another user.
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def peers():
    """The addresses of the engine and of the central system."""
    with served(Engine) as engine, served(Central) as central:
        yield engine, central
        Engine.release.set()


def machine(folder, processes, peers, name, **options):
    (folder / name).mkdir()
    provider = Provider(folder / name, processes, *peers, **options)
    for worker in ("provider-fcgi@1", "provider-fcgi@2"):
        provider.start(worker)
    return provider


@pytest.fixture(scope="session")
def provider(folder, processes, peers):
    """Two workers, a report that was delivered."""
    provider = machine(folder, processes, peers, "a")
    result = provider.report()
    assert result.returncode == 0, result.stdout
    yield provider
    provider.close()


@pytest.fixture(scope="session")
def prometheus(folder, processes, provider):
    return Prometheus(folder, processes, provider)


@pytest.fixture(scope="session")
def handoff(folder, processes, peers):
    """Two workers that hand completions to nginx."""
    provider = machine(folder, processes, peers, "b", forward="nginx")
    yield provider
    provider.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of every log to a failure."""
    report = (yield).get_result()
    if report.failed and (folder := item.funcargs.get("folder")):
        for log in sorted([*folder.glob("*.log"), *folder.glob("*/*.log"), *folder.glob("*/nginx/error.log")]):
            report.sections.append((str(log), "\n".join(log.read_text(errors="replace").splitlines()[-10:])))
