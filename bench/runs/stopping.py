"""Asking for an orderly stop: the states of the runs are saved first. The second request ends them at once.

``docker stop``, SLURM and systemd send SIGTERM, a closed terminal SIGHUP, and Ctrl-C SIGINT.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["GRACE_SECONDS", "Stop", "Stopped"]

GRACE_SECONDS = 6.0
"""Time for saving states before they are ended without; ``docker stop`` kills after ten."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):  # not an Exception, so that a generator that catches those does not go on
    """Ends a run that was asked to stop, after its state was saved."""


class Stop:
    """Whether to stop.

    Attributes:
        signal: Number of the signal that asked for it; 0 while nothing did.
    """

    def __init__(self) -> None:
        self.signal = 0

    @property
    def asked(self) -> bool:
        """Whether anything asked for a stop."""
        return self.signal != 0

    def ask(self, number: int, _: FrameType | None = None) -> None:
        """Ask for a stop, as a handler of signals does.

        Raises:
            KeyboardInterrupt: when asked for the second time.
        """
        again, self.signal = self.asked, number
        if again:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise :class:`Stopped` if a stop was asked for.

        Raises:
            Stopped: then.
        """
        if self.asked:
            raise Stopped

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Let signals ask for a stop, but for those that this process ignores, as under ``nohup``."""
        if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
            yield
            return
        heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self.ask) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
