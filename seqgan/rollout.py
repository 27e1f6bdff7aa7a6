"""Monte-Carlo action values (Yu et al. 2017, eq. 4), all prefixes and all rollouts at once.

A sequence of length T has T - 1 proper prefixes, each completed N times. Completing them one prefix after another costs
T(T-1)N/2 small steps. Here the policy's state after every prefix was kept when the sequence was sampled. At position t,
all N copies of every shorter prefix take their step together, so T - 1 large steps are enough. The first words of the N
siblings that begin at t are drawn from the one distribution that they share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from bench.api import Execution
from seqgan.kernels.execution import Complete
from seqgan.kernels.execution import rollouts as execute
from seqgan.policy import Policy, State

Reward: TypeAlias = Callable[[Tensor], Tensor]
"""Scores finished sequences: int64 (M, T) to float (M,)."""


def completion(execution: Execution, policy: Policy, rollouts: int, rng: torch.Generator) -> Complete:
    """A function that finishes the prefixes of sequences that the policy sampled.

    Args:
        execution: How it is executed.
        policy: Its parameters may change between calls, in place.
        rollouts: N, completions of a prefix.
        rng: The only source of randomness.

    Raises:
        Unsupported: if the execution needs a GPU and there is none.
    """

    def complete(tokens: Tensor, states: list[State]) -> Tensor:
        return complete_prefixes(policy, tokens, states, rollouts, rng)

    return execute(execution, complete, policy, rollouts, rng)


@torch.no_grad()
def complete_prefixes(
    policy: Policy, tokens: Tensor, states: list[State], rollouts: int, rng: torch.Generator
) -> Tensor:
    """Finish every proper prefix of every sequence ``rollouts`` times.

    Args:
        policy: Writes the completions (the paper's G_beta, which it sets equal to the generator).
        tokens: int64, (B, T), sequences that the policy sampled.
        states: T states, the t-th from which token t was drawn (:meth:`Policy.sample_with_states`).
        rollouts: N, completions of a prefix.
        rng: The only source of randomness.

    Returns:
        int64, (T - 1, B, N, T): entry [k - 1, b] holds N sequences that begin with the first k tokens of sequence b.
    """
    batch, length = tokens.shape
    copies = batch * rollouts
    finished = tokens[:, None].repeat(length - 1, 1, rollouts, 1)  # (T - 1, B, N, T); completions are overwritten
    rows = finished.view((length - 1) * copies, length)
    state = [part.new_empty(len(rows), *part.shape[1:]) for part in states[0]]
    ended = torch.zeros(len(rows), dtype=torch.bool, device=tokens.device)
    read = policy.reader()
    for t in range(1, length):
        running, joining = slice(0, (t - 1) * copies), slice((t - 1) * copies, t * copies)
        if t > 1:
            read(rows[running, t - 1], *(part[running] for part in state))
            rows[running, t] = policy.write(state[0][running], ended[running], rng)
        # The prefix of length t joins. Its N siblings share one state, and so one distribution for their first word.
        if policy.spec.eos is not None:
            ended[joining] = (tokens[:, :t] == policy.spec.eos).any(-1).repeat_interleave(rollouts)
        first = policy.choose_several(states[t][0], rng, rollouts).flatten()
        rows[joining, t] = policy.finish(first, ended[joining])
        for part, given in zip(state, states[t], strict=True):
            part[joining] = given.repeat_interleave(rollouts, 0)
    return finished


def action_values(
    policy: Policy,
    tokens: Tensor,
    states: list[State],
    reward: Reward,
    rollouts: int,
    rng: torch.Generator,
    complete: Complete | None = None,
) -> Tensor:
    """Q(Y_{1:t-1}, y_t) for every position t: the mean reward of N completions of Y_{1:t}; at T the reward itself.

    A prefix that has ended has one completion, itself: it gets the reward of its sequence, which is scored once.

    Args:
        policy: The rollout policy.
        tokens: int64, (B, T), sampled from it.
        states: T states, as in :func:`complete_prefixes`.
        reward: Scores finished sequences, without gradient.
        rollouts: N.
        rng: The only source of randomness.
        complete: Another way to finish the prefixes (:func:`completion`), made with the same policy, N and ``rng``.

    Returns:
        float, (B, T); column t - 1 belongs to token y_t.
    """
    batch, length = tokens.shape
    if complete is None:
        complete = completion(Execution(), policy, rollouts, rng)
    running = policy.spec.mask(tokens)[:, 1:].t()  # (T - 1, B): the prefixes that have not ended
    scored = tokens
    if length > 1:
        scored = torch.cat([tokens, complete(tokens, states)[running].view(-1, length)])
    rewards = reward(scored)
    values = rewards[:batch].repeat(length, 1)  # (T, B)
    values[:-1][running] = rewards[batch:].view(-1, rollouts).mean(-1)
    return values.t().contiguous()


@torch.no_grad()
def reference_action_values(
    policy: Policy, tokens: Tensor, reward: Reward, rollouts: int, rng: torch.Generator
) -> Tensor:
    """The same expectation prefix by prefix and rollout by rollout, in plain torch.

    Every rollout reads its prefix again from the start and draws each word with ``torch.multinomial``.
    """
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
                    law = torch.softmax(policy.output(state[0]), -1)
                    finished[:, t] = torch.multinomial(law, 1, generator=rng)[:, 0]
                finished[:, t] = policy.finish(finished[:, t], ended)
                read = finished[:, t]
            values[:, kept - 1] += reward(finished) / rollouts
    values[:, length - 1] = reward(tokens)
    return values
