"""A purge while the operator's own site has the documented include, which may find no file."""

import pytest

import purging

pytestmark = pytest.mark.usefixtures("serving")


def test_a_third_worker_is_one_command(debian):
    debian.do("systemctl", "enable", "--now", "provider-fcgi@3")
    assert debian.is_state("provider-fcgi@3", "active")


def test_no_key_is_in_the_journal(debian):
    journal = debian.do("journalctl", "--no-pager")
    assert "the-key" not in journal


@pytest.fixture(scope="module")
def output(serving, provider):
    return purging.purge(provider, "snippets/provider-locations[.]conf")


def test_apt_purge_names_the_line_that_still_refers_to_the_package(output):
    assert "/etc/nginx/sites-enabled/foreign:3:" in output


def test_nginx_starts_again_without_the_endpoints(output, provider, debian):
    debian.do("systemctl", "restart", "nginx")
    provider.await_foreign("/busy", 404)


def test_a_purge_leaves_nothing(output, debian):
    purging.remove_foreign_site(debian)
    assert purging.left_by_purge(debian) == []


def test_a_purge_leaves_no_unit(output, debian):
    assert purging.units(debian) == ""


def test_nginx_serves_on(output, debian):
    assert purging.nginx_is_well(debian)
