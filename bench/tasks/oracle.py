"""Synthetic tasks whose truth is known: an LSTM with random weights writes the data (Yu et al. 2017, sec. 5.1).

The LSTM stands here in a few lines of its own, so that work on the contestants can never move the yardstick.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.api import SequenceSpec, TrainingData
from bench.errors import NotFetched, UsageError
from bench.tasks.base import TaskData

NAMES = ("emb", "Wi", "Ui", "bi", "Wf", "Uf", "bf", "Wog", "Uog", "bog", "Wc", "Uc", "bc", "Wo", "bo")
"""The arrays of the released file, in its order: embedding, four gates, output."""
BOS = 0
"""Read first, and an ordinary word all the same, as in the released code."""
ROWS = 256
"""Sequences handled at a time."""

PUBLISHED_SHA256 = "5ac794a695dd6e0eb2bb689f3dfda55e4e0053e8c0399e6242630a95f1e60e8a"
PUBLISHED_URL = (
    "https://github.com/LantaoYu/SeqGAN/raw/e2b52fb6309851b14765290e8a972ccac09f1bec/save/target_params_py3.pkl"
)


class OracleLSTM:
    """A fixed LSTM language model.

    Per step, with x the embedded token read: i, f, o = sigmoid(x W + h U + b), c~ = tanh(x Wc + h Uc + bc),
    c <- f c + i c~, h <- o tanh(c), logits = h Wo + bo; h and c begin at zero.

    Args:
        weights: float32 arrays under :data:`NAMES`; emb (V, E), W* (E, H), U* (H, H), b* (H,), Wo (H, V), bo (V,).
    """

    def __init__(self, weights: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
        arrays = {name: torch.from_numpy(np.ascontiguousarray(weights[name])) for name in NAMES}
        self.embedding, self.output, self.bias = arrays["emb"], arrays["Wo"], arrays["bo"]
        self.inputs = torch.cat([arrays[f"W{gate}"] for gate in ("i", "f", "og", "c")], dim=1)  # (E, 4H)
        self.recurrent = torch.cat([arrays[f"U{gate}"] for gate in ("i", "f", "og", "c")], dim=1)  # (H, 4H)
        self.gates = torch.cat([arrays[f"b{gate}"] for gate in ("i", "f", "og", "c")])  # (4H,)

    def _read(self, tokens: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        gates = self.embedding[tokens] @ self.inputs + hidden @ self.recurrent + self.gates
        i, f, o, candidate = gates.chunk(4, dim=1)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(candidate)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    @torch.no_grad()
    def token_log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each token given those before it, int64 (N, T) to float64 (N, T), nats."""
        parts = []
        for rows in tokens.split(ROWS):
            hidden = cell = torch.zeros(len(rows), len(self.recurrent))
            read = torch.full((len(rows),), BOS)
            columns = []
            for token in rows.t():
                hidden, cell = self._read(read, hidden, cell)
                logits = torch.addmm(self.bias, hidden, self.output)
                columns.append(logits.gather(1, token[:, None])[:, 0].double() - logits.logsumexp(-1).double())
                read = token
            parts.append(torch.stack(columns, dim=1))
        return torch.cat(parts)

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,), nats."""
        return self.token_log_prob(tokens).sum(-1)

    @torch.no_grad()
    def sample(self, uniforms: np.ndarray[Any, np.dtype[np.float64]]) -> Tensor:
        """Draw sequences by inverse CDF, one uniform a token: float64 (N, T) in [0, 1) to int64 (N, T)."""
        parts = []
        for rows in torch.from_numpy(uniforms).split(ROWS):
            hidden = cell = torch.zeros(len(rows), len(self.recurrent))
            read = torch.full((len(rows),), BOS)
            columns = []
            for uniform in rows.t().contiguous():
                hidden, cell = self._read(read, hidden, cell)
                logits = torch.addmm(self.bias, hidden, self.output)
                cumulative = (logits - logits.amax(-1, keepdim=True)).exp_().cumsum(-1, dtype=torch.float64)
                target = (uniform * cumulative[:, -1])[:, None]
                read = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=len(self.bias) - 1)
                columns.append(read)
            parts.append(torch.stack(columns, dim=1))
        return torch.cat(parts)


@dataclass(frozen=True, slots=True)
class LSTMOracle:
    """A random LSTM of 32 units, all weights N(0, 1), writes sequences of 20 out of 5,000 words."""

    vocab_size: int = 5_000
    """V."""
    seq_len: int = 20
    """T."""
    draw: int | None = None
    """Which oracle and which data: another number is another task of the same kind. None gives each seed its own, so
    that intervals over seeds cover the luck of the draw."""
    train_size: int = 10_000
    """Training sequences."""
    valid_size: int = 2_000
    """Validation sequences."""
    test_size: int = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"train_size": 640, "valid_size": 100, "test_size": 500}
    }

    def fingerprint(self) -> str:
        """All parameters: weights and data follow from them by numpy's frozen Mersenne Twister streams."""
        _check_sizes("oracle", self)
        return json.dumps(asdict(self), sort_keys=True)

    def load(self) -> TaskData:
        """Draw the weights, then write the three splits."""
        stream = np.random.RandomState(_seeds("weights", self.draw or 0))
        V, H = self.vocab_size, 32
        shapes = {name: {"W": (H, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
        shapes = {"emb": (V, H), **shapes, "Wo": (H, V), "bo": (V,)}
        oracle = OracleLSTM({name: stream.standard_normal(shapes[name]).astype(np.float32) for name in NAMES})
        return _write(oracle, self)


@dataclass(frozen=True, slots=True)
class PublishedOracle:
    """The oracle of the paper, from the released weights: entropy 5.750 nats a token at length 20 (fetched)."""

    weights: str = field(default="", metadata={"place": True})
    """Path of the released target_params_py3.pkl."""
    sha256: str = PUBLISHED_SHA256
    """What the file's bytes must hash to."""
    seq_len: int = 20
    """T. The length-40 numbers in the literature were made with another oracle, and do not compare."""
    draw: int | None = None
    """Which data: another number draws other sequences from the same oracle. None gives each seed its own."""
    train_size: int = 10_000
    """Training sequences."""
    valid_size: int = 2_000
    """Validation sequences."""
    test_size: int = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"train_size": 640, "valid_size": 100, "test_size": 500}
    }

    def fingerprint(self) -> str:
        """All parameters but the file's place, whose content is checked here."""
        _check_sizes("oracle-published", self)
        load_weights(self._file(), self.sha256)
        fields = asdict(self)
        del fields["weights"]
        return json.dumps(fields, sort_keys=True)

    def load(self) -> TaskData:
        """Read the weights, then write the three splits."""
        return _write(OracleLSTM(load_weights(self._file(), self.sha256)), self)

    def datasheet(self) -> str:
        """Origin, licence and traps of the weights, in Markdown."""
        from bench.data.downloads import WEIGHTS, datasheet

        return datasheet(WEIGHTS)

    def _file(self) -> Path:
        """The file that was named, or the one that was fetched.

        Raises:
            NotFetched: where there is neither.
        """
        if self.weights:
            return Path(self.weights)
        from bench.data.downloads import weights_path

        try:
            return weights_path()
        except NotFetched as error:
            raise NotFetched(
                "task 'oracle-published' needs its weights: `bench data fetch oracle-published` gets them, or pass "
                "--oracle-weights FILE."
            ) from error


def load_weights(path: Path, sha256: str) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Read the released weights: a pickled list of 15 float32 arrays.

    Raises:
        UsageError: for a missing file, another hash, anything but arrays, or arrays that do not fit together.
    """
    where = f"Get the released file (sha256 {PUBLISHED_SHA256}) from {PUBLISHED_URL} and pass --oracle-weights FILE."
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


def _check_sizes(name: str, task: LSTMOracle | PublishedOracle) -> None:
    for parameter, value in asdict(task).items():
        if parameter == "draw" and value is not None and not 0 <= value < 2**32:
            raise UsageError(f"expected {name}.draw from 0 to {2**32 - 1}, or none, got {value}.")
        if isinstance(value, int) and parameter != "draw" and value < 2:
            raise UsageError(f"expected {name}.{parameter} of at least 2, got {value}.")


def _seeds(stream: str, draw: int) -> Sequence[int]:
    """Seeds of a named Mersenne Twister stream."""
    name = hashlib.sha256(f"oracle/{stream}".encode()).digest()
    return [int.from_bytes(name[:4], "little"), draw]


def _write(oracle: OracleLSTM, task: LSTMOracle | PublishedOracle) -> TaskData:
    """Let the oracle write training, validation and test sequences, each from a stream of its own."""
    sizes = {"train": task.train_size, "valid": task.valid_size, "test": task.test_size}
    splits = {}
    for split, size in sizes.items():
        stream = np.random.RandomState(_seeds(split, task.draw or 0))
        splits[split] = oracle.sample(stream.random_sample((size, task.seq_len)))
    spec = SequenceSpec(vocab_size=len(oracle.bias), seq_len=task.seq_len, bos=BOS)
    return TaskData(TrainingData(spec, splits["train"], splits["valid"]), splits["test"], oracle, "ids")
