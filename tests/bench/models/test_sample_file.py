"""``--models samples:FILE``: samples of a model that was trained elsewhere are a row of the leaderboard."""

import dataclasses
import gzip
import json
import re

import pytest
import torch

from bench.api import Decoding, SequenceSpec, TrainingData
from bench.commands.sample import render
from bench.data.shipped import NAMES
from bench.errors import UsageError
from bench.models.sample_file import SampleFile, Samples
from bench.plans.own_files import own_model, own_reports
from bench.plans.plan import Request, make_plan
from bench.records.record import from_json
from bench.tasks.corpus import Smiles
from bench.tasks.vocabulary import WordVocabulary

PLAIN = Request(models=("random",), tasks=("toy",), metrics=("all",), seeds=2, preset="smoke")
TOY = ("--tasks", "toy", "--preset", "smoke", "--workers", 0, "--temperatures", "none")


def rows(n, seed=0, length=8, words=12):
    return torch.randint(words, (n, length), generator=torch.Generator().manual_seed(seed)).tolist()


def write(path, n=200, seed=0):
    path.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows(n, seed)))
    return path


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Samples of two seeds of the toy task in the working directory."""
    monkeypatch.chdir(tmp_path)
    return [write(tmp_path / f"mine-{seed}.txt", 230, seed) for seed in range(2)]


def data(vocabulary, length, kind="words"):
    size = len(vocabulary.words)
    spec = SequenceSpec(size, length, bos=size, eos=vocabulary.eos, pad=vocabulary.eos, kind=kind)
    return TrainingData(spec, torch.zeros(0, length), torch.zeros(0, length), vocabulary)


def test_the_samples_are_what_the_file_says_in_random_order_and_each_once(files):
    spec = SequenceSpec(12, 8, bos=0)
    tokens, lines = SampleFile(str(files[0])).tokens(TrainingData(spec, torch.zeros(0, 8), torch.zeros(0, 8)))
    assert tokens.tolist() == rows(230) == [[int(word) for word in line.split()] for line in lines]
    sampler = Samples(tokens)
    drawn = sampler.sample(230, Decoding(), torch.Generator().manual_seed(1))
    assert sorted(drawn.tolist()) == sorted(rows(230))
    assert drawn.tolist() != rows(230)
    assert torch.equal(drawn[:50], sampler.sample(50, Decoding(), torch.Generator().manual_seed(1)))
    assert sampler.sample(0, Decoding(), torch.Generator()).shape == (0, 8)
    with pytest.raises(ValueError, match="expected at most 230 samples, which the file has, got n=231"):
        sampler.sample(231, Decoding(), torch.Generator())
    with pytest.raises(ValueError, match="cannot be decoded again"):
        sampler.sample(2, Decoding(0.5), torch.Generator())


def test_a_row_of_the_leaderboard_has_all_that_needs_samples_alone_and_no_cost(bench, files, tmp_path):
    asked = ("run", "--models", "samples:mine-{seed}.txt,name=theirs,bigram", *TOY, "--seeds", 2)
    answer = bench(*asked, "--output", tmp_path / "r")
    assert answer.code == 0, answer.err
    records = [from_json(file.read_text()) for file in (tmp_path / "r" / "runs").glob("toy.samples-theirs.*.json")]
    assert sorted(record.spec.seed for record in records) == [0, 1]
    for record in records:
        found = {score.metric: score.value for score in record.scores["final"]}
        assert (record.status, record.density, record.spec.role, record.frontier) == ("ok", "none", "contender", {})
        assert found["nll_test"] is None
        assert found["nll_oracle"] > 2
        assert found["bleu2"] > 0.1
        assert found["lm_nll"] > 1
        assert not {"seconds", "tokens", "updates", "sampled_tokens_per_second"} & found.keys()
    page = (tmp_path / "r" / "leaderboard.md").read_text()
    assert "| samples:theirs |" in page
    assert re.search(r"- samples:theirs: in jsd_token, [a-z_, ]*: it has no density of its own", page)
    assert "0 to do" in bench(*asked, "--output", tmp_path / "r").out


def test_what_a_model_wrote_scores_as_the_model_itself(bench, tmp_path, monkeypatch):
    """The samples of a finished run, as a file, have the scores that the run has, if all of them are scored."""
    monkeypatch.chdir(tmp_path)
    task = ("--tasks", "sotu-obama", "--preset", "smoke", "--workers", 0, "--temperatures", "none", "--seeds", 1)
    assert bench("run", "--models", "bigram", *task, "--output", "r").code == 0
    [file] = (tmp_path / "r" / "runs").glob("*.bigram.*.json")
    run = from_json(file.read_text())
    for ending in ("txt", "jsonl"):
        assert bench("sample", run.spec.run_id, "-n", 200, "--output", f"b.{ending}", "--results", "r").code == 0
    answer = bench("run", "--models", "samples:b.txt,samples:b.jsonl", *task, "--output", "s")
    assert answer.code == 0, answer.err
    scores = []
    for kept in sorted((tmp_path / "s" / "runs").glob("*.samples-*.json")):
        record = from_json(kept.read_text())
        scores.append({each.metric: each.value for each in record.scores["final"]})
        assert record.data_sha256 == run.data_sha256
    assert scores[0] == scores[1]
    own = {each.metric: each.value for each in run.scores["final"]}
    assert abs(scores[0]["bleu2"] - own["bleu2"]) < 0.1  # another draw of the same model


@pytest.mark.parametrize("name", NAMES)
def test_sequences_of_every_corpus_come_back_as_they_were(name, tmp_path):
    """As ``bench sample`` writes them: words separated by spaces, ``▁`` for a space that is a word."""
    plan = make_plan(dataclasses.replace(PLAIN, tasks=(name,), seeds=1))
    task = registry_task(plan[0])
    tokens = task.training.train[:300]
    path = tmp_path / "s.txt"
    path.write_text("".join(" ".join(words) + "\n" for words in task.vocabulary.spell(tokens)), encoding="utf-8")
    assert torch.equal(SampleFile(str(path)).tokens(task.training)[0], tokens)


def registry_task(spec):
    from bench.plans.fields import build
    from bench.plans.registry import Plugin

    return build(Plugin("task", spec.task, spec.task_target).load(), spec.task_config).load()


def test_characters_may_be_written_together_or_apart(tmp_path):
    vocabulary = WordVocabulary.build(["ab▁c"] * 3, 1, ends=True, kind="characters")
    path = tmp_path / "s.txt"
    found = []
    for text in ("ab c\nb\n", "a b ▁ c\nb\n"):
        path.write_text(text)
        found.append(SampleFile(str(path)).tokens(data(vocabulary, 6, "characters"))[0].tolist())
    assert found[0] == found[1]
    assert [vocabulary.words[token] for token in found[0][0]] == ["a", "b", "▁", "c", "<eos>", "<eos>"]


def test_molecules_may_be_written_together_or_apart(tmp_path):
    vocabulary = WordVocabulary.build([["C", "Cl", "[nH]", "1"]] * 3, 1, ends=True, kind="molecules")
    path = tmp_path / "s.txt"
    path.write_text("CCl1\nC Cl 1\n[nH]\nCl [nH]Br\n\n")
    tokens, _ = SampleFile(str(path)).tokens(data(vocabulary, 6, "molecules"))
    spelled = [["C", "Cl", "1"], ["C", "Cl", "1"], ["[nH]"], ["Cl", "[nH]", "<unk>"], []]
    assert vocabulary.spell(tokens) == spelled
    notes = SampleFile(str(path)).report(data(vocabulary, 6, "molecules"), torch.zeros(0, 6, dtype=torch.long))
    assert notes[0].startswith("s.txt: 5 samples, 10 tokens, of which 10.0% are not in the task's vocabulary")


@pytest.mark.parametrize("form", ["text", "lines"])
def test_what_bench_sample_prints_of_molecules_is_read_back(form, tmp_path):
    task = Smiles(train_size=300).load()
    tokens, vocabulary = task.training.train, task.vocabulary
    path = tmp_path / "s.txt"
    path.write_text(render(form, vocabulary.spell(tokens), tokens.tolist(), task.training.spec.kind, None, "title"))
    lines = path.read_text().splitlines()
    assert all((" " in line) == (form == "lines") for line in lines)
    assert torch.equal(SampleFile(str(path)).tokens(task.training)[0], tokens)


def test_a_sequence_that_fills_all_positions_has_no_end_mark(tmp_path):
    vocabulary = WordVocabulary.build([["a", "b"]], 1, ends=True)
    path = tmp_path / "s.txt"
    path.write_text("a b a\n\nb\n")
    tokens = SampleFile(str(path)).tokens(data(vocabulary, 3))[0]
    a, b, end = (vocabulary.words.index(word) for word in ("a", "b", "<eos>"))
    assert tokens.tolist() == [[a, b, a], [end, end, end], [b, end, end]]
    path.write_text("a\na b a b\nb b b b b\n")
    with pytest.raises(UsageError, match=r"^2 of the 3 samples in .* are no sequences of this task, first line 2: "):
        SampleFile(str(path)).tokens(data(vocabulary, 3))


def test_ids_with_an_end_mark(tmp_path):
    spec = SequenceSpec(5, 3, bos=5, eos=4, pad=3)
    path = tmp_path / "s.txt"
    path.write_text("0 1\n2 2 2\n\n")
    none = torch.zeros(0, 3)
    assert SampleFile(str(path)).tokens(TrainingData(spec, none, none))[0].tolist() == [[0, 1, 4], [2, 2, 2], [4, 3, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2 3 4 5 6 x\n" * 200, "expected ids separated by spaces, got '0 1 2 3 4 5 6 x'"),
        ("0 1 2 3 4 5 6 12\n" * 200, "expected ids from 0 to 11, got"),
        ("0 1 2 3 4 5 6 -1\n" * 200, "expected ids from 0 to 11, got"),
        (
            "0 1 2 3 4 5 6 7\n" * 199 + "0 1\n",
            "1 of the 200 samples .* first line 200: expected 8 ids a sequence",
        ),
        ("0 1 2 3 4 5 6 7\n" * 150, "has 150 samples, and smoke scores 200 of each model: 50 are missing"),
    ],
)
def test_what_is_no_sample_is_refused_before_anything_is_trained(bench, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.txt").write_text(text)
    answer = bench("run", "--models", "samples:s.txt,mle", *TOY, "--output", "r")
    assert answer.code == 2
    with pytest.raises(UsageError, match=message):
        raise UsageError(answer.err)
    assert "Traceback" not in answer.err
    assert not list(tmp_path.glob("r/runs/*.json"))


def test_words_of_another_vocabulary_are_pointed_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.txt").write_text("the people zzz qqq\n" * 200)
    plan = make_plan(dataclasses.replace(PLAIN, models=("samples:s.txt",), tasks=("sotu-obama",)))
    [notes] = own_reports(plan).values()
    assert "50.0% are not in the task's vocabulary and become <unk>" in notes[0]
    assert any("50% of the words of s.txt are not in the task's vocabulary" in note for note in notes)


def test_test_sequences_are_pointed_out_and_one_file_is_not_two_trainings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = make_plan(dataclasses.replace(PLAIN, tasks=("sotu-obama",), seeds=1))
    task = registry_task(plan[0])
    for seed in range(2):
        lines = [" ".join(words) for words in task.vocabulary.spell(task.test[:200])]
        (tmp_path / f"s-{seed}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    asked = dataclasses.replace(PLAIN, models=("samples:s-{seed}.txt",), tasks=("sotu-obama",))
    with pytest.raises(UsageError, match=r"the files of seeds 0 and 1 of .* are the same"):
        make_plan(asked)
    [notes] = own_reports(make_plan(dataclasses.replace(asked, seeds=1))).values()
    assert any("100% of the samples of s-0.txt are sequences of the test split" in note for note in notes)


def test_one_file_is_one_training(files):
    plan = make_plan(dataclasses.replace(PLAIN, models=("samples:mine-0.txt", "bigram"), seeds=(3, 4)))
    assert [(spec.model, spec.seed) for spec in plan] == [
        ("real data", 3), ("samples:mine-0.txt", 3), ("bigram", 3), ("real data", 4), ("bigram", 4),
    ]  # fmt: skip


def test_where_a_file_lies_does_not_matter_and_what_is_in_it_does(files, tmp_path):
    def ids(**changes):
        asked = {"models": ("samples:mine-{seed}.txt,name=mine",), **changes}
        return [spec.run_id for spec in make_plan(dataclasses.replace(PLAIN, **asked)) if spec.files]

    before = ids()
    assert len(set(before)) == 2
    (tmp_path / "elsewhere").mkdir()
    for file in files:
        (tmp_path / "elsewhere" / file.name).write_bytes(file.read_bytes())
    assert ids(models=("samples:elsewhere/mine-{seed}.txt,name=mine",)) == before
    write(files[1], 230, seed=9)
    assert not set(ids()) & set(before)


def test_all_seeds_of_a_model_are_one_group_on_one_task(files):
    plan = [spec for spec in make_plan(dataclasses.replace(PLAIN, models=("samples:mine-{seed}.txt",))) if spec.files]
    assert len({spec.group_id for spec in plan}) == 1
    assert [spec.files["file"] for spec in plan] == [str(file) for file in files]
    assert {spec.label for spec in plan} == {"samples:mine-{seed}.txt"}


def test_a_file_that_changes_after_the_plan_is_not_scored(files):
    [spec, _] = [each for each in make_plan(dataclasses.replace(PLAIN, models=("samples:mine-{seed}.txt",)))
                 if each.files]  # fmt: skip
    write(files[0], 230, seed=9)
    reader = SampleFile(**{**spec.config, **spec.files})
    with pytest.raises(UsageError, match="changed after the runs were planned"):
        reader.fit(TrainingData(SequenceSpec(12, 8, bos=0), torch.zeros(0, 8), torch.zeros(0, 8)), NoRun())


class NoRun:
    def phase(self, name, steps):
        yield from range(steps)


@pytest.mark.parametrize(
    ("models", "settings", "message"),
    [
        (("samples:mine-{seed}.txt",), (), "there is no '.*mine-2.txt', the samples of seed 2: .* seeds 0, 1, 2;"),
        (("samples:nowhere.txt",), (), "cannot read '.*nowhere.txt'"),
        (("samples:",), (), "expected a file after 'samples:', as in samples:mine-"),
        (("samples:mine-0.txt,level=char",), (), "unknown key of 'samples:' 'level'. Known: column, file, name"),
        (("samples:mine-0.txt,content=x",), (), "unknown key of 'samples:' 'content'"),
        (("samples:mine-0.txt,column=a",), (), "has no column 'a'"),
        (("samples:mine-0.txt",), ("samples:mine-0.txt.file=x",), "name the file in --models"),
        (("samples:mine-0.txt",), ("samples:mine-0.txt.content=()",), "name the file in --models"),
        (
            ("samples:mine-0.txt", "samples:mine-1.txt,name=mine-0.txt"),
            (),
            "two models are called 'samples:mine-0",
        ),
        (("text:mine-0.txt",), (), "'text:' is a task, not a model: give 'text:mine-0.txt' to --tasks"),
    ],
)
def test_mistakes_in_use(files, models, settings, message):
    with pytest.raises(UsageError, match=message):
        make_plan(dataclasses.replace(PLAIN, models=models, settings=settings, seeds=3))


def test_samples_are_no_task_and_no_generator(bench, files):
    assert "'samples:' is a model, not a task" in bench("run", "--tasks", "samples:mine-0.txt").err
    for asked in (("validate", "samples:mine-0.txt"), ("tune", "samples:mine-0.txt", "--task", "toy", "--trials", 2)):
        answer = bench(*asked)
        assert (answer.code, "is no generator, only what one wrote" in answer.err) == (2, True)


def test_columns_and_packed_files_are_read_as_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = rows(200)
    with gzip.open("s.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": 1, "said": " ".join(map(str, row))}) + "\n" for row in wanted)
    plugin, fields = own_model("samples:s.jsonl.gz,column=said,name=theirs")
    assert (plugin.name, fields["column"]) == ("samples:theirs", "said")
    [spec] = [each for each in make_plan(dataclasses.replace(PLAIN, models=("samples:s.jsonl.gz,column=said",)))
              if each.files]  # fmt: skip
    assert spec.label == "samples:s.jsonl.gz[column=said]"
    none = torch.zeros(0, 8)
    found = SampleFile(**{**spec.config, **spec.files}).tokens(TrainingData(SequenceSpec(12, 8, bos=0), none, none))
    assert found[0].tolist() == wanted
