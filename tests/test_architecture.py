"""Who may import whom, what importing costs, and what a module may be called: CONTRIBUTING's rooms, enforced."""

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bench", "seqgan", "baselines")

BELOW = [
    "bench.errors",
    "bench.processor",
    "bench.visible",
    "bench.api",
    "bench.kernels",
    "bench.pack",
    "bench.data",
    "bench.records",
    "bench.tasks",
    "bench.models",
    "bench.metrics",
]
HARNESS = [*BELOW, "bench.plans", "bench.runs", "bench.testing", "bench.analysis", "bench.reports", "bench.perf"]

ROOMS = {
    # At the bottom: these import none of our modules.
    "bench.errors": [],
    "bench.processor": [],
    "bench.visible": [],
    "bench.api": [],
    "bench.kernels": [],
    "bench.pack": [],
    # plans -> runs -> records -> analysis -> reports, and what they are built on.
    "bench.data": ["bench.errors"],
    "bench.records": ["bench.errors", "bench.processor"],
    "bench.tasks": ["bench.data", "bench.api", "bench.errors", "bench.processor"],
    "bench.models": ["bench.data", "bench.api", "bench.errors"],
    "bench.metrics": ["bench.kernels", "bench.data", "bench.api", "bench.errors"],
    "bench.plans": ["bench.records", "bench.errors"],
    "bench.runs": [
        *("bench.plans", "bench.tasks", "bench.metrics", "bench.records", "bench.api", "bench.pack", "bench.errors"),
        "bench.processor",
    ],
    "bench.testing": ["bench.runs", "bench.plans", "bench.tasks", "bench.api", "bench.errors"],
    "bench.analysis": ["bench.records", "bench.errors", "bench.visible"],
    "bench.reports": ["bench.analysis", "bench.records", "bench.metrics", "bench.errors", "bench.visible"],
    "bench.perf": ["bench.reports", "bench.analysis", "bench.records", "bench.errors"],
    # What users call.
    "bench.commands": HARNESS,
    "bench.cli": ["bench.commands", "bench.errors", "bench.visible"],
    "bench.library": [*HARNESS, "bench.commands"],
    "bench.__main__": ["bench.cli"],
    "bench": ["bench.library"],
    # The contestants. The harness finds them by entry point, as it finds a stranger's.
    "seqgan.kernels": ["bench.api", "bench.pack", "bench.processor"],
    "seqgan": ["seqgan.kernels", "bench.api", "bench.kernels"],
    "baselines": ["seqgan", "seqgan.kernels", "bench.api", "bench.kernels"],
}
"""Room to the rooms that it may import from, in functions too; within a room, every module may import every other."""

COMMANDS = (
    "comparison",
    "data",
    "gate",
    "merge",
    "options",
    "perf",
    "plugins",
    "rate",
    "report",
    "run",
    "sample",
    "score",
    "settings",
    "tune",
    "watch",
)
ON_DENSITIES = [
    f"bench.metrics.{name}"
    for name in ("density", "nll", "divergence", "grammar", "stationary", "augmented_lstm", "fcd")
]
KERNELS = ["seqgan.kernels"]
ALGORITHMS = ["seqgan", "baselines"]

NEVER = {
    "torch": [
        "bench.plans", "bench.data", "bench.records", "bench.analysis", "bench.reports", "bench.perf",
        "bench.commands.score", "bench.commands.progress", "bench.library", "bench.metrics",
    ],
    # These import torch, and whatever imports them.
    **{name: ["bench.metrics", "bench.reports", "bench.commands", "bench.library"] for name in ON_DENSITIES},
    "pandas": [
        "bench.runs", "bench.metrics", "bench.tasks", "bench.kernels", "bench.data", "bench.plans", "bench.api",
        "seqgan", "baselines",
    ],
    # Pages and figures are functions of frames: reading the records from the disk is not their concern.
    "bench.records.store": ["bench.analysis", "bench.reports"],
    # Threads, graphs and Triton are chosen in seqgan/kernels/execution.py, and nowhere else.
    "seqgan.kernels.threads": ALGORITHMS,
    "seqgan.kernels.graphs": ALGORITHMS,
    "seqgan.kernels.fused_rollout": ALGORITHMS,
    "triton": ALGORITHMS,
}  # fmt: skip
"""Module to the rooms and modules that may not import it, even inside a function."""

UNLESS = {
    "torch": ON_DENSITIES,
    **dict.fromkeys(ON_DENSITIES, ON_DENSITIES),
    "triton": KERNELS,
    **dict.fromkeys(("seqgan.kernels.threads", "seqgan.kernels.graphs", "seqgan.kernels.fused_rollout"), KERNELS),
}
"""Module to the modules within those rooms that may import it nevertheless."""

NOT_NAMED = {
    ("set_num_threads", "set_num_interop_threads", "CUDAGraph", "make_graphed_callables", "cuda.graph"): ALGORITHMS,
}
"""Ends of dotted names that a room, but for the kernels in it, may not use: how work is executed is chosen there."""

NOT_AT_IMPORT = {
    ("torch", "pandas", "numpy", "scipy", "matplotlib", "rich"): [
        "bench", "bench.cli", "bench.library", "bench.errors", "bench.plans", "bench.records", "bench.perf.suite",
        "bench.runs.campaign", "bench.runs.cost", "bench.runs.devices",
        "bench.runs.executors.base", "bench.runs.executors.processes",
        *(f"bench.commands.{name}" for name in COMMANDS),
    ],
}  # fmt: skip
"""What a room or module may import only inside a function."""

NOT_NOUNS = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
HEAVY = (
    "torch",
    "pandas",
    "numpy",
    "scipy",
    "matplotlib",
    "optuna",
    "seqgan",
    "baselines",
    "bench.tasks",
    "bench.metrics",
)


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
    """Every import of a module, in functions too; those for type checkers count too, but not as done at import."""
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


def room(name):
    """The room of a module: the first folder or file in ``bench``; of the others, the package or its kernels."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "bench" or parts[1:2] == ["kernels"] else parts[0]


def within(name, places):
    """Whether a module is one of these modules, or in one of these rooms; ``bench`` is only its own file."""
    return any(name == place or (place != "bench" and name.startswith(f"{place}.")) for place in places)


def names(path):
    """Every dotted name in a module's code, and its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute | ast.Name):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def violations(root):
    """One line for each import and name that the tables forbid, each module outside every room, and each cycle."""
    known = modules(root)
    graph = {}
    for name, path in known.items():
        if room(name) not in ROOMS:
            yield f"{name}: in no room that the table knows"
            continue
        graph[name] = set()
        for found in imports(name, path, known):
            top = found.module.partition(".")[0]
            place = f"{name}:{found.line} imports {found.module}"
            if top in PACKAGES and found.module != name:
                graph[name].add(found.module)
                if room(found.module) not in (room(name), *ROOMS[room(name)]):
                    yield place
            if top == "?" and name != "bench.plans.registry":
                yield f"{place}: only the registry imports by name"
            for module, places in NEVER.items():
                if within(found.module, [module]) and within(name, places) and not within(name, UNLESS.get(module, ())):
                    yield f"{place}, which it never may"
            for packages, places in NOT_AT_IMPORT.items():
                if found.eager and top in packages and within(name, places):
                    yield f"{place} outside a function"
        for ends, places in NOT_NAMED.items():
            if within(name, places) and not within(name, KERNELS):
                for used, line in names(path):
                    if used.endswith(tuple(f".{end}" for end in ends)):
                        yield f"{name}:{line} uses {used}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield f"{error.args[1][0]}: imported in a cycle, {' <- '.join(error.args[1])}"


def test_nobody_imports_what_the_design_forbids():
    assert list(violations(ROOT)) == []


def test_the_check_reads_the_real_packages():
    known = modules(ROOT)
    assert {"bench.cli", "bench.runs.runner", "seqgan.seqgan", "baselines.pg_bleu"} <= known.keys()
    found = {found.module for found in imports("bench.runs.runner", known["bench.runs.runner"], known)}
    assert {"bench.plans.registry", "bench.runs.session", "bench.runs.judge", "traceback"} <= found


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bench.runs.session", "import seqgan.lm"),
        ("bench.runs.session", "from seqgan import lm"),
        ("bench.runs.session", "from seqgan.lm import LSTMLanguageModel"),
        ("bench.testing", "def lazily():\n    import baselines"),
        ("bench.testing", "import importlib\nimportlib.import_module('baselines.pg_bleu')"),
        ("bench.runs.runner", "from importlib import import_module\nimport_module(name)"),
        ("bench.records.record", "from bench.api import SequenceSpec"),
        ("bench.records.record", "from ..api import SequenceSpec"),
        ("bench.api", "if TYPE_CHECKING:\n    from bench.records.record import RunSpec"),
        ("bench.errors", "from bench import record"),
        ("bench.kernels.ngrams", "from bench.api import SequenceSpec"),
        ("bench.metrics.nll", "from bench.records.record import Score"),
        ("bench.metrics.nll", "import pandas"),
        ("bench.records.store", "from bench.reports import write_reports"),
        ("bench.records.store", "import pandas"),
        ("bench.reports.pages.leaderboard", "from bench.records.store import Store"),
        ("bench.reports.pages.leaderboard", "def lazily():\n    import torch.nn"),
        ("bench.perf.throughput", "def lazily():\n    import torch"),
        ("bench.perf.suite", "def lazily():\n    import torch"),
        ("bench.perf.suite", "import pandas"),
        ("bench.analysis.stats", "from bench.reports.numbers import estimate"),
        ("bench.commands.score", "def lazily():\n    import torch"),
        ("bench.metrics.bleu", "if TYPE_CHECKING:\n    import torch"),
        ("bench", "def lazily():\n    from bench.cli import main"),
        ("bench.cli", "from rich.console import Console"),
        ("bench.cli", "import torch"),
        ("bench.cli", "class Command:\n    import torch"),
        ("bench.plans.plan", "def lazily():\n    import torch"),
        ("seqgan.lm", "from bench.runs.session import named_stream"),
        ("seqgan.lm", "from bench import runner"),
        ("seqgan.lm", "from baselines.pg_bleu import PGBleu"),
        ("seqgan.kernels.sampling", "from seqgan.lm import State"),
        ("seqgan.mle", "from seqgan.kernels.threads import one_thread"),
        ("seqgan.rollout", "def lazily():\n    from seqgan.kernels.fused_rollout import complete_on_chip"),
        ("seqgan.seqgan", "from seqgan.kernels import graphs"),
        ("seqgan.rankgan", "from seqgan.kernels.threads import one_thread"),
        ("seqgan.models.transformer", "from seqgan.kernels import graphs"),
        ("seqgan.mle", "import triton.language as tl"),
        ("seqgan.mle", "import torch\ntorch.set_num_threads(4)"),
        ("seqgan.mle", "from torch import set_num_threads"),
        ("baselines.pg_bleu", "import torch\ngraph = torch.cuda.CUDAGraph()"),
        ("baselines.leakgan", "def lazily():\n    with torch.cuda.graph(recorded):\n        ..."),
        ("bench.metrics", "import torch"),
        ("bench.metrics.fid", "from torch import Tensor"),
        ("bench.metrics.neural.mauve", "def lazily():\n    import torch"),
        ("bench.metrics.bleu", "from bench.metrics.density import Evidence"),
        ("bench.metrics.text.scoring", "def lazily():\n    from bench.metrics import nll"),
        ("bench.commands.score", "def lazily():\n    from bench.metrics.divergence import Divergence"),
        ("bench.reports.pages.scores", "from bench.metrics.density import Evidence"),
        ("bench.library", "def lazily():\n    import torch"),
        ("baselines.pg_bleu", "from bench.metrics.bleu import Bleu"),
        ("bench.newcomer", "import json"),
    ],
)
def test_a_planted_violation_is_found(empty_copy, module, line):
    known = modules(empty_copy)
    planted = known.get(module, empty_copy / f"{module.replace('.', '/')}.py")
    planted.parent.mkdir(exist_ok=True)
    planted.write_text(f"import json\n{line}\n")
    (violation,) = violations(empty_copy)
    assert violation.startswith(f"{module}:")


def test_a_circle_within_a_room_is_found(empty_copy):
    known = modules(empty_copy)
    known["bench.runs.clock"].write_text("def lazily():\n    from bench.runs.session import Session\n")
    known["bench.runs.session"].write_text("from bench.runs import clock\n")
    (violation,) = violations(empty_copy)
    assert "in a cycle" in violation
    assert {"bench.runs.clock", "bench.runs.session"} <= set(violation.replace(":", " ").split())


@pytest.fixture
def empty_copy(tmp_path):
    """A folder with all our modules, each of them empty."""
    for path in modules(ROOT).values():
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text("")
    assert list(violations(tmp_path)) == []
    return tmp_path


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
    from bench.records.frames import REAL_DATA
    from bench.records.record import RunRecord, RunSpec, Score
    from bench.records.store import Store

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
