"""An installation without a GPU, an engine or a key."""

from Support.machine import wait_for

from provider import CONFIG, KEY, SOCKET


def test_apt_installs_the_package(provider):
    provider.install("current")


def test_two_workers_run(provider):
    wait_for(provider.both_active)


def test_the_socket_is_for_nginx_alone(debian):
    assert debian.stat(SOCKET) == "660 root:www-data"


def test_the_configuration_is_for_root_and_the_service_alone(debian):
    assert debian.stat(CONFIG) == "640 root:provider-client"


def test_both_timers_are_listed(debian):
    timers = debian.do("systemctl", "list-timers", "--all", "--no-pager")
    assert "provider-reporter.timer" in timers
    assert "provider-reporter-boot.timer" in timers


def test_the_log_says_how_to_write_the_key(debian):
    debian.await_log("provider-fcgi@1", f"install -D -m 600 /dev/stdin {KEY}")


def test_the_log_says_that_anyone_who_reaches_nginx_can_use_the_gpu(debian):
    assert debian.log_lines("provider-fcgi@1", "provider.hmac is optional")
