"""The complete ``bench score``: a process that reads, tokenizes, scores and prints, on one thread.

10,000 samples against 10,000 references, with a training set of as many, every metric and interval, and real text
alongside: the lines of the shipped quatrains, and COCO captions where the shared data folder is next to the clone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import bench

LINES = 10_000
QUATRAINS = Path(bench.__file__).parent / "corpora" / "quatrains"
CAPTIONS = Path(__file__).parents[3] / "shared" / "data" / "download" / "coco-captions"


@pytest.fixture
def device():
    return torch.device("cpu")


@pytest.mark.parametrize("corpus", ["quatrains", "captions"])  # a path would be written into throughput.json
def test_score(measure, tmp_path, corpus):
    folder = {"quatrains": QUATRAINS, "captions": CAPTIONS}[corpus]
    if not folder.is_dir():
        pytest.skip("no COCO captions: the shared data folder is not next to this clone")
    parts = {split: (folder / f"{split}.txt").read_text("utf-8").splitlines() for split in ("train", "valid", "test")}
    files = {
        "samples": parts["valid"] + parts["train"],
        "references": parts["test"] + parts["train"][::-1],
        "train": parts["train"],
    }
    for name, lines in files.items():
        (tmp_path / name).write_text("\n".join((lines * 2)[:LINES]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "bench", "score", "samples", "--references", "references", "--train", "train"]
    done = measure(
        lambda: subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=True),
        kernel=f"bench score, {folder.name}",
        shape={"samples": LINES, "references": LINES},
        amount=LINES,
        unit="sentences",
        rounds=3,
    )
    assert "copy_8gram" in done.stdout
