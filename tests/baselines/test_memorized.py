from __future__ import annotations

import math

import pytest
import torch

from baselines.bigram import BigramModel
from baselines.memorized import MemorizedSequences, Repeat, Replay
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session

SPEC = SequenceSpec(4, 3, bos=4)
ENDED = SequenceSpec(4, 3, bos=4, eos=1, pad=0)
TRAIN = torch.tensor([[2, 3, 3], [2, 3, 3], [2, 1, 0], [3, 3, 2]])


def fit(algorithm, spec=SPEC, train=TRAIN):
    return Session("memory/0").train(algorithm, TrainingData(spec, train, train))


def sample(model, n, **decoding):
    return model.sample(n, Decoding(**decoding), torch.Generator().manual_seed(0))


def test_replay_draws_training_sequences_as_often_as_they_occur():
    drawn = sample(fit(Replay()), 8_000)
    shares = [float((drawn == row).all(-1).float().mean()) for row in TRAIN[1:]]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.02)


def test_its_density_is_that_share_and_zero_for_new_sequences():
    log_prob = fit(Replay()).log_prob(torch.cat([TRAIN[1:], torch.tensor([[2, 3, 2], [0, 0, 0]])]))
    assert log_prob.exp().tolist() == pytest.approx([0.5, 0.25, 0.25, 0.0, 0.0])


def test_tokens_are_impossible_from_the_first_that_continues_no_sequence():
    found = fit(Replay()).token_log_prob(torch.tensor([[2, 3, 2]]))[0]
    assert found.tolist() == pytest.approx([math.log(3 / 4), math.log(2 / 3), -math.inf])


def test_tokens_after_the_end_have_no_probability_of_their_own():
    assert fit(Replay(), ENDED).token_log_prob(TRAIN[2:3])[0].tolist() == pytest.approx(
        [math.log(3 / 4), math.log(1 / 3), 0.0]
    )


def test_a_lower_temperature_favours_the_most_frequent():
    def share(temperature):
        return float((sample(fit(Replay()), 4_000, temperature=temperature) == TRAIN[0]).all(-1).float().mean())

    assert share(0.25) > share(1.0) > share(4.0) > 1 / 3 - 0.02


def test_repeat_writes_the_sequence_that_bigrams_find_most_probable():
    rng = torch.Generator().manual_seed(0)
    train = torch.cat([torch.randint(0, 4, (30, 3), generator=rng), torch.tensor([[2, 2, 2]] * 20)])
    drawn = sample(fit(Repeat(strength=0.1), train=train), 5)
    assert drawn.tolist() == [[2, 2, 2]] * 5
    best = int(BigramModel(SPEC, train, 0.1, 0.5).log_prob(train).argmax())
    assert drawn[0].tolist() == train[best].tolist()


def test_repeat_compares_sequences_of_different_length_per_token():
    """The shortest sequence is the most probable one in total, but not per token."""
    train = torch.tensor([[1, 0, 0]] + [[2, 2, 2]] * 6)
    assert sample(fit(Repeat(), ENDED, train), 1).tolist() == [[2, 2, 2]]


def test_one_sequence_has_all_the_probability():
    model = MemorizedSequences(SPEC, TRAIN[:1])
    assert model.log_prob(TRAIN).tolist() == [0.0, 0.0, -math.inf, -math.inf]
