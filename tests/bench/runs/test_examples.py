"""The samples that a record shows, each beside the training sequence nearest to it."""

from dataclasses import replace

import torch

from bench.api import SequenceSpec, TrainingData
from bench.records.frames import REAL_DATA
from bench.runs.examples import SHOWN_SAMPLES, examples
from bench.tasks.base import TaskData
from bench.tasks.corpus import QuatrainsTang
from bench.tasks.vocabulary import WordVocabulary

TRAIN = ["the cat sat on the mat", "a dog ran", "the dog sat on a log", "the cat sat on the mat"]
VALID = ["who knows"]
TEST = ["the cat sat on a log", "nobody runs", "a dog ran"]


def data(listed=None):
    lines = [[line.split() for line in part] for part in (TRAIN, VALID, TEST)]
    vocabulary = WordVocabulary.build(lines[0], 1, True)
    train, valid, test = (vocabulary.encode(part, 8) for part in lines)
    size = len(vocabulary.words)
    spec = SequenceSpec(size, 8, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind="words")
    given = TrainingData(spec, train, valid, vocabulary)
    return TaskData(given, test, None, "word", listed=None if listed is None else vocabulary.encode(listed, 8))


def shown(lines, make_spec, **changes):
    task = data()
    return examples(task.vocabulary.encode(lines, 8), task, make_spec(**changes))


def test_a_sample_stands_beside_the_nearest_training_sequence(make_spec):
    found = shown(["the cat sat on a log"], make_spec)
    (nearest,) = found.nearest
    assert found.samples == ("the cat sat on a log",)
    assert nearest.sample == ("", "the", " cat ", "sat on a log", "")
    assert nearest.example == ("", "the", " dog ", "sat on a log", "")
    assert (nearest.shared, nearest.longest, nearest.words, nearest.example_words) == (5, 4, 6, 6)
    assert not nearest.is_copy
    assert found.kind == "words"


def test_a_copy_is_one_and_of_equal_sequences_the_first_is_shown(make_spec):
    copy, part = shown(["a dog ran", "the cat sat"], make_spec).nearest
    assert copy.is_copy
    assert copy.example == ("", "a dog ran", "")
    assert not part.is_copy
    assert part.sample == ("", "the cat sat", "")
    assert part.example == ("", "the cat sat", " on the mat")


def test_unknown_words_are_shared_with_nobody_and_validation_sequences_count(make_spec):
    unknown, empty = shown(["<unk> <unk>", ""], make_spec).nearest
    assert (unknown.sample, unknown.example, unknown.shared, unknown.words) == (("<unk> <unk>",), (), 0, 2)
    assert (empty.sample, empty.example, empty.words) == (("",), (), 0)
    task = data()
    task = replace(task, training=replace(task.training, valid=task.vocabulary.encode(["log mat cat"], 8)))
    (nearest,) = examples(task.vocabulary.encode(["log mat cat"], 8), task, make_spec()).nearest
    assert nearest.is_copy


def test_beside_real_data_stand_test_sequences_and_the_training_sequences_nearest_to_them(make_spec):
    task = data()
    found = examples(task.training.train, task, make_spec(model=REAL_DATA))
    assert sorted(found.samples) == sorted(task.vocabulary.decode(task.test))
    assert found == examples(task.training.train, task, make_spec(model=REAL_DATA))
    listed = data(listed=[line.split() for line in TRAIN])
    found = examples(listed.test, listed, make_spec(model=REAL_DATA))
    assert {*found.samples} == {*TRAIN}
    assert all(nearest.is_copy for nearest in found.nearest)


def test_tokens_without_symbols_are_numbers(make_spec):
    spec = SequenceSpec(30, 4, bos=0)
    train = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    task = TaskData(TrainingData(spec, train, train[:0], None), train, None, "")
    found = examples(torch.tensor([[5, 6, 17, 8], [20, 21, 22, 23]]), task, make_spec())
    assert found.samples == ("5 6 17 8", "20 21 22 23")
    assert found.nearest[0].sample == ("", "5 6", " 17 ", "8", "")
    assert found.nearest[1].example == ()
    assert found.kind == "synthetic"


def test_trials_and_data_of_persons_show_no_training_sequences(make_spec):
    task = replace(data(), of_persons=True)
    found = examples(task.test, task, make_spec())
    assert len(found.samples) == len(task.test)
    assert found.nearest == ()
    assert shown(["a dog ran"], make_spec, tuning={"trial": 0, "study": "s", "metric": "nll"}).nearest == ()


def test_without_any_training_sequence_nothing_is_near(make_spec):
    task = data()
    task = replace(task, training=replace(task.training, train=task.test[:0], valid=task.test[:0]))
    (nearest,) = examples(task.test[:1], task, make_spec()).nearest
    assert (nearest.example, nearest.shared) == ((), 0)


def test_poems_of_the_corpus(make_spec):
    task = QuatrainsTang(train_size=300).load()
    known = next(row for row in task.training.train if task.vocabulary.unk not in row)
    found = examples(torch.cat([known[None], task.test[:9]]), task, make_spec())
    assert len(found.nearest) == len(found.samples) == SHOWN_SAMPLES
    assert [nearest.is_copy for nearest in found.nearest] == [True, False, False, False, False]
    for sample, nearest in zip(found.samples, found.nearest, strict=True):
        assert "".join(nearest.sample) == sample
        marked = ["".join("".join(part[1::2]).split(" / ")) for part in (nearest.sample, nearest.example)]
        assert marked[0] == marked[1]
        assert len(marked[0]) == nearest.shared
