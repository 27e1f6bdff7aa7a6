"""Threads, graphs and precision change how a step is taken, never which step it is."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.api import MODES, Execution, SequenceSpec, Unsupported
from bench.records.record import EXECUTION
from seqgan.kernels import execution


def test_the_record_knows_the_same_execution_options():
    assert EXECUTION["mode"] == MODES
    usual = {name: values[0] for name, values in EXECUTION.items()}
    assert Execution() == Execution(**usual)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="expected mode to be one of eager, graph, triton, got 'grph'"):
        Execution("grph")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_gradients_of_rows_add_up_to_those_of_all(threads, torch_threads):
    torch_threads(threads)
    weight = nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    inputs = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    seen = []

    def loss(rows):
        outputs = (inputs[rows] @ weight).tanh()
        return outputs.sum(), outputs.detach()

    def update():
        seen.append(weight.grad.clone())
        return weight.grad.norm()

    outputs, norm = execution.descend(loss, 7, [weight], update)
    expected = torch.autograd.grad((inputs @ weight).tanh().sum(), weight)[0]
    torch.testing.assert_close(seen[0], expected)
    torch.testing.assert_close(norm, expected.norm())
    torch.testing.assert_close(outputs, (inputs @ weight).tanh().detach())
    assert not outputs.requires_grad


def test_a_training_step_is_backward_and_update():
    models = [nn.Linear(3, 1), nn.Linear(3, 1)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.1, fused=True) for model in models]
    batch, rng = torch.ones(4, 3), torch.Generator().manual_seed(0)

    def loss(model):
        return lambda rows: (model(rows).square().mean(), torch.tensor(0.5))

    step = execution.training(Execution(), loss(models[0]), optimizers[0], rng)
    for _ in range(3):
        value, other = step(batch)
        plain, _ = loss(models[1])(batch)
        optimizers[1].zero_grad()
        plain.backward()
        optimizers[1].step()
        assert (value.item(), other.item(), value.requires_grad) == (plain.item(), 0.5, False)
    assert all(torch.equal(*pair) for pair in zip(*(model.parameters() for model in models), strict=True))


@pytest.mark.parametrize("mode", ["graph", "triton"])
def test_what_needs_a_gpu_says_so_on_a_cpu(mode, make_lstm):
    rng, options = torch.Generator(), Execution(mode)
    policy = make_lstm(SequenceSpec(5, 4, bos=0))
    with pytest.raises(Unsupported, match=f"--execution {mode} needs a CUDA device"):
        execution.rollouts(options, lambda tokens, states: tokens, policy, 2, rng)
    with pytest.raises(Unsupported, match=f"--execution {mode} needs a CUDA device"):
        execution.training(options, lambda rows: (rows,), torch.optim.Adam(policy.parameters(), fused=True), rng)


def test_eager_rollouts_are_those_given(make_lstm):
    def complete(tokens, states):
        return tokens

    policy = make_lstm(SequenceSpec(5, 4, bos=0))
    assert execution.rollouts(Execution(), complete, policy, 2, torch.Generator()) is complete


@pytest.mark.parametrize("able", [True, False])
def test_rewards_are_rounded_where_it_is_allowed_and_the_processor_can(able, monkeypatch):
    monkeypatch.setattr(execution, "multiplies_bfloat16", lambda: able)
    assert execution.scoring_type(Execution()) == (torch.bfloat16 if able else torch.float32)
    assert execution.scoring_type(Execution(bfloat16=False)) == torch.float32
