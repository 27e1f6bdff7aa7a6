"""Trips compared with the test set's: how far they go, how far they stray, and which places they visit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.kernels.ngrams import Floats, Ints
from bench.metrics.base import Estimate, Subject
from bench.metrics.globe import RADIUS_KM, Trips
from bench.metrics.ranges import NOT_NEGATIVE, SHARE, Range
from bench.metrics.signature import Signature

__all__ = ["BINS", "PublishedTravel", "Travel", "divergence", "histograms", "wasserstein"]

BINS = 100
"""Equal bins from 0 to the largest value of the test set."""
TOP = 1_000
"""The places most visited by the test set, each of which has a bin of its own."""
JSD = Range(0, math.log(2), "A Jensen-Shannon divergence is at most ln 2.")
RANGE = "test,over,unplaced"
"""Where bins come from, as signatures name it: the test set's range, one bin for what is above it, and one for trips
that are not among places alone."""
EARTH, CENTRE = f"{RADIUS_KM:g}km", "mean-lat-lon"


class Travel:
    """Distances, radii and places of trips against those of the test set; nothing where words have no coordinates.

    One value for each trip: ``distance``, the sum of its hops (great circles on a sphere of 6371 km); ``radius``, the
    radius of gyration, the root of the mean squared distance in km from the trip's mean latitude and longitude
    (Gonzalez, Hidalgo and Barabasi 2008, "Understanding individual human mobility patterns"; published evaluations of
    generated trajectories call three other things so, see :class:`PublishedTravel`); ``places``, the number of
    different places. ``g_rank`` is about visits: how often each of the test set's 1,000 most visited places is visited.

    ``*_jsd`` is the Jensen-Shannon divergence in nats, from 0 to ln 2, between two histograms, the samples' and the
    test set's. The bins are the test set's alone: 100 equal ones from 0 to its largest value (one for each number of
    places, one for each of its places), one for all that is beyond, and one for trips with a word that is no place,
    such as ``<unk>``, or without any, so that nothing is gained by what cannot be measured. Public evaluations take the
    range from the larger maximum of both sides instead: there one absurd trip widens all bins until everybody looks
    alike, and in several of them the last bin is lost. Here a trip beyond the range cannot lower the divergence: the
    divergence changes with a bin's share g by ln(2g / (p + g)) / 2, which is largest where the test set's share p is 0.

    ``*_w1`` is the Wasserstein-1 distance in km between the values of the trips that are among places alone: the mean
    over all quantiles of the difference there. It needs no bins, and sees by how much a value is off.
    ``trips_unplaced`` is the share of samples that it leaves out.

    A divergence between histograms depends on the number of bins and of trips, however good the model: real trips
    against real trips score .050, .013 and .003 at 500, 2,000 and 8,000 trips a side, 100 bins, on flights. The row of
    the real data is that floor: as many training trips as there are samples, the same bins and the same test set. A
    value says how far above that row a model is.

    How they can be gamed: by copying, which the copy rates show, and each by itself: the number of places and the
    visits by a model without order (a permutation of the trips' words leaves both), distance and radius by any places
    that are as far apart. Repeating one trip loses all of them.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """The columns above.

        They are ``trip_distance_jsd``, ``trip_distance_w1``, ``radius_jsd``, ``radius_w1``, ``places_jsd``,
        ``g_rank_jsd`` and ``trips_unplaced``.
        """
        if subject.against.places is None:
            return
        sides = _Sides.of(subject)
        if sides.impossible:
            names = {"trip_distance_jsd": "", "trip_distance_w1": "km", "radius_jsd": "", "radius_w1": "km"}
            for name, unit in {**names, "places_jsd": "", "g_rank_jsd": "", "trips_unplaced": ""}.items():
                yield Estimate(name, None, unit, "lower", sides.signature(self.version), sides.impossible)
            return
        made, real = sides.made, sides.real
        radii = (np.sqrt(trips.from_centre(trips.centre(), 2)) for trips in (made, real))
        for name, definition, (one, other), parts in (
            ("trip_distance", "distance-sum-km", (made.distance_km, real.distance_km), {"earth": EARTH}),
            ("radius", "radius-rms-km", tuple(radii), {"centre": CENTRE, "earth": EARTH}),
        ):
            binned = sides.signature(self.version, definition, **parts, bins=BINS, range=RANGE)
            yield _jsd(f"{name}_jsd", *sides.histograms(one, other), binned)
            yield _w1(f"{name}_w1", one, other, sides.signature(self.version, definition, **parts))
        about = sides.signature(self.version, "distinct-places", bins="each", range=RANGE)
        yield _jsd("places_jsd", *sides.histograms(made.distinct, real.distinct, whole=True), about)
        about = sides.signature(self.version, "visits", top=TOP, range="test,elsewhere")
        yield _jsd("g_rank_jsd", *visits(made.ids, real.ids), about)
        about = sides.signature(self.version)
        yield Estimate("trips_unplaced", float(1 - made.whole.mean()), "", "lower", about, possible=SHARE)


class PublishedTravel:
    """What published code calls the radius, the distance and the G-rank of trips; only when it is asked for.

    Four repositories mean four things by a radius. ``radius_geogen_jsd``: the root of the mean distance in km from the
    mean latitude and longitude, the root of a mean and not of a mean square, so that its unit is the root of a km; so
    has it the evaluation code that circulates with GeoGen (arXiv 2510.07735). ``radius_tstrajgen_jsd``: the mean
    distance in km (TS-TrajGen, WenMellors/TS-TrajGen). ``radius_movesim_jsd``: the mean squared difference in degrees,
    and ``hop_movesim_jsd``: the squared difference in degrees of every hop, all hops of all trips together (MoveSim,
    FIBLAB/MoveSim, whose code for km is not called). ``g_rank_geogen_jsd``: visits of each side's own 1,000 most
    visited places, each renormalised.

    The values are theirs; the bins are those of :class:`Travel`, and not theirs, which one absurd trip stretches and
    which differ between the repositories (99 bins, 10,000, 100 or 1,000). So none of these columns can be held against
    a published figure: they show how much of a difference between two tables is a definition.

    How they can be gamed: as those of :class:`Travel`. A difference in degrees counts a degree of longitude alike at
    the equator and near a pole. ``g_rank_geogen_jsd`` forgets all visits outside each side's own top.
    """

    version: ClassVar[str] = "1"

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """The five columns above."""
        if subject.against.places is None:
            return
        sides = _Sides.of(subject)
        if sides.impossible:
            for name in ("radius_geogen", "radius_tstrajgen", "radius_movesim", "hop_movesim", "g_rank_geogen"):
                yield Estimate(f"{name}_jsd", None, "", "lower", sides.signature(self.version), sides.impossible)
            return
        made, real = ((trips, trips.centre(wrap=False)) for trips in (sides.made, sides.real))
        for name, value, (one, other) in (
            ("radius_geogen", "sqrt-of-mean-km", [np.sqrt(trips.from_centre(at)) for trips, at in (made, real)]),
            ("radius_tstrajgen", "mean-km", [trips.from_centre(at) for trips, at in (made, real)]),
            ("radius_movesim", "mean-degrees²", [trips.degrees_from_centre(at) for trips, at in (made, real)]),
        ):
            definition = name.replace("_", "-")
            about = sides.signature(self.version, definition, value=value, centre=CENTRE, bins=BINS, range=RANGE)
            yield _jsd(f"{name}_jsd", *sides.histograms(one, other), about)
        about = sides.signature(self.version, "hop-movesim", value="degrees²-of-each-hop", bins=BINS, range=RANGE)
        both = sides.made, sides.real
        one, other = (_squared_degrees(trips) for trips in both)
        unplaced, strange = (int(np.maximum(trips.lengths[~trips.whole] - 1, 0).sum()) for trips in both)
        if len(other) and len(one) + unplaced:
            yield _jsd("hop_movesim_jsd", *histograms(one, other, (unplaced, strange)), about)
        else:
            yield Estimate("hop_movesim_jsd", None, "", "lower", about, "there is no hop in any trip")
        about = sides.signature(self.version, "g-rank-geogen", value="visits", top=f"{TOP}-of-each-side")
        yield _jsd("g_rank_geogen_jsd", *own_visits(sides.made.ids, sides.real.ids), about)


@dataclass(frozen=True, slots=True)
class _Sides:
    """The samples and the test set as trips.

    Attributes:
        subject: Where they come from.
        made: The samples.
        real: The test set.
        impossible: Why they cannot be compared; "" if they can.
    """

    subject: Subject
    made: Trips
    real: Trips
    impossible: str

    @classmethod
    def of(cls, subject: Subject) -> _Sides:
        places = subject.against.places
        if places is None:
            raise ValueError("expected a task whose words have coordinates")
        made, real = Trips.of(subject.text, places), Trips.of(subject.against.references, places)
        if not len(made):
            return cls(subject, made, real, "there is no sample")
        return cls(subject, made, real, "" if real.whole.any() else "no test sequence is a trip among places alone")

    def signature(self, version: str, *remarks: str, **parts: object) -> Signature:
        return self.subject.signature(version, *remarks, **parts, n=len(self.made), test=len(self.real))

    def histograms(self, made: Floats | Ints, real: Floats | Ints, whole: bool = False) -> tuple[Ints, Ints]:
        """:func:`histograms` of one value for each whole trip of either side."""
        unplaced = int((~self.made.whole).sum()), int((~self.real.whole).sum())
        return histograms(made, real, unplaced, int(real.max()) + 1 if whole else BINS, whole)


def histograms(
    made: Floats | Ints, real: Floats | Ints, unplaced: tuple[int, ...] = (0, 0), bins: int = BINS, whole: bool = False
) -> tuple[Ints, Ints]:
    """Counts of both sides in the same bins, which only the real values decide.

    Args:
        made: (n,), not negative.
        real: (K,), not negative, K above 0.
        unplaced: The number of trips on each side that have no value.
        bins: Equal bins from 0 to the largest real value, each with its lower end, and the last with both.
        whole: Whether values are whole numbers, each of which has a bin of its own: ``bins`` of them.

    Returns:
        int64, (bins + 2,) each; after the bins, values above the largest real one, and trips without a value.
    """
    top = real.max()
    edges = np.arange(bins + 1) if whole else np.linspace(0, top, bins + 1)
    found = []
    for values, without in zip((made, real), unplaced, strict=True):
        index = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
        counts = np.bincount(np.where(values > top, bins, index), minlength=bins + 2)
        counts[bins + 1] = without
        found.append(counts)
    return found[0], found[1]


def visits(made: Ints, real: Ints, top: int = TOP) -> tuple[Ints, Ints]:
    """Visits to the real side's most visited places, and to all others: ids, (n, T) and (K, T), -1 for none.

    Returns:
        int64, (at most top + 1,) each; the last is that of all other words.
    """
    size = int(max(made.max(initial=0), real.max(initial=0))) + 1
    counts = [np.bincount(ids[ids >= 0], minlength=size) for ids in (made, real)]
    chosen = np.argsort(-counts[1], kind="stable")[:top]
    chosen = chosen[counts[1][chosen] > 0]
    kept = [np.append(each[chosen], each.sum() - each[chosen].sum()) for each in counts]
    return kept[0], kept[1]


def own_visits(made: Ints, real: Ints, top: int = TOP) -> tuple[Ints, Ints]:
    """Visits to each side's own most visited places, 0 for the others: int64, (V,) each."""
    size = int(max(made.max(initial=0), real.max(initial=0))) + 1
    found = []
    for ids in (made, real):
        counts = np.bincount(ids[ids >= 0], minlength=size)
        counts[np.argsort(-counts, kind="stable")[top:]] = 0
        found.append(counts)
    return found[0], found[1]


def divergence(made: Ints, real: Ints) -> float:
    """Jensen-Shannon divergence of two histograms' shares, in nats; empty bins need no smoothing.

    Args:
        made: Counts, (B,), not all 0.
        real: The same.
    """
    p, q = made / made.sum(), real / real.sum()
    mixture = (p + q) / 2
    halves = [float((side[side > 0] * np.log(side[side > 0] / mixture[side > 0])).sum()) for side in (p, q)]
    return max(0.0, sum(halves) / 2)  # rounding may lead below 0


def wasserstein(first: Floats, second: Floats) -> float:
    """Wasserstein-1 distance of two sets of values, in their unit: the area between their distribution functions."""
    values = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(side), values[:-1], side="right") / len(side) for side in (first, second)]
    return float((np.abs(below[0] - below[1]) * np.diff(values)).sum())


def _jsd(name: str, made: Ints, real: Ints, signature: Signature) -> Estimate:
    if not made.sum():  # samples without a single word
        return Estimate(name, None, "", "lower", signature, "there is no word in any sample", answered=True)
    return Estimate(name, divergence(made, real), "", "lower", signature, possible=JSD)


def _w1(name: str, made: Floats, real: Floats, signature: Signature) -> Estimate:
    if not len(made):
        return Estimate(name, None, "km", "lower", signature, "no sample is a trip among places alone", answered=True)
    return Estimate(name, wasserstein(made, real), "km", "lower", signature, possible=NOT_NEGATIVE)


def _squared_degrees(trips: Trips) -> Floats:
    """The squared difference in degrees of every hop of the whole trips: float64, (hops,)."""
    begin, end, there = trips.hops
    squares: Floats = ((end - begin) ** 2).sum(2)[there]
    return squares
