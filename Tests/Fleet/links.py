"""TLS with client certificates between the machines, by the commands and lines that docs/FLEET.md has."""

import re
import shutil
import subprocess

from Support.machine import ROOT, wait_for


class Links:
    def __init__(self, fleet, folder):
        self._public = fleet.public
        self._keys = folder / "keys"
        self._keys.mkdir()
        commands = documented("openssl req -x509")
        subprocess.run(["bash", "-euc", commands], cwd=self._keys, check=True, capture_output=True)

    def status(self, machine, certificate_of=None):
        """The status of a request to one machine, with the certificate of another machine or none."""
        options = ["--cert", self._keys / f"{certificate_of}.pem", "--key", self._keys / f"{certificate_of}.key"]
        return self._public.curl(
            "--cacert", self._keys / "ca.pem", "--connect-to", f"machine.fleet:8443:{machine.address}:8443",
            *(options if certificate_of else []), "https://machine.fleet:8443/busy").status

    def protect_machine(self, machine):
        prefix = machine.folder / "nginx"
        self._install_certificate(machine, prefix)
        lines = documented("listen 8443 ssl;").replace("/etc/nginx/", f"{prefix}/")
        site, count = re.subn(r"^.*listen 10\.77\.0\.\d:8080;.*$", lambda _: lines, machine.site.read_text(), flags=re.M)
        assert count == 1
        machine.site.write_text(site)
        machine.reload_nginx()
        wait_for(lambda: self.status(machine) == 400, says=f"{machine.name} speaks TLS")

    def protect_public(self):
        folder = self._public.folder
        self._install_certificate(self._public, folder)
        lines = documented("proxy_ssl_certificate ").replace("/etc/nginx/", f"{folder}/")
        configuration = (folder / "fleet.conf").read_text()
        configuration = re.sub(r"(server 10\.[\d.]+):8080", r"\1:8443", configuration)
        configuration, count = re.subn(
            r"^.*proxy_pass http://(.*)$", lambda match: match[0].replace("http:", "https:") + "\n" + lines,
            configuration, flags=re.M)
        assert count == 1
        (folder / "fleet.conf").write_text(configuration)
        self._public.run("nginx", "-t", "-q", *self._public.nginx_options)
        self._public.reload_nginx()
        wait_for(self._reaches_machines, says="the public nginx speaks TLS to the machines")

    def _install_certificate(self, host, folder):
        for source, target in [("ca.pem", "ca.pem"), (f"{host.name}.pem", "link.pem"), (f"{host.name}.key", "link.key")]:
            shutil.copy(self._keys / source, folder / target)

    def _reaches_machines(self):
        # An old process of nginx may still respond, without TLS.
        self._public.curl(self._public.url + "/busy")
        return re.search(r'"path":"/busy","status":"200".*8443', self._public.access_log)


def documented(beginning):
    """The block of docs/FLEET.md that begins with this text, without its indentation."""
    lines = (ROOT / "docs/FLEET.md").read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("    " + beginning)]
    assert len(starts) == 1, f"docs/FLEET.md has {len(starts)} lines that begin with {beginning!r}"
    block = []
    for line in lines[starts[0]:]:
        if line and not line.startswith("    "):
            break
        block.append(line[4:])
    return "\n".join(block) + "\n"
