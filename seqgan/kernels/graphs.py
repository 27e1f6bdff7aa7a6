"""Steps of fixed shapes recorded once as CUDA graphs and then replayed.

A rollout or a training step of the discriminator is hundreds of small kernels, each of which the processor takes longer
to launch than the device to run. A graph launches them all at once. It replays *addresses*: inputs are copied to where
they were recorded, and outputs are copied out; parameters and optimizer state must be changed in place for
as long as the graph is used, as fused optimizers do (and an optimizer's ``load_state_dict`` does not).

Before recording, the step is run a few times, because libraries initialize themselves in the first run; parameters,
optimizer state and random streams are then put back, so that training is the same with and without graphs.

On the CPU the step is just called. On an H100, recorded rollouts and training steps gave the same bits as eager ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor

Step: TypeAlias = Callable[..., tuple[Tensor, ...]]
"""A function of tensors to tensors that neither waits for the device nor branches on what it computed."""

Recording: TypeAlias = tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], tuple[Tensor, ...]]  # inputs, outputs


class Captured:
    """A step that is recorded at its first call, once for each shape of its arguments, and replayed from then on.

    Args:
        step: The step to record.
        streams: Every random generator from which it draws; each may be used elsewhere as well.
        optimizers: The fused optimizers whose steps it takes; made ``capturable``, which does not change results.

    Raises:
        ValueError: at the first call on CUDA, for an optimizer that is not fused.
    """

    def __init__(
        self, step: Step, streams: Sequence[torch.Generator], optimizers: Sequence[torch.optim.Optimizer] = ()
    ) -> None:
        self._step, self._streams, self._optimizers = step, streams, optimizers
        self._recorded: dict[Any, Recording] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Take the step; on CUDA the results are copies without gradient, which the next call does not overwrite."""
        if not inputs[0].is_cuda:
            return self._step(*inputs)
        key = tuple((given.shape, given.dtype) for given in inputs)
        if key not in self._recorded:
            self._recorded[key] = self._record(inputs)
        graph, buffers, outputs = self._recorded[key]
        for buffer, given in zip(buffers, inputs, strict=True):
            buffer.copy_(given)
        graph.replay()
        return tuple(output.clone() for output in outputs)

    def _record(self, inputs: Sequence[Tensor]) -> Recording:
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            if not group.get("fused"):  # others keep their count of steps on the CPU
                raise ValueError("expected a fused optimizer")
            group["capturable"] = True
        buffers = tuple(given.detach().clone() for given in inputs)
        here, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # nothing can be recorded on the default stream
        with undone(self._streams, self._optimizers):
            aside.wait_stream(here)
            with torch.cuda.stream(aside):
                for _ in range(3):
                    self._step(*buffers)
            here.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        version = tuple(int(part) for part in torch.__version__.split(".")[:2])
        if version < (2, 14):  # from then on graphs find the generators by themselves
            for stream in self._streams:
                graph.register_generator_state(stream)
        with torch.cuda.graph(graph, stream=aside):  # the stream on which the libraries were initialized
            outputs = tuple(output.detach() for output in self._step(*buffers))
        return graph, buffers, outputs


@contextmanager
def undone(streams: Sequence[torch.Generator], optimizers: Sequence[torch.optim.Optimizer] = ()) -> Iterator[None]:
    """Undo, in place, what the steps inside do to random streams, parameters and the state of optimizers.

    State that an optimizer creates inside is kept, as zeros, with which Adam begins: if it were created later, while a
    step is recorded, it would be set to zero again in every replay. Gradients are dropped.
    """
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    parameters: list[Tensor] = [parameter for group in groups for parameter in group["params"]]

    def state() -> list[Tensor]:
        slots = [slot for optimizer in optimizers for slot in optimizer.state.values()]
        return [value for slot in slots for value in slot.values() if torch.is_tensor(value)]

    before = {id(tensor): tensor.detach().clone() for tensor in (*parameters, *state())}
    kept = [stream.get_state() for stream in streams]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor in (*parameters, *state()):
                if id(tensor) in before:
                    tensor.copy_(before[id(tensor)])
                else:
                    tensor.zero_()
        for parameter in parameters:
            parameter.grad = None
        for stream, where in zip(streams, kept, strict=True):
            stream.set_state(where)


def captured_rollouts(
    complete: Callable[[Tensor, list[tuple[Tensor, ...]]], Tensor], rng: torch.Generator
) -> Callable[[Tensor, Sequence[tuple[Tensor, ...]]], Tensor]:
    """``complete``, recorded as a CUDA graph.

    Args:
        complete: int64 (B, T) and T states, of parts (B, ...) each, to finished sequences:
            ``seqgan.rollout.complete_prefixes`` of one policy and one number of rollouts.
        rng: The generator from which it draws.
    """
    step = Captured(lambda tokens, *parts: (complete(tokens, list(zip(*parts, strict=True))),), [rng])

    def replay(tokens: Tensor, states: Sequence[tuple[Tensor, ...]]) -> Tensor:
        return step(tokens, *(torch.stack(part) for part in zip(*states, strict=True)))[0]

    return replay


def captured_training(loss: Step, optimizer: torch.optim.Optimizer, rng: torch.Generator) -> Step:
    """A training step of a batch, recorded: forward, backward and update. It returns what ``loss`` returned, detached.

    Args:
        loss: Maps a batch to a scalar to differentiate, and any other results.
        optimizer: A fused optimizer; the loss must depend on each of its parameters.
        rng: The generator from which ``loss`` draws.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        value, *others = loss(*batch)
        for parameter, gradient in zip(parameters, torch.autograd.grad(value, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
        return value.detach(), *(other.detach() for other in others)

    return Captured(step, [rng], [optimizer])
