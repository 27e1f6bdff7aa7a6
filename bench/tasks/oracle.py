"""Synthetic tasks whose truth is known: an LSTM with random weights writes the data (Yu et al. 2017, sec. 5.1).

The LSTM is implemented here separately, in a few lines, so that work on the contestants can never move the yardstick.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.api import SequenceSpec, TrainingData
from bench.data.oracle_weights import NAMES, PUBLISHED_SHA256, load_weights
from bench.errors import NotFetched
from bench.tasks.base import Draw, Several, TaskData, named_seeds
from bench.tasks.drawn import drawn

BOS = 0
"""Read first, and at the same time an ordinary word, as in the released code."""
DRAWING = "1"
"""Version of how sequences are drawn: another one draws them anew where they were kept on disk."""
ROWS = 256
"""Sequences handled at a time."""


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

    def digest(self) -> str:
        """Sha-256 of the weights and of how it draws, by its version."""
        digest = hashlib.sha256(DRAWING.encode())
        for part in (self.embedding, self.output, self.bias, self.inputs, self.recurrent, self.gates):
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()

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

    vocab_size: Several = 5_000
    """V."""
    seq_len: Several = 20
    """T."""
    draw: Draw | None = None
    """Which oracle and which data: another number is another task of the same type. None gives each seed its own, so
    that intervals over seeds include the variance between draws."""
    train_size: Several = 10_000
    """Training sequences."""
    valid_size: Several = 2_000
    """Validation sequences."""
    test_size: Several = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"vocab_size": 500, "train_size": 1_000, "valid_size": 500, "test_size": 2_000},
        "smoke": {"train_size": 640, "valid_size": 100, "test_size": 500},
    }
    units: ClassVar[int] = 32
    """Of the LSTM and of its embedding."""
    weights: ClassVar[str] = "weights"
    """The stream that the weights are drawn from."""

    def fingerprint(self) -> str:
        """All parameters: weights and data follow from them by numpy's frozen Mersenne Twister streams."""
        return json.dumps(asdict(self), sort_keys=True)

    def load(self) -> TaskData:
        """Draw the weights, then write the three splits."""
        stream = np.random.RandomState(named_seeds(f"oracle/{self.weights}", self.draw or 0))
        V, H = self.vocab_size, self.units
        shapes = {name: {"W": (H, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
        shapes = {"emb": (V, H), **shapes, "Wo": (H, V), "bo": (V,)}
        oracle = OracleLSTM({name: stream.standard_normal(shapes[name]).astype(np.float32) for name in NAMES})
        return _write(oracle, self)


@dataclass(frozen=True, slots=True)
class LSTMOracle40(LSTMOracle):
    """Another random LSTM, of 64 units, all weights N(0, 1), writes sequences of 40 out of 5,000 words.

    64 units are what the released code of LeakGAN has at length 40. It draws its own oracle there, so published numbers
    at that length belong to other weights than these, and than those of length 20.
    """

    seq_len: Several = 40
    """T."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"vocab_size": 500, "train_size": 1_000, "valid_size": 500, "test_size": 1_000},
        "smoke": {"train_size": 320, "valid_size": 100, "test_size": 200},
    }
    units: ClassVar[int] = 64
    weights: ClassVar[str] = "weights of 64 units"


@dataclass(frozen=True, slots=True)
class PublishedOracle:
    """The oracle of the paper, from the released weights: entropy 5.750 nats a token at length 20 (fetched)."""

    weights: str = field(default="", metadata={"path": True})
    """Path of the released target_params_py3.pkl."""
    sha256: str = PUBLISHED_SHA256
    """The expected sha-256 of the file's bytes."""
    seq_len: Several = 20
    """T. The length-40 numbers in the literature were made with another oracle, and are not comparable."""
    draw: Draw | None = None
    """Which data: another number draws other sequences from the same oracle. None gives each seed its own."""
    train_size: Several = 10_000
    """Training sequences."""
    valid_size: Several = 2_000
    """Validation sequences."""
    test_size: Several = 10_000
    """Held-out sequences."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"train_size": 640, "valid_size": 100, "test_size": 500}
    }

    def fingerprint(self) -> str:
        """All parameters except the file's path; the file's content is checked here."""
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
        """The named file, or else the fetched one.

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
                "task 'oracle-published' needs its weights: `bench data fetch oracle-published` gets them, or name "
                "their file: --oracle-weights FILE, or the field oracle-published.weights."
            ) from error


def _write(oracle: OracleLSTM, task: LSTMOracle | PublishedOracle) -> TaskData:
    """Let the oracle write training, validation and test sequences, each split from its own stream."""
    sizes = {"train": task.train_size, "valid": task.valid_size, "test": task.test_size}

    def draw() -> dict[str, Tensor]:
        return {
            split: oracle.sample(
                np.random.RandomState(named_seeds(f"oracle/{split}", task.draw or 0)).random_sample(
                    (size, task.seq_len)
                )
            )
            for split, size in sizes.items()
        }

    made_from = {"oracle": oracle.digest(), "draw": task.draw or 0, "seq_len": task.seq_len, **sizes}
    splits = drawn(made_from, len(oracle.bias) * task.seq_len * sum(sizes.values()), draw)
    spec = SequenceSpec(vocab_size=len(oracle.bias), seq_len=task.seq_len, bos=BOS)
    return TaskData(TrainingData(spec, splits["train"], splits["valid"]), splits["test"], oracle, "ids")
