"""Marks that other tools write into text and that mean something to them alone: ends, padding, unknown words."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["foreign_mark", "marks_note"]

MARK = re.compile(
    r"""
    (?i: </s> | <(?: eos | bos | sos | pad | blank | go | mask | oov | _unk )>  # KenLM's, Texygen's
    | <\| [a-z_0-9]+ \|> )                                                     # <|endoftext|>
    | <UNK> | (?<! \S ) <s> (?! \S )
    | \[(?: PAD | CLS | SEP | MASK | UNK | BOS | EOS )\]                       # BERT's
    | (?<! \S ) _(?: EOS | PAD | GO | UNK | BOS ) (?! \S )                    # TensorFlow's translation
    """,
    re.VERBOSE,
)


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
    """The first mark of another tool in a line; ``<unk>`` is ours."""
    if not ("<" in line or "[" in line or "_" in line):
        return None
    found = MARK.search(line)
    return found and found[0]
