"""Pieces of a readable text: joined, they are the text, and what is marked are the words that were asked for."""

import pytest

from bench.data import notation
from bench.tasks.passages import passages


def pieces(words, runs, kind, verse=None):
    return passages(notation.line(words, kind, verse), words, runs, kind)


@pytest.mark.parametrize(
    ("text", "runs", "kind", "expected"),
    [
        ("it 's ( nearly ) done .", [(0, 2), (3, 4), (6, 7)], "words", "[it's] ([nearly]) done[.]"),
        ("`` yes '' , they said .", [(0, 2), (3, 5)], "words", '["yes]"[, they] said.'),
        ("the the the", [(1, 2)], "words", "the [the] the"),
        ("a b c d", [(0, 2), (2, 4)], "words", "[a b] [c d]"),
        ("a b c", [(0, 3)], "words", "[a b c]"),
        ("a b c", [], "words", "a b c"),
        ("c 1 c [nH] Cl", [(2, 4)], "molecules", "c1[c[nH]]Cl"),
        ("v a n ▁ d <unk> r", [(1, 5)], "characters", "v[an d]□r"),
        ("jfk lax sfo", [(2, 3)], "places", "jfk lax [sfo]"),
        ("4 44 4", [(2, 3)], "synthetic", "4 44 [4]"),
    ],
)
def test_runs_of_words_are_marked_in_the_text(text, runs, kind, expected):
    found = pieces(text.split(), runs, kind)
    assert "".join(found) == notation.line(text.split(), kind)
    shown = "".join(f"[{piece}]" if index % 2 else piece for index, piece in enumerate(found))
    assert shown == expected


def test_the_end_of_a_line_of_verse_ends_a_piece():
    assert pieces(list("床前明月光疑是地上霜"), [(3, 7), (9, 10)], "characters", 5) == (
        "床前明", "月光", " / ", "疑是", "地上", "霜", "",
    )  # fmt: skip


def test_a_word_that_is_not_in_the_text_is_marked_nowhere_and_loses_no_other():
    assert passages("a b c", ["a", "?", "b", "c"], [(0, 3)], "words") == ("", "a", " ", "b", " c")
    assert passages("", ["a"], [(0, 1)], "words") == ("",)
    assert passages("a", ["", "a"], [(0, 2)], "words") == ("", "a", "")


def test_a_tune_is_marked_note_by_note():
    words = ["73:2", "72:1", "r:4", "73:2"]
    assert passages("", words, [(1, 3)], "notes") == ("^c ", "=c/2 z2", " ^c")
    assert "".join(passages("", words, [(1, 3)], "notes")) == notation.line(words, "notes")


def test_a_note_of_several_steps_is_marked_where_all_of_them_are():
    steps = ["40", "40", "42", "42", "0"]
    assert "".join(passages("", steps, [(0, 5)], "pitches")) == notation.line(steps, "pitches") == "C2 D2 z"
    assert passages("", steps, [(0, 3)], "pitches") == ("", "C2", " D2 z")
    assert passages("", steps, [(1, 5)], "pitches") == ("C2 ", "D2 z", "")


def test_what_is_no_note_stands_among_the_notes():
    assert passages("", ["60:2", "<unk>", "62:2", "x"], [(2, 3)], "notes") == ("C <unk> ", "D", " x")
    assert passages("", ["<unk>", "<unk>"], [], "pitches") == ("<unk> <unk>",)
