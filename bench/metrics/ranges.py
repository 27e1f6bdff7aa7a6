"""What a score can be. A number outside its range cannot be true: it ends in an error, and is never stored or shown.

Ranges find what *cannot* be; they do not show that a number is right. A sampler whose density is not the one that it
draws from is found here only where that leads to an impossible number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LOG_PROB", "NEGATIVE_LOG_PROB", "NOT_NEGATIVE", "SHARE", "Impossible", "Range"]


class Impossible(ValueError):  # noqa: N818 - it says what the number is
    """A number that cannot be true, whatever the model: a share above 1, a probability above 1."""


@dataclass(frozen=True, slots=True)
class Range:
    """The values that a score can have, ends included.

    Attributes:
        low: The lowest; minus infinity for none.
        high: The highest.
        because: What such a number would mean, for people; "" where nobody has said what the score can be.
        slack: How far beyond both ends rounding or chance may lead.
    """

    low: float = -math.inf
    high: float = math.inf
    because: str = ""
    slack: float = 1e-9

    def check(self, name: str, value: float) -> None:
        """Require that a score is possible.

        Raises:
            Impossible: naming the score, its value, the range, and what that means.
        """
        if not self.low - self.slack <= value <= self.high + self.slack:
            raise Impossible(f"{name} is {value:.6g}, which cannot be true: expected {self}. {self.because}")

    def __str__(self) -> str:
        if math.isfinite(self.low) and math.isfinite(self.high):
            ends = f"a number between {self.low:.6g} and {self.high:.6g}"
        elif math.isfinite(self.low):
            ends = f"at least {self.low:.6g}"
        else:
            ends = f"at most {self.high:.6g}"
        return f"{ends}, give or take {self.slack:.2g}" if self.slack >= 1e-6 else ends


SHARE = Range(0, 1, "Neither a share nor a BLEU is negative or above 1.")
NOT_NEGATIVE = Range(0, because="Amounts and distances are not negative.")
LOG_PROB = Range(high=0, because="The density gives a probability above 1.", slack=1e-3)
"""Of a token or of a sequence; the slack is for computing in few bits."""
NEGATIVE_LOG_PROB = Range(0, because="It would take probabilities above 1.", slack=LOG_PROB.slack)
"""The mean over tokens or sequences."""
