"""What the page says of samples beside training sequences."""

import builtins

import pandas as pd
import pytest

from bench.records.nearest import Nearest
from bench.reports.pages import site_samples


@pytest.mark.parametrize(
    ("nearest", "kind", "said"),
    [
        (Nearest(("a", "b"), ("", "b"), 9, 7, 12, 14), "words",
         "shares 9 of 12 words, 7 in a row; the example has 14"),
        (Nearest(("a", "b"), ("", "b"), 2, 1, 12, 12), "pitches", "shares 2 of 12 steps"),
        (Nearest(("", "b"), ("", "b"), 12, 12, 12, 12), "notes",
         "it is a training example, note for note"),
        (Nearest(("", "b"), ("", "b"), 12, 5, 12, 20), "characters",
         "shares 12 of 12 characters, 5 in a row; the example has 20"),
        (Nearest(("", "b"), ("", "b"), 1, 1, 1, 3), "words", "shares 1 of 1 word; the example has 3"),
        (Nearest(("a",), (), 0, 0, 3, 0), "synthetic", "no training example has any of its tokens"),
        (Nearest(("",), (), 0, 0, 0, 0), "molecules", "the sample is empty"),
    ],
)  # fmt: skip
def test_the_words_that_are_shared_are_counted(nearest, kind, said):
    texts = {"another": 0}
    shown = site_samples.samples({"samples": ["x"], "nearest": [nearest], "kind": kind}, texts)
    assert list(texts)[shown["nearest"][0][0]] == said
    assert shown["nearest"][0][2] == nearest.is_copy


def test_white_space_around_a_sample_is_left_out_and_inside_it_is_kept():
    nearest = Nearest((" a ", " b ", "c "), ("b",), 1, 1, 3, 1)
    shown = site_samples.samples({"samples": [" a  b c "], "nearest": [nearest], "kind": "words"}, {})
    assert shown["samples"] == [["a ", " b ", "c"]]


@pytest.mark.parametrize("nearest", [[], None, float("nan")])
def test_earlier_records_have_samples_alone(nearest):
    assert site_samples.samples({"samples": [" a "], "nearest": nearest}, {}) == {"samples": ["a"], "nearest": []}


@pytest.mark.parametrize(
    ("runs", "metrics", "form"),
    [
        ({"kind": ["", "pitches"]}, [], "tune"),
        ({"kind": ["notes"]}, ["valid"], "tune"),
        ({"kind": ["molecules"]}, [], "molecule"),
        ({"kind": ["words"]}, ["interval_distance"], ""),
        ({"kind": [None]}, ["interval_distance"], "tune"),
        ({"model": ["mle"]}, ["valid", "nll_test"], "molecule"),
        ({"model": ["mle"]}, ["nll_test"], ""),
    ],
)
def test_the_form_is_that_of_the_words_or_else_of_the_task(runs, metrics, form):
    assert site_samples.form(pd.DataFrame(runs), metrics) == form


RUN = {"samples": ["CCO", ["C", "1"], ""], "nearest": [["", ["CC", "O"], False], ["", ["", "CCN"], False]]}


def test_each_molecule_is_drawn_once_and_no_more_than_fit(monkeypatch):
    pytest.importorskip("rdkit", reason="NOT TESTED: RDKit is not installed")
    found = site_samples.drawings([RUN, RUN])
    assert list(found["drawings"]) == ["CCO", "C1", "CCN"]
    assert isinstance(found["drawings"]["CCO"], list)
    assert found["drawings"]["C1"].startswith("it is no SMILES")
    assert found["undrawn"] == ""
    monkeypatch.setattr(site_samples, "DRAWN", 1)
    found = site_samples.drawings([RUN])
    assert list(found["drawings"]) == ["CCO"]
    assert found["undrawn"] == "2 of the molecules are not drawn, to keep the page small."


def test_without_rdkit_it_is_said_what_to_install(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **options):
        if name.partition(".")[0] == "rdkit":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    found = site_samples.drawings([RUN])
    assert found["drawings"] == {}
    assert "python -m pip install 'seqgan-bench[molecules]'" in found["undrawn"]
