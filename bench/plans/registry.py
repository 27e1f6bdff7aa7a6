"""Plugins by entry point: listed without importing anything, checked against the contract when loaded."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.errors import UsageError, unknown
from bench.records.record import EXECUTION

GROUPS = {
    "model": ("bench.generators", "bench.controls"),
    "task": ("bench.tasks",),
    "metric": ("bench.metrics",),
}
"""Entry points by kind. A generator that is there to be beaten, not to win, is registered as a control."""
CONTROLS = "bench.controls"
KERNELS = "bench.kernels"


class PluginError(Exception):
    """A plugin that cannot be imported or does not keep the contract."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin's name and its class, not yet imported.

    Attributes:
        kind: "model", "task" or "metric".
        name: What the user types.
        target: ``package.module:Class``.
        distribution: The installed package that registered it, "" for a target typed by hand.
        role: "control" for a generator registered as one, else "contender"; "" for anything but a model.
    """

    kind: str
    name: str
    target: str
    distribution: str = ""
    role: str = ""

    @property
    def module(self) -> str:
        """The module's dotted name."""
        return self.target.partition(":")[0]

    @property
    def description(self) -> str:
        """First line of the class's docstring, read from its source without importing it; "" where that fails."""
        path = _module_path(self.module)
        if path is None:
            return ""
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == self.target.partition(":")[2]:
                return (ast.get_docstring(node) or "").partition("\n")[0]
        return ""

    def load(self) -> Any:
        """Import the class and check it.

        Raises:
            PluginError: saying which part of the contract is broken.
        """
        if ":" in self.name and "" not in sys.path:
            sys.path.append("")  # a target typed by hand may live in the working directory
        module, _, name = self.target.partition(":")
        try:
            plugin = getattr(importlib.import_module(module), name)
        except (Exception, SystemExit) as error:
            raise PluginError(f"cannot load {self.kind} '{self.name}' ({self.target}): {_brief(error)}") from error
        problem = _CHECKS[self.kind](plugin)
        if problem:
            raise PluginError(f"{self.kind} '{self.name}' ({self.target}) breaks the contract: {problem}")
        return plugin


def available(kind: str) -> dict[str, Plugin]:
    """All installed plugins of a kind, by name, without importing them."""
    found: dict[str, Plugin] = {}
    for group in GROUPS[kind]:
        role = "" if kind != "model" else "control" if group == CONTROLS else "contender"
        for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
            distribution = entry.dist.name if entry.dist else ""
            found.setdefault(entry.name, Plugin(kind, entry.name, entry.value, distribution, role))
    return found


def find(kind: str, name: str) -> Plugin:
    """The plugin of this name, or of this ``package.module:Class``.

    Raises:
        UsageError: for a name that matches no plugin.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), attribute]):
            raise UsageError(f"expected a {kind} as NAME or package.module:Class, got '{name}'.")
        return Plugin(kind, name, name, role="contender" if kind == "model" else "")
    plugins = available(kind)
    if name not in plugins:
        raise unknown(kind, name, plugins)
    return plugins[name]


def source_hash(plugin: Plugin) -> str:
    """Sha-256 of a plugin's source: its module and all it imports from packages of generators and from bench.kernels.

    The other code of bench is left out on purpose: tasks and metrics carry versions.

    Raises:
        PluginError: when the module's file cannot be found.
    """
    if _module_path(plugin.module) is None:
        raise PluginError(f"cannot find the source of {plugin.kind} '{plugin.name}' ({plugin.module})")
    return _source_hash(plugin.module)


@lru_cache
def _source_hash(module: str) -> str:
    homes = {plugin.module.partition(".")[0] for plugin in available("model").values()} | {module.partition(".")[0]}
    homes.discard("bench")
    sources: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in sources else _module_path(name)
        if path is None:
            continue
        sources[name] = path.read_bytes()
        waiting += [
            imported
            for imported in _imports(name, path)
            if imported.partition(".")[0] in homes or imported.startswith(KERNELS)
        ]
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(f"{name}\0{len(sources[name])}\0".encode() + sources[name])
    return digest.hexdigest()


def _imports(name: str, path: Path) -> Iterator[str]:
    """Every dotted name that a module's import statements may refer to."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""]))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _module_path(name: str) -> Path | None:
    """The path of a module's source, found without importing the module or its parents."""
    search: list[str] | None = None
    spec = None
    parts = name.split(".")
    for depth in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: depth + 1]), search)
        if spec is None:
            return None
        search = list(spec.submodule_search_locations or [])
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _check_dataclass(plugin: Any) -> str | None:
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        return "expected a frozen dataclass"
    if not plugin.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return "expected a frozen dataclass, got one that is not frozen"
    for field in dataclasses.fields(plugin):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return f"expected a default for every field, got none for '{field.name}'"
    presets = getattr(plugin, "presets", {})
    if not isinstance(presets, Mapping):
        return "expected 'presets' to map a preset's name to field values"
    names = {field.name for field in dataclasses.fields(plugin)}
    for preset, values in presets.items():
        strangers = set(values) - names
        if strangers:
            return f"preset '{preset}' sets unknown field(s) {', '.join(sorted(strangers))}"
    return None


def _check_generator(plugin: Any) -> str | None:
    problem = _check_dataclass(plugin)
    if problem:
        return problem
    if "seed" in {field.name for field in dataclasses.fields(plugin)}:
        return "a field named 'seed': the seed belongs to the run, use run.rng(name)"
    strangers = set(getattr(plugin, "execution", ())) - set(EXECUTION)
    if strangers:
        return f"'execution' names {', '.join(sorted(strangers))}; known are {' and '.join(EXECUTION)}"
    return _check_method(plugin, "fit", ("data", "run"))


def _check_task(plugin: Any) -> str | None:
    return (
        _check_dataclass(plugin)
        or _check_attribute(plugin, "version")
        or _check_method(plugin, "fingerprint", ())
        or _check_method(plugin, "load", ())
    )


def _check_metric(plugin: Any) -> str | None:
    asked = ("scores", "evidence") if hasattr(plugin, "scores") else ("estimates", "subject")
    return _check_attribute(plugin, "version") or _check_method(plugin, asked[0], asked[1:])


def _check_attribute(plugin: Any, name: str) -> str | None:
    return None if isinstance(getattr(plugin, name, None), str) else f"expected a class attribute '{name}' (str)"


def _check_method(plugin: Any, name: str, arguments: tuple[str, ...]) -> str | None:
    method = getattr(plugin, name, None)
    wanted = f"{name}({', '.join(('self', *arguments))})"
    if not callable(method):
        return f"expected a method {wanted}"
    try:
        inspect.signature(method).bind(*(None,) * (1 + len(arguments)))
    except TypeError:
        return f"expected a method {wanted}, got {name}{inspect.signature(method)}"
    return None


_CHECKS = {"model": _check_generator, "task": _check_task, "metric": _check_metric}
