"""Leases: who may do a run, when its holder counts as gone, and what happens to those that are given back."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.errors import Halted
from bench.records import leases
from bench.records.leases import Leases

OTHERS = """
import sys, time
from pathlib import Path
from bench.records.leases import Leases
print(Leases(Path(sys.argv[1])).take("a"), flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


def holder(folder, name="a", **changes):
    """Write the lease of somebody else, a living process of another machine unless told."""
    facts = {"host": "far", "machine": "another/pid", "process": 1, "born": "5", "token": "theirs", **changes}
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.lease"
    file.write_text(json.dumps(facts))
    return file


def test_one_holds_it_until_it_is_given_back(folder):
    mine, yours = Leases(folder), Leases(folder)
    assert mine.holder("a") is None
    assert mine.take("a")
    assert not yours.take("a")
    assert yours.take("b")
    assert str(yours.holder("a")).startswith(f"process {os.getpid()} on ")
    yours.release("a")  # not theirs
    assert not yours.take("a")
    assert set(yours.held()) == {"a", "b"}
    mine.release("a")
    assert yours.take("a")
    yours.close()
    assert list(folder.iterdir()) == []
    assert mine.take("a")
    mine.close()


def test_a_killed_process_holds_nothing(folder):
    mine = Leases(folder)
    with subprocess.Popen([sys.executable, "-c", OTHERS, folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "True\n"
        assert not mine.take("a")
        assert mine.holder("a").process == process.pid
        process.kill()
    assert mine.holder("a") is None
    assert mine.take("a")
    mine.close()


def test_a_process_number_that_was_used_again_is_somebody_else(folder):
    me = leases.machine()
    holder(folder, machine=me, process=os.getpid(), born="another moment")
    assert Leases(folder).holder("a") is None
    holder(folder, machine=me, process=os.getpid(), born="")
    assert Leases(folder).holder("a") is not None


@pytest.mark.parametrize("content", [None, "", '{"host": '])
def test_another_machines_lease_counts_until_it_is_silent_for_long(content, folder):
    file = holder(folder)
    if content is not None:  # it is being written, or its writer died in the middle
        file.write_text(content)
    mine = Leases(folder)
    assert not mine.take("a")
    assert "far" in str(mine.holder("a")) or content is not None
    long_ago = time.time() - leases.SILENT_SECONDS - 5
    os.utime(file, (long_ago, long_ago))
    assert mine.holder("a") is None
    assert mine.held() == {}
    assert mine.take("a")
    mine.close()


def test_what_is_held_stays_fresh_and_what_was_lost_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.02)
    mine = Leases(folder)
    assert mine.take("a")
    assert mine.take("b")
    for name in "ab":
        os.utime(folder / f"{name}.lease", (0, 0))
    taken = holder(folder, "b")  # by somebody who took this process for dead
    os.utime(taken, (0, 0))
    until = time.monotonic() + 20
    while (folder / "a.lease").stat().st_mtime == 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert (folder / "a.lease").stat().st_mtime > 0
    assert taken.stat().st_mtime == 0
    mine.close()
    assert [file.name for file in folder.iterdir()] == ["b.lease"]
    assert json.loads(taken.read_text())["token"] == "theirs"


def test_of_many_who_take_over_at_once_one_gets_it(folder):
    for attempt in range(20):
        holder(folder, str(attempt), machine=leases.machine(), process=2**22 + 1)
        everybody, gate = [Leases(folder) for _ in range(8)], threading.Barrier(8)

        def take(each, name=str(attempt), gate=gate):
            gate.wait()
            return each.take(name)

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, everybody)) == 1
        for each in everybody:
            each.close()


def test_one_who_died_while_taking_over_blocks_nobody_for_long(folder):
    dead = {"machine": leases.machine(), "process": 2**22 + 1}
    holder(folder, **dead)
    guard = holder(folder, "guard", token="of the guard", **dead).rename(folder / "a.taken-over")
    mine = Leases(folder)
    assert mine.take("a")  # it was of this machine
    mine.release("a")
    holder(folder, **dead)
    guard = holder(folder, "guard", token="of the guard").rename(folder / "a.taken-over")
    assert not mine.take("a")  # of another machine, which may be taking over at this moment
    assert mine.holder("a").host == "far"
    os.utime(guard, (0, 0))
    assert mine.take("a")
    mine.close()
    assert list(folder.iterdir()) == []


def test_a_process_that_has_ended_and_was_not_asked_how_holds_nothing(folder):
    process = subprocess.Popen([sys.executable, "-c", OTHERS, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    os.kill(process.pid, signal.SIGKILL)
    until = time.monotonic() + 20
    while Leases(folder).holder("a") is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert Leases(folder).holder("a") is None
    process.communicate()


def test_a_full_disk_leaves_no_lease(folder, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    mine = Leases(folder)
    with monkeypatch.context() as patch:
        patch.setattr(leases.os, "fsync", full)
        with pytest.raises(Halted, match="No space left on device"):
            mine.take("a")
    assert mine.take("a")
    mine.close()


def test_a_full_disk_shows_nobody_gone(folder, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    file = holder(folder)
    os.utime(file, (0, 0))
    monkeypatch.setattr(leases.tempfile, "NamedTemporaryFile", full)
    assert Leases(folder).holder("a").host == "far"


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(Halted, match=r"cannot write to '.*/leases': No such file"):
        Leases(tmp_path / "removed" / "leases").take("a")
