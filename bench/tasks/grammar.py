"""A task whose truth has long range: a probabilistic context-free grammar of expressions with several brackets.

Which bracket may close depends on one that was opened arbitrarily many words before, and what is written after it on
the one around that. The random LSTM of :mod:`bench.tasks.oracle` has nothing of this kind. Every probability is exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor

from bench.api import SequenceSpec, Size, TrainingData
from bench.tasks.base import Draw, Several, TaskData, named_seeds

NAMES, OPERATORS, OPENING, CLOSING, END = "abcdefghijklmnopqrstuvwxyz", "+-*/^%", "([{<", ")]}>", "<eos>"
FLOOR = 0.05
"""Share of each law that is even: nothing that the rules allow is very rare."""

SHOWN = 5
"""Sentences that are shown."""

Sentence = tuple[int, ...]


@dataclass(frozen=True)
class ExpressionVocabulary:
    """Names, operators, opening brackets, closing brackets and the end mark, in this order.

    Attributes:
        words: The symbol of every id.
    """

    words: tuple[str, ...]

    @property
    def unk(self) -> None:
        """There is no symbol for others."""
        return

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol to id, but for the end mark, which nobody spells out."""
        return {word: number for number, word in enumerate(self.words[:-1])}

    def encode(self, sequences: Sequence[str | Sequence[str]], length: int | None = None) -> Tensor:
        """Expressions to int64 (N, T); spaces between symbols may be left out.

        Args:
            sequences: N texts, or the symbols of each.
            length: T; by default as long as the longest needs.

        Raises:
            ValueError: for a symbol that is not in the vocabulary, or an expression of T symbols or more.
        """
        split = [list("".join(each.split())) if isinstance(each, str) else list(each) for each in sequences]
        if length is None:
            length = max(map(len, split), default=0) + 1
        tokens = torch.full((len(split), length), len(self.words) - 1)
        for row, symbols in zip(tokens, split, strict=True):
            if strange := [symbol for symbol in symbols if symbol not in self.ids]:
                raise ValueError(f"expected symbols among {' '.join(self.ids)}, got '{strange[0]}'")
            if len(symbols) >= length:
                raise ValueError(f"expected less than {length} words, got {len(symbols)}")
            row[: len(symbols)] = torch.tensor([self.ids[symbol] for symbol in symbols], dtype=torch.long)
        return tokens

    def spell(self, tokens: Tensor) -> list[list[str]]:
        """The symbols of each sequence up to its end mark: int64 (N, T)."""
        end = len(self.words) - 1
        rows = tokens.tolist()
        return [[self.words[token] for token in row[: row.index(end) if end in row else None]] for row in rows]

    def decode(self, tokens: Tensor) -> list[str]:
        """One line a row, symbols separated by spaces: int64 (N, T)."""
        return [" ".join(symbols) for symbols in self.spell(tokens)]


class GrammarOracle:
    """A grammar of expressions, conditioned on the number of words.

    With c the bracket around an expression, the rules and their probabilities are::

        E_c -> T_c               1 - continued
             | T_c operator E_c  continued * operators[c, operator]
        T_c -> name              (1 - nested) * names[c, name]
             | open_k E_k close_k  nested * kinds[c, k]

    c is 0 outside of all brackets and k + 1 inside those of type k. No two derivations write the same words, and what
    may follow a prefix depends on three things: whether an expression goes on or a term begins, which brackets are
    open, and how many words are left. So a prefix is read from left to right with a stack, and the density of the
    conditioned law is a product: the probability of the rule, times that of ending in time afterwards, divided by that
    of ending in time before. These come from the inside algorithm by length (:meth:`_weights`).

    Args:
        names: float64, (K + 1, A), a law for each c.
        operators: float64, (K + 1, O).
        kinds: float64, (K + 1, K).
        continued: Probability that a term is followed by another one.
        nested: Probability that a term is an expression in brackets.
        shortest: The fewest words of a sentence, without the end mark.
        longest: The most.
    """

    def __init__(
        self, names: Tensor, operators: Tensor, kinds: Tensor, continued: float, nested: float, shortest: int,
        longest: int,
    ) -> None:  # fmt: skip
        self.names, self.operators, self.kinds = names, operators, kinds
        self.continued, self.nested, self.shortest, self.longest = continued, nested, shortest, longest
        K = kinds.shape[1]
        self.first_operator = names.shape[1]
        self.first_opening = self.first_operator + operators.shape[1]
        self.first_closing, self.eos = self.first_opening + K, self.first_opening + 2 * K
        self.weights = self._weights()

    @property
    def brackets(self) -> tuple[tuple[int, int], ...]:
        """The ids of each opening bracket and of the one that closes it."""
        K = self.kinds.shape[1]
        return tuple((self.first_opening + k, self.first_closing + k) for k in range(K))

    def _weights(self) -> Tensor:
        """The probability that a derivation, from some state on, ends with a number of words that is allowed.

        Let rest(n) be the probability that what follows a term, up to the end of its expression, has n words, term(n)
        and whole(n) those of a term and of an expression; they do not depend on c. Then

            rest(n) = (1 - continued) [n = 0] + continued whole(n - 1)
            term(n) = (1 - nested) [n = 1] + nested whole(n - 2)
            whole(n) = sum over m of term(m) rest(n - m)

        and inside d brackets rest is followed d times by a closing bracket and a rest.

        Returns:
            float64, (2, D, longest + 2): where a term begins (0) or has ended (1), open brackets, words before.
        """
        size = self.longest + 1
        rest, term, whole = np.zeros(size), np.zeros(size), np.zeros(size)
        rest[0] = 1 - self.continued
        for n in range(1, size):
            rest[n] = self.continued * whole[n - 1]
            term[n] = (1 - self.nested) * (n == 1) + (self.nested * whole[n - 2] if n > 1 else 0)
            whole[n] = term[1 : n + 1] @ rest[n - 1 :: -1]
        close = np.append(0, rest)[:size]  # a closing bracket, and the rest of what is around it
        after, tables = np.append(1.0, np.zeros(size - 1)), []
        for _ in range(size // 2 + 2):  # more brackets than can be open
            begun = [np.convolve(first, after)[:size] for first in (whole, rest)]
            reached = np.zeros((2, size + 1))
            for before in range(size):
                fewest = max(0, self.shortest - before)
                reached[:, before] = [part[fewest : size - before].sum() for part in begun]
            tables.append(reached)
            after = np.convolve(close, after)[:size]
        return torch.from_numpy(np.stack(tables, axis=1))

    @torch.no_grad()
    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats.

        Zero after the end mark, minus infinity from the first token that the grammar does not allow.
        """
        reading, columns = Reading(self, len(tokens)), []
        for token in tokens.t():
            columns.append(reading.law.gather(1, token[:, None])[:, 0].log())
            reading.read(token)
        return torch.stack(columns, dim=1)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    @torch.no_grad()
    def sample(self, uniforms: np.ndarray[Any, np.dtype[np.float64]]) -> Tensor:
        """Draw sequences by inverse CDF, one uniform a token: float64 (N, T) in [0, 1) to int64 (N, T)."""
        reading, columns = Reading(self, len(uniforms)), list[Tensor]()
        for uniform in torch.from_numpy(uniforms).t():
            cumulative = reading.law.cumsum(-1)
            most = cumulative[:, -1]
            target = torch.minimum(uniform * most, most.nextafter(torch.zeros_like(most)))
            drawn = torch.searchsorted(cumulative, target[:, None], right=True)[:, 0]
            columns.append(torch.where(reading.ended, self.eos, drawn))
            reading.read(columns[-1])
        return torch.stack(columns, dim=1)

    def reference_sentences(self) -> dict[Sentence, float]:
        """Every sentence with its probability, by expanding the rules one by one: the plain twin, for small bounds."""
        found = {words: p for words, p in self._expressions(0, self.longest) if len(words) >= self.shortest}
        total = sum(found.values())
        return {words: probability / total for words, probability in found.items()}

    def _expressions(self, c: int, room: int) -> Iterator[tuple[Sentence, float]]:
        """All expressions of at most that many words."""
        for term, probability in self._terms(c, room):
            yield term, probability * (1 - self.continued)
            for number, operator in enumerate(self.operators[c].tolist()):
                joined = probability * self.continued * operator
                for others, rest in self._expressions(c, room - len(term) - 1):
                    yield (*term, self.first_operator + number, *others), joined * rest

    def _terms(self, c: int, room: int) -> Iterator[tuple[Sentence, float]]:
        if room < 1:
            return
        for name, probability in enumerate(self.names[c].tolist()):
            yield (name,), (1 - self.nested) * probability
        for k, kind in enumerate(self.kinds[c].tolist()):
            for inner, probability in self._expressions(k + 1, room - 2):
                yield (self.first_opening + k, *inner, self.first_closing + k), self.nested * kind * probability


class Reading:
    """N prefixes of one length, as the grammar reads them.

    Attributes:
        law: float64, (N, V), the law of the next token. All zeros where the grammar does not allow the prefix; after
            the end mark, 1 for every token.
        before: The number of words read.
        ended: bool, (N,), whether the end mark has been read.
        alive: bool, (N,), whether the grammar allows what has been read.
        complete: bool, (N,), whether a term has ended, so that an operator, a closing bracket or the end comes next.
        depth: int64, (N,), the number of open brackets.
        around: int64, (N, D), the c of each level, that of the outermost, 0, first.

    Args:
        grammar: The grammar.
        n: N.
    """

    def __init__(self, grammar: GrammarOracle, n: int) -> None:
        self.grammar, self.before = grammar, 0
        self.ended, self.alive = torch.zeros(n, dtype=torch.bool), torch.ones(n, dtype=torch.bool)
        self.complete, self.depth = torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.long)
        self.around = torch.zeros(n, grammar.weights.shape[1], dtype=torch.long)
        self.law = self._law()

    def read(self, token: Tensor) -> None:
        """Read one token of each: int64, (N,)."""
        g = self.grammar
        self.alive &= self.law.gather(1, token[:, None])[:, 0] > 0
        going = self.alive & ~self.ended
        opens = (token >= g.first_opening) & (token < g.first_closing) & going
        closes = (token >= g.first_closing) & (token < g.eos) & going
        self.depth = self.depth + opens.long() - closes.long()
        kind = torch.where(opens, token - g.first_opening + 1, self._innermost())
        self.around.scatter_(1, self.depth[:, None], kind[:, None])
        self.complete = closes | (token < g.first_operator)
        self.ended |= (token == g.eos) & self.alive
        self.before += 1
        self.law = self._law()

    def _innermost(self) -> Tensor:
        return self.around.gather(1, self.depth[:, None])[:, 0]

    def _law(self) -> Tensor:
        g, n = self.grammar, len(self.depth)
        law = torch.zeros(n, g.eos + 1, dtype=torch.float64)
        if self.before <= g.longest:
            c, then = self._innermost(), g.weights[:, :, self.before + 1]  # (N,), (2, D)
            begins, ends, inside = ~self.complete, self.complete, self.depth > 0
            name = (1 - g.nested) * then[1, self.depth] * begins
            opening = g.nested * then[0, (self.depth + 1).clamp(max=then.shape[1] - 1)] * begins
            operator = g.continued * then[0, self.depth] * ends
            closing = (1 - g.continued) * then[1, (self.depth - 1).clamp(min=0)] * (ends & inside)
            law[:, : g.first_operator] = g.names[c] * name[:, None]
            law[:, g.first_operator : g.first_opening] = g.operators[c] * operator[:, None]
            law[:, g.first_opening : g.first_closing] = g.kinds[c] * opening[:, None]
            law.scatter_(1, (g.first_closing - 1 + c).clamp(min=g.first_closing)[:, None], closing[:, None])
            law[:, g.eos] = (1 - g.continued) * (ends & ~inside).double() * (self.before >= g.shortest)
            now = g.weights[self.complete.long(), self.depth, self.before]
            law = law / now.clamp(min=torch.finfo(torch.float64).tiny)[:, None]
        return torch.where(self.ended[:, None], 1.0, law * self.alive[:, None])


@dataclass(frozen=True, slots=True)
class Grammar:
    """Expressions with several types of brackets, from a probabilistic context-free grammar with an exact density."""

    seq_len: Annotated[int, Interval(ge=10, le=200)] = 40
    """T, with the end mark: sentences have at most T - 1 words, since the grammar is conditioned on that."""
    shortest: Size = 9
    """The fewest words of a sentence: shorter ones are so few that all of them would be in the training set."""
    brackets: Annotated[int, Interval(ge=1, le=4)] = 3
    """Types of brackets."""
    names: Annotated[int, Interval(ge=1, le=26)] = 8
    """Different names."""
    operators: Annotated[int, Interval(ge=1, le=6)] = 4
    """Different operators."""
    continued: Annotated[float, Interval(ge=0.01, le=0.99)] = 0.5
    """Probability that a term is followed by an operator and another term, before sentences are bounded."""
    nested: Annotated[float, Interval(ge=0.01, le=0.99)] = 0.35
    """Probability that a term is an expression in brackets, before sentences are bounded."""
    concentration: Annotated[float, Interval(ge=0.001, le=1000)] = 0.5
    """Parameter of the Dirichlet distribution of names, of operators and of brackets: the smaller, the more these tell
    of the bracket that they are in."""
    draw: Draw | None = None
    """Which grammar and which data; None gives each seed its own."""
    train_size: Several = 10_000
    """Training sequences."""
    valid_size: Several = 2_000
    """Validation sequences."""
    test_size: Several = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"seq_len": 20, "train_size": 1_000, "valid_size": 500, "test_size": 2_000},
        "smoke": {"seq_len": 16, "train_size": 320, "valid_size": 100, "test_size": 200},
    }

    def __post_init__(self) -> None:
        if self.shortest >= self.seq_len:
            raise ValueError(
                f"expected sentences of at least {self.shortest} words (shortest) to leave room for an end mark among "
                f"{self.seq_len} tokens (seq_len)"
            )
        if self.shortest == self.seq_len - 1 and not self.shortest % 2:
            raise ValueError(f"every sentence has an odd number of words, so none has {self.shortest} (shortest)")

    def fingerprint(self) -> str:
        """All parameters: the grammar and its sentences follow from them."""
        return json.dumps(asdict(self), sort_keys=True)

    def report(self) -> tuple[str, ...]:
        """What ``bench data show`` says: sizes, the rules with their probabilities, and some sentences, a line each."""
        data = self.load()
        spec, oracle, vocabulary = data.training.spec, data.oracle, data.vocabulary
        assert isinstance(oracle, GrammarOracle)
        assert vocabulary is not None
        splits = {"training": data.training.train, "validation": data.training.valid, "test": data.test}
        sizes = ", ".join(f"{len(tokens):,} {split}" for split, tokens in splits.items())
        entropy = -float(oracle.log_prob(data.test).sum()) / spec.count(data.test)
        known = set(map(tuple, data.training.train.tolist()))
        copied = sum(tuple(row) in known for row in data.test.tolist())
        words = float(spec.lengths(data.test).double().mean())
        notes = [
            f"{sizes} sentences of {self.shortest} to {self.seq_len - 1} words, {words:.1f} in the mean",
            f"entropy {entropy:.3f} nats a token; {copied:,} of the test sentences are in train, too",
        ]
        for c in range(self.brackets + 1):
            where = f"inside {OPENING[c - 1]} {CLOSING[c - 1]}" if c else "outside"
            laws = (oracle.names, NAMES), (oracle.operators, OPERATORS), (oracle.kinds, OPENING)
            told = (
                " ".join(f"{w} {p:.2f}" for w, p in zip(words, law[c].tolist(), strict=False)) for law, words in laws
            )
            notes.append(f"{where}: {'; '.join(told)}")
        return (*notes, *vocabulary.decode(data.test[:SHOWN]))

    def load(self) -> TaskData:
        """Draw the grammar, then write the three splits."""
        stream = np.random.RandomState(named_seeds("grammar/rules", self.draw or 0))

        def laws(size: int) -> Tensor:
            drawn = stream.dirichlet(np.full(size, self.concentration), size=self.brackets + 1)
            return torch.from_numpy((1 - FLOOR) * drawn + FLOOR / size)

        rules = laws(self.names), laws(self.operators), laws(self.brackets)
        oracle = GrammarOracle(*rules, self.continued, self.nested, self.shortest, self.seq_len - 1)
        train, valid, test = (
            oracle.sample(
                np.random.RandomState(named_seeds(f"grammar/{split}", self.draw or 0)).random_sample(
                    (size, self.seq_len)
                )
            )
            for split, size in (("train", self.train_size), ("valid", self.valid_size), ("test", self.test_size))
        )
        opening, closing = OPENING[: self.brackets], CLOSING[: self.brackets]
        vocabulary = ExpressionVocabulary((*NAMES[: self.names], *OPERATORS[: self.operators], *opening, *closing, END))
        spec = SequenceSpec(oracle.eos + 1, self.seq_len, oracle.eos + 1, oracle.eos, oracle.eos, kind="symbols")
        return TaskData(TrainingData(spec, train, valid, vocabulary), test, oracle, "symbols")
