"""BLEU-2 to 5 and self-BLEU of 9,984 sentences, compared with nltk and, where it is installed, fast-bleu.

The texts are the shipped quatrains, and COCO captions where the shared data folder is next to the clone. The libraries
get lists of words, as they require, and ours gets lists of word ids, as the harness has them; building the references
is timed for all. All of them use one thread.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench.kernels.ngrams import ReferenceCounts, self_bleu, sentence_bleu
from bench.tasks.corpus import Quatrains

HYPOTHESES, REFERENCES, FEW = 9_984, 10_000, 5
ORDERS = (2, 3, 4, 5)
WEIGHTS = {order: (1 / order,) * order for order in ORDERS}
CAPTIONS = Path(__file__).parents[3] / "shared" / "data" / "download" / "coco-captions"


def quatrains():
    data = Quatrains().load()
    tokens = torch.cat([data.training.train, data.training.valid, data.test]).tolist()
    return tokens[:REFERENCES], (tokens[REFERENCES:] * 2)[:HYPOTHESES]


def captions():
    if not CAPTIONS.is_dir():
        pytest.skip("no COCO captions: the shared data folder is not next to this clone")
    ids: dict[str, int] = {}
    lines = {name: (CAPTIONS / f"{name}.txt").read_text("utf-8").splitlines() for name in ("test", "train", "valid")}
    texts = {
        name: [[ids.setdefault(word, len(ids)) for word in line.split()] for line in lines[name]] for name in lines
    }
    return texts["test"][:REFERENCES], (texts["train"] + texts["valid"])[:HYPOTHESES]


@pytest.fixture(scope="module", params=[quatrains, captions], ids=["quatrains", "captions"])
def corpus(request):
    """References, hypotheses: lists of lists of word ids."""
    return request.param.__name__, *request.param()


@pytest.fixture
def device():
    return torch.device("cpu")


def padded(texts):
    lengths = np.array([len(text) for text in texts])
    tokens = np.full((len(texts), lengths.max()), -1)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    return tokens, lengths


def words(texts):
    return [[str(word) for word in text] for text in texts]


@pytest.fixture
def bleu(measure, counts, corpus):
    """Measure one way to score hypotheses against references."""

    def run(function, kernel, variant, name, hypotheses, references, rounds=5):
        texts = corpus[2][:hypotheses] if kernel.startswith("self") else corpus[2][:hypotheses] + corpus[1][:references]
        return measure(
            function,
            kernel=f"{kernel}, {name}",
            variant=variant,
            shape={"hypotheses": hypotheses, "references": references},
            amount=hypotheses,
            unit="sentences",
            bytes_moved=counts.ngrams(map(len, texts), max(ORDERS)),
            rounds=rounds,
        )

    return run


def exactly(references, hypotheses):
    def score():
        counts = ReferenceCounts.build(*padded(references), max(ORDERS))
        return sentence_bleu(*padded(hypotheses), counts, ORDERS)

    return score


@pytest.mark.parametrize("count", [HYPOTHESES, FEW])
def test_bleu(bleu, corpus, count):
    name, references, hypotheses = corpus
    hypotheses = hypotheses[:count]
    score = exactly(references, hypotheses)
    scores = bleu(score, "BLEU-2 to 5", "fast", name, len(hypotheses), len(references))
    assert scores.shape == (4, len(hypotheses))


def test_fast_bleu(bleu, corpus):
    library = pytest.importorskip("fast_bleu", reason="fast-bleu is not installed")
    name, references, hypotheses = corpus
    references_, hypotheses_ = words(references), words(hypotheses)
    scores = bleu(
        lambda: library.BLEU(references_, WEIGHTS).get_score(hypotheses_),
        "BLEU-2 to 5",
        "fast-bleu",
        name,
        len(hypotheses),
        len(references),
        rounds=1,
    )
    np.testing.assert_allclose([scores[order] for order in ORDERS], exactly(references, hypotheses)(), atol=1e-6)


def test_nltk(bleu, corpus):
    """A few sentences: nltk counts all references again for each of them."""
    library = pytest.importorskip("nltk.translate.bleu_score", reason="nltk is not installed")
    name, references, hypotheses = corpus
    references_, smoothing = words(references), library.SmoothingFunction().method1
    scores = bleu(
        lambda: [
            library.sentence_bleu(references_, text, list(WEIGHTS.values()), smoothing)
            for text in words(hypotheses[:FEW])
        ],
        "BLEU-2 to 5",
        "nltk",
        name,
        FEW,
        len(references),
        rounds=1,
    )
    np.testing.assert_allclose(np.transpose(scores), exactly(references, hypotheses[:FEW])(), atol=1e-9)


def test_self_bleu(bleu, corpus):
    name, _, texts = corpus
    scores = bleu(
        lambda: self_bleu(*padded(texts), ORDERS), "self-BLEU-2 to 5", "fast", name, len(texts), len(texts) - 1
    )
    assert scores.shape == (4, len(texts))


def test_fast_self_bleu(bleu, corpus):
    library = pytest.importorskip("fast_bleu", reason="fast-bleu is not installed")
    name, _, texts = corpus
    texts_ = words(texts)
    scores = bleu(
        lambda: library.SelfBLEU(texts_, WEIGHTS).get_score(),
        "self-BLEU-2 to 5",
        "fast-bleu",
        name,
        len(texts),
        len(texts) - 1,
        rounds=1,
    )
    expected = self_bleu(*padded(texts), ORDERS)
    np.testing.assert_allclose([scores[order] for order in ORDERS], expected, atol=1e-6)
