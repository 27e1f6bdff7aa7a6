from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.metrics.text.report import Text


@pytest.fixture
def text() -> Callable[[int], Text]:
    """Draws of so many lines, each time new ones, from one source: a Markov chain of 400 words."""
    rng, size = np.random.default_rng(0), 400
    law = np.arange(1, size + 1) ** -1.8
    nexts = np.stack([rng.permutation(law) for _ in range(size)])
    nexts = np.cumsum(nexts / nexts.sum(1, keepdims=True), axis=1)

    def draw(count: int) -> Text:
        texts = []
        for length in rng.integers(3, 9, count):
            words = [int(rng.integers(20))]
            while len(words) < length:
                words.append(int(np.searchsorted(nexts[words[-1]], rng.random())) % size)
            texts.append(" ".join(map(str, words)))
        return Text("made", tuple(texts))

    return draw
