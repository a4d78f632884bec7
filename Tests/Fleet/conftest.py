"""Three machines and a public one, each a network namespace, on one wire.

nginx, the worker, a fake nvidia-smi and the sandbox's engine run on each machine; nginx/fleet.conf runs unchanged on the
public one. All tests share them, in the order of the files' numbers.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from fleet import Fleet
from Support.machine import RELEASE, Processes, require, require_built, require_root

pytest_plugins = ["Support.session"]


@pytest.fixture(scope="session")
def folder(pytestconfig):
    # Short: a socket's path has room for 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pf.", dir="/tmp"))
    # nginx's processes run as another user.
    folder.chmod(0o755)
    pytestconfig.fleet_folder = folder
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def fleet(folder):
    require_root()
    require("fleet", "ip", "nginx", "curl", "openssl", "sysctl")
    require_built("test-fleet", RELEASE / "provider-fcgi", RELEASE / "provider-sandbox")
    with Processes() as processes:
        fleet = Fleet(folder, processes)
        try:
            make_network(fleet)
            for machine in fleet.machines:
                machine.boot()
            fleet.public.boot()
            yield fleet
        finally:
            for host in fleet.hosts:
                subprocess.run(["ip", "netns", "delete", host.namespace], stderr=subprocess.DEVNULL)


def make_network(fleet):
    """A bridge in the public machine's namespace, with a cable to each machine."""
    public = fleet.public
    if subprocess.run(["ip", "netns", "add", public.namespace], capture_output=True).returncode != 0:
        pytest.skip("no network namespaces here")
    public.run("ip", "link", "set", "lo", "up")
    if subprocess.run([*public.inside, "ip", "link", "add", "wire", "type", "bridge"], capture_output=True).returncode != 0:
        pytest.skip("no bridge here")
    public.run("ip", "address", "add", public.address + "/24", "dev", "wire")
    public.run("ip", "link", "set", "wire", "up")
    for machine in fleet.machines:
        subprocess.run(["ip", "netns", "add", machine.namespace], check=True)
        public.run("ip", "link", "add", machine.name, "type", "veth", "peer", "name", "eth0", "netns", machine.namespace)
        public.run("ip", "link", "set", machine.name, "master", "wire", "up")
        machine.run("ip", "link", "set", "lo", "up")
        machine.run("ip", "address", "add", machine.address + "/24", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
    # As docs/FLEET.md says, but with shorter times.
    public.run(
        "sysctl", "--quiet", "net.ipv4.tcp_keepalive_time=1", "net.ipv4.tcp_keepalive_intvl=1",
        "net.ipv4.tcp_keepalive_probes=2", "net.ipv4.tcp_retries2=3")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of every log to a failure."""
    report = (yield).get_result()
    if report.failed and (folder := getattr(item.config, "fleet_folder", None)):
        for log in sorted(folder.glob("*/*.log")):
            report.sections.append((str(log), "\n".join(log.read_text(errors="replace").splitlines()[-5:])))
