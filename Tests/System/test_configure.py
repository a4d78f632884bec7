"""A key, the site, and the first completions."""

from provider import KEY


def test_the_documented_restart_takes_up_the_key(provider):
    provider.configure("the-key")
    provider.rolling_restart()


def test_the_reporter_has_the_key_when_root_runs_it(debian):
    output = debian.do("sh", "-c", "provider-reporter --dry-run 2>&1")
    assert "no API key" not in output


def test_the_reporter_says_why_another_user_has_no_key(debian):
    output = debian.do(
        "setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "PROVIDER_URL=http://127.0.0.1:8000",
        "PROVIDER_CONFIG=/usr/share/provider-client/config.yaml", "sh", "-c", "provider-reporter --dry-run 2>&1")
    assert f"{KEY} cannot be read: Permission denied" in output


def test_the_worker_warns_of_a_key_file_that_others_can_read(provider, debian):
    debian.do("chmod", "644", KEY)
    provider.rolling_restart()
    debian.await_log("provider-fcgi@1", f"{KEY}: holds provider.api_key")
    debian.do("chmod", "600", KEY)


def test_the_documented_command_enables_the_site(provider):
    provider.enable_site()


def test_a_completion_streams_through_nginx(provider):
    assert provider.streams(20)


def test_the_central_system_validates_an_hmac_with_the_key(provider):
    assert provider.streams(3, "--header", "X-Inferoute-HMAC: sandbox-1")


def test_a_wrong_hmac_is_refused(provider):
    assert provider.responds(401, "--header", "X-Inferoute-HMAC: wrong")
