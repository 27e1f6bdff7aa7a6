"""A pack: several trainings in one process that take turns, and take together the steps that can be taken together.

Each member is a thread of its own and runs ordinary code; one of them computes at a time, in a fixed order, so that
the results depend on no timing. Where a member comes to a step that others may take with it, it *meets* them: it says
what the step is and what it brings, and stops. When all members have stopped, those that have come to the same step
take it in one call, and each goes on with its part of the result. Of several steps that of most members is taken, and
the others wait: so members that are out of step fall into step again. A member that comes alone takes its step alone,
with empty places beside it: what a place gets must not depend on who is in the others, and then a training's result
does not. It may depend on the place: a sum is added up in another order where its numbers lie otherwise in memory.

Which steps can be taken together is for the code that trains to know (:mod:`seqgan.kernels.packing`).
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["Exchange", "Joint", "Member", "Pack", "member", "now"]

PAUSE_SECONDS = 0.5
"""How long after it was asked a member is asked again that waits for something outside of the pack."""
IDLE_SECONDS = 0.05
"""Between two looks at members of which all wait so."""

Result = TypeVar("Result")
Shared = TypeVar("Shared")

Joint: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Takes a step: what each place brought, None where nobody did, to what each place gets."""
Exchange: TypeAlias = Callable[[Any], Any]
"""Sets what all members share, such as global random streams, to what it is given, and returns what it was."""

_here = threading.local()  # ``member``: whose thread this is


def member() -> Member | None:
    """The member whose thread this is; None outside of packs."""
    found: Member | None = getattr(_here, "member", None)
    return found


def now() -> float:
    """The time in seconds of whoever asks: of a member what it has used so far, elsewhere that of the clock."""
    mine = member()
    return time.perf_counter() if mine is None else mine.seconds()


@dataclass(eq=False)
class Member:
    """One of those that train together.

    Attributes:
        pack: Of which it is one.
        place: Its place, from 0.
    """

    pack: Pack[Any]
    place: int
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _request: tuple[Joint, Any, bool] | None = None
    _answer: Any = None
    _error: BaseException | None = None
    _asked: float | None = None
    """When it was asked last, of one that waits for something outside of the pack."""
    _ended: bool = False
    _used: float = 0.0
    _since: float | None = None
    _own: Any = None
    """What it made of what all members share, while another one has its turn."""

    def meet(self, joint: Joint, brought: Any, first: bool = False) -> Any:
        """Take a step with all members that come to the same one.

        Args:
            joint: Takes it: one object for all members (:meth:`Pack.shared`).
            brought: What this member brings; not None.
            first: Whether it is taken before all steps of which this is not said, because it is short.

        Returns:
            This member's part of the result. Whatever the step raises is raised in all that took it.
        """
        self._request = joint, brought, first
        return self._hand_over()

    def pause(self) -> None:
        """Let the others go on while this one waits for something that is none of theirs."""
        self._asked = time.monotonic()
        self._hand_over()

    def seconds(self) -> float:
        """What it has used so far: its own turns, and its share of the steps that it took with others."""
        return self._used + (0.0 if self._since is None else time.perf_counter() - self._since)

    def _hand_over(self) -> Any:
        if os.getpid() != self.pack.process:
            os._exit(1)  # a fork of it, which has no other members: it would wait forever
        self.pack._back.release()
        self._turn.acquire()
        answer, error, self._answer, self._error = self._answer, self._error, None, None
        if error is not None:
            raise error
        return answer

    def _is_free(self) -> bool:
        """Whether it can go on: it has not ended, has nothing to meet for, and was not asked just now."""
        if self._ended or self._request is not None:
            return False
        return self._asked is None or time.monotonic() - self._asked > PAUSE_SECONDS


class Pack(Generic[Result]):
    """Places for members that train together.

    Attributes:
        width: Number of places.
        process: The id of the process that it is in.

    Args:
        width: Number of places. How a step is computed may depend on it, but not on how many of them are taken.
        exchange: Keeps apart what members would share, for code that may use it.

    Example:
        >>> def train(number):
        ...     add = member().pack.shared("add", lambda: lambda brought: [sum(filter(None, brought))] * 3)
        ...     return member().meet(add, number)
        >>> sorted(Pack(3).run({0: lambda: train(1), 2: lambda: train(2)}))
        [(0, 3), (2, 3)]
    """

    def __init__(self, width: int, exchange: Exchange | None = None) -> None:
        self.width, self.process = width, os.getpid()
        self._exchange = exchange
        self._back = threading.Semaphore(0)
        self._running: Member | None = None
        self._shared: dict[Hashable, Any] = {}

    def shared(self, key: Hashable, make: Callable[[], Shared]) -> Shared:
        """The one object that all members know by this key; the first who asks makes it."""
        if key not in self._shared:
            self._shared[key] = make()
        found: Shared = self._shared[key]
        return found

    def run(self, functions: Mapping[int, Callable[[], Result]]) -> Generator[tuple[int, Result], None, None]:
        """Call functions together, by their places; yields (place, result) as they return.

        Whatever a function raises is raised here. When the iterator is closed, or that happens, the others get a
        ``GeneratorExit`` where they stopped. An exception that comes to this thread while a member computes, as
        Ctrl-C does, does not wait for it: the member gets a ``GeneratorExit`` when it comes to its next step.

        Raises:
            ValueError: for a place that there is not.
        """
        if wrong := sorted(place for place in functions if not 0 <= place < self.width):
            raise ValueError(f"expected places from 0 to {self.width - 1}, got {wrong[0]}")
        members = [Member(self, place) for place in sorted(functions)]
        results: dict[int, Result] = {}
        failures: list[BaseException] = []

        def work(mine: Member, function: Callable[[], Result]) -> None:
            _here.member = mine
            try:
                mine._turn.acquire()
                if mine._error is not None:
                    return
                results[mine.place] = function()
            except BaseException as error:
                failures.append(error)
            finally:
                mine._ended = True
                self._back.release()

        for mine in members:
            name = f"place {mine.place} of a pack"
            threading.Thread(target=work, args=(mine, functions[mine.place]), name=name, daemon=True).start()
        try:
            while not all(mine._ended for mine in members):
                free = [mine for mine in members if mine._is_free()]
                for mine in free:
                    self._give_turn(mine)
                    if failures:
                        raise failures[0]
                    if mine._ended:
                        yield mine.place, results.pop(mine.place)
                if not (self._take_step(members) or free):
                    time.sleep(IDLE_SECONDS)
        finally:
            for mine in members:
                mine._request, mine._error = None, GeneratorExit()
                while not mine._ended and self._running is None:
                    self._give_turn(mine)
                    mine._error = GeneratorExit()
            if self._running is not None:
                for mine in members:
                    mine._turn.release()

    def _give_turn(self, mine: Member) -> None:
        """Let a member compute until it stops."""
        mine._asked, mine._since = None, time.perf_counter()
        outside = None if self._exchange is None or mine._own is None else self._exchange(mine._own)
        self._running = mine
        mine._turn.release()
        self._back.acquire()
        self._running = None
        if self._exchange is not None:
            mine._own = self._exchange(outside)
        mine._used, mine._since = mine.seconds(), None

    def _take_step(self, members: Sequence[Member]) -> bool:
        """Take the step for which most members have stopped, of those that come first; False if there is none."""
        steps: dict[tuple[bool, int], list[Member]] = {}
        for mine in members:
            if mine._request is not None:
                joint, _, first = mine._request
                steps.setdefault((first, id(joint)), []).append(mine)
        if not steps:
            return False
        present = max(steps.items(), key=lambda step: (step[0][0], len(step[1])))[1]  # the first of the greatest
        brought: list[Any] = [None] * self.width
        for mine in present:
            assert mine._request is not None
            joint, brought[mine.place], _ = mine._request
            mine._request = None
        since = time.perf_counter()
        try:
            answers = joint(brought)
            for mine in present:
                mine._answer = answers[mine.place]
        except Exception as error:
            for mine in present:
                mine._error = error if mine is present[0] else _copied(error)
        for mine in present:
            mine._used += (time.perf_counter() - since) / len(present)
        return True


def _copied(error: Exception) -> Exception:
    """The same for another thread, which adds its own frames."""
    with contextlib.suppress(Exception):
        return copy.copy(error).with_traceback(error.__traceback__)
    return error
