"""A small causal transformer (Vaswani et al. 2017), with its norms first and learned positions (Radford et al. 2019).

Embedding plus position, two blocks of attention to what was read and a layer of four times the width, each added to
its input, and a last norm. There is no dropout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import SequenceSpec
from seqgan.policy import Policy, Read, State, by_rows

BLOCKS = 2
"""Number of blocks."""
WIDER = 4
"""Width of the layer inside a block, in widths of the block."""
LEAST_UNITS = 16
"""A head has at least this many units."""


class Block(nn.Module):
    """Attention and a wider layer, each after a norm and added to its input; parameters without values.

    Args:
        width: H.
        heads: Number of heads, which divides H.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asking = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.wide = nn.Linear(width, WIDER * width)
        self.narrow = nn.Linear(WIDER * width, width)

    def questions(self, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head: (R, T, H) to (R, heads, T, H / heads) each."""
        asked = self.asking(self.first(known)).unflatten(-1, (3, self.heads, -1))  # (R, T, 3, heads, D)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        return query, key, value

    def forward(self, known: Tensor, query: Tensor, keys: Tensor, values: Tensor, hides: Tensor) -> Tensor:
        """The block's output.

        Args:
            known: (R, Q, H), its input at Q positions.
            query: (R, heads, Q, D), of these positions.
            keys: (R, heads, T, D), of all positions.
            values: (R, heads, T, D), of all positions.
            hides: bool, (Q, T), True where a position may not look.

        Returns:
            (R, Q, H).
        """
        scores = query @ keys.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (R, heads, Q, T)
        law = torch.softmax(scores.masked_fill(hides, -math.inf), -1)
        known = known + self.answer((law @ values).transpose(1, 2).flatten(2))
        wider: Tensor = self.narrow(F.gelu(self.wide(self.second(known))))
        return known + wider


class Transformer(Policy):
    """A policy that remembers the keys and values of all that it has read.

    Its state is the hidden state, (rows, H); the keys and the values of each block, (rows, heads, T, H / heads) each,
    zeros where nothing was read; and the number of tokens read, int64 (rows,).

    Args:
        spec: The sequences' shape; there are T positions, and no more can be read.
        rng: Draws the initial parameters; the model is created on its device.
        embedding_dim: Size of a word embedding.
        hidden_dim: H, the width; there are as many heads as divide it and have 16 units each, or one.
        init_std: Standard deviation of embeddings, positions and the output layer's weight. That of all other weights
            is one over the root of their number of inputs, and again over the root of the number of additions for
            those before an addition (Radford et al. 2019, sec. 2.3); biases are zero.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        rng: torch.Generator,
        embedding_dim: int = 32,
        hidden_dim: int = 32,
        init_std: float = 0.1,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.heads = heads_of(hidden_dim)
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            self.embedding = nn.Embedding(spec.input_size, embedding_dim)
            self.inward = nn.Linear(embedding_dim, hidden_dim, bias=False)
            self.position = nn.Embedding(spec.seq_len, hidden_dim)
            self.blocks = nn.ModuleList(Block(hidden_dim, self.heads) for _ in range(BLOCKS))
            self.last = nn.LayerNorm(hidden_dim)
            self.output = nn.Linear(hidden_dim, spec.vocab_size)
        self.to_empty(device=rng.device)
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Embedding):
                    module.weight.normal_(0, init_std, generator=rng)
                elif isinstance(module, nn.Linear):
                    scale = init_std if module is self.output else module.in_features**-0.5
                    module.weight.normal_(0, scale, generator=rng)
                elif isinstance(module, nn.LayerNorm):
                    module.weight.fill_(1)
                if isinstance(module, nn.Linear | nn.LayerNorm) and module.bias is not None:
                    module.bias.zero_()
            for block in self.layers():
                for linear in (block.answer, block.narrow):
                    linear.weight.div_(math.sqrt(2 * BLOCKS))

    def layers(self) -> list[Block]:
        """The blocks."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def hidden(self, inputs: Tensor) -> Tensor:
        """The hidden state after each token that is read: int64 (B, T) to float32 (B, T, H)."""
        length = inputs.shape[1]
        known = self.inward(self.embedding(inputs)) + self.position.weight[:length]  # (B, T, H)
        later = torch.ones(length, length, dtype=torch.bool, device=self.device).triu(1)
        for block in self.layers():
            known = block(known, *block.questions(known), later)
        hidden: Tensor = self.last(known)
        return hidden

    def initial_state(self, rows: int) -> State:
        """The state before anything was read: zeros."""
        hidden = torch.zeros(rows, self.output.in_features, device=self.device)
        shape = (rows, self.heads, self.spec.seq_len, self.output.in_features // self.heads)
        length = torch.zeros(rows, dtype=torch.long, device=self.device)
        return hidden, *(hidden.new_zeros(shape) for _ in range(2 * BLOCKS)), length

    def reader(self) -> Read:
        """Reads one more token per row in place, without gradient, for the parameters as they are now.

        Returns:
            A function of tokens (rows,) and the parts of a state, which it changes.
        """
        table = F.linear(self.embedding.weight, self.inward.weight).detach()  # (S, H): what is read of each token
        numbers = torch.arange(self.spec.seq_len, device=self.device)

        def step(tokens: Tensor, hidden: Tensor, *memory: Tensor) -> None:
            *parts, length = memory
            here = length[:1]
            known = (table.index_select(0, tokens) + self.position(here))[:, None]  # (R, 1, H)
            later = (numbers > here)[None]  # (1, T)
            for block, keys, values in zip(self.layers(), parts[::2], parts[1::2], strict=True):
                query, key, value = block.questions(known)
                keys.index_copy_(2, here, key)
                values.index_copy_(2, here, value)
                known = block(known, query, keys, values, later)
            hidden.copy_(self.last(known)[:, 0])
            length += 1

        return by_rows(step)


def heads_of(width: int) -> int:
    """The largest number of heads of one size that have at least 16 units each; one if there is none."""
    return max((heads for heads in range(1, width // LEAST_UNITS + 1) if width % heads == 0), default=1)
