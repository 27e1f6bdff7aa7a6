"""Completions of all prefixes by one Triton kernel that keeps everything on chip.

A step of a rollout multiplies the hidden states with the output layer, draws a word from the softmax of the product,
and reads that word. Done one operation after another, the (rows, V) logits are written and read several times: at the
paper's shape (T = 20, V = 5,000, 32 units, B = 64, N = 16) 194,560 words are drawn, which is 3.9 GB of logits each
time. Here a program takes a block of rows whose prefixes have one length and carries them to the end of the sequence:
their hidden and cell states never leave its registers, and only a tile of logits, of a few words, exists at a time.

*Drawing.* One uniform number per word, inverse CDF. One pass over the vocabulary finds the maximum and the sums of the
weights of up to 64 parts of it, rescaling as the maximum grows. The cumulative sums say in which part the word lies:
the first whose cumulative weight exceeds ``uniform * sum``. Only this part, another for each row, is computed again,
and the first word found in it in the same way. So the result is a function of the uniforms, and
:func:`reference_complete_on_chip` gives the same words, except where a uniform is within rounding error of the border
between two words.

*Reading.* What a word adds to the gates, ``embedding @ input_weight.T + bias``, is the same whenever it is read. The
table of all words is made once per call (20 M multiplications at the paper's shape), and a step gathers a row of it.

*Cost* at the paper's shape: 31 G multiplications for the logits, 0.8 G for those of one part, 0.8 G for the recurrence,
no byte of logits moved; 3.2 MB of parameters, which every program reads from cache, and 4.6 MB of uniforms and words.

On an H100 it takes 4.3 ms at that shape, where eager rollouts take 26 ms and recorded ones 20 ms; products in tf32 are
no faster. Its words follow the policy's law by a chi-square (docs/gpu.md).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from seqgan.kernels.sampling import reference_sample_tokens

ROWS = 64
"""Rows per program."""
WORDS = 128
"""Words per tile."""
PARTS = 64
"""Parts of the vocabulary whose sums are kept. A row computes the words of one part again."""
WARPS = 8
"""Warps of 32 threads per program. With 4, or with more than 32 units, registers run out: use fewer rows then."""
SMALLEST_DOT = 16
"""``tl.dot`` takes no operand narrower than this."""

SMALLEST_SCAN = 16
"""``tl.cumsum`` over one or two numbers a row does not always compile (Triton 3.6)."""


class Parameters(NamedTuple):
    """An LSTM language model, in torch's layout: float32, gates in the order i, f, g, o."""

    embedding: Tensor
    """(S, E), every symbol that can be read: S = V, or V + 1 where the start symbol is not a word."""
    input_weight: Tensor
    """(4 H, E)."""
    recurrent_weight: Tensor
    """(4 H, H)."""
    gate_bias: Tensor
    """(4 H,): torch's two biases added up."""
    output_weight: Tensor
    """(V, H)."""
    output_bias: Tensor
    """(V,); -inf for words that must not be written."""


@torch.no_grad()
def complete_on_chip(
    tokens: Tensor,
    hidden: Tensor,
    cell: Tensor,
    parameters: Parameters,
    uniforms: Tensor,
    eos: int | None = None,
    pad: int | None = None,
    rows: int = ROWS,
    words: int = WORDS,
    parts: int = PARTS,
    precision: str = "ieee",
) -> Tensor:
    """Finish every proper prefix of every sequence N times.

    A uniform number of 24 bits cannot resolve probabilities below 6e-8. A model whose logits are NaN writes word 0; no
    error is raised, because the host would have to wait for the device to know of it.

    Args:
        tokens: int64, (B, T).
        hidden: float32, (T, B, H): the t-th is the hidden state from which token t was drawn.
        cell: float32, (T, B, H), the cell state that belongs to it.
        parameters: The model.
        uniforms: float32 in [0, 1), (T - 1, T - 1, B, N): [k - 1, t - 1, b, n] draws token t in the n-th completion of
            the first k tokens of sequence b, for t >= k; the others are not read.
        eos: The word that ends a sequence, None if there is none.
        pad: What is written after it; None exactly when ``eos`` is.
        rows: Rows per program, a power of two, at least 16.
        words: Words per tile, a power of two, at least 16.
        parts: Into how many parts of whole tiles the vocabulary is divided at most, a power of two.
        precision: Of the matrix products, in the terms of ``tl.dot``: "ieee" for float32, "tf32" for tensor cores.

    Returns:
        int64, (T - 1, B, N, T): entry [k - 1, b] holds N sequences that begin with the first k tokens of sequence b.

    Raises:
        ValueError: for tensors that are not on CUDA (unless Triton was imported with ``TRITON_INTERPRET=1``), for
            shapes that do not fit together, and if only one of ``eos`` and ``pad`` is given.
    """
    batch, length, rollouts, units = _sizes(tokens, hidden, cell, parameters, uniforms, eos, pad)
    if isinstance(_kernel, triton.JITFunction) and not tokens.is_cuda:
        raise ValueError(f"expected tensors on a CUDA device, got {tokens.device}")
    finished = torch.empty(length - 1, batch, rollouts, length, dtype=torch.long, device=tokens.device)
    if finished.numel() == 0:
        return finished
    # Everything is padded to whole tiles and parts here, so that the kernel need not mask: units of weight zero stay
    # zero, words of bias -inf are never drawn.
    wide = max(SMALLEST_DOT, triton.next_power_of_2(units))
    tiles = triton.cdiv(triton.cdiv(len(parameters.output_bias), words), parts)  # a part has so many
    more_units, more_words = wide - units, -len(parameters.output_bias) % (words * tiles)
    vocabulary = len(parameters.output_bias) + more_words
    table = F.linear(parameters.embedding, parameters.input_weight, parameters.gate_bias)
    blocks = triton.cdiv(batch * rollouts, rows)
    with torch.cuda.device_of(tokens):  # Triton launches on the current device
        _kernel[((length - 1) * blocks,)](
            tokens.contiguous(),
            F.pad(hidden, (0, more_units)).contiguous(),
            F.pad(cell, (0, more_units)).contiguous(),
            F.pad(table.view(-1, 4, units), (0, more_units)).contiguous(),  # (S, 4, wide)
            F.pad(  # (4, wide, wide): gate, from unit, to unit
                parameters.recurrent_weight.view(4, units, units).transpose(1, 2), (0, more_units, 0, more_units)
            ).contiguous(),
            F.pad(parameters.output_weight.t(), (0, more_words, 0, more_units)).contiguous(),  # (wide, whole parts)
            F.pad(parameters.output_bias, (0, more_words), value=-math.inf),
            uniforms.contiguous(),
            finished,
            batch,
            rollouts,
            length,
            vocabulary,
            -1 if eos is None else eos,
            -1 if pad is None else pad,
            blocks,
            ENDS=eos is not None,
            UNITS=wide,
            ROWS=rows,
            WORDS=words,
            PARTS=max(SMALLEST_SCAN, triton.next_power_of_2(vocabulary // (words * tiles))),
            TILES=tiles,
            PRECISION=precision,
            num_warps=WARPS,
        )
    return finished


@torch.no_grad()
def reference_complete_on_chip(
    tokens: Tensor,
    hidden: Tensor,
    cell: Tensor,
    parameters: Parameters,
    uniforms: Tensor,
    eos: int | None = None,
    pad: int | None = None,
) -> Tensor:
    """The same in plain torch, prefix by prefix and word by word; draws in double precision."""
    batch, length, rollouts, _ = _sizes(tokens, hidden, cell, parameters, uniforms, eos, pad)
    embedding, input_weight, recurrent_weight, gate_bias, output_weight, output_bias = parameters
    finished = tokens[:, None].repeat(length - 1, 1, rollouts, 1)
    for kept in range(1, length):
        rows = finished[kept - 1].view(batch * rollouts, length)
        state = hidden[kept].repeat_interleave(rollouts, 0), cell[kept].repeat_interleave(rollouts, 0)
        ended = (rows[:, :kept] == (-1 if eos is None else eos)).any(-1)
        for t in range(kept, length):
            logits = F.linear(state[0], output_weight, output_bias)
            chosen = reference_sample_tokens(logits, uniforms[kept - 1, t - 1].flatten())
            if eos is not None and pad is not None:
                chosen = chosen.masked_fill(ended, pad)
                ended |= chosen == eos
            rows[:, t] = chosen
            state = torch.lstm_cell(
                embedding[chosen], state, input_weight, recurrent_weight, gate_bias, torch.zeros_like(gate_bias)
            )
    return finished


def _sizes(
    tokens: Tensor,
    hidden: Tensor,
    cell: Tensor,
    parameters: Parameters,
    uniforms: Tensor,
    eos: int | None,
    pad: int | None,
) -> tuple[int, int, int, int]:
    """Check all shapes and return B, T, N and H, on which a kernel that reads by address relies."""
    (batch, length), rollouts = tokens.shape, uniforms.shape[-1]
    embedding, input_weight, recurrent_weight, gate_bias, output_weight, output_bias = parameters
    (words, units), (symbols, dim) = output_weight.shape, embedding.shape
    expected = {
        "hidden": (hidden, (length, batch, units)),
        "cell": (cell, (length, batch, units)),
        "uniforms": (uniforms, (length - 1, length - 1, batch, rollouts)),
        "input_weight": (input_weight, (4 * units, dim)),
        "recurrent_weight": (recurrent_weight, (4 * units, units)),
        "gate_bias": (gate_bias, (4 * units,)),
        "output_bias": (output_bias, (words,)),
    }
    if tokens.dtype != torch.int64:
        raise ValueError(f"expected tokens to be int64, got {tokens.dtype}")
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(f"expected {name} of shape {shape}, float32, got {tuple(tensor.shape)}, {tensor.dtype}")
    if symbols < words:
        raise ValueError(f"expected an embedding of each of {words} words, got {symbols}")
    if (eos is None) != (pad is None):
        raise ValueError(f"expected eos and pad both or neither, got eos={eos}, pad={pad}")
    return batch, length, rollouts, units


def _complete(  # type: ignore[no-untyped-def]  # Triton compiles annotations too
    tokens,
    hidden,
    cell,
    table,
    recurrent,
    columns,
    offsets,
    uniforms,
    finished,
    batch,
    rollouts,
    length,
    vocabulary,
    eos,
    pad,
    blocks,
    ENDS: tl.constexpr,
    UNITS: tl.constexpr,
    ROWS: tl.constexpr,
    WORDS: tl.constexpr,
    PARTS: tl.constexpr,
    TILES: tl.constexpr,
    PRECISION: tl.constexpr,
):
    # Programs start in the order of their numbers: the shortest prefixes, which are the longest jobs, come first.
    kept = tl.program_id(0) // blocks + 1
    copies = batch * rollouts
    row = (tl.program_id(0) % blocks * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    valid = row < copies
    sequence = row // rollouts
    unit = tl.arange(0, UNITS)
    word = tl.arange(0, WORDS)
    part = tl.arange(0, PARTS)
    out = finished + ((kept - 1).to(tl.int64) * copies + row) * length
    ended = tl.zeros((ROWS,), tl.int1)
    for t in range(kept):
        token = tl.load(tokens + sequence * length + t, mask=valid, other=0)
        tl.store(out + t, token, mask=valid)
        if ENDS:
            ended = ended | (token == eos)

    start = ((kept.to(tl.int64) * batch + sequence) * UNITS)[:, None] + unit[None, :]
    h = tl.load(hidden + start, mask=valid[:, None], other=0.0)  # (ROWS, UNITS)
    c = tl.load(cell + start, mask=valid[:, None], other=0.0)
    tile = columns + unit[:, None].to(tl.int64) * vocabulary + word[None, :]  # (UNITS, WORDS)
    square = recurrent + unit[:, None] * UNITS + unit[None, :]  # (UNITS, UNITS)
    for t in range(kept, length):
        largest = tl.full((ROWS,), -float("inf"), tl.float32)
        sums = tl.zeros((ROWS, PARTS), tl.float32)  # of exp(logit - largest), part by part of the vocabulary
        for first in range(0, vocabulary, WORDS):
            logits = tl.dot(h, tl.load(tile + first), input_precision=PRECISION)
            logits += tl.load(offsets + first + word)[None, :]
            larger = tl.maximum(largest, tl.max(logits, 1))
            shift = tl.where(larger == -float("inf"), 0.0, larger)  # no word possible so far: -inf - -inf is NaN
            added = tl.sum(tl.exp(logits - shift[:, None]), 1)
            here = part[None, :] == first // (WORDS * TILES)
            sums = sums * tl.exp(largest - shift)[:, None] + tl.where(here, added[:, None], 0.0)
            largest = larger

        index = ((kept - 1).to(tl.int64) * (length - 1) + t - 1) * copies + row
        target = tl.load(uniforms + index, mask=valid, other=0.0) * tl.sum(sums, 1)
        possible_part = sums > 0
        found = possible_part & (tl.cumsum(sums, 1) > target[:, None])
        chosen_part = tl.min(tl.where(found, part[None, :], 2147483647), 1)  # the first that exceeds the target
        last_part = tl.max(tl.where(possible_part, part[None, :], 0), 1)  # in case rounding lets none exceed it
        chosen_part = tl.where(chosen_part == 2147483647, last_part, chosen_part)
        sum_before = tl.sum(tl.where(part[None, :] < chosen_part[:, None], sums, 0.0), 1)

        shift = tl.where(largest == -float("inf"), 0.0, largest)
        chosen = tl.full((ROWS,), 2147483647, tl.int32)  # the same for the words of that part
        last = tl.zeros((ROWS,), tl.int32)
        for one in range(0, TILES):
            number = ((chosen_part * TILES + one) * WORDS)[:, None] + word[None, :]  # (ROWS, WORDS)
            logits = tl.load(offsets + number)
            for u in range(0, UNITS):  # each row has columns of its own: no matrix product
                h_u = tl.sum(tl.where(unit[None, :] == u, h, 0.0), 1)
                logits += h_u[:, None] * tl.load(columns + u * vocabulary + number)
            weights = tl.exp(logits - shift[:, None])
            possible = weights > 0
            exceeds = possible & (sum_before[:, None] + tl.cumsum(weights, 1) > target[:, None])
            chosen = tl.minimum(chosen, tl.min(tl.where(exceeds, number, 2147483647), 1))
            last = tl.maximum(last, tl.max(tl.where(possible, number, 0), 1))
            sum_before += tl.sum(weights, 1)
        token = tl.where(chosen == 2147483647, last, chosen).to(tl.int64)
        if ENDS:
            token = tl.where(ended, pad, token)
            ended = ended | (token == eos)
        tl.store(out + t, token, mask=valid)

        gates = table + (token * 4 * UNITS)[:, None] + unit[None, :]
        i = tl.load(gates) + tl.dot(h, tl.load(square), input_precision=PRECISION)
        f = tl.load(gates + UNITS) + tl.dot(h, tl.load(square + UNITS * UNITS), input_precision=PRECISION)
        g = tl.load(gates + 2 * UNITS) + tl.dot(h, tl.load(square + 2 * UNITS * UNITS), input_precision=PRECISION)
        o = tl.load(gates + 3 * UNITS) + tl.dot(h, tl.load(square + 3 * UNITS * UNITS), input_precision=PRECISION)
        # tanh(x) = 2 sigmoid(2 x) - 1, since Triton's own tanh needs the device library, which is not everywhere.
        c = tl.sigmoid(f) * c + tl.sigmoid(i) * (2 * tl.sigmoid(2 * g) - 1)
        h = tl.sigmoid(o) * (2 * tl.sigmoid(2 * c) - 1)


_kernel: Any = triton.jit(_complete)
