"""The study of what a training takes: the steps are the preset's, and a step's seconds are what it took."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(str(Path(__file__).with_name("training_cost.py")))
Beginning, Timed, cost = (SCRIPT[name] for name in ("Beginning", "Timed", "cost"))


def test_a_phase_is_cut_and_its_steps_are_timed():
    run = Beginning("toy/0", 3)
    for step in run.phase("slow", 100):
        begun = time.process_time()
        while time.process_time() - begun < (0.05 if step == 0 else 0.01):
            pass
    [timed] = run.timed
    assert (timed.phase, timed.steps, len(timed.seconds)) == ("slow", 100, 3)
    assert timed.expected == pytest.approx(50 * sum(timed.seconds[1:]))
    assert 1.0 <= timed.expected < 100 * timed.seconds[0]  # the first step is left out
    assert list(run.phase("none", 0)) == []


def test_the_phases_of_seqgan_are_those_of_its_preset():
    phases = {timed.phase: timed for timed in cost("seqgan", "smoke", "toy", 2)}
    whole = cost("mle", "smoke", "toy", 2)
    assert phases[whole[0].phase].steps == whole[0].steps  # the shared pre-training is in it
    assert len(phases) == 3
    assert all(len(timed.seconds) == min(2, timed.steps) for timed in phases.values())
    assert [timed.steps for timed in cost("random", "paper", "toy")] == [1]
