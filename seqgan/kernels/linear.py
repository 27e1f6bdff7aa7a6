"""A linear layer with a wide weight and few rows: the discriminator's highway layer in training."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqgan.kernels.threads import across_threads, parts


def wide_linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``inputs @ weight.T + bias``, each thread with its own rows of ``weight``, forward and backward.

    Args:
        inputs: float32, (B, I).
        weight: float32, (O, I).
        bias: float32, (O,).

    Returns:
        float32, (B, O), through which all three get gradients.
    """
    if inputs.is_cuda:
        return reference_wide_linear(inputs, weight, bias)
    outputs: Tensor = _WideLinear.apply(inputs, weight, bias)  # type: ignore[no-untyped-call]
    return outputs


reference_wide_linear = F.linear


class _WideLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        outputs = torch.empty(len(inputs), len(weight))
        constant, offset = weight.detach(), bias.detach()

        def forth(rows: slice) -> None:
            outputs[:, rows] = F.linear(inputs, constant[rows], offset[rows])

        across_threads(forth, parts(len(weight)))
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        (slopes,) = upstream
        d_weight = torch.empty_like(weight)

        def back(rows: slice) -> Tensor:
            torch.mm(slopes[:, rows].t(), inputs, out=d_weight[rows])
            d_inputs: Tensor = slopes[:, rows] @ weight[rows]
            return d_inputs

        d_inputs, *others = across_threads(back, parts(len(weight)))
        for other in others:  # in the order of the rows, whichever thread finished first
            d_inputs += other
        return d_inputs, d_weight, slopes.sum(0)
