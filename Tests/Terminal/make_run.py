#!/usr/bin/env python3
"""Stops `make run` in a real terminal, in each of its phases, and looks for what is left.

Usage: Tests/Terminal/make_run.py [once] [PHASE…]

The terminal is a pseudo-terminal with an interactive bash. `swift`, `pkg-config` and `apt-get` are programs of this test,
so that a phase lasts until it is stopped; `make`, the scripts, nginx and the built programs are real. Build first.
Every process inherits a variable of the environment that no other process has: that is how a left process is found.
"""

import contextlib
import os
import pty
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
import termios
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROMPT = "ready-for-a-command> "
# A wait that only ends what has failed already.
PATIENCE = 60
# Ctrl-C gives the prompt back within 2 s; a loaded machine takes longer to schedule what it takes.
PROMPT_LIMIT = 2 + 4

# The compiler's children have process groups of their own, and ignore SIGINT.
SWIFT = """#!/usr/bin/python3
import os, signal, subprocess, sys
if sys.argv[1] == "--version":
    print("Swift version 6.2 (a test's)")
elif "--show-bin-path" in sys.argv:
    print(os.path.abspath(".build/debug"))
elif os.environ["HELD"] == "build":
    child = subprocess.Popen(["sleep", "1000"], process_group=0, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("held: build", flush=True)
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


class Failure(Exception):
    pass


class HeldEngine:
    """An engine that lists a model and never ends a completion; or never responds at all."""

    def __init__(self, lists_models=True):
        self.lists_models = lists_models
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.held = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.respond, args=(connection,), daemon=True).start()

    def respond(self, connection):
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    return
                request += piece
            if not self.lists_models:
                self.held.set()
            elif b"/models" in request.split(b"\r\n", 1)[0]:
                body = b'{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"library"}]}'
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                return
            else:
                event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                connection.sendall(head + b"%x\r\n%s\r\n" % (len(event), event))
                self.held.set()
            # Until the client leaves.
            while connection.recv(65536):
                pass


class Terminal:
    """A pseudo-terminal and what leads its session."""

    def __init__(self, command, environment):
        self.mark = uuid.uuid4().hex
        environment = {**environment, "TERMINAL_TEST": self.mark, "PS1": PROMPT, "TERM": "dumb"}
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            # As a shell leaves them, whatever this test has inherited.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(command[0], command, environment)
        settings = termios.tcgetattr(self.master)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(self.master, termios.TCSANOW, settings)
        self.text = ""

    def read(self, wait):
        if self.master is None or not select.select([self.master], [], [], wait)[0]:
            return
        # Linux responds with EIO once the last process has closed it.
        with contextlib.suppress(OSError):
            self.text += os.read(self.master, 65536).decode(errors="replace")

    def await_text(self, what, text, limit=PATIENCE):
        start = time.monotonic()
        while text not in self.text:
            if time.monotonic() - start > limit:
                raise Failure(f"{what}: not within {limit} s: {text!r}; the terminal's last lines:\n{self.text[-1500:]}")
            self.read(0.05)
        self.text = self.text[self.text.index(text) + len(text):]
        return time.monotonic() - start

    def await_condition(self, what, condition, limit=PATIENCE):
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > limit:
                raise Failure(f"{what}: not within {limit} s; the terminal's last lines:\n{self.text[-1500:]}")
            self.read(0.05)
        return time.monotonic() - start

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        os.close(self.master)
        self.master = None

    def processes(self):
        """Every process that has inherited the mark, but for the shell."""
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == self.pid:
                continue
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    if f"TERMINAL_TEST={self.mark}".encode() not in file.read():
                        continue
                with open(f"/proc/{name}/stat") as file:
                    if file.read().rsplit(") ", 1)[1][0] == "Z":
                        continue
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    found[int(name)] = file.read().replace(b"\0", b" ").decode().strip()
        return found

    def process(self, pattern):
        numbers = [number for number, line in self.processes().items() if re.search(pattern, line)]
        if not numbers:
            raise Failure(f"no process {pattern!r} among {self.processes()}")
        return min(numbers)

    def end(self):
        for number in [*self.processes(), self.pid]:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        if self.master is not None:
            os.close(self.master)


# --- Phases: from an environment to a `make run` that is there ------------------------------------


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def stub(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


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


def nothing_left(terminal):
    terminal.await_condition("a process is left", lambda: not terminal.processes(), PROMPT_LIMIT)


def prompt_is_back(terminal):
    seconds = terminal.await_text("the prompt", PROMPT, PROMPT_LIMIT)
    nothing_left(terminal)
    def obeys():
        # Again: a second Ctrl-C discards what was typed before it.
        terminal.type("echo still $((40 + 2))\n")
        terminal.read(0.2)
        return "still 42" in terminal.text

    terminal.await_condition("the shell obeys", obeys)
    return seconds


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
    failed = passed = 0
    wanted = sys.argv[1:]
    checks = [("ONCE=1", once)] if not wanted or "once" in wanted else []
    for phase in PHASES:
        if wanted and phase.name not in wanted:
            continue
        for name, way in WAYS:
            if phase.name == "installing" and name in NOT_WHILE_INSTALLING:
                continue
            checks.append((f"{name} while {phase.name}", lambda way=way, phase=phase: way(phase)))
    for name, check in checks:
        try:
            print(f"ok      {name}: {check():.1f} s", flush=True)
            passed += 1
        except Failure as failure:
            failed += 1
            print(f"FAILED  {name}: {failure}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
