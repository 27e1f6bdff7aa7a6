"""The density of a grammar against every sentence written out, a chart parser that is not ours, and its own samples."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch
from nltk.grammar import PCFG, Nonterminal, ProbabilisticProduction
from nltk.parse import InsideChartParser
from scipy import stats

from bench.tasks.grammar import Grammar, GrammarOracle, Reading

SMALL = Grammar(seq_len=14, train_size=60, valid_size=20, test_size=30)


def laws(rows, size, seed):
    return torch.from_numpy(np.random.RandomState(seed).dirichlet(np.ones(size), rows))


def small(shortest=3, longest=7, names=2, operators=1, kinds=2, continued=0.45, nested=0.4, seed=0):
    parts = (laws(kinds + 1, size, seed + part) for part, size in enumerate((names, operators, kinds)))
    return GrammarOracle(*parts, continued, nested, shortest, longest)


def padded(sentences, grammar):
    T = grammar.longest + 1
    return torch.tensor([[*words, *[grammar.eos] * (T - len(words))] for words in sentences])


@pytest.fixture(scope="module")
def task():
    return SMALL.load()


@pytest.mark.parametrize(
    ("bounds", "sizes"),
    [((3, 7), (2, 1, 2)), ((1, 5), (2, 2, 2)), ((1, 1), (3, 1, 1)), ((4, 8), (1, 1, 3)), ((7, 7), (2, 1, 1))],
)
def test_sentences_have_the_probabilities_of_their_derivations(bounds, sizes):
    grammar = small(*bounds, *sizes)
    sentences = grammar.reference_sentences()
    assert len(sentences) > 2
    log_prob = grammar.log_prob(padded(sentences, grammar))
    assert log_prob.dtype == torch.float64
    expected = torch.tensor(list(sentences.values()), dtype=torch.float64)
    torch.testing.assert_close(log_prob.exp(), expected, rtol=1e-12, atol=0)
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-12)


def test_a_token_has_the_share_of_the_sentences_that_begin_like_that():
    grammar = small()
    sentences = grammar.reference_sentences()
    sums: dict[tuple[int, ...], float] = {}
    for words, probability in sentences.items():
        whole = (*words, grammar.eos)
        for length in range(len(whole) + 1):
            sums[whole[:length]] = sums.get(whole[:length], 0.0) + probability
    tokens = padded(sentences, grammar)
    for row, found in zip(tokens.tolist(), grammar.token_log_prob(tokens).exp().tolist(), strict=True):
        end = row.index(grammar.eos) + 1
        expected = [sums[tuple(row[: t + 1])] / sums[tuple(row[:t])] for t in range(end)]
        assert found == pytest.approx([*expected, *[1.0] * (len(row) - end)], rel=1e-12)


def test_everything_else_is_impossible_and_everything_together_is_certain():
    """All 7^5 sequences of five tokens: the language is what the rules write, no more and no less."""
    grammar = small(1, 4, names=2, operators=1, kinds=2)
    tokens = torch.tensor(list(itertools.product(range(grammar.eos + 1), repeat=5)))
    after = (tokens == grammar.eos).long().cumsum(-1) > 0
    tokens = tokens[((tokens == grammar.eos) | ~after).all(1)]
    found = grammar.log_prob(tokens)
    possible = {tuple(row) for row in padded(grammar.reference_sentences(), grammar).tolist()}
    assert {tuple(row) for row in tokens[found > -math.inf].tolist()} == possible
    assert len(tokens) > 5 * len(possible)
    assert not bool(found.isnan().any())
    assert float(found.exp().sum()) == pytest.approx(1, abs=1e-12)


def as_pcfg(grammar):
    """The rules for nltk: nonterminals E and T for each bracket around them."""
    E, T = ([Nonterminal(f"{kind}{c}") for c in range(len(grammar.names))] for kind in "ET")
    rules = []
    for c, (names, operators, kinds) in enumerate(
        zip(grammar.names.tolist(), grammar.operators.tolist(), grammar.kinds.tolist(), strict=True)
    ):
        rules.append((E[c], [T[c]], 1 - grammar.continued))
        for number, probability in enumerate(operators, grammar.first_operator):
            rules.append((E[c], [T[c], str(number), E[c]], grammar.continued * probability))
        for number, probability in enumerate(names):
            rules.append((T[c], [str(number)], (1 - grammar.nested) * probability))
        for k, probability in enumerate(kinds):
            inside = [str(grammar.first_opening + k), E[k + 1], str(grammar.first_closing + k)]
            rules.append((T[c], inside, grammar.nested * probability))
    return PCFG(E[0], [ProbabilisticProduction(left, right, prob=p) for left, right, p in rules])


def test_a_chart_parser_finds_one_derivation_with_the_same_probability(task):
    """Of sentences as long as the task's; what bounds them is the same factor for all."""
    grammar = task.oracle
    parser = InsideChartParser(as_pcfg(grammar))
    tokens = task.test[:12]
    ratios = []
    for row, log_prob in zip(tokens.tolist(), grammar.log_prob(tokens).tolist(), strict=True):
        (tree,) = parser.parse([str(token) for token in row[: row.index(grammar.eos)]])
        ratios.append(log_prob - tree.logprob() * math.log(2))
    assert ratios == pytest.approx([ratios[0]] * len(ratios), abs=1e-9)
    assert ratios[0] > 0  # the bound makes each of them more probable
    assert ratios[0] == pytest.approx(-math.log(float(grammar.weights[0, 0, 0])), abs=1e-9)


def test_laws_sum_to_one_after_every_prefix_of_long_sentences():
    data = Grammar(train_size=2, valid_size=2, test_size=400).load()
    reading = Reading(data.oracle, 400)
    for token in data.test.t():
        going = ~reading.ended
        torch.testing.assert_close(reading.law[going].sum(-1), torch.ones(int(going.sum()), dtype=torch.float64))
        reading.read(token)
    assert bool(reading.ended.all())
    assert bool(reading.alive.all())
    lengths = data.training.spec.lengths(data.test)
    assert (int(lengths.min()), int(lengths.max())) == (9, 39)


def test_samples_follow_log_prob():
    grammar = small(1, 5)
    sentences = grammar.reference_sentences()
    numbers = {words: number for number, words in enumerate(sentences)}
    drawn = grammar.sample(np.random.RandomState(1).random_sample((40_000, 6)))
    rows = [tuple(row[: row.index(grammar.eos)]) for row in drawn.tolist()]
    counts = np.bincount([numbers[row] for row in rows], minlength=len(sentences))
    expected = np.array(list(sentences.values())) * 40_000
    assert expected.min() > 5
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_extreme_uniforms_write_sentences():
    grammar = small()
    drawn = grammar.sample(np.array([[0.0] * 8, [np.nextafter(1, 0)] * 8]))
    assert bool((grammar.log_prob(drawn) > -math.inf).all())


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a + ( b ]", 4), ("a + ( b", 4), ("+ a", 0), ("a a", 1), ("( )", 1), ("a )", 1), ("a + + b", 2),
        ("( a ) + b ) + b", 5), ("a + b + b", 5), ("a", 1), ("", 0),
    ],
)  # fmt: skip
def test_the_first_token_that_is_wrong_is_the_first_impossible_one(text, first):
    """Sentences have 7 to 13 words here: the end mark can come too soon, too."""
    data = dataclasses.replace(SMALL, shortest=7).load()
    tokens = data.training.vocabulary.encode([text], 14)
    found = data.oracle.token_log_prob(tokens)[0]
    assert bool((found[:first] > -math.inf).all())
    assert bool((found[first : len(text.split()) + 1] == -math.inf).all())
    assert float(data.oracle.log_prob(tokens)) == -math.inf


def test_a_sentence_without_an_end_is_none():
    data = SMALL.load()
    text = " + ".join("aaaaaaa")
    tokens = data.training.vocabulary.encode([f"{text} + a"], 20)[:, :14]
    found = data.oracle.token_log_prob(tokens)[0]
    assert bool((found[:13] > -math.inf).all())
    assert float(found[13]) == -math.inf


def test_symbols_and_ids_are_one_to_one(task):
    vocabulary, spec = task.training.vocabulary, task.training.spec
    assert (len(vocabulary.words), spec.eos, spec.pad, spec.bos, spec.kind) == (19, 18, 18, 19, "symbols")
    lines = vocabulary.decode(task.test)
    assert torch.equal(vocabulary.encode(lines, 14), task.test)
    assert torch.equal(vocabulary.encode([line.replace(" ", "") for line in lines], 14), task.test)
    assert torch.equal(vocabulary.encode(vocabulary.spell(task.test), 14), task.test)
    assert vocabulary.encode(["a", "a + a"]).shape == (2, 4)
    with pytest.raises(ValueError, match=r"expected symbols among a b .* \}, got 'x'"):
        vocabulary.encode(["a + x"])
    with pytest.raises(ValueError, match="expected less than 3 words, got 3"):
        vocabulary.encode(["a + a"], 3)


def test_two_loads_are_the_same_bytes_and_splits_are_different_draws(task):
    assert SMALL.load().sha256 == task.sha256
    more = dataclasses.replace(SMALL, train_size=80).load()
    assert torch.equal(more.training.train[:60], task.training.train)
    assert torch.equal(more.test, task.test)
    assert not torch.equal(task.training.train[:20], task.training.valid)
    assert json.loads(SMALL.fingerprint()) == dataclasses.asdict(SMALL)


@pytest.mark.parametrize(
    "change",
    [{"draw": 1}, {"seq_len": 16}, {"shortest": 3}, {"brackets": 2}, {"names": 9}, {"operators": 3}, {"continued": 0.4},
     {"nested": 0.2}, {"concentration": 0.3}, {"train_size": 61}],
)  # fmt: skip
def test_a_parameter_makes_another_task(change, task):
    other = dataclasses.replace(SMALL, **change)
    assert other.fingerprint() != SMALL.fingerprint()
    assert other.load().sha256 != task.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shortest": 14}, "leave room for an end mark among 14"),
        ({"seq_len": 11, "shortest": 10}, "odd number of words"),
    ],
)
def test_sentences_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change)


def test_the_law_tells_which_bracket_is_open_however_far_it_was_opened():
    """What an LSTM oracle has not: one symbol decides about one that comes thirty positions later."""
    data = Grammar(train_size=2, valid_size=2, test_size=2).load()
    inside = " + ".join("a" * 16)
    texts = [f"{opening} {inside} {closing} + a" for opening, closing in ("()", "[]", "{}")]
    tokens = data.training.vocabulary.encode(texts, 40)
    crossed = tokens.clone()
    crossed[:, 32] = tokens[[1, 2, 0], 32]
    assert bool((data.oracle.log_prob(tokens) > -math.inf).all())
    assert bool((data.oracle.token_log_prob(crossed)[:, 32] == -math.inf).all())


def test_the_report_shows_the_rules_and_sentences(task):
    report = SMALL.report()
    assert report[0].startswith("60 training, 20 validation, 30 test sentences of 9 to 13 words")
    assert report[2].startswith("outside: a 0.")
    assert report[-5:] == tuple(task.training.vocabulary.decode(task.test[:5]))
