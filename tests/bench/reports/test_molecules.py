"""Molecules as RDKit draws them, reduced to lines and letters."""

import json
import re

import pytest

from bench.reports import molecules
from bench.reports.molecules import Undrawable, drawn

pytest.importorskip("rdkit", reason="NOT TESTED: RDKit is not installed")


def test_a_drawing_has_the_atoms_and_bonds_of_the_molecule():
    width, height, paths, letters = drawn("OCC#N")
    assert width > height > 0
    assert "".join(sorted(letter for *_, letter in letters)) == "HNO"
    assert {colour for colour, _, _ in paths} == {"o", "c", "n"}
    data = {colour: data for colour, _, data in paths}
    assert data["c"].count("M") >= 3
    assert data["n"].count("M") == 3  # half of each line of the triple bond
    places = [float(number) for text in data.values() for number in re.findall(r"[\d.]+", text)]
    assert 0 <= min(places) <= max(places) <= max(width, height)


def test_wedges_are_filled_and_charges_small():
    one, other = (drawn(f"N[{turn}](F)(Cl)C([O-])=O") for turn in ("C@", "C@@"))
    assert one != other  # the one towards the reader and the one away
    assert 1 in {filled for _, _, paths, _ in (one, other) for _, filled, _ in paths}
    letters = one[3]
    assert [letter for _, _, small, _, letter in letters if small] == ["2", "-"]
    assert {colour for *_, colour, letter in letters if letter in "FCl"} == {"x"}


def test_the_same_molecule_gives_the_same_drawing_without_markup():
    first = json.dumps(drawn("CC(=O)Nc1ccc(O)cc1"))
    drawn.cache_clear()
    assert json.dumps(drawn("CC(=O)Nc1ccc(O)cc1")) == first
    assert not set(first) & set("<>&:;")
    assert len(first) < 1500


@pytest.mark.parametrize(
    ("smiles", "reason"),
    [
        ("", "it is empty"),
        ("C1CC", "it is no SMILES"),
        ("<script>alert(1)</script>", "it is no SMILES"),
        ("C<unk>C", "it is no SMILES"),
        ("CN(C)(C)C", "Explicit valence for atom # 1 N, 4, is greater than permitted"),
        ("c1cccc1", "Can't kekulize mol"),
        ("C" * 501, "it has over 500 characters"),
    ],
)
def test_what_is_no_molecule_says_why(smiles, reason, capfd):
    with pytest.raises(Undrawable, match=re.escape(reason)):
        drawn(smiles)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "element",
    [
        "<script>alert(1)</script>",
        '<image href="http://example.org/x.png"/>',
        '<path d="M 0,0 url(#a)" class="a" style="fill:none"/>',
        '<text x="0" y="0" style="font-size:9px;fill:#000000">a<tspan onclick="x()">b</tspan></text>',
        '<a xmlns="http://www.w3.org/1999/xhtml" href="x">y</a>',
    ],
)
def test_nothing_but_paths_and_letters_is_let_through(element):
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 20">{element}</svg>'
    with pytest.raises(ValueError, match="expected"):
        molecules._reduced(svg)
