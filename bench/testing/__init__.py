"""The contract suite: what any generator must do, ours or a third party's.

On the command line ``bench validate NAME`` runs it. In a plugin's own tests::

    import pytest
    from bench.testing import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyGenerator)

A check that finds something worth knowing in a generator that keeps the contract raises :class:`Hint`.
"""

from __future__ import annotations

from bench.testing.suite import CHECKS, LOADING, ON_ANY_DATA, Outcome, run_suite, run_suite_apart
from bench.testing.trial import ContractViolation, Hint

__all__ = ["CHECKS", "LOADING", "ON_ANY_DATA", "ContractViolation", "Hint", "Outcome", "run_suite", "run_suite_apart"]
