"""What every model is compared with: the references of the verdicts. Without pandas, since plans are counted by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from bench.records.frames import FINAL, PRETRAINED

__all__ = ["BOTH", "CONSTANT", "OWN", "REFERENCE", "TUNED", "most_comparisons", "references"]

REFERENCE = "mle"
"""The arm that all others are compared with."""
TUNED = "mle-tuned"
"""Maximum likelihood done well: what a contender must beat to be worth its idea."""
CONSTANT = "constant-reward"
"""The control with SeqGAN's steps and no discriminator."""
OWN = "its own pre-training"
BOTH = f"{REFERENCE} ({OWN})"
"""Label where the reference arm and the pre-training are one checkpoint, as they are without a budget."""


def most_comparisons(roles: Mapping[str, str], against: Sequence[str] = ()) -> int:
    """The most comparisons that a family of these models can have; who has a pre-training is not known before they ran.

    Args:
        roles: Model to its role, "contender" or "control".
        against: Labels of the models to compare with, instead of the usual references.
    """
    counts: dict[str, int] = {}
    for model, role in roles.items():
        asked = references(model, role, pretrained=model != REFERENCE, shared=False, against=against)
        own = sum(bool(against) or name in (*roles, model) for name, _ in asked.values())
        counts[role] = counts.get(role, 0) + own
    return max(counts.values(), default=0)


def references(
    model: str, role: str, pretrained: bool, shared: bool, against: Sequence[str] = ()
) -> dict[str, tuple[str, str]]:
    """What a model is compared with: the label of each reference, to the model and checkpoint that it is.

    Args:
        model: The model's label.
        role: "contender" or "control".
        pretrained: Whether it has a shared pre-training.
        shared: Whether that is the reference arm's final checkpoint, so that two comparisons are one.
        against: Labels of the models to compare with, and with nothing else: each with its final checkpoint. One of
            them is compared with those before it, so that no two models are compared twice.
    """
    if against:
        before = against[: against.index(model)] if model in against else against
        return {name: (name, FINAL) for name in before}
    own = {OWN: (model, PRETRAINED)} if pretrained else {}
    found = {REFERENCE: (REFERENCE, FINAL)} | own if model != REFERENCE else own
    if pretrained and shared:
        found = {BOTH: (model, PRETRAINED)}
    if role == "contender":
        found[TUNED] = TUNED, FINAL
    if pretrained and role == "contender":
        mode = re.search(r"mode=\w+", model)  # by the same kernels
        constant = f"{CONSTANT}[{mode[0]}]" if mode else CONSTANT
        found[constant] = constant, FINAL
    return found
