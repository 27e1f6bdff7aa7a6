"""What the tests of records share: a results folder, and records of finished runs."""

import pytest

from bench.records.record import RunRecord, Score
from bench.records.store import Store

SCORES = {
    "final": (
        Score("nll_oracle", 1 / 3, "nats/token", "lower", "n=5|v=1"),
        Score("nll_test", None, "nats/token", "lower", "n=5|v=1", absent="the model has no log_prob"),
    )
}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "deep" / "results")
    store.open()
    return store


@pytest.fixture
def finished():
    """A record of a run that ended on a day of January."""

    def finished(spec, when, **more):
        return RunRecord(spec, "ok", scores=SCORES, finished=f"2026-01-{when:02}T00:00:00+00:00", **more)

    return finished
