"""Other networks than the LSTM: what they learn, and that generators keep the contract with them."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from baselines.mle_ngram import MLENgram
from baselines.mle_tempered import MLETempered
from baselines.policies import CNNMLE, TransformerMLE
from baselines.scheduled_sampling import ScheduledSampling
from bench.api import Decoding, SequenceSpec, Size, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite
from seqgan.cnn import GatedCNN
from seqgan.mle import MLE
from seqgan.networks import PolicyName
from seqgan.seqgan import SeqGAN
from seqgan.transformer import Transformer


@dataclasses.dataclass(frozen=True, slots=True)
class CNNSeqGAN(SeqGAN):
    """SeqGAN of gated convolutions, with a small discriminator."""

    policy: PolicyName = "cnn"
    hidden_dim: Size = 8
    d_embedding_dim: Size = 8
    d_filter_sizes: tuple[Size, ...] = (1, 2)
    d_filter_counts: tuple[Size, ...] = (8, 8)


@dataclasses.dataclass(frozen=True, slots=True)
class TransformerSeqGAN(CNNSeqGAN):
    """The same of a transformer."""

    policy: PolicyName = "transformer"


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cycle(rows, stay=0.05, vocab_size=6, length=8, seed=0):
    """After each word its successor with probability 1 - stay, else the same word; the first is uniform."""
    rng = generator(seed)
    tokens = torch.randint(vocab_size, (rows, 1), generator=rng)
    steps = (torch.rand(rows, length - 1, generator=rng) >= stay).long()
    return torch.cat([tokens, tokens + steps.cumsum(1)], 1) % vocab_size


@pytest.mark.parametrize("kind", [CNNMLE, TransformerMLE, CNNSeqGAN, TransformerSeqGAN])
def test_the_generator_keeps_the_contract(kind):
    outcomes = list(run_suite(kind))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []


@pytest.mark.parametrize(("kind", "network"), [(CNNMLE, GatedCNN), (TransformerMLE, Transformer)])
def test_it_learns_a_chain_to_its_entropy(kind, network):
    data = TrainingData(SequenceSpec(6, 8, bos=6), cycle(640), cycle(10, seed=1))
    model = Session("chain/0").train(kind(epochs=12), data)
    assert isinstance(model, network)
    entropy = (math.log(6) - 7 * (0.05 * math.log(0.05) + 0.95 * math.log(0.95))) / 8  # nats per token: 0.398
    nll = -float(model.log_prob(cycle(2_000, seed=2)).mean()) / 8
    assert entropy - 0.03 < nll < entropy + 0.06
    tokens = model.sample(2_000, Decoding(), generator(3))
    steps = (tokens[:, 1:] - tokens[:, :-1]) % 6
    assert float((steps == 1).double().mean()) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("kind", [CNNMLE, TransformerMLE])
def test_it_sees_far_back(kind):
    """The last word is the first one: only a network whose last position sees the first can know it."""
    tokens = torch.randint(4, (1_000, 8), generator=generator())
    tokens[:, -1] = tokens[:, 0]
    held_out = torch.randint(4, (300, 8), generator=generator(1))
    held_out[:, -1] = held_out[:, 0]
    model = Session("far/0").train(kind(epochs=15), TrainingData(SequenceSpec(4, 8, bos=4), tokens, held_out))
    assert -float(model.token_log_prob(held_out)[:, -1].mean()) < 0.2 < math.log(4)


@pytest.mark.parametrize(("kind", "name"), [(CNNMLE, "cnn"), (TransformerMLE, "transformer")])
def test_it_is_mle_with_another_network(kind, name):
    fields = {"epochs": 2, "embedding_dim": 6, "hidden_dim": 6, "batch_size": 16}
    data = Toy(train_size=64).load().training
    model = Session("same/0").train(kind(**fields), data)
    plain = Session("same/0").train(MLE(policy=name, lr=kind().lr, **fields), data)
    assert all(torch.equal(*each) for each in zip(model.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("name", ["cnn", "transformer"])
@pytest.mark.parametrize("kind", [MLETempered, MLENgram, ScheduledSampling])
def test_what_builds_on_likelihood_takes_every_network(kind, name):
    """The density that it states is that of its samples, also at another temperature."""
    spec = SequenceSpec(3, 3, bos=3)
    data = TrainingData(spec, *(torch.randint(3, (rows, 3), generator=generator(rows)) ** 2 % 3 for rows in (90, 40)))
    fields = {"decay": 0.5} if kind is ScheduledSampling else {}
    model = Session("all/0").train(kind(epochs=3, policy=name, embedding_dim=6, hidden_dim=6, **fields), data)
    everything = torch.cartesian_prod(*3 * [torch.arange(3)])
    for temperature in (1.0, 0.5):
        law = model.token_log_prob(everything, temperature).sum(-1).double().exp()
        assert float(law.sum()) == pytest.approx(1, abs=1e-4)
        tokens = model.sample(4_000, Decoding(temperature), generator(1))
        shares = torch.bincount((tokens * torch.tensor([9, 3, 1])).sum(-1), minlength=27) / 4_000
        assert float((shares - law).abs().max()) < 5 * (0.25 / 4_000) ** 0.5
