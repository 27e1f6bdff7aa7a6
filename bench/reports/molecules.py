"""Molecules as drawings, where RDKit is installed: its own picture, reduced to lines and letters.

RDKit writes SVG. What comes into a page is made of it anew: paths whose data are nothing but letters of commands and
numbers, and single letters of atoms with their positions. Any other element is refused, so no markup gets into a page.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

__all__ = ["INSTALL", "Undrawable", "drawn", "unavailable"]

INSTALL = "python -m pip install 'seqgan-bench[molecules]'"
BOND = 18
"""Length of a bond, in the units of the drawing."""
COLOURS = {"#FF0000": "o", "#0000FF": "n", "#000000": "c"}
"""What RDKit colours, and how the page calls it: oxygen, nitrogen, carbon; all other atoms are "x"."""
SVG = "{http://www.w3.org/2000/svg}"
PATH = re.compile(r"[MLQCZ0-9., -]+")
SMALL = 10
"""Font sizes below are those of indices and charges."""
LONGEST = 500
"""Characters of a SMILES, at most: what is longer is not drawn."""


class Undrawable(Exception):  # noqa: N818 - the sample is at fault, not the program
    """A sample that is no molecule; the message is why, without a full stop."""


def unavailable() -> bool:
    """Whether RDKit is missing."""
    try:
        import rdkit  # noqa: F401
    except ImportError:
        return True
    return False


@lru_cache(maxsize=4096)
def drawn(smiles: str) -> list[Any]:
    """A molecule as ``[width, height, paths, letters]``, all of them numbers and strings.

    Each of the paths is ``[colour, whether it is filled, data]``, one for each colour; each of the letters is ``[x, y,
    whether it is small, colour, letter]``. Colours are those of :data:`COLOURS`.

    Raises:
        Undrawable: for a text that RDKit does not read as a molecule with its default checks, as metric ``valid`` does.
    """
    from rdkit import rdBase
    from rdkit.Chem.Draw import rdMolDraw2D

    with rdBase.BlockLogs():  # it writes to stderr what is said here
        molecule = _read(smiles)
        drawer = rdMolDraw2D.MolDraw2DSVG(-1, -1, -1, -1, True)  # as large as needed; letters are no paths
        options = drawer.drawOptions()
        options.clearBackground, options.fixedBondLength, options.padding = False, BOND, 0.01
        options.fixedFontSize, options.bondLineWidth = 11, 1
        rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
        drawer.FinishDrawing()
        return _reduced(drawer.GetDrawingText())


def _read(smiles: str) -> Any:
    from rdkit import Chem

    if not smiles:
        raise Undrawable("it is empty")
    if len(smiles) > LONGEST:
        raise Undrawable(f"it has over {LONGEST} characters")
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is not None and molecule.GetNumAtoms():
        return molecule
    unchecked = Chem.MolFromSmiles(smiles, sanitize=False)
    if unchecked is None or not unchecked.GetNumAtoms():
        raise Undrawable("it is no SMILES: a ring, a bracket or a bond is not closed, or a symbol is unknown")
    problems = [problem.Message() for problem in Chem.DetectChemistryProblems(unchecked)]
    raise Undrawable(problems[0].rstrip(".") if problems else "RDKit does not read it")


def _reduced(svg: str) -> list[Any]:
    """RDKit's picture as lists.

    Raises:
        ValueError: for anything in it but paths and letters.
    """
    root = ElementTree.fromstring(svg)
    size = [round(float(number)) for number in root.attrib["viewBox"].split()[2:]]
    lines: dict[tuple[str, int], str] = {}
    letters = []
    for element in root:
        style = dict(part.split(":", 1) for part in element.attrib.get("style", "").split(";") if ":" in part)
        if element.tag == f"{SVG}path":
            data = element.attrib["d"]
            if not PATH.fullmatch(data):
                raise ValueError(f"expected the data of a path, got {data!r}")
            if "class" not in element.attrib:  # where two bonds meet; round ends do that here
                continue
            filled = style["fill"] != "none"
            colour = COLOURS.get(style["fill"] if filled else style["stroke"], "x")
            lines[colour, int(filled)] = lines.get((colour, int(filled)), "") + data.replace(" ", "")
        elif element.tag == f"{SVG}text" and len(element) == 0 and element.text:
            small = int(float(style["font-size"].removesuffix("px")) < SMALL)
            place = [round(float(element.attrib[name]), 1) for name in ("x", "y")]
            letters.append([*place, small, COLOURS.get(style["fill"], "x"), element.text])
        else:
            raise ValueError(f"expected paths and letters, got {element.tag}")
    return [*size, [[colour, filled, data] for (colour, filled), data in lines.items()], letters]
