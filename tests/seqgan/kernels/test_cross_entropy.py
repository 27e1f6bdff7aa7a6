from __future__ import annotations

import math

import pytest
import torch

from seqgan.kernels.cross_entropy import log_softmax_at, reference_weighted_nll, weighted_nll
from seqgan.kernels.sampling import CPU_ROWS


def problem(rows, vocab_size, dim=6, scale=1.0, seed=0):
    rng = torch.Generator().manual_seed(seed)
    hidden, weight, bias = (
        (torch.randn(*shape, generator=rng) * scale).requires_grad_()
        for shape in ((rows, dim), (vocab_size, dim), (vocab_size,))
    )
    targets = torch.randint(vocab_size, (rows,), generator=rng)
    return (hidden, weight, bias), targets, torch.randn(rows, generator=rng)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize(("rows", "vocab_size"), [(1, 1), (5, 3), (2 * CPU_ROWS + 7, 64), (40, 65), (300, 5_000)])
def test_the_fused_pass_is_its_twin_in_double_precision(rows, vocab_size, scale):
    leaves, targets, weights = problem(rows, vocab_size, scale=scale)
    loss, log_prob = weighted_nll(*leaves, targets, weights)
    gradients = torch.autograd.grad(3 * loss, leaves)  # an upstream gradient other than one
    doubles = [leaf.detach().double().requires_grad_() for leaf in leaves]
    expected_loss, expected = reference_weighted_nll(*doubles, targets, weights.double())
    torch.testing.assert_close(loss.double(), expected_loss, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(log_prob.double(), expected, atol=2e-5, rtol=2e-6)
    assert not log_prob.requires_grad
    for one, other in zip(gradients, torch.autograd.grad(3 * expected_loss, doubles), strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_softmax_at(*leaves, targets), log_prob, atol=1e-6, rtol=1e-6)


def test_rows_of_weight_zero_teach_nothing():
    leaves, targets, weights = problem(20, 9)
    weights[5:] = 0
    gradients = torch.autograd.grad(weighted_nll(*leaves, targets, weights)[0], leaves)
    assert not gradients[0][5:].any()
    few = torch.autograd.grad(weighted_nll(leaves[0][:5], *leaves[1:], targets[:5], weights[:5])[0], leaves[1:])
    for one, other in zip(gradients[1:], few, strict=True):
        torch.testing.assert_close(one, other)


def test_impossible_and_huge_logits():
    hidden, weight = torch.zeros(2, 3), torch.zeros(70, 3)
    bias = torch.full((70,), -math.inf)
    bias[3], bias[66] = 1e6, 1e6
    log_prob = log_softmax_at(hidden, weight, bias, torch.tensor([66, 5]))
    assert log_prob[0] == pytest.approx(math.log(0.5))
    assert log_prob[1] == -math.inf


@pytest.mark.parametrize("target", [-1, 9])
def test_targets_outside_the_vocabulary_are_refused(target):
    leaves, targets, weights = problem(20, 9)
    targets[7] = target
    for function, arguments in ((weighted_nll, (targets, weights)), (log_softmax_at, (targets,))):
        with pytest.raises(IndexError, match="expected tokens from 0 to 8"):
            function(*leaves, *arguments)


def test_a_diverged_model_is_reported():
    leaves, targets, weights = problem(20, 9)
    with torch.no_grad():
        leaves[1][4, 2] = math.nan
    with pytest.raises(FloatingPointError, match="the model has diverged"):
        weighted_nll(*leaves, targets, weights)


def test_no_rows():
    leaves, targets, weights = problem(0, 9)
    loss, log_prob = weighted_nll(*leaves, targets, weights)
    assert (float(loss.detach()), log_prob.shape) == (0.0, (0,))
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, leaves))


def test_there_are_one_target_and_one_weight_per_row():
    leaves, targets, weights = problem(20, 9)
    for arguments in ((targets[:7], weights), (targets, weights[:7]), (targets[:, None], weights)):
        with pytest.raises(ValueError, match=r"expected (targets|weights) of shape \(20,\), one per row"):
            weighted_nll(*leaves, *arguments)
    with pytest.raises(ValueError, match="expected targets"):
        log_softmax_at(*leaves, targets[:7])


def test_a_second_derivative_is_refused():
    leaves, targets, weights = problem(20, 9)
    (gradient,) = torch.autograd.grad(weighted_nll(*leaves, targets, weights)[0] ** 2, leaves[:1], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
