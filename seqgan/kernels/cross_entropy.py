"""Log-probabilities under a linear layer and softmax, and their gradient, without the (rows, V) logits in memory.

At the paper's shape a batch has 1,280 rows of 5,000 logits, 26 MB, which plain torch writes and reads about eight times
in a training step. Here a chunk of rows stays in cache through all steps: logits, probabilities, their gradient in
place, and its two matrix products. The gradient must be known in the forward pass, so what is differentiated is the
weighted sum of the log-probabilities, with weights given beforehand: one over the number of tokens for maximum
likelihood, the action values for policy gradient. Fusing linear layer and loss in this way is known from Liger (Hsu et
al. 2024) and Cut Cross-Entropy (Wijmans et al. 2024); nothing is approximated here. Dividing rows among threads is left
to the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqgan.kernels.bounds import check_range, check_rows
from seqgan.kernels.sampling import CPU_ROWS, chunk_of_logits, padded_columns


def weighted_nll(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """``-sum(weights * log_prob)`` with ``log_prob = log softmax(hidden @ weight.T + bias)[targets]``.

    Args:
        hidden: float32, (R, H).
        weight: float32, (V, H).
        bias: float32, (V,).
        targets: int64, (R,).
        weights: float32, (R,), constants.

    Returns:
        The sum, a scalar through which ``hidden``, ``weight`` and ``bias`` get their gradients, and ``log_prob``,
        float32 (R,), in nats, which carries none.

    Raises:
        ValueError: if there is not one target and one weight per row.
        IndexError: for a target outside [0, V).
        FloatingPointError: if the largest logit of a row is NaN or infinite; checked only on the CPU.
    """
    if hidden.is_cuda:
        return reference_weighted_nll(hidden, weight, bias, targets, weights)
    check_rows(len(hidden), targets=targets, weights=weights)
    check_range(targets, len(weight))
    loss, log_prob = _WeightedNLL.apply(hidden, weight, bias, targets, weights)  # type: ignore[no-untyped-call]
    return loss, log_prob


def reference_weighted_nll(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The same in plain torch; used on CUDA."""
    log_prob = -F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none")
    return -(weights * log_prob).sum(), log_prob.detach()


@torch.no_grad()
def log_softmax_at(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """``log softmax(hidden @ weight.T + bias)[targets]``: float32 (R, H), int64 (R,) to float32 (R,); no gradient."""
    if hidden.is_cuda:
        return -F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none")
    from seqgan.kernels.softmax import log_probs

    check_rows(len(hidden), targets=targets)
    check_range(targets, len(weight))
    columns, offsets = padded_columns(weight, bias)
    out = torch.empty(len(hidden))
    for chunk, logits in _chunks(len(hidden), len(offsets)):
        largest = chunk_of_logits(hidden[chunk], columns, offsets, logits)
        log_probs(logits.numpy(), largest.numpy(), targets[chunk].numpy(), out[chunk].numpy())
    return out


class _WeightedNLL(torch.autograd.Function):
    """Forward also computes the gradients, for an upstream gradient of 1; backward scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, weights: Tensor) -> Any:
        from seqgan.kernels.softmax import log_probs_and_slopes

        hidden, weights = hidden.contiguous(), weights.detach().contiguous()
        columns, offsets = padded_columns(weight, bias)
        rows_of_weight = columns.t()
        log_prob, d_hidden = torch.empty(len(hidden)), torch.empty_like(hidden)
        d_weight, d_bias = torch.zeros(rows_of_weight.shape), torch.zeros(len(offsets))
        for chunk, logits in _chunks(len(hidden), len(offsets)):
            largest = chunk_of_logits(hidden[chunk], columns, offsets, logits)
            log_probs_and_slopes(
                logits.numpy(),
                largest.numpy(),
                targets[chunk].numpy(),
                weights[chunk].numpy(),
                log_prob[chunk].numpy(),
                d_bias.numpy(),
            )
            torch.mm(logits, rows_of_weight, out=d_hidden[chunk])
            d_weight.addmm_(logits.t(), hidden[chunk])
        ctx.save_for_backward(d_hidden, d_weight[: len(weight)], d_bias[: len(bias)])
        ctx.mark_non_differentiable(log_prob)
        return -(weights * log_prob).sum(), log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        scale = upstream[0]
        if float(scale) == 1.0:
            return *ctx.saved_tensors, None, None
        return *(scale * gradient for gradient in ctx.saved_tensors), None, None


def _chunks(rows: int, width: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of at most CPU_ROWS rows, each with a buffer for its logits; all use the same memory."""
    logits = torch.empty(min(CPU_ROWS, rows), width)
    for start in range(0, rows, CPU_ROWS):
        chunk = slice(start, min(start + CPU_ROWS, rows))
        yield chunk, logits[: chunk.stop - chunk.start]
