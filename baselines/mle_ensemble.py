"""Maximum likelihood five times, from different initial parameters: what SeqGAN's compute buys without any idea."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.api import Decoding, Run, Size, TrainingData
from seqgan.mle import Descent, LikelihoodGenerator, adam, maximize_likelihood, minibatches
from seqgan.networks import new_policy
from seqgan.policy import Policy


class Ensemble(nn.Module):
    """p(y) = mean of p_m(y) over the members m: a mixture of complete sequences.

    A member is drawn for each sequence and writes all of it. Token by token that is a mixture whose weights follow the
    prefix: p(y_t | prefix) is the mean of p_m(y_t | prefix), weighted by p_m(prefix). At another temperature than 1 it
    is the mixture of the members at that temperature.

    Args:
        members: Models of the same sequences.
    """

    def __init__(self, members: list[Policy]) -> None:
        super().__init__()
        self.spec = members[0].spec
        self.members = nn.ModuleList(members)

    def models(self) -> list[Policy]:
        """The members."""
        return [member for member in self.members if isinstance(member, Policy)]

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T), each from a member drawn for it."""
        members = self.models()
        tokens = torch.empty(n, self.spec.seq_len, dtype=torch.long, device=rng.device)
        writers = torch.randint(len(members), (n,), generator=rng, device=rng.device)
        for index, member in enumerate(members):
            rows = (writers == index).nonzero()[:, 0]
            tokens[rows] = member.sample(len(rows), decoding, rng)
        return tokens

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats."""
        each = torch.stack([member.token_log_prob(tokens, temperature).double() for member in self.models()])
        joint = each.cumsum(-1).logsumexp(0) - math.log(len(each))  # (N, T): log p of the first t tokens
        found = torch.diff(joint, prepend=torch.zeros(len(tokens), 1, dtype=joint.dtype))
        # Rounding may leave a difference just above 0 where a token is certain, and beside 0 after the end.
        return found.clamp(max=0.0).masked_fill(~self.spec.mask(tokens.cpu()), 0.0)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of every word after each prefix, int64 (N, k) to float64 (N, V), nats; k may be 0."""
        members = self.models()
        following = torch.stack([member.next_token_log_probs(prefixes).double() for member in members])  # (M, N, V)
        weights = torch.zeros(len(members), len(prefixes), dtype=torch.float64)
        if prefixes.shape[1]:
            weights = torch.stack([member.log_prob(prefixes).double() for member in members])
        return (weights.log_softmax(0)[..., None] + following).logsumexp(0)


@dataclass(frozen=True, slots=True)
class MLEEnsemble(LikelihoodGenerator):
    """The mixture of several models that maximum likelihood trained from different initial parameters.

    The fields of ``mle`` hold for each member. The first one is what ``mle`` trains; the others differ from it only in
    the names of their random streams. All are charged: tokens, updates and seconds are those of all members.
    """

    members: Size = 5
    """Number of models."""

    def fit(self, data: TrainingData, run: Run) -> Ensemble:
        """Train all members, an epoch of each in every step, and a batch of each at a time."""
        names = ["", *(f"-{index}" for index in range(2, self.members + 1))]
        models = [
            new_policy(
                self.policy, data.spec, run.rng(f"init{name}"), self.embedding_dim, self.hidden_dim, self.init_std
            )
            for name in names
        ]
        ensemble, optimizers = Ensemble(models), [adam(model, self.lr) for model in models]
        steps = {f"optimizer{name}": optimizer for name, optimizer in zip(names, optimizers, strict=True)}
        run.track(ensemble, ensemble=ensemble, **steps)
        descents = [Descent(*each, self.clip_norm) for each in zip(models, optimizers, strict=True)]
        train = data.train.to(run.device)
        orders = [run.rng(f"batches{name}") if self.reshuffle else None for name in names]
        for _ in run.phase("mle-ensemble", self.epochs, open_ended=True):
            total, learnt = 0.0, 0
            passes = [minibatches(train, self.batch_size, order) for order in orders]
            for batches in zip(*passes, strict=True):  # in turn, so that a budget ends all of them at the same batch
                for descent, batch in zip(descents, batches, strict=True):
                    words = data.spec.count(batch)
                    total += words * maximize_likelihood(descent, [batch], run)
                    learnt += words
                if run.spent():
                    break
            run.log(loss=total / learnt)
        return ensemble
