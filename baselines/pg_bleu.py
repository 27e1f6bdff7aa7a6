"""PG-BLEU: SeqGAN's policy gradient and rollouts with BLEU against the training data as the reward (Yu et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from bench.api import Run, SequenceSpec, TrainingData
from bench.kernels.device_ngrams import DeviceCounts, sentence_bleu_on_device
from bench.kernels.ngrams import ReferenceCounts, sentence_bleu
from seqgan.lm import LSTMLanguageModel, compile_language_model
from seqgan.mle import MLE, QUICK_EPOCHS, adam
from seqgan.policy_gradient import PolicyGradient
from seqgan.rollout import check_cuda_way, completion


@dataclass(frozen=True, slots=True)
class PGBleu:
    """Policy gradient on the BLEU of finished sequences against the whole training set.

    The paper leaves the settings open. Its early code used BLEU-3, one rollout, no smoothing and 40 % of the training
    set; here all of the training set is the reference, zero counts are smoothed (nltk's method 1), so that the reward
    is not flat zero on a fresh policy, and rollouts, step size and rounds are SeqGAN's.
    """

    pretrain_epochs: int = 120
    """Epochs of maximum likelihood before; the checkpoint is shared with all who ask for the same."""
    pretrain_lr: float = 0.01
    """Adam's step size in pre-training."""
    embedding_dim: int = 32
    """Size of a word's vector."""
    hidden_dim: int = 32
    """Size of the LSTM's state."""
    init_std: float = 0.1
    """Standard deviation of the initial parameters."""
    rounds: int = 200
    """Policy-gradient steps."""
    order: int = 3
    """Longest n-gram of the reward."""
    epsilon: float = 0.1
    """Numerator in place of zero matches (smoothing method 1)."""
    rollouts: int = 16
    """Completions of each prefix (N)."""
    batch_size: int = 64
    """Sequences an update, in pre-training and after."""
    lr: float = 0.01
    """Adam's step size."""
    clip_norm: float = 5.0
    """Largest global norm of a gradient."""
    cuda: str = "eager"
    """How rollouts run on a GPU: operation by operation (eager), as a recorded graph (graph), or as one Triton kernel
    (triton). The last two have not been run on a GPU yet."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"pretrain_epochs": QUICK_EPOCHS, "rounds": 20, "rollouts": 4},
        "smoke": {"pretrain_epochs": 2, "rounds": 3, "rollouts": 2},
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def fit(self, data: TrainingData, run: Run) -> LSTMLanguageModel:
        """Pre-train, then follow the policy gradient of BLEU."""
        check_cuda_way(self.cuda, run.device)
        pretraining = MLE(
            epochs=self.pretrain_epochs,
            lr=self.pretrain_lr,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            embedding_dim=self.embedding_dim,
            hidden_dim=self.hidden_dim,
            init_std=self.init_std,
        )
        policy = cast(LSTMLanguageModel, run.pretrained(pretraining, data))
        optimizer = adam(policy, self.lr)
        run.track(policy, policy=policy, optimizer=optimizer)
        unk = data.vocabulary.unk if data.vocabulary else None
        reward = BleuReward(data.spec, data.train, self.order, self.epsilon, unk)
        complete = completion(self.cuda, policy, self.rollouts, run.rng("rollouts"))
        gradient = PolicyGradient(self.batch_size, self.rollouts, self.clip_norm, complete)
        for _ in run.phase("policy-gradient", self.rounds):
            gradient.step(policy, optimizer, reward, run)
        return policy


class BleuReward:
    """Sentence BLEU against fixed references, the end mark and what follows left out; ``<unk>`` matches nothing.

    Args:
        spec: The sequences' shape.
        references: int64, (M, T).
        order: Longest n-gram.
        epsilon: Numerator in place of zero matches.
        unk: The id of ``<unk>``, which a policy shall not be paid for, or None.
    """

    def __init__(
        self, spec: SequenceSpec, references: Tensor, order: int, epsilon: float, unk: int | None = None
    ) -> None:
        self.spec, self.order, self.epsilon, self.unk = spec, order, epsilon, unk
        self.references = ReferenceCounts.build(references.numpy(), spec.lengths(references).numpy(), order)
        self.on_device: DeviceCounts | None = None

    def __call__(self, tokens: Tensor) -> Tensor:
        """Score int64 (N, T), giving float32 (N,) on the same device."""
        lengths = self.spec.lengths(tokens)
        words = tokens if self.unk is None else tokens.masked_fill(tokens == self.unk, -1)
        if tokens.is_cuda:
            self.on_device = self.on_device or DeviceCounts.of(self.references, tokens.device)
            return sentence_bleu_on_device(words, lengths, self.on_device, (self.order,), self.epsilon)[0].float()
        scores = sentence_bleu(words.numpy(), lengths.numpy(), self.references, (self.order,), self.epsilon)[0]
        return torch.from_numpy(scores).float()
