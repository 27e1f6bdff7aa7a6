"""Counts of up to five words: against the textbook's formulas, written again with dictionaries."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from scipy import stats

from baselines.bigram import Bigram
from baselines.ngram import Ngram, NgramModel, count
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite

V, T = 4, 4
FIXED = SequenceSpec(V, T, bos=V)
ENDED = SequenceSpec(V, T, bos=V, eos=1, pad=0)
SPECS = [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos")]
KINDS = [("kneser-ney", 0.7), ("kneser-ney", 0.3), ("witten-bell", 0.5)]


def training(spec, n=40):
    tokens = torch.randint(0, V, (n, T), generator=torch.Generator().manual_seed(3))
    tokens[:, 2] = tokens[:, 1]  # something to learn, and contexts that occur several times
    return tokens if spec.eos is None else tokens.where(spec.mask(tokens), spec.pad)


def every(spec):
    sequences = torch.tensor(list(itertools.product(range(V), repeat=T)))
    return sequences if spec.eos is None else sequences[(spec.mask(sequences) | (sequences == spec.pad)).all(-1)]


class Textbook:
    """p(w | h) by recursion over dictionaries; a sequence is read with its start, "S", before it."""

    def __init__(self, spec, tokens, order, kind, discount):
        self.order, self.kind, self.discount = order, kind, discount
        sentences = [
            ["S", *row[:end]] for row, end in zip(tokens.tolist(), spec.mask(tokens).sum(-1).tolist(), strict=True)
        ]
        raw = defaultdict(Counter)
        before = defaultdict(lambda: defaultdict(set))
        for sentence in sentences:
            for place in range(1, len(sentence)):
                for length in range(min(order, place + 1)):
                    context = tuple(sentence[place - length : place])
                    raw[context][sentence[place]] += 1
                    if length < place:
                        before[context][sentence[place]].add(sentence[place - length - 1])
        self.table = {}
        for context, words in raw.items():
            continued = kind == "kneser-ney" and len(context) < order - 1 and context[:1] != ("S",)
            if continued:
                self.table[context] = {word: len(found) for word, found in before[context].items()}
            else:
                self.table[context] = dict(words)

    def probability(self, word, context):
        context = tuple(context)[max(0, len(context) - self.order + 1) :]
        shorter = self.probability(word, context[1:]) if context else 1 / V
        counts = self.table.get(context)
        if not counts:
            return shorter
        total, kinds, mine = sum(counts.values()), len(counts), counts.get(word, 0)
        if self.kind == "witten-bell":
            return (mine + kinds * shorter) / (total + kinds)
        return max(mine - self.discount, 0) / total + self.discount * kinds / total * shorter


@pytest.mark.parametrize(("kind", "discount"), KINDS)
@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("spec", SPECS)
def test_every_probability_is_the_textbooks(spec, order, kind, discount):
    train = training(spec)
    model, plain = (
        NgramModel(spec, count(spec, train, order), kind, discount),
        Textbook(spec, train, order, kind, discount),
    )
    found = model.token_log_prob(every(spec)).exp()
    for row, sequence in zip(found.tolist(), every(spec).tolist(), strict=True):
        for place, word in enumerate(sequence):
            if spec.eos in sequence[:place] and spec.eos is not None:
                assert row[place] == 1
            else:
                assert row[place] == pytest.approx(plain.probability(word, ["S", *sequence[:place]]), rel=1e-12)


@pytest.mark.parametrize(("kind", "discount"), KINDS)
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("spec", SPECS)
def test_it_is_a_distribution_and_the_laws_are_its_own(spec, order, kind, discount):
    model = NgramModel(spec, count(spec, training(spec), order), kind, discount)
    for temperature in (1.0, 0.6, 2.0):
        assert float(model.token_log_prob(every(spec), temperature).sum(-1).exp().sum()) == pytest.approx(1)
    for k in range(T):
        prefixes = every(FIXED)[:, :k]
        prefixes = prefixes if spec.eos is None else prefixes[(prefixes != spec.eos).all(-1)]
        law = model.next_token_log_probs(prefixes)
        torch.testing.assert_close(law.exp().sum(-1), torch.ones(len(prefixes), dtype=torch.float64))
        whole = torch.nn.functional.pad(prefixes, (0, T - k))
        for word in range(V):
            whole[:, k] = word
            torch.testing.assert_close(model.token_log_prob(whole)[:, k], law[:, word])


@pytest.mark.parametrize(("kind", "discount"), KINDS)
@pytest.mark.parametrize("decoding", [Decoding(), Decoding(0.5), Decoding(2.0)])
@pytest.mark.parametrize("spec", SPECS)
def test_samples_follow_the_density(spec, decoding, kind, discount):
    """At temperature 1 words are drawn level by level, at others from the whole law."""
    model = NgramModel(spec, count(spec, training(spec), 4), kind, discount)
    law = model.token_log_prob(every(spec), decoding.temperature).sum(-1).exp()
    powers = V ** torch.arange(T)
    drawn = model.sample(30_000, decoding, torch.Generator().manual_seed(0))
    counts = torch.bincount((drawn * powers).sum(-1), minlength=V**T)[(every(spec) * powers).sum(-1)]
    assert int(counts.sum()) == 30_000
    common = law * 30_000 >= 5
    observed = np.array([*counts[common].tolist(), int(counts[~common].sum())], float)
    expected = np.array([*(law[common] * 30_000).tolist(), float(law[~common].sum() * 30_000)])
    some = expected > 0
    observed, expected = observed[some], expected[some]
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


@pytest.mark.parametrize(("kind", "discount"), KINDS)
def test_drawing_level_by_level_is_drawing_from_the_law(kind, discount):
    """For each context, the uniform numbers that a word takes are as many as its probability says, by both ways."""
    model = NgramModel(FIXED, count(FIXED, training(FIXED), 3), kind, discount)
    uniforms = (np.arange(20_000) + 0.5) / 20_000
    for prefix in ([], [2], [0, 1], [3, 3, 3]):
        read = np.array([[V, *prefix]])
        law = model.laws(model.contexts(read))[0]
        for draw in (model.draw, model.reference_draw):
            words = draw([np.repeat(ids, len(uniforms)) for ids in model.contexts(read)], uniforms, Decoding())
            np.testing.assert_allclose(np.bincount(words, minlength=V) / len(uniforms), law, atol=3e-4)


def test_what_continues_many_contexts_is_likelier_in_a_new_one():
    """Kneser and Ney's point: "francisco" is frequent, and follows only "san"."""
    spec = SequenceSpec(6, 2, bos=6)
    train = torch.tensor([[0, 1]] * 8 + [[2, 3], [4, 3], [5, 3], [1, 3]])
    kneser, witten = (NgramModel(spec, count(spec, train, 2), kind, 0.7) for kind in ("kneser-ney", "witten-bell"))
    new = torch.tensor([[3]])  # nothing was ever seen after 3
    assert kneser.next_token_log_probs(new)[0, 3] > kneser.next_token_log_probs(new)[0, 1]
    assert witten.next_token_log_probs(new)[0, 3] < witten.next_token_log_probs(new)[0, 1]


def test_the_candidate_with_the_lowest_validation_nll_is_the_model():
    data = Toy().load().training
    run = Session("ngram/0")
    model = run.train(Ngram(orders=(1, 2, 3), discounts=(0.3, 0.8)), data)
    found = {}
    for order in (1, 2, 3):
        counts = count(data.spec, data.train, order)
        for kind, discount in (("kneser-ney", 0.3), ("kneser-ney", 0.8), ("witten-bell", 0.3)):
            each = NgramModel(data.spec, counts, kind, discount)
            found[order, kind, discount] = float(each.log_prob(data.valid).sum())
    assert float(model.log_prob(data.valid).sum()) == max(found.values())
    assert max(found, key=found.get)[0] == 2  # the toy is a chain of the first order
    assert run.cost.amounts["selection_tokens"] == 9 * data.valid.numel()


def test_longer_contexts_pay_where_words_depend_on_two_before():
    tokens = torch.randint(0, 10, (900, 12), generator=torch.Generator().manual_seed(0))
    for t in range(2, 12):
        tokens[:, t] = (tokens[:, t - 1] + tokens[:, t - 2]) % 10
    data = TrainingData(SequenceSpec(10, 12, bos=10), tokens[:600], tokens[600:])
    model = Session("ngram/0").train(Ngram(), data)
    pairs = Session("ngram/0").train(Bigram(), data)
    assert model.order >= 3
    assert float(model.log_prob(data.valid).mean()) > float(pairs.log_prob(data.valid).mean()) + 10


def test_nothing_counted_is_every_word_equally_likely():
    model = NgramModel(FIXED, count(FIXED, training(FIXED)[:0], 3), "kneser-ney", 0.5)
    torch.testing.assert_close(model.log_prob(every(FIXED)).exp(), torch.full((V**T,), V**-T, dtype=torch.float64))
    assert set(model.sample(400, Decoding(), torch.Generator().manual_seed(0)).flatten().tolist()) == set(range(V))


def test_a_cold_model_draws_the_likeliest_words():
    spec = SequenceSpec(5_000, 4, bos=5_000)
    train = torch.tensor([[1, 2, 3, 4]] * 20 + [[4, 3, 2, 1]] * 10)
    model = NgramModel(spec, count(spec, train, 3), "witten-bell", 0.5)
    drawn = model.sample(50, Decoding(0.01), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, model.sample(50, Decoding(top_k=1), torch.Generator().manual_seed(0)))


def test_it_keeps_the_contract():
    outcomes = list(run_suite(Ngram))
    assert len(outcomes) == len(CHECKS)
    [other, seedless] = [outcome for outcome in outcomes if outcome.status != "ok" or outcome.detail]
    assert (other.status, seedless.status) == ("skipped", "ok")
    assert "draws from no random stream" in other.detail
