"""A pytest plugin: a run that is told to end, or that takes too long, still cleans up."""

import os
import signal

import pytest


def pytest_configure(config):
    def end(number, frame):
        pytest.exit(f"ended by {signal.Signals(number).name}", returncode=128 + number)

    # SIGINT is pytest's own. A test sets its limit with signal.alarm().
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    # An ordinary user's PATH lacks the place of nginx.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
