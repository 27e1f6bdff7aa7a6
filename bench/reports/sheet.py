"""The page on which people judge texts: one HTML file that needs nothing else and says nothing of where texts are from.

``sheet.html``, ``sheet.css`` and ``sheet.js`` beside this file are put together here. The page may load nothing, and
runs this one script only: its policy names the hashes of script and style. Texts are data; the script shows them as
text, whatever they hold.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import TYPE_CHECKING

from bench.visible import visible

if TYPE_CHECKING:
    from bench.records.ratings import Key

__all__ = ["page"]

ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What could end a script, as JSON writes it otherwise."""


def page(key: Key) -> str:
    """The page of a sheet: of its key it holds what raters may see, and nothing else.

    Args:
        key: The sheet.
    """
    style, script, template = (_part(ending) for ending in ("css", "js", "html"))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    shown = key.shown
    items = [{**item, "text": visible(item["text"])} for item in shown["items"]]
    data = json.dumps({"sheet": key.sheet, **shown, "items": items}, ensure_ascii=False, allow_nan=False)
    for mark, code in ESCAPED.items():
        data = data.replace(mark, code)
    parts = {"POLICY": policy, "STYLE": style, "SCRIPT": script, "SHEET": key.sheet, "DATA": data}
    first, *rest = template.split("@")
    return first + "".join(parts.get(part, f"@{part}@") if place % 2 == 0 else part for place, part in enumerate(rest))


def _part(ending: str) -> str:
    return files("bench.reports").joinpath(f"sheet.{ending}").read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """What a policy calls an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
