"""The fields of models and tasks as tables: of one for ``bench list``, of all for ``docs/settings.md``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.plans.own_files import OWN
from bench.plans.registry import Plugin, PluginError, available, find

if TYPE_CHECKING:
    from bench.plans.settings import Setting
    from bench.reports.document import Block, Document, Table, Words

__all__ = ["fields_of", "found", "page"]

INTRODUCTION = """Every field that `--set NAME.field=value` and the `settings` of `bench.library:run` can set, with
the range of its values. A value outside is refused before anything is trained. This page is generated from the classes
(`GOLDEN=write pytest tests/test_docs.py`); `bench list models NAME` and `bench list tasks NAME` show one table of it,
also for a class of your own."""
TITLES = {"model": "Models", "task": "Tasks"}


def found(kind: str, name: str) -> Plugin:
    """The model or task of this name; ``text``, ``midi`` and ``samples``, with or without their colon, are one's own.

    Raises:
        UsageError: for an unknown name.
    """
    own = OWN.get(name.rstrip(":"))
    return own if own and own.kind == kind else find(kind, name)


def fields_of(plugin: Plugin) -> Document:
    """The fields of a model or a task, and what its presets set on one task alone; nothing if it has no fields.

    Raises:
        UsageError: when it cannot be loaded.
    """
    from bench.plans.settings import settings, settings_by_task
    from bench.reports.document import bullets, code, joined

    try:
        loaded = plugin.load()
    except PluginError as error:
        raise UsageError(f"{error}.") from error
    fields = settings(loaded)
    there = [
        joined(": ", (where, joined(", ", (joined(" ", (name, code(value))) for name, value in values.items()))))
        for where, values in settings_by_task(loaded).items()
    ]
    return [_table(fields), *bullets("Presets on one task alone:", there)] if fields else []


def page() -> Document:
    """All fields of all installed models and tasks; those with the same fields share a table."""
    from bench.reports.document import Heading, Paragraph, prose

    return [
        Heading(1, "Settings"),
        Paragraph(prose(" ".join(INTRODUCTION.split()))),
        *(block for kind in TITLES for block in _section(kind)),
    ]


def _section(kind: str) -> Iterator[Block]:
    from bench.reports.document import Heading, Paragraph, code, joined

    plugins = {**available(kind), **{name: own for name, own in OWN.items() if own.kind == kind}}
    tables: list[tuple[Document, list[str]]] = []
    for name, plugin in plugins.items():
        fields = fields_of(plugin)
        names = next((names for known, names in tables if known == fields), None)
        if names is None:
            tables.append((fields, [name]))
        else:
            names.append(name)
    yield Heading(2, TITLES[kind])
    for fields, names in sorted(tables, key=lambda pair: not pair[0]):
        yield Heading(3, joined(", ", map(code, names)))
        yield Paragraph(joined(", ", (code(plugins[name].target) for name in names)))
        yield from fields or [Paragraph("No fields.")]


def _table(fields: list[Setting]) -> Table:
    from bench.reports.document import code, table

    header = ("field", "range", "default (presets)", "meaning")
    lines = ((code(field.name), field.range, _values(field), field.meaning) for field in fields)
    return table(header, lines, left=len(header))


def _values(field: Setting) -> Words:
    """The default, and the presets that differ from it."""
    from bench.reports.document import code, joined

    presets = joined(", ", (joined(" ", (preset, code(value))) for preset, value in field.presets.items()))
    return (*code(field.default), *joined("", [" (", presets, ")"])) if presets else code(field.default)
