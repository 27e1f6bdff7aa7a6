"""The intervals of a leaderboard: all cells of one number of seeds at once, against one cell after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.analysis.stats import bootstrap_interval, bootstrap_intervals, mean_interval, mean_intervals


@pytest.fixture
def device():
    return torch.device("cpu")


def all_at_once(samples):
    return mean_intervals(samples), bootstrap_intervals(samples)


def one_by_one(samples):
    return list(map(mean_interval, samples)), list(map(bootstrap_interval, samples))


@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize(("variant", "intervals"), [("fast", all_at_once), ("reference", one_by_one)])
def test_intervals(measure, variant, intervals, seeds):
    samples = np.random.default_rng(0).normal(9, 1, (1_000, seeds))
    found = measure(
        lambda: intervals(samples),
        kernel="intervals over seeds",
        variant=variant,
        shape={"cells": len(samples), "seeds": seeds},
        amount=len(samples),
        unit="cells",
    )
    assert [len(part) for part in found] == [len(samples)] * 2
