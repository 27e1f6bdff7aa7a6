"""Tokens of SMILES: nothing is lost, and both ways of writing a molecule are read alike."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.data.smiles import has_more, is_token, tokens, words

CORPUS = Path(bench.__file__).parent / "corpora" / "smiles"
PIECES = [*"Cc1%()Brl[]<", "%12", "%(123)", "Br", "Cl", "[nH]", "[C@@H]", "<unk>"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("CC(=O)Oc1ccccc1C(=O)O", list("CC(=O)Oc1ccccc1C(=O)O")),
        ("BrCCl", ["Br", "C", "Cl"]),
        ("B(C)C#N", list("B(C)C#N")),
        ("C[C@@H](N)C(=O)[O-]", ["C", "[C@@H]", "(", "N", ")", "C", "(", "=", "O", ")", "[O-]"]),
        ("C%10CC%10C%(123)", ["C", "%10", "C", "C", "%10", "C", "%(123)"]),
        ("C1CC1.[Na+]", ["C", "1", "C", "C", "1", ".", "[Na+]"]),
        ("C<unk>C", ["C", "<unk>", "C"]),
        ("C[nHC%1[]", ["C", "[", "n", "H", "C", "%", "1", "[", "]"]),  # unfinished: one character each
        ("", []),
    ],
)
def test_tokens(text, parts):
    assert tokens(text) == parts
    assert all(map(is_token, parts))


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_tokens_lose_nothing(text):
    assert "".join(tokens(text)) == text
    assert "".join(words(text.split())) == "".join(text.split())


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_the_corpus_is_split_as_its_molecules_are(split):
    lines = (CORPUS / f"{split}.txt").read_text("utf-8").splitlines()[:5_000]
    for line in lines:
        written = line.split(" ")
        assert tokens("".join(written)) == words(["".join(written)]) == words(written) == written


def test_a_name_after_a_molecule_is_noticed():
    assert [has_more(line.split()) for line in ("CCO ethanol", "CCO CC", "C C O", "[nH] Br C", "CCO", "")] == [
        *(True, True),
        *(False, False, False, False),
    ]
    assert "".join(words(["CCO", "ethanol"])) == "CCOethanol"
