"""Options of all commands: given once, or joined where they name a list."""

import click
import pytest

from bench.cli import main
from bench.commands.options import Command, labels


def commands(group, name="bench"):
    """Every command below a group, by its full name."""
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


COMMANDS = dict(commands(main))
SINGLE = [
    (name, option)
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option) and not option.multiple
]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("mle,bigram", "mle"), ("mle", "bigram")),
        (("mle[epochs=1, lr=0.1],bigram",), ("mle[epochs=1, lr=0.1]", "bigram")),
        ((" mle , ",), ("mle",)),
        ((), ()),
    ],
)
def test_labels_may_hold_commas(given, found):
    option = click.Option(["--against"])
    assert labels(click.Context(click.Command("x")), option, given) == found


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["run", "--output", ""], "--output"), (["report", "x", "--tensorboard="], "--tensorboard"),
     (["sample", "abcd", "--results", ""], "--results")],
)  # fmt: skip
def test_an_empty_path_is_not_the_folder_where_one_is(bench, arguments, option):
    answer = bench(*arguments)
    assert (answer.code, answer.err) == (2, f"bench: expected a path for {option}, got an empty one.\n")
    assert bench(*arguments, "--help").code == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [(["compare", "https://example.invalid/a.csv", "x"], "BASE"), (["report", "http://example.invalid/r"], "FOLDER"),
     (["run", "--output", "https://example.invalid"], "--output")],
)  # fmt: skip
def test_an_address_is_no_path(bench, arguments, name):
    answer = bench(*arguments)
    assert answer.code == 2
    assert f"bench: expected a path for {name}" in answer.err
    assert "download what is there first" in answer.err


def test_every_command_refuses_what_is_given_twice():
    assert [name for name, command in COMMANDS.items() if not isinstance(command, Command)] == []
    assert {"bench run", "bench data show", "bench list", "bench score"} <= COMMANDS.keys()


@pytest.mark.parametrize(("command", "option"), SINGLE, ids=lambda given: getattr(given, "name", given))
def test_an_option_given_twice(bench, command, option):
    value = () if option.is_flag else (option.type.choices[0] if isinstance(option.type, click.Choice) else "1",)
    again = (option.opts[0], *value)
    arguments = ["x"] * sum(isinstance(parameter, click.Argument) for parameter in COMMANDS[command].params)
    answer = bench(*command.split()[1:], *arguments, *again, *again)
    name = " or ".join([*option.opts[-1:], *option.secondary_opts[-1:]])
    assert (answer.code, answer.out, answer.err) == (2, "", f"bench: {name} was given twice: give it once.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--seeds=1", "--seeds=1", "--seeds", "3"], "--seeds was given 3 times: give it once."),
        (["run", "--bfloat16", "--no-bfloat16"], "--bfloat16 or --no-bfloat16 was given twice: give it once."),
        (["run", "--dry-run", "--dry-run"], "--dry-run was given twice: give it once."),
        (["sample", "-n", "1", "--number", "2"], "--number was given twice: give it once."),
        (["data", "show", "text:a.txt,min_count=1", "--set", "min_count=2"], "text:a.txt.min_count is set twice"),
        (["data", "show", "sotu", "--set", "min_count=2", "--set", "min_count=2"], "sotu.min_count is set twice"),
        (["data", "show", "sotu", "--set", "min_count=0"], "expected sotu.min_count to be an integer of 1 or more"),
    ],
)
def test_what_is_said_of_it(bench, arguments, sentence):
    answer = bench(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"bench: {sentence}")


def test_asking_for_help_twice_is_no_mistake(bench):
    answer = bench("run", "--help", "--help")
    assert answer.code == 0
    assert "--seeds" in answer.out


def test_what_no_option_is_stays_clicks_mistake(bench):
    answer = bench("run", "--nonsense", "--seeds", "1", "--seeds", "1")
    assert answer.code == 2
    assert "No such option" in answer.err


LONG = "x" * 300  # longer than a file's name may be


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "--models", "random", "--tasks", "toy", "--output", LONG),
        ("run", "--models", "random", "--tasks", "toy", "--dry-run", "--output", LONG),
        ("merge", LONG, "--output", "new"),
        ("report", LONG),
        ("compare", LONG, LONG),
        ("accept", LONG),
        ("sample", "4418a899c820", "--results", LONG),
        ("tune", "mle", "--task", "toy", "--trials", "1", "--to", f"{LONG}/x.json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_path_that_cannot_be_used_is_one_sentence(bench, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    answer = bench(*arguments)
    assert answer.code == 2
    assert len(answer.err.splitlines()) == 1
    assert LONG in answer.err
    assert not [*tmp_path.iterdir()]
