"""What all tests share: a process in which measuring the memory is cheap."""

import gc
from collections.abc import Iterator

import matplotlib.figure
import pytest
import scipy.stats
import torch._dynamo

from bench.runs.surroundings import settled

IMPORTED = (matplotlib.figure, scipy.stats, torch._dynamo)
"""Large, and imported by what is tested: the collector is to be spared them from the beginning."""


@pytest.fixture(autouse=True, scope="session")
def settled_process() -> Iterator[None]:
    """Each run begins with a garbage collection; without this it would take longer than most runs of these tests."""
    with settled():
        yield


@pytest.fixture(autouse=True, scope="module")
def settled_module(settled_process: None) -> None:
    """What the modules before left behind is spared as well."""
    gc.collect()
    gc.freeze()
