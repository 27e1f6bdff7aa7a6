"""MaliGAN as published (Che et al. 2017, arXiv 1702.07983): maximum likelihood on the generator's own weighted draws.

A discriminator that tells real from generated sequences as well as is possible knows the ratio of their densities,
D / (1 - D) = p_data / p_G. A draw of G that is weighted by this ratio counts as a draw of the data: the gradient is
that of maximum likelihood, estimated without reading the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval, MinLen
from torch import Tensor

from bench.api import Count, Decoding, Run, SequenceSpec, Share, Size, StepSize, TrainingData
from seqgan.discriminator import FILTER_COUNTS, FILTER_SIZES, Discriminator, compile_discriminator
from seqgan.lm import compile_language_model
from seqgan.mle import Descent, adam
from seqgan.policy import Policy
from seqgan.pretraining import PretrainedGenerator
from seqgan.seqgan import SeqGAN


def importance_weights(logits: Tensor, baseline: float = 1.0) -> Tensor:
    """Normalised importance weights minus a baseline: ``r_i / sum_j r_j - baseline / n`` with ``r = D / (1 - D)``.

    D / (1 - D) is the exponential of D's logit, so the softmax of the logits over the draws *is* the normalised weight.
    (Texygen takes a softmax over a batch, too, of RankGAN's rank scores. These are no logarithms of a ratio, and in
    RankGAN's objective no reward depends on the other draws of its batch; here normalising is what the paper asks for.)
    The weights sum to 1, so their mean is 1 / n; what it adds to the gradient has the expected value zero.

    Args:
        logits: float, (..., n), log D - log(1 - D) of n draws after one prefix.
        baseline: The part of their mean that is subtracted.

    Returns:
        float, (..., n).
    """
    return torch.softmax(logits, -1) - baseline / logits.shape[-1]


def likelihood_weights(mask: Tensor, weights: Tensor, kept: int) -> Tensor:
    """What multiplies each word's log-probability: 1 for those that were given, a draw's weight for those it wrote.

    Args:
        mask: bool, (m, n, T), True where a token counts; n draws after each of m prefixes.
        weights: float, (m, n), from :func:`importance_weights`.
        kept: N, words of a prefix.

    Returns:
        float32, (m, n, T): those of a group add up to an estimate of the gradient of one real sequence, and all are
        divided by m. The n copies of a prefix share its weight of 1.
    """
    groups, draws, length = mask.shape
    given = torch.arange(length, device=mask.device) < kept
    return (given.float() / draws).where(given, weights[..., None]).where(mask, 0.0) / groups


@torch.no_grad()
def log_ratio(discriminator: Discriminator, tokens: Tensor) -> Tensor:
    """The logit log D - log(1 - D), without dropout: int64 (N, T) to float (N,).

    It comes from the two logits, so that no probability is rounded to 0 or 1 on the way.
    """
    logits: Tensor = discriminator(tokens)
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def continued(policy: Policy, tokens: Tensor, kept: int, rng: torch.Generator) -> Tensor:
    """The first ``kept`` words of each sequence, continued by the policy.

    A sequence that ends within the prefix stays as it is.

    Args:
        policy: Writes the rest.
        tokens: int64, (n, T).
        kept: N, from 0 to T.
        rng: The only source of randomness.

    Returns:
        int64, (n, T), pad after the end.
    """
    written = torch.empty_like(tokens)
    state = policy.initial_state(len(tokens))
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    last = torch.full_like(tokens[:, 0], policy.spec.bos)
    read = policy.reader()
    for t in range(tokens.shape[1]):
        read(last, *state)
        given = t < kept
        last = policy.finish(tokens[:, t], ended) if given else policy.write(state[0], ended, rng)
        written[:, t] = last
    return written


ADVERSARIAL: Mapping[str, Mapping[str, Any]] = {
    "quick": {"lr": 1e-3},
    "medium": {"lr": 1e-3},
    "smoke": {"d_filter_sizes": (1, 2, 3), "d_filter_counts": (16, 16, 16)},
}
"""Where the presets differ from SeqGAN's. At 0.01 the steps of fifty rounds undo some of the pre-training."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What the discriminator's negatives are drawn from: prefixes of real sequences, continued by the policy."""

    policy: Policy
    train: Tensor
    kept: int

    @property
    def spec(self) -> SequenceSpec:
        """The sequences' shape."""
        return self.policy.spec

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T); ``decoding`` is that of the model itself."""
        if not self.kept:
            return self.policy.sample(n, decoding, rng)
        rows = torch.randint(len(self.train), (n,), generator=rng, device=self.train.device)
        return continued(self.policy, self.train[rows], self.kept, rng)


@dataclass(frozen=True, slots=True)
class MaliGAN(PretrainedGenerator):
    """Maximum-likelihood augmented discrete GAN (Che et al. 2017).

    Pre-training, networks and the discriminator's training are SeqGAN's, whose settings these are: only the
    generator's step differs. There are no rollouts: a weight belongs to a whole sequence.
    """

    d_pretrain_steps: Count = 50
    """Number of times that new negatives are drawn before the adversarial phase."""
    rounds: Count = 200
    """Rounds of the generator's and the discriminator's steps after pre-training."""
    g_steps: Count = 1
    """The generator's steps per round."""
    lr: StepSize = 0.01
    """Adam's step size for the generator in the adversarial phase, which has its own optimizer."""
    subtract: Share = 1.0
    """Part of the weights' mean that is subtracted from them (the baseline b)."""
    mixed_rounds: Count = 100
    """Rounds in which the number of words that are given falls from T to 0; 0 for none."""
    completions: Size = 8
    """Continuations of each prefix while words are given; their weights are normalised together."""
    d_steps: Count = 5
    """Number of times per round that new negatives are drawn for the discriminator."""
    d_epochs: Size = 3
    """Epochs over each set of positives and negatives."""
    d_samples: Size | None = None
    """Positives in such a set, and equally many negatives; None for the entire training set."""
    d_lr: StepSize = 1e-4
    """Discriminator: Adam's step size."""
    d_embedding_dim: Size = 64
    """Discriminator: size of a word embedding."""
    d_filter_sizes: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_SIZES
    """Discriminator: number of words that a filter spans; sizes above the sequence length are left out."""
    d_filter_counts: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_COUNTS
    """Discriminator: number of filters of each size."""
    d_keep: Annotated[float, Interval(ge=0.001, le=1)] = 0.75
    """Discriminator: probability that a feature survives dropout in training."""
    d_l2: Annotated[float, Interval(ge=0, le=1000)] = 0.2
    """Discriminator: weight of the squared norm of its output layer."""

    execution: ClassVar[tuple[str, ...]] = ("mode", "pack")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **PretrainedGenerator.presets,
        **{
            preset: {
                **PretrainedGenerator.presets[preset],
                **{name: value for name, value in SeqGAN.presets[preset].items() if name.startswith("d_")},
                "rounds": SeqGAN.presets[preset]["rounds"],
                "mixed_rounds": SeqGAN.presets[preset]["rounds"] // 2,
                **ADVERSARIAL.get(preset, {}),
            }
            for preset in ("quick", "medium", "smoke")
        },
    }

    def __post_init__(self) -> None:
        if not (self.g_steps or self.d_steps):  # such rounds could not use up a budget
            raise ValueError("expected g_steps or d_steps of 1 or more, got 0 for both; rounds=0 leaves out the rounds")
        self.seqgan()

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)
        compile_discriminator(device)

    def seqgan(self) -> SeqGAN:
        """The SeqGAN with the same networks and the same training of the discriminator.

        Raises:
            ValueError: for numbers of filter sizes and counts that differ.
        """
        shared = {field.name for field in fields(SeqGAN)} & {field.name for field in fields(self)}
        return SeqGAN(**{name: getattr(self, name) for name in shared})

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Pre-train both networks, then let them take turns, with fewer and fewer real words in front."""
        policy, seqgan = self.pretrain(data, run), self.seqgan()
        discriminator = Discriminator(
            data.spec,
            run.rng("discriminator"),
            self.d_embedding_dim,
            self.d_filter_sizes,
            self.d_filter_counts,
            self.d_keep,
        )
        optimizer = adam(policy, self.lr)
        d_optimizer = adam(discriminator, self.d_lr)
        run.track(policy, policy=policy, optimizer=optimizer, discriminator=discriminator, d_optimizer=d_optimizer)
        train = data.train.to(run.device)
        descent = Descent(policy, optimizer, self.clip_norm)
        step = seqgan.discriminator_step(discriminator, d_optimizer, run.rng("negatives"), run.execution)

        begun = seqgan.beginning(len(train))
        for _ in run.phase("discriminator", self.d_pretrain_steps, shared=begun):
            begun.train_discriminator(step, policy, train, run)
        for index in run.phase("adversarial", self.rounds, open_ended=True):
            kept = self.given(index, data.spec.seq_len)
            for _ in range(self.g_steps):
                if run.spent():
                    break
                self.step(descent, discriminator, train, kept, run)
            for _ in range(self.d_steps):
                if run.spent():
                    break
                seqgan.train_discriminator(step, Continuation(policy, train, kept), train, run)
        return policy

    def given(self, index: int, length: int) -> int:
        """N, the number of real words in front of every draw in a round: falls to 0 in equal parts, and stays there."""
        left = max(self.mixed_rounds - 1 - index, 0)
        return length * left // max(self.mixed_rounds, 1)

    def step(self, descent: Descent, discriminator: Discriminator, train: Tensor, kept: int, run: Run) -> None:
        """Draw a batch, weight its sequences, and take one step of maximum likelihood.

        Args:
            descent: Of the policy; it clips the gradient.
            discriminator: Knows the ratio of the densities.
            train: int64, (N, T).
            kept: Words that are given; without any, the whole batch is one group.
            run: Counts every token that is drawn, read or learnt from.
        """
        policy = descent.model
        draws = min(self.completions, self.batch_size) if kept else self.batch_size
        groups, rng = self.batch_size // draws, run.rng("policy")
        with run.measure() as count:
            if kept:
                rows = torch.randint(len(train), (groups,), generator=rng, device=train.device)
                tokens = continued(policy, train[rows].repeat_interleave(draws, 0), kept, rng)
            else:
                tokens = policy.sample(groups * draws, Decoding(), rng)
            learnt = policy.spec.count(tokens)
            logits = log_ratio(discriminator, tokens).view(groups, draws)
            weights = importance_weights(logits, self.subtract)
            mask = policy.spec.mask(tokens).view(groups, draws, -1)
            _, norm = descent(tokens, likelihood_weights(mask, weights, kept).flatten(0, 1))
            count(sampled_tokens=learnt, reward_tokens=learnt, train_tokens=learnt, updates=1)
        effective = 1 / torch.softmax(logits, -1).square().sum(-1).mean()
        run.log(
            effective=float(effective) / draws,
            reward=float(torch.sigmoid(logits).mean()),
            gradient_norm=float(norm),
            given=kept,
        )
