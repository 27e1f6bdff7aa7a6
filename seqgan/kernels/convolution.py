"""Convolutions over embedded words with max over time, for the discriminator (Kim 2014).

A filter of size L is an (L, E) matrix; its height at a position is its inner product with the L words that begin there;
its feature is the greatest height plus a bias, or 0. All filters are stored in one flat parameter, one after the other.

*Training*, one batch at a time: one matrix product per filter size gives the heights. Only the highest window of a
filter has a gradient, so the backward pass is short: each filter collects one window per sentence.

*Scoring* many sentences: the inner products of every filter row with every word of the vocabulary are computed once
(V x 64 x 12,500 multiplications with the paper's filters, as many as V / 9.5 sentences take), and a height is the sum
of L of them.

*On CUDA* training has kernels of its own (:mod:`seqgan.kernels.fused_convolution`), and scoring is torch's convolution.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqgan.kernels.bounds import check_range
from seqgan.kernels.threads import across_threads, parts

WORDS_A_SENTENCE = 10
"""Tables pay off if there is at least one sentence per this many words of the vocabulary."""
MOST_PRODUCTS = 2**28
"""On CUDA: numbers of the products of words and filters that are kept for a training step, 1 GiB."""
TABLE_NUMBERS = 2**24
"""Numbers in a table: 64 MiB; filters that need more are split into several tables, used in turn."""


class Filters:
    """Sizes and counts of the filters, and where each is stored in the flat parameter.

    Args:
        sizes: Number of words that a filter spans.
        counts: Number of filters of each size.
        dim: E, size of a word embedding.
    """

    def __init__(self, sizes: Sequence[int], counts: Sequence[int], dim: int) -> None:
        self.sizes, self.counts, self.dim = sizes, counts, dim
        lengths = [size * dim for size, count in zip(sizes, counts, strict=True) for _ in range(count)]
        self.offsets = np.cumsum([0, *lengths], dtype=np.int64)  # (F + 1,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def numbers(self) -> int:
        """Length of the flat parameter."""
        return int(self.offsets[-1])

    def branches(self) -> list[tuple[int, slice, slice]]:
        """For each size: the size, its slice of the features, and its slice of the flat parameter."""
        found, first = [], 0
        for size, count in zip(self.sizes, self.counts, strict=True):
            features = slice(first, first + count)
            found.append((size, features, slice(int(self.offsets[first]), int(self.offsets[first + count]))))
            first += count
        return found


def max_over_time(words: Tensor, parameter: Tensor, bias: Tensor, filters: Filters) -> Tensor:
    """The features of embedded sentences.

    Args:
        words: float32, (B, T, E).
        parameter: float32, flat, all filters.
        bias: float32, (F,).
        filters: Their shapes.

    Returns:
        float32, (B, F), through which all three get gradients.
    """
    if words.is_cuda:
        return _on_cuda(words, parameter, bias, filters)
    features: Tensor = _MaxOverTime.apply(words, parameter, bias, filters)  # type: ignore[no-untyped-call]
    return features


def _on_cuda(words: Tensor, parameter: Tensor, bias: Tensor, filters: Filters) -> Tensor:
    products = words.shape[0] * words.shape[1] * filters.numbers // filters.dim
    if not torch.is_grad_enabled() or products > MOST_PRODUCTS or not has_triton():
        return reference_max_over_time(words, parameter, bias, filters)
    from seqgan.kernels.fused_convolution import MaxOverTime

    shapes = tuple(filters.sizes), tuple(filters.counts)
    features: Tensor = MaxOverTime.apply(words, parameter, bias, *shapes)  # type: ignore[no-untyped-call]
    return features


@cache
def has_triton() -> bool:
    """Whether Triton is installed, as it is with torch's CUDA builds."""
    return importlib.util.find_spec("triton") is not None


def reference_max_over_time(words: Tensor, parameter: Tensor, bias: Tensor, filters: Filters) -> Tensor:
    """The same by torch's convolution; used on CUDA for scoring, and where Triton is not installed."""
    branches = filters.branches()
    weights = parameter.split([numbers.stop - numbers.start for *_, numbers in branches])
    biases = bias.split([rows.stop - rows.start for _, rows, _ in branches])
    features = []
    for (size, rows, _), weight, offset in zip(branches, weights, biases, strict=True):
        kernel = weight.view(rows.stop - rows.start, size, filters.dim).transpose(1, 2)  # (K, E, L)
        features.append(F.relu(F.conv1d(words.transpose(1, 2), kernel, offset)).max(-1).values)
    return torch.cat(features, dim=1)


@torch.no_grad()
def features_from_tables(
    tokens: Tensor, embedding: Tensor, parameter: Tensor, bias: Tensor, filters: Filters
) -> Tensor:
    """:func:`max_over_time` of ``embedding[tokens]``, from tables; on the CPU.

    Args:
        tokens: int64, (N, T).
        embedding: float32, (V, E).
        parameter: float32, flat.
        bias: float32, (F,).
        filters: Their shapes.

    Returns:
        float32, (N, F).

    Raises:
        ValueError: for sentences shorter than a filter.
        IndexError: for a token outside [0, V).
    """
    from seqgan.kernels.windows import pool_from_table

    if max(filters.sizes) > tokens.shape[1]:
        raise ValueError(f"expected sentences of at least {max(filters.sizes)} words, got {tokens.shape[1]}")
    check_range(tokens, len(embedding))
    tokens = tokens.contiguous()
    features = torch.empty(len(tokens), len(filters))
    words, dim = embedding.shape
    pieces = [
        (size, slice(first, min(first + step, rows.stop)))
        for size, rows, _ in filters.branches()
        for step in [max(1, TABLE_NUMBERS // (words * size))]
        for first in range(rows.start, rows.stop, step)
    ]
    memory = torch.empty(max(words * size * (rows.stop - rows.start) for size, rows in pieces))
    for size, rows in pieces:
        count = rows.stop - rows.start
        kernels = parameter[filters.offsets[rows.start] : filters.offsets[rows.stop]].view(count, size, dim)
        columns = kernels.permute(2, 1, 0).reshape(dim, size * count)
        table = memory[: words * size * count].view(words, size * count)

        def fill(some: slice, columns: Tensor = columns, table: Tensor = table) -> None:
            torch.mm(embedding[some], columns, out=table[some])

        def score(sentences: slice, size: int = size, rows: slice = rows, table: Tensor = table) -> None:
            pool_from_table(
                tokens[sentences].numpy(),
                table.view(words, size, -1).numpy(),
                bias[rows].numpy(),
                features[sentences, rows].numpy(),
            )

        across_threads(fill, parts(words))
        across_threads(score, parts(len(tokens)))
    return features


class _MaxOverTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, words: Tensor, parameter: Tensor, bias: Tensor, filters: Filters) -> Tensor:
        from seqgan.kernels.windows import pool

        words, flat, offset = words.contiguous(), parameter.detach(), bias.detach()
        batch, length, dim = words.shape
        features = torch.empty(batch, len(filters))
        positions = torch.empty(batch, len(filters), dtype=torch.int32)

        def branch(which: tuple[int, slice, slice]) -> None:
            size, rows, numbers = which
            windows = words.as_strided((batch, length - size + 1, size * dim), (length * dim, dim, 1))
            kernel = flat[numbers].view(rows.stop - rows.start, size * dim)
            heights = windows.reshape(-1, size * dim) @ kernel.t()  # (B * P, K)
            pool(
                heights.view(batch, length - size + 1, len(kernel)).numpy(),
                offset[rows].numpy(),
                features[:, rows].numpy(),
                positions[:, rows].numpy(),
            )

        across_threads(branch, sorted(filters.branches(), key=lambda which: _cost(which, length), reverse=True))
        ctx.save_for_backward(words, parameter, positions)
        ctx.filters = filters
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        from seqgan.kernels.windows import filter_gradient, word_gradient

        words, parameter, positions = ctx.saved_tensors
        filters: Filters = ctx.filters
        slopes = upstream[0].contiguous().numpy()
        d_words, d_parameter, d_bias = torch.zeros_like(words), torch.zeros_like(parameter), torch.empty(len(filters))
        flat, where, rows = parameter.detach().numpy(), positions.numpy(), words.flatten(1).numpy()

        def to_filters(part: tuple[int, int]) -> None:
            filter_gradient(
                slopes, where, rows, filters.dim, filters.offsets, *part, d_parameter.numpy(), d_bias.numpy()
            )

        def to_words(part: slice) -> None:
            word_gradient(
                slopes, where, flat, filters.dim, filters.offsets, (part.start, part.stop), d_words.flatten(1).numpy()
            )

        def run(job: Any) -> None:
            job[0](job[1])

        by_filter = [(to_filters, (branch[1].start, branch[1].stop)) for branch in reversed(filters.branches())]
        by_word = [(to_words, part) for part in parts(len(words))]
        across_threads(run, [*by_word, *by_filter])
        return d_words, d_parameter, d_bias, None


def _cost(branch: tuple[int, slice, slice], length: int) -> int:
    size, _, numbers = branch
    cost: int = (numbers.stop - numbers.start) * (length - size + 1)
    return cost
