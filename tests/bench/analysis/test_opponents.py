"""Every new model against chosen accepted ones."""

import pandas as pd
import pytest

from bench.analysis.accepted import COLUMNS
from bench.analysis.compare import compare
from bench.analysis.opponents import opposed
from bench.errors import UsageError

SEEDS = (0.0, 0.02, -0.01, 0.03, 0.01, -0.02, 0.015, -0.015)


def frame(models, failed=()):
    """Model to metric to its mean over the seeds, or None for no value."""
    rows = []
    for model, means in models.items():
        for metric, mean in means.items():
            for checkpoint in ("final", "pretrained"):
                for seed, luck in enumerate(SEEDS):
                    rows.append(
                        {
                            "task": "toy", "preset": "smoke", "model": model, "checkpoint": checkpoint,
                            "metric": metric, "seed": seed, "status": "ok",
                            "value": float("nan") if mean is None else mean + luck * (1 + len(model) / 10),
                            "absent": "it has no log_prob" if mean is None else "",
                            "unit": "", "direction": "lower", "signature": "v=1", "data": "d",
                        }
                    )  # fmt: skip
    rows += [
        {
            **dict.fromkeys(COLUMNS, ""), "task": "toy", "preset": "smoke", "model": model, "seed": 0,
            "status": "failed", "value": float("nan"), "absent": "ValueError: no",
        }
        for model in failed
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


BASE = frame({"real data": {"nll_test": 1.0}, "mle": {"nll_test": 2.0, "lm_nll": 3.0}, "bigram": {"nll_test": 4.0}})


def verdicts(head, against):
    comparison = compare(*opposed(BASE, head, against))
    found = {(cell.key.model, cell.key.checkpoint, cell.key.metric): cell.verdict for cell in comparison.cells}
    return {key: verdict for key, verdict in found.items() if key[0] != "real data"}, comparison


def test_every_pair_is_a_cell_and_all_are_one_family():
    head = frame({"real data": {"nll_test": 1.0}, "seqgan": {"nll_test": 3.0}, "mle": {"nll_test": 1.5}})
    found, comparison = verdicts(head, ("mle", "bigram"))
    assert found == {
        ("mle against bigram", "final", "nll_test"): "better",
        ("mle against mle", "final", "nll_test"): "better",
        ("seqgan against bigram", "final", "nll_test"): "better",
        ("seqgan against mle", "final", "nll_test"): "worse",
    }
    assert comparison.family == 4
    assert not comparison.passes


def test_a_model_without_a_density_is_compared_in_what_both_have():
    head = frame({"real data": {"nll_test": 1.0}, "gan": {"nll_test": None, "lm_nll": 2.0, "bleu2": 0.5}})
    found, comparison = verdicts(head, ("mle",))
    assert found == {("gan against mle", "final", "lm_nll"): "better"}
    assert comparison.passes


def test_nothing_in_common_is_red():
    _, comparison = verdicts(frame({"real data": {"nll_test": 1.0}, "gan": {"lm_nll": 2.0}}), ("bigram",))
    assert comparison.vanished
    assert not comparison.passes


def test_a_model_that_failed_is_red():
    found, comparison = verdicts(frame({"mle": {"nll_test": 2.0}}, failed=("gan",)), ("mle",))
    assert [verdict for (model, *_), verdict in found.items() if model == "gan against mle"] == ["failed", "failed"]
    assert not comparison.passes


def test_a_lost_seed_is_red():
    head = frame({"seqgan": {"nll_test": 1.0}})
    found, _ = verdicts(head[head["seed"] != 3], ("mle",))
    assert found == {("seqgan against mle", "final", "nll_test"): "missing"}


def test_an_unknown_model_is_a_sentence():
    with pytest.raises(
        UsageError, match=r"unknown model to compare with 'mel'. Did you mean 'mle'\? Known: bigram, mle"
    ):
        opposed(BASE, BASE, ("mel",))
    with pytest.raises(UsageError, match="unknown model to compare with 'real data'"):
        opposed(BASE, BASE, ("real data",))
