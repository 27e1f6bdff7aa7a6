"""Names that stand for several models: ``--models core`` and the like."""

from __future__ import annotations

from collections.abc import Mapping

from bench.plans.registry import SETS, Plugin, available, marked

__all__ = ["MEANINGS", "members"]

MEANINGS: Mapping[str, str] = dict(
    zip(
        SETS,
        (
            "SeqGAN, what its paper compares it with, and the controls that say what a score is worth",
            "the models that answer most, in minutes",
            "the generators that want to win",
            "the generators that a discriminator teaches",
            "what is there to be beaten: rewards that know nothing, counts, copies, more maximum likelihood",
            "every model that is installed, also those that cost most",
        ),
        strict=True,
    )
)
"""The sets, and what is in each."""


def members(name: str) -> list[Plugin]:
    """The models of a set, contenders first.

    ``all`` is everything that nobody marked as heavy; ``contenders`` and ``controls`` go by how a model is registered;
    ``core`` and ``adversarial`` by what packages say of their own models, as entry points ``bench.core`` and so on.
    """
    models = available("model")
    if name in ("contenders", "controls"):
        return [plugin for plugin in models.values() if plugin.role == name.removesuffix("s")]
    if name in ("core", "adversarial"):
        chosen = marked(f"bench.{name}")
        return [plugin for plugin in models.values() if plugin.name in chosen]
    heavy = marked("bench.heavy") if name == "all" else set()
    return [plugin for plugin in models.values() if plugin.name not in heavy]
