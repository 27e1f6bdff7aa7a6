"""Marks that other tools write into text and that mean something to them alone: ends, padding, unknown words."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["foreign_mark", "marks_note"]

MARK = re.compile(
    r"""
    (?<! \S ) (?: </?s>                                                    # sentence by sentence, as in KenLM
    | <(?: eos | bos | sos | pad | blank | start | end | go | mask )>      # Texygen's kind
    | <\| [a-z_]+ \|>                                                      # <|endoftext|>
    | \[(?: PAD | CLS | SEP | MASK | UNK | BOS | EOS )\]                   # BERT
    | _(?: EOS | PAD | GO | UNK | BOS )                                    # TensorFlow's translation
    | <UNK> | <_UNK> | <oov>
    ) (?! \S )
    """,
    re.VERBOSE | re.IGNORECASE,
)
OURS = "<unk>"


def marks_note(name: str, marks: Counter[str]) -> str:
    """A sentence on the lines of a text that have marks of another tool.

    Args:
        name: What the text is called.
        marks: How many lines have each mark as their first, at least one.

    Example:
        >>> marks_note("a.txt", Counter({"<eos>": 12}))
        "a.txt: lines with another tool's marks, such as <eos>: 12. They are read as words: take them out first."
    """
    mark, lines = marks.most_common(1)[0][0], marks.total()
    return (
        f"{name}: lines with another tool's marks, such as {mark}: {lines:,}. They are read as words: take them out "
        "first."
    )


def foreign_mark(line: str) -> str | None:
    """The first mark of another tool in a line, with white space on both sides; ``<unk>`` is ours."""
    if not ("<" in line or "[" in line or "_" in line):
        return None
    return next((found[0] for found in MARK.finditer(line) if found[0] != OURS), None)
