"""What a run provides to fit(): streams, phases, checkpoints, clock and budget.

The strongest promise is tested hardest: interrupted anywhere, evaluated or not, the tokens are bit-identical.
"""

import math
import threading
from collections import Counter
from dataclasses import asdict, dataclass

import pytest
import torch

from baselines.pg_bleu import PGBleu
from bench.api import Decoding
from bench.runs import session as session_module
from bench.runs.checkpoints import SAVE_SECONDS, CheckpointFolder, Kept
from bench.runs.session import Diverged, Observer, Session, private_copy
from bench.runs.stopping import Stopped
from bench.runs.streams import named_stream
from bench.tasks.toy import Toy
from seqgan.mle import MLE
from seqgan.seqgan import SeqGAN


@pytest.fixture(scope="module")
def data():
    return Toy(vocab_size=6, seq_len=5, train_size=48, valid_size=8, test_size=8).load().training


class Clock:
    """A clock that the tests move forward."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Weights:
    """The smallest model: a vector that noise is added to, and that is drawn from."""

    def __init__(self, seq_len=5):
        self.values = torch.zeros(6)
        self.seq_len = seq_len

    def step(self, rng):
        self.values = self.values * 0.9 + torch.randn(6, generator=rng)

    def sample(self, n, decoding, rng):
        return torch.multinomial(self.values.softmax(-1), n * self.seq_len, True, generator=rng).view(n, -1)

    def state_dict(self):
        return {"values": self.values}

    def load_state_dict(self, state):
        self.values = state["values"].clone()


@dataclass(frozen=True)
class Walker:
    """Two phases of random steps, and a count of the steps that were really taken."""

    steps: int = 4
    more: int = 3
    stop: int | None = None
    track: bool = True
    clock: Clock | None = None
    taken: Counter | None = None

    def fit(self, data, run):
        model = Weights()
        model.step(run.rng("init"))
        if self.track:
            run.track(model, model=model)
        for step in run.phase("first", self.steps):
            self.step("first", model, run)
            if self.stop is not None and step == self.stop:
                break
        model.step(run.rng("between"))
        for _ in run.phase("second", self.more):
            self.step("second", model, run)
        return model

    def step(self, phase, model, run):
        model.step(run.rng("steps"))
        if self.taken is not None:
            self.taken[phase] += 1
        if self.clock is not None:
            self.clock.now += 1
        run.log(size=float(model.values.norm()))


@dataclass(frozen=True)
class Asker:
    """Continues training the result of a shared pre-training."""

    name: str
    pretraining: Walker
    steps: int = 2

    def fit(self, data, run):
        model = run.pretrained(self.pretraining, data)
        run.track(model, model=model)
        for _ in run.phase("own", self.steps):
            self.pretraining.step("own", model, run)
        return model


def tokens(sampler, n=40):
    return sampler.sample(n, Decoding(), torch.Generator().manual_seed(0))


def shared_name(generator, budget):
    return f"pretraining-{type(generator).__name__}-{sorted(budget.items())}"


class Pace:
    """How often resumable trainings are saved."""

    every = SAVE_SECONDS


def resumable(folder, observer=None, fit_id="whole", **more):
    return Session("toy/0", kept=Kept(folder, fit_id, shared_name, Pace.every), observer=observer, **more)


@pytest.fixture
def folder(tmp_path):
    return CheckpointFolder(tmp_path / "checkpoints")


# Streams


def test_streams_of_one_name_are_the_same_and_of_different_names_are_not():
    def draws(stem, name):
        return tuple(Session(stem).rng(name).get_state().tolist()), torch.rand(4, generator=Session(stem).rng(name))

    assert draws("task/0", "init")[0] == draws("task/0", "init")[0]
    states = {draws(stem, name)[0] for stem in ("task/0", "task/1", "other/0") for name in ("init", "batches")}
    assert len(states) == 6


def test_a_stream_is_one_object_that_goes_on():
    run = Session("task/0")
    assert run.rng("init") is run.rng("init")
    assert torch.rand(1, generator=run.rng("init")) != torch.rand(1, generator=run.rng("init"))


def test_streams_do_not_move_each_other():
    alone, together = Session("task/0"), Session("task/0")
    torch.rand(1000, generator=together.rng("other"))
    assert torch.equal(torch.rand(4, generator=alone.rng("init")), torch.rand(4, generator=together.rng("init")))
    torch.manual_seed(1)
    assert torch.equal(torch.rand(4, generator=alone.rng("next")), torch.rand(4, generator=together.rng("next")))


def test_streams_are_independent():
    draws = torch.stack([torch.rand(5_000, generator=named_stream("task/0", str(name))) for name in range(8)])
    correlation = torch.corrcoef(draws) - torch.eye(8)
    assert correlation.abs().max() < 5 / math.sqrt(5_000)


# Phases, clock, budget


def test_a_phase_counts_its_steps():
    run = Session("task/0")
    assert list(run.phase("one", 3)) == [0, 1, 2]
    assert list(run.phase("two", 2)) == [0, 1]
    assert list(run.phase("none", 0)) == []
    assert run.steps == 5


def test_two_phases_of_one_name_are_a_mistake():
    run = Session("task/0")
    list(run.phase("one", 1))
    with pytest.raises(ValueError, match="its own name, got 'one' twice"):
        list(run.phase("one", 1))


def test_the_curve_has_a_line_a_step(data):
    clock = Clock()
    run = Session("task/0", now=clock)
    run.train(Walker(2, 1, clock=clock), data)
    assert [(row["phase"], row["step"], row["seconds"]) for row in run.curve] == [
        ("first", 1, 1.0), ("first", 2, 2.0), ("second", 1, 3.0),
    ]  # fmt: skip
    assert all(set(row["scalars"]) == {"size"} for row in run.curve)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_training(value):
    run = Session("task/0")

    def train():
        for step in run.phase("one", 3):
            run.log(loss=value if step else 1.0, kept=torch.tensor(2.0))

    with pytest.raises(Diverged, match=rf"loss is {value} in step 2 of phase 'one', .*; no state was saved before"):
        train()
    assert [row["scalars"] for row in run.curve] == [{"loss": 1.0, "kept": 2.0}]


class Diverging:
    """Its weights are no numbers any more after a step, and it logs nothing."""

    def __init__(self, steps, bad, value):
        self.steps, self.bad, self.value = steps, bad, value

    def fit(self, data, run):
        model = torch.nn.Linear(2, 2)
        run.track(model, model=model)
        for step in run.phase("one", self.steps):
            with torch.no_grad():
                model.weight += self.value if step == self.bad else 1.0
        return model


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("pace", [-1, math.inf])
@pytest.mark.parametrize(("points", "when"), [(0, "the last step"), (3, "step 4 of phase 'one'")])
def test_weights_that_are_not_finite_end_the_training_whenever_it_is_saved(
    value, pace, points, when, data, folder, monkeypatch
):
    monkeypatch.setattr(Pace, "every", pace)
    run = resumable(folder, Observer(evaluate=lambda *_: {}, curve_points=points))
    kept = "the last state that was saved is that of step 3 of phase 'one'" if pace < 0 else "no state was saved before"
    with pytest.raises(Diverged, match=rf"model.weight is not finite after {when}: the training diverged; {kept}"):
        run.train(Diverging(6, 3, value), data)
    assert (folder.load("whole").state is None) == (pace > 0)
    if pace < 0:
        assert folder.load("whole").state["tracked"]["model"]["weight"].isfinite().all()


def test_a_line_of_the_curve_forgets_the_step_before():
    run = Session("task/0")
    for step in run.phase("one", 2):
        run.log(**{f"only{step}": step})
    assert [row["scalars"] for row in run.curve] == [{"only0": 0.0}, {"only1": 1.0}]


@pytest.mark.parametrize("points", [0, 1, 3, 1000])
def test_evaluation_costs_neither_time_nor_randomness(data, points):
    clock = Clock()
    evaluated = []

    def evaluate(sampler, _):
        clock.now += 1_000
        evaluated.append(tokens(sampler))
        return {"score": 1.0}

    plain, watched = Session("task/0"), Session("task/0", observer=Observer(None, evaluate, points), now=clock)
    expected = tokens(plain.train(Walker(7, 5), data))
    assert torch.equal(tokens(watched.train(Walker(7, 5, clock=clock), data)), expected)
    assert watched.cost.seconds == 12
    scored = [row["step"] for row in watched.curve if "score" in row["scalars"]]
    assert scored == {0: [], 1: [7, 5], 3: [3, 6, 7, 2, 4, 5], 1000: [*range(1, 8), *range(1, 6)]}[points]
    assert len(evaluated) == len(scored)
    assert not points or torch.equal(evaluated[-1], expected)


def test_writing_checkpoints_costs_no_time(data, folder, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(Pace, "every", -1)
    save = CheckpointFolder.save

    def slow_save(*arguments):
        clock.now += 1_000
        save(*arguments)

    monkeypatch.setattr(CheckpointFolder, "save", slow_save)
    run = resumable(folder, now=clock)
    run.train(Walker(clock=clock), data)
    assert clock.now > 7_000
    assert run.cost.seconds == 7


@pytest.mark.parametrize(("limit", "steps"), [(0, 0), (1, 1), (4, 4), (6, 6), (100, 7)])
@pytest.mark.parametrize("kind", ["steps", "seconds"])
def test_a_spent_budget_ends_training_within_one_step(data, kind, limit, steps):
    clock = Clock()
    run = Session("task/0", budget={kind: limit}, now=clock)
    sampler = run.train(Walker(4, 3, clock=clock), data)
    assert run.steps == steps
    assert run.cost.seconds == steps
    assert tokens(sampler).shape == (40, 5)


def test_whichever_limit_comes_first(data):
    clock = Clock()
    run = Session("task/0", budget={"steps": 5, "seconds": 2.5}, now=clock)
    run.train(Walker(4, 3, clock=clock), data)
    assert run.steps == 3  # the third second ends what the budget allowed to begin


def test_pretraining_spends_the_budget_too(data):
    for limit, shared, own in ((0, 0, 0), (3, 3, 0), (4, 4, 0), (5, 4, 1), (100, 4, 2)):
        taken = Counter()
        run = Session("task/0", budget={"steps": limit})
        run.train(Asker("a", Walker(4, 0, taken=taken)), data)
        assert (taken["first"], taken["own"], run.steps) == (shared, own, shared + own)


def test_measured_blocks_are_counted_and_timed():
    clock = Clock()
    run = Session("task/0", now=clock)
    for _ in run.phase("one", 3):
        with run.measure(tokens=100, rows=10):
            clock.now += 2
        with run.measure(tokens=50):
            clock.now += 0.5
        clock.now += 40
    assert run.cost.amounts == {"tokens": 450, "rows": 30}
    assert run.cost.durations == {"tokens": 7.5, "rows": 6.0}


def test_progress_is_shown_now_and_then_and_at_the_end(data):
    clock = Clock()
    shown = []
    run = Session("task/0", observer=Observer(lambda *sign: shown.append(sign[:3])), now=clock)
    for _ in run.phase("fast", 5):
        clock.now += session_module.PROGRESS_SECONDS / 1.9
    assert shown == [("fast", 1, 5), ("fast", 3, 5), ("fast", 5, 5)]


# Interruptions


class Crash(Exception):
    """The power failed."""


def crashing(phase, step, seen=None):
    """Fails after a step was taken and before its state is saved."""

    def progress(name, done, steps, scalars):
        if seen is not None:
            seen.append((name, done))
        if (name, done) == (phase, step):
            raise Crash

    return Observer(progress)


@pytest.fixture
def save_always(monkeypatch):
    monkeypatch.setattr(Pace, "every", -1)
    monkeypatch.setattr(session_module, "PROGRESS_SECONDS", -1)


SMALL = {"embedding_dim": 4, "hidden_dim": 5}
GENERATORS = {
    "walker": (Walker(4, 3), ["first", "second"]),
    "mle": (MLE(epochs=4, batch_size=16, **SMALL), ["mle"]),
    "seqgan": (
        SeqGAN(
            pretrain_epochs=3, d_pretrain_steps=3, rounds=3, g_steps=2, d_steps=1, d_epochs=1, d_samples=16, rollouts=2,
            batch_size=16, d_embedding_dim=4, d_filter_sizes=(1, 2), d_filter_counts=(3, 3), **SMALL,
        ),
        ["mle", "discriminator", "adversarial"],
    ),
    "pg-bleu": (PGBleu(pretrain_epochs=3, rounds=3, rollouts=2, batch_size=16, **SMALL), ["mle", "policy-gradient"]),
}  # fmt: skip
PLACES = [(name, phase, step) for name, (_, phases) in GENERATORS.items() for phase in phases for step in (1, 3)]


@pytest.fixture(scope="module")
def uninterrupted(data):
    """Tokens and curve of every generator, trained without an interruption or a checkpoint."""
    results = {}
    for name, (generator, _) in GENERATORS.items():
        run = Session("toy/0")
        results[name] = tokens(run.train(generator, data)), curve(run), run.steps
    return results


def curve(run):
    return [(row["phase"], row["step"], row["scalars"]) for row in run.curve]


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize(("name", "phase", "step"), PLACES)
def test_an_interrupted_training_ends_with_the_same_tokens(data, folder, uninterrupted, name, phase, step):
    generator, phases = GENERATORS[name]
    with pytest.raises(Crash):
        resumable(folder, crashing(phase, step)).train(generator, data)
    seen = []
    run = resumable(folder, Observer(lambda phase, done, *_: seen.append((phase, done))))
    assert torch.equal(tokens(run.train(generator, data)), uninterrupted[name][0])
    assert (curve(run), run.steps) == uninterrupted[name][1:]
    if step > 1:
        assert seen[0] == (phase, step)  # only the step that was lost is taken again
    else:  # the saved state is that of the end of the phase before
        before = phases[: phases.index(phase)]
        assert len({first for first, _ in seen} & set(before)) <= 1


@pytest.mark.usefixtures("save_always")
def test_a_training_may_be_interrupted_again_and_again(data, folder, uninterrupted):
    generator, phases = GENERATORS["seqgan"]
    for phase in phases:
        for step in (2, 3):
            with pytest.raises(Crash):
                resumable(folder, crashing(phase, step)).train(generator, data)
    run = resumable(folder)
    assert torch.equal(tokens(run.train(generator, data)), uninterrupted["seqgan"][0])
    assert curve(run) == uninterrupted["seqgan"][1]


@pytest.mark.usefixtures("save_always")
def test_the_cost_of_lost_steps_is_not_counted(data, folder):
    clock = Clock()
    with pytest.raises(Crash):
        resumable(folder, crashing("second", 2), now=clock).train(Walker(clock=clock), data)
    clock.now += 5_000
    run = resumable(folder, now=clock)
    run.train(Walker(clock=clock), data)
    assert run.cost.seconds == 7


@pytest.mark.usefixtures("save_always")
def test_a_budget_counts_the_steps_before_the_interruption(data, folder):
    taken = Counter()
    budget = {"steps": 6}
    with pytest.raises(Crash):
        resumable(folder, crashing("second", 1), budget=budget).train(Walker(taken=taken), data)
    run = resumable(folder, budget=budget)
    sampler = run.train(Walker(taken=taken), data)
    assert run.steps == 6
    assert taken == {"first": 4, "second": 1 + 2}  # the step that was lost is taken again
    assert torch.equal(tokens(sampler), tokens(Session("toy/0", budget=budget).train(Walker(), data)))


@pytest.mark.usefixtures("save_always")
@pytest.mark.parametrize("moment", [("first", 1), ("first", 2), ("second", 1), ("second", 2)])
def test_a_loop_that_was_left_early_stays_left(data, folder, moment):
    expected = tokens(Session("toy/0").train(Walker(10, 3, stop=2), data))
    assert not torch.equal(expected, tokens(Session("toy/0").train(Walker(10, 3), data)))
    with pytest.raises(Crash):
        resumable(folder, crashing(*moment)).train(Walker(10, 3, stop=2), data)
    taken = Counter()
    assert torch.equal(tokens(resumable(folder).train(Walker(10, 3, stop=2, taken=taken), data)), expected)
    assert taken["first"] <= 3
    again = Counter()
    assert torch.equal(tokens(resumable(folder).train(Walker(10, 3, stop=2, taken=again), data)), expected)
    assert not again


def test_after_a_break_the_step_is_not_counted(data):
    run = Session("toy/0")
    run.train(Walker(10, 3, stop=2), data)
    assert run.steps == 2 + 3


@pytest.mark.parametrize("name", GENERATORS)
def test_a_finished_training_is_not_trained_again(data, folder, uninterrupted, name):
    generator, _ = GENERATORS[name]
    first = resumable(folder)
    first.train(generator, data)
    seen = []
    again = resumable(folder, Observer(lambda *sign: seen.append(sign)))
    sampler = again.train(generator, data)
    assert seen == []
    assert torch.equal(tokens(sampler), uninterrupted[name][0])
    assert asdict(again.cost) == asdict(first.cost)
    assert (again.curve, again.steps) == (first.curve, first.steps)


def test_what_is_not_tracked_is_trained_anew(data, folder):
    taken = Counter()
    generator = Walker(track=False, taken=taken)
    one, other = (tokens(resumable(folder).train(generator, data)) for _ in range(2))
    assert torch.equal(one, other)
    assert taken == {"first": 8, "second": 6}
    assert list(folder.path.glob("*.pt")) == []


@pytest.mark.usefixtures("save_always")
def test_a_checkpoint_that_lacks_a_part_is_told(data, folder):
    @dataclass(frozen=True)
    class Grown(Walker):
        def fit(self, data, run):
            run.track(Weights(), opponent=Weights())
            return Walker.fit(self, data, run)

    with pytest.raises(Crash):
        resumable(folder, crashing("second", 2)).train(Walker(), data)
    with pytest.raises(ValueError, match="the checkpoint lacks opponent; remove it to train from scratch"):
        resumable(folder).train(Grown(), data)


def test_a_crash_lets_go_of_the_training(data, folder):
    with pytest.raises(Crash) as caught:
        resumable(folder, crashing("second", 3)).train(Walker(), data)
    with folder.lock("whole").acquire(timeout=0):
        del caught  # kept until now, and with it all that the crash left behind


def test_who_comes_second_waits_and_finds_it_done(data, folder):
    signs, results, taken = [], [], Counter()
    waiting = threading.Event()

    def progress(phase, *_):
        signs.append(phase)
        waiting.set()

    def second():
        results.append(tokens(resumable(folder, Observer(progress)).train(Walker(taken=taken), data)))

    thread = threading.Thread(target=second)
    with folder.lock("whole"):
        thread.start()
        assert waiting.wait(10)
        assert signs == ["waiting for the same training elsewhere"]
        assert taken == {}
    thread.join(10)
    assert signs[1] == "continuing"  # from here on, the time counts against a timeout
    assert taken == {"first": 4, "second": 3}
    assert torch.equal(results[0], tokens(Session("toy/0").train(Walker(), data)))


def test_a_run_that_waits_stops_when_it_is_asked_to(data, folder):
    def stop():
        raise Stopped

    run = resumable(folder, Observer(stop=stop))
    with folder.lock("whole"), pytest.raises(Stopped):
        run.train(Walker(), data)


def test_where_no_lock_can_be_made_the_training_goes_on_with_a_warning(data, folder, monkeypatch):
    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(CheckpointFolder, "lock", refuse)
    warnings = []
    run = resumable(folder, Observer(warn=warnings.append))
    assert torch.equal(tokens(run.train(Walker(), data)), tokens(Session("toy/0").train(Walker(), data)))
    assert warnings == ["no state of the training can be saved: Read-only file system; a stop would lose all of it"]


def test_a_disk_that_cannot_take_a_state_ends_no_training(data, folder, monkeypatch):
    monkeypatch.setattr(Pace, "every", -1)

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointFolder, "save", refuse)
    warnings = []
    run = resumable(folder, Observer(warn=warnings.append))
    assert torch.equal(tokens(run.train(Walker(), data)), tokens(Session("toy/0").train(Walker(), data)))
    assert set(warnings) == {
        "the state of the training cannot be saved: No space left on device; a stop would lose what was trained since",
        "the state of the training cannot be saved: No space left on device; samples cannot be drawn from it later",
    }


@pytest.mark.parametrize("states", [1, 2])
def test_damaged_states_are_told_and_the_training_gives_the_same(data, folder, monkeypatch, states):
    monkeypatch.setattr(Pace, "every", -1)
    whole = resumable(folder).train(Walker(), data)
    for file in folder.files("whole")[:states]:
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))
    warnings, taken = [], Counter()
    again = resumable(folder, Observer(warn=warnings.append)).train(Walker(taken=taken), data)
    assert torch.equal(tokens(again), tokens(whole))
    assert taken.total() == (0 if states == 1 else 7)
    assert len(warnings) == states
    assert "whole.safetensors is damaged: its checksum does not match its content" in warnings[0]
    assert warnings[0].endswith("continues from the state before it" if states == 1 else "begins anew")
    assert folder.load("whole").damage == ()


# Shared pre-training


def test_a_pretraining_is_trained_on_the_harnesss_own_data(data, folder):
    pretraining = Walker()

    @dataclass(frozen=True)
    class Vandal:
        change: bool

        def fit(self, data, run):
            if self.change:
                data.train.zero_()
            return run.pretrained(pretraining, data)

    copy = private_copy(data)
    with pytest.raises(ValueError, match="expected the data that fit\\(\\) was given, unchanged"):
        resumable(folder, fit_id="a").train(Vandal(True), copy)
    sampler = resumable(folder, fit_id="b").train(Vandal(False), private_copy(data))
    assert torch.equal(tokens(sampler), tokens(Session("toy/0").train(pretraining, data)))


def test_a_pretraining_that_is_returned_as_it_is_can_be_selected(data):
    scores = iter([3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0])
    run = Session("toy/0", observer=Observer(evaluate=lambda *_: {"s": next(scores)}, curve_points=9, select="s"))

    @dataclass(frozen=True)
    class Lazy:
        def fit(self, data, run):
            return run.pretrained(Walker(), data)

    sampler = run.train(Lazy(), data)
    last = tokens(sampler)
    run.select(sampler)
    assert not torch.equal(tokens(sampler), last)


def test_a_phase_within_a_step_of_another_is_judged_like_any_other(data):
    observer = Observer(evaluate=lambda *_: {"nll_valid": 1.0}, curve_points=9, reserved=("nll_valid",))
    run = Session("toy/0", observer=observer)
    run.track(Weights())
    for _ in run.phase("outer", 1):
        for _ in run.phase("inner", 1):
            pass
    assert [(row["phase"], row["scalars"]) for row in run.curve] == [
        ("inner", {"nll_valid": 1.0}), ("outer", {"nll_valid": 1.0})
    ]  # fmt: skip


def test_nobody_else_logs_a_score_of_the_judge():
    run = Session("toy/0", observer=Observer(reserved=("nll_valid",)))

    def train():
        for _ in run.phase("one", 1):
            run.log(nll_valid=0.0)

    with pytest.raises(ValueError, match=r"expected another name than 'nll_valid' in run.log"):
        train()


def test_pretraining_is_trained_once_and_charged_to_all(data, folder):
    clock, taken = Clock(), Counter()
    pretraining = Walker(4, 3, clock=clock, taken=taken)
    runs, seen = [], []
    for name in ("a", "b"):
        run = resumable(
            folder, Observer(pretrained=lambda sampler: seen.append(tokens(sampler))), fit_id=name, now=clock
        )
        run.train(Asker(name, pretraining), data)
        runs.append(run)
    assert taken == {"first": 4, "second": 3, "own": 4}
    for run in runs:
        assert (run.cost.seconds, run.cost.pretraining_seconds, run.steps) == (9, 7, 9)
        assert [row["phase"] for row in run.curve] == ["first"] * 4 + ["second"] * 3 + ["own"] * 2
        # The rows of the model's own phase continue where those of the pre-training end.
        assert [row["seconds"] for row in run.curve] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    alone = tokens(Session("toy/0").train(Walker(4, 3), data))
    assert torch.equal(seen[0], alone)
    assert torch.equal(seen[1], alone)


def test_the_amounts_of_pretraining_are_charged_too(data, folder):
    generator = GENERATORS["seqgan"][0]
    mle = MLE(epochs=3, **SMALL)
    alone, first, second = Session("toy/0"), resumable(folder, fit_id="a"), resumable(folder, fit_id="b")
    alone.train(mle, data)
    first.train(generator, data)
    second.train(generator, data)
    tokens_read = alone.cost.amounts["train_tokens"]
    assert tokens_read == 3 * 48 * 5
    for run in (first, second):
        assert run.cost.amounts["train_tokens"] == tokens_read + 3 * 2 * 16 * 5
        assert 0 < run.cost.pretraining_seconds < run.cost.seconds
    assert first.cost.pretraining_seconds == second.cost.pretraining_seconds


def test_pretraining_can_be_asked_for_without_checkpoints(data):
    taken = Counter()
    run = Session("toy/0")
    run.train(Asker("a", Walker(taken=taken)), data)
    assert taken == {"first": 4, "second": 3, "own": 2}


def test_judging_the_pretrained_sampler_costs_no_time(data):
    clock = Clock()

    def judge(sampler):
        clock.now += 1_000

    run = Session("toy/0", observer=Observer(pretrained=judge), now=clock)
    run.train(Asker("a", Walker(clock=clock)), data)
    assert run.cost.seconds == 9


def test_training_on_does_not_change_the_shared_checkpoint(data, folder):
    for _ in range(2):
        resumable(folder, fit_id="a").train(Asker("a", Walker()), data)
    shared = resumable(folder, fit_id=shared_name(Walker(), {}))
    assert torch.equal(tokens(shared.train(Walker(), data)), tokens(Session("toy/0").train(Walker(), data)))


def test_warming_up_is_no_cost():
    time, data = [0.0], Toy(train_size=20).load().training

    class Compiles:
        def warm_up(self, device):
            assert device.type == "cpu"
            time[0] += 100

        def fit(self, data, run):
            for _ in run.phase("p", 2):
                time[0] += 1
            return object()

    run = Session("warm/0", now=lambda: time[0])
    run.train(Compiles(), data)
    assert run.cost.seconds == 2
