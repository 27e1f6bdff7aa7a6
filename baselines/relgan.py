"""RelGAN: a discriminator reads relaxed words, so that its gradient reaches the generator (Nie et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, cast

import torch
import torch.nn.functional as F
from annotated_types import Interval, MinLen
from torch import Tensor, nn

from baselines.networks.relational_memory import RelationalLanguageModel
from baselines.networks.relgan_discriminator import RelGANDiscriminator
from bench.api import Count, Positive, Run, Size, StepSize, TrainingData, Unsupported
from seqgan.discriminator import compile_discriminator
from seqgan.lm import compile_language_model
from seqgan.mle import Descent, adam, maximize_likelihood, minibatches, trainable

EPOCHS = {"quick": 7, "medium": 4, "smoke": 2}
"""Pre-training epochs. In ``quick``, NLL on the validation split of ``oracle`` is lowest after seven."""
HEAD_SIZE = {"quick": 32, "medium": 64, "smoke": 16}


@dataclass(frozen=True, slots=True)
class RelationalMLE:
    """Maximum likelihood with teacher forcing of a relational memory: RelGAN's pre-training, and a control by itself.

    Defaults are those of RelGAN's released code (weilinie/RelGAN).
    """

    epochs: Count = 150
    """Passes over the training set."""
    lr: StepSize = 0.01
    """Adam's step size."""
    batch_size: Size = 64
    """Sequences per update."""
    clip_norm: Positive = 5.0
    """Largest global norm of a gradient."""
    embedding_dim: Size = 32
    """Size of a word embedding."""
    slots: Size = 1
    """Rows of the memory."""
    heads: Size = 2
    """Attention heads."""
    head_size: Size = 256
    """Size of a head; a row of the memory has heads x head_size numbers."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        preset: {"epochs": epochs, "head_size": HEAD_SIZE[preset]} for preset, epochs in EPOCHS.items()
    }

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)

    def fit(self, data: TrainingData, run: Run) -> RelationalLanguageModel:
        """Minimise the mean negative log-likelihood of a token."""
        rng = run.rng("init")
        model = RelationalLanguageModel(data.spec, rng, self.embedding_dim, self.slots, self.heads, self.head_size)
        optimizer = adam(model, self.lr)
        run.track(model, model=model, optimizer=optimizer)
        descent = Descent(model, optimizer, self.clip_norm)
        train = data.train.to(run.device)
        for _ in run.phase("relational-mle", self.epochs, open_ended=True):
            maximize_likelihood(descent, minibatches(train, self.batch_size), run)
        return model


@dataclass(frozen=True, slots=True)
class RelGAN:
    """A relational memory against a discriminator that reads the softmax from which its words were drawn.

    A word is the argmax of logits plus Gumbel noise. The discriminator reads the softmax of the same sums times an
    inverse temperature that rises while training: near one-hot in value, with a gradient to the logits. Both networks
    are trained on differences of logits of a real and a generated sequence (Jolicoeur-Martineau 2018).

    Defaults are those of the released code on its synthetic data (weilinie/RelGAN).
    """

    pretrain_epochs: Count = 150
    """Epochs of maximum likelihood before the adversarial phase; the checkpoint is that of ``relational-mle``."""
    pretrain_lr: StepSize = 0.01
    """Adam's step size in pre-training."""
    batch_size: Size = 64
    """Sequences per update, real and generated each, in both phases."""
    clip_norm: Positive = 5.0
    """Largest global norm of a gradient, of both networks in both phases."""
    embedding_dim: Size = 32
    """Generator: size of a word embedding."""
    slots: Size = 1
    """Generator: rows of the memory."""
    heads: Size = 2
    """Generator: attention heads."""
    head_size: Size = 256
    """Generator: size of a head; a row of the memory has heads x head_size numbers."""
    rounds: Count = 3_000
    """Rounds of the adversarial phase."""
    lr: StepSize = 1e-4
    """Generator: Adam's step size in the adversarial phase, which has its own optimizer."""
    g_steps: Count = 1
    """Generator steps per round."""
    d_steps: Count = 5
    """Discriminator steps per round."""
    beta_max: Annotated[float, Interval(ge=1, le=1e6)] = 100.0
    """Greatest inverse temperature of what the discriminator reads; samples always have temperature 1."""
    anneal_rounds: Size = 5_000
    """Rounds in which the inverse temperature rises from 1 to ``beta_max``, by the same factor in each."""
    d_lr: StepSize = 1e-4
    """Discriminator: Adam's step size."""
    d_representations: Size = 64
    """Discriminator: embeddings of a word, each of which is judged by itself."""
    d_embedding_dim: Size = 1
    """Discriminator: size of each of these embeddings."""
    d_filter_sizes: Annotated[tuple[Size, ...], MinLen(1)] = (2, 3, 4, 5)
    """Discriminator: number of words that a filter spans; sizes above the sequence length are left out."""
    d_filter_count: Size = 300
    """Discriminator: number of filters of each size."""
    d_hidden_dim: Size = 100
    """Discriminator: width of the layer before the logit."""
    d_keep: Annotated[float, Interval(ge=0.001, le=1)] = 0.75
    """Discriminator: probability that a feature survives dropout, also when the generator learns."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # A discriminator that gets 150 updates instead of 15,000 needs larger steps to learn anything.
        preset: {"pretrain_epochs": EPOCHS[preset], "head_size": HEAD_SIZE[preset], "d_lr": 1e-3, **fields}
        for preset, fields in {
            "quick": {
                "rounds": 30,
                "anneal_rounds": 30,
                "d_representations": 16,
                "d_filter_count": 32,
            },
            "medium": {
                "rounds": 40,
                "anneal_rounds": 40,
                "d_representations": 16,
                "d_filter_count": 32,
            },
            "smoke": {
                "rounds": 3,
                "anneal_rounds": 3,
                "d_steps": 1,
                "d_representations": 4,
                "d_filter_count": 8,
            },
        }.items()
    }

    def __post_init__(self) -> None:
        if not (self.g_steps or self.d_steps):  # such rounds could not use up a budget
            raise ValueError("expected g_steps or d_steps of 1 or more, got 0 for both; rounds=0 leaves out the rounds")

    def warm_up(self, device: torch.device) -> None:
        """Compile before the clock starts."""
        compile_language_model(device)
        compile_discriminator(device)

    def fit(self, data: TrainingData, run: Run) -> RelationalLanguageModel:
        """Pre-train by maximum likelihood, then take turns."""
        if min(self.d_filter_sizes) > data.spec.seq_len:
            raise Unsupported(f"no filter of the discriminator fits into {data.spec.seq_len} words")
        policy = self.pretrain(data, run)
        discriminator = RelGANDiscriminator(
            data.spec,
            run.rng("discriminator"),
            self.d_representations,
            self.d_embedding_dim,
            self.d_filter_sizes,
            self.d_filter_count,
            self.d_hidden_dim,
            self.d_keep,
        )
        optimizer, d_optimizer = adam(policy, self.lr), adam(discriminator, self.d_lr)
        run.track(policy, policy=policy, optimizer=optimizer, discriminator=discriminator, d_optimizer=d_optimizer)
        train = data.train.to(run.device)
        for done in run.phase("adversarial", self.rounds, open_ended=True):
            beta = inverse_temperature(done, self.beta_max, self.anneal_rounds)
            run.log(inverse_temperature=beta)
            for _ in range(self.g_steps):
                if run.spent():
                    break
                self.generator_step(policy, optimizer, discriminator, train, beta, run)
            for _ in range(self.d_steps):
                if run.spent():
                    break
                self.discriminator_step(policy, discriminator, d_optimizer, train, beta, run)
        return policy

    def pretrain(self, data: TrainingData, run: Run) -> RelationalLanguageModel:
        """The model after maximum likelihood: the checkpoint of ``relational-mle`` with the same fields."""
        pretraining = RelationalMLE(
            epochs=self.pretrain_epochs,
            lr=self.pretrain_lr,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            embedding_dim=self.embedding_dim,
            slots=self.slots,
            heads=self.heads,
            head_size=self.head_size,
        )
        return cast(RelationalLanguageModel, run.pretrained(pretraining, data))

    def generator_step(
        self,
        policy: RelationalLanguageModel,
        optimizer: torch.optim.Optimizer,
        discriminator: RelGANDiscriminator,
        train: Tensor,
        beta: float,
        run: Run,
    ) -> None:
        """One step of the generator towards sequences that are more real than those of the training set."""
        real = self.some(train, run)
        with run.measure(updates=1) as count:
            with torch.no_grad():
                real_logits = discriminator(discriminator.embed(real), run.rng("dropout"))
            tokens, words = relaxed_words(policy, discriminator, self.batch_size, beta, run)
            loss = generator_loss(real_logits, discriminator(words, run.rng("dropout")))
            norm = descend(loss, policy, optimizer, self.clip_norm)
            drawn = policy.spec.count(tokens)
            count(sampled_tokens=drawn, reward_tokens=drawn + policy.spec.count(real), train_tokens=drawn)
        run.log(loss=float(loss.detach()), gradient_norm=float(norm))

    def discriminator_step(
        self,
        policy: RelationalLanguageModel,
        discriminator: RelGANDiscriminator,
        optimizer: torch.optim.Optimizer,
        train: Tensor,
        beta: float,
        run: Run,
    ) -> None:
        """One step of the discriminator on new sequences of both kinds."""
        real = self.some(train, run)
        with run.measure(updates=1) as count:
            with torch.no_grad():
                tokens, scores = policy.perturbed(self.batch_size, run.rng("policy"))
                relaxed = torch.softmax(beta * scores, -1)
            words = torch.cat([discriminator.embed(real), discriminator.embed_relaxed(relaxed, tokens)])
            real_logits, fake_logits = discriminator(words, run.rng("dropout")).chunk(2)
            loss = discriminator_loss(real_logits, fake_logits)
            norm = descend(loss, discriminator, optimizer, self.clip_norm)
            discriminator.midpoint.copy_((real_logits.detach().mean() + fake_logits.detach().mean()) / 2)
            drawn = policy.spec.count(tokens)
            count(sampled_tokens=drawn, discriminator_tokens=drawn + policy.spec.count(real))
        right = (real_logits.mean(-1) > fake_logits.mean(-1)).float().mean()
        run.log(d_loss=float(loss.detach()), d_pairs_right=float(right), d_gradient_norm=float(norm))

    def some(self, train: Tensor, run: Run) -> Tensor:
        """A batch of training sequences, drawn with replacement: int64 (B, T)."""
        drawn = torch.randint(len(train), (self.batch_size,), generator=run.rng("batches"), device=train.device)
        return train[drawn]


def inverse_temperature(done: int, greatest: float, rounds: int) -> float:
    """``greatest ** (done / rounds)``, and ``greatest`` from then on (Nie et al. 2019, "exponential")."""
    return float(greatest ** min(done / rounds, 1.0))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean of -log sigmoid(real - fake) over pairs and representations, (B, R) each: to find the real one more real."""
    return F.softplus(fake - real).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean of -log sigmoid(fake - real): to be found more real than the real one."""
    return F.softplus(real - fake).mean()


def relaxed_words(
    policy: RelationalLanguageModel, discriminator: RelGANDiscriminator, n: int, beta: float, run: Run
) -> tuple[Tensor, Tensor]:
    """Draw n sequences, and what the discriminator reads of them.

    Returns:
        tokens, int64 (n, T), and embedded words, float (n, T, R E), through which gradients reach the policy.
    """
    tokens, scores = policy.perturbed(n, run.rng("policy"))
    return tokens, discriminator.embed_relaxed(torch.softmax(beta * scores, -1), tokens)


def descend(loss: Tensor, model: nn.Module, optimizer: torch.optim.Optimizer, clip_norm: float) -> Tensor:
    """One step of one network down a loss that may depend on others, too; returns the norm before clipping."""
    parameters = trainable(model)
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        parameter.grad = gradient
    norm = nn.utils.clip_grad_norm_(parameters, clip_norm)
    optimizer.step()
    return norm.detach()
