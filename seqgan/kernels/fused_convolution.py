"""Convolution over embedded words and max over time on a GPU, for training.

One operation after another, a training step of the discriminator is about 250 small kernels, most of them copies,
maxima and scatters of heights that are then thrown away: only the highest window of a filter counts. Here

- one matrix product gives the inner product of every word with every row of every filter, B T times 12,500 numbers with
  the paper's filters; a height is a sum of L of them. That is twice as many multiplications as the heights need, in one
  large product instead of twelve small ones;
- one Triton kernel adds up the heights and keeps, for each sentence and filter, the feature and where its window
  begins: every number is read once;
- the gradient of the filters is a second kernel: a program takes a part of one filter and adds up one window of each
  sentence, scaled by the slope;
- for the gradient of the words, a third kernel writes the slopes to where the products were, zeros everywhere else, and
  one matrix product does the rest.

Everything is float32 and summed in a fixed order, nothing is added by atomics: the same inputs give the same bits.
(torch lets cuDNN round the operands of a convolution to tf32 unless it is told not to.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

FILTERS = 32
"""Filters per program."""
NUMBERS = 256
"""Numbers of a filter per program of its gradient."""
AT_ONCE = 16
"""Sentences that a program of that gradient reads at once."""
SMALLEST_TILE = 16
"""Positions of a sentence are padded to at least as many."""


class Tables(NamedTuple):
    """The shapes of the filters, as the kernels read them; on the device.

    Columns of products are in the order (size, word of the window, filter), so that neighbouring filters read
    neighbouring numbers. The rows of the flat parameter are in the order (filter, word of the window).
    """

    tiles: Tensor
    """int64, (tiles, 5): a program's first filter, number of filters, their size, the column of its first filter's
    first word, and by how many columns the next word is further on; longest first."""
    offsets: Tensor
    """int64, (F,): the row of the flat parameter at which each filter begins."""
    sizes: Tensor
    """int32, (F,): how many words each spans."""
    columns: Tensor
    """int64, (R,): the row of the flat parameter that belongs to each column."""


@lru_cache(maxsize=64)
def tables(sizes: tuple[int, ...], counts: tuple[int, ...], device: torch.device) -> Tables:
    """The tables of filters, ``counts`` of each size."""
    tiles, each, columns, first, row = [], [], [], 0, 0
    for size, count in zip(sizes, counts, strict=True):
        tiles += [
            (first + done, min(FILTERS, count - done), size, row + done, count) for done in range(0, count, FILTERS)
        ]
        columns.append(row + torch.arange(size * count).view(count, size).t().flatten())
        each += [size] * count
        first, row = first + count, row + size * count
    spans = torch.tensor(each)
    offsets = torch.nn.functional.pad(spans.cumsum(0)[:-1], (1, 0))
    tiles.sort(key=lambda tile: -tile[2])
    return Tables(
        torch.tensor(tiles).to(device), offsets.to(device), spans.int().to(device), torch.cat(columns).to(device)
    )


class MaxOverTime(torch.autograd.Function):
    """:func:`seqgan.kernels.convolution.max_over_time` for tensors on CUDA.

    Its arguments are float32: words (B, T, E), the flat parameter and the bias (F,); and the sizes and counts of the
    filters.
    """

    @staticmethod
    def forward(
        ctx: Any, words: Tensor, parameter: Tensor, bias: Tensor, sizes: tuple[int, ...], counts: tuple[int, ...]
    ) -> Tensor:
        """The features, float32 (B, F)."""
        found = tables(sizes, counts, words.device)
        words = words.contiguous()
        weight = parameter.view(-1, words.shape[-1])[found.columns]  # (R, E)
        batch, length, _ = words.shape
        features, starts = pool(words.flatten(0, 1) @ weight.t(), bias, batch, length, found)
        ctx.save_for_backward(words, weight, starts)
        ctx.found, ctx.longest = found, max(sizes)
        return features

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """The gradients of words, parameter and bias."""
        words, weight, starts = ctx.saved_tensors
        slopes = upstream[0].contiguous()
        d_parameter, d_bias = filter_gradient(slopes, starts, words, len(weight), ctx.longest, ctx.found)
        d_words = spread(slopes, starts, words.shape[1], len(weight), ctx.found) @ weight
        return d_words.view_as(words), d_parameter, d_bias, None, None


def pool(products: Tensor, bias: Tensor, batch: int, length: int, found: Tables) -> tuple[Tensor, Tensor]:
    """Features and the positions at which their windows begin.

    Args:
        products: float32, (B T, R).
        bias: float32, (F,).
        batch: B.
        length: T.
        found: The shapes of the filters.

    Returns:
        float32 (B, F), and int32 (B, F), -1 where a feature is 0 and so has no gradient.
    """
    features = torch.empty(batch, len(bias), device=products.device)
    starts = torch.empty(batch, len(bias), dtype=torch.int32, device=products.device)
    if batch:
        _launch(products, _pool, (len(found.tiles), batch))(
            products,
            bias,
            found.tiles,
            features,
            starts,
            length,
            len(bias),
            products.shape[1],
            FILTERS=FILTERS,
            PADDED=_padded(length),
            num_warps=4,
        )
    return features, starts


def spread(slopes: Tensor, starts: Tensor, length: int, rows: int, found: Tables) -> Tensor:
    """The gradient of the products: slopes and starts, (B, F) each, to (B T, R)."""
    batch, filters = slopes.shape
    d_products = torch.empty(batch * length, rows, device=slopes.device)
    if batch:
        _launch(slopes, _spread, (len(found.tiles), batch))(
            slopes,
            starts,
            found.tiles,
            d_products,
            length,
            filters,
            rows,
            FILTERS=FILTERS,
            PADDED=_padded(length),
            num_warps=4,
        )
    return d_products


def filter_gradient(
    slopes: Tensor, starts: Tensor, words: Tensor, rows: int, longest: int, found: Tables
) -> tuple[Tensor, Tensor]:
    """Gradients of the flat parameter and of the bias: slopes (B, F), starts (B, F), words (B, T, E)."""
    batch, length, dim = words.shape
    d_parameter = torch.empty(rows * dim, device=words.device)
    d_bias = torch.empty(slopes.shape[1], device=words.device)
    _launch(words, _filter_gradient, (slopes.shape[1], triton.cdiv(longest * dim, NUMBERS)))(
        slopes,
        starts,
        words,
        found.offsets,
        found.sizes,
        d_parameter,
        d_bias,
        batch,
        length,
        dim,
        slopes.shape[1],
        NUMBERS=NUMBERS,
        AT_ONCE=AT_ONCE,
        num_warps=4,
    )
    return d_parameter, d_bias


def _padded(length: int) -> int:
    power: int = triton.next_power_of_2(length)
    return max(SMALLEST_TILE, power)


def _launch(near: Tensor, kernel: Any, grid: tuple[int, int]) -> Callable[..., None]:
    """The kernel on the device of a tensor; Triton itself launches on the current one."""

    def launch(*arguments: Any, **options: Any) -> None:
        with torch.cuda.device_of(near):
            kernel[grid](*arguments, **options)

    return launch


def _pool_program(  # type: ignore[no-untyped-def]  # Triton compiles annotations too
    products,
    bias,
    tiles,
    features,
    starts,
    length,
    filters,
    rows,
    FILTERS: tl.constexpr,
    PADDED: tl.constexpr,
):
    tile = tiles + tl.program_id(0) * 5
    first, number, size = tl.load(tile), tl.load(tile + 1), tl.load(tile + 2)
    column, step = tl.load(tile + 3), tl.load(tile + 4)
    sentence = tl.program_id(1).to(tl.int64)
    which = tl.arange(0, FILTERS)
    mine = which < number
    start = tl.arange(0, PADDED)
    begins = products + ((sentence * length + start) * rows)[:, None] + (column + which)[None, :]
    heights = tl.zeros((PADDED, FILTERS), tl.float32)
    possible = (start + size <= length)[:, None] & mine[None, :]
    for word in range(size):
        heights += tl.load(begins + word * (rows + step), mask=possible, other=0.0)
    heights = tl.where((start + size <= length)[:, None], heights, -float("inf"))
    highest, where = tl.max(heights, 0, return_indices=True)
    broken = tl.max((heights != heights).to(tl.int32), 0)  # noqa: PLR0124 - NaN, which a maximum passes over
    feature = highest + tl.load(bias + first + which, mask=mine, other=0.0)
    feature = tl.where(broken > 0, float("nan"), feature)
    out = sentence * filters + first + which
    tl.store(features + out, tl.where(feature <= 0, 0.0, feature), mask=mine)  # NaN stays NaN
    tl.store(starts + out, tl.where(feature > 0, where, -1).to(tl.int32), mask=mine)


def _spread_program(  # type: ignore[no-untyped-def]
    slopes,
    starts,
    tiles,
    d_products,
    length,
    filters,
    rows,
    FILTERS: tl.constexpr,
    PADDED: tl.constexpr,
):
    tile = tiles + tl.program_id(0) * 5
    first, number, size = tl.load(tile), tl.load(tile + 1), tl.load(tile + 2)
    column, step = tl.load(tile + 3), tl.load(tile + 4)
    sentence = tl.program_id(1).to(tl.int64)
    which = tl.arange(0, FILTERS)
    mine = which < number
    position = tl.arange(0, PADDED)
    start = tl.load(starts + sentence * filters + first + which, mask=mine, other=-1)
    slope = tl.load(slopes + sentence * filters + first + which, mask=mine, other=0.0)
    out = d_products + ((sentence * length + position) * rows)[:, None] + (column + which)[None, :]
    inside = (position < length)[:, None] & mine[None, :]
    for word in range(size):
        here = (start >= 0)[None, :] & (position[:, None] == (start + word)[None, :])
        tl.store(out + word * step, tl.where(here, slope[None, :], 0.0), mask=inside)


def _filter_gradient_program(  # type: ignore[no-untyped-def]
    slopes,
    starts,
    words,
    offsets,
    sizes,
    d_parameter,
    d_bias,
    batch,
    length,
    dim,
    filters,
    NUMBERS: tl.constexpr,
    AT_ONCE: tl.constexpr,
):
    which = tl.program_id(0)
    size = tl.load(sizes + which)
    number = tl.program_id(1) * NUMBERS + tl.arange(0, NUMBERS)
    mine = number < size * dim
    total = tl.zeros((NUMBERS,), tl.float32)
    bias = tl.zeros((AT_ONCE,), tl.float32)
    if tl.program_id(1) * NUMBERS < size * dim:
        for done in range(0, batch, AT_ONCE):
            sentence = (done + tl.arange(0, AT_ONCE)).to(tl.int64)
            start = tl.load(starts + sentence * filters + which, mask=sentence < batch, other=-1)
            slope = tl.load(slopes + sentence * filters + which, mask=start >= 0, other=0.0)
            window = words + ((sentence * length + start) * dim)[:, None] + number[None, :]
            read = tl.load(window, mask=(start >= 0)[:, None] & mine[None, :], other=0.0)
            total += tl.sum(slope[:, None] * read, 0)
            bias += slope
        tl.store(d_parameter + tl.load(offsets + which) * dim + number, total, mask=mine)
        if tl.program_id(1) == 0:
            tl.store(d_bias + which, tl.sum(bias, 0))


_pool: Any = triton.jit(_pool_program)
_spread: Any = triton.jit(_spread_program)
_filter_gradient: Any = triton.jit(_filter_gradient_program)
