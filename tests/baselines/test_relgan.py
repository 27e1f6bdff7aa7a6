from __future__ import annotations

import copy
import dataclasses
import itertools
import math

import pytest
import torch
from scipy import stats

from baselines.networks.relational_memory import (
    RelationalLanguageModel,
    RelationalMemory,
    gumbel,
    reference_step,
)
from baselines.networks.relgan_discriminator import RelGANDiscriminator
from baselines.relgan import (
    RelationalMLE,
    RelGAN,
    discriminator_loss,
    generator_loss,
    inverse_temperature,
    relaxed_words,
)
from bench.api import Decoding, SequenceSpec, TrainingData, Unsupported
from bench.plans.fields import build, configuration
from bench.runs.session import Session
from bench.tasks.toy import Toy
from bench.testing import CHECKS, run_suite
from seqgan.mle import trainable

FIXED = SequenceSpec(4, 3, bos=4)
ENDED = SequenceSpec(4, 4, bos=4, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(4, 4, bos=0, eos=3, pad=3)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(ENDED, id="eos"),
    pytest.param(ENDED_BY_PAD, id="eos is pad"),
]
PAPER = {
    "pretrain_epochs": 150,
    "pretrain_lr": 0.01,
    "batch_size": 64,
    "clip_norm": 5.0,
    "embedding_dim": 32,
    "slots": 1,
    "heads": 2,
    "head_size": 256,
    "rounds": 3_000,
    "lr": 1e-4,
    "g_steps": 1,
    "d_steps": 5,
    "beta_max": 100.0,
    "anneal_rounds": 5_000,
    "d_lr": 1e-4,
    "d_representations": 64,
    "d_embedding_dim": 1,
    "d_filter_sizes": (2, 3, 4, 5),
    "d_filter_count": 300,
    "d_hidden_dim": 100,
    "d_keep": 0.75,
}
SMALL = RelGAN(
    pretrain_epochs=2,
    batch_size=16,
    embedding_dim=6,
    head_size=4,
    rounds=3,
    anneal_rounds=3,
    g_steps=2,
    d_steps=2,
    d_representations=4,
    d_embedding_dim=2,
    d_filter_sizes=(2, 3),
    d_filter_count=5,
    d_hidden_dim=7,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def every(spec):
    """Every sentence there is, int64 (M, T): after eos there is only pad."""
    tokens = torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))
    return tokens if spec.eos is None else tokens[(spec.mask(tokens) | (tokens == spec.pad)).all(-1)]


def policy_of(spec, slots=1, seed=0):
    """A small model far from uniform, whose distribution depends on what was read."""
    model = RelationalLanguageModel(spec, generator(seed), 5, slots, 2, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.empty_like(parameter).normal_(0, 0.7, generator=generator(seed + 1)))
    return model


def critic_of(spec, seed=0):
    return RelGANDiscriminator(spec, generator(seed), 3, 2, (2, 3), 4, 5)


def one_hot(spec, tokens):
    return torch.nn.functional.one_hot(tokens, spec.vocab_size).float()


def p_value(tokens, sentences, log_prob, spec):
    """Chi-square of drawn sentences under the probabilities of all sentences."""
    powers = spec.vocab_size ** torch.arange(spec.seq_len)
    counts = torch.bincount((tokens * powers).sum(-1), minlength=spec.vocab_size**spec.seq_len)
    counts = counts[(sentences * powers).sum(-1)]
    assert int(counts.sum()) == len(tokens)
    expected = log_prob.double().exp() * len(tokens)
    common = expected >= 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    wanted = [*expected[common].tolist(), max(float(expected[~common].sum()), 1e-9)]
    scale = sum(observed) / sum(wanted)
    return float(stats.chisquare(observed, [value * scale for value in wanted]).pvalue)


# The memory


@pytest.mark.parametrize("slots", [1, 3])
def test_the_memory_is_its_plain_twin(slots):
    model = policy_of(FIXED, slots)
    words = torch.randn(5, 7, 5, generator=generator(3))
    memory = model.memory.initial(5)
    assert torch.equal(memory, torch.eye(slots, 6).expand(5, -1, -1))
    found, last = model.memory(words)
    for t in range(7):
        step = model.memory.step(model.memory.project(words[:, t]), memory)
        memory = reference_step(model.memory, words[:, t], memory)
        torch.testing.assert_close(step, memory)
        torch.testing.assert_close(found[:, t], memory.flatten(1))
    torch.testing.assert_close(last, memory)


def test_a_step_of_the_memory_by_hand():
    """One slot, one head, numbers in plain Python."""
    memory = RelationalMemory(1, 1, 1, 2)
    memory.load_state_dict(policy_state(memory))
    numbers = {name: value.tolist() for name, value in memory.state_dict().items()}

    def linear(name, vector):
        bias = numbers.get(f"{name}.bias", [0.0] * len(numbers[f"{name}.weight"]))
        rows = zip(numbers[f"{name}.weight"], bias, strict=True)
        return [sum(w * x for w, x in zip(row, vector, strict=True)) + b for row, b in rows]

    def norm(name, vector):
        mean = sum(vector) / len(vector)
        variance = sum((x - mean) ** 2 for x in vector) / len(vector)
        scale = zip(numbers[f"{name}.weight"], numbers[f"{name}.bias"], vector, strict=True)
        return [w * (x - mean) / math.sqrt(variance + 1e-5) + b for w, b, x in scale]

    def add(one, other):
        return [a + b for a, b in zip(one, other, strict=True)]

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    before, word = [0.3, -0.8], [1.5]
    inputs = linear("input", word)
    own, read = (norm("attention_norm", linear("attention", row)) for row in (before, inputs))
    dots = [sum(q * k for q, k in zip(own[:2], row[2:4], strict=True)) / math.sqrt(6) for row in (own, read)]
    shares = [math.exp(dot) / sum(map(math.exp, dots)) for dot in dots]
    attended = [shares[0] * a + shares[1] * b for a, b in zip(own[4:], read[4:], strict=True)]
    changed = norm("attended_norm", add(before, attended))
    hidden = [max(0.0, x) for x in linear("mlp.0", changed)]
    changed = norm("mlp_norm", add(changed, linear("mlp.2", hidden)))
    gates = add(linear("input_gates", inputs), linear("memory_gates", [math.tanh(x) for x in before]))
    expected = [
        sigmoid(put) * math.tanh(new) + sigmoid(kept + 1) * old
        for put, kept, new, old in zip(gates[:2], gates[2:], changed, before, strict=True)
    ]
    found = memory.step(memory.project(torch.tensor([word])), torch.tensor([[before]]))
    assert found[0, 0].tolist() == pytest.approx(expected, rel=1e-4)


def policy_state(module):
    """Random values for all parameters of a module."""
    rng = generator(5)
    return {name: torch.randn(value.shape, generator=rng) for name, value in module.state_dict().items()}


def test_sizes_and_initial_parameters_are_the_released_codes():
    model = RelationalLanguageModel(SequenceSpec(5_000, 20, bos=0), generator())
    E, M, V = 32, 512, 5_000
    core = (E + 1) * M + 3 * M * M + 2 * (M + 1) * M + 4 * M * M + 2 * (3 * M + M + M)
    assert sum(parameter.numel() for parameter in trainable(model)) == V * E + core + (M + 1) * V
    assert float(model.embedding.weight.detach().std()) == pytest.approx(0.88 / math.sqrt(V), rel=0.02)
    assert float(model.output.weight.detach().std()) == pytest.approx(0.88 / math.sqrt(M), rel=0.02)
    assert float(model.output.weight.detach().abs().max()) <= 2 / math.sqrt(M)
    assert not model.output.bias.any()
    critic = RelGANDiscriminator(SequenceSpec(5_000, 20, bos=0), generator())
    F = 1_200
    parts = V * 64 + 300 * (2 + 3 + 4 + 5) + F + 2 * F * F + (F + 1) * 100 + 101
    assert sum(parameter.numel() for parameter in critic.parameters()) == parts


# The density


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("slots", [1, 2])
def test_probabilities_of_all_sentences_sum_to_one_and_fit_the_samples(spec, slots):
    model, sentences = policy_of(spec, slots), every(spec)
    for temperature in (1.0, 0.5):
        log_prob = model.token_log_prob(sentences, temperature).sum(-1)
        assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-5)
        tokens = model.sample(20_000, Decoding(temperature), generator(1))
        assert p_value(tokens, sentences, log_prob, spec) > 1e-3


def test_next_tokens_agree_and_top_k_keeps_the_best():
    model = policy_of(FIXED)
    sentences = every(FIXED)
    scored = model.token_log_prob(sentences)
    for k in range(3):
        laws = model.next_token_log_probs(sentences[:, :k])
        torch.testing.assert_close(laws.gather(1, sentences[:, k : k + 1])[:, 0], scored[:, k])
    greedy = model.sample(50, Decoding(top_k=1), generator())
    assert len(greedy.unique(dim=0)) == 1
    assert int(greedy[0, 0]) == int(model.next_token_log_probs(sentences[:1, :0]).argmax())


def test_states_are_those_from_which_the_tokens_were_drawn():
    model = policy_of(ENDED)
    tokens, states = model.sample_with_states(40, generator())
    assert torch.equal(tokens, model.sample(40, Decoding(), generator()))
    (memory,) = model.initial_state(40)
    read = model.reader()
    last = torch.full((40,), ENDED.bos)
    for t, state in enumerate(states):
        read(last, memory)
        torch.testing.assert_close(memory, state[0])
        last = tokens[:, t]


# What is drawn for the discriminator


def test_gumbel_noise_has_its_law():
    drawn = gumbel((40_000,), generator()).double()
    assert stats.kstest(drawn.numpy(), stats.gumbel_r.cdf).pvalue > 1e-3
    assert torch.equal(gumbel((3,), generator(1)), gumbel((3,), generator(1)))


def test_the_highest_noise_is_not_of_a_few_steps():
    """Of uniforms with 24 bits, as in the released code, dozens of the highest thousand values are the same."""
    highest = gumbel((2_000_000,), generator()).topk(1_000).values
    assert len(highest.unique()) > 995
    coarse = -torch.log(-torch.log(torch.rand(2_000_000, generator=generator()) + 1e-10) + 1e-10)
    assert len(coarse.topk(1_000).values.unique()) < 980


def test_the_argmax_of_perturbed_logits_has_the_law_of_the_softmax():
    logits = torch.tensor([2.0, 0.5, 0.0, -1.0, -4.0])
    tokens = (logits + gumbel((50_000, 5), generator())).argmax(-1)
    counts = torch.bincount(tokens, minlength=5).tolist()
    assert stats.chisquare(counts, (logits.double().softmax(-1) * 50_000).tolist()).pvalue > 1e-3


@pytest.mark.parametrize("spec", SPECS)
def test_the_adversarial_draw_has_the_law_of_sample(spec):
    model, sentences = policy_of(spec), every(spec)
    with torch.no_grad():
        tokens, scores = model.perturbed(20_000, generator(2))
    assert torch.equal(tokens[:, 0], scores[:, 0].argmax(-1))
    mask = spec.mask(tokens)
    assert torch.equal(tokens[mask], scores.argmax(-1)[mask])  # what is fed back is hard
    assert p_value(tokens, sentences, model.log_prob(sentences), spec) > 1e-3


def test_noise_on_the_hidden_state_would_be_another_law():
    """Texygen's GSGAN adds the Gumbel noise to the recurrent state: its words are not drawn from the softmax."""
    model = policy_of(FIXED)
    first = model.next_token_log_probs(torch.zeros(1, 0, dtype=torch.long))[0].double().exp()
    (hidden,) = model.read(torch.full((20_000,), FIXED.bos), model.initial_state(20_000))
    with torch.no_grad():
        wrong = model.output(hidden + gumbel(tuple(hidden.shape), generator())).argmax(-1)
        tokens, _ = model.perturbed(20_000, generator())
    counts, bad = (torch.bincount(drawn, minlength=4).tolist() for drawn in (tokens[:, 0], wrong))
    expected = (first / first.sum() * 20_000).tolist()
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    assert stats.chisquare(bad, expected).pvalue < 1e-20
    for word in range(4):  # and after a prefix
        after = tokens[tokens[:, 0] == word, 1]
        law = model.next_token_log_probs(torch.tensor([[word]]))[0].double().exp()
        seen = torch.bincount(after, minlength=4).tolist()
        assert stats.chisquare(seen, (law / law.sum() * len(after)).tolist()).pvalue > 1e-4


def test_the_inverse_temperature_rises_by_the_same_factor_and_stays():
    assert inverse_temperature(0, 100.0, 50) == 1.0
    assert inverse_temperature(25, 100.0, 50) == pytest.approx(10.0)
    assert inverse_temperature(50, 100.0, 50) == pytest.approx(100.0)
    assert inverse_temperature(5_000, 100.0, 50) == pytest.approx(100.0)
    ratios = [inverse_temperature(i + 1, 5.0, 10) / inverse_temperature(i, 5.0, 10) for i in range(10)]
    assert ratios == pytest.approx([5 ** (1 / 10)] * 10)


def test_the_generator_learns_through_the_relaxed_words_alone():
    model, critic, run = policy_of(FIXED), critic_of(FIXED), Session("relgan/0")
    _, words = relaxed_words(model, critic, 8, 2.0, run)
    gradients = torch.autograd.grad(critic(words).sum(), trainable(model), allow_unused=True)
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
    tokens, scores = model.perturbed(8, run.rng("policy"))
    assert not tokens.requires_grad
    assert scores.requires_grad
    assert not critic.embed(tokens).detach().requires_grad
    loss = critic(critic.embed_relaxed(torch.softmax(2.0 * scores.detach(), -1), tokens)).sum()
    assert torch.autograd.grad(loss, trainable(model), allow_unused=True) == (None,) * len(trainable(model))


def test_the_relaxed_gradient_is_that_of_a_replay():
    """The same tokens read again, and the same noise: a graph without a choice, differentiated by autograd."""
    model, critic = policy_of(FIXED), critic_of(FIXED)
    tokens, scores = model.perturbed(6, generator(4))
    noise = gumbel((6, 3, 4), generator(4))
    again = model(model.shift(tokens)) + noise
    torch.testing.assert_close(scores, again)
    one, other = (
        torch.autograd.grad(critic(torch.softmax(3 * part, -1) @ critic.embedding.weight).sum(), trainable(model))
        for part in (scores, again)
    )
    torch.testing.assert_close(one, other)


# The discriminator


@pytest.mark.parametrize("spec", SPECS)
def test_words_by_index_are_words_by_exact_one_hots(spec):
    critic, tokens = critic_of(spec), every(spec)
    hard = critic(critic.embed(tokens))
    torch.testing.assert_close(critic(critic.embed_relaxed(one_hot(spec, tokens), tokens)), hard)
    assert hard.shape == (len(tokens), 3)


def test_a_representation_is_judged_by_plain_loops():
    critic = critic_of(SequenceSpec(5, 4, bos=0))
    tokens = torch.randint(5, (3, 4), generator=generator())
    found = critic(critic.embed(tokens))
    weights = critic.filter_weight.split([size * 2 for size in (2, 3) for _ in range(4)])
    for row, part in itertools.product(range(3), range(3)):
        words = critic.embedding.weight[tokens[row]][:, 2 * part : 2 * part + 2]  # (T, E)
        features = []
        for index, weight in enumerate(weights):
            size = len(weight) // 2
            heights = [(words[at : at + size].flatten() * weight).sum() for at in range(4 - size + 1)]
            features.append(torch.relu(max(heights) + critic.filter_bias[index]))
        values = torch.stack(features)
        change, gate = (critic.highway.weight @ values).chunk(2)
        values = gate.sigmoid() * change.relu() + (1 - gate.sigmoid()) * values
        torch.testing.assert_close(found[row, part], critic.output(critic.hidden(values))[0])


def test_dropout_is_of_the_stream_and_keeps_the_mean():
    critic = critic_of(FIXED)
    words = critic.embed(every(FIXED)[:1].expand(20_000, -1))
    plain = critic(words)
    noisy = critic(words, generator())
    assert torch.equal(noisy, critic(words, generator()))
    assert not torch.equal(noisy, plain)
    torch.testing.assert_close(noisy.mean(0), plain[0], atol=0.01, rtol=0.02)  # all after dropout is linear


def test_losses_by_hand():
    real, fake = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 3.0]])
    d_loss = (math.log(1 + math.exp(-0.5)) + math.log(1 + math.exp(5.0))) / 2
    g_loss = (math.log(1 + math.exp(0.5)) + math.log(1 + math.exp(-5.0))) / 2
    assert float(discriminator_loss(real, fake)) == pytest.approx(d_loss)
    assert float(generator_loss(real, fake)) == pytest.approx(g_loss)


def test_p_real_is_one_half_at_the_midpoint():
    critic, tokens = critic_of(FIXED), every(FIXED)
    mean = critic(critic.embed(tokens)).mean(-1).detach()
    critic.midpoint.copy_(mean[7])
    probability = critic.real_probability(tokens)
    assert float(probability[7]) == pytest.approx(0.5)
    torch.testing.assert_close(probability, torch.sigmoid(mean - mean[7]))


def test_filters_that_do_not_fit():
    with pytest.raises(ValueError, match="filter size of at most 1"):
        RelGANDiscriminator(SequenceSpec(5, 1, bos=0), generator())
    data = Toy(seq_len=1, train_size=20).load().training
    with pytest.raises(Unsupported, match="no filter"):
        Session("relgan/0").train(SMALL, data)


# Ends


@pytest.mark.parametrize("spec", [ENDED, ENDED_BY_PAD], ids=["pad is a word", "pad is eos"])
def test_after_the_end_fakes_are_exact_pads_without_gradient(spec):
    model, critic = policy_of(spec), critic_of(spec)
    tokens, scores = model.perturbed(60, generator(3))
    after = ~spec.mask(tokens)
    assert 0.02 < float(after.float().mean()) < 0.98
    assert (tokens[after] == spec.pad).all()
    relaxed = torch.softmax(2 * scores, -1).detach().requires_grad_()
    words = critic.embed_relaxed(relaxed, tokens)
    assert torch.equal(words[after], critic.embedding.weight[spec.pad].expand(int(after.sum()), -1))
    (gradient,) = torch.autograd.grad(critic(words).square().sum(), relaxed)
    assert not gradient[after].any()
    assert gradient[~after].any()
    anything = torch.where(after, torch.randint(spec.vocab_size, tokens.shape, generator=generator(5)), tokens)
    assert torch.equal(critic.embed(anything), critic.embed(tokens))  # and real ones are, whatever follows


def test_what_follows_the_end_teaches_nothing():
    spec = SequenceSpec(6, 7, bos=6, eos=5, pad=5)
    tokens = torch.randint(6, (80, 7), generator=generator())
    tokens = tokens.masked_fill(~spec.mask(tokens), 5)
    other = torch.where(spec.mask(tokens), tokens, torch.randint(6, tokens.shape, generator=generator(1)))
    assert not torch.equal(tokens, other)
    models = [Session("relgan/0").train(SMALL, TrainingData(spec, rows, tokens)) for rows in (tokens, other)]
    assert torch.equal(models[0].log_prob(tokens), models[1].log_prob(other))
    drawn = models[0].sample(50, Decoding(), generator())
    assert (drawn[~spec.mask(drawn)] == 5).all()


# Training


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=120, draw=1).load().training


def test_defaults_are_the_released_codes():
    assert dataclasses.asdict(RelGAN()) == PAPER
    assert dataclasses.asdict(RelationalMLE()) == {
        "epochs": 150, "lr": 0.01, "batch_size": 64, "clip_norm": 5.0, "embedding_dim": 32, "slots": 1, "heads": 2,
        "head_size": 256,
    }  # fmt: skip


def test_presets_build():
    for preset in ("smoke", "quick", "medium", "paper"):
        ours = build(RelGAN, configuration(RelGAN, preset, {}))
        alone = build(RelationalMLE, configuration(RelationalMLE, preset, {}))
        assert (ours.pretrain_epochs, ours.head_size) == (alone.epochs, alone.head_size)
        assert preset == "paper" or ours.anneal_rounds == ours.rounds
    with pytest.raises(ValueError, match="g_steps or d_steps"):
        RelGAN(g_steps=0, d_steps=0)


class Witness(Session):
    """Keeps the policy as it was after pre-training."""

    def pretrained(self, generator, data):
        policy = super().pretrained(generator, data)
        self.asked, self.start = generator, copy.deepcopy(policy.state_dict())
        return policy


def same(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


def test_it_starts_from_its_own_networks_likelihood_and_everything_is_counted(data):
    run = Witness("relgan/0")
    policy = run.train(SMALL, data)
    assert run.asked == RelationalMLE(epochs=2, batch_size=16, embedding_dim=6, head_size=4)
    assert same(run.start, Session("relgan/0").train(run.asked, data).state_dict())
    assert not same(run.start, policy.state_dict())
    amounts = run.cost.amounts
    assert amounts["train_tokens"] == 2 * 120 * 8 + 3 * 2 * 16 * 8
    assert amounts["sampled_tokens"] == 3 * (2 + 2) * 16 * 8
    assert amounts["reward_tokens"] == 3 * 2 * 2 * 16 * 8
    assert amounts["discriminator_tokens"] == 3 * 2 * 2 * 16 * 8
    assert amounts["updates"] == 2 * 8 + 3 * (2 + 2)
    rows = [row for row in run.curve if row["phase"] == "adversarial"]
    betas = [row["scalars"]["inverse_temperature"] for row in rows]
    assert betas == pytest.approx([1.0, 100 ** (1 / 3), 100 ** (2 / 3)])
    assert {"loss", "gradient_norm", "d_loss", "d_pairs_right"} <= rows[-1]["scalars"].keys()


def test_a_budget_prolongs_the_phase_and_the_temperature_stays(data):
    run = Session("relgan/0", budget={"updates": 60})
    run.train(dataclasses.replace(SMALL, pretrain_epochs=1), data)
    assert run.cost.updates == 60
    betas = [row["scalars"].get("inverse_temperature") for row in run.curve][-5:]
    assert betas == [pytest.approx(100.0)] * 5


def test_each_step_moves_its_own_network(data):
    run = Session("relgan/0")
    policy, critic = policy_of(data.spec), critic_of(data.spec)
    optimizers = [torch.optim.Adam(trainable(model), lr=0.01) for model in (policy, critic)]
    before = [copy.deepcopy(model.state_dict()) for model in (policy, critic)]
    SMALL.generator_step(policy, optimizers[0], critic, data.train, 2.0, run)
    assert same(before[1], critic.state_dict())
    assert not same(before[0], policy.state_dict())
    middle = copy.deepcopy(policy.state_dict())
    SMALL.discriminator_step(policy, critic, optimizers[1], data.train, 2.0, run)
    assert same(middle, policy.state_dict())
    assert not same(before[1], critic.state_dict())
    assert float(critic.midpoint) != 0


def test_likelihood_learns_the_toy():
    task = Toy(draw=0).load()
    model = Session("relgan/0").train(RelationalMLE(epochs=6, head_size=8), task.training)
    found = -float(model.log_prob(task.test).mean()) / 8
    truth = -float(task.oracle.log_prob(task.test).mean()) / 8
    assert truth < found < truth + 0.25
    assert found < math.log(12) - 0.5


def test_the_adversarial_phase_alone_learns_the_toy():
    """Without pre-training, so that all that is learnt came through the relaxation."""
    task = Toy(draw=0).load()
    fields = {"rounds": 50, "anneal_rounds": 50, "beta_max": 10.0, "lr": 1e-2, "d_lr": 3e-3, "d_steps": 2}
    alone = RelGAN(
        pretrain_epochs=0,
        batch_size=32,
        head_size=8,
        d_representations=4,
        d_embedding_dim=4,
        d_filter_sizes=(1, 2),
        d_filter_count=16,
        **fields,
    )
    start, model = (
        Session("relgan/0").train(dataclasses.replace(alone, rounds=rounds), task.training) for rounds in (0, 50)
    )
    before, after = (
        -float(task.oracle.log_prob(each.sample(1_000, Decoding(), generator())).mean()) / 8 for each in (start, model)
    )
    assert after < before - 1.0
    assert len(model.sample(1_000, Decoding(), generator()).unique(dim=0)) > 100


@pytest.mark.parametrize("plugin", [RelGAN, RelationalMLE])
def test_it_keeps_the_contract(plugin):
    outcomes = list(run_suite(plugin))
    assert len(outcomes) == len(CHECKS)
    assert [outcome for outcome in outcomes if outcome.status != "ok"] == []
