from __future__ import annotations

import pytest

from bench.data.datasheet import COLUMNS, SplitFacts, count_facts, facts_table

TRAIN = ["a b c d e", "a b", "a b", "b c d e f"]
TEST = ["a b c d", "x b c d e y", "a b", "a b"]


@pytest.fixture
def facts():
    return count_facts({"train": [line.split() for line in TRAIN], "test": [line.split() for line in TEST]}, 2)


def test_what_a_split_holds(facts):
    assert facts["train"] == SplitFacts(
        sequences=4, words=14, types=6, shortest=2, median=3.5, longest=5, unknown=1 / 14, repeated=1, copied=None,
        known=None,
    )  # fmt: skip


def test_how_much_of_the_test_set_was_seen(facts):
    test = facts["test"]
    assert test.unknown == 2 / 14  # x and y; f is not there, and everything else was seen twice
    assert test.copied == 2
    assert test.repeated == 1
    assert test.known == 2 / 4  # abcd and bcde of abcd, xbcd, bcde, cdey


def test_short_sequences_have_no_fourgrams():
    facts = count_facts({"train": [["a"]], "valid": [["a", "b"]]}, 1)
    assert facts["valid"].known is None
    assert facts_table(facts)[1][-2:] == ("0", "")


def test_a_row_has_a_cell_for_every_column(facts):
    rows = facts_table(facts)
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[1] == ("test", "4", "14", "7", "2 / 3 / 6", "14.29%", "1", "2", "50.0%")
