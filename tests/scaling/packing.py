"""Whether one process that trains K seeds together, their parameters stacked, beats K processes: measured.

``python tests/scaling/packing.py`` takes steps of maximum likelihood at the paper's sizes (V = 5,000, T = 20, 32 units,
batches of 64): packed, every product of the LSTM and of the softmax is one batched product over K seeds, and Adam one
step over stacked parameters; unpacked, each seed takes :func:`seqgan.mle.descend` in a process of its own, as
``bench run`` does, as many at a time as there are cores. Both start from the same parameters and read the same batches,
and the largest difference between their log-probabilities after the last step is printed beside the times.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import SequenceSpec
from seqgan.kernels import execution
from seqgan.lm import LSTMLanguageModel, compile_language_model
from seqgan.mle import Descent, adam, evenly, trainable

SPEC = SequenceSpec(5_000, 20, bos=5_000)
BATCH, LR, CLIP = 64, 0.01, 5.0
PACKS = (1, 2, 4, 8, 16)


def model_of(seed: int, device: str) -> LSTMLanguageModel:
    """The language model of a seed before its first step."""
    return LSTMLanguageModel(SPEC, torch.Generator(device).manual_seed(seed))


def batches_of(seed: int, steps: int) -> Tensor:
    """What a seed reads: int64 (steps, B, T)."""
    return torch.randint(
        SPEC.vocab_size, (steps, BATCH, SPEC.seq_len), generator=torch.Generator().manual_seed(1_000 + seed)
    )


def seconds(step: object, device: str) -> float:
    """Wall time of a call."""
    started = time.perf_counter()
    step()  # type: ignore[operator]
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alone(seed: int, steps: int, device: str, threads: int = 1) -> tuple[float, float, Tensor]:
    """When one seed began and ended its steps, and the log-probabilities of its last batch."""
    torch.set_num_threads(threads)
    compile_language_model(torch.device(device))
    model = model_of(seed, device)
    descent, batches = Descent(model, adam(model, LR), CLIP), batches_of(seed, steps + 1).to(device)
    log_prob, _ = descent(batches[0], evenly(SPEC, batches[0]))
    began = time.time()
    for batch in batches[1:]:
        log_prob, _ = descent(batch, evenly(SPEC, batch))
    if device == "cuda":
        torch.cuda.synchronize()
    return began, time.time(), log_prob.detach().cpu()


def packed(seeds: int, steps: int, device: str) -> tuple[float, Tensor]:
    """Seconds of the same steps of all seeds together, and the log-probabilities of the last batches, (K, B, T)."""
    models = [model_of(seed, device) for seed in range(seeds)]
    stacked = [torch.nn.Parameter(torch.stack(parts).detach()) for parts in zip(*map(trainable, models), strict=True)]
    embedding, input_weight, recurrent_weight, bias, output_weight, output_bias = stacked
    optimizer = torch.optim.Adam(stacked, lr=LR, fused=True)
    batches = torch.stack([batches_of(seed, steps + 1) for seed in range(seeds)], 1).to(device)  # (steps, K, B, T)
    pack = torch.arange(seeds, device=device)[:, None, None]

    def step(tokens: Tensor) -> tuple[Tensor]:
        optimizer.zero_grad()
        read = F.pad(tokens[:, :, :-1], (1, 0), value=SPEC.bos)
        flat = embedding[pack, read].flatten(1, 2)  # (K, B T, E)
        gates = torch.baddbmm(bias[:, None], flat, input_weight.mT).unflatten(1, (BATCH, SPEC.seq_len))
        hidden = cell = gates.new_zeros(seeds, BATCH, recurrent_weight.shape[2])
        states = []
        for at in range(SPEC.seq_len):
            i, f, g, o = torch.baddbmm(gates[:, :, at], hidden, recurrent_weight.mT).chunk(4, 2)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            states.append(hidden)
        top = torch.stack(states, 2).flatten(1, 2)  # (K, B T, H)
        logits = torch.baddbmm(output_bias[:, None], top, output_weight.mT)
        log_prob = -F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        (-log_prob.mean((1, 2)).sum()).backward()
        with torch.no_grad():  # each seed's gradient is clipped by its own norm
            norm = sum(p.grad.flatten(1).square().sum(1) for p in stacked if p.grad is not None).sqrt()  # type: ignore[union-attr]
            scale = (CLIP / (norm + 1e-6)).clamp(max=1)
            for parameter in stacked:
                assert parameter.grad is not None
                parameter.grad *= scale.view(-1, *[1] * (parameter.dim() - 1))
        optimizer.step()
        return (log_prob.detach(),)

    run = execution.recorded(step, optimizers=[optimizer])
    run(batches[0])
    last: list[Tensor] = []

    def all_steps() -> None:
        for tokens in batches[1:]:
            last[:] = run(tokens)

    return seconds(all_steps, device), last[0].cpu()


def separate(seeds: int, steps: int, device: str, workers: int) -> tuple[float, Tensor]:
    """Seconds from the first step of any seed to the end of the last, a process each; starting them is not counted."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(alone, range(workers), [1] * workers, [device] * workers))  # imports and compilation
        began, ended, last = zip(*pool.map(alone, range(seeds), [steps] * seeds, [device] * seeds), strict=True)
    return max(ended) - min(began), torch.stack(last)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes at a time, unpacked")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the packed process, on the CPU")
    chosen = parser.parse_args()
    print("| seeds | packed, steps/s | processes, steps/s | packed / processes | largest difference |")
    print("| --: | --: | --: | --: | --: |")
    for seeds in PACKS:
        workers = min(seeds, chosen.workers)
        torch.set_num_threads(chosen.threads)
        together, ours = packed(seeds, chosen.steps, chosen.device)
        apart, theirs = separate(seeds, chosen.steps, chosen.device, workers)
        rate, other = seeds * chosen.steps / together, seeds * chosen.steps / apart
        difference = float((ours - theirs).abs().max())
        print(f"| {seeds} | {rate:.1f} | {other:.1f} | {rate / other:.2f} | {difference:.1e} |", flush=True)


if __name__ == "__main__":
    main()
