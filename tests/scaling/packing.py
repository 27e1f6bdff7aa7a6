"""Whether a pack of K seeds (``--pack K``) trains faster than K processes: measured at the paper's sizes.

``python tests/scaling/packing.py`` takes steps of maximum likelihood (V = 5,000, T = 20, 32 units, batches of 64) and
of the discriminator (1,720 filters): packed, in one process that has all threads, and unpacked, each seed in a process
of its own, as many at a time as there are cores. The largest difference between what the last steps returned, to which
both ways come from the same parameters, batches and random numbers, is printed beside the times.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import torch
from torch import Tensor

from bench.api import Execution, SequenceSpec
from bench.pack import Pack
from seqgan.discriminator import Discriminator, compile_discriminator
from seqgan.lm import LSTMLanguageModel, compile_language_model
from seqgan.mle import Descent, adam, evenly
from seqgan.seqgan import SeqGAN

SPEC = SequenceSpec(5_000, 20, bos=5_000)
BATCH = 64
PACKS = (1, 2, 4, 8, 16)
Taken = tuple[float, float, Tensor]
"""When a seed began and ended its steps, and what the last one returned."""


def stream(seed: int, device: str) -> torch.Generator:
    """A seed's random numbers."""
    return torch.Generator(device).manual_seed(seed)


def language_model(seed: int, device: str) -> Callable[[Tensor], Tensor]:
    """A seed's step of maximum likelihood: a batch to its log-probabilities."""
    compile_language_model(torch.device(device))
    model = LSTMLanguageModel(SPEC, stream(seed, device))
    descent = Descent(model, adam(model, 0.01), 5.0)
    return lambda tokens: descent(tokens, evenly(SPEC, tokens))[0]


def discriminator(seed: int, device: str) -> Callable[[Tensor], Tensor]:
    """A seed's step of the discriminator: a batch to its loss."""
    compile_discriminator(torch.device(device))
    model, execution = Discriminator(SPEC, stream(seed, device)), Execution("graph" if device == "cuda" else "eager")
    step = SeqGAN().discriminator_step(model, adam(model, 1e-4), stream(100 + seed, device), execution)
    real = torch.arange(BATCH, device=device) % 2
    return lambda tokens: step(tokens, real)[0]


NETWORKS = {"language model": language_model, "discriminator": discriminator}


def take_steps(network: str, seed: int, steps: int, device: str) -> Taken:
    """Take a seed's steps; the first one, which compiles or records, is not timed."""
    step = NETWORKS[network](seed, device)
    batches = torch.randint(SPEC.vocab_size, (steps + 1, BATCH, SPEC.seq_len), generator=stream(1_000 + seed, "cpu"))
    last = step(batches[0].to(device))
    began = time.time()
    for batch in batches[1:].to(device):
        last = step(batch)
    if device == "cuda":
        torch.cuda.synchronize()
    return began, time.time(), last.detach().cpu()


def alone(network: str, seed: int, steps: int, device: str) -> Taken:
    """:func:`take_steps` in a process of its own."""
    torch.set_num_threads(1)
    return take_steps(network, seed, steps, device)


def wall(taken: list[Taken]) -> tuple[float, Tensor]:
    """Seconds from the first step of any seed to the end of the last, and what the last ones returned."""
    began, ended, last = zip(*taken, strict=True)
    return max(ended) - min(began), torch.stack(last)


def packed(network: str, seeds: int, steps: int, device: str) -> tuple[float, Tensor]:
    """All seeds in one pack."""
    functions = {seed: partial(take_steps, network, seed, steps, device) for seed in range(seeds)}
    return wall([taken for _, taken in sorted(Pack(seeds).run(functions), key=lambda each: each[0])])


def separate(network: str, seeds: int, steps: int, device: str, workers: int) -> tuple[float, Tensor]:
    """Each seed in a process; starting processes is not counted."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(partial(alone, network, steps=1, device=device), range(workers)))  # imports and compilation
        return wall(list(pool.map(partial(alone, network, steps=steps, device=device), range(seeds))))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at a time, unpacked")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the packed process, on the CPU")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print("| step of | seeds | packed, steps/s | processes, steps/s | packed / processes | largest difference |")
    print("| --- | --: | --: | --: | --: | --: |")
    for network in NETWORKS:
        for seeds in PACKS:
            together, ours = packed(network, seeds, chosen.steps, chosen.device)
            apart, theirs = separate(network, seeds, chosen.steps, chosen.device, min(seeds, chosen.workers))
            rate, other = seeds * chosen.steps / together, seeds * chosen.steps / apart
            difference = float((ours - theirs).abs().max())
            print(
                f"| {network} | {seeds} | {rate:.1f} | {other:.1f} | {rate / other:.2f} | {difference:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
