"""A claimed density that is none, or is not that of the samples, fails the run; an honest one hardly ever does."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from bench.api import Decoding, SequenceSpec
from bench.metrics.density import Evidence, HeldOut, LogProb
from bench.metrics.divergence import LUCK
from bench.metrics.ranges import Impossible
from bench.plans.plan import Request, make_plan
from bench.runs import density_checks
from bench.runs.density_checks import DensityChecks
from bench.runs.runner import run
from bench.tasks.toy import MarkovChain, Toy

CHEATS = '''
"""Word pairs that are counted honestly, and then sold for what they are not."""
from dataclasses import dataclass

import torch
from baselines.bigram import Bigram
from bench.api import Decoding


class Honest:
    def __init__(self, model, train):
        self.model, self.train, self.spec = model, train, model.spec

    def sample(self, n, decoding, rng):
        return self.model.sample(n, decoding, rng)

    def token_log_prob(self, tokens, temperature=1.0):
        return self.model.token_log_prob(tokens, temperature)

    def next_token_log_probs(self, prefixes):
        return self.model.next_token_log_probs(prefixes)


class HonestButSlow(Honest):
    next_token_log_probs = None


class HonestAsAWhole:
    """Only complete sequences have a probability."""

    def __init__(self, model, train):
        self.sample, self.log_prob = model.sample, model.log_prob


class NineOfTen(Honest):
    """Claims a probability of .9 for every token."""

    def token_log_prob(self, tokens, temperature=1.0):
        return torch.where(self.spec.mask(tokens), -0.1053605, 0.0)

    def next_token_log_probs(self, prefixes):
        return torch.full((len(prefixes), self.spec.vocab_size), -0.1053605)


class NineOfTenSlow(NineOfTen):
    next_token_log_probs = None


class NineOfTenAsAWhole(HonestAsAWhole):
    def __init__(self, model, train):
        self.sample, self.spec = model.sample, model.spec

    def log_prob(self, tokens):
        return self.spec.mask(tokens).sum(-1) * -0.1053605


class TwoFaces(NineOfTen):
    """Has honest laws when it is asked for them."""

    def next_token_log_probs(self, prefixes):
        return self.model.next_token_log_probs(prefixes)


class OnePercentMore(Honest):
    def token_log_prob(self, tokens, temperature=1.0):
        return super().token_log_prob(tokens, temperature) + 0.01 * self.spec.mask(tokens)

    def next_token_log_probs(self, prefixes):
        return super().next_token_log_probs(prefixes) + 0.01


class Cold(Honest):
    """Samples at a temperature of 0.4, and claims 1."""

    def sample(self, n, decoding, rng):
        return self.model.sample(n, Decoding(0.4), rng)


class ColdSlow(Cold):
    next_token_log_probs = None


class Tepid(Honest):
    def sample(self, n, decoding, rng):
        return self.model.sample(n, Decoding(0.9), rng)


class Hot(Honest):
    def sample(self, n, decoding, rng):
        return self.model.sample(n, Decoding(2.0), rng)


class BestOfFour(Honest):
    """Draws four sequences and hands out the one that it thinks most of."""

    def sample(self, n, decoding, rng):
        drawn = self.model.sample(4 * n, decoding, rng)
        best = self.model.log_prob(drawn).view(n, 4).argmax(1)
        return drawn.view(n, 4, -1)[torch.arange(n), best]


class NoisyReplay(Honest):
    """Training sequences with words of the model's own at 30 % of their positions."""

    def sample(self, n, decoding, rng):
        drawn = self.train[torch.randint(len(self.train), (n,), generator=rng)]
        noise = self.model.sample(n, decoding, rng)
        drawn = drawn.where(torch.rand(drawn.shape, generator=rng) > 0.3, noise)
        return drawn.masked_fill(~self.spec.mask(drawn), self.spec.pad or 0)


class NoisyReplaySlow(NoisyReplay):
    next_token_log_probs = None


class NoisyReplayAsAWhole(NoisyReplay):
    next_token_log_probs = token_log_prob = None

    def log_prob(self, tokens):
        return self.model.log_prob(tokens)


class Repeat(Honest):
    """One sequence forever, of a probability that is quite usual."""

    def sample(self, n, decoding, rng):
        drawn = self.model.sample(101, decoding, rng)
        return drawn[self.model.log_prob(drawn).argsort()[50]].repeat(n, 1)


class BothSides(HonestButSlow):
    """Each token given those before *and after* it: each sum over one token is 1, and the product is no density."""

    def token_log_prob(self, tokens, temperature=1.0):
        found = torch.zeros(tokens.shape, dtype=torch.float64)
        for t in range(tokens.shape[1]):
            words = torch.arange(self.spec.vocab_size)
            other = tokens[:, None, :].repeat(1, len(words), 1)
            other[:, :, t] = words
            whole = self.model.log_prob(other.flatten(0, 1)).view(len(tokens), -1)
            found[:, t] = whole.log_softmax(-1).gather(1, tokens[:, t : t + 1])[:, 0]
        return found


class Unwritable(Honest):
    def token_log_prob(self, tokens, temperature=1.0):
        return super().token_log_prob(tokens, temperature).masked_fill(tokens == 0, float("-inf"))

    def next_token_log_probs(self, prefixes):
        found = super().next_token_log_probs(prefixes)
        found[:, 0] = float("-inf")
        return found.log_softmax(-1)


class Flat(Honest):
    """Forgets a dimension."""

    def next_token_log_probs(self, prefixes):
        return super().next_token_log_probs(prefixes)[:, 0]


class Bound(Honest):
    density = "bound"

    def token_log_prob(self, tokens, temperature=1.0):
        return super().token_log_prob(tokens, temperature) - 0.2


class Estimated(NineOfTen):
    density = "estimated"


class Silent(Honest):
    density = "none"


class Claimant:
    density = "exact"

    def __init__(self, model, train):
        self.sample = model.sample


@dataclass(frozen=True)
class Cheating:
    how: str = "Honest"

    def fit(self, data, run):
        return globals()[self.how](Bigram().fit(data, run), data.train)
'''
TOY = ("toy.train_size=400",)


@pytest.fixture
def cheat(write_plugin):
    """The record of a run of a model that cheats in a way of this name."""
    write_plugin("own_cheats", CHEATS)

    def do(how, task="toy", settings=TOY, preset="quick"):
        name = "own_cheats:Cheating"
        settings = (*settings, f"{name}.how={how}")
        [spec] = [
            spec
            for spec in make_plan(Request((name,), (task,), seeds=1, preset=preset, settings=settings, temperatures=()))
            if spec.model == name
        ]
        return run(dataclasses.replace(spec, samples=2_000))

    return do


SUMS = r"The density is none: in a test sequence, after \d+ tokens, the probabilities of all 12 next tokens sum to "
SHARPER = r".* they are sharper, as if drawn near temperature 0\.\d+ \(it gives them [\d.]+ nats per token, and its own"
COPIES = r".* they repeat n-grams of the training set more often than it allows \("


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("NineOfTen", SUMS + r"10\.8; expected 1, give or take 0\.0003\. A sampler with a bound"),
        ("NineOfTenSlow", SUMS + r"10\.8; expected 1"),
        ("NineOfTenAsAWhole", r"The density is none: the probabilities of \d+ different sequences sum to "),
        ("TwoFaces", r"The density contradicts itself: in a test sequence, after \d+ tokens, the law of the next"),
        ("OnePercentMore", SUMS + r"1\.01005; expected 1"),
        ("Cold", SHARPER),
        ("ColdSlow", SHARPER),
        ("Tepid", SHARPER),
        ("Hot", r".* they are flatter, as if drawn near temperature 2 \("),
        ("BestOfFour", SHARPER),
        ("Repeat", r".*the half of jsd|.* some tokens are more or less frequent than it says \(token \d+ \d+ times"),
        ("BothSides", r"The density is none: the log-probabilities of the \d+ tokens before a token change by"),
        ("Unwritable", r".* gives \d+ of 100 samples a probability of 0"),
    ],
)  # fmt: skip
def test_a_density_that_is_none_or_another_fails_the_run(cheat, how, reason):
    record = cheat(how)
    assert (record.status, record.scores, record.density) == ("failed", {}, "none")
    assert re.match(f"Impossible: ({reason})", record.reason), record.reason


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("NineOfTen", "The density is none: in a test sequence"),
        ("NineOfTenAsAWhole", r"The density is none: the probabilities of \d+ different sequences sum to "),
        ("NoisyReplay", COPIES),
        ("NoisyReplaySlow", COPIES),
        ("NoisyReplayAsAWhole", COPIES),
        ("Cold", SHARPER),
        ("Repeat", ".* they are|.* some tokens are more or less frequent than it says"),
    ],
)
def test_so_it_does_where_there_is_no_oracle(cheat, how, reason):
    record = cheat(how, "sotu-obama", (), "smoke")
    assert record.status == "failed"
    assert re.match(f"Impossible: ({reason})", record.reason), record.reason


@pytest.mark.parametrize(("task", "settings"), [("toy", TOY), ("sotu-obama", ())])
@pytest.mark.parametrize(
    ("how", "density", "columns"),
    [
        ("Honest", "exact", {"nll_test", "kl_forward", "jsd_token"}),
        ("HonestButSlow", "exact", {"nll_test", "kl_forward", "jsd_token"}),
        ("HonestAsAWhole", "estimated", {"nll_test", "kl_forward"}),
        ("Bound", "bound", {"nll_test"}),
        ("Estimated", "estimated", {"nll_test"}),
        ("Silent", "none", set()),
    ],
)
def test_an_honest_one_does_not_and_the_record_says_what_it_is(cheat, how, density, columns, task, settings):
    record = cheat(how, task, settings, "smoke")
    if how == "HonestButSlow" and task != "toy":
        density = "estimated"  # of a law of many tokens at a time, too few can be verified
    assert (record.status, record.reason, record.density) == ("ok", None, density)
    columns = columns if task == "toy" else columns & {"nll_test"}
    scores = {score.metric: score for score in record.scores["final"]}
    found = {name for name in ("nll_test", "kl_forward", "jsd_token") if name in scores and not scores[name].absent}
    assert found == columns
    if how in ("Bound", "Estimated") and task == "toy":
        assert "a divergence needs an exact one" in scores["jsd_token"].absent


def test_a_claim_without_a_method_and_laws_of_another_shape_are_told(cheat):
    assert "says that its density is 'exact', and has neither log_prob nor token_log_prob" in cheat("Claimant").reason
    assert re.search(r"expected next_token_log_probs of shape \(\d+, 12\), got \(\d+,\)", cheat("Flat").reason)


# What the checks find and what they do not


class Chain:
    """A Markov chain that is its own density."""

    def __init__(self, chain, temperature=1.0):
        self.chain = chain
        powers = (chain.initial.log() / temperature).softmax(-1), (chain.transition.log() / temperature).softmax(-1)
        self.drawn = MarkovChain(*powers)
        self.token_log_prob = chain.token_log_prob

    def sample(self, n, decoding, rng):
        return self.drawn.sample(torch.rand(n, 8, generator=rng, dtype=torch.float64))

    def next_token_log_probs(self, prefixes):
        chain = self.chain
        if not prefixes.shape[1]:
            return chain.initial.log().expand(len(prefixes), -1)
        return chain.transition[prefixes[:, -1]].log()


@pytest.fixture(scope="module")
def toy():
    data = Toy().load()
    spec = data.training.spec
    return data.oracle, HeldOut(spec, data.test, data.oracle, None, "ids", data.training.train)


@pytest.fixture
def gains(toy):
    """What each bet gains: on copies, on temperature, on frequent tokens."""

    def of(sampler, n, seed):
        rng = torch.Generator().manual_seed(seed)
        samples = sampler.sample(n, Decoding(), rng)
        checks = DensityChecks(sampler, samples, toy[1], rng)
        return [bet.gain for bet in checks.bets(toy[1], LogProb.of(sampler, checks.samples[: density_checks.READ]))]

    return of


def test_false_alarms_are_as_rare_as_the_bound_says(gains, toy):
    """A gain of log(20) has a probability of at most 1/20: with 400 runs, 33 or more would be a 1e-3 surprise."""
    found = np.array([gains(Chain(toy[0]), 40, seed) for seed in range(400)])
    assert found.shape == (400, 3)
    counts = (found > math.log(20)).sum(0)
    assert (counts < 33).all(), counts
    assert found.max() < LUCK
    assert np.exp(found).mean() < 2  # the expectation is at most 1


@pytest.mark.parametrize(("temperature", "found"), [(0.4, 1.0), (0.8, 1.0), (0.9, 0.9), (1.1, 0.9), (1.5, 1.0)])
def test_power_on_samples_of_another_temperature(gains, toy, temperature, found, capsys):
    alarms = [max(gains(Chain(toy[0], temperature), 2_000, seed)) > LUCK + 2 for seed in range(10)]
    with capsys.disabled():
        print(f"\nsampling at {temperature:g}, claiming 1, 2,000 samples of toy: {sum(alarms)} of 10 found")
    assert np.mean(alarms) >= found


def test_positions_are_chosen_without_a_look_at_what_comes():
    """A position is taken if the sequence has not ended before it, whatever token is there."""
    spec = SequenceSpec(5, 6, bos=5, eos=4, pad=4)
    rows = torch.randint(4, (4_000, 6), generator=torch.Generator().manual_seed(0))
    rows = rows.masked_fill(torch.rand(rows.shape, generator=torch.Generator().manual_seed(1)) < 0.3, 4)
    rows = rows.masked_fill(~spec.mask(rows), 4)
    chosen, positions = density_checks._prefixes(
        rows, spec, 4_000, torch.arange(4_000), torch.Generator().manual_seed(2)
    )
    assert bool(spec.mask(rows)[chosen, positions].all())
    assert len(chosen) == len({*zip(chosen.tolist(), positions.tolist(), strict=True)}) > 1_000
    assert float((rows[chosen, positions] == 4).double().mean()) == pytest.approx(0.3, abs=0.03)


def test_a_model_that_remembers_what_it_was_asked_is_found(toy):
    """The laws are those of the oracle; whatever was not asked for costs half."""

    class Remembers(Chain):
        def __init__(self, oracle):
            super().__init__(oracle)
            self.asked = set()
            del self.token_log_prob

        def next_token_log_probs(self, prefixes):
            self.asked |= set(map(tuple, prefixes.tolist()))
            return super().next_token_log_probs(prefixes)

        def token_log_prob(self, tokens, temperature=1.0):
            found = self.chain.token_log_prob(tokens)
            for row, sequence in enumerate(tokens.tolist()):
                for k in range(len(sequence)):
                    if tuple(sequence[:k]) not in self.asked:
                        found[row, k] /= 2
            return found

    sampler, rng = Remembers(toy[0]), torch.Generator().manual_seed(0)
    samples = sampler.sample(200, Decoding(), rng)
    checks = DensityChecks(sampler, samples, toy[1], rng)
    with pytest.raises(Impossible, match="The density contradicts itself"):
        checks.finish(Evidence(sampler, samples, toy[1]))


def test_what_is_read_is_spread_over_all_samples(toy):
    sampler, rng = Chain(toy[0]), torch.Generator().manual_seed(0)
    samples = sampler.sample(2_000, Decoding(), rng)
    checks = DensityChecks(sampler, samples, toy[1], rng)
    assert torch.equal(checks.samples, samples[checks.order])
    assert 800 < float(checks.order[: density_checks.READ].double().mean()) < 1_200


def test_a_prefix_that_cannot_be_written_needs_no_law(toy):
    """A model of one sequence: no test sequence begins with it."""
    held_out = toy[1]
    row = held_out.tokens[:1]

    class One:
        def sample(self, n, decoding, rng):
            return row.repeat(n, 1)

        def token_log_prob(self, tokens):
            same = (tokens == row).double().cumprod(-1)
            return same.log()

        def next_token_log_probs(self, prefixes):
            k = prefixes.shape[1]
            laws = torch.full((len(prefixes), 12), -math.inf)
            laws[(prefixes == row[:, :k]).all(-1), row[0, k]] = 0.0
            return laws

    samples = row.repeat(50, 1)
    checks = DensityChecks(One(), samples, held_out, torch.Generator().manual_seed(0))
    assert checks.finish(Evidence(One(), samples, held_out)) == "exact"
    other = held_out.tokens[1:2].repeat(50, 1)
    with pytest.raises(Impossible, match=r"in a sample, after \d tokens, .* sum to 0; expected 1"):
        DensityChecks(One(), other, held_out, torch.Generator().manual_seed(0))
