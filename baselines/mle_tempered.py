"""Maximum likelihood at the epoch and the temperature that held-out likelihood picks: what tuning two numbers gains."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Interval, MinLen
from torch import Tensor, nn

from bench.api import GREATEST_TEMPERATURE, LEAST_TEMPERATURE, Decoding, Run, Size, TrainingData
from seqgan.mle import Descent, LikelihoodGenerator, adam, maximize_likelihood, minibatches
from seqgan.networks import new_policy
from seqgan.policy import Policy

Temperature = Annotated[float, Interval(ge=0.1, le=10)]
"""Range of a field: what logits are divided by."""


class BestEpoch(nn.Module):
    """A copy of a language model as it was after its best epoch; the lower the held-out NLL the better.

    Before the first epoch it is the model as it was built. The copy and its score are state, so that a training that is
    stopped and continued selects the same epoch.

    Args:
        model: What is trained.
    """

    def __init__(self, model: Policy) -> None:
        super().__init__()
        self.model = model.copied()
        self.nll: Tensor
        self.register_buffer("nll", torch.full((), math.inf, dtype=torch.float64))

    def keep(self, model: Policy, nll: float) -> bool:
        """Copy the model if it is better than the best so far, and say whether it is."""
        if nll >= float(self.nll):
            return False
        self.nll.fill_(nll)
        self.model.load_state_dict(model.state_dict())
        return True


class TemperedLanguageModel(BestEpoch):
    """A language model whose logits are divided by a temperature of its own: p(w) is softmax(logits / temperature).

    Args:
        model: What is trained.
    """

    def __init__(self, model: Policy) -> None:
        super().__init__(model)
        self.temperature: Tensor
        self.register_buffer("temperature", torch.ones((), dtype=torch.float64))

    def look(self, model: Policy, valid: Tensor, temperatures: Sequence[float], run: Run) -> None:
        """Keep the model and its best temperature if their NLL is the lowest so far.

        Args:
            model: As it is after an epoch.
            valid: int64, (M, T), of the validation split.
            temperatures: The grid, rising.
            run: Counts what is read, and logs what is found.
        """
        words = model.spec.count(valid)
        with run.measure() as count:

            def nll(temperature: float, count: Callable[..., None] = count) -> float:
                count(selection_tokens=words)
                return -float(model.token_log_prob(valid, temperature).sum(dtype=torch.float64)) / words

            found, temperature = best_temperature(nll, temperatures, float(self.temperature))
            if self.keep(model, found):
                self.temperature.fill_(temperature)
        run.log(looked=found, temperature=temperature)

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T); the temperature of ``decoding`` multiplies the model's own."""
        inside = Decoding(self._times(decoding.temperature), decoding.top_k, decoding.top_p)
        return self.model.sample(n, inside, rng)

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token at ``temperature`` times the own one, int64 (N, T) to float32 (N, T), nats."""
        return self.model.token_log_prob(tokens, self._times(temperature))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence at the own temperature, int64 (N, T) to float32 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of every word after each prefix, int64 (N, k) to float32 (N, V), nats; k may be 0."""
        return torch.log_softmax(self.model.next_token_log_probs(prefixes) / float(self.temperature), -1)

    def _times(self, temperature: float) -> float:
        return min(max(float(self.temperature) * temperature, LEAST_TEMPERATURE), GREATEST_TEMPERATURE)


@dataclass(frozen=True, slots=True)
class MLETempered(LikelihoodGenerator):
    """Maximum likelihood at the epoch and the temperature with the lowest NLL on the validation split.

    Trained exactly as ``mle`` is, whose parameters it has after each epoch. After every epoch its NLL on the validation
    split is computed at the temperatures of a grid, and the best pair of epoch and temperature so far is the model. An
    overfitted model is overconfident, so it gains most above temperature 1 (Guo et al. 2017, arXiv 1706.04599).
    """

    temperatures: Annotated[tuple[Temperature, ...], MinLen(1)] = tuple(step / 20 for step in range(10, 41))
    """The grid: 0.5 to 2 in steps of 0.05."""
    looked_at: Size = 2_000
    """Sequences of the validation split that are read after each epoch, at most."""

    def fit(self, data: TrainingData, run: Run) -> TemperedLanguageModel:
        """Minimise the mean negative log-likelihood of a token, and keep the best epoch and temperature."""
        model = new_policy(self.policy, data.spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        optimizer = adam(model, self.lr)
        best = TemperedLanguageModel(model)
        run.track(best, best=best, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train, valid = data.train.to(run.device), data.valid[: self.looked_at]
        order = run.rng("batches") if self.reshuffle else None
        grid = sorted(set(self.temperatures))
        for _ in run.phase("mle-tempered", self.epochs, open_ended=True):
            maximize_likelihood(descent, minibatches(train, self.batch_size, order), run)
            best.look(model, valid, grid, run)
        return best


def best_temperature(nll: Callable[[float], float], temperatures: Sequence[float], start: float) -> tuple[float, float]:
    """The lowest NLL on a rising grid of temperatures, and the temperature of it.

    The NLL of a softmax is convex in one over its temperature, so that a walk downhill from anywhere ends at the
    grid's minimum, and most of the grid need not be looked at.

    Args:
        nll: The NLL at a temperature.
        temperatures: The grid.
        start: Where the walk begins: at the temperature of the grid that is nearest to it.
    """
    known: dict[int, float] = {}

    def at(index: int) -> float:
        if index not in known:
            known[index] = nll(temperatures[index])
        return known[index]

    here = min(range(len(temperatures)), key=lambda index: abs(temperatures[index] - start))
    while True:
        lower = [near for near in (here + 1, here - 1) if 0 <= near < len(temperatures) and at(near) < at(here)]
        if not lower:
            return at(here), temperatures[here]
        here = lower[0]
