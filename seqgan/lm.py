"""The LSTM language model, which generators train by default (Yu et al. 2017, sec. 3; Hochreiter & Schmidhuber 1997).

The shape is that of the released code: embedding, one LSTM layer with one bias per gate, softmax over the vocabulary.
All parameters are drawn from N(0, 0.1): 333,320 parameters at V = 5,000 and 32 units.
"""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor, nn

from bench.api import Decoding, SequenceSpec
from seqgan.kernels.lstm import advance, gate_table, reference_advance
from seqgan.policy import CUDA_SCORING_ROWS, SCORING_ROWS, InitStd, Policy, Read, State

__all__ = ["CUDA_SCORING_ROWS", "SCORING_ROWS", "InitStd", "LSTMLanguageModel", "State", "compile_language_model"]


class LSTMLanguageModel(Policy):
    """A policy that remembers what it has read in the hidden and the cell state of one LSTM layer.

    Its state is both, (rows, hidden_dim) each.

    Args:
        spec: The sequences' shape.
        rng: Draws the initial parameters; the model is created on its device.
        embedding_dim: Size of a word embedding.
        hidden_dim: Size of the LSTM's state.
        init_std: Standard deviation of every initial parameter, biases included.
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
        # Built without values: torch's own initialisation would draw from the global random state.
        with torch.device("meta"):
            self.embedding = nn.Embedding(spec.input_size, embedding_dim)
            self.lstm = nn.LSTM(embedding_dim, hidden_dim, batch_first=True)
            self.output = nn.Linear(hidden_dim, spec.vocab_size)
        self.to_empty(device=rng.device)
        self.lstm.flatten_parameters()  # one block of memory, as cuDNN wants it
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, init_std, generator=rng)
            # torch's LSTM has two biases per gate where the paper's has one.
            self.lstm.all_weights[0][3].zero_().requires_grad_(False)

    def hidden(self, inputs: Tensor) -> Tensor:
        """The hidden state after each token that is read: int64 (B, T) to float32 (B, T, H)."""
        hidden: Tensor = self.lstm(self.embedding(inputs))[0]
        return hidden

    def initial_state(self, rows: int) -> State:
        """The state before anything was read: zeros, (rows, H)."""
        hidden, cell = torch.zeros(2, rows, self.lstm.hidden_size, device=self.device)
        return hidden, cell

    def read(self, tokens: Tensor, state: State) -> State:
        """The state after reading one more token per row: int64 (rows,)."""
        input_weight, recurrent_weight, bias, no_bias = self.lstm.all_weights[0]
        return torch.lstm_cell(self.embedding(tokens), state, input_weight, recurrent_weight, bias, no_bias)

    def reader(self) -> Read:
        """:meth:`read` in place, without gradient, for the parameters as they are now.

        Returns:
            A function of tokens (rows,), hidden state and cell state, (rows, H) each, which it changes.
        """
        input_weight, recurrent_weight, bias, no_bias = self.lstm.all_weights[0]
        table = gate_table(self.embedding.weight, input_weight, bias + no_bias)
        step = reference_advance if table.is_cuda else advance

        def read(tokens: Tensor, hidden: Tensor, cell: Tensor) -> None:
            step(tokens, hidden, cell, table, recurrent_weight)

        return read

    def copied(self) -> Policy:
        """A copy with parameters of its own, in one block of memory again."""
        model = copy.deepcopy(self)
        model.lstm.flatten_parameters()
        return model


@lru_cache
def compile_language_model(device: torch.device) -> None:
    """Run the compiled loops once per process, on sentences of two words; on CUDA nothing is compiled."""
    if device.type == "cpu":
        rng = torch.Generator().manual_seed(0)
        model = LSTMLanguageModel(SequenceSpec(2, 2, bos=0), rng, 1, 1)
        tokens = model.sample(4, Decoding(), rng)
        model.weighted_nll(tokens, torch.ones(4, 2))[0].backward()
        model.log_prob(tokens)
