"""The contract suite: what any generator must do, ours or a third party's.

On the command line ``bench validate NAME`` runs it. In a plugin's own tests::

    import pytest
    from bench.testing import CHECKS

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_contract(check):
        check(MyGenerator)
"""

from __future__ import annotations

import contextlib
import itertools
import math
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.api import (
    Decoding,
    Generator,
    HasLogProb,
    HasNextTokenLogProbs,
    HasRealProbability,
    HasTokenLogProb,
    Sampler,
    SequenceSpec,
    TrainingData,
    Unsupported,
    density_of,
)
from bench.plans import registry
from bench.plans.fields import build, configuration
from bench.runs.checkpoints import CheckpointFolder, Kept
from bench.runs.critic import CRITIC, CriticJudge
from bench.runs.curve import CURVE
from bench.runs.executors.child import Child
from bench.runs.judge import checked
from bench.runs.session import Observer, Session
from bench.tasks.toy import Toy

PRESET = "smoke"
LOADING = "it can be loaded"
"""The check that comes before all others."""
POLL_SECONDS = 0.2
CHI_SQUARE_SAMPLES = 20_000
CHI_SQUARE_LEVEL = 1e-4
"""A sound sampler fails the chi-square check once in 10,000 seeds; the seed is fixed."""


class ContractViolation(AssertionError):  # noqa: N818 - what it is called in the suite's output
    """A generator that does not do what the contract says."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check's result: "ok", "skipped" or "FAILED", and why."""

    check: str
    status: str
    detail: str = ""


def run_suite(generator: type) -> Iterator[Outcome]:
    """Run all checks one after another; one that fails does not stop the others."""
    for check in CHECKS:
        yield _outcome(check, generator)


def run_suite_apart(name: str, timeout: float | None = None) -> Iterator[Outcome]:
    """Run all checks in a process of their own, so that one that hangs or crashes costs one check.

    Args:
        name: The generator: the name under which it is registered, or ``package.module:Class``.
        timeout: Seconds that each check may take, the import included; None for any number.

    Yields:
        The outcome of each check; a single one for a generator that cannot be loaded.
    """
    child = None
    try:
        for index, check in enumerate(CHECKS):
            deadline = math.inf if timeout is None else time.monotonic() + timeout
            child = child or Child(_check_apart, name)
            child.pipe.send(index)
            while not child.pipe.poll(POLL_SECONDS) and not child.is_over() and time.monotonic() < deadline:
                pass
            try:
                outcome = child.pipe.recv() if child.pipe.poll() else None
            except (EOFError, OSError):
                outcome = None
            if outcome is None:
                late = time.monotonic() >= deadline
                why = f"it took longer than {timeout:g} s" if late else f"it ended with {child.cause_of_death()}"
                outcome = Outcome(_title(check), "FAILED", why)
                child.kill()
                child = None
            yield outcome
            if outcome.check == LOADING:
                return
    finally:
        if child is not None:
            child.kill()


def _check_apart(pipe: Connection[Any, Any], name: str) -> None:
    """Do the checks whose numbers come through the pipe."""
    try:
        generator = registry.find("model", name).load()
    except registry.PluginError as error:
        pipe.send(Outcome(LOADING, "FAILED", str(error)))
        return
    while True:
        try:
            check = CHECKS[pipe.recv()]
        except EOFError:
            return
        pipe.send(_outcome(check, generator))


def _outcome(check: Callable[[type], None], generator: type) -> Outcome:
    title = _title(check)
    try:
        check(generator)
    except Unsupported as reason:
        return Outcome(title, "skipped", str(reason))
    except ContractViolation as violation:
        return Outcome(title, "FAILED", str(violation))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        line = f"{Path(where.filename).name}:{where.lineno}"
        return Outcome(title, "FAILED", f"{type(error).__name__}: {error} ({line})")
    return Outcome(title, "ok")


def _title(check: Callable[[type], None]) -> str:
    return (check.__doc__ or check.__name__).partition("\n")[0].rstrip(".")


def check_samples(generator: type) -> None:
    """Samples are int64, of the requested shape, inside the vocabulary."""
    data = _data()
    sampler = _fit(generator, data)
    for n in (1, 7, 0):
        tokens = _sample(sampler, n)
        _expect(
            tokens.shape == (n, data.spec.seq_len),
            f"expected shape {(n, data.spec.seq_len)}, got {tuple(tokens.shape)}",
        )
        checked(tokens, data.spec)
    first = _sample(sampler, 7)
    _sample(sampler, 3)
    _expect(
        torch.equal(first, _sample(sampler, 7)),
        "expected sample() to give the same sequences from an rng in the same state, whatever came before: it draws "
        "from the rng that it is given, and keeps nothing for the next call",
    )


def check_seed(generator: type) -> None:
    """The same seed gives the same tokens."""
    data = _data()
    _expect_same(_fit(generator, data), _fit(generator, data), "two trainings with one seed")


def check_evaluation(generator: type) -> None:
    """Evaluating often or never gives the same tokens."""
    data = _data()

    judge = CriticJudge(data.train[:5], data.valid[:5], "cpu")

    def evaluate(sampler: Sampler, critic: HasRealProbability | None) -> dict[str, float]:
        samples = _sample(sampler, 5)
        if isinstance(sampler, HasLogProb):
            sampler.log_prob(data.valid[:5])
        return judge.scores(critic, samples) if critic else {}

    often = _fit(generator, data, Observer(evaluate=evaluate, curve_points=1_000_000))
    _expect_same(_fit(generator, data), often, "training with and without evaluation after every step")


def check_data(generator: type) -> None:
    """The training data are left as they were."""
    data = _data()
    train, valid = data.train.clone(), data.valid.clone()
    _sample(_fit(generator, data), 5)
    _expect(torch.equal(train, data.train), "fit() or sample() changed data.train")
    _expect(torch.equal(valid, data.valid), "fit() or sample() changed data.valid")


def check_resume(generator: type) -> None:
    """A finished training restored from its checkpoint gives the same tokens."""
    data = _data()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = CheckpointFolder(Path(folder))
        _expect_same(
            _fit(generator, data, checkpoints=checkpoints),
            _fit(generator, data, checkpoints=checkpoints),
            "training and its checkpoint (is all state given to run.track?)",
        )


def check_interruption(generator: type) -> None:
    """A training interrupted halfway and resumed gives the same tokens."""
    data = _data()
    whole = Session("contract/0")
    sampler = whole.train(_build(generator), data)
    seen = 0

    def interrupt(*_: object) -> dict[str, float]:
        nonlocal seen
        seen += 1
        if seen == whole.steps // 2 + 1:
            raise KeyboardInterrupt
        return {}

    with tempfile.TemporaryDirectory() as folder:
        checkpoints = CheckpointFolder(Path(folder))
        observer = Observer(evaluate=interrupt, curve_points=1_000_000)
        kept = Kept(checkpoints, "whole", lambda *_: "shared", every=-1)
        halves = [Session("contract/0", kept=kept, observer=watched) for watched in (observer, None)]
        with contextlib.suppress(KeyboardInterrupt):
            halves[0].train(_build(generator), data)
        resumed = halves[1].train(_build(generator), data)
        _expect_same(sampler, resumed, "a complete training and one resumed halfway (is all state given to run.track?)")


def check_temperature(generator: type) -> None:
    """A lower temperature gives less diverse samples."""
    data = _data()
    sampler = _fit(generator, data)
    entropies = {}
    for temperature in (0.25, 1.0):
        tokens = _sample(sampler, 2_000, temperature)
        pairs = torch.bincount((tokens[:, :-1] * data.spec.vocab_size + tokens[:, 1:]).flatten()).double()
        probabilities = pairs[pairs > 0] / pairs.sum()
        entropies[temperature] = -float((probabilities * probabilities.log()).sum())
    flat = isinstance(sampler, HasLogProb) and float(sampler.log_prob(data.valid).std()) < 1e-6
    cold, warm = entropies[0.25], entropies[1.0]
    _expect(
        cold <= warm + 0.02 if flat else cold < warm - 0.01,
        f"expected a lower entropy of token pairs at temperature 0.25 than at 1, got {cold:.3f} and {warm:.3f} nats",
    )


def check_density(generator: type) -> None:
    """With a vocabulary of three tokens, probabilities sum to 1 and 20,000 samples fit them."""
    data = _data(Toy(vocab_size=3, seq_len=3, train_size=200, concentration=1.0))
    sampler = _fit(generator, data)
    if not isinstance(sampler, HasLogProb):
        raise Unsupported("the sampler has no log_prob")
    triples = _triples()
    log_prob = sampler.log_prob(triples)
    _expect(log_prob.shape == (27,), f"expected log_prob of shape (27,), got {tuple(log_prob.shape)}")
    _require_exact(sampler)
    _expect_fit(sampler, triples, log_prob, 1.0, "log_prob")


def check_token_density(generator: type) -> None:
    """Log-probabilities of tokens sum to log_prob, and at other temperatures they fit the samples."""
    data = _data(Toy(vocab_size=3, seq_len=3, train_size=200, concentration=1.0))
    sampler = _fit(generator, data)
    if not isinstance(sampler, HasTokenLogProb):
        raise Unsupported("the sampler has no token_log_prob")
    _require_exact(sampler)
    triples = _triples()
    tokens = sampler.token_log_prob(triples)
    _expect(tokens.shape == (27, 3), f"expected token_log_prob of shape (27, 3), got {tuple(tokens.shape)}")
    if isinstance(sampler, HasLogProb):
        whole, summed = sampler.log_prob(triples).detach().cpu().double(), tokens.detach().cpu().double().sum(-1)
        same = bool(((whole - summed).abs() < 1e-3).logical_or(whole == summed).all())
        _expect(same, "expected token_log_prob to sum to log_prob over each sequence")
    try:
        tempered = sampler.token_log_prob(triples, 0.5).sum(-1)
    except TypeError as error:
        raise Unsupported("token_log_prob takes no temperature, so the frontier cannot use it") from error
    _expect_fit(sampler, triples, tempered, 0.5, "token_log_prob")


def check_next_token_laws(generator: type) -> None:
    """The laws of next tokens agree with the log-probabilities of tokens."""
    toy = _data(Toy(vocab_size=3, seq_len=3, train_size=200, concentration=1.0))
    ended = _data_with_ends()
    for data in (toy, ended):
        sampler = _fit(generator, data)
        if not isinstance(sampler, HasNextTokenLogProbs):
            raise Unsupported(
                "the sampler has no next_token_log_probs: with more than 16 tokens its density is an estimate"
            )
        token_log_prob = getattr(sampler, "token_log_prob", None)
        if token_log_prob is None:
            raise ContractViolation("expected token_log_prob beside next_token_log_probs")
        triples = _triples()
        scored = token_log_prob(triples).detach().cpu().double()
        for k in range(3):
            goes_on = data.spec.mask(triples)[:, k]
            prefixes = triples[goes_on, :k].contiguous()
            laws = sampler.next_token_log_probs(prefixes.clone()).detach().cpu().double()
            shape = (len(prefixes), 3)
            _expect(laws.shape == shape, f"expected next_token_log_probs of shape {shape}, got {tuple(laws.shape)}")
            said = laws.gather(1, triples[goes_on, k : k + 1])[:, 0]
            apart = (said - scored[goes_on, k]).masked_fill(said == scored[goes_on, k], 0.0).abs()
            after = f"after {k} tokens they are {float(apart.max()):.3g} nats apart"
            _expect(
                bool((apart < 1e-3).all()), f"expected next_token_log_probs to agree with token_log_prob, but {after}"
            )


def check_ends(generator: type) -> None:
    """Where sentences differ in length, only pad follows eos, and tokens after eos do not change log_prob."""
    data = _data_with_ends()
    spec, end = data.spec, 2
    sampler = _fit(generator, data)
    tokens = checked(_sample(sampler, 500), spec)
    after = tokens[~spec.mask(tokens)]
    _expect(len(after[after != end]) == 0, "expected only pad after the first eos")
    if not isinstance(sampler, HasLogProb) or density_of(sampler) != "exact":
        return
    triples = _triples()
    sentences = triples[(triples.eq(end) | spec.mask(triples)).all(-1)]
    _expect_fit(sampler, sentences, sampler.log_prob(sentences), 1.0, "log_prob")
    one, other = sampler.log_prob(torch.tensor([[0, 2, 2], [0, 2, 1]])).tolist()
    _expect(one == other, f"expected log_prob to end with eos, but tokens after it change it by {other - one:.3g}")


def check_budget(generator: type) -> None:
    """Training stops within one step when the budget is spent."""
    data = _data()
    whole = Session("contract/0")
    whole.train(_build(generator), data)
    _expect(whole.steps > 0, "fit() never looped over run.phase(), so no budget can stop it")
    for limit in (0, 1):
        session = Session("contract/0", budget={"steps": limit})
        checked(_sample(session.train(_build(generator), data), 3), data.spec)
        _expect(session.steps <= limit, f"expected at most {limit} steps with a budget of {limit}, got {session.steps}")


CHECKS: tuple[Callable[[type], None], ...] = (
    check_samples,
    check_seed,
    check_evaluation,
    check_data,
    check_resume,
    check_interruption,
    check_temperature,
    check_density,
    check_token_density,
    check_next_token_laws,
    check_ends,
    check_budget,
)


def _data(task: Toy | None = None) -> TrainingData:
    return (task or Toy(train_size=128)).load().training


def _data_with_ends() -> TrainingData:
    """Sentences of one or two words out of two, with the end mark 2."""
    spec = SequenceSpec(3, 3, bos=3, eos=2, pad=2, kind="words")
    train = torch.tensor([[0, 2, 2], [0, 1, 2], [1, 2, 2], [1, 1, 2], [0, 0, 2]]).repeat(40, 1)
    return TrainingData(spec, train, train[:50].clone())


def _require_exact(sampler: Sampler) -> None:
    """Raises Unsupported for a density that need not sum to 1."""
    if (density := density_of(sampler)) != "exact":
        raise Unsupported(f"the sampler says that its density is '{density}', not exact")


def _build(generator: type) -> Generator:
    built: Generator = build(generator, configuration(generator, PRESET, {}))
    return built


def _fit(
    generator: type,
    data: TrainingData,
    observer: Observer | None = None,
    checkpoints: CheckpointFolder | None = None,
) -> Sampler:
    observer = replace(observer or Observer(), reserved=(*CURVE, *CRITIC))
    session = Session("contract/0", kept=None if checkpoints is None else Kept(checkpoints, "whole"), observer=observer)
    return session.train(_build(generator), data)


def _sample(sampler: Sampler, n: int, temperature: float = 1.0) -> Tensor:
    return sampler.sample(n, Decoding(temperature), torch.Generator().manual_seed(1)).cpu()


def _expect(condition: bool, message: str) -> None:
    if not condition:
        raise ContractViolation(message)


def _expect_same(one: Sampler, other: Sampler, what: str) -> None:
    _expect(torch.equal(_sample(one, 50), _sample(other, 50)), f"expected the same tokens from {what}")


def _triples() -> Tensor:
    """All sequences of length three over a vocabulary of three, in order: int64 (27, 3)."""
    return torch.tensor(list(itertools.product(range(3), repeat=3)))


def _expect_fit(sampler: Sampler, sentences: Tensor, log_prob: Tensor, temperature: float, name: str) -> None:
    """Samples must fit the log-probabilities (K,) of all possible sentences, a subset of the triples: int64 (K, 3)."""
    probabilities = log_prob.detach().cpu().double().exp()
    total, at = float(probabilities.sum()), f" at temperature {temperature:g}" if temperature != 1.0 else ""
    among = f"the {len(sentences)} probabilities{at}"
    _expect(abs(total - 1) < 1e-4, f"expected {among} to sum to 1, got {total:.6f}")
    tokens, digits = _sample(sampler, CHI_SQUARE_SAMPLES, temperature), torch.tensor([9, 3, 1])
    counts = torch.bincount((tokens * digits).sum(-1), minlength=27)[(sentences * digits).sum(-1)].double()
    strange = CHI_SQUARE_SAMPLES - int(counts.sum())
    _expect(strange == 0, f"{strange} of {CHI_SQUARE_SAMPLES} samples{at} are not among the {len(sentences)} sentences")
    p = _chi_square_p(counts, probabilities * CHI_SQUARE_SAMPLES / total)
    _expect(p > CHI_SQUARE_LEVEL, f"{CHI_SQUARE_SAMPLES} samples{at} do not fit {name}: chi-square p = {p:.2g}")


def _chi_square_p(counts: Tensor, expected: Tensor) -> float:
    """p-value of observed counts; cells with an expected count below five are pooled."""
    from scipy import stats

    rare = expected < 5
    observed = torch.cat([counts[~rare], counts[rare].sum()[None]])
    wanted = torch.cat([expected[~rare], expected[rare].sum()[None]])
    if float(wanted[-1]) == 0:
        if float(observed[-1]) > 0:
            return 0.0
        observed, wanted = observed[:-1], wanted[:-1]
    if len(wanted) == 1:
        return 1.0
    statistic = float(((observed - wanted).square() / wanted).sum())
    return float(stats.chi2.sf(statistic, len(wanted) - 1))
