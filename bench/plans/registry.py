"""Plugins by entry point: listed without importing anything, checked against the contract when loaded."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import hashlib
import importlib
import os
import re
import struct
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from bench.errors import UsageError, unknown
from bench.plans.contract import brief, broken

GROUPS = {
    "model": ("bench.generators", "bench.controls"),
    "task": ("bench.tasks",),
    "metric": ("bench.metrics",),
}
"""Entry points by kind. A generator that is there to be beaten, not to win, is registered as a control."""
CONTROLS = "bench.controls"
KERNELS = "bench.kernels"
OURS = "seqgan-bench"
"""The distribution that this file is part of."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""A registered name, in letters that cannot be taken for others: it stands in tables, labels and names of files."""
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")
"""A reference in a docstring, of which people read the last name."""
SETS = ("core", "all", "contenders", "adversarial", "controls", "everything")
"""Names that stand for several models (:mod:`bench.plans.sets`); ``all`` for several tasks and metrics, too."""


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
    def origin(self) -> str:
        """Its name and where it comes from, for messages."""
        package = f", of package {self.distribution}" if self.distribution not in ("", OURS) else ""
        return f"'{self.name}' ({self.target}{package})"

    @property
    def is_missing(self) -> bool:
        """Whether there is no module of this name, or none of this class in a module that was imported."""
        self._search()
        module = sys.modules.get(self.module)
        return _module_path(self.module) is None or not (module is None or hasattr(module, self.target.split(":")[1]))

    def _search(self) -> None:
        if ":" in self.name and "" not in sys.path:
            sys.path.append("")  # a target typed by hand may live in the working directory

    @property
    def description(self) -> str:
        """First line of the class's docstring, read from its source without importing it; "" where that fails."""
        path = _module_path(self.module)
        if path is None:
            return ""
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError, RecursionError):  # loading it says what is wrong
            return ""
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == self.target.partition(":")[2]:
                return _ROLE.sub(r"\1", (ast.get_docstring(node) or "").partition("\n")[0]).replace("``", "")
        return ""

    def load(self) -> Any:
        """Import the class and check it.

        Raises:
            PluginError: saying which part of the contract is broken.
        """
        self._search()
        module, _, name = self.target.partition(":")
        try:
            with _survived():
                imported = _import(module)
                if not hasattr(imported, name):
                    raise AttributeError(_lacks(imported, name))
                plugin = getattr(imported, name)
        except (Exception, SystemExit) as error:
            hint = _path_hint(self.target) if isinstance(error, ModuleNotFoundError) else ""
            raise PluginError(f"cannot load {self.kind} {self.origin}: {brief(error)}{hint}") from error
        problem = broken(self.kind, plugin)
        if problem:
            raise PluginError(f"{self.kind} {self.origin} breaks the contract: {problem}")
        return plugin


def _lacks(module: ModuleType, name: str) -> str:
    things = vars(module).items()
    own = [each for each, thing in things if isinstance(thing, type) and thing.__module__ == module.__name__]
    return f"module '{module.__name__}' has no '{name}'; its classes are {', '.join(own) or 'none'}"


def _path_hint(target: str) -> str:
    """What to write instead of the path of a file; "" for a module's name."""
    file, _, name = target.partition(":")
    return f"; write '{file.removesuffix('.py')}:{name}', without .py" if file.endswith(".py") else ""


def available(kind: str) -> dict[str, Plugin]:
    """All installed plugins of a kind, by name, without importing them.

    A name that several packages registered is ``name@package`` for each of them, except that ours keep their names.
    """
    return {
        plugin.name: plugin
        for name, plugins in _registered(kind).items()
        for plugin in plugins.values()
        if not _unfit(name)
    }


def remarks() -> Iterator[str]:
    """What is odd about the names of installed plugins, in sentences: whoever runs them has to know whose they are."""
    for kind in GROUPS:
        for name, plugins in _registered(kind).items():
            others = [plugin.name for plugin in plugins.values() if plugin.name != name]
            for plugin in plugins.values():
                if unfit := _unfit(name):
                    yield f"{plugin.distribution} registers a {kind} named {name!a}, which is not used: {unfit}."
            if others and not _unfit(name):
                ours = f"'{name}' is ours" if OURS in plugins else f"'{name}' alone is none of them"
                packages = " and ".join(plugins)
                yield f"{packages} register a {kind} of one name: {ours}, the others are {', '.join(others)}."


def _unfit(name: str) -> str:
    """Why a plugin cannot have this name; "" if it can."""
    if not NAME.fullmatch(name):
        return "expected letters, digits and . _ + - alone"
    if name in SETS:
        return f"'{name}' stands for several"
    alike = next((ours for ours in _ours(tuple(sys.path)) if ours != name and ours.lower() == name.lower()), "")
    return f"'{alike}' is ours, and only letters' case tells them apart" if alike else ""


@cache
def _ours(_: tuple[str, ...]) -> frozenset[str]:
    """The names of everything that this project registers."""
    groups = (group for kind in GROUPS.values() for group in kind)
    entries = (each for group in groups for each in _entries(group, tuple(sys.path)))
    return frozenset(entry.name for entry, distribution in entries if distribution == OURS)


def _registered(kind: str) -> dict[str, dict[str, Plugin]]:
    """The plugins of each registered name, by distribution, under the names that users call them by."""
    found: dict[str, dict[str, Plugin]] = {}
    for group in GROUPS[kind]:
        role = "" if kind != "model" else "control" if group == CONTROLS else "contender"
        for entry, distribution in _entries(group, tuple(sys.path)):
            plugin = Plugin(kind, entry.name, entry.value, distribution, role)
            found.setdefault(entry.name, {}).setdefault(distribution, plugin)
    return {
        name: {
            of: plugin if of == OURS or len(plugins) == 1 else dataclasses.replace(plugin, name=f"{name}@{of}")
            for of, plugin in plugins.items()
        }
        for name, plugins in found.items()
    }


def marked(group: str, kind: str = "model") -> set[str]:
    """Names of the plugins that are entry points of a group, whose values are not read; each package marks its own."""
    registered = _registered(kind)
    found = (
        registered.get(entry.name, {}).get(distribution) for entry, distribution in _entries(group, tuple(sys.path))
    )
    return {plugin.name for plugin in found if plugin}


@cache
def _entries(group: str, path: tuple[str, ...]) -> list[tuple[EntryPoint, str]]:
    """What is installed under this name, in alphabetical order, each with its package's name, "" where it has none."""
    entries = sorted(_installed(path).select(group=group), key=lambda entry: entry.name)
    packages = {entry.dist for entry in entries}
    names = {package: package.name if package else "" for package in packages}  # read from a file, which takes a while
    return [(entry, names[entry.dist]) for entry in entries]


@cache
def _installed(_: tuple[str, ...]) -> Any:
    """Everything installed, to select from; read once for each import path. Its type is another one in Python 3.10."""
    return entry_points()


def find(kind: str, name: str) -> Plugin:
    """The plugin of this name, or of this ``package.module:Class``; ``name@package`` is the one of that package.

    Raises:
        UsageError: for a name that matches no plugin, or several.
    """
    if ":" in name:
        module, _, attribute = name.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), attribute]):
            raise UsageError(f"expected a {kind} as NAME or package.module:Class, got '{name}'.")
        return Plugin(kind, name, name, role="contender" if kind == "model" else "")
    plugins = available(kind)
    if name in plugins:
        return plugins[name]
    plain, at, package = name.partition("@")
    namesakes = _registered(kind).get(plain, {})
    if at and package in namesakes and not _unfit(plain):
        return namesakes[package]
    if len(namesakes) > 1 and not _unfit(plain):
        choices = " or ".join(plugin.name for plugin in namesakes.values())
        raise UsageError(f"{' and '.join(namesakes)} both register a {kind} named '{plain}': choose {choices}.")
    if name.endswith(".py"):
        raise UsageError(f"expected a {kind} as NAME or package.module:Class, got the file '{name}'.")
    raise unknown(kind, name, plugins)


@lru_cache
def is_shipped(target: str) -> bool:
    """Whether a generator, ``package.module:Class``, is one that this project registers."""
    return any(plugin.target == target for plugin in available("model").values() if plugin.distribution == OURS)


def source_hash(plugin: Plugin) -> str:
    """Sha-256 of a plugin's source: its module and all it imports that is not an installed library.

    That is the user's own modules, packages of generators, and bench.kernels. The other code of bench is left out on
    purpose: tasks and metrics carry versions. So are libraries, whose versions are in the records.

    Raises:
        PluginError: when the module's file cannot be found.
    """
    plugin._search()
    if _source(plugin.module) is None:
        raise PluginError(f"cannot find the source of {plugin.kind} '{plugin.name}' ({plugin.module})")
    digest = hashlib.sha256()
    for name, source in sorted(_sources(plugin.module).items()):
        digest.update(f"{name}\0{len(source.content)}\0".encode() + source.content)
    return digest.hexdigest()


def forget() -> None:
    """Read the sources anew from now on: a process that plans twice may find them edited."""
    importlib.invalidate_caches()
    _entries.cache_clear()
    _installed.cache_clear()
    _ours.cache_clear()
    _source.cache_clear()
    _homes.cache_clear()
    _is_own.cache_clear()


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The source of a module: its path, its content, and every dotted name that its imports may refer to."""

    path: Path
    content: bytes
    imports: frozenset[str]


@cache
def _source(module: str) -> Source | None:
    path = _module_path(module)
    if path is None:
        return None
    content = path.read_bytes()
    return Source(path, content, _imports(module, path.name == "__init__.py", content))


@lru_cache
def _homes() -> frozenset[str]:
    """The packages of generators, whose modules count as part of what imports them."""
    return frozenset(plugin.module.partition(".")[0] for plugin in available("model").values())


@cache
def _is_own(package: str) -> bool:
    """Whether a package or module is the user's own code: neither part of Python nor an installed library."""
    spec = None if not package or package in sys.stdlib_module_names else PathFinder.find_spec(package)
    if spec is None:
        return False
    paths = [spec.origin] if spec.origin else spec.submodule_search_locations or []
    return not any({"site-packages", "dist-packages"} & set(Path(path).parts) for path in paths)


def _sources(module: str) -> dict[str, Source]:
    """The sources of a module and of all it imports, in which what a module imports comes before it."""
    homes = _homes() | {module.partition(".")[0]}
    seen: set[str] = set()
    found: dict[str, Source] = {}

    def visit(name: str) -> None:
        source = None if name in seen else _source(name)
        seen.add(name)
        if source is None:
            return
        for imported in sorted(source.imports):
            package = imported.partition(".")[0]
            if imported.startswith(KERNELS) or (package != "bench" and (package in homes or _is_own(package))):
                visit(imported)
        found[name] = source

    visit(module)
    return found


@contextlib.contextmanager
def _survived() -> Iterator[None]:
    """Import a module that may end the process: what it cannot do is to end it silently, as if all were done."""
    end = os._exit

    def refuse(code: int) -> NoReturn:
        raise SystemExit(f"os._exit({code})")

    os._exit = refuse  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = end


_IMPORTED: dict[str, bytes] = {}
"""Module to its source when it was imported here."""


def _import(module: str) -> ModuleType:
    """Import a module. What was edited since it was imported is imported again, as a notebook's user expects."""
    sources = _sources(module)
    renewed: set[str] = set()
    for name, source in sources.items():
        if name in sys.modules and (_edited(name, source) or renewed & source.imports):
            importlib.reload(sys.modules[name])
            renewed.add(name)
    imported = importlib.import_module(module)
    _IMPORTED.update({name: source.content for name, source in sources.items() if name in sys.modules})
    return imported


def _edited(module: str, source: Source) -> bool:
    """Whether a module's source changed since it was imported, here or by the user."""
    if module in _IMPORTED:
        return _IMPORTED[module] != source.content
    if sys.dont_write_bytecode:
        return False
    # Python keeps what it compiles, with the time and the size of the source that it compiled.
    compiled, edited = Path(cache_from_source(str(source.path))), source.path.stat()
    times = (int(edited.st_mtime) & 0xFFFFFFFF, edited.st_size & 0xFFFFFFFF)
    header = compiled.read_bytes()[:16] if compiled.exists() else b""
    return len(header) == 16 and header[4:8] == bytes(4) and struct.unpack("<8x2L", header) != times


@cache
def _imports(name: str, is_package: bool, content: bytes) -> frozenset[str]:
    """Every dotted name that a module's import statements may refer to; none where the syntax is wrong."""
    package = name if is_package else name.rpartition(".")[0]
    found: set[str] = set()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # importing it says what is wrong
        return frozenset()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""]))
            found |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    return frozenset(found)


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
