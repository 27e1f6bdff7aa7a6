"""``bench score`` as its user meets it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu

import bench

CORPUS = Path(bench.__file__).parent / "corpora" / "sotu-obama"
TEST, TRAIN, VALID = (CORPUS / f"{split}.txt" for split in ("test", "train", "valid"))


@pytest.fixture
def files(tmp_path):
    """A file of samples, one of references."""
    samples, references = tmp_path / "samples.txt", tmp_path / "test.txt"
    samples.write_text("a cat sat\n\na dog ran\n  \nthe cat ran off\n", encoding="utf-8")
    references.write_text("a cat ran\nthe dog sat\nthe dog ran off\n", encoding="utf-8")
    return samples, references


def test_a_table_of_the_shipped_corpus(bench):
    found = bench("score", VALID, "--references", TEST, "--train", TRAIN)
    assert (found.code, found.err) == (0, "")
    for metric in ("bleu2", "self_bleu5", "backward_bleu3", "ms_jaccard4", "distinct2", "copy_8gram", "length_distance",
                   "vocabulary", "unseen_in_train", "real text"):  # fmt: skip
        assert metric in found.out
    assert "tok=word:2|v=1" in found.out
    assert max(map(len, found.out.splitlines())) <= 80


def test_json_and_csv_have_the_same_numbers(bench, files):
    samples, references = files
    found = json.loads(bench("score", samples, "--references", references, "--format", "json").out)
    table = bench("score", samples, "--references", references, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(table.out)))
    scores = [(row["name"], score) for row in found["rows"] for score in row["scores"]]
    assert [(row["name"], row["metric"]) for row in rows] == [(name, score["metric"]) for name, score in scores]
    for row, (_, score) in zip(rows, scores, strict=True):
        assert row["value"] == ("" if score["value"] is None else str(score["value"]))
        assert row["interval"] == (score["interval"] or "")
    assert found["rows"][0]["n"] == 5
    assert any(note == f"{samples}: empty samples (blank lines), which count: 2." for note in found["notes"])
    assert f"bench: {samples}: empty samples (blank lines), which count: 2." in table.err


def test_standard_input_is_a_file_like_others(bench, files, monkeypatch):
    samples, references = files
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + samples.read_bytes()), "latin-1"))
    asked = ("--references", references, "--format", "json")
    piped, read = (json.loads(bench("score", name, *asked).out) for name in ("-", samples))
    assert piped["rows"][0]["name"] == "standard input"
    assert piped["rows"][0]["n"] == 5
    assert piped["rows"][0]["scores"] == read["rows"][0]["scores"]
    for ending in "\r\n", "\r":
        text = samples.read_text("utf-8").replace("\n", ending).encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        assert json.loads(bench("score", "-", *asked).out)["rows"][0]["scores"] == read["rows"][0]["scores"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n\n")))
    found = bench("score", "-", *asked)
    assert found.err == "bench: standard input has no line that is not blank: expected one sample a line.\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n")))
    found = bench("score", "-", "--references", references)
    assert (found.code, found.err) == (
        2,
        "bench: line 1 of the standard input is not UTF-8; if it is Latin-1 (Chinese is likely GB18030, Japanese "
        "SHIFT_JIS, Cyrillic WINDOWS-1251), convert it with: iconv -f ISO-8859-1 -t UTF-8\n",
    )


def test_columns_of_tables_are_read(bench, files, tmp_path):
    samples, references = files
    table = tmp_path / "samples.csv"
    table.write_text("id,said\n1,a cat sat\n2,\n3,a dog ran\n4,\n5,the cat ran off\n", encoding="utf-8")
    asked = ("--references", references, "--format", "json")
    one = json.loads(bench("score", table, "--column", "said", *asked).out)
    other = json.loads(bench("score", samples, *asked).out)
    assert one["rows"][0]["scores"] == other["rows"][0]["scores"]


def test_packed_files_are_read_as_what_they_hold(bench, files, tmp_path, monkeypatch):
    references = files[1]
    packed = [tmp_path / f"{path.name}.gz" for path in files]
    for path, plain in zip(packed, files, strict=True):
        path.write_bytes(gzip.compress(plain.read_bytes()))
    plain, found = (
        json.loads(bench("score", a, "--references", b, "--train", b, "--format", "json").out)
        for a, b in (files, packed)
    )
    assert [row["scores"] for row in found["rows"]] == [row["scores"] for row in plain["rows"]]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed[0].read_bytes())))
    answer = bench("score", "-", "--references", references)
    assert (answer.code, answer.err) == (
        2,
        "bench: the standard input is packed by gzip: give the file's name, or unpack it with gzip -dc.\n",
    )
    packed[0].write_bytes(packed[0].read_bytes()[:-9])
    answer = bench("score", packed[0], "--references", references)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "damaged: it ends too early" in answer.err


def test_a_tokenizer_of_sacrebleu_is_named_with_its_version(bench, files, monkeypatch):
    samples, references = files
    found = bench("score", samples, "--references", references, "--tokenizer", "13a")
    assert (found.code, found.err) == (0, "")
    assert f"tok=13a:sacrebleu-{sacrebleu.__version__}|" in found.out.replace("\n", "")
    for module in list(sys.modules):
        if module.partition(".")[0] == "sacrebleu":
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    found = bench("score", samples, "--references", references, "--tokenizer", "zh")
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert "pip install 'seqgan-bench[sacrebleu]'" in found.err


@pytest.fixture
def two(tmp_path):
    """Two files of 60 sentences, of which the second are shorter."""
    lines = VALID.read_text("utf-8").splitlines()
    (tmp_path / "one.txt").write_text("\n".join(lines[:60]) + "\n", encoding="utf-8")
    (tmp_path / "other.txt").write_text("\n".join(line[:40] for line in lines[60:120]) + "\n", encoding="utf-8")
    return tmp_path / "one.txt", tmp_path / "other.txt"


def test_further_files_are_compared_with_the_first(bench, two):
    asked = ("--references", TEST, "--train", TRAIN, "--tokenizer", "space")
    table = bench("score", *two, *asked)
    assert (table.code, table.err) == (0, "")
    text = " ".join(table.out.split())
    assert "other.txt minus one.txt difference 95 % interval p (Holm) outcome" in text.replace(
        "other.txt ", "other.txt "
    )
    assert "other.txt, beside one.txt, is" in text
    assert "length_mean" in text.partition("beside one.txt, is")[2]
    assert max(map(len, table.out.splitlines())) <= 80
    found = json.loads(bench("score", *two, *asked, "--format", "json").out)
    rows = list(csv.DictReader(io.StringIO(bench("score", *two, *asked, "--format", "csv").out)))
    scores = [{each["metric"]: each["value"] for each in row["scores"]} for row in found["rows"]]
    compared = {row["metric"]: row for row in rows if row["baseline"]}
    assert len(found["differences"]) == len(compared) == len(scores[0])
    for each in found["differences"]:
        assert each["difference"] == scores[1][each["metric"]] - scores[0][each["metric"]]
        assert (each["name"], each["baseline"]) == (str(two[1]), str(two[0]))
        row = compared[each["metric"]]
        assert row["name"] == each["name"]
        for key in ("difference", "difference_low", "difference_high", "p", "corrected_p", "outcome", "untested"):
            assert row[key] == ("" if each[key] is None else str(each[key]))
    (length,) = (each for each in found["differences"] if each["metric"] == "length_mean")
    assert length["difference_high"] < 0
    assert length["corrected_p"] < 0.001
    assert length["outcome"] == "farther"


def test_the_same_file_twice_is_identical_and_costs_no_other_comparison(bench, two):
    asked = ("--references", TEST, "--metrics", "bleu,length")
    assert "have the same lines: there is no difference to test" in bench("score", two[0], two[0], *asked).out
    one, both = (
        json.loads(bench("score", *names, *asked, "--format", "json").out)["differences"]
        for names in (two, (two[0], two[0], two[1]))
    )
    assert [each["corrected_p"] for each in both[-6:]] == [each["corrected_p"] for each in one]
    assert {each["outcome"] for each in both[:6]} == {"identical"}


def test_files_of_several_seeds_are_compared_over_seeds(bench, two, tmp_path):
    lines = [path.read_text("utf-8").splitlines() for path in two]
    for seed in range(3):
        for name, part in zip(("a", "b"), lines, strict=True):
            content = "\n".join(part[20 * seed : 20 * seed + 20])
            (tmp_path / f"{name}-{seed}.txt.gz").write_bytes(gzip.compress(content.encode()))
    names = [tmp_path / f"{name}-{{seed}}.txt.gz" for name in "ab"]
    asked = ("--references", TEST, "--metrics", "bleu,length", "--tokenizer", "space")
    found = json.loads(bench("score", *names, *asked, "--format", "json").out)
    assert len(found["rows"]) == 7
    (length,) = (each for each in found["differences"] if each["metric"] == "length_mean")
    per_file = [
        json.loads(bench("score", tmp_path / f"{name}-{seed}.txt.gz", *asked, "--format", "json").out)["rows"][0][
            "scores"
        ]
        for name in "ba"
        for seed in range(3)
    ]
    values = [next(each["value"] for each in scores if each["metric"] == "length_mean") for scores in per_file]
    assert length["difference"] == pytest.approx(sum(values[:3]) / 3 - sum(values[3:]) / 3)
    assert "in length_mean's distance from real text" in length["verdict"]
    text = " ".join(bench("score", *names, *asked).out.split())
    assert "a-{seed}.txt.gz b-{seed}.txt.gz real text" in text
    assert "Over seeds: b-{seed}.txt.gz" in text
    rows = list(csv.DictReader(io.StringIO(bench("score", *names, *asked, "--format", "csv").out)))
    assert {row["seed"] for row in rows} == {"0", "1", "2", ""}
    alone = bench("score", names[0], *asked)
    assert alone.code == 0
    assert "Over seeds:" not in alone.out
    assert "Values are means over seeds" in alone.out
    (tmp_path / "a-7.txt.gz").write_bytes(gzip.compress(b"one more\n"))
    answer = bench("score", *names, *asked)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "has no file of seed 7" in answer.err
    answer = bench("score", names[0], two[0], *asked)
    assert (answer.code, answer.err.count("\n")) == (2, 1)


def test_too_few_samples_are_warned_of(bench, two, tmp_path):
    (tmp_path / "few.txt").write_text("\n".join(two[0].read_text("utf-8").splitlines()[:2]), encoding="utf-8")
    answer = bench("score", tmp_path / "few.txt", "--references", TEST, "--metrics", "bleu", "--format", "csv")
    assert "few.txt has too few samples for bleu" in answer.err
    assert "any other score (30)" in answer.err
    enough = bench("score", VALID, "--references", TEST, "--metrics", "bleu", "--format", "csv")
    assert "too few" not in enough.err


def test_some_metrics_only(bench, files):
    samples, references = files
    asked = ("--references", references, "--metrics", "length, distinct", "--format", "csv")
    rows = csv.DictReader(io.StringIO(bench("score", samples, *asked).out))
    names = [row["metric"] for row in rows if row["real"] == "False"]
    assert names == ["distinct2", "distinct3", "length_mean", "length_distance"]


def test_molecules_have_scores_of_their_own(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # no path is broken
    pytest.importorskip("rdkit", reason="RDKit is not installed: pip install 'seqgan-bench[molecules]'")
    folder = VALID.parent.parent / "smiles"
    whole = [line.replace(" ", "") for line in (folder / "valid.txt").read_text("utf-8").splitlines()[:60]]
    mine, test = tmp_path / "mine.smi", tmp_path / "test.smi"
    mine.write_text("\n".join([*whole, "c1ccccc", "CCO ethanol"]) + "\n")
    test.write_text("".join((folder / "test.txt").read_text("utf-8").splitlines(keepends=True)[:200]))
    asked = ("score", mine, "--references", test, "--train", folder / "valid.txt", "--tokenizer", "smiles")
    table = bench(*asked)
    assert table.code == 0
    assert "valid_unique_novel ↑" in table.out
    assert "weight_distance ↓ g/mol" in table.out
    assert "mine.smi: lines with more than a molecule" in " ".join(table.out.split())
    rows = csv.DictReader(io.StringIO(bench(*asked, "--metrics", "molecules", "--format", "csv").out))
    found = {row["metric"]: row for row in rows if row["real"] == "False"}
    assert float(found["valid"]["value"]) == 60 / 62
    assert float(found["novel"]["value"]) == 0
    assert found["valid"]["interval"] == "wilson"
    assert float(found["weight_distance"]["low"]) < float(found["weight_distance"]["value"])


def test_a_protocol_brings_its_tokenizer(bench, files):
    samples, references = files
    for more in ((), ("--tokenizer", "nltk"), ("--metrics", "bleu")):
        found = bench("score", samples, "--references", references, "--protocol", "texygen", *more)
        assert found.code == 0
        assert "protocol=texygen" in found.out
        assert "get_bleu_parallel" in found.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metrics", "blue"], "unknown metric 'blue'. Did you mean 'bleu'?"),
        (["--metrics", " , "], "expected one or more metrics"),
        (["--tokenizer", "words"], "unknown tokenizer 'words'. Did you mean 'word'?"),
        (["--protocol", "relgans"], "unknown protocol 'relgans'. Did you mean 'relgan'?"),
        (["--protocol", "texygen", "--tokenizer", "word"], "protocol texygen brings its own tokenizer"),
        (["--protocol", "textgan", "--tokenizer", "space"], "protocol textgan brings its own tokenizer"),
        (["--protocol", "texygen", "--metrics", "copy"], "texygen defines bleu and self-bleu only, not copy"),
        (["--metrics", "molecules"], "molecules are read by the tokenizer smiles: choose it, too"),
        (["--metrics", "augmented"], "samples are added to the training text (augmented): give it, too, with --train"),
        (["--train", "nowhere.txt"], "nowhere.txt"),
        (["-", "-"], "read once only"),
    ],
)
def test_mistakes_are_reported_in_a_sentence(bench, files, arguments, said):
    samples, references = files
    found = bench("score", samples, "--references", references, *arguments)
    assert found.code == 2
    assert found.err.startswith("bench: ")
    assert found.err.count("\n") == 1
    assert said in found.err


def test_an_empty_file_is_refused(bench, files, tmp_path):
    (tmp_path / "blank.txt").write_text("\n \n")
    found = bench("score", files[0], tmp_path / "blank.txt", "--references", files[1])
    assert found.code == 2
    assert "blank.txt has no line that is not blank" in found.err


def test_neither_torch_nor_pandas_is_imported(files):
    code = (
        "import sys\nfrom bench.cli import main\n"
        "main(sys.argv[1:], prog_name='bench', standalone_mode=False)\n"
        "print([name for name in ('torch', 'pandas', 'scipy', 'numba', 'nltk') if name in sys.modules])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "score",
        str(files[0]),
        "--references",
        str(files[1]),
        "--train",
        str(files[0]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "body"], "a column goes with .csv, .tsv and .jsonl files, and none is given."),
        (["--metrics", "copy"], "copies can be found only if the training text is given"),
        (["--train", "-"], "the standard input can be given as samples only"),
    ],
)
def test_options_that_cannot_be_kept_are_refused(bench, files, options, message):
    samples, references = files
    found = bench("score", samples, "--references", references, *options)
    assert found.code == 2
    assert message in found.err
