"""How steps of several seeds are taken together: the same network of each in one block of memory, batches stacked.

In a pack (:mod:`bench.pack`) every member keeps its own model, optimizer and random streams, and its code is what it is
without one. What changes is where the numbers are: the parameters of the members' models are rows of one tensor, so
that one batched product does for all what each would do alone. Members that do not come to a step have rows in it all
the same, with zeros for a batch: the shapes of all products are fixed by the width of the pack, so that what a member
gets depends on no other.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from bench.pack import member
from seqgan.kernels.bounds import check_range
from seqgan.kernels.graphs import Step

__all__ = ["Build", "Parameters", "Seat", "Stack", "together"]

ALIGNED = 16
"""Rows begin at multiples of so many numbers, 64 bytes: the order of a sum may depend on where its numbers begin."""
STEPS = 8
"""Sets of members whose steps are kept, recorded where they are recorded: most often there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """What one member takes its steps with.

    Attributes:
        model: Whose parameters are trained.
        optimizer: Of these; on CUDA a fused one.
        stream: From which the step draws, if it does.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    stream: torch.Generator | None = None


Parameters: TypeAlias = Mapping[str, Tensor]
"""The parameters of all members by their names, (K, ...) each."""
Build: TypeAlias = Callable[["Stack", Sequence[Seat | None]], Step]
"""Makes the step of these members, in which the others take no part: stacked batches to stacked results, (K, ...)."""


def together(alone: Step, kind: Hashable, seat: Seat, build: Build, check: Callable[..., None]) -> Step:
    """A step that is taken together with the other members of the pack, and alone where there is none.

    The parameters are moved now and never again: a recorded graph may read them from now on. A model of which a part is
    frozen takes its steps alone.

    Args:
        alone: The step of one.
        kind: Which step it is, with everything beside the shapes of parameters that must be the same for all.
        seat: What this member takes it with.
        build: Makes the step of several.
        check: Raises what is wrong with a batch, which then harms no other member.
    """
    mine = member()
    if mine is None or not all(parameter.requires_grad for parameter in named(seat.model).values()):
        return alone
    shapes = tuple((name, each.shape, each.dtype, each.device) for name, each in named(seat.model).items())
    stacks = mine.pack.shared(shapes, lambda: Stacks(mine.pack.width))
    stacks.take_in(mine.place, seat.model)
    packed = mine.pack.shared((kind, shapes), lambda: Packed(stacks, build))

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        check(*batch)
        results: tuple[Tensor, ...] = mine.meet(packed, (seat, batch))
        return results

    return step


def named(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a model by name, but for the second biases of torch's LSTMs, which are always zero."""
    return {name: each for name, each in model.named_parameters() if "bias_hh" not in name}


class Stack:
    """The parameters of one network of each member, in blocks of memory with a row for each.

    Args:
        width: K, number of rows.
        like: A model like all of them.
    """

    def __init__(self, width: int, like: nn.Module) -> None:
        self.width = width
        self._blocks = {}
        for name, each in named(like).items():
            numbers = each.numel() + -each.numel() % ALIGNED
            block = torch.zeros(width, numbers, dtype=each.dtype, device=each.device)
            self._blocks[name] = block[:, : each.numel()].view(width, *each.shape)

    def take_in(self, place: int, model: nn.Module) -> None:
        """Move a model's parameters into a row; they are the same objects as before."""
        for name, each in named(model).items():
            row = self._blocks[name][place]
            row.copy_(each.detach())
            each.data = row

    def leaves(self) -> dict[str, Tensor]:
        """All rows as they are now, for one forward and backward pass."""
        return {name: block.detach().requires_grad_() for name, block in self._blocks.items()}


class Stacks:
    """Where the models of all members are that have parameters of the same shapes.

    A member may train several: the first of each is in the first stack, the second in the second. The row of a model
    that is gone is free for the next.

    Args:
        width: K, places of the pack.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.stacks: list[Stack] = []
        self._models: list[list[weakref.ref[nn.Module]]] = [[] for _ in range(width)]

    def take_in(self, place: int, model: nn.Module) -> None:
        """Give a model its row, if it has none yet."""
        models = [each() for each in self._models[place]]
        if any(each is model for each in models):
            return
        index = next((index for index, each in enumerate(models) if each is None), len(models))
        self._models[place][index:] = [weakref.ref(model), *self._models[place][index + 1 :]]
        if index == len(self.stacks):
            self.stacks.append(Stack(self.width, model))
        self.stacks[index].take_in(place, model)

    def index(self, place: int, model: nn.Module) -> int:
        """In which stack a model is."""
        return next(index for index, each in enumerate(self._models[place]) if each() is model)


class Packed:
    """Takes one kind of step for all members that have come to it.

    Args:
        stacks: Where their models are.
        build: Makes the step of some of them.
    """

    def __init__(self, stacks: Stacks, build: Build) -> None:
        self._stacks, self._build = stacks, build
        self._steps: OrderedDict[tuple[Seat | None, ...], Step] = OrderedDict()

    def __call__(self, brought: Sequence[tuple[Seat, tuple[Tensor, ...]] | None]) -> list[tuple[Tensor, ...] | None]:
        """The results of all that came, by place; batches of another shape are another step."""
        groups: dict[tuple[int, Hashable], list[int]] = {}
        for place, each in enumerate(brought):
            if each is not None:
                shapes = tuple((part.shape, part.dtype) for part in each[1])
                groups.setdefault((self._stacks.index(place, each[0].model), shapes), []).append(place)
        results: list[tuple[Tensor, ...] | None] = [None] * len(brought)
        for (index, _), places in groups.items():
            present = [each if place in places else None for place, each in enumerate(brought)]
            for place, result in zip(places, self._take(self._stacks.stacks[index], present), strict=True):
                results[place] = result
        return results

    def _take(
        self, stack: Stack, brought: Sequence[tuple[Seat, tuple[Tensor, ...]] | None]
    ) -> list[tuple[Tensor, ...]]:
        """The results of those that came, with batches of one shape and models of one stack."""
        seats = tuple(None if each is None else each[0] for each in brought)
        if seats not in self._steps:
            self._steps[seats] = self._build(stack, seats)
        self._steps.move_to_end(seats)
        if len(self._steps) > STEPS:
            self._steps.popitem(last=False)
        nothing = next([torch.zeros_like(part) for part in each[1]] for each in brought if each is not None)
        batches = zip(*(nothing if each is None else each[1] for each in brought), strict=True)
        found = self._steps[seats](*(torch.stack(parts) for parts in batches))
        return [tuple(part[place] for part in found) for place, seat in enumerate(seats) if seat is not None]


def give(leaves: Parameters, loss: Tensor, seats: Sequence[Seat | None]) -> None:
    """Differentiate a sum of the members' losses, and give each model its own gradient."""
    gradients: Any = torch.autograd.grad(loss, list(leaves.values()))
    for place, seat in enumerate(seats):
        if seat is not None:
            for parameter, gradient in zip(named(seat.model).values(), gradients, strict=True):
                if parameter.requires_grad:
                    # Fused optimizers take gradients as they lie in memory, which of transposed factors is otherwise.
                    parameter.grad = gradient[place].contiguous()


def rows_of(table: Tensor, index: Tensor) -> Tensor:
    """Each place's own rows: (K, S, E) and int64 (K, ...) to (K, ..., E).

    Raises:
        IndexError: for a row that there is not; never is it the neighbour's.
    """
    places = torch.arange(len(table), device=index.device).view(-1, *[1] * (index.dim() - 1))
    return table[places, index]


def require_words(tokens: Tensor, size: int) -> None:
    """Check that all tokens are in [0, size), on the CPU; on CUDA the host would have to wait for the device.

    Raises:
        IndexError: otherwise.
    """
    if not tokens.is_cuda:
        check_range(tokens, size)
