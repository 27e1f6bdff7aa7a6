"""The contract between the harness and a generator: everything a plugin needs to import.

A generator is a frozen dataclass whose fields are hyper-parameters and whose ``fit`` is the algorithm. It gets the
training data and a :class:`Run`, and returns a :class:`Sampler`. It never sees the test split or the oracle, because
nothing passed to it has such a field.

Example:
    >>> @dataclass(frozen=True, slots=True)
    ... class AlwaysSeven:
    ...     def fit(self, data: TrainingData, run: Run) -> Sampler:
    ...         for _ in run.phase("nothing", 1):
    ...             pass
    ...         return SevenSampler(data.spec)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

import torch
from annotated_types import Ge, Gt, Interval
from torch import Tensor

__all__ = [
    "DENSITIES",
    "Count",
    "Decoding",
    "Execution",
    "Generator",
    "HasLogProb",
    "HasNextTokenLogProbs",
    "HasRealProbability",
    "HasTokenLogProb",
    "HasWarmUp",
    "Positive",
    "Run",
    "Sampler",
    "SequenceSpec",
    "Share",
    "Size",
    "Stateful",
    "StepSize",
    "TrainingData",
    "Unsupported",
    "Vocabulary",
    "density_of",
]

Count = Annotated[int, Ge(0)]
"""Range of a field: an integer of 0 or more."""
Size = Annotated[int, Ge(1)]
"""Range of a field: an integer of 1 or more."""
Positive = Annotated[float, Gt(0)]
"""Range of a field: a number above 0."""
Share = Annotated[float, Interval(ge=0, le=1)]
"""Range of a field: a share or a probability, from 0 to 1."""
StepSize = Annotated[float, Interval(gt=0, le=1)]
"""Range of a field: Adam's step size, above 0 and at most 1. Each parameter moves by about this much in a step."""


class Unsupported(Exception):  # noqa: N818 - it is an answer, not an error
    """Raised by ``fit`` when a generator cannot do a task; the row then says ``skipped`` and why."""


@dataclass(frozen=True, slots=True)
class SequenceSpec:
    """The shape and the special tokens of a task's sequences.

    Attributes:
        vocab_size: V; every token is in ``[0, V)``.
        seq_len: T; every sequence has exactly T positions.
        bos: The symbol fed before the first token. Either an ordinary token (0 on the synthetic oracle, as in the
            paper) or V itself: a symbol that a model reads but never generates.
        eos: The token that ends a sequence, or None where every sequence has T tokens.
        pad: The token at all positions after ``eos``; None exactly when ``eos`` is None.
        kind: The type of the tokens, for people to read: "synthetic", "characters", "words", "pitches", "notes",
            "molecules" (tokens of SMILES), "places".
    """

    vocab_size: int
    seq_len: int
    bos: int
    eos: int | None = None
    pad: int | None = None
    kind: str = "synthetic"

    def __post_init__(self) -> None:
        if self.vocab_size < 1 or self.seq_len < 1:
            raise ValueError(
                f"expected vocab_size >= 1 and seq_len >= 1, got vocab_size={self.vocab_size}, seq_len={self.seq_len}"
            )
        if not 0 <= self.bos <= self.vocab_size:
            raise ValueError(f"expected bos in [0, {self.vocab_size}], got {self.bos}")
        if (self.eos is None) != (self.pad is None):
            raise ValueError(f"expected eos and pad both or neither, got eos={self.eos}, pad={self.pad}")
        for name, token in (("eos", self.eos), ("pad", self.pad)):
            if token is not None and not 0 <= token < self.vocab_size:
                raise ValueError(f"expected {name} in [0, {self.vocab_size}), got {token}")

    @property
    def input_size(self) -> int:
        """Number of symbols that a model must be able to read: V, plus one when ``bos`` is not one of the V tokens."""
        return max(self.vocab_size, self.bos + 1)

    def mask(self, tokens: Tensor) -> Tensor:
        """True where a token counts: up to and including the first ``eos``.

        Args:
            tokens: int64, (..., T).

        Returns:
            bool, (..., T); all True where the task has no ``eos``.
        """
        if self.eos is None:
            return torch.ones_like(tokens, dtype=torch.bool)
        ends = (tokens == self.eos).long()
        return ends.cumsum(-1) - ends == 0

    def count(self, tokens: Tensor) -> int:
        """Number of the tokens that count, end marks included: int64 (..., T) to a number."""
        return tokens.numel() if self.eos is None else int(self.mask(tokens).sum())

    def lengths(self, tokens: Tensor) -> Tensor:
        """Number of tokens in each sequence, without its end mark: int64 (..., T) to int64 (...)."""
        counted = self.mask(tokens)
        return counted.sum(-1) if self.eos is None else (counted & (tokens != self.eos)).sum(-1)


class Vocabulary(Protocol):
    """The symbols of ids, for tasks made of real text."""

    @property
    def words(self) -> tuple[str, ...]:
        """The symbols of all ids, V of them."""
        ...

    @property
    def unk(self) -> int | None:
        """The id that stands for symbols outside the vocabulary, or None."""
        ...

    def decode(self, tokens: Tensor) -> list[str]:
        """One readable line for each row of int64 (N, T) tokens."""
        ...

    def spell(self, tokens: Tensor) -> list[list[str]]:
        """The symbols of each row of int64 (N, T) tokens, up to its end mark."""
        ...

    def encode(self, sequences: Sequence[str | Sequence[str]], length: int | None = None) -> Tensor:
        """Text to int64 (N, T) tokens, for generators that think in text; symbols outside the vocabulary are ``unk``.

        Args:
            sequences: N texts, or the symbols of each. A text is split as the task splits its own: at white space, and
                where symbols are characters into these, with the symbol for a space between words.
            length: T; by default that of the longest, with its end mark. Where sequences have no end mark, each must
                have T symbols; elsewhere less.

        Raises:
            ValueError: for a sequence that does not fit; cut it first.
        """
        ...


@dataclass(frozen=True, slots=True)
class TrainingData:
    """All that a generator may learn from. The test split and the oracle are left out on purpose.

    Attributes:
        spec: The shape of the sequences.
        train: int64, (N, T), on the CPU.
        valid: int64, (M, T), on the CPU; for early stopping and selection.
        vocabulary: The symbols of the ids; None on synthetic tasks.
    """

    spec: SequenceSpec
    train: Tensor
    valid: Tensor
    vocabulary: Vocabulary | None = None


LEAST_TEMPERATURE, GREATEST_TEMPERATURE = 0.001, 1000.0
"""Rounding moves a float32 logit of 10 by up to 1e-6. Divided by less than the least temperature, that would change a
probability by more than a thousandth; divided by more than the greatest, logits are all the same."""


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to draw tokens from a trained model.

    Attributes:
        temperature: Logits are divided by it, from 0.001 to 1000; 1.0 is the model's own distribution.
        top_k: Keep the k most probable tokens, None for all.
        top_p: Keep the smallest set of tokens with at least this probability, None for all.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not LEAST_TEMPERATURE <= self.temperature <= GREATEST_TEMPERATURE:
            raise ValueError(
                f"expected a temperature from {LEAST_TEMPERATURE:g} to {GREATEST_TEMPERATURE:g}, got {self.temperature}"
            )
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"expected top_k >= 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"expected 0 < top_p <= 1, got {self.top_p}")


MODES = ("eager", "graph", "triton")
"""Ways to compute on CUDA: operation by operation, as recorded graphs, or as graphs and one Triton kernel."""


@dataclass(frozen=True, slots=True)
class Execution:
    """How a run executes its generator's code: not a hyper-parameter, and the same for all generators of a benchmark.

    Attributes:
        mode: One of :data:`MODES`. ``graph`` gives the same numbers as ``eager``; ``triton`` may draw different numbers
            from the same distribution.
        bfloat16: Whether rewards may be computed from operands rounded to bfloat16, on processors that multiply
            bfloat16.
        pack: Number of seeds that train together in one process (:mod:`bench.pack`); 1 for each on its own.
    """

    mode: str = "eager"
    bfloat16: bool = True
    pack: int = 1

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"expected mode to be one of {', '.join(MODES)}, got {self.mode!r}")
        if self.pack < 1:
            raise ValueError(f"expected a pack of 1 or more, got {self.pack}")


DENSITIES = ("exact", "bound", "estimated", "none")
"""What the log-probabilities of a sampler can be; see :class:`Sampler`."""


class Sampler(Protocol):
    """What ``fit`` returns: something that generates sequences.

    A sampler may say in an attribute ``density`` what its log-probabilities are, one of :data:`DENSITIES`:

    - ``"exact"``: of the distribution that ``sample`` draws from at temperature 1, each sequence on its own. The
      probabilities of all next tokens sum to 1 after every prefix that it can write. This is verified in every run, and
      a run that fails is ``failed``. Verifying needs ``token_log_prob`` and, with more than 16 tokens,
      ``next_token_log_probs``; without them the harness treats the density as estimated.
    - ``"bound"``: a lower bound, such as an ELBO.
    - ``"estimated"``: anything else that is near it, such as a mean over random draws.
    - ``"none"``: there is none.

    Scores of a bound or an estimate are marked, and never ranked beside exact ones. Without the attribute, a sampler
    with ``log_prob`` or ``token_log_prob`` has an exact density, and any other has none.
    """

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T), with ``rng`` as the only source of randomness; n may be 0."""
        ...


@runtime_checkable
class HasLogProb(Protocol):
    """Optional on a sampler: the density it draws from, always at temperature 1."""

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence in nats: int64 (N, T) to float (N,), summed up to and including eos."""
        ...


@runtime_checkable
class HasTokenLogProb(Protocol):
    """Optional on a sampler: its density token by token, at any temperature.

    The per-token divergence and the frontier's held-out NLL need it. Where a sampler has both methods, the values of a
    sequence at temperature 1 sum to its ``log_prob``.
    """

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token given those before it, in nats, logits divided by ``temperature``.

        Int64 (N, T) to float (N, T): zero after ``eos``, minus infinity from the first token that the model cannot
        generate.
        """
        ...


@runtime_checkable
class HasNextTokenLogProbs(Protocol):
    """Optional on a sampler: the whole law of the next token, so that an exact density is verified at little cost.

    Without it, verifying costs V sequences of ``token_log_prob`` for every prefix, so that few prefixes are verified:
    with more than 16 tokens too few for the density to count as exact. A copy of the sampler is asked
    (``copy.deepcopy``, where that is possible).
    """

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of each of the V tokens after each prefix, in nats, at temperature 1.

        Int64 (N, k) to float (N, V), for one k from 0 to T - 1. With k = 0 there are N empty prefixes: N times the law
        of the first token. Where there is an ``eos``, it is among the V tokens, and no prefix contains it: only the law
        of a token that counts is asked for. The values are those of ``token_log_prob``; after a prefix that the sampler
        cannot write, they may all be minus infinity.
        """
        ...


def density_of(sampler: object) -> str:
    """What a sampler says that its log-probabilities are, or else what its methods say: one of :data:`DENSITIES`.

    Raises:
        ValueError: for any other word, or a density without a method that computes it.
    """
    has_any = any(callable(getattr(sampler, name, None)) for name in ("log_prob", "token_log_prob"))
    said = getattr(sampler, "density", None)
    if said is None:
        return "exact" if has_any else "none"
    if said not in DENSITIES:
        raise ValueError(f"expected the sampler's density to be one of {', '.join(DENSITIES)}, got {said!r}")
    if said != "none" and not has_any:
        raise ValueError(f"the sampler says that its density is '{said}', and has neither log_prob nor token_log_prob")
    return str(said)


@runtime_checkable
class HasWarmUp(Protocol):
    """Optional on a generator that compiles code when it is first used: what is compiled here is not timed."""

    def warm_up(self, device: torch.device) -> None:
        """Called before the clock starts, without data; must not draw from any random stream of the run."""
        ...


class Stateful(Protocol):
    """Anything with ``state_dict`` and ``load_state_dict``: modules, optimizers, schedulers."""

    def state_dict(self) -> dict[str, Any]:
        """The state, made of tensors, numbers, strings and containers of them."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Restore a state."""
        ...


@runtime_checkable
class HasRealProbability(Protocol):
    """Optional on a part that is given to ``run.track``: it tells real sequences from generated ones.

    The curve of such a generator has what it makes of training sequences, of *validation* sequences and of samples
    (:mod:`bench.runs.critic`): whether it can tell them apart at all, and whether it knows the training set by heart.
    """

    def real_probability(self, tokens: Tensor) -> Tensor:
        """P(real) of each sequence: int64 (N, T) on the run's device to float (N,), each in [0, 1].

        As in rewards: without dropout and without random numbers. It is called between two steps, and must change
        nothing.
        """
        ...


class Generator(Protocol):
    """A way of training: a frozen dataclass whose fields are hyper-parameters and whose ``fit`` is the algorithm.

    A field says its range in its type: ``epochs: Count = 120``, or, with the library annotated-types,
    ``keep: Annotated[float, Interval(gt=0, le=1)] = 0.75``. Ranges are checked when runs are planned, so that a value
    outside is refused before anything is trained; defaults and presets must be inside. A condition between fields
    belongs in ``__post_init__``, which raises ValueError with a sentence. The string below a field is its description
    (``bench list models NAME`` shows all of it).

    An optional class attribute ``presets`` maps "smoke", "quick", "medium" or "paper" to field overrides, and
    "quick/sotu" to those that come after them on the task ``sotu`` alone. Another, ``execution``, names the fields of
    :class:`Execution` that the generator obeys: only these are passed to it, and only these are part of its runs' ids.
    """

    def fit(self, data: TrainingData, run: Run) -> Sampler:
        """Train on ``data``.

        Raises:
            Unsupported: when this generator cannot do the task.
        """
        ...


class Run(Protocol):
    """What the harness provides to ``fit``: the device, randomness, the loop, and the record."""

    @property
    def device(self) -> torch.device:
        """Where to compute."""
        ...

    @property
    def execution(self) -> Execution:
        """How to compute: the user's choice for the fields named in the generator's ``execution``, else the default."""
        ...

    def rng(self, name: str) -> torch.Generator:
        """The random stream of this name, on ``device``: seeded from (task, data, seed, name); one object per name."""
        ...

    def track(self, sampler: Sampler, **state: Stateful) -> None:
        """Say what to evaluate while training, and what to save and restore. Call it before the first phase.

        A discriminator among the state is evaluated, too: see :class:`HasRealProbability`.
        """
        ...

    def phase(self, name: str, steps: int, open_ended: bool = False, shared: Generator | None = None) -> Iterator[int]:
        """Loop over ``range(steps)``; with ``open_ended``, if there is a budget, go on until it is spent.

        A generator's main phase is open-ended, so that every generator uses up its entire budget. The phases of a
        shared pre-training are not prolonged.

        Between two steps the harness takes its turn: it stops the clock, evaluates the tracked sampler, shows the
        progress, saves the tracked state with every random stream, and ends the loop when the budget is spent.
        After an interruption only the missing steps are yielded. Therefore the list of phases, and the code between and
        after them, must not depend on what was learnt.

        With ``shared``, the state at the end of this phase is kept under the name of that generator, and whoever gives
        an equal one begins there, on this task and seed: so it must have all fields that mattered so far, those of
        the optimizers that are tracked among them, and fixed values for all others. Everybody is charged for the whole.
        """
        ...

    def log(self, **scalars: float) -> None:
        """Add values to the training curve, at the current step.

        Finite numbers only: a NaN or an infinity ends the run as diverged. The names of the judge's scores, as
        ``nll_valid``, are refused.
        """
        ...

    def measure(self, **amounts: int) -> AbstractContextManager[Callable[..., None]]:
        """Count what a block does and time it: ``with run.measure(train_tokens=batch.numel(), updates=1): ...``.

        Inside a long block, ``with run.measure() as count``, amounts can be counted as they come: ``count(updates=1)``.
        Budgets and cost curves use ``updates``, the steps of any optimizer, and the sum of all amounts whose names end
        in ``_tokens``: every token that any network reads or draws for training, each time it does. ``train_tokens``
        are those that the generator learns from; name others as they are, such as ``rollout_tokens`` for what rollouts
        draw and ``reward_tokens`` for what a network reads to give rewards. The throughput table shows
        ``train_tokens`` and ``rollouts`` per second.
        """
        ...

    def spent(self) -> bool:
        """Whether the budget is used up: a long step checks this and ends early, so that no budget is exceeded."""
        ...

    def pretrained(self, generator: Generator, data: TrainingData) -> Sampler:
        """The result of ``generator.fit(data)`` for this task and seed, trained once and shared by all that request it.

        ``data`` are those that ``fit`` was given, unchanged. The cost of the training is added to this run's, and its
        scores are recorded as this run's ``pretrained`` checkpoint.
        """
        ...
