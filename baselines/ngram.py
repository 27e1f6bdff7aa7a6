"""Counts of up to five words, smoothed: the language model of the years before networks, with an exact density."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval, MinLen
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from baselines.bigram import ROWS, drawn_words, scaled
from bench.api import Decoding, Run, SequenceSpec, Size, TrainingData

Order = Annotated[int, Interval(ge=1, le=8)]
"""Range of a field: words of an n-gram."""
Discount = Annotated[float, Interval(gt=0, lt=1)]
"""Range of a field: what is subtracted from every count."""
Smoothing = Literal["kneser-ney", "witten-bell"]
Ids = NDArray[np.int64]

UNSEEN = -1
"""The id of a context that training lacks. It indexes the last row, which is empty and leaves all to shorter ones."""


@dataclass(frozen=True)
class Counts:
    """What follows each context of one length.

    Attributes:
        codes: int64, (C,), sorted: the contexts, as ``shorter * (V + 1) + first``, where ``shorter`` is the id of the
            context without its first word; an id is a place in this array. Of length 0 there is one, with code 0.
        raw: float64, (C, V): how often each word follows.
        continued: The same of different first words of the next longer context (Kneser and Ney 1995); contexts that
            begin with the start of a sequence have nothing before them and keep their counts.
    """

    codes: Ids
    raw: csr_matrix
    continued: csr_matrix


def count(spec: SequenceSpec, tokens: Tensor, order: int) -> list[Counts]:
    """Counts after contexts of 0 to ``order`` - 1 words, the start of a sequence among them: int64 (N, T) tokens."""
    V, start = spec.vocab_size, spec.vocab_size
    counted, words = spec.mask(tokens).numpy(), tokens.numpy()
    read = np.pad(words, ((0, 0), (1, 0)), constant_values=start)  # (N, T + 1)
    ids = np.zeros(words.shape, np.int64)  # of the context of each word, at the present length
    tables: list[tuple[Ids, csr_matrix]] = []
    for length in range(min(order, spec.seq_len + 1)):
        codes = np.zeros(1, np.int64)
        here = slice(max(0, length - 1), None)  # the first words of a sequence have no context of this length
        mask = counted[:, here]
        if length:
            found = ids[:, here] * (V + 1) + read[:, : mask.shape[1]]
            codes, places = np.unique(found[mask], return_inverse=True)
            ids[:, here][mask] = places
        where = (ids[:, here][mask], words[:, here][mask])
        tables.append((codes, csr_matrix((np.ones(len(where[0])), where), (len(codes), V))))
    return [_continued(tables, length, start) for length in range(len(tables))]


def _continued(tables: list[tuple[Ids, csr_matrix]], length: int, start: int) -> Counts:
    """The counts of one length, beside how many different words each continues in the next longer one."""
    codes, raw = tables[length]
    if length + 1 == len(tables):
        return Counts(codes, raw, raw)
    longer, follows = tables[length + 1]
    rows = np.repeat(longer // (start + 1), np.diff(follows.indptr))
    continued = csr_matrix((np.ones(len(rows)), (rows, follows.indices)), raw.shape)
    if length:
        begins = csr_matrix((codes % (start + 1) == start).astype(float)[:, None])
        continued = csr_matrix(continued + raw.multiply(begins))
    return Counts(codes, raw, continued)


class NgramModel:
    """p(w | h) = kept(h, w) + left(h) p(w | h without its first word), and 1 / V after the shortest context.

    Args:
        spec: The sequences' shape.
        counts: Of contexts of 0 to n - 1 words, for an n-gram model.
        smoothing: ``kneser-ney``: kept is max(c - D, 0) / c(h) and left is what was taken, D N(h) / c(h), with N(h) the
            number of different words that follow; shorter contexts count what they continue (Kneser and Ney 1995;
            interpolated as by Chen and Goodman 1999, eq. 4.24). ``witten-bell``: kept is c / (c(h) + N(h)) and left is
            N(h) / (c(h) + N(h)) (Witten and Bell 1991, method C).
        discount: D; not used by Witten-Bell.
    """

    def __init__(self, spec: SequenceSpec, counts: list[Counts], smoothing: Smoothing, discount: float) -> None:
        self.spec, self.start = spec, spec.vocab_size
        self.codes = [level.codes for level in counts]
        self.kept: list[csr_matrix] = []
        self.left: list[NDArray[np.float64]] = []
        for length, level in enumerate(counts):
            longest = length == len(counts) - 1
            table = level.raw if longest or smoothing == "witten-bell" else level.continued
            total, kinds = np.asarray(table.sum(1)).ravel(), np.diff(table.indptr).astype(float)
            if smoothing == "witten-bell":
                taken, below, kept = kinds, total + kinds, table.data
            else:
                taken, below, kept = discount * kinds, total, table.data - discount
            # Without anything counted all is left to the next shorter context.
            none = below == 0
            left = np.where(none, 1.0, taken / np.where(none, 1.0, below))
            shares = kept / np.repeat(below, np.diff(table.indptr))
            shape = (table.shape[0] + 1, table.shape[1])
            indptr = np.append(table.indptr, table.indptr[-1])
            self.kept.append(csr_matrix((shares, table.indices, indptr), shape))
            self.left.append(np.append(left, 1.0))
        self._ends = [np.cumsum(kept.data) for kept in self.kept]

    @property
    def order(self) -> int:
        """N: words of the longest n-gram."""
        return len(self.kept)

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T)."""
        tokens = torch.empty(n, self.spec.seq_len, dtype=torch.long)
        read = np.full((n, self.spec.seq_len + 1), self.start)
        ended = np.zeros(n, dtype=bool)
        draw = self.draw if decoding == Decoding() else self.reference_draw
        for t in range(self.spec.seq_len):
            uniforms = torch.rand(n, dtype=torch.float64, generator=rng, device=rng.device).cpu().numpy()
            word = draw(self.contexts(read[:, : t + 1]), uniforms, decoding)
            if self.spec.eos is not None:
                word = np.where(ended, self.spec.pad or 0, word)
                ended |= word == self.spec.eos
            read[:, t + 1] = word
            tokens[:, t] = torch.from_numpy(word)
        return tokens

    def draw(self, contexts: list[Ids], uniforms: NDArray[np.float64], decoding: Decoding) -> Ids:
        """One word after each context by inverse CDF, level by level: no law is written out.

        A uniform number below the share that the longest context keeps picks one of its words; what is above that,
        stretched to [0, 1), goes on to the next shorter context, and in the end to any of the V words.

        Args:
            contexts: Ids as of :meth:`contexts`, (R,) each.
            uniforms: float64, (R,).
            decoding: That of the model itself, temperature 1.

        Returns:
            int64, (R,).
        """
        words = np.empty(len(uniforms), np.int64)
        rows, rest = np.arange(len(uniforms)), uniforms.copy()
        for kept, left, ends, ids in zip(
            reversed(self.kept), reversed(self.left), reversed(self._ends), reversed(contexts), strict=True
        ):
            own, share = ids[rows], 1 - left[ids[rows]]
            here = (rest < share) & (np.diff(kept.indptr)[own] > 0)
            first, end = kept.indptr[own[here]], kept.indptr[own[here] + 1]  # what is unseen has no words
            before = np.where(first > 0, ends[first - 1] if len(ends) else 0.0, 0.0)
            found = np.searchsorted(ends, before + rest[here], side="right")
            words[rows[here]] = kept.indices[np.clip(found, first, end - 1)]
            rest = ((rest - share) / left[own].clip(min=1e-300))[~here].clip(0.0, None)
            rows = rows[~here]
        words[rows] = (rest * self.spec.vocab_size).astype(np.int64).clip(max=self.spec.vocab_size - 1)
        return words

    def reference_draw(self, contexts: list[Ids], uniforms: NDArray[np.float64], decoding: Decoding) -> Ids:
        """One word after each context from its whole law, at any temperature, top-k and top-p: as :meth:`draw`."""
        words = np.empty(len(uniforms), np.int64)
        for rows in np.split(np.arange(len(uniforms)), range(ROWS, len(uniforms), ROWS)):
            words[rows] = drawn_words(self.laws([ids[rows] for ids in contexts]), uniforms[rows], decoding)
        return words

    def contexts(self, read: Ids) -> list[Ids]:
        """The contexts at the end of what was read, ids of length 0 to n - 1: int64 (R, k), ``start`` first, to (R,).

        A context that training lacks, or that is longer than what was read, is :data:`UNSEEN`.
        """
        found = [np.zeros(len(read), np.int64)]
        for length in range(1, self.order):
            if length > read.shape[1]:
                found.append(np.full(len(read), UNSEEN))
                continue
            codes, wanted = self.codes[length], found[-1] * (self.start + 1) + read[:, -length]
            place = np.searchsorted(codes, wanted).clip(max=max(0, len(codes) - 1))
            known = (found[-1] != UNSEEN) & (codes[place] == wanted if len(codes) else np.zeros(len(read), bool))
            found.append(np.where(known, place, UNSEEN))
        return found

    def laws(self, contexts: list[Ids]) -> NDArray[np.float64]:
        """Next-word distributions after contexts, float64 (R, V)."""
        law = np.full((len(contexts[0]), self.spec.vocab_size), 1 / self.spec.vocab_size)
        for kept, left, ids in zip(self.kept, self.left, contexts, strict=True):
            law *= left[ids][:, None]
            law += kept[ids].toarray()
        return law

    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of every word after each prefix, int64 (N, k) to float64 (N, V), nats; k may be 0."""
        read = np.pad(prefixes.cpu().numpy(), ((0, 0), (1, 0)), constant_values=self.start)
        return torch.from_numpy(np.log(self.laws(self.contexts(read))))

    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats."""
        tokens = tokens.cpu()
        read = np.pad(tokens.numpy(), ((0, 0), (1, 0)), constant_values=self.start)
        score = self._scores if temperature == 1.0 else self._tempered(temperature)
        columns = [score(self.contexts(read[:, : t + 1]), read[:, t + 1]) for t in range(tokens.shape[1])]
        found = torch.from_numpy(np.stack(columns, 1)) if columns else torch.zeros(tokens.shape, dtype=torch.float64)
        return found.masked_fill(~self.spec.mask(tokens), 0.0)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    def _scores(self, contexts: list[Ids], words: Ids) -> NDArray[np.float64]:
        share = np.full(len(words), 1 / self.spec.vocab_size)
        for kept, left, ids in zip(self.kept, self.left, contexts, strict=True):
            # scipy answers an empty question with a matrix.
            own = np.asarray(kept[ids, words]).ravel() if len(words) else np.zeros(0)
            share = own + left[ids] * share
        found: NDArray[np.float64] = np.log(share)
        return found

    def _tempered(self, temperature: float) -> Callable[[list[Ids], Ids], NDArray[np.float64]]:
        def score(contexts: list[Ids], words: Ids) -> NDArray[np.float64]:
            found = np.empty(len(words))
            for rows in np.split(np.arange(len(words)), range(ROWS, len(words), ROWS)):
                law = scaled(self.laws([ids[rows] for ids in contexts]), temperature)
                chosen = np.log(law[np.arange(len(rows)), words[rows]]) / temperature
                found[rows] = chosen - np.log((law ** (1 / temperature)).sum(1))
            return found

        return score


@dataclass(frozen=True, slots=True)
class Ngram:
    """Counts of up to five words, interpolated Kneser-Ney or Witten-Bell; validation NLL picks order and discount.

    Maximum likelihood without a network and without gradients. On data of an LSTM whose parameters are random numbers
    most contexts of two words are seen once, and it is little better than word pairs; on text it is much better.
    """

    orders: Annotated[tuple[Order, ...], MinLen(1)] = (2, 3, 4, 5)
    """Candidate lengths of n-grams."""
    smoothings: Annotated[tuple[Smoothing, ...], MinLen(1)] = ("kneser-ney", "witten-bell")
    """Candidate ways of smoothing."""
    discounts: Annotated[tuple[Discount, ...], MinLen(1)] = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
    """Candidate discounts of Kneser-Ney, the same at all lengths."""
    looked_at: Size = 2_000
    """Sequences of the validation split by which candidates are compared, at most."""

    def fit(self, data: TrainingData, run: Run) -> NgramModel:
        """Count the training split, and choose among the candidates by NLL on the validation split."""
        spec, valid = data.spec, data.valid[: self.looked_at]
        chosen: NgramModel | None = None
        least = float("inf")
        counts: list[Counts] = []
        for step in run.phase("count", len(self.orders)):
            with run.measure(train_tokens=spec.count(data.train)):
                counts = count(spec, data.train, self.orders[step])
            with run.measure() as measured:
                for smoothing in self.smoothings:
                    for discount in self.discounts if smoothing == "kneser-ney" else self.discounts[:1]:
                        model = NgramModel(spec, counts, smoothing, discount)
                        nll = -float(model.log_prob(valid).sum()) / spec.count(valid)
                        measured(selection_tokens=spec.count(valid))
                        if nll < least:
                            chosen, least = model, nll
                            run.log(looked=nll, order=model.order, discount=discount * (smoothing == "kneser-ney"))
        if chosen is None:  # no budget for a single step
            return NgramModel(spec, count(spec, data.train[:0], 1), "witten-bell", self.discounts[0])
        return chosen
