"""A short soak: a few kills, damaged files and faults; ``tox -e soak`` does all of them."""

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.parametrize(
    "part",
    [
        ("kills", "--write-points", "4", "--kills", "1"),
        ("mutations", "--mutations", "300"),
        ("faults", "--faults", "record_cut,surrogate_log"),
    ],
    ids=lambda part: part[0],
)
def test_a_short_soak(part, tmp_path, tmp_path_factory):
    with FileLock(tmp_path_factory.getbasetemp().parent / "soak.lock"):  # two at once would take too long
        done = subprocess.run(
            [sys.executable, str(SOAK), "--only", *part, "--output", str(tmp_path)],
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / f"{part[0]}.json").exists()
    assert "| all |" in done.stdout
