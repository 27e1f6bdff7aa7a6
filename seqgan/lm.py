"""The LSTM language model that every in-tree generator trains (Yu et al. 2017, sec. 3; Hochreiter & Schmidhuber 1997).

The shape is that of the released code: embedding, one LSTM layer with one bias per gate, softmax over the vocabulary.
All parameters are drawn from N(0, 0.1): 333,320 parameters at V = 5,000 and 32 units.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, TypeAlias

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from bench.api import Decoding, SequenceSpec
from seqgan.kernels.cross_entropy import log_softmax_at, weighted_nll
from seqgan.kernels.execution import concurrently
from seqgan.kernels.lstm import advance, gate_table, reference_advance
from seqgan.kernels.sampling import reference_sample_tokens, sample_tokens, truncate

State: TypeAlias = tuple[Tensor, Tensor]
"""Hidden and cell state, each (rows, hidden_dim), after reading a prefix."""

InitStd = Annotated[float, Interval(ge=0, le=10)]
"""Range of a field: standard deviation of initial parameters. At 1, gates are saturated already."""

SCORING_ROWS = 256
"""Sequences scored at a time on the CPU."""
CUDA_SCORING_ROWS = 1_024
"""Sequences scored at a time on CUDA: at T = 20 and V = 5,000 their logits are 410 MB."""


class LSTMLanguageModel(nn.Module):
    """p(y_1..y_T) = prod_t softmax(W h_t + b)[y_t], with h_t the state after reading bos, y_1 .. y_{t-1}.

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

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.output.weight.device

    def forward(self, inputs: Tensor) -> Tensor:
        """Next-token logits: int64 (B, T), the tokens read, ``bos`` first, to float (B, T, V)."""
        hidden, _ = self.lstm(self.embedding(inputs))  # (B, T, H)
        logits: Tensor = self.output(hidden)
        return logits

    def weighted_nll(self, tokens: Tensor, weights: Tensor, inputs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The loss of every generator: ``-sum(weights * token_log_prob)``.

        Args:
            tokens: int64, (B, T).
            weights: float32, (B, T): one over the number of tokens for maximum likelihood, action values for policy
                gradient. Weights after the end of a sequence are not read.
            inputs: int64, (B, T), what the model reads instead of ``bos`` and the true tokens: scheduled sampling's
                mixture of true tokens and the model's own.

        Returns:
            The sum, a scalar that carries the gradient, and the log-probabilities, (B, T), without gradient.
        """
        positions = self.positions(tokens)
        if tokens.is_cuda:  # where all positions are computed
            weights = weights.where(self.spec.mask(tokens), 0.0)
        hidden, _ = self.lstm(self.embedding(self.shift(tokens) if inputs is None else inputs))  # (B, T, H)
        loss, log_prob = weighted_nll(
            hidden.flatten(0, 1)[positions],
            self.output.weight,
            self.output.bias,
            tokens.flatten()[positions],
            weights.flatten()[positions],
        )
        return loss, self.scattered(log_prob, positions, tokens)

    @torch.no_grad()
    def token_log_prob(self, tokens: Tensor, temperature: float = 1.0) -> Tensor:
        """Log-probability of every token given the true tokens before it (teacher forcing), without gradient.

        Args:
            tokens: int64, (N, T).
            temperature: Logits are divided by it.

        Returns:
            float32, (N, T), on the CPU, in nats; zero after the end of a sequence.
        """
        weight, bias = self.output.weight / temperature, self.output.bias / temperature
        size = CUDA_SCORING_ROWS if weight.is_cuda else SCORING_ROWS

        def score(rows: Tensor) -> Tensor:
            hidden, _ = self.lstm(self.embedding(self.shift(rows)))  # (B, T, H)
            positions = self.positions(rows)
            log_prob = log_softmax_at(hidden.flatten(0, 1)[positions], weight, bias, rows.flatten()[positions])
            return self.scattered(log_prob, positions, rows)

        return torch.cat(concurrently(score, tokens.to(self.device).split(size))).cpu()

    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float32 (N,) on the CPU, nats, up to and including eos."""
        return self.token_log_prob(tokens).sum(-1)

    @torch.no_grad()
    def next_token_log_probs(self, prefixes: Tensor) -> Tensor:
        """Log-probability of every word after each prefix, int64 (N, k) to float32 (N, V) on the CPU, nats; k may be 0.

        Prefixes have not ended.
        """
        inputs = F.pad(prefixes.to(self.device), (1, 0), value=self.spec.bos)  # (N, k + 1)
        hidden, _ = self.lstm(self.embedding(inputs))
        return torch.log_softmax(self.output(hidden[:, -1]), -1).cpu()

    def positions(self, tokens: Tensor) -> Tensor | slice:
        """Index into ``tokens.flatten()`` of the positions that count; only these need logits.

        On CUDA all positions: the host would have to wait for the device to know which count.
        """
        if self.spec.eos is None or tokens.is_cuda:
            return slice(None)
        return self.spec.mask(tokens).flatten().nonzero()[:, 0]

    def scattered(self, values: Tensor, positions: Tensor | slice, tokens: Tensor) -> Tensor:
        """Put the values at ``positions`` back into the shape of the tokens, (B, T), with zeros where none counts."""
        if self.spec.eos is not None and isinstance(positions, slice):
            return values.view_as(tokens).where(self.spec.mask(tokens), 0.0)
        whole = values.new_zeros(tokens.numel())
        whole[positions] = values
        return whole.view_as(tokens)

    def shift(self, tokens: Tensor) -> Tensor:
        """What the model reads to predict ``tokens``: ``bos`` and all but the last, (B, T)."""
        return F.pad(tokens[:, :-1], (1, 0), value=self.spec.bos)

    def initial_state(self, rows: int) -> State:
        """The state before anything was read: zeros, (rows, H)."""
        zeros = torch.zeros(rows, self.lstm.hidden_size, device=self.device)
        return zeros, zeros

    def read(self, tokens: Tensor, state: State) -> State:
        """The state after reading one more token per row: int64 (rows,)."""
        input_weight, recurrent_weight, bias, no_bias = self.lstm.all_weights[0]
        return torch.lstm_cell(self.embedding(tokens), state, input_weight, recurrent_weight, bias, no_bias)

    def reader(self) -> Callable[[Tensor, Tensor, Tensor], None]:
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

    def choose(self, hidden: Tensor, rng: torch.Generator, decoding: Decoding = Decoding()) -> Tensor:  # noqa: B008
        """Draw the next token of each row from its hidden state: float (rows, H) to int64 (rows,)."""
        weight, bias = self.output.weight, self.output.bias
        if decoding.top_k is None and decoding.top_p is None:
            return sample_tokens(hidden, weight, bias, rng, decoding.temperature)[:, 0]
        logits = torch.addmm(bias, hidden, weight.t()) / decoding.temperature
        uniforms = torch.rand(len(hidden), generator=rng, device=hidden.device)
        return reference_sample_tokens(truncate(logits, decoding.top_k, decoding.top_p), uniforms)

    def choose_several(self, hidden: Tensor, rng: torch.Generator, draws: int) -> Tensor:
        """Draw several next tokens for each row, independently: float (rows, H) to int64 (rows, draws)."""
        return sample_tokens(hidden, self.output.weight, self.output.bias, rng, draws=draws)

    @torch.no_grad()
    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T) on the model's device; positions after eos hold pad."""
        return self._draw(n, rng, decoding, None)

    @torch.no_grad()
    def sample_with_states(
        self,
        n: int,
        rng: torch.Generator,
        decoding: Decoding = Decoding(),  # noqa: B008
    ) -> tuple[Tensor, list[State]]:
        """Draw n sequences and keep the model's state at each position.

        Returns:
            tokens, int64 (n, T), and a list of T states; the t-th is the state from which token t was drawn, that is
            after reading bos and the t tokens before it.
        """
        states: list[State] = []
        return self._draw(n, rng, decoding, states), states

    def _draw(self, n: int, rng: torch.Generator, decoding: Decoding, states: list[State] | None) -> Tensor:
        tokens = torch.empty(n, self.spec.seq_len, dtype=torch.long, device=self.device)
        hidden, cell = torch.zeros(2, n, self.lstm.hidden_size, device=self.device)
        last = torch.full((n,), self.spec.bos, device=self.device)
        ended = torch.zeros(n, dtype=torch.bool, device=self.device)
        read = self.reader()
        for t in range(self.spec.seq_len):
            read(last, hidden, cell)
            if states is not None:
                states.append((hidden.clone(), cell.clone()))
            last = self.write(hidden, ended, rng, decoding)
            tokens[:, t] = last
        return tokens

    def write(
        self,
        hidden: Tensor,
        ended: Tensor,
        rng: torch.Generator,
        decoding: Decoding = Decoding(),  # noqa: B008
    ) -> Tensor:
        """:meth:`choose` where a sequence goes on and pad where it has ended; updates ``ended`` as :meth:`finish` does.

        On the CPU nothing is computed for sequences that have ended; on CUDA the host would have to wait for the device
        to know which they are.
        """
        if self.spec.eos is None or hidden.is_cuda:
            return self.finish(self.choose(hidden, rng, decoding), ended)
        chosen = torch.zeros_like(ended, dtype=torch.long)
        chosen[~ended] = self.choose(hidden[~ended], rng, decoding)
        return self.finish(chosen, ended)

    def finish(self, chosen: Tensor, ended: Tensor) -> Tensor:
        """Put pad where a sequence has ended already, and mark in ``ended`` (in place) those that end now."""
        if self.spec.eos is None or self.spec.pad is None:
            return chosen
        chosen = chosen.masked_fill(ended, self.spec.pad)
        ended |= chosen == self.spec.eos
        return chosen


@lru_cache
def compile_language_model(device: torch.device) -> None:
    """Run the compiled loops once per process, on sentences of two words; on CUDA nothing is compiled."""
    if device.type == "cpu":
        rng = torch.Generator().manual_seed(0)
        model = LSTMLanguageModel(SequenceSpec(2, 2, bos=0), rng, 1, 1)
        tokens = model.sample(4, Decoding(), rng)
        model.weighted_nll(tokens, torch.ones(4, 2))[0].backward()
        model.log_prob(tokens)
