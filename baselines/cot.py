"""Cooperative training (Lu et al. 2018, arXiv 1804.03782): a generator follows a mediator, without policy gradient.

The mediator is a language model that learns the balanced mixture of real and generated sequences by maximum
likelihood. The generator lowers its divergence from the mediator, word by word, over all words of the vocabulary at
once: nothing is estimated from the reward of a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.api import Count, Decoding, Run, Size, StepSize, TrainingData
from seqgan.kernels import execution
from seqgan.kernels.cross_entropy import weighted_nll
from seqgan.lm import InitStd, LSTMLanguageModel, compile_language_model
from seqgan.mle import evenly, trainable
from seqgan.networks import PolicyName, new_policy
from seqgan.policy import Policy

Decay = Annotated[float, Interval(ge=0, lt=1)]
"""Range of a field: one of Adam's betas, the share of a running mean that is kept at each step."""


ROWS = 64
"""Rows whose logits are computed at a time: 1.3 MB of them for 5,000 words."""


class Mediator(LSTMLanguageModel):
    """A language model with dropout on the states that its output layer reads, while it learns."""

    def survivors(self, tokens: Tensor, dropout: float, rng: torch.Generator) -> Tensor:
        """What the states of one step are multiplied by: 1 / (1 - dropout), or 0 with probability ``dropout``.

        Args:
            tokens: int64, (B, T).
            dropout: In [0, 1).
            rng: Draws the mask.

        Returns:
            float32, (B, T, H).
        """
        drawn = torch.rand(*tokens.shape, self.lstm.hidden_size, generator=rng, device=self.device)
        return (drawn >= dropout).float() / (1 - dropout)

    def dropped_nll(self, tokens: Tensor, weights: Tensor, survivors: Tensor) -> tuple[Tensor, Tensor]:
        """:meth:`Policy.weighted_nll` with the states multiplied by ``survivors``.

        Args:
            tokens: int64, (B, T).
            weights: float32, (B, T); those after the end of a sequence are not read.
            survivors: float32, (B, T, H).

        Returns:
            The sum, a scalar that carries the gradient, and the log-probabilities, (B, T), without gradient.
        """
        positions = self.positions(tokens)
        if tokens.is_cuda:  # where all positions are computed
            weights = weights.where(self.spec.mask(tokens), 0.0)
        hidden = self.hidden(self.shift(tokens))  # (B, T, H)
        loss, log_prob = weighted_nll(
            (hidden * survivors).flatten(0, 1)[positions],
            self.output.weight,
            self.output.bias,
            tokens.flatten()[positions],
            weights.flatten()[positions],
        )
        return loss, self.scattered(log_prob, positions, tokens)

    @torch.no_grad()
    def log_laws(self, tokens: Tensor) -> Tensor:
        """Log-probability of each word at each position, without dropout or gradient: (B, T) to (B, T, V), nats."""
        return torch.log_softmax(self(self.shift(tokens)), -1)


def reference_divergence(logits: Tensor, log_mediator: Tensor, mask: Tensor) -> Tensor:
    """KL(G || M) of the next word after each prefix: ``sum_v G(v) (log G(v) - log M(v))``, in nats.

    Summed over the positions of sequences that G drew, it is the loss of the released code. Its expected value is
    KL(G || M) of whole sequences, by the chain rule. Where M is the exact mixture (P + G) / 2 of data and generator,
    the gradient of that, with M held fixed, is twice the gradient of the Jensen-Shannon divergence of P and G: the
    derivative with respect to G(x) is (log G(x) / M(x)) / 2, since what comes through M is a constant.

    Args:
        logits: float, (B, T, V), of G; the gradient comes through these alone.
        log_mediator: float, (B, T, V), log M, a constant.
        mask: bool, (B, T), True where a token counts.

    Returns:
        float, (B, T): zero after the end of a sequence.
    """
    log_law = torch.log_softmax(logits, -1)
    return (log_law.exp() * (log_law - log_mediator.detach())).sum(-1).where(mask, 0.0)


def divergence(hidden: Tensor, weight: Tensor, bias: Tensor, log_mediator: Tensor) -> tuple[Tensor, Tensor]:
    """The same for rows that all count, from the states that the output layer reads; a few rows at a time.

    The gradient is known in closed form, G(v) (log G(v) / M(v) - KL) for the logit of v, and is computed with the value
    while a few rows of logits are in cache.

    Args:
        hidden: float, (R, H).
        weight: float, (V, H), of the output layer.
        bias: float, (V,).
        log_mediator: float, (R, V), log M, a constant.

    Returns:
        The sum over rows, a scalar through which ``hidden``, ``weight`` and ``bias`` get their gradients, and the
        divergence of each row, (R,), which carries none.
    """
    total, apart = _Divergence.apply(hidden, weight, bias, log_mediator)  # type: ignore[no-untyped-call]
    return total, apart


class _Divergence(torch.autograd.Function):
    """Forward also computes the gradients, for an upstream gradient of 1; backward scales them."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, log_mediator: Tensor) -> Any:
        apart, d_hidden = hidden.new_empty(len(hidden)), torch.empty_like(hidden)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        for start in range(0, len(hidden), ROWS):
            rows = slice(start, start + ROWS)
            slope = torch.log_softmax(torch.addmm(bias, hidden[rows], weight.t()), -1)
            law = slope.exp()
            slope -= log_mediator[rows]
            apart[rows] = torch.linalg.vecdot(law, slope)
            slope.sub_(apart[rows, None]).mul_(law)
            d_hidden[rows] = slope @ weight
            d_weight.addmm_(slope.t(), hidden[rows])
            d_bias += slope.sum(0)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.mark_non_differentiable(apart)
        return apart.sum(), apart

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        return *(upstream[0] * gradient for gradient in ctx.saved_tensors), None


def update_generator(model: Policy, optimizer: torch.optim.Optimizer, tokens: Tensor, log_mediator: Tensor) -> Tensor:
    """One step down the sum of :func:`reference_divergence` over a batch that the model drew.

    The prefixes are constants: how a step changes what is drawn is not part of its gradient.

    Args:
        model: G.
        optimizer: Its optimizer.
        tokens: int64, (B, T), drawn from G.
        log_mediator: float, (B, T, V), log M after the prefixes of ``tokens``.

    Returns:
        The divergence of each position before the step, (B, T).
    """

    def loss(rows: slice) -> tuple[Tensor, Tensor]:
        some = tokens[rows]
        if some.is_cuda:
            apart = reference_divergence(model(model.shift(some)), log_mediator[rows], model.spec.mask(some))
            return apart.sum(), apart.detach()
        hidden = model.hidden(model.shift(some))  # (B, T, H)
        positions = model.positions(some)
        total, by_row = divergence(
            hidden.flatten(0, 1)[positions],
            model.output.weight,
            model.output.bias,
            log_mediator[rows].flatten(0, 1)[positions],
        )
        return total, model.scattered(by_row, positions, some)

    return stepped(loss, len(tokens), model, optimizer)


def update_mediator(
    model: Mediator, optimizer: torch.optim.Optimizer, tokens: Tensor, dropout: float, rng: torch.Generator
) -> Tensor:
    """One step of maximum likelihood on a batch of which half is real and half generated.

    Returns:
        The log-probability of each token before the step, with dropout, (B, T).
    """
    weights, survivors = evenly(model.spec, tokens), model.survivors(tokens, dropout, rng)

    def loss(rows: slice) -> tuple[Tensor, Tensor]:
        return model.dropped_nll(tokens[rows], weights[rows], survivors[rows])

    return stepped(loss, len(tokens), model, optimizer)


def stepped(
    loss: Callable[[slice], tuple[Tensor, Tensor]],
    rows: int,
    model: Policy,
    optimizer: torch.optim.Optimizer,
) -> Tensor:
    """One step, without clipping, on a loss that is a sum over rows; its other result for all rows, (B, T)."""
    parameters = trainable(model)

    def update() -> Tensor:
        optimizer.step()
        return torch.empty(0)

    other, _ = execution.descend(loss, rows, parameters, update)
    return other


def real_batch(train: Tensor, step: int, size: int) -> Tensor:
    """The batch of a step: the training set in its own order, again and again; (N, T) to (size, T)."""
    return train[torch.arange(step * size, (step + 1) * size, device=train.device) % len(train)]


@dataclass(frozen=True, slots=True)
class CoT:
    """Cooperative training: generator and mediator take turns, from random parameters (Lu et al. 2018, algorithm 1).

    Defaults are those of the released code (desire2020/CoT). There is no pre-training.
    """

    rounds: Count = 2_000
    """Rounds of ``round_steps`` steps; curve, checkpoints and selection look at the end of a round."""
    round_steps: Size = 100
    """Steps in a round; each is one update of the generator, then one of the mediator."""
    batch_size: Size = 64
    """Sequences in an update of the generator; the mediator reads as many real and as many generated ones."""
    lr: StepSize = 1e-3
    """Generator: Adam's step size."""
    mediator_lr: StepSize = 3e-3
    """Mediator: Adam's step size."""
    beta1: Decay = 0.9
    """Both: decay of Adam's mean of gradients."""
    beta2: Decay = 0.95
    """Both: decay of Adam's mean of squared gradients."""
    policy: PolicyName = "lstm"
    """Generator: the network: the paper's LSTM, gated convolutions, or a small transformer."""
    embedding_dim: Size = 32
    """Generator: size of a word embedding."""
    hidden_dim: Size = 32
    """Generator: size of the LSTM's state; width of another network."""
    mediator_embedding_dim: Size = 64
    """Mediator: size of a word embedding."""
    mediator_hidden_dim: Size = 64
    """Mediator: size of the LSTM's state."""
    mediator_dropout: Annotated[float, Interval(ge=0, le=0.99)] = 0.5
    """Mediator: probability that a unit of its state is dropped before the output layer, in training only."""
    init_std: InitStd = 0.1
    """Both: standard deviation of the initial parameters."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Hundreds of steps instead of 200,000 have to be larger ones.
        "quick": {"rounds": 20, "round_steps": 20, "lr": 0.01, "mediator_lr": 0.01},
        "medium": {"rounds": 20, "round_steps": 25, "lr": 0.01, "mediator_lr": 0.01},
        "smoke": {"rounds": 2, "round_steps": 10, "lr": 0.01, "mediator_lr": 0.01},
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def fit(self, data: TrainingData, run: Run) -> Policy:
        """Train both networks in turns."""
        spec = data.spec
        model = new_policy(self.policy, spec, run.rng("init"), self.embedding_dim, self.hidden_dim, self.init_std)
        mediator = Mediator(
            spec, run.rng("mediator"), self.mediator_embedding_dim, self.mediator_hidden_dim, self.init_std
        )
        optimizer, m_optimizer = (
            torch.optim.Adam(trainable(network), lr=lr, betas=(self.beta1, self.beta2), fused=True)
            for network, lr in ((model, self.lr), (mediator, self.mediator_lr))
        )
        run.track(model, model=model, optimizer=optimizer, mediator=mediator, m_optimizer=m_optimizer)
        train = data.train.to(run.device)
        for index in run.phase("cooperative", self.rounds, open_ended=True):
            apart, nll = [], []
            for step in range(index * self.round_steps, (index + 1) * self.round_steps):
                apart.append(self.teach_generator(model, optimizer, mediator, run))
                nll.append(
                    self.teach_mediator(mediator, m_optimizer, model, real_batch(train, step, self.batch_size), run)
                )
                if run.spent():
                    break
            run.log(divergence=float(torch.stack(apart).mean()), mediator_nll=float(torch.stack(nll).mean()))
        return model

    def teach_generator(self, model: Policy, optimizer: torch.optim.Optimizer, mediator: Mediator, run: Run) -> Tensor:
        """Draw a batch and take one step towards the mediator; the mean divergence per token, a scalar, nats."""
        with run.measure() as count:
            tokens = model.sample(self.batch_size, Decoding(), run.rng("policy"))
            apart = update_generator(model, optimizer, tokens, mediator.log_laws(tokens))
            learnt = model.spec.count(tokens)
            count(sampled_tokens=learnt, reward_tokens=learnt, train_tokens=learnt, updates=1)
        return apart.sum() / learnt

    def teach_mediator(
        self,
        mediator: Mediator,
        optimizer: torch.optim.Optimizer,
        model: Policy,
        real: Tensor,
        run: Run,
    ) -> Tensor:
        """One step on real sequences and as many new draws; the mean NLL of a token, a scalar, nats."""
        with run.measure() as count:
            drawn = model.sample(len(real), Decoding(), run.rng("negatives"))
            tokens = torch.cat([real, drawn])
            log_prob = update_mediator(mediator, optimizer, tokens, self.mediator_dropout, run.rng("dropout"))
            read = model.spec.count(tokens)
            count(sampled_tokens=model.spec.count(drawn), mediator_tokens=read, updates=1)
        return -log_prob.sum() / read
