"""Files of any bytes: each is read, or refused in one sentence, and what is read is text."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.data.reading import decoded, layout, read_lines, remarks
from bench.errors import UsageError

NAMES = ("a.txt", "a.csv", "a.tsv", "a.jsonl", "a.csv.gz")
PIECES = (
    *(
        "text",
        "id",
        "the cat",
        "é",
        "\u200d",
        "\u2028",
        " ",
        ",",
        ";",
        "|",
        "\t",
        '"',
        '""',
        "\n",
        "\r\n",
        "\r",
        "\n\n",
    ),
    *('{"text": "x"}', '{"label": 1}', '"a"', "null", "[1]", "{", "}", "\\ud800", "<eos>", "\ufeff", "\0", "1e999"),
)
texts = st.lists(st.sampled_from(PIECES), max_size=30).map(lambda pieces: "".join(pieces).encode())
encoded = st.tuples(st.text(max_size=40), st.sampled_from(["utf-16", "utf-32", "utf-16-le", "cp1252", "gb18030"])).map(
    lambda pair: pair[0].encode(pair[1], "replace")
)
contents = st.one_of(st.binary(max_size=200), texts, encoded, texts.map(gzip.compress), st.binary().map(gzip.compress))
columns = st.sampled_from([None, "text", "id", ""])


def attempt(function, *arguments):
    """What a function gives, or the sentence with which it refuses."""
    try:
        return list(function(*arguments)), None
    except UsageError as refusal:
        return None, str(refusal)


@given(st.sampled_from(NAMES), contents, columns)
@example("a.csv", b'"text\n', None)
@example("a.jsonl", b'{"text": "\\u0000"}', None)
@example("a.jsonl", b"[" * 100_000, None)
@example("a.tsv", b"text\n" + b'"' * 1000, None)
@settings(max_examples=400)
def test_a_file_is_read_or_refused(name, content, column):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        lines, refusal = attempt(read_lines, path, column)
        if refusal is not None:
            assert refusal
            assert str(path) in refusal
            assert len(refusal) < 600
            return
        for line in lines:
            assert "\n" not in line
            assert "\r" not in line
            assert "\0" not in line
            line.encode()
        assert all(isinstance(said, str) for said in remarks(path, column))
        assert layout(path).startswith(path.suffix if path.suffix != ".gz" else ".csv")


@given(contents)
@settings(max_examples=200)
def test_bytes_are_read_or_refused_as_the_file_is(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.txt"
        path.write_bytes(content)
        from_file, _ = attempt(read_lines, path)
        from_bytes, refusal = attempt(decoded, content, "it")
        if not content.startswith(b"\x1f\x8b"):  # only files are unpacked
            assert from_bytes == from_file
        assert refusal is None or refusal.startswith(("it is ", "line "))


record = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(record, min_size=1))
@settings(max_examples=200)
def test_what_json_wrote_is_read_back(records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps({"id": 1, "text": text}) + "\n" for text in records), encoding="utf-8")
        expected = [text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ") for text in records]
        assert list(read_lines(path)) == expected
