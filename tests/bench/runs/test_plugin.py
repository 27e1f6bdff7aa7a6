"""A stranger's package, installed next to ours: listed, validated and benchmarked without a change here."""

import os
import subprocess
import sys

import pytest

from bench.records.store import Store

MODULE = '''
"""A stranger's generator."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from bench.api import Run, TrainingData
from stranger_dice.tables import Table


@dataclass(frozen=True, slots=True)
class Dice:
    """Loaded dice, thrown again and again."""

    throws: int = 30
    """How often."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {"throws": 3}}

    def fit(self, data: TrainingData, run: Run) -> Table:
        table = Table(data.spec)
        run.track(table, table=table)
        counts = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size).double()
        for _ in run.phase("throw", self.throws):
            with run.measure(train_tokens=data.train.numel()):
                noise = torch.rand(data.spec.vocab_size, dtype=torch.float64, generator=run.rng("noise"))
                table.logits = (counts + noise).log()
        return table
'''
TABLES = """
import torch


class Table:
    def __init__(self, spec):
        self.spec = spec
        self.logits = torch.zeros(spec.vocab_size, dtype=torch.float64)

    def sample(self, n, decoding, rng):
        cumulative = (self.logits / decoding.temperature).softmax(-1).cumsum(0)
        uniforms = torch.rand(n, self.spec.seq_len, dtype=torch.float64, generator=rng)
        tokens = torch.searchsorted(cumulative, uniforms, right=True).clamp(max=self.spec.vocab_size - 1)
        return tokens.where(self.spec.mask(tokens), torch.tensor(self.spec.pad or 0))

    def log_prob(self, tokens):
        return (self.logits.log_softmax(-1)[tokens] * self.spec.mask(tokens)).sum(-1)

    def state_dict(self):
        return {"logits": self.logits}

    def load_state_dict(self, state):
        self.logits = state["logits"]
"""
FILES = {
    "stranger_dice/__init__.py": "",
    "stranger_dice/model.py": MODULE,
    "stranger_dice/tables.py": TABLES,
    # What an installer leaves.
    "stranger_dice-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: stranger-dice\nVersion: 1.2\n",
    "stranger_dice-1.2.dist-info/entry_points.txt": "[bench.generators]\ndice = stranger_dice.model:Dice\n",
}


@pytest.fixture(scope="module")
def strangers_bench(tmp_path_factory):
    """``bench ARGUMENTS`` in a process where the stranger's package is installed, in an empty working directory."""
    folder = tmp_path_factory.mktemp("stranger")
    for name, text in FILES.items():
        path = folder / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "work").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "COLUMNS": "200"}

    def call(*arguments):
        command = [sys.executable, "-c", "from bench.cli import main; main()", *arguments]
        return subprocess.run(
            command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    return call


def test_it_is_listed_with_its_distribution(strangers_bench):
    done = strangers_bench("list", "models")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("dice ")]
    assert line.split() == [
        "dice",
        "contender",
        *["Loaded", "dice,", "thrown", "again", "and", "again."],
        "stranger-dice",
    ]
    assert "seqgan-bench" in done.stdout


def test_it_keeps_the_contract(strangers_bench):
    done = strangers_bench("validate", "dice")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "dice: keeps the contract"


def test_it_is_benchmarked_beside_ours(strangers_bench, tmp_path):
    done = strangers_bench(
        "run", "--models", "dice,random", "--tasks", "toy", "--preset", "smoke", "--seeds", "1", "--workers", "0",
        "--set", "dice.throws=4", "--output", str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "3 ok, 0 skipped, 0 failed"
    records = {record.spec.model: record for record in Store(tmp_path).records()}
    assert set(records) == {"real data", "dice", "random"}
    assert records["dice"].spec.config == {"throws": 4}
    assert len(records["dice"].curve) == 4
    names = [score.metric for score in records["dice"].scores["final"]]
    assert {"nll_oracle", "nll_test", "train_tokens_per_second"} <= set(names)
    assert "dice" in (tmp_path / "leaderboard.md").read_text()
