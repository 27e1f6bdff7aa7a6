"""The complete ``bench score``: a process that reads, tokenizes, scores and prints, on one thread.

10,000 samples against 10,000 references, with a training set of as many, every metric and interval, and real text
alongside: the lines of the shipped quatrains, and COCO captions where the shared data folder is next to the clone. More
samples than there are lines begin as one line does and end as another.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bench

LINES = 10_000
QUATRAINS = Path(bench.__file__).parent / "corpora" / "quatrains"
CAPTIONS = Path(__file__).parents[3] / "shared" / "data" / "download" / "coco-captions"


def mixed(lines, number):
    """Lines of words that begin as one of these and end as another."""
    stream = np.random.RandomState(0)
    for first, second, cut in zip(*stream.randint(len(lines), size=(2, number)), stream.rand(number), strict=True):
        words = lines[first]
        at = 1 + int(cut * (len(words) - 1))
        yield " ".join(words[:at] + lines[second][at:])


@pytest.fixture
def device():
    return torch.device("cpu")


@pytest.mark.parametrize(
    ("corpus", "samples"),  # a path would be written into throughput.json
    [
        ("quatrains", LINES),
        ("captions", LINES),
        *(pytest.param("quatrains", n, marks=pytest.mark.growth) for n in (100_000, 1_000_000)),
    ],
)
def test_score(measure, counts, tmp_path, corpus, samples):
    folder = {"quatrains": QUATRAINS, "captions": CAPTIONS}[corpus]
    if not folder.is_dir():
        pytest.skip("no COCO captions: the shared data folder is not next to this clone")
    parts = {split: (folder / f"{split}.txt").read_text("utf-8").splitlines() for split in ("train", "valid", "test")}
    files = {
        "samples": (parts["valid"] + parts["train"] * 2)[:LINES],
        "references": (parts["test"] + parts["train"][::-1] * 2)[:LINES],
        "train": (parts["train"] * 2)[:LINES],
    }
    if samples > LINES:
        files["samples"] = list(mixed([line.split() for line in parts["train"]], samples))
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    lengths = [len(line.split()) for name in ("samples", "references") for line in files[name]]
    command = [sys.executable, "-m", "bench", "score", "samples", "--references", "references", "--train", "train"]
    done = measure(
        lambda: subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True),
        kernel=f"bench score, {folder.name}",
        shape={"samples": samples, "references": LINES},
        amount=samples,
        unit="sentences",
        bytes_moved=counts.ngrams(lengths, 5),
        rounds=3 if samples == LINES else 1,
    )
    assert "copy_8gram" in done.stdout
