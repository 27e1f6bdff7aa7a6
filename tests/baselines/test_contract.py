"""The controls that are likelihood with something added keep the contract, as a plugin must."""

from __future__ import annotations

import pytest

from baselines.mle_ensemble import MLEEnsemble
from baselines.mle_ngram import MLENgram
from baselines.mle_tempered import MLETempered
from baselines.reward_controls import BaselinedRandomReward
from bench.testing import CHECKS, run_suite


@pytest.mark.parametrize("control", [BaselinedRandomReward, MLEEnsemble, MLENgram, MLETempered])
def test_the_control_keeps_the_contract(control):
    outcomes = list(run_suite(control))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
