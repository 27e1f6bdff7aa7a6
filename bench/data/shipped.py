"""Small corpora that ship with the package, each with its datasheet and the notices of where it comes from."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files

NAMES = (
    "quatrains",
    "quatrains-tang",
    "tang5",
    "sotu",
    "sotu-obama",
    "folk-tunes",
    "folk-tunes-phrases",
    "smiles",
    "flights",
    "surnames",
)


@lru_cache(maxsize=6)
def corpus_bytes(name: str, split: str) -> bytes:
    """A split of a shipped corpus: UTF-8, one example a line, words separated by single spaces."""
    return (files("bench") / "corpora" / name / f"{split}.txt").read_bytes()


@lru_cache(maxsize=2)
def places_bytes(name: str) -> bytes:
    """The coordinates of a shipped corpus whose words are places: a CSV file for :mod:`bench.data.places`."""
    return (files("bench") / "corpora" / name / "places.csv").read_bytes()


def splits_hash(splits: list[bytes]) -> str:
    """Sha-256 of the sha-256 of every split."""
    digest = hashlib.sha256()
    for content in splits:
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def sequences(content: bytes) -> list[list[str]]:
    """The words of every line of a corpus's file."""
    return [line.split(" ") for line in content.decode("utf-8").split("\n")[:-1]]


def datasheet(name: str) -> str:
    """Origin, licence, derivation and contents of a shipped corpus, in Markdown."""
    return (files("bench") / "corpora" / name / "datasheet.md").read_text(encoding="utf-8")
