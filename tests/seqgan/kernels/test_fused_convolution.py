"""The Triton kernels against torch's convolution: compiled where there is a GPU, else interpreted."""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys

import pytest
import torch

from seqgan.kernels.convolution import Filters, reference_max_over_time

pytest.importorskip("triton", reason="Triton is not installed; torch's CUDA builds bring it along")
fused = importlib.import_module("seqgan.kernels.fused_convolution")

CASES = {
    "small": (5, 7, 6, (1, 2, 3, 7), (3, 20, 5, 4)),
    "several programs": (5, 9, 8, (1, 4, 9), (10, 70, 3)),
    "one word": (1, 1, 3, (1,), (2,)),
    "a wide embedding": (3, 5, 80, (2, 3), (4, 4)),
    "a long sentence": (2, 130, 4, (2,), (3,)),
}
"""Sentences, words, components, and sizes and counts of the filters."""

INTERPRETED = """
import pickle, sys, torch
from seqgan.kernels.fused_convolution import MaxOverTime
answers = []
for words, parameter, bias, slopes, sizes, counts in pickle.load(sys.stdin.buffer):
    leaves = [tensor.requires_grad_() for tensor in (words, parameter, bias)]
    features = MaxOverTime.apply(*leaves, sizes, counts)
    answers.append([features.detach(), *torch.autograd.grad(features, leaves, slopes)])
pickle.dump(answers, sys.stdout.buffer)
"""
"""Triton decides when it is imported whether kernels are compiled or interpreted: hence a separate process."""


def problem(batch, length, dim, sizes, counts):
    rng = torch.Generator().manual_seed(batch)
    filters = Filters(sizes, counts, dim)
    shapes = (batch, length, dim), (filters.numbers,), (len(filters),), (batch, len(filters))
    words, parameter, bias, slopes = (torch.randn(shape, generator=rng) for shape in shapes)
    if batch > 2:
        words[1] = words[1, :1]  # one word again and again: every window is the highest
    return words, parameter, bias, slopes, sizes, counts


def differentiate(function, words, parameter, bias, slopes):
    leaves = [tensor.clone().requires_grad_() for tensor in (words, parameter, bias)]
    features = function(*leaves)
    return [features.detach(), *torch.autograd.grad(features, leaves, slopes)]


@pytest.fixture(scope="module")
def answers():
    problems = [problem(*case) for case in CASES.values()]
    if torch.cuda.is_available():
        found = []
        for *tensors, sizes, counts in problems:
            moved = [tensor.cuda() for tensor in tensors]
            again = [differentiate(lambda *leaves: fused.MaxOverTime.apply(*leaves, sizes, counts), *moved)  # noqa: B023
                     for _ in range(2)]  # fmt: skip
            assert all(map(torch.equal, *again))  # the same bits
            found.append([tensor.cpu() for tensor in again[0]])
    else:
        environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", INTERPRETED]
        done = subprocess.run(command, input=pickle.dumps(problems), env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        found = pickle.loads(done.stdout)
    return dict(zip(CASES, found, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_features_and_gradients_are_those_of_the_reference(case, answers):
    words, parameter, bias, slopes, sizes, counts = problem(*CASES[case])
    filters = Filters(sizes, counts, words.shape[-1])
    expected = differentiate(lambda *leaves: reference_max_over_time(*leaves, filters), words, parameter, bias, slopes)
    features, d_words, d_parameter, d_bias = answers[case]
    close = {"rtol": 1e-4, "atol": 1e-4}
    torch.testing.assert_close(features, expected[0], **close)
    torch.testing.assert_close(d_bias, expected[3], **close)
    torch.testing.assert_close(d_parameter, expected[2], **close)
    if len(words) > 2:  # of equal windows any may be the one with the gradient: what the word gets in all is the same
        d_words[1], expected[1][1] = d_words[1].sum(0), expected[1][1].sum(0)
    torch.testing.assert_close(d_words, expected[1], **close)


def test_some_features_are_zero_and_some_are_not(answers):
    features = answers["several programs"][0]
    assert 0.05 < float((features > 0).float().mean()) < 0.95


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_nan_stays_nan_on_cuda():
    words, parameter, bias, *_, sizes, counts = problem(*CASES["small"])
    words[0, 3] = torch.nan
    features = fused.MaxOverTime.apply(words.cuda(), parameter.cuda(), bias.cuda(), sizes, counts).cpu()
    assert features[0].isnan().all()
    assert not features[1:].isnan().any()


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize(
    ("kernel", "constants"),
    [
        ("_pool", {"FILTERS": 32, "PADDED": 32}),
        ("_spread", {"FILTERS": 32, "PADDED": 32}),
        ("_filter_gradient", {"NUMBERS": 256, "AT_ONCE": 16}),
    ],
)
def test_they_compile_for_hopper_on_a_machine_without(kernel, constants, tmp_path, monkeypatch):
    # The interpreter accepts code that the compiler refuses.
    compiler = importlib.import_module("triton.compiler")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(fused, kernel)
    types = dict.fromkeys(kernel.arg_names, "*fp32")
    types |= dict.fromkeys(("tiles", "offsets"), "*i64") | dict.fromkeys(("sizes", "starts"), "*i32")
    types |= dict.fromkeys(("batch", "length", "dim", "filters", "rows"), "i32") | dict.fromkeys(constants, "constexpr")
    types = {name: types[name] for name in kernel.arg_names}
    values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    compiled = compiler.compile(compiler.ASTSource(kernel, types, values), target=target)
    assert ".target sm_90" in compiled.asm["ptx"]
