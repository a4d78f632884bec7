"""What both purges show, each with another way to include the endpoints in the operator's own site."""

import difflib

from provider import FOREIGN_SITE, SITE


def purge(provider, include):
    """Purges the package while the operator's own site includes the endpoints; returns what apt prints."""
    debian = provider.debian
    # Or its absence later would show nothing.
    assert "/usr/bin/provider-fcgi" in debian.snapshot()
    provider.add_foreign_site(include)
    provider.await_foreign("/busy", 200)
    debian.do("ln", "-s", "../sites-available/provider-client", "/etc/nginx/sites-enabled/another-name")
    debian.do("rm", "-f", SITE)
    return provider.purge()


def remove_foreign_site(debian):
    debian.do("rm", FOREIGN_SITE)
    debian.do("systemctl", "reload", "nginx")


def left_by_purge(debian):
    """What is on the machine that was not there before the installation, and the other way round."""
    return list(difflib.unified_diff(debian.before, debian.snapshot(), "before", "after", n=0, lineterm=""))


def units(debian):
    return debian.ask("systemctl", "list-units", "--all", "--no-legend", "provider-*")


def nginx_is_well(debian):
    return debian.is_state("nginx", "active") and debian.succeeds("nginx", "-t", "-q")
