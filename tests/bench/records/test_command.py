"""The command of a record plans the same run again."""

import shlex

import pytest

from bench.commands.request import requested
from bench.commands.run import run
from bench.plans.plan import make_plan
from bench.records.command import command, with_seeds
from bench.records.record import RunRecord, from_json, to_json

SHORT = ("--tasks", "toy", "--preset", "smoke", "--device", "cpu")


def planned(*arguments):
    """The runs that ``bench run ARGUMENTS`` would do."""
    with run.make_context("run", list(arguments)) as context:
        asked = {name: value for name, value in context.params.items() if name in requested.__annotations__}
        return make_plan(requested(**asked))


@pytest.mark.parametrize(
    "arguments",
    [
        (*SHORT, "--models", "mle,random", "--seeds", "2"),
        (*SHORT, "--models", "seqgan", "--set", "seqgan.lr=0.005", "--set", "seqgan.d_filter_sizes=(2,3)",
         "--set", "seqgan.d_filter_counts=(50,50)", "--set", "toy.draw=3", "--seeds", "4-4", "--no-bfloat16"),
        (*SHORT, "--models", "mle", "--budget", "2.5M-tokens", "--temperatures", "0.7..1.1", "--metrics", "nll,bleu"),
        (*SHORT, "--models", "mle", "--budget", "90s", "--temperatures", "none"),
        ("--tasks", "text:train.txt,level=char,max_len=8", "--preset", "smoke", "--device", "cpu", "--models", "mle"),
    ],
)  # fmt: skip
def test_the_command_of_a_run_plans_it_again(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text("".join(f"a{chr(98 + i % 20)} {chr(98 + i // 20)}\n" for i in range(400)))
    plan = planned(*arguments)
    models = [spec for spec in plan if spec.target]
    assert models
    for spec in models:
        kept = from_json(to_json(RunRecord(spec, "ok"))).spec  # tuples are lists in a record
        words = shlex.split(command(kept))
        assert words[:2] == ["bench", "run"]
        again = planned(*words[2:], "--seeds", f"{spec.seed}-{spec.seed}")
        assert spec.run_id in {each.run_id for each in again}
        assert [each.label for each in again if each.target] == [spec.label]


def test_of_real_data_there_is_none(make_spec):
    assert command(make_spec(model="real data", target="", config={}, overrides={})) == ""


def test_what_a_shell_would_obey_is_quoted(make_spec):
    text = command(make_spec(overrides={"policy": "a'; rm -rf ~ #"}, task="text:my file.txt", task_overrides={}))
    assert shlex.split(text)[2:] == [
        "--models", "mle", "--tasks", "text:my file.txt", "--preset", "smoke",
        "--set", 'mle.policy="a\'; rm -rf ~ #"', "--temperatures", "none", "--device", "cpu",
    ]  # fmt: skip


def test_where_it_ran_and_under_which_preset_file(make_spec):
    spec = make_spec(device="cuda", execution={"mode": "graph", "bfloat16": False}, tuning={"preset": "mine"})
    assert command(spec).endswith("--preset mine --temperatures none --device cuda --execution graph --no-bfloat16")


def test_one_seed_is_written_as_a_range_since_a_number_counts():
    assert with_seeds("bench run --models mle", [3]) == "bench run --models mle --seeds 3-3"
    assert with_seeds("bench run --models mle", [0, 2]) == "bench run --models mle --seeds 0,2"
    assert with_seeds("", [0]) == ""
