"""What a person sees: lines where there is no terminal, bars where there is one."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from bench.commands import progress
from bench.commands.planned import plan_table, say_grade
from bench.commands.progress import Display
from bench.plans.costs import Costs
from bench.records.record import RunRecord, Score
from bench.runs.executors.base import Finished, Progress, Started


@pytest.fixture
def clock(monkeypatch):
    """A time.monotonic that tests can set."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    return clock


def plain(width=200):
    return Console(file=io.StringIO(), width=width)


def said(console):
    return console.file.getvalue().splitlines()


def test_a_run_is_shown_in_two_lines(make_spec, clock):
    console, spec = plain(), make_spec(task_overrides={"draw": 1})
    scores = {
        "final": (Score("nll_oracle", 9.1234, "", "lower", ""), Score("bleu4", None, "", "higher", "", "quality", "x"))
    }
    with Display(console, [spec], 1) as display:
        display.see(Started(0, spec))
        clock.now += 65
        display.see(Finished(0, RunRecord(spec, "ok", scores=scores)))
    assert said(console) == [
        "started toy[draw=1] mle seed 0",
        "[1/1] toy[draw=1] mle seed 0: ok in 1 min 5 s, nll_oracle 9.123",
    ]


def test_a_failure_is_shown_with_its_reason_as_it_is(make_spec, clock):
    console, spec = plain(40), make_spec()
    reason = "ValueError: [bold]expected[/bold] something rather long that does not fit into a line of forty"
    with Display(console, [spec, make_spec(seed=1)], 1) as display:
        display.see(Started(0, spec))
        display.see(Finished(0, RunRecord(spec, "failed", reason=reason)))
    assert said(console)[1] == f"[1/2] toy mle seed 0: failed in 0 s - {reason}"


def test_a_long_run_shows_signs_of_life_now_and_then(make_spec, clock):
    console, spec = plain(), make_spec()
    with Display(console, [spec], 1) as display:
        display.see(Started(0, spec))
        for step in range(1, 7):
            clock.now += 10
            display.see(Progress(0, spec.run_id, "mle", step, 6, {"loss": 1.5, "nll_oracle": 2.5}))
        clock.now += 31
        display.see(Progress(0, spec.run_id, "scoring final", 0, 1, {}))
    assert said(console)[1:] == [
        "        toy mle seed 0: mle 4/6 nll_oracle 2.500",
        "        toy mle seed 0: scoring final",
    ]


def test_the_time_left_is_estimated_from_runs_of_the_same_kind(make_spec, clock):
    plan = [make_spec(model=model, seed=seed) for model in ("mle", "seqgan") for seed in (0, 1)]
    display = Display(plain(), plan, 1)
    assert display.remaining() is None

    def do(spec, seconds):
        display.see(Started(0, spec))
        clock.now += seconds
        display.see(Finished(0, RunRecord(spec, "ok")))

    do(plan[0], 10)
    assert display.remaining() == 30  # three of ten seconds each
    do(plan[2], 50)
    assert display.remaining() == 60  # one of each
    display.see(Started(0, plan[3]))
    clock.now += 20
    assert display.remaining() == 40
    clock.now += 1_000
    assert display.remaining() == 10  # what takes too long takes nothing off the run that waits
    two = Display(plain(), plan, 2)
    two.took = {("toy", "mle"): [10.0], ("toy", "seqgan"): [50.0]}
    assert two.remaining() == 60


def test_a_pack_counts_as_one_of_what_is_left(make_spec, clock):
    plan = [make_spec(seed=seed, execution={"pack": 4}) for seed in range(6)]
    display = Display(plain(), plan, 3)
    assert display.workers == 2  # there are two packs
    display.took = {("toy", "mle"): [80.0]}
    assert display.remaining() == 80
    for spec in plan[:4]:
        display.see(Started(0, spec))
    clock.now += 40
    assert display.remaining() == 80  # the second pack has just begun, or is about to


def test_a_run_takes_at_least_as_long_as_its_phase_seems_to_take(make_spec, clock):
    quick, slow = make_spec(model="mle"), make_spec(model="seqgan")
    display = Display(plain(), [quick, slow], 1)
    display.took = {("toy", "mle"): [10.0]}  # seqgan was never timed
    display.missing["toy", "mle"] = 0
    display.see(Started(0, slow))

    def at(moment, phase, done):
        clock.now = moment
        display.see(Progress(0, slow.run_id, phase, done, 100, {}))
        return display.remaining()

    assert at(0, "adversarial", 20) == 10  # it continues from step 20, and nothing is known of its speed
    assert at(30, "adversarial", 30) == 3 * 70
    assert at(60, "adversarial", 40) == 3 * 60
    clock.now += 3
    assert display.remaining() == 3 * 59
    assert at(300, "scoring", 0) == 0  # longer than was expected, and nothing is known of this phase


def test_what_was_expected_counts_until_a_run_of_its_kind_has_ended(make_spec, clock):
    plan = [make_spec(model=model, seed=seed) for model in ("mle", "seqgan") for seed in (0, 1)]
    known = Costs({}, {("smoke", "toy", "mle"): 7.0, ("smoke", "toy", "seqgan"): 40.0}, 1.0)
    display = Display(plain(), plan, 2, known)
    assert display.remaining() == 47
    display.see(Started(0, plan[0]))
    clock.now += 11
    display.see(Finished(0, RunRecord(plan[0], "ok")))
    assert display.remaining() == (11 + 80) / 2


def test_bars_on_a_terminal_show_model_phase_and_score(make_spec):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    spec, other = make_spec(), make_spec(seed=1)
    with Display(console, [spec, other], 1) as display:
        for run in (spec, other):
            display.see(Started(0, run))
            display.see(Progress(0, run.run_id, "adversarial", 3, 7, {"reward": 0.25}))
            display._bars.refresh()
            display.see(Finished(0, RunRecord(run, "ok")))
    shown = console.file.getvalue()
    assert "adversarial 3/7 reward 0.250" in shown
    assert "[2/2] toy mle seed 1: ok in 0 s" in shown
    assert "all runs" in shown


def test_one_worker_may_have_several_runs(make_spec, clock):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    specs = [make_spec(seed=seed) for seed in (0, 1, 2)]
    with Display(console, specs, 1) as display:
        for spec in specs[:2]:
            display.see(Started(0, spec))
        for spec, step in zip(specs, (3, 4), strict=False):
            display.see(Progress(0, spec.run_id, "mle", step, 7, {}))
        rows = {task.description: task.fields["state"] for task in display._bars.tasks}
        assert rows == {"all runs": "", "toy mle seed 0": "mle 3/7", "toy mle seed 1": "mle 4/7"}
        clock.now += 5
        display.see(Finished(0, RunRecord(specs[0], "ok")))
        display.see(Started(0, specs[2]))  # takes the row that has become free
        assert [task.description for task in display._bars.tasks] == ["all runs", "toy mle seed 2", "toy mle seed 1"]
    assert "toy mle seed 0: ok in 5 s" in console.file.getvalue()


def test_the_plan_counts_what_is_to_be_done(make_spec):
    plan = [
        make_spec(model=model, task=task, seed=seed)
        for model in ("mle", "seqgan") for task in ("toy", "oracle") for seed in (0, 1)
    ]  # fmt: skip
    missing = [spec for spec in plan if spec.task != "toy" or (spec.model, spec.seed) == ("seqgan", 1)]
    console = plain()
    console.print(plan_table(plan, missing))
    text = console.file.getvalue()
    assert "8 runs, 5 to do (preset smoke, cpu)" in text
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in text.splitlines() if "seeds" in line]
    assert rows == [["mle", "done", "2 seeds"], ["seqgan", "1 of 2 left", "2 seeds"]]


def test_many_tasks_are_a_row_each(make_spec):
    plan = [
        make_spec(model=model, task=f"task-{task}", seed=seed)
        for model in ("mle", "seqgan") for task in range(5) for seed in (0, 1)
    ]  # fmt: skip
    missing = [spec for spec in plan if spec.task != "task-0" and (spec.task, spec.seed) != ("task-1", 0)]
    console = plain()
    console.print(plan_table(plan, missing))
    rows = [line.strip("│").split() for line in console.file.getvalue().splitlines() if "task-" in line]
    left = ["done", "2", "4", "4", "4"]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        [f"task-{task}", "2", "4", to_do] for task, to_do in enumerate(left)
    ]


def test_the_plan_shows_what_the_user_set(make_spec):
    plan = [make_spec(overrides={"lr": 0.5}, task_overrides={"draw": 1})]
    console = plain()
    console.print(plan_table(plan, plan))
    assert "mle[lr=0.5]" in console.file.getvalue()
    assert "toy[draw=1]" in console.file.getvalue()


def test_bars_show_what_the_user_set(make_spec):
    console = Console(file=io.StringIO(), force_terminal=True, width=120, color_system=None)
    spec = make_spec(overrides={"lr": 0.5})
    with Display(console, [spec], 1) as display:
        display.see(Started(0, spec))
        display._bars.refresh()
    assert "mle[lr=0.5]" in console.file.getvalue()


@pytest.mark.parametrize(
    ("models", "seeds", "words"),
    [
        (["mle"], 3, ""),
        (["mle", "random"], 1, "up to 3 comparisons in a family: one seed allows none; --seeds 7 takes the sign test"),
        (["mle", "random"], 5, "5 seeds allow those that hold if seeds scatter normally; --seeds 7 takes the sign"),
        (["mle", "random"], 7, "7 seeds are enough for the sign test, which assumes nothing about how seeds scatter."),
        (["mle", "random", "seqgan", "pg-bleu"], 7, "up to 9 comparisons in a family: 7 seeds allow those that hold"),
    ],
)
def test_the_plan_says_how_many_seeds_verdicts_take(make_spec, models, seeds, words):
    names = [*models, "real data", "constant-reward"]
    roles = {"constant-reward": "control", "real data": ""}
    plan = [
        make_spec(model=name, seed=seed, role=roles.get(name, "contender")) for name in names for seed in range(seeds)
    ]
    if models == ["mle"]:
        plan = [spec for spec in plan if spec.model != "constant-reward"]
    console = plain()
    say_grade(console, plan)
    said = " ".join(console.file.getvalue().split())
    assert words in said
    assert bool(said) == bool(words)
