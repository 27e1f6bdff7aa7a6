"""Sentence BLEU on the device of the sentences: the counts of :mod:`bench.kernels.ngrams`, looked up by torch on a GPU.

Nothing here waits for the device. A row's n-grams are clipped without sorting: the i-th of equal n-grams counts if i is
at most the largest count in one reference, and i is found by comparing each position with those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.kernels.ngrams import ReferenceCounts


@dataclass(frozen=True, slots=True, eq=False)
class DeviceCounts:
    """:class:`ReferenceCounts` as int64 tensors on a device; make it once with :meth:`of`."""

    keys: tuple[Tensor, ...]
    largest: tuple[Tensor, ...]
    lengths: Tensor

    @classmethod
    def of(cls, counts: ReferenceCounts, device: torch.device) -> DeviceCounts:
        """Copy the counts to a device."""
        keys, largest = (
            tuple(torch.from_numpy(array).to(device) for array in arrays) for arrays in (counts.keys, counts.largest)
        )
        return cls(keys, largest, torch.from_numpy(counts.lengths).to(device))


def sentence_bleu_on_device(
    hypotheses: Tensor, lengths: Tensor, references: DeviceCounts, orders: Sequence[int], epsilon: float = 0.1
) -> Tensor:
    """BLEU of each hypothesis by itself against all references; its twin is :func:`bench.kernels.ngrams.sentence_bleu`.

    Args:
        hypotheses: int64, (N, T), on the device of the references; a negative token matches nothing.
        lengths: int64, (N,), each in [0, T].
        references: Counted at least up to ``max(orders)``.
        orders: The values of n to compute, at least one.
        epsilon: The number that replaces zero matches, above 0.

    Returns:
        float64, (len(orders), N).

    Raises:
        ValueError: If an order was not counted.
    """
    if len(orders) == 0 or not 1 <= min(orders) <= max(orders) <= len(references.keys):
        raise ValueError(f"expected orders in [1, {len(references.keys)}], as counted, got {tuple(orders)}")
    positions = torch.arange(hypotheses.shape[1], device=hypotheses.device)
    keys = torch.where(positions < lengths[:, None], hypotheses, -1)  # (N, P)
    logs, scores = torch.zeros(len(keys), dtype=torch.double, device=keys.device), []
    for order in range(1, max(orders) + 1):
        known, largest = references.keys[order - 1], references.largest[order - 1]
        ids = _look_up(keys, known)
        earlier = (ids[:, :, None] == ids[:, None, :]).tril(-1).sum(-1)  # (N, P): how often it occurs further left
        limit = largest[ids.clamp(min=0)] if len(known) else torch.zeros_like(ids)
        matches = ((ids >= 0) & (earlier < limit)).sum(-1).double()
        if order == 1:
            matched = matches > 0
        logs += torch.where(matches > 0, matches, epsilon).div_((lengths - order + 1).clamp(min=1)).log_()
        scores.append(logs / order)
        prefix, suffix = ids[:, :-1], ids[:, 1:]
        keys = torch.where((prefix | suffix) >= 0, prefix * len(known) + suffix, -1)
    brevity = (1 - _closest(lengths, references.lengths) / lengths.clamp(min=1)).clamp(max=0)
    return torch.stack([torch.where(matched, (scores[order - 1] + brevity).exp(), 0.0) for order in orders])


def _look_up(keys: Tensor, known: Tensor) -> Tensor:
    """The index of each key in the ascending ``known``, -1 where it is negative or missing; shape of ``keys``."""
    if len(known) == 0:
        return torch.full_like(keys, -1)
    indices = torch.searchsorted(known, keys.contiguous()).clamp_(max=len(known) - 1)
    return torch.where((known[indices] == keys) & (keys >= 0), indices, -1)


def _closest(lengths: Tensor, ascending: Tensor) -> Tensor:
    """The reference length nearest to each length, the shorter on a tie: int64 (N,), (M,) to float64 (N,)."""
    ends = torch.tensor([-torch.inf, torch.inf], dtype=torch.double, device=ascending.device)
    fenced = torch.cat([ends[:1], ascending.double(), ends[1:]])
    index = torch.searchsorted(ascending, lengths)
    below, above = fenced[index], fenced[index + 1]
    return torch.where(lengths - below <= above - lengths, below, above)
