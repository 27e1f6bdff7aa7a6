"""Real sequences as tasks: the corpora that ship with the package, and those that ``bench data fetch`` brings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from bench.api import SequenceSpec, Size, TrainingData
from bench.data.downloads import corpus_path, require
from bench.data.downloads import datasheet as fetched_datasheet
from bench.data.places import coordinates, parse_places
from bench.data.shipped import corpus_bytes, places_bytes, sequences, splits_hash
from bench.data.shipped import datasheet as shipped_datasheet
from bench.data.splits import SPLITS
from bench.errors import UsageError
from bench.tasks.base import TaskData
from bench.tasks.vocabulary import WordVocabulary


@dataclass(frozen=True, slots=True)
class Corpus:
    """Three splits of sequences of words.

    Words seen less than ``min_count`` times in training are ``<unk>``: an ordinary token in every NLL, and a word that
    matches nothing in BLEU. Before the first word a model reads a start symbol, which it cannot write.

    Where sequences differ in length, ``<eos>`` ends each: an ordinary token in every NLL, and not a word in BLEU. T is
    the length of the longest sequence of the three splits, with its end mark; the positions after an end mark hold end
    marks, which count nowhere.
    """

    min_count: Size = 3
    """Words seen less often in training become <unk>."""
    train_size: Size | None = None
    """Training sequences: so many, the same random ones for every seed, or None for all; other splits stay whole."""

    version: ClassVar[str] = "1"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {"train_size": 3_000}}
    corpus: ClassVar[str] = ""
    """The name of its folder."""
    shipped: ClassVar[bool] = True
    """Whether it is part of the package; otherwise it must be fetched first."""
    level: ClassVar[str] = "word"
    """What a word is, for signatures."""
    kind: ClassVar[str] = "words"
    ends: ClassVar[bool] = True
    """Whether sequences differ in length."""
    verse: ClassVar[int | None] = None
    complete: ClassVar[bool] = False
    """Whether its three splits together are all real sequences that there are, as those of a list of names."""

    def fingerprint(self) -> str:
        """The corpus's hash and the parameters."""
        if not self.shipped:
            require(self.corpus)
        content, fields = splits_hash([self.content(split) for split in SPLITS]), asdict(self)
        size = fields.pop("train_size")
        if size is not None and size < self.content("train").count(b"\n"):
            fields["train_size"] = size
        return json.dumps({"corpus": content, **fields}, sort_keys=True)

    def content(self, split: str) -> bytes:
        """A split's file."""
        return corpus_bytes(self.corpus, split) if self.shipped else corpus_path(self.corpus, split).read_bytes()

    def datasheet(self) -> str:
        """Origin, licence, derivation and contents of the corpus, in Markdown."""
        return shipped_datasheet(self.corpus) if self.shipped else fetched_datasheet(self.corpus)

    def lines(self) -> dict[str, list[list[str]]]:
        """The words of every sequence of each split."""
        return {split: sequences(self.content(split)) for split in SPLITS}

    def located(self, vocabulary: WordVocabulary) -> WordVocabulary:
        """The vocabulary with coordinates, where its words are places."""
        return vocabulary

    def load(self) -> TaskData:
        """Read the three splits; the vocabulary is the training split's."""
        lines, remarks = self.lines(), tuple[str, ...]()
        every = [words for split in SPLITS for words in lines[split]] if self.complete else None
        whole = len(lines["train"])
        if self.train_size is not None and self.train_size < whole:
            rows = np.random.RandomState(0).permutation(whole)[: self.train_size]
            lines["train"] = [lines["train"][row] for row in sorted(rows)]
            remarks = (
                f"models learn from {self.train_size:,} of the {whole:,} training sequences (train_size), so scores "
                "are not those of the whole corpus",
            )
        longest = max(len(words) for split in SPLITS for words in lines[split])
        vocabulary = self.located(
            WordVocabulary.build(lines["train"], self.min_count, self.ends, self.kind, self.verse)
        )
        size, length = len(vocabulary.words), longest + self.ends
        if size == 1 + self.ends:
            raise UsageError(f"no word is seen {self.min_count} times in training: lower {self.corpus}.min_count.")
        spec = SequenceSpec(size, length, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind=self.kind)
        train, valid, test = (vocabulary.encode(lines[split], length) for split in SPLITS)
        tokenizer = f"{self.level},min_count={self.min_count}"
        listed = None if every is None else vocabulary.encode(every, length)
        return TaskData(TrainingData(spec, train, valid, vocabulary), test, None, tokenizer, remarks, listed)


@dataclass(frozen=True, slots=True)
class Poems(Corpus):
    """Poems of four lines of five characters: twenty tokens each, neither end mark nor padding."""

    level: ClassVar[str] = "char"
    kind: ClassVar[str] = "characters"
    ends: ClassVar[bool] = False
    verse: ClassVar[int | None] = 5


@dataclass(frozen=True, slots=True)
class Quatrains(Poems):
    """Tang and Song quatrains of four lines of five characters, 16,406 in all: a poem task like the paper's."""

    corpus: ClassVar[str] = "quatrains"


@dataclass(frozen=True, slots=True)
class QuatrainsTang(Poems):
    """The 3,568 Tang poems of quatrains: small, for trying things out."""

    corpus: ClassVar[str] = "quatrains-tang"


@dataclass(frozen=True, slots=True)
class Tang5(Poems):
    """The first four lines of 25,636 Tang poems: nearest to the file that most papers on poems used."""

    corpus: ClassVar[str] = "tang5"


@dataclass(frozen=True, slots=True)
class Sotu(Corpus):
    """Sentences of presidential addresses, 4 to 32 words, 17,467 in all: a speech task like the paper's."""

    corpus: ClassVar[str] = "sotu"


@dataclass(frozen=True, slots=True)
class SotuObama(Corpus):
    """The 2,214 sentences of Obama's addresses in sotu: small, for trying things out."""

    corpus: ClassVar[str] = "sotu-obama"


@dataclass(frozen=True, slots=True)
class Pitches(Corpus):
    """Tunes on a grid of 32 steps, each a piano key from 1 to 88 or 0, a rest; neither end mark nor padding."""

    min_count: Size = 1
    """Pitches seen less often in training become <unk>."""

    level: ClassVar[str] = "pitch"
    kind: ClassVar[str] = "pitches"
    ends: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class FolkTunes(Pitches):
    """Irish and American dance tunes as 32 pitches on a grid, 9,284 in all: a music task like the paper's."""

    corpus: ClassVar[str] = "folk-tunes"


@dataclass(frozen=True, slots=True)
class Notes(Corpus):
    """Tunes as notes: each word is a MIDI pitch, or r for a rest, and a duration in sixteenths, such as 74:2."""

    min_count: Size = 1
    """Notes seen less often in training become <unk>."""

    level: ClassVar[str] = "pitch:duration"
    kind: ClassVar[str] = "notes"


@dataclass(frozen=True, slots=True)
class FolkTunesPhrases(Notes):
    """The tunes of folk-tunes as phrases of four bars, 8 to 48 notes with their durations, 7,779 in all."""

    corpus: ClassVar[str] = "folk-tunes-phrases"


@dataclass(frozen=True, slots=True)
class Smiles(Corpus):
    """Drug-like molecules as SMILES of 15 to 50 tokens, 60,000 in all: a sample is a molecule, or it is none."""

    min_count: Size = 1
    """Tokens seen less often in training become <unk>."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"train_size": 1_000},
        "quick": {"train_size": 10_000},
    }
    corpus: ClassVar[str] = "smiles"
    level: ClassVar[str] = "smiles"
    kind: ClassVar[str] = "molecules"


@dataclass(frozen=True, slots=True)
class Flights(Corpus):
    """Sixteen successive destinations of an aircraft out of New York, 18,264 trips among 99 places on a map."""

    min_count: Size = 1
    """Places seen less often in training become <unk>."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {"train_size": 1_000}, **Corpus.presets}
    corpus: ClassVar[str] = "flights"
    level: ClassVar[str] = "place"
    kind: ClassVar[str] = "places"
    ends: ClassVar[bool] = False

    def fingerprint(self) -> str:
        """As for every corpus, and the hash of the coordinates, which scores depend on."""
        places = hashlib.sha256(places_bytes(self.corpus)).hexdigest()
        return json.dumps({**json.loads(Corpus.fingerprint(self)), "places": places}, sort_keys=True)

    def located(self, vocabulary: WordVocabulary) -> WordVocabulary:
        """The vocabulary with the coordinates of its places."""
        places = parse_places(places_bytes(self.corpus), f"the places of '{self.corpus}'")
        return replace(vocabulary, places=coordinates(vocabulary.words, places))


@dataclass(frozen=True, slots=True)
class Surnames(Corpus):
    """The 88,799 surnames of a census, letter by letter: trained in seconds, and a sample can be looked up."""

    min_count: Size = 1
    """Letters seen less often in training become <unk>."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"smoke": {"train_size": 1_000}, **Corpus.presets}
    corpus: ClassVar[str] = "surnames"
    level: ClassVar[str] = "char"
    kind: ClassVar[str] = "characters"
    complete: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class CocoCaptions(Corpus):
    """Captions of photographs, Texygen's 10,000 + 10,000 (fetched)."""

    corpus: ClassVar[str] = "coco-captions"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class EmnlpNews(Corpus):
    """News sentences of EMNLP 2017's WMT, as Texygen cut them (fetched)."""

    corpus: ClassVar[str] = "emnlp-news"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Rnnpg(Poems):
    """Zhang and Lapata's quatrains in their own split, the poems that the paper cites (fetched)."""

    corpus: ClassVar[str] = "rnnpg"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class TexygenShi(Poems):
    """Texygen's file of Tang poems (fetched)."""

    corpus: ClassVar[str] = "texygen-shi"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Obama(Corpus):
    """Sentences of Obama's speeches (fetched)."""

    corpus: ClassVar[str] = "obama"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class PennTreebank(Corpus):
    """Sentences of the Penn Treebank's Wall Street Journal, 10,000 words (fetched)."""

    min_count: Size = 1
    """Words seen less often in training become <unk>; the file already contains its own <unk>."""

    corpus: ClassVar[str] = "ptb"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Nottingham(Pitches):
    """The Nottingham tunes, the paper's own, as 32 pitches on a grid (fetched)."""

    corpus: ClassVar[str] = "nottingham"
    shipped: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class NottinghamPhrases(Notes):
    """The Nottingham tunes as phrases of four bars, notes with their durations (fetched)."""

    corpus: ClassVar[str] = "nottingham-phrases"
    shipped: ClassVar[bool] = False
