"""Rows that copy the training text are found at whatever grain they copy; honest rows are not."""

import numpy as np
import pandas as pd
import pytest

from bench import run
from bench.analysis.copying import COLUMNS, ERRORS, SLACK, WORDS, copiers

CHEATS = '''
"""Training text in disguise, each with the density of word pairs: what no likelihood sees, the copy rates must.

They call it an estimate, which is not verified; if they called it exact, their runs would fail.
"""

from dataclasses import dataclass

import torch

from baselines.bigram import Bigram


class Disguised:
    density = "estimated"

    def __init__(self, model, disguise):
        self.model, self.disguise = model, disguise

    def sample(self, n, decoding, rng):
        return self.disguise(n, rng)

    def token_log_prob(self, tokens, temperature=1.0):
        return self.model.token_log_prob(tokens, temperature)


@dataclass(frozen=True)
class ShuffledLines:
    """Poems whose lines are lines of four different training poems."""

    def fit(self, data, run):
        lines = data.train.reshape(-1, 5)

        def shuffled(n, rng):
            drawn = torch.randint(len(lines), (n * data.spec.seq_len // 5,), generator=rng)
            return lines[drawn].reshape(n, -1)

        return Disguised(Bigram().fit(data, run), shuffled)


@dataclass(frozen=True)
class NoisyReplay:
    """Training sequences in which a share of the words is drawn anew from all words that are written."""

    noise: float = 0.3

    def fit(self, data, run):
        words = data.train[data.spec.mask(data.train)]
        words = words[words != data.spec.eos] if data.spec.eos is not None else words

        def noisy(n, rng):
            rows = data.train[torch.randint(len(data.train), (n,), generator=rng)]
            drawn = words[torch.randint(len(words), rows.shape, generator=rng)]
            changed = torch.rand(rows.shape, generator=rng) < self.noise
            if data.spec.eos is not None:
                changed &= data.spec.mask(rows) & (rows != data.spec.eos)
            return torch.where(changed, drawn, rows)

        return Disguised(Bigram().fit(data, run), noisy)


@dataclass(frozen=True)
class Paraphrase:
    """Training sequences in which one word of so many is drawn anew: no 4-gram is left of every fourth."""

    every: int = 4

    def fit(self, data, run):
        words = data.train[data.spec.mask(data.train)]
        words = words[words != data.spec.eos] if data.spec.eos is not None else words

        def changed(n, rng):
            rows = data.train[torch.randint(len(data.train), (n,), generator=rng)].clone()
            places = rows[:, :: self.every]
            drawn = words[torch.randint(len(words), places.shape, generator=rng)]
            ends = places == data.spec.eos if data.spec.eos is not None else torch.zeros_like(places, dtype=bool)
            rows[:, :: self.every] = torch.where(ends, places, drawn)
            return rows

        return Disguised(Bigram().fit(data, run), changed)


@dataclass(frozen=True)
class EveryThird(Paraphrase):
    every: int = 3


@dataclass(frozen=True)
class Swapped:
    """Poems in which all neighbours are swapped."""

    def fit(self, data, run):
        def swapped(n, rng):
            rows = data.train[torch.randint(len(data.train), (n,), generator=rng)]
            return rows.reshape(n, -1, 2).flip(2).reshape(n, -1)

        return Disguised(Bigram().fit(data, run), swapped)


@dataclass(frozen=True)
class Memorizer:
    """Training sequences as they are."""

    def fit(self, data, run):
        def drawn(n, rng):
            return data.train[torch.randint(len(data.train), (n,), generator=rng)]

        return Disguised(Bigram().fit(data, run), drawn)
'''
CHEATING = ("ShuffledLines", "NoisyReplay", "Memorizer")
PARAPHRASES = ("Paraphrase", "EveryThird", "Swapped")
COUNTED = ("mle", "random", "bigram")
HONEST = (*COUNTED, "scheduled-sampling", "seqgan", "uniform")
CONTROLS = ("replay", "repeat")


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(
    ("task", "cheating", "honest", "settings"),
    [
        ("quatrains-tang", (*CHEATING, *PARAPHRASES), HONEST, {}),
        ("sotu-obama", CHEATING[1:], COUNTED, {}),
        ("folk-tunes-phrases", CHEATING[2:], COUNTED, {}),
        ("oracle", CHEATING[1:], COUNTED, {"oracle.train_size": 2000, "oracle.test_size": 500}),
    ],
)
def test_each_cheat_is_found_and_no_honest_model(task, cheating, honest, settings, write_plugin, tmp_path):
    write_plugin("copycats", CHEATS)
    models = [*honest, *CONTROLS, *(f"copycats:{name}" for name in cheating)]
    done = run(models, task, preset="smoke", seeds=1, metrics=["copy"], settings=settings, output=tmp_path / "results",
               temperatures=[], workers=0, progress=False)  # fmt: skip
    assert set(done.runs["status"]) == {"ok"}
    found = copiers(done.scores)
    caught = {model.rpartition(":")[2] for _, _, model, _ in found}
    assert caught == {*cheating, *CONTROLS}
    for key, phrase in found.items():
        assert key[0].startswith(task)
        assert phrase.startswith("copies training text: copy_")
    by_name = {model.rpartition(":")[2]: phrase for (_, _, model, _), phrase in found.items()}
    assert by_name["Memorizer"].startswith("copies training text: copy_sequence 1.000, real text 0.0")
    for name in set(PARAPHRASES) & set(cheating):
        assert by_name[name].startswith("copies training text: copy_nearest 0.")
    if "ShuffledLines" in cheating:
        assert by_name["ShuffledLines"] == "copies training text: copy_line 1.000, real text 0.003"


def frame(values, n=1000, model="cheat", checkpoint="final", real=None, signature="n={}|train=50|v=2"):
    """Scores of one model, one row for each seed, and of the real data in the same columns."""
    rows = []
    for name, point, columns in ((model, checkpoint, values), ("real data", "final", real or {})):
        for metric, seeds in columns.items():
            for seed, value in enumerate(np.atleast_1d(seeds)):
                rows.append(
                    {"task": "t", "preset": "quick", "model": name, "checkpoint": point, "seed": seed,
                     "kind": "quality", "metric": metric, "value": value, "signature": signature.format(n)}
                )  # fmt: skip
    return pd.DataFrame(rows)


def most(metric, real, value, n, seeds=1):
    """The highest rate that the documentation grants, for a share."""
    errors = ERRORS * np.sqrt(real * (1 - real) / n + value * (1 - value) / (n * seeds))
    return real + SLACK + (errors / 2 if metric == "copy_nearest" else errors)


@pytest.mark.parametrize("metric", COLUMNS[:-1])
@pytest.mark.parametrize("n", [100, 2000])
def test_a_share_is_granted_slack_and_sampling_error(metric, n):
    real = 0.1
    edge = next(value for value in np.linspace(real, 1, 2000) if value > most(metric, real, value, n))
    assert copiers(frame({metric: edge - 0.001}, n, real={metric: real})) == {}
    found = copiers(frame({metric: edge + 0.001}, n, real={metric: real}))
    assert found == {
        ("t", "quick", "cheat", "final"): f"copies training text: {metric} {edge + 0.001:.3f}, real text 0.100"
    }


def test_fewer_sequences_are_granted_more():
    value = {"copy_5gram": 0.2}
    assert copiers(frame(value, 2000, real={"copy_5gram": 0.1}))
    assert copiers(frame(value, 100, real={"copy_5gram": 0.1})) == {}
    assert copiers(frame(value, real={"copy_5gram": 0.1}, signature="no number")) == {}


def test_a_longest_span_is_a_length():
    real = {"copy_longest": 3.0}
    assert copiers(frame({"copy_longest": 3 + WORDS}, real=real)) == {}
    (phrase,) = copiers(frame({"copy_longest": 6.0}, real=real)).values()
    assert phrase == "copies training text: copy_longest 6.00 words, real text 3.00"


def test_the_largest_copied_unit_is_named():
    real = dict.fromkeys(COLUMNS, 0.0)
    (phrase,) = copiers(frame({**real, "copy_4gram": 0.9, "copy_6gram": 0.5}, real=real)).values()
    assert phrase == "copies training text: copy_6gram 0.500, real text 0.000"


def test_the_mean_over_seeds_counts_and_each_checkpoint_by_itself():
    real = {"copy_6gram": [0.0, 0.0, 0.0]}
    one_of_three = frame({"copy_6gram": [0.0, 0.0, 0.3]}, real=real)
    both = pd.concat([one_of_three, frame({"copy_6gram": 0.02}, checkpoint="selected")])
    assert list(copiers(both)) == [("t", "quick", "cheat", "final")]


def test_what_is_not_known_is_not_judged():
    assert copiers(frame({"copy_6gram": 1.0})) == {}
    assert copiers(frame({"copy_6gram": np.nan}, real={"copy_6gram": 0.0})) == {}
    assert copiers(frame({"bleu2": 1.0}, real={"bleu2": 0.0})) == {}
    # Of earlier versions: the row of the real data is made of training sequences, and copies everything.
    assert (
        copiers(frame({"copy_sequence": 1.0, "copy_8gram": 1.0}, real={"copy_sequence": 1.0, "copy_8gram": 1.0})) == {}
    )
    assert (
        copiers(
            frame({})[:0].reindex(columns=["task", "preset", "model", "checkpoint", "metric", "value", "signature"])
        )
        == {}
    )


def test_real_data_are_never_called_copies():
    both = frame({}, real={"copy_6gram": 0.0})
    other = frame({"copy_6gram": 1.0}, model="real data", checkpoint="selected")
    assert copiers(pd.concat([both, other])) == {}
