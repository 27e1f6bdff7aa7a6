"""Requests to stop: what a signal asks, and what a second one does."""

import os
import signal

import pytest

from bench.runs.stopping import Stop, Stopped


def test_a_second_request_to_stop_is_an_interrupt():
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    stop.check()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.asked, stop.signal) == (True, signal.SIGTERM)
        with pytest.raises(Stopped):
            stop.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


def test_signals_that_are_ignored_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop().listening():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
