"""``bench rate`` as its users meet it: the page, its key, the answers, and the column of the leaderboard."""

from __future__ import annotations

import csv
import json
import random
import re
import runpy
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.data.shipped import corpus_bytes
from bench.records.frames import REAL_DATA
from bench.records.ratings import Draw, Source, key_from_json, key_to_json, make_key
from bench.records.store import Store
from bench.reports import sheet

MODELS = "bigram,replay"
RATER = runpy.run_path(str(Path(__file__).with_name("rater.py")))
browser, Rater = RATER["browser"], RATER["Rater"]


@pytest.fixture(scope="module")
def finished(bench, tmp_path_factory):
    """The results of two models that train in no time, on poems, tunes and numbers."""
    folder = tmp_path_factory.mktemp("finished") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.reports.figures.drawing.write_figures", lambda *_: [])
        answer = bench("run", "--models", MODELS, "--tasks", "quatrains-tang,folk-tunes,toy",
                       "--metrics", "distinct", "--preset", "smoke", "--seeds", 1, "--workers", 0, "--temperatures",
                       "none", "--output", folder)  # fmt: skip
    assert answer.code == 0
    return folder


@pytest.fixture
def results(finished, tmp_path):
    """A copy of them."""
    return shutil.copytree(finished, tmp_path / "results")


@pytest.fixture
def export(bench, finished, tmp_path):
    """``bench rate export`` of the models on a task, by default the poems; returns the answer and the key."""

    def call(*arguments, task="quatrains-tang", models=MODELS, name="sheet"):
        output = tmp_path / f"{name}.html"
        answer = bench("rate", "export", finished, "--task", task, "--models", models, "--output", output, *arguments)
        key = output.with_name(f"{name}.key.json")
        return answer, output, key_from_json(key.read_text("utf-8"), str(key)) if key.exists() else None

    return call


def data_of(page):
    """What a page holds as data."""
    found = re.search(r'<script id="sheet" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def write_answers(folder, key, name, says, items=None, delimiter=","):
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, delimiter=delimiter)
        rows.writerow(["sheet", "item", "answer", "rater", "seconds"])
        for item in key.items if items is None else items:
            rows.writerow([key.sheet, item.id, "human" if says(item) else "machine", name, 1.5])
    return file


def is_real(item):
    return 0 in item.sources


def test_a_sheet_has_twenty_texts_of_each_source_and_real_ones_from_the_held_out_split(export):
    answer, output, key = export()
    assert answer.code == 0
    assert f"{output}: sheet {key.sheet}, " in answer.out
    assert "20 of each of real data, bigram and replay." in answer.out
    assert "20 of the texts of replay are in the training split word for word: those are real." in answer.out
    assert key.protocol == "paper"
    assert [sum(item.sources.count(at) for item in key.items) for at in range(3)] == [20, 20, 20]
    test = {line.replace(" ", "") for line in corpus_bytes("quatrains-tang", "test").decode().splitlines()}
    for item in key.items:
        assert [len(verse) for verse in item.text.split("\n")] == [5, 5, 5, 5]
        if is_real(item):
            pattern = re.compile(item.text.replace("\n", "").replace("□", "."))
            assert any(map(pattern.fullmatch, test)), item.text


def test_generated_texts_are_those_of_bench_sample(bench, finished, export):
    _, _, key = export("--seed", 3)
    [run] = [source.run for source in key.sources if source.model == "bigram"]
    poems = bench("sample", run, "--results", finished, "-n", 20, "--seed", 3).out.strip().split("\n\n")
    assert {item.text for item in key.items if 1 in item.sources} == set(poems)


def test_runs_are_named_by_ids_too(bench, finished, export, tmp_path):
    _, by_folder, key = export()
    ids = [source.run[:6] for source in key.sources[1:]]
    answer = bench(
        "rate", "export", *ids, "--results", finished, "--output", tmp_path / "ids.html", "--protocol", "paper"
    )
    assert answer.code == 0
    assert (tmp_path / "ids.html").read_bytes() == by_folder.read_bytes()
    assert (tmp_path / "ids.key.json").read_bytes() == by_folder.with_name("sheet.key.json").read_bytes()


def test_the_same_command_gives_the_same_bytes_and_another_seed_another_sheet(export):
    pages = [export(name=name)[1].read_bytes() for name in ("one", "two")]
    assert pages[0] == pages[1]
    _, output, key = export("--seed", 1, name="other")
    assert output.read_bytes() != pages[0]
    assert key.sheet not in pages[0].decode()


def test_the_page_does_not_say_where_a_text_is_from(export):
    _, output, key = export()
    page = output.read_text("utf-8")
    secrets = [source.run for source in key.sources] + [source.name for source in key.sources]
    secrets += ["quatrains", "smoke", "copied", "seed", "training"]
    shown = data_of(page)
    assert [word for word in secrets if word in json.dumps(shown, ensure_ascii=False)] == []
    assert [word for word in secrets[:6] if word in page] == []
    assert set(shown) == {"sheet", "question", "skip", "items"}
    assert {tuple(item) for item in shown["items"]} == {("id", "text")}
    assert [item["id"] for item in shown["items"]] == [item.id for item in key.items]
    assert len({item.id for item in key.items}) == len(key.items)
    assert all(re.fullmatch("[a-q]{10}", item.id) for item in key.items)


def test_neither_the_order_nor_the_ids_go_with_the_source():
    """Over many sheets, a source is on average as early as another, and its ids are in no order of theirs."""
    sources = [Source(name, "", name, 0, name == REAL_DATA) for name in (REAL_DATA, "a", "b")]
    about = {"task": "t", "preset": "p", "data": "d", "n": 10, "skip": False, "question": "?"}
    early = {at: [] for at in range(3)}
    by_id = {at: [] for at in range(3)}
    for seed in range(60):
        key = make_key(
            [Draw(at, f"{seed} {at} {n}", False) for at in range(3) for n in range(10)], sources, seed, **about
        )
        places = {item.id: rank for rank, item in enumerate(sorted(key.items, key=lambda item: item.id))}
        for place, item in enumerate(key.items):
            early[item.sources[0]].append(place)
            by_id[item.sources[0]].append(places[item.id])
    for found in (*early.values(), *by_id.values()):
        assert abs(sum(found) / len(found) - 14.5) < 1.2  # 3.3 standard errors of a random order


def test_the_order_cannot_be_computed_from_the_texts_and_the_seed():
    sources = [Source(name, "", name, 0, name == REAL_DATA) for name in (REAL_DATA, "a")]
    about = {"task": "t", "preset": "p", "data": "d", "n": 10, "skip": False, "question": "?"}
    keys = [
        make_key([Draw((n + swap) % 2, f"text {n}", False) for n in range(20)], sources, 0, **about) for swap in (0, 1)
    ]
    assert [item.text for item in keys[0].items] != [item.text for item in keys[1].items]


HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "<!-- <script>",
    "a\u2028b\u2029c",
    '"quoted" & \\n',
    "@STYLE@",
    "turned \u202e round \x1b[31m",
)


class Tags(HTMLParser):
    """All tags of a page, as a browser sees them."""

    def __init__(self):
        super().__init__()
        self.found, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "poster")]


def hostile_key():
    sources = [Source(REAL_DATA, "", REAL_DATA, 0, True)]
    draws = [Draw(0, text, False) for text in HOSTILE]
    return make_key(draws, sources, 0, task="t", preset="p", data="d", n=7, skip=True, question="Was it?")


def test_whatever_a_text_holds_stays_text():
    key = hostile_key()
    page = sheet.page(key)
    tags = Tags()
    tags.feed(page)
    assert tags.found.count("script") == 2
    assert "img" not in tags.found
    shown = [item["text"] for item in data_of(page)["items"]]
    assert sorted(shown) == sorted(
        [*HOSTILE[:-1], "turned <U+202E> round ␛[31m"],
    )
    assert not set("\u2028\u2029\u202e\x1b") & set(page)


def test_the_page_loads_nothing_and_runs_only_its_own_script(export):
    _, output, _ = export()
    page = output.read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.links == []
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert re.findall("@[A-Z]+@", page) == []


def test_pages_are_labelled(export):
    _, output, _ = export()
    page = output.read_text("utf-8")
    assert '<html lang="en">' in page
    assert 'name="viewport"' in page
    assert re.search(r'<label for="name">', page)
    assert re.search(r'id="progress" role="status" aria-live="polite"', page)
    assert "prefers-color-scheme: dark" in page
    assert ":focus-visible" in page


def test_a_text_of_two_sources_is_shown_once():
    sources = [Source(name, "", name, 0, name == REAL_DATA) for name in (REAL_DATA, "a")]
    draws = [Draw(0, "same", False), Draw(1, "same", True), Draw(1, "same", True), Draw(1, "own", False)]
    key = make_key(draws, sources, 0, task="t", preset="p", data="d", n=3, skip=False, question="?")
    assert sorted((item.text, sorted(item.sources)) for item in key.items) == [("own", [1]), ("same", [0, 1, 1])]
    assert key_from_json(key_to_json(key), "key") == key


def test_texts_that_were_drawn_twice_are_told(bench, results, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.runs.restore.Restored.spell",
        lambda self, tokens: [list("春眠不覺曉處處聞啼鳥夜來風雨聲花落知多少")] * len(tokens),
    )
    answer = bench("rate", "export", results, "--task", "quatrains-tang", "--models", MODELS, "-n", 2,
                   "--output", tmp_path / "s.html")  # fmt: skip
    assert answer.code == 0
    assert "1 texts were drawn more than once, 1 of them from several sources: each is on the page once" in answer.out


def test_tunes_have_their_notes(export):
    _, output, key = export("-n", 2, task="folk-tunes")
    items = data_of(output.read_text("utf-8"))["items"]
    assert key.question == "Was this composed by a human?"
    assert all(sum(length for _, length in item["notes"]) == 64 for item in items)  # 32 eighths
    assert all(pitch is None or 0 <= pitch < 128 for item in items for pitch, _ in item["notes"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-n", 0], "expected -n from 1 to 500, got 0."),
        (["-n", 501], "expected -n from 1 to 500, got 501."),
        (["-n", 10, "--protocol", "paper"], "the paper's protocol has 20 texts of each source"),
        (["--skip", "--protocol", "paper"], "leave out --protocol, or --skip."),
        (["--seed", -1], "expected a --seed from 0, got -1."),
        (["--seeds", "4-4"], "seed 4 of bigram is not finished in"),
        (["--preset", "paper"], "unknown preset 'paper'"),
    ],
)
def test_mistakes_of_export_are_one_sentence(export, tmp_path, arguments, sentence):
    answer, output, _ = export(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert not output.exists()


def test_what_nobody_can_judge_and_what_is_not_one_task_are_refused(bench, finished, export, tmp_path):
    answer, _, _ = export(task="toy")
    assert (answer.code, answer.err) == (
        2, "bench: the words of toy are numbers that stand for nothing: nobody can judge them.\n"
    )  # fmt: skip
    assert "unknown task 'poems'" in export(task="poems")[0].err
    assert "unknown model 'gpt'" in export(models="gpt")[0].err
    assert "unknown model 'real data'" in export(models=REAL_DATA)[0].err
    ids = {(record.spec.task, record.spec.model): record.spec.run_id for record in Store(finished).records()}

    def of(*runs, output="s.html", more=()):
        return bench("rate", "export", *runs, "--results", finished, "--output", tmp_path / output, *more).err

    poems, tunes = ids["quatrains-tang", "bigram"], ids["folk-tunes", "bigram"]
    assert "expected runs on the same data, since a sheet is about one task, but" in of(poems, tunes)
    assert f"expected each run once, got {poems} twice." in of(poems, poems)
    assert "is the real data, and real texts are on every sheet" in of(ids["quatrains-tang", REAL_DATA])
    assert "expected an --output that ends in .html, got" in of(poems, output="s.txt")
    assert "choose from a results folder" in of(poems, more=["--task", "toy"])
    assert "there is no run 'abcdef012345'" in of("abcdef012345")
    assert "expected --models, to choose from" in of(finished)
    assert "expected a --task, for" in of(finished, more=["--models", "replay"])
    assert "there is no results folder 'nowhere' to choose from." in of("nowhere", more=["--task", "toy"])
    assert "expected runs, or one results folder" in of(finished, poems)
    assert "none'; choose another --output" in of(poems, output="none/s.html")
    assert "expected a results folder" in of(tmp_path, more=["--task", "toy", "--models", "mle"])


def test_neither_a_key_nor_answers_are_replaced(bench, export, tmp_path):
    _, output, key = export()
    before = [path.read_bytes() for path in (output, tmp_path / "sheet.key.json")]
    assert export()[0].code == 0  # the same sheet
    again, *_ = export("--seed", 1)
    assert (again.code, "is there already, and not of this sheet: choose another --output" in again.err) == (2, True)
    assert [path.read_bytes() for path in (output, tmp_path / "sheet.key.json")] == before
    file = write_answers(tmp_path / "a", key, "Ann", is_real)
    kept = file.read_bytes()
    answer = bench("rate", "read", file, "--key", tmp_path / "sheet.key.json", "--output", file)
    assert (answer.code, "holds answers: choose another --output" in answer.err) == (2, True)
    assert file.read_bytes() == kept


def test_answers_are_read(bench, export, tmp_path):
    _, _, key = export()
    folder = tmp_path / "answers"
    write_answers(folder, key, "Ann", is_real)
    write_answers(folder, key, "Bob", is_real, delimiter=";")
    luck = random.Random(0)
    write_answers(folder, key, "Cy", lambda item: luck.random() < 0.5)
    answer = bench("rate", "read", folder, "--output", tmp_path / "found.json")  # the key is one folder up
    assert answer.code == 0
    assert "Krippendorff's alpha" in answer.out
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert [row["name"] for row in found["shares"]] == [REAL_DATA, "bigram", "replay"]
    assert found["shares"][0]["value"] > found["shares"][1]["value"] + 0.5
    assert found["shares"][2]["copied"] == 20
    assert [row["name"] for row in found["raters"]] == ["Ann", "Bob", "Cy"]
    assert found["raters"][0]["right"] == 1.0
    assert any("20 of 20 texts of replay" in note for note in found["notes"])
    bench("rate", "read", folder, "--output", tmp_path / "found.csv")
    with (tmp_path / "found.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["value"]) for row in rows[:3]] == [row["value"] for row in found["shares"]]
    assert [(row["source"], row["reference"]) for row in rows[3:]] == [
        *(("bigram", REAL_DATA), ("replay", REAL_DATA), ("replay", "bigram")),
    ]
    bench("rate", "read", folder, "--output", tmp_path / "found.md")
    assert "| bigram - real data |" in (tmp_path / "found.md").read_text("utf-8")


def test_an_unfinished_save_before_the_last_one_is_left_out(bench, export, tmp_path):
    _, _, key = export()
    write_answers(tmp_path / "a", key, "Ann", is_real, key.items[:10]).rename(tmp_path / "a" / "early.csv")
    write_answers(tmp_path / "a", key, "Ann", is_real)
    answer = bench("rate", "read", tmp_path / "a")
    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert "is left out: all its answers are in" in said
    assert "Agreement between raters cannot be known from one rater." in said


def test_missing_answers_and_raters_who_say_one_thing_are_noted(bench, export, tmp_path):
    _, _, key = export()
    file = write_answers(tmp_path / "a", key, "Ann", lambda item: True, key.items[5:])
    said = " ".join(bench("rate", "read", file, "--key", tmp_path / "sheet.key.json").out.split())
    assert f"'Ann' left 5 of {len(key.items)} texts unanswered" in said
    assert "'Ann' said 'human' of every text" in said


def break_sheet(text, key):
    return text.replace(key.sheet, "abcdefghij")


def break_item(text, key):
    return text.replace(key.items[0].id, "aaaaaaaaaa")


def break_answer(text, key):
    return text.replace("machine", "perhaps")


def repeat_line(text, key):
    return text + text.splitlines()[3] + "\n"


def drop_column(text, key):
    return text.replace("answer", "judgement", 1)


def empty(text, key):
    return text.splitlines()[0] + "\n"


def nameless(text, key):
    return text.replace(",Ann,", ",,", 1)


def skipping(text, key):
    return text.replace("machine", "skip", 1)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (break_sheet, "expected answers to sheet "),
        (break_item, "there is no text 'aaaaaaaaaa' on the sheet."),
        (break_answer, "expected an answer of human, machine, got 'perhaps'."),
        (repeat_line, "for the second time."),
        (drop_column, "expected the columns sheet, item, answer, rater and an answer in"),
        (empty, "got no answers."),
        (nameless, "expected a rater's name of 1 to 60 characters."),
        (skipping, "got 'skip'."),
    ],
)
def test_answers_that_cannot_be_right_are_refused(bench, export, tmp_path, damage, sentence):
    _, _, key = export()
    file = write_answers(tmp_path / "a", key, "Ann", is_real)
    file.write_text(damage(file.read_text("utf-8"), key), encoding="utf-8")
    answer = bench("rate", "read", file, "--key", tmp_path / "sheet.key.json")
    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1


def test_two_raters_of_one_name_are_refused(bench, export, tmp_path):
    _, _, key = export()
    one = write_answers(tmp_path / "a", key, "Ann", is_real)
    other = write_answers(tmp_path / "b", key, "ann", lambda item: not is_real(item))
    answer = bench("rate", "read", one, other, "--key", tmp_path / "sheet.key.json")
    assert answer.code == 2
    assert "both have answers of 'ann', which differ" in answer.err


def test_keys_and_files_that_are_none_are_refused(bench, export, tmp_path):
    _, output, key = export()
    file = write_answers(tmp_path / "a", key, "Ann", is_real)
    key_file = tmp_path / "sheet.key.json"

    def read(*arguments):
        answer = bench("rate", "read", *arguments)
        assert answer.code == 2
        assert answer.err.count("\n") == 1
        return answer.err

    assert "expected the key of a rating sheet" in read(file, "--key", output)
    changed = key_file.read_text("utf-8").replace('"bigram"', '"seqgan"')
    (tmp_path / "changed.json").write_text(changed, encoding="utf-8")
    assert "does not match its content: it was changed" in read(file, "--key", tmp_path / "changed.json")
    assert "there is no file" in read(tmp_path / "none.csv")
    (tmp_path / "nothing").mkdir()
    assert "there are no .csv files in" in read(tmp_path / "nothing")
    assert "expected an --output that ends in .csv, .md, .json" in read(file, "--output", "a.xlsx")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    assert "expected UTF-8 in" in read(tmp_path / "bytes.csv", "--key", key_file)
    (tmp_path / "blank.csv").write_bytes(b"")
    assert "got an empty file." in read(tmp_path / "blank.csv", "--key", key_file)
    key_file.rename(tmp_path / "away.json")
    assert "name it with --key SHEET.key.json" in read(file)


def test_the_leaderboard_gets_a_column(bench, results, export, tmp_path, no_figures):
    _, _, key = export()
    for name in ("Ann", "Bob"):
        write_answers(tmp_path / "a", key, name, is_real)
    answer = bench("rate", "read", tmp_path / "a", "--results", results)
    assert answer.code == 0
    assert f"{results / 'ratings' / key.sheet}.json: 3 runs rated" in answer.out
    assert bench("report", results).code == 0
    with (results / "leaderboard.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["metric"] == "human"]
    assert {row["model"]: float(row["mean"]) for row in rows} == {REAL_DATA: 1.0, "bigram": 0.0, "replay": 0.0}
    assert {(row["task"], row["checkpoint"], row["direction"]) for row in rows} == {
        ("quatrains-tang", "final", "higher")
    }
    assert all(f"n=20|raters=2|texts={len(key.items)}|real=test|protocol=paper" in row["signature"] for row in rows)
    page = _pages(results)
    assert "## Judged by people" in page
    assert "human ↑" in page


def test_ratings_that_were_changed_are_left_out_with_a_note(bench, results, export, tmp_path, no_figures):
    _, _, key = export()
    bench("rate", "read", write_answers(tmp_path / "a", key, "Ann", is_real), "--results", results,
          "--key", tmp_path / "sheet.key.json")  # fmt: skip
    file = results / "ratings" / f"{key.sheet}.json"
    file.write_text(file.read_text("utf-8").replace('"raters": 1', '"raters": 70'), encoding="utf-8")
    answer = bench("report", results)
    assert answer.code == 1
    assert "does not match its content" in " ".join(answer.out.split())
    assert "human ↑" not in _pages(results)


def test_ratings_of_other_runs_are_not_taken(bench, export, tmp_path):
    _, _, key = export()
    store = Store(tmp_path / "other")
    store.open()
    file = write_answers(tmp_path / "a", key, "Ann", is_real)
    answer = bench("rate", "read", file, "--key", tmp_path / "sheet.key.json", "--results", store.path)
    assert answer.code == 2
    assert "which the sheet is about: name the folder of its runs." in answer.err
    assert not store.ratings.exists()


def test_folders_are_merged_with_their_ratings(bench, results, export, tmp_path, no_figures):
    _, _, key = export()
    file = write_answers(tmp_path / "a", key, "Ann", is_real)
    bench("rate", "read", file, "--key", tmp_path / "sheet.key.json", "--results", results)
    plain = shutil.copytree(results, tmp_path / "plain", ignore=shutil.ignore_patterns("ratings"))
    assert bench("merge", plain, results, "--output", tmp_path / "whole").code == 0
    rated = Path("ratings", f"{key.sheet}.json")
    assert (tmp_path / "whole" / rated).read_bytes() == (results / rated).read_bytes()
    more = write_answers(tmp_path / "b", key, "Bob", is_real)
    bench("rate", "read", file, more, "--key", tmp_path / "sheet.key.json", "--results", results)
    answer = bench("merge", tmp_path / "whole", results, "--output", tmp_path / "again")
    assert answer.code == 2
    assert "have other ratings of the same sheet" in answer.err
    assert not (tmp_path / "again").exists()


def test_the_commands_of_its_page_work(bench, results, tmp_path, monkeypatch, no_figures):
    text = (Path(__file__).parents[3] / "docs" / "rate.md").read_text("utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    _, export, read, report = [line.replace("mle,seqgan", MODELS) for block in blocks for line in block.splitlines()]
    monkeypatch.chdir(tmp_path)  # where the results are
    assert bench(*export.split()[1:]).code == 0
    key = key_from_json(Path("sheet.key.json").read_text("utf-8"), "sheet.key.json")
    write_answers(tmp_path / "answers", key, "Ann", is_real)
    assert bench(*read.split()[1:]).code == 0
    assert bench(*report.split()[1:]).code == 0
    assert "# Judged by people: quatrains-tang" in Path("human.md").read_text("utf-8")
    assert "human ↑" in _pages(results)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Judges pages as raters of these names; skipped where there is no Chromium to do it in."""
    with browser(tmp_path_factory.mktemp("profile")) as context:

        def judge(page, folder, *names):
            folder.mkdir(exist_ok=True)
            return [Rater(context, page, name).judge(folder) for name in names]

        yield judge


def test_a_rater_judges_by_the_keyboard_alone(bench, export, chromium, tmp_path):
    _, output, key = export("-n", 4, task="folk-tunes")
    ann, bob = chromium(output, tmp_path / "saved", "Ann", 'Bob, "the" 2nd')
    texts = {item.text: item.id for item in key.items}
    for rater in (ann, bob):
        assert rater["complaints"] == []
        assert sorted(rater["seen"]) == sorted(texts)
        assert rater["undone"] == [f"Tune 4 of {len(texts)}", f"Tune 3 of {len(texts)}"]
        assert rater["back"] == f"Tune 2 of {len(texts)}"
        half = f"Tune {len(texts) // 2 + 1} of {len(texts)}"
        assert rater["again"] == [half, half]  # the tab was closed, and nothing is lost
        assert rater["offered"] == rater["rater"]
        with (tmp_path / "saved" / rater["file"]).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert [row["item"] for row in rows] == [texts[text] for text in rater["seen"]]
        assert [row["answer"] for row in rows] == rater["said"]
        assert {(row["rater"], row["sheet"]) for row in rows} == {(rater["rater"], key.sheet)}
        assert all(0.1 < float(row["seconds"]) < 60 for row in rows)
    assert ann["seen"] != bob["seen"]
    assert ann["file"] == f"answers-{key.sheet}-Ann.csv"
    answer = bench("rate", "read", tmp_path / "saved", "--output", tmp_path / "found.json")
    assert answer.code == 0
    assert json.loads((tmp_path / "found.json").read_text("utf-8"))["krippendorff_alpha"] == 1.0


def test_hostile_texts_do_nothing_in_a_browser(chromium, tmp_path):
    key = hostile_key()
    (tmp_path / "sheet.html").write_text(sheet.page(key), encoding="utf-8")
    [ann] = chromium(tmp_path / "sheet.html", tmp_path / "saved", "=Ann")
    assert ann["complaints"] == []
    assert "<script>alert(1)</script>" in ann["seen"]
    with (tmp_path / "saved" / ann["file"]).open(encoding="utf-8", newline="") as stream:
        assert {row["rater"] for row in csv.DictReader(stream)} == {"Ann"}  # a name is no formula


def _pages(results):
    """All pages of the tasks."""
    return "".join(path.read_text("utf-8") for path in sorted((results / "leaderboard").iterdir()))
