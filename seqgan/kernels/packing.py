"""How steps of several seeds are taken together: the same network of each in one block of memory, batches stacked.

In a pack (:mod:`bench.pack`) every member keeps its own model, optimizer and random streams, and its code is what it is
without one. What changes is where the numbers are: the parameters of the members' models are rows of one tensor, so
that one batched product does for all what each would do alone. Members that do not come to a step have rows in it all
the same, with zeros for a batch: the shapes of all products are fixed by the width of the pack, so that what a member
gets depends on no other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.pack import member
from seqgan.kernels.graphs import Step

__all__ = ["Build", "Packed", "Seat", "Stack", "together"]

ALIGNED = 16
"""Rows begin at multiples of so many numbers, 64 bytes: the order of a sum may depend on where its numbers begin."""


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
"""The trained parameters of all members by their names, (K, ...) each."""

Build: TypeAlias = Callable[["Stack", Sequence[Seat | None]], Step]
"""Makes the step of these members, in which the others take no part: stacked batches to stacked results, (K, ...)."""


def together(alone: Step, kind: Hashable, seat: Seat, build: Build) -> Step:
    """A step that is taken together with the other members of the pack, and alone where there is none.

    The parameters are moved now and never again: a recorded graph may read them from now on.

    Args:
        alone: The step of one.
        kind: Which step it is, with everything beside the shapes of parameters that must be the same for all.
        seat: What this member takes it with.
        build: Makes the step of several.
    """
    mine = member()
    if mine is None:
        return alone
    shapes = tuple((name, each.shape) for name, each in trained(seat.model).items())
    packed = mine.pack.shared((kind, shapes), lambda: Packed(mine.pack.width, build))
    packed.take_in(mine.place, seat.model)

    def step(*batch: Tensor) -> tuple[Tensor, ...]:
        results: tuple[Tensor, ...] = mine.meet(packed, (seat, batch))
        return results

    return step


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by name."""
    return {name: each for name, each in model.named_parameters() if each.requires_grad}


class Stack:
    """The trained parameters of one network of each member, in blocks of memory with a row for each.

    Args:
        width: K, number of rows.
        like: A model like all of them.
    """

    def __init__(self, width: int, like: nn.Module) -> None:
        self.width = width
        self._blocks = {}
        for name, each in trained(like).items():
            numbers = each.numel() + -each.numel() % ALIGNED
            block = torch.zeros(width, numbers, dtype=each.dtype, device=each.device)
            self._blocks[name] = block[:, : each.numel()].view(width, *each.shape)

    def take_in(self, place: int, model: nn.Module) -> None:
        """Move a model's parameters into a row; they are the same objects as before."""
        for name, each in trained(model).items():
            row = self._blocks[name][place]
            row.copy_(each.detach())
            each.data = row

    def leaves(self) -> dict[str, Tensor]:
        """All rows as they are now, for one forward and backward pass."""
        return {name: block.detach().requires_grad_() for name, block in self._blocks.items()}


class Packed:
    """Takes one kind of step for all members that have come to it.

    Args:
        width: K, places of the pack.
        build: Makes the step of some of them.
    """

    def __init__(self, width: int, build: Build) -> None:
        self._width, self._build = width, build
        # A member may train several such models: its first is in the first stack, its second in the second.
        self._models: list[list[nn.Module]] = [[] for _ in range(width)]
        self._stacks: list[Stack] = []
        self._steps: dict[tuple[Seat | None, ...], Step] = {}

    def take_in(self, place: int, model: nn.Module) -> None:
        """Give a model its row, if it has none yet."""
        mine = self._models[place]
        if any(each is model for each in mine):
            return
        mine.append(model)
        if len(mine) > len(self._stacks):
            self._stacks.append(Stack(self._width, model))
        self._stacks[len(mine) - 1].take_in(place, model)

    def __call__(self, brought: Sequence[tuple[Seat, tuple[Tensor, ...]] | None]) -> list[tuple[Tensor, ...] | None]:
        """The results of all that came, by place; batches of another shape are another step."""
        groups: dict[Hashable, list[int]] = {}
        for place, each in enumerate(brought):
            if each is not None:
                shapes = tuple((part.shape, part.dtype) for part in each[1])
                groups.setdefault((self._stack_of(place, each[0]), shapes), []).append(place)
        results: list[tuple[Tensor, ...] | None] = [None] * self._width
        for places in groups.values():
            present = [brought[place] if place in places else None for place in range(self._width)]
            for place, result in zip(places, self._take(present), strict=True):
                results[place] = result
        return results

    def _take(self, brought: Sequence[tuple[Seat, tuple[Tensor, ...]] | None]) -> list[tuple[Tensor, ...]]:
        """The results of those that came, with batches of one shape and models of one stack."""
        seats = tuple(None if each is None else each[0] for each in brought)
        first = next(each for each in brought if each is not None)
        if seats not in self._steps:
            place = next(place for place, each in enumerate(brought) if each is not None)
            self._steps[seats] = self._build(self._stacks[self._stack_of(place, first[0])], seats)
        nothing = [torch.zeros_like(part) for part in first[1]]
        batches = zip(*(nothing if each is None else each[1] for each in brought), strict=True)
        found = self._steps[seats](*(torch.stack(parts) for parts in batches))
        return [tuple(part[place] for part in found) for place, seat in enumerate(seats) if seat is not None]

    def _stack_of(self, place: int, seat: Seat) -> int:
        return next(index for index, each in enumerate(self._models[place]) if each is seat.model)


def rows_of(table: Tensor, index: Tensor) -> Tensor:
    """Each place's own rows: (K, S, E) and int64 (K, ...) to (K, ..., E)."""
    first = torch.arange(len(table), device=index.device).view(-1, *[1] * (index.dim() - 1)) * table.shape[1]
    return F.embedding(index + first, table.flatten(0, 1))


def give(leaves: Parameters, loss: Tensor, seats: Sequence[Seat | None]) -> None:
    """Differentiate a sum of the members' losses, and give each model its own gradient."""
    gradients: Any = torch.autograd.grad(loss, list(leaves.values()))
    for place, seat in enumerate(seats):
        if seat is not None:
            for parameter, gradient in zip(trained(seat.model).values(), gradients, strict=True):
                # Fused optimizers take gradients as they lie in memory, and those of transposed factors lie otherwise.
                parameter.grad = gradient[place].contiguous()
