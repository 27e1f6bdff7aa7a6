"""A record that has everything a tracker shows, and names that a folder, a terminal or a page could take amiss."""

import pytest

from bench.records.record import RunRecord, Score

SAMPLES = ("the cat sat", "<script>alert(1)</script>", "two\nlines", "# heading\n```\n**bold**", "red\x1b[31m\u202eder")


@pytest.fixture
def make_record(make_spec):
    """A made-up record of a run of two phases."""

    def make(values=(0.1, 1 / 3, 2.5), status="ok", samples=SAMPLES, started="2026-11-27T10:00:00+00:00", **changes):
        steps = [("mle", 1), ("mle", 2), ("adversarial", 1)]
        curve = tuple(
            {
                "phase": phase, "step": step, "seconds": 1.5 * number, "tokens": 1000 * number, "updates": 10 * number,
                "scalars": {"loss": value, **({"nll_valid": value + 1} if step == 2 else {})},
            }
            for number, ((phase, step), value) in enumerate(zip(steps, values, strict=True), 1)
        )  # fmt: skip
        scores = {
            "final": (
                Score("nll_oracle", 1.23456789012345, "nats/token", "lower", "v=1"),
                Score("bleu4", None, "", "higher", "v=1", absent="no text"),
            ),
            "selected": (Score("nll_oracle", 1.2, "nats/token", "lower", "v=1"),),
        }
        return RunRecord(
            make_spec(**changes), status, scores=scores, curve=curve, samples=samples, started=started,
            finished="2026-11-27T10:01:00+00:00", environment={"commit": "abc1234", "machine": "AMD EPYC, 2 cores"},
            selected={"phase": "mle", "step": 2, "score": 2.5},
        )  # fmt: skip

    return make
