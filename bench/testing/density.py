"""Checks of densities: they sum to 1, fit the samples, end with the sentence, and do not change when asked again."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.api import (
    HasLogProb,
    HasNextTokenLogProbs,
    HasTokenLogProb,
    Sampler,
    Unsupported,
    density_of,
)
from bench.runs.judge import checked
from bench.testing.trial import (
    ContractViolation,
    data_at_hand,
    data_with_ends,
    draw,
    expect,
    fit,
    require_exact,
    tiny,
    triples,
)

CHI_SQUARE_SAMPLES = 20_000
CHI_SQUARE_LEVEL = 1e-4
"""A sound sampler fails the chi-square check once in 10,000 seeds; the seed is fixed."""
ROUNDING = 1e-3
"""Nats by which rounding may move a log-probability when other sequences are scored beside it."""


def check_density(generator: type) -> None:
    """With a vocabulary of three tokens, probabilities sum to 1 and 20,000 samples fit them."""
    data = tiny()
    sampler = fit(generator, data)
    if not isinstance(sampler, HasLogProb):
        raise Unsupported("the sampler has no log_prob")
    sequences = triples()
    log_prob = sampler.log_prob(sequences)
    expect(log_prob.shape == (27,), f"expected log_prob of shape (27,), got {tuple(log_prob.shape)}")
    require_exact(sampler)
    expect_fit(sampler, sequences, log_prob, 1.0, "log_prob")


def check_token_density(generator: type) -> None:
    """Log-probabilities of tokens sum to log_prob, and at other temperatures they fit the samples."""
    data = tiny()
    sampler = fit(generator, data)
    if not isinstance(sampler, HasTokenLogProb):
        raise Unsupported("the sampler has no token_log_prob")
    require_exact(sampler)
    sequences = triples()
    tokens = sampler.token_log_prob(sequences)
    expect(tokens.shape == (27, 3), f"expected token_log_prob of shape (27, 3), got {tuple(tokens.shape)}")
    if isinstance(sampler, HasLogProb):
        whole, summed = sampler.log_prob(sequences).detach().cpu().double(), tokens.detach().cpu().double().sum(-1)
        same = bool(((whole - summed).abs() < 1e-3).logical_or(whole == summed).all())
        expect(same, "expected token_log_prob to sum to log_prob over each sequence")
    try:
        tempered = sampler.token_log_prob(sequences, 0.5).sum(-1)
    except TypeError as error:
        raise Unsupported("token_log_prob takes no temperature, so the frontier cannot use it") from error
    expect_fit(sampler, sequences, tempered, 0.5, "token_log_prob")


def check_next_token_laws(generator: type) -> None:
    """The laws of next tokens agree with the log-probabilities of tokens."""
    toy = tiny()
    ended = data_with_ends()
    for data in (toy, ended):
        sampler = fit(generator, data)
        if not isinstance(sampler, HasNextTokenLogProbs):
            if not isinstance(sampler, HasTokenLogProb):
                raise Unsupported("the sampler has no token_log_prob: its density, if it has one, is an estimate")
            raise Unsupported(
                "the sampler has no next_token_log_probs: with more than 16 tokens its density is an estimate"
            )
        token_log_prob = getattr(sampler, "token_log_prob", None)
        if token_log_prob is None:
            raise ContractViolation("expected token_log_prob beside next_token_log_probs")
        sequences = triples()
        scored = token_log_prob(sequences).detach().cpu().double()
        for k in range(3):
            goes_on = data.spec.mask(sequences)[:, k]
            prefixes = sequences[goes_on, :k].contiguous()
            laws = sampler.next_token_log_probs(prefixes.clone()).detach().cpu().double()
            shape = (len(prefixes), 3)
            expect(laws.shape == shape, f"expected next_token_log_probs of shape {shape}, got {tuple(laws.shape)}")
            said = laws.gather(1, sequences[goes_on, k : k + 1])[:, 0]
            apart = (said - scored[goes_on, k]).masked_fill(said == scored[goes_on, k], 0.0).abs()
            after = f"after {k} tokens they are {float(apart.max()):.3g} nats apart"
            expect(
                bool((apart < 1e-3).all()), f"expected next_token_log_probs to agree with token_log_prob, but {after}"
            )


def check_ends(generator: type) -> None:
    """Where sentences differ in length, only pad follows eos, and tokens after eos do not change log_prob."""
    data = data_with_ends()
    spec, end = data.spec, 2
    sampler = fit(generator, data)
    tokens = checked(draw(sampler, 500), spec)
    after = tokens[~spec.mask(tokens)]
    expect(len(after[after != end]) == 0, "expected only pad after the first eos")
    if not isinstance(sampler, HasLogProb) or density_of(sampler) != "exact":
        return
    sequences = triples()
    sentences = sequences[(sequences.eq(end) | spec.mask(sequences)).all(-1)]
    expect_fit(sampler, sentences, sampler.log_prob(sentences), 1.0, "log_prob")
    one, other = sampler.log_prob(torch.tensor([[0, 2, 2], [0, 2, 1]])).tolist()
    expect(one == other, f"expected log_prob to end with eos, but tokens after it change it by {other - one:.3g}")


def check_scoring(generator: type) -> None:
    """A sequence has one log-probability, whatever is scored beside it or before it."""
    data = data_at_hand()
    sampler = fit(generator, data)
    score = getattr(sampler, "log_prob", None) or getattr(sampler, "token_log_prob", None)
    if score is None:
        raise Unsupported("the sampler has neither log_prob nor token_log_prob")
    tokens = data.valid[:8].clone()
    first = score(tokens).detach().cpu()
    expect(torch.equal(tokens, data.valid[:8]), "scoring changed the tokens that it was given")
    if density_of(sampler) != "exact":
        return  # an estimate or a bound may be of random draws
    noise = "is a dropout or another noise of training still on, or a state kept?"
    expect(torch.equal(first, score(tokens).detach().cpu()), f"expected the same scores when asked again: {noise}")
    alone = torch.cat([score(tokens[row : row + 1]).detach().cpu() for row in range(len(tokens))])
    apart = (first - alone).masked_fill(first == alone, 0.0).abs()
    expect(
        bool((apart < ROUNDING * tokens.shape[1]).all()),
        f"expected a sequence's score not to depend on those beside it; alone it is up to {float(apart.max()):.3g} "
        "nats away (does a normalisation look at the batch?)",
    )


def expect_fit(sampler: Sampler, sentences: Tensor, log_prob: Tensor, temperature: float, name: str) -> None:
    """Samples must fit the log-probabilities, (K,), of all possible sentences, int64 (K, 3)."""
    probabilities = log_prob.detach().cpu().double().exp()
    total, at = float(probabilities.sum()), f" at temperature {temperature:g}" if temperature != 1.0 else ""
    among = f"the {len(sentences)} probabilities{at}"
    expect(abs(total - 1) < 1e-4, f"expected {among} to sum to 1, got {total:.6f}")
    tokens, digits = draw(sampler, CHI_SQUARE_SAMPLES, temperature), torch.tensor([9, 3, 1])
    counts = torch.bincount((tokens * digits).sum(-1), minlength=27)[(sentences * digits).sum(-1)].double()
    strange = CHI_SQUARE_SAMPLES - int(counts.sum())
    expect(strange == 0, f"{strange} of {CHI_SQUARE_SAMPLES} samples{at} are not among the {len(sentences)} sentences")
    p = chi_square_p(counts, probabilities * CHI_SQUARE_SAMPLES / total)
    expect(p > CHI_SQUARE_LEVEL, f"{CHI_SQUARE_SAMPLES} samples{at} do not fit {name}: chi-square p = {p:.2g}")


def chi_square_p(counts: Tensor, expected: Tensor) -> float:
    """p-value of observed counts; cells with an expected count below five are pooled."""
    from scipy import stats

    rare = expected < 5
    observed = torch.cat([counts[~rare], counts[rare].sum()[None]])
    wanted = torch.cat([expected[~rare], expected[rare].sum()[None]])
    if float(wanted[-1]) == 0:
        if float(observed[-1]) > 0:
            return 0.0
        observed, wanted = observed[:-1], wanted[:-1]
    if len(wanted) == 1:
        return 1.0
    statistic = float(((observed - wanted).square() / wanted).sum())
    return float(stats.chi2.sf(statistic, len(wanted) - 1))
