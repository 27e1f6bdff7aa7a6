"""What a run provides to ``fit``: named random streams, phases, checkpoints, clock and budget.

Resuming needs no code in a generator. ``fit`` runs again from its first line; the phases that were completed yield
nothing, and the phase that was saved last begins by restoring all that is tracked and every random stream. A finished
training is restored in the same way, with no steps left: this is how several generators share one pre-training, and how
samples are drawn from a finished run.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from filelock import BaseFileLock, Timeout

from bench.api import Execution, Generator, HasRealProbability, HasWarmUp, Sampler, Stateful, TrainingData, Unsupported
from bench.pack import member
from bench.runs.checkpoints import Damage, Kept
from bench.runs.clock import Clock
from bench.runs.cost import Cost
from bench.runs.executors.base import WAITING
from bench.runs.selection import Selected, Selection, made_of
from bench.runs.state import not_finite
from bench.runs.streams import named_stream

PROGRESS_SECONDS = 0.2
"""Time between two reports of progress."""
WAIT_SECONDS = 0.5
"""How soon a run that waits for another one's training notices that it is to stop."""

Evaluate = Callable[[Sampler, HasRealProbability | None], Mapping[str, float]]


class Untrained(Exception):  # noqa: N818 - it is an answer
    """A training that was to be restored left no state, so that it would have to be done again.

    Attributes:
        fit_id: The id of the training.
        damage: States of it that cannot be used.
    """

    def __init__(self, fit_id: str, damage: Sequence[Damage] = ()) -> None:
        super().__init__(f"the training {fit_id} left no state that can be used")
        self.fit_id, self.damage = fit_id, tuple(damage)


class Diverged(Exception):  # noqa: N818 - what training did
    """A training in which something is no longer a finite number; the message says what, when, and what is kept."""


@dataclass
class Observer:
    """What the harness does while a generator trains; every part of it is optional.

    Attributes:
        progress: Called with (phase, steps done, total steps, scalars).
        evaluate: Scores the tracked sampler, and the tracked discriminator if there is one, for the curve.
        curve_points: Evaluations per phase, at most; a phase that goes on under a budget has more, equally far apart.
        select: Which of those scores, the lower the better, picks the step that :meth:`Session.select` goes back to.
        reserved: Names of those scores, which nobody else may log.
        looks: Number of scored steps among which the best is picked, the same for every model; 0 for all of them.
        answers: Called with the sampler that ``fit`` returned, while the clock runs: what it does at its first calls is
            charged.
        pretrained: Called with the sampler of a shared pre-training, before its training continues.
        warn: Called with a sentence on what went wrong without harm to the results.
        stop: Called between two steps: raises what ends the training, which is saved first.
    """

    progress: Callable[[str, int, int, Mapping[str, float]], None] | None = None
    evaluate: Evaluate | None = None
    curve_points: int = 0
    select: str = ""
    looks: int = 0
    answers: Callable[[Sampler], object] | None = None
    pretrained: Callable[[Sampler], object] | None = None
    warn: Callable[[str], None] | None = None
    stop: Callable[[], None] | None = None
    reserved: Sequence[str] = ()


class Session:
    """One training: the :class:`bench.api.Run` that ``fit`` gets.

    Attributes:
        clock: What was spent, and the budget.
        curve: One row for each step.
        selection: The step that scored best on the validation split.

    Args:
        stream: The stem of every random stream's name.
        device: Where to compute.
        kept: Where states are saved and loaded; None to keep nothing.
        observer: What to do between steps.
        budget: Limits: "steps" of all phases together, "seconds" of training, "tokens", "updates".
        execution: How to compute.
        now: Returns the time in seconds.
        shared: Whether this is a shared pre-training, which is not prolonged to use up the budget.
    """

    def __init__(
        self,
        stream: str,
        device: torch.device | str = "cpu",
        kept: Kept | None = None,
        observer: Observer | None = None,
        budget: Mapping[str, float] | None = None,
        execution: Execution = Execution(),  # noqa: B008 - it is frozen
        now: Callable[[], float] = time.perf_counter,
        shared: bool = False,
    ) -> None:
        self._stream, self._device, self._execution = stream, torch.device(device), execution
        self._kept, self._observer, self._shared, self._now = kept, observer or Observer(), shared, now
        self.clock = Clock(self._device, budget, now)
        self.curve: list[dict[str, Any]] = []
        self.selection = Selection.among(self._observer.looks, bool(budget))
        self._streams: dict[str, torch.Generator] = {}
        self._sampler: Sampler | None = None
        self._tracked: dict[str, Stateful] = {}
        self._inherited: Mapping[str, Stateful] = {}
        self._given: TrainingData | None = None
        self._phases: dict[str, dict[str, Any]] = {}
        self._scalars: dict[str, float] = {}
        self._judged: dict[str, float] = {}
        self._saved: dict[str, Any] | None = None
        self._restoring = False
        self._damage: tuple[Damage, ...] = ()
        self._saved_at, self._shown_at = 0.0, -math.inf
        self._good = "no state was saved before"

    # What fit() sees

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        return self._device

    @property
    def execution(self) -> Execution:
        """How to compute."""
        return self._execution

    def rng(self, name: str) -> torch.Generator:
        """The random stream of this name, seeded from (task, data, seed, name)."""
        if name not in self._streams:
            self._streams[name] = named_stream(self._stream, name, self._device)
        return self._streams[name]

    def track(self, sampler: Sampler, **state: Stateful) -> None:
        """Say what to evaluate, and what to save and restore."""
        self._sampler = sampler
        self._tracked |= state

    def log(self, **scalars: float) -> None:
        """Add values to the curve, at the current step."""
        self._scalars |= {name: float(value) for name, value in scalars.items()}

    def measure(self, **amounts: int) -> contextlib.AbstractContextManager[Callable[..., None]]:
        """Count amounts, and the seconds that the block takes."""
        return self.clock.measure(**amounts)

    def spent(self) -> bool:
        """Whether the budget is used up."""
        return self.clock.spent()

    def phase(self, name: str, steps: int, open_ended: bool = False, shared: Generator | None = None) -> Iterator[int]:
        """Loop over the steps that are still missing; between two of them the harness takes its turn."""
        own = self._kept
        begun = None
        if shared is not None and own is not None and self._saved is None and not self._restoring:
            begun = own.begun(shared, self.clock.budget, name)
        if begun is None:
            yield from self._steps(name, steps, open_ended)
            return
        self.clock.stop()
        self._kept, lock = begun, None
        try:
            lock = self._lock()
            if self._kept is not None:
                self._saved = self._load(begun)
            before = self._saved and self._saved["phases"][name]["done"]
            self.clock.start()
            yield from self._steps(name, steps, open_ended)
            if self._phases[name]["done"] != before:
                self.clock.stop()
                self._save(name)
                self.clock.start()
        finally:
            self._kept = own
            if lock is not None:
                lock.release()

    def _steps(self, name: str, steps: int, open_ended: bool) -> Iterator[int]:
        if self._saved is not None:
            if name != self._saved["phase"]:
                return  # this phase was completed earlier, and the state restored later includes its result
            self._restore()
        elif name in self._phases:
            raise ValueError(f"expected every phase of a run to have its own name, got '{name}' twice")
        if name not in self._phases and not self.clock.budget:
            self.selection.begin(open_ended)
        phase = self._phases.setdefault(name, {"done": 0, "ended": False})
        every = math.ceil(steps / self._observer.curve_points) if self._observer.curve_points else 0
        endless = open_ended and bool(self.clock.budget) and not self._shared
        spent = self.clock.spent()
        try:
            while (endless or phase["done"] < steps) and not phase["ended"] and not spent:
                if self._restoring and self._tracked:
                    raise Untrained(self._kept.fit_id if self._kept else "", self._damage)
                self._scalars, self._judged = {}, {}
                yield phase["done"]
                self.clock.stop()
                phase["done"] += 1
                self.clock.cost.steps += 1
                self._check_counted(endless)
                spent = self.clock.ran_out()
                last = spent or (phase["done"] == steps and not endless)
                self._check_finite(name, phase["done"])
                share = self.clock.share() if self.clock.budget else phase["done"] / steps
                look = bool(self.clock.budget) and self.selection.due(share)
                if every and (phase["done"] % every == 0 or last or look):
                    self._check_parts(self._tracked, f"step {phase['done']} of phase '{name}'")
                    self._evaluate(name, phase["done"], share)
                self._record(name, phase["done"])
                self._show(
                    name, phase["done"], phase["done"] if last else self._expected(phase["done"], steps, endless)
                )
                if self._kept and self.clock.cost.seconds - self._saved_at > self._kept.every:
                    self._save(name)
                self._stop_if_asked(name)
                self.clock.start()
        finally:
            # Also after a ``break`` in the generator's loop: early stopping ends a phase for good.
            phase["ended"] = True

    def pretrained(self, generator: Generator, data: TrainingData) -> Sampler:
        """The sampler that ``generator`` trains on this task and seed, trained once and shared.

        Raises:
            ValueError: for other data than ``fit`` was given: what is trained on them is shared under the task's name.
        """
        self.clock.stop()
        given = self._given
        if given is None or not (torch.equal(data.train, given.train) and torch.equal(data.valid, given.valid)):
            raise ValueError(
                "expected the data that fit() was given, unchanged: a pre-training is shared by all models"
            )
        # Under a budget, a model on its own trains until that is spent, and as a pre-training it does not: two ids.
        named = {**self.clock.budget, "shared": 1.0} if self.clock.budget else {}
        watched = self._observer
        shared = Session(
            self._stream,
            self._device,
            self._kept.shared(generator, named) if self._kept else None,
            replace(watched, pretrained=None),
            self.clock.left(),
            obeyed(generator, self._execution),
            self._now,
            shared=True,
        )
        own = private_copy(given)
        sampler = shared.restore(generator, own) if self._restoring else shared.train(generator, own)
        self._inherited = made_of(sampler, shared._tracked)
        self.selection.inherit(shared.selection)
        self.clock.cost.add_shared(shared.clock.cost)
        self.curve = [*shared.curve, *self.curve]
        self._saved_at = self.clock.cost.seconds
        if self._observer.pretrained:
            self._observer.pretrained(sampler)
        self.clock.forget_peak()
        self.clock.start()
        return sampler

    # What the harness calls

    def train(self, generator: Generator, data: TrainingData) -> Sampler:
        """Run ``fit`` from where an earlier training of the same content stopped, or from the start."""
        lock = self._lock()
        if self._kept is None or lock is None:
            return self._train(generator, data)
        try:
            self._saved = self._load(self._kept)
            complete = self._saved is not None and self._saved["complete"]
            sampler = self._train(generator, data)
            if not complete:
                self._save(None, keep=sampler)
            return sampler
        finally:
            lock.release()

    def restore(self, generator: Generator, data: TrainingData) -> Sampler:
        """The sampler of a finished training, on any device; nothing is written, and a half-finished one is not used.

        A generator that tracks no state is fitted again, with the same random streams.

        Raises:
            Untrained: before the first step of a training that should have been restored; it says what is damaged.
        """
        self._restoring = True
        loaded = self._kept.load() if self._kept else None
        self._damage = loaded.damage if loaded else ()
        state = loaded.state if loaded else None
        if state is not None and state["complete"]:
            # Random streams of another device have states of another size, and are not needed after training.
            shape = torch.Generator(self._device).get_state().shape
            state["streams"] = {name: stream for name, stream in state["streams"].items() if stream.shape == shape}
            self._saved = state
        return self._train(generator, data)

    def select(self, sampler: Sampler) -> None:
        """Restore the sampler to the step that scored best.

        Raises:
            ValueError: when no step was scored.
        """
        self.selection.put_back(made_of(sampler, self._tracked or self._inherited))

    @property
    def selected(self) -> Selected | None:
        """The step that scored best; None if no step was scored."""
        return self.selection.best

    @property
    def ended_selected(self) -> bool:
        """Whether the step that scored best was the last one."""
        best = self.selection.best
        if best is None or not self.curve:
            return False
        return (best.phase, best.step) == (self.curve[-1]["phase"], self.curve[-1]["step"])

    @property
    def trained(self) -> bool:
        """Whether anything learns, that is, whether any state is tracked."""
        return bool(self._tracked)

    @property
    def stream(self) -> str:
        """What all random streams are seeded by, beside their names."""
        return self._stream

    @property
    def streams(self) -> Mapping[str, torch.Generator]:
        """The random streams that ``fit`` requested, by name."""
        return self._streams

    @property
    def drew(self) -> bool:
        """Whether ``fit`` requested any random stream."""
        return bool(self._streams)

    @property
    def cost(self) -> Cost:
        """What the training has cost."""
        return self.clock.cost

    @property
    def looped(self) -> bool:
        """Whether there was any phase, be it without steps."""
        return bool(self._phases)

    @property
    def steps(self) -> int:
        """Steps of all phases, including those of a shared pre-training."""
        return self.clock.cost.steps

    def _train(self, generator: Generator, data: TrainingData) -> Sampler:
        self._given = private_copy(data)
        self.clock.forget_peak()
        before = self._saved
        if self._shared:  # by now everything that the model uses was compiled, and fit has seen the data
            self.clock.start()
        if isinstance(generator, HasWarmUp):
            generator.warm_up(self._device)
        if not self._shared:
            self.clock.start()
        sampler = generator.fit(data, self)
        if self._observer.answers and not self._restoring:
            self._observer.answers(sampler)
        self.clock.stop()
        if self._saved is not None and self._saved["phase"] is not None:
            raise ValueError(
                f"the checkpoint was made in phase '{self._saved['phase']}', which fit() did not reach again: "
                "the list of phases must not depend on what was learnt"
            )
        if before is not None and before["complete"]:
            # Nothing was trained now: the cost is that of the original training.
            self._take_back(before)
        self._check_parts(self._tracked, "the last step")
        return sampler

    def _load(self, kept: Kept) -> dict[str, Any] | None:
        """The newest whole state; what is damaged is told, and set aside."""
        found = kept.load()
        for file, reason in found.damage:
            if found.state is None:
                instead = "the training begins anew"
            else:
                instead = "the training continues from the state before it"
            self._warn(f"the training state {file.name} {reason}; {instead}")
        kept.set_aside(found.damage)
        return found.state

    def _lock(self) -> BaseFileLock | None:
        """The lock of what is kept, held; None where nothing is kept or can be. Waits for it, and stops if asked to."""
        if self._kept is None:
            return None
        try:
            lock = self._kept.lock()
            lock.acquire(timeout=0)
        except Timeout:
            self._tell(WAITING)
        except OSError as error:
            self._warn(f"no state of the training can be saved: {error.strerror or error}; a stop would lose all of it")
            self._kept = None
            return None
        mine = member()
        while not lock.is_locked:
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=WAIT_SECONDS if mine is None else 0)
                self._tell("continuing")
            if self._observer.stop and not lock.is_locked:
                self._observer.stop()
            if mine is not None and not lock.is_locked:
                mine.pause()  # the others of its pack go on meanwhile
        return lock

    def _tell(self, phase: str) -> None:
        if self._observer.progress:
            self._observer.progress(phase, 0, 1, {})

    def _check_counted(self, endless: bool) -> None:
        for name in self.clock.budget.keys() & {"tokens", "updates"}:
            if endless and not self.clock.cost.used(name):
                raise Unsupported(f"it does not count its {name} (run.measure), so no budget of {name} can stop it")

    def _expected(self, done: int, steps: int, endless: bool) -> int:
        """Expected number of steps in total, from the share of the budget that the steps so far took."""
        if not endless:
            return steps
        share = self.clock.share()
        return max(done + 1, round(done / share)) if share else done + 1

    # The harness's turn

    def _evaluate(self, phase: str, step: int, share: float) -> None:
        if self._observer.evaluate and self._sampler is not None:
            critics = (part for part in self._tracked.values() if isinstance(part, HasRealProbability))
            found = self._observer.evaluate(self._sampler, next(critics, None))
            self._judged = {name: float(value) for name, value in found.items()}
            self.clock.forget_peak()
            score = found.get(self._observer.select, math.nan)
            self.selection.offer(score, phase, step, made_of(self._sampler, self._tracked), share)

    def _check_finite(self, phase: str, step: int) -> None:
        """Require finite numbers in what the generator logged in this step."""
        for name, value in self._scalars.items():
            if name in self._observer.reserved:
                raise ValueError(f"expected another name than '{name}' in run.log: the judge computes that score")
            if not math.isfinite(value):
                raise Diverged(
                    f"{name} is {value} in step {step} of phase '{phase}', and only finite numbers can be logged: the "
                    f"training diverged; {self._good}"
                )

    def _check_parts(self, parts: Mapping[str, Stateful], when: str) -> None:
        """Require finite parameters, at steps that no clock decides."""
        for name in not_finite(parts):
            raise Diverged(f"{name} is not finite after {when}: the training diverged; {self._good}")

    def _stop_if_asked(self, phase: str) -> None:
        if self._observer.stop is None:
            return
        try:
            self._observer.stop()
        except BaseException:
            self._save(phase)
            raise

    def _warn(self, message: str) -> None:
        if self._observer.warn:
            self._observer.warn(message)

    def _record(self, phase: str, step: int) -> None:
        scalars = {**self._scalars, **self._judged}
        cost = self.clock.cost
        spent = {"seconds": cost.seconds, "tokens": cost.tokens, "updates": cost.updates}
        self.curve.append({"phase": phase, "step": step, **spent, "scalars": scalars})

    def _show(self, phase: str, done: int, steps: int) -> None:
        now = self._now()
        if self._observer.progress and (now - self._shown_at > PROGRESS_SECONDS or done == steps or self._judged):
            self._shown_at = now
            self._observer.progress(phase, done, steps, {**self._scalars, **self._judged})

    # Checkpoints

    def _save(self, phase: str | None, keep: Sampler | None = None) -> None:
        """Save the state in the middle of ``phase``; or, with ``keep``, at the end of training: the sampler's parts.

        A disk that cannot take it does not end the training.
        """
        self._saved_at = self.clock.cost.seconds
        if self._kept is None or not self._tracked:
            return  # what is not tracked cannot be restored: it is trained again
        complete = keep is not None
        # After the end of training, optimizers are not needed.
        tracked = self._tracked if keep is None else made_of(keep, self._tracked)
        if keep is None and any(not_finite(tracked)):
            return  # the last good state stays; the next check ends the training
        now = phase or (list(self._phases)[-1] if self._phases else None)
        state = {
            "complete": complete,
            "phase": now,
            "phases": {name: dict(value, ended=complete or name != phase) for name, value in self._phases.items()},
            **self.selection.state(),
            "tracked": {name: part.state_dict() for name, part in tracked.items()},
            "streams": {name: stream.get_state() for name, stream in self._streams.items()},
            "cost": dict(vars(self.clock.cost)),
            "curve": json.dumps(self.curve),  # may have many rows, and one text is written fast
        }
        try:
            self._kept.save(state)
        except OSError as error:
            lost = "samples cannot be drawn from it later" if complete else "a stop would lose what was trained since"
            self._warn(f"the state of the training cannot be saved: {error.strerror or error}; {lost}")
        else:
            step = f"step {self._phases[now]['done']} of phase '{now}'" if now else "the end"
            self._good = f"the last state that was saved is that of {step}"

    def _restore(self) -> None:
        """Restore the saved state: by now fit() has built what it tracks, and has reached the phase that was saved."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        missing = set(self._tracked) - set(saved["tracked"])
        if missing and not saved["complete"]:
            raise ValueError(f"the checkpoint lacks {', '.join(sorted(missing))}; remove it to train from scratch")
        for name, state in saved["tracked"].items():
            self._tracked[name].load_state_dict(state)
        for name, state in saved["streams"].items():
            self.rng(name).set_state(state)
        self._take_back(saved)

    def _take_back(self, saved: dict[str, Any]) -> None:
        cost = Cost(**{**saved["cost"], "amounts": dict(saved["cost"]["amounts"])})
        cost.durations = dict(cost.durations)
        self.clock.set(cost)
        self._phases = {name: dict(phase) for name, phase in saved["phases"].items()}
        self.selection.restore(saved)
        self.curve = json.loads(saved["curve"])
        self._saved_at = cost.seconds


def private_copy(data: TrainingData) -> TrainingData:
    """The same data in new objects, so that a generator that writes into them changes nobody else's data."""
    return TrainingData(data.spec, data.train.clone(), data.valid.clone(), copy.deepcopy(data.vocabulary))


def obeyed(generator: Generator, execution: Execution) -> Execution:
    """The part of an execution that a generator sees: the fields that it obeys, and the defaults of the others."""
    return Execution(**{name: getattr(execution, name) for name in getattr(generator, "execution", ())})
