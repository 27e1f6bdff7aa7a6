"""Plugins that try to win without being better: their rows are marked, have no rank, and are never called better."""

import csv

import pytest

pytestmark = pytest.mark.usefixtures("no_figures")

SURVIVORS = '''
from dataclasses import dataclass

import torch
from bench.api import Unsupported


class Drawn:
    """Independent words with known probabilities."""

    def __init__(self, spec, p):
        self.spec, self.p = spec, p

    def sample(self, n, decoding, rng):
        return torch.multinomial(self.p, n * self.spec.seq_len, True, generator=rng).view(n, -1)

    def token_log_prob(self, tokens, temperature=1.0):
        return torch.log_softmax(self.p.log() / temperature, -1)[tokens]


@dataclass(frozen=True)
class Survivor:
    """The training unigrams with some noise: no better than they, but it ends where the noise does harm."""

    skips: bool = False

    def fit(self, data, run):
        for _ in run.phase("count", 1):
            counts = torch.bincount(data.train.flatten(), minlength=data.spec.vocab_size) + 1.0
            noisy = counts * torch.exp(0.05 * torch.randn(counts.shape, generator=run.rng("luck")))
        plain, lucky = (Drawn(data.spec, each / each.sum()) for each in (counts, noisy))
        if lucky.token_log_prob(data.valid).mean() < plain.token_log_prob(data.valid).mean():
            raise Unsupported("no luck") if self.skips else RuntimeError("no luck")
        return lucky


@dataclass(frozen=True)
class Skipper(Survivor):
    skips: bool = True
'''


def lines(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.DictReader(opened))


def test_who_ends_where_it_would_be_worse_has_no_rank(bench, write_plugin, tmp_path):
    write_plugin("survivors", SURVIVORS)
    folder, cheats = tmp_path / "results", ("survivors:Survivor", "survivors:Skipper")
    answer = bench(
        "run", "--models", ",".join((*cheats, "mle", "random")), "--tasks", "toy", "--preset", "smoke", "--workers", 0,
        "--seeds", 6, "--temperatures", "none", "--metrics", "nll,divergence", "--output", folder,
    )  # fmt: skip
    board = [row for row in lines(folder / "leaderboard.csv") if row["checkpoint"] == "final"]
    assert list(dict.fromkeys(row["model"] for row in board))[:3] == ["real data", "mle", "random"]
    markdown = (folder / "leaderboard.md").read_text(encoding="utf-8")
    for cheat in cheats:
        own = [row for row in board if row["model"] == cheat and row["kind"] == "quality" and int(row["n"])]
        assert own
        assert 0 < int(own[0]["n"]) < 6  # it survived in some seeds, and not in all
        assert {row["unranked_because"].partition(" of 6 seeds")[0] for row in own} == {
            f"it lost {6 - int(own[0]['n'])}"
        }
        assert f"| {cheat} †" in markdown
        assert f"{cheat}: it lost" in answer.out
        verdicts = [row for row in lines(folder / "verdicts.csv") if row["model"] == cheat]
        assert verdicts
        assert {row["outcome"] for row in verdicts} == {"no verdict"}
        assert all(row["because"].startswith(f"{cheat} lost ") for row in verdicts)


LATE = '''
from dataclasses import dataclass

from baselines.bigram import Bigram
from seqgan.mle import MLE

SMALL = {"embedding_dim": 4, "hidden_dim": 4}


class Later:
    """Trains outside fit: at a call of sample for at least so many sequences, or at every call."""

    def __init__(self, generator, data, run, least, always=False):
        self.made = (generator, data, run)
        self.least, self.always = least, always
        self.inside = Bigram().fit(data, run) if least > 1 or always else None

    def sample(self, n, decoding, rng):
        if n >= self.least and self.made and (self.inside is None or n > 16 or self.always):
            generator, data, run = self.made
            self.inside = generator.fit(data, Quiet(run))
            if not self.always:
                self.made = None
            else:
                self.made = MLE(epochs=generator.epochs + 1, **SMALL), data, run
        return self.inside.sample(n, decoding, rng)

    def token_log_prob(self, tokens, temperature=1.0):
        return self.inside.token_log_prob(tokens, temperature)


class Quiet:
    """A run that counts nothing and has no phases."""

    def __init__(self, run):
        self.device, self.execution, self.rng = run.device, run.execution, run.rng

    def phase(self, name, steps, open_ended=False):
        return iter(range(steps))

    def track(self, *args, **more): ...

    def log(self, **more): ...

    def spent(self):
        return False

    def measure(self, **more):
        import contextlib
        return contextlib.nullcontext(lambda **more: None)


@dataclass(frozen=True)
class AtFirst:
    def fit(self, data, run):
        return Later(MLE(epochs=120, **SMALL), data, run, least=1)


@dataclass(frozen=True)
class WhenMany(AtFirst):
    def fit(self, data, run):
        return Later(MLE(epochs=120, **SMALL), data, run, least=17)


@dataclass(frozen=True)
class AtEveryCall:
    def fit(self, data, run):
        return Later(MLE(epochs=2, **SMALL), data, run, least=1, always=True)


@dataclass(frozen=True)
class Before:
    """Trains before the clock of a pre-training starts."""

    seen = []

    def warm_up(self, device):
        if self.seen:
            data, run = self.seen.pop()
            self.seen.append(MLE(epochs=120, **SMALL).fit(data, Quiet(run)))

    def fit(self, data, run):
        for _ in run.phase("nothing", 1):
            pass
        return self.seen.pop()


@dataclass(frozen=True)
class WarmUp:
    def fit(self, data, run):
        Before.seen[:] = [(data, run)]
        return run.pretrained(Before(), data)


@dataclass(frozen=True)
class Valid:
    """Hands back the validation sequences."""

    def fit(self, data, run):
        self.rows.append(data.valid)
        return self

    rows = []

    def sample(self, n, decoding, rng):
        import torch
        return self.rows[-1][torch.randint(len(self.rows[-1]), (n,), generator=rng)]
'''


def test_who_trains_outside_fit_is_charged_or_refused(bench, write_plugin, tmp_path):
    write_plugin("late", LATE)
    folder = tmp_path / "results"
    charged = {"late:AtFirst", "late:WarmUp"}
    models = (*charged, "late:AtEveryCall", "bigram")
    answer = bench(
        "run", "--models", ",".join(models), "--tasks", "toy", "--preset", "smoke", "--workers", 0, "--seeds", 3,
        "--temperatures", "none", "--metrics", "nll", "--output", folder, "--budget", "0.2s",
    )  # fmt: skip
    board = {row["model"]: row for row in lines(folder / "leaderboard.csv") if row["metric"] == "nll_test"}
    for model in charged:
        assert "of a budget of 0.2" in board[model]["unranked_because"], model
        assert board[model]["unranked_because"].startswith("it spent ")
    assert board["bigram"]["unranked_because"] == ""
    assert "late:AtEveryCall" not in board
    assert "the sampler writes other sequences after it was scored than before" in answer.out


def test_who_hands_back_validation_sequences_copies(bench, write_plugin, tmp_path):
    write_plugin("late", LATE)
    folder = tmp_path / "results"
    answer = bench(
        "run", "--models", "late:Valid,bigram", "--tasks", "quatrains-tang", "--preset", "smoke", "--workers", 0,
        "--seeds", 3, "--temperatures", "none", "--metrics", "language-model", "--output", folder,
        "--against", "bigram",
    )  # fmt: skip
    assert "late:Valid: copies training text: copy_sequence 1.000" in answer.out
    verdicts = [row for row in lines(folder / "verdicts.csv") if row["model"] == "late:Valid"]
    assert verdicts
    assert "better" not in {row["outcome"] for row in verdicts}


def test_deleted_records_are_lost_seeds(bench, tmp_path):
    folder = tmp_path / "results"
    options = ("--models", "mle,random", "--tasks", "toy", "--preset", "smoke", "--seeds", 3, "--workers", 0,
               "--temperatures", "none", "--metrics", "nll", "--output", folder)  # fmt: skip
    assert bench("run", *options, "--dry-run").code == 0
    assert not folder.exists()
    assert bench("run", *options).code == 0
    assert {row["unranked_because"] for row in lines(folder / "leaderboard.csv")} == {""}

    def unranked():
        answer = bench("report", folder)
        rows = [row for row in lines(folder / "leaderboard.csv") if row["unranked_because"]]
        assert {row["kind"] for row in rows} <= {"quality"}
        return answer, {row["model"]: row["unranked_because"] for row in rows}

    (deleted,) = (folder / "runs").glob("toy.mle.smoke.s1.*.json")
    deleted.unlink()
    answer, found = unranked()
    assert found == {"mle": "it lost 1 of 3 seeds (seed 1 missing)"}
    assert "random: no verdict against mle (mle lost 1 of 3 seeds (seed 1 missing))" in answer.out
    page = (folder / "leaderboard" / "toy-smoke.md").read_text(encoding="utf-8")
    assert "mle on toy, smoke, seed 1: missing: it was planned, and there is no record of it" in page
    page = (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert "- mle: missing: it was planned, and there is no record of it" in page
    assert "- Threads: 1\n" in page
    assert "Not all runs used the same machine" not in page

    for file in (folder / "runs").glob("*.s1.*.json"):
        file.unlink()
    assert unranked()[1] == dict.fromkeys(("mle", "random"), "it lost 1 of 3 seeds (seed 1 missing)")
    fewer = [*options[:6], "--seeds", 1, *options[8:]]
    assert bench("run", *fewer).code == 0  # asking for less takes nothing back
    assert unranked()[1] == dict.fromkeys(("mle", "random"), "it lost 1 of 3 seeds (seed 1 missing)")
    (folder / "runs" / "plan.list").unlink()
    assert unranked()[1] == {}
    refused = bench("accept", folder, "--to", tmp_path / "accepted.csv")
    assert refused.code == 0
    bench("run", *options)
    next((folder / "runs").glob("toy.mle.smoke.s2.*.json")).unlink()
    assert "expected only finished runs" in bench("accept", folder, "--to", tmp_path / "accepted.csv").err
    compared = bench("compare", tmp_path / "accepted.csv", folder)
    assert "seed 2: missing: it was planned, and there is no record of it" in compared.out
