"""How the algorithms are executed: threads, recorded CUDA graphs and Triton are chosen here and nowhere else.

An algorithm file says what is computed; the functions of this file say on how many threads, in which precision, and
whether operation by operation (``eager``), as recorded CUDA graphs (``graph``), or as graphs with all rollouts in one
Triton kernel (``triton``). What was chosen is a property of the run (:class:`bench.api.Execution`), not of a
generator. ``graph`` gives the same numbers as ``eager``; ``triton`` draws others from the same distribution;
``bfloat16`` rounds the rewards. All three have been run and compared on an H100 (``docs/gpu.md``); ``triton`` was the
fastest, and is what ``auto`` means where there is a GPU and Triton.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from bench.api import Execution, SequenceSpec, Unsupported
from bench.processor import multiplies_bfloat16
from seqgan.kernels.graphs import Captured, Step, captured_rollouts, captured_training
from seqgan.kernels.threads import across_threads, one_thread, parts

__all__ = [
    "Complete",
    "Step",
    "awaited",
    "concurrently",
    "descend",
    "recorded",
    "records",
    "rollouts",
    "rounded_convolutions",
    "scoring_type",
    "training",
]

CPU = torch.device("cpu")
Item = TypeVar("Item")
Result = TypeVar("Result")

State: TypeAlias = tuple[Tensor, ...]
"""What a policy remembers of the prefixes that it has read: tensors with rows first (:class:`seqgan.policy.Policy`)."""
Complete: TypeAlias = Callable[[Tensor, list[State]], Tensor]
"""Finishes all prefixes of sampled sequences, given their states: see ``seqgan.rollout.complete_prefixes``."""


@runtime_checkable
class LanguageModel(Protocol):
    """The parts of a policy that the Triton kernel reads: one LSTM layer between an embedding and a softmax."""

    spec: SequenceSpec
    embedding: nn.Embedding
    lstm: nn.LSTM
    output: nn.Linear


def concurrently(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """``[function(item) for item in items]`` without gradients, on as many threads as torch has been given.

    Args:
        function: Must not write where another call of it reads or writes.
        items: In the order in which to start them: longest first.
    """
    return across_threads(function, items)


def descend(
    loss: Callable[[slice], tuple[Tensor, Tensor]],
    rows: int,
    parameters: Sequence[nn.Parameter],
    update: Callable[[], Tensor],
) -> tuple[Tensor, Tensor]:
    """One step of gradient descent on a loss that is a sum over rows.

    On CPUs every thread takes its own slice of the rows forward and backward, and the gradients are added up.

    Args:
        loss: Maps some of the rows to their part of the loss, a scalar, and one other result, (R, ...).
        rows: Number of rows.
        parameters: What the loss depends on; their ``grad`` is set.
        update: Takes the step once the gradients are set; its result is returned.

    Returns:
        The other result for all rows, without gradient, and what ``update`` returned.
    """

    def differentiate(some: slice) -> tuple[Sequence[Tensor], Tensor]:
        with torch.enable_grad():
            value, other = loss(some)
        return torch.autograd.grad(value, parameters), other

    whole = parameters[0].is_cuda
    gradients, others = zip(*across_threads(differentiate, [slice(None)] if whole else parts(rows)), strict=True)
    with one_thread():
        for parameter, *shares in zip(parameters, *gradients, strict=True):
            parameter.grad = shares[0]
            for share in shares[1:]:
                parameter.grad += share
        updated = update()
    return torch.cat(others), updated


def recorded(
    step: Step, streams: Sequence[torch.Generator] = (), optimizers: Sequence[torch.optim.Optimizer] = ()
) -> Step:
    """The same step; on CUDA it is recorded as a graph, in every mode, because a recorded step gives the same bits.

    Args:
        step: Must not wait for the device.
        streams: The generators from which it draws.
        optimizers: The fused optimizers whose steps it takes.
    """
    return Captured(step, streams, optimizers)


def awaited(step: Step) -> Step:
    """The same step, which on CUDA ends when the device has done it.

    For steps that several take together, and after which each counts what its batch had. The first to count would wait
    for the device, and be charged with what all of them did.
    """

    def taken(*batch: Tensor) -> tuple[Tensor, ...]:
        results = step(*batch)
        if batch[0].is_cuda:
            torch.cuda.synchronize(batch[0].device)
        return results

    return taken


def training(execution: Execution, loss: Step, optimizer: torch.optim.Optimizer, rng: torch.Generator) -> Step:
    """A training step of a small batch: forward, backward and update. It returns what ``loss`` returned, detached.

    Args:
        execution: How it is executed.
        loss: Maps a batch to a scalar to differentiate, and any other results.
        optimizer: A fused optimizer; the loss must depend on each of its parameters.
        rng: The generator from which ``loss`` draws.

    Raises:
        Unsupported: if the execution needs a GPU and there is none.
    """
    if records(execution, rng.device):
        return captured_training(loss, optimizer, rng)

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        with one_thread():
            value, *others = loss(*batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        return value.detach(), *(other.detach() for other in others)

    return step


def rollouts(execution: Execution, complete: Complete, policy: object, copies: int, rng: torch.Generator) -> Complete:
    """A function that finishes the prefixes of sequences that the policy sampled.

    Args:
        execution: How it is executed.
        complete: The same function, executed operation by operation.
        policy: Its parameters may change between calls, in place. The Triton kernel is of an LSTM: with any other
            policy ``triton`` is ``graph``.
        copies: N, completions of a prefix.
        rng: The only source of randomness.

    Raises:
        Unsupported: if the execution needs a GPU and there is none.
    """
    if not records(execution, rng.device):
        return complete
    if execution.mode == "graph" or not isinstance(policy, LanguageModel):
        return captured_rollouts(complete, rng)

    model = policy

    def on_chip(tokens: Tensor, states: list[State]) -> Tensor:
        return complete_on_chip(model, tokens, states, copies, rng)

    return on_chip


@torch.no_grad()
def complete_on_chip(
    policy: LanguageModel, tokens: Tensor, states: list[State], copies: int, rng: torch.Generator
) -> Tensor:
    """``seqgan.rollout.complete_prefixes`` by one Triton kernel, only on CUDA: same distribution, other draws."""
    from seqgan.kernels.fused_rollout import Parameters
    from seqgan.kernels.fused_rollout import complete_on_chip as complete

    batch, length = tokens.shape
    input_weight, recurrent_weight, bias, no_bias = policy.lstm.all_weights[0]
    parameters = Parameters(
        policy.embedding.weight,
        input_weight,
        recurrent_weight,
        bias + no_bias,
        policy.output.weight,
        policy.output.bias,
    )
    hidden, cell = (torch.stack(part) for part in zip(*states, strict=True))
    uniforms = torch.rand(length - 1, length - 1, batch, copies, generator=rng, device=tokens.device)
    return complete(tokens, hidden, cell, parameters, uniforms, policy.spec.eos, policy.spec.pad)


def scoring_type(execution: Execution, device: torch.device = CPU) -> torch.dtype:
    """The precision in which rewards may be computed on this device."""
    able = device.type == "cuda" or multiplies_bfloat16()
    return torch.bfloat16 if execution.bfloat16 and able else torch.float32


@contextmanager
def rounded_convolutions(allowed: bool) -> Iterator[None]:
    """On CUDA: whether cuDNN may round the operands of convolutions to tf32, which has more bits than bfloat16."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def records(execution: Execution, device: torch.device) -> bool:
    """Whether training steps of small batches and rollouts are recorded as graphs.

    Raises:
        Unsupported: if they should be recorded and the device is not CUDA.
    """
    if execution.mode == "eager":
        return False
    if device.type != "cuda":
        raise Unsupported(f"--execution {execution.mode} needs a CUDA device")
    return True
