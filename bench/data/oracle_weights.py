"""The released weights of the paper's oracle: a pickle that is read without running any code in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.array_pickles import ForeignPickle, read_arrays
from bench.errors import UsageError

__all__ = ["NAMES", "PUBLISHED_SHA256", "PUBLISHED_URL", "load_weights"]

NAMES = ("emb", "Wi", "Ui", "bi", "Wf", "Uf", "bf", "Wog", "Uog", "bog", "Wc", "Uc", "bc", "Wo", "bo")
"""The arrays of the released file, in its order: embedding, four gates, output."""
PUBLISHED_SHA256 = "5ac794a695dd6e0eb2bb689f3dfda55e4e0053e8c0399e6242630a95f1e60e8a"
PUBLISHED_URL = (
    "https://github.com/LantaoYu/SeqGAN/raw/e2b52fb6309851b14765290e8a972ccac09f1bec/save/target_params_py3.pkl"
)

MOST = 2**26
"""Bytes of a file of weights; the released one has 1.3 million."""


def load_weights(path: Path, sha256: str) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Read the released weights: a pickled list of 15 float32 arrays.

    Raises:
        UsageError: for a missing file, another hash, anything but arrays, or arrays that do not fit together.
    """
    where = (
        f"Get the released file (sha256 {PUBLISHED_SHA256}) from {PUBLISHED_URL} and name it: --oracle-weights FILE, "
        "or the field oracle-published.weights."
    )
    try:
        with path.open("rb") as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the oracle's weights '{path}': {error.strerror}. {where}") from error
    if len(content) > MOST:
        raise UsageError(f"expected at most {MOST >> 20} MiB of weights, got more in '{path}'. {where}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UsageError(f"'{path}' is not the expected file: sha256 {sha256} wanted, {found} found. {where}")
    expected = f"expected a list of {len(NAMES)} float32 arrays in '{path}'"
    try:
        arrays = read_arrays(content)
    except ForeignPickle as error:
        raise UsageError(f"{expected}, which was not opened: it {error}. {where}") from error
    if len(arrays) != len(NAMES):
        raise UsageError(f"{expected}, got {len(arrays):,}. {where}")
    weights = dict(zip(NAMES, arrays, strict=True))
    (V, E), H = _shape(weights["emb"], 2), _shape(weights["Ui"], 2)[0]
    shapes = {"emb": (V, E), "Wo": (H, V), "bo": (V,)}
    shapes |= {name: {"W": (E, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
    for name, array in weights.items():
        if array.shape != shapes[name] or not np.isfinite(array).all():
            raise UsageError(f"expected finite {name} of shape {shapes[name]} in '{path}', got {array.shape}.")
    return weights


def _shape(array: np.ndarray[Any, Any], dimensions: int) -> tuple[int, ...]:
    return array.shape if array.ndim == dimensions else (0,) * dimensions
