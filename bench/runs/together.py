"""Runs that one process does together: one, or the seeds of a model in one pack (:mod:`bench.pack`).

What a run is, and what it leaves, does not depend on it: each has its own task, session, random streams, checkpoints
and record, and a failure of one is no failure of the others. Only the training steps are taken together, and the
judging of one makes the others wait.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Generator, Sequence
from functools import partial

import torch

from bench.pack import Pack
from bench.plans.registry import is_shipped
from bench.records.record import RunRecord, RunSpec
from bench.runs.checkpoints import CheckpointFolder
from bench.runs.devices import prepare
from bench.runs.runner import Watcher, run
from bench.runs.stopping import Stopped
from bench.runs.surroundings import exchange_streams, kept_surroundings, settled

__all__ = ["run_together"]


def run_together(
    specs: Sequence[RunSpec], checkpoints: CheckpointFolder | None, watcher: Callable[[RunSpec], Watcher]
) -> Generator[tuple[RunSpec, RunRecord | None], None, None]:
    """Do runs of one pack: each with its record as it ends, or with None if it was stopped.

    Args:
        specs: Runs that train together (:meth:`RunSpec.trains_with`), or one run.
        checkpoints: Where states are kept.
        watcher: Gives what a run tells those who started it, and what it asks them.
    """
    if specs[0].pack == 1:
        for spec in specs:
            yield spec, _unless_stopped(spec, checkpoints, watcher(spec))
        return

    prepare(specs[0].device)  # for this and all later runs of the process: what is changed below is put back
    device = torch.cuda.current_device() if specs[0].device == "cuda" else None

    def work(spec: RunSpec) -> RunRecord | None:
        # A thread begins with the first device, whatever was chosen before.
        with contextlib.nullcontext() if device is None else torch.cuda.device(device):
            return _unless_stopped(spec, checkpoints, watcher(spec))

    # Our generators draw from streams of their own; others may draw from global ones, which members would share.
    pack: Pack[RunRecord | None] = Pack(
        specs[0].pack, None if is_shipped(specs[0].target) else partial(exchange_streams, device)
    )
    places = {spec.place: spec for spec in specs}
    running = pack.run({place: partial(work, spec) for place, spec in places.items()})
    with kept_surroundings(), settled(), contextlib.closing(running) as ended:
        # Parameters are rows of blocks of all members (seqgan.kernels.packing): cuDNN has to copy them at each call.
        warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
        for place, record in ended:
            yield places[place], record


def _unless_stopped(spec: RunSpec, checkpoints: CheckpointFolder | None, watcher: Watcher) -> RunRecord | None:
    try:
        return run(spec, checkpoints, watcher)
    except Stopped:
        return None
