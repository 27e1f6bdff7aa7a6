"""The judge of discriminators: what one makes of training sequences, validation sequences and samples.

Validation sequences are real and were never shown to it. If it finds them less real than training sequences, it knows
the training set by heart, and what it rewards is the likeness to that; if it cannot tell them from samples, its rewards
say nothing. Accuracy on its own training batches shows neither.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.api import HasRealProbability

__all__ = ["CRITIC", "SIDES", "CriticJudge"]

SIDES = ("train", "valid", "samples")
"""Where sequences come from; those of the last are generated."""
CRITIC = tuple(f"{score}_{side}" for score in ("p_real", "d_accuracy") for side in SIDES)
"""The scores of a discriminator in the curve."""


class CriticJudge:
    """Asks a discriminator about real sequences that are the same at every step, and about samples.

    Args:
        train: int64, (N, T), training sequences, on the CPU.
        valid: int64, (M, T), validation sequences.
        device: Where the discriminator computes.
    """

    def __init__(self, train: Tensor, valid: Tensor, device: torch.device | str) -> None:
        self.real, self.device = {"train": train, "valid": valid}, torch.device(device)

    def scores(self, critic: HasRealProbability, samples: Tensor) -> dict[str, float]:
        """For each of :data:`SIDES`, the mean of P(real), and the share of sequences that are judged rightly.

        A sequence is judged to be real if P(real) is above 0.5.

        Args:
            critic: The discriminator. Global random streams are afterwards what they were.
            samples: int64, (n, T), drawn from the generator as it is now.

        Returns:
            The scores that are named in :data:`CRITIC`.

        Raises:
            ValueError: for an answer of another shape, or one that is no probability.
        """
        found = {}
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.no_grad():
            for side, tokens in {**self.real, "samples": samples}.items():
                real = _checked(critic.real_probability(tokens.clone().to(self.device)), len(tokens))
                found[f"p_real_{side}"] = float(real.mean())
                found[f"d_accuracy_{side}"] = float(((real > 0.5) == (side != "samples")).double().mean())
        return {name: found[name] for name in CRITIC}


def _checked(answer: Tensor, n: int) -> Tensor:
    """The answer as float64 on the CPU, if it is n probabilities."""
    if not isinstance(answer, Tensor) or answer.shape != (n,):
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ValueError(f"expected real_probability to give one number for each of {n} sequences, got {got}")
    answer = answer.detach().to("cpu", torch.float64)
    if not bool(((answer >= 0) & (answer <= 1)).all()):
        raise ValueError(f"expected real_probability in [0, 1], got {answer.min():.6g} to {answer.max():.6g}")
    return answer
