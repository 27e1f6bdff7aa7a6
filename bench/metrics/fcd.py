"""The Fréchet ChemNet distance of molecules. Imports torch, in which ChemNet runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from bench.kernels.ngrams import Floats
from bench.metrics.base import Estimate, Subject
from bench.metrics.molecules import INSTALL, are_molecules, parsed, read, smiles
from bench.metrics.ranges import Range
from bench.metrics.sequences import Tokens

__all__ = ["FCD", "Moments", "frechet", "moments"]

READ = 2_000
"""Valid molecules of the samples that ChemNet reads, from the first."""
REFERENCES = 5_000
"""The same for the test set."""
LONGEST = 349
"""Characters of a SMILES that ChemNet can read: 350 with its end."""
BATCH = 128
COLUMNS = ("fcd", "fcd_floor")
RANGE = Range(0, because="A distance is not negative.", slack=1e-3)


class FCD:
    """Fréchet ChemNet distance to the test set (Preuer et al. 2018), only if it is asked for: ``--metrics fcd``.

    ``fcd``: ChemNet, a network that was trained to predict the activity of molecules, reads the canonical SMILES of the
    first 2,000 valid samples and of the first 5,000 test molecules, and gives each 512 numbers. The distance is that of
    two normal distributions with the means and covariances of these numbers: |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)).
    Network and weights are those of the PyPI package ``fcd`` (Renz, Hochreiter and Klambauer), which needs no download.

    It falls as n grows, since the covariances of few molecules are far from their own limit: n decides more than most
    models do. ``fcd_floor`` is therefore the distance of equally many *training* molecules, as many as the samples have
    valid ones up to 2,000: what real molecules have at that n. It differs between rows where they have different
    numbers of valid ones. Published values are of 10,000 and more and cannot be compared with these.

    How it can be gamed: by copying the training set, which has the floor. Only valid samples count: a model that writes
    few molecules, of the right kind, is not punished here, except by the floor's height. ChemNet does not know whether
    a molecule is new, or two are the same: repeats change the covariance alone. The normal distributions hide modes.
    """

    version: ClassVar[str] = "1"

    @classmethod
    def unavailable(cls) -> str:
        """What is missing and how to install it; "" where nothing is."""
        try:
            import rdkit  # noqa: F401
        except ImportError:
            return INSTALL.replace("molecules", "fcd")
        try:
            import fcd  # noqa: F401
        except ImportError:
            return "the package fcd, which has ChemNet, is not installed: python -m pip install 'seqgan-bench[fcd]'"
        return ""

    def estimates(self, subject: Subject) -> Iterator[Estimate]:
        """``fcd`` and ``fcd_floor``."""
        if not are_molecules(subject.against):
            return
        against, n = subject.against, len(subject.text)
        if missing := self.unavailable():
            for metric in COLUMNS:
                yield Estimate(metric, None, "", "lower", subject.signature(self.version, n=n), missing)
            return
        import rdkit

        first = min(READ, n)
        sizes = {"first": first, "n": n, "test": min(REFERENCES, len(against.references))}
        by = {"fcd": version("fcd"), "rdkit": rdkit.__version__}
        signature = subject.signature(self.version, **sizes, **by)
        valid = [molecule for molecule in parsed(subject.text, against).canonical if molecule]
        made = moments(activations(valid[:first]))
        if made is None:
            for metric in COLUMNS:
                yield Estimate(
                    metric, None, "", "lower", signature, "it takes two samples that are molecules", answered=True
                )
            return
        real = moments(_activations(against.references, against.symbols or (), REFERENCES))
        if real is None:
            raise ValueError("expected a test set with two molecules")
        yield Estimate("fcd", frechet(made, real), "", "lower", signature, possible=RANGE)
        train = against.train
        known = None if train is None else _activations(train, against.symbols or (), READ)
        floor = None if known is None or len(known) < made.n else moments(known[: made.n])
        signature = subject.signature(self.version, "train", **sizes, **by)
        if floor is None:
            why = "there is no training set" if known is None else "the training set has fewer molecules"
            yield Estimate("fcd_floor", None, "", "lower", signature, why)
        else:
            yield Estimate("fcd_floor", frechet(floor, real), "", "lower", signature, possible=RANGE)


class Moments(NamedTuple):
    """Mean and covariance of the activations of some molecules.

    Attributes:
        mean: float64, (512,).
        covariance: float64, (512, 512).
        n: How many molecules there are.
    """

    mean: Floats
    covariance: Floats
    n: int


def moments(found: Floats) -> Moments | None:
    """Of activations, float64 (M, 512); None for less than two molecules."""
    return Moments(found.mean(0), np.cov(found.T), len(found)) if len(found) > 1 else None


def frechet(first: Moments, second: Moments) -> float:
    """The squared Fréchet distance of two normal distributions.

    The trace of (C C')^(1/2) is the sum of the square roots of the eigenvalues of C^(1/2) C' C^(1/2), which is
    symmetric: there is no complex root, and no small number has to be added where a covariance is singular.
    """
    values, vectors = np.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    cross = np.linalg.eigvalsh(root @ second.covariance @ root)
    apart = first.mean - second.mean
    spread = np.trace(first.covariance) + np.trace(second.covariance) - 2 * np.sqrt(cross.clip(min=0)).sum()
    return float(apart @ apart + spread)


def activations(molecules: Sequence[str]) -> Floats:
    """ChemNet's numbers of molecules: canonical SMILES, M of them, to float64 (M, 512). Longer ones are left out."""
    import torch
    from fcd.utils import SmilesDataset

    kept = [molecule for molecule in molecules if len(molecule) <= LONGEST]
    if not kept:
        return np.zeros((0, 512))
    model = network()
    rows: Any = SmilesDataset(kept)
    found = []
    with torch.inference_mode():
        for start in range(0, len(kept), BATCH):
            batch = np.stack([rows[row] for row in range(start, min(start + BATCH, len(kept)))])  # (B, 350, 35)
            found.append(model(torch.from_numpy(batch).float().transpose(1, 2)).numpy().astype(np.float64))
    return np.concatenate(found)


def network() -> Any:
    """ChemNet, from the file in its package: given no path, the package's function leaves a folder behind."""
    import fcd

    (weights,) = Path(fcd.__file__).parent.glob("ChemNet*.pt")
    return fcd.load_ref_model(str(weights))  # which keeps it


@lru_cache(maxsize=4)
def _activations(text: Tokens, symbols: tuple[str, ...], most: int) -> Floats:
    """Those of real molecules, computed once."""
    from rdkit import Chem

    found = [molecule for molecule in read(smiles(text[:most], symbols)) if molecule is not None]
    return activations([Chem.MolToSmiles(molecule) for molecule in found])
