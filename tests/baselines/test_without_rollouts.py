from __future__ import annotations

import copy
import dataclasses
import itertools
import math

import pytest
import torch

from baselines.without_rollouts import (
    GRPO,
    RLOO,
    ClippedGradient,
    TerminalGradient,
    bradley_terry,
    clipped_slopes,
    leave_one_out,
    log_probs,
    reference_clipped_objective,
    standardized,
)
from bench.api import Decoding, Execution, SequenceSpec, TrainingData
from bench.plans.fields import build, configuration
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.discriminator import Discriminator
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import MLE, Descent, trainable
from seqgan.seqgan import SeqGAN

FIXED = SequenceSpec(4, 5, bos=4)
ENDED = SequenceSpec(4, 5, bos=4, eos=1, pad=0)
TINY = SequenceSpec(3, 2, bos=3)
BOTH = [pytest.param(FIXED, id="fixed"), pytest.param(ENDED, id="eos")]
SMALL = {
    "pretrain_epochs": 3,
    "d_pretrain_steps": 2,
    "rounds": 3,
    "g_steps": 2,
    "d_steps": 2,
    "d_epochs": 2,
    "d_samples": 30,
    "batch_size": 16,
    "hidden_dim": 12,
    "embedding_dim": 12,
    "d_embedding_dim": 8,
    "d_filter_sizes": (1, 2, 3),
    "d_filter_counts": (8, 8, 8),
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def policy_of(spec, seed=0, init_std=0.8):
    """A small policy that is far from uniform."""
    return LSTMLanguageModel(spec, generator(seed), 5, 6, init_std)


def reward(tokens):
    return 2 * (tokens == 2).float().mean(-1) - (tokens[:, 0] == 0).float()


def descent_of(policy, lr=1.0, clip_norm=1e9):
    return Descent(policy, torch.optim.SGD(trainable(policy), lr=lr), clip_norm)


def moved(before, after):
    """How far a step with step size 1 moved the parameters: minus the gradient of the loss."""
    return torch.cat(
        [(new - old).detach().flatten() for old, new in zip(trainable(before), trainable(after), strict=True)]
    )


def token_log_probs(policy, tokens):
    """Log-probabilities that carry a gradient, from logits."""
    return torch.log_softmax(policy(policy.shift(tokens)), -1).gather(2, tokens[..., None])[..., 0]


def ascent(value, policy):
    """The gradient of a scalar."""
    return torch.cat([part.flatten() for part in torch.autograd.grad(value, trainable(policy))])


def every(spec):
    return torch.tensor(list(itertools.product(range(spec.vocab_size), repeat=spec.seq_len)))


@pytest.fixture(scope="module")
def data():
    return Toy(train_size=120).load().training


# The estimators


def test_a_reward_is_compared_with_the_mean_of_the_others():
    rewards = torch.tensor([3.0, -1.0, 4.0, 0.5])
    plain = [float(rewards[i]) - sum(float(rewards[j]) for j in range(4) if j != i) / 3 for i in range(4)]
    assert leave_one_out(rewards).tolist() == pytest.approx(plain)
    assert leave_one_out(rewards + 100).tolist() == pytest.approx(plain, abs=1e-4)  # only differences count
    assert leave_one_out(3 * rewards).tolist() == pytest.approx([3 * value for value in plain])  # and their size does


def test_standardized_rewards_have_mean_0_and_deviation_1():
    rewards = torch.tensor([3.0, -1.0, 4.0, 0.5])
    found = standardized(rewards)
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)
    assert float(found.square().mean()) == pytest.approx(1)
    torch.testing.assert_close(standardized(5 * rewards - 7), found)
    assert standardized(torch.full((3,), 0.7)).abs().max() < 1e-6


@pytest.mark.parametrize("kl", [0.0, 0.3])
def test_the_mean_gradient_over_all_batches_is_the_exact_gradient(kl, monkeypatch):
    """All 729 batches of three out of nine sequences, each with its probability: RLOO is unbiased, penalty included."""
    policy, start, sequences = policy_of(TINY), policy_of(TINY, seed=1), every(TINY)
    log_prob = token_log_probs(policy, sequences).sum(-1)
    law = log_prob.exp()
    divergence = (law * (log_prob - log_probs(start, sequences).sum(-1))).sum()
    exact = ascent((law * reward(sequences)).sum() - kl * divergence, policy)
    mean, law = torch.zeros_like(exact), law.detach()
    for batch in itertools.combinations_with_replacement(range(9), 3):  # their order does not matter
        tokens = sequences[list(batch)]
        after = copy.deepcopy(policy)
        monkeypatch.setattr(after, "sample", lambda n, decoding, rng, tokens=tokens: tokens)
        TerminalGradient(descent_of(after), 3, kl=kl, start=start).step(reward, Session("unbiased/0"))
        orders = math.factorial(3) / math.prod(math.factorial(batch.count(one)) for one in set(batch))
        mean += orders * float(law[list(batch)].prod()) * moved(policy, after)
    assert float(exact.detach().norm()) > 0.1
    torch.testing.assert_close(mean, exact, atol=2e-5, rtol=1e-3)


def by_hand(policy, start, tokens, spec, kl):
    """Minus RLOO's loss, in loops."""
    rows = tokens.tolist()
    law, other = (token_log_probs(model, tokens) for model in (policy, start))
    totals, worths = [], []
    for b, row in enumerate(rows):
        counted = row.index(spec.eos) + 1 if spec.eos in row else len(row)
        totals.append(law[b, :counted].sum())
        alone = float(reward(tokens[b : b + 1]))  # a sequence's reward knows nothing of the batch
        worths.append(alone - kl * float((law[b, :counted] - other[b, :counted]).detach().sum()))
    return sum(
        (worths[b] - (sum(worths) - worths[b]) / (len(rows) - 1)) * totals[b] / len(rows) for b in range(len(rows))
    )


@pytest.mark.parametrize("clip_norm", [1e9, 0.05], ids=["unclipped", "clipped"])
@pytest.mark.parametrize("spec", BOTH)
def test_a_step_of_rloo_is_that_of_the_hand_written_loss(spec, clip_norm):
    policy, start = policy_of(spec), policy_of(spec, seed=1)
    before, run = copy.deepcopy(policy), Session("gradient/0")
    TerminalGradient(descent_of(policy, clip_norm=clip_norm), 6, kl=0.3, start=start).step(reward, run, reads=True)
    tokens = before.sample(6, Decoding(), Session("gradient/0").rng("policy"))
    expected = ascent(by_hand(before, start, tokens, spec, 0.3), before)
    expected = expected * min(1.0, clip_norm / float(expected.norm()))
    torch.testing.assert_close(moved(before, policy), expected, atol=2e-5, rtol=1e-3)
    learnt = spec.count(tokens)
    assert run.cost.amounts == {
        "sampled_tokens": learnt,
        "reward_tokens": learnt,
        "penalty_tokens": 2 * learnt,
        "train_tokens": learnt,
        "updates": 1,
    }


def test_a_reward_that_is_relative_to_the_batch_would_be_seen():
    """The known error of taking a softmax of the rewards over the batch: other sequences change a sequence's reward."""
    discriminator = Discriminator(FIXED, generator(), 4, (1, 2), (6, 6))
    tokens = policy_of(FIXED).sample(40, Decoding(), generator(1))
    together = discriminator.logit(tokens)
    alone = torch.cat([discriminator.logit(tokens[i : i + 1]) for i in range(len(tokens))])
    torch.testing.assert_close(together, alone)
    assert float(together.std()) > 0.01
    softmaxed = together.softmax(0)
    assert not torch.allclose(softmaxed[:20], together[:20].softmax(0))  # what the comparison above would find
    policies = [policy_of(FIXED) for _ in range(2)]
    for policy, judge in zip(policies, (reward, lambda rows: reward(rows).softmax(0)), strict=True):
        TerminalGradient(descent_of(policy), 6).step(judge, Session("gradient/0"))
    assert float(moved(policies[0], policies[1]).norm()) > 0.1


def random_batch(spec, seed=0):
    """Sequences, and log-probabilities of them as of three policies that differ, as one log-ratio in three is cut."""
    tokens = policy_of(spec).sample(40, Decoding(), generator(seed))
    mask = spec.mask(tokens)
    old = -3 * torch.rand(tokens.shape, generator=generator(1)) * mask
    now, start = ((old + 0.4 * torch.randn(tokens.shape, generator=generator(seed))) * mask for seed in (2, 3))
    return mask, now, old, start, standardized(torch.randn(40, generator=generator(4)))


@pytest.mark.parametrize("kl", [0.0, 0.5])
@pytest.mark.parametrize("spec", BOTH)
def test_slopes_are_the_derivative_of_the_clipped_objective(spec, kl):
    mask, now, old, start, advantages = random_batch(spec)
    start = start if kl else None
    now.requires_grad_()
    value = reference_clipped_objective(now, old, start, advantages, mask, 0.2, kl)
    (expected,) = torch.autograd.grad(value, now)
    found, cut = clipped_slopes(now.detach(), old, start, advantages, mask, 0.2, kl)
    torch.testing.assert_close(found.where(mask, 0.0), expected)
    assert 0.1 < float(cut[mask].float().mean()) < 0.6


@pytest.mark.parametrize("spec", BOTH)
def test_the_clipped_objective_is_that_of_plain_loops(spec):
    mask, now, old, start, advantages = random_batch(spec)
    total = 0.0
    for b in range(len(mask)):
        terms = []
        for t in range(spec.seq_len):
            if not mask[b, t]:
                break
            ratio, worth = math.exp(now[b, t] - old[b, t]), float(advantages[b])
            other = math.exp(start[b, t] - now[b, t])
            gain = min(ratio * worth, min(max(ratio, 0.8), 1.2) * worth)
            terms.append(gain - 0.5 * (other - math.log(other) - 1))
        total += sum(terms) / len(terms)
    found = reference_clipped_objective(now, old, start, advantages, mask, 0.2, 0.5)
    assert float(found) == pytest.approx(total / len(mask), rel=1e-5)


@pytest.mark.parametrize("spec", BOTH)
def test_the_steps_of_grpo_are_those_of_autograd(spec):
    policy, start, lr = policy_of(spec), policy_of(spec, seed=1), 0.5
    plain, run = copy.deepcopy(policy), Session("gradient/0")
    ClippedGradient(descent_of(policy, lr), 8, 3, 0.05, 0.3, start).step(reward, run, reads=True)
    tokens = plain.sample(8, Decoding(), Session("gradient/0").rng("policy"))
    mask, advantages = spec.mask(tokens), standardized(reward(tokens))
    old, other = (token_log_probs(model, tokens).detach().where(mask, 0.0) for model in (plain, start))
    for epoch in range(3):
        now = token_log_probs(plain, tokens).where(mask, 0.0)
        if epoch == 0:
            assert torch.equal((now - old).exp(), torch.ones_like(now))
        slope = ascent(reference_clipped_objective(now, old, other, advantages, mask, 0.05, 0.3), plain)
        at = 0
        with torch.no_grad():
            for parameter in trainable(plain):
                parameter.add_(lr * slope[at : at + parameter.numel()].view_as(parameter))
                at += parameter.numel()
    torch.testing.assert_close(moved(plain, policy), torch.zeros_like(slope), atol=2e-5, rtol=0)
    learnt = spec.count(tokens)
    assert run.cost.amounts == {
        "sampled_tokens": learnt,
        "reward_tokens": learnt,
        "penalty_tokens": learnt,
        "ratio_tokens": 3 * learnt,
        "train_tokens": 3 * learnt,
        "updates": 3,
    }


def test_the_first_step_on_a_batch_is_plain_policy_gradient_without_any_penalty():
    """The ratio is 1, nothing is cut, and the divergence of a policy from itself has no slope."""
    policy = policy_of(FIXED)
    before = copy.deepcopy(policy)
    ClippedGradient(descent_of(policy), 8, 1, 1e-6, 50.0, copy.deepcopy(policy)).step(reward, Session("gradient/0"))
    tokens = before.sample(8, Decoding(), Session("gradient/0").rng("policy"))
    weights = standardized(reward(tokens))[:, None] / 8 / FIXED.seq_len
    expected = ascent((weights * token_log_probs(before, tokens)).sum(), before)
    torch.testing.assert_close(moved(before, policy), expected, atol=1e-5, rtol=1e-3)


def test_the_expected_penalty_is_the_divergence():
    """Over all sequences, each with its probability, the sum of k3 over tokens is KL(G || G0), as in the paper."""
    policy, start, sequences = policy_of(TINY, 0, 2.0), policy_of(TINY, 1, 2.0), every(TINY)
    now, other = (log_probs(model, sequences).double() for model in (policy, start))
    law = now.sum(-1).exp()
    exact = float((law * (now - other).sum(-1)).sum())
    assert exact > 0.1
    flat, mask = torch.zeros(len(sequences), dtype=torch.double), torch.ones_like(sequences, dtype=torch.bool)
    penalty = 0.0
    for row, weight in enumerate(law.tolist()):
        here = slice(row, row + 1)
        mean = reference_clipped_objective(now[here], now[here], other[here], flat[here], mask[here], 0.2, 1.0)
        penalty -= weight * TINY.seq_len * float(mean)
    assert penalty == pytest.approx(exact, rel=1e-5)


def test_the_slope_of_the_penalty_is_that_of_the_other_divergence():
    """In expectation k3 leads down KL(G0 || G) of each position, given prefixes of G: not down KL(G || G0)."""
    policy, start, sequences = policy_of(TINY, 0, 2.0), policy_of(TINY, 1, 2.0), every(TINY)
    now, other = (log_probs(model, sequences) for model in (policy, start))
    law, mask = now.sum(-1).exp(), torch.ones_like(sequences, dtype=torch.bool)
    slopes, _ = clipped_slopes(now, now, other, torch.zeros(len(sequences)), mask, 0.2, 1.0)
    mean = ascent((len(sequences) * law[:, None] * slopes * token_log_probs(policy, sequences)).sum(), policy)
    others = torch.log_softmax(start(start.shift(sequences)), -1).detach()

    def slope(backward):
        laws = torch.log_softmax(policy(policy.shift(sequences)), -1)
        one, other = (laws, others) if backward else (others, laws)
        return -ascent((law[:, None] * (one.exp() * (one - other)).sum(-1)).mean(-1).sum(), policy)

    found = [slope(backward) for backward in (False, True)]
    torch.testing.assert_close(mean, found[0], atol=1e-5, rtol=1e-3)
    assert float((mean - found[1]).norm()) > 0.1 * float(mean.norm())


def test_several_steps_go_further_and_clipping_holds_them_back():
    def after(epochs, clip):
        policy = policy_of(FIXED)
        before = copy.deepcopy(policy)
        run = Session("gradient/0")
        for _ in run.phase("p", 1):
            ClippedGradient(descent_of(policy, lr=1.0), 16, epochs, clip).step(reward, run)
        tokens = before.sample(16, Decoding(), Session("gradient/0").rng("policy"))
        ratio = (log_probs(policy, tokens) - log_probs(before, tokens)).exp()
        return float((ratio - 1).abs().mean()), run.curve[0]["scalars"]["clipped"]

    one, four, free = after(1, 0.2), after(4, 0.05), after(4, 1.0)
    assert one[1] == 0
    assert four[1] > 0.1
    assert one[0] < free[0]
    assert four[0] < free[0]


@pytest.mark.parametrize("spec", BOTH)
@pytest.mark.parametrize("make", [TerminalGradient, ClippedGradient])
def test_tokens_after_the_end_have_no_effect(spec, make, monkeypatch):
    """The same batch with other tokens after the end gives the same bits."""
    start, results = policy_of(spec, seed=1), []
    tokens = policy_of(spec).sample(20, Decoding(), generator())
    other = torch.where(spec.mask(tokens), tokens, torch.randint(4, tokens.shape, generator=generator(1)))
    for batch in (tokens, other):
        policy = policy_of(spec)
        monkeypatch.setattr(policy, "sample", lambda n, decoding, rng, batch=batch: batch)
        extra = {} if make is TerminalGradient else {"epochs": 2, "clip": 0.1}
        step = make(descent_of(policy), 20, kl=0.1, start=start, **extra)
        step.step(lambda rows: spec.lengths(rows).float(), Session("gradient/0"))
        results.append(policy.state_dict())
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
    assert all(bool(part.isfinite().all()) for part in results[0].values())
    assert torch.equal(tokens, other) == (spec.eos is None)


# The discriminator


def test_the_logit_is_that_of_the_probability():
    for spec in (FIXED, ENDED):
        model = Discriminator(spec, generator(), 4, (1, 2), (6, 6))
        tokens = policy_of(spec).sample(300, Decoding(), generator(1))
        torch.testing.assert_close(model.logit(tokens).sigmoid(), model.reference_reward(tokens))
        with torch.no_grad():
            model.output.weight *= 1_000  # sure of itself: the probability is 0 or 1, the logit is not
        assert float(model.reward(tokens).unique().numel()) < 0.9 * float(model.logit(tokens).unique().numel())


def test_bradley_terry_is_the_mean_over_pairs():
    model = Discriminator(FIXED, generator(), 4, (1, 2), (6, 6), keep=1.0)
    tokens = policy_of(FIXED).sample(7, Decoding(), generator(1))
    real = torch.tensor([1, 0, 0, 1, 1, 0, 0])
    scores = model.logit(tokens).tolist()
    leads = [scores[i] - scores[j] for i in range(7) for j in range(7) if real[i] == 1 and real[j] == 0]
    decay = float(sum(part.detach().square().sum() for part in model.output.parameters())) / 2
    loss, accuracy = bradley_terry(model, tokens, real, 0.2, generator(2))
    expected = sum(math.log1p(math.exp(-lead)) for lead in leads) / len(leads)
    assert float(loss.detach()) == pytest.approx(expected + 0.2 * decay, rel=1e-5)
    assert float(accuracy) == pytest.approx(sum(lead > 0 for lead in leads) / len(leads))
    assert len(leads) == 12


def test_a_batch_without_a_pair_teaches_the_filters_nothing():
    model = Discriminator(FIXED, generator(), 4, (1, 2), (6, 6))
    tokens = policy_of(FIXED).sample(3, Decoding(), generator(1))
    loss, accuracy = bradley_terry(model, tokens, torch.ones(3, dtype=torch.long), 0.0, generator())
    assert float(loss.detach()) == float(accuracy) == 0
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert all(float(part.abs().max()) == 0 for part in gradients)


@pytest.mark.parametrize("loss", ["cross-entropy", "bradley-terry"])
def test_the_discriminator_learns_to_tell_them_apart(loss):
    policy, model = policy_of(FIXED), Discriminator(FIXED, generator(), 4, (1, 2), (6, 6))
    train = policy.sample(400, Decoding(), generator(5))
    train[:, 1:] = train[:, :1]
    algorithm, run = RLOO(d_loss=loss, batch_size=32, d_epochs=3), Session("judge/0")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02, fused=True)
    step = algorithm.discriminator_step(model, optimizer, run.rng("negatives"), Execution())
    for _ in range(3):
        algorithm.twin().train_discriminator(step, policy, train, run)
    real, fake = model.logit(train), model.logit(policy.sample(400, Decoding(), generator(6)))
    assert float((real[:, None] > fake[None]).float().mean()) > 0.7


# The generators


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_defaults_that_are_not_the_estimators_are_those_of_seqgan(algorithm):
    ours, theirs = (dataclasses.asdict(one) for one in (algorithm(), SeqGAN()))
    assert set(ours) - set(theirs) == {"kl", "d_loss"} | ({"g_epochs", "clip"} if algorithm is GRPO else set())
    assert ours.pop("lr") * (ours["g_epochs"] if algorithm is GRPO else 1) == theirs["lr"]
    assert {name: ours[name] for name in ours if name in theirs} == {
        name: theirs[name] for name in theirs if name in ours
    }
    for preset in ("smoke", "quick", "medium"):
        found, seqgan = (configuration(one, preset, {}) for one in (algorithm, SeqGAN))
        other = {"lr", *(("d_filter_sizes", "d_filter_counts") if preset == "smoke" else ())}
        assert all(seqgan[name] == value for name, value in found.items() if name in seqgan and name not in other)
        assert build(algorithm, found).d_loss == "cross-entropy"


class Witness(Session):
    """A session that keeps what it was asked to pre-train, and the discriminator after its own pre-training."""

    def pretrained(self, generator, data):
        self.asked = generator
        return super().pretrained(generator, data)

    def track(self, sampler, **state):
        self.parts = state
        super().track(sampler, **state)


def state_of(parts, name):
    return [part.detach() for part in parts[name].parameters()]


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_both_networks_begin_as_seqgans_do(algorithm, data):
    """The end of the discriminator's pre-training has the same name and the same bits, so that it may be shared."""
    runs = []
    for each in (algorithm, SeqGAN):
        run = Witness("begin/0")
        extra = {"rollouts": 5, "baseline": True} if each is SeqGAN else {"kl": 0.7, "lr": 0.5}
        run.train(each(**{**SMALL, "rounds": 0}, **extra), data)
        runs.append(run)
    assert runs[0].asked == runs[1].asked == MLE(epochs=3, batch_size=16, embedding_dim=12, hidden_dim=12)
    assert runs[0].parts.keys() == runs[1].parts.keys()
    assert runs[0].parts["optimizer"].param_groups[0]["lr"] == 0.5
    for name in ("policy", "discriminator"):
        ours, theirs = (state_of(run.parts, name) for run in runs)
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    changed = {**SMALL, "lr": 0.5, "g_steps": 5, "d_steps": 4, "rounds": 9}
    assert algorithm(**changed).twin().beginning(120) == SeqGAN(**SMALL, rollouts=3).beginning(120)


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_the_curve_and_the_costs(algorithm, data):
    run = Session("rl/0")
    extra = {"kl": 0.1} if algorithm is RLOO else {"g_epochs": 3}
    run.train(algorithm(**SMALL, **extra), data)
    assert [(point["phase"], point["step"]) for point in run.curve] == [
        *(("mle", step) for step in (1, 2, 3)),
        *(("discriminator", step) for step in (1, 2)),
        *(("adversarial", step) for step in (1, 2, 3)),
    ]
    logged = {"reward", "entropy", "gradient_norm", "kl", "d_loss", "d_accuracy"}
    assert run.curve[-1]["scalars"].keys() == logged | ({"clipped"} if algorithm is GRPO else set())
    amounts, drawn = run.cost.amounts, 3 * 2 * 16 * 8
    epochs = 3 if algorithm is GRPO else 1
    assert amounts["train_tokens"] == 3 * 120 * 8 + epochs * drawn
    assert amounts["reward_tokens"] == drawn
    assert amounts["penalty_tokens"] == (drawn if algorithm is GRPO else 2 * drawn)
    assert amounts["sampled_tokens"] == drawn + (2 + 3 * 2) * 30 * 8
    assert amounts["updates"] == 3 * 8 + epochs * 3 * 2 + (2 + 3 * 2) * 2 * 4
    assert run.cost.tokens == sum(amount for name, amount in amounts.items() if name.endswith("_tokens"))


@pytest.mark.parametrize("loss", ["cross-entropy", "bradley-terry"])
@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_the_policy_learns_what_the_discriminator_knows(algorithm, loss):
    """Real sequences begin with a word twice; pre-training is too short to know it."""
    spec = SequenceSpec(6, 4, bos=6)
    train = torch.randint(6, (400, 4), generator=generator(3))
    train[:, 1] = train[:, 0]
    shape = {**SMALL, "pretrain_epochs": 1, "d_samples": None, "d_lr": 0.01, "lr": 0.02, "batch_size": 64}
    shape |= {"d_pretrain_steps": 3, "rounds": 30, "d_steps": 1, "g_steps": 2, "d_epochs": 1, "d_l2": 0.02}
    data = TrainingData(spec, train, train[:50])
    policy = Session("learn/0").train(algorithm(**shape, d_loss=loss), data)
    start = Session("learn/0").train(MLE(epochs=1, batch_size=64, embedding_dim=12, hidden_dim=12), data)

    def share(model):
        tokens = model.sample(2_000, Decoding(), generator())
        return float((tokens[:, 0] == tokens[:, 1]).float().mean())

    assert share(start) < 0.3
    assert share(policy) > 0.6


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_a_budget_of_updates_is_kept_within_a_batch(algorithm, data):
    run = Session("rl/0", budget={"updates": 90})
    run.train(algorithm(**{**SMALL, "d_epochs": 1, "rounds": 1}), data)
    assert run.cost.amounts["updates"] == 90  # it is asked after every update of either network


@pytest.mark.parametrize("algorithm", [RLOO, GRPO])
def test_sentences_keep_their_ends(algorithm):
    spec = SequenceSpec(12, 10, bos=12, eos=11, pad=11)
    drawn = Toy(vocab_size=12, seq_len=10, draw=3, train_size=200).load().training
    data = TrainingData(spec, *(part.masked_fill(~spec.mask(part), spec.pad) for part in (drawn.train, drawn.valid)))
    anything = torch.randint(12, data.train.shape, generator=generator(2))
    other = dataclasses.replace(data, train=torch.where(spec.mask(data.train), data.train, anything))
    assert not torch.equal(data.train, other.train)
    models = [Session("ends/0").train(algorithm(**SMALL, kl=0.1), each) for each in (data, other)]
    tokens = [model.sample(300, Decoding(), generator()) for model in models]
    assert torch.equal(*tokens)  # what follows the end teaches nothing
    assert torch.equal(tokens[0], tokens[0].masked_fill(~spec.mask(tokens[0]), spec.pad))
    lengths = spec.lengths(tokens[0]).double()
    assert 0.5 * float(spec.lengths(data.train).double().mean()) < float(lengths.mean()) < 9.5


def test_fields_that_do_not_go_together():
    with pytest.raises(ValueError, match="expected g_steps or d_steps"):
        GRPO(g_steps=0, d_steps=0)
    with pytest.raises(ValueError, match="as many d_filter_counts as d_filter_sizes"):
        GRPO(d_filter_sizes=(1,))
