"""Draws from ``softmax(hidden @ weight.T + bias)`` without a (rows, V) tensor of random numbers.

``torch.multinomial`` draws V exponentials a row, which on a CPU costs far more than the logits themselves. Here a row
needs one uniform number: the vocabulary is cut into blocks of about sqrt(V) words, the uniform first picks a block by
the blocks' cumulative weights and then a word by the cumulative weights inside that block. Rows are handled in chunks
small enough for logits and weights to stay in the processor's cache. The draws are exact up to the
resolution of a float32 uniform, 6e-8. On CUDA, where noise is cheap and a scan is not,
the exponential race ``argmax(p / E), E ~ Exp(1)`` is used instead.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CPU_ROWS = 128
"""Rows a chunk on the CPU: 128 x 5,000 floats are 2.5 MB, about one core's second-level cache."""
CUDA_ROWS = 16_384
"""Rows a chunk on CUDA: bounds the logits to 330 MB at V = 5,000."""
BELOW_ONE = 1 - 2**-24
"""The largest float32 below 1."""


@torch.no_grad()
def sample_tokens(
    hidden: Tensor, weight: Tensor, bias: Tensor, rng: torch.Generator, temperature: float = 1.0
) -> Tensor:
    """Draw one token a row from ``softmax((hidden @ weight.T + bias) / temperature)``.

    Args:
        hidden: float32, (R, H).
        weight: float32, (V, H), the output layer.
        bias: float32, (V,).
        rng: The only source of randomness; on the same device.
        temperature: Divides the logits.

    Returns:
        int64, (R,). A token of probability zero is never drawn.

    Raises:
        FloatingPointError: for logits that are no numbers; checked on the CPU only, where it costs nothing.
    """
    if hidden.is_cuda:
        race = [
            torch.argmax(
                torch.softmax(torch.addmm(bias, rows, weight.t()) / temperature, -1)
                / torch.empty(len(rows), len(weight), device=hidden.device)
                .exponential_(generator=rng)
                .clamp_min_(1e-30),
                dim=-1,
            )
            for rows in hidden.split(CUDA_ROWS)
        ]
        return torch.cat(race) if race else torch.empty(0, dtype=torch.long, device=hidden.device)
    block = math.isqrt(len(weight) - 1) + 1
    padding = -len(weight) % block
    # The padding's bias of -inf gives it weight zero, so that it can never be drawn.
    columns = F.pad(weight, (0, 0, 0, padding)).t()  # (H, blocks * block)
    bias = F.pad(bias, (0, padding), value=-math.inf)
    uniforms = torch.rand(len(hidden), generator=rng)
    tokens = torch.empty(len(hidden), dtype=torch.long)
    for start in range(0, len(hidden), CPU_ROWS):
        chunk = slice(start, start + CPU_ROWS)
        logits = torch.addmm(bias, hidden[chunk], columns)
        if temperature != 1.0:
            logits /= temperature
        weights = logits.sub_(logits.amax(-1, keepdim=True)).exp_().view(len(logits), -1, block)
        tokens[chunk] = _two_level_inverse_cdf(weights, uniforms[chunk])
    return tokens


def _two_level_inverse_cdf(weights: Tensor, uniforms: Tensor) -> Tensor:
    """The token at which the cumulative weight first exceeds ``uniform * total``: (R, blocks, block), (R,) -> (R,)."""
    blocks = weights.sum(-1).cumsum(-1)
    if not bool(blocks[:, -1].isfinite().all()):
        raise FloatingPointError("expected finite logits, got NaN or infinity: the model has diverged")
    target = uniforms * blocks[:, -1]
    chosen = (blocks <= target[:, None]).sum(-1, keepdim=True).clamp_(max=blocks.shape[1] - 1)
    upper = blocks.gather(1, chosen)[:, 0]
    lower = torch.where(chosen[:, 0] > 0, blocks.gather(1, (chosen - 1).clamp_(min=0))[:, 0], 0.0)
    words = weights[torch.arange(len(weights)), chosen[:, 0]].cumsum(-1)
    # The two levels were summed in different orders: rescale, so that the target stays inside the chosen block.
    inside = ((target - lower) / (upper - lower)).clamp_(0, BELOW_ONE) * words[:, -1]
    return chosen[:, 0] * weights.shape[-1] + (words <= inside[:, None]).sum(-1).clamp_(max=weights.shape[-1] - 1)


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
    return logits.masked_fill(torch.zeros_like(drop).scatter_(1, order, drop), -math.inf)
