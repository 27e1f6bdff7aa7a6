"""A pack: several trainings in one process that take turns, and take together the steps that can be taken together.

Each member is a thread of its own and runs ordinary code; one of them computes at a time, in a fixed order, so that
the results depend on no timing. Where a member comes to a step that others may take with it, it *meets* them: it says
what the step is and what it brings, and stops. When all members have stopped, those that have come to the same step
take it in one call, and each goes on with its part of the result. A member that comes alone takes its step alone, with
empty places beside it: what a place gets must not depend on who is in the others, and then a training's result does
not. It may depend on the place: a sum is added up in another order where its numbers lie otherwise in memory.

Which steps can be taken together is for the code that trains to know (:mod:`seqgan.kernels.packing`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

__all__ = ["Joint", "Member", "Pack", "member", "now"]

PAUSE_SECONDS = 2.0
"""How long the others go on before a member is asked again that waits for something outside of the pack."""

Result = TypeVar("Result")
Shared = TypeVar("Shared")

Joint: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]
"""Takes a step: what each place brought, None where nobody did, to what each place gets."""

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
    _request: tuple[Joint, Any] | None = None
    _answer: Any = None
    _error: BaseException | None = None
    _paused: float | None = None
    _ended: bool = False
    _used: float = 0.0
    _since: float | None = None

    def meet(self, joint: Joint, brought: Any) -> Any:
        """Take a step with all members that come to the same one.

        Args:
            joint: Takes it: one object for all members (:meth:`Pack.shared`).
            brought: What this member brings; not None.

        Returns:
            This member's part of the result. Whatever the step raises is raised in all that took it.
        """
        self._request = joint, brought
        return self._hand_over()

    def pause(self) -> None:
        """Let the others go on while this one waits for something that is none of theirs."""
        self._paused = time.monotonic()
        self._hand_over()

    def seconds(self) -> float:
        """What it has used so far: its own turns, and its share of the steps that it took with others."""
        return self._used + (0.0 if self._since is None else time.perf_counter() - self._since)

    def _hand_over(self) -> Any:
        self.pack._back.release()
        self._turn.acquire()
        answer, error, self._answer, self._error = self._answer, self._error, None, None
        if error is not None:
            raise error
        return answer

    def _take_turn(self) -> None:
        """Let it compute until it stops; called by the thread that runs the pack."""
        self._paused, self._since = None, time.perf_counter()
        self._turn.release()
        self.pack._back.acquire()
        self._used, self._since = self.seconds(), None

    @property
    def _works(self) -> bool:
        """Whether it neither has ended nor waits for something outside of the pack."""
        return not self._ended and self._paused is None

    def _is_free(self, others_work: bool) -> bool:
        """Whether it can go on: it has not ended, has nothing to meet for, and has not just begun to wait."""
        if self._ended or self._request is not None:
            return False
        return self._paused is None or not others_work or time.monotonic() - self._paused > PAUSE_SECONDS


class Pack(Generic[Result]):
    """Places for members that train together.

    Args:
        width: Number of places. How a step is computed may depend on it, but not on how many of them are taken.

    Example:
        >>> def train(number):
        ...     add = member().pack.shared("add", lambda: lambda brought: [sum(filter(None, brought))] * 3)
        ...     return member().meet(add, number)
        >>> sorted(Pack(3).run({0: lambda: train(1), 2: lambda: train(2)}))
        [(0, 3), (2, 3)]
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._back = threading.Semaphore(0)
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
        ``GeneratorExit`` where they stopped.

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
                for mine in members:
                    if mine._is_free(any(other._works for other in members)):
                        mine._take_turn()
                        if failures:
                            raise failures[0]
                        if mine._ended:
                            yield mine.place, results.pop(mine.place)
                self._take_steps(members)
        finally:
            for mine in members:
                while not mine._ended:
                    mine._request, mine._error = None, GeneratorExit()
                    mine._take_turn()

    def _take_steps(self, members: Sequence[Member]) -> None:
        """Take all steps for which members have stopped."""
        steps: dict[int, list[Member]] = {}
        for mine in members:
            if mine._request is not None:
                steps.setdefault(id(mine._request[0]), []).append(mine)
        for present in steps.values():
            brought: list[Any] = [None] * self.width
            for mine in present:
                assert mine._request is not None
                joint, brought[mine.place] = mine._request
                mine._request = None
            since = time.perf_counter()
            try:
                answers = joint(brought)
                for mine in present:
                    mine._answer = answers[mine.place]
            except Exception as error:
                for mine in present:
                    mine._error = error
            for mine in present:
                mine._used += (time.perf_counter() - since) / len(present)
