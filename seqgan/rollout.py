"""Monte-Carlo action values (Yu et al. 2017, eq. 4), all prefixes and all rollouts at once.

A sequence of length T has T - 1 proper prefixes, each completed N times. Completing them one prefix after another costs
T(T-1)N/2 small steps. Here the policy's state after every prefix is kept from when the sequence was sampled; at place t
all N copies of every prefix of length at most t take their step together, so T - 1 large steps do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from seqgan.lm import LSTMLanguageModel, State

Reward: TypeAlias = Callable[[Tensor], Tensor]
"""Scores finished sequences: int64 (M, T) to float (M,)."""


@torch.no_grad()
def complete_prefixes(
    policy: LSTMLanguageModel, tokens: Tensor, states: list[State], rollouts: int, rng: torch.Generator
) -> Tensor:
    """Finish every proper prefix of every sequence ``rollouts`` times.

    Args:
        policy: Writes the completions (the paper's G_beta, which it sets equal to the generator).
        tokens: int64, (B, T), sequences that the policy sampled.
        states: T states, the t-th from which token t was drawn (:meth:`LSTMLanguageModel.sample_with_states`).
        rollouts: N, completions of a prefix.
        rng: The only source of randomness.

    Returns:
        int64, (T - 1, N, B, T): entry [k - 1, n, b] begins with the first k tokens of sequence b.
    """
    batch, length = tokens.shape
    copies = rollouts * batch
    finished = tokens.repeat(length - 1, rollouts, 1, 1)  # (T - 1, N, B, T); places not kept are overwritten
    rows = finished.view((length - 1) * copies, length)
    hidden = torch.empty(len(rows), policy.lstm.hidden_size, device=tokens.device)
    cell = torch.empty_like(hidden)
    ended = torch.zeros(len(rows), dtype=torch.bool, device=tokens.device)
    for t in range(1, length):
        # The prefix of length t joins: from now on it has a state of its own, read from the shared past.
        joined = slice((t - 1) * copies, t * copies)
        hidden[joined], cell[joined] = (part.repeat(rollouts, 1) for part in states[t - 1])
        if policy.spec.eos is not None:
            ended[joined] = (tokens[:, :t] == policy.spec.eos).any(-1).repeat(rollouts)
        active = slice(0, t * copies)
        hidden[active], cell[active] = policy.read(rows[active, t - 1], (hidden[active], cell[active]))
        rows[active, t] = policy.finish(policy.choose(hidden[active], rng), ended[active])
    return finished


def action_values(
    policy: LSTMLanguageModel,
    tokens: Tensor,
    states: list[State],
    reward: Reward,
    rollouts: int,
    rng: torch.Generator,
) -> Tensor:
    """Q(Y_{1:t-1}, y_t) for every place t: the mean reward of N completions of Y_{1:t}; at T the reward itself.

    Args:
        policy: The rollout policy.
        tokens: int64, (B, T), sampled from it.
        states: As :func:`complete_prefixes` needs them.
        reward: Scores finished sequences, without gradient.
        rollouts: N.
        rng: The only source of randomness.

    Returns:
        float, (B, T); column t - 1 belongs to token y_t.
    """
    batch, length = tokens.shape
    last = reward(tokens)[:, None]  # (B, 1)
    if length == 1:
        return last
    finished = complete_prefixes(policy, tokens, states, rollouts, rng)
    values = reward(finished.view(-1, length)).view(length - 1, rollouts, batch).mean(1)  # (T - 1, B)
    return torch.cat([values.t(), last], dim=1)


@torch.no_grad()
def reference_action_values(
    policy: LSTMLanguageModel, tokens: Tensor, reward: Reward, rollouts: int, rng: torch.Generator
) -> Tensor:
    """The same expectation prefix by prefix and rollout by rollout, re-reading each prefix: plain and slow."""
    batch, length = tokens.shape
    values = torch.zeros(batch, length, device=tokens.device)
    for kept in range(1, length):
        for _ in range(rollouts):
            finished = tokens.clone()
            state = policy.initial_state(batch)
            read = torch.full((batch,), policy.spec.bos, device=tokens.device)
            ended = torch.zeros(batch, dtype=torch.bool, device=tokens.device)
            for t in range(length):
                state = policy.read(read, state)
                if t >= kept:
                    finished[:, t] = policy.choose(state[0], rng)
                finished[:, t] = policy.finish(finished[:, t], ended)
                read = finished[:, t]
            values[:, kept - 1] += reward(finished) / rollouts
    values[:, length - 1] = reward(tokens)
    return values
