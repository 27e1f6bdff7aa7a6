"""Molecules: are the samples valid, different and new, and have they the properties of real ones? RDKit reads them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.kernels.ngrams import Floats
from bench.metrics.base import Estimate, RealText, Subject, falls
from bench.metrics.copying import beside_train
from bench.metrics.ranges import NOT_NEGATIVE, SHARE
from bench.metrics.sequences import UNKNOWN, Bools, Tokens

__all__ = ["KIND", "Molecules", "Parsed", "are_molecules", "parsed", "wasserstein"]

KIND = "molecules"
"""The kind of words that are tokens of SMILES, as in :class:`bench.api.SequenceSpec`."""
FIRST = 1_000
"""Valid molecules among which the different ones are counted, from the first: MOSES' unique@1k."""
PAIRED = 10_000
"""Valid molecules whose pairs are compared, from the first."""
RADIUS, BITS = 2, 1024
"""Of Morgan fingerprints, as MOSES has them."""
ROWS = 2048
"""Fingerprints that are compared with all others at a time."""
ATOM = re.compile(r"(?:\[\d*)?([A-Z][a-z]?|as|se|te|[bcnops*])(?:[^\[\]]*\])?")
"""A token that is an atom."""
INSTALL = "RDKit is not installed: python -m pip install 'seqgan-bench[molecules]'"


class Column(NamedTuple):
    """What does not depend on the samples."""

    unit: str
    direction: str


COLUMNS = {
    "valid": Column("", "higher"),
    "unique": Column("", "higher"),
    "novel": Column("", "higher"),
    "valid_unique_novel": Column("", "higher"),
    "internal_diversity": Column("", "real"),
    "logp_distance": Column("log10", "lower"),
    "weight_distance": Column("g/mol", "lower"),
}
PROPERTIES = ("logp_distance", "weight_distance")


class Molecules:
    """Validity, novelty and properties of molecules, as RDKit reads their SMILES; nothing for other tasks.

    The first four definitions and the fifth are those of MOSES (Polykovskiy et al. 2020, moses/metrics/metrics.py).

    ``valid``: the share of all samples that RDKit reads as a molecule with its default checks (grammar, valence, an
    aromatic system that has a Kekulé form). An empty sample is none, although RDKit reads it as a molecule without
    atoms; neither is one with ``<unk>``. ``unique``: the share of different molecules among the first 1,000 valid ones,
    or all if there are fewer; two are the same if their canonical SMILES are. ``novel``: of the different valid
    molecules, the share that is in neither the training nor the validation set, whose molecules are made canonical by
    the same RDKit. In the real data's row it is of *test* molecules. Without any valid sample both are 0.

    ``valid_unique_novel``: different, valid, new molecules divided by the number of *all* samples: the product of the
    three shares, if all are of all samples.

    ``internal_diversity``: one minus the mean Tanimoto similarity of all pairs of valid samples, each with itself
    included (MOSES' IntDiv with p = 1), of Morgan fingerprints of radius 2 in 1,024 bits; of the first 10,000.

    ``logp_distance`` and ``weight_distance``: the Wasserstein-1 distance between the valid samples and the test set, of
    Crippen's logP (Wildman and Crippen 1999; a decimal logarithm) and of the average molecular weight. It is the mean
    over all quantiles of the difference there, it needs no bins, and it is that of :func:`scipy.stats.
    wasserstein_distance`, as in MOSES' release 0.3.1; its first code compared means and variances. Chance alone makes
    them greater than 0: the real data's row is training molecules against the test set, at the same n, and is the
    floor of a model whose samples are all valid; fewer valid ones have a higher floor.

    How they can be gamed: ``valid``, by one molecule, repeated, or by short ones: ``C`` is valid, and random tokens
    that end soon are more often so than those that do not. ``unique`` and ``novel``, by writing few valid molecules.
    All but ``novel`` and ``valid_unique_novel``, by copying the training set. ``valid_unique_novel`` can be had neither
    by repeating nor by copying, but by chains of random atoms such as ``CNSOC``, which are all valid, different and
    new, and which the distances show; and by adding a carbon to training molecules, which the copy rates show. It falls
    with n, as repeats get likelier. ``internal_diversity`` is that of real molecules, or more, for chains of many
    lengths, hence the real data's own value is the goal. The distances, by drawing the right mixture of a few
    molecules. Which model knows the molecules is therefore said by ``nll_test``. No column says whether a molecule can
    be made, or is good for anything.

    The version of RDKit is in every signature: valence, aromaticity and canonical forms have changed over its versions.
    """

    version: ClassVar[str] = "1"
    sized: ClassVar[bool] = True

    @classmethod
    def unavailable(cls) -> str:
        """What is missing and how to install it; "" where nothing is."""
        try:
            import rdkit  # noqa: F401
        except ImportError:
            return INSTALL
        return ""

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """All of :data:`COLUMNS`."""
        if not are_molecules(subject.against):
            return
        n = len(subject.text)
        if missing := self.unavailable():
            for metric, about in COLUMNS.items():
                yield Estimate(metric, None, *about, subject.signature(self.version, n=n), missing)
            return
        import rdkit

        by = {"rdkit": rdkit.__version__}
        made = parsed(subject.text, subject.against)
        values = made.valid.astype(float) if subject.intervals else None
        signature = subject.signature(self.version, n=n, **by)
        share = float(made.valid.mean())
        yield Estimate("valid", share, *COLUMNS["valid"], signature, None, values, "wilson", possible=SHARE)
        yield self._unique(subject, made, by)
        yield from self._novel(subject, by)
        yield self._diversity(subject, made, by)
        yield from self._distances(subject, by)

    def _unique(self, subject: Subject, made: Parsed, by: dict[str, str]) -> Estimate:
        n = len(subject.text)
        first = min(FIRST, n)
        rows = np.flatnonzero(made.valid)[:first]
        written = [made.canonical[row] for row in rows]
        counts = Counter(written)
        value = len(counts) / len(written) if written else 0.0
        part = None
        if subject.intervals and len(rows) > 1:
            alone = np.array([counts[molecule] == 1 for molecule in written])
            without = np.full(n, value)
            without[rows] = (len(counts) - alone) / (len(rows) - 1)
            part = falls(value, without)
        signature = subject.signature(self.version, first=first, n=n, **by)
        return Estimate("unique", value, *COLUMNS["unique"], signature, None, part, "leave-one-out", possible=SHARE)

    def _novel(self, subject: Subject, by: dict[str, str]) -> Iterator[Estimate]:
        """``novel`` and ``valid_unique_novel``; of test molecules, where the subject is training molecules."""
        given = subject.against.copied_from
        if given is None:
            why = "novelty can be found only with the training set"
            signature = subject.signature(self.version, n=len(subject.text), **by)
            for metric in ("novel", "valid_unique_novel"):
                yield Estimate(metric, None, *COLUMNS[metric], signature, why)
            return
        if subject.trained:
            text = subject.against.references[: len(subject.text)]
            subject = replace(subject, text=text, real="references", trained=False)
        made, known = parsed(subject.text, subject.against), _known(given, subject.against.symbols or ())
        n, counts = len(subject.text), Counter(molecule for molecule in made.canonical if molecule)
        composed = compositions(subject.text, subject.against.symbols or ())
        rows = {molecule: row for row, molecule in enumerate(made.canonical) if molecule}
        new = {molecule for molecule, row in rows.items() if molecule not in known.forms(composed[row])}
        alone = np.array([counts[molecule] == 1 for molecule in made.canonical])
        fresh = alone & np.array([molecule in new for molecule in made.canonical])
        kinds = len(counts)
        signature = beside_train(subject, self.version, given, n=n, **by)
        values = {"novel": len(new) / kinds if kinds else 0.0, "valid_unique_novel": len(new) / n}
        for metric, value in values.items():
            part = None
            if subject.intervals and n > 1:
                rest = kinds - alone if metric == "novel" else np.full(n, n - 1)
                without = np.divide(len(new) - fresh, rest, out=np.zeros(n), where=rest > 0)
                part = falls(value, without)
            yield Estimate(metric, value, *COLUMNS[metric], signature, None, part, "leave-one-out", possible=SHARE)

    def _diversity(self, subject: Subject, made: Parsed, by: dict[str, str]) -> Estimate:
        n, about = len(subject.text), COLUMNS["internal_diversity"]
        fingerprint = f"morgan{RADIUS}:{BITS}"
        signature = subject.signature(self.version, first=min(PAIRED, n), fingerprint=fingerprint, n=n, **by)
        rows = np.flatnonzero(made.valid)[:PAIRED]
        if not len(rows):
            return Estimate("internal_diversity", None, *about, signature, NONE_VALID, answered=True)
        bits = fingerprints([made.molecules[row] for row in rows])
        sums = similarities(bits)
        count, total = len(rows), float(sums.sum())
        value = 1 - total / count**2
        part = None
        if subject.intervals and count > 1:
            without = np.full(n, value)
            without[rows] = 1 - (total - 2 * sums + 1) / (count - 1) ** 2
            part = falls(value, without)
        return Estimate("internal_diversity", value, *about, signature, None, part, "leave-one-out", possible=SHARE)

    def _distances(self, subject: Subject, by: dict[str, str]) -> Iterator[Estimate]:
        apart, rest = subject.apart, subject.rest
        signature = subject.signature(self.version, n=len(apart), test=len(rest), **by)
        if not len(apart):
            for metric in PROPERTIES:
                why = "it takes two references to compare halves"
                yield Estimate(metric, None, *COLUMNS[metric], signature, why)
            return
        made, real = parsed(apart, subject.against), properties(rest, subject.against)
        rows = np.flatnonzero(made.valid)
        found = described([made.molecules[row] for row in rows])
        for metric, ours, theirs in zip(PROPERTIES, found, real, strict=True):
            how = {"logp": "crippen"} if metric == "logp_distance" else {"weight": "average"}
            signature = subject.signature(self.version, **how, n=len(apart), test=len(rest), **by)
            if not len(ours) or not len(theirs):
                why = NONE_VALID if len(theirs) else "no test sequence is a molecule"
                yield Estimate(metric, None, *COLUMNS[metric], signature, why, answered=len(theirs) > 0)
                continue
            value, pulls = wasserstein(ours, theirs)
            part = None
            if subject.intervals:
                part = np.zeros(len(apart))
                part[rows] = pulls * len(apart) / len(rows)
            yield Estimate(
                metric, value, *COLUMNS[metric], signature, None, part, "leave-one-out", possible=NOT_NEGATIVE
            )


NONE_VALID = "no sample is a molecule"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What RDKit makes of N texts.

    Attributes:
        molecules: RDKit's molecule for each, None for what is none.
        canonical: The canonical SMILES of each, "" for what is none.
        valid: bool, (N,): which are molecules.
    """

    molecules: tuple[Any, ...]
    canonical: tuple[str, ...]
    valid: Bools


def are_molecules(against: RealText) -> bool:
    """Whether the words of these texts are tokens of SMILES whose symbols are known."""
    kind = against.kind if against.spec is None else against.spec.kind
    return kind == KIND and against.symbols is not None


def smiles(text: Tokens, symbols: Sequence[str]) -> list[str]:
    """The SMILES of each sequence: its tokens, joined."""
    rows = zip(text.ids.tolist(), text.lengths.tolist(), strict=True)
    return ["".join([symbols[token] for token in row[:length]]) for row, length in rows]


def parsed(text: Tokens, against: RealText) -> Parsed:
    """The molecules of a text; those of the text that was read last are kept, for the next metric that asks."""
    return _parsed(text, against.symbols or ())


@lru_cache(maxsize=2)
def _parsed(text: Tokens, symbols: tuple[str, ...]) -> Parsed:
    from rdkit import Chem

    molecules = read(smiles(text, symbols))
    canonical = tuple("" if molecule is None else Chem.MolToSmiles(molecule) for molecule in molecules)
    return Parsed(tuple(molecules), canonical, np.array([molecule is not None for molecule in molecules], dtype=bool))


def read(texts: Sequence[str]) -> list[Any]:
    """RDKit's molecule for each text, None for what is none; what RDKit logs of these is not shown."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # gives back what was logged before, unlike RDLogger.DisableLog
        found = [None if UNKNOWN in text else Chem.MolFromSmiles(text) for text in texts]
    return [molecule if molecule is not None and molecule.GetNumAtoms() else None for molecule in found]


class Known:
    """Molecules that samples may be copies of, made canonical when a sample of the same composition asks for them.

    To make a training set of 50,000 canonical takes ten seconds, and most of it is the composition of no sample.

    Args:
        text: The molecules.
        symbols: The token of every id.
    """

    def __init__(self, text: Tokens, symbols: tuple[str, ...]) -> None:
        self._text, self._symbols = text, symbols
        self._rows: dict[bytes, list[int]] = {}
        for row, composition in enumerate(compositions(text, symbols)):
            self._rows.setdefault(composition, []).append(row)
        self._forms: dict[bytes, frozenset[str]] = {}

    def forms(self, composition: bytes) -> frozenset[str]:
        """The canonical SMILES of all that have a composition, which :func:`compositions` gives."""
        from rdkit import Chem

        if composition not in self._forms:
            rows = np.array(self._rows.get(composition, []), dtype=np.int64)
            found = read(smiles(self._text[rows], self._symbols))
            self._forms[composition] = frozenset(Chem.MolToSmiles(molecule) for molecule in found if molecule)
        return self._forms[composition]


@lru_cache(maxsize=4)
def _known(text: Tokens, symbols: tuple[str, ...]) -> Known:
    return Known(text, symbols)


def compositions(text: Tokens, symbols: Sequence[str]) -> list[bytes]:
    """What all spellings of a molecule share, and most other molecules do not: its atoms by element, and its rings.

    Hydrogen is left out, for most of it is not written. The number of rings is that of ring bonds, two of their numbers
    each, less the full stops: these separate what has no bond, unless a ring bond joins it again.
    """
    found = [element(symbol) for symbol in symbols]
    ends = [(symbol.strip("%()").isdecimal() and symbol != UNKNOWN) - 2 * (symbol == ".") for symbol in symbols]
    inside = np.arange(text.ids.shape[1]) < text.lengths[:, None]
    ids = np.where(inside, text.ids, 0)
    columns = [np.array([name == each for each in found]) for name in sorted({*found} - {"", "H"})]
    sums = [(np.asarray(column, dtype=np.int16)[ids] * inside).sum(1) for column in (*columns, ends)]
    return [row.tobytes() for row in np.stack(sums, axis=1).astype(np.int16)]


def element(token: str) -> str:
    """The element of an atom, as "C" of "c" and of "[13CH3]"; "" for a token that is no atom."""
    found = ATOM.fullmatch(token)
    return found[1].capitalize() if found else ""


def properties(text: Tokens, against: RealText) -> tuple[Floats, Floats]:
    """Crippen's logP and weight of the molecules of a text that many samples are compared with; computed once."""
    return _properties(text, against.symbols or ())


@lru_cache(maxsize=4)
def _properties(text: Tokens, symbols: tuple[str, ...]) -> tuple[Floats, Floats]:
    return described([molecule for molecule in read(smiles(text, symbols)) if molecule is not None])


def described(molecules: Sequence[Any]) -> tuple[Floats, Floats]:
    """Crippen's logP and the average weight in g/mol of M molecules: float64, (M,) each."""
    from rdkit.Chem import Descriptors, rdMolDescriptors

    logp = [rdMolDescriptors.CalcCrippenDescriptors(molecule)[0] for molecule in molecules]
    weight = [Descriptors.MolWt(molecule) for molecule in molecules]
    return np.array(logp, dtype=np.float64), np.array(weight, dtype=np.float64)


def fingerprints(molecules: Sequence[Any]) -> NDArray[np.float32]:
    """Morgan fingerprints of M molecules: 0 and 1, float32 (M, 1024)."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    return np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]).astype(np.float32)


def similarities(bits: NDArray[np.float32]) -> Floats:
    """Sum of each fingerprint's Tanimoto similarities with all, itself included: 0 and 1, (M, B), to float64 (M,).

    Counts of bits are whole numbers below 2^24, which float32 holds exactly. Two without any bits are alike.
    """
    sizes = bits.sum(1)
    sums = []
    for start in range(0, len(bits), ROWS):
        rows = bits[start : start + ROWS]
        shared = rows @ bits.T
        either = sizes[start : start + ROWS, None] + sizes - shared
        alike = np.divide(shared, either, out=np.ones_like(shared), where=either > 0)
        sums.append(alike.sum(1, dtype=np.float64))
    return np.concatenate(sums)


def wasserstein(ours: Floats, theirs: Floats) -> tuple[float, Floats]:
    """The Wasserstein-1 distance of two samples of numbers, and how far each number of the first pulls it.

    With F and G the shares of numbers up to x, it is the integral of abs(F - G). The pull of a number y is the
    derivative of that towards a sample of y alone, the integral of sign(F - G) ([y <= x] - F): the limit, for large n,
    of n times the fall of the distance without y.

    Args:
        ours: float64, (n,), at least one.
        theirs: float64, (m,), at least one.

    Returns:
        the distance, and float64, (n,), whose mean is 0.
    """
    points = np.sort(np.concatenate([ours, theirs]))
    widths = np.diff(points)
    below = np.searchsorted(np.sort(ours), points[:-1], side="right") / len(ours)
    gaps = below - np.searchsorted(np.sort(theirs), points[:-1], side="right") / len(theirs)
    signed = np.sign(gaps) * widths
    ahead = np.append(np.cumsum(signed[::-1])[::-1], 0.0)  # the signed widths from each point on
    pulls: Floats = ahead[np.searchsorted(points, ours)] - float(signed @ below)
    return float(np.abs(gaps) @ widths), pulls
