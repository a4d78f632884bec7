"""The package on a machine, as its operator and its clients see it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from Support import http
from Support.machine import wait_for

CONFIG = "/etc/provider-client/config.yaml"
KEY = "/etc/provider-client/api_key"
SOCKET = "/run/provider-client/fcgi.sock"
URL = "http://127.0.0.1:8080"
RESTART = "provider-fcgi-rolling-restart"
SITE = "/etc/nginx/sites-enabled/provider-client"
FOREIGN_SITE = "/etc/nginx/sites-enabled/foreign"
MISTAKE = CONFIG + ":[0-9]*: not valid YAML"


class Load:
    """load.py in the machine's network, in the background."""

    def __init__(self, debian, *options, endless):
        name = f"load-{os.urandom(4).hex()}"
        self._log = debian.folder / name
        self._progress = debian.folder / f"{name}.progress"
        self._stop = debian.folder / f"{name}.stop"
        self._progress.touch()
        options = [*options, "--progress", self._progress, *(["--until", self._stop] if endless else [])]
        self._process = debian.processes.start(
            *debian.network, sys.executable, Path(__file__).with_name("load.py"), *options, log=self._log)

    def wait_for(self, responses):
        """Waits until `responses` responses have begun; what a test does next happens under load."""
        wait_for(lambda: self._progress.stat().st_size >= responses, 30,
                 lambda: f"{responses} responses have begun\n" + self._log.read_text(), self._process)

    def end(self):
        """Lets the load end, and returns its counts: `short`, `long`, `failed`, and all it printed as `text`."""
        self._stop.touch()
        self._process.wait(300)
        text = self._log.read_text()
        print(text)
        return {**{name: int(count) for name, count in re.findall(r"\b(\w+)=(\d+)", text)}, "text": text}


def lost_nothing(counts, short, long):
    """Whether at least `short` short and `long` long requests were served, and none failed."""
    return counts["failed"] == 0 and counts["short"] >= short and counts["long"] >= long


class Diagnosis:
    """What doctor found."""

    def __init__(self, report):
        self._checks = {check["code"]: check for check in report["checks"]}
        # pytest shows it when a test fails.
        for check in report["checks"]:
            print(*(check[key] for key in ("status", "code", "saw", "fix")), sep="  ")

    def status(self, code):
        return self._checks[code]["status"]

    def saw(self, code):
        return self._checks[code]["saw"]

    def fix(self, code):
        return self._checks[code]["fix"]

    @property
    def trouble(self):
        """The codes that are neither ok nor skipped, each with its status."""
        return {code: check["status"] for code, check in self._checks.items() if check["status"] not in ("ok", "skip")}


class Provider:
    def __init__(self, debian):
        self.debian = debian

    # --- Its clients --------------------------------------------------------------------------------

    def curl(self, *options):
        return http.curl(*options, inside=self.debian.network)

    def complete(self, tokens, *options):
        return http.completion(URL, tokens, *options, inside=self.debian.network)

    def responds(self, status, *options):
        return self.complete(1, *options).status == status

    def all_respond(self, status):
        """Whether both workers respond so: eight requests in a row do not all reach one worker."""
        return all(self.responds(status) for _ in range(8))

    def streams(self, tokens, *options):
        return self.complete(tokens, *options).has_streamed(tokens)

    def load(self, *options, endless=False):
        """Starts a load that ends by itself or, where it is endless, when it is told to."""
        return Load(self.debian, *options, endless=endless)

    def report_has_arrived(self):
        return '"object":"list"' in self.curl("--fail", "http://127.0.0.1:8000/sandbox/report").text

    # --- Workers ------------------------------------------------------------------------------------

    def pid(self, worker):
        return int(self.debian.property(f"provider-fcgi@{worker}", "MainPID"))

    def pids(self):
        return [self.pid(1), self.pid(2)]

    def restarts(self, worker):
        return int(self.debian.property(f"provider-fcgi@{worker}", "NRestarts"))

    def both_active(self):
        return all(self.debian.is_state(f"provider-fcgi@{worker}", "active") for worker in (1, 2))

    def both_ready(self):
        return self.both_active() and self.responds(200)

    def are_new(self, old):
        """Whether both workers run, none of them with an old process, and with the program that is on disk."""
        pids = self.pids()
        return self.both_active() and not set(pids) & set(old) and all(
            self.debian.ask("readlink", f"/proc/{pid}/exe") == "/usr/bin/provider-fcgi" for pid in pids)

    def both_have_logged(self, pattern):
        return all(self.debian.log_lines(f"provider-fcgi@{worker}", pattern) for worker in (1, 2))

    def in_flight(self, pid):
        """Requests that a worker is at: nginx opens a connection for each, and keeps none."""
        lines = self.debian.ask("ss", "-Hxp", "state", "established").splitlines()
        return sum(SOCKET in line and f"pid={pid}," in line for line in lines)

    # --- What its operator does ---------------------------------------------------------------------

    def install(self, deb):
        """Installs a package; dpkg asks no question, so none is answered."""
        self.debian.do("apt-get", "install", "--quiet", "--yes", f"/opt/debs/{deb}.deb")

    def is_installed(self):
        return Path(self.debian.folder, "tree/usr/bin/provider-fcgi").exists()

    def purge(self):
        return self.debian.do("apt-get", "purge", "--quiet", "--yes", "provider-client")

    def configure(self, key):
        """What the README says, and limits that leave room for the load."""
        self.debian.do("install", "-D", "-m", "600", "/dev/stdin", KEY, input=key + "\n")
        self.debian.do("sed", "-i", "-e", "s|^  url: http://localhost:80$|  url: http://127.0.0.1:8000|",
                       "-e", "s|^  max_in_flight: 64$|  max_in_flight: 512|", CONFIG)
        # The installed file is short.
        if "\nserver:" not in self.config:
            self.config += "server:\n  max_in_flight: 512\n  max_body_bytes: 33554432\n"

    @property
    def config(self):
        return self.debian.do("cat", CONFIG)

    @config.setter
    def config(self, text):
        self.debian.write(CONFIG, text)

    def set_max_body(self, bytes):
        self.debian.do("sed", "-i", f"s|^  max_body_bytes: .*|  max_body_bytes: {bytes}|", CONFIG)

    def rolling_restart(self):
        self.debian.do("systemctl", "start", RESTART)

    def enable_site(self):
        self.debian.do("sh", "-c", f"ln -s ../sites-available/provider-client {SITE} && nginx -t -q && systemctl reload nginx")
        wait_for(lambda: self.responds(200), says="the site serves")

    def add_foreign_site(self, include):
        """The operator's own server block with the endpoints, on port 8081."""
        self.debian.write(FOREIGN_SITE, f"server {{\n    listen 127.0.0.1:8081;\n    include {include};\n}}\n")
        self.debian.do("systemctl", "reload", "nginx")

    def await_foreign(self, path, status):
        wait_for(lambda: self.curl(f"http://127.0.0.1:8081{path}").status == status,
                 says=f"the foreign site responds with {status} to {path}")

    def doctor(self, *options, user=()):
        """Runs doctor. `user` is the beginning of a command that runs the rest as another user."""
        return Diagnosis(json.loads(self.debian.ask(*user, "provider-reporter", "doctor", "--json", *options)))

    def status_text(self, worker):
        """What `systemctl status` says of a worker, in the worker's words."""
        return self.debian.property(f"provider-fcgi@{worker}", "StatusText")
