"""A tiny network, compared with a plain loop over its own cells, and what helps it on a source that is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.api import SequenceSpec
from bench.metrics import augmented_lstm
from bench.metrics.augmented_lstm import AugmentedLSTM, Network
from bench.metrics.density import Evidence, HeldOut

SMALL = AugmentedLSTM(hidden=16, updates=60, looks=6, batch=16, lr=0.02, valid=40)
COLUMNS = ["augmented_lstm_nll", "augmented_lstm_gain"]
SPEC = SequenceSpec(8, 8, bos=8, kind="words")


def chain(seed, rows):
    """Sequences in which most words are followed by one other; int64, (rows, 8)."""
    rng = np.random.default_rng(seed)
    words = [rng.integers(0, 8, rows)]
    for _ in range(7):
        words.append(np.where(rng.random(rows) < 0.85, (3 * words[-1] + 1) % 8, rng.integers(0, 8, rows)))
    return torch.tensor(np.stack(words, axis=1))


@pytest.fixture
def held_out():
    return HeldOut(SPEC, chain(1, 100), None, None, "word", chain(2, 60), valid=chain(3, 40))


def ask(samples, held_out, metric=SMALL, trained=False):
    return {each.metric: each for each in Evidence(object(), samples, held_out, trained=trained).ask(metric)}


def test_true_samples_help_noise_hurts_and_none_change_nothing(held_out):
    noise = torch.tensor(np.random.default_rng(0).integers(0, 8, (120, 8)))
    truth, mixed, noisy, nothing = (
        ask(samples, held_out) for samples in (chain(4, 120), torch.cat([chain(4, 60), noise[:60]]), noise, noise[:0])
    )
    gains = [each["augmented_lstm_gain"].value for each in (truth, mixed, noisy)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0.03
    assert gains[-1] < -0.03
    assert nothing["augmented_lstm_gain"].value == 0.0
    assert list(truth) == COLUMNS
    for each in (truth, noisy):
        alone = each["augmented_lstm_gain"].value + each["augmented_lstm_nll"].value
        assert alone == pytest.approx(nothing["augmented_lstm_nll"].value)


def test_the_same_samples_give_the_same_bits_and_draw_nothing_from_the_global_stream(held_out):
    before = torch.get_rng_state()
    first = ask(chain(4, 50), held_out)
    augmented_lstm._alone.clear()
    again = ask(chain(4, 50), held_out)
    assert [each.value for each in first.values()] == [each.value for each in again.values()]
    assert torch.equal(torch.get_rng_state(), before)
    assert ask(chain(5, 50), held_out)["augmented_lstm_nll"].value != first["augmented_lstm_nll"].value


def test_the_real_sequences_alone_are_trained_on_once(held_out, monkeypatch):
    learnt = []
    trained = AugmentedLSTM.trained
    monkeypatch.setattr(
        AugmentedLSTM,
        "trained",
        lambda self, spec, rows, valid: learnt.append(len(rows)) or trained(self, spec, rows, valid),
    )
    for seed in (4, 5):
        ask(chain(seed, 20), held_out)
    ask(chain(2, 60)[:20], held_out, trained=True)
    assert learnt == [30, 50, 50, 50]


def test_the_row_of_real_data_learns_from_other_training_sequences(held_out, monkeypatch):
    learnt = []
    monkeypatch.setattr(
        AugmentedLSTM,
        "trained",
        lambda self, spec, rows, valid: learnt.append(rows) or Network(8, 4, 0.0, torch.Generator()),
    )
    found = ask(chain(2, 60)[:40], held_out, trained=True)
    train, order = chain(2, 60), np.random.RandomState(0).permutation(60)
    assert torch.equal(learnt[0], train[np.sort(order[:30])])
    assert torch.equal(learnt[1], torch.cat([train[np.sort(order[:30])], train[np.sort(order[30:])]]))
    assert found["augmented_lstm_nll"].signature.n == 30


def test_probabilities_are_those_of_a_loop_over_cells_and_sum_to_one():
    spec = SequenceSpec(6, 5, bos=6, eos=1, pad=0, kind="words")
    model = Network(6, 7, 0.5, torch.Generator().manual_seed(3)).double()
    tokens = torch.tensor([[2, 3, 1, 0, 0], [1, 0, 0, 0, 0], [5, 4, 3, 2, 4]])
    counted = spec.mask(tokens)
    found = iter(model.token_log_prob(tokens, counted).tolist())
    cell = torch.nn.LSTMCell(7, 7).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.lstm.state_dict().items()})
    total, count = 0.0, 0
    for row, length in zip(tokens.tolist(), (3, 1, 5), strict=True):
        state, before = None, 6
        for word in row[:length]:
            with torch.no_grad():
                state = cell(model.embedding[before][None], state)
                law = model.head(state[0])[0].softmax(-1).tolist()
            assert sum(law) == pytest.approx(1)
            assert next(found) == pytest.approx(math.log(law[word]), rel=1e-9)
            total, count, before = total - math.log(law[word]), count + 1, word
    assert next(found, None) is None
    assert augmented_lstm._nll(model, spec, tokens) == pytest.approx(total / count)


def test_dropout_keeps_the_mean_and_is_off_without_random_numbers():
    model = Network(6, 7, 0.4, torch.Generator().manual_seed(3))
    ones = torch.ones(20_000)
    dropped = model._dropped(ones, torch.Generator().manual_seed(0))
    assert float((dropped == 0).double().mean()) == pytest.approx(0.4, abs=0.02)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.03)
    assert torch.equal(model._dropped(ones, None), ones)


def test_the_step_with_the_best_validation_is_kept():
    """Four sequences are soon known by heart, which is worse than not to know them as well."""
    looked = []
    metric = AugmentedLSTM(hidden=16, updates=120, looks=8, batch=16, lr=0.05, valid=40)
    scored = augmented_lstm._nll
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augmented_lstm, "_nll", lambda *about: looked.append(scored(*about)) or looked[-1])
        model = metric.trained(SPEC, chain(2, 4), chain(3, 40))
    assert len(looked) == 8
    assert min(looked) < looked[-1]
    assert scored(model, SPEC, chain(3, 40)) == min(looked)


def test_signatures_say_what_was_trained_and_how(held_out):
    found = ask(chain(4, 20), held_out)
    assert str(found["augmented_lstm_gain"].signature) == (
        "n=20|k=train:30/60|valid=40|looks=6|test=100|V=8|lm=lstm:16,dropout=0.4,adam=0.02,60x16,seed=0|tok=word|v=1"
    )
    assert [each.direction for each in found.values()] == ["lower", "higher"]
    assert all(each.possible.because for each in found.values())


def test_absent_where_something_is_missing_and_nothing_for_what_is_no_text():
    for train, valid, reason in ((None, None, "training text"), (chain(2, 60), None, "validation")):
        found = ask(chain(4, 20), HeldOut(SPEC, chain(1, 9), None, None, "word", train, valid=valid))
        assert list(found) == COLUMNS
        assert all(each.value is None and reason in each.absent for each in found.values())
    tunes = SequenceSpec(8, 8, bos=8, kind="notes")
    held = HeldOut(tunes, chain(1, 9), None, None, "word", chain(2, 60), valid=chain(3, 40))
    assert ask(chain(4, 20), held) == {}


def test_bench_run_takes_it_by_its_path():
    from bench.plans import registry

    assert registry.find("metric", "bench.metrics.augmented_lstm:AugmentedLSTM").load() is AugmentedLSTM
    assert "augmented_lstm" not in "".join(plugin.target for plugin in registry.available("metric").values())
