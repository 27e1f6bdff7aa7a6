"""Draws from ``softmax(hidden @ weight.T + bias)`` without a (rows, V) tensor of random numbers.

``torch.multinomial`` draws V exponentials a row, which on a CPU costs far more than the logits themselves. Here a draw
needs one uniform number. Rows are handled in chunks whose logits stay in the processor's cache: a matrix product writes
them, one compiled pass (:mod:`seqgan.kernels.softmax`) exponentiates them and sums them by blocks of 64 words, and the
uniform picks first a block and then a word inside it. The draws are exact up to the rounding of float32 weights.
On CUDA, where noise is cheap and a scan is not, the exponential race ``argmax(p / E), E ~ Exp(1)`` is used instead.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqgan.kernels.threads import across_threads, parts

CPU_ROWS = 128
"""Rows per chunk on the CPU: 128 x 5,000 floats are 2.5 MB."""
CUDA_ROWS = 16_384
"""Rows per chunk on CUDA: limits the logits to 330 MB at V = 5,000."""


@torch.no_grad()
def sample_tokens(
    hidden: Tensor, weight: Tensor, bias: Tensor, rng: torch.Generator, temperature: float = 1.0, draws: int = 1
) -> Tensor:
    """Draw tokens from ``softmax((hidden @ weight.T + bias) / temperature)``, ``draws`` per row.

    Args:
        hidden: float32, (R, H).
        weight: float32, (V, H), the output layer.
        bias: float32, (V,).
        rng: The only source of randomness; on the same device.
        temperature: Divides the logits.
        draws: K, number of independent draws per row; on the CPU, K draws cost hardly more than one.

    Returns:
        int64, (R, K). A token of probability zero is never drawn.

    Raises:
        FloatingPointError: if the largest logit of a row is NaN or infinite; checked only on the CPU, where it is free.
    """
    if hidden.is_cuda:
        return _exponential_race(hidden.repeat_interleave(draws, 0), weight, bias, rng, temperature).view(-1, draws)
    uniforms = torch.rand(len(hidden), draws, generator=rng, dtype=torch.double)
    return inverse_cdf(hidden, weight, bias, uniforms, temperature)


@torch.no_grad()
def inverse_cdf(hidden: Tensor, weight: Tensor, bias: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
    """The tokens at which each row's cumulative probability first exceeds the uniforms; on the CPU.

    Args:
        hidden: float32, (R, H).
        weight: float32, (V, H).
        bias: float32, (V,).
        uniforms: float64 in [0, 1), (R, K).
        temperature: Divides the logits.

    Returns:
        int64, (R, K).

    Raises:
        ValueError: if ``uniforms`` does not have R rows.
        FloatingPointError: if the largest logit of a row is NaN or infinite.
    """
    from seqgan.kernels.softmax import draw

    if uniforms.shape[:1] != hidden.shape[:1]:
        raise ValueError(f"expected uniforms for {len(hidden)} rows, got {tuple(uniforms.shape)}")
    columns, offsets = padded_columns(weight, bias)
    tokens = torch.empty(uniforms.shape, dtype=torch.long)

    def fill(rows: slice) -> None:
        logits = torch.empty(min(CPU_ROWS, rows.stop - rows.start), len(offsets))
        for start in range(rows.start, rows.stop, CPU_ROWS):
            chunk = slice(start, min(start + CPU_ROWS, rows.stop))
            part = logits[: chunk.stop - chunk.start]
            largest = chunk_of_logits(hidden[chunk], columns, offsets, part)
            draw(
                part.numpy(),
                largest.numpy(),
                np.float32(1 / temperature),
                uniforms[chunk].numpy(),
                tokens[chunk].numpy(),
            )

    across_threads(fill, parts(len(hidden), CPU_ROWS))
    return tokens


def padded_columns(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The output layer, (V, H) and (V,), as (H, P) and (P,), padded with words of bias -inf to whole blocks."""
    from seqgan.kernels.softmax import BLOCK

    padding = -len(weight) % BLOCK
    return F.pad(weight.detach(), (0, 0, 0, padding)).t(), F.pad(bias.detach(), (0, padding), value=-math.inf)


def chunk_of_logits(hidden: Tensor, columns: Tensor, offsets: Tensor, logits: Tensor) -> Tensor:
    """Fill in ``logits`` (R, P) from ``hidden`` (R, H) and return each row's maximum, (R,), all finite.

    Raises:
        FloatingPointError: if the largest logit of a row is NaN or infinite.
    """
    torch.addmm(offsets, hidden, columns, out=logits)
    largest = logits.amax(-1)
    if not bool(largest.isfinite().all()):
        raise FloatingPointError("expected finite logits, got NaN or infinity: the model has diverged")
    return largest


def _exponential_race(hidden: Tensor, weight: Tensor, bias: Tensor, rng: torch.Generator, temperature: float) -> Tensor:
    """``argmax(p / E)`` with E ~ Exp(1) is distributed as p; never waits for the device. (R, H) to (R,)."""
    tokens = torch.empty(len(hidden), dtype=torch.long, device=hidden.device)
    for rows, chosen in zip(hidden.split(CUDA_ROWS), tokens.split(CUDA_ROWS), strict=True):
        probabilities = torch.softmax(torch.addmm(bias, rows, weight.t()) / temperature, -1)
        race = torch.empty_like(probabilities).exponential_(generator=rng).clamp_min_(1e-30)
        torch.argmax(probabilities / race, dim=-1, out=chosen)
    return tokens


def reference_sample_tokens(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Plain inverse-CDF sampling in double precision; the twin of :func:`sample_tokens`.

    Args:
        logits: float, (R, V).
        uniforms: float in [0, 1), (R,).

    Returns:
        int64, (R,): the first token whose cumulative probability exceeds the uniform.
    """
    cumulative = torch.softmax(logits.double(), -1).cumsum(-1)
    target = uniforms.double()[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


def truncate(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Logits with everything outside the top k words and outside the nucleus of mass p set to -inf.

    Args:
        logits: float, (R, V), already divided by the temperature.
        top_k: Keep this many words (Fan et al. 2018), None for all.
        top_p: Keep the smallest set of most probable words with at least this mass (Holtzman et al. 2020).
    """
    ordered, order = logits.sort(dim=-1, descending=True, stable=True)
    drop = torch.zeros_like(ordered, dtype=torch.bool)
    if top_k is not None:
        drop[:, top_k:] = True
    if top_p is not None and top_p < 1:
        kept = ordered.masked_fill(drop, -math.inf).softmax(-1)
        drop |= kept.cumsum(-1) - kept >= top_p
        drop[:, 0] = False  # the most probable word stays, also where p is 0 in the logits' precision
    return logits.masked_fill(torch.zeros_like(drop).scatter_(1, order, drop), -math.inf)
