"""Each protocol compared with nltk, called sentence by sentence as the released code of its project does."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nltk.translate import bleu_score

import bench
from bench.errors import UsageError
from bench.metrics.protocols import OURS, PROTOCOLS, protocol
from bench.metrics.text import tokenizers
from bench.metrics.text.report import Text
from bench.metrics.text.scoring import score

RAW = Path(__file__).parents[4] / "shared" / "data" / "raw"
CORPUS = Path(bench.__file__).parent / "corpora" / "sotu-obama"
ORDERS = (2, 3, 4, 5)
WEIGHTS = [(1 / order,) * order for order in ORDERS]


def lines(split, count, seed):
    """Real sentences of many lengths, punctuated as in running text; some are copies, strangers, or one word."""
    rng = random.Random(seed)
    text = (CORPUS / f"{split}.txt").read_text("utf-8").splitlines()
    chosen = [line.replace(" .", ".").replace(" ,", ",").capitalize() for line in rng.sample(text, count - 4)]
    return (*chosen[:5], "Yes", "zyx wvu tsr.", chosen[2], "America. Again , America ?", *chosen[5:])


def means(hypotheses, references):
    """nltk's BLEU-2 to 5 of each hypothesis against its own list of references, averaged."""
    smoothing = bleu_score.SmoothingFunction().method1
    return np.mean(
        [bleu_score.sentence_bleu(r, h, WEIGHTS, smoothing) for h, r in zip(hypotheses, references, strict=True)],
        axis=0,
    )


def values(report, row=0):
    scores = {each.metric: each.value for each in report.rows[row].scores}
    return [scores[f"bleu{order}"] for order in ORDERS], [scores[f"self_bleu{order}"] for order in ORDERS]


def others(texts):
    return [texts[:i] + texts[i + 1 :] for i in range(len(texts))]


@pytest.fixture(scope="module")
def texts():
    samples = lines("train", 60, 0)
    return ("", *samples[1:30], "", *samples[31:-1], ""), lines("test", 80, 1)


@pytest.mark.parametrize("name", ["", *PROTOCOLS])
def test_every_protocol_is_nltks(name, texts):
    chosen = PROTOCOLS[name] if name else OURS
    # The same rules with smaller numbers, so that each of them cuts something off.
    small = {
        "first_references": chosen.first_references and 50,
        "scored": chosen.scored and 20,
        "self_scored": chosen.self_scored and 25,
    }
    samples, references = texts
    report = score([Text("samples", samples)], Text("test", references), None, "space", ["bleu", "self-bleu"],
                   replace(chosen, **small))  # fmt: skip
    split = {"space": str.split, "nltk": tokenizers.tokenizer("nltk")}
    made = [split[chosen.samples or "space"](line) for line in samples]
    real = [split[chosen.references or "space"](line.lower() if chosen.lowercase else line) for line in references][
        : small["first_references"]
    ]
    scored = made[: small["scored"]]
    bleu, self_bleu = values(report)
    np.testing.assert_allclose(bleu, means(scored, [real] * len(scored)), atol=1e-9)
    expected = {
        "": lambda: means(made, others(made)),
        "texygen": lambda: means(made, others(made)),
        "texygen-fast": lambda: means(made[:25], others(made[:25])),
        "relgan": lambda: means(made[:25], [made] * 25),
        "textgan": lambda: means(made[-25:], [made[:-25]] * 25),
    }[name]()
    np.testing.assert_allclose(self_bleu, expected, atol=1e-9)
    real_bleu, _ = values(report, -1)
    np.testing.assert_allclose(real_bleu, means(real[:20], others(real)[:20]) if chosen.scored else
                               means(real, others(real)), atol=1e-9)  # fmt: skip


def test_how_many_sentences_each_takes():
    counts = {each.name: (each.first_references, each.scored, each.self_scored) for each in PROTOCOLS.values()}
    assert counts == {
        "texygen": (None, None, None),
        "texygen-fast": (500, None, 500),
        "relgan": (None, 100, 200),
        "textgan": (None, 200, 200),
    }


def test_sources_name_what_was_read():
    commits = {
        name: re.search(r" (?:at [0-9a-f]{7}|as read in 2026),", each.source) for name, each in PROTOCOLS.items()
    }
    assert all(commits.values())


def test_relgans_self_bleu_is_one_whatever_the_samples_are():
    samples = tuple(f"a{i} b{i} c{i} d{i} e{i}" for i in range(30))
    report = score([Text("samples", samples)], Text("test", ("x y z",) * 3), protocol=protocol("relgan"))
    assert values(report)[1] == [1, 1, 1, 1]
    assert any("says nothing" in note for note in report.notes)
    assert (
        values(score([Text("samples", samples)], Text("test", ("x y",) * 3), protocol=protocol("texygen")))[1]
        == [0] * 4
    )


def test_textgan_needs_more_than_its_fresh_samples():
    samples = tuple(f"a b {i}" for i in range(200))
    report = score([Text("samples", samples)], Text("test", samples), protocol=protocol("textgan"))
    assert {each.absent for each in report.rows[0].scores if each.metric.startswith("self")} == {
        "self-BLEU needs at least 201 sequences"
    }


def test_an_unknown_protocol_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown protocol .texgen.\. Did you mean .texygen.\?"):
        protocol("texgen")


def test_signatures_name_the_protocol_and_its_tokenizer(texts):
    report = score([Text("samples", texts[0])], Text("test", texts[1]), protocol=protocol("relgan"))
    signature = str(report.rows[0].scores[0].signature)
    assert signature.startswith("n=60|refs=test:80|smooth=method1(0.1)|tok=nltk:")
    assert signature.endswith("|protocol=relgan|v=1")


def test_the_published_example_of_fast_bleu():
    references = (
        "It is a guide to action that ensures that the military will forever heed Party commands",
        "It is the guiding principle which guarantees the military forces always being under the command of the Party",
        "It is the practical guide for the army always to heed the directions of the party",
    )
    for sample, expected in (
        ("It is a guide to action which ensures that the military always obeys the commands of the party",
         (0.745356, 0.624073)),
        ("he read the book because he was interested in world history", (0.019138, 0.013721)),
    ):  # fmt: skip
        report = score([Text("sample", (sample,))], Text("test", references), None, "space", ["bleu"])
        assert [each.value for each in report.rows[0].scores[:2]] == pytest.approx(expected, abs=1e-6)


def test_texygens_published_table():
    """The column "training set" of Texygen's docs/evaluation.md, from its own two files of captions.

    Its numbers are truncated to three decimals, not rounded.
    """
    if not RAW.is_dir():
        pytest.skip("no raw COCO captions: the shared data folder is not next to this clone")
    train, test = ((RAW / f"{name}_coco.txt").read_text("utf-8").split("\n") for name in ("image", "test"))
    report = score([Text("train", tuple(train))], Text("test", tuple(test)), protocol=protocol("texygen"))
    cut = [[math.floor(1000 * value) / 1000 for value in scores] for scores in values(report)]
    assert cut == [[0.740, 0.520, 0.337, 0.218], [0.892, 0.747, 0.573, 0.415]]
