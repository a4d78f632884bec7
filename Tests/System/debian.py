"""A Debian with systemd, booted by systemd-nspawn in a folder, with loopback as its only network."""

import hashlib
import os
import re
import signal
import subprocess
from contextlib import contextmanager, suppress

import pytest
from Support.machine import ROOT, Processes, start_sandbox, wait_for

# The machine's files are kept as a tar, so that only the first run asks Debian's mirror.
CACHE = ROOT / ".build-system"
# What an operator's machine has.
PACKAGES = "systemd-sysv,dbus,iproute2,procps,curl,ca-certificates,nginx"

# What a purge restores, to the byte; Debian owns the backups and caches.
SNAPSHOT = r"""
find /etc -type f ! -name "*-" ! -name ".pwd.lock" ! -name ld.so.cache -exec md5sum {} + | sort -k 2
find /etc -type l -printf "%p -> %l\n" | sort
find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /var/tmp -o -path /opt -o -path /run -o -path /var/log/journal \
    -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt \) -prune -o -print |
    grep -v -E "^/(var/(log|lib/(systemd|nginx|deb-systemd-helper|private|ucf))(/|$)|root|etc/)" | sort
find / -xdev -name "*provider*" ! -path "/proc/*" ! -path "/sys/*" ! -path "/opt/*" ! -path "/var/log/journal/*"
ls -d /run/provider* /run/systemd/*/*provider* 2>/dev/null
getent passwd provider-client
getent group provider-client
true
"""


def make_tree(folder, depends):
    """Unpacks a Debian with PACKAGES and the packages that `depends`, a field of dpkg's, names."""
    depends = re.sub(r"\([^)]*\)|\|[^,]*| ", "", depends)
    packages = f"{depends},{PACKAGES}"
    archive = CACHE / f"{hashlib.sha256(packages.encode()).hexdigest()[:16]}.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        new = folder.with_suffix(".tar")
        made = subprocess.run(["timeout", "300", "mmdebstrap", "--quiet", "--variant=minbase",
                               f"--include={packages}", "bookworm", new], stdin=subprocess.DEVNULL)
        if made.returncode != 0:
            pytest.skip("mmdebstrap cannot make a Debian here")
        subprocess.run(["mv", new, archive], check=True)
    folder.mkdir()
    # mknod makes device files, which a container may forbid; nspawn brings its own.
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder, "--numeric-owner", "--exclude=./dev/*"],
                   check=True)


class Debian:
    """The machine runs until the end of the `with`, and so does every process of the test in its network."""

    def __init__(self, folder, debs):
        self.folder = folder
        self._debs = debs
        self._nspawn = None
        self._init = None
        self._sandbox = None
        self.processes = Processes()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.processes.__exit__()
        if self._nspawn is None:
            return
        # To nspawn SIGTERM means an orderly end of the machine.
        self._nspawn.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._nspawn.wait(10)
        if self._nspawn.poll() is None:
            # The first process of a namespace takes all others with it.
            with suppress(ProcessLookupError):
                if self._init:
                    os.kill(self._init, signal.SIGKILL)
            self._nspawn.kill()
            self._nspawn.wait()

    # --- Its life -----------------------------------------------------------------------------------

    def _start(self, *arguments, output):
        return subprocess.Popen(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--private-network", f"--bind-ro={self._debs}:/opt/debs",
             "-D", self.folder / "tree", *arguments],
            env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"), stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True)

    def boot(self):
        """Boots the machine, and starts the sandbox in its network."""
        first, console = self.folder / "first.log", self.folder / "console.log"
        with first.open("wb") as output:
            if self._start("true", output=output).wait() != 0:
                pytest.skip(f"systemd-nspawn cannot run here: {first.read_text().splitlines()[-1]}")
        with console.open("wb") as output:
            self._nspawn = self._start("--boot", output=output)
        wait_for(self._is_up, 60, lambda: "the machine is up\n" + console.read_text()[-2000:], self._nspawn)
        self._sandbox = start_sandbox(
            self.processes, self.folder / "sandbox.log", "--engine-port", "11434", "--central-port", "8000",
            "--model", "m", "--tokens", "10000", "--token-delay", "0.05", inside=self.network)

    def _is_up(self):
        # Looked for each time: nspawn's first child is a helper that soon ends.
        found = subprocess.run(["pgrep", "--newest", "--parent", str(self._nspawn.pid)], capture_output=True, text=True)
        if found.returncode != 0:
            return False
        self._init = int(found.stdout)
        return self.ask("systemctl", "is-system-running") in ("running", "degraded")

    def power_off(self):
        """Begins to power off, and does not wait."""
        self.do("systemctl", "start", "--no-block", "poweroff.target")

    def boot_again(self):
        """Waits until the machine is down, and boots it."""
        wait_for(lambda: self._nspawn.poll() is not None, says="the machine is down")
        self.processes.kill(self._sandbox)
        self.boot()

    # --- Commands -----------------------------------------------------------------------------------

    @property
    def network(self):
        """The beginning of a command that runs the rest in the machine's network, with the files of this one."""
        return ["nsenter", f"--net=/proc/{self._init}/ns/net"]

    def _run(self, command, input, errors):
        return subprocess.run(
            ["nsenter", "-t", str(self._init), "-a", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
             "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", *map(str, command)],
            stdout=subprocess.PIPE, stderr=errors, text=True,
            **({"stdin": subprocess.DEVNULL} if input is None else {"input": input}))

    def ask(self, *command):
        """What a command prints to standard output, without the last newline. Its exit status does not matter."""
        return self._run(command, None, None).stdout.rstrip("\n")

    def do(self, *command, input=None):
        """Runs a command that has to succeed, and returns all that it prints."""
        result = self._run(command, input, subprocess.STDOUT)
        if result.returncode != 0:
            pytest.fail(f"exit status {result.returncode}: {' '.join(map(str, command))}\n{result.stdout}")
        return result.stdout

    def succeeds(self, *command):
        """Whether a command succeeds; pytest shows what it prints when the test fails."""
        result = self._run(command, None, subprocess.STDOUT)
        print(result.stdout, end="")
        return result.returncode == 0

    def write(self, path, text):
        """Writes a new file, and its folder, or the text of an existing file, which keeps owner and mode."""
        self.do("sh", "-c", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "sh", path, input=text)

    def stat(self, *paths):
        return self.ask("stat", "-c", "%a %U:%G", *paths)

    def snapshot(self):
        """The lines that tell whether a purge has left anything."""
        return self.ask("sh", "-c", SNAPSHOT).splitlines()

    # --- systemd ------------------------------------------------------------------------------------

    def property(self, unit, name):
        return self.ask("systemctl", "show", f"--property={name}", "--value", unit)

    def is_state(self, unit, state):
        return self.property(unit, "ActiveState") == state

    def log_lines(self, unit, pattern):
        """The lines of a unit's log that a regular expression finds."""
        return re.findall(f"^.*{pattern}.*$", self.ask("journalctl", "--no-pager", "--output=cat", "-u", unit), re.M)

    def await_log(self, unit, pattern):
        wait_for(lambda: self.log_lines(unit, pattern), says=f"{unit} has logged: {pattern}")

    @contextmanager
    def drop_in(self, unit, text):
        """Settings beside a unit until the end of the `with`. Each time only the manager is told."""
        folder = f"/run/systemd/system/{unit}.d"
        self.write(folder + "/test.conf", text)
        self.do("systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.do("rm", "-r", folder)
            self.do("systemctl", "daemon-reload")
