"""What generators, rollouts and policy gradient need of a policy, and what all policies share.

A policy reads a sequence from left to right: ``bos``, and then each token before the one that it predicts. A network is
two things: the hidden states of complete sequences at once (:meth:`Policy.hidden`), for training and scoring, and the
same one token at a time from what it remembers (:meth:`Policy.reader`), for sampling and rollouts. All else, losses,
densities, draws, end marks, is the same for all networks, and is here.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, TypeAlias

import torch
import torch.nn.functional as F
from annotated_types import Interval
from torch import Tensor, nn

from bench.api import Decoding, SequenceSpec
from seqgan.kernels.cross_entropy import log_softmax_at, weighted_nll
from seqgan.kernels.execution import State, concurrently
from seqgan.kernels.sampling import reference_sample_tokens, sample_tokens, truncate

__all__ = ["InitStd", "Policy", "Read", "State", "by_rows", "reference_complete"]

InitStd = Annotated[float, Interval(ge=0, le=10)]
"""Range of a field: standard deviation of initial parameters. At 1, gates are saturated already."""

Read: TypeAlias = Callable[..., None]
"""Reads one more token per row: int64 (rows,) and the parts of a state, which it changes in place."""

SCORING_ROWS = 256
"""Sequences scored at a time on the CPU."""
CUDA_SCORING_ROWS = 1_024
"""Sequences scored at a time on CUDA: at T = 20 and V = 5,000 their logits are 410 MB."""
READING_ROWS = 256
"""Rows that read a token at a time on the CPU (:func:`by_rows`): at 128 numbers a row they are 128 KB."""


class Policy(nn.Module):
    """p(y_1..y_T) = prod_t softmax(W h_t + b)[y_t], with h_t the hidden state after reading bos, y_1 .. y_{t-1}.

    A state is a tuple of tensors with rows first, which may be repeated, selected and put together row by row; all rows
    that are read together have read equally many tokens. Its first part is the hidden state h_t, float32 (rows, H).

    Attributes:
        spec: The sequences' shape.
        embedding: Of all symbols that can be read.
        output: From a hidden state to the logits of the vocabulary.
    """

    spec: SequenceSpec
    embedding: nn.Embedding
    output: nn.Linear

    @abstractmethod
    def hidden(self, inputs: Tensor) -> Tensor:
        """The hidden state after each token that is read: int64 (B, T), ``bos`` first, to float32 (B, T, H)."""

    @abstractmethod
    def initial_state(self, rows: int) -> State:
        """The state before anything was read; its parts are (rows, ...) and share no memory."""

    @abstractmethod
    def reader(self) -> Read:
        """Reads one more token per row, without gradient, with the parameters as they are now.

        Returns:
            A function of tokens, int64 (rows,), and the parts of a state, which it changes in place.
        """

    def read(self, tokens: Tensor, state: State) -> State:
        """The state after reading one more token per row, int64 (rows,); the given one is not changed."""
        state = tuple(part.clone() for part in state)
        self.reader()(tokens, *state)
        return state

    def copied(self) -> Policy:
        """A copy with parameters of its own."""
        return copy.deepcopy(self)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return self.output.weight.device

    def forward(self, inputs: Tensor) -> Tensor:
        """Next-token logits: int64 (B, T), the tokens read, ``bos`` first, to float (B, T, V)."""
        logits: Tensor = self.output(self.hidden(inputs))
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
        hidden = self.hidden(self.shift(tokens) if inputs is None else inputs)  # (B, T, H)
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
            hidden = self.hidden(self.shift(rows))  # (B, T, H)
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
        return torch.log_softmax(self.output(self.hidden(inputs)[:, -1]), -1).cpu()

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
        state = self.initial_state(n)
        last = torch.full((n,), self.spec.bos, device=self.device)
        ended = torch.zeros(n, dtype=torch.bool, device=self.device)
        read = self.reader()
        for t in range(self.spec.seq_len):
            read(last, *state)
            if states is not None:
                states.append(tuple(part.clone() for part in state))
            last = self.write(state[0], ended, rng, decoding)
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


def by_rows(step: Read) -> Read:
    """A reader that goes through chunks of rows, which stay in cache, on all threads; on CUDA all rows at once.

    Args:
        step: A reader whose state ends with the number of tokens read, int64 (rows,): the same in all rows.

    Raises:
        ValueError: by the reader on the CPU, if rows have not read equally many tokens.
    """

    @torch.no_grad()
    def read(tokens: Tensor, *state: Tensor) -> None:
        if tokens.is_cuda:
            step(tokens, *state)
            return
        if bool((state[-1] != state[-1][:1]).any()):
            raise ValueError("expected rows that have read equally many tokens")

        def chunk(start: int) -> None:
            rows = slice(start, start + READING_ROWS)
            step(tokens[rows], *(part[rows] for part in state))

        concurrently(chunk, range(0, len(tokens), READING_ROWS))

    return read


@torch.no_grad()
def reference_complete(policy: Policy, prefixes: Tensor, rng: torch.Generator) -> Tensor:
    """Finish each prefix once, in plain torch: the twin of sampling and of rollouts from states.

    Before every word the whole prefix is read again from the start, and the word is drawn by ``torch.multinomial``.

    Args:
        policy: Writes the completions.
        prefixes: int64, (N, k), for one k from 0 to T.
        rng: The only source of randomness.

    Returns:
        int64, (N, T).
    """
    tokens, ended = prefixes, torch.zeros(len(prefixes), dtype=torch.bool, device=prefixes.device)
    if policy.spec.eos is not None:
        ended |= (prefixes == policy.spec.eos).any(-1)
    for _ in range(policy.spec.seq_len - prefixes.shape[1]):
        inputs = F.pad(tokens, (1, 0), value=policy.spec.bos)
        law = torch.softmax(policy.output(policy.hidden(inputs)[:, -1]), -1)
        chosen = policy.finish(torch.multinomial(law, 1, generator=rng)[:, 0], ended)
        tokens = torch.cat([tokens, chosen[:, None]], 1)
    return tokens
