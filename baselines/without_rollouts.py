"""Policy gradient on a discriminator's score of finished sequences, without rollouts: RLOO and GRPO.

SeqGAN completes every prefix several times to find out what each token is worth. Both algorithms here give all tokens
of a sequence the same credit, that of the sequence, and lower the variance by comparing it with the other sequences of
the batch: one sequence is read where SeqGAN reads hundreds. Text without a prompt has one prompt, the empty one, so
that the batch is the group of completions that both papers compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval, MinLen
from torch import Tensor

from bench.api import Count, Decoding, Execution, Run, Size, StepSize, TrainingData
from seqgan.discriminator import FILTER_COUNTS, FILTER_SIZES, Discriminator, compile_discriminator
from seqgan.kernels.execution import Step, scoring_type, training
from seqgan.lm import compile_language_model
from seqgan.mle import Descent, adam
from seqgan.policy import Policy
from seqgan.pretraining import PretrainedGenerator
from seqgan.rollout import Reward
from seqgan.seqgan import SeqGAN

Penalty = Annotated[float, Interval(ge=0, le=1000)]
"""Range of a field: weight of the divergence from the pre-trained policy."""


class Gradient(Protocol):
    """Steps of policy gradient on a reward of finished sequences."""

    def step(self, reward: Reward, run: Run, reads: bool = False) -> None:
        """Sample a batch, score it, and take a step; ``reads`` says whether a network computes the reward."""
        ...


# What a sequence's reward is compared with.


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of all others (Kool et al. 2019; Ahmadian et al. 2024).

    What is subtracted does not depend on the sequence itself, so the expected gradient is exactly that of the rewards.

    Args:
        rewards: float32, (B,), of sequences that were drawn independently, B at least 2.
    """
    others = len(rewards) - 1
    return (rewards - rewards.mean()) * ((others + 1) / others)


def standardized(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of all, divided by their standard deviation (Shao et al. 2024, sec. 4.1.2).

    Rewards that are all equal come out as zeros. Neither the mean, which contains the reward itself, nor the deviation,
    which depends on it, keeps the expected gradient as it was.

    Args:
        rewards: float32, (B,).
    """
    centred = rewards - rewards.mean()
    return centred / centred.square().mean().sqrt().clamp(min=1e-8)


def log_probs(model: Policy, tokens: Tensor) -> Tensor:
    """Log-probability of each token on the tokens' device: int64 (B, T) to float32 (B, T); zero after the end."""
    return model.token_log_prob(tokens).to(tokens.device)


# RLOO


@dataclass(frozen=True, slots=True)
class TerminalGradient:
    """REINFORCE on finished sequences (Williams 1992): each is one action.

    The loss is the mean over the batch of ``-A_i log G(Y_i)``. With ``kl``, the reward of a sequence is lessened by
    ``kl`` times log G(Y) - log G0(Y), the sum over its tokens of the penalty of each, as in RLHF (Ahmadian et al.
    2024). Since the mean of the gradient of log G is zero, this has the gradient of ``-kl KL(G || G0)``.
    """

    descent: Descent
    """Of the policy; it clips the gradient."""
    batch_size: int
    """Sequences per step."""
    advantages: Callable[[Tensor], Tensor] = leave_one_out
    """From rewards (B,) to A (B,)."""
    kl: float = 0.0
    """Weight of the divergence from ``start``; 0 for none, and then ``start`` is not read."""
    start: Policy | None = None
    """G0, the policy before the first step."""

    def step(self, reward: Reward, run: Run, reads: bool = False) -> None:
        """Sample a batch, score it, and take one step.

        Args:
            reward: Scores finished sequences, each on its own.
            run: Counts every token that is drawn, read or learnt from.
            reads: Whether a network computes the reward: what it reads is counted, too.
        """
        policy = self.descent.model
        tokens = policy.sample(self.batch_size, Decoding(), run.rng("policy"))
        learnt = policy.spec.count(tokens)
        with run.measure(sampled_tokens=learnt) as count:
            rewards = reward(tokens)
            if reads:
                count(reward_tokens=learnt)
            worth = rewards
            if self.kl and self.start is not None:
                divergence = (log_probs(policy, tokens) - log_probs(self.start, tokens)).sum(-1)
                count(penalty_tokens=2 * learnt)
                worth = rewards - self.kl * divergence
                run.log(kl=float(divergence.mean()))
            weights = (self.advantages(worth) / len(tokens))[:, None].expand(tokens.shape).contiguous()
        with run.measure(train_tokens=learnt, updates=1):
            # Tokens after the end of a sequence have no effect: their log-probabilities are not part of the loss.
            log_prob, norm = self.descent(tokens, weights)
        # The mean over the policy's own draws is an estimate of its entropy, in nats per token.
        run.log(reward=float(rewards.mean()), entropy=-float(log_prob.sum()) / learnt, gradient_norm=float(norm))


# GRPO


def reference_clipped_objective(
    log_prob: Tensor, old: Tensor, start: Tensor | None, advantages: Tensor, mask: Tensor, clip: float, kl: float
) -> Tensor:
    """What GRPO maximises (Shao et al. 2024, eq. 3 and 4), a scalar; :func:`clipped_slopes` is its derivative.

    The mean over sequences of the mean over their tokens of ``min(r A, clip(r, 1 - clip, 1 + clip) A) - kl k3``, with
    r = G / G_old the ratio of a token's probabilities, and k3 = G0 / G - log(G0 / G) - 1, which is never negative and
    whose expectation over the policy's draws is KL(G || G0) (Schulman 2020). Its derivative has another expectation:
    that of KL(G0 || G), with prefixes as they are drawn (Tang and Munos 2025, arXiv 2506.09477).

    Args:
        log_prob: float, (B, T), log-probability of each token now.
        old: float, (B, T), that under the policy that drew it.
        start: float, (B, T), that under the pre-trained policy; None without ``kl``.
        advantages: float, (B,).
        mask: bool, (B, T), True where a token counts.
        clip: How far the ratio may leave 1 and still matter.
        kl: Weight of the divergence.
    """
    ratio, worth = (log_prob - old).exp(), advantages[:, None]
    gain = torch.minimum(ratio * worth, ratio.clamp(1 - clip, 1 + clip) * worth)
    if start is not None:
        gain = gain - kl * ((start - log_prob).exp() - (start - log_prob) - 1)
    return (gain.where(mask, 0.0).sum(-1) / mask.sum(-1)).mean()


def clipped_slopes(
    log_prob: Tensor, old: Tensor, start: Tensor | None, advantages: Tensor, mask: Tensor, clip: float, kl: float
) -> tuple[Tensor, Tensor]:
    """The derivative of GRPO's objective by the log-probability of each token.

    A loss that is minus the sum of log-probabilities times these constants has GRPO's gradient, so that a step is one
    of :class:`seqgan.mle.Descent`, which never holds the logits of a batch in memory.

    The arguments are those of :func:`reference_clipped_objective`.

    Returns:
        The slopes, float (B, T), arbitrary where ``mask`` is False; and where the ratio was cut, so that the reward has
        no slope, bool (B, T).
    """
    ratio, worth = (log_prob - old).exp(), advantages[:, None]
    cut = torch.where(worth > 0, ratio > 1 + clip, ratio < 1 - clip) & (worth != 0)
    slopes = (ratio * worth).masked_fill(cut, 0.0)
    if start is not None:
        slopes = slopes + kl * ((start - log_prob).exp() - 1)
    return slopes / (len(slopes) * mask.sum(-1, keepdim=True)), cut & mask


@dataclass(frozen=True, slots=True)
class ClippedGradient:
    """GRPO (Shao et al. 2024): several steps on one batch, with PPO's clipped ratio (Schulman et al. 2017, eq. 7)."""

    descent: Descent
    """Of the policy; it clips the gradient."""
    batch_size: int
    """Sequences per batch: the group."""
    epochs: int
    """Steps on each batch."""
    clip: float
    """How far a ratio may leave 1 and still matter."""
    kl: float = 0.0
    """Weight of the divergence from ``start``; 0 for none, and then ``start`` is not read."""
    start: Policy | None = None
    """The policy before the first step."""

    def step(self, reward: Reward, run: Run, reads: bool = False) -> None:
        """Sample a batch, score it, and take ``epochs`` steps, or fewer if the budget is spent.

        Args:
            reward: Scores finished sequences, each on its own.
            run: Counts every token that is drawn, read or learnt from.
            reads: Whether a network computes the reward: what it reads is counted, too.
        """
        policy = self.descent.model
        tokens = policy.sample(self.batch_size, Decoding(), run.rng("policy"))
        mask, learnt = policy.spec.mask(tokens), policy.spec.count(tokens)
        with run.measure(sampled_tokens=learnt) as count:
            rewards = reward(tokens)
            if reads:
                count(reward_tokens=learnt)
            advantages, start = standardized(rewards), None
            if self.kl and self.start is not None:
                start = log_probs(self.start, tokens)
                count(penalty_tokens=learnt)
        old: Tensor | None = None
        for epoch in range(self.epochs):
            if epoch and run.spent():
                break
            with run.measure(ratio_tokens=learnt, train_tokens=learnt, updates=1):
                now = log_probs(policy, tokens)
                old = now if old is None else old  # kept from before the first step: of the policy that drew them
                slopes, cut = clipped_slopes(now, old, start, advantages, mask, self.clip, self.kl)
                _, norm = self.descent(tokens, slopes)
        assert old is not None  # there is at least one epoch
        if start is not None:
            run.log(kl=float((old - start).sum(-1).mean()))
        run.log(
            reward=float(rewards.mean()),
            entropy=-float(old.sum()) / learnt,
            gradient_norm=float(norm),
            clipped=float(cut.sum()) / learnt,
        )


# The discriminator


def bradley_terry(
    discriminator: Discriminator, tokens: Tensor, real: Tensor, l2: float, dropout: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean of ``-log sigmoid(D(real) - D(generated))``, and the share of the pairs in which the real one scores higher.

    D is the logit, and the mean is over all pairs of a real and a generated sequence in the batch: the loss of RSGAN
    (Jolicoeur-Martineau 2018, arXiv 1807.00734) and GAD (Ye et al. 2025, arXiv 2511.10643), which draw one partner for
    each. Without a pair, as in a batch of one sequence, it is zero. Weight decay is that of
    :meth:`seqgan.discriminator.Discriminator.loss`, whose arguments these are.
    """
    outputs = discriminator(tokens, dropout)
    scores = outputs[:, 1] - outputs[:, 0]  # (B,)
    lead = scores[:, None] - scores[None]  # (B, B)
    pairs = (real[:, None] == 1) & (real[None] == 0)
    number = pairs.sum().clamp(min=1)
    loss = F.softplus(-lead).where(pairs, 0.0).sum() / number
    return loss + l2 * discriminator.decay(), ((lead > 0) & pairs).sum() / number


# The generators

SMALL = ("d_filter_sizes", "d_filter_counts")
PRESETS = {
    preset: {name: value for name, value in values.items() if name != "rollouts"}
    | ({name: SeqGAN.presets["quick"][name] for name in SMALL} if preset == "smoke" else {})
    for preset, values in SeqGAN.presets.items()
}
"""SeqGAN's without rollouts, so that the discriminator learns as much as SeqGAN's; in ``smoke`` it is a small one."""


@dataclass(frozen=True, slots=True)
class WithoutRollouts(PretrainedGenerator):
    """What RLOO and GRPO share: SeqGAN's loop with a reward for whole sequences, the discriminator's logit.

    The logit, log D / (1 - D), does not flatten where the discriminator is sure of itself, as the probability does.
    Defaults of all that is not the estimator are those of SeqGAN.
    """

    batch_size: Annotated[int, Ge(2)] = 64
    """Sequences per update, in pre-training and after it, for all networks; a reward is compared with others."""
    rounds: Count = 200
    """Rounds of policy gradient after pre-training."""
    lr: StepSize = 0.01
    """Adam's step size in policy gradient, which has its own optimizer."""
    kl: Penalty = 0.0
    """Weight of the divergence from the pre-trained policy; 0 for none."""
    g_steps: Count = 1
    """Batches of the generator per round."""
    d_loss: Literal["cross-entropy", "bradley-terry"] = "cross-entropy"
    """Discriminator: cross-entropy as SeqGAN's, or the score of a real sequence against that of a generated one."""
    d_pretrain_steps: Count = 50
    """Number of times that new negatives are drawn before the adversarial phase."""
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

    execution: ClassVar[tuple[str, ...]] = SeqGAN.execution
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS

    def __post_init__(self) -> None:
        self.twin()  # has the same conditions between fields

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)
        compile_discriminator(device)

    def twin(self) -> SeqGAN:
        """SeqGAN with the same fields, whose code trains the discriminator; its step size is its own."""
        ours = {field.name for field in fields(self)} - {"lr"}
        return SeqGAN(**{field.name: getattr(self, field.name) for field in fields(SeqGAN) if field.name in ours})

    def gradient(self, policy: Policy, optimizer: torch.optim.Optimizer) -> Gradient:
        """The steps of the policy, which has just been pre-trained."""
        raise NotImplementedError

    def start(self, policy: Policy) -> Policy | None:
        """A copy of the pre-trained policy, where the divergence from it has a weight.

        It is no state of the run: a run that is resumed has the pre-trained policy again before anything is restored.
        """
        if not self.kl:
            return None
        return policy.copied().requires_grad_(False)

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Pre-train both networks; then, in each round, steps of the policy and sets of negatives."""
        policy, seqgan = self.pretrain(data, run), self.twin()
        discriminator = Discriminator(
            data.spec,
            run.rng("discriminator"),
            self.d_embedding_dim,
            self.d_filter_sizes,
            self.d_filter_counts,
            self.d_keep,
            scoring_type(run.execution, run.device),
        )
        optimizer, d_optimizer = adam(policy, seqgan.lr), adam(discriminator, self.d_lr)
        gradient = self.gradient(policy, optimizer)  # before anything is restored: it may copy the policy
        run.track(policy, policy=policy, optimizer=optimizer, discriminator=discriminator, d_optimizer=d_optimizer)
        train = data.train.to(run.device)
        step = self.discriminator_step(discriminator, d_optimizer, run.rng("negatives"), run.execution)

        begun = seqgan.beginning(len(train))
        shared = begun if self.d_loss == "cross-entropy" else None
        for _ in run.phase("discriminator", self.d_pretrain_steps, shared=shared):
            begun.train_discriminator(step, policy, train, run)
        for group in optimizer.param_groups:  # no step was taken: until here it is SeqGAN's, which may share all this
            group["lr"] = self.lr
        for _ in run.phase("adversarial", self.rounds, open_ended=True):
            for _ in range(self.g_steps):
                if run.spent():
                    break
                gradient.step(discriminator.logit, run, reads=True)
            for _ in range(self.d_steps):
                if run.spent():
                    break
                seqgan.train_discriminator(step, policy, train, run)
        return policy

    def discriminator_step(
        self,
        discriminator: Discriminator,
        optimizer: torch.optim.Optimizer,
        dropout: torch.Generator,
        execution: Execution,
    ) -> Step:
        """A function of a batch, tokens (B, T) and labels (B,), that takes one step and returns loss and accuracy."""
        if self.d_loss == "cross-entropy":
            return self.twin().discriminator_step(discriminator, optimizer, dropout, execution)

        def loss(tokens: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
            return bradley_terry(discriminator, tokens, real, self.d_l2, dropout)

        return training(execution, loss, optimizer, dropout)


@dataclass(frozen=True, slots=True)
class RLOO(WithoutRollouts):
    """REINFORCE with a leave-one-out baseline (Kool et al. 2019; Ahmadian et al. 2024), rewarded by a discriminator.

    One unbiased step on each batch. With ``kl``, the divergence from the pre-trained policy is part of the reward.
    """

    def gradient(self, policy: Policy, optimizer: torch.optim.Optimizer) -> TerminalGradient:
        """The steps of the policy, which has just been pre-trained."""
        descent = Descent(policy, optimizer, self.clip_norm)
        return TerminalGradient(descent, self.batch_size, leave_one_out, self.kl, self.start(policy))


@dataclass(frozen=True, slots=True)
class GRPO(WithoutRollouts):
    """Group relative policy optimisation (Shao et al. 2024), rewarded by a discriminator as in GAD (Ye et al. 2025).

    Several steps on each batch, on rewards that are standardised over it; the ratio of new to old probabilities is
    clipped, and the divergence from the pre-trained policy is part of the loss.
    """

    lr: StepSize = 0.0025
    """Adam's step size; with four steps on each batch a quarter of SeqGAN's, so that a batch moves as far."""
    kl: Penalty = 0.04
    """Weight of the divergence from the pre-trained policy; 0 for none."""
    g_epochs: Size = 4
    """Steps on each batch; with 1 the ratio is always 1, and nothing is clipped."""
    clip: Annotated[float, Interval(gt=0, le=1)] = 0.2
    """How far the ratio of a token's probabilities may leave 1 and still matter."""

    def gradient(self, policy: Policy, optimizer: torch.optim.Optimizer) -> ClippedGradient:
        """The steps of the policy, which has just been pre-trained."""
        descent = Descent(policy, optimizer, self.clip_norm)
        return ClippedGradient(descent, self.batch_size, self.g_epochs, self.clip, self.kl, self.start(policy))
