"""Compiled loops over the windows of a sentence: pooling, the gradient through it, and scoring from tables.

Importing this module imports numba; the compiled loops are cached on disk.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgan.kernels.compilation import compiled

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reassociated, so that they can be vectorized; infinities and NaN keep their meaning."""


@compiled(FAST)
def pool(heights: Floats, bias: Floats, features: Floats, positions: Any) -> None:
    """Max over time: ``features[b, k] = max(0, max_p heights[b, p, k] + bias[k])``; NaN if there is one.

    Args:
        heights: float32, (B, P, K).
        bias: float32, (K,).
        features: float32, (B, K), filled in.
        positions: int32, (B, K), filled in: the first p with the maximum, or -1 where the feature is 0.
    """
    for b in range(heights.shape[0]):
        best, where = features[b], positions[b]
        for k in range(len(bias)):
            best[k] = heights[b, 0, k]
            where[k] = 0
        for p in range(1, heights.shape[1]):
            row = heights[b, p]
            for k in range(len(bias)):
                higher = (row[k] > best[k]) | np.isnan(row[k])
                where[k] = p if higher else where[k]
                best[k] = row[k] if higher else best[k]
        for k in range(len(bias)):
            height = best[k] + bias[k]
            best[k] = np.float32(0) if height <= 0 else height
            where[k] = -1 if height <= 0 else where[k]


@compiled(FAST)
def filter_gradient(
    slopes: Floats,
    positions: Any,
    words: Floats,
    dim: int,
    offsets: Ints,
    first: int,
    last: int,
    out: Floats,
    bias: Any,
) -> None:
    """The gradient of filters ``first`` to ``last``: each collects the windows in which it was highest.

    Args:
        slopes: float32, (B, F), the gradient of the features.
        positions: int32, (B, F), from :func:`pool`.
        words: float32, (B, T * E), the embedded sentences.
        dim: E.
        offsets: int64, (F + 1,), where each filter begins in the flat parameter.
        first: The first of the filters.
        last: One more than the last.
        out: float32, gradient of the flat parameter, zeros; filled in from ``offsets[first]`` to ``offsets[last]``.
        bias: float32, (F,), gradient of the biases; filled in from ``first`` to ``last``.
    """
    for f in range(first, last):
        start, size = offsets[f], offsets[f + 1] - offsets[f]
        total = np.float32(0)
        gradient = out[start : start + size]
        for b in range(slopes.shape[0]):
            if positions[b, f] >= 0:
                slope = slopes[b, f]
                total += slope
                window = words[b, positions[b, f] * dim : positions[b, f] * dim + size]
                for e in range(size):
                    gradient[e] += slope * window[e]
        bias[f] = total


@compiled(FAST)
def word_gradient(
    slopes: Floats, positions: Any, filters: Floats, dim: int, offsets: Ints, rows: Any, out: Floats
) -> None:
    """The gradient of embedded sentences ``rows[0]`` to ``rows[1]``: each window sums the filters that chose it.

    Args:
        slopes: float32, (B, F).
        positions: int32, (B, F).
        filters: float32, the flat parameter.
        dim: E.
        offsets: int64, (F + 1,).
        rows: The first sentence, and one more than the last.
        out: float32, (B, T * E), zeros; filled in.
    """
    for b in range(rows[0], rows[1]):
        for f in range(slopes.shape[1]):
            if positions[b, f] >= 0:
                slope = slopes[b, f]
                size = offsets[f + 1] - offsets[f]
                filter_ = filters[offsets[f] : offsets[f] + size]
                window = out[b, positions[b, f] * dim : positions[b, f] * dim + size]
                for e in range(size):
                    window[e] += slope * filter_[e]


@compiled(FAST)
def pool_from_table(tokens: Ints, table: Floats, bias: Floats, features: Floats) -> None:
    """Max over time of convolutions, from a table of the products of all filters with every word.

    Windows inside the words with which both a sentence and the one before it begin are not summed again.

    Args:
        tokens: int64, (N, T).
        table: float32, (V, L, K): what word v adds to filter k when it is at position l of the filter's window.
        bias: float32, (K,).
        features: float32, (N, K), filled in.
    """
    length, size, count = tokens.shape[1], table.shape[1], table.shape[2]
    height = np.empty(count, np.float32)
    highest = np.empty((length - size + 1, count), np.float32)  # of the windows up to each position
    for i in range(tokens.shape[0]):
        row = tokens[i]
        common = 0
        while i > 0 and common < length and tokens[i - 1, common] == row[common]:
            common += 1
        for p in range(max(0, common - size + 1), length - size + 1):
            for k in range(count):
                height[k] = 0
            j = 0
            while j + 4 <= size:  # four words at a time: fewer passes over the heights
                a, b = table[row[p + j], j], table[row[p + j + 1], j + 1]
                c, d = table[row[p + j + 2], j + 2], table[row[p + j + 3], j + 3]
                for k in range(count):
                    height[k] += (a[k] + b[k]) + (c[k] + d[k])
                j += 4
            while j < size:
                a = table[row[p + j], j]
                for k in range(count):
                    height[k] += a[k]
                j += 1
            if p == 0:
                for k in range(count):
                    highest[0, k] = height[k]
            else:
                for k in range(count):
                    higher = (height[k] > highest[p - 1, k]) | np.isnan(height[k])
                    highest[p, k] = height[k] if higher else highest[p - 1, k]
        for k in range(count):
            last = highest[length - size, k] + bias[k]
            features[i, k] = np.float32(0) if last <= 0 else last
