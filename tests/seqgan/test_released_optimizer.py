"""The script that measures TensorFlow's clipping and Adam computes what it says."""

import math
import runpy
from pathlib import Path

import pytest
import torch

from bench.api import SequenceSpec
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import adam, evenly, trainable

SPEC = SequenceSpec(9, 6, bos=0)
SCRIPT = runpy.run_path(str(Path(__file__).with_name("released_optimizer.py")))
BETAS, EPSILON, TensorFlowAdam, gradients, norm, policy_gradient_norms, train = (
    SCRIPT[name]
    for name in ("BETAS", "EPSILON", "TensorFlowAdam", "gradients", "norm", "policy_gradient_norms", "train")
)


@pytest.fixture
def model():
    return LSTMLanguageModel(SPEC, torch.Generator().manual_seed(0), 5, 4)


def test_rows_of_equal_tokens_add_up_to_the_embeddings_gradient(model):
    tokens = torch.randint(9, (7, 6), generator=torch.Generator().manual_seed(1))
    found, rows = gradients(model, tokens, evenly(SPEC, tokens))
    (embedding,) = (index for index, part in enumerate(trainable(model)) if part is model.embedding.weight)
    merged = torch.zeros(9, 5).index_add_(0, model.shift(tokens).flatten(), rows.flatten(0, 1))
    torch.testing.assert_close(found[embedding], merged)
    for part, each in ((None, merged), (rows, rows)):
        squares = [float(each.square().sum())] + [
            float(g.square().sum()) for i, g in enumerate(found) if i != embedding
        ]
        assert norm(found, embedding, part) == pytest.approx(math.sqrt(sum(squares)))


def test_one_row_read_twice_with_one_gradient_counts_half_as_much_unmerged():
    twice = [torch.tensor([[2.0]])]
    assert norm(twice, 0, None) == 2
    assert norm(twice, 0, torch.tensor([[1.0], [1.0]])) == pytest.approx(math.sqrt(2))


def test_without_the_hat_it_is_torchs_adam(model):
    other = LSTMLanguageModel(SPEC, torch.Generator().manual_seed(0), 5, 4)
    ours, theirs = adam(model, 0.01), TensorFlowAdam(trainable(other), 0.01, hat=False)
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        found = [torch.randn(part.shape, generator=rng) for part in trainable(model)]
        for part, gradient in zip(trainable(model), found, strict=True):
            part.grad = gradient.clone()
        ours.step()
        theirs.step(found)
    for one, two in zip(trainable(model), trainable(other), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("size", [1.0, 1e-8])
def test_the_first_step_by_hand(size):
    """After one step both moments are corrected to the gradient itself; the hat makes its epsilon 32 times as large."""
    for hat, epsilon in ((False, EPSILON), (True, EPSILON / math.sqrt(1 - BETAS[1]))):
        parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        TensorFlowAdam([parameter], 0.01, hat).step([torch.full((1,), size, dtype=torch.float64)])
        assert parameter.item() == pytest.approx(-0.01 * size / (size + epsilon), rel=1e-6)


def test_what_it_prints():
    data = Toy(train_size=200, valid_size=50, test_size=10).load().training
    found = [
        train(
            data.train,
            data.valid,
            LSTMLanguageModel(data.spec, torch.Generator().manual_seed(0), 4, 4),
            2,
            unmerged,
            True,
        )
        for unmerged in (False, True)
    ]
    assert [each["updates"] for each in found] == [8, 8]
    assert 0 < found[0]["least ratio"] <= found[0]["largest ratio"] < 2
    assert all(0 < each["nll_valid"] < math.log(data.spec.vocab_size) + 0.5 for each in found)
    if not (found[0]["clipped"] or found[1]["clipped"]):  # then the norm decides nothing
        assert found[0] == found[1]
    model = LSTMLanguageModel(data.spec, torch.Generator().manual_seed(0), 4, 4)
    assert min(policy_gradient_norms(model, data.train[:64])) > 5
