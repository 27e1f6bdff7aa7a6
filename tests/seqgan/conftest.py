from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from scipy import stats
from torch import Tensor

from bench.api import SequenceSpec
from seqgan.lm import LSTMLanguageModel
from seqgan.networks import NETWORKS
from seqgan.policy import Policy


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)


@pytest.fixture
def torch_threads() -> Iterator[Callable[[int], None]]:
    """Set torch's number of threads, and so that of the kernels, until the end of the test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def goodness_of_fit() -> Callable[[Tensor, Tensor], float]:
    """The p-value of counts under probabilities (chi-square); cells with fewer than five expected are pooled."""

    def p_value(counts: Tensor, probabilities: Tensor) -> float:
        observed, probabilities = counts.double().cpu(), probabilities.double().cpu()
        expected = probabilities / probabilities.sum() * observed.sum()
        assert not observed[expected == 0].any(), "drew something impossible"
        common = expected >= 5
        observed = torch.cat([observed[common], observed[~common].sum()[None]])
        expected = torch.cat([expected[common], expected[~common].sum()[None]])
        possible = expected > 0
        if possible.sum() == 1:
            return 1.0
        return float(stats.chisquare(observed[possible].numpy(), expected[possible].numpy()).pvalue)

    return p_value


@pytest.fixture(scope="session")
def all_sequences() -> Callable[[SequenceSpec], Tensor]:
    """Every sequence that the spec allows, int64 (M, T): after eos there is only pad."""

    def enumerate_them(spec: SequenceSpec) -> Tensor:
        tokens = torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))
        if spec.eos is None:
            return tokens
        return tokens[(spec.mask(tokens) | (tokens == spec.pad)).all(-1)]

    return enumerate_them


SCALES = {"lstm": 1.0, "cnn": 0.5, "transformer": 0.6}
"""Times the standard deviation of initial parameters, so that no word is all but certain."""
SEEDS = {"lstm": 0, "cnn": 0, "transformer": 10}
"""Added to a seed, so that the words that the tests look for are common."""


@pytest.fixture(scope="session", params=list(NETWORKS))
def make_policy(request: pytest.FixtureRequest) -> Callable[..., Policy]:
    """A small policy, of each network, whose distribution is far from uniform and depends on what was read."""

    def make(spec: SequenceSpec, seed: int = 0, init_std: float = 1.5) -> Policy:
        rng = torch.Generator().manual_seed(seed + SEEDS[request.param])
        return NETWORKS[request.param](spec, rng, 5, 6, init_std * SCALES[request.param])

    return make


@pytest.fixture(scope="session")
def make_lstm() -> Callable[..., LSTMLanguageModel]:
    """The same of the LSTM alone."""

    def make(spec: SequenceSpec, seed: int = 0, init_std: float = 1.5) -> LSTMLanguageModel:
        return LSTMLanguageModel(spec, torch.Generator().manual_seed(seed), 5, 6, init_std)

    return make
