from __future__ import annotations

import collections
import json
import math
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import shipped as corpora
from bench.data.datasheet import COLUMNS, count_facts, facts_table
from bench.data.shipped import NAMES, corpus_bytes, places_bytes, sequences, splits_hash
from bench.data.splits import SPLITS
from bench.errors import UsageError
from bench.plans.registry import available, find
from bench.tasks.corpus import Flights, Quatrains, QuatrainsTang
from bench.tasks.vocabulary import END, UNKNOWN, WordVocabulary

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"
SOURCES = {
    "quatrains": "quatrains5",
    "quatrains-tang": "quatrains5-tang",
    "tang5": "tang5-first4",
    "folk-tunes": "folk-tunes-grid32",
    "nottingham": "nottingham-grid32",
    "rnnpg": "rnnpg5",
}
"""Names of the corpora in the folder next to the checkout, where they differ."""


def corpus_lines(name, split):
    """The words of every example of a split."""
    return sequences(corpus_bytes(name, split))


def task_of(name):
    return available("task")[name].load()()


@pytest.fixture(scope="module")
def loaded():
    return {name: task_of(name).load() for name in NAMES}


@pytest.fixture(scope="module")
def quatrains(loaded):
    return loaded["quatrains"]


@pytest.fixture(scope="module")
def sotu(loaded):
    return loaded["sotu"]


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_files_are_the_datasheets(name):
    import hashlib

    datasheet = corpora.datasheet(name)
    assert datasheet.startswith(f"# {name}\n")
    for split in SPLITS:
        digest = hashlib.sha256(corpora.corpus_bytes(name, split)).hexdigest()
        assert f"{digest}  {split}.txt" in datasheet


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_files_are_the_prepared_ones(name):
    if not SHARED.is_dir():
        pytest.skip("the folder with prepared corpora is not beside the checkout")
    for split in SPLITS:
        prepared = SHARED / "ship" / SOURCES.get(name, name) / f"{split}.txt"
        assert corpora.corpus_bytes(name, split) == prepared.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_the_datasheet_counts_what_is_there(name):
    facts = count_facts({split: corpus_lines(name, split) for split in SPLITS}, task_of(name).min_count)
    rows = [f"| {' | '.join(row)} |" for row in (COLUMNS, *facts_table(facts))]
    assert all(row in corpora.datasheet(name) for row in rows)
    if name == "flights":  # shuttles: the same sixteen destinations, of other aircraft
        assert [facts[split].copied for split in ("valid", "test")] == [95, 85]
    else:
        assert [facts[split].copied for split in ("valid", "test")] == [0, 0]
        assert all(fact.repeated == 0 for fact in facts.values())


@pytest.mark.parametrize("name", NAMES)
def test_origin_licence_and_notice_ship_with_the_corpus(name):
    datasheet = corpora.datasheet(name)
    assert all(f"## {part}\n" in datasheet for part in ("Origin", "Licence", "Derivation", "Split", "Format"))
    assert not re.search(r"scripts/|REPORT|ships? in the repo", datasheet)
    notice = (files("bench") / "corpora" / name / "NOTICE").read_text("utf-8")
    assert re.search(r"Permission is hereby granted|Redistribution and use|CC0|public domain", notice)
    assert len(notice) > 500


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_corpus_is_its_lines(name, loaded):
    data = loaded[name]
    training, spec = data.training, data.training.spec
    vocabulary = data.vocabulary
    words = set(vocabulary.words)
    assert spec.bos == spec.vocab_size == len(vocabulary.words) == len(words)
    for split, tokens in (("train", training.train), ("valid", training.valid), ("test", data.test)):
        lines = corpus_lines(name, split)
        assert tokens.shape == (len(lines), spec.seq_len)
        assert vocabulary.spell(tokens[::97]) == [
            [word if word in words else UNKNOWN for word in line] for line in lines[::97]
        ]
        assert spec.lengths(tokens).tolist() == [len(line) for line in lines]
    assert data.oracle is None


@pytest.mark.parametrize("name", NAMES)
def test_unigram_and_trigram_nll_are_the_independent_references(name, loaded):
    if not SHARED.is_dir():
        pytest.skip("the folder with reference numbers is not beside the checkout")
    check_references(name, loaded[name])


@pytest.mark.parametrize("name", ["coco-captions", "rnnpg", "nottingham", "nottingham-phrases"])
def test_so_are_those_of_fetched_corpora(name, tmp_path, monkeypatch):
    if not SHARED.is_dir():
        pytest.skip("the folder with prepared corpora is not beside the checkout")
    monkeypatch.setenv("SEQGAN_BENCH_DATA", str(tmp_path))
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / name).symlink_to((SHARED / "download" / SOURCES.get(name, name)).resolve())
    task = task_of(name)
    task.fingerprint()  # these are the files that a fetch would make
    check_references(name, task.load())


def check_references(name, data):
    """Absolute discounting by 0.75, each order interpolated with the next lower one and the last with uniform.

    Every sequence ends in a mark that counts.
    """
    reference = json.loads((SHARED / "ngram_reference.json").read_text())[SOURCES.get(name, name)]
    spell = data.vocabulary.spell
    train, test = ([[*words, END] for words in spell(part)] for part in (data.training.train, data.test))
    unknown = sum(words.count(UNKNOWN) for words in test) / sum(len(words) - 1 for words in test)
    V = len(set(data.vocabulary.words) | {END})
    assert (V, unknown) == (reference["vocab"], pytest.approx(reference["test_unk"], abs=6e-5))
    counts, totals = collections.Counter(), collections.Counter()
    types = collections.Counter()
    for words in train:
        for position, word in enumerate(words):
            for order in (1, 2, 3):
                history = tuple([None, None, *words][position + 3 - order : position + 2])
                counts[history, word] += 1
    for (history, _), count in counts.items():
        totals[history] += count
        types[history] += 1

    def probability(history, word):
        if history is None:
            return 1 / V
        shorter = probability(history[1:] if history else None, word)
        if not totals[history]:
            return shorter
        return (max(counts[history, word] - 0.75, 0) + 0.75 * types[history] * shorter) / totals[history]

    unigram = trigram = 0.0
    for words in test:
        for position, word in enumerate(words):
            unigram -= math.log(probability((), word))
            trigram -= math.log(probability(tuple([None, None, *words][position : position + 2]), word))
    tokens = sum(map(len, test))
    assert unigram / tokens == pytest.approx(reference["unigram_nll"], abs=1e-3)
    assert trigram / tokens == pytest.approx(reference["trigram_nll"], abs=1e-3)


def test_every_poem_has_twenty_characters():
    counts = {split: collections.Counter(map(len, corpus_lines("quatrains", split))) for split in SPLITS}
    assert counts == {"train": {20: 12_983}, "valid": {20: 1_736}, "test": {20: 1_687}}
    assert all(len(word) == 1 for split in SPLITS for poem in corpus_lines("quatrains", split) for word in poem)


def test_what_a_generator_gets(quatrains):
    training, spec = quatrains.training, quatrains.training.spec
    assert [tuple(part.shape) for part in (training.train, training.valid, quatrains.test)] == [
        (12_983, 20), (1_736, 20), (1_687, 20)
    ]  # fmt: skip
    assert (spec.vocab_size, spec.seq_len, spec.bos, spec.eos, spec.pad) == (3_926, 20, 3_926, None, None)
    assert quatrains.oracle is None
    assert quatrains.tokenizer == "char,min_count=3"
    assert 0 <= int(training.train.min()) <= int(training.train.max()) < 3_926


def test_the_vocabulary_is_the_training_splits(quatrains):
    words = quatrains.vocabulary.words
    assert len(words) == len(set(words)) == 3_926
    assert words[0] == UNKNOWN
    assert quatrains.vocabulary.unk == 0
    counts = collections.Counter(word for poem in corpus_lines("quatrains", "train") for word in poem)
    assert set(words[1:]) == {word for word, count in counts.items() if count >= 3}
    assert [counts[word] for word in words[1:]] == sorted((counts[word] for word in words[1:]), reverse=True)


def test_ids_are_the_characters(quatrains):
    words = quatrains.vocabulary.words
    for split, tokens in (("train", quatrains.training.train), ("test", quatrains.test)):
        for poem, row in list(zip(corpus_lines("quatrains", split), tokens.tolist(), strict=True))[::50]:
            assert [words[token] for token in row] == [word if word in set(words) else UNKNOWN for word in poem]
    known = quatrains.test[(quatrains.test != 0).all(1)][:1]
    line = quatrains.vocabulary.decode(known)[0]
    assert [len(verse) for verse in line.split(" / ")] == [5, 5, 5, 5]
    assert line.replace(" / ", "") in {"".join(poem) for poem in corpus_lines("quatrains", "test")}


def test_characters_unknown_to_training(quatrains):
    assert float((quatrains.training.train == 0).double().mean()) == pytest.approx(1 - 0.9915, abs=5e-5)
    assert float((quatrains.test == 0).double().mean()) == pytest.approx(0.0136, abs=5e-5)


def test_the_count_makes_another_task(quatrains):
    other = Quatrains(min_count=5)
    assert other.fingerprint() != Quatrains().fingerprint()
    assert other.load().training.spec.vocab_size == 3_276
    assert other.load().sha256 != quatrains.sha256
    assert json.loads(Quatrains().fingerprint()) == {
        "corpus": splits_hash([corpus_bytes("quatrains", split) for split in SPLITS]),
        "min_count": 3,
    }
    with pytest.raises(UsageError, match=r"no word is seen 100000 times in training: lower quatrains\.min_count\."):
        Quatrains(min_count=100_000).load()


def test_two_loads_are_the_same_bytes(quatrains):
    assert Quatrains().load().sha256 == quatrains.sha256


def test_words_are_ordered_by_count_and_then_by_code_point():
    vocabulary = WordVocabulary.build([["b", "c", "a"], ["a", "b", "d"], ["e", "e", "e"]], min_count=2)
    assert vocabulary.words == ("<unk>", "e", "a", "b")
    tokens = vocabulary.encode([["e", "d", "a"], ["b", "zebra", "e"]])
    assert tokens.tolist() == [[1, 0, 2], [3, 0, 1]]
    assert tokens.dtype == torch.int64
    assert vocabulary.decode(tokens) == ["e <unk> a", "b <unk> e"]


def test_verse_is_shown_line_by_line():
    vocabulary = WordVocabulary(("<unk>", "a", "b"), kind="characters", verse=2)
    assert vocabulary.decode(torch.tensor([[1, 2, 2, 1, 1]])) == ["ab / ba / a"]
    assert math.prod(vocabulary.encode([["b", "a"]]).shape) == 2


def test_sentences_end_in_a_mark_that_fills_the_rest(sotu):
    training, spec = sotu.training, sotu.training.spec
    assert (spec.seq_len, spec.vocab_size, spec.eos, spec.pad, spec.bos) == (33, 5_111, 5_110, 5_110, 5_111)
    assert sotu.vocabulary.words[-1] == END
    assert sotu.tokenizer == "word,min_count=3"
    lengths = spec.lengths(training.train)
    assert (int(lengths.min()), int(lengths.max()), int(lengths.sum())) == (4, 32, 243_774)
    assert spec.count(training.train) == 243_774 + 13_983
    for row, length in zip(training.train[:200].tolist(), lengths[:200].tolist(), strict=True):
        assert spec.eos not in row[:length]
        assert row[length:] == [spec.eos] * (33 - length)
    line = " ".join(corpus_lines("sotu", "train")[0])
    assert [" ".join(words) for words in sotu.vocabulary.spell(training.train[:1])] == [line]
    assert sotu.vocabulary.decode(training.train[:1]) == [line.replace(" ,", ",").replace(" .", ".")]


def test_tunes_are_thirty_two_pitches(loaded):
    data = loaded["folk-tunes"]
    spec = data.training.spec
    assert (spec.seq_len, spec.vocab_size, spec.eos, spec.kind) == (32, 36, None, "pitches")
    assert all(0 <= int(word) <= 88 for word in data.vocabulary.words[1:])
    assert data.tokenizer == "pitch,min_count=1"


def test_a_phrase_is_notes_with_durations(loaded):
    data = loaded["folk-tunes-phrases"]
    assert (data.training.spec.seq_len, data.training.spec.kind) == (49, "notes")
    assert all(re.fullmatch(r"(r|\d+):\d+(/\d+)?", word) for word in data.vocabulary.words[1:-1])


def test_sequences_that_do_not_fit_are_refused():
    open_ended = WordVocabulary.build([["a", "b"]], min_count=1, ends=True)
    assert open_ended.words == (UNKNOWN, "a", "b", END)
    assert open_ended.encode([["b"], []], 3).tolist() == [[2, 3, 3], [3, 3, 3]]
    with pytest.raises(ValueError, match="expected less than 2 words a sequence, got 2"):
        open_ended.encode([["a", "b"]], 2)
    with pytest.raises(ValueError, match="expected 2 words a sequence, got 1"):
        WordVocabulary.build([["a", "b"]], min_count=1).encode([["a", "b"], ["a"]])


def test_a_text_that_spells_out_a_mark_has_an_unknown_word():
    vocabulary = WordVocabulary.build([["<eos>", "a", "a"], ["<unk>", "a", "b"]], min_count=1, ends=True)
    assert vocabulary.words == (UNKNOWN, "a", "b", END)
    tokens = vocabulary.encode([["<eos>", "<unk>", "a"]], 5)
    assert tokens.tolist() == [[0, 0, 1, 3, 3]]
    assert vocabulary.decode(tokens) == ["<unk> <unk> a"]
    assert vocabulary.spell(torch.tensor([[1, 1, 2, 1, 2]])) == [["a", "a", "b", "a", "b"]]


def test_an_unknown_word_that_the_text_contains_is_not_a_second_entry():
    vocabulary = WordVocabulary.build([["<unk>", "a", "a"], ["<unk>", "a", "b"]], min_count=1)
    assert vocabulary.words.count("<unk>") == 1
    assert vocabulary.encode([["<unk>"]]).tolist() == [[vocabulary.unk]]


def test_a_part_of_the_training_split_is_the_same_for_all_and_said():
    part, whole = Quatrains(train_size=300), Quatrains()
    data, everything = part.load(), whole.load()
    assert data.training.train.shape == (300, 20)
    assert len(data.training.valid) == len(everything.training.valid)
    assert len(data.test) == len(everything.test)
    (remark,) = data.remarks
    assert remark.startswith("models learn from 300 of the 12,983 training sequences (train_size)")
    assert everything.remarks == ()
    assert torch.equal(part.load().training.train, data.training.train)
    lines = {split: sequences(part.content(split)) for split in SPLITS}
    known = collections.Counter(
        word for words in [lines["train"][row] for row in chosen(300, 12_983)] for word in words
    )
    vocabulary = data.training.vocabulary
    assert set(vocabulary.words) - {"<unk>"} == {word for word, count in known.items() if count >= 3}


def chosen(part, whole):
    return sorted(np.random.RandomState(0).permutation(whole)[:part])


def test_a_part_is_another_task_and_the_whole_is_the_same_task_as_ever():
    assert json.loads(Quatrains().fingerprint()).keys() == {"corpus", "min_count"}
    assert json.loads(Quatrains(train_size=300).fingerprint())["train_size"] == 300
    assert QuatrainsTang(train_size=3_000).fingerprint() == QuatrainsTang().fingerprint()
    assert QuatrainsTang(train_size=3_000).load().remarks == ()


@pytest.mark.parametrize("name", ["quatrains-tang", "sotu-obama", "folk-tunes", "smiles"])
def test_what_is_spelled_is_encoded_again(name):
    data = find("task", name).load()().load()
    tokens, vocabulary = data.training.train[:50], data.vocabulary
    assert torch.equal(vocabulary.encode(vocabulary.spell(tokens), tokens.shape[1]), tokens)
    if data.training.spec.kind == "characters":  # verse, as people read it
        known = tokens[~tokens.eq(vocabulary.unk).any(1)]
        assert torch.equal(vocabulary.encode(vocabulary.decode(known), tokens.shape[1]), known)
    if data.training.spec.kind == "molecules":  # as chemists write them, and as they are separated here
        assert torch.equal(vocabulary.encode(vocabulary.decode(tokens), tokens.shape[1]), tokens)
        separated = [" ".join(words) for words in vocabulary.spell(tokens)]
        assert torch.equal(vocabulary.encode(separated, tokens.shape[1]), tokens)
        carbon = vocabulary.ids["C"]
        assert vocabulary.encode(["C[Xe]C", "C<unk>C"]).tolist() == [[carbon, 0, carbon, vocabulary.eos]] * 2


def test_every_place_of_flights_has_coordinates(loaded):
    vocabulary = loaded["flights"].vocabulary
    lines = (files("bench") / "corpora" / "flights" / "places.csv").read_text("utf-8").splitlines()[1:]
    rows = {line.partition(",")[0]: [float(text) for text in line.rsplit(",", 2)[1:]] for line in lines}
    assert {
        word: point.tolist() for word, point in zip(vocabulary.words[1:], vocabulary.places[1:], strict=True)
    } == rows
    assert np.isnan(vocabulary.places[0]).all()
    assert not vocabulary.places.flags.writeable
    assert vocabulary == loaded["flights"].training.vocabulary
    assert isinstance(hash(vocabulary), int)
    assert {name for name in NAMES if loaded[name].vocabulary.places is not None} == {"flights"}


def test_the_coordinates_are_part_of_the_data_of_flights(monkeypatch):
    before = Flights().fingerprint()
    content = places_bytes("flights").replace(b"33.636719", b"33.636720")
    monkeypatch.setattr("bench.tasks.corpus.places_bytes", lambda name: content)
    assert Flights().fingerprint() != before
