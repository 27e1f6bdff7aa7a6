"""Whether a density is one, and is that of the samples: verified for every checkpoint that is scored.

Sums and agreement are arithmetic and need no statistics. Whether samples fit the density is a bet against it: with q
the claimed law and r any other law that is fixed before a token is drawn, the product over tokens of r(y)/q(y) has an
expectation of at most 1 if the tokens come from q, however many they are and however much they depend on those before
them. By Markov's inequality it exceeds a billion at most once in a billion times. (It is the likelihood ratio of a test
martingale: Ville 1939; Shafer 2021, "Testing by betting"; with r learnt from other samples, the split likelihood ratio
of Wasserman, Ramdas and Balakrishnan 2020.) No statistic is taken to be normal or chi-square distributed, which at one
in a billion would be a guess. A mean of such products is one, too, so that each bet is made with several r at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import HasNextTokenLogProbs, HasTokenLogProb, SequenceSpec
from bench.metrics.density import Evidence, HeldOut, LogProb
from bench.metrics.divergence import DRIFT, LUCK
from bench.metrics.ranges import Impossible

__all__ = ["DensityChecks"]

TOKENS = 1_000
"""Tokens that are scored for each prefix whose law is verified: 240 on ``oracle`` in the quick preset."""
ENTRIES = 150_000
"""Probabilities of next tokens that are verified in any case: all prefixes where there are few tokens."""
TEST_PREFIXES = 64
"""Of these, prefixes of test sequences, which the model has not written."""
SEQUENCES = 500
"""Sequences for all prefixes but the first, where a law costs V of them; one prefix at least is verified."""
FEWEST = 30
"""Laws that must be verified for a density to count as exact: where they cost V sequences each, V is at most 16."""
READ = 100
"""Samples whose own log-probabilities are read: to compare them with the laws, and to look for copies."""
TOLERANCE = 3e-4
"""How far a sum of probabilities may be from 1, and two computations of log-probabilities apart on average, in nats."""
ROUNDING = 0.02
"""How far a single pair of them may be apart: densities in few bits, and TF32."""
POWERS = (0.5, 0.9, 1.05, 1.1, 2.0)
"""Laws r in proportion to a power of q: samples drawn at temperatures from 2 to 0.5 fit one of them better than q."""
SHARES = (0.01, 0.1, 0.5)
"""Laws r that mix q with this share of what a copier of the training set would write."""
PRIOR = 5.0
"""Weight of the expected count when a token's count in one half of the samples is to predict that of the other half."""
NOT_DRAWN = "The samples are not drawn from the density that the model claims"


@dataclass(frozen=True, slots=True, eq=False)
class Laws:
    """The claimed laws of the next token after some prefixes of some sequences.

    Attributes:
        rows: int64, (K,): the sequence of each prefix.
        positions: int64, (K,): the length of each prefix, which is the position of the next token.
        log_probs: float32, (K, V), nats.
        probs: float32, (K, V).
        sums: float32, (K,), of the probabilities.
    """

    rows: Tensor
    positions: Tensor
    log_probs: Tensor
    probs: Tensor
    sums: Tensor

    @classmethod
    def of(cls, rows: Tensor, positions: Tensor, log_probs: Tensor) -> Laws:
        """The laws with what is computed from them once."""
        probs = log_probs.exp()
        return cls(rows, positions, log_probs, probs, probs.sum(-1))

    def at(self, values: Tensor) -> Tensor:
        """Values (N, T) at the sequences and positions: (K,)."""
        return values[self.rows, self.positions]


@dataclass(frozen=True, slots=True)
class Bet:
    """A bet that samples are not drawn from the density.

    Attributes:
        gain: The log of what it multiplied its stake by, in nats.
        tokens: The number of tokens that it was made on.
        how: What it says of the samples.
        why: What speaks for it.
    """

    gain: float
    tokens: int
    how: str
    why: str

    @property
    def most(self) -> float:
        """What chance and rounding may make it gain."""
        return LUCK + DRIFT * self.tokens

    def settle(self) -> None:
        """Refuse the density where the bet gained more.

        Raises:
            Impossible: saying what the samples are.
        """
        if not self.gain <= self.most:
            raise Impossible(
                f"{NOT_DRAWN}: {self.how} ({self.why}). A bet on that gained {self.gain:.1f} nats over {self.tokens} "
                f"tokens, and gains more than {self.most:.1f} by chance at most once in a billion."
            )


class DensityChecks:
    """The checks of one checkpoint. Made first of all: the laws are asked for before any token is shown.

    Args:
        sampler: What is judged; its density is exact, as it says.
        samples: int64, (n, T), drawn from it.
        held_out: The test set.
        rng: Which prefixes are verified; a stream of its own, on the CPU.

    Raises:
        Impossible: for laws that do not sum to 1, saying where.
        ValueError: for laws of the wrong shape.
    """

    def __init__(self, sampler: Any, samples: Tensor, held_out: HeldOut, rng: torch.Generator) -> None:
        # In an order that the sampler cannot know: what is read first must not be where it behaves.
        self.order = torch.randperm(len(samples), generator=rng)
        self.samples, self.test, self.spec = samples[self.order], held_out.tokens, held_out.spec
        samples = self.samples
        self.laws: tuple[Laws, Laws] | None = None
        self.enough = False
        if not isinstance(sampler, HasTokenLogProb):
            return
        sampler = _apart(sampler)
        known = isinstance(sampler, HasNextTokenLogProbs)
        size = self.spec.vocab_size
        # Tokens, were samples as long as test sequences: how long they are must not decide which prefixes are taken.
        scored = self.spec.count(self.test) * (1 + len(samples) / len(self.test))
        most = max(int(scored) // TOKENS, ENTRIES // size) if known else SEQUENCES // size
        most = max(1, most)
        self.enough = known or most >= FEWEST
        of_test = min(TEST_PREFIXES, -(-most // 2))
        ask = _asked_for if known else _substituted

        def laws(tokens: Tensor, rows: Tensor, positions: Tensor) -> Laws:
            return Laws.of(rows, positions, ask(sampler, tokens, rows, positions, self.spec))

        any_order = torch.randperm(len(self.test), generator=rng)
        real = laws(self.test, *_prefixes(self.test, self.spec, of_test, any_order, rng))
        # Samples are in a random order already; the first ones are read, so that their laws can be compared.
        rows, positions = _prefixes(samples, self.spec, most - of_test, torch.arange(len(samples)), rng)
        made = laws(samples, F.pad(rows, (1, 0)), F.pad(positions, (1, 0)))  # and the start of all sequences
        self.laws = real, made
        # After a test prefix that the model cannot write, there need be no law.
        self._require_sums("test sequence", real, real.sums != 0)
        self._require_sums("sample", made, torch.ones_like(made.sums, dtype=torch.bool))

    def finish(self, evidence: Evidence) -> str:
        """Compare the laws with the density that was scored, and the samples with both.

        Returns:
            ``exact``, or ``estimated`` where too little could be verified: the sampler has only ``log_prob``, or no
            ``next_token_log_probs`` and many tokens.

        Raises:
            Impossible: saying which check failed.
        """
        of_test, of_samples = evidence.model_log_prob_of_test, self._read(evidence)
        if (lost := int((of_samples.sequences == -math.inf).sum())) > 0:
            raise Impossible(f"{NOT_DRAWN}: it gives {lost} of {len(of_samples.sequences)} samples a probability of 0.")
        if self.laws is not None and of_test.tokens is not None and of_samples.tokens is not None:
            _require_agreement("test sequence", self.laws[0], self.test, of_test.tokens)
            _require_agreement("sample", self.laws[1], self.samples, of_samples.tokens)
        self._require_all_below_one(torch.cat([of_test.sequences, of_samples.sequences]))
        max(self.bets(evidence.held_out, of_samples), key=lambda bet: bet.gain).settle()
        return "exact" if self.enough else "estimated"

    def bets(self, held_out: HeldOut, of_samples: LogProb) -> list[Bet]:
        """All bets that samples are not drawn from the density; log-probabilities of the first :attr:`samples`."""
        on_copies = self._on_copies(held_out, of_samples)
        return [on_copies] if self.laws is None else [on_copies, *self._on_laws(self.laws[1])]

    def _read(self, evidence: Evidence) -> LogProb:
        """The log-probabilities of the first samples; where there is an oracle, those of all are needed anyway."""
        if evidence.held_out.oracle is None:
            return LogProb.of(evidence.sampler, self.samples[:READ])
        found, read = evidence.model_log_prob_of_samples, self.order[:READ]
        return LogProb(None if found.tokens is None else found.tokens[read], found.sequences[read])

    def _require_sums(self, where: str, laws: Laws, known: Tensor) -> None:
        wrong = (laws.sums - 1).abs().nan_to_num(math.inf) * known
        if len(wrong) and float(wrong.max()) > TOLERANCE:
            worst = int(wrong.argmax())
            raise Impossible(
                f"The density is none: in a {where}, after {int(laws.positions[worst])} tokens, the probabilities of "
                f"all {self.spec.vocab_size} next tokens sum to {float(laws.sums[worst]):.6g}; expected 1, give or "
                f"take {TOLERANCE:g}. A sampler with a bound or an estimate says so: density = 'bound' or 'estimated'."
            )

    def _require_all_below_one(self, log_probs: Tensor) -> None:
        """Different sequences have a probability of at most 1 together, whatever the density."""
        rows = torch.cat([self.test, self.samples[:READ]])
        rows = rows.masked_fill(~self.spec.mask(rows), -1)
        digits = torch.randint(1 << 62, (rows.shape[1],), generator=torch.Generator().manual_seed(0))
        _, first = torch.unique((rows * digits).sum(-1), return_inverse=True)
        different = torch.full((int(first.max()) + 1,), -math.inf, dtype=torch.float64).scatter_(0, first, log_probs)
        total = float(different.logsumexp(0))
        if total > TOLERANCE:
            raise Impossible(
                f"The density is none: the probabilities of {len(different)} different sequences sum to "
                f"{math.exp(min(total, 700)):.6g}, and those of all sequences together are 1."
            )

    def _on_copies(self, held_out: HeldOut, log_prob: LogProb) -> Bet:
        """That they repeat training n-grams more often: token by token, or sequence by sequence."""
        read = self.samples[:READ]
        made = self.spec.mask(read)
        copied = torch.from_numpy(held_out.real_text.copier.token_log_prob(read.numpy(), made.numpy()))
        tokens = log_prob.tokens
        claimed = log_prob.sequences if tokens is None else tokens[made]
        others = copied.sum(-1) if tokens is None else copied[made]
        gains = []
        for share in SHARES:
            mixed = torch.logaddexp(claimed + math.log1p(-share), others + math.log(share))
            gains.append(float((mixed - claimed).sum()))
        n = int(made.sum())
        why = f"it gives them {-float(claimed.sum()) / n:.3f} nats per token, and a copier of n-grams "
        why += f"{-float(others.sum()) / n:.3f}"
        return Bet(_log_mean_exp(gains), n, "they repeat n-grams of the training set more often than it allows", why)

    def _on_laws(self, laws: Laws) -> Iterator[Bet]:
        """That they are sharper or flatter, and that some tokens are more frequent or rarer."""
        n = len(self.samples)
        law = torch.cat([torch.zeros(n, dtype=torch.long), torch.arange(1, len(laws.rows))])  # all start with the first
        row = torch.cat([torch.arange(n), laws.rows[1:]])
        token = torch.cat([self.samples[:, 0], laws.at(self.samples)[1:]])
        log_prob = (laws.log_probs[law, token] - laws.sums.log()[law]).double()  # (M,)
        gains = []
        for power in POWERS:
            norm = (laws.log_probs * power).exp_().sum(-1).log() - power * laws.sums.log()
            gains.append(float(((power - 1) * log_prob - norm.double()[law]).sum()))
        best = POWERS[gains.index(max(gains))]
        how = f"they are {'sharper' if best > 1 else 'flatter'}, as if drawn near temperature {1 / best:.2g}"
        why = f"it gives them {-float(log_prob.mean()):.3f} nats per token, and its own entropy is "
        why += f"{float(_entropies(laws)[law].mean()):.3f}"
        yield Bet(_log_mean_exp(gains), len(law), how, why)
        gains, found, half = [], [], row % 2 == 0
        for learn, test in ((half, ~half), (~half, half)):
            expected = torch.bincount(law[learn], minlength=len(laws.rows)).float() @ laws.probs  # (V,)
            seen = torch.bincount(token[learn], minlength=self.spec.vocab_size)
            tilt = (seen + PRIOR) / (expected + PRIOR)
            gains.append(
                float((tilt[token[test]].log() - (laws.probs @ tilt / laws.sums).log()[law[test]]).double().sum())
            )
            word = int((seen - expected).square().div(expected + PRIOR).argmax())
            found.append(
                f"token {word} {int(seen[word])} times among {int(learn.sum())}, not {expected[word]:.1f} times"
            )
        why = found[gains.index(max(gains))]
        yield Bet(_log_mean_exp(gains), len(law), "some tokens are more or less frequent than it says", why)


def _apart(sampler: Any) -> Any:
    """A copy of the sampler, so that the one that is scored does not know what was asked; itself if it has none."""
    try:
        copied = copy.deepcopy(sampler)
    except Exception:  # tensors of a graph and open files cannot be copied, and a plugin may raise anything
        return sampler
    if isinstance(copied, torch.nn.Module):
        for part in copied.modules():
            if isinstance(part, torch.nn.RNNBase):
                part.flatten_parameters()  # a copy is in many blocks of memory, which cuDNN would join at every call
    return copied


def _require_agreement(where: str, laws: Laws, tokens: Tensor, scored: Tensor) -> None:
    """What the laws say of the tokens that came must be what was scored: float64 (R, T), of the first R sequences."""
    read = laws.rows < len(scored)
    laws = Laws(laws.rows[read], laws.positions[read], laws.log_probs[read], laws.probs[:0], laws.sums[read])
    said, found = laws.log_probs.gather(-1, laws.at(tokens)[:, None])[:, 0].double(), laws.at(scored)
    apart = (said - found).masked_fill((said == found) | (laws.sums == 0), 0.0)
    if len(apart) and not (float(apart.abs().max()) <= ROUNDING and abs(float(apart.mean())) <= TOLERANCE):
        worst = int(apart.abs().argmax())
        raise Impossible(
            f"The density contradicts itself: in a {where}, after {int(laws.positions[worst])} tokens, the law of "
            f"the next token gives the one that follows {float(said[worst]):.6g} nats, and token_log_prob gives it "
            f"{float(found[worst]):.6g}."
        )


def _prefixes(
    tokens: Tensor, spec: SequenceSpec, most: int, order: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Sequences and positions after the first at which they have not ended: int64 (K,) each, at most that many.

    As few in each sequence as possible, the sequences in an order, int64 (N,), that does not depend on them. Whether a
    position is taken depends on nothing that comes at it or later in its sequence: a bet needs that.
    """
    n, later = len(tokens), spec.seq_len - 1
    each = min(max(1, most // max(1, n)), later)
    positions = torch.rand(n, later, generator=rng).argsort(-1)[:, :each].sort(-1).values + 1  # (n, each)
    goes_on = spec.mask(tokens)[order].gather(1, positions)
    return order[:, None].expand(-1, each)[goes_on][:most], positions[goes_on][:most]


def _asked_for(sampler: Any, tokens: Tensor, rows: Tensor, positions: Tensor, spec: SequenceSpec) -> Tensor:
    """The laws from ``next_token_log_probs``: float32 (K, V)."""
    laws = torch.empty(len(rows), spec.vocab_size)
    for position in positions.unique().tolist():
        asked = (positions == position).nonzero()[:, 0]
        prefixes = tokens[rows[asked], :position].contiguous()
        laws[asked] = _answer(sampler.next_token_log_probs(prefixes), (len(prefixes), spec.vocab_size))
    return laws


def _answer(found: Any, shape: tuple[int, int]) -> Tensor:
    if not isinstance(found, Tensor) or found.shape != shape:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"expected next_token_log_probs of shape {shape}, got {got}")
    return found.detach().to("cpu", torch.float32)


def _substituted(sampler: Any, tokens: Tensor, rows: Tensor, positions: Tensor, spec: SequenceSpec) -> Tensor:
    """The laws from ``token_log_prob``, of V sequences each that differ in one token: float32 (K, V)."""
    size, parts = spec.vocab_size, [torch.zeros(0, spec.vocab_size)]
    for row, position in zip(rows.tolist(), positions.tolist(), strict=True):
        asked = tokens[row].repeat(size, 1)
        asked[:, position] = torch.arange(size)
        after = asked[:, position + 1 :]
        if spec.eos is None or spec.pad is None:
            after[:] = tokens[row - 1, position + 1 :]  # of another sequence, so that it does not tell the token
        elif after.shape[1]:
            after[:, 0], after[:, 1:] = spec.eos, spec.pad
            after[spec.eos] = spec.pad
        found = LogProb.of(sampler, asked).tokens
        assert found is not None
        before = found[:, :position]
        apart = float((before - before[:1]).nan_to_num(0.0).abs().max()) if before.numel() else 0.0
        if apart > ROUNDING:
            raise Impossible(
                f"The density is none: the log-probabilities of the {position} tokens before a token change by "
                f"{apart:.3g} nats with that token. Each token's is given those before it, and none after it."
            )
        parts.append(found[:, position].float()[None])
    return torch.cat(parts)


def _log_mean_exp(gains: list[float]) -> float:
    return float(torch.tensor(gains, dtype=torch.float64).logsumexp(0)) - math.log(len(gains))


def _entropies(laws: Laws) -> Tensor:
    """The entropy of each law, in nats."""
    return laws.sums.log() - (laws.probs * laws.log_probs.clamp(min=-1e9)).sum(-1) / laws.sums
