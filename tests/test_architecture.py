"""Who may import whom, what importing costs, and what a module may be called: DESIGN.md as the code stands."""

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "seqgan", "baselines")

LOOPS = ("execution", "convolution", "cross_entropy", "linear", "lstm", "sampling", "softmax", "windows")
"""Kernels that an algorithm may call; threads, graphs and Triton are chosen by ``execution``, and by nobody else."""

ALLOWED = {
    # Imports nothing of ours.
    "bench": [],
    "bench.api": [],
    "bench.corpora": [],
    "bench.environment": [],
    "bench.errors": [],
    "bench.record": [],
    "bench.kernels": [],
    "bench.kernels.*": ["bench.kernels.*"],
    "bench.stats": [],
    "bench.verdicts": ["bench.stats"],
    "bench.cost": ["bench.errors"],
    # Plugins, presets, plan.
    "bench.registry": ["bench.errors", "bench.record"],
    "bench.presets": ["bench.errors"],
    "bench.own_tasks": ["bench.registry", "bench.presets", "bench.record", "bench.errors"],
    "bench.plan": [
        "bench.records.frames", "bench.own_tasks", "bench.registry", "bench.presets", "bench.record", "bench.errors",
    ],
    # The judge.
    "bench.checkpoints": ["bench.api"],
    "bench.session": ["bench.api", "bench.checkpoints", "bench.cost", "bench.runs.*"],
    "bench.tasks": [],
    "bench.tasks.*": ["bench.tasks.*", "bench.api", "bench.errors", "bench.corpora", "bench.data.*", "bench.notation"],
    # Data without torch.
    "bench.data": [],
    "bench.data.*": ["bench.data.*", "bench.errors", "bench.notation"],
    "bench.tokenizers": ["bench.errors", "bench.metrics.sequences"],
    "bench.protocols": ["bench.errors"],
    "bench.scoring": ["bench.metrics.*", "bench.kernels.*", "bench.protocols", "bench.tokenizers", "bench.errors"],
    # A module a command.
    "bench.commands": [],
    "bench.commands.data": [
        "bench.data.*", "bench.corpora", "bench.tasks.corpus", "bench.own_tasks", "bench.presets", "bench.registry",
        "bench.errors",
    ],
    "bench.commands.gate": ["bench.accepted", "bench.compare", "bench.reports.*", "bench.store", "bench.errors"],
    "bench.commands.score": [
        "bench.scoring", "bench.protocols", "bench.reports", "bench.reports.*", "bench.data.*", "bench.errors",
    ],
    "bench.commands.sample": ["bench.samples", "bench.notation", "bench.store", "bench.api", "bench.errors"],
    "bench.metrics": [],
    "bench.metrics.*": ["bench.metrics.*", "bench.kernels.*", "bench.protocols", "bench.api"],
    "bench.metrics.music": ["bench.metrics.*", "bench.kernels.*", "bench.notation"],
    "bench.notation": ["bench.errors"],
    "bench.samples": [
        "bench.records.frames",
        "bench.registry", "bench.presets", "bench.tasks.*", "bench.record", "bench.runner", "bench.session",
        "bench.checkpoints", "bench.store", "bench.api", "bench.errors",
    ],
    "bench.runner": [
        "bench.records.frames", "bench.runs.curve",
        "bench.registry", "bench.presets", "bench.tasks.*", "bench.metrics.*", "bench.record", "bench.environment",
        "bench.session", "bench.checkpoints", "bench.cost", "bench.api", "bench.errors",
    ],
    "bench.testing": [
        "bench.runner", "bench.session", "bench.presets", "bench.checkpoints", "bench.tasks.toy", "bench.api",
    ],
    "bench.executors": [],
    "bench.executors.base": ["bench.record"],
    "bench.executors.*": [
        "bench.executors.base", "bench.environment", "bench.runner", "bench.checkpoints", "bench.record",
    ],
    "bench.runs": [],
    "bench.runs.clock": ["bench.cost", "bench.environment"],
    "bench.runs.curve": ["bench.api", "bench.metrics.*"],
    "bench.runs.selection": ["bench.api"],
    "bench.runs.campaign": ["bench.executors.*", "bench.record", "bench.store"],
    # The record keeper.
    "bench.analysis": [],
    "bench.analysis.catalogue": [],
    "bench.records": [],
    "bench.records.frames": ["bench.record"],
    "bench.store": ["bench.record", "bench.records.frames", "bench.errors"],
    "bench.progress": ["bench.executors.base", "bench.record"],
    "bench.reports": ["bench.reports.*"],
    "bench.reports.*": [
        "bench.reports", "bench.reports.*", "bench.stats", "bench.verdicts", "bench.records.frames",
        "bench.analysis.catalogue",
    ],
    "bench.reports.score_table": ["bench.analysis.catalogue", "bench.scoring", "bench.metrics.base", "bench.reports.*"],
    "bench.reports.verdict_table": ["bench.compare", "bench.reports", "bench.reports.*"],
    "bench.accepted": ["bench.errors", "bench.record", "bench.records.frames"],
    "bench.compare": ["bench.accepted", "bench.records.frames", "bench.stats", "bench.verdicts"],
    "bench.perf": ["bench.environment", "bench.errors", "bench.reports", "bench.reports.*", "bench.store"],
    "bench.__main__": ["bench.cli"],
    "bench.cli": [
        "bench.errors", "bench.plan", "bench.executors.*", "bench.store", "bench.reports", "bench.compare",
        "bench.perf", "bench.testing", "bench.registry", "bench.progress", "bench.record", "bench.cost",
        "bench.presets", "bench.accepted", "bench.reports.*", "bench.commands.*", "bench.own_tasks",
        "bench.runs.campaign",
    ],
    # The contestants.
    "seqgan": [],
    "seqgan.kernels": [],
    "seqgan.kernels.*": ["seqgan.kernels.*"],
    "seqgan.kernels.execution": ["seqgan.kernels.*", "bench.api"],
    "seqgan.*": ["seqgan.*", *(f"seqgan.kernels.{name}" for name in LOOPS), "bench.api", "bench.kernels.*"],
    "baselines": [],
    "baselines.*": ["baselines.*", "seqgan.*", "bench.api", "bench.kernels.*"],
}  # fmt: skip
"""Module to what it may import of ours; ``a.*`` stands for every module right below ``a``."""

NEVER = {
    "torch": ["bench.reports", "bench.reports.*", "bench.compare", "bench.stats", "bench.store", "bench.record",
              "bench.records.*",
              "bench.registry", "bench.presets", "bench.plan", "bench.errors", "bench.environment", "bench.progress",
              "bench.perf", "bench.cost", "bench.verdicts", "bench.accepted", "bench.notation",
              "bench.own_tasks", "bench.data.*",
              "bench.tokenizers", "bench.protocols", "bench.scoring", "bench.commands.score"],
    "pandas": ["bench.runner", "bench.session", "bench.metrics.*", "bench.tasks.*", "bench.kernels.*", "bench.api",
               "seqgan.*", "baselines.*"],
}  # fmt: skip
"""What a module must not import even inside a function."""

NOT_AT_IMPORT = {
    ("torch", "pandas", "numpy", "scipy", "matplotlib", "rich"): [
        "bench.cli", "bench.errors", "bench.registry", "bench.presets", "bench.plan", "bench.record", "bench.store",
        "bench.records.frames",
        "bench.environment", "bench.executors.base", "bench.executors.processes", "bench.reports",
        "bench.perf", "bench.own_tasks",
    ],
}  # fmt: skip
"""What a module may import inside a function only."""

NOT_NOUNS = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
HEAVY = ("torch", "pandas", "numpy", "scipy", "matplotlib", "seqgan", "baselines", "bench.tasks", "bench.metrics")


@dataclass(frozen=True)
class Import:
    """One module that another imports, and when."""

    module: str
    line: int
    eager: bool


def modules(root):
    """Dotted name to file of every module of the packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name, path, known):
    """Every import of a module, in functions too; those for type checkers only are left to them but count as ours."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node, eager):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, eager) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parts for parts in parents[: len(parents) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module or ""]))
            for alias in node.names:
                deeper = f"{source}.{alias.name}"
                yield Import(deeper if deeper in known else source, node.lineno, eager)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "import_module",
            "__import__",
        ):
            literal = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "?"
            yield Import(str(literal), node.lineno, eager)
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or guarded
        for child in ast.iter_child_nodes(node):
            yield from visit(child, eager and not inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8")), True)


def fits(name, patterns):
    """Whether a module is one of those that the patterns stand for."""
    return name in patterns or f"{name.rpartition('.')[0]}.*" in patterns


def row(table, name):
    """What a table says of a module: its own row, or that of its package."""
    return table.get(name, table.get(f"{name.rpartition('.')[0]}.*"))


def violations(root):
    """One line for each import that the tables do not allow, and for each module that they do not know."""
    known = modules(root)
    for name, path in known.items():
        allowed = row(ALLOWED, name)
        if allowed is None:
            yield f"{name}: not in the table of allowed imports"
            continue
        for found in imports(name, path, known):
            top = found.module.partition(".")[0]
            place = f"{name}:{found.line} imports {found.module}"
            if top in PACKAGES and found.module != name and not fits(found.module, allowed):
                yield place
            if top == "?" and name != "bench.registry":
                yield f"{place}: only the registry imports by name"
            if fits(name, NEVER.get(top, [])):
                yield f"{place}, which it never may"
            for packages, lazy in NOT_AT_IMPORT.items():
                if found.eager and top in packages and fits(name, lazy):
                    yield f"{place} outside a function"


def test_nobody_imports_what_the_design_forbids():
    assert list(violations(ROOT)) == []


def test_the_check_reads_the_real_packages():
    known = modules(ROOT)
    assert {"bench.cli", "bench.runner", "seqgan.seqgan", "baselines.pg_bleu"} <= known.keys()
    found = {found.module for found in imports("bench.runner", known["bench.runner"], known)}
    assert {"bench.registry", "bench.environment", "bench.session", "torch", "random"} <= found


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bench.session", "import seqgan.lm"),
        ("bench.session", "from seqgan import lm"),
        ("bench.session", "from seqgan.lm import LSTMLanguageModel"),
        ("bench.testing", "def lazily():\n    import baselines"),
        ("bench.testing", "import importlib\nimportlib.import_module('baselines.pg_bleu')"),
        ("bench.runner", "from importlib import import_module\nimport_module(name)"),
        ("bench.record", "from bench.errors import UsageError"),
        ("bench.record", "from .errors import UsageError"),
        ("bench.api", "if TYPE_CHECKING:\n    from bench.record import RunSpec"),
        ("bench.errors", "from bench import record"),
        ("bench.kernels.ngrams", "from bench.api import SequenceSpec"),
        ("bench.metrics.nll", "from bench.record import Score"),
        ("bench.metrics.nll", "import pandas"),
        ("bench.store", "from bench.reports import write_reports"),
        ("bench.store", "import pandas"),
        ("bench.reports.tables", "from bench.store import Store"),
        ("bench.reports.tables", "def lazily():\n    import torch.nn"),
        ("bench.reports.throughput", "def lazily():\n    import torch"),
        ("bench.perf", "def lazily():\n    import torch"),
        ("bench.perf", "import pandas"),
        ("bench.stats", "from bench.reports.leaderboard import aggregate"),
        ("bench.cli", "from rich.console import Console"),
        ("bench.cli", "import torch"),
        ("bench.cli", "class Command:\n    import torch"),
        ("bench.plan", "def lazily():\n    import torch"),
        ("seqgan.lm", "from bench.session import named_stream"),
        ("seqgan.lm", "from bench import runner"),
        ("seqgan.lm", "from baselines.pg_bleu import PGBleu"),
        ("seqgan.kernels.sampling", "from seqgan.lm import State"),
        ("seqgan.mle", "from seqgan.kernels.threads import one_thread"),
        ("seqgan.rollout", "def lazily():\n    from seqgan.kernels.fused_rollout import complete_on_chip"),
        ("seqgan.seqgan", "from seqgan.kernels import graphs"),
        ("baselines.pg_bleu", "from bench.metrics.bleu import Bleu"),
        ("bench.newcomer", "import json"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, module, line):
    for name, path in modules(ROOT).items():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("import json\n" if name == module else "")
    assert list(violations(tmp_path)) == []
    planted = tmp_path / f"{module.replace('.', '/')}.py"
    planted.write_text(f"import json\n{line}\n")
    (violation,) = violations(tmp_path)
    assert violation.startswith(f"{module}:")


def test_modules_are_named_by_nouns():
    found = [name for name in modules(ROOT) if NOT_NOUNS & set(name.split("."))]
    assert found == []


def run_fresh(*arguments):
    """``bench ARGUMENTS`` in a process of its own: exit code, output, heavy modules that it imported, CPU seconds."""
    code = (
        "import json, sys, time\n"
        "from bench.cli import main\n"
        "code = main(sys.argv[1:], prog_name='bench', standalone_mode=False)\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "print(json.dumps([code, heavy, time.process_time()]))\n"
    )
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    output, _, facts = done.stdout.strip().rpartition("\n")
    code, heavy, seconds = json.loads(facts)
    assert not code
    return output, heavy, seconds


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "compare"),
        (["--version"], "version"),
        (["run", "--help"], "--preset"),
        (["perf", "--help"], "--compare"),
        (["list", "models"], "scheduled-sampling"),
        (["list", "tasks"], "oracle-published"),
        (["list", "metrics"], "self-bleu"),
    ],
)
def test_looking_around_is_instant(arguments, shown):
    output, heavy, seconds = run_fresh(*arguments)
    assert shown in output
    assert heavy == []
    assert seconds < 2


def test_reports_are_rebuilt_without_torch(tmp_path, make_store):
    output, heavy, _ = run_fresh("report", str(make_store(tmp_path / "results")))
    assert "leaderboard.md" in output
    assert "pandas" in heavy
    assert not {"torch", "seqgan", "baselines", "bench.tasks", "bench.metrics"} & set(heavy)


@pytest.fixture
def make_store():
    """A results folder with two finished runs."""
    from bench.record import RunRecord, RunSpec, Score
    from bench.records.frames import REAL_DATA
    from bench.store import Store

    def make(folder):
        store = Store(folder)
        store.open()
        for model, value in ((REAL_DATA, 1.2), ("mle", 1.5)):
            spec = RunSpec(
                model=model, target="", source="", config={}, overrides={}, task="toy", task_target="",
                task_version="1", task_config={}, task_overrides={}, data="", seed=0, preset="smoke",
                metrics={"nll": "1"}, explicit_metrics=False, samples=200, device="cpu", torch="2.13.0",
            )  # fmt: skip
            scores = {"final": (Score("nll_oracle", value, "nats/token", "lower", "v=1"),)}
            store.write(RunRecord(spec, "ok", scores=scores, started="2026-01-01", finished="2026-01-02"))
        return folder

    return make
