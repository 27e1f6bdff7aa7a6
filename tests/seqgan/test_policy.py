"""What every network must do as a policy: read one token at a time, and look at no later one."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn.functional import layer_norm

from bench.api import Decoding, SequenceSpec, TrainingData
from bench.runs.session import Session
from bench.tasks.toy import Toy
from seqgan.cnn import GatedCNN
from seqgan.mle import MLE, trainable
from seqgan.networks import NETWORKS, PolicyName, new_policy
from seqgan.policy import READING_ROWS, reference_complete
from seqgan.rollout import complete_prefixes
from seqgan.seqgan import SeqGAN
from seqgan.transformer import Transformer, heads_of

ENDED = SequenceSpec(4, 5, bos=4, eos=1, pad=0)
SPECS = [
    pytest.param(SequenceSpec(3, 1, bos=3), id="one word"),
    pytest.param(SequenceSpec(7, 9, bos=0), id="bos=0"),
    pytest.param(SequenceSpec(5, 16, bos=5, eos=1, pad=0), id="eos"),
    pytest.param(SequenceSpec(6, 17, bos=6), id="17 words"),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=list(NETWORKS))
def network(request):
    return request.param


def built(network, spec, seed=0, init_std=0.7, hidden_dim=8):
    return new_policy(network, spec, generator(seed), 5, hidden_dim, init_std)


@pytest.mark.parametrize("hidden_dim", [6, 32])
@pytest.mark.parametrize("spec", SPECS)
def test_what_is_remembered_is_what_reading_everything_again_gives(spec, hidden_dim, network):
    """The states of sampling against the hidden states of each prefix, read from the start by itself."""
    policy = built(network, spec, hidden_dim=hidden_dim)
    rows = READING_ROWS + 3  # two chunks
    tokens, states = policy.sample_with_states(rows, generator(1))
    inputs = policy.shift(tokens)
    for t, state in enumerate(states):
        from_the_start = policy.hidden(inputs[:, : t + 1])[:, -1].detach()
        torch.testing.assert_close(state[0], from_the_start, atol=2e-5, rtol=1e-4)
        law = policy.next_token_log_probs(tokens[:, :t])
        torch.testing.assert_close(law, torch.log_softmax(policy.output(state[0]), -1).detach(), atol=1e-4, rtol=1e-4)
        assert all(part.shape[0] == rows for part in state)


@pytest.mark.parametrize("spec", SPECS)
def test_rows_of_a_state_can_be_repeated_and_selected(spec, network):
    policy = built(network, spec)
    tokens, states = policy.sample_with_states(6, generator(1))
    rows = torch.tensor([5, 0, 0, 3])
    for t in range(spec.seq_len - 1):
        state = tuple(part[rows].repeat_interleave(2, 0) for part in states[t])
        policy.reader()(tokens[rows, t].repeat_interleave(2, 0), *state)
        torch.testing.assert_close(state[0], states[t + 1][0][rows].repeat_interleave(2, 0), atol=2e-5, rtol=1e-4)


def test_reading_leaves_the_given_state_alone(network):
    policy = built(network, ENDED)
    state = policy.read(torch.tensor([4, 4, 4]), policy.initial_state(3))
    before = [part.clone() for part in state]
    after = policy.read(torch.tensor([0, 1, 2]), state)
    assert all(torch.equal(one, other) for one, other in zip(state, before, strict=True))
    assert not torch.equal(after[0], state[0])


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_rows_that_have_read_different_numbers_of_tokens_are_refused(name):
    policy = built(name, ENDED)
    once = policy.read(torch.tensor([4]), policy.initial_state(1))
    mixed = tuple(torch.cat(parts) for parts in zip(once, policy.initial_state(1), strict=True))
    with pytest.raises(ValueError, match="equally many"):
        policy.read(torch.tensor([0, 4]), mixed)


def test_a_token_changes_only_what_is_predicted_after_it(network):
    spec = SequenceSpec(7, 9, bos=7)
    policy = built(network, spec)
    inputs = policy.shift(torch.randint(7, (5, 9), generator=generator(2)))
    whole = policy(inputs)
    for t in range(9):
        other = inputs.clone()
        other[:, t] = (other[:, t] + 1) % 7
        changed = (policy(other) - whole).abs().amax(-1)  # (5, 9)
        assert torch.equal(changed[:, :t], torch.zeros(5, t))
        # Every later position sees it: the receptive field reaches back to the start symbol.
        assert (changed[:, t:] > 1e-7).all()


def test_completions_from_states_are_those_that_read_everything_again(network, goodness_of_fit):
    spec = SequenceSpec(3, 4, bos=3)
    policy = built(network, spec, seed=2)
    tokens, states = policy.sample_with_states(1, generator(1))
    copies = 6_000
    finished = complete_prefixes(policy, tokens, states, copies, generator(3))
    powers = 3 ** torch.arange(4)
    for kept in range(1, 4):
        fast = torch.bincount((finished[kept - 1, 0] * powers).sum(-1), minlength=81)
        again = reference_complete(policy, tokens[:, :kept].expand(copies, -1), generator(4))
        slow = torch.bincount((again * powers).sum(-1), minlength=81)
        assert torch.equal(again[:, :kept], tokens[:, :kept].expand(copies, -1))
        # Two samples of one law: the statistic of homogeneity, with as many degrees of freedom as cells less one.
        both, some = fast + slow, (fast + slow) >= 10
        statistic = float(((fast - slow)[some].double() ** 2 / both[some]).sum())
        cells = int(some.sum())
        assert cells > 1
        assert statistic < cells - 1 + 5 * math.sqrt(2 * (cells - 1)) + 5


def test_the_twin_ends_sequences_too(network):
    tokens = reference_complete(built(network, ENDED), torch.tensor([[2, 1], [0, 3]]).repeat(50, 1), generator())
    assert torch.equal(tokens[::2], torch.tensor([2, 1, 0, 0, 0]).expand(50, -1))
    assert (tokens[~ENDED.mask(tokens)] == ENDED.pad).all()
    assert len(tokens[1::2].unique(dim=0)) > 3


def test_a_copy_has_parameters_of_its_own(network):
    policy = built(network, ENDED)
    copied = policy.copied()
    assert all(torch.equal(one, other) for one, other in zip(policy.parameters(), copied.parameters(), strict=True))
    with torch.no_grad():
        copied.output.bias += 1
    assert not torch.equal(policy.output.bias, copied.output.bias)


def test_initial_parameters_come_from_the_generator_alone(network):
    before = torch.random.get_rng_state()
    one, same, other = (built(network, ENDED, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)
    assert all(bool(value.isfinite().all()) for value in one.values())


def test_every_parameter_learns(network):
    policy = built(network, SequenceSpec(7, 9, bos=0))
    tokens = torch.randint(7, (40, 9), generator=generator(1))
    policy.weighted_nll(tokens, torch.ones(40, 9))[0].backward()
    for parameter in trainable(policy):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


def test_a_layer_is_a_gated_dilated_convolution():
    """Against the formula of Dauphin et al., position by position: (X * W + b) sigmoid(X * V + c), added to X."""
    policy = GatedCNN(SequenceSpec(7, 5, bos=7), generator(), 5, 6, 0.7)
    assert len(policy.layers) == 3  # 1 + 2 + 4 positions before the current one: more than T
    inputs = torch.tensor([[7, 3, 1, 6, 2]])
    known = [policy.inward.weight @ policy.embedding.weight[token] for token in inputs[0]]
    for layer, dilation in zip(policy.layers, (1, 2, 4), strict=True):
        w, v = layer.weight[:6], layer.weight[6:]
        zero, following = torch.zeros(6), []
        for t in range(5):
            seen = torch.cat([known[t - dilation] if t >= dilation else zero, known[t]])
            following.append(known[t] + (w @ seen + layer.bias[:6]) * torch.sigmoid(v @ seen + layer.bias[6:]))
        known = following
    torch.testing.assert_close(policy.hidden(inputs)[0], torch.stack(known), atol=1e-5, rtol=1e-5)


def test_as_many_layers_as_it_takes_to_see_everything():
    depth = {length: len(GatedCNN(SequenceSpec(3, length, bos=3), generator()).layers) for length in (1, 2, 3, 20, 33)}
    assert depth == {1: 1, 2: 1, 3: 2, 20: 5, 33: 6}


def test_a_block_is_attention_and_a_wider_layer():
    """Against the formulas, head by head and position by position."""
    policy = Transformer(SequenceSpec(7, 4, bos=7), generator(), 5, 32, 0.7)
    assert policy.heads == 2
    inputs = torch.tensor([[7, 3, 1, 6]])
    known = policy.embedding.weight[inputs[0]] @ policy.inward.weight.t() + policy.position.weight
    for block in policy.layers():
        q, k, v = (layer_norm(known, (32,)) @ block.asking.weight.t() + block.asking.bias).chunk(3, -1)
        rows = []
        for t in range(4):
            heads = []
            for head in (slice(0, 16), slice(16, 32)):
                law = torch.softmax(torch.stack([q[t, head] @ k[s, head] / 4 for s in range(t + 1)]), 0)
                heads.append(sum(p * v[s, head] for s, p in enumerate(law)))
            row = known[t] + block.answer(torch.cat(heads))
            wide = block.wide(layer_norm(row, (32,)))
            rows.append(row + block.narrow(0.5 * wide * (1 + torch.erf(wide / math.sqrt(2)))))
        known = torch.stack(rows)
    torch.testing.assert_close(policy.hidden(inputs)[0], layer_norm(known, (32,)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("width", "heads"), [(1, 1), (6, 1), (16, 1), (31, 1), (32, 2), (48, 3), (50, 2), (512, 32)])
def test_heads_divide_the_width(width, heads):
    assert heads_of(width) == heads


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_initial_parameters_are_of_a_sensible_size(name):
    policy = new_policy(name, SequenceSpec(500, 20, bos=0), generator(), 32, 32, 0.1)
    assert float(policy.embedding.weight.detach().std()) == pytest.approx(0.1, rel=0.05)
    assert float(policy.output.weight.detach().std()) == pytest.approx(0.1, rel=0.05)
    assert not policy.output.bias.any()
    # At first every word is about equally likely.
    tokens = torch.randint(500, (100, 20), generator=generator(1))
    assert -float(policy.token_log_prob(tokens).mean()) == pytest.approx(math.log(500), abs=0.25)


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_the_field_says_what_the_pretraining_trains(name: PolicyName):
    """SeqGAN's pre-training with a network is MLE with it."""
    data = Toy(train_size=64).load().training
    fields = {"policy": name, "embedding_dim": 8, "hidden_dim": 8}
    seqgan = SeqGAN(pretrain_epochs=2, d_pretrain_steps=0, rounds=0, **fields)
    policy = Session("policy/0").train(seqgan, data)
    alone = Session("policy/0").train(MLE(epochs=2, **fields), data)
    assert isinstance(policy, NETWORKS[name])
    assert all(torch.equal(*each) for each in zip(policy.parameters(), alone.parameters(), strict=True))


def test_it_is_trained_on_whole_sentences_only(network):
    """What follows the end of a sentence changes nothing that is learnt."""
    spec = SequenceSpec(6, 7, bos=6, eos=5, pad=5)
    tokens = torch.randint(6, (60, 7), generator=generator(3))
    ended = tokens.masked_fill(~spec.mask(tokens), 5)
    assert not torch.equal(tokens, ended)
    trained = [
        Session("ends/0").train(
            MLE(epochs=2, policy=network, embedding_dim=4, hidden_dim=6), TrainingData(spec, copy.copy(rows), ended)
        )
        for rows in (tokens, ended)
    ]
    # The true tokens are read up to the end, and no further: the same parameters after training.
    for one, other in zip(trained[0].parameters(), trained[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    drawn = trained[1].sample(200, Decoding(), generator())
    assert torch.equal(drawn, drawn.masked_fill(~spec.mask(drawn), 5))
