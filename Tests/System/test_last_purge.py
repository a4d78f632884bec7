"""A purge while the operator's own site has a plain include: nginx does not start without the file."""

import pytest

import purging


@pytest.fixture(scope="module")
def output(serving, provider):
    return purging.purge(provider, "snippets/provider-locations.conf")


def test_apt_purge_names_the_line_that_still_refers_to_the_package(output):
    assert "/etc/nginx/sites-enabled/foreign:3:" in output


def test_apt_purge_says_that_nginx_does_not_start_again(output):
    assert "nginx will neither reload nor start" in output


def test_a_purge_leaves_nothing(output, debian):
    purging.remove_foreign_site(debian)
    assert purging.left_by_purge(debian) == []


def test_a_purge_leaves_no_unit(output, debian):
    assert purging.units(debian) == ""


def test_nginx_serves_on(output, debian):
    assert purging.nginx_is_well(debian)
