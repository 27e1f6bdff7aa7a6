"""One checkpoint as the judge sees it, for metrics that need the densities of model and oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.api import HasLogProb, HasTokenLogProb, Sampler, SequenceSpec, density_of
from bench.kernels.ngrams import Floats
from bench.metrics.base import Estimate, RealText, Subject
from bench.metrics.ranges import LOG_PROB
from bench.metrics.sequences import Tokens

__all__ = ["RULED_OUT", "Density", "Evidence", "HeldOut", "LogProb"]

RULED_OUT = "the oracle never writes some of the samples"
"""Why a score of samples is infinite. How many they are differs between seeds, and is a score of its own."""


class Density(Protocol):
    """Anything that can compute the log-probability of a sequence."""

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Int64 (N, T) to (N,), nats."""
        ...


class HeldOut:
    """A task's test set, with what is computed from it once and used for every model.

    Args:
        spec: The sequences' shape.
        tokens: int64, (K, T).
        oracle: The true distribution, or None.
        unk: The id that stands for words outside the vocabulary, or None.
        tokenizer: How text became tokens.
        train: int64, (M, T), what the models were trained on: to find copies, and to fit the judge's language model.
        words: The symbol of every id, V of them, where ids have symbols.
        verse: Words per line, where sequences are made of lines.
        valid: int64, (L, T), what the models were given beside that: copies of it are copies, too.
        places: As in :class:`bench.metrics.base.RealText`.
        listed: int64, (L, T), all real sequences that there are, or None.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        tokens: Tensor,
        oracle: Density | None,
        unk: int | None,
        tokenizer: str,
        train: Tensor | None = None,
        words: tuple[str, ...] | None = None,
        verse: int | None = None,
        valid: Tensor | None = None,
        places: Floats | None = None,
        listed: Tensor | None = None,
    ) -> None:
        self.spec, self.tokens, self.oracle, self.unk, self.tokenizer = spec, tokens, oracle, unk, tokenizer
        self._train, self._words, self._verse, self._valid = train, words, verse, valid
        self._places, self._listed = places, listed

    def first(self, n: int) -> HeldOut:
        """A copy with only the first n test sequences; both share one language model."""
        more = self._train, self._words, self._verse, self._valid, self._places, self._listed
        part = HeldOut(self.spec, self.tokens[:n], self.oracle, self.unk, self.tokenizer, *more)
        if self._train is not None:  # where a cached property keeps its value
            part.real_text.__dict__["language_model"] = self.real_text.language_model
        return part

    @cached_property
    def real_text(self) -> RealText:
        """Test and training set for the metrics on words."""
        train = None if self._train is None else self.words_of(self._train)
        given = train
        if self._train is not None and self._valid is not None:
            given = self.words_of(torch.cat([self._train, self._valid]))
        listed = None if self._listed is None else self.words_of(self._listed)
        about = self.spec, self._words, self._verse, given, self._places, listed
        return RealText(self.words_of(self.tokens), train, *about)

    @property
    def oracle_log_prob(self) -> LogProb:
        """The oracle's log-probability of the test sequences: computed once, and a copy for everyone who asks."""
        return self._oracle_log_prob.copy()

    @cached_property
    def _oracle_log_prob(self) -> LogProb:
        if self.oracle is None:
            raise ValueError("expected a task with an oracle")
        return LogProb.of(self.oracle, self.tokens)

    def words_of(self, tokens: Tensor) -> Tokens:
        """Sequences of this task for the metrics on words: int64 (N, T)."""
        return Tokens(tokens.numpy(), self.spec.lengths(tokens).numpy(), self.unk)


@dataclass(frozen=True, slots=True)
class LogProb:
    """The log-probabilities of N sequences under a density.

    Attributes:
        tokens: float64, (N, T), nats; None where only complete sequences have a probability.
        sequences: float64, (N,), nats.
    """

    tokens: Tensor | None
    sequences: Tensor

    @classmethod
    def of(cls, density: Any, tokens: Tensor, temperature: float = 1.0) -> LogProb:
        """Query a density, token by token if it can do that.

        It is handed a copy of the tokens, and its answer is copied, too: whatever it writes into either is its own.
        ``log_prob`` is not asked where there is ``token_log_prob``, so that no score depends on whether they agree;
        ``bench validate`` checks that they do.

        Raises:
            ValueError: for an answer of the wrong shape, or NaN.
            Impossible: for a probability above 1.
        """
        given = {} if temperature == 1.0 else {"temperature": temperature}
        by_token = callable(getattr(density, "token_log_prob", None))
        asked = tokens.clone()
        answer = density.token_log_prob(asked, **given) if by_token else density.log_prob(asked)
        answer = answer.detach().to("cpu", torch.float64, copy=True)
        name, part = ("token_log_prob", "token") if by_token else ("log_prob", "sequence")
        wanted = tokens.shape if by_token else tokens.shape[:1]
        if answer.shape != wanted:
            raise ValueError(f"expected {name} of shape {tuple(wanted)}, got {tuple(answer.shape)}")
        if bool(answer.isnan().any()):
            raise ValueError(f"{name} of a {part} is not a number: the model has diverged")
        if answer.numel():
            LOG_PROB.check(f"{name} of a {part}", float(answer.max()))
        return cls(answer, answer.sum(-1)) if by_token else cls(None, answer)

    def equals(self, other: LogProb) -> bool:
        """Whether all numbers are the same, bit for bit."""
        if self.tokens is None or other.tokens is None:
            return self.tokens is other.tokens and torch.equal(self.sequences, other.sequences)
        return torch.equal(self.tokens, other.tokens)

    def copy(self) -> LogProb:
        """The same numbers in new tensors."""
        return LogProb(None if self.tokens is None else self.tokens.clone(), self.sequences.clone())


@dataclass
class Evidence:
    """One checkpoint as the judge sees it.

    Attributes:
        sampler: The sampler that is judged.
        samples: int64, (n, T), drawn from it, on the CPU.
        held_out: The test set.
        temperature: The temperature at which they were drawn.
        trained: Whether they are training sequences, as in the row of the real data.
    """

    sampler: Sampler
    samples: Tensor
    held_out: HeldOut
    temperature: float = 1.0
    trained: bool = False
    spec: SequenceSpec = field(init=False)

    def __post_init__(self) -> None:
        self.spec = self.held_out.spec

    def ask(self, metric: Any) -> list[Estimate]:
        """The results of a metric, from the densities if it reads them, otherwise from the words."""
        scores: Callable[[Evidence], list[Estimate]] | None = getattr(metric, "scores", None)
        return list(metric.estimates(self.subject)) if scores is None else scores(self)

    @cached_property
    def subject(self) -> Subject:
        """The samples for the metrics on words."""
        words, held_out = self.held_out.words_of(self.samples), self.held_out
        return Subject.samples(words, held_out.real_text, held_out.tokenizer, trained=self.trained)

    @cached_property
    def density(self) -> str:
        """What the sampler's density is, as it says: one of :data:`bench.api.DENSITIES`."""
        return density_of(self.sampler)

    @property
    def no_density(self) -> str | None:
        """Why the sampler's density is not known, None where it is."""
        has_any = isinstance(self.sampler, HasTokenLogProb | HasLogProb)
        if has_any and self.density == "none":
            return "the model says that it has no density"
        if isinstance(self.sampler, HasTokenLogProb) or (
            self.temperature == 1.0 and isinstance(self.sampler, HasLogProb)
        ):
            return None
        at = "" if self.temperature == 1.0 else " for other temperatures than 1"
        return f"the model has no {'token_log_prob' if at else 'log_prob'}{at}"

    @property
    def model_log_prob_of_test(self) -> LogProb:
        """The log-probability of the test sequences under the model."""
        return self._model_of_test.copy()

    @property
    def model_log_prob_of_samples(self) -> LogProb:
        """The log-probability of the samples under the model that wrote them."""
        return self._model_of_samples.copy()

    @property
    def oracle_log_prob_of_samples(self) -> LogProb:
        """The log-probability of the samples under the oracle."""
        return self._oracle_of_samples.copy()

    @property
    def ruled_out(self) -> bool:
        """Whether there are samples that the oracle never writes."""
        return bool((self._oracle_of_samples.sequences == -torch.inf).any())

    # Computed once; metrics get copies, so that none can change what another reads.

    @cached_property
    def _model_of_test(self) -> LogProb:
        return self._log_prob(self.held_out.tokens)

    @cached_property
    def _model_of_samples(self) -> LogProb:
        return self._log_prob(self.samples)

    @cached_property
    def _oracle_of_samples(self) -> LogProb:
        if self.held_out.oracle is None:
            raise ValueError("expected a task with an oracle")
        return LogProb.of(self.held_out.oracle, self.samples)

    def tokens_of(self, tokens: Tensor) -> int:
        """The number of tokens that count, including the end mark: the denominator of every NLL."""
        return int(self.spec.mask(tokens).sum())

    def _log_prob(self, tokens: Tensor) -> LogProb:
        if self.no_density:
            raise ValueError("expected a sampler with log_prob")
        return LogProb.of(self.sampler, tokens, self.temperature)
