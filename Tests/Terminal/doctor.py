#!/usr/bin/env python3
"""Runs `provider-reporter doctor` in a real terminal: its progress line, its colours, and the ways to stop it.

Usage: Tests/Terminal/doctor.py [WORD…]

The terminal is a pseudo-terminal. nvidia-smi is a program of this test, NVIDIA's library is Tests/FakeNVML, and both hang; so
does the engine. The built programs are real. Build first. With words, only checks that have a word in their name are run.
"""

import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
import termios
import time

from terminal import PROMPT, ROOT, Failure, HeldEngine, Terminal, free_port, nothing_left, prompt_is_back, run, stub

BUILT = os.path.join(ROOT, ".build/debug")
DOCTOR = os.path.join(BUILT, "provider-reporter") + " doctor"
PROGRESS = "looking at: "
# Anything that a terminal may take for a command.
ESCAPE = "\x1b"
# Of the last line of the output.
LAST_CODE = "report.last"
HANGING = "#!/bin/sh\nexec sleep 1000\n"


class Doctor:
    """A terminal in which doctor runs, and a folder for files."""

    def __init__(self, terminal, folder, engine):
        self.terminal, self.folder, self.engine = terminal, folder, engine

    def file(self, name):
        with open(os.path.join(self.folder, name)) as file:
            return file.read()

    def await_progress(self, what="engine"):
        self.terminal.await_text("the progress line", PROGRESS + what)

    def await_end(self):
        """Ends the wait for the engine; doctor itself would give up after 5 s."""
        self.terminal.await_condition("the engine is asked", self.engine.held.is_set)
        self.engine.stop()
        self.terminal.await_end()

    def await_children(self):
        """Waits until nvidia-smi and the process that reads NVML hang."""
        def hang():
            lines = self.terminal.processes().values()
            return all(any(word in line for line in lines) for word in ("sleep 1000", "--nvml-probe"))

        self.terminal.await_condition("two children hang", hang)


@contextlib.contextmanager
def doctor(arguments="", hangs=False, redirection="", shell=False, variables=(), **options):
    """Doctor in a terminal. It waits for the engine and, if the GPU hangs, for the GPU."""
    folder = tempfile.mkdtemp()
    if hangs:
        stub(folder, "nvidia-smi", HANGING)
        shutil.copy(os.path.join(BUILT, "libFakeNVML.so"), os.path.join(folder, "libnvidia-ml.so.1"))
        with open(os.path.join(folder, "answers"), "w") as file:
            file.write("init hang\n")
    else:
        # No GPU of this machine's takes part.
        stub(folder, "nvidia-smi", "#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROVIDER_")}
    environment.pop("NO_COLOR", None)
    environment |= {"PATH": folder + ":" + environment["PATH"], "LD_LIBRARY_PATH": folder, "TMPDIR": folder}
    engine = HeldEngine(lists_models=False)
    environment |= {
        "PROVIDER_OLLAMA_URL": engine.url, "PROVIDER_URL": f"http://127.0.0.1:{free_port()}",
        "PROVIDER_SERVER_SOCKET": f"{folder}/fcgi.sock", "PROVIDER_SERVER_SCOREBOARD": f"{folder}/scoreboard",
        "PROVIDER_NGROK_API": f"http://127.0.0.1:{free_port()}", "PROVIDER_GPU_SOURCE": "auto" if hangs else "nvidia-smi",
    }
    environment |= dict(variables)
    with open(os.path.join(folder, "config.yaml"), "w") as file:
        file.write("log: {level: info}\n")
    line = f"{DOCTOR} --config {folder}/config.yaml --site http://127.0.0.1:{free_port()} {arguments} {redirection}"
    line = line.replace("FOLDER", folder)
    command = ["bash", "--norc", "-i"] if shell else ["sh", "-c", "exec " + line]
    terminal = Terminal(command, environment, **{"term": "xterm", **options})
    try:
        if shell:
            terminal.await_text("the shell", PROMPT)
            terminal.type(line + "\n")
        yield Doctor(terminal, folder, engine)
    finally:
        terminal.end()
        shutil.rmtree(folder, ignore_errors=True)


def expect(condition, words, terminal):
    if not condition:
        raise Failure(f"{words}; the screen:\n" + "\n".join(map(repr, terminal.screen()[-30:])))


# --- The progress line and the colours --------------------------------------------------------------


def is_whole(terminal):
    """Whether the screen shows the result alone, from its first line to its last line."""
    screen = [line for line in terminal.screen() if line]
    return PROGRESS not in "\n".join(screen) and screen[0].split()[1] == "config" and LAST_CODE in "\n".join(screen[-3:])


def show(escapes, variables=(), **options):
    """Both outputs are the terminal."""
    start = time.monotonic()
    with doctor(variables=variables, **options) as examined:
        examined.await_progress()
        examined.await_end()
        terminal = examined.terminal
        expect(is_whole(terminal), "not the result alone", terminal)
        expect((ESCAPE in terminal.all) == escapes, f"escape sequences: {not escapes}", terminal)
        if escapes:
            expect(f"{ESCAPE}[1;31mFAIL{ESCAPE}[0m  engine.reachable" in terminal.all, "a failure is not red", terminal)
    return time.monotonic() - start


def pipe_output():
    start = time.monotonic()
    with doctor(redirection=">FOLDER/output") as examined:
        examined.await_progress()
        examined.await_end()
        terminal = examined.terminal
        expect(not any(terminal.screen()), "something is left", terminal)
        output = examined.file("output")
        expect(LAST_CODE in output and ESCAPE not in output and PROGRESS not in output, f"the output is {output}", terminal)
    return time.monotonic() - start


def pipe_errors():
    start = time.monotonic()
    with doctor(redirection="2>FOLDER/errors") as examined:
        examined.await_end()
        terminal = examined.terminal
        expect(is_whole(terminal) and ESCAPE in terminal.all, "no coloured result", terminal)
        expect(examined.file("errors") == "", "a file has a progress line", terminal)
    return time.monotonic() - start


def narrow(width):
    """The progress line never takes a second line."""
    start = time.monotonic()
    with doctor(redirection=">FOLDER/output", width=width) as examined:
        terminal = examined.terminal
        shown = PROGRESS[:width - 1].rstrip()
        terminal.await_condition("the progress line", lambda: shown in terminal.all)
        examined.await_end()
        expect(len(terminal.screen()) == 1, "the line is wrapped", terminal)
        expect(not any(terminal.screen()), "something is left", terminal)
    return time.monotonic() - start


# --- Ways to stop it --------------------------------------------------------------------------------


def interrupt(arguments="", phase=PROGRESS + "engine"):
    with doctor(arguments, hangs=True, shell=True, echoes=True) as examined:
        terminal = examined.terminal
        terminal.await_text("the phase", phase)
        if phase.startswith(PROGRESS):
            examined.await_children()
        terminal.type("\x03")
        seconds = prompt_is_back(terminal)
        expect("looking" not in "".join(terminal.screen()[-12:]), "the progress line is left", terminal)
        expect(any(line.startswith(PROMPT) for line in terminal.screen()[-12:]), "no prompt on a line of its own", terminal)
        left = set(os.listdir(examined.folder)) & {"bundle.tar.gz", "provider-doctor"}
        expect(not left, f"left: {left}", terminal)
        return seconds


def interrupt_bundle():
    return interrupt("--bundle FOLDER/bundle.tar.gz")


def send(number, stops_output=False):
    """The signal ends it as a signal does, and its children too."""
    with doctor("--bundle FOLDER/bundle.tar.gz", hangs=True) as examined:
        terminal = examined.terminal
        examined.await_progress()
        examined.await_children()
        if stops_output:
            # As Ctrl-S does, but at once.
            line = os.open(f"/proc/{terminal.pid}/fd/0", os.O_RDWR | os.O_NOCTTY)
            termios.tcflow(line, termios.TCOOFF)
            os.close(line)
        start = time.monotonic()
        os.kill(terminal.pid, number)
        terminal.await_end()
        status = terminal.status
        expect(os.WIFSIGNALED(status) and os.WTERMSIG(status) == number, f"the status is {status}", terminal)
        nothing_left(terminal)
        expect(not os.path.exists(examined.folder + "/bundle.tar.gz"), "the bundle is left", terminal)
        expect(stops_output or not any(terminal.screen()), "something is left", terminal)
        return time.monotonic() - start


def close_terminal():
    with doctor(hangs=True) as examined:
        examined.await_progress()
        examined.await_children()
        start = time.monotonic()
        examined.terminal.close()
        nothing_left(examined.terminal)
        return time.monotonic() - start


def main():
    checks = [
        ("a terminal: colours, and no progress line is left", lambda: show(True)),
        ("NO_COLOR= (empty): colours", lambda: show(True, {"NO_COLOR": ""})),
        ("NO_COLOR=1: no escape sequence", lambda: show(False, {"NO_COLOR": "1"})),
        ("TERM=dumb: no escape sequence", lambda: show(False, term="dumb")),
        ("output in a file: no colours, a progress line", pipe_output),
        ("errors in a file: colours, no progress line", pipe_errors),
        ("20 columns: the progress line stays one line", lambda: narrow(20)),
        ("5 columns: the progress line stays one line", lambda: narrow(5)),
        ("Ctrl-C while it waits", interrupt),
        ("Ctrl-C while it collects a bundle", interrupt_bundle),
        ("SIGTERM", lambda: send(signal.SIGTERM)),
        ("SIGQUIT", lambda: send(signal.SIGQUIT)),
        ("SIGTERM after Ctrl-S", lambda: send(signal.SIGTERM, stops_output=True)),
        ("closing the terminal", close_terminal),
    ]
    words = sys.argv[1:]
    run([check for check in checks if not words or any(word in check[0] for word in words)])


if __name__ == "__main__":
    main()
