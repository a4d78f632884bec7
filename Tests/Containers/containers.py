"""The containers that compose.yaml describes, built and run by podman."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from Support.http import completion, curl
from Support.machine import RELEASE, ROOT, wait_for

PODMAN = Path(__file__).resolve().parent / "podman"
PROJECT = "provider-client-test"
BASE = "localhost/provider-client-test-base"


class Containers:
    """Every container shares the network of the sandbox, which is engine and central system. It has no way out."""

    url = "http://127.0.0.1:8080"
    status_url = "http://127.0.0.1:9180"
    report_url = "http://127.0.0.1:8000/sandbox/report"

    def __init__(self, folder):
        self.folder = folder
        self._environment = dict(os.environ, TEST_STORE=str(folder), TEST_NETWORK="none")

    # --- Starting and stopping ------------------------------------------------------------------

    def podman(self, *arguments, timeout=300):
        """Runs podman; the result has its exit status and its output."""
        return subprocess.run(
            [PODMAN, *arguments], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=timeout)

    def import_base(self):
        """Imports a Debian with the packages that the Dockerfile installs, made by mmdebstrap and kept between runs.

        The Dockerfile's `apt-get install` has nothing to fetch then, and fails if a package is missing in its list.
        """
        stage = re.search(r" AS worker\n.*?\nRUN install", (ROOT / "Dockerfile").read_text(), re.S)
        packages = stage and re.search(r"^ *(ca-certificates .*) \\$", stage[0], re.M)
        assert packages, "the Dockerfile's list of packages is not where it was"
        packages = packages[1].replace(" ", ",")
        archive = ROOT / f".build/containers/{packages}.tar"
        if not archive.exists() or archive.stat().st_size == 0:
            archive.parent.mkdir(parents=True, exist_ok=True)
            new = self.folder / "base.tar"
            made = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages},nginx-light", "bookworm", new])
            if made.returncode != 0:
                pytest.skip("mmdebstrap cannot make a Debian here")
            subprocess.run(["mv", new, archive], check=True)
        self._succeed("import", "--quiet", str(archive), BASE)
        first = self.podman("run", "--rm", BASE, "true")
        if first.returncode != 0:
            pytest.skip(f"podman cannot run a container here: {first.stdout.strip().splitlines()[-1]}")

    def start_sandbox(self):
        name = PROJECT + "-sandbox"
        self._succeed(
            "run", "--detach", "--name", name, "--env", "PROVIDER_API_KEY=the-key",
            "--volume", f"{RELEASE}/provider-sandbox:/sandbox:ro", BASE,
            "/sandbox", "--engine-port", "11434", "--central-port", "8000", "--token-delay", "0.02")
        wait_for(lambda: re.search("^ready", self.podman("logs", name).stdout, re.M), says="the sandbox is ready")
        sandbox = self._succeed("inspect", "--format", "{{.State.Pid}}", name).strip()
        self._inside = ["nsenter", f"--net=/proc/{sandbox}/ns/net"]
        self._environment["TEST_NETWORK"] = f"container:{name}"

    def compose(self, *arguments):
        key = self.folder / "api_key"
        if not key.exists():
            key.write_text("the-key\n")
            os.chown(key, 10001, -1)
            key.chmod(0o400)
        result = subprocess.run(
            ["podman-compose", "--podman-path", PODMAN, "--project-name", PROJECT, *arguments], cwd=ROOT, timeout=300,
            env=dict(self._environment, API_KEY_FILE=str(key), CENTRAL_URL="http://127.0.0.1:8000",
                     OLLAMA_URL="http://127.0.0.1:11434"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert result.returncode == 0, result.stdout

    def remove_all(self):
        self.podman("rm", "--all", "--force", "--time", "0")
        self.podman("volume", "rm", "--all", "--force")
        # Layers are mounts and files that only podman removes completely.
        self.podman("rmi", "--all", "--force")
        subprocess.run(["umount", self.folder / "store/overlay"], stderr=subprocess.DEVNULL)

    def _succeed(self, *arguments):
        result = self.podman(*arguments)
        assert result.returncode == 0, result.stdout
        return result.stdout

    # --- Looking at a service of compose.yaml ---------------------------------------------------

    @staticmethod
    def container(service):
        return f"{PROJECT}_{service}_1"

    def inspect(self, service, field):
        return self._succeed("inspect", "--format", "{{.State.%s}}" % field, self.container(service)).strip()

    def pid(self, service):
        return int(self.inspect(service, "Pid"))

    def logs(self, service):
        return self.podman("logs", self.container(service)).stdout

    def execute(self, service, *command, user=None):
        """Runs a command in the container, as the service's own user or another."""
        return self.podman("exec", *(["--user", user] if user else []), self.container(service), *command)

    def is_healthy(self, timeout=300):
        """By the image's own check."""
        try:
            return self.podman("healthcheck", "run", self.container("worker"), timeout=timeout).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    # --- Requests -------------------------------------------------------------------------------

    def curl(self, *options):
        """In the containers' network."""
        return curl(*options, inside=self._inside)

    def complete(self, tokens, *options):
        return completion(self.url, tokens, *options, inside=self._inside, model="sandbox:latest")
