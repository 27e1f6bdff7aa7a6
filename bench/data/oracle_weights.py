"""The released weights of the paper's oracle: a pickle that is read without running any code in it."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import UsageError

__all__ = ["NAMES", "PUBLISHED_SHA256", "PUBLISHED_URL", "load_weights"]

NAMES = ("emb", "Wi", "Ui", "bi", "Wf", "Uf", "bf", "Wog", "Uog", "bog", "Wc", "Uc", "bc", "Wo", "bo")
"""The arrays of the released file, in its order: embedding, four gates, output."""
PUBLISHED_SHA256 = "5ac794a695dd6e0eb2bb689f3dfda55e4e0053e8c0399e6242630a95f1e60e8a"
PUBLISHED_URL = (
    "https://github.com/LantaoYu/SeqGAN/raw/e2b52fb6309851b14765290e8a972ccac09f1bec/save/target_params_py3.pkl"
)


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
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the oracle's weights '{path}': {error.strerror}. {where}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UsageError(f"'{path}' is not the expected file: sha256 {sha256} wanted, {found} found. {where}")
    try:
        arrays = ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:
        raise UsageError(f"'{path}' holds more than numpy arrays and was not opened: {error}.") from error
    if not (
        isinstance(arrays, list)
        and len(arrays) == len(NAMES)
        and all(isinstance(array, np.ndarray) and array.dtype == np.float32 for array in arrays)
    ):
        raise UsageError(f"expected a list of {len(NAMES)} float32 arrays in '{path}', got something else.")
    weights = dict(zip(NAMES, arrays, strict=True))
    (V, E), H = _shape(weights["emb"], 2), _shape(weights["Ui"], 2)[0]
    shapes = {"emb": (V, E), "Wo": (H, V), "bo": (V,)}
    shapes |= {name: {"W": (E, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
    for name, array in weights.items():
        if array.shape != shapes[name] or not np.isfinite(array).all():
            raise UsageError(f"expected finite {name} of shape {shapes[name]} in '{path}', got {array.shape}.")
    return weights


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays and the containers of the pickle format, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up one of the four names that a pickled array mentions."""
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return _reconstruct
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _reconstruct(kind: object, shape: object, code: object) -> Any:
    """The empty array that a pickle fills: numpy's own ``_reconstruct`` for plain arrays, and for nothing else."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"it builds a {kind}")
    return np.ndarray((0,), dtype=np.int8)


def _encode(text: object, encoding: object) -> bytes:
    """Python 2's byte strings, which pickles spell as latin1 text."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes {type(text).__name__} as {encoding}")
    return text.encode("latin1")


def _shape(array: np.ndarray[Any, Any], dimensions: int) -> tuple[int, ...]:
    return array.shape if array.ndim == dimensions else (0,) * dimensions
