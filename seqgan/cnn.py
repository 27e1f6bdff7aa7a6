"""A language model of causal, gated, dilated convolutions (Dauphin et al. 2017; van den Oord et al. 2016).

A layer sees two positions of its input: the current one and one ``dilation`` positions before it, 1, 2, 4, ... from
layer to layer (van den Oord et al. 2016, sec. 2.1), so that the last layer sees everything from the start symbol on.
Its output is a linear function of both, half of which gates the other half (gated linear units, Dauphin et al. 2017,
eq. 1), added to its input. There is neither dropout nor any normalisation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import SequenceSpec
from seqgan.policy import Policy, Read, State, by_rows


class GatedCNN(Policy):
    """A policy that remembers, for each layer, as many of the layer's last inputs as its dilation.

    Its state is the hidden state, (rows, H); these inputs, (rows, S, H), in one ring of 1, 2, 4, ... slots for each
    layer, S in all, zeros where nothing was read; and the number of tokens read, int64 (rows,).

    Args:
        spec: The sequences' shape; there are as many layers as it takes to see T positions, at least one.
        rng: Draws the initial parameters; the model is created on its device.
        embedding_dim: Size of a word embedding.
        hidden_dim: H, channels of every layer.
        init_std: Standard deviation of the embedding and of the output layer's weight; that of all other weights is
            one over the root of their number of inputs, and biases are zero.
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
        depth = max(1, (spec.seq_len - 1).bit_length())
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            self.embedding = nn.Embedding(spec.input_size, embedding_dim)
            self.inward = nn.Linear(embedding_dim, hidden_dim, bias=False)
            self.layers = nn.ModuleList(nn.Linear(2 * hidden_dim, 2 * hidden_dim) for _ in range(depth))
            self.output = nn.Linear(hidden_dim, spec.vocab_size)
        self.to_empty(device=rng.device)
        with torch.no_grad():
            for weight in (self.embedding.weight, self.output.weight):
                weight.normal_(0, init_std, generator=rng)
            for linear in self.linears():
                linear.weight.normal_(0, linear.in_features**-0.5, generator=rng)
            for bias in (self.output.bias, *(linear.bias for linear in self.linears()[1:])):
                bias.zero_()
        self.dilations: Tensor
        self.register_buffer("dilations", 2 ** torch.arange(depth, device=rng.device), persistent=False)

    def linears(self) -> list[nn.Linear]:
        """The projection of embeddings, and the layers."""
        return [self.inward, *(layer for layer in self.layers if isinstance(layer, nn.Linear))]

    def hidden(self, inputs: Tensor) -> Tensor:
        """The hidden state after each token that is read: int64 (B, T) to float32 (B, T, H)."""
        inward, *layers = self.linears()
        known: Tensor = inward(self.embedding(inputs))  # (B, T, H)
        for index, layer in enumerate(layers):
            before = F.pad(known, (0, 0, 2**index, 0))[:, : inputs.shape[1]]  # zeros before the start symbol
            known = known + F.glu(layer(torch.cat([before, known], -1)))
        return known

    def initial_state(self, rows: int) -> State:
        """The state before anything was read: zeros."""
        width, slots = self.output.in_features, 2 ** len(self.layers) - 1
        hidden = torch.zeros(rows, width, device=self.device)
        return hidden, hidden.new_zeros(rows, slots, width), torch.zeros(rows, dtype=torch.long, device=self.device)

    def reader(self) -> Read:
        """Reads one more token per row in place, without gradient, for the parameters as they are now.

        Returns:
            A function of tokens (rows,) and the three parts of a state, which it changes.
        """
        inward, *layers = self.linears()
        table = F.linear(self.embedding.weight, inward.weight).detach()  # (S, H): what is read of each token
        dilations = self.dilations

        def step(tokens: Tensor, hidden: Tensor, memory: Tensor, length: Tensor) -> None:
            # Layer l has the slots from 2^l - 1 on. The one that is written now has what was written 2^l tokens ago.
            slots = dilations - 1 + length[:1] % dilations
            before = memory.index_select(1, slots)  # (R, L, H)
            known, inputs = table.index_select(0, tokens), []
            for index, layer in enumerate(layers):
                inputs.append(known)
                known = known + F.glu(layer(torch.cat([before[:, index], known], -1)))
            memory.index_copy_(1, slots, torch.stack(inputs, 1))
            hidden.copy_(known)
            length += 1

        return by_rows(step)
