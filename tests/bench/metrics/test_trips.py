"""Trips against plain loops and scipy, the floors of real trips, and what cannot be gained by absurd trips."""

from __future__ import annotations

import collections
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from bench.api import SequenceSpec
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.globe import Trips, haversine_km
from bench.metrics.sequences import Tokens
from bench.metrics.trips import PublishedTravel, Travel, divergence, histograms, own_visits, visits, wasserstein
from bench.tasks.corpus import Flights

WORDS = ("<unk>", *(f"p{at}" for at in range(40)), "<eos>")
EOS = len(WORDS) - 1
SPEC = SequenceSpec(len(WORDS), 9, bos=len(WORDS), eos=EOS, pad=EOS, kind="places")
FAR = 40
"""The word of a place on the other side of the globe, which no real trip visits."""


def made_places():
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(30, 31, EOS + 1), rng.uniform(-98, -97, EOS + 1)], axis=1)
    places[[0, EOS]] = np.nan
    places[FAR] = -30.5, 82.5
    return places


PLACES = made_places()


def made_trips(n, seed, words=FAR, unknown=0.0):
    """Random trips of 1 to 9 places, some with an unknown word: int64 (n, 9)."""
    rng = np.random.default_rng(seed)
    tokens = np.minimum(1 + rng.geometric(0.1, (n, 9)), words - 1)
    tokens[rng.random((n, 9)) < unknown] = 0
    tokens[np.arange(9) >= rng.integers(1, 10, n)[:, None]] = EOS
    return tokens


def evidence(samples, test, places=PLACES, spec=SPEC, words=WORDS):
    samples, test = (torch.as_tensor(np.asarray(rows), dtype=torch.long) for rows in (samples, test))
    return Evidence(None, samples, HeldOut(spec, test, None, 0, "place", words=words, places=places))


def scores(*arguments, metric=Travel):
    return {result.metric: result for result in evidence(*arguments).ask(metric())}


def values(*arguments, metric=Travel):
    return {name: result.value for name, result in scores(*arguments, metric=metric).items()}


def great_circle_km(one, other):
    """The angle between two unit vectors: another formula than the haversine."""
    vectors = []
    for latitude, longitude in (one, other):
        lat, lon = math.radians(latitude), math.radians(longitude)
        vectors.append((math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)))
    (a, b, c), (d, e, f) = vectors
    cross = math.hypot(b * f - c * e, c * d - a * f, a * e - b * d)
    return 6371 * math.atan2(cross, a * d + b * e + c * f)


def plain(tokens, places=PLACES):
    """Every value of every trip by plain loops; None for a trip with a word that is no place."""
    found = []
    for row in tokens.tolist():
        trip = row[: row.index(EOS)] if EOS in row else row
        points = [places[token] for token in trip]
        if not points or any(math.isnan(point[0]) for point in points):
            found.append(None)
            continue
        mean = [sum(point[at] for point in points) / len(points) for at in (0, 1)]
        away = [great_circle_km(point, mean) for point in points]
        hops = list(itertools.pairwise(points))
        found.append({
            "distance": sum(great_circle_km(*hop) for hop in hops),
            "rms": math.sqrt(sum(d**2 for d in away) / len(away)),
            "geogen": math.sqrt(sum(away) / len(away)),
            "mean": sum(away) / len(away),
            "movesim": sum((a - mean[0]) ** 2 + (b - mean[1]) ** 2 for a, b in points) / len(points),
            "hops": [(b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 for a, b in hops],
            "places": len(set(trip)),
        })  # fmt: skip
    return found


def scipy_jsd(made, real, edges, unplaced=(0, 0)):
    """The divergence from numpy's histogram and scipy's distance, which is its square root."""
    sides = []
    for values, without in zip((made, real), unplaced, strict=True):
        side = np.asarray(values, dtype=float)
        inside, _ = np.histogram(side, edges)
        sides.append([*inside, int((side > edges[-1]).sum()), without])
    return jensenshannon(*sides) ** 2


def column(trips, name):
    return [trip[name] for trip in trips if trip]


def hundred(real):
    return np.linspace(0, max(real), 101)


@pytest.fixture(scope="module")
def flights():
    return Flights().load()


SAMPLES, TEST = made_trips(300, 1, unknown=0.02), made_trips(200, 2, words=35, unknown=0.01)


def test_a_great_circle():
    assert haversine_km(np.array([0.0, 0.0]), np.array([0.0, 90.0])) == pytest.approx(math.pi / 2 * 6371)
    assert haversine_km(np.array([90.0, 17.0]), np.array([-90.0, 3.0])) == pytest.approx(math.pi * 6371)
    rng = np.random.default_rng(3)
    one, other = (np.stack([rng.uniform(-90, 90, 50), rng.uniform(-180, 180, 50)], 1) for _ in range(2))
    wanted = [great_circle_km(*pair) for pair in zip(one, other, strict=True)]
    assert haversine_km(one, other) == pytest.approx(wanted, rel=1e-9)


def test_the_values_of_trips_are_those_of_plain_loops():
    found = values(SAMPLES, TEST)
    made, real = plain(SAMPLES), plain(TEST)
    unplaced = tuple(sum(trip is None for trip in side) for side in (made, real))
    assert min(unplaced) > 0
    for name, key in (("trip_distance", "distance"), ("radius", "rms")):
        one, other = column(made, key), column(real, key)
        assert found[f"{name}_jsd"] == pytest.approx(scipy_jsd(one, other, hundred(other), unplaced), rel=1e-9)
        assert found[f"{name}_w1"] == pytest.approx(wasserstein_distance(one, other), rel=1e-9)
    one, other = column(made, "places"), column(real, "places")
    counts = [[side.count(number) for number in range(11)] for side in (one, other)]
    sides = [[*side, without] for side, without in zip(counts, unplaced, strict=True)]
    assert found["places_jsd"] == pytest.approx(jensenshannon(*sides) ** 2, rel=1e-9)
    seen = [
        collections.Counter(token for row in side.tolist() for token in row if token != EOS) for side in (SAMPLES, TEST)
    ]
    there = sorted(seen[1])
    sides = [
        [*(side[place] for place in there), sum(side[place] for place in side if place not in there)] for side in seen
    ]
    assert sides[0][-1] > 0
    assert found["g_rank_jsd"] == pytest.approx(jensenshannon(*sides) ** 2, rel=1e-9)
    assert found["trips_unplaced"] == pytest.approx(unplaced[0] / 300)


def test_published_definitions_are_those_of_plain_loops():
    found = values(SAMPLES, TEST, metric=PublishedTravel)
    made, real = plain(SAMPLES), plain(TEST)
    unplaced = tuple(sum(trip is None for trip in side) for side in (made, real))
    for name, key in (("geogen", "geogen"), ("tstrajgen", "mean"), ("movesim", "movesim")):
        one, other = column(made, key), column(real, key)
        wanted = scipy_jsd(one, other, hundred(other), unplaced)
        assert found[f"radius_{name}_jsd"] == pytest.approx(wanted, rel=1e-9)
    one, other = ([hop for hops in column(side, "hops") for hop in hops] for side in (made, real))
    ends = [[row.index(EOS) if EOS in row else 9 for row in side.tolist()] for side in (SAMPLES, TEST)]
    lost = [
        sum(end - 1 for end, trip in zip(lengths, side, strict=True) if trip is None)
        for lengths, side in zip(ends, (made, real), strict=True)
    ]
    assert found["hop_movesim_jsd"] == pytest.approx(scipy_jsd(one, other, hundred(other), lost), rel=1e-9)
    sides = [np.bincount(side[side != EOS], minlength=EOS) for side in (SAMPLES, TEST)]
    assert found["g_rank_geogen_jsd"] == pytest.approx(jensenshannon(*sides) ** 2, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_divergence_and_wasserstein_are_scipys(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 5, (2, 30))
    counts[:, 0] += 1
    assert divergence(*counts) == pytest.approx(jensenshannon(*counts) ** 2, rel=1e-12)
    one, other = np.round(rng.gamma(2, 3, 50), 1), np.round(rng.gamma(3, 3, 70), 1)
    assert wasserstein(one, other) == pytest.approx(wasserstein_distance(one, other), rel=1e-12)


def test_the_ends_of_bins():
    made, real = histograms(np.array([0.0, 1.0, 99.9, 100.0, 100.1]), np.array([0.0, 50.0, 100.0]), (2, 0))
    assert np.flatnonzero(made).tolist() == [0, 1, 99, 100, 101]
    assert (made[99], made[100], made[101], len(made)) == (2, 1, 2, 102)
    assert np.flatnonzero(real).tolist() == [0, 50, 99]
    still = histograms(np.array([0.0, 1.0]), np.zeros(3))  # no real trip ever leaves its place
    assert [np.flatnonzero(side).tolist() for side in still] == [[99, 100], [99]]


def test_visits_beyond_the_top_are_elsewhere():
    made, real = np.array([[1, 1, 2, 3, -1]]), np.array([[1, 2, 2, 4, 4]])
    assert [side.tolist() for side in visits(made, real, top=2)] == [[1, 0, 3], [2, 2, 1]]
    assert [side.tolist() for side in own_visits(made, real, top=1)] == [[0, 2, 0, 0, 0], [0, 0, 2, 0, 0]]


def test_the_divergence_of_real_trips_depends_on_their_number_and_on_the_bins(flights):
    """Means over random parts of all trips; the numbers were found by another program, with its own draws."""
    everything = torch.cat([flights.training.train, flights.training.valid, flights.test]).numpy()
    lengths = np.full(len(everything), 16)
    distances = Trips.of(Tokens(everything, lengths), flights.vocabulary.places).distance_km
    assert distances.mean() == pytest.approx(14_845, abs=2)
    rng = np.random.RandomState(0)

    def floor(n, bins, times):
        draws = (rng.permutation(len(distances)) for _ in range(times))
        sides = ((distances[order[:n]], distances[order[n : 2 * n]]) for order in draws)
        return np.mean([divergence(*histograms(*pair, bins=bins)) for pair in sides])

    assert floor(500, 100, 40) == pytest.approx(0.049, abs=0.005)
    assert floor(2_000, 100, 40) == pytest.approx(0.011, abs=0.002)
    assert floor(8_000, 100, 4) == pytest.approx(0.0030, abs=0.0005)
    assert floor(500, 10_000, 5) == pytest.approx(0.594, abs=0.012)
    assert floor(2_000, 1_000, 5) == pytest.approx(0.111, abs=0.01)


def published_jsd(made, real):
    """As public evaluations have it: the bins end at the larger maximum of both sides, and the last one is lost."""
    most = max(*made, *real)
    edges = np.arange(0, most, most / 100)
    sides = [np.histogram(side, edges)[0] for side in (made, real)]
    return jensenshannon(*sides) ** 2


def test_one_absurd_trip_does_not_lower_a_distance(flights):
    """Where the range is that of both sides, one trip of fifty times the largest real distance makes all alike."""
    train, places = flights.training.train, flights.vocabulary.places
    noise = train.flatten()[torch.randperm(train.numel(), generator=torch.Generator().manual_seed(0))].view_as(train)
    real, made = (
        Trips.of(Tokens(rows[:2_000].numpy(), np.full(2_000, 16)), places).distance_km for rows in (train, noise)
    )
    for factor in (1.01, 3, 10, 50):
        for absurd in (np.append(made[1:], factor * real.max()), np.append(made, factor * real.max())):
            assert divergence(*histograms(absurd, real)) >= divergence(*histograms(made, real)) > 0.25
    far = np.append(made[1:], 50 * real.max())
    assert wasserstein(far, real) > wasserstein(made, real) + 0.9 * 49 * real.max() / 2_000
    assert published_jsd(made, real) > 0.25
    assert published_jsd(far, real) < published_jsd(made, real) / 2


@pytest.mark.parametrize("replaced", [0, 17, 150])
def test_one_trip_to_the_other_side_of_the_globe_gains_nothing(replaced):
    test = made_trips(200, 4)
    samples = made_trips(300, 5, words=20)
    absurd = samples.copy()
    absurd[replaced, :8] = [1, FAR] * 4
    absurd[replaced, 8] = EOS
    before, after = values(samples, test), values(absurd, test)
    furthest = values(absurd[replaced : replaced + 1], test)["trip_distance_w1"]
    assert furthest > 50 * max(column(plain(test), "distance")) * 0.9
    for name in ("trip_distance_jsd", "radius_jsd"):
        assert after[name] >= before[name]
    for name in ("trip_distance_w1", "radius_w1"):
        assert after[name] > before[name]


def test_unknown_words_do_not_hide_a_trip():
    test = made_trips(200, 6)
    bad = made_trips(300, 7)
    bad[:, 1] = np.where(bad[:, 1] == EOS, EOS, FAR)
    hidden = np.where(bad == FAR, 0, bad)
    before, after = values(bad, test), values(hidden, test)
    assert after["trip_distance_jsd"] == pytest.approx(before["trip_distance_jsd"])
    assert after["trip_distance_w1"] < before["trip_distance_w1"]  # which is why the next column is beside it
    assert (before["trips_unplaced"], after["trips_unplaced"]) == (0, np.mean((bad == FAR).any(1)))


def on_flights(samples, data):
    spec, vocabulary = data.training.spec, data.vocabulary
    return values(samples, data.test, vocabulary.places, spec, vocabulary.words)


def test_repeating_one_trip_loses_everything_and_places_exchanged_lose_visits_and_distance(flights):
    train = flights.training.train
    real = on_flights(train[:1_000], flights)
    assert real["trip_distance_jsd"] < 0.05
    assert real["g_rank_jsd"] < 0.02
    for row in (0, 1, 2):
        one = on_flights(train[row].repeat(1_000, 1), flights)
        assert all(one[name] > 5 * real[name] for name in real if name.endswith("_jsd"))
        assert one["trip_distance_w1"] > 2 * real["trip_distance_w1"]
    order = torch.arange(100)
    order[1:] = 1 + torch.randperm(99, generator=torch.Generator().manual_seed(0))
    exchanged = on_flights(order[train[:1_000]], flights)
    assert exchanged["places_jsd"] == real["places_jsd"]
    assert exchanged["g_rank_jsd"] > 0.3
    assert exchanged["trip_distance_jsd"] > 3 * real["trip_distance_jsd"]
    order_alone = train[:1_000].flatten()[torch.randperm(16_000, generator=torch.Generator().manual_seed(0))]
    unigrams = on_flights(order_alone.view(1_000, 16), flights)
    assert unigrams["g_rank_jsd"] == real["g_rank_jsd"]
    assert unigrams["trip_distance_jsd"] > 5 * real["trip_distance_jsd"]


def test_the_test_set_itself_is_no_distance_away(flights):
    assert set(on_flights(flights.test, flights).values()) == {0}


def test_a_trip_across_the_180th_meridian_has_its_centre_there():
    places = np.array([[0.0, 179.0], [0.0, -179.0], [10.0, 179.5], [np.nan, np.nan]])
    trips = Trips.of(Tokens(np.array([[0, 1], [0, 2], [0, 3]]), np.array([2, 2, 2])), places)
    assert trips.whole.tolist() == [True, True, False]
    assert trips.centre().tolist() == [[0.0, 180.0], [5.0, 179.25]]
    assert trips.centre(wrap=False).tolist() == [[0.0, 0.0], [5.0, 179.25]]
    assert trips.from_centre(trips.centre())[0] == pytest.approx(math.radians(1) * 6371)


def test_trips_that_cannot_be_measured():
    unknown = np.full((4, 9), EOS)
    unknown[:, 0] = 0
    found = scores(unknown, TEST)
    assert found["trip_distance_w1"].absent == "no sample is a trip among places alone"
    assert found["trip_distance_jsd"].value > 0.5
    assert found["trips_unplaced"].value == 1
    nothing = scores(np.full((4, 9), EOS), TEST)
    assert nothing["g_rank_jsd"].absent == "there is no word in any sample"
    assert {result.absent for result in scores(TEST, unknown).values()} == {
        "no test sequence is a trip among places alone"
    }
    assert {result.absent for result in scores(TEST[:0], TEST, metric=PublishedTravel).values()} == {
        "there is no sample"
    }
    single = scores(np.where(np.arange(9) < 1, 1, EOS)[None], made_trips(5, 1)[:, :9], metric=PublishedTravel)
    assert single["hop_movesim_jsd"].absent == "there is no hop in any trip"


def test_words_without_coordinates_have_no_trips():
    assert evidence(SAMPLES, TEST, None).ask(Travel()) == []
    assert evidence(SAMPLES, TEST, None).ask(PublishedTravel()) == []


def test_signatures_name_the_definition():
    found = {name: str(result.signature) for name, result in scores(SAMPLES, TEST).items()}
    tail = "n=300|test=200|tok=place|v=1"
    where = "centre=mean-lat-lon|earth=6371km"
    bins = "bins=100|range=test,over,unplaced"
    assert found == {
        "trip_distance_jsd": f"distance-sum-km|earth=6371km|{bins}|{tail}",
        "trip_distance_w1": f"distance-sum-km|earth=6371km|{tail}",
        "radius_jsd": f"radius-rms-km|{where}|{bins}|{tail}",
        "radius_w1": f"radius-rms-km|{where}|{tail}",
        "places_jsd": f"distinct-places|bins=each|range=test,over,unplaced|{tail}",
        "g_rank_jsd": f"visits|top=1000|range=test,elsewhere|{tail}",
        "trips_unplaced": tail,
    }
    found = {name: str(result.signature) for name, result in scores(SAMPLES, TEST, metric=PublishedTravel).items()}
    assert [signature.partition("|")[0] for signature in found.values()] == [
        *("radius-geogen", "radius-tstrajgen", "radius-movesim", "hop-movesim", "g-rank-geogen"),
    ]
