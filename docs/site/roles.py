"""Docstrings for the site: references to names, as ``:class:`Name```, are shown as names in code."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object
from reference import plain

__all__ = ["Roles"]


class Roles(Extension):
    """Changes every docstring when it is read."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = plain(obj.docstring.value)
