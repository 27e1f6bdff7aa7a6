"""Plugins: listed without importing, found by name or path, checked, and hashed with what they use."""

import json
import subprocess
import sys

import pytest

from bench.errors import UsageError
from bench.plans import registry
from bench.plans.fields import convert
from bench.plans.registry import Plugin, PluginError, available, find, source_hash

GENERATOR = """
from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Mine:
    '''Does what it says.

    More of it.
    '''

    lr: float = 0.1

    def fit(self, data, run):
        return None
"""


def test_listing_and_describing_imports_nothing():
    code = (
        "import json, sys; from bench.plans.registry import available\n"
        "found = {kind: {p.name: p.description for p in available(kind).values()} for kind in"
        " ('model', 'task', 'metric')}\n"
        "heavy = [m for m in ('torch', 'numpy', 'seqgan', 'baselines', 'bench.tasks', 'bench.metrics')"
        " if m in sys.modules]\n"
        "print(json.dumps([found, heavy]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    assert {"mle", "seqgan", "random"} <= found["model"].keys()
    assert {"oracle", "quatrains", "toy"} <= found["task"].keys()
    assert {"nll", "bleu", "distinct"} <= found["metric"].keys()
    assert found["task"]["toy"].startswith("A first-order Markov chain")
    assert all(description for kind in found.values() for description in kind.values())


def test_every_installed_plugin_keeps_the_contract():
    for kind in registry.GROUPS:
        for name, plugin in available(kind).items():
            assert plugin.load().__name__ == plugin.target.partition(":")[2]
            assert find(kind, name) == plugin
            assert plugin.distribution


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("model", "seqgna", r"unknown model 'seqgna'\. Did you mean 'seqgan'\? Known: .*mle, .*uniform"),
        ("task", "orakle", r"unknown task 'orakle'\. Did you mean 'oracle'\?"),
        ("metric", "self-blue", r"Did you mean 'self-bleu'\?"),
        ("model", "zzzz", "unknown model 'zzzz'. Known:"),
        ("model", "module:", "expected a model as NAME or package.module:Class, got 'module:'"),
        ("model", ":Class", "package.module:Class, got ':Class'"),
        ("model", "some/file.py:Class", "package.module:Class"),
        ("model", "a:b:c", "package.module:Class"),
        ("model", "./plug.py", "expected a model as NAME or package.module:Class, got the file './plug.py'"),
    ],
)
def test_a_name_that_matches_nothing(kind, name, message):
    with pytest.raises(UsageError, match=message):
        find(kind, name)


def test_a_class_in_the_working_directory_is_found_by_its_path(write_plugin, monkeypatch):
    write_plugin("own_models.first", GENERATOR)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])  # as the console script starts
    plugin = find("model", "own_models.first:Mine")
    assert (plugin.name, plugin.target, plugin.distribution) == (*["own_models.first:Mine"] * 2, "")
    assert plugin.load()().lr == 0.1
    assert plugin.description == "Does what it says."


def test_a_class_that_is_not_there_is_told_with_those_that_are(write_plugin):
    write_plugin("own_classes", f"from dataclasses import field\n{GENERATOR}")
    with pytest.raises(PluginError, match=r"module 'own_classes' has no 'Yours'; its classes are .*Mine"):
        find("model", "own_classes:Yours").load()
    with pytest.raises(
        PluginError, match=r"No module named 'own_classes\.py'.*; write 'own_classes:Mine', without \.py"
    ):
        find("model", "own_classes.py:Mine").load()


def test_description_of_what_cannot_be_read_is_empty(write_plugin):
    write_plugin("own_plain", GENERATOR)
    assert Plugin("model", "x", "own_plain:Other").description == ""
    assert Plugin("model", "x", "own_missing:Mine").description == ""
    assert Plugin("model", "x", "sys:Mine").description == ""


FIT = "\n    def fit(self, data, run): ..."
VIOLATIONS = {
    "no dataclass": (f"class Mine:{FIT}", "expected a frozen dataclass$"),
    "a function": ("def Mine(): ...", "expected a frozen dataclass$"),
    "not frozen": (f"@dataclass\nclass Mine:{FIT}", "expected a frozen dataclass, got one that is not frozen"),
    "no default": (
        f"@dataclass(frozen=True)\nclass Mine:\n    lr: float\n{FIT}",
        "expected a default for every field, got none for 'lr'",
    ),
    "own seed": (
        f"@dataclass(frozen=True)\nclass Mine:\n    seed: int = 0\n{FIT}",
        r"a field named 'seed': the seed belongs to the run, use run.rng\(name\)",
    ),
    "preset of a stranger": (
        f"@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar = {{'quick': {{'epoch': 1}}}}\n{FIT}",
        r"preset 'quick' sets unknown field\(s\) epoch",
    ),
    "preset of a stranger on a task": (
        f"@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar = {{'quick/toy': {{'epoch': 1}}}}\n{FIT}",
        r"preset 'quick/toy' sets unknown field\(s\) epoch",
    ),
    "preset that there is not": (
        f"@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar = {{'quik': {{}}}}\n{FIT}",
        "a preset 'quik': expected smoke, quick, medium, paper, or one of them on a task, as in quick/oracle",
    ),
    "preset on no task": (
        f"@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar = {{'quick/': {{}}}}\n{FIT}",
        "a preset 'quick/': expected smoke,",
    ),
    "presets that map nothing": (
        f"@dataclass(frozen=True)\nclass Mine:\n    presets: ClassVar = ['quick']\n{FIT}",
        "expected 'presets' to map",
    ),
    "no fit": ("@dataclass(frozen=True)\nclass Mine: ...", r"expected a method fit\(self, data, run\)$"),
    "fit of too few": (
        "@dataclass(frozen=True)\nclass Mine:\n    def fit(self, data): ...",
        r"expected a method fit\(self, data, run\), got fit\(self, data\)",
    ),
    "fit of too many": (
        "@dataclass(frozen=True)\nclass Mine:\n    def fit(self, data, run, more): ...",
        r"got fit\(self, data, run, more\)",
    ),
    "an execution that nobody knows": (
        "@dataclass(frozen=True)\nclass Mine:\n    execution: ClassVar = ('mode', 'speed')\n"
        "    def fit(self, data, run): ...",
        r"'execution' names speed; known are mode and bfloat16",
    ),
    "default of another type": (
        f"from bench.api import Size\n@dataclass(frozen=True)\nclass Mine:\n    size: Size = None\n{FIT}",
        "expected 'size' to be an integer of 1 or more, its default is None",
    ),
    "default outside its range": (
        f"from bench.api import Size\n@dataclass(frozen=True)\nclass Mine:\n    size: Size = 0\n{FIT}",
        "expected 'size' to be an integer of 1 or more, its default is 0",
    ),
    "preset outside its range": (
        "from bench.api import Size\n@dataclass(frozen=True)\nclass Mine:\n    size: Size = 1\n"
        f"    presets: ClassVar = {{'quick': {{'size': -1}}}}\n{FIT}",
        "expected 'size' to be an integer of 1 or more, preset 'quick' is -1",
    ),
    "a bound that nobody checks": (
        "from typing import Annotated\nfrom annotated_types import MultipleOf\n@dataclass(frozen=True)\nclass Mine:\n"
        f"    size: Annotated[int, MultipleOf(2)] = 2\n{FIT}",
        "the type of 'size' has a bound that is not checked, MultipleOf; known are Ge, Gt",
    ),
    "a type that is not there": (
        f"@dataclass(frozen=True)\nclass Mine:\n    size: 'Sise' = 2\n{FIT}",
        "cannot read the types of its fields: NameError: name 'Sise' is not defined",
    ),
    "defaults that contradict each other": (
        "@dataclass(frozen=True)\nclass Mine:\n    size: int = 2\n    def __post_init__(self):\n"
        f"        raise ValueError('too large')\n{FIT}",
        "cannot be made with its defaults: ValueError: too large",
    ),
    "a preset that contradicts itself": (
        "@dataclass(frozen=True)\nclass Mine:\n    size: int = 2\n    presets: ClassVar = {'quick': {'size': 3}}\n"
        f"    def __post_init__(self):\n        if self.size > 2: raise ValueError('too large')\n{FIT}",
        "cannot be made with the values of preset 'quick': ValueError: too large",
    ),
    "crash at import": ("raise RuntimeError('out of luck\\nand more')", "RuntimeError: out of luck$"),
    "import of what is not there": ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
    "no such class": ("class Yours: ...", "AttributeError: .* has no 'Mine'; its classes are Yours"),
    "bad syntax": ("def", "SyntaxError: invalid syntax"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_every_broken_contract_has_its_own_sentence(write_plugin, case):
    source, message = VIOLATIONS[case]
    write_plugin("own_broken", f"from dataclasses import dataclass\nfrom typing import ClassVar\n{source}\n")
    with pytest.raises(PluginError, match=message) as caught:
        find("model", "own_broken:Mine").load()
    assert str(caught.value).startswith(("cannot load model 'own_broken:Mine'", "model 'own_broken:Mine'"))
    assert "\n" not in str(caught.value)


def test_sentences_of_broken_contracts_differ(write_plugin):
    messages = set()
    for number, (source, _) in enumerate(VIOLATIONS.values()):
        name = f"own_broken{number}"
        write_plugin(name, f"from dataclasses import dataclass\nfrom typing import ClassVar\n{source}\n")
        with pytest.raises(PluginError) as caught:
            find("model", f"{name}:Mine").load()
        messages.add(str(caught.value).replace(name, ""))
    assert len(messages) == len(VIOLATIONS) - 1  # a plain class and a function are the same mistake


@pytest.mark.parametrize(
    ("kind", "source", "message"),
    [
        ("task", "@dataclass(frozen=True)\nclass Mine: ...", r"class attribute 'version' \(str\)"),
        (
            "task",
            "@dataclass(frozen=True)\nclass Mine:\n    version: ClassVar = 1",
            r"class attribute 'version' \(str\)",
        ),
        ("task", "@dataclass(frozen=True)\nclass Mine:\n    version: ClassVar = '1'", r"method fingerprint\(self\)"),
        (
            "task",
            "@dataclass(frozen=True)\nclass Mine:\n    version: ClassVar = '1'\n"
            "    presets: ClassVar = {'quick/toy': {}}\n    def fingerprint(self): ...\n    def load(self): ...",
            "a preset 'quick/toy': those of a task hold for it alone anyway, expected smoke, quick, medium, paper",
        ),
        (
            "task",
            "@dataclass(frozen=True)\nclass Mine:\n    version: ClassVar = '1'\n    def fingerprint(self): ...",
            r"method load\(self\)",
        ),
        ("task", "class Mine: ...", "frozen dataclass"),
        ("metric", "class Mine: ...", r"class attribute 'version' \(str\)"),
        ("metric", "class Mine:\n    version = '1'", r"method estimates\(self, subject\)"),
        ("metric", "class Mine:\n    version = '1'\n    def scores(self): ...", r"got scores\(self\)"),
    ],
)
def test_tasks_and_metrics_have_contracts_too(write_plugin, kind, source, message):
    write_plugin("own_broken", f"from dataclasses import dataclass\nfrom typing import ClassVar\n{source}\n")
    with pytest.raises(PluginError, match=message):
        find(kind, "own_broken:Mine").load()


PACKAGE = {
    "own_pack.__init__": "",
    "own_pack.model": "from own_pack import layers\nfrom .deep.inner import thing\nimport json\n" + GENERATOR,
    "own_pack.layers": "def build():\n    import own_pack.lazy\n",
    "own_pack.deep.__init__": "from . import sibling\n",
    "own_pack.deep.inner": "thing = 1\n",
    "own_pack.deep.sibling": "",
    "own_pack.lazy": "from bench.kernels.ngrams import distinct\nfrom bench.errors import UsageError\n",
    "own_pack.unrelated": "",
    "own_other": "import own_pack.model\n",
}


@pytest.fixture
def hash_after(write_plugin):
    """The hash of ``own_pack.model`` after a line was added to another module."""
    paths = {name: write_plugin(name, source) for name, source in PACKAGE.items()}
    plugin = find("model", "own_pack.model:Mine")

    def change(name):
        if name:
            paths[name].write_text(paths[name].read_text() + "# changed\n")
        registry.forget()
        return source_hash(plugin)

    return change


def test_hash_is_repeatable_and_a_sha256(hash_after):
    assert hash_after(None) == hash_after(None)
    assert len(hash_after(None)) == 64


@pytest.mark.parametrize(
    "name",
    ["own_pack.model", "own_pack.layers", "own_pack.lazy", "own_pack.deep.inner"],
)
def test_hash_changes_with_the_plugin_and_with_what_it_imports(hash_after, name):
    assert hash_after(None) != hash_after(name)


@pytest.mark.parametrize("name", ["own_pack.unrelated", "own_other"])
def test_hash_does_not_change_with_unrelated_modules(hash_after, name):
    assert hash_after(None) == hash_after(name)


WITH_FIELDS = """
from dataclasses import dataclass
from own_pack.defaults import LR

@dataclass(frozen=True)
class Mine:
    lr: float = LR

    def fit(self, data, run):
        return None
"""


@pytest.mark.parametrize("imported_by", ["us", "the user"])
def test_what_was_edited_since_it_was_imported_is_imported_again(write_plugin, monkeypatch, imported_by):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    write_plugin("own_pack.defaults", "LR = 0.1\n")
    write_plugin("own_pack.model", WITH_FIELDS)
    plugin = find("model", "own_pack.model:Mine")
    if imported_by == "us":
        assert plugin.load()().lr == 0.1
    else:
        pass
    before = source_hash(plugin)
    write_plugin("own_pack.defaults", "LR = 0.25\n")
    assert plugin.load()().lr == 0.25
    assert source_hash(plugin) != before
    kept = plugin.load()
    registry.forget()
    assert plugin.load() is kept


def test_the_users_other_modules_are_part_of_the_source(write_plugin):
    write_plugin("own_helper", "LR = 0.1\n")
    write_plugin("own_folder.layers", "from own_helper import LR\n")
    write_plugin("own_alone", "import json, torch\n" + WITH_FIELDS.replace("own_pack.defaults", "own_folder.layers"))
    plugin = find("model", "own_alone:Mine")
    assert plugin.load()().lr == 0.1
    before = source_hash(plugin)
    assert set(registry._sources("own_alone")) == {"own_helper", "own_folder.layers", "own_alone"}
    write_plugin("own_helper", "LR = 0.25\n")
    assert plugin.load()().lr == 0.25
    assert source_hash(plugin) != before


def test_an_edit_that_does_not_import_is_reported_until_it_does(write_plugin):
    write_plugin("own_edited", GENERATOR)
    plugin = find("model", "own_edited:Mine")
    plugin.load()
    for _ in range(2):
        write_plugin("own_edited", GENERATOR + "raise ValueError('half done')\n")
        with pytest.raises(PluginError, match="ValueError: half done"):
            plugin.load()
    write_plugin("own_edited", GENERATOR.replace("0.1", "0.25"))
    assert plugin.load()().lr == 0.25


CRITICS = {"rloo", "grpo", "maligan", "permuted-reward"}
"""They use SeqGAN's training of a discriminator, and so its module."""
REINFORCED = CRITICS | {
    "seqgan",
    "seqgan-baselined",
    "pg-bleu",
    "constant-reward",
    "random-reward",
    "random-reward-baselined",
}
LIKELY = {
    "mle", "mle-longer", "mle-tempered", "mle-tuned", "mle-ngram", "mle-ensemble", "scheduled-sampling", "cnn-mle",
    "transformer-mle", "cot", "residual-ebm",
}  # fmt: skip
RELATIONAL = {"relgan", "relational-mle"}


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ("bench.kernels.ngrams", {"pg-bleu"}),
        ("seqgan.rollout", REINFORCED),
        ("seqgan.lm", REINFORCED | LIKELY | RELATIONAL),
        ("seqgan.kernels.sampling", REINFORCED | LIKELY | RELATIONAL),
        ("seqgan.discriminator", CRITICS | {"seqgan", "seqgan-baselined", "residual-ebm"} | RELATIONAL),
        ("baselines.bigram", {"bigram", "ngram", "replay", "repeat", "mle-ngram"}),
        ("baselines.random_tokens", {"random", "uniform"}),
        ("bench.api", set()),
        ("bench.runs.session", set()),
    ],
)
def test_a_change_reaches_those_in_tree_that_use_it(tmp_path, monkeypatch, changed, touched):
    def hashes():
        registry.forget()
        return {name: source_hash(plugin) for name, plugin in available("model").items()}

    before = hashes()
    path_of = registry._module_path
    copy = tmp_path / path_of(changed).name
    copy.write_bytes(path_of(changed).read_bytes() + b"# changed\n")
    monkeypatch.setattr(registry, "_module_path", lambda name: copy if name == changed else path_of(name))
    after = hashes()
    registry.forget()
    assert {name for name in before if before[name] != after[name]} == touched


def test_missing_source_is_reported(write_plugin):
    with pytest.raises(PluginError, match=r"cannot find the source of model 'x' \(own_missing\)"):
        source_hash(Plugin("model", "x", "own_missing:Mine"))


def test_a_field_without_a_range_may_have_any_default(write_plugin):
    source = "from typing import Any\nfrom dataclasses import dataclass\n@dataclass(frozen=True)\nclass Mine:\n"
    fields = "    limit: float = float('inf')\n    layers: int = None\n    anything: Any = 3\n"
    write_plugin("own_free", f"{source}{fields}    def fit(self, data, run):\n        pass\n")
    plugin = find("model", "own_free:Mine").load()
    assert convert("own", plugin, "anything", "[1]") == [1]
    assert convert("own", plugin, "limit", "2") == 2.0
