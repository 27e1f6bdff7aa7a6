"""Compiled loops over rows of logits or gates: one pass that exponentiates, and then what is needed from each row.

The caller hands over rows in chunks that fit a core's cache, made by a matrix product, and these loops overwrite
them. Importing this module imports numba; the compiled loops are cached on disk, so that a second process need not
compile them again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from seqgan.kernels.compilation import compiled

Floats = NDArray[np.float32]

BLOCK = 64
"""Words whose weights are summed together. A row of logits must be padded with -inf to a multiple of it."""

SMALLEST = np.float32(-87)
"""exp of anything smaller is taken as 0."""
LOG2_E, LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reassociated, so that they can be vectorized; infinities and NaN keep their meaning."""


@njit(inline="always", fastmath=FAST, error_model="numpy")
def _exp(x: Any) -> Any:
    """exp(x) for -87 <= x <= 87, relative error 6e-7: 2^n times a polynomial (Cephes' coefficients). Arbitrary for NaN.

    ``n * LN2`` must not be rounded before it is subtracted: without fused multiply-add, the error is 5e-6.
    """
    n = np.rint(x * LOG2_E)
    r = x - n * LN2
    y = np.float32(1.9875691500e-4)
    y = y * r + np.float32(1.3981999507e-3)
    y = y * r + np.float32(8.3334519073e-3)
    y = y * r + np.float32(4.1665795894e-2)
    y = y * r + np.float32(1.6666665459e-1)
    y = y * r + np.float32(5.0000001201e-1)
    y = y * r * r + r + np.float32(1)
    exponent = (np.int32(n) + np.int32(127)) << np.int32(23)
    return y * np.int32(exponent).view(np.float32)


@compiled(FAST)
def pass_gates(gates: Floats, hidden: Floats, cell: Floats) -> None:
    """An LSTM's new state from its gates: ``c <- sigmoid(f) c + sigmoid(i) tanh(g)``, ``h <- sigmoid(o) tanh(c)``.

    Args:
        gates: float32, (R, 4 H), before their non-linearities, in torch's order i, f, g, o; overwritten.
        hidden: float32, (R, H), filled in.
        cell: float32, (R, H), changed in place.
    """
    rows, units = cell.shape
    for r in range(rows):
        row, h, c = gates[r], hidden[r], cell[r]
        for k in range(4 * units):
            # tanh(x) = 2 sigmoid(2 x) - 1, so that all four gates are sigmoids, in the range of _exp.
            x = row[k] + row[k] if 2 * units <= k < 3 * units else row[k]
            bounded = min(max(-x, SMALLEST), -SMALLEST)
            row[k] = x if np.isnan(x) else np.float32(1) / (np.float32(1) + _exp(bounded))  # NaN is kept
        for k in range(units):
            c[k] = row[units + k] * c[k] + row[k] * (np.float32(2) * row[2 * units + k] - np.float32(1))
            bounded = min(max(np.float32(-2) * c[k], SMALLEST), -SMALLEST)
            squashed = np.float32(2) / (np.float32(1) + _exp(bounded)) - np.float32(1)
            h[k] = c[k] if np.isnan(c[k]) else row[3 * units + k] * squashed


@compiled(FAST)
def draw(logits: Floats, largest: Floats, scale: Any, uniforms: Any, tokens: Any) -> None:
    """Two-level inverse CDF: the token at which the cumulative weight first exceeds ``uniform * total``.

    Args:
        logits: float32, (R, P), P a multiple of :data:`BLOCK`; overwritten by ``exp(scale * (logit - largest))``.
        largest: float32, (R,), the rows' maxima, finite, so that no logit is NaN.
        scale: float32, one over the temperature.
        uniforms: float64 in [0, 1), (R, K).
        tokens: int64, (R, K), filled in.
    """
    rows, width = logits.shape
    blocks = width // BLOCK
    sums = np.empty(blocks, np.float32)
    for i in range(rows):
        row = logits[i]
        total: Any = 0.0
        last_block = 0
        for b in range(blocks):
            block = np.float32(0)
            for j in range(b * BLOCK, (b + 1) * BLOCK):
                x = scale * (row[j] - largest[i])
                weight = _exp(max(x, SMALLEST)) if x > SMALLEST else np.float32(0)
                row[j] = weight
                block += weight
            sums[b] = block
            total += block
            if block > 0:
                last_block = b
        for k in range(uniforms.shape[1]):
            left = uniforms[i, k] * total
            b = 0
            while b < last_block and left >= sums[b]:
                left -= sums[b]
                b += 1
            # The block's own sum, added up in another order, differs in its last bits: rescale to stay inside.
            inside = 0.0
            for j in range(b * BLOCK, (b + 1) * BLOCK):
                inside += np.float64(row[j])
            left *= inside / sums[b]
            chosen = b * BLOCK
            for j in range(b * BLOCK, (b + 1) * BLOCK):
                if row[j] > 0:
                    chosen = j
                    if left < row[j]:
                        break
                    left -= row[j]
            tokens[i, k] = chosen


@compiled(FAST)
def log_probs(logits: Floats, largest: Floats, targets: Any, out: Any) -> None:
    """``log softmax(logits)[target]``: float32 (R, P), (R,), int64 (R,) to float32 ``out`` (R,), filled in."""
    rows, width = logits.shape
    for i in range(rows):
        total: Any = 0.0
        row = logits[i]
        for b in range(width // BLOCK):
            block = np.float32(0)
            for j in range(b * BLOCK, (b + 1) * BLOCK):
                x = row[j] - largest[i]
                block += _exp(max(x, SMALLEST)) if x > SMALLEST else np.float32(0)
            total += block
        out[i] = np.float64(row[targets[i]]) - largest[i] - np.log(total)


@compiled(FAST)
def log_probs_and_slopes(
    logits: Floats, largest: Floats, targets: Any, weights: Floats, out: Any, bias_gradient: Floats
) -> None:
    """:func:`log_probs`, and the gradient of ``-sum(weights * out)`` in place of the logits.

    Args:
        logits: float32, (R, P); overwritten by ``weight * (softmax - one-hot of the target)``.
        largest: float32, (R,).
        targets: int64, (R,).
        weights: float32, (R,).
        out: float32, (R,), filled in.
        bias_gradient: float32, (P,), to which the sum of the slopes over rows is added.
    """
    rows, width = logits.shape
    for i in range(rows):
        row = logits[i]
        total: Any = 0.0
        target = targets[i]
        chosen = np.float64(row[target]) - largest[i]
        for b in range(width // BLOCK):
            block = np.float32(0)
            for j in range(b * BLOCK, (b + 1) * BLOCK):
                x = row[j] - largest[i]
                weight = _exp(max(x, SMALLEST)) if x > SMALLEST else np.float32(0)
                row[j] = weight
                block += weight
            total += block
        out[i] = chosen - np.log(total)
        share = np.float32(weights[i] / total)
        for j in range(width):
            slope = row[j] * share
            row[j] = slope
            bias_gradient[j] += slope
        row[target] -= weights[i]
        bias_gradient[target] -= weights[i]
