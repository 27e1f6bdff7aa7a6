from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.api import SequenceSpec
from bench.metrics.density import Evidence, HeldOut


class Writer:
    """A sampler without a density."""

    def sample(self, n, decoding, rng):
        raise AssertionError("the metrics are given samples")


class Table(Writer):
    """A density given sequence by sequence, in nats; what is not in the table has probability zero."""

    def __init__(self, log_probs: dict[tuple[int, ...], float]) -> None:
        self.log_probs = log_probs

    def log_prob(self, tokens: Tensor) -> Tensor:
        return torch.tensor(
            [self.log_probs.get(tuple(row), -torch.inf) for row in tokens.tolist()], dtype=torch.float64
        )


@pytest.fixture(scope="session")
def table() -> type[Table]:
    return Table


@pytest.fixture(scope="session")
def make_evidence() -> Callable[..., Evidence]:
    """One checkpoint: samples and test set as lists of rows; density and oracle as tables or None."""

    def make(samples, test, density=None, oracle=None, eos=None, pad=None, unk=None, vocab_size=60, tokenizer="ids",
             train=None, verse=None, trained=False, kind="synthetic"):  # fmt: skip
        samples, test = (torch.as_tensor(rows, dtype=torch.long) for rows in (samples, test))
        spec = SequenceSpec(vocab_size, samples.shape[1], bos=vocab_size, eos=eos, pad=pad, kind=kind)
        as_table = [Table(rows) if isinstance(rows, dict) else rows for rows in (density, oracle)]
        train = None if train is None else torch.as_tensor(train, dtype=torch.long)
        held_out = HeldOut(spec, test, as_table[1], unk, tokenizer, train, verse=verse)
        return Evidence(as_table[0] or Writer(), samples, held_out, trained=trained)

    return make


@pytest.fixture(scope="session")
def make_rows():
    """Random sequences of twelve words, with an end mark if there is one."""

    def make(n, seed, eos=None, pad=None):
        rng = np.random.default_rng(seed)
        tokens = rng.integers(2, 6, (n, 12))
        if eos is not None:
            for row, length in zip(tokens, rng.integers(0, 13, n), strict=True):
                row[length:] = pad
                if length < 12:
                    row[length] = eos
        return tokens

    return make


@pytest.fixture(scope="session")
def spoken():
    """The words of a sequence before its end mark."""

    def words(row, eos=None, **_):
        row = row.tolist()
        return row[: row.index(eos)] if eos in row else row

    return words
