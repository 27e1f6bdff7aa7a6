from __future__ import annotations

import collections

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist, cityblock

from bench.api import SequenceSpec
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.music import NONE, Music, held, intervals, nearest_squared_error, pitch_classes
from bench.tasks.corpus import FolkTunes, FolkTunesPhrases

KEYS = ("<unk>", *map(str, range(89)))
GRID = SequenceSpec(len(KEYS), 32, bos=len(KEYS), kind="pitches")
NOTES = ("<unk>", "73:2", "r:4", "60:4/3", "61:1", "73:4", "<eos>")
PHRASES = SequenceSpec(len(NOTES), 9, bos=len(NOTES), eos=6, pad=6, kind="notes")


def evidence(samples, test, spec=GRID, words=KEYS):
    samples, test = (torch.as_tensor(np.asarray(rows), dtype=torch.long) for rows in (samples, test))
    return Evidence(None, samples, HeldOut(spec, test, None, 0, "pitch", words=words))


def scores(*arguments):
    return {result.metric: result for result in evidence(*arguments).ask(Music())}


def values(*arguments):
    return {name: result.value for name, result in scores(*arguments).items()}


def grid(n, seed, low=40, high=60):
    """Random walks on the grid, with rests and unknown words."""
    rng = np.random.default_rng(seed)
    tokens = 1 + np.clip(50 + rng.integers(-3, 4, (n, 32)).cumsum(1), low, high)
    tokens[rng.random((n, 32)) < 0.1] = KEYS.index("0")
    tokens[rng.random((n, 32)) < 0.02] = 0
    return tokens


def phrases(n, seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, 6, (n, 9))
    for row, length in zip(tokens, rng.integers(0, 10, n), strict=True):
        row[length:] = 6
    return tokens


def reference_sounding(row, spec, words):
    """The MIDI pitches of a tune, None for what does not sound, read from the words."""
    found = []
    for token in row:
        word = words[token]
        if word == "<eos>":
            break
        if spec is GRID:
            found.append(20 + int(word) if word not in ("<unk>", "0") else None)
        else:
            found.append(int(word.partition(":")[0]) if word[0] not in "<r" else None)
    return found


def reference_distances(samples, test, spec, words):
    shares = []
    for tokens in (samples, test):
        classes, steps = collections.Counter(), collections.Counter()
        for row in tokens.tolist():
            last = None
            for pitch in reference_sounding(row, spec, words):
                if pitch is None:
                    continue
                classes[pitch % 12] += 1
                if last is not None and (spec is not GRID or pitch != last):
                    steps[pitch - last] += 1
                last = pitch
        shares.append((classes, steps))
    distances = []
    for one, other in zip(*shares, strict=True):
        bins = sorted({*one, *other})
        distances.append(cityblock([one[b] / one.total() for b in bins], [other[b] / other.total() for b in bins]) / 2)
    return distances


def reference_held(row):
    pitches = reference_sounding(row, GRID, KEYS)
    filled, now = [], next((pitch for pitch in pitches if pitch is not None), 20)
    for pitch in pitches:
        now = now if pitch is None else pitch
        filled.append(now)
    return filled


@pytest.mark.parametrize(
    ("samples", "test", "spec", "words"),
    [(grid(40, 1), grid(30, 2, 44, 58), GRID, KEYS), (phrases(50, 1), phrases(40, 2), PHRASES, NOTES)],
    ids=["grid", "phrases"],
)
def test_distances_are_those_of_plain_counts(samples, test, spec, words):
    found = values(samples, test, spec, words)
    wanted = reference_distances(samples, test, spec, words)
    assert [found["pitch_class_distance"], found["interval_distance"]] == pytest.approx(wanted, rel=1e-12)
    assert min(wanted) > 0


def test_mse_is_the_nearest_lines_of_all_pairs():
    samples, test = grid(2_100, 3), grid(30, 4)
    squares = cdist(*(np.array([reference_held(row) for row in rows]) for rows in (samples, test)), "sqeuclidean")
    assert values(samples, test)["mse"] == pytest.approx((squares / 32).min(1).mean(), rel=1e-12)


def test_what_is_copied_is_no_error():
    test = grid(50, 5)
    assert values(test, test) == {"pitch_class_distance": 0, "interval_distance": 0, "mse": 0}


def test_a_transposed_tune_moves_alike_and_sounds_another_note():
    test = np.tile(1 + 45 + np.arange(30) % 5, (3, 1))
    moved = values(test + 1, test, GRID, KEYS)
    assert moved["interval_distance"] == 0
    assert moved["pitch_class_distance"] == pytest.approx(1 / 5)
    assert moved["mse"] == 1
    octave = values(test + 12, test)
    assert octave["pitch_class_distance"] == octave["interval_distance"] == 0
    assert octave["mse"] == 144


def test_notes_without_order_have_the_pitch_classes_alone():
    tunes = FolkTunes().load()
    words, spec, train = tunes.vocabulary.words, tunes.training.spec, tunes.training.train
    shuffled = train.flatten()[torch.randperm(train.numel(), generator=torch.Generator().manual_seed(0))].view_as(train)
    real, noise = values(train, tunes.test, spec, words), values(shuffled, tunes.test, spec, words)
    assert real["pitch_class_distance"] == noise["pitch_class_distance"] < 0.03
    assert real["interval_distance"] < 0.03
    assert noise["interval_distance"] > 0.4
    assert real["mse"] == pytest.approx(9.4, abs=0.1)
    assert noise["mse"] == pytest.approx(23.0, abs=0.1)


def test_mse_is_gamed_by_one_note_for_ever():
    tunes = FolkTunes().load()
    words = tunes.vocabulary.words
    one = torch.full((5, 32), words.index("52"))
    found = scores(one, tunes.test, tunes.training.spec, words)
    assert found["mse"].value == pytest.approx(4.6, abs=0.05)
    assert found["mse"].direction == "real"
    assert found["interval_distance"].value is None
    assert found["interval_distance"].absent == "there is no interval in any sample"


def test_real_phrases_are_near_each_other():
    tunes = FolkTunesPhrases().load()
    words, spec = tunes.vocabulary.words, tunes.training.spec
    real = values(tunes.training.train, tunes.test, spec, words)
    assert set(real) == {"pitch_class_distance", "interval_distance"}
    noise = values(
        torch.randint(1, spec.vocab_size - 1, (500, 49), generator=torch.Generator().manual_seed(0)),
        tunes.test,
        spec,
        words,
    )
    assert max(real.values()) < 0.03
    assert min(noise.values()) > 0.1


def test_rests_unknown_words_and_what_follows_the_end_count_nowhere():
    test = [[1, 2, 4, 4, 3, 1, 6, 6, 6]]
    assert values(test, [[1, 4, 4, 3, 1, 6, 6, 6, 6]], PHRASES, NOTES) == dict.fromkeys(
        ("pitch_class_distance", "interval_distance"), 0
    )
    assert values(test, [[1, 4, 0, 4, 3, 2, 1, 6, 5]], PHRASES, NOTES)["interval_distance"] == 0
    assert intervals(np.array([[73, NONE, 61, 61, 60]]), repeats=True).nonzero()[0].tolist() == [115, 126, 127]
    assert intervals(np.array([[73, NONE, 61, 61, 60]]), repeats=False).nonzero()[0].tolist() == [115, 126]
    assert intervals(np.array([[73], [61]]), repeats=True).sum() == 0  # not from one tune to the next
    assert pitch_classes(np.array([[73, NONE, 61, 60]])).tolist() == [1, 2, *[0] * 10]


def test_a_rest_keeps_the_pitch():
    lines = np.array([[NONE, 60, NONE, NONE, 62], [NONE] * 5])
    assert held(lines).tolist() == [[60, 60, 60, 60, 62], [20] * 5]
    assert nearest_squared_error(np.array([[1, 2]]), np.array([[1, 4], [3, 3]])).tolist() == [2.0]


def test_silence_has_no_score():
    silence = np.full((3, 32), KEYS.index("0"))
    found = scores(silence, grid(5, 7))
    assert found["pitch_class_distance"].absent == "there is no note in any sample"
    assert found["pitch_class_distance"].answered  # it says something of the samples, and is no failure of the metric
    assert found["mse"].value > 500
    assert not scores(grid(5, 7), silence)["pitch_class_distance"].answered
    assert scores(grid(5, 7), silence)["pitch_class_distance"].absent == "there is no note in any test sequence"


def test_other_tasks_have_no_music():
    assert evidence(grid(3, 0), grid(3, 1), SequenceSpec(90, 32, 90, kind="characters"), KEYS).ask(Music()) == []
    assert evidence(grid(3, 0), grid(3, 1), GRID, None).ask(Music()) == []


def test_signatures_say_what_a_comparable_score_must_share():
    found = scores(grid(7, 0), grid(5, 1))
    assert {name: str(result.signature) for name, result in found.items()} == {
        "pitch_class_distance": "per=step|n=7|test=5|tok=pitch|v=1",
        "interval_distance": "of=changes|n=7|test=5|tok=pitch|v=1",
        "mse": "nearest|rests=held|n=7|test=5|tok=pitch|v=1",
    }
    found = scores(phrases(7, 0), phrases(5, 1), PHRASES, NOTES)
    assert [str(result.signature).partition("|")[0] for result in found.values()] == ["per=note", "of=notes"]
