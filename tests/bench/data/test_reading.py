import csv
import gzip
import itertools
import json
import os
import subprocess
import tracemalloc

import pandas as pd
import pytest

from bench.data import packed, reading
from bench.data.reading import decoded, layout, read_lines, remarks
from bench.errors import UsageError

AWKWARD = [
    "plain",
    "two words",
    "",
    "  spaces  ",
    'a "quoted" word',
    "comma, comma",
    "tab\tin it",
    "诗 é \u2028 x",
    "#1",
]


def refusal(path, column=None):
    """The message when the file is refused, after as much of it as could be read."""
    with pytest.raises(UsageError) as caught:
        list(read_lines(path, column))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message.replace(str(path), path.name)) < 400
    return message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_plain_lines_whatever_the_system(tmp_path, end, mark, last):
    path = tmp_path / "lines.txt"
    path.write_bytes(mark + (end.join([*AWKWARD, "end"]) + end * last).encode())
    assert list(read_lines(path)) == [*AWKWARD, "end"]


def test_an_empty_file_has_no_records(tmp_path):
    path = tmp_path / "empty.txt"
    path.write_bytes(b"")
    assert list(read_lines(path)) == []


def test_tables_are_what_pandas_writes(tmp_path):
    frame = pd.DataFrame({"id": range(len(AWKWARD)), "text": AWKWARD, "other": ["x"] * len(AWKWARD)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    assert list(read_lines(tmp_path / "a.csv", "text")) == AWKWARD
    assert list(read_lines(tmp_path / "a.csv", "id")) == [str(i) for i in range(len(AWKWARD))]
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    assert list(read_lines(tmp_path / "a.jsonl", "text")) == AWKWARD
    frame.to_csv(tmp_path / "A.CSV", index=False, quoting=csv.QUOTE_ALL, lineterminator="\r\n", encoding="utf-8-sig")
    assert list(read_lines(tmp_path / "A.CSV", "id")) == [str(i) for i in range(len(AWKWARD))]
    untabbed = frame[~frame["text"].str.contains("\t")]
    untabbed.to_csv(tmp_path / "a.tsv", index=False, sep="\t", quoting=csv.QUOTE_NONE)
    assert list(read_lines(tmp_path / "a.tsv", "text")) == list(untabbed["text"])


def test_a_newline_inside_a_record_is_a_space(tmp_path):
    (tmp_path / "a.csv").write_text('text\n"two\nlines"\n"two\r\nmore"\n', newline="")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "two\nlines"}) + "\n" + json.dumps({"text": "two\r\nmore"}))
    assert list(read_lines(tmp_path / "a.csv")) == ["two lines", "two more"]
    assert list(read_lines(tmp_path / "a.jsonl")) == ["two lines", "two more"]


def test_blank_records_are_records(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\n"",1\n\nx,2\n')
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n\n{"text": "x"}\n')
    assert list(read_lines(tmp_path / "a.csv")) == list(read_lines(tmp_path / "a.jsonl")) == ["", "", "x"]


def test_the_column_to_read(tmp_path):
    (tmp_path / "one.csv").write_text("body\nx\n")
    (tmp_path / "usual.csv").write_text("id,text\n1,x\n")
    (tmp_path / "many.csv").write_text("id,body\n1,x\n")
    (tmp_path / "twice.csv").write_text("text,text\n1,x\n")
    (tmp_path / "many.jsonl").write_text('{"id": 1, "body": "x"}\n')
    assert list(read_lines(tmp_path / "one.csv")) == ["x"]
    assert list(read_lines(tmp_path / "usual.csv")) == ["x"]
    assert list(read_lines(tmp_path / "many.jsonl", "body")) == ["x"]
    assert "one of id, body" in refusal(tmp_path / "many.csv")
    assert "one of id, body" in refusal(tmp_path / "many.jsonl")
    assert "Did you mean 'body'?" in refusal(tmp_path / "many.csv", "bodi")
    assert "2 columns called 'text'" in refusal(tmp_path / "twice.csv")
    (tmp_path / "plain.txt").write_text("x\n")
    assert "no column 'text'" in refusal(tmp_path / "plain.txt", "text")


def test_what_is_not_a_file(tmp_path):
    assert "expected a file, got the folder" in refusal(tmp_path)
    assert "cannot read" in refusal(tmp_path / "missing.txt")
    assert "No such file" in refusal(tmp_path / "missing.txt")
    assert "null" in refusal(tmp_path / "a\0b")
    os.mkfifo(tmp_path / "pipe")
    assert "write it to a file first" in refusal(tmp_path / "pipe")


def test_mistakes_in_the_name_show_at_once(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_lines(tmp_path / "missing.txt")


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
@pytest.mark.parametrize("lines", [0, 1, 5_000])
def test_a_byte_that_is_not_utf8_is_found(tmp_path, name, lines):
    path = tmp_path / name
    line = b'"text"\n'
    path.write_bytes(b'"text"\n' + line * lines + "caf\u00e9\n".encode("latin1") + line)
    message = refusal(path)
    assert f"line {lines + 2} of" in message
    assert "not UTF-8" in message


def test_line_ends_of_all_kinds_are_counted_as_they_are_read(tmp_path):
    path = tmp_path / "a.txt"
    good = b"one\r\ntwo\rthree\n\rfive\r\n\r\n"
    path.write_bytes(good)
    read = list(read_lines(path))
    path.write_bytes(good + b"\xff\n")
    assert f"line {len(read) + 1} of" in refusal(path)


def test_the_suggested_command_converts_the_file(tmp_path):
    path = tmp_path / "my file.txt"
    for encoding in ("latin1", "utf-16"):
        path.write_text("caf\u00e9\nbar\n", encoding=encoding)
        command = refusal(path).partition("convert it with: ")[2]
        subprocess.run(command, shell=True, check=True, timeout=20)
        assert list(read_lines(tmp_path / "my file.utf8.txt")) == ["caf\u00e9", "bar"]


def test_binary_files(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\n\0\n")
    assert "binary: line 3 holds a NUL byte" in refusal(path)
    path.write_bytes(b"x\n" * 9_000 + b"\0")
    assert "line 9001 holds a NUL byte" in refusal(path)
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert "binary" in refusal(path)
    path.write_text("x\ny\n", encoding="utf-16-le")
    assert "binary" in refusal(path)
    path.write_bytes(gzip.compress(b"one\n" * 9 + b"\0\n"))
    assert "binary: line 10 holds a NUL byte" in refusal(path)


def test_a_line_that_never_ends_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "LONGEST", 2**16)
    path = tmp_path / "one.txt"
    path.write_bytes(b"short\n" + b"x " * 2**23)
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "line 2 of" in message
    assert "over 65,536 characters" in message
    assert peak < 2**20
    path.write_text("x" * (2**16 - 1) + "\n" + "y" * 3)
    assert [len(line) for line in read_lines(path)] == [2**16 - 1, 3]


def test_a_quote_left_open_is_an_error(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text('text\n"open\nnext\n')
    assert "is not CSV" in refusal(path)
    monkeypatch.setattr(reading, "LONGEST", 100)
    path.write_text('text\n"open\n' + "next\n" * 100)
    assert "field larger than field limit" in refusal(path)


def test_a_field_longer_than_pythons_own_limit_is_read(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(f"text,n\n{'x' * 200_000},1\n")
    assert [len(text) for text in read_lines(path)] == [200_000]


def test_rows_that_do_not_fit_their_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,x\n2,y,z\n")
    assert "expected 2 fields in line 3" in refusal(path)
    path.write_text("")
    assert "no header" in refusal(path)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("not json", "not JSON: expected one object a line"),
        ('{"text": "x"', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "got a list"),
        ("7", "got a number"),
        ("null", "got null"),
        ('{"text": 7}', "expected text for 'text' in line 2 of"),
        ('{"text": null}', "got null"),
        ('{"text": true}', "got true or false"),
        ('{"text": {}}', "got an object"),
        ('{"other": "x"}', "unknown column 'text'"),
        ('"x"', "expected an object with 'text'"),
        ('{"text": "\\ud800"}', "half a surrogate pair"),
    ],
)
def test_json_lines_that_are_not_text(tmp_path, line, shown):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n' + line + "\n")
    message = refusal(path, "text")
    assert shown in message
    assert "line 2 of" in message


def test_a_json_document_is_not_json_lines(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"text": "x"}], indent=1))
    assert "line 1 of" in refusal(path)
    path.write_text('{"text": "x"}\n')
    assert list(read_lines(path)) == ["x"]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_a_large_file_is_never_in_memory(tmp_path, name):
    path = tmp_path / name
    path.write_text('"text"\n' + '"some words of no importance"\n' * 200_000)
    tracemalloc.start()
    assert sum(1 for _ in itertools.islice(read_lines(path), 50_000)) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < os.path.getsize(path) / 10


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt.gz", "x\n\ny z\r\n"),
        ("a.gz", "x\n\ny z"),
        ("a.txt", "\ufeffx\r\ry z\r"),
        ("a.csv.gz", "id,text\n1,x\n2,\n3,y z\n"),
        ("a.CSV.GZ", 'text\n"x"\n\n"y z"\n'),
        ("a.tsv.gz", "id\ttext\n1\tx\n\n2\ty z\n"),
        ("a.jsonl.gz", '{"text": "x"}\n\n{"text": "y z"}\n'),
        ("a.jsonl", '"x"\n\n"y z"'),
    ],
)
def test_what_gzip_packed_is_read_as_what_it_holds(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()))
    assert list(read_lines(path)) == ["x", "", "y z"]
    path.write_bytes(content.encode())  # as a browser leaves it that unpacks what it fetches
    assert list(read_lines(path)) == ["x", "", "y z"]


def test_packed_files_of_several_members_and_of_none(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"one\ntw") + gzip.compress(b"") + gzip.compress(b"o\n"))
    assert list(read_lines(path)) == ["one", "two"]
    for nothing in (b"", gzip.compress(b"")):
        path.write_bytes(nothing)
        assert list(read_lines(path)) == []


def test_a_damaged_packed_file(tmp_path):
    path = tmp_path / "a.txt.gz"
    lines = "".join(f"line {number} of some\n" for number in range(20_000)).encode()
    whole = gzip.compress(lines, mtime=0)
    for length in (2, 5, 11, 20, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "damaged: it ends too early" in refusal(path)
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 6, len(whole) - 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert "damaged" in refusal(path)
    path.write_bytes(b"\x1f\x8b\x08" + bytes(range(256)))
    assert "damaged" in refusal(path)
    path.write_bytes(whole + b"rubbish")
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("line", [b"\n", b"the same words\n", b"x"], ids=["blank", "repeated", "endless"])
def test_a_file_that_unpacks_without_end_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, line):
    monkeypatch.setattr(packed, "MOST", 2**20)
    monkeypatch.setattr(reading, "LONGEST", 2**18)
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(2**24 // 2**16):
            file.write(line * (2**16 // len(line)))
    tracemalloc.start()
    with pytest.raises(UsageError) as caught:
        for _ in read_lines(path):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22
    expected = "over 262,144 characters" if line == b"x" else "more than 100 times its size"
    assert expected in str(caught.value)


def test_text_that_repeats_itself_is_no_bomb(tmp_path):
    path = tmp_path / "repeat.gz"
    path.write_bytes(gzip.compress(b"one sentence , over and over again .\n" * 200_000))
    assert os.path.getsize(path) * 100 < 37 * 200_000
    assert sum(1 for _ in read_lines(path)) == 200_000


def test_the_suggested_command_converts_a_packed_file(tmp_path):
    path = tmp_path / "my file.txt.gz"
    path.write_bytes(gzip.compress("caf\u00e9\nbar\n".encode("latin1")))
    message = refusal(path)
    assert "line 1 of" in message
    subprocess.run(message.partition("convert it with: ")[2], shell=True, check=True, timeout=20)
    assert list(read_lines(tmp_path / "my file.utf8.txt")) == ["caf\u00e9", "bar"]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ";"), ("a.csv", "|"), ("a.csv", "\t"), ("a.tsv", ","), ("a.tsv", ";")]
)
def test_columns_are_found_whatever_separates_them(tmp_path, name, delimiter):
    path = tmp_path / name
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["the cat, sat", 'a "b"', f"with {delimiter} in it"]})
    frame.to_csv(path, index=False, sep=delimiter)
    assert list(read_lines(path)) == list(frame["text"])
    assert list(read_lines(path, "id")) == ["1", "2", "3"]
    [said] = remarks(path)
    assert said.startswith(f"{name}: its columns are separated by {reading.DELIMITERS[delimiter]}")
    assert layout(path) == path.suffix + delimiter
    with path.open("a") as file:
        file.write(f"4{delimiter}x{delimiter}y\n")
    assert f"expected 2 fields separated by {reading.DELIMITERS[delimiter]} in line 5" in refusal(path)


def test_nothing_is_said_of_usual_tables(tmp_path):
    for name, content in (("a.csv", "id,text\n1,x\n"), ("a.tsv", "id\ttext\n1\tx, y\n"), ("b.csv", "text\na b\n")):
        (tmp_path / name).write_text(content)
        assert list(remarks(tmp_path / name)) == []
        assert layout(tmp_path / name) == name[1:]
    (tmp_path / "a.txt").write_text("a;b\n")
    assert list(remarks(tmp_path / "a.txt")) == []


def test_a_header_whose_columns_cannot_be_told_is_refused(tmp_path):
    (tmp_path / "two.csv").write_text("id;text|label\n1;x|y\n")
    assert "can be parted by semicolons and bars, and so can the line after it" in refusal(tmp_path / "two.csv")
    (tmp_path / "price.csv").write_text("Nr;text;Preis, EUR\n1;x;1,50\n")
    assert "can be parted by commas and semicolons" in refusal(tmp_path / "price.csv")
    (tmp_path / "price.csv").write_text("Nr;text;Preis, EUR\n1;x;2\n")
    assert list(read_lines(tmp_path / "price.csv")) == ["x"]
    (tmp_path / "quoted.csv").write_text('"id;text"\n"1;x"\n')
    assert "looks like several with semicolons between them" in refusal(tmp_path / "quoted.csv")


def test_a_table_without_names_of_columns_is_pointed_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("the cat sat\nthe dog ran\n")
    [said] = remarks(path)
    assert "'the cat sat', is read as the name of its only column" in said
    assert list(remarks(path, "the cat sat")) == []


def test_the_first_record_of_json_lines_decides_the_key(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n{"label": "pos"}\n')
    assert "line 2 of" in refusal(path)
    assert "unknown column 'text'. Known: label." in refusal(path)
    path.write_text('{"label": "pos"}\n{"label": "neg", "id": "x"}\n')
    assert list(read_lines(path)) == ["pos", "neg"]
    path.write_text('{"label": "pos"}\n{"label": "neg", "text": "x"}\n')
    assert "line 2 of" in refusal(path)
    assert "has the key 'text', and the first record has 'label' alone: choose one with --column" in refusal(path)
    assert list(read_lines(path, "label")) == ["pos", "neg"]
    path.write_text('{"text": "x"}\n"y"\n')
    assert "expected an object with 'text' in line 2" in refusal(path)
    path.write_text('"y"\n\n{"text": "x"}\n')
    assert "expected a string in line 3" in refusal(path)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-16", "is UTF-16, "),
        ("utf-32", "is UTF-32, "),
        ("utf-16-le", "is UTF-16LE, "),
        ("utf-16-be", "is UTF-16BE, "),
        ("utf-32-le", "is UTF-32LE, "),
        ("utf-32-be", "is UTF-32BE, "),
        ("cp1252", "if it is Windows-1252"),
        ("latin1", "if it is Latin-1"),
    ],
)
def test_the_advice_for_another_encoding_gives_the_text_back(tmp_path, encoding, said):
    path = tmp_path / "a.txt"
    lines = ["a café in a town", "costs 5 €, “she said”" if encoding != "latin1" else "façade"]
    path.write_bytes("".join(line + "\n" for line in lines).encode(encoding))
    message = refusal(path)
    assert said in message
    subprocess.run(message.partition("convert it with: ")[2], shell=True, check=True)
    assert list(read_lines(tmp_path / "a.utf8.txt")) == lines


def test_bytes_are_read_as_files_are(tmp_path):
    path = tmp_path / "a.txt"
    for content in (b"a b\r\n\nc", b"", "\ufeffé\n".encode()):
        path.write_bytes(content)
        assert decoded(content, "it") == list(read_lines(path))
    for content, said in (
        (b"a\0b", "it is binary: line 1 holds a NUL byte"),
        ("a b c".encode("utf-16"), "it is UTF-16, expected UTF-8; convert it with: iconv -f UTF-16 -t UTF-8"),
        (b"x\ny\x80", "line 2 of it is not UTF-8; if it is Windows-1252"),
    ):
        with pytest.raises(UsageError) as caught:
            decoded(content, "it")
        assert said in str(caught.value)


def test_a_nul_is_no_text_in_json_either(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\u0000b"}\n')
    assert "'text' in line 1" in refusal(path)
    assert "NUL" in refusal(path)


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"meta": {"k": 1, "k": 2, "text": 3}, "id": 1, "id": 2, "text": "x"}\n')
    assert list(read_lines(path)) == ["x"]  # what is not read does not matter
    path.write_text('{"text": "x"}\n{"text": "y", "id": 1, "text": "z"}\n')
    assert "line 2 of" in refusal(path)
    assert "has the key 'text' twice" in refusal(path)


def test_an_array_is_told_from_lines(tmp_path):
    path = tmp_path / "a b.json"
    for content in (json.dumps([{"text": "x"}, {"text": "y"}]), json.dumps([{"text": "x"}], indent=1)):
        path.write_text(content)
        message = refusal(path)
        assert "line 1 of" in message
        assert message.endswith(f"begins a JSON array, expected one object a line; convert it with: jq -c '.[]' "
                                f"'{path}' > '{tmp_path}/a b.lines.jsonl'")  # fmt: skip
    path.write_text(json.dumps({"text": "x"}, indent=1))
    assert "begins a JSON object of several lines" in refusal(path)
    path.write_text("{}\n")
    assert "line 1 of" in refusal(path)
    assert "is an empty object" in refusal(path)


@pytest.mark.parametrize(
    ("name", "header", "record"),
    [
        ("a.tsv", "sentence (raw, uncleaned)", "the cat sat"),
        ("a.csv", '"text; cleaned"', "the cat sat"),
        ("a.csv", "Q|A", "is it so?"),
        ("a.csv", "a;b", '"the cat, sat"'),
    ],
)
def test_one_column_whose_name_has_a_separator_is_one_column(tmp_path, name, header, record):
    path = tmp_path / name
    path.write_text(f"{header}\n{record}\n")
    assert list(read_lines(path)) == [record.strip('"')]
    assert layout(path) == path.suffix
    assert list(read_lines(path, header.strip('"'))) == [record.strip('"')]


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_the_separator_may_be_stated_in_the_first_line(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    path.write_text(f'sep={delimiter}\nid{delimiter}text\n1{delimiter}"x\ny"\n2{delimiter}z\n')
    assert list(read_lines(path)) == ["x y", "z"]
    path.write_text(f"sep={delimiter}\nid{delimiter}text\n1{delimiter}x{delimiter}y\n")
    assert "in line 3 of" in refusal(path)
