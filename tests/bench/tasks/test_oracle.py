from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json

import numpy as np
import pytest
import torch
from scipy import stats

from bench.data.oracle_weights import NAMES
from bench.tasks.oracle import BOS, ROWS, LSTMOracle, LSTMOracle40, OracleLSTM

SMALL = LSTMOracle(vocab_size=50, seq_len=6, train_size=40, valid_size=20, test_size=30)

# A drift of the weights moves the yardstick: every stored score of the task is then of another task.
WEIGHTS_SHA256 = "e94e8874d61efe3874b7f173ce5c4a89549bbfe299164d747f11f808d4a3681f"


def random_weights(V, E, H, seed=0):
    stream = np.random.RandomState(seed)
    shapes = {"emb": (V, E), "Wo": (H, V), "bo": (V,)}
    shapes |= {name: {"W": (E, H), "U": (H, H), "b": (H,)}[name[0]] for name in NAMES[1:-2]}
    return {name: stream.standard_normal(shapes[name]).astype(np.float32) for name in NAMES}


def plain_log_prob(weights, sequence):
    """The released code's equations, a token at a time, in double precision."""
    w = {name: array.astype(np.float64) for name, array in weights.items()}

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros(len(w["Ui"]))
    read, total = 0, 0.0
    for token in sequence:
        x = w["emb"][read]
        i = sigmoid(x @ w["Wi"] + h @ w["Ui"] + w["bi"])
        f = sigmoid(x @ w["Wf"] + h @ w["Uf"] + w["bf"])
        o = sigmoid(x @ w["Wog"] + h @ w["Uog"] + w["bog"])
        candidate = np.tanh(x @ w["Wc"] + h @ w["Uc"] + w["bc"])
        c = f * c + i * candidate
        h = o * np.tanh(c)
        logits = h @ w["Wo"] + w["bo"]
        total += logits[token] - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        read = token
    return total


def test_log_prob_is_the_plain_loop():
    weights = random_weights(30, 4, 7)  # E and H differ, so that no matrix can be used for another
    oracle = OracleLSTM(weights)
    tokens = torch.from_numpy(np.random.RandomState(1).randint(0, 30, (ROWS + 4, 6)))
    log_prob = oracle.log_prob(tokens)
    assert log_prob.dtype == torch.float64
    assert log_prob.shape == (ROWS + 4,)
    for row in (0, 1, ROWS - 1, ROWS, ROWS + 3):
        assert float(log_prob[row]) == pytest.approx(plain_log_prob(weights, tokens[row].tolist()), abs=2e-5)


def test_samples_follow_log_prob():
    oracle = OracleLSTM(random_weights(3, 4, 5))
    sequences = torch.tensor(list(itertools.product(range(3), repeat=3)))
    probabilities = oracle.log_prob(sequences).exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-6)
    tokens = oracle.sample(np.random.RandomState(2).random_sample((30_000, 3)))
    counts = torch.bincount((tokens * torch.tensor([9, 3, 1])).sum(-1), minlength=27)
    assert float(probabilities.min()) * 30_000 > 5
    assert stats.chisquare(counts.numpy(), (probabilities / probabilities.sum() * 30_000).numpy()).pvalue > 1e-3


def test_extreme_uniforms_give_words():
    oracle = OracleLSTM(random_weights(3, 4, 5))
    tokens = oracle.sample(np.array([[0.0, 0.0], [np.nextafter(1, 0)] * 2]))
    assert tokens.min() >= 0
    assert tokens.max() <= 2


def test_two_loads_are_the_same_bytes():
    one, two = SMALL.load(), SMALL.load()
    assert one.sha256 == two.sha256
    assert torch.equal(one.training.train, two.training.train)
    assert len(one.sha256) == 64


def test_the_weights_are_what_they_always_were():
    oracle = SMALL.load().oracle
    digest = hashlib.sha256()
    for array in (oracle.embedding, oracle.inputs, oracle.recurrent, oracle.gates, oracle.output, oracle.bias):
        assert array.dtype == torch.float32
        digest.update(array.numpy().astype("<f4").tobytes())
    assert digest.hexdigest() == WEIGHTS_SHA256


def test_the_weights_are_standard_normal_and_all_different():
    oracle = LSTMOracle(train_size=2, valid_size=2, test_size=2).load().oracle
    arrays = (oracle.embedding, oracle.inputs, oracle.recurrent, oracle.gates, oracle.output, oracle.bias)
    assert [tuple(array.shape) for array in arrays] == [
        (5_000, 32), (32, 128), (32, 128), (128,), (32, 5_000), (5_000,)
    ]  # fmt: skip
    values = torch.cat([array.flatten() for array in arrays]).numpy()
    assert abs(values.mean()) < 5 / len(values) ** 0.5
    assert values.std() == pytest.approx(1, abs=0.01)  # the released oracle's, not Texygen's 1e6
    gates = [*oracle.inputs.chunk(4, 1), *oracle.recurrent.chunk(4, 1)]
    assert not any(torch.equal(one, two) for one, two in itertools.combinations(gates, 2))


def test_what_a_generator_and_the_judge_get():
    data = SMALL.load()
    spec = data.training.spec
    assert (spec.vocab_size, spec.seq_len, spec.bos, spec.eos) == (50, 6, BOS, None)
    assert BOS == 0
    assert [tuple(part.shape) for part in (data.training.train, data.training.valid, data.test)] == [
        (40, 6), (20, 6), (30, 6)
    ]  # fmt: skip
    assert data.training.train.dtype == torch.int64
    assert data.vocabulary is None
    assert not {"test", "oracle"} & {field.name for field in dataclasses.fields(data.training)}


def test_splits_are_different_draws():
    data = LSTMOracle(vocab_size=500, train_size=30, valid_size=30, test_size=30).load()
    parts = [data.training.train, data.training.valid, data.test]
    for one, two in itertools.combinations(parts, 2):
        assert float((one == two).double().mean()) < 0.2
        assert not set(map(tuple, one.tolist())) & set(map(tuple, two.tolist()))


@pytest.mark.parametrize("change", [{"draw": 1}, {"seq_len": 7}, {"vocab_size": 51}, {"train_size": 41}])
def test_a_parameter_makes_another_task(change):
    other = dataclasses.replace(SMALL, **change)
    assert other.fingerprint() != SMALL.fingerprint()
    assert other.load().sha256 != SMALL.load().sha256


def test_another_draw_is_another_oracle():
    one, two = SMALL.load().oracle, dataclasses.replace(SMALL, draw=1).load().oracle
    assert not torch.equal(one.output, two.output)


def test_sizes_of_other_splits_leave_a_split_alone():
    more = dataclasses.replace(SMALL, train_size=60, test_size=31).load()
    assert torch.equal(more.training.train[:40], SMALL.load().training.train)
    assert torch.equal(more.training.valid, SMALL.load().training.valid)


def test_defaults_are_the_papers():
    assert dataclasses.asdict(LSTMOracle()) == {
        "vocab_size": 5_000,
        "seq_len": 20,
        "draw": None,
        "train_size": 10_000,
        "valid_size": 2_000,
        "test_size": 10_000,
    }


def test_the_fingerprint_names_every_parameter():
    assert json.loads(SMALL.fingerprint()) == dataclasses.asdict(SMALL)


def test_the_global_random_states_are_left_alone():
    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    SMALL.load()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


# Length 40


def test_length_40_has_an_oracle_of_its_own_with_the_published_sizes():
    task = LSTMOracle40(train_size=50, valid_size=2, test_size=200)
    assert dataclasses.asdict(LSTMOracle40()) == {**dataclasses.asdict(LSTMOracle()), "seq_len": 40}
    data, other = task.load(), LSTMOracle(seq_len=40, train_size=50, valid_size=2, test_size=2).load()
    assert data.oracle.output.shape == (64, 5_000)
    assert data.test.shape == (200, 40)
    # Not the weights of length 20, in more rows.
    assert not torch.equal(data.oracle.embedding.flatten()[:100], other.oracle.embedding.flatten()[:100])
    assert not torch.equal(data.training.train, other.training.train)
    # The row of real data in the published tables is 4.071, with 64 units; 32 units have 5.7 to 6.0.
    entropy = -float(data.oracle.log_prob(data.test).mean()) / 40
    assert 3.7 < entropy < 4.5
    assert task.load().sha256 == data.sha256
