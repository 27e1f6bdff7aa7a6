"""RLOO and GRPO keep the contract, as a plugin must."""

from __future__ import annotations

import pytest

from baselines.without_rollouts import GRPO, RLOO
from bench.testing import CHECKS, run_suite


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_the_contract_is_kept(algorithm):
    outcomes = list(run_suite(algorithm))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
