"""A short soak: a few kills, damaged files and faults; ``tox -e soak`` does all of them."""

import subprocess
import sys
from pathlib import Path

SOAK = Path(__file__).with_name("soak.py")


SHORT = ("--write-points", "2", "--kills", "1", "--mutations", "66", "--faults", "record_cut,surrogate_log")


def test_a_short_soak(tmp_path):
    done = subprocess.run(
        [sys.executable, str(SOAK), *SHORT, "--output", str(tmp_path)],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {file.stem for file in tmp_path.glob("*.json")} == {"kills", "mutations", "faults"}
    assert done.stdout.count("| all |") == 3
