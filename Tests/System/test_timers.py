"""The timer of the reports, as shipped and with the documented drop-ins."""

from contextlib import contextmanager
from datetime import datetime

import pytest
from Support.machine import wait_for

pytestmark = pytest.mark.usefixtures("serving")

TIMER = "provider-reporter.timer"
REPORTER = "provider-reporter.service"


@contextmanager
def timer(debian, *lines):
    """The timer with settings of a drop-in."""
    with debian.drop_in(TIMER, "\n".join(["[Timer]", *lines]) + "\n"):
        debian.do("systemctl", "restart", TIMER)
        yield
    debian.do("systemctl", "restart", TIMER)


@pytest.fixture(scope="module")
def every_three_seconds(debian):
    """Five minutes are too long to wait for."""
    with timer(debian, "OnUnitActiveSec=", "OnUnitActiveSec=3s"):
        yield


def delivered(debian):
    return len(debian.log_lines("provider-reporter", "report delivered"))


def has_failed(debian):
    return REPORTER in debian.do("systemctl", "--failed", "--no-pager", "--plain")


def test_a_report_arrives_after_boot(provider):
    wait_for(provider.report_has_arrived, 60)


def test_the_next_report_is_due_within_five_minutes(debian):
    def is_due():
        words = debian.property(TIMER, "NextElapseUSecMonotonic")
        # systemd-analyze turns systemd's words into microseconds since boot.
        span = [line.split() for line in debian.ask("systemd-analyze", "timespan", words).splitlines()]
        microseconds = [int(fields[1]) for fields in span if len(fields) == 2 and fields[0].endswith("s:")]
        last = int(debian.property(REPORTER, "InactiveExitTimestampMonotonic"))
        print(f"last {last}, next {microseconds}")
        return len(microseconds) == 1 and 0 < microseconds[0] - last <= 300_000_000

    wait_for(is_due)


def test_a_drop_in_with_a_calendar_gets_the_times_it_asks_for(debian):
    """No delay is added: each time is a multiple of ten seconds."""
    def keeps_the_calendar():
        # "Thu 2026-11-26 19:00:10 UTC"
        words = debian.property(TIMER, "NextElapseUSecRealtime").split()
        print(f"next: {words}")
        return len(words) == 4 and datetime.fromisoformat(f"{words[1]} {words[2]}").timestamp() % 10 == 0

    with timer(debian, "OnCalendar=", "OnCalendar=*:*:0/10"):
        wait_for(keeps_the_calendar)


def test_the_documented_drop_in_shortens_the_interval(debian, every_three_seconds):
    before = delivered(debian)
    wait_for(lambda: delivered(debian) >= before + 3)


def test_a_failing_report_is_listed_and_says_why_and_the_timer_goes_on(provider, debian, every_three_seconds):
    provider.configure("not-the-key")
    wait_for(lambda: has_failed(debian))
    debian.await_log("provider-reporter", "report refused: the central system responded with 401")
    assert debian.is_state(TIMER, "active")


def test_the_next_report_with_the_right_key_is_delivered(provider, debian, every_three_seconds):
    provider.configure("the-key")
    before = delivered(debian)
    wait_for(lambda: delivered(debian) > before)
    wait_for(lambda: not has_failed(debian))
