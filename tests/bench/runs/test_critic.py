"""What the curve says of a discriminator: by hand, without a trace in the training, for strangers' too."""

import re
from dataclasses import dataclass

import pytest
import torch

from bench.api import Decoding, HasRealProbability
from bench.plans.plan import Request, make_plan
from bench.runs.critic import CRITIC, CriticJudge
from bench.runs.runner import run
from bench.runs.session import Observer, Session
from bench.tasks.toy import Toy
from bench.testing import ContractViolation
from bench.testing.training import check_evaluation
from seqgan.discriminator import Discriminator
from seqgan.seqgan import SeqGAN

SMALL = SeqGAN(
    pretrain_epochs=2, embedding_dim=4, hidden_dim=4, rounds=3, rollouts=2, batch_size=16, d_pretrain_steps=2,
    d_epochs=1, d_filter_sizes=(1, 2), d_filter_counts=(4, 4), d_steps=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return Toy(vocab_size=6, seq_len=5, train_size=48, valid_size=20, test_size=8).load().training


class Says:
    """A discriminator that answers with a function of the first word."""

    def __init__(self, answer):
        self.answer = answer

    def real_probability(self, tokens):
        return self.answer(tokens)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_probabilities_and_right_answers_by_hand():
    train, valid, samples = (torch.tensor(words)[:, None] for words in ([9, 8, 7, 2], [9, 5, 4, 1], [6, 5, 0, 0]))
    found = CriticJudge(train, valid, "cpu").scores(Says(lambda tokens: tokens[:, 0] / 10), samples)
    assert tuple(found) == CRITIC
    assert found == pytest.approx(
        {"p_real_train": 0.65, "p_real_valid": 0.475, "p_real_samples": 0.275,
         # Real is what is above one half; exactly one half is not.
         "d_accuracy_train": 3 / 4, "d_accuracy_valid": 1 / 4, "d_accuracy_samples": 3 / 4}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda tokens: tokens / 10, "one number for each of 4 sequences, got (4, 1)"),
        (lambda tokens: 0.5, "one number for each of 4 sequences, got float"),
        (lambda tokens: tokens[:, 0] / 5, "in [0, 1], got 0 to 1.8"),
        (lambda tokens: tokens[:, 0] * torch.nan, "in [0, 1], got nan to nan"),
    ],
)
def test_what_is_no_probability_is_refused(answer, reason):
    words = torch.tensor([9, 8, 7, 0])[:, None]
    with pytest.raises(ValueError, match=re.escape(reason)):
        CriticJudge(words, words, "cpu").scores(Says(answer), words)


def test_a_critic_gets_copies_and_global_streams_stay_as_they_are():
    words = torch.arange(4)[:, None]

    def careless(tokens):
        return tokens.zero_()[:, 0] + torch.rand(len(tokens))

    before = torch.get_rng_state()
    CriticJudge(words, words, "cpu").scores(Says(careless), words)
    assert torch.equal(torch.get_rng_state(), before)
    assert words.sum() == 6


def test_the_discriminator_of_the_paper_has_what_the_harness_asks_for(data):
    discriminator = Discriminator(data.spec, torch.Generator().manual_seed(0), 4, (1, 2), (4, 4))
    assert isinstance(discriminator, HasRealProbability)
    assert torch.equal(discriminator.real_probability(data.train), discriminator.reward(data.train))


def trained(data, observer=None):
    """What a training draws, its weights and its curve."""
    session = Session("critic/0", observer=observer)
    policy = session.train(SMALL, data)
    return policy.sample(30, Decoding(), torch.Generator().manual_seed(0)), policy.state_dict(), session


def test_asking_costs_neither_time_nor_randomness(data):
    class Clock:
        now = 0.0

        def __call__(self):
            return self.now

    clock, asked = Clock(), []
    judge = CriticJudge(data.train[:8], data.valid[:8], "cpu")

    def evaluate(sampler, critic):
        clock.now += 1_000
        if critic is None:
            return {}
        asked.append(judge.scores(critic, sampler.sample(8, Decoding(), torch.Generator().manual_seed(1))))
        return asked[-1]

    tokens, weights, _ = trained(data)
    session = Session("critic/0", observer=Observer(evaluate=evaluate, curve_points=99), now=clock)
    policy = session.train(SMALL, data)
    assert torch.equal(policy.sample(30, Decoding(), torch.Generator().manual_seed(0)), tokens)
    assert all(torch.equal(value, weights[name]) for name, value in policy.state_dict().items())
    assert session.cost.seconds == 0
    lines = [row["scalars"] for row in session.curve if row["phase"] != "mle"]
    assert len(lines) == len(asked) == 2 + 3
    assert [{name: line[name] for name in CRITIC} for line in lines] == asked
    assert not set(CRITIC) & {name for row in session.curve if row["phase"] == "mle" for name in row["scalars"]}


def test_every_adversarial_model_has_it_in_its_record_and_no_other_has():
    models = ("mle", "seqgan", "seqgan-baselined", "constant-reward")
    settings = ("toy.train_size=60", "toy.valid_size=20", "toy.test_size=30")
    records = {
        spec.model: run(spec)
        for spec in make_plan(
            Request(models=models, tasks=("toy",), preset="smoke", seeds=1, metrics=("distinct",), settings=settings)
        )
    }
    for model in models:
        assert records[model].status == "ok", records[model].reason
        names = {name for row in records[model].curve for name in row["scalars"]}
        assert set(CRITIC) <= names if "seqgan" in model else not set(CRITIC) & names


def test_nobody_else_may_log_these_names():
    @dataclass(frozen=True)
    class Liar:
        def fit(self, data, run):
            for _ in run.phase("lie", 1):
                run.log(p_real_valid=1.0)

    with pytest.raises(ValueError, match="expected another name than 'p_real_valid'"):
        Session("x", observer=Observer(reserved=CRITIC)).train(Liar(), Toy().load().training)


class Nervous(Discriminator):
    """A discriminator that changes whenever it is asked."""

    def real_probability(self, tokens):
        with torch.no_grad():
            self.output.bias += torch.tensor([1.0, -1.0])
        return self.reward(tokens)


@dataclass(frozen=True, slots=True)
class Disturbed(SeqGAN):
    """SeqGAN whose discriminator must not be asked."""

    def fit(self, data, run):
        """As SeqGAN's, with the other discriminator."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("seqgan.seqgan.Discriminator", Nervous)
            return SeqGAN.fit(self, data, run)


def test_bench_validate_finds_a_discriminator_that_changes_when_it_is_asked():
    check_evaluation(SeqGAN)
    with pytest.raises(ContractViolation, match="training with and without evaluation"):
        check_evaluation(Disturbed)
