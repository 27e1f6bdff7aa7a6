"""A residual energy-based model: maximum likelihood, reweighted by a discriminator (Deng et al. 2020, 2004.11714).

SeqGAN's discriminator is asked for rewards, and what comes of it depends on policy gradient. Here it is used as it is:
whatever it knows makes the model better, and held-out likelihood says by how much.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Interval, MinLen
from torch import Tensor, nn

from bench.api import Count, Decoding, Run, SequenceSpec, Size, StepSize, TrainingData, Unsupported
from seqgan.discriminator import (
    CUDA_SCORING_ROWS,
    FILTER_COUNTS,
    FILTER_SIZES,
    SCORING_ROWS,
    Discriminator,
    compile_discriminator,
)
from seqgan.kernels.convolution import WORDS_A_SENTENCE, features_from_tables
from seqgan.kernels.execution import Step, concurrently, rounded_convolutions, training
from seqgan.lm import compile_language_model
from seqgan.mle import adam
from seqgan.policy import Policy
from seqgan.pretraining import PretrainedGenerator

CANDIDATES = 8_192
"""Draws of the language model that are held and scored at a time when sampling on the CPU."""
CUDA_CANDIDATES = 65_536
"""The same on CUDA: with V = 5,000 the logits of one position are 1.3 GB."""
IGNORANCE = math.log(2)
"""Loss of a discriminator that says 1/2 to everything, in nats per sequence."""


@dataclass(frozen=True, slots=True)
class Partition:
    """What n independent draws of the proposal say of log Z = log E[w], with w = exp(-E) of a draw.

    The log of a mean is on average below the log of the expectation (Jensen), so that likelihoods divided by the mean
    are too high. ``upper`` is on average above log Z once n is large. Both bounds are those of Deng et al. 2020; this
    one corrects twice for the bias that leaving out one draw shows.

    Attributes:
        value: T_n, the log of the mean weight, in nats.
        error: Its standard error by the delta method: that of the mean weight, divided by the mean weight.
        upper: (2n - 1) T_n - 2 (n - 1) T_{n-1}, with the mean over all T_{n-1} that leave out one draw.
        effective: The effective sample size (sum w)^2 / (n sum w^2), as a share of n: 1 where all weights are equal.
    """

    value: float
    error: float
    upper: float
    effective: float

    @classmethod
    def of(cls, log_weights: Tensor) -> Partition:
        """From the log-weights of the draws, float (n,), n of 2 or more."""
        logs = log_weights.double().cpu()
        n, top = len(logs), int(logs.argmax())
        weights = (logs - logs[top]).exp()
        total = weights.sum()
        without = (total - weights).log()
        # Of the largest, which may be nearly all of the sum, the difference would be rounding.
        without[top] = torch.cat([logs[:top], logs[top + 1 :]]).logsumexp(0) - logs[top]
        value = float(logs[top] + (total / n).log())
        one_left_out = float(logs[top] + without.mean() - math.log(n - 1))
        return cls(
            value=value,
            error=float(weights.std() / (total / n)) / math.sqrt(n),
            upper=(2 * n - 1) * value - 2 * (n - 1) * one_left_out,
            effective=float(total.square() / (n * weights.square().sum())),
        )


class ResidualLanguageModel(nn.Module):
    """p(y) = P_LM(y) exp(-E(y)) / Z, with exp(-E) = D / (1 - D): the discriminator's odds that y is real.

    It begins as the language model itself (E = 0), and is that until a discriminator is kept.

    Args:
        model: The language model, which is not changed.
        discriminator: What is trained; a copy of it is kept.
        draws: Draws of the language model for each sample (the paper's N).
    """

    density = "estimated"

    def __init__(self, model: Policy, discriminator: Discriminator, draws: int) -> None:
        super().__init__()
        self.model, self.discriminator, self.draws = model, copy.deepcopy(discriminator), draws
        self.informed: Tensor
        self.register_buffer("informed", torch.zeros((), dtype=torch.bool))
        self.loss: Tensor
        self.register_buffer("loss", torch.zeros((), dtype=torch.float64))
        self.found: Tensor
        self.register_buffer("found", torch.zeros(4, dtype=torch.float64))
        self.forget()

    @property
    def partition(self) -> Partition:
        """What is known of Z."""
        return Partition(*self.found.tolist())

    def keep(self, discriminator: Discriminator, loss: float, whatever: bool = False) -> bool:
        """Copy the discriminator if its held-out loss is the lowest so far, and say whether it is.

        The loss to beat is at first that of knowing nothing. Z is then to be estimated anew: see :meth:`normalise`.

        Args:
            discriminator: As it is now.
            loss: Its noise-contrastive loss on held-out sequences, in nats per sequence.
            whatever: Copy it in any case.
        """
        if loss >= float(self.loss) and not whatever:
            return False
        self.loss.fill_(loss)
        self.informed.fill_(True)
        self.discriminator.load_state_dict(discriminator.state_dict())
        return True

    def forget(self) -> None:
        """Keep no discriminator: be the language model, whose Z is 1."""
        self.informed.fill_(False)
        self.loss.fill_(IGNORANCE)
        self._found(Partition(0.0, 0.0, 0.0, 1.0))

    def normalise(self, drawn: Tensor) -> None:
        """Estimate Z from draws of the language model, int64 (n, T)."""
        self._found(Partition.of(self.log_odds(drawn)))

    def _found(self, partition: Partition) -> None:
        numbers = partition.value, partition.error, partition.upper, partition.effective
        self.found.copy_(torch.tensor(numbers, dtype=torch.float64))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Restore a state, or that of a language model alone, as when the best step is one of the pre-training."""
        if "informed" in state_dict:
            return super().load_state_dict(state_dict, strict, assign)
        self.forget()
        return self.model.load_state_dict(state_dict, strict, assign)

    def log_odds(self, tokens: Tensor) -> Tensor:
        """-E of each sequence: int64 (N, T) on the model's device to float32 (N,); 0 as long as nothing is kept."""
        if not bool(self.informed):
            return torch.zeros(len(tokens), device=tokens.device)
        return real_log_odds(self.discriminator, tokens)

    @torch.no_grad()
    def sample(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        """Draw n sequences, int64 (n, T): each is one of ``draws`` of the language model, picked by exp(-E).

        The paper's algorithm 1 with a set of its own for each sample, so that samples are independent. The law is p
        for many draws, and P_LM for one. ``decoding`` applies to the language model's draws alone; E stays as it is.
        """
        if not bool(self.informed):
            return self.model.sample(n, decoding, rng)
        size = max(1, (CUDA_CANDIDATES if self.model.device.type == "cuda" else CANDIDATES) // self.draws)
        picked = [self._pick(min(size, n - first), decoding, rng) for first in range(0, n, size)]
        return torch.cat(picked) if picked else self.model.sample(0, decoding, rng)

    def _pick(self, n: int, decoding: Decoding, rng: torch.Generator) -> Tensor:
        candidates = self.model.sample(n * self.draws, decoding, rng)
        # The largest of x + Gumbel noise is a draw from softmax(x); minus the log of an exponential number is such
        # noise.
        waits = torch.empty(len(candidates), dtype=torch.float64, device=rng.device).exponential_(generator=rng)
        scores = (self.log_odds(candidates) - waits.log()).view(n, self.draws)
        chosen = scores.argmax(1) + self.draws * torch.arange(n, device=scores.device)
        return candidates[chosen]

    @torch.no_grad()
    def log_prob(self, tokens: Tensor) -> Tensor:
        """Log-probability of each sequence, int64 (N, T) to float64 (N,) on the CPU, nats.

        An estimate, since Z is one: the same error for all sequences, :attr:`partition`. A probability of more than 1,
        which can come of it where there are few sequences, is 1.
        """
        log_prob = self.model.log_prob(tokens).double()
        odds = self.log_odds(tokens.to(self.model.device)).double().cpu()
        return (log_prob + odds - self.partition.value).clamp(max=0.0)


@torch.no_grad()
def real_log_odds(discriminator: Discriminator, tokens: Tensor) -> Tensor:
    """Log of D / (1 - D), the difference of the two logits: int64 (N, T) to float32 (N,), without dropout or gradient.

    For many sequences on a CPU the features come from tables, as in :meth:`Discriminator.reward`, whose probabilities
    are too coarse near 1 to be divided by 1 - D. Nothing is rounded. :func:`reference_real_log_odds` is the plain form.
    """
    if tokens.is_cuda or len(tokens) * WORDS_A_SENTENCE < len(discriminator.embedding.weight):
        return reference_real_log_odds(discriminator, tokens)
    features = features_from_tables(
        discriminator.read(tokens),
        discriminator.embedding.weight,
        discriminator.filter_weight,
        discriminator.filter_bias,
        discriminator.filters,
    )

    def finish(rows: Tensor) -> Tensor:
        signals = F.linear(rows, discriminator.highway.weight, discriminator.highway.bias)
        logits: Tensor = discriminator.output(discriminator.pass_highway(rows, signals))
        return logits[:, 1] - logits[:, 0]

    return torch.cat(concurrently(finish, features.split(SCORING_ROWS)))


@torch.no_grad()
def reference_real_log_odds(discriminator: Discriminator, tokens: Tensor) -> Tensor:
    """The same by the forward pass; used on CUDA and for few sequences."""
    if not len(tokens):
        return torch.zeros(0, device=tokens.device)
    size = CUDA_SCORING_ROWS if tokens.is_cuda else SCORING_ROWS
    with rounded_convolutions(False):
        return torch.cat([(logits := discriminator(rows))[:, 1] - logits[:, 0] for rows in tokens.split(size)])


def contrastive_loss(real: Tensor, generated: Tensor) -> float:
    """Noise-contrastive loss from log-odds of real sequences, (N,), and of draws, (M,): nats per sequence.

    The mean of the two sides' mean cross-entropy, log 2 for odds of 1: half of the paper's objective, with the sign
    changed. At its lowest, the odds are P_data / P_LM (Gutmann and Hyvarinen 2010; Deng et al. 2020).
    """
    return float(F.softplus(-real.double()).mean() + F.softplus(generated.double()).mean()) / 2


class HeldOutDraws(nn.Module):
    """Draws of the language model that no discriminator is trained on; state, so that they outlast an interruption.

    Args:
        spec: The sequences' shape.
        looked_at: Draws beside the held-out real sequences, to see which discriminator is best.
        normalising: Draws that Z is estimated from. They are others, so that the selection does not bias it.
        device: Where they are.
    """

    def __init__(self, spec: SequenceSpec, looked_at: int, normalising: int, device: torch.device) -> None:
        super().__init__()
        self.looked_at: Tensor
        self.normalising: Tensor
        for name, rows in (("looked_at", looked_at), ("normalising", normalising)):
            self.register_buffer(name, torch.zeros(rows, spec.seq_len, dtype=torch.long, device=device))

    def draw(self, model: Policy, rng: torch.Generator) -> None:
        """Draw all of them."""
        for drawn in (self.looked_at, self.normalising):
            drawn.copy_(model.sample(len(drawn), Decoding(), rng))


@dataclass(frozen=True, slots=True)
class ResidualEBM(PretrainedGenerator):
    """The language model that maximum likelihood trained, reweighted by a discriminator (Deng et al. 2020).

    The discriminator is SeqGAN's, and is trained by noise-contrastive estimation: real sequences against fresh draws of
    the language model, which stays as it is. The one with the lowest loss on held-out sequences is kept; if none is
    better than a coin, the model is its pre-training.
    """

    epochs: Count = 150
    """Passes over the positives, each with negatives of its own."""
    draws: Size = 512
    """Draws of the language model for each sample, of which one is picked."""
    z_samples: Annotated[int, Ge(2)] = 10_000
    """Draws of the language model from which log Z is estimated."""
    keep_best: bool = True
    """Whether the discriminator with the lowest held-out loss is kept; otherwise the last one is."""
    looked_at: Size = 2_000
    """Held-out real sequences of that loss, at most, and equally many draws: never more than half of the validation
    split."""
    d_samples: Size | None = None
    """Positives in an epoch, chosen at random, and equally many negatives; None for the entire training set."""
    d_lr: StepSize = 1e-4
    """Discriminator: Adam's step size."""
    d_embedding_dim: Size = 64
    """Discriminator: size of a word embedding."""
    d_filter_sizes: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_SIZES
    """Discriminator: number of words that a filter spans; sizes above the sequence length are left out."""
    d_filter_counts: Annotated[tuple[Size, ...], MinLen(1)] = FILTER_COUNTS
    """Discriminator: number of filters of each size."""
    d_keep: Annotated[float, Interval(ge=0.001, le=1)] = 0.75
    """Discriminator: probability that a feature survives dropout in training."""
    d_l2: Annotated[float, Interval(ge=0, le=1000)] = 0.2
    """Discriminator: weight of the squared norm of its output layer."""

    execution: ClassVar[tuple[str, ...]] = ("mode", "pack")
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **PretrainedGenerator.presets,
        # Filters longer than two words learn the training set by heart before they know anything of other sequences:
        # with five sizes as in seqgan's preset, nothing or a third as much was gained on ``oracle``.
        "quick": {
            **PretrainedGenerator.presets["quick"],
            "epochs": 20,
            "draws": 16,
            "d_lr": 1e-3,
            "d_filter_sizes": (1, 2),
            "d_filter_counts": (64, 64),
            "d_keep": 0.5,
        },
        "medium": {
            **PretrainedGenerator.presets["medium"],
            "epochs": 10,
            "draws": 8,
            "z_samples": 2_000,
            "d_lr": 1e-3,
            "d_filter_sizes": (1, 2),
            "d_filter_counts": (64, 64),
            "d_keep": 0.5,
        },
        "smoke": {
            **PretrainedGenerator.presets["smoke"],
            "epochs": 2,
            "draws": 4,
            "z_samples": 200,
            "d_samples": 64,
            "d_lr": 1e-3,
            "d_filter_sizes": (1, 2),
            "d_filter_counts": (64, 64),
        },
    }

    def __post_init__(self) -> None:
        if len(self.d_filter_sizes) != len(self.d_filter_counts):
            raise ValueError(
                "expected as many d_filter_counts as d_filter_sizes, got "
                f"{len(self.d_filter_counts)} and {len(self.d_filter_sizes)}"
            )

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)
        compile_discriminator(device)

    def fit(self, data: TrainingData, run: Run) -> ResidualLanguageModel:
        """Pre-train, then train the discriminator; after each epoch, look at it and estimate Z.

        Raises:
            Unsupported: with fewer than two validation sequences: one to select by, and one to say what is gained.
        """
        if len(data.valid) < 2:
            raise Unsupported("it needs two validation sequences or more, to select its discriminator and to judge it")
        model = self.pretrain(data, run)
        discriminator = Discriminator(
            data.spec,
            run.rng("discriminator"),
            self.d_embedding_dim,
            self.d_filter_sizes,
            self.d_filter_counts,
            self.d_keep,
        )
        optimizer = adam(discriminator, self.d_lr)
        residual = ResidualLanguageModel(model, discriminator, self.draws).to(run.device)
        valid, half = data.valid.to(run.device), min(len(data.valid) // 2, self.looked_at)
        drawn = HeldOutDraws(data.spec, half, self.z_samples, run.device)
        run.track(residual, residual=residual, discriminator=discriminator, d_optimizer=optimizer, drawn=drawn)
        train, rng = data.train.to(run.device), run.rng("negatives")

        def loss(tokens: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
            return discriminator.loss(tokens, real, self.d_l2, rng)

        step = training(run.execution, loss, optimizer, rng)
        for _ in run.phase("draws", 1):
            with run.measure() as count:
                drawn.draw(model, run.rng("draws"))
                count(sampled_tokens=sum(map(data.spec.count, drawn.buffers())))
        for _ in run.phase("contrast", self.epochs, open_ended=True):
            self._train(step, model, train, run)
            self._look(discriminator, residual, valid[:half], valid[half:][: self.looked_at], drawn, run)
        return residual

    def _train(self, step: Step, model: Policy, train: Tensor, run: Run) -> None:
        """An epoch over positives and as many new negatives, half of either in each batch."""
        rng = run.rng("negatives")
        size = max(1, self.batch_size // 2)
        losses, accuracies = [], []
        with run.measure() as count:
            order = torch.randperm(len(train), generator=rng, device=train.device)[: self.d_samples]
            negatives = model.sample(len(order), Decoding(), rng)
            count(sampled_tokens=model.spec.count(negatives))
            for rows, generated in zip(order.split(size), negatives.split(size), strict=True):
                batch = torch.cat([train[rows], generated])
                real = (torch.arange(len(batch), device=train.device) < len(rows)).long()
                loss, accuracy = step(batch, real)
                losses.append(loss)
                accuracies.append(accuracy)
                count(discriminator_sequences=len(batch), discriminator_tokens=model.spec.count(batch), updates=1)
                if run.spent():
                    break
        run.log(d_loss=float(torch.stack(losses).mean()), d_accuracy=float(torch.stack(accuracies).mean()))

    def _look(
        self,
        discriminator: Discriminator,
        residual: ResidualLanguageModel,
        real: Tensor,
        unseen: Tensor,
        drawn: HeldOutDraws,
        run: Run,
    ) -> None:
        """Keep the discriminator if it is the best so far, estimate Z, and log what the kept one is worth.

        Args:
            discriminator: As it is now.
            residual: What keeps the best.
            real: int64, (M, T), the validation sequences that select.
            unseen: int64, (N, T), those that do not: ``gain`` is the mean log-likelihood that they gain over the
                pre-training, the mean of -E minus log Z, in nats per sequence.
            drawn: Draws of the language model.
            run: Counts what is read.
        """
        spec = residual.model.spec
        with run.measure() as count:
            looked = contrastive_loss(real_log_odds(discriminator, real), real_log_odds(discriminator, drawn.looked_at))
            count(selection_tokens=spec.count(real) + spec.count(drawn.looked_at))
            if residual.keep(discriminator, looked, whatever=not self.keep_best):
                residual.normalise(drawn.normalising)
                count(normalising_tokens=spec.count(drawn.normalising))
            odds = residual.log_odds(unseen).double()
            count(selection_tokens=spec.count(unseen))
        z = residual.partition
        gain = float(odds.mean()) - z.value
        scatter = float(odds.var(correction=0)) / len(odds)
        run.log(
            looked=looked,
            log_z=z.value,
            log_z_error=z.error,
            log_z_upper=z.upper,
            effective_share=z.effective,
            gain=gain,
            gain_error=math.sqrt(scatter + z.error**2),
            gain_per_token=gain * len(unseen) / spec.count(unseen),
        )
