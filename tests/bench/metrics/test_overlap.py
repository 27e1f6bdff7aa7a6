"""MS-Jaccard compared with its plain sum."""

from __future__ import annotations

import pytest

from bench.kernels.overlap import reference_multiset_jaccard
from bench.metrics.overlap import MSJaccard

SHAPES = [pytest.param({}, id="fixed"), pytest.param({"eos": 1, "pad": 0}, id="eos")]


@pytest.fixture
def values(make_evidence):
    """Metric to value."""

    def ask(samples, test, train=None, **more):
        return {
            found.metric: found.value for found in make_evidence(samples, test, train=train, **more).ask(MSJaccard())
        }

    return ask


@pytest.mark.parametrize("marks", SHAPES)
def test_ms_jaccard_is_its_plain_sum(marks, values, make_rows, spoken):
    samples, test = make_rows(9, 0, **marks), make_rows(14, 1, **marks)
    expected = reference_multiset_jaccard(*([spoken(row, **marks) for row in side] for side in (samples, test)), 4)
    assert values(samples, test, **marks) == {"ms_jaccard4": pytest.approx(expected, abs=1e-12)}


def test_direction_and_signature(make_evidence, make_rows):
    (found,) = make_evidence(make_rows(9, 0), make_rows(14, 1), tokenizer="char").ask(MSJaccard())
    assert (found.direction, str(found.signature)) == ("higher", "n=9|test=14|tok=char|v=1")
