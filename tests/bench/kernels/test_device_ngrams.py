from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.kernels.device_ngrams import DeviceCounts, sentence_bleu_on_device
from bench.kernels.ngrams import ReferenceCounts, sentence_bleu

ORDERS = (2, 3, 4, 5)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.mark.parametrize(
    ("rows", "length", "words", "references"), [(300, 12, 4, 200), (50, 20, 3_000, 300), (7, 3, 2, 1), (0, 5, 3, 4)]
)
def test_it_is_the_twin_on_the_cpu(rows, length, words, references, device):
    rng = np.random.default_rng(0)
    texts, ends = rng.integers(words, size=(references, length)), rng.integers(length + 1, size=references)
    counts = ReferenceCounts.build(texts, ends, max_order=5)
    tokens, lengths = rng.integers(-1, words + 1, size=(rows, length)), rng.integers(length + 1, size=rows)
    tokens[: rows // 3], lengths[: rows // 3] = (
        texts[np.arange(rows // 3) % references],
        ends[np.arange(rows // 3) % references],
    )
    scores = sentence_bleu_on_device(
        torch.from_numpy(tokens).to(device),
        torch.from_numpy(lengths).to(device),
        DeviceCounts.of(counts, device),
        ORDERS,
    )
    expected = sentence_bleu(tokens, lengths, counts, ORDERS)
    assert scores.device.type == device.type
    np.testing.assert_allclose(scores.cpu().numpy(), expected, atol=1e-12, rtol=1e-12)
    assert rows == 0 or 0 < expected.max() <= 1


def test_orders_that_were_not_counted_are_refused(device):
    counts = DeviceCounts.of(ReferenceCounts.build(np.ones((2, 4), dtype=int), np.array([4, 4]), 2), device)
    for orders in ((3,), (0,), ()):
        with pytest.raises(ValueError, match=r"expected orders in \[1, 2\]"):
            sentence_bleu_on_device(torch.ones(1, 4, dtype=torch.long), torch.tensor([4]), counts, orders)
