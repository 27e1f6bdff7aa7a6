"""Processes of their own: how nice they are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

AUTOGROUP = Path("/proc/self/autogroup")
NICE = """
import os, pathlib
from bench.runs.executors.child import Child

def tell(pipe):
    pipe.send(pathlib.Path("/proc/self/autogroup").read_text())

if __name__ == "__main__":
    import nice
    os.nice(7)
    child = Child(nice.tell)
    print(child.pipe.recv())
    child.close()
"""


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this system does not share processors among sessions")
def test_the_session_of_a_worker_is_as_nice_as_the_command(tmp_path):
    (tmp_path / "nice.py").write_text(NICE)
    done = subprocess.run(
        [sys.executable, "nice.py"], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout.split()[-2:] == ["nice", str(os.nice(0) + 7)]
