"""Does synthetic data help? A fixed small model learns from real text, with and without the samples beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.kernels.ngram_model import NgramModel
from bench.kernels.ngrams import Floats, Ints
from bench.metrics.base import ADD, STRENGTHS, Estimate, RealText, Subject
from bench.metrics.language_model import MODEL
from bench.metrics.ranges import NEGATIVE_LOG_PROB, Range
from bench.metrics.sequences import Bools, Tokens

__all__ = ["Augmented", "real_rows"]

KINDS = ("words", "characters")
"""The kinds of tasks that are text."""
REAL = 1_000
"""k: the real sequences that the samples are added to, at most; and at most half of the training set."""
DRAW = 0
"""The seed of the one draw of them, the same for every model, seed and file."""
MIN_COUNT = 3
"""Of files, whose vocabulary is open, words seen less often in the training text are ``<unk>``: as in most tasks."""
UNK, END, FIRST = 0, 1, 2
"""The ids of ``<unk>``, of the end mark and of the first word, in the closed vocabulary of files."""
POWERS = (0, 1 / 4, 1 / 2, 3 / 4, 1)
"""The weights of the real sequences alone, as powers of the one at which they have as many tokens as the mixture."""
NO_TRAIN = "samples can be added to real text only with the training text"
ABOUT_GAIN = "It is at most the NLL without the samples, and that of no text is below 0."
LEAST = Range(1, because="No perplexity is below 1.", slack=1e-3)


class Augmented:
    """Held-out NLL of a fixed small model that learns from k real sequences and the samples, and from the k alone.

    The protocol is that of tables on synthetic code-switched text (Samanta et al. 2019, Tarunesh et al. 2021): one
    language model is trained on real text and on real and generated text together, and both are scored on real text
    that is held out. It is the reverse score of :class:`bench.metrics.language_model.LanguageModelScore` with real text
    beside the samples, and answers a user's question: is the generator's text worth adding to mine?

    ``augmented_nll``: nats per token of the entire test set, end marks included, under the model of k real sequences
    and all samples; ``augmented_perplexity`` is its exponential. ``augmented_gain``: the same NLL under the model of
    the k alone, less ``augmented_nll``. Above 0 the samples help: they multiply the perplexity by exp(-gain). The k are
    drawn from the *training* set, once and for all: 1,000, or half of it where it is smaller. ``augmented_gain_all`` is
    the gain where k is the *whole* training set.

    They answer two questions. The generator has seen the training set that the k are part of, so that the first gain is
    above all what the samples carry over from what the k lack: it is for those who get samples and not the data behind
    them. The second is for those who have the data: the generator had no more than the model without it, and can only
    add what it generalizes better.

    The model is the judge's trigram model with Dirichlet smoothing, fitted by counting: nothing is random, nothing is
    tuned, both arms are fitted to the end, and no seed of an optimizer scatters the difference. Every sequence of the
    mixture counts once, real or generated. Many more samples than real sequences therefore swamp these: a lower weight
    might help where the plain mixture hurts. Both sizes are in the signature. More counts also mean less smoothing,
    whatever they are counts of. The real sequences alone are therefore weighted in five ways, from counting once to as
    many tokens as the mixture has, and the lowest NLL is the baseline: what a weight alone would bring is no gain.

    In tasks the vocabulary is the task's. In files words that the training text has less than three times are
    ``<unk>``, an ordinary word in both arms, as is the end mark: without that, a file could buy probability for rare
    words of the test text by writing any rare words.

    Floor: no samples, a gain of exactly 0. Ceiling: the row of real data, where the added sequences are *other*
    training sequences than the k, as many as there are samples, or all that are left. In that row
    ``augmented_gain_all`` adds training sequences which the model has already: it is what copying brings.

    How they can be gamed: ``augmented_gain`` by handing back the training set, which is the ceiling's own text: the
    copy rates show that, and ``augmented_gain_all`` gives copies nothing. Samples at a lower temperature, or one
    sentence for ever, swamp the real text and lose. A trigram model sees no error beyond three words, so that text
    without any sense can help it, and it gains more than a network does from what n-gram models write: see
    :mod:`bench.metrics.augmented_lstm`. It says little about how much a large network would gain.

    Intervals of files hold the real text and the baseline fixed. In simulations 89 to 95 % of the nominal 95 % contain
    the mean of all files.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """The columns above, absent without a training set; no perplexity for files; nothing for what is no text."""
        real = subject.against
        if real.spec is not None and real.spec.kind not in KINDS:
            return
        names = {"augmented_nll": "lower", "augmented_gain": "higher", "augmented_gain_all": "higher"}
        if real.train is None or len(real.train) < 2:
            signature = subject.signature(self.version, n=len(subject.text))
            reason = NO_TRAIN if real.train is None else "the training text is a single sequence"
            yield from (Estimate(name, None, "nats/token", way, signature, reason) for name, way in names.items())
            return
        text = _Vocabulary.of(real)
        order = real_rows(len(real.train))
        k, samples = min(REAL, len(order) // 2), subject.text
        if subject.trained:  # the row of real data
            samples = real.train[np.sort(order[k : k + len(samples)])]
        some = _Trial.of(text, real.train[np.sort(order[:k])], samples, real.references, subject.intervals)
        signature = subject.signature(self.version, **self._parts(k, real, text, len(samples)))
        gain, moves, reverse = some.alone - some.together, some.moves, some.reverse
        about = ("nats/token", "lower", signature)
        yield Estimate("augmented_nll", some.together, *about, None, moves, "leave-one-out", possible=NEGATIVE_LOG_PROB)
        if real.spec is not None:
            value = math.exp(some.together)  # a smoothed model gives no word a probability of zero
            yield Estimate("augmented_perplexity", value, "", "lower", signature, possible=LEAST)
        about = ("nats/token", "higher", signature)
        possible = Range(high=some.alone, because=ABOUT_GAIN)
        yield Estimate("augmented_gain", gain, *about, None, reverse, "leave-one-out", possible=possible)

        whole = _Trial.of(text, real.train, subject.text, real.references, subject.intervals)
        signature = subject.signature(self.version, **self._parts(len(real.train), real, text, len(subject.text)))
        gain, reverse = whole.alone - whole.together, whole.reverse
        about, possible = ("nats/token", "higher", signature), Range(high=whole.alone, because=ABOUT_GAIN)
        yield Estimate("augmented_gain_all", gain, *about, None, reverse, "leave-one-out", possible=possible)

    def _parts(self, k: int, real: RealText, text: _Vocabulary, n: int) -> dict[str, object]:
        """What decides a score, for its signature."""
        closed = {"vocab": f"train,min_count={MIN_COUNT}"} if real.spec is None else {}
        train = len(real.train or ())
        sizes = {"n": n, "k": f"train:{k}/{train}", "test": len(real.references)}
        return {**sizes, "alone": f"best of {len(POWERS)} weights", "V": text.size, **closed, "lm": MODEL}


def real_rows(train: int) -> Ints:
    """The training sequences in the order in which they are taken, the k first: int64, (train,).

    Example:
        >>> real_rows(4).tolist()
        [2, 3, 1, 0]
    """
    rows: Ints = np.random.RandomState(DRAW).permutation(train)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Vocabulary:
    """The words that the model knows.

    Attributes:
        size: Their number, with ``<unk>`` and the end mark.
        real: The real text of a task, whose sequences are ready to be read; None for files.
        ids: Of files, the id here of each word there, int64; that of a word that is not known is ``UNK``.
    """

    size: int
    real: RealText | None
    ids: Ints

    @classmethod
    def of(cls, real: RealText) -> _Vocabulary:
        """That of a task, or of the training text of files."""
        if real.spec is not None:
            return cls(real.spec.vocab_size, real, np.empty(0, np.int64))
        if real.train is None:
            raise ValueError("expected a training set")
        train = real.train
        words = train.ids[np.arange(train.ids.shape[1]) < train.lengths[:, None]]
        known = np.bincount(words, minlength=1) >= MIN_COUNT
        known[UNK] = False  # files spell it <unk>; it is a word of this vocabulary anyway
        return cls(int(known.sum()) + FIRST, None, np.where(known, known.cumsum() - 1 + FIRST, UNK))

    def read(self, tokens: Tokens) -> tuple[Ints, Bools]:
        """Sequences as the model reads them, and which of their tokens count: int64 and bool, (N, T)."""
        if self.real is not None:
            return tokens.ids, self.real.counted(tokens)
        positions = np.arange(tokens.ids.shape[1] + 1)
        words = np.pad(tokens.ids, ((0, 0), (0, 1)), constant_values=-1)
        inside = (words >= 0) & (words < len(self.ids))  # later words are those that only other files have
        ids = np.where(inside, self.ids[np.where(inside, words, 0)], UNK)
        ids[np.arange(len(ids)), tokens.lengths] = END
        return ids, positions <= tokens.lengths[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class _Trial:
    """The fixed model fitted twice.

    Attributes:
        alone: Nats per token of the test text, fitted to the real sequences alone, at the best of some weights.
        together: The same, fitted to these and the samples.
        moves: float64, (n,): what each sample contributes to ``together``; None where no interval is wanted.
    """

    alone: float
    together: float
    moves: Floats | None

    @classmethod
    def of(cls, text: _Vocabulary, real: Tokens, samples: Tokens, test: Tokens, intervals: bool) -> _Trial:
        """Fit both."""
        (ids, counted), made, held_out = text.read(real), text.read(samples), text.read(test)
        alone = NgramModel.fit(ids, counted, text.size, ADD, STRENGTHS)
        width = max(ids.shape[1], made[0].shape[1])
        both, counts = (
            np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1]))) for part in parts])
            for parts in ((ids, made[0]), (counted, made[1]))
        )
        together = NgramModel.fit(both, counts, text.size, ADD, STRENGTHS)
        moves = len(samples) * together.nll_falls(*held_out, *made) if intervals else None
        weight = int(counts.sum()) / int(counted.sum())
        baseline = min(alone.mean_nll(*held_out, [weight**power for power in POWERS]))
        (mixed,) = together.mean_nll(*held_out)
        return cls(baseline, mixed, moves)

    @property
    def reverse(self) -> Floats | None:
        """What each sample contributes to the gain."""
        return None if self.moves is None else -self.moves
