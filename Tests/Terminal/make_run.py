#!/usr/bin/env python3
"""Stops `make run` in a real terminal, in each of its phases, and looks for what is left.

Usage: Tests/Terminal/make_run.py [once] [PHASE…]

The terminal is a pseudo-terminal with an interactive bash. `swift`, `pkg-config` and `apt-get` are programs of this test,
so that a phase lasts until it is stopped; `make`, the scripts, nginx and the built programs are real. Build first.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time

from terminal import PROMPT, ROOT, Failure, HeldEngine, Terminal, free_port, nothing_left, prompt_is_back, run, stub

# The compiler's children have process groups of their own, and ignore SIGINT.
SWIFT = """#!/usr/bin/python3
import os, signal, subprocess, sys
if sys.argv[1] == "--version":
    print("Swift version 6.2 (a test's)")
elif "--show-bin-path" in sys.argv:
    print(os.path.abspath(".build/debug"))
elif os.environ["HELD"] in ("build", "failure"):
    child = subprocess.Popen(["sleep", "1000"], process_group=0, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    if os.environ["HELD"] == "failure":
        sys.exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # In one piece: the terminal may be closed as soon as the test has read the words.
    os.write(1, b"held: build\\n")
    child.wait()
"""
PKG_CONFIG = """#!/bin/sh
[ "$HELD" != install ] && exec /usr/bin/pkg-config "$@"
exit 1
"""
APT = """#!/bin/sh
echo held: install
exec sleep 1000
"""


# --- Phases: from an environment to a `make run` that is there ------------------------------------


class Phase:
    def __init__(self, name, held_by=None, engine=None, text=None):
        self.name, self.held_by, self.engine, self.text = name, held_by, engine, text


PHASES = [
    Phase("installing", held_by="install", text="held: install"),
    Phase("building", held_by="build", text="held: build"),
    Phase("looking for an engine", engine=lambda: HeldEngine(lists_models=False)),
    Phase("demonstrating", engine=HeldEngine),
    Phase("running", text="Ctrl-C stops everything."),
]


@contextlib.contextmanager
def make_run(phase, leads_session=False, variables=()):
    """A terminal in which `make run` has come to a phase."""
    directory = tempfile.mkdtemp()
    stub(directory, "swift", SWIFT)
    stub(directory, "pkg-config", PKG_CONFIG)
    stub(directory, "apt-get", APT)
    # As an ordinary user installs.
    stub(directory, "sudo", '#!/bin/sh\nexec "$@"\n')
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_")}
    environment["PATH"] = directory + ":" + environment["PATH"]
    environment["HELD"] = phase.held_by or ""
    # Not of a make that runs this test.
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environment.pop(name, None)
    engine = phase.engine() if phase.engine else None
    # No engine of this machine's takes part.
    environment["PROVIDER_OLLAMA_URL"] = engine.url if engine else "http://127.0.0.1:%d" % free_port()
    command = ["make", "run", f"PORT={port}", *variables]
    terminal = Terminal(command if leads_session else ["bash", "--norc", "-i"], environment)
    try:
        if not leads_session:
            terminal.await_text("the shell", PROMPT)
            terminal.type(" ".join(command) + "\n")
        if phase.text:
            terminal.await_text(phase.name, phase.text)
        if engine:
            terminal.await_condition(phase.name, engine.held.is_set)
        yield terminal
    finally:
        terminal.end()
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(os.path.join(ROOT, ".run", str(port)), ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(os.path.join(ROOT, ".run", f"{port}.lock"))


# --- Ways to stop it --------------------------------------------------------------------------------


def interrupt(phase):
    with make_run(phase) as terminal:
        terminal.type("\x03")
        return prompt_is_back(terminal)


def interrupt_twice(phase):
    with make_run(phase) as terminal:
        terminal.type("\x03")
        time.sleep(0.05)
        terminal.type("\x03")
        return prompt_is_back(terminal)


def quit_key(phase):
    with make_run(phase) as terminal:
        terminal.type("\x1c")
        return prompt_is_back(terminal)


def signal_make(phase, number=signal.SIGTERM):
    with make_run(phase) as terminal:
        os.kill(terminal.process(r"^make run"), number)
        return prompt_is_back(terminal)


def hang_up_make(phase):
    return signal_make(phase, signal.SIGHUP)


def interrupt_make(phase):
    return signal_make(phase, signal.SIGINT)


def kill_make(phase):
    return signal_make(phase, signal.SIGKILL)


def signal_script(phase, number=signal.SIGTERM):
    with make_run(phase) as terminal:
        script = "install-dependencies" if phase.held_by == "install" else "run"
        os.kill(terminal.process(rf"bash scripts/{script}\b"), number)
        return prompt_is_back(terminal)


def hang_up_script(phase):
    return signal_script(phase, signal.SIGHUP)


def close_terminal(phase):
    with make_run(phase) as terminal:
        terminal.close()
        start = time.monotonic()
        nothing_left(terminal)
        return time.monotonic() - start


def close_terminal_of_make(phase):
    """As in `ssh -t HOST make run`: make leads the session and waits for its child whatever happens."""
    with make_run(phase, leads_session=True) as terminal:
        terminal.close()
        start = time.monotonic()
        nothing_left(terminal)
        return time.monotonic() - start


def once():
    """`ONCE=1` ends by itself, and names no command that would ask a server that has stopped."""
    with make_run(Phase("once"), variables=["ONCE=1"]) as terminal:
        start = time.monotonic()
        terminal.await_condition("the prompt", lambda: PROMPT in terminal.text)
        for unwanted in ("curl ", "Ctrl-C"):
            if unwanted in terminal.text:
                raise Failure(f"{unwanted!r} in {terminal.text[-1500:]}")
        if "report delivered" not in terminal.text:
            raise Failure(f"no report in {terminal.text[-1500:]}")
        nothing_left(terminal)
        return time.monotonic() - start


def failed_build():
    """A compiler that fails, and leaves a child."""
    with make_run(Phase("failed build", held_by="failure")) as terminal:
        return prompt_is_back(terminal)


WAYS = [
    ("Ctrl-C", interrupt),
    ("Ctrl-C twice", interrupt_twice),
    ("Ctrl-\\", quit_key),
    ("SIGTERM to make", signal_make),
    ("SIGHUP to make", hang_up_make),
    ("SIGINT to make alone", interrupt_make),
    ("SIGKILL to make", kill_make),
    ("SIGTERM to the script", signal_script),
    ("SIGHUP to the script", hang_up_script),
    ("closing the terminal", close_terminal),
    ("closing the terminal of make", close_terminal_of_make),
]
# An installation that has begun is apt's to end where no signal reaches it.
NOT_WHILE_INSTALLING = {"SIGHUP to make", "SIGINT to make alone", "SIGKILL to make", "closing the terminal of make"}


def main():
    wanted = sys.argv[1:]
    checks = [("ONCE=1", once), ("a build that fails", failed_build)] if not wanted or "once" in wanted else []
    for phase in PHASES:
        if wanted and phase.name not in wanted:
            continue
        for name, way in WAYS:
            if phase.name == "installing" and name in NOT_WHILE_INSTALLING:
                continue
            checks.append((f"{name} while {phase.name}", lambda way=way, phase=phase: way(phase)))
    run(checks)


if __name__ == "__main__":
    main()
