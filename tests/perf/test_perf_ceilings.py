"""What the machine can do at best: a big matrix product and a big copy, with which the kernels are compared."""

from __future__ import annotations

import pytest
import torch

from bench.processor import multiplies_bfloat16


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_matmul(measure, device, generator, precision):
    if precision == "bfloat16" and device.type == "cpu" and not multiplies_bfloat16():
        pytest.skip("this processor has no bfloat16 products")
    size = 4_096 if device.type == "cuda" else 2_048
    a, b = (torch.randn(size, size, device=device, generator=generator).to(getattr(torch, precision)) for _ in range(2))
    out = torch.empty_like(a)
    measure(
        lambda: torch.mm(a, b, out=out),
        kernel="ceiling: matmul",
        shape={"size": size},
        amount=1,
        unit="products",
        flops=2 * size**3,
        precision=precision,
    )
    assert torch.isfinite(out).all()


def test_copy(measure, device):
    source = torch.ones(64 * 2**20, device=device)
    target = torch.empty_like(source)
    size = 4 * source.numel()
    measure(
        lambda: target.copy_(source),
        kernel="ceiling: copy",
        shape={"MiB": size // 2**20},
        amount=1,
        unit="copies",
        bytes_moved=2 * size,
    )
    assert target[-1] == 1
