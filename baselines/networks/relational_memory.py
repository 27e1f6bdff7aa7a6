"""A language model whose recurrence is a relational memory in place of an LSTM (Santoro et al. 2018).

The memory is a few rows. In each step they attend to themselves and to the word that was read, and a gated update mixes
the result into them. This is the network of RelGAN (Nie, Narodytska and Patel 2019); settings are those of its released
code (weilinie/RelGAN).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

from bench.api import SequenceSpec
from seqgan.policy import Policy, Read, State

Item: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""What the memory reads of one word: keys and values, (..., heads, head_size), and gates, (..., 2 M)."""

FORGET_BIAS = 1.0
"""Added to the forget gates before the sigmoid; nothing is added to the input gates."""


class RelationalMemory(nn.Module):
    """Multi-head attention over the memory's rows and one word, and a gated update.

    M = heads x head_size is the width of a row. Only rows of the memory ask; the word, whose own new row would be
    dropped, is asked alone. So keys, values and gates of a word do not depend on the memory, and those of a whole
    sequence are computed together (:meth:`project`).

    Args:
        input_dim: E, size of a word embedding.
        slots: S, rows of the memory.
        heads: Number of attention heads.
        head_size: Size of a query, a key and a value.
    """

    def __init__(self, input_dim: int, slots: int, heads: int, head_size: int) -> None:
        super().__init__()
        self.slots, self.heads, self.head_size = slots, heads, head_size
        self.width = M = heads * head_size
        self.hidden_size = slots * M
        self.input = nn.Linear(input_dim, M)
        self.attention = nn.Linear(M, 3 * M, bias=False)
        self.attention_norm = nn.LayerNorm(3 * M)
        self.attended_norm = nn.LayerNorm(M)
        self.mlp = nn.Sequential(nn.Linear(M, M), nn.ReLU(), nn.Linear(M, M))
        self.mlp_norm = nn.LayerNorm(M)
        self.input_gates = nn.Linear(M, 2 * M, bias=False)
        self.memory_gates = nn.Linear(M, 2 * M, bias=False)

    def initial(self, rows: int) -> Tensor:
        """The memory before anything was read: different rows of the identity for all slots, (rows, S, M)."""
        return torch.eye(self.slots, self.width, device=self.input.weight.device).repeat(rows, 1, 1)

    def project(self, words: Tensor) -> Item:
        """Keys, values and gates of embedded words, (..., E)."""
        inputs = self.input(words)
        _, keys, values = self._attention(inputs)
        return keys, values, self.input_gates(inputs)

    def step(self, item: Item, memory: Tensor) -> Tensor:
        """The memory after reading one more word per row: (B, S, M) to (B, S, M)."""
        keys, values, gates = item
        asked, own_keys, own_values = (part.transpose(1, 2) for part in self._attention(memory))  # (B, heads, S, D)
        scale = (3 * self.head_size) ** -0.5
        if self.slots == 1:  # a softmax over two is a sigmoid of their difference
            keys, values = keys[:, :, None] - own_keys, values[:, :, None] - own_values
            attended = own_values + torch.sigmoid((asked * keys).sum(-1, keepdim=True) * scale) * values
        else:
            keys = torch.cat([own_keys, keys[:, :, None]], 2)  # (B, heads, S + 1, D)
            values = torch.cat([own_values, values[:, :, None]], 2)
            attended = torch.softmax(asked @ keys.transpose(2, 3) * scale, -1) @ values
        changed = self.attended_norm(memory + attended.transpose(1, 2).flatten(2))
        changed = self.mlp_norm(changed + self.mlp(changed))
        put, kept = (gates[:, None] + self.memory_gates(memory.tanh())).chunk(2, -1)
        updated: Tensor = torch.sigmoid(put) * changed.tanh() + torch.sigmoid(kept + FORGET_BIAS) * memory
        return updated

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Read embedded sequences, (B, T, E): the memory after each word, (B, T, S M), and after all, (B, S, M)."""
        memory, found = self.initial(len(words)), []
        for item in zip(*(part.unbind(1) for part in self.project(words)), strict=True):
            memory = self.step(item, memory)
            found.append(memory.flatten(1))
        return torch.stack(found, 1), memory

    def _attention(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, (..., heads, head_size) each, of rows, (..., M)."""
        together: Tensor = self.attention_norm(self.attention(rows))
        parts: tuple[Tensor, ...] = together.unflatten(-1, (self.heads, 3 * self.head_size)).split(self.head_size, -1)
        return parts


def reference_step(memory: RelationalMemory, words: Tensor, before: Tensor) -> Tensor:
    """The twin of :meth:`RelationalMemory.step`, in which the word is a row of the memory until the end.

    Args:
        memory: The parameters.
        words: float, (B, E), embedded.
        before: float, (B, S, M).

    Returns:
        float, (B, S, M).
    """
    heads, D = memory.heads, memory.head_size
    inputs = memory.input(words)
    rows = torch.cat([before, inputs[:, None]], 1)  # (B, S + 1, M)
    together = memory.attention_norm(memory.attention(rows)).reshape(*rows.shape[:2], heads, 3 * D)
    queries, keys, values = together[..., :D], together[..., D : 2 * D], together[..., 2 * D :]
    weights = torch.softmax(torch.einsum("bihd,bjhd->bhij", queries / math.sqrt(3 * D), keys), -1)
    attended = torch.einsum("bhij,bjhd->bihd", weights, values).reshape(rows.shape)
    rows = memory.attended_norm(rows + attended)
    rows = memory.mlp_norm(rows + memory.mlp(rows))
    put, kept = (memory.input_gates(inputs)[:, None] + memory.memory_gates(torch.tanh(before))).chunk(2, -1)
    return torch.sigmoid(put) * torch.tanh(rows[:, :-1]) + torch.sigmoid(kept + FORGET_BIAS) * before


class RelationalLanguageModel(Policy):
    """A policy that remembers what it has read in a relational memory, which is all of its state, (rows, S M).

    The way in which a batch is drawn for a discriminator is :meth:`perturbed`.

    Args:
        spec: The sequences' shape.
        rng: Draws the initial parameters; the model is created on its device.
        embedding_dim: Size of a word embedding.
        slots: Rows of the memory.
        heads: Number of attention heads.
        head_size: Size of a head; a row of the memory has heads x head_size numbers.

    Initial matrices are normal with standard deviation 1 / sqrt(inputs), truncated at two of these; for the embedding
    the inputs are the V words. Biases are zero.
    """

    def __init__(
        self,
        spec: SequenceSpec,
        rng: torch.Generator,
        embedding_dim: int = 32,
        slots: int = 1,
        heads: int = 2,
        head_size: int = 256,
    ) -> None:
        super().__init__()
        self.spec = spec
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            self.embedding = nn.Embedding(spec.input_size, embedding_dim)
            self.memory = RelationalMemory(embedding_dim, slots, heads, head_size)
            self.output = nn.Linear(self.memory.hidden_size, spec.vocab_size)
        self.to_empty(device=rng.device)
        draw_parameters(self, rng)

    def hidden(self, inputs: Tensor) -> Tensor:
        """The memory after each token that is read: int64 (B, T) to float32 (B, T, S M)."""
        hidden: Tensor = self.memory(self.embedding(inputs))[0]
        return hidden

    def initial_state(self, rows: int) -> State:
        """The state before anything was read: the memory, (rows, S M)."""
        return (self.memory.initial(rows).flatten(1),)

    def read(self, tokens: Tensor, state: State) -> State:
        """The state after reading one more token per row, int64 (rows,), with its gradient."""
        memory = state[0].unflatten(1, (self.memory.slots, self.memory.width))
        return (self.memory.step(self.memory.project(self.embedding(tokens)), memory).flatten(1),)

    def reader(self) -> Read:
        """:meth:`read` in place, without gradient."""

        @torch.no_grad()
        def read(tokens: Tensor, memory: Tensor) -> None:
            memory.copy_(self.read(tokens, (memory,))[0])

        return read

    def perturbed(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw n sequences by the Gumbel-max trick, and keep what each token was the greatest of.

        The token is the argmax of logits plus Gumbel noise, so it has the law of their softmax (Gumbel 1954; Maddison
        et al. 2014), and it is what the model reads next. Gradients flow through the logits, never through the choice.

        Returns:
            tokens, int64 (n, T), with pad after eos, and the logits with their noise, float (n, T, V), where positions
            after eos are arbitrary.
        """
        noise = gumbel((n, self.spec.seq_len, self.spec.vocab_size), rng).unbind(1)
        tokens, scores = [], []
        state = self.initial_state(n)
        last = torch.full((n,), self.spec.bos, device=self.device)
        ended = torch.zeros(n, dtype=torch.bool, device=self.device)
        for added in noise:
            state = self.read(last, state)
            scores.append(self.output(state[0]) + added)
            last = self.finish(scores[-1].detach().argmax(-1), ended)
            tokens.append(last)
        return torch.stack(tokens, 1), torch.stack(scores, 1)


def gumbel(shape: tuple[int, ...], rng: torch.Generator) -> Tensor:
    """Standard Gumbel noise, float32: minus the log of Exp(1).

    The uniform numbers have 53 bits. With the 24 of float32 no number would exceed 16.6, and the highest ones would be
    few different ones, of which the rarest words would get less than their share.
    """
    uniforms = torch.rand(shape, generator=rng, dtype=torch.double, device=rng.device)
    return uniforms.log_().neg_().float().log_().neg_()


@torch.no_grad()
def draw_parameters(model: nn.Module, rng: torch.Generator) -> None:
    """Initial parameters of linear layers, embeddings and layer norms, as RelGAN's released code has them."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            inputs = module.in_features if isinstance(module, nn.Linear) else module.num_embeddings
            std = inputs**-0.5
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std, generator=rng)
            if isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
