"""What a run lends to ``fit``: named random streams, phases, checkpoints, clock and budget.

Resuming needs no code in a generator. ``fit`` runs again from its first line; the phases that were gone through yield
nothing, and the phase that was saved last begins by restoring all that is tracked and every random stream. A finished
training is the same with nothing left to do: this is how one pre-training serves several generators.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from filelock import Timeout

from bench import environment
from bench.api import Execution, Generator, HasWarmUp, Sampler, Stateful, TrainingData, Unsupported
from bench.checkpoints import CheckpointFolder
from bench.cost import Cost

SAVE_SECONDS = 15.0
"""Training time between two saved states."""
PROGRESS_SECONDS = 0.2
"""Time between two signs of life."""

Evaluate = Callable[[Sampler], Mapping[str, float]]
FitId = Callable[[Generator, Mapping[str, float]], str]
"""Names the training of a generator under a budget."""


@dataclass
class Observer:
    """What the harness does while a generator trains; every part of it is optional.

    Attributes:
        progress: Told (phase, steps done, steps in all, scalars).
        evaluate: Scores the tracked sampler for the curve.
        curve_points: Times a phase that it does, at most.
        select: Which of those scores, the lower the better, picks the step that :meth:`Session.select` goes back to.
        pretrained: Given the sampler of a shared pre-training, before it is trained on.
    """

    progress: Callable[[str, int, int, Mapping[str, float]], None] | None = None
    evaluate: Evaluate | None = None
    curve_points: int = 0
    select: str = ""
    pretrained: Callable[[Sampler], object] | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """The step that scored best while training.

    Attributes:
        score: What it scored.
        phase: Where it was.
        step: After how many steps of it.
        state: Of what the sampler is made of.
    """

    score: float
    phase: str
    step: int
    state: dict[str, Any]


class Session:
    """One training: the :class:`bench.api.Run` that ``fit`` gets.

    Args:
        stream: The stem of every random stream's name.
        device: Where to compute.
        fit_id: Names this training; needed with ``checkpoints``.
        checkpoints: Where to save and look for states; None to keep nothing.
        name_fit: Names a shared pre-training.
        observer: What to do between steps.
        budget: Limits: "steps" of all phases together, "seconds" of training, "tokens", "updates".
        clock: Tells seconds.
        save_seconds: Training time between two saved states.
        shared: Whether this is a pre-training, which ends where it ends, however much of the budget is left.
        execution: How to compute.
    """

    def __init__(
        self,
        stream: str,
        device: torch.device | str = "cpu",
        fit_id: str = "",
        checkpoints: CheckpointFolder | None = None,
        name_fit: FitId | None = None,
        observer: Observer | None = None,
        budget: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        save_seconds: float | None = None,
        shared: bool = False,
        execution: Execution = Execution(),  # noqa: B008 - it is frozen
    ) -> None:
        self._stream, self._device, self._fit_id = stream, torch.device(device), fit_id
        self._checkpoints, self._name_fit = checkpoints, name_fit
        self._observer = observer or Observer()
        self._budget = dict(budget or {})
        self._clock = clock
        self._save_seconds = SAVE_SECONDS if save_seconds is None else save_seconds
        self._shared = shared
        self._execution = execution
        self.cost = Cost()
        self.curve: list[dict[str, Any]] = []
        self.selected: Selected | None = None
        self._streams: dict[str, torch.Generator] = {}
        self._sampler: Sampler | None = None
        self._tracked: dict[str, Stateful] = {}
        self._phases: dict[str, dict[str, Any]] = {}
        self._scalars: dict[str, float] = {}
        self._saved: dict[str, Any] | None = None
        self._running_since: float | None = None
        self._saved_at, self._shown_at = 0.0, -math.inf

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
        """The random stream of this name, seeded from (task and data, seed, name)."""
        if name not in self._streams:
            self._streams[name] = named_stream(self._stream, name, self._device)
        return self._streams[name]

    def track(self, sampler: Sampler, **state: Stateful) -> None:
        """Say what to evaluate, and what to save and restore."""
        self._sampler = sampler
        self._tracked |= state

    def log(self, **scalars: float) -> None:
        """Add to the current step's line of the curve."""
        self._scalars |= {name: float(value) for name, value in scalars.items()}

    @contextlib.contextmanager
    def measure(self, **amounts: int) -> Iterator[Callable[..., None]]:
        """Count amounts, and the seconds that the block takes."""
        seen: set[str] = set()

        def count(**more: int) -> None:
            seen.update(more)
            for name, amount in more.items():
                self.cost.amounts[name] = self.cost.amounts.get(name, 0) + amount

        self._synchronize()
        start = self._clock()
        yield count
        count(**amounts)
        self._synchronize()
        seconds = self._clock() - start
        for name in seen:
            self.cost.durations[name] = self.cost.durations.get(name, 0.0) + seconds

    def spent(self) -> bool:
        """Whether the budget is used up."""
        if not self._budget:
            return False
        self._pause()
        spent = any(self.cost.used(name) >= limit for name, limit in self._budget.items())
        self._resume()
        return spent

    def phase(self, name: str, steps: int, open_ended: bool = False) -> Iterator[int]:
        """Loop over the steps that are still missing; between two of them the harness takes its turn."""
        if self._saved is not None:
            if name != self._saved["phase"]:
                return  # an earlier training went through this phase, and its end is in what is restored later
            self._restore()
        elif name in self._phases:
            raise ValueError(f"expected every phase of a run to have its own name, got '{name}' twice")
        phase = self._phases.setdefault(name, {"done": 0, "ended": False})
        every = math.ceil(steps / self._observer.curve_points) if self._observer.curve_points else 0
        endless = open_ended and bool(self._budget) and not self._shared
        spent = self.spent()
        try:
            while (endless or phase["done"] < steps) and not phase["ended"] and not spent:
                self._scalars = {}
                yield phase["done"]
                self._pause()
                phase["done"] += 1
                self.cost.steps += 1
                self._check_counted(endless)
                spent = self._ran_out()
                last = spent or (phase["done"] == steps and not endless)
                if every and (phase["done"] % every == 0 or last):
                    self._evaluate(name, phase["done"])
                self._record(name, phase["done"])
                self._show(
                    name, phase["done"], phase["done"] if last else self._expected(phase["done"], steps, endless)
                )
                if self.cost.seconds - self._saved_at > self._save_seconds:
                    self._save(name)
                self._resume()
        finally:
            # Also after a ``break`` in the generator's loop: early stopping ends a phase for good.
            phase["ended"] = True

    def pretrained(self, generator: Generator, data: TrainingData) -> Sampler:
        """What ``generator`` learns from this task and seed, trained once and shared."""
        self._pause()
        budget = {name: limit - self.cost.used(name) for name, limit in self._budget.items()}
        # Under a budget a model on its own goes on until it is spent, and its pre-training does not: not the same.
        named = {**self._budget, "shared": 1.0} if self._budget else {}
        watched = self._observer
        shared = Session(
            self._stream,
            self._device,
            self._name_fit(generator, named) if self._name_fit else "",
            self._checkpoints if self._name_fit else None,
            self._name_fit,
            Observer(watched.progress, watched.evaluate, watched.curve_points, watched.select),
            budget,
            self._clock,
            self._save_seconds,
            shared=True,
            execution=obeyed(generator, self._execution),
        )
        sampler = shared.train(generator, data)
        self.selected = shared.selected  # to have stopped before the first step of one's own is a choice for all
        self.cost.add_shared(shared.cost)
        self.curve = [*shared.curve, *self.curve]
        self._saved_at = self.cost.seconds
        if self._observer.pretrained:
            self._observer.pretrained(sampler)
        self._forget_peak()
        self._resume()
        return sampler

    # What the harness sees

    def train(self, generator: Generator, data: TrainingData) -> Sampler:
        """Run ``fit`` from where an earlier training of the same content stopped, or from the start."""
        if self._checkpoints is None:
            return self._train(generator, data)
        lock = self._checkpoints.lock(self._fit_id)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if self._observer.progress:
                self._observer.progress("waiting for the same training elsewhere", 0, 1, {})
            lock.acquire()
        try:
            self._saved = self._checkpoints.load(self._fit_id)
            complete = self._saved is not None and self._saved["complete"]
            sampler = self._train(generator, data)
            if not complete:
                self._save(None, keep=sampler)
            return sampler
        finally:
            lock.release()

    def _train(self, generator: Generator, data: TrainingData) -> Sampler:
        if isinstance(generator, HasWarmUp):
            generator.warm_up(self._device)
        self._forget_peak()
        before = self._saved
        self._resume()
        sampler = generator.fit(data, self)
        self._pause()
        if self._saved is not None and self._saved["phase"] is not None:
            raise ValueError(
                f"the checkpoint was made in phase '{self._saved['phase']}', which fit() did not come to again: "
                "which phases there are must not depend on what was learnt"
            )
        if before is not None and before["complete"]:
            # Nothing was trained: the cost is what it was when it was.
            self._take_back(before)
        return sampler

    def select(self, sampler: Sampler) -> None:
        """Put the sampler back to the step that scored best.

        Raises:
            ValueError: when none was scored.
        """
        if self.selected is None:
            raise ValueError("expected a step that was scored while training")
        parts = self._made_of(sampler)
        if len(parts) == 1:  # of one part, whatever it was called when it was selected
            parts = dict.fromkeys(self.selected.state, *parts.values())
        for name, state in self.selected.state.items():
            parts[name].load_state_dict(state)

    @property
    def ended_selected(self) -> bool:
        """Whether the step that scored best was the last one."""
        if self.selected is None or not self.curve:
            return False
        return (self.selected.phase, self.selected.step) == (self.curve[-1]["phase"], self.curve[-1]["step"])

    @property
    def trained(self) -> bool:
        """Whether there is anything that learns: what is not tracked does not."""
        return bool(self._tracked)

    @property
    def steps(self) -> int:
        """Steps of all phases, those of a shared pre-training among them."""
        return self.cost.steps

    def _ran_out(self) -> bool:
        return any(self.cost.used(name) >= limit for name, limit in self._budget.items())

    def _check_counted(self, endless: bool) -> None:
        for name in self._budget.keys() & {"tokens", "updates"}:
            if endless and not self.cost.used(name):
                raise Unsupported(f"it does not count its {name} (run.measure), so no budget of {name} can stop it")

    def _expected(self, done: int, steps: int, endless: bool) -> int:
        """How many steps there will be, going by how much of the budget those so far took."""
        if not endless:
            return steps
        share = max(self.cost.used(name) / limit for name, limit in self._budget.items())
        return max(done + 1, round(done / share)) if share else done + 1

    # The clock

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _pause(self) -> None:
        if self._running_since is not None:
            self._synchronize()
            self.cost.seconds += self._clock() - self._running_since
            self._running_since = None
            self.cost.peak_memory = max(self.cost.peak_memory, self._peak_memory())

    def _resume(self) -> None:
        self._running_since = self._clock()

    def _forget_peak(self) -> None:
        environment.reset_peak_memory()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _peak_memory(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return environment.peak_memory()

    # The harness's turn

    def _evaluate(self, phase: str, step: int) -> None:
        if self._observer.evaluate and self._sampler is not None:
            self.log(**self._observer.evaluate(self._sampler))
            self._forget_peak()
            score = self._scalars.get(self._observer.select, math.nan)
            if math.isfinite(score) and (self.selected is None or score < self.selected.score):
                parts = self._made_of(self._sampler)
                state = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
                self.selected = Selected(score, phase, step, state)

    def _made_of(self, sampler: Sampler) -> dict[str, Stateful]:
        """The tracked part that is the sampler; all of them where it is made of several."""
        itself = {name: part for name, part in self._tracked.items() if id(part) == id(sampler)}
        return itself or self._tracked

    def _record(self, phase: str, step: int) -> None:
        scalars = {name: value for name, value in self._scalars.items() if math.isfinite(value)}
        spent = {"seconds": self.cost.seconds, "tokens": self.cost.tokens, "updates": self.cost.updates}
        self.curve.append({"phase": phase, "step": step, **spent, "scalars": scalars})

    def _show(self, phase: str, done: int, steps: int) -> None:
        now = self._clock()
        if self._observer.progress and (now - self._shown_at > PROGRESS_SECONDS or done == steps):
            self._shown_at = now
            self._observer.progress(phase, done, steps, dict(self._scalars))

    # Checkpoints

    def _save(self, phase: str | None, keep: Sampler | None = None) -> None:
        """Save the state in the middle of ``phase``; or, with ``keep``, the end of training: what made the sampler."""
        self._saved_at = self.cost.seconds
        if self._checkpoints is None or not self._tracked:
            return  # what is not tracked cannot be restored: it is trained anew
        complete = keep is not None
        tracked = self._tracked if keep is None else self._made_of(keep)  # then optimizers are of no more use
        self._checkpoints.save(
            self._fit_id,
            {
                "complete": complete,
                "phase": phase or (list(self._phases)[-1] if self._phases else None),
                "phases": {name: dict(value, ended=complete or name != phase) for name, value in self._phases.items()},
                "selected": asdict(self.selected) if self.selected else None,
                "tracked": {name: part.state_dict() for name, part in tracked.items()},
                "streams": {name: stream.get_state() for name, stream in self._streams.items()},
                "cost": dict(vars(self.cost)),
                "curve": self.curve,
            },
        )

    def _restore(self) -> None:
        """Take back the saved state: fit() has built what it tracks by now, and comes to the phase that was saved."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        missing = set(self._tracked) - set(saved["tracked"])
        if missing and not saved["complete"]:
            raise ValueError(f"the checkpoint lacks {', '.join(sorted(missing))}; remove it to train anew")
        for name, state in saved["tracked"].items():
            self._tracked[name].load_state_dict(state)
        for name, state in saved["streams"].items():
            self.rng(name).set_state(state)
        self._take_back(saved)

    def _take_back(self, saved: dict[str, Any]) -> None:
        running = self._running_since is not None
        self._running_since = None
        self._phases = {name: dict(phase) for name, phase in saved["phases"].items()}
        selected = Selected(**saved["selected"]) if saved["selected"] else None
        if selected and (self.selected is None or selected.score < self.selected.score):
            self.selected = selected
        self.cost = Cost(**{**saved["cost"], "amounts": dict(saved["cost"]["amounts"])})
        self.cost.durations = dict(self.cost.durations)
        self.curve = list(saved["curve"])
        self._saved_at = self.cost.seconds
        if running:
            self._resume()


def obeyed(generator: Generator, execution: Execution) -> Execution:
    """What a generator is told of an execution: the fields that it obeys, and the usual values of the others."""
    return Execution(**{name: getattr(execution, name) for name in getattr(generator, "execution", ())})


def named_stream(stem: str, name: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream seeded by a hash of its name; streams of different names are independent."""
    digest = hashlib.sha256(f"{stem}/{name}".encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "little"))
