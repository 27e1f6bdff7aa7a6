"""How far runs are, on disk: small files that count as long as somebody does the run."""

import json
import os

import pytest

from bench.records import under_way
from bench.records.leases import Leases
from bench.records.under_way import UnderWay

NOW = UnderWay(
    "0123456789ab", "toy", "mle[lr=0.1]", "smoke", 3, "cpu", "mle", 4, 9,
    {"loss": 2.5}, {"loss": ((1.0, 3.0), (4.0, 2.5))}, (("mle", 0),), 12.5, 30.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    under_way.keep(tmp_path / "progress", NOW)
    return tmp_path / "progress"


def test_it_comes_back_as_it_was_and_as_old_as_its_file(folder):
    file = folder / "0123456789ab.json"
    os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 100))
    (found,) = under_way.read(folder, ["0123456789ab", "another"]).values()
    assert found.seconds == pytest.approx(112.5, abs=5)
    assert {name: getattr(found, name) for name in UnderWay.__slots__ if name != "seconds"} == {
        name: getattr(NOW, name) for name in UnderWay.__slots__ if name != "seconds"
    }


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", '{"run_id": "0123456789ab"}', "[" * 100_000,
        json.dumps({"run_id": "0123456789ab", "scalars": [], "seed": "x"}),
        " " * (under_way.LARGEST + 1),
    ],
)  # fmt: skip
def test_what_is_half_written_or_something_else_is_left_out(folder, content):
    (folder / "0123456789ab.json").write_text(content)
    assert under_way.read(folder, ["0123456789ab"]) == {}


@pytest.mark.parametrize(
    "change", [{"run_id": "another"}, {"seconds": 1e999}, {"scalars": {"loss": float("nan")}}, {"curves": {"a": [[1]]}}]
)
def test_what_is_of_another_run_or_no_number_is_left_out(folder, change):
    file = folder / "0123456789ab.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert under_way.read(folder, ["0123456789ab"]) == {}


def test_a_folder_that_is_gone_or_cannot_be_written_ends_no_run(tmp_path):
    under_way.keep(tmp_path / "gone" / "progress", NOW)
    (tmp_path / "progress").write_text("a file")
    under_way.keep(tmp_path / "progress", NOW)
    under_way.forget(tmp_path / "gone" / "progress", "0123456789ab")
    assert (tmp_path / "progress").read_text() == "a file"
    assert not (tmp_path / "gone").exists()


def test_what_a_killed_process_left_is_swept_and_what_is_leased_stays(folder):
    leases = Leases(folder.parent / "leases")
    leases.take("0123456789ab")
    under_way.sweep(folder, leases)
    assert len(list(folder.iterdir())) == 1
    leases.close()
    under_way.sweep(folder, leases)
    assert not list(folder.iterdir())
