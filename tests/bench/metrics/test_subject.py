"""One implementation for models and for files: a score does not depend on what else is requested."""

import numpy as np
import pytest

from bench.metrics.base import ORDERS, RealText, Subject
from bench.metrics.bleu import BackwardBleu, Bleu, SelfBleu
from bench.metrics.copying import Copy
from bench.metrics.diversity import Distinct, Unseen, Vocabulary
from bench.metrics.length import Length, LengthDistance
from bench.metrics.overlap import MSJaccard
from bench.metrics.sequences import Tokens

METRICS = (Bleu, SelfBleu, BackwardBleu, MSJaccard, Distinct, Copy, Length, LengthDistance, Vocabulary, Unseen)


def text(n, seed, width=12):
    """Words of a file: 0 is <unk>, -1 pads short sequences."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 9, (n, width))
    lengths = rng.integers(1, width + 1, n)
    return Tokens(np.where(np.arange(width) < lengths[:, None], ids, -1), lengths)


@pytest.fixture(scope="module")
def real():
    return RealText(text(30, 1), text(50, 2, width=20))


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_is_the_same_with_an_interval_and_without(metric, real):
    plain, resampled = (
        list(metric().estimates(Subject.samples(text(25, 0), real, "space", intervals=intervals)))
        for intervals in (False, True)
    )
    assert [found.metric for found in plain] == [found.metric for found in resampled]
    for one, other in zip(plain, resampled, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-14)
        assert one.signature == other.signature
        assert one.contributions is None
        assert other.contributions.shape == (25,)


def test_contributions_that_are_a_sequences_own_average_to_the_score(real):
    subject = Subject.samples(text(25, 0), real, "space", intervals=True)
    for found in (*Bleu().estimates(subject), *list(Copy().estimates(subject))[:1], *Length().estimates(subject)):
        assert found.interval in ("mean", "wilson")
        assert found.contributions.mean() == pytest.approx(found.value)


def test_the_width_of_the_training_set_does_not_hide_copies(real):
    length = min(9, int(real.train.lengths[4]))
    words = np.full((1, 9), -1)
    words[0, :length] = real.train.ids[4, :length]
    copied = Tokens(words, np.array([length]))
    train = Tokens(real.train.ids[4:5], np.array([length]))
    whole, *_, longest, _ = Copy().estimates(Subject.samples(copied, RealText(text(3, 3), train), "space"))
    assert whole.value == 1
    assert longest.value == 4  # up to its <unk>


def test_a_models_unknown_words_are_those_of_its_task(make_evidence):
    evidence = make_evidence([[5, 6, 5]], [[6, 7, 8]], unk=5, train=[[6, 7, 8]])
    (vocabulary,) = evidence.ask(Vocabulary())
    assert vocabulary.value == 2
    assert [found.value for found in evidence.ask(Unseen())] == [0, 0]
    assert [found.value for found in make_evidence([[5, 6, 5]], [[6, 7, 8]]).ask(Unseen())] == [2 / 3]


def test_what_stands_after_the_end_is_no_word(make_evidence):
    evidence = make_evidence([[5, 1, 0, 0]], [[5, 6, 7, 8]], eos=1, pad=0)
    assert [found.value for metric in (Vocabulary, Unseen) for found in evidence.ask(metric())] == [1, 0]


def test_the_orders_of_bleu_are_counted_once(real):
    assert real.counts is real.counts
    assert real.counts.max_order == max(ORDERS)
