"""nginx in a separate group, as in nginx.org's package."""

import pytest
from Support.machine import wait_for

NGINX = "/etc/nginx/nginx.conf"


@pytest.fixture(scope="module", autouse=True)
def other_group(serving, provider, debian):
    debian.do("sed", "-i", "s/^user www-data;/user nobody nogroup;/", NGINX)
    debian.do("systemctl", "restart", "nginx")
    yield
    debian.do("sed", "-i", "s/^user nobody nogroup;/user www-data;/", NGINX)
    debian.do("systemctl", "restart", "provider-fcgi", "nginx")
    wait_for(lambda: provider.responds(200), says="nginx in its usual group serves")


def test_nginx_in_another_group_is_refused(provider):
    wait_for(lambda: provider.responds(503))


def test_the_log_of_nginx_says_why(debian):
    wait_for(lambda: "fcgi.sock failed (13: Permission denied)" in debian.ask("cat", "/var/log/nginx/error.log"))


def test_the_documented_drop_in_lets_nginx_in(provider, debian):
    with debian.drop_in("provider-fcgi.socket", "[Socket]\nSocketGroup=nogroup\n"):
        debian.do("systemctl", "restart", "provider-fcgi")
        wait_for(lambda: provider.responds(200))
