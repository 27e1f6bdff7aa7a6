"""Maximum likelihood and policy gradient of several seeds' language models, a step of all at once (``--pack``).

:func:`descent` is the twin of :func:`seqgan.mle.descend` down :meth:`seqgan.policy.Policy.weighted_nll`. Tensors have
one dimension more in front: K, a row for each place of the pack. Products are batched over K, and an embedding is
looked up in the table of its row. Clipping and Adam stay each member's own.

Sampling, rollouts and judging are not here: they fill a device without help.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seqgan.kernels.execution import Step, awaited, recorded
from seqgan.kernels.packing import Parameters, Seat, Stack, give, require_words, rows_of
from seqgan.lm import LSTMLanguageModel


def lstm(parameters: Parameters, read: Tensor) -> Tensor:
    """The hidden state after each token that is read: int64 (K, B, T) to float32 (K, B, T, H)."""
    words = rows_of(parameters["embedding.weight"], read)  # (K, B, T, E)
    inward, bias = parameters["lstm.weight_ih_l0"], parameters["lstm.bias_ih_l0"]
    recurrent = parameters["lstm.weight_hh_l0"].mT  # (K, H, 4 H)
    gates = torch.baddbmm(bias[:, None], words.flatten(1, 2), inward.mT).unflatten(1, read.shape[1:])
    hidden = cell = gates.new_zeros(*read.shape[:2], recurrent.shape[1])
    states = []
    for t in range(read.shape[2]):
        i, f, g, o = torch.baddbmm(gates[:, :, t], hidden, recurrent).chunk(4, 2)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
        hidden = torch.sigmoid(o) * torch.tanh(cell)
        states.append(hidden)
    return torch.stack(states, 2)


def token_log_prob(parameters: Parameters, read: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each token after those that are read: int64 (K, B, T), twice, to float32 (K, B, T)."""
    hidden = lstm(parameters, read).flatten(1, 2)  # (K, B T, H)
    logits = torch.baddbmm(parameters["output.bias"][:, None], hidden, parameters["output.weight"].mT)
    return -F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)


def descent(stack: Stack, seats: Sequence[Seat | None], clip_norm: float) -> Step:
    """:func:`seqgan.mle.descend` of the language models of all seats.

    Returns:
        A function of tokens, int64 (K, B, T), weights, float32 (K, B, T), and optionally what is read instead of the
        true tokens, to the log-probabilities before the step, (K, B, T), and the norms before clipping, (K,).
    """
    model = next(seat.model for seat in seats if seat is not None)
    assert isinstance(model, LSTMLanguageModel)
    spec = model.spec

    def step(tokens: Tensor, weights: Tensor, inputs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            leaves = stack.leaves()
            read = F.pad(tokens[:, :, :-1], (1, 0), value=spec.bos) if inputs is None else inputs
            log_prob = token_log_prob(leaves, read, tokens)
            mask = spec.mask(tokens)
            give(leaves, -(weights.where(mask, 0.0) * log_prob).sum(), seats)
        norms = [weights.new_zeros(())] * stack.width
        for place, seat in enumerate(seats):
            if seat is not None:
                parameters = [parameter for parameter in seat.model.parameters() if parameter.requires_grad]
                norms[place] = torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
                seat.optimizer.step()
        return log_prob.detach().where(mask, 0.0), torch.stack(norms)

    taken = recorded(step, optimizers=[seat.optimizer for seat in seats if seat is not None])
    return taken if spec.eos is None else awaited(taken)


def check(model: LSTMLanguageModel, tokens: Tensor, weights: Tensor, inputs: Tensor | None = None) -> None:
    """Refuse words that a model does not know, before it meets others.

    Raises:
        IndexError: then.
    """
    require_words(tokens, model.spec.vocab_size)
    if inputs is not None:
        require_words(inputs, model.spec.input_size)
