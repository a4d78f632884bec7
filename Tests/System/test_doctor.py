"""`provider-reporter doctor` on an installed machine: healthy, with the faults that only systemd and the package show, and its bundle."""

import json
import os
import re
from contextlib import contextmanager

import pytest
from Support.machine import wait_for

from provider import CONFIG, KEY, SOCKET

pytestmark = pytest.mark.usefixtures("delivered")

TIMER = "provider-reporter.timer"
WORKER_SNIPPET = "/etc/nginx/snippets/provider-worker.conf"
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
BUNDLE = "/root/provider.tar.gz"


@pytest.fixture(scope="module")
def delivered(serving, debian):
    """The last report was delivered."""
    debian.do("systemctl", "start", "provider-reporter.service")


@contextmanager
def undone(debian, *command):
    """Runs a command at the end of the `with`, which undoes what was done before."""
    try:
        yield
    finally:
        debian.do(*command)


@contextmanager
def stopped(debian, unit):
    debian.do("systemctl", "stop", unit)
    with undone(debian, "systemctl", "start", unit):
        yield


@contextmanager
def refused_key(provider, debian):
    provider.configure("not-the-key")
    try:
        assert not debian.succeeds("systemctl", "start", "provider-reporter.service")
        yield
    finally:
        provider.configure("the-key")
        debian.do("systemctl", "start", "provider-reporter.service")


# --- A healthy machine ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def healthy(delivered, provider):
    return provider.doctor("--probe")


def test_a_healthy_machine_has_no_trouble(healthy):
    assert healthy.trouble == {}
    assert healthy.status("engine.completion") == "ok"
    assert healthy.status("central.key") == "ok"


def test_the_exit_status_is_0(debian):
    assert debian.succeeds("provider-reporter", "doctor")


def test_the_units_are_counted(healthy):
    assert healthy.saw("worker.running") == "a worker responds; 2 units active"


def test_the_socket_has_the_packages_mode_and_group(healthy):
    assert healthy.saw("worker.socket") == f"{SOCKET}, mode 0660, group www-data"


def test_nginxs_files_are_read(healthy):
    assert "its limits agree with the worker's" in healthy.saw("nginx.site")


def test_the_next_run_is_told_from_now_on(healthy):
    match = re.fullmatch(rf"{TIMER} is active, next run in (?:(\d) min)?(?: ?(\d+) s)?", healthy.saw("report.timer"))
    assert match and int(match[1] or 0) * 60 + int(match[2] or 0) <= 300


def test_the_last_report_was_accepted(healthy):
    assert re.fullmatch(r"accepted (\d+ min )?\d+ (min|s) ago", healthy.saw("report.last"))


def test_a_timer_for_fixed_times_has_a_next_run(provider, debian):
    with undone(debian, "systemctl", "restart", TIMER):
        with debian.drop_in(TIMER, "[Timer]\nOnUnitActiveSec=\nOnCalendar=*:0/3\n"):
            debian.do("systemctl", "restart", TIMER)
            found = provider.doctor()
    # Soon after boot the boot timer's run is the next.
    assert re.search(r"next run (in \d+ s or )?at \w+ \d{4}-\d\d-\d\d \d\d:\d\d:00 UTC$", found.saw("report.timer"))


# --- Faults: each has one line ----------------------------------------------------------------------


def test_a_stopped_timer(provider, debian):
    with stopped(debian, TIMER):
        found = provider.doctor()
    assert found.trouble == {"report.timer": "warn"}


def test_stopped_units_and_the_command_that_starts_them(provider, debian):
    with stopped(debian, "provider-fcgi"):
        # The command does not wait for the units that stop with it.
        wait_for(lambda: debian.is_state("provider-fcgi.socket", "inactive"))
        found = provider.doctor()
        assert found.trouble == {"worker.socket": "fail"}
        debian.do("sh", "-c", found.fix("worker.socket"))
        wait_for(lambda: provider.doctor().trouble == {})


def test_workers_that_are_stuck(provider, debian):
    pids = provider.pids()
    debian.do("kill", "-STOP", *pids)
    with undone(debian, "kill", "-CONT", *pids):
        found = provider.doctor()
    assert found.trouble == {"worker.running": "fail"}
    assert "no response within 5 s; 2 units active" in found.saw("worker.running")


def test_workers_of_which_one_has_failed(provider, debian):
    with undone(debian, "systemctl", "restart", "provider-fcgi@2"):
        with debian.drop_in("provider-fcgi@2.service", "[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n"):
            debian.succeeds("systemctl", "restart", "provider-fcgi@2")
            found = provider.doctor()
    assert found.trouble == {}
    assert found.saw("worker.running") == "a worker responds; 1 unit active, 1 failed"


def test_a_stopped_nginx(provider, debian):
    with stopped(debian, "nginx"):
        found = provider.doctor()
        assert not debian.succeeds("provider-reporter", "doctor")
    assert found.trouble == {"nginx.site": "fail"}
    assert found.fix("nginx.site").startswith("systemctl start nginx")


def test_a_refused_key(provider, debian):
    with refused_key(provider, debian):
        found = provider.doctor()
    assert found.trouble == {"central.key": "fail", "report.last": "warn"}
    assert KEY in found.fix("central.key")


def test_a_key_that_every_user_can_read(provider, debian):
    debian.do("chmod", "644", KEY)
    with undone(debian, "chmod", "600", KEY):
        found = provider.doctor()
    assert found.trouble == {"config": "warn"}


def test_a_broken_configuration(provider, debian):
    good = provider.config
    provider.config = "server: [\n"
    try:
        found = provider.doctor()
        status = debian.ask("sh", "-c", "provider-reporter doctor >/dev/null; echo $?")
    finally:
        provider.config = good
    assert found.trouble == {"config": "fail"}
    assert CONFIG in found.saw("config")
    assert status == "78"


def test_another_limit_in_the_packages_file(provider, debian):
    debian.do("sed", "-i", "s/client_max_body_size 32m;/client_max_body_size 16m;/", WORKER_SNIPPET)
    with undone(debian, "sed", "-i", "s/client_max_body_size 16m;/client_max_body_size 32m;/", WORKER_SNIPPET):
        found = provider.doctor()
    assert found.trouble == {"nginx.site": "warn"}
    assert WORKER_SNIPPET in found.saw("nginx.site")


def test_another_limit_in_a_site_of_the_operators(provider, debian):
    site = "/etc/nginx/sites-enabled/mine"
    debian.write(site, "server { listen 127.0.0.1:8082; location = /busy {\n"
                       f"client_max_body_size 1m; fastcgi_pass unix:{SOCKET}; }} }}\n")
    with undone(debian, "rm", site):
        found = provider.doctor()
    assert found.trouble == {"nginx.site": "warn"}
    assert f"1048576 bytes ({site}:2)" in found.saw("nginx.site")


def test_a_site_without_limits_has_nginxs(provider, debian):
    site = "/etc/nginx/sites-enabled/mine"
    debian.write(site, f"server {{ listen 127.0.0.1:8082; location = /busy {{ fastcgi_pass unix:{SOCKET}; }} }}\n")
    with undone(debian, "rm", site):
        found = provider.doctor()
    assert found.trouble == {"nginx.site": "warn"}
    assert "1048576 bytes (nginx's defaults)" in found.saw("nginx.site")


def test_a_file_that_nginx_refuses(provider, debian):
    """The nginx that runs goes on; its next start would fail."""
    site = "/etc/nginx/sites-enabled/mine"
    debian.write(site, "unheard_of on;\n")
    with undone(debian, "rm", site):
        found = provider.doctor()
    assert found.trouble == {"nginx.site": "warn"}
    assert f'unknown directive "unheard_of" in {site}:1' in found.saw("nginx.site")


def test_all_is_well_again(provider):
    wait_for(provider.both_active)
    wait_for(lambda: provider.doctor().trouble == {})


# --- An ordinary user -------------------------------------------------------------------------------


def test_a_user_who_may_not_read_the_configuration_is_told_to_be_root(provider):
    found = provider.doctor(user=NOBODY)
    assert found.trouble == {"config": "fail"}
    assert "Permission denied" in found.saw("config")
    assert found.fix("config") == "run doctor as root"


def test_a_user_is_told_what_takes_more_rights(provider):
    variables = ["env", "PROVIDER_URL=http://127.0.0.1:8000", "PROVIDER_CONFIG=/usr/share/provider-client/config.yaml"]
    found = provider.doctor(user=NOBODY + variables)
    assert found.trouble == {}
    for code, file in ("central.key", KEY), ("report.last", "/run/provider-client/report.json"):
        assert found.status(code) == "skip"
        assert found.saw(code) == f"this user may not read {file}: run doctor as root"
    assert found.saw("worker.running") == "a worker responds through nginx; 2 units active"
    assert "nginx -T needs root" in found.saw("nginx.site")


# --- The bundle -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(delivered, provider, debian):
    """The bundle's files, by name."""
    # Their lines have identifiers.
    assert provider.streams(3, "--header", "X-Inferoute-HMAC: sandbox-of-the-bundle")
    listed = debian.do("provider-reporter", "doctor", "--probe", "--bundle", BUNDLE).partition(f"{BUNDLE}:\n")[2].split()
    assert debian.stat(BUNDLE) == "600 root:root"
    assert not debian.succeeds("provider-reporter", "doctor", "--bundle", BUNDLE), "a bundle was overwritten"
    names = [name for name in debian.do("tar", "--list", "--gzip", "--file", BUNDLE).split() if not name.endswith("/")]
    assert sorted(names) == sorted(listed)
    read = ["tar", "--extract", "--to-stdout", "--gzip", "--file", BUNDLE]
    yield {os.path.basename(name): debian.do(*read, name) for name in names}
    debian.do("rm", BUNDLE)


def test_the_bundle_has_doctors_result_and_the_status(bundle):
    assert {check["code"] for check in json.loads(bundle["doctor.json"])["checks"]} >= {"config", "report.last"}
    assert json.loads(bundle["status.json"])["headline"]["state"] == "accepting"


def test_the_bundle_has_the_versions(bundle, version):
    assert f"provider-client {version}\n" in bundle["versions.txt"]
    assert "nginx: nginx version: nginx/" in bundle["versions.txt"]
    assert re.search(r"^systemctl: systemd \d+", bundle["versions.txt"], re.M)


def test_the_bundle_has_the_configuration_without_the_key(bundle):
    assert "api_key: <redacted>\n" in bundle["configuration.yaml"]
    assert "max_in_flight: 512\n" in bundle["configuration.yaml"]


def test_the_bundle_has_the_log_of_both_programs_without_identifiers(bundle):
    assert re.search(r"provider-reporter\[\d+\]: report delivered", bundle["log.txt"])
    assert re.search(r"provider-fcgi\[\d+\]: request .* id=<redacted> .* path=/v1/chat/completions", bundle["log.txt"])
    assert not re.search(r"[0-9a-f]{16}", bundle["log.txt"])


def test_the_bundle_has_no_secret(bundle):
    for name, text in bundle.items():
        assert "the-key" not in text, name
        assert "sandbox-of-the-bundle" not in text, name


def test_nothing_else_is_left(bundle, debian):
    assert "provider-doctor" not in debian.ask("ls", "/tmp")
