"""The machine that all tests share: it is booted once, and lives from the installation to the last purge."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from debian import Debian, make_tree
from provider import CONFIG, SITE, Provider
from Support.machine import RELEASE, ROOT, require, require_built, require_root

pytest_plugins = ["Support.session"]

# The order of the files; within a file, tests run as they are written. Each test starts from the state that earlier tests
# leave.
LIFE = [
    "install", "configure", "metrics", "reload", "by_name", "nginx_group", "timers", "doctor", "status", "reboot", "restart", "crash",
    "nvml", "purge", "upgrade", "last_purge",
]
# Seconds for everything except making the machine; a usual run takes 300.
LIMIT = 900


def pytest_collection_modifyitems(items):
    topics = {item: item.path.stem.removeprefix("test_") for item in items}
    if unknown := set(topics.values()) - set(LIFE):
        raise pytest.UsageError(f"Tests/System/conftest.py: LIFE lacks {', '.join(sorted(unknown))}")
    items.sort(key=lambda item: LIFE.index(topics[item]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed and (debian := item.funcargs.get("debian")):
        report.sections.append(("journal", debian.ask("journalctl", "--no-pager", "-n", "20", "-u", "provider-*")))


def make_previous(deb, folder, target):
    """A version before: another number, another include for nginx, and the whole reference as a conffile."""
    subprocess.run(["dpkg-deb", "--raw-extract", deb, folder], check=True)

    def edit(file, change):
        old = (folder / file).read_text()
        (folder / file).write_text(change(old))
        assert change(old) != old, f"{file}: the previous version cannot be made"

    edit("DEBIAN/control", lambda text: re.sub("(?m)^Version: .*", "Version: 0.0.9", text))
    edit("etc/nginx/snippets/provider-locations.conf", lambda text: text + "location = /previous { return 204; }\n")
    edit("DEBIAN/conffiles", lambda text: text + CONFIG + "\n")
    # As that version did it.
    edit("DEBIAN/postinst", lambda text: re.sub("if .*then write_config .*", 'chgrp provider-client "$config"', text))
    config = folder / CONFIG.removeprefix("/")
    config.write_text((ROOT / "config.example.yaml").read_text() + "# A line of the previous version.\n")
    config.chmod(0o640)
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Znone", folder, target], check=True,
                   stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def version():
    return re.match(r"provider-client \(([^)]*)\)", (ROOT / "debian/changelog").read_text())[1]


@pytest.fixture(scope="session")
def alone():
    """nspawn puts every machine into one control group, /payload, where two machines would break each other."""
    require_root()
    with open(Path(tempfile.gettempdir(), "provider-test-system.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("another test-system runs on this computer: wait until it has ended", returncode=1)
        yield


@pytest.fixture(scope="session")
def debian(version, alone):
    """The machine, which has the packages and a library in /opt/debs."""
    require("system", "systemd-nspawn", "mmdebstrap", "nsenter", "pgrep", "curl", "dpkg-deb")
    compiler = shutil.which("clang") or shutil.which("cc") or pytest.skip("there is no C compiler")
    architecture = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    deb = ROOT / f".build/deb/provider-client_{version}_{architecture}.deb"
    require_built("test-system", deb, RELEASE / "provider-sandbox")
    with tempfile.TemporaryDirectory(prefix="ps.") as folder:
        os.chmod(folder, 0o755)
        folder = Path(folder)
        debs = folder / "debs"
        debs.mkdir()
        shutil.copy(deb, debs / "current.deb")
        # By itself: the library that Swift's package builds needs a library of Swift's.
        subprocess.run([compiler, "-shared", "-fPIC", "-O", "-o", debs / "libFakeNVML.so", ROOT / "Tests/FakeNVML/nvml.c"],
                       check=True)
        make_previous(deb, folder / "previous", debs / "previous.deb")
        depends = subprocess.run(["dpkg-deb", "--field", deb, "Depends"], check=True, capture_output=True, text=True).stdout
        make_tree(folder / "tree", depends.strip())
        signal.alarm(LIMIT)
        with Debian(folder, debs) as debian:
            try:
                debian.boot()
            except pytest.fail.Exception as failure:
                pytest.exit(str(failure), returncode=1)
            debian.before = debian.snapshot()
            yield debian
        signal.alarm(0)


@pytest.fixture(scope="session")
def provider(debian):
    return Provider(debian)


@pytest.fixture(scope="module")
def serving(provider):
    """Installs, configures and enables what the files before have not: a file can be run by itself."""
    if not provider.is_installed():
        provider.install("current")
        provider.configure("the-key")
        provider.rolling_restart()
    if not provider.debian.succeeds("test", "-e", SITE):
        provider.enable_site()


@pytest.fixture(scope="module")
def absent(provider):
    """Purges what the files before have installed."""
    if provider.is_installed():
        provider.debian.do("rm", "-f", SITE)
        provider.purge()
