from __future__ import annotations

import pytest
import torch

from seqgan.kernels.lstm import ROWS, advance, gate_table, reference_advance


def problem(rows, dim, units, scale=1.0):
    rng = torch.Generator().manual_seed(0)
    lstm = torch.nn.LSTMCell(dim, units)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.normal_(0, scale, generator=rng)
    embedding = torch.randn(30, dim, generator=rng) * scale
    tokens = torch.randint(30, (rows,), generator=rng)
    hidden, cell = (torch.randn(rows, units, generator=rng) for _ in range(2))
    return lstm, embedding, tokens, hidden, cell * 3


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("dim", "units"), [(1, 1), (5, 7), (32, 32)])
@pytest.mark.parametrize("scale", [0.3, 40.0])
def test_a_step_is_torchs_and_its_twins(dim, units, scale, threads, torch_threads):
    torch_threads(threads)
    lstm, embedding, tokens, hidden, cell = problem(2 * ROWS + 9, dim, units, scale)
    with torch.no_grad():
        expected = lstm(embedding[tokens], (hidden, cell))
    table = gate_table(embedding, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
    for function in (advance, reference_advance):
        state = hidden.clone(), cell.clone()
        function(tokens, *state, table, lstm.weight_hh)
        for got, wanted in zip(state, expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=5e-6, rtol=1e-5)


def test_unknown_tokens_are_refused():
    lstm, embedding, tokens, hidden, cell = problem(5, 3, 4)
    table = gate_table(embedding, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
    tokens[2] = 30
    with pytest.raises((IndexError, RuntimeError), match="out of range"):
        advance(tokens, hidden, cell, table, lstm.weight_hh)


@pytest.mark.parametrize("gate", range(4))
def test_nan_stays_nan(gate):
    lstm, embedding, tokens, hidden, cell = problem(5, 3, 4)
    table = gate_table(embedding, lstm.weight_ih, lstm.bias_ih + lstm.bias_hh)
    table[:, gate * 4] = torch.nan
    advance(tokens, hidden, cell, table, lstm.weight_hh)
    assert hidden[:, 0].isnan().all()
    assert hidden[:, 1:].isfinite().all()
