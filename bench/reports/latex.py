r"""A document as LaTeX: tables for papers, and any other page.

What is written is ASCII, and compiles with pdfLaTeX, XeLaTeX and LuaLaTeX; the preamble needs :data:`PREAMBLE`. Letters
that pdfLaTeX does not know, such as Chinese ones, are written twice, as ``\benchtext{...}{U+5E8A}``: XeLaTeX and
LuaLaTeX set the letters, in a font that has them, and pdfLaTeX their codes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from bench.reports.document import Block, Bullets, Figure, Heading, Item, Paragraph, Table, Words, line, text_of
from bench.visible import visible

__all__ = ["PREAMBLE", "escape", "float_of", "render"]

PREAMBLE = r"\usepackage{booktabs,graphicx}"
"""What the preamble of a paper needs; with ``\\usepackage[T1]{fontenc}``, quotes and ``<`` are set best."""
BEGINNING = (
    rf"% The preamble needs {PREAMBLE}.",
    r"\providecommand{\benchtext}[2]{\ifdefined\Umathchar#1\else#2\fi}% letters, or their codes in pdfLaTeX",
)
"""The first lines of all that is written; a paper may define the command otherwise, before."""
LEVELS = ("section", "subsection", "subsubsection", "paragraph")
STYLES = {"strong": "textbf", "emphasis": "emph", "code": "texttt"}
CHARACTERS = {
    **{character: f"\\{character}" for character in "{}$&#_%"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "`": r"\textasciigrave{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"{\char34}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # after the end of a line they would be its arguments
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "−": "$-$", "≤": r"$\le$", "≥": r"$\ge$", "∞": r"$\infty$",
    "°": r"$^\circ$", "²": "$^2$", "³": "$^3$", "µ": r"$\mu$", "μ": r"$\mu$", "α": r"$\alpha$", "β": r"$\beta$",
    "↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "↳": r"$\hookrightarrow$",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "…": r"\ldots{}",
    "–": r"\textendash{}", "—": r"\textemdash{}", "‘": r"\textquoteleft{}", "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}", "\u00a0": "~",
    "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}",
    "ł": r"\l{}", "Ł": r"\L{}", "å": r"\aa{}", "Å": r"\AA{}", "ı": r"\i{}",
}  # fmt: skip
"""What has a meaning in LaTeX, and what plain LaTeX has a command for."""
ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c", "\u0323": "d",
}  # fmt: skip
"""Combining marks to the commands that set them on a letter, in every encoding of fonts."""
LIGATURES = re.compile(r"(?<=-)(?=-)|(?<=')(?=')|(?<=,)(?=,)")
"""Where two characters would become another one."""
UNKNOWN = re.compile(r"[^\x00-\x7f]+")
MINUS = re.compile(r"(?<![\w.])-(?=\.?\d)")
"""The sign of a negative number."""


def render(document: Iterable[Block]) -> str:
    """The complete text, without a preamble; the same document gives the same text.

    A table with a caption floats and has a label made of the caption; one without stays where it is.
    """
    labels: dict[str, int] = {}
    return "\n\n".join(["\n".join(BEGINNING), *(_block(block, labels) for block in document)]) + "\n"


def float_of(table: Table, label: str, notes: Sequence[Words] = ()) -> str:
    """A table that floats, with its caption above it and notes below it, as wide as the text at most.

    Args:
        table: What to show.
        label: By which the text refers to it, after ``tab:``; what is no letter or digit becomes a hyphen.
        notes: Lines in small print, such as what marks mean.
    """
    below = [rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize\raggedright {_notes(notes)}}}"] if notes else []
    lines = [
        r"\begin{table}[htbp]", r"\centering",
        rf"\caption{{{_inline(table.caption)}}}", rf"\label{{tab:{_slug(label)}}}",
        *_fitted(table), *below, r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines)


def escape(text: str) -> str:
    """Plain text in one line, in which nothing has a meaning."""
    plain = unicodedata.normalize("NFC", visible(re.sub(r"\s+", " ", text)))
    known = (_known(character) or character for character in plain)
    return LIGATURES.sub("{}", UNKNOWN.sub(_with_codes, "".join(known)))


def _with_codes(found: re.Match[str]) -> str:
    codes = " ".join(f"U+{ord(character):04X}" for character in found[0])
    return f"\\benchtext{{{found[0]}}}{{{codes}}}"


def _known(character: str) -> str | None:
    """A character in ASCII; None where plain LaTeX has no command for it."""
    if character in CHARACTERS:
        return CHARACTERS[character]
    if character.isascii():
        return character
    if unicodedata.category(character) == "Cs":  # half of a character, which no file can hold
        return f"U+{ord(character):04X}"
    parts = unicodedata.normalize("NFD", character)
    letter, mark = parts[0], ACCENTS.get(parts[1:])
    return f"\\{mark}{{{letter}}}" if mark and letter.isascii() and letter.isalpha() else None


def _block(block: Block, labels: dict[str, int]) -> str:
    if isinstance(block, Heading):
        return rf"\{LEVELS[min(block.level, len(LEVELS)) - 1]}{{{_inline(block.words)}}}"
    if isinstance(block, Paragraph):
        return _inline(block.words)
    if isinstance(block, Bullets):
        title = f"{_inline(block.title)}\n" if block.title else ""
        return f"{title}{_items(map(_item, block.items))}"
    if isinstance(block, Figure):
        picture = rf"\includegraphics[width=\linewidth]{{\detokenize{{{block.path}}}}}"
        caption = rf"\caption{{{_inline(block.caption)}}}"
        return "\n".join([r"\begin{figure}[htbp]", r"\centering", picture, caption, r"\end{figure}"])
    if not block.caption:
        return "\n".join([r"\begin{center}", *_fitted(block), r"\end{center}"])
    label = text_of(block.caption)
    labels[label] = labels.get(label, 0) + 1
    return float_of(block, f"{label} {labels[label]}" if labels[label] > 1 else label)


def _items(items: Iterable[str]) -> str:
    return "\n".join([r"\begin{itemize}", *items, r"\end{itemize}"])


def _item(item: Item) -> str:
    below = "\n" + _items(rf"\item {_inline(words)}" for words in item.below) if item.below else ""
    return rf"\item {_inline(item.words)}{below}"


def _notes(notes: Sequence[Words]) -> str:
    return "\\par\n".join(map(_inline, notes))


def _fitted(table: Table) -> list[str]:
    """The table, made smaller where it is wider than the text."""
    columns = "".join("l" if index < table.left else "r" for index in range(len(table.header)))
    body = [" & ".join(_heading(words, index, table) for index, words in enumerate(table.header)) + r" \\"]
    for group in table.groups:
        body.append(r"\midrule")
        if group.heading:
            body.append(rf"\multicolumn{{{len(table.header)}}}{{l}}{{\emph{{{_inline(group.heading)}}}}} \\")
        body += [
            " & ".join(_cell(words, index, table) for index, words in enumerate(cells)) + r" \\"
            for cells in group.lines
        ]
    return [
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *body, r"\bottomrule", r"\end{tabular}}",
    ]  # fmt: skip


def _heading(words: Words, index: int, table: Table) -> str:
    """A heading of a column; what is on further lines of it, such as a unit, is below the name."""
    lines = [_inline(part) for part in words.split("\n")] if isinstance(words, str) else [_inline(words)]
    if len(lines) == 1:
        return lines[0]
    rest = "".join(rf" \\ {{\footnotesize {each}}}" for each in lines[1:])
    return rf"\begin{{tabular}}[b]{{@{{}}{'l' if index < table.left else 'r'}@{{}}}}{lines[0]}{rest}\end{{tabular}}"


def _cell(words: Words, index: int, table: Table) -> str:
    """Words in a cell; among numbers, a hyphen is a minus sign."""
    shown = _inline(words)
    return shown if index < table.left else MINUS.sub("$-$", shown)


def _inline(words: Words) -> str:
    shown = ""
    for span in line(words):
        command = STYLES.get(span.style)
        shown += rf"\{command}{{{escape(span.text)}}}" if command else escape(span.text)
    return shown.strip()


def _slug(text: str) -> str:
    """A label of letters, digits and hyphens; other letters are their codes, so that two differ where the texts do."""
    codes = "".join(each if each.isascii() else f"-{ord(each):x}-" for each in text)
    return re.sub(r"[^a-z0-9]+", "-", codes.lower()).strip("-")
