from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from baselines.memorized import MemorizedSequences
from bench.api import Decoding, SequenceSpec
from bench.metrics.divergence import LUCK, Divergence, jensen_shannon, possible_jsd, slack
from bench.metrics.nll import NLL
from bench.metrics.ranges import Impossible

T = 3
SEQUENCES = [list(row) for row in itertools.product(range(3), repeat=T)]


def law(seed):
    return np.random.default_rng(seed).dirichlet(np.full(len(SEQUENCES), 0.5)) * 0.99 + 0.01 / len(SEQUENCES)


P, G = law(0), law(1)


def as_table(probabilities):
    return {tuple(row): math.log(p) for row, p in zip(SEQUENCES, probabilities, strict=True)}


def drawn(probabilities, n, seed):
    return torch.tensor(SEQUENCES)[np.random.default_rng(seed).choice(len(SEQUENCES), n, p=probabilities)]


@pytest.fixture(scope="module")
def evidence(make_evidence):
    return make_evidence(drawn(G, 20_000, 2), drawn(P, 30_000, 3), as_table(G), as_table(P))


def scores(evidence, metric=Divergence):
    return {result.metric: result for result in evidence.ask(metric())}


def test_they_are_the_exact_divergences_to_within_their_error(evidence):
    M = (P + G) / 2
    under_p, under_g = np.log(P / G), np.log(G / P)
    halves = [(P, np.log(P / M)), (G, np.log(G / M))]
    exact = {
        "kl_forward": (P @ under_p / T, math.sqrt(P @ under_p**2 / 30_000) / T),
        "kl_reverse": (G @ under_g / T, math.sqrt(G @ under_g**2 / 20_000) / T),
        "jsd": (sum(law @ ratio for law, ratio in halves) / 2, math.sqrt(sum(w @ r**2 for w, r in halves) / 80_000)),
    }
    results = scores(evidence)
    assert list(results) == ["jsd_token", "tv_token", *exact, "entropy_gap"]
    for name, (value, error) in exact.items():
        assert abs(results[name].value - value) < 4 * error < value / 5
    assert exact["kl_forward"][0] != pytest.approx(exact["kl_reverse"][0], rel=0.1)  # so that they are not mixed up


def test_forward_kl_is_held_out_nll_less_the_oracles_entropy(evidence):
    tokens = evidence.held_out.tokens
    entropy = -float(evidence.held_out.oracle.log_prob(tokens).sum()) / tokens.numel()
    assert scores(evidence)["kl_forward"].value == pytest.approx(scores(evidence, NLL)["nll_test"].value - entropy)


def test_reverse_kl_is_oracle_nll_less_the_models_entropy(evidence):
    entropy = -float(evidence.sampler.log_prob(evidence.samples).sum()) / evidence.samples.numel()
    assert scores(evidence)["kl_reverse"].value == pytest.approx(scores(evidence, NLL)["nll_oracle"].value - entropy)


def test_the_gap_is_that_of_the_entropies_and_follows_from_the_other_columns(evidence):
    found, nll = scores(evidence), scores(evidence, NLL)
    exact = (P @ np.log(P) - G @ np.log(G)) / T
    error = math.sqrt(G @ np.log(G) ** 2 / 20_000 + P @ np.log(P) ** 2 / 30_000) / T
    assert abs(found["entropy_gap"].value - exact) < 4 * error < abs(exact) / 2
    of_model, of_oracle = (
        nll["nll_oracle"].value - found["kl_reverse"].value,
        nll["nll_test"].value - found["kl_forward"].value,
    )
    assert found["entropy_gap"].value == pytest.approx(of_model - of_oracle)


def test_the_gap_can_be_gamed_and_the_divergences_cannot(make_evidence):
    """Even draws from as many sequences as the truth's entropy is worth, and those the least likely ones."""
    size = round(math.exp(-P @ np.log(P)))
    assert size < len(SEQUENCES) - 1
    even = np.zeros(len(SEQUENCES))
    even[P.argsort()[:size]] = 1 / size
    table = {tuple(row): math.log(p) for row, p in zip(SEQUENCES, even, strict=True) if p}
    found = scores(make_evidence(drawn(even, 500, 2), drawn(P, 500, 3), table, as_table(P)))
    honest = scores(make_evidence(drawn(G, 500, 2), drawn(P, 500, 3), as_table(G), as_table(P)))
    assert abs(found["entropy_gap"].value) < abs(honest["entropy_gap"].value)
    assert found["jsd"].value > honest["jsd"].value
    assert found["kl_reverse"].value > honest["kl_reverse"].value


def test_a_gap_beyond_the_vocabulary_is_refused(make_evidence):
    """Samples that are less likely, according to their own density, than even draws from all words."""
    rows = drawn(P, 500, 3)
    table = {tuple(row): -30.0 for row in SEQUENCES}
    with pytest.raises(Impossible, match=r"entropy_gap is |kl_reverse is |the half of jsd"):
        scores(make_evidence(rows, rows, table, as_table(P)))


def test_the_kls_count_tokens_up_to_the_end(make_evidence):
    table, oracle = {(2, 1, 0): -2.0, (3, 3, 3): -5.0}, {(2, 1, 0): -1.0, (3, 3, 3): -3.0}
    results = scores(make_evidence([[2, 1, 0]], [[2, 1, 0], [3, 3, 3]], table, oracle, eos=1, pad=0))
    assert results["kl_forward"].value == pytest.approx((1 + 2) / (2 + 3))
    assert results["kl_reverse"].value == pytest.approx(-1 / 2)


def test_a_perfect_model_has_no_divergence(make_evidence):
    results = scores(make_evidence(drawn(P, 500, 2), drawn(P, 500, 3), as_table(P), as_table(P)))
    values = [results[name].value for name in ("kl_forward", "kl_reverse", "jsd")]
    assert values == pytest.approx([0, 0, 0], abs=1e-12)


def test_jensen_shannon_is_between_zero_and_log_two():
    for seed in range(5):
        one, two = law(seed), law(seed + 10)
        # Each sequence as often as its law says makes the estimate the exact divergence.
        counts = [(weights * 5_000).round().astype(int) for weights in (one, two)]
        ratios = [
            torch.from_numpy(np.repeat(ratio, count))
            for ratio, count in zip((np.log(one / two), np.log(two / one)), counts, strict=True)
        ]
        middle = (one + two) / 2
        exact = (one @ np.log(one / middle) + two @ np.log(two / middle)) / 2
        assert 0 < jensen_shannon(*ratios) < math.log(2)
        assert jensen_shannon(*ratios) == pytest.approx(exact, abs=5e-3)


@pytest.mark.parametrize("size", [1e3, 1e6, math.inf])
def test_jensen_shannon_of_laws_without_overlap_is_log_two_without_overflow(size):
    far = torch.full((10,), size, dtype=torch.float64)
    assert jensen_shannon(far, far) == pytest.approx(math.log(2), abs=1e-12)


def test_jensen_shannon_does_not_overflow_where_a_law_is_wrong_about_itself():
    # A draw from P that P itself calls e^-1000 times less likely than G does.
    ratios = torch.tensor([0.0, -1_000.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    assert jensen_shannon(*ratios) == pytest.approx(-250 + math.log(2) / 4, abs=1e-9)


def test_jensen_shannon_keeps_small_differences():
    small = torch.full((4,), 1e-9, dtype=torch.float64)
    assert jensen_shannon(small, small) == pytest.approx(5e-10, rel=1e-6)


def test_no_oracle_no_divergence(make_evidence):
    assert make_evidence(SEQUENCES, SEQUENCES, as_table(G)).ask(Divergence()) == []


def test_no_density_is_a_reason_not_a_number(make_evidence):
    results = scores(make_evidence(SEQUENCES, SEQUENCES, None, as_table(P)))
    assert list(results) == ["jsd_token", "tv_token", "kl_forward", "kl_reverse", "jsd", "entropy_gap"]
    reasons = {(result.value, result.absent) for result in results.values()}
    assert reasons == {(None, "the model has no log_prob")}


def test_a_model_that_misses_a_sequence_has_no_forward_kl_and_still_a_jsd(make_evidence):
    table = as_table(P)
    del table[tuple(SEQUENCES[0])]
    results = scores(make_evidence(SEQUENCES[1:], SEQUENCES, table, as_table(P)))
    assert (results["kl_forward"].value, results["kl_forward"].absent) == (None, "kl_forward is inf")
    assert results["kl_reverse"].value == pytest.approx(0)
    assert results["jsd"].value == pytest.approx(math.log(2) / 27 / 2)


def test_units_directions_and_signatures(evidence):
    results = scores(evidence)
    assert {name: result.unit for name, result in results.items()} == {
        "jsd_token": "nats/token",
        "kl_forward": "nats/token",
        "kl_reverse": "nats/token",
        "jsd": "nats/sequence",
        "tv_token": "",
        "entropy_gap": "nats/token",
    }
    for result in results.values():
        assert result.direction == ("real" if result.metric == "entropy_gap" else "lower")
        assert str(result.signature) == "n=20000|test=30000|v=2"


# Token by token


class Conditionals:
    """The next-token distributions of a distribution over all sequences of three tokens from three words."""

    def __init__(self, probabilities):
        self.joint = torch.from_numpy(probabilities).reshape(3, 3, 3)

    def token_log_prob(self, tokens, temperature=1.0):
        assert temperature == 1.0
        a, b, c = tokens.t()
        first, second = self.joint.sum((1, 2)), self.joint.sum(2)
        shares = [first[a], second[a, b] / first[a], self.joint[a, b, c] / second[a, b]]
        return torch.stack(shares, dim=1).log()

    def log_prob(self, tokens):
        return self.token_log_prob(tokens).sum(-1)

    def sample(self, n, decoding, rng):
        raise AssertionError("the metrics are given samples")


def token_divergence(p, g):
    """The exact value: at every prefix of every length, half the KL to the mixture along P, and half along G."""
    laws = [np.reshape(law, (3, 3, 3)) for law in (p, g)]
    total = 0.0
    for prefix in [(), *itertools.product(range(3), repeat=1), *itertools.product(range(3), repeat=2)]:
        mass = [law[prefix].sum() for law in laws]
        one, two = (law[prefix].reshape(3, -1).sum(1) / law[prefix].sum() for law in laws)
        middle = (one + two) / 2
        total += mass[0] * (one @ np.log(one / middle)) / 2 + mass[1] * (two @ np.log(two / middle)) / 2
    return total / 3


def test_the_token_divergence_is_the_exact_one_to_within_its_error(make_evidence):
    exact = token_divergence(P, G)
    found = scores(make_evidence(drawn(G, 20_000, 2), drawn(P, 30_000, 3), Conditionals(G), Conditionals(P)))
    assert 0.02 < exact < math.log(2)
    assert found["jsd_token"].value == pytest.approx(exact, abs=0.004)
    assert found["jsd_token"].value != pytest.approx(found["jsd"].value, abs=0.01)


def test_total_variation_is_the_exact_one_to_within_its_error(make_evidence):
    laws = [np.reshape(law, (3, 3, 3)) for law in (P, G)]
    exact = 0.0
    for prefix in [(), *itertools.product(range(3), repeat=1), *itertools.product(range(3), repeat=2)]:
        one, two = (law[prefix].reshape(3, -1).sum(1) / law[prefix].sum() for law in laws)
        exact += laws[0][prefix].sum() * np.abs(one - two).sum() / 2 / 3
    found = scores(make_evidence(drawn(G, 20_000, 2), drawn(P, 30_000, 3), Conditionals(G), Conditionals(P)))
    assert 0.1 < exact < 0.9
    assert found["tv_token"].value == pytest.approx(exact, abs=4 * math.sqrt(0.25 / 90_000))
    same = scores(make_evidence(drawn(P, 500, 2), drawn(P, 500, 3), Conditionals(P), Conditionals(P)))
    assert same["tv_token"].value == pytest.approx(0, abs=1e-12)


def test_total_variation_can_be_gamed_by_dropping_what_is_rare(make_evidence):
    """It costs the share that is dropped; the forward KL, and held-out NLL, are infinite."""
    dropped = P.copy()
    dropped[P.argsort()[:4]] = 0
    lost = P[dropped == 0].sum()
    dropped /= dropped.sum()
    with np.errstate(invalid="ignore"):
        found = scores(
            make_evidence(drawn(dropped, 500, 2), drawn(P, 5_000, 3), Conditionals(dropped), Conditionals(P))
        )
    assert 0 < found["tv_token"].value < lost + 0.01
    assert found["kl_forward"].absent == "kl_forward is inf"


def test_the_token_divergence_of_a_perfect_model_is_zero(make_evidence):
    samples, test = drawn(P, 500, 2), drawn(P, 500, 3)
    assert scores(make_evidence(samples, test, Conditionals(P), Conditionals(P)))["jsd_token"].value == pytest.approx(
        0, abs=1e-12
    )


def test_heart_learning_and_repetition_are_far_from_the_truth(make_evidence):
    """Both have probability zero for most of the test set, which no finite likelihood score could show."""
    rng = np.random.default_rng(0)
    oracle = UniformOracle(4_000)
    train, test = (torch.from_numpy(rng.integers(0, 4_000, (200, 6))) for _ in range(2))
    spec = SequenceSpec(4_000, 6, bos=0)
    for known in (train, train[:1]):
        model = MemorizedSequences(spec, known)
        samples = model.sample(100, Decoding(), torch.Generator().manual_seed(0))
        found = scores(make_evidence(samples, test, model, oracle, vocab_size=4_000))
        assert 0.8 * math.log(2) < found["jsd_token"].value < math.log(2)
        assert found["kl_forward"].absent == "kl_forward is inf"


class UniformOracle:
    """Every token as likely as any other."""

    def __init__(self, size):
        self.size = size

    def token_log_prob(self, tokens):
        return torch.full(tokens.shape, -math.log(self.size), dtype=torch.float64)

    def log_prob(self, tokens):
        return self.token_log_prob(tokens).sum(-1)


def test_the_token_divergence_counts_tokens_up_to_the_end(make_evidence):
    class Halves(UniformOracle):
        def token_log_prob(self, tokens):
            log_prob = super().token_log_prob(tokens)
            log_prob[:, 1] -= math.log(2)
            return log_prob

        sample = None

    found = scores(make_evidence([[2, 1, 0]], [[2, 1, 0], [3, 3, 3]], Halves(4), UniformOracle(4), eos=1, pad=0))
    # One position of five is half as likely under the model along the test set, twice; one of two along the samples.
    along_test = 2 / 5 * math.log(2 / (1 + 1 / 2))
    along_samples = 1 / 2 * math.log(2 / (1 + 2))
    assert found["jsd_token"].value == pytest.approx((along_test + along_samples) / 2)


def test_a_density_of_whole_sequences_has_no_token_divergence(evidence):
    assert scores(evidence)["jsd_token"].absent == "the model has no token_log_prob"


# What cannot be true


def near(probabilities, divergence):
    """A law at about this KL divergence from another one, in nats per sequence."""
    noise = np.random.default_rng(7).normal(size=len(probabilities))
    low, high = 0.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        tilted = probabilities * np.exp(middle * noise)
        tilted /= tilted.sum()
        low, high = (low, middle) if probabilities @ np.log(probabilities / tilted) > divergence else (middle, high)
    return tilted


def sums(one, two, n, repetitions, rng):
    """For each repetition, the sum over n draws from one law of log P/G and of log(2P/(P+G))."""
    counts = rng.multinomial(n, one, size=repetitions)
    return counts @ np.log(one / two), counts @ np.log(2 * one / (one + two))


@pytest.mark.parametrize("n", [50, 200, 1000])
@pytest.mark.parametrize("total", [0.0, 1.0, 3.0, 14.0, 100.0])
def test_honest_sums_stay_within_what_chance_allows(n, total):
    """With divergences at which negative sums are as likely as they can be, and with G = P."""
    rng, model = np.random.default_rng(n), near(P, total / n) if total else P
    for one, two in ((P, model), (model, P)):
        for found in sums(one, two, n, 20_000, rng):
            assert found.min() > -LUCK
            # The bound itself, where a simulation can see it.
            for share in (0.2, 0.05, 0.01):
                assert (found < -math.log(1 / share)).mean() <= share
    assert slack(T * n) > LUCK


def test_honest_models_near_the_truth_pass(make_evidence):
    """The metric itself, whose checks are of each half, too."""
    for seed in range(60):
        for n, total in ((50, 14.0), (200, 3.0), (1000, 6.0)):
            model = near(P, total / n)
            samples, test = drawn(model, n, 2 * seed), drawn(P, n, 2 * seed + 1)
            assert len(scores(make_evidence(samples, test, Conditionals(model), Conditionals(P)))) == 6


def test_one_sequence_repeated_beside_another_models_density_is_found(make_evidence):
    """The sequence that the truth writes most often, and the model less often."""
    model = near(P, 0.05)
    best = int(np.argmax(P / model))
    samples = torch.tensor([SEQUENCES[best]] * 200)
    with pytest.raises(Impossible, match=r"along generated sequences is -.* not that of the samples"):
        scores(make_evidence(samples, drawn(P, 200, 3), Conditionals(model), Conditionals(P)))
    samples = torch.tensor([SEQUENCES[int(np.argmin(P / model))]] * 200)  # not found, though it is as wrong
    scores(make_evidence(samples, drawn(P, 200, 3), Conditionals(model), Conditionals(P)))


class Inflated(Conditionals):
    """Adds to the log-probability of every token."""

    def __init__(self, probabilities, excess):
        super().__init__(probabilities)
        self.excess = excess

    def token_log_prob(self, tokens, temperature=1.0):
        return super().token_log_prob(tokens) + self.excess


def test_probabilities_that_sum_to_more_than_one_are_found_where_they_beat_the_truth(make_evidence):
    P_smooth = np.full(len(SEQUENCES), 1 / len(SEQUENCES))
    model = near(P_smooth, 0.03)
    samples, test = drawn(model, 500, 2), drawn(P_smooth, 500, 3)
    with pytest.raises(Impossible, match="along real sequences is -"):
        scores(make_evidence(samples, test, Inflated(model, 0.1), Conditionals(P_smooth)))
    scores(make_evidence(samples, test, Inflated(model, 0.005), Conditionals(P_smooth)))  # not found: worse than P


def test_a_half_that_cannot_be_is_not_hidden_by_the_other():
    ratios = torch.full((100,), 50.0), torch.full((100,), -0.5)
    assert jensen_shannon(*ratios) > 0
    with pytest.raises(Impossible, match=r"the half of jsd along generated sequences is -0.28"):
        possible_jsd("jsd", *ratios, 100, 100)
    with pytest.raises(Impossible, match=r"the half of jsd along real sequences is -0.28"):
        possible_jsd("jsd", *reversed(ratios), 100, 100)
    assert possible_jsd("jsd", ratios[0], -ratios[1], 100, 100).low == 0


def test_a_sample_that_its_own_density_calls_impossible_is_found(make_evidence):
    table = as_table(P)
    table[tuple(SEQUENCES[0])] = -math.inf
    with pytest.raises(Impossible, match="-inf"):
        scores(make_evidence(SEQUENCES[:1], SEQUENCES[1:], table, as_table(P)))


def test_too_few_sequences_prove_nothing(make_evidence):
    table, oracle = {(2, 1, 0): -20.0}, {(2, 1, 0): -1.0}
    assert scores(make_evidence([[2, 1, 0]], [[2, 1, 0]], table, oracle))["kl_reverse"].value == -19 / 3
    with pytest.raises(Impossible, match=r"kl_reverse is -|the half of jsd"):
        scores(make_evidence([[2, 1, 0]] * 2, [[2, 1, 0]], table, oracle))
