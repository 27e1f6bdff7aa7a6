from __future__ import annotations

import collections
import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from bench.errors import UsageError
from bench.tasks.corpus import Quatrains, corpus_hash, corpus_lines
from bench.tasks.vocabulary import UNKNOWN, WordVocabulary

SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"
# As in the corpus's datasheet.
SHA256 = {
    "train": "75e3daf388f4a240f854aeb73d6b0709ee6eac6f2a405b5ad3800fdf794e9d2a",
    "valid": "5e09cb83e4982684be540f5f2ed8b5c0f3847d67b85641a5d5ccbe9937247182",
    "test": "5a4dc743a57f893aa9a2c3ef4f1d8308b550823293bf0ea6bb7c3483b77e6e6d",
}


@pytest.fixture(scope="module")
def quatrains():
    return Quatrains().load()


def test_the_shipped_files_are_the_datasheets():
    folder = files("bench.corpora") / "quatrains"
    assert {split: hashlib.sha256((folder / f"{split}.txt").read_bytes()).hexdigest() for split in SHA256} == SHA256


def test_the_datasheet_that_ships_names_the_same_hashes():
    datasheet = files("bench.corpora") / "quatrains" / "datasheet.md"
    if not datasheet.is_file():
        pytest.skip("the corpus has no datasheet yet")
    text = datasheet.read_text("utf-8")
    assert all(sha256 in text for sha256 in SHA256.values())


def test_every_poem_has_twenty_characters():
    counts = {split: collections.Counter(map(len, corpus_lines("quatrains", split))) for split in SHA256}
    assert counts == {"train": {20: 12_983}, "valid": {20: 1_736}, "test": {20: 1_687}}
    assert all(len(word) == 1 for split in SHA256 for poem in corpus_lines("quatrains", split) for word in poem)


def test_no_poem_is_in_two_splits():
    poems = {split: {"".join(poem) for poem in corpus_lines("quatrains", split)} for split in SHA256}
    assert not poems["train"] & poems["test"]
    assert not poems["train"] & poems["valid"]
    assert not poems["valid"] & poems["test"]


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


def test_unigram_nll_is_the_independent_references(quatrains):
    # Absolute discounting by 0.75 backed off to uniform; each poem ends in a mark that counts, id V here.
    if not SHARED.is_dir():
        pytest.skip("the folder with reference numbers is not beside the checkout")
    reference = json.loads((SHARED / "ngram_reference.json").read_text())["quatrains5"]
    V = quatrains.training.spec.vocab_size + 1
    assert reference["vocab"] == V
    train, test = (
        torch.nn.functional.pad(part, (0, 1), value=V - 1) for part in (quatrains.training.train, quatrains.test)
    )
    counts = torch.bincount(train.flatten(), minlength=V).double()
    discounted = (counts - 0.75).clamp(min=0) + 0.75 * (counts > 0).sum() / V
    nll = -float((discounted / counts.sum()).log()[test].mean())
    assert nll == pytest.approx(reference["unigram_nll"], abs=6e-4)
    assert float((quatrains.test == 0).double().mean()) == pytest.approx(reference["test_unk"], abs=6e-5)


def test_the_count_makes_another_task(quatrains):
    other = Quatrains(min_count=5)
    assert other.fingerprint() != Quatrains().fingerprint()
    assert other.load().training.spec.vocab_size == 3_276
    assert other.load().sha256 != quatrains.sha256
    assert json.loads(Quatrains().fingerprint()) == {"corpus": corpus_hash("quatrains"), "min_count": 3}
    with pytest.raises(UsageError, match="min_count of at least 1"):
        Quatrains(min_count=0).fingerprint()


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
    vocabulary = WordVocabulary(("<unk>", "a", "b"), verse=2, joiner="")
    assert vocabulary.decode(torch.tensor([[1, 2, 2, 1, 1]])) == ["ab / ba / a"]
    assert math.prod(vocabulary.encode([["b", "a"]]).shape) == 2


def test_an_unknown_word_that_the_text_contains_is_no_second_entry():
    vocabulary = WordVocabulary.build([["<unk>", "a", "a"], ["<unk>", "a", "b"]], min_count=1)
    assert vocabulary.words.count("<unk>") == 1
    assert vocabulary.encode([["<unk>"]]).tolist() == [[vocabulary.unk]]
