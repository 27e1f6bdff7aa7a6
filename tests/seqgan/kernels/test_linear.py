from __future__ import annotations

import pytest
import torch

from seqgan.kernels.linear import reference_wide_linear, wide_linear


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 3, 7), (64, 172, 344)])
def test_wide_linear_is_its_twin(shape, threads, torch_threads):
    torch_threads(threads)
    rows, inputs, outputs = shape
    rng = torch.Generator().manual_seed(0)
    leaves = [
        torch.randn(*size, generator=rng).requires_grad_() for size in ((rows, inputs), (outputs, inputs), (outputs,))
    ]
    got, expected = wide_linear(*leaves), reference_wide_linear(*leaves)
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-5)
    slopes = torch.randn(got.shape, generator=rng)
    gradients = torch.autograd.grad((got * slopes).sum(), leaves)
    for one, other in zip(gradients, torch.autograd.grad((expected * slopes).sum(), leaves), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)
