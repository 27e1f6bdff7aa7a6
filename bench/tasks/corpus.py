"""Real text that ships with the package."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, ClassVar

from bench.api import SequenceSpec, TrainingData
from bench.errors import UsageError
from bench.tasks.base import TaskData
from bench.tasks.vocabulary import WordVocabulary

SPLITS = ("train", "valid", "test")


@lru_cache
def corpus_bytes(name: str, split: str) -> bytes:
    """A split of a shipped corpus: UTF-8, one example a line, words parted by single spaces."""
    return (files("bench.corpora") / name / f"{split}.txt").read_bytes()


def corpus_hash(name: str) -> str:
    """Sha-256 of the three splits' bytes."""
    digest = hashlib.sha256()
    for split in SPLITS:
        digest.update(hashlib.sha256(corpus_bytes(name, split)).digest())
    return digest.hexdigest()


def corpus_lines(name: str, split: str) -> list[list[str]]:
    """The words of every example of a split."""
    return [line.split(" ") for line in corpus_bytes(name, split).decode("utf-8").splitlines()]


@dataclass(frozen=True, slots=True)
class Quatrains:
    """Tang and Song quatrains of four lines of five characters, 16,406 in all: a poem task like the paper's.

    Every poem has twenty characters: there is neither end mark nor padding. The character that begins a poem is read
    after a start symbol that cannot be written. Characters seen less than ``min_count`` times in training are
    ``<unk>``: a token like another in every NLL, and a character that matches nothing in BLEU.
    """

    min_count: int = 3
    """Characters seen less often in training become <unk>."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def fingerprint(self) -> str:
        """The corpus's hash and the parameters."""
        if self.min_count < 1:
            raise UsageError(f"expected quatrains.min_count of at least 1, got {self.min_count}.")
        return json.dumps({"corpus": corpus_hash("quatrains"), **asdict(self)}, sort_keys=True)

    def load(self) -> TaskData:
        """Read the three splits; the vocabulary is the training split's."""
        poems = {split: corpus_lines("quatrains", split) for split in SPLITS}
        vocabulary = WordVocabulary.build(poems["train"], self.min_count, verse=5, joiner="")
        spec = SequenceSpec(len(vocabulary.words), 20, bos=len(vocabulary.words), kind="characters")
        train, valid, test = (vocabulary.encode(poems[split]) for split in SPLITS)
        tokenizer = f"char,min_count={self.min_count}"
        return TaskData(TrainingData(spec, train, valid, vocabulary), test, None, tokenizer)
