"""Points on the globe: how far apart they are, and sequences of places as points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.kernels.ngrams import Floats, Ints, word_keys
from bench.metrics.sequences import Bools, Tokens

__all__ = ["RADIUS_KM", "Trips", "haversine_km"]

RADIUS_KM = 6371.0
"""The mean radius of the earth, as published evaluations of trajectories have it."""


def haversine_km(first: Floats, second: Floats) -> Floats:
    """Great-circle distance on a sphere: latitude and longitude in degrees, float64 (..., 2) each, to km, (...)."""
    one, other = np.radians(first), np.radians(second)
    half = np.sin((other - one) / 2) ** 2
    chord = half[..., 0] + np.cos(one[..., 0]) * np.cos(other[..., 0]) * half[..., 1]
    distance: Floats = 2 * RADIUS_KM * np.arcsin(np.sqrt(np.clip(chord, 0, 1)))
    return distance


@dataclass(frozen=True, eq=False)
class Trips:
    """Sequences of places as points.

    Attributes:
        ids: int64, (N, T), the words; -1 after the end of a trip.
        points: float64, (N, T, 2), latitude and longitude in degrees; NaN for what is no place, and after the end.
        lengths: int64, (N,).
        whole: bool, (N,): trips of at least one word, all of which are places.
    """

    ids: Ints
    points: Floats
    lengths: Ints
    whole: Bools

    @classmethod
    def of(cls, tokens: Tokens, places: Floats) -> Trips:
        """The trips that words stand for.

        Args:
            tokens: N sequences.
            places: float64, (V, 2), as in :class:`bench.metrics.base.RealText`.
        """
        ids = word_keys(tokens.ids, tokens.lengths)
        points = np.concatenate([places, np.full((1, 2), np.nan)])[ids]  # -1 takes the last row
        found = np.isfinite(points).all(2).sum(1)
        return cls(ids, points, tokens.lengths, (found == tokens.lengths) & (found > 0))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _inside(self) -> tuple[Floats, Bools]:
        """The points of the whole trips, 0 after their ends, and which positions are not after the end."""
        points = self.points[self.whole]
        inside = np.arange(points.shape[1]) < self.lengths[self.whole][:, None]
        return np.where(inside[:, :, None], points, 0.0), inside

    @property
    def hops(self) -> tuple[Floats, Floats, Bools]:
        """Where each hop of the whole trips begins and ends, float64 (M, T - 1, 2) each, and which there are."""
        points, inside = self._inside
        return points[:, :-1], points[:, 1:], inside[:, 1:]

    @cached_property
    def distance_km(self) -> Floats:
        """The sum of the hops of each whole trip: float64, (M,), in km."""
        begin, end, there = self.hops
        distance: Floats = np.where(there, haversine_km(begin, end), 0.0).sum(1)
        return distance

    @cached_property
    def distinct(self) -> Ints:
        """The number of different places of each whole trip: int64, (M,)."""
        ids = np.sort(self.ids[self.whole], axis=1)
        changes: Ints = np.count_nonzero(np.diff(ids, axis=1), axis=1) + 1
        return changes - (ids[:, 0] == -1) if ids.shape[1] else changes

    def centre(self, wrap: bool = True) -> Floats:
        """The mean latitude and longitude of each whole trip: float64, (M, 2), in degrees.

        Args:
            wrap: Whether longitudes are counted from that of the first point, the short way around, so that a trip
                across the 180th meridian has its centre there; elsewhere that is the plain mean.
        """
        points, inside = self._inside
        start = points[:, :1] if wrap else np.zeros((1, 1, 2))
        offset = points - start
        if wrap:
            offset[..., 1] = (offset[..., 1] + 180) % 360 - 180
        summed = np.where(inside[:, :, None], offset, 0.0).sum(1)
        centre: Floats = start[:, 0] + summed / inside.sum(1)[:, None]
        return centre

    def from_centre(self, centre: Floats, power: int = 1) -> Floats:
        """The mean of the distances to the centre in km, each to a power: float64, (M,)."""
        points, inside = self._inside
        distances = haversine_km(points, centre[:, None]) ** power
        mean: Floats = np.where(inside, distances, 0.0).sum(1) / inside.sum(1)
        return mean

    def degrees_from_centre(self, centre: Floats) -> Floats:
        """The mean squared difference from the centre in degrees, both coordinates added: float64, (M,)."""
        points, inside = self._inside
        squares = ((points - centre[:, None]) ** 2).sum(2)
        mean: Floats = np.where(inside, squares, 0.0).sum(1) / inside.sum(1)
        return mean
