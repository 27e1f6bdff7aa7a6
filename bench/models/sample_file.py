"""A file of samples as a model: whatever wrote them, they are a row of the leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from bench.api import Decoding, Run, SequenceSpec, TrainingData
from bench.data import smiles
from bench.data.corpus_files import file_hash
from bench.data.reading import layout, read_lines, remarks
from bench.errors import UsageError

COPIED = 0.01
"""Share of samples that are test sequences, from which on it is pointed out: no training split holds any."""
STRANGE = 0.15
"""Share of words outside the vocabulary from which on it is pointed out, as for a task's held-out splits."""
CHARACTERS, MOLECULES = "characters", "molecules"


class Samples:
    """Sequences that were written elsewhere, in place of a model: nothing but these can be drawn.

    Args:
        tokens: int64, (M, T).
    """

    density = "none"

    def __init__(self, tokens: Tensor) -> None:
        self._tokens = tokens

    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """N different ones of the sequences, in random order, int64 (n, T).

        Raises:
            ValueError: for more than there are, and for any decoding but the one that wrote them.
        """
        if decoding != Decoding():
            raise ValueError("samples in a file cannot be decoded again, at another temperature or in another way")
        if n > len(self._tokens):
            raise ValueError(f"expected at most {len(self._tokens)} samples, which the file has, got n={n}")
        order = torch.randperm(len(self._tokens), generator=rng, device=rng.device)
        return self._tokens[order[:n].cpu()]


@dataclass(frozen=True, slots=True)
class SampleFile:
    """Samples of a model that was trained elsewhere: one per line, or per row of a CSV, TSV or JSON-lines file.

    All metrics that need samples alone are computed; those that need a density, a temperature or the cost of training
    are absent. With ``{seed}`` in its name there is a file for each seed, such as one for each training of the model;
    without it, the one file is one training, which stands under the first seed.

    A line holds what ``bench sample`` writes: words separated by white space, ids on synthetic tasks. Where words are
    characters, they may also be written together, as text is; so may the tokens of a molecule, as SMILES.
    """

    file: str = field(default="", metadata={"path": True})
    """The file: plain text, .csv, .tsv or .jsonl; gzip may have packed it."""
    column: str = ""
    """Which column, or key, holds the samples; by default the only one, or "text"."""
    content: tuple[str, ...] = ()
    """What the files of all seeds hold, as hashes: the plan fills it in."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def fit(self, data: TrainingData, run: Run) -> Samples:
        """Read the file, in one step, in which nothing is learnt.

        Raises:
            UsageError: if it is not what it was when the runs were planned, or its lines are no sequences of the task.
        """
        for _ in run.phase("read", 1):
            pass
        if self.content and self.fingerprint() not in self.content:
            raise UsageError(f"'{self.file}' changed after the runs were planned: run the same command again.")
        return Samples(self.tokens(data)[0])

    def fingerprint(self) -> str:
        """The file's content, and how it is read; not its path."""
        if not self.file:
            raise UsageError("expected a file of samples: samples:FILE.")
        path = Path(self.file)
        read_lines(path, self.column or None)  # refuses at once what is not text
        return " ".join(filter(None, [file_hash(path), layout(path)]))

    def require(self, n: int, preset: str) -> None:
        """Require that there are enough samples.

        Raises:
            UsageError: saying how many are missing.
        """
        there = sum(1 for _ in islice(read_lines(Path(self.file), self.column or None), n))
        if there < n:
            smaller = "" if preset == "smoke" else ", or choose a smaller preset"
            raise UsageError(
                f"'{self.file}' has {there:,} samples, and {preset} scores {n:,} of each model: {n - there:,} are "
                f"missing. BLEU, self-BLEU and most other scores depend on the number; write more samples{smaller}."
            )

    def report(self, data: TrainingData, test: Tensor) -> tuple[str, ...]:
        """How the file is read on a task, a line each.

        Args:
            data: What the task's models learn from.
            test: int64, (K, T), what they are scored on.

        Raises:
            UsageError: if its lines are no sequences of the task.
        """
        tokens, lines = self.tokens(data)
        spec, vocabulary, path = data.spec, data.vocabulary, Path(self.file)
        words = spec.count(tokens) - (0 if spec.eos is None else int((tokens == spec.eos).any(-1).sum()))
        counted = spec.kind if vocabulary and spec.kind != MOLECULES else "tokens"
        notes = [f"{path.name}: {len(lines):,} samples, {words:,} {counted}"]
        notes += [f"look: {remark}" for remark in remarks(path, self.column or None)]
        if vocabulary is not None and vocabulary.unk is not None:
            share = int((tokens == vocabulary.unk).sum()) / max(1, words)
            notes[0] += f", of which {share:.1%} are not in the task's vocabulary and become <unk>"
            if share >= STRANGE:
                notes.append(
                    f"look: {share:.0%} of the words of {path.name} are not in the task's vocabulary: did a model of "
                    "this task write them, and are they separated as its words are?"
                )
        held_out = set(map(tuple, test.tolist()))
        copied = sum(tuple(row) in held_out for row in tokens.tolist()) / max(1, len(tokens))
        if copied >= COPIED:
            notes.append(
                f"look: {copied:.0%} of the samples of {path.name} are sequences of the test split, word for word: "
                "what wrote them has seen what it is scored on, and its scores are no estimate of anything"
            )
        if empty := sum(not line.strip() for line in lines):
            notes.append(f"look: {empty:,} of the samples of {path.name} are blank lines, which are empty samples")
        return tuple(notes)

    def tokens(self, data: TrainingData) -> tuple[Tensor, list[str]]:
        """The samples as tokens of a task, int64 (M, T), and as they are written.

        Raises:
            UsageError: if any line is no sequence of the task, naming the first.
        """
        lines = list(read_lines(Path(self.file), self.column or None))
        spec, vocabulary = data.spec, data.vocabulary
        rows: list[Any] = lines if vocabulary is None else separated(lines, spec.kind)
        tokens, wrong = [], {}
        for number, row in enumerate(rows, 1):
            try:
                if vocabulary is None:
                    tokens.append(ids(row, spec))
                else:  # a sequence that fills all T positions has no end mark
                    room = spec.seq_len + (spec.eos is not None)
                    tokens.append(vocabulary.encode([row], room)[:, : spec.seq_len])
            except ValueError as error:
                wrong[number] = error
        if wrong:
            number, reason = next(iter(wrong.items()))
            most = " A model that is trained here writes none that is longer: cut them, and say so."
            most = "" if spec.eos is None else most
            raise UsageError(
                f"{len(wrong):,} of the {len(lines):,} samples in '{self.file}' are no sequences of this task, first "
                f"line {number}: {reason}.{most}"
            )
        return torch.cat(tokens), lines


def separated(lines: Sequence[str], kind: str) -> list[Any]:
    """What :meth:`bench.api.Vocabulary.encode` takes: the words of each line; text, where characters are not separated.

    Characters are separated if no line has two of them together, as in what ``bench sample`` writes. Of molecules each
    line may be written in either way.
    """
    rows = [line.split() for line in lines]
    if kind == MOLECULES:
        return [smiles.words(row) for row in rows]
    if kind == CHARACTERS and any(len(word) > 1 and word != "<unk>" for row in rows for word in row):
        return list(lines)
    return rows


def ids(line: str, spec: SequenceSpec) -> Tensor:
    """The ids in a line as int64 (1, T), filled up with the end mark and padding where the task has these.

    Raises:
        ValueError: saying what is wrong with it.
    """
    try:
        row = [int(word) for word in line.split()]
    except ValueError as error:
        raise ValueError(f"expected ids separated by spaces, got '{line[:60]}'") from error
    if any(not 0 <= token < spec.vocab_size for token in row):
        raise ValueError(f"expected ids from 0 to {spec.vocab_size - 1}, got '{line[:60]}'")
    if spec.eos is None or spec.pad is None:
        if len(row) != spec.seq_len:
            raise ValueError(f"expected {spec.seq_len} ids a sequence, got {len(row)}")
        return torch.tensor([row])
    if len(row) > spec.seq_len:
        raise ValueError(f"expected at most {spec.seq_len} ids a sequence, got {len(row)}")
    return torch.tensor([[*row, spec.eos, *[spec.pad] * spec.seq_len][: spec.seq_len]])
