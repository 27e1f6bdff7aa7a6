"""The predictor of the next place against dictionaries and loops, and what copying and repeating give."""

from __future__ import annotations

import collections
import math

import numpy as np
import pytest
import torch

from bench.api import SequenceSpec
from bench.metrics import next_place
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.globe import haversine_km
from bench.metrics.next_place import ADD, STRENGTHS, Moves, NextPlace, NextPlaceModel
from bench.metrics.sequences import Tokens
from bench.tasks.corpus import Flights

WORDS = ("<unk>", *(f"p{at}" for at in range(12)), "<eos>")
V, EOS = len(WORDS), len(WORDS) - 1
SPEC = SequenceSpec(V, 8, bos=V, eos=EOS, pad=EOS, kind="places")
PLACES = np.stack([np.linspace(30, 32, V), np.cos(np.arange(V))], axis=1)
PLACES[[0, EOS]] = np.nan


def made_trips(n, seed):
    """Random walks with unknown words, of 1 to 8 words: int64 (n, 8)."""
    rng = np.random.default_rng(seed)
    steps = np.minimum(rng.geometric(0.5, (n, 8)), 4) * rng.choice([-1, 1], (n, 8))
    tokens = 1 + (rng.integers(0, 12, (n, 1)) + steps.cumsum(1)) % 12
    tokens[rng.random((n, 8)) < 0.05] = 0
    tokens[np.arange(8) >= rng.integers(1, 9, n)[:, None]] = EOS
    return tokens


def scores(samples, test, places=PLACES, spec=SPEC, words=WORDS):
    samples, test = (torch.as_tensor(np.asarray(rows), dtype=torch.long) for rows in (samples, test))
    held_out = HeldOut(spec, test, None, 0, "place", words=words, places=places)
    return {result.metric: result for result in Evidence(None, samples, held_out).ask(NextPlace())}


def values(*arguments):
    return {name: result.value for name, result in scores(*arguments).items()}


def plain(samples, test):
    """The same by dictionaries: every probability from the formula, every list sorted."""
    counts = [collections.Counter() for _ in range(3)]
    totals = [collections.Counter() for _ in range(3)]

    def moves(tokens):
        for row in tokens.tolist():
            trip = row[: row.index(EOS)] if EOS in row else row
            for at in range(1, len(trip)):
                if trip[at] != 0:
                    before = trip[at - 2] if at > 1 else "start"
                    yield ((), (trip[at - 1],), (before, trip[at - 1])), trip[at]

    for contexts, target in moves(samples):
        for order, context in enumerate(contexts):
            counts[order][context, target] += 1
            totals[order][context] += 1

    def probability(contexts, word):
        p = (counts[0][(), word] + ADD) / (totals[0][()] + ADD * V)
        for order, strength in zip((1, 2), STRENGTHS, strict=True):
            context = contexts[order]
            p = (counts[order][context, word] + strength * p) / (totals[order][context] + strength)
        return p

    hits, in_five, errors = [], [], []
    for contexts, target in moves(test):
        ranked = sorted(range(1, EOS), key=lambda word: (-probability(contexts, word), word))
        hits.append(ranked[0] == target)
        in_five.append(target in ranked[:5])
        errors.append(float(haversine_km(PLACES[ranked[0]], PLACES[target])))
    n = len(hits)
    rmse = math.sqrt(sum(error**2 for error in errors) / n)
    return [sum(hits) / n, sum(in_five) / n, sum(errors) / n, rmse]


@pytest.mark.parametrize(("n", "seed"), [(200, 0), (30, 1), (3, 2)])
def test_it_predicts_what_dictionaries_and_loops_predict(n, seed):
    samples, test = made_trips(n, seed), made_trips(80, 10 + seed)
    assert list(values(samples, test).values()) == pytest.approx(plain(samples, test), rel=1e-12)


def test_blocks_of_contexts_change_nothing(monkeypatch):
    samples, test = made_trips(100, 3), made_trips(80, 4)
    whole = values(samples, test)
    monkeypatch.setattr(next_place, "ROWS", 7)
    assert values(samples, test) == whole


def test_a_large_vocabulary_reads_fewer_trips_and_says_so(monkeypatch):
    samples, test = made_trips(100, 3), made_trips(80, 4)
    monkeypatch.setattr(next_place, "WORK", 60 * V * 8)
    few = scores(samples, test)
    assert {result.signature["test"] for result in few.values()} == {"60"}
    assert {name: result.value for name, result in few.items()} == values(samples, test[:60])


def test_equal_probabilities_are_ordered_by_id():
    test = [[5, 3, EOS, EOS, EOS, EOS, EOS, EOS], [5, 4, EOS, EOS, EOS, EOS, EOS, EOS]]
    samples = [[9, 4, EOS, EOS, EOS, EOS, EOS, EOS], [9, 3, EOS, EOS, EOS, EOS, EOS, EOS]]
    assert values(samples, test)["next_place_accuracy1"] == 0.5
    assert values(samples, test) == values(samples[::-1], test)
    assert values(samples, test[:1])["next_place_accuracy1"] == 1


def test_what_is_no_place_is_never_named():
    """Word 0 is the first of equals, and there are fewer places than guesses."""
    known = np.array([False, False, True, True, False])
    trip = Tokens(np.array([[2, 3, 2]]), np.array([3]))
    moves = Moves.of(trip, known)
    assert NextPlaceModel.fit(moves, known).guess(moves, 5).tolist() == [[3, 2, 2, 2, 2], [2, 3, 3, 3, 3]]
    assert len(Moves.of(Tokens(np.array([[2, 0, 4, 1]]), np.array([4])), known)) == 0


@pytest.fixture(scope="module")
def flights():
    return Flights().load()


def on_flights(samples, data):
    vocabulary = data.vocabulary
    return values(samples, data.test, vocabulary.places, data.training.spec, vocabulary.words)


def test_real_trips_are_of_more_use_than_places_without_order_or_one_trip(flights):
    train = flights.training.train
    real = on_flights(train[:1_000], flights)
    shuffled = train[:1_000].flatten()[torch.randperm(16_000, generator=torch.Generator().manual_seed(0))]
    unigrams, one = on_flights(shuffled.view(1_000, 16), flights), on_flights(train[:1].repeat(1_000, 1), flights)
    more = on_flights(train, flights)
    assert real["next_place_accuracy1"] == pytest.approx(0.272, abs=0.005)
    for worse in (unigrams, one):
        assert worse["next_place_accuracy1"] < real["next_place_accuracy1"] / 2
        assert worse["next_place_accuracy5"] < real["next_place_accuracy5"] / 1.5
        assert worse["next_place_km"] > real["next_place_km"] + 200
        assert worse["next_place_rmse_km"] > real["next_place_rmse_km"]
    assert more["next_place_accuracy1"] > real["next_place_accuracy1"]
    assert more["next_place_km"] < real["next_place_km"]


def test_replaying_training_trips_gives_the_real_score(flights):
    """Why the copy rates stand beside it."""
    rows = torch.randperm(len(flights.training.train), generator=torch.Generator().manual_seed(1))[:1_000]
    real, copied = (
        on_flights(flights.training.train[:1_000], flights),
        on_flights(flights.training.train[rows], flights),
    )
    assert copied["next_place_accuracy1"] == pytest.approx(real["next_place_accuracy1"], abs=0.01)
    assert copied["next_place_km"] == pytest.approx(real["next_place_km"], abs=20)


def test_without_a_move_there_is_no_score():
    still = [[1, *[EOS] * 7]] * 3
    assert {result.absent for result in scores(still, made_trips(9, 0)).values()} == {
        "there is no move to a place in any sample"
    }
    assert all(result.answered for result in scores(still, made_trips(9, 0)).values())
    assert not any(result.answered for result in scores(made_trips(9, 0), still).values())
    assert {result.absent for result in scores(made_trips(9, 0), still).values()} == {
        "there is no move to a place in any test sequence"
    }


def test_other_tasks_have_no_next_place_and_signatures_say_what_was_read():
    assert scores(made_trips(9, 0), made_trips(5, 1), None) == {}
    found = {str(result.signature) for result in scores(made_trips(9, 0), made_trips(5, 1)).values()}
    assert found == {"train-on-samples|order=3|add=0.5|strengths=10,10|ties=id|n=9|test=5|tok=place|v=1"}
