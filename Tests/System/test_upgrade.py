"""Upgrades from the previous version, which had its configuration as a conffile."""

from types import SimpleNamespace

import pytest
from Support.machine import wait_for

from provider import CONFIG, FOREIGN_SITE, KEY, RESTART, SITE, lost_nothing

STATE = f"stat -c '%a %U:%G' {CONFIG} {KEY} && cat {CONFIG} {KEY} && readlink {SITE}"


def test_an_upgrade_replaces_a_configuration_that_nobody_has_edited(absent, provider, debian):
    provider.install("previous")
    provider.install("current")
    debian.do("cmp", CONFIG, "/usr/share/provider-client/config.yaml")
    assert debian.stat(CONFIG) == "640 root:provider-client"
    provider.purge()


@pytest.fixture(scope="module")
def upgrade(absent, provider, debian):
    """The upgrade of an edited installation, under load; and what was there before it."""
    if provider.is_installed():
        provider.purge()
    provider.install("previous")
    provider.configure("the-key")
    debian.do("sh", "-c", f"chown provider-client: {CONFIG} && chmod 0600 {CONFIG} && echo '# Mine.' >>{CONFIG}")
    provider.rolling_restart()
    provider.enable_site()
    debian.do("rm", SITE)
    provider.add_foreign_site("snippets/provider-locations[.]conf")
    provider.await_foreign("/previous", 204)
    provider.enable_site()
    state, pids = debian.do("sh", "-c", STATE), provider.pids()
    load = provider.load("--short", "500", "--long", "40", "--long-parallel", "20", "--long-tokens", "80", endless=True)
    load.wait_for(100)
    provider.install("current")
    yield SimpleNamespace(load=load, state=state, pids=pids)
    debian.do("rm", FOREIGN_SITE)


def test_apt_upgrades_from_the_previous_version_under_load(upgrade, debian, version):
    assert debian.do("dpkg-query", "--show", "--showformat", "${Version}", "provider-client") == version


def test_nginx_takes_up_the_changed_include_in_a_foreign_site(upgrade, provider):
    provider.await_foreign("/previous", 404)


def test_both_workers_come_to_run_the_new_version(upgrade, provider):
    wait_for(lambda: provider.are_new(upgrade.pids), 60)


def test_the_rolling_restart_ends(upgrade, debian):
    wait_for(lambda: debian.is_state(RESTART, "inactive"), 60)


def test_an_upgrade_loses_no_request(upgrade):
    assert lost_nothing(upgrade.load.end(), short=500, long=40)


def test_the_configuration_the_key_and_the_site_stay_with_owner_and_mode(upgrade, debian):
    assert debian.do("sh", "-c", STATE) == upgrade.state


def test_both_workers_are_ready(upgrade, provider):
    assert provider.both_ready()
