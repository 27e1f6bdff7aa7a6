"""Checks of samples: shape, range, the random stream that they come from, and temperature."""

from __future__ import annotations

import itertools

import torch

from bench.api import Decoding, HasLogProb
from bench.runs.judge import checked
from bench.testing.trial import data_at_hand, draw, expect, fit


def check_samples(generator: type) -> None:
    """Samples are int64, of the requested shape, inside the vocabulary."""
    data = data_at_hand()
    sampler = fit(generator, data)
    for n in (1, 7, 0):
        tokens = draw(sampler, n)
        expect(
            tokens.shape == (n, data.spec.seq_len),
            f"expected shape {(n, data.spec.seq_len)}, got {tuple(tokens.shape)}",
        )
        checked(tokens, data.spec)
    first = draw(sampler, 7)
    draw(sampler, 3)
    expect(
        torch.equal(first, draw(sampler, 7)),
        "expected sample() to give the same sequences from an rng in the same state, whatever came before: it draws "
        "from the rng that it is given, and keeps nothing for the next call",
    )


def check_stream(generator: type) -> None:
    """Samples come from the random stream that sample() is given, which is left where it is."""
    sampler = fit(generator, data_at_hand())
    draws = []
    for seed in (1, 2):
        stream = torch.Generator().manual_seed(seed)
        draws += [sampler.sample(200, Decoding(), stream).cpu() for _ in range(2)]
        expect(
            stream.initial_seed() == seed,
            "sample() seeded the stream that it was given: every call would draw the same, whatever the run's seed; "
            "draw from it as it is",
        )
    varied = any(len(tokens.unique(dim=0)) > 1 for tokens in draws)  # a model may know one sequence alone
    expect(
        not varied or all(not torch.equal(one, other) for one, other in itertools.combinations(draws, 2)),
        "sample() drew the same from streams in other states: it must draw from the stream that it is given, and from "
        "no other",
    )


def check_temperature(generator: type) -> None:
    """A lower temperature gives less diverse samples."""
    data = data_at_hand()
    sampler = fit(generator, data)
    entropies = {}
    for temperature in (0.25, 1.0):
        tokens = draw(sampler, 2_000, temperature)
        pairs = torch.bincount((tokens[:, :-1] * data.spec.vocab_size + tokens[:, 1:]).flatten()).double()
        probabilities = pairs[pairs > 0] / pairs.sum()
        entropies[temperature] = -float((probabilities * probabilities.log()).sum())
    flat = isinstance(sampler, HasLogProb) and float(sampler.log_prob(data.valid).std()) < 1e-6
    cold, warm = entropies[0.25], entropies[1.0]
    expect(
        cold <= warm + 0.02 if flat else cold < warm - 0.01,
        f"expected a lower entropy of token pairs at temperature 0.25 than at 1, got {cold:.3f} and {warm:.3f} nats",
    )
