"""Which values of fields a record can hold."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.plans.plain import require_plain

LOOP = []
LOOP.append(LOOP)
ODD = [
    (RuntimeError, "the class RuntimeError"),
    ({1}, "type set"),
    (torch.zeros(2), "type Tensor"),
    (Path("a"), "type PosixPath"),
    (len, "type builtin_function_or_method"),
    (math.nan, "the float nan"),
    (-math.inf, "the float -inf"),
    (b"", "type bytes"),
    (1j, "type complex"),
    (np.int64(1), "type int64"),
    ([1, (2, {"a": {3}})], "type set"),
    ({1: 2}, "a dict with a key of type int"),
    (LOOP, "a container that contains itself"),
]


@pytest.mark.parametrize(("value", "words"), ODD, ids=[words for _, words in ODD])
def test_what_json_cannot_hold_is_refused(value, words):
    with pytest.raises(UsageError) as refused:
        require_plain("mine", {"fine": 1, "ending": value})
    assert words in str(refused.value)
    assert "the field 'mine.ending'" in str(refused.value)
    assert "allowed are None, bool, int" in str(refused.value)


def test_plain_values_are_accepted():
    config = {"a": None, "b": True, "c": (1, 2.5, ["x"]), "d": {"e": {"f": ""}}, "g": np.float64(0.5)}
    require_plain("mine", config)
    json.dumps(config, allow_nan=False)


MODEL = """
import math
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    ending: {type} = {value}

    def fit(self, data, run): ...
"""
TASK = """
from dataclasses import dataclass
from bench.tasks.toy import Toy

@dataclass(frozen=True)
class Mine(Toy):
    ending: {type} = {value}
"""
METRIC = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    ending: {type} = {value}
    version = "1"

    def estimates(self, subject): return []
"""


@pytest.mark.parametrize(("kind", "value"), [("type", "RuntimeError"), ("object", "len"), ("float", "float('nan')")])
@pytest.mark.parametrize("source", [MODEL, TASK])
def test_a_plugin_with_such_a_field_is_a_mistake_in_use(bench, write_plugin, tmp_path, source, kind, value):
    write_plugin("odd", source.format(type=kind, value=value))
    chosen = {"--models": "mle", "--tasks": "toy"} | {"--models" if source == MODEL else "--tasks": "odd:Mine"}
    named = [word for option in chosen.items() for word in option]
    answer = bench("run", *named, "--preset", "smoke", "--seeds", 1, "--workers", 0, "--output", tmp_path / "results")
    assert answer.code == 2
    assert "cannot keep the field 'odd:Mine.ending' in a record" in answer.err
    assert "Traceback" not in answer.err


def test_fields_of_metrics_are_in_no_record(bench, write_plugin, tmp_path):
    write_plugin("odd", METRIC.format(type="type", value="RuntimeError"))
    options = ("--models", "mle", "--tasks", "toy", "--preset", "smoke", "--seeds", 1, "--output", tmp_path / "results")
    assert bench("run", *options, "--metrics", "odd:Mine", "--dry-run").code == 0
