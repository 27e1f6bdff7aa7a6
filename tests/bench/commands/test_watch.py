"""``bench watch``: what is in a folder, when a page is made of it, and how the command begins and ends."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.request
from types import SimpleNamespace

import pytest

from bench.commands import watched as module
from bench.commands.outlook import outlook
from bench.commands.watched import Watched
from bench.plans.costs import Costs
from bench.records import under_way
from bench.records.leases import Leases
from bench.records.record import RunRecord, Score
from bench.records.store import Store
from bench.records.under_way import UnderWay
from bench.reports.pages import site

NOTHING_KNOWN = Costs({}, {}, 1.0)
MODELS = ("mle", "seqgan")


@pytest.fixture
def bare(make_spec, tmp_path, monkeypatch):
    """A folder for two models and two seeds, in which nothing was done yet; looked at as often as is asked."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e9)
    monkeypatch.setattr(module, "SHARE_AT_REST", 1e9)
    store = Store(tmp_path / "results")
    specs = {(model, seed): make_spec(model=model, seed=seed) for model in MODELS for seed in (0, 1)}
    watched = Watched(store, store.path)
    return SimpleNamespace(
        store=store, specs=specs, watched=watched, leases=Leases(store.leases),
        seen=lambda costs=NOTHING_KNOWN: outlook(watched.look(), costs),
    )  # fmt: skip


@pytest.fixture
def planned(bare):
    bare.store.open()
    bare.store.intend(list(bare.specs.values()))
    yield bare
    bare.leases.close()


def ended(spec, status="ok", value=3.0, minute=1):
    scores = {"final": (Score("nll_test", value, "nats/token", "lower", "nll:1"),)} if status == "ok" else {}
    return RunRecord(
        spec, status, scores=scores, reason=None if status == "ok" else "<b>it</b> broke",
        started="2026-01-01T00:00:00+00:00", finished=f"2026-01-01T00:{minute:02}:00+00:00",
        density="exact",
    )  # fmt: skip


def begin(folder, key, **changes):
    """A run is under way, as whoever does it says on disk."""
    spec = folder.specs[key]
    folder.leases.take(spec.run_id)
    folder.store.begin(spec)
    facts = {"phase": "mle", "done": 2, "steps": 8, "scalars": {"loss": 2.0}, "seconds": 10.0, **changes}
    labels = (spec.run_id, spec.task_label, spec.label, spec.preset_label, spec.seed, spec.device)
    under_way.keep(folder.store.progress, UnderWay(*labels, **facts))
    return spec


def end(folder, key, **changes):
    folder.store.write(ended(folder.specs[key], **changes))
    under_way.forget(folder.store.progress, folder.specs[key].run_id)
    folder.leases.release(folder.specs[key].run_id)


def page(folder):
    """The page that is shown after what is in the folder now was looked at."""
    folder.watched.look()
    deadline = time.monotonic() + 20
    while folder.watched.look().version != folder.watched.version and time.monotonic() < deadline:
        time.sleep(0.01)
    return folder.watched.page().decode()


# ------------------------------------------------------------ how far the runs are


def test_a_folder_that_is_not_there_yet_or_empty_has_no_runs(bare):
    assert bare.seen()["counts"] == {"done": 0, "under way": 0, "waiting": 0, "failed": 0}
    assert not bare.watched.look().there
    assert "No run has finished." in page(bare)
    bare.store.path.mkdir()
    assert bare.watched.look().there
    assert "No run has finished." in page(bare)


def test_runs_are_counted_by_how_they_are(planned):
    end(planned, ("mle", 0))
    end(planned, ("seqgan", 0), status="failed")
    begin(
        planned, ("mle", 1), curves={"loss": ((1.0, 3.0), (2.0, 2.0)), "nll_valid": ((2.0, 5.0),)}, phases=(("mle", 0),)
    )
    seen = planned.seen()
    assert seen["counts"] == {"done": 1, "under way": 1, "waiting": 1, "failed": 1}
    assert seen["failures"] == [{"title": "toy seqgan seed 0", "reason": "<b>it</b> broke"}]
    (run,) = seen["runs"]
    assert {name: run[name] for name in ("task", "model", "preset", "seed", "phase", "done", "steps")} == {
        "task": "toy", "model": "mle", "preset": "smoke", "seed": 1, "phase": "mle", "done": 2, "steps": 8,
    }  # fmt: skip
    assert run["scalars"] == [("loss", 2.0)]
    assert run["curve"]["name"] == "loss"  # of the other there is one point
    assert f"process {os.getpid()}" in run["holder"]


def test_time_is_expected_from_such_runs_in_the_folder_then_from_what_the_command_and_the_project_know(planned):
    end(planned, ("mle", 0), minute=3)
    begin(planned, ("mle", 1), expected=9999.0, seconds=60.0)
    seen = planned.seen()
    assert seen["runs"][0]["expected"] == 180
    assert seen["left"] is None  # of the two that wait nothing is known
    seen = planned.seen(Costs({}, {("smoke", "toy", "seqgan"): 500.0}, 2.0))
    assert seen["left"] == pytest.approx(120 + 1000 + 1000, abs=10)
    end(planned, ("mle", 1), minute=3)
    begin(planned, ("seqgan", 0), expected=400.0, seconds=100.0)
    assert planned.seen()["runs"][0]["expected"] == 400
    assert planned.seen()["left"] == pytest.approx(300 * 2, abs=10)


def test_what_a_killed_run_left_is_not_under_way(planned):
    spec = begin(planned, ("mle", 0))
    planned.leases.close()
    assert len(list(planned.store.progress.iterdir())) == 1
    seen = planned.seen()
    assert seen["counts"] == {"done": 0, "under way": 0, "waiting": 4, "failed": 0}
    assert seen["left"] is None
    assert not seen["working"]
    (planned.store.leases / f"{spec.run_id}.lease").write_text(
        json.dumps({"host": "far", "machine": "another", "process": 1, "born": "", "token": "t"})
    )  # another machine does it: that is believed for minutes
    (run,) = planned.seen()["runs"]
    assert run["holder"] == "process 1 on far"
    assert planned.seen()["working"]


def test_a_run_of_which_nothing_is_written_yet_is_known_by_its_record_or_the_plan(planned):
    first, second = planned.specs["mle", 0], planned.specs["seqgan", 1]
    planned.leases.take(first.run_id)
    planned.store.begin(first)
    planned.leases.take(second.run_id)
    planned.leases.take("of-no-plan")
    (planned.store.progress).mkdir()
    (planned.store.progress / f"{first.run_id}.json").write_text('{"run_id": "' + first.run_id)  # half-written
    seen = planned.seen()
    assert [(run["model"], run["seed"], run["phase"]) for run in seen["runs"]] == [
        ("of-no-plan", None, "starting"), ("mle", 0, "starting"), ("seqgan", 1, "starting"),
    ]  # fmt: skip
    assert seen["counts"]["waiting"] == 2


# ------------------------------------------------------------ the page


def test_a_page_is_made_when_a_run_has_ended_and_not_when_it_is_asked_for(planned, monkeypatch):
    made, write = [], site.page
    monkeypatch.setattr(site, "page", lambda *given, **named: (made.append(given), write(*given, **named))[1])
    end(planned, ("mle", 0))
    first = page(planned)
    assert "nll_test" in first
    for _ in range(5):
        assert page(planned) == first
    assert len(made) == 1
    begin(planned, ("seqgan", 0))
    second = page(planned)  # it is provisional from now on
    begin(planned, ("seqgan", 0), done=3)
    begin(planned, ("mle", 1))
    assert page(planned) == second
    assert len(made) == 2
    end(planned, ("seqgan", 0))
    third = page(planned)
    assert len(made) == 3
    versions = [re.search(r'data-version="(\w+)"', each)[1] for each in (first, second, third)]
    assert len(set(versions)) == 3
    assert planned.watched.version == versions[-1]


def test_while_runs_go_on_only_complete_seeds_are_compared(planned):
    end(planned, ("mle", 0), value=3.0)
    end(planned, ("mle", 1), value=4.567)
    begin(planned, ("seqgan", 0))
    early = page(planned)
    assert "Provisional: 2 of 4 runs have ended. No seed has ended for every model" in early
    assert 'class="answers"' not in early  # mle would be the first
    end(planned, ("seqgan", 0), value=2.0)
    begin(planned, ("seqgan", 1))
    later = page(planned)
    assert "Provisional: 3 of 4 runs have ended. 1 of 2 seeds has ended for every model; only such seeds" in later
    assert "4.567" not in later  # of a seed that not all have
    end(planned, ("seqgan", 1), value=2.5)
    over = page(planned)
    assert "Provisional" not in over
    assert 'class="answers"' in over
    assert "4.567" in over


def test_a_folder_that_vanishes_leaves_the_page_and_one_that_comes_back_is_read(planned):
    end(planned, ("mle", 0))
    before = page(planned)
    away = planned.store.path.rename(planned.store.path.with_name("away"))
    assert not planned.watched.look().there
    assert planned.seen()["counts"]["done"] == 1
    assert planned.watched.page().decode() == before
    away.rename(planned.store.path)
    end(planned, ("seqgan", 0))
    assert page(planned) != before


def test_a_record_that_is_half_written_does_not_count_until_it_is_whole(planned):
    end(planned, ("mle", 0))
    file = planned.store.file(planned.specs["seqgan", 0])
    planned.store.write(ended(planned.specs["seqgan", 0]))
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    assert planned.seen()["counts"]["done"] == 1
    assert "mle" in page(planned)
    file.write_text(whole)
    assert planned.seen()["counts"]["done"] == 2


def test_a_page_that_cannot_be_made_leaves_the_last_and_says_why(planned, monkeypatch):
    end(planned, ("mle", 0))
    before = page(planned)
    monkeypatch.setattr(site, "page", lambda *_, **__: 1 / 0)
    end(planned, ("seqgan", 0))
    planned.watched.look()
    deadline = time.monotonic() + 20
    while not planned.watched.problem and time.monotonic() < deadline:
        time.sleep(0.01)
    assert planned.watched.problem == "ZeroDivisionError: division by zero"
    assert planned.watched.page().decode() == before
    assert f'data-version="{planned.watched.version}"' in before  # or the page would load itself again for ever


def test_pages_take_a_share_of_the_time_at_most(planned, monkeypatch):
    monkeypatch.setattr(module, "SHARE", 1e-9)
    end(planned, ("mle", 0))
    begin(planned, ("seqgan", 0))
    page(planned)
    begin(planned, ("mle", 1))
    end(planned, ("mle", 1))
    for _ in range(10):
        planned.watched.look()
        time.sleep(0.01)
    assert planned.watched.look().version != planned.watched.version
    end(planned, ("seqgan", 0))  # nobody is at work any more
    assert "Provisional" not in page(planned)


def test_the_first_result_is_not_waited_for(planned, monkeypatch):
    monkeypatch.setattr(module, "SHARE", 1e-9)
    begin(planned, ("mle", 0))
    assert "No run has finished." in page(planned)
    begin(planned, ("seqgan", 0))
    end(planned, ("mle", 0))
    assert "Provisional: 1 of 4 runs have ended" in page(planned)


def test_only_files_of_the_report_are_named(planned):
    folder = planned.store.path
    (folder / "figures").mkdir()
    for name in ("leaderboard.md", "README.md", "figures/a.png", "figures/b.pdf", "figures/.c.png", "figures/d.html"):
        (folder / name).write_text("")
    assert planned.watched.files() == [("leaderboard.md",), ("figures", "a.png"), ("figures", "b.pdf")]


# ------------------------------------------------------------ the command


@pytest.fixture
def command(tmp_path):
    """Starts the command in a process of its own, and returns it with its address."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", "watch", "--port", "0", *map(str, arguments)],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        said = ""
        while "http://" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        return process, said

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_ends_in_order(command, tmp_path, number, code):
    process, said = command("new")
    assert "'new' is not there yet: the page waits for it." in said
    url = re.search(r"http://127\.0\.0\.1:\d+/", said)[0]
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert b"No run has finished." in answer.read()
    with urllib.request.urlopen(f"{url}progress.json", timeout=30) as answer:
        assert json.load(answer)["there"] is False
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "", "")
    assert not (tmp_path / "new").exists()


def test_packed_records_are_shown_and_nothing_is_unpacked_into_the_folder(command, planned, tmp_path):
    end(planned, ("mle", 0))
    packed = tmp_path / "packed"
    packed.mkdir()
    shutil.copy(planned.store.path / "store.json", packed)
    with tarfile.open(packed / "records.tar.gz", "w:gz") as archive:
        archive.add(planned.store.runs, "runs")
    _, said = command("packed")
    url = re.search(r"http://\S+/", said)[0]
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert b"nll_test" in answer.read()
    assert sorted(path.name for path in packed.iterdir()) == ["records.tar.gz", "store.json"]


def test_mistakes_are_one_sentence(bench, planned, tmp_path):
    (tmp_path / "a file").write_text("")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "letter.txt").write_text("")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    shutil.copy(planned.store.path / "store.json", damaged)
    (damaged / "records.tar.gz").write_bytes(b"no archive")
    evil = tmp_path / "evil"
    evil.mkdir()
    shutil.copy(planned.store.path / "store.json", evil)
    with tarfile.open(evil / "records.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("../escaped")
        archive.addfile(member, io.BytesIO())
    end(planned, ("mle", 0))
    for arguments, message in (
        (("a file",), "expected a folder for the results, but "),
        (("strange",), "is not empty and is not a results folder"),
        (("damaged",), "records.tar.gz' cannot be unpacked"),
        (("evil",), "records.tar.gz' cannot be unpacked"),
        (("results", "--against", "nobody"), "unknown model to compare with 'nobody'"),
        (("results", "--port", "70000"), "70000"),
    ):
        answer = bench("watch", tmp_path / arguments[0], *arguments[1:])
        assert (answer.code, answer.out) == (2, "")
        assert message in answer.err
        assert "Traceback" not in answer.err
    assert not (tmp_path / "escaped").exists()


def test_the_records_of_a_real_run_are_read(bench, tmp_path):
    """End to end: what ``bench run`` keeps beside its samples is no obstacle."""
    folder = tmp_path / "results"
    options = ("--models", "random", "--tasks", "toy", "--preset", "smoke", "--seeds", 1, "--workers", 0,
               "--temperatures", "none", "--metrics", "nll", "--output", folder)  # fmt: skip
    assert bench("run", *options).code == 0
    record = next(iter(Store(folder).records()))
    assert record.nearest
    watched = Watched(Store(folder), folder)
    assert watched.look().content.records
    assert "nll_test" in watched.page().decode()
    assert watched.problem == ""
