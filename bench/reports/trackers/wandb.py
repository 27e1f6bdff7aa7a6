"""Weights & Biases: a process of its own writes the runs, so that nothing that happens there touches a benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from bench.errors import UsageError
from bench.records.record import RunRecord, to_json

__all__ = ["PROJECT", "Wandb"]

PROJECT = "seqgan-bench"
"""The project where the user names none."""
FORBIDDEN = re.compile(r"[/\\#?%:\x00-\x1f]")
"""What W&B accepts in no name of a project."""
LONGEST = 128
START_SECONDS, RUN_SECONDS = 90.0, 60.0
"""What a process may take at most to start and to log in, and for each run."""
UNWANTED = ("WANDB_RESUME", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_LAUNCH")
"""Variables that are about one run, where there are many."""


class Wandb:
    """Writes runs into a project, as ``WANDB_MODE`` says: to W&B, or into files that ``wandb sync`` sends later.

    Args:
        project: The project; "" for ``WANDB_PROJECT``, or :data:`PROJECT`.
        folder: Where W&B keeps its own folder ``wandb``, if ``WANDB_DIR`` names no other.
    """

    def __init__(self, project: str, folder: Path) -> None:
        self.project = project or os.environ.get("WANDB_PROJECT") or PROJECT
        self.folder = Path(os.environ.get("WANDB_DIR") or folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = self._offline = False

    @property
    def where(self) -> str:
        """How to look at what was written."""
        if self._offline:
            return f"Weights & Biases: wandb sync {shlex.quote(str(self.folder / 'wandb'))}/offline-run-*"
        return f"Weights & Biases: project {self.project}"

    def check(self) -> None:
        """Accept a project that can be written to: with wandb at hand, and an API key unless W&B is offline.

        Raises:
            UsageError: otherwise, saying what to do.
        """
        if FORBIDDEN.search(self.project) or len(self.project) > LONGEST:
            raise UsageError(
                f"--wandb expected the name of a project, of at most {LONGEST} characters and without / \\ # ? % :, "
                f"got '{self.project}'."
            )
        found = find_spec("wandb")
        if found is None or found.origin is None:  # a folder named wandb, as W&B itself leaves it, is no package
            raise UsageError(
                "--wandb needs the package wandb, which is not installed: python -m pip install 'seqgan-bench[wandb]'."
            )
        answers = self._ask([], START_SECONDS)
        if not answers or answers[0].get("error") is not None:
            reason = answers[0]["error"] if answers else f"it does not answer within {START_SECONDS:.0f} s"
            raise UsageError(
                f"W&B cannot be used: {reason}. Either WANDB_API_KEY or 'wandb login' gives it a key, or "
                "WANDB_MODE=offline makes it write files, which 'wandb sync' sends later."
            )
        self._offline = bool(answers[0]["offline"])

    def write(self, records: Sequence[RunRecord]) -> dict[str, str]:
        """Write runs, each in place of what was written of it before; one that is there as it is, is left alone.

        Returns:
            Id of each run that could not be written, and why.
        """
        answers = self._ask(records, START_SECONDS + RUN_SECONDS * len(records))
        said = {str(answer["run"]): answer["error"] for answer in answers if "run" in answer}
        general = next((str(answer["error"]) for answer in answers if "run" not in answer and answer["error"]), None)
        silence = general or "W&B does not answer"
        wanted = [record.spec.run_id for record in records]
        return {each: str(said.get(each, silence)) for each in wanted if said.get(each, silence) is not None}

    def stop(self) -> None:
        """End the process, from another thread; from then on nothing is written."""
        self._stopped = True
        if self._process is not None:
            _kill(self._process)

    def _ask(self, records: Sequence[RunRecord], seconds: float) -> list[dict[str, Any]]:
        """What the process says: a line for its start, and one for each run."""
        # Files, not pipes: what W&B starts by itself may keep a pipe open after the process is gone.
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            for record in records:
                given.write(to_json(record).replace("\n", " ").encode("utf-8", "backslashreplace") + b"\n")
            given.seek(0)
            self._run(given, said, seconds)
            said.seek(0)
            return [answer for line in said if (answer := _answer(line)) is not None]

    def _run(self, given: IO[bytes], said: IO[bytes], seconds: float) -> None:
        command = [sys.executable, "-m", f"{__package__}.wandb_process", self.project, str(self.folder)]
        environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        environment.setdefault("WANDB_ERROR_REPORTING", "false")  # to W&B's makers, of whatever this process does
        if self._stopped:
            return
        self._process = subprocess.Popen(
            command, stdin=given, stdout=said, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.0 if self._stopped else seconds)
        finally:
            _kill(self._process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that took too long, or that Ctrl-C does not reach, with what it started: W&B's own service."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answer(line: bytes) -> dict[str, Any] | None:
    with contextlib.suppress(ValueError):
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            return answer
    return None
