"""A comparison as text for a terminal, Markdown for a summary, or JUnit's XML for a machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from bench.analysis.compare import ALPHA, NOT_COMPARABLE, RED, SAME, VERDICTS, Cell, Comparison
from bench.reports import markdown as renderer
from bench.reports import terminal
from bench.reports.document import Document, Paragraph, bullets, strong, table

__all__ = ["FORMATS", "brief", "junit", "markdown", "page", "text"]

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def brief(comparison: Comparison) -> Document:
    """What changed in words, the worst first, then how it was judged, and the closing line."""
    groups: dict[str, list[str]] = {}
    for cells in _grouped(comparison):
        task, preset, model, checkpoint, _ = cells[0].key
        title = f"{cells[0].verdict}: {task}, {preset}: {', '.join(filter(None, (model, checkpoint)))}"
        names = ", ".join(cell.key.metric for cell in cells)
        groups.setdefault(title, []).append(f"{names}: {cells[0].words}" if names else cells[0].words)
    blocks = [block for title, lines in groups.items() for block in bullets(title, lines)]
    blocks += [Paragraph("")] if blocks else []
    return [*blocks, Paragraph(_reading(comparison)), Paragraph(comparison.summary)]


def page(comparison: Comparison) -> Document:
    """The same as a table, with the closing line above it."""
    lines = [
        [cells[0].verdict, *cells[0].key[:4], ", ".join(cell.key.metric for cell in cells), cells[0].words]
        for cells in _grouped(comparison)
    ]
    header = ["verdict", "task", "preset", "model", "checkpoint", "metric", "what"]
    tables = [table(header, lines, left=len(header))] if lines else []
    return [Paragraph(strong(comparison.summary)), *tables, Paragraph(_reading(comparison))]


def text(comparison: Comparison) -> str:
    """For a terminal or a pipe."""
    return terminal.plain(brief(comparison))


def markdown(comparison: Comparison) -> str:
    """For a summary page."""
    return renderer.render(page(comparison)).removesuffix("\n")


def junit(comparison: Comparison) -> str:
    """A test case for every cell: red ones fail, those that cannot be compared are skipped."""
    vanished = comparison.vanished
    skipped = comparison.counts[NOT_COMPARABLE]
    counts = {
        "tests": len(comparison.cells) + vanished,
        "failures": comparison.red + vanished,
        "errors": 0,
        "skipped": skipped,
    }
    described = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", described)
    suite = ElementTree.SubElement(root, "testsuite", {"name": "bench compare", **described})
    for cell in comparison.cells:
        *configuration, checkpoint, metric = cell.key
        name = " ".join(filter(None, (checkpoint, metric))) or "run"
        case = _element(suite, "testcase", {"classname": ", ".join(configuration), "name": name})
        if cell.verdict in RED:
            _element(case, "failure", {"type": cell.verdict, "message": f"{cell.verdict}: {cell.words}"})
        elif cell.verdict == NOT_COMPARABLE:
            _element(case, "skipped", {"type": cell.verdict, "message": cell.words})
        else:
            _element(case, "system-out", {}).text = _legal(f"{cell.verdict}: {cell.words}")
    if vanished:  # or skipped cells alone would look like a success
        case = _element(suite, "testcase", {"classname": "bench compare", "name": "something was compared"})
        _element(case, "failure", {"type": "vanished", "message": "no score of any model could be compared"})
    _element(suite, "system-out", {}).text = _legal(comparison.summary)
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    return content.decode()


FORMATS: Mapping[str, Callable[[Comparison], str]] = {"text": text, "markdown": markdown, "junit": junit}


def _grouped(comparison: Comparison) -> list[list[Cell]]:
    """Cells that share everything except the metric, the most important first; unchanged cells are left out."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in comparison.cells:
        if cell.words != SAME:
            groups.setdefault((cell.verdict, *cell.key[:4], cell.words), []).append(cell)
    return sorted(groups.values(), key=lambda cells: VERDICTS.index(cells[0].verdict))


def _reading(comparison: Comparison) -> str:
    same = sum(cell.words == SAME for cell in comparison.cells)
    told = [f"{same} of {len(comparison.cells)} cells are the same except for rounding."]
    if comparison.family:
        told.append(
            f"Changed and tested: {comparison.family}. Differences are head - base, paired by seed; p is two-sided, "
            f"after Holm's correction for the number of tests, and a verdict needs {ALPHA} or less. "
            '"no difference" means that none was shown, not that there is none.'
        )
    return " ".join(told)


def _element(parent: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, {name: _legal(value) for name, value in attributes.items()})


def _legal(words: str) -> str:
    """Without the control characters that XML cannot hold."""
    return NOT_IN_XML.sub("?", words)
