from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from bench.api import SequenceSpec
from seqgan.discriminator import FILTER_COUNTS, FILTER_SIZES, Discriminator

FIXED = SequenceSpec(6, 5, bos=6)
ENDED = SequenceSpec(6, 5, bos=6, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(6, 5, bos=6, eos=5, pad=5)
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(ENDED, id="eos"),
    pytest.param(ENDED_BY_PAD, id="eos is pad"),
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(spec=FIXED, seed=0, keep=0.75):
    return Discriminator(spec, generator(seed), 3, (1, 2, 4), (4, 5, 2), keep)


def sequences(rows, spec=FIXED, seed=1):
    return torch.randint(spec.vocab_size, (rows, spec.seq_len), generator=generator(seed))


@pytest.fixture(scope="module")
def paper_sized():
    return Discriminator(SequenceSpec(5_000, 20, bos=0), generator())


def test_size_is_the_released_codes(paper_sized):
    assert dict(zip(FILTER_SIZES, FILTER_COUNTS, strict=True)) == {
        **{1: 100, 2: 200, 3: 200, 4: 200, 5: 200, 6: 100, 7: 100, 8: 100, 9: 100, 10: 100},
        **{15: 160, 20: 160},
    }
    assert paper_sized.output.in_features == 1_720
    assert sum(parameter.numel() for parameter in paper_sized.parameters() if parameter.requires_grad) == 7_045_402


def test_initial_parameters_are_the_released_codes(paper_sized):
    words = paper_sized.embedding.weight.detach()
    assert -1 <= float(words.min()) < -0.999
    assert 0.999 < float(words.max()) <= 1
    filters = [paper_sized.filter_weight[numbers] for *_, numbers in paper_sized.filters.branches()]
    for weight in [*filters, paper_sized.output.weight]:
        assert float(weight.detach().abs().max()) <= 0.2  # truncated at two standard deviations
        assert float(weight.detach().std()) == pytest.approx(0.088, abs=0.003)
    assert (torch.cat([paper_sized.filter_bias, paper_sized.output.bias]) == 0.1).all()
    limit = (3 / 1720) ** 0.5  # Glorot's, TensorFlow's default for matrix and bias alike
    for parameter in paper_sized.highway.parameters():
        assert 0.99 * limit < float(parameter.detach().abs().max()) <= limit
        assert float(parameter.detach().std()) == pytest.approx(limit / 3**0.5, rel=0.03)


@pytest.mark.parametrize("spec", SPECS)
def test_forward_is_the_plain_loop(spec):
    model, tokens = small(spec), sequences(7, spec)
    weights = {name: weight.double().numpy() for name, weight in model.state_dict().items()}
    logits = model(tokens).detach().numpy()
    for written, got in zip(tokens.tolist(), logits, strict=True):
        end = written.index(spec.eos) if spec.eos in written else spec.seq_len
        row = [token if position <= end else spec.vocab_size for position, token in enumerate(written)]
        features = []
        filters, biases = weights["filter_weight"], iter(weights["filter_bias"])
        for size, count in ((1, 4), (2, 5), (4, 2)):
            kernel, filters = np.split(filters, [count * size * 3])
            for filter_ in kernel.reshape(count, size, 3):
                heights, offset = [], next(biases)
                for start in range(spec.seq_len - size + 1):
                    height = offset
                    for j in range(size):
                        height += filter_[j] @ weights["embedding.weight"][row[start + j]]
                    heights.append(max(height, 0.0))
                features.append(max(heights))
        features = np.array(features)
        gate, change = np.split(weights["highway.weight"] @ features + weights["highway.bias"], 2)
        carry = 1 / (1 + np.exp(-gate))
        features = carry * np.maximum(change, 0) + (1 - carry) * features
        np.testing.assert_allclose(got, weights["output.weight"] @ features + weights["output.bias"], atol=1e-5)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("rows", [0, 1, 9, 600])
def test_the_reward_is_the_probability_of_real_without_dropout_or_gradient(rows, spec):
    model, tokens = small(spec), sequences(rows, spec)
    model.train()
    reward = model.reward(tokens)
    assert reward.shape == (rows,)
    assert not reward.requires_grad
    assert torch.equal(reward, model.reward(tokens))
    torch.testing.assert_close(reward, model.reference_reward(tokens))
    torch.testing.assert_close(reward, model(tokens).softmax(-1)[:, 1].detach())
    assert rows < 9 or float(reward.std()) > 0


@pytest.mark.parametrize("steepness", [1, 4])
def test_rounding_to_bfloat16_moves_the_reward_little(steepness, paper_sized):
    model = copy.deepcopy(paper_sized)
    model.scoring = torch.bfloat16
    tokens = torch.randint(5_000, (600, 20), generator=generator(4))
    with torch.no_grad():  # half of the sequences count as real, where a probability is most sensitive
        model.output.weight *= steepness
        logits = model(tokens)
        model.output.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    error = (model.reward(tokens) - model.reference_reward(tokens)).abs()
    assert 0 < float(error.mean()) < 0.004
    assert float(error.max()) < 0.05
    assert float(model.reference_reward(tokens).std()) > 0.05
    model.scoring = torch.float32
    torch.testing.assert_close(model.reward(tokens), model.reference_reward(tokens), atol=1e-5, rtol=0)


def test_a_diverged_discriminator_rewards_nothing_with_a_number():
    model, tokens = small(), sequences(40)
    with torch.no_grad():
        model.filter_weight[5] = math.nan
    assert model.reward(tokens).isnan().all()
    assert model.reference_reward(tokens).isnan().all()


def test_it_works_in_inference_mode(torch_threads):
    torch_threads(2)
    model, tokens = small(), sequences(40)
    with torch.inference_mode():
        torch.testing.assert_close(model.reward(tokens), model.reference_reward(tokens), atol=0.01, rtol=0)


def test_the_reward_follows_the_discriminator():
    # Tables belong to one version of the parameters: after a step they must be made again.
    model, tokens = small(), sequences(600)
    before = model.reward(tokens)
    with torch.no_grad():
        model.filter_weight *= -1
    assert not torch.allclose(model.reward(tokens), before, atol=1e-3)
    torch.testing.assert_close(model.reward(tokens), model.reference_reward(tokens), atol=5e-3, rtol=0)


def features_of(model, tokens, dropout):
    """The input of the output layer."""
    seen = []
    handle = model.output.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    model(tokens, dropout)
    handle.remove()
    return seen[0]


def test_dropout_in_training_drops_a_quarter_and_scales_the_rest():
    model, tokens = small(), sequences(3_000)
    whole, dropped = features_of(model, tokens, None), features_of(model, tokens, generator(3))
    there = whole != 0
    survives = dropped[there] != 0
    assert float(survives.double().mean()) == pytest.approx(0.75, abs=5 * math.sqrt(0.75 * 0.25 / survives.numel()))
    torch.testing.assert_close(dropped[there][survives], whole[there][survives] / 0.75)
    # Every feature of every sequence on its own: neither entire features nor entire sequences are dropped.
    for side in (0, 1):
        rows = there.sum(side) > 4
        shares = ((dropped != 0) & there).sum(side)[rows] / there.sum(side)[rows]
        assert float(shares.mean()) == pytest.approx(0.75, abs=0.03)
    features = ((dropped != 0) & there).sum(0) / there.sum(0).clamp(min=1)
    assert float(features[there.sum(0) > 500].max()) < 0.85


def test_dropout_draws_only_from_the_given_generator():
    model, tokens = small(), sequences(50)
    real = torch.arange(50) % 2
    before = torch.random.get_rng_state()
    losses = [float(model.loss(tokens, real, 0.2, generator(seed))[0].detach()) for seed in (0, 0, 1)]
    model.reward(tokens)
    small(seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert losses[0] == losses[1] != losses[2]
    rng = generator()
    first, second = (float(model.loss(tokens, real, 0.2, rng)[0].detach()) for _ in range(2))
    assert first != second


def test_keeping_everything_is_no_dropout():
    model, tokens = small(keep=1.0), sequences(50)
    torch.testing.assert_close(model(tokens, generator()), model(tokens))


def test_the_loss_is_cross_entropy_and_the_output_layers_decay():
    model, tokens = small(keep=1.0), sequences(30)
    real = (torch.arange(30) % 3 == 0).long()
    loss, accuracy = model.loss(tokens, real, 0.2, generator())
    law = torch.log_softmax(model(tokens).detach(), -1)
    entropy = -sum(float(law[b, real[b]]) for b in range(30)) / 30
    decay = (float((model.output.weight**2).sum().detach()) + float((model.output.bias**2).sum().detach())) / 2
    assert float(loss.detach()) == pytest.approx(entropy + 0.2 * decay, rel=1e-5)
    assert float(accuracy) == pytest.approx(float((law.argmax(-1) == real).double().mean()))

    def gradients(l2):
        model.zero_grad()
        model.loss(tokens, real, l2, generator())[0].backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    without, decayed = gradients(0.0), gradients(0.2)
    for name, parameter in model.named_parameters():
        pull = 0.2 * parameter.detach() if name.startswith("output.") else torch.zeros_like(parameter)
        torch.testing.assert_close(decayed[name] - without[name], pull, atol=1e-6, rtol=1e-4)


def test_it_learns_to_tell_two_languages_apart():
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    rng = generator(2)

    def examples(rows):
        # Real sequences never repeat a word directly, the others always do.
        real = (torch.randint(6, (rows, 1), generator=rng) + torch.arange(5)) % 6
        fake = torch.randint(6, (rows, 1), generator=rng).expand(-1, 5)
        return torch.cat([real, fake]), torch.arange(2 * rows) < rows

    for _ in range(80):
        tokens, real = examples(32)
        optimizer.zero_grad()
        model.loss(tokens, real.long(), 0.0, rng)[0].backward()
        optimizer.step()
    tokens, real = examples(200)
    reward = model.reward(tokens)
    assert float(reward[real].min()) > 0.5 > float(reward[~real].max())


def test_what_follows_the_end_does_not_matter_and_the_end_does():
    model = small(ENDED)
    tokens = torch.tensor([[2, 3, 1, 0, 0]])
    other = torch.tensor([[2, 3, 1, 5, 4]])
    assert torch.equal(model(tokens), model(other))
    assert torch.equal(model(tokens, generator()), model(other, generator()))
    assert not torch.equal(model(tokens), model(torch.tensor([[2, 3, 0, 0, 0]])))
    # Without an end mark every token counts.
    fixed = small(FIXED)
    assert not torch.equal(fixed(tokens), fixed(other))


def test_every_words_vector_learns():
    model = small()
    tokens = torch.arange(30).view(6, 5) % 6
    model.loss(tokens, torch.arange(6) % 2, 0.0, generator())[0].backward()
    assert model.embedding.weight.grad.abs().sum(-1).gt(0).all()


def test_filters_longer_than_the_sequence_are_left_out():
    model = Discriminator(SequenceSpec(6, 4, bos=6), generator(), 3)
    assert model.filters.sizes == [1, 2, 3, 4]
    assert model.output.in_features == 700
    with pytest.raises(ValueError, match="filter size of at most 4"):
        Discriminator(SequenceSpec(6, 4, bos=6), generator(), 3, (5, 6), (1, 1))
    with pytest.raises(ValueError, match="as many filter_counts"):
        Discriminator(SequenceSpec(6, 4, bos=6), generator(), 3, (1, 2), (1,))


def test_the_generator_decides_the_initial_parameters():
    one, same, other = small(), small(), small(seed=1)
    tokens = sequences(4)
    assert torch.equal(one(tokens), same(tokens))
    assert not torch.equal(one(tokens), other(tokens))
    assert torch.equal(copy.deepcopy(one).reward(tokens), one.reward(tokens))
