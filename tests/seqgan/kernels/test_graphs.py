from __future__ import annotations

import copy

import pytest
import torch

from bench.api import SequenceSpec
from seqgan.discriminator import Discriminator
from seqgan.kernels.graphs import Captured, captured_rollouts, captured_training, undone
from seqgan.lm import LSTMLanguageModel
from seqgan.rollout import complete_prefixes

SPEC = SequenceSpec(50, 6, bos=50)
ENDED = SequenceSpec(50, 6, bos=50, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(50, 6, bos=50, eos=49, pad=49)


def generator(device="cpu", seed=0):
    return torch.Generator(device).manual_seed(seed)


def adam(model, **options):
    return torch.optim.Adam(model.parameters(), lr=0.01, fused=True, **options)


def everything(model, optimizer, *streams):
    """A copy of all that training depends on."""
    return copy.deepcopy((model.state_dict(), optimizer.state_dict()["state"])), [s.get_state() for s in streams]


def assert_same(one, other):
    for old, new in zip(one[1], other[1], strict=True):
        assert torch.equal(old, new)
    torch.testing.assert_close(one[0], other[0], rtol=0, atol=0)


def discriminator_on(device):
    model = Discriminator(SPEC, generator(device), 8, (1, 2, 3), (10, 20, 30))
    return model, adam(model), generator(device, 5)


def batches(device, sizes):
    rng = generator(seed=9)
    for size in sizes:
        tokens = torch.randint(50, (size, 6), generator=rng)
        yield tokens.to(device), torch.randint(2, (size,), generator=rng).to(device)


def train_eagerly(model, optimizer, rng, sizes, device):
    results = []
    for tokens, real in batches(device, sizes):
        loss, accuracy = model.loss(tokens, real, 0.2, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        results.append(torch.stack([loss.detach(), accuracy]))
    return torch.stack(results)


def train_captured(model, optimizer, rng, sizes, device):
    step = captured_training(lambda tokens, real: model.loss(tokens, real, 0.2, rng), optimizer, rng)
    return torch.stack([torch.stack(step(*batch)) for batch in batches(device, sizes)])


@pytest.mark.parametrize("steps_before", [0, 2])
def test_nothing_is_left_of_what_was_undone(steps_before, device):
    model, optimizer, rng = discriminator_on(device)
    if steps_before:
        train_eagerly(model, optimizer, rng, [4] * steps_before, device)
    addresses = {id(parameter): parameter.data_ptr() for parameter in model.parameters()}
    before = everything(model, optimizer, rng)
    with undone([rng], [optimizer]):
        train_eagerly(model, optimizer, rng, [4, 4, 4], device)
        assert not torch.equal(model.output.weight, before[0][0]["output.weight"])
        assert not torch.equal(rng.get_state(), before[1][0])
    after = everything(model, optimizer, rng)
    if steps_before:
        assert_same(before, after)
    else:  # the state exists from now on, and is what Adam begins with
        assert_same((before[0][0], before[1]), (after[0][0], after[1]))
        assert all((value == 0).all() for slot in after[0][1].values() for value in slot.values())
        assert len(after[0][1]) == len(addresses)
    assert {id(parameter): parameter.data_ptr() for parameter in model.parameters()} == addresses
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("steps_before", [0, 2])
def test_training_goes_on_as_if_nothing_had_been_undone(steps_before):
    results = []
    for interrupted in (False, True):
        model, optimizer, rng = discriminator_on("cpu")
        if steps_before:
            train_eagerly(model, optimizer, rng, [4] * steps_before, "cpu")
        if interrupted:
            with undone([rng], [optimizer]):
                train_eagerly(model, optimizer, rng, [4, 4, 4], "cpu")
        train_eagerly(model, optimizer, rng, [4, 3], "cpu")
        results.append(everything(model, optimizer, rng))
    assert_same(*results)


def test_what_raises_is_undone_too():
    model, optimizer, rng = discriminator_on("cpu")
    before = everything(model, optimizer, rng)

    def fail_after_a_step():
        with undone([rng], [optimizer]):
            train_eagerly(model, optimizer, rng, [4], "cpu")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_after_a_step()
    after = everything(model, optimizer, rng)
    assert_same((before[0][0], before[1]), (after[0][0], after[1]))


def test_on_the_cpu_the_step_is_just_called():
    calls = []

    def step(*inputs):
        calls.append(inputs)
        return (sum(inputs),)

    one, two = torch.ones(3), torch.ones(3)
    captured = Captured(step, [generator()])
    assert torch.equal(captured(one, two)[0], one + two)
    assert calls[0][0] is one
    assert len(calls) == 1


def test_captured_training_on_the_cpu_is_plain_training():
    plain, captured = discriminator_on("cpu"), discriminator_on("cpu")
    expected, got = train_eagerly(*plain, [8, 8, 3], "cpu"), train_captured(*captured, [8, 8, 3], "cpu")
    assert torch.equal(expected, got)
    assert not got.requires_grad
    assert_same(everything(*plain), everything(*captured))


@pytest.mark.parametrize("spec", [SPEC, ENDED, ENDED_BY_PAD], ids=["fixed", "eos", "eos is pad"])
def test_captured_rollouts_are_plain_rollouts(spec, device):
    # More than one replay, after updates of the policy in place, and with the generator used in between.
    plain, captured = generator(device, 2), generator(device, 2)
    policy = LSTMLanguageModel(spec, generator(device), 5, 6, 1.0)
    replay = captured_rollouts(lambda tokens, states: complete_prefixes(policy, tokens, states, 4, captured), captured)
    for round_ in range(3):
        tokens, states = policy.sample_with_states(5, generator(device, 10 + round_))
        expected, got = complete_prefixes(policy, tokens, states, 4, plain), replay(tokens, states)
        # Another algorithm for a matrix product may be chosen on CUDA, whose last bits differ.
        assert (expected == got).float().mean() >= (1.0 if device.type == "cpu" else 0.99)
        assert torch.equal(plain.get_state(), captured.get_state())
        assert torch.equal(
            torch.rand(3, generator=plain, device=device), torch.rand(3, generator=captured, device=device)
        )
        with torch.no_grad():
            policy.output.bias.add_(torch.linspace(-3, 3, 50, device=device))


@pytest.fixture
def cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device("cuda")


def test_captured_training_on_cuda_is_plain_training(cuda):
    sizes = [8, 8, 3, 8, 3]  # the last batch of an epoch is smaller: a graph of its own
    plain, captured = discriminator_on(cuda), discriminator_on(cuda)
    expected, got = train_eagerly(*plain, sizes, cuda), train_captured(*captured, sizes, cuda)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(plain[2].get_state(), captured[2].get_state())
    torch.testing.assert_close(captured[0].state_dict(), plain[0].state_dict(), rtol=1e-4, atol=1e-4)
    for slot, other in zip(captured[1].state.values(), plain[1].state.values(), strict=True):
        assert float(slot["step"]) == float(other["step"]) == len(sizes)


def test_what_a_replay_returned_is_not_overwritten_by_the_next(cuda):
    step = Captured(lambda numbers: (numbers * 2,), [])
    first = step(torch.ones(3, device=cuda))[0]
    assert torch.equal(step(torch.full((3,), 5.0, device=cuda))[0].cpu(), torch.full((3,), 10.0))
    assert torch.equal(first.cpu(), torch.full((3,), 2.0))


def test_an_optimizer_that_is_not_fused_is_refused(cuda):
    model = torch.nn.Linear(3, 1, device=cuda)
    optimizer = torch.optim.Adam(model.parameters())
    step = captured_training(lambda rows: (model(rows).sum(),), optimizer, generator(cuda))
    with pytest.raises(ValueError, match="fused"):
        step(torch.ones(2, 3, device=cuda))
