"""A pseudo-terminal, and what the tests that use it share.

Every process inherits a variable of the environment that no other process has: that is how a left process is found.
"""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Our programs pass on variables of this kind alone.
MARK = "LC_TERMINAL_TEST"
PROMPT = "ready-for-a-command> "
# A wait that only ends what has failed already.
PATIENCE = 60


class Failure(Exception):
    pass


class HeldEngine:
    """An engine that lists a model and never ends a completion; or never responds at all."""

    def __init__(self, lists_models=True):
        self.lists_models = lists_models
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.held = threading.Event()
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.respond, args=(connection,), daemon=True).start()

    def stop(self):
        """From now on it refuses connections."""
        for each in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

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

    def __init__(self, command, environment, term="dumb", width=80, echoes=False):
        self.mark = uuid.uuid4().hex
        environment = {**environment, MARK: self.mark, "PS1": PROMPT, "TERM": term}
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            settings = termios.tcgetattr(0)
            settings[3] = settings[3] | termios.ECHO if echoes else settings[3] & ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, settings)
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
            os.chdir(ROOT)
            # As a shell leaves them. This test may have inherited ignored signals.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.execvpe(command[0], command, environment)
        self.width = width
        # The wait status of the leader; None while it runs.
        self.status = None
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        # What has come, and of that what no wait has passed over.
        self.all = self.text = ""

    def read(self, wait):
        if self.master is None or not select.select([self.master], [], [], wait)[0]:
            return
        # Linux responds with EIO once the last process has closed it.
        with contextlib.suppress(OSError):
            piece = self.decoder.decode(os.read(self.master, 65536))
            self.text += piece
            self.all += piece

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

    def await_end(self, limit=PATIENCE):
        """Waits until the leader of the session has ended, and reads the rest."""
        def has_ended():
            number, status = os.waitpid(self.pid, os.WNOHANG)
            if number:
                self.status = status
            return number

        seconds = self.await_condition("the end", has_ended, limit)
        self.read(0.1)
        return seconds

    def screen(self):
        """The lines that a reader sees. Of escape sequences only colours, and bash's marks around a command, are understood."""
        lines, column = [[]], 0
        for character in re.sub("\x1b\\[([0-9;]*m|[?]2004[hl])", "", self.all):
            if character == "\r":
                column = 0
            elif character == "\n":
                lines.append([])
            else:
                if column == self.width:
                    lines.append([])
                    column = 0
                line = lines[-1]
                line.extend(" " * (column + 1 - len(line)))
                line[column] = character
                column += 1
        return ["".join(line).rstrip() for line in lines]

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
                    if f"{MARK}={self.mark}".encode() not in file.read():
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
        # The number of a leader that has been waited for may be another's.
        for number in [*self.processes(), *([self.pid] if self.status is None else [])]:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        if self.status is None:
            os.waitpid(self.pid, 0)
        if self.master is not None:
            os.close(self.master)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def stub(directory, name, text):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o755)


def nothing_left(terminal):
    try:
        terminal.await_condition("a process is left", lambda: not terminal.processes())
    except Failure as failure:
        raise Failure(f"{terminal.processes()}: {failure}") from None


def prompt_is_back(terminal):
    seconds = terminal.await_text("the prompt", PROMPT)
    nothing_left(terminal)
    def obeys():
        # Again: a second Ctrl-C discards what was typed before it.
        terminal.type("echo still $((40 + 2))\n")
        terminal.read(0.2)
        return "still 42" in terminal.text

    terminal.await_condition("the shell obeys", obeys)
    return seconds


def run(checks):
    """Runs checks, which are pairs of a name and a function, and ends this process. A check returns seconds or raises Failure."""
    failed = passed = 0
    for name, check in checks:
        try:
            print(f"ok      {name}: {check():.1f} s", flush=True)
            passed += 1
        except Failure as failure:
            failed += 1
            print(f"FAILED  {name}: {failure}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)
