"""Pages that are made from the code: one for each registered generator, task and metric, and their indices.

Nothing of the project is imported, so that the site is built without torch: names come from the entry points in
``pyproject.toml``, descriptions from docstrings, fields from ``docs/settings.md``, which a test holds against the
classes, and units from the leaderboards in ``results/``.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from repository import ROOT

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

__all__ = ["KINDS", "Column", "Plugin", "columns", "generated", "plugins"]

KINDS = {"generators": ("bench.generators", "bench.controls"), "tasks": ("bench.tasks",), "metrics": ("bench.metrics",)}
"""Folder of the pages, and title in small letters, to the groups of entry points."""
SETS = {"bench.core": "core", "bench.adversarial": "adversarial"}
MODULES = {
    "bench.api": "what a generator imports",
    "bench.library": "the benchmark from Python",
    "bench.testing": "the suite that every generator must pass",
    "bench.tasks.base": "what a task offers",
    "bench.metrics.base": "what a metric reads and returns",
    "bench.metrics.signature": "what comparable scores share",
    "bench.errors": "mistakes in use",
}
"""Modules whose public names have a page."""
WORDS = {"lower": "lower is better", "higher": "higher is better", "real": "nearer to the real data is better"}
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")
_MARK = re.compile(r"(``.*?``|`.*?`|^ {4}.*$|^ *>>>.*$)|<(?=[a-z/])", re.MULTILINE)
_RANGE = re.compile(r"``([a-z_]+)(\d)`` to ``\1(\d)``")
_NAMED = re.compile(r"``(\w+)``")


@dataclass(frozen=True)
class Plugin:
    """A registered class, as far as it is known without importing it.

    Attributes:
        kind: "generators", "tasks" or "metrics".
        name: What users type.
        target: ``module:Class``.
        groups: All groups of entry points that have the name.
    """

    kind: str
    name: str
    target: str
    groups: frozenset[str]

    @property
    def page(self) -> str:
        """Its page among the sources of the site."""
        return f"reference/{self.kind}/{self.name}.md"

    @property
    def module(self) -> ast.Module:
        """Its module, parsed."""
        return _parsed(self.target.partition(":")[0])

    @property
    def node(self) -> ast.ClassDef:
        """Its class."""
        wanted = self.target.partition(":")[2]
        return next(node for node in self.module.body if isinstance(node, ast.ClassDef) and node.name == wanted)

    @property
    def summary(self) -> str:
        """The first line of its docstring, as Markdown."""
        return plain((ast.get_docstring(self.node) or "").partition("\n")[0])


@dataclass(frozen=True)
class Column:
    """A column of the tables; unit and direction are None where neither results nor the source tell them."""

    metric: str
    theme: str
    unit: str | None
    direction: str | None
    density: bool
    merit: bool


def plain(docstring: str) -> str:
    """A docstring as Markdown: references as names in code, and no HTML, such as ``<unk>``, outside of code.

    mkdocstrings knows the section Examples, and takes Example for a note.
    """
    docstring = re.sub(r"^Example:$", "Examples:", docstring, flags=re.MULTILINE)
    return _MARK.sub(lambda found: found[1] or "&lt;", _ROLE.sub(r"`\1`", docstring))


@cache
def plugins() -> dict[str, list[Plugin]]:
    """All that is registered, by kind, in the order of ``pyproject.toml``."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    return {
        kind: [
            Plugin(kind, name, target, frozenset(group for group in groups if name in groups[group]))
            for group in registered
            for name, target in groups[group].items()
        ]
        for kind, registered in KINDS.items()
    }


def generated() -> dict[str, str]:
    """Path among the sources of the site to the text of a page, for all pages that are made from the code."""
    made = {"reference/index.md": _modules()}
    for name in MODULES:
        made[f"reference/{name}.md"] = f"# {name}\n\n::: {name}\n"
    details = {"generators": _generator, "tasks": _task, "metrics": _metric}
    for kind, found in plugins().items():
        made[f"reference/{kind}/index.md"] = _index(kind, found)
        for plugin in found:
            made[plugin.page] = "\n".join([*_head(plugin), *details[kind](plugin)]) + "\n"
    return made


def columns(plugin: Plugin) -> list[Column]:
    """The columns that a metric fills, in the order of the catalogue; those of plugins' own, unlisted, are left out."""
    catalogue = _catalogue()
    measured, literal = _measured(), _literal(plugin.module)
    return [
        Column(row.metric, row.theme, *(measured.get(row.metric) or literal.get(row.metric) or (None, None)),
               row.density, row.merit)
        for row in catalogue.CATALOGUE
        if row.metric in _claimed(plugin)
    ]  # fmt: skip


def _claimed(plugin: Plugin) -> set[str]:
    """The columns that the method names; else those of the class's docstring and of the module's ``COLUMNS``."""
    methods = [node for node in plugin.node.body if isinstance(node, ast.FunctionDef)]
    asked = next(node for node in methods if node.name in ("estimates", "scores"))
    listed = {row.metric for row in _catalogue().CATALOGUE}
    if found := _names(ast.get_docstring(asked) or "") & listed:
        return found
    table = next((node for node in plugin.module.body if "COLUMNS" in _assigned(node)), None)
    keys = {each.value for each in ast.walk(table) if isinstance(each, ast.Constant)} if table else set()
    return (keys or _names(ast.get_docstring(plugin.node) or "")) & listed


def _names(text: str) -> set[str]:
    """What stands in code, and all that ``bleu2`` to ``bleu5`` means."""
    spans = (
        f"{name}{order}" for name, first, last in _RANGE.findall(text) for order in range(int(first), int(last) + 1)
    )
    return {*_NAMED.findall(text), *spans}


def _assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


@cache
def _measured() -> Mapping[str, tuple[str, str]]:
    """Column to unit and direction, of all leaderboards that are kept."""
    found: dict[str, tuple[str, str]] = {}
    for file in sorted((ROOT / "results").rglob("leaderboard.csv")):
        with file.open(encoding="utf-8", newline="") as lines:
            found.update({row["metric"]: (row["unit"], row["direction"]) for row in csv.DictReader(lines)})
    return found


def _literal(module: ast.Module) -> Mapping[str, tuple[str, str]]:
    """Column to unit and direction, where a module spells all three in the call that makes an estimate.

    ``Estimate(name, value, *about)`` is read, too, where ``about`` is a tuple that is spelt in the module.
    """
    tuples = {
        name: node.value.elts
        for node in ast.walk(module)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        for name in _assigned(node)
    }
    found = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Estimate":
            arguments = [
                each
                for argument in node.args
                for each in (
                    tuples.get(ast.unparse(argument.value), ()) if isinstance(argument, ast.Starred) else [argument]
                )
            ]
            values = [each.value if isinstance(each, ast.Constant) else None for each in arguments[:4]]
            if len(values) == 4 and all(isinstance(values[each], str) for each in (0, 2, 3)):
                found[values[0]] = (values[2], values[3])
    return found


@cache
def _catalogue() -> Any:
    """The module, which needs the standard library alone, without the package around it."""
    spec = importlib.util.spec_from_file_location("catalogue_of_the_site", ROOT / "bench/analysis/catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def _parsed(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_bytes())


def _head(plugin: Plugin) -> Iterator[str]:
    yield f"# {plugin.name}\n"
    yield f"`{plugin.target}`\n"
    yield f"::: {plugin.target.replace(':', '.')}"
    yield from ("    options:", "      members: []", "      show_root_toc_entry: false", "")


def _generator(plugin: Plugin) -> Iterator[str]:
    role = "control" if "bench.controls" in plugin.groups else "contender"
    sets = [f"`{name}`" for group, name in SETS.items() if group in plugin.groups]
    sets += [] if "bench.heavy" in plugin.groups else ["`all`"]
    yield (
        f"A {role}"
        + (f"; also in the sets {', '.join(sets)}" if sets else "")
        + f". Detail by detail: {_told(plugin)}.\n"
    )
    yield from _fields(plugin)


def _told(plugin: Plugin) -> str:
    """A link to what the index of generators links for this name."""
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    row = next(line for line in index.splitlines() if line.startswith("|") and f"`{plugin.name}`" in line)
    label, target = re.findall(r"\[([^]]+)\]\(([^)]+)\)", row)[0]
    return f"[{label.removesuffix('.md')}](../../{target})"


def _task(plugin: Plugin) -> Iterator[str]:
    seen = []
    if (ROOT / "docs/tasks" / f"{plugin.name}.md").exists():
        seen.append(f"[what it asks, and its floors](../../tasks/{plugin.name}.md)")
    sheets = (f"bench/corpora/{plugin.name}/datasheet.md", f"bench/data/datasheets/{plugin.name}.md")
    there = (sheet for sheet in sheets if (ROOT / sheet).exists())
    seen += [f"[datasheet](../../repository/{sheet}): origin, licence, splits" for sheet in there]
    if seen:
        yield "See also: " + "; ".join(seen) + ".\n"
    yield from _fields(plugin)


def _fields(plugin: Plugin) -> Iterator[str]:
    """The table of ``docs/settings.md``."""
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    title = "Tasks" if plugin.kind == "tasks" else "Models"
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    parts = chain.from_iterable(
        re.split(r"^### ", part, flags=re.MULTILINE)[1:] for part in section if part.startswith(title)
    )
    found = next((part for part in parts if f"`{plugin.name}`" in part.partition("\n")[0]), None)
    if found is None:
        raise LookupError(
            f"docs/settings.md has no {plugin.name}: GOLDEN=write pytest tests/test_docs.py writes it anew"
        )
    table = "\n".join(line for line in found.splitlines() if line.startswith("|"))
    yield "## Fields\n"
    yield f"`--set {plugin.name}.FIELD=VALUE` sets one.\n\n{table}" if table else "It has none."


def _metric(plugin: Plugin) -> Iterator[str]:
    yield "## Columns\n"
    yield "| column | unit | better | where tables have it | reads the model's density |"
    yield "| --- | --- | --- | --- | --- |"
    for each in columns(plugin):
        unit = "see above" if each.unit is None else each.unit or "a pure number"
        better = WORDS.get(each.direction or "", "see above") + ("" if each.merit else "; no merit, so no verdict")
        yield f"| `{each.metric}` | {unit} | {better} | {each.theme} | {'yes' if each.density else 'no'} |"


def _index(kind: str, found: list[Plugin]) -> str:
    about = {
        "generators": "Every registered generator. [The generators](../../generators.md) has what paper and code say.",
        "tasks": "Every registered task, and your own: `text:FILE`, `midi:FOLDER` ([use](../../use.md)).",
        "metrics": "Every registered metric: what it is, and how it can be gamed.",
    }
    rows = [f"| [{plugin.name}]({plugin.name}.md) | {plugin.summary} |" for plugin in found]
    return "\n".join([f"# {kind.capitalize()}", "", about[kind], "", "| name | what |", "| --- | --- |", *rows, ""])


def _modules() -> str:
    rows = [f"| [{name}]({name}.md) | {about} |" for name, about in MODULES.items()]
    more = [f"| [{kind}]({kind}/index.md) | {len(found)} of them, a page each |" for kind, found in plugins().items()]
    head = ["# Reference", "", "From the docstrings.", "", "| page | what |", "| --- | --- |"]
    return "\n".join([*head, *rows, *more, "| [settings](../settings.md) | all fields of generators and tasks |", ""])
