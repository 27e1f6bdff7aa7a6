"""RLOO and GRPO keep the contract, as a plugin must."""

from __future__ import annotations

import pytest

from baselines.without_rollouts import GRPO, RLOO
from bench.records import environment
from bench.testing import CHECKS, run_suite


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_the_contract_is_kept(algorithm, monkeypatch):
    monkeypatch.setattr(environment, "reset_peak_memory", lambda: None)  # its garbage collection takes most of the time
    outcomes = list(run_suite(algorithm))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
