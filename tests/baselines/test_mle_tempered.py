from __future__ import annotations

import pytest
import torch

from baselines.mle_tempered import MLETempered, TemperedLanguageModel, best_temperature
from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE

GRID = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
SMALL = {"batch_size": 16, "hidden_dim": 16}


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=64).load().training


def nll(model, tokens, temperature=1.0):
    return -float(model.token_log_prob(tokens, temperature).double().mean())


def test_it_is_mle_at_the_best_epoch_and_temperature(data):
    """Against a plain search: MLE trained anew for each number of epochs, and every temperature of the grid."""
    run = Session("tempered/0")
    model = run.train(MLETempered(**SMALL, epochs=12, lr=0.05, temperatures=GRID), data)
    found = {}
    for epochs in range(1, 13):
        trained = Session("tempered/0").train(MLE(**SMALL, epochs=epochs, lr=0.05), data)
        found |= {(epochs, each): nll(trained, data.valid, each) for each in GRID}
    epoch, temperature = min(found, key=found.get)
    assert float(model.temperature) == temperature
    assert float(model.nll) == pytest.approx(found[epoch, temperature])
    assert nll(model, data.valid) == pytest.approx(found[epoch, temperature])
    assert 1 < epoch < 12  # neither end: there was something to select
    looked = [row["scalars"]["looked"] for row in run.curve]
    assert looked.index(min(looked)) == epoch - 1
    # The last epoch is overconfident, which a temperature above 1 mends in part.
    assert found[12, 1.0] > min(found[12, each] for each in GRID) > found[epoch, temperature]


def test_an_overfitted_model_is_made_warmer(data):
    model = Session("tempered/0").train(MLE(**SMALL, epochs=60, lr=0.05), data)
    found, temperature = best_temperature(lambda each: nll(model, data.valid, each), GRID, 1.0)
    assert temperature > 1.2
    assert found == min(nll(model, data.valid, each) for each in GRID) < nll(model, data.valid) - 0.01


@pytest.mark.parametrize("start", [0.1, 0.5, 1.2, 1.25, 2.0, 9.0])
def test_the_walk_finds_the_minimum_from_anywhere(start):
    seen = []

    def bowl(temperature):
        seen.append(temperature)
        return (1 / temperature - 0.7) ** 2

    assert best_temperature(bowl, GRID, start) == (pytest.approx((1 / 1.5 - 0.7) ** 2), 1.5)
    assert len(seen) == len(set(seen))


def test_temperatures_multiply_and_the_next_words_law_is_the_densitys():
    spec = SequenceSpec(5, 4, bos=5)
    inner = LSTMLanguageModel(spec, torch.Generator().manual_seed(0), 4, 4, 1.0)
    model = TemperedLanguageModel(inner)
    model.temperature.fill_(1.5)
    tokens = torch.randint(5, (30, 4), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.token_log_prob(tokens, 0.5), inner.token_log_prob(tokens, 0.75))
    drawn = [
        each.sample(40, Decoding(temperature), torch.Generator().manual_seed(2))
        for each, temperature in ((model, 0.5), (inner, 0.75))
    ]
    assert torch.equal(*drawn)
    for k in range(4):
        law = model.next_token_log_probs(tokens[:, :k])
        assert law.shape == (30, 5)
        torch.testing.assert_close(law.exp().sum(-1), torch.ones(30))
        torch.testing.assert_close(law.gather(1, tokens[:, k : k + 1])[:, 0], model.token_log_prob(tokens)[:, k])


def test_extreme_temperatures_stay_within_what_can_be_decoded():
    spec = SequenceSpec(5, 4, bos=5)
    model = TemperedLanguageModel(LSTMLanguageModel(spec, torch.Generator().manual_seed(0), 4, 4, 1.0))
    for own, asked in ((0.5, 0.001), (2.0, 1000.0)):
        model.temperature.fill_(own)
        drawn = model.sample(10, Decoding(asked), torch.Generator().manual_seed(0))
        assert bool(model.token_log_prob(drawn, asked).isfinite().all())


def test_looks_are_charged(data):
    fields = {**SMALL, "epochs": 3, "temperatures": GRID}
    runs = {looked_at: Session("tempered/0") for looked_at in (10, 10_000)}
    for looked_at, run in runs.items():
        run.train(MLETempered(**fields, looked_at=looked_at), data)
    few, all_ = (run.cost.amounts["selection_tokens"] for run in runs.values())
    assert few % (10 * data.spec.seq_len) == 0
    assert all_ % data.valid.numel() == 0
    assert runs[10].cost.tokens == runs[10].cost.amounts["train_tokens"] + few
    # At least three temperatures are compared after each epoch, and not the entire grid each time.
    assert 3 * 3 <= few // (10 * data.spec.seq_len) <= 3 * len(GRID)


def test_without_a_step_it_is_the_model_as_it_was_built(data):
    model = Session("tempered/0", budget={"steps": 0}).train(MLETempered(**SMALL), data)
    start = Session("tempered/0", budget={"steps": 0}).train(MLE(**SMALL), data)
    torch.testing.assert_close(model.log_prob(data.valid), start.log_prob(data.valid))


def test_the_test_split_is_not_needed_and_validation_data_decide(data):
    """Validation data of another law pick another temperature."""
    noise = torch.randint(data.spec.vocab_size, data.valid.shape, generator=torch.Generator().manual_seed(0))
    other = TrainingData(data.spec, data.train, noise)
    fields = {**SMALL, "epochs": 8, "lr": 0.05, "temperatures": GRID}
    found = [float(Session("tempered/0").train(MLETempered(**fields), each).temperature) for each in (data, other)]
    assert found[1] == 2.0 > found[0]


def test_the_order_of_the_grid_does_not_matter(data):
    fields = {**SMALL, "epochs": 8, "lr": 0.05}
    found = [
        float(Session("tempered/0").train(MLETempered(**fields, temperatures=grid), data).temperature)
        for grid in (GRID, (*GRID[::-1], *GRID))
    ]
    assert found[0] == found[1]
