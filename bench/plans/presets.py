"""How much work is done: what the presets mean for the judge, and the user's temperatures, budget and workers.

What a preset means for a generator or a task is listed next to its fields, in its ``presets``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from bench.errors import UsageError, unknown


@dataclasses.dataclass(frozen=True, slots=True)
class Preset:
    """The judge's effort under a preset.

    Attributes:
        name: smoke, quick, medium or paper.
        samples: Sequences drawn from each checkpoint for scoring.
        curve_points: Scored steps in each phase of training, at most.
        curve_samples: Sequences drawn and held-out sequences read at each scored step.
        temperatures: Temperatures of the frontier: at each, a trained model is decoded again.
        frontier_samples: Sequences drawn and held-out sequences read at each temperature.
        looks: Scored steps among which validation data pick, the same number for every model, where :meth:`matched`.
        matches: Whether that is so without a budget as well.
    """

    name: str
    samples: int
    curve_points: int
    curve_samples: int
    temperatures: tuple[float, ...]
    frontier_samples: int
    looks: int
    matches: bool = False

    def matched(self, budget: Mapping[str, float]) -> bool:
        """Whether every model is selected among equally many steps, and at the temperature that validation data pick.

        With a budget, which prolongs some trainings past their best step, and in ``paper``.
        """
        return bool(budget) or self.matches


TEMPERATURES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)
"""Of the frontier, and those among which validation data pick: an overfitted model is at its best from 1.2 to 1.8."""
MOST_TEMPERATURES = 100
LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.001, 1000.0
"""As in :class:`bench.api.Decoding`, which is not imported here because it needs torch."""
MOST_WORKERS = 256
MOST_SEEDS = 1_000
"""Seeds of benchmarks are below; those of trials, by which fields are chosen, begin here."""
WORKERS_ON_CUDA = 4
"""As many of them keep one card busy: each waits for its processor most of the time."""
GREATEST_BUDGET = 1e12
"""In whatever unit: more would never end."""

_UNITS = {"s": ("seconds", 1.0), "m": ("seconds", 60.0), "h": ("seconds", 3600.0)}
_SCALES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke",
            200,
            curve_points=2,
            curve_samples=50,
            temperatures=(0.7, 1.0, 1.3, 2.0),
            frontier_samples=100,
            looks=5,
        ),
        Preset(
            "quick",
            1_000,
            curve_points=12,
            curve_samples=300,
            temperatures=(0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0),
            frontier_samples=300,
            looks=20,
        ),
        Preset(
            "medium",
            2_000,
            curve_points=5,
            curve_samples=500,
            temperatures=TEMPERATURES,
            frontier_samples=1_000,
            looks=20,
        ),
        Preset(
            "paper",
            10_000,
            curve_points=40,
            curve_samples=2_000,
            temperatures=TEMPERATURES,
            frontier_samples=5_000,
            looks=40,
            matches=True,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of this name."""
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Parse ``0.5..2`` (steps of 0.1), ``0.5..2:0.05`` (other steps), a list like ``0.7,1``, or ``none``.

    Raises:
        UsageError: for anything else, and for temperatures that no model can be decoded at.

    Example:
        >>> parse_temperatures("0.9..1.1")
        (0.9, 1.0, 1.1)
    """
    try:
        if text.strip() == "none":
            return ()
        found = re.fullmatch(r"([^.:,]*(?:\.\d+)?)\.\.([^:,]+?)(?::([^:,]+))?", text.strip())
        if found:
            low, high, step = Decimal(found[1]), Decimal(found[2]), Decimal(found[3] or "0.1")
            if not low <= high or not step > 0 or (high - low) / step > MOST_TEMPERATURES:
                raise ValueError
            values = [float(low + step * index) for index in range(int((high - low) / step) + 1)]
        else:
            values = sorted({float(part) for part in text.split(",")})
        inside = all(LEAST_TEMPERATURE <= value <= GREATEST_TEMPERATURE for value in values)
        if not inside or len(values) > MOST_TEMPERATURES:
            raise ValueError
        return tuple(values)
    except (ValueError, ArithmeticError) as error:
        raise UsageError(
            f"expected temperatures like 0.5..2, 0.5..2:0.05, 0.7,1,1.3 or none, at most {MOST_TEMPERATURES} and "
            f"all from {LEAST_TEMPERATURE:g} to {GREATEST_TEMPERATURE:g}, got '{text}'."
        ) from error


def parse_time(text: str) -> float:
    """Parse ``90s``, ``30m`` or ``8h`` into seconds.

    Raises:
        UsageError: for anything else, and for no time at all.

    Example:
        >>> parse_time("30m")
        1800.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text.strip())
    seconds = float(found[1]) * _UNITS[found[2]][1] if found else 0.0
    if not 0 < seconds <= GREATEST_BUDGET:
        raise UsageError(f"expected a time like 90s, 30m or 8h, got '{text}'.")
    return seconds


WORKER_MEMORY = 2**30
"""Bytes that a worker is expected to take: those of ``quick`` take up to 0.6 GiB."""
MEMORY, CONTAINER = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
"""Where Linux says how much memory is free, and how much a container may take."""


def processors() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int | None:
    """Bytes that new processes may take, here and in this container; None where the system does not say."""
    found = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = MEMORY.read_text(encoding="ascii").splitlines()
        found.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10)
    with contextlib.suppress(OSError, ValueError):  # no number where a container has no limit
        limit, used = (int((CONTAINER / f"memory.{name}").read_text(encoding="ascii")) for name in ("max", "current"))
        lines = (CONTAINER / "memory.stat").read_text(encoding="ascii").splitlines()
        # What files left in memory is given back when it is wanted.
        cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
        found.append(max(0, limit - used + cached))
    return min(found, default=None)


def parse_workers(given: str | int, device: str, name: str = "--workers", cards: int = 1) -> int:
    """Parse a number of worker processes.

    ``auto`` is one for each processor, on CUDA at most 4 for each device, and no more than fit into the free memory.

    Args:
        given: What the user wrote.
        device: "cpu" or "cuda".
        name: Of the option, for messages.
        cards: Number of CUDA devices.

    Raises:
        UsageError: for anything else.
    """
    if str(given).strip() == "auto":
        room = free_memory()
        fitting = MOST_WORKERS if room is None else max(1, room // WORKER_MEMORY)
        return min(processors(), fitting, WORKERS_ON_CUDA * cards if device == "cuda" else MOST_WORKERS)
    number = int(given) if re.fullmatch(r"-?\d{1,9}", str(given).strip()) else -1
    if not 0 <= number <= MOST_WORKERS:
        raise UsageError(f"expected {name} from 0 to {MOST_WORKERS}, or auto, got {given}.")
    return number


def counted(seeds: int) -> range:
    """So many seeds, counted from 0.

    Raises:
        UsageError: for none, or for more than :data:`MOST_SEEDS`.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"expected 1 to {MOST_SEEDS} seeds, got {seeds}.")
    return range(seeds)


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse a number of seeds, counted from 0, or the seeds themselves, as in ``3,5-7``; one alone is ``3-3``.

    Raises:
        UsageError: for anything else, and for a seed that is given twice.

    Example:
        >>> parse_seeds("3"), parse_seeds("3,5-7")
        ((0, 1, 2), (3, 5, 6, 7))
    """
    number = re.fullmatch(r"-?[0-9]{1,12}", text.strip())
    if number:
        return tuple(counted(int(number[0])))
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
        if not first <= last < MOST_SEEDS:
            raise UsageError(
                f"expected a number of seeds, as in 5, or seeds below {MOST_SEEDS}, as in 3,5-7, or 3-3 for one alone, "
                f"got '{text}'."
            )
        seeds += range(first, last + 1)
    return named(seeds, text)


def named(seeds: Sequence[int], given: object) -> tuple[int, ...]:
    """These seeds, in order.

    Args:
        seeds: At least one, each once.
        given: What the user wrote.

    Raises:
        UsageError: for others.
    """
    if not seeds or not all(0 <= seed < MOST_SEEDS for seed in seeds):
        raise UsageError(f"expected seeds from 0 to {MOST_SEEDS - 1}, got {given}.")
    twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
    if twice:
        raise UsageError(f"expected each seed once, got {', '.join(map(str, twice))} more than once in {given}.")
    return tuple(sorted(seeds))


def parse_budget(text: str) -> dict[str, float]:
    """Parse ``60s``, ``5m``, ``2M-tokens`` or ``20000-updates`` into a limit.

    Raises:
        UsageError: for anything else.

    Example:
        >>> parse_budget("2M-tokens")
        {'tokens': 2000000.0}
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(?:(s|m|h)|([kMG]?)-(tokens|updates))", text.strip())
    amount = float(found[1]) if found else 0.0
    if not found or not 0 < amount <= GREATEST_BUDGET:
        raise UsageError(f"expected a budget like 60s, 5m, 2M-tokens or 20000-updates, got '{text}'.")
    if found[2]:
        name, scale = _UNITS[found[2]]
    else:
        name, scale = found[4], _SCALES[found[3]]
        if not (amount * scale).is_integer():
            raise UsageError(f"expected a whole number of {name}, got '{text}'.")
    return {name: amount * scale}
