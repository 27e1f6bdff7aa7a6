"""What all tests of baselines share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.records import environment


@pytest.fixture(autouse=True, scope="module")
def no_peaks() -> Iterator[None]:
    """Many short trainings, each of which would begin with a garbage collection that takes longer than itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "reset_peak_memory", lambda: None)
        yield
