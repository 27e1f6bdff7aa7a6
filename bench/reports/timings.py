"""Timings as text."""

from __future__ import annotations

__all__ = ["digits", "duration", "percent", "times"]


def duration(seconds: float) -> str:
    """Seconds with three digits, in a suitable unit: 37.4 ms, 0.67 s."""
    if seconds >= 0.5:
        return f"{seconds:.{0 if seconds >= 100 else 1 if seconds >= 10 else 2}f} s"
    for factor, unit in ((1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{digits(seconds * factor)} {unit}"
    return f"{digits(seconds * 1e9)} ns"


def times(ratio: float) -> str:
    """A ratio with three digits at most: 12.3×."""
    return f"{ratio:,.0f}×" if ratio >= 100 else f"{ratio:.1f}×" if ratio >= 10 else f"{ratio:.2f}×"


def percent(share: float) -> str:
    """A share as a whole number of per cent."""
    return "<1%" if 0 < share < 0.01 else f"{share:.0%}"


def digits(number: float) -> str:
    """Three digits, or all digits before the point where these are more."""
    return f"{number:,.{0 if number >= 99.95 else 1 if number >= 9.995 else 2}f}"
