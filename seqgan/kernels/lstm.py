"""Steps of an LSTM over many rows, one token at a time, as in sampling: on the CPU, in place.

What a token adds to the gates is the same whenever it is read, so it is looked up in a table of all tokens. Chunks of
rows go through gather, matrix product and non-linearities while they are in cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from seqgan.kernels.threads import across_threads, parts

ROWS = 512
"""Rows per chunk: 512 x 128 gates are 256 KB."""


def gate_table(embedding: Tensor, input_weight: Tensor, bias: Tensor) -> Tensor:
    """What each token adds to the gates: (S, E), (4 H, E), (4 H,) to float32 (S, 4 H), without gradient."""
    return F.linear(embedding.detach(), input_weight.detach(), bias.detach())


@torch.no_grad()
def advance(tokens: Tensor, hidden: Tensor, cell: Tensor, table: Tensor, recurrent_weight: Tensor) -> None:
    """Read one more token per row.

    Args:
        tokens: int64, (R,).
        hidden: float32, (R, H), changed in place.
        cell: float32, (R, H), changed in place.
        table: float32, (S, 4 H), from :func:`gate_table`.
        recurrent_weight: float32, (4 H, H).

    Raises:
        IndexError: for a token outside [0, S).
    """
    from seqgan.kernels.softmax import pass_gates

    columns = recurrent_weight.detach().t()

    def read(rows: slice) -> None:
        for start in range(rows.start, rows.stop, ROWS):
            chunk = slice(start, min(start + ROWS, rows.stop))
            gates = table.index_select(0, tokens[chunk]).addmm_(hidden[chunk], columns)
            pass_gates(gates.numpy(), hidden[chunk].numpy(), cell[chunk].numpy())

    across_threads(read, parts(len(tokens), ROWS))


@torch.no_grad()
def reference_advance(tokens: Tensor, hidden: Tensor, cell: Tensor, table: Tensor, recurrent_weight: Tensor) -> None:
    """The same in plain torch; used on CUDA."""
    gates = table[tokens] + hidden @ recurrent_weight.t()
    i, f, g, o = gates.chunk(4, dim=1)
    cell.copy_(torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g))
    hidden.copy_(torch.sigmoid(o) * torch.tanh(cell))
