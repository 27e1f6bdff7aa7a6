"""Does synthetic data help a network? The question of :mod:`bench.metrics.augmented`, to a small LSTM."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from bench.api import SequenceSpec
from bench.metrics.augmented import ABOUT_GAIN, KINDS, NO_TRAIN, REAL, real_rows
from bench.metrics.base import Estimate, RealText
from bench.metrics.density import Evidence, HeldOut
from bench.metrics.ranges import NEGATIVE_LOG_PROB, Range
from bench.metrics.sequences import Tokens

__all__ = ["AugmentedLSTM"]

SEED = 0
CLIP = 5.0
"""The largest norm of a gradient."""
ROWS = 256
"""Sequences that are scored at a time."""


@dataclass(frozen=True)
class AugmentedLSTM:
    """Held-out NLL of a small fixed LSTM trained on k real sequences and the samples, and on the k alone.

    ``augmented_lstm_nll`` and ``augmented_lstm_gain`` are what ``augmented_nll`` and ``augmented_gain`` of
    :class:`bench.metrics.augmented.Augmented` are, with the papers' kind of model (Samanta et al. 2019, Tarunesh et al.
    2021) in place of counts: the same k, the same samples, the same test set, the same row of real data. Both arms have
    the same initial weights, from one fixed seed, and the same number of updates of as many sequences; each is stopped
    at the step with the lowest NLL on validation sequences, which the generator was given, too. Adam, dropout on what
    the LSTM reads and writes; sizes in the signature.

    It trains a network for every checkpoint, some twenty seconds of one core, and is therefore no part of a run unless
    it is named, by its path: ``--metrics bench.metrics.augmented_lstm:AugmentedLSTM``. The real sequences alone are
    trained on once for all models. There is one draw of the initial weights, to which small differences may be due:
    compare over several seeds of the generator. Other processors round otherwise, and training magnifies that. So few
    updates are enough for about as many samples as real sequences, and too few for ten times as many.

    How it can be gamed: as ``augmented_gain``, by copies of the training set above all.
    """

    hidden: int = 128
    """Size of embeddings and of the LSTM's state."""
    dropout: float = 0.4
    """Share of what the LSTM reads and writes that is dropped in training."""
    lr: float = 0.003
    """Adam's step size."""
    batch: int = 32
    """Sequences of an update."""
    updates: int = 400
    """Updates of each arm."""
    looks: int = 20
    """How often validation sequences are scored, evenly; the best step counts."""
    valid: int = 500
    """Validation sequences, at most."""
    version: ClassVar[str] = "1"

    def scores(self, evidence: Evidence) -> list[Estimate]:
        """Both columns; absent without training and validation sequences, nothing for what is no text."""
        held_out, real = evidence.held_out, evidence.held_out.real_text
        if evidence.spec.kind not in KINDS:
            return []
        if real.train is None or real.given is None or len(real.given) <= len(real.train) or len(real.train) < 2:
            subject = evidence.subject.signature(self.version, n=len(evidence.samples))
            reason = NO_TRAIN if real.train is None else "there are no validation sequences to stop at"
            columns = {"augmented_lstm_nll": "lower", "augmented_lstm_gain": "higher"}
            return [Estimate(name, None, "nats/token", way, subject, reason) for name, way in columns.items()]
        order = real_rows(len(real.train))
        k, samples = min(REAL, len(order) // 2), evidence.samples
        if evidence.trained:  # the row of real data
            samples = _tensor(real.train[np.sort(order[k : k + len(samples)])])
        known = _tensor(real.train[np.sort(order[:k])])
        alone = self._alone(held_out, real, known)
        together = self._nll(held_out, real, torch.cat([known, samples])) if len(samples) else alone
        lstm = f"lstm:{self.hidden},dropout={self.dropout},adam={self.lr},{self.updates}x{self.batch},seed={SEED}"
        signature = evidence.subject.signature(
            self.version,
            n=len(samples),
            k=f"train:{k}/{len(order)}",
            valid=len(self._valid(real)),
            looks=self.looks,
            test=len(held_out.tokens),
            V=evidence.spec.vocab_size,
            lm=lstm,
        )
        possible = Range(high=alone, because=ABOUT_GAIN)
        return [
            Estimate("augmented_lstm_nll", together, "nats/token", "lower", signature, possible=NEGATIVE_LOG_PROB),
            Estimate("augmented_lstm_gain", alone - together, "nats/token", "higher", signature, possible=possible),
        ]

    def _alone(self, held_out: HeldOut, real: RealText, known: Tensor) -> float:
        found = _alone.setdefault(held_out, {})
        if self not in found:
            found[self] = self._nll(held_out, real, known)
        return found[self]

    def _nll(self, held_out: HeldOut, real: RealText, learnt: Tensor) -> float:
        """Nats per token of the test set, after training."""
        with _single_thread():
            return _nll(self.trained(held_out.spec, learnt, _tensor(self._valid(real))), held_out.spec, held_out.tokens)

    def _valid(self, real: RealText) -> Tokens:
        if real.given is None or real.train is None:
            raise ValueError("expected validation sequences")
        return real.given[len(real.train) : len(real.train) + self.valid]

    def trained(self, spec: SequenceSpec, learnt: Tensor, valid: Tensor) -> Network:
        """A network at its best step.

        Args:
            spec: The sequences' shape.
            learnt: int64, (N, T), N of at least 1.
            valid: int64, (L, T), by which the step is chosen.
        """
        rng = torch.Generator().manual_seed(SEED)
        model = Network(spec.vocab_size, self.hidden, self.dropout, rng)
        adam = torch.optim.Adam(model.parameters(), self.lr)
        best, kept = float("inf"), model.state_dict()
        queue = torch.empty(0, dtype=torch.long)
        for step in range(1, self.updates + 1):
            while len(queue) < self.batch:
                queue = torch.cat([queue, torch.randperm(len(learnt), generator=rng)])
            rows, queue = queue[: self.batch], queue[self.batch :]
            tokens = learnt[rows]
            counted = spec.mask(tokens)
            loss = -model.token_log_prob(tokens, counted, rng).mean()
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            adam.step()
            if step * self.looks // self.updates > (step - 1) * self.looks // self.updates:
                now = _nll(model, spec, valid)
                if now < best:
                    best, kept = now, copy.deepcopy(model.state_dict())
        model.load_state_dict(kept)
        return model


_alone: WeakKeyDictionary[HeldOut, dict[AugmentedLSTM, float]] = WeakKeyDictionary()
"""The NLL of the real sequences alone, by test set and metric: the same for all models."""


class Network(nn.Module):
    """One layer of LSTM whose first input is a symbol that no sequence has."""

    def __init__(self, vocab_size: int, hidden: int, dropout: float, rng: torch.Generator) -> None:
        super().__init__()
        self.start, self.dropout = vocab_size, dropout
        self.embedding = nn.Parameter(torch.empty(vocab_size + 1, hidden))
        # Not with the usual initial weights, which would be drawn from the global stream.
        self.lstm = nn.LSTM(hidden, hidden, batch_first=True, device="meta").to_empty(device="cpu")
        self.head = nn.Linear(hidden, vocab_size, device="meta").to_empty(device="cpu")
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=rng)

    def token_log_prob(self, tokens: Tensor, counted: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """Log-probabilities of the tokens that count, nats: int64 and bool, (N, T), to float (C,), row by row.

        Args:
            tokens: The sequences.
            counted: Which tokens count.
            rng: What dropout is drawn from, in training; None otherwise.
        """
        read = torch.where(counted, tokens, 0)
        first = torch.full((len(tokens), 1), self.start)
        inputs = self._dropped(self.embedding[torch.cat([first, read[:, :-1]], dim=1)], rng)
        states, _ = self.lstm(inputs)
        logits = self.head(self._dropped(states[counted], rng))
        found: Tensor = logits.log_softmax(-1).gather(1, tokens[counted][:, None])[:, 0]
        return found

    def _dropped(self, values: Tensor, rng: torch.Generator | None) -> Tensor:
        if rng is None or not self.dropout:
            return values
        kept = torch.rand(values.shape, generator=rng) >= self.dropout
        return values * kept / (1 - self.dropout)


def _nll(model: Network, spec: SequenceSpec, tokens: Tensor) -> float:
    """Nats per token that counts."""
    total, count = 0.0, 0
    with torch.no_grad():
        for part in tokens.split(ROWS):
            found = model.token_log_prob(part, spec.mask(part)).double()
            total, count = total - float(found.sum()), count + len(found)
    return total / count


def _tensor(tokens: Tokens) -> Tensor:
    return torch.tensor(np.array(tokens.ids))  # a copy: the original refuses to be written into


@contextmanager
def _single_thread() -> Iterator[None]:
    """The same sums in the same order, however many processors there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
