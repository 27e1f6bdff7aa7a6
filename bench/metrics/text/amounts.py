"""How many samples a score needs before it says anything.

The rule: so many that chance alone moves the score of real text by at most a fifth of it, 95 times in 100, and never
fewer than 30, below which resampling says little about chance. What a sequence of real text contributes to its score
has a standard deviation s; the mean of n of them moves by up to 1.96 s / sqrt(n), so n is (1.96 s / (score / 5)) ** 2.
A fifth of a small score is little: moves of up to 0.02, for scores without a unit or in nats per token, or of up to one
word, are accepted whatever the score is. A share of samples, such as that of copies, needs so many that none of n means
at most 2 %, by Wilson's interval: 189.

Long n-grams need more samples than short ones: few sentences have a common one, and these decide the score. Fewer than
500 samples are judged by 500 lines of real text, where there are as many: a few lines do not show how lines vary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.metrics.base import Estimate
from bench.metrics.text.intervals import NORMAL

__all__ = ["ENOUGH", "FEWEST", "samples_needed", "too_few_note"]

FEWEST = 30
ENOUGH = 500
"""Lines of real text from which its variation is measured, where it has as many."""
PART = 1 / 5
ACCEPTED = {"": 0.02, "words": 1.0, "nats/token": 0.02}
"""Unit to the move of a score that is accepted, whatever the score is."""


def samples_needed(real: Estimate) -> int:
    """How many samples a score needs, by the score of real text and its contributions.

    Example:
        >>> import numpy as np
        >>> from bench.metrics.signature import Signature
        >>> scores = [0.0, 0.5] * 50  # of the lines of real text, 0.25 on average
        >>> samples_needed(Estimate("bleu4", 0.25, "", "higher", Signature(()), contributions=np.array(scores)))
        97
    """
    if real.value is None:
        return FEWEST
    fewest = FEWEST
    if real.contributions is None or real.interval == "wilson":
        fewest = math.ceil(NORMAL**2 * (1 / ACCEPTED[""] - 1))
    if real.contributions is None:
        return fewest
    accepted = max(PART * real.value, ACCEPTED.get(real.unit, 0.0))
    scatter = float(real.contributions.std(ddof=1)) if len(real.contributions) > 1 else 0.0
    return max(fewest, math.ceil((NORMAL * scatter / accepted) ** 2)) if accepted else fewest


def too_few_note(name: str, scores: Sequence[Estimate], needed: Mapping[str, int]) -> str | None:
    """A sentence about the metrics for which a file has too few samples, if there are any.

    Args:
        name: The file.
        scores: Its scores, with contributions.
        needed: Metric to the number of samples that it needs.
    """
    few = {
        each.metric: needed.get(each.metric, FEWEST)
        for each in scores
        if each.contributions is not None and len(each.contributions) < needed.get(each.metric, FEWEST)
    }
    if not few:
        return None
    listed = [f"{metric} ({number:,})" for metric, number in few.items() if number > FEWEST]
    if len(listed) < len(few):
        listed.append(f"{'any other' if listed else 'any'} score ({FEWEST})")
    *first, last = listed
    return (
        f"{name} has too few samples for {', '.join(first)}{' and ' * bool(first)}{last}: with fewer than the number "
        "in brackets, chance alone moves real text's own score by more than a fifth."
    )
