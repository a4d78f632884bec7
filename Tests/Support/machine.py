"""What tests in Python need from the computer: waiting, processes that end with the test, the sandbox."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / ".build/release"


def wait_for(condition, timeout=30, says="", process=None, interval=0.05):
    """Returns the first true result of `condition`, a function that is called every `interval` seconds.

    Fails after `timeout` seconds, and as soon as `process` has ended. `says` names the condition in the failure's
    message; it is a text, or a function that returns the text once it is needed.
    """
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = says() if callable(says) else says or getattr(condition, "__name__", "")
            pytest.fail(f"{'the process has ended' if ended else f'not after {timeout} s'}: {words}")
        time.sleep(interval)
    return result


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Processes:
    """Processes that are killed at the end of the `with`, each with every process that it has started."""

    def __init__(self):
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._running[::-1]:
            self.kill(process)

    def start(self, *command, log, **options):
        """Starts a command in a new session; its output goes to the file `log`."""
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command], stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                **{"stdin": subprocess.DEVNULL, **options})
        self._running.append(process)
        return process

    def kill(self, process):
        """Kills a process and its session at once: neither can clean up or say goodbye."""
        self._running.remove(process)
        # The number of a process that has been waited for may be another's.
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def running(*command, **options):
    """A process that gets SIGTERM at the end of the `with`, and has 60 s to end."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def start_sandbox(processes, log, *options, inside=()):
    """Starts provider-sandbox, which is engine and central system, and waits until both listen.

    `inside` is the beginning of a command that runs the rest elsewhere, as in a network namespace.
    """
    process = processes.start(
        *inside, RELEASE / "provider-sandbox", *options, log=log, env=dict(os.environ, PROVIDER_API_KEY="the-key"))
    wait_for(lambda: any(line.startswith("ready") for line in Path(log).read_text().splitlines()),
             says="the sandbox is ready", process=process)
    return process


def require_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


def require(purpose, *programs):
    """Skips unless all programs are there, and says how to install them."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is missing; scripts/install-dependencies {purpose}")


def require_built(target, *files):
    """Fails unless all files are there: an old or missing build is no reason to skip."""
    for file in files:
        if not Path(file).exists():
            pytest.exit(f"{file} is missing; make {target} builds it", returncode=1)
