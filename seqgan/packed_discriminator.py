"""Training of several seeds' discriminators, a step of all at once (``--pack``).

:func:`discrimination` is the twin of a step down :meth:`seqgan.discriminator.Discriminator.loss`. Tensors have one
dimension more in front: K, a row for each place of the pack. Convolutions are batched products of windows, dropout
masks are drawn from each member's own stream, and Adam stays each member's own. Rewards are not here: a generator's
step has thousands of sequences to score, which fill a device without help.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Execution
from seqgan.discriminator import Discriminator
from seqgan.kernels.convolution import Filters
from seqgan.kernels.execution import Step, awaited, recorded, records
from seqgan.kernels.packing import Parameters, Seat, Stack, give, require_words, rows_of


def max_over_time(words: Tensor, parameter: Tensor, bias: Tensor, filters: Filters) -> Tensor:
    """:func:`seqgan.kernels.convolution.max_over_time`: (K, B, T, E), (K, numbers) and (K, F) to (K, B, F)."""
    features = []
    for size, rows, numbers in filters.branches():
        windows = words.unfold(2, size, 1).transpose(3, 4)  # (K, B, P, L, E)
        kernel = parameter[:, numbers].unflatten(1, (rows.stop - rows.start, size * filters.dim))  # (K, C, L E)
        heights = torch.bmm(windows.reshape(len(words), -1, size * filters.dim), kernel.mT)  # (K, B P, C)
        features.append(heights.unflatten(1, windows.shape[1:3]).max(2).values + bias[:, None, rows])
    return F.relu(torch.cat(features, 2))


def logits(parameters: Parameters, like: Discriminator, tokens: Tensor, survivors: Tensor) -> Tensor:
    """:meth:`Discriminator.forward` in training: int64 (K, B, T) and the mask of dropout, (K, B, F), to (K, B, 2)."""
    words = rows_of(parameters["embedding.weight"], like.read(tokens))
    features = max_over_time(words, parameters["filter_weight"], parameters["filter_bias"], like.filters)  # (K, B, F)
    signals = torch.baddbmm(parameters["highway.bias"][:, None], features, parameters["highway.weight"].mT)
    features = like.pass_highway(features.flatten(0, 1), signals.flatten(0, 1)).view_as(features) * survivors
    return torch.baddbmm(parameters["output.bias"][:, None], features, parameters["output.weight"].mT)


def discrimination(stack: Stack, seats: Sequence[Seat | None], l2: float, execution: Execution) -> Step:
    """One step down :meth:`Discriminator.loss` of the discriminators of all seats.

    Returns:
        A function of tokens, int64 (K, B, T), and labels, int64 (K, B), to losses and accuracies before the step, (K,).
    """
    model = next(seat.model for seat in seats if seat is not None)
    assert isinstance(model, Discriminator)
    streams = [None if seat is None else seat.stream for seat in seats]

    def step(tokens: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        shape = torch.Size((tokens.shape[1], len(model.filters)))
        masks = [tokens.new_ones(shape).float() if rng is None else model.survivors(shape, rng) for rng in streams]
        with torch.enable_grad():
            leaves = stack.leaves()
            found = logits(leaves, model, tokens, torch.stack(masks))  # (K, B, 2)
            entropy = F.cross_entropy(found.flatten(0, 1), real.flatten(), reduction="none").view_as(real).mean(1)
            output = [leaves[name].flatten(1).square().sum(1) for name in ("output.weight", "output.bias")]
            losses = entropy + l2 * sum(output) / 2
            give(leaves, losses.sum(), seats)
        for seat in seats:
            if seat is not None:
                seat.optimizer.step()
        return losses.detach(), (found.argmax(-1) == real).float().mean(1)

    taken: Step = step
    if records(execution, next(model.parameters()).device):
        optimizers = [seat.optimizer for seat in seats if seat is not None]
        taken = recorded(step, [rng for rng in streams if rng is not None], optimizers)
    return taken if model.spec.eos is None else awaited(taken)


def check(model: Discriminator, tokens: Tensor, real: Tensor) -> None:
    """Refuse words that a discriminator does not know, before it meets others.

    Raises:
        IndexError: then.
    """
    require_words(tokens, model.spec.vocab_size)
