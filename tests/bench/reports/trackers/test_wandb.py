"""Weights & Biases: what its file of an offline run holds is the record; nothing that happens there is waited for.

Nothing here uses a network. What a missing key, a crash or a hang does is shown with a stand-in for the package.
"""

import json
import os
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import pytest

from bench.errors import UsageError
from bench.reports.trackers import wandb as module
from bench.reports.trackers.history import history
from bench.reports.trackers.wandb import PROJECT, Wandb

needs_wandb = pytest.mark.skipif(
    getattr(find_spec("wandb"), "origin", None) is None, reason="the package wandb is not installed"
)
BLOCK, FRAME = 32768, struct.Struct("<IHB")
WHOLE, LAST = 1, 4


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


def read(folder, run_id):
    """Everything in W&B's file of an offline run: the format is LevelDB's log of its own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob(f"wandb/offline-run-*-{run_id}/*.wandb")
    data, at, parts, found = file.read_bytes(), 7, b"", []
    assert data[:4] == b":W&B"
    while at + FRAME.size <= len(data):
        left = BLOCK - at % BLOCK
        if left < FRAME.size:
            at += left
            continue
        _, length, kind = FRAME.unpack(data[at : at + FRAME.size])
        at += FRAME.size
        parts += data[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(parts))
            parts = b""
    return found


def values(items):
    """Messages of names and JSON as a dictionary."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def summary_of(records):
    found = {}
    for record in records:
        if record.WhichOneof("record_type") == "summary":
            found |= values(record.summary.update)
    return found


@needs_wandb
def test_every_value_comes_back(folder, make_record):
    record, failed = make_record(seed=3), make_record(seed=4, status="failed")
    wandb = Wandb("mine", folder)
    wandb.check()
    assert wandb.where == f"Weights & Biases: wandb sync {folder}/wandb/offline-run-*"
    assert wandb.write([record, failed]) == {}
    told, found = history(record), read(folder, record.spec.run_id)

    (run,) = [each.run for each in found if each.WhichOneof("record_type") == "run"]
    assert (run.run_id, run.project, run.display_name) == (record.spec.run_id, "mine", "mle seed 3")
    assert run.run_group == told.configuration
    assert list(run.tags) == ["toy", "smoke", "mle"]
    config = values(run.config.update)
    assert {name: config[name] for name in told.settings} == told.settings
    assert config["record"] == told.facts

    rows = [values(each.history.item) for each in found if each.WhichOneof("record_type") == "history"]
    for row in rows:
        del row["_runtime"]
    assert rows == [
        {
            "_step": number, "_timestamp": told.started + line["seconds"], "phase": line["phase"],
            f"{line['phase']}/step": line["step"], "seconds": line["seconds"], "tokens": line["tokens"],
            "updates": line["updates"], **{f"{line['phase']}/{name}": each for name, each in line["scalars"].items()},
        }
        for number, line in enumerate(record.curve)
    ]  # fmt: skip
    axes = {each.metric.name: each.metric.step_metric for each in found if each.WhichOneof("record_type") == "metric"}
    assert axes == {"mle/loss": "mle/step", "mle/nll_valid": "mle/step", "adversarial/loss": "adversarial/step"}

    summary = summary_of(found)
    assert {name: summary[name] for name in told.scores} == told.scores
    assert summary["samples"] == list(told.samples)
    codes = [
        each.exit.exit_code
        for run_id in (record.spec.run_id, failed.spec.run_id)
        for each in read(folder, run_id)
        if each.WhichOneof("record_type") == "exit"
    ]
    assert codes == [0, 1]


@needs_wandb
def test_a_run_is_written_once_and_replaced_when_it_was_repeated(folder, make_record):
    def there():
        return sorted(path.name for path in folder.glob("wandb/offline-run-*"))

    record, wandb = make_record(), Wandb("mine", folder)
    killed = folder / "wandb" / f"offline-run-20200101_000000-{record.spec.run_id}"
    killed.mkdir(parents=True)
    assert wandb.write([record, record]) == {}
    assert not killed.exists()
    first = there()
    assert len(first) == 1
    time.sleep(1.1)  # W&B's folders are named by the second
    other = replace(record, curve=record.curve[:1])
    assert wandb.write([record, other]) == {}
    second = there()
    assert len(second) == 1
    assert second != first
    assert summary_of(read(folder, record.spec.run_id))["mle/step"] == 1
    assert Wandb("another", folder).write([other]) == {}
    assert len(there()) == 2  # it may not have been sent yet


def test_names_of_projects(folder, monkeypatch):
    assert Wandb("", folder).project == PROJECT
    monkeypatch.setenv("WANDB_PROJECT", "usual")
    assert (Wandb("", folder).project, Wandb("mine", folder).project) == ("usual", "mine")
    for name in ("a/b", "a\nb", "x" * 129):
        with pytest.raises(UsageError, match="name of a project"):
            Wandb(name, folder).check()


# With a stand-in for the package


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Writes a package ``wandb`` that is found before any other, here and in processes that are started."""
    place = tmp_path / "stand-in"

    def write(source):
        (place / "wandb").mkdir(parents=True, exist_ok=True)
        (place / "wandb" / "__init__.py").write_text(source)
        (place / "wandb" / "errors.py").write_text(
            "class CommError(Exception): pass\nclass AuthenticationError(Exception): pass\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), *filter(None, sys.path)]))
        monkeypatch.syspath_prepend(place)

    return write


SETUP = """
import sys, time
from types import SimpleNamespace
from wandb import errors
def setup(): return SimpleNamespace(settings=SimpleNamespace(mode={mode!r}))
class Settings:
    def __init__(self, **settings): pass
def login(): {login}
def init(id, **asked): {init}
"""


def test_without_a_key_nothing_begins(folder, stand_in):
    stand_in(SETUP.format(mode=None, login="raise ValueError('No API key\\nconfigured.')", init="pass"))
    with pytest.raises(UsageError, match=r"No API key configured\. .*WANDB_API_KEY.*WANDB_MODE=offline"):
        Wandb("mine", folder).check()
    assert not folder.exists()


def test_nobody_is_asked_for_a_key(folder, stand_in):
    """A prompt reads the terminal; here it finds the end of an empty file."""
    stand_in(SETUP.format(mode="online", login="input('API key: ')", init="pass"))
    with pytest.raises(UsageError, match="EOF"):
        Wandb("mine", folder).check()


def test_disabled_is_refused(folder, stand_in):
    stand_in(SETUP.format(mode="disabled", login="pass", init="pass"))
    with pytest.raises(UsageError, match="disabled"):
        Wandb("mine", folder).check()


def test_the_missing_package_is_named(folder, monkeypatch, tmp_path):
    (tmp_path / "wandb").mkdir()  # as W&B leaves it where it was used
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'seqgan-bench\[wandb\]'"):
        Wandb("mine", folder).check()


def test_what_hangs_is_ended(folder, stand_in, make_record, monkeypatch):
    stand_in(SETUP.format(mode="offline", login="pass", init="time.sleep(100)"))
    monkeypatch.setattr(module, "START_SECONDS", 1.5)
    monkeypatch.setattr(module, "RUN_SECONDS", 0.0)
    record, begun = make_record(), time.monotonic()
    assert Wandb("mine", folder).write([record]) == {record.spec.run_id: "W&B does not answer"}
    assert time.monotonic() - begun < 20


def test_a_run_that_cannot_be_written_does_not_keep_others_from_it(folder, stand_in, make_record):
    broken = "raise ValueError('odd') if id == {!r} else SystemExit"
    records = [make_record(seed=seed) for seed in range(3)]
    stand_in(SETUP.format(mode="offline", login="pass", init=broken.format(records[0].spec.run_id)))
    failed = Wandb("mine", folder).write(records)
    assert failed[records[0].spec.run_id] == "odd"
    assert len(failed) == 3


def test_an_unreachable_server_is_asked_once(folder, stand_in, make_record):
    count = "open({!r}, 'a').write('x'); raise errors.CommError('no route')".format(str(folder) + ".count")
    stand_in(SETUP.format(mode="online", login="pass", init=count))
    records = [make_record(seed=seed) for seed in range(3)]
    failed = Wandb("mine", folder).write(records)
    assert set(failed) == {record.spec.run_id for record in records}
    assert failed[records[0].spec.run_id] == "no route"
    assert folder.with_name("results.count").read_text() == "x"


def test_a_crash_is_no_answer(folder, stand_in, make_record):
    stand_in(SETUP.format(mode="offline", login="pass", init="import os; os._exit(3)"))
    record = make_record()
    assert Wandb("mine", folder).write([record]) == {record.spec.run_id: "W&B does not answer"}


def test_ctrl_c_ends_the_process(folder, stand_in, make_record):
    begun = folder.with_name("begun")
    stand_in(SETUP.format(mode="offline", login="pass", init=f"open({str(begun)!r}, 'w').close(); time.sleep(100)"))
    wandb, record = Wandb("mine", folder), make_record()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(wandb.write, [record])
        for _ in range(200):
            if begun.exists():
                break
            time.sleep(0.05)
        assert begun.exists()
        wandb.stop()
        assert answer.result(timeout=10) == {record.spec.run_id: "W&B does not answer"}


def test_once_stopped_nothing_is_begun(folder, make_record):
    wandb, record = Wandb("mine", folder), make_record()
    wandb.stop()
    assert wandb.write([record]) == {record.spec.run_id: "W&B does not answer"}
    assert not folder.exists()
