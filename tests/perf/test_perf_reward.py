"""The reward of PG-BLEU: all rollouts of a generator step against the entire training set."""

from __future__ import annotations

import pytest
import torch

from baselines.pg_bleu import BleuReward
from bench.api import SequenceSpec
from bench.tasks.corpus import Quatrains


@pytest.mark.parametrize("rows", [20_480, *(pytest.param(n, marks=pytest.mark.growth) for n in (1_280, 5_120))])
def test_reward(measure, device, counts, rows):
    train = Quatrains().load().training.train
    spec = SequenceSpec(int(train.max()) + 1, train.shape[1], bos=0)
    reward = BleuReward(spec, train, order=3, epsilon=0.1)
    texts = train.repeat(2, 1)[:rows]
    texts = texts[:, torch.randperm(texts.shape[1], generator=torch.Generator().manual_seed(0))].to(device)
    scores = measure(
        lambda: reward(texts),
        kernel="PG-BLEU's reward",
        shape={"hypotheses": rows, "references": len(train)},
        amount=rows,
        unit="sentences",
        bytes_moved=counts.ngrams([train.shape[1]] * rows, 3),  # those of the training set were counted before
        rounds=5,
    )
    assert scores.shape == (rows,)
