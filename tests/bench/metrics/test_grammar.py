"""Shares that a grammar allows, against a parser of our own that reads text, and how they are gamed."""

from __future__ import annotations

import math
import random

import pytest
import torch

from bench.api import SequenceSpec
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.divergence import Divergence, log_ratio
from bench.metrics.grammar import FAR, Grammaticality
from bench.metrics.nll import NLL
from bench.metrics.ranges import Impossible
from bench.tasks.grammar import Grammar
from bench.tasks.toy import Toy

TASK = Grammar(seq_len=20, shortest=1, train_size=200, valid_size=20, test_size=400)


@pytest.fixture(scope="module")
def task():
    return TASK.load()


class Even:
    """Draws every token with the same probability."""

    def __init__(self, spec: SequenceSpec) -> None:
        self.spec = spec

    def token_log_prob(self, tokens, temperature=1.0):
        return torch.where(self.spec.mask(tokens), -math.log(self.spec.vocab_size), 0.0).double()

    def log_prob(self, tokens):
        return self.token_log_prob(tokens).sum(-1)


def evidence(task, samples, sampler=None):
    held_out = HeldOut(task.training.spec, task.test, task.oracle, None, "symbols")
    return Evidence(sampler or Even(task.training.spec), samples, held_out)


def scores(task, texts, metric=Grammaticality, sampler=None):
    samples = texts if isinstance(texts, torch.Tensor) else task.training.vocabulary.encode(texts, 20)
    return {found.metric: found for found in evidence(task, samples, sampler).ask(metric())}


def values(task, texts):
    return {name: found.value for name, found in scores(task, texts).items()}


def test_by_hand(task):
    found = values(task, ["a + b", "( a ]", "( a", "[ ( a + b ) ] * c"])
    assert found["grammatical"] == 2 / 4
    # Two symbols of four tokens; two of three.
    assert found["grammatical_prefix"] == pytest.approx((1 + 2 / 4 + 2 / 3 + 1) / 4)
    # "]" and the end after "( a" are wrong; ")" and "]" are right.
    assert found["bracket_match"] == 2 / 4
    assert found["bracket_match_far"] is None


def test_far_is_measured_from_the_bracket_that_was_opened(task):
    inside = "a" + " + a" * 4  # 9 symbols
    assert FAR == 10
    found = values(task, [f"( {inside} )", f"[ {inside} )", "( a ]"])
    assert (found["bracket_match"], found["bracket_match_far"]) == (1 / 3, 1 / 2)
    found = scores(task, ["( a + b )", f"( {inside[:-4]} )"])
    assert found["bracket_match"].value == 1
    assert found["bracket_match_far"].absent == "no sample ends a bracket 10 or more positions after it was opened"


def plain(symbols, room, least):
    """Whether a text is a sentence, and the number of symbols before the first wrong one: recursion on text."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    position, open_, complete = 0, [], False
    for position, symbol in enumerate([*symbols, None]):
        if symbol is None:
            # The rest that would still have to be written must fit.
            return complete and not open_ and position >= least, position
        if not complete:
            fits = symbol.isalpha() or symbol in pairs
            open_ += [pairs[symbol]] if symbol in pairs else []
            complete = symbol.isalpha()
        elif symbol in "+-*/":
            fits, complete = True, False
        else:
            fits = bool(open_) and symbol == open_.pop()
        missing = len(open_) + (0 if complete else 1)
        if not fits or position + 1 + missing > room:
            return False, position
    raise AssertionError


def test_it_is_what_a_plain_reader_finds_in_mutated_sentences(task):
    """Sentences with a symbol replaced, removed or doubled, and random ones."""
    chance, texts, expected = random.Random(0), [], []
    symbols = list(task.training.vocabulary.words[:-1])
    for text in task.training.vocabulary.decode(task.test[:300]):
        words, at = text.split(), chance.randrange(len(text.split()))
        change = chance.randrange(4)
        replaced, doubled = [*words[:at], chance.choice(symbols), *words[at + 1 :]], [*words[: at + 1], *words[at:]]
        words = (words, replaced, words[:at] + words[at + 1 :], doubled[:19])[change]
        texts.append(" ".join(words))
        right, first = plain(words, 19, 1)
        expected.append((right, 1.0 if right else first / (len(words) + 1)))
    found = values(task, texts)
    assert 0.2 < sum(right for right, _ in expected) / 300 < 0.8
    assert found["grammatical"] == pytest.approx(sum(right for right, _ in expected) / 300)
    assert found["grammatical_prefix"] == pytest.approx(sum(share for _, share in expected) / 300)


def test_real_sentences_have_one_in_everything(task):
    assert set(values(task, task.training.train).values()) == {1.0}


def test_guessing_a_bracket_is_right_one_time_in_three(task):
    """Every closing bracket replaced by one of three, at random."""
    samples, chance = (
        task.oracle.sample(torch.rand(4_000, 20, dtype=torch.float64, generator=seeded(1)).numpy()),
        seeded(2),
    )
    first = task.oracle.first_closing
    closing = (samples >= first) & (samples < task.oracle.eos)
    samples = torch.where(closing, torch.randint(first, first + 3, samples.shape, generator=chance), samples)
    assert values(task, samples)["bracket_match"] == pytest.approx(1 / 3, abs=0.04)


def seeded(number):
    return torch.Generator().manual_seed(number)


def test_one_short_sentence_repeated_wins_and_does_not_win_what_ranks(task):
    """How it is gamed, and where that shows."""

    class Repeat:
        """One sentence with probability one."""

        def __init__(self, row):
            self.row = row

        def token_log_prob(self, tokens, temperature=1.0):
            same = (tokens == self.row).long().cumprod(-1).bool()
            return torch.where(same, 0.0, -math.inf).double()

        def log_prob(self, tokens):
            return self.token_log_prob(tokens).sum(-1)

    samples = task.training.vocabulary.encode(["a + b"] * 200, 20)
    repeat = Repeat(samples[0])
    assert values(task, samples)["grammatical"] == 1
    found = scores(task, samples, Divergence, repeat)
    honest = scores(task, task.oracle.sample(torch.rand(200, 20, dtype=torch.float64, generator=seeded(3)).numpy()),
                    Divergence, Sharper(task, 1.0))  # fmt: skip
    assert honest["jsd_token"].value == pytest.approx(0, abs=1e-12)
    assert found["jsd_token"].value > 0.3
    assert found["kl_forward"].absent == "kl_forward is inf"
    assert scores(task, samples, NLL, repeat)["nll_test"].absent == "nll_test is inf"


class Sharper:
    """The oracle, mixed with even draws of the next token: it writes what the oracle never does."""

    def __init__(self, task, share):
        self.oracle, self.spec, self.share = task.oracle, task.training.spec, share

    def token_log_prob(self, tokens, temperature=1.0):
        V = self.spec.vocab_size
        mixed = (self.oracle.token_log_prob(tokens).exp() * self.share + (1 - self.share) / V).log()
        return torch.where(self.spec.mask(tokens), mixed, 0.0)

    def log_prob(self, tokens):
        return self.token_log_prob(tokens).sum(-1)


# What is infinite, and what is not


def test_a_sample_that_the_oracle_never_writes(task):
    texts = ["a + b", "( a ]", "a a"]
    nll, found = scores(task, texts, NLL), scores(task, texts, Divergence)
    reason = "the oracle never writes some of the samples"
    assert (nll["nll_oracle"].value, nll["nll_oracle"].absent) == (None, f"{reason}: nll_oracle is inf")
    assert (found["kl_reverse"].value, found["kl_reverse"].absent) == (None, f"{reason}: kl_reverse is inf")
    assert nll["nll_oracle"].answered
    assert found["kl_reverse"].answered
    assert nll["nll_test"].value == pytest.approx(math.log(task.training.spec.vocab_size))
    for name in ("jsd_token", "tv_token", "kl_forward", "jsd", "entropy_gap"):
        assert math.isfinite(found[name].value)
    assert found["kl_forward"].value > 0


def test_sequences_without_overlap_have_the_largest_divergences(task):
    class Never(Even):
        """Nothing of the test set."""

        def token_log_prob(self, tokens, temperature=1.0):
            first = tokens[:, :1] == task.training.vocabulary.ids[")"]
            return torch.where(first, super().token_log_prob(tokens), -math.inf)

    found = scores(task, [") a", ") )"], Divergence, Never(task.training.spec))
    assert found["jsd"].value == pytest.approx(math.log(2))
    assert found["jsd_token"].value == pytest.approx(math.log(2))
    assert found["tv_token"].value == 1


def test_the_divergences_are_those_of_a_plain_loop(task):
    """Even draws: most samples are no sentences, and after the first wrong token every position counts log 2 / 2."""
    spec, model = task.training.spec, Even(task.training.spec)
    samples = torch.randint(0, spec.vocab_size, (300, 20), generator=seeded(5))
    samples = torch.where(spec.mask(samples), samples, spec.pad)
    found = scores(task, samples, Divergence)

    def halves(tokens, sign):
        per_token, per_sequence = [], []
        p, g = task.oracle.token_log_prob(tokens), model.token_log_prob(tokens)
        for row, kept in zip(zip(p.tolist(), g.tolist(), strict=True), spec.mask(tokens).tolist(), strict=True):
            pairs = [(one, two) if sign > 0 else (two, one) for one, two, on in zip(*row, kept, strict=True) if on]
            per_token += [math.log(2 / (1 + math.exp(other - own))) for own, other in pairs]
            own, other = (sum(pair[side] for pair in pairs) for side in (0, 1))
            per_sequence.append(math.log(2 / (1 + math.exp(other - own))) if other - own < 700 else own - other)
        return [sum(each) / len(each) for each in (per_token, per_sequence)]

    on_test, on_samples = halves(task.test, 1), halves(samples, -1)
    assert found["jsd_token"].value == pytest.approx((on_test[0] + on_samples[0]) / 2)
    assert found["jsd"].value == pytest.approx((on_test[1] + on_samples[1]) / 2)
    assert 0.8 * math.log(2) < on_samples[0] < math.log(2)


def test_a_draw_that_its_own_density_calls_impossible_is_refused_whatever_the_oracle_says(task):
    both = torch.tensor([-1.0, -math.inf, -math.inf, -2.0]), torch.tensor([-2.0, -1.0, -math.inf, -math.inf])
    assert log_ratio(*both).tolist() == [1.0, -math.inf, -math.inf, math.inf]

    class Nothing(Even):
        def token_log_prob(self, tokens, temperature=1.0):
            return super().token_log_prob(tokens) - torch.where(tokens == 0, math.inf, 0.0)

    with pytest.raises(Impossible, match="along generated sequences is -inf"):
        scores(task, ["a a"], Divergence, Nothing(task.training.spec))


def test_nothing_for_oracles_without_brackets_and_for_text(make_evidence):
    toy = Toy(train_size=10, valid_size=4, test_size=4).load()
    held_out = HeldOut(toy.training.spec, toy.test, toy.oracle, None, "ids")
    assert Evidence(Even(toy.training.spec), toy.training.train, held_out).ask(Grammaticality()) == []
    assert make_evidence([[1, 2]], [[1, 2]]).ask(Grammaticality()) == []


def test_signatures_directions_and_reasons(task):
    found = scores(task, ["a + b", "a"])
    assert {name: str(each.signature) for name, each in found.items()} == {
        "grammatical": "n=2|v=1",
        "grammatical_prefix": "n=2|v=1",
        "bracket_match": "n=2|v=1",
        "bracket_match_far": "far=10|n=2|v=1",
    }
    assert {(each.unit, each.direction) for each in found.values()} == {("", "higher")}
    assert found["bracket_match"].absent == "no sample ends a bracket"
