"""A document as HTML, and whole pages from templates. Data and our own sentences alike are escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.reports.document import Block, Bullets, Figure, Heading, Item, Paragraph, Table, Words, line
from bench.visible import visible

__all__ = ["as_data", "filled", "render"]

TAGS = {"strong": "strong", "emphasis": "em", "code": "code"}
"""Style of a span to its element."""
NOTHING: Mapping[str, str] = {}


def render(document: Iterable[Block]) -> Markup:
    """The blocks as elements; the same document gives the same text."""
    return Markup("\n".join(map(_block, document)))


def filled(
    template: str, styles: Sequence[str], scripts: Sequence[str], sources: Mapping[str, str] = NOTHING, **values: Any
) -> str:
    """A page that holds all that it needs, in which nothing but its own style and script is obeyed.

    Args:
        template: Name of a file of ``templates/``. In it, what is no :class:`markupsafe.Markup` is escaped.
        styles: Names of the files there that are the page's style, one after the other.
        scripts: Names of those that are its script.
        sources: More that the page may do, as its policy has it: ``connect-src`` to what it may ask.
        values: What the template asks for.
    """
    loader = PackageLoader("bench.reports")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    inline = {
        name: Markup("".join(loader.get_source(environment, file)[0] for file in files))
        for name, files in (("style", styles), ("script", scripts))
    }
    digests = {name: base64.b64encode(hashlib.sha256(text.encode()).digest()) for name, text in inline.items()}
    own = "".join(f"; {name}-src 'sha256-{digest.decode()}'" for name, digest in digests.items())
    own += "".join(f"; {name} {source}" for name, source in sources.items())
    policy = Markup(f"default-src 'none'{own}")
    return environment.get_template(template).render(**inline, policy=policy, **values)


def as_data(value: Any) -> Markup:
    """Strict JSON for a script element, which no text in it can end; what a page would obey is made visible."""
    text = _json(value)
    if SUSPECT.search(text):  # to look at each text by itself takes ten times as long, and most pages need it nowhere
        text = _json(_visible(value))
    return Markup(text.replace("<", "\\u003c"))


SUSPECT = re.compile(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\\u00|\\[bfr]")
"""In JSON, whatever :func:`bench.visible.visible` changes, and a few texts with backslashes that it does not."""


def _json(value: Any) -> str:
    return json.dumps(value, default=_mapping, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _mapping(value: Any) -> dict[Any, Any]:
    """A mapping of another type than JSON knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no type of JSON")


def _visible(value: Any) -> Any:
    if isinstance(value, float | int):  # as most are
        return value
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(name)): _visible(each) for name, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list | tuple) else value


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{_inline(block.words)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{_inline(block.words)}</p>"
    if isinstance(block, Bullets):
        title = f"<p>{_inline(block.title)}</p>\n" if block.title else ""
        return f"{title}<ul>\n{''.join(map(_item, block.items))}</ul>"
    if isinstance(block, Figure):
        caption, path = _text(block.caption), escape(block.path)
        return f'<figure><img src="{path}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
    return _table(block)


def _item(item: Item) -> str:
    below = "".join(f"<li>{_inline(words)}</li>" for words in item.below)
    return f"<li>{_inline(item.words)}{f'<ul>{below}</ul>' if below else ''}</li>\n"


def _table(table: Table) -> str:
    """A table in a box of its own that scrolls: columns of numbers are aligned right."""
    caption = f"<caption>{_inline(table.caption)}</caption>" if table.caption else ""
    head = "".join(
        f'<th scope="col"{_aligned(index, table)}>{_inline(name)}</th>' for index, name in enumerate(table.header)
    )
    body = ""
    for group in table.groups:
        width = len(table.header)
        named = f'<tr><th scope="rowgroup" colspan="{width}">{_inline(group.heading)}</th></tr>\n'
        body += f"<tbody>\n{named if group.heading else ''}"
        for cells in group.lines:
            first = f'<th scope="row">{_inline(cells[0])}</th>'
            rest = (
                f"<td{_aligned(index, table)}>{_inline(words)}</td>" for index, words in enumerate(cells[1:], start=1)
            )
            body += f"<tr>{first}{''.join(rest)}</tr>\n"
        body += "</tbody>\n"
    # Who has no pointer scrolls the box by its keys, so it can have the focus.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table">'
        f"<table>{caption}<thead><tr>{head}</tr></thead>\n{body}</table></div>"
    )


def _aligned(index: int, table: Table) -> str:
    return "" if index < table.left else ' class="number"'


def _inline(words: Words) -> str:
    shown = ""
    for span in line(words):
        if span.style == "link":
            shown += f'<a href="{escape(quote(span.to))}">{_text(span.text)}</a>'
            continue
        tag = TAGS.get(span.style)
        shown += f"<{tag}>{_text(span.text)}</{tag}>" if tag else _text(span.text)
    return shown


def _text(text: str) -> str:
    return escape(visible(text))
