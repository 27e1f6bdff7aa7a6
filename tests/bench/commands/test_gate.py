"""The regression gate from end to end: planted faults through ``bench run``, ``accept`` and ``compare``."""

import math
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from bench import reports
from bench.analysis import leaderboard
from bench.plans import registry
from bench.records.record import RunRecord
from bench.records.store import Store
from seqgan import mle, policy_gradient

pytestmark = pytest.mark.usefixtures("no_reports")

ONE_DRAW = ("--set", "toy.draw=0")  # differences between draws of the data would hide what the code did
METRICS = ("--metrics", "nll,bleu,self-bleu")
SETTINGS = ("--tasks", "toy", *METRICS, "--preset", "smoke", "--seeds", 6, "--workers", 0, *ONE_DRAW)
BENCHMARK = ("--models", "pg-bleu,random", *SETTINGS, "--set", "pg-bleu.rounds=20")
TOY, PG = "toy[draw=0], smoke", "pg-bleu[rounds=20]"


@pytest.fixture(scope="module")
def no_reports():
    """Leaderboards and figures take as long as the runs of these tests, and play no part in them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reports, "write_reports", lambda *_, **__: [])
        yield


@pytest.fixture(scope="module")
def base(bench, no_reports, tmp_path_factory):
    """The accepted file, and the results it was made of."""
    folder = tmp_path_factory.mktemp("base")
    assert bench("run", *BENCHMARK, "--output", folder / "results").code == 0
    answer = bench("accept", folder / "results", "--to", folder / "accepted.csv")
    assert (answer.code, answer.err) == (0, "")
    assert re.fullmatch(r"(\d+) cells added, 0 removed; .*accepted.csv has \1\.\n", answer.out)
    return folder / "accepted.csv", folder / "results"


@pytest.fixture
def results(base, tmp_path):
    """A copy of the results."""
    return shutil.copytree(base[1], tmp_path / "results")


@pytest.fixture
def compared(bench, base):
    """``bench compare`` with the accepted file, strictly."""
    return lambda folder, *more: bench("compare", base[0], folder, "--fail-on-regression", *more)


def counts(answer):
    """Verdict to its count, from the closing line."""
    counted, _, _ = answer.out.splitlines()[-1].partition(":")
    return {verdict: int(count) for count, verdict in (part.split(" ", 1) for part in counted.split(", "))}


def given(answer, verdict):
    """The metrics under the headings of a verdict, by heading."""
    found, heading = {}, None
    for line in answer.out.splitlines():
        if not line.startswith("  "):
            heading = line.removeprefix(f"{verdict}: ") if line.startswith(f"{verdict}: ") else None
        elif heading:
            found.setdefault(heading, set()).update(re.split(", ", line.strip().partition(":")[0]))
    return found


def scrambled(policy, tokens, states, reward, rollouts, rng, complete):
    """Action values as a widely used library had them: laid out (N T, B), and read as (B, T, N).

    Batch and time are mixed, so that a token is rewarded for what other tokens did elsewhere.
    """
    batch, length = tokens.shape
    finished = torch.cat([complete(tokens, states), tokens[None, :, None].expand(1, batch, rollouts, length)])
    rewards = reward(finished.reshape(-1, length)).view(length, batch, rollouts)
    laid_out = rewards.permute(2, 0, 1).reshape(rollouts * length, batch)
    return laid_out.reshape(batch, length, rollouts).mean(-1)


def test_unchanged_code_is_green(bench, compared, base, tmp_path):
    assert bench("run", *BENCHMARK, "--output", tmp_path / "again").code == 0
    answer = compared(tmp_path / "again")
    assert (answer.code, answer.err) == (0, "")
    found = counts(answer)
    same = found.pop("no difference")
    assert same > 25
    assert set(found.values()) == {0}
    assert f"{same} of {same} cells are the same except for rounding" in answer.out
    before = base[0].read_bytes()
    again = bench("accept", tmp_path / "again", "--to", base[0])
    assert (again.code, again.out) == (0, f"Nothing changed in {base[0]}.\n")
    assert base[0].read_bytes() == before


def test_a_scrambled_reward_is_found_to_be_worse(bench, base, compared, tmp_path, monkeypatch):
    monkeypatch.setattr(policy_gradient, "action_values", scrambled)
    assert bench("run", *BENCHMARK, "--output", tmp_path / "head").code == 0
    answer = compared(tmp_path / "head")
    assert answer.code == 1
    worse = given(answer, "worse")
    assert {"bleu4", "bleu5"} <= worse[f"{TOY}: {PG}, final"]
    assert not [place for place in worse if "pretrained" in place or "random" in place]  # they are unchanged
    found = counts(answer)
    assert (found["failed"], found["missing"], found["not comparable"]) == (0, 0, 0)
    assert f"red, {found['worse']} of " in answer.out.splitlines()[-1]
    lenient = bench("compare", base[0], tmp_path / "head")
    assert (lenient.code, lenient.out) == (0, answer.out)


def test_a_removed_model_is_missing(bench, compared, tmp_path):
    assert bench("run", "--models", "random", *SETTINGS, "--output", tmp_path / "head").code == 0
    answer = compared(tmp_path / "head")
    assert answer.code == 1
    places = given(answer, "missing").keys()
    assert {f"{TOY}: {PG}, {name}" for name in ("final", "pretrained")} <= places
    assert all("pg-bleu" in place for place in places)
    assert "not run in head" in answer.out


def test_lost_seeds_are_missing_and_named(compared, results):
    for record in (results / "runs").glob("toy.random.smoke.s[24].*.json"):
        record.unlink()
    answer = compared(results)
    assert answer.code == 1
    assert given(answer, "missing").keys() == {f"{TOY}: random, final"}
    assert "seeds 2, 4: missing: it was planned, and there is no record of it" in answer.out


def bump(monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(registry.find("metric", name).load(), "version", "next")


def test_a_metric_with_a_new_version_is_not_compared(bench, compared, results, monkeypatch):
    bump(monkeypatch, "bleu")
    assert bench("run", *BENCHMARK, "--output", results).code == 0  # scores anew what is trained already
    answer = compared(results)
    assert answer.code == 1  # until it is accepted: nobody knows what hides behind it
    assert {"bleu2", "bleu3", "bleu4", "bleu5"} in given(answer, "untested").values()
    assert re.search("signature changed: v=.* → v=next", answer.out)
    assert counts(answer)["no difference"] > 20


def test_if_nothing_can_be_compared_it_does_not_pass(bench, compared, results, monkeypatch):
    bump(monkeypatch, *registry.available("metric"))
    assert bench("run", *BENCHMARK, "--output", results).code == 0
    answer = compared(results)
    assert answer.code == 1
    assert counts(answer)["no difference"] == 0
    assert answer.out.splitlines()[-1].endswith(": red, no score of any model could be compared")


def test_other_data_are_not_compared(bench, base, tmp_path):
    content = base[0].read_text()
    (old,) = {line.rpartition(",")[2] for line in content.splitlines()[1:]}
    assert re.fullmatch("[0-9a-f]{64}", old)
    (tmp_path / "accepted.csv").write_text(content.replace(old, "0" * 64))
    answer = bench("compare", tmp_path / "accepted.csv", base[1], "--fail-on-regression")
    assert answer.code == 1
    assert f"data changed: {'0' * 12} → {old[:12]}" in answer.out
    assert counts(answer)["no difference"] == 0


def test_a_diverged_run_has_failed(bench, compared, tmp_path, monkeypatch):
    adam = mle.adam
    monkeypatch.setattr(mle, "adam", lambda model, lr: adam(model, lr * math.inf))
    run = bench("run", *BENCHMARK, "--output", tmp_path / "head")
    assert run.code == 1
    answer = compared(tmp_path / "head")
    assert answer.code == 1
    assert f"{TOY}: {PG}, final" in given(answer, "failed")
    assert counts(answer)["failed"] > 10
    refused = bench("accept", tmp_path / "head", "--to", tmp_path / "accepted.csv")
    assert refused.code == 2
    assert "expected only finished runs in " in refused.err
    assert "got 6 failed" in refused.err
    assert not (tmp_path / "accepted.csv").exists()


def test_a_base_that_lost_its_records_lets_nothing_pass(bench, base, results, tmp_path):
    def gate(folder):
        return bench("compare", folder, base[1], "--fail-on-regression")

    files = sorted((results / "runs").glob("toy.random.*.json"))
    files[0].write_text("{")
    answer = gate(results)
    assert (answer.code, answer.out) == (2, "")
    assert "cannot compare with results of which a part cannot be read" in answer.err
    answer = bench("compare", results, base[1])
    assert answer.code == 0  # only the gate needs all of it
    assert "red, base is not whole: cannot compare with results of which a part cannot be read" in answer.out
    files[0].unlink()
    answer = gate(results)
    assert answer.code == 2
    assert "expected only finished runs in" in answer.err
    assert "got 1 missing" in answer.err
    Store(tmp_path / "new").open()
    answer = gate(tmp_path / "new")
    assert answer.code == 2
    assert "got none; 'bench run' makes them" in answer.err
    for folder, found in ((results, "got 1 missing"), (tmp_path / "new", "got none")):
        ending = bench("compare", folder, base[1]).out.splitlines()[-1]
        assert "red, base is not whole: expected " in ending
        assert found in ending


def test_an_interrupted_run_has_failed(bench, compared, results):
    store = Store(results)
    for record in store.records():
        if record.spec.model == "random":
            store.write(RunRecord(record.spec, "started" if record.spec.seed else "interrupted"))
    answer = compared(results)
    assert answer.code == 1
    assert "seed 0: interrupted; seeds 1, 2, 3, 4, 5: never ended" in answer.out
    assert "got 1 interrupted, 5 started" in bench("accept", results, "--to", results / "accepted.csv").err


def test_every_model_may_be_compared_with_one_of_base(bench, base):
    folder = base[1]
    answer = bench("compare", base[0], folder, "--against", "random", "--fail-on-regression")
    assert (answer.code, answer.err) == (1, "")  # random is not worse than itself; pg-bleu copies more
    worse = re.search(rf"worse: {re.escape(TOY)}: {re.escape(PG)} against random, final\n((?:  .*\n)*)", answer.out)
    copied = re.findall(r"^  (\w+)", worse[1], re.MULTILINE)
    assert {"copy_4gram", "copy_5gram", "copy_longest", "copy_nearest"} <= set(copied)
    assert f"better: {TOY}: {PG} against random, final" in answer.out
    assert counts(answer)["no difference"] > 10
    assert "pretrained" not in answer.out
    worse = bench("compare", base[0], folder, "--against", PG, "--fail-on-regression")
    assert worse.code == 1
    assert f"worse: {TOY}: random against {PG}, final" in worse.out
    unknown = bench("compare", base[0], folder, "--against", "mel")
    assert (unknown.code, unknown.err) == (
        2, f"bench: unknown model to compare with 'mel'. Known: {PG}, random.\n",
    )  # fmt: skip


def test_junit_is_all_that_is_printed(compared, results):
    for record in (results / "runs").glob("toy.random.*.json"):
        record.unlink()
    answer = compared(results, "--format", "junit")
    assert (answer.code, answer.err) == (1, "")
    suite = ElementTree.fromstring(answer.out).find("testsuite")
    broken = {case.get("classname") for case in suite.iter("testcase") if case.find("failure") is not None}
    assert broken == {f"{TOY}, random"}


def test_the_report_for_machines_is_a_file_beside_what_is_printed(compared, results, tmp_path):
    printed = compared(results)
    answer = compared(results, "--junit", tmp_path / "report.xml")
    assert answer == printed
    assert (tmp_path / "report.xml").read_text() == compared(results, "--format", "junit").out
    answer = compared(results, "--junit", tmp_path)
    assert (answer.code, answer.out) == (2, "")
    assert "expected a file for --junit, got the folder '" in answer.err


def test_seeds_may_be_asked_for(compared, results):
    assert compared(results, "--min-seeds", 6).code == 0
    answer = compared(results, "--min-seeds", 7)
    assert answer.code == 1
    assert "6 seeds on both sides, expected 7 or more" in answer.out


def test_a_spreadsheet_may_have_saved_the_base(bench, base, compared, results, tmp_path):
    saved = tmp_path / "accepted.csv"
    saved.write_bytes(b"\xef\xbb\xbf" + base[0].read_bytes().replace(b"\n", b"\r\n"))
    assert bench("compare", saved, results) == compared(results)


def test_markdown_begins_with_how_it_ended(compared, results):
    answer = compared(results, "--format", "markdown")
    assert (answer.code, answer.err) == (0, "")
    assert re.match(r"\*\*0 failed, .*: green\*\*\n", answer.out)


def test_accepting_tells_what_it_changes(bench, base, results, tmp_path):
    target = tmp_path / "accepted.csv"
    shutil.copy(base[0], target)
    for record in (results / "runs").glob("toy.random.*.json"):
        record.unlink()
    (results / "runs" / "plan.list").unlink()  # or they would be missing
    answer = bench("accept", results, "--to", target)
    assert (answer.code, answer.err) == (0, "")
    gone = counts_of(answer)["missing"]
    assert answer.out.splitlines()[-1].startswith(f"0 cells added, {gone} removed; ")
    assert "random" not in target.read_text()
    assert bench("accept", base[1], "--to", target).out.splitlines()[-1].startswith(f"{gone} cells added, 0 removed; ")
    assert target.read_bytes() == base[0].read_bytes()


def test_the_folder_of_the_accepted_file_is_made(bench, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bench("accept", base[1]).code == 0
    assert (tmp_path / "results" / "accepted.csv").read_bytes() == base[0].read_bytes()


def counts_of(answer):
    """The counts in the last but one line, as ``accept`` adds its own closing line."""
    return counts(type(answer)(answer.code, "\n".join(answer.out.splitlines()[:-1]), answer.err))


# Usage errors


def test_a_leaderboard_is_no_base_and_is_not_overwritten(bench, base, tmp_path):
    path = tmp_path / "leaderboard.csv"
    path.write_text(",".join(leaderboard.COLUMNS) + "\n")
    for command in (["compare", path, base[1]], ["accept", base[1], "--to", path]):
        answer = bench(*command)
        assert (answer.code, answer.out) == (2, "")
        assert "is a leaderboard: means over seeds cannot be paired" in answer.err
    assert path.read_text() == ",".join(leaderboard.COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "nowhere.csv", "RESULTS"], "cannot read the accepted results 'nowhere.csv': No such file"),
        (["compare", "empty.csv", "RESULTS"], "expected accepted results in 'empty.csv', which is empty"),
        (["compare", ".", "RESULTS"], "expected a results folder"),
        (["compare", "RESULTS", "BASE"], "expected a results folder"),
        (["compare", "BASE", "."], "expected a results folder"),
        (["accept", "."], "expected a results folder"),
        (["accept", "unused"], "expected a finished run in 'unused', got none; 'bench run' makes them"),
        (["accept", "RESULTS", "--to", "empty.csv/a"], "cannot write 'empty.csv/a': .*; choose another --to"),
        (["accept", "RESULTS", "--to", "unused"], "expected a file of accepted results, but 'unused' is a folder"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(bench, base, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").touch()
    Store(Path("unused")).open()
    places = {"BASE": base[0], "RESULTS": base[1]}
    answer = bench(*(places.get(argument, argument) for argument in arguments))
    assert (answer.code, answer.out) == (2, "")
    assert re.search(message, answer.err)
    assert len(answer.err.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"empty.csv", "unused"}
