"""The hosts of the fleet, and the commands that start them, change them and take their power."""

import os
import re
import subprocess

from Support.http import curl
from Support.machine import RELEASE, ROOT, start_sandbox, wait_for

GPU = """<?xml version="1.0" ?>
<nvidia_smi_log>
<driver_version>550.54.14</driver_version><cuda_version>12.4</cuda_version><attached_gpus>1</attached_gpus>
<gpu id="00000000:01:00.0"><product_name>NVIDIA Test 4000</product_name>
<uuid>GPU-00000000-1111-2222-3333-444444444444</uuid>
<fb_memory_usage><total>24564 MiB</total><reserved>452 MiB</reserved><used>4 MiB</used><free>24108 MiB</free></fb_memory_usage>
<utilization><gpu_util>%d %%</gpu_util></utilization></gpu>
</nvidia_smi_log>
"""

PUBLIC_NGINX = """daemon off;
user root;
worker_processes 2;
pid {0}/nginx.pid;
error_log {0}/error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;
    include fleet.conf;
}}
"""


class Host:
    """A network namespace, a folder with the host's files, and its processes."""

    def __init__(self, name, address, folder, processes):
        self.name, self.address = name, address
        self.namespace = f"{folder.name}-{name}"
        self.inside = ["ip", "netns", "exec", self.namespace]
        self.folder = folder / name
        self.folder.mkdir()
        self._processes, self._own = processes, []

    def run(self, *command):
        subprocess.run([*self.inside, *command], check=True)

    def start(self, name, *command, **options):
        self._own.append(self._processes.start(*self.inside, *command, log=self.folder / f"{name}.log", **options))

    def start_nginx(self, prefix):
        self._prefix = prefix
        self.start("nginx", "nginx", *self.nginx_options)

    @property
    def nginx_options(self):
        return ["-e", "stderr", "-p", self._prefix, "-c", self._prefix / "nginx.conf"]

    def reload_nginx(self):
        self.run("kill", "-HUP", (self._prefix / "nginx.pid").read_text().strip())

    def lose_power(self):
        """Kills every process at once; none says goodbye."""
        while self._own:
            self._processes.kill(self._own.pop())


class Machine(Host):
    """A provider: nginx, the worker, an engine and a GPU with a utilization that the test sets."""

    @property
    def site(self):
        return self.folder / "nginx/sites-enabled/provider.conf"

    def boot(self):
        nvidia_smi, socket = self.folder / "nvidia-smi", self.folder / "fcgi.sock"
        nvidia_smi.write_text('#!/bin/sh\nexec cat "${0%/*}/gpu.xml"\n')
        nvidia_smi.chmod(0o755)
        self.set_utilization(0)
        # A prompt of 10,000 bytes is slow: two seconds pass before its response begins.
        self._own.append(start_sandbox(
            self._processes, self.folder / "sandbox.log", "--serve", "engine", "--engine-port", "11434", "--model", "m",
            "--prompt-delay", "0.2", "--engine-log", self.folder / "engine", inside=self.inside))
        subprocess.run([ROOT / "scripts/nginx-prefix", self.folder / "nginx", "8080", socket], check=True)
        # docs/FLEET.md: the site listens on the address in the private network and believes the public machine.
        site = self.site.read_text()
        for shipped, other in [("listen 127.0.0.1:8080;", f"listen {self.address}:8080;"),
                               ("server_name _;", "server_name _; set_real_ip_from 10.77.0.254;")]:
            assert shipped in site
            site = site.replace(shipped, other)
        self.site.write_text(site)
        configuration = self.folder / "config.yaml"
        configuration.write_text("# Every key has its default; the environment sets the rest.\n")
        self.start("worker", RELEASE / "provider-fcgi", env=dict(
            os.environ, PROVIDER_CONFIG=str(configuration), PROVIDER_SERVER_SOCKET=str(socket),
            PROVIDER_GPU_NVIDIA_SMI=str(nvidia_smi), PROVIDER_GPU_SAMPLE_INTERVAL="0.1"))
        self.start_nginx(self.folder / "nginx")
        self.wait_until_busy(False)

    def set_utilization(self, percent):
        new = self.folder / "gpu.new"
        new.write_text(GPU % percent)
        new.rename(self.folder / "gpu.xml")

    def wait_until_busy(self, busy):
        def is_so():
            response = curl(f"http://{self.address}:8080/busy", inside=self.inside)
            return response.status == 200 and f'"busy":{str(busy).lower()}' in response.text

        wait_for(is_so, says=f"{self.name} is {'busy' if busy else 'free'}")

    def engine_events(self):
        """What the engine's log has: (event, response, request)."""
        return [tuple(line.split()) for line in (self.folder / "engine").read_text().splitlines()]


class Public(Host):
    """The machine in front, with nginx/fleet.conf."""

    url = "http://127.0.0.1:8080"

    def boot(self):
        (self.folder / "temp").mkdir()
        text = (ROOT / "nginx/fleet.conf").read_text().replace("/var/log/nginx/", f"{self.folder}/")
        (self.folder / "fleet.conf").write_text(text)
        (self.folder / "nginx.conf").write_text(PUBLIC_NGINX.format(self.folder))
        self.start_nginx(self.folder)
        wait_for(lambda: self.curl(self.url + "/busy").status == 200, says="the public nginx responds")

    def curl(self, *options):
        return curl(*options, inside=self.inside)

    @property
    def access_log(self):
        return (self.folder / "provider-fleet.access.log").read_text()


class Fleet:
    def __init__(self, folder, processes):
        self.public = Public("public", "10.77.0.254", folder, processes)
        self.machines = [Machine(f"m{number}", f"10.77.0.{number}", folder, processes) for number in (1, 2, 3)]
        self.hosts = [self.public, *self.machines]

    def executed(self, request):
        """The machines with an engine that got a request, once for each request, in the order of their names."""
        return [machine.name for machine in self.machines
                for event, _, user in machine.engine_events() if (event, user) == ("begun", request)]

    def writers(self, request, response):
        """The machines with an engine that wrote parts of the response to a request."""
        parts = set(re.findall(r'"id":"(chatcmpl-\d+)"', response.text))
        return [machine.name for machine in self.machines for part in parts
                if ("responded", part, request) in machine.engine_events()]
