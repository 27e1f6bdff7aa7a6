"""The memory of a generator step: all that the process holds, and what the step adds to Python, torch and networks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

PAPER = {"B": 64, "N": 16, "T": 20, "V": 5_000}
GIBIBYTE = 2**30

STEP = """
import json
import torch
from bench.api import Execution, SequenceSpec
from bench.records.environment import peak_memory, reset_peak_memory
from bench.runs.session import Session
from seqgan.discriminator import Discriminator
from seqgan.kernels.execution import scoring_type
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam
from seqgan.policy_gradient import PolicyGradient
spec = SequenceSpec(5_000, 20, bos=0)
rng = torch.Generator().manual_seed(0)
policy, discriminator = LSTMLanguageModel(spec, rng), Discriminator(spec, rng, scoring=scoring_type(Execution()))
optimizer, d_optimizer = adam(policy, 0.01), adam(discriminator, 1e-4)
tokens = torch.randint(5_000, (64, 20), generator=rng)
loss, _ = discriminator.loss(tokens, torch.arange(64) % 2, 0.2, rng)  # the memory of the discriminator's Adam counts
loss.backward()
d_optimizer.step()
reset_peak_memory()
before = peak_memory()
PolicyGradient(Descent(policy, optimizer, 5.0), 64, 16).step(discriminator.reward, Session("perf/0"))
print(json.dumps([before, peak_memory()]))
"""


@pytest.fixture
def device():
    return torch.device("cpu")


def test_memory_of_a_generator_step(measure, benchmark):
    def step():
        finished = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
        return json.loads(finished.stdout)

    before, peak = measure(step, kernel="memory of a generator step", shape=PAPER, amount=1, unit="processes", rounds=1)
    benchmark.extra_info["peak_bytes"] = peak
    assert peak - before < 0.75 * GIBIBYTE  # sixteen threads take 0.52; torch for CUDA has 0.9 GiB more itself
