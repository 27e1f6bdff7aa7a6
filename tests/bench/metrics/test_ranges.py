"""What a score can be: every column says so, and a number outside is refused."""

import math

import numpy as np
import pytest
import torch
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from bench.analysis.catalogue import CATALOGUE, COSTS, PEOPLE
from bench.api import Decoding
from bench.kernels.ngrams import ReferenceCounts, self_bleu
from bench.kernels.ngrams import sentence_bleu as fast_sentence_bleu
from bench.metrics.base import Estimate, RealText, Subject, per_order
from bench.metrics.copying import Copy
from bench.metrics.density import Evidence, HeldOut, LogProb
from bench.metrics.fcd import FCD
from bench.metrics.molecules import COLUMNS, Molecules
from bench.metrics.ranges import SHARE, Impossible, Range
from bench.metrics.sequences import Tokens
from bench.metrics.signature import Signature
from bench.metrics.text.scoring import FAMILIES
from bench.plans import registry
from bench.runs.judge import RealData
from bench.tasks.corpus import Flights, FolkTunes, QuatrainsTang, Smiles, SotuObama, Surnames
from bench.tasks.grammar import Grammar
from bench.tasks.markov import Markov
from bench.tasks.toy import Toy

SIGNATURE = Signature.of(n=1, v="1")
ORDERS = (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("possible", "good", "bad"),
    [
        (Range(0, 1), (0, 0.5, 1, 1 + 1e-12, -1e-12), (-0.01, 1.01, math.inf)),
        (Range(0), (0, 1e9, math.inf), (-0.01, -math.inf)),
        (Range(high=0, slack=1e-3), (-math.inf, 0, 1e-4), (0.01,)),
        (Range(), (-math.inf, math.inf), ()),
    ],
)
def test_the_ends_are_in_it(possible, good, bad):
    for value in good:
        Estimate("column", value, "", "lower", SIGNATURE, possible=possible)
    for value in bad:
        with pytest.raises(Impossible, match=r"^column is "):
            Estimate("column", value, "", "lower", SIGNATURE, possible=possible)


def test_the_error_names_score_value_range_and_meaning():
    with pytest.raises(Impossible) as error:
        Range(0, 1, "A share is at most all.").check("copy_sequence", 1.25)
    assert str(error.value) == (
        "copy_sequence is 1.25, which cannot be true: expected a number between 0 and 1. A share is at most all."
    )
    with pytest.raises(Impossible, match=r"expected at least 0, give or take 0\.02\. Because\.$"):
        Range(0, because="Because.", slack=0.02).check("kl_forward", -0.5)
    with pytest.raises(Impossible, match=r"expected at most 0\. $"):
        Range(high=0).check("gain", 0.5)


class Known(RealData):
    """Real sequences whose density is said to be the oracle's, or uniform."""

    def __init__(self, data):
        super().__init__(data)
        if data.oracle is None:
            size = data.training.spec.vocab_size
            self.token_log_prob = lambda tokens, temperature=1.0: torch.full(tokens.shape, -math.log(size))


def estimates():
    """The estimates of every registered metric on every type of task, and of ``bench score``."""
    small = {"train_size": 60, "valid_size": 2, "test_size": 40}
    synthetic = Toy(test_size=40), Grammar(**small), Markov(vocab_size=12, **small)
    real = SotuObama(), FolkTunes(), QuatrainsTang(), Smiles(train_size=200), Flights(), Surnames(train_size=200)
    for task in (*synthetic, *real):
        data = task.load()
        words = data.vocabulary.words if data.vocabulary else None
        test, train = data.test[:40], data.training.train[:60]
        held_out = HeldOut(
            data.training.spec,
            test,
            data.oracle,
            None,
            data.tokenizer,
            train,
            words,
            *(getattr(data.vocabulary, "verse", None), data.training.valid),
            *(getattr(data.vocabulary, "places", None), data.listed),
        )
        sampler = Known(data)
        samples = sampler.sample(30, Decoding(), torch.Generator().manual_seed(0))
        for name in registry.available("metric"):
            metric = registry.find("metric", name).load()
            if not getattr(metric, "unavailable", str)():
                yield from Evidence(sampler, samples, held_out).ask(metric())
    rows = [np.random.default_rng(seed).integers(1, 6, (20, 9)) for seed in range(3)]
    text, test, train = (Tokens(ids, np.full(20, 9)) for ids in rows)
    for metrics in FAMILIES.values():
        for metric in metrics:
            for intervals in (False, True):
                subject = Subject.samples(text, RealText(test, train), "space", intervals=intervals)
                yield from metric.estimates(subject)


def test_every_column_says_what_it_can_be():
    found = list(estimates())
    listed = {entry.metric for entry in CATALOGUE if entry.theme and entry.theme not in (COSTS, PEOPLE)}
    listed -= {"augmented_lstm_nll", "augmented_lstm_gain"}  # which are in test_augmented_lstm.py
    listed -= {"fcd", "fcd_floor"} if FCD.unavailable() else set()  # its package is in no environment of the tests
    listed -= set(COLUMNS) if Molecules.unavailable() else set()
    assert {each.metric for each in found} >= listed | {
        *("length_distance", "vocabulary", "unseen_in_references", "unseen_in_train"),
    }
    assert {each.metric for each in found if each.value is None} == set()
    assert {each.metric for each in found if not (each.possible.because and each.possible.low >= 0)} == {
        *("augmented_gain", "augmented_gain_all"),  # which have a sign, and an upper end
        "entropy_gap",  # which has a sign, and both ends
    }


def test_a_strangers_metric_that_says_nothing_is_not_checked():
    assert Estimate("own", -5.0, "", "higher", SIGNATURE).value == -5


# BLEU of several orders


def texts(seed):
    """A few texts over few words, so that many n-grams match, of lengths that make the brevity penalty matter."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 9, 12)
    return rng.integers(0, rng.integers(2, 5), (12, 8)), lengths


def test_bleus_of_higher_orders_are_bounded_by_those_of_lower_ones():
    for seed in range(300):
        ids, lengths = texts(seed)
        references = ReferenceCounts.build(ids[6:], lengths[6:], 5)
        for scores in (fast_sentence_bleu(ids[:6], lengths[:6], references, ORDERS), self_bleu(ids, lengths, ORDERS)):
            for low in range(4):
                for high in range(low + 1, 4):
                    power = ORDERS[low] / ORDERS[high]
                    assert (scores[high] <= scores[low] ** power + 1e-12).all()
                    assert scores[high].mean() <= scores[low].mean() ** power + 1e-12
            assert len(list(per_order("bleu", scores, None, "higher", SIGNATURE))) == 4


def test_so_are_nltks():
    smooth = SmoothingFunction(0.1).method1
    for seed in range(40):
        ids, lengths = texts(seed)
        rows = [list(map(str, row[:length])) for row, length in zip(ids.tolist(), lengths, strict=True)]
        scores = [sentence_bleu(rows[1:], rows[0], (1 / order,) * order, smoothing_function=smooth) for order in ORDERS]
        for low, high in ((0, 1), (1, 2), (2, 3), (0, 3)):
            assert scores[high] <= scores[low] ** (ORDERS[low] / ORDERS[high]) + 1e-12


def test_bleu_2_may_be_below_bleu_3():
    references = ReferenceCounts.build(np.array([[0, 1, 0], [1, 0, 1]]), np.array([3, 3]), 5)
    (two, three) = fast_sentence_bleu(np.array([[0, 1, 0, 1]]), np.array([4]), references, (2, 3))[:, 0]
    assert (two, three) == pytest.approx(((2 / 3) ** (1 / 2), (2 / 3) ** (1 / 3)))
    assert two < three


def test_bleus_that_contradict_each_other_are_refused():
    scores = np.array([[0.1], [0.1], [0.1], [0.9]])
    with pytest.raises(Impossible, match=r"self_bleu5 is 0.9, .* at most self_bleu4 to the power of 4/5"):
        list(per_order("self_bleu", scores, None, "real", SIGNATURE))


def test_whole_copies_are_copies_of_all_their_parts():
    ids = np.random.default_rng(0).integers(1, 9, (10, 12))
    text, train = (Tokens(part, np.full(len(part), 12)) for part in (ids, ids[:4]))
    whole, *_, parts, _, _ = Copy().estimates(Subject.samples(text, RealText(text, train), "space"))
    assert parts.metric == "copy_8gram"
    assert whole.value == parts.possible.low == 0.4
    assert whole.possible == SHARE
    short = Tokens(ids, np.arange(3, 13))
    *_, parts, longest, _ = Copy().estimates(Subject.samples(short, RealText(short, short[:4]), "space"))
    assert parts.possible == SHARE
    assert (longest.possible.low, longest.possible.high) == (0, 12)


# Densities


class Says:
    """A density that gives the same answer to every question."""

    def __init__(self, answer, by_token):
        setattr(self, "token_log_prob" if by_token else "log_prob", lambda tokens: answer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            [[-1.0, 0.2], [-1.0, -1.0]],
            "token_log_prob of a token is 0.2, .* expected at most 0, .* above 1",
        ),
        ([-1.0, 0.5], "log_prob of a sequence is 0.5, which cannot be true"),
    ],
)
def test_a_probability_above_one_is_refused(answer, reason):
    answer = torch.tensor(answer)
    with pytest.raises(Impossible, match=reason):
        LogProb.of(Says(answer, answer.ndim == 2), torch.zeros(2, 2, dtype=torch.long))


def test_rounding_and_zero_probability_are_not():
    answer = torch.tensor([[1e-4, -math.inf], [0.0, -1.0]])
    found = LogProb.of(Says(answer, by_token=True), torch.zeros(2, 2, dtype=torch.long))
    assert found.sequences.tolist() == [-math.inf, -1.0]


def test_what_is_no_number_is_no_impossible_number():
    """The one is a computation that failed, the other a claim that cannot be true."""
    with pytest.raises(ValueError, match="token_log_prob of a token is not a number") as error:
        LogProb.of(Says(torch.tensor([[math.nan]]), by_token=True), torch.zeros(1, 1, dtype=torch.long))
    assert not isinstance(error.value, Impossible)


# What is shared is not written into


def test_a_density_gets_and_gives_copies():
    class Scribbler:
        def token_log_prob(self, tokens):
            tokens.zero_()
            self.answer = torch.full(tokens.shape, -1.0, dtype=torch.float64)
            return self.answer

    scribbler, tokens = Scribbler(), torch.ones(2, 3, dtype=torch.long)
    found = LogProb.of(scribbler, tokens)
    scribbler.answer.zero_()
    assert int(tokens.sum()) == 6
    assert found.tokens.sum() == found.sequences.sum() == -6


def test_what_metrics_share_is_read_only_or_copied(make_evidence):
    evidence = make_evidence([[5, 6, 7]], [[5, 6, 7]], {(5, 6, 7): -1.0}, {(5, 6, 7): -2.0}, train=[[5, 6, 7]])
    real, subject = evidence.held_out.real_text, evidence.subject
    arrays = [subject.text.ids, subject.text.lengths, real.references.ids, real.train.ids, real.counts.keys[0],
              real.counts.largest[1], real.language_model.counts[0], subject.occurrences.first[0][2]]  # fmt: skip
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for name in ("model_log_prob_of_test", "model_log_prob_of_samples", "oracle_log_prob_of_samples"):
        getattr(evidence, name).sequences.zero_()
        assert float(getattr(evidence, name).sequences) < 0
    evidence.held_out.oracle_log_prob.sequences.zero_()
    assert float(evidence.held_out.oracle_log_prob.sequences) == -2


def test_the_callers_own_arrays_stay_writable():
    ids = np.zeros((1, 2), np.int64)
    Tokens(ids, np.array([2]))
    ids[0, 0] = 1
