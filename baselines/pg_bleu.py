"""PG-BLEU: SeqGAN's policy gradient and rollouts with BLEU against the training data as the reward (Yu et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor

from bench.api import Run, SequenceSpec, TrainingData
from bench.kernels.device_ngrams import DeviceCounts, sentence_bleu_on_device
from bench.kernels.ngrams import ReferenceCounts, sentence_bleu
from seqgan.mle import adam
from seqgan.policy import Policy
from seqgan.policy_gradient import PolicyGradientGenerator


@dataclass(frozen=True, slots=True)
class PGBleu(PolicyGradientGenerator):
    """Policy gradient on the BLEU of finished sequences against the entire training set.

    The paper does not give the settings. Its early code used BLEU-3, one rollout, no smoothing and 40 % of the training
    set. Here the entire training set is the reference; zero counts are smoothed (nltk's method 1), so that the reward
    of a new policy is not exactly zero; and rollouts, step size and rounds are those of SeqGAN.
    """

    order: Annotated[int, Interval(ge=1, le=20)] = 3
    """Longest n-gram of the reward."""
    epsilon: Annotated[float, Interval(gt=0, le=1)] = 0.1
    """Numerator in place of zero matches (smoothing method 1)."""

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Pre-train, then follow the policy gradient of BLEU."""
        policy = self.pretrain(data, run)
        optimizer = adam(policy, self.lr)
        run.track(policy, policy=policy, optimizer=optimizer)
        unk = data.vocabulary.unk if data.vocabulary else None
        reward = BleuReward(data.spec, data.train, self.order, self.epsilon, unk)
        gradient = self.gradient(policy, optimizer, run)
        for _ in run.phase("policy-gradient", self.rounds, open_ended=True):
            gradient.step(reward, run)
        return policy


class BleuReward:
    """Sentence BLEU against fixed references, without the end mark and what follows; ``<unk>`` matches nothing.

    Args:
        spec: The sequences' shape.
        references: int64, (M, T).
        order: Longest n-gram.
        epsilon: Numerator in place of zero matches.
        unk: The id of ``<unk>``, for which a policy must not be rewarded, or None.
    """

    def __init__(
        self, spec: SequenceSpec, references: Tensor, order: int, epsilon: float, unk: int | None = None
    ) -> None:
        self.spec, self.order, self.epsilon, self.unk = spec, order, epsilon, unk
        self.references = ReferenceCounts.build(references.numpy(), spec.lengths(references).numpy(), order)
        self.on_device: DeviceCounts | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Score int64 (N, T) tokens: float32 (N,) on the same device."""
        lengths = self.spec.lengths(tokens)
        words = tokens if self.unk is None else tokens.masked_fill(tokens == self.unk, -1)
        if tokens.is_cuda:
            self.on_device = self.on_device or DeviceCounts.of(self.references, tokens.device)
            return sentence_bleu_on_device(words, lengths, self.on_device, (self.order,), self.epsilon)[0].float()
        scores = sentence_bleu(words.numpy(), lengths.numpy(), self.references, (self.order,), self.epsilon)[0]
        return torch.from_numpy(scores).float()
