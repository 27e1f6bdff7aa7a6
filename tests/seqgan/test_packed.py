"""Steps of several seeds taken together are the steps of each alone, and no member's depend on another's."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch

from bench.api import Execution, SequenceSpec
from bench.pack import Pack
from seqgan.discriminator import Discriminator
from seqgan.kernels.packing import STEPS
from seqgan.lm import LSTMLanguageModel
from seqgan.mle import Descent, adam, evenly, trainable
from seqgan.seqgan import SeqGAN

pytestmark = pytest.mark.filterwarnings("ignore:RNN module weights are not part of single contiguous chunk")

FIXED = SequenceSpec(50, 6, bos=50)
ENDED = SequenceSpec(50, 6, bos=50, eos=1, pad=0)
specs = pytest.mark.parametrize("spec", [FIXED, ENDED], ids=["fixed", "eos"])
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
devices = pytest.mark.parametrize("device", DEVICES)
TOLERANCE = {"cpu": (1e-5, 2e-6), "cuda": (1e-4, 2e-5)}
SIZES, COUNTS = (1, 2, 4), (8, 7, 5)


def generator(seed, device="cpu"):
    return torch.Generator(device).manual_seed(seed)


def sentences(spec, rows, seed, device):
    tokens = torch.randint(spec.vocab_size, (rows, spec.seq_len), generator=generator(seed))
    if spec.eos is not None:
        ends = torch.rand(tokens.shape, generator=generator(seed + 1)) < 1 / 4
        tokens = tokens.masked_fill(ends, spec.eos)
        tokens = tokens.masked_fill(~spec.mask(tokens), spec.pad)
    return tokens.to(device)


def together(functions, width):
    """The results, in order, of functions in the first places of a pack; None is an empty place."""
    places = {place: function for place, function in enumerate(functions) if function is not None}
    return [result for _, result in sorted(Pack(width).run(places), key=lambda each: each[0])]


def likelihood(spec, seed, rows=(8, 8, 3), device="cpu", mixed=False, policy=None):
    """The parameters after a few steps, and what the steps returned."""
    model = LSTMLanguageModel(spec, generator(seed, device), 5, 6, 0.5) if policy is None else policy
    descent, found = Descent(model, adam(model, 0.01), 0.05), []
    for index, number in enumerate(rows):
        tokens = sentences(spec, number, 100 * seed + 7 * index, device)
        inputs = sentences(spec, number, 100 * seed + 7 * index + 3, device) if mixed else None
        weights = torch.rand(tokens.shape, generator=generator(seed + index)).to(device)
        # What is after the end has no weight, whatever it was.
        found += descent(tokens, weights.where(spec.mask(tokens), torch.nan), inputs)
    return [parameter.detach().clone() for parameter in trainable(model)], found


def discrimination(spec, seed, rows=(8, 8, 3), device="cpu", execution=Execution()):  # noqa: B008
    """The parameters after a few steps, what the steps returned, and the state of the stream of dropout."""
    model = Discriminator(spec, generator(seed, device), 6, SIZES, COUNTS)
    rng, seqgan = generator(10 + seed, device), SeqGAN(d_l2=0.3)
    step, found = seqgan.discriminator_step(model, adam(model, 0.01), rng, execution), []
    for index, number in enumerate(rows):
        tokens = sentences(spec, number, 100 * seed + 7 * index, device)
        found += step(tokens, (torch.arange(number) % 2).to(device))
    return [parameter.detach().clone() for parameter in trainable(model)], found, rng.get_state()


def close(one, other, device):
    """Equal but for rounding.

    Adam divides a gradient by its own size plus 1e-8: where it is hardly larger than that, a few parameters of a
    thousand, rounding moves the step itself (by 8e-6 on a processor with AVX-512).
    """
    rtol, atol = TOLERANCE[device]
    for mine, its in zip(one, other, strict=True):
        far = ~torch.isclose(mine.detach(), its.detach(), rtol=rtol, atol=atol)
        assert float(far.float().mean()) <= 0.005
        torch.testing.assert_close(mine.detach(), its.detach(), rtol=rtol, atol=10 * atol)


def same(one, other):
    assert all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))


@devices
@specs
@pytest.mark.parametrize("mixed", [False, True], ids=["teacher forcing", "other inputs"])
def test_language_models_take_the_steps_that_each_takes_alone(spec, mixed, device):
    alone = [likelihood(spec, seed, device=device, mixed=mixed) for seed in range(3)]
    packed = together(
        [lambda seed=seed: likelihood(spec, seed, device=device, mixed=mixed) for seed in range(3)], width=4
    )
    for one, other in zip(packed, alone, strict=True):
        close(one[0], other[0], device)
        close(one[1], other[1], device)


@devices
@specs
def test_discriminators_take_the_steps_that_each_takes_alone_with_the_same_random_numbers(spec, device):
    alone = [discrimination(spec, seed, device=device) for seed in range(3)]
    packed = together([lambda seed=seed: discrimination(spec, seed, device=device) for seed in range(3)], width=4)
    for one, other in zip(packed, alone, strict=True):
        close(one[0], other[0], device)
        close(one[1], other[1], device)
        assert torch.equal(one[2], other[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_recorded_steps_of_discriminators_are_those_operation_by_operation():
    def found(how):
        return together(
            [lambda seed=seed: discrimination(FIXED, seed, (8,) * 6, "cuda", how) for seed in range(3)], width=3
        )

    for one, other in zip(found(Execution("eager")), found(Execution("graph")), strict=True):
        same(one[0], other[0])
        same(one[1], other[1])


@devices
@pytest.mark.parametrize("train", [likelihood, discrimination])
def test_what_a_member_gets_depends_on_no_other(train, device):
    """Alone in its pack, beside others, and beside those that take other steps."""

    def mine():
        return train(ENDED, 1, device=device)

    (expected,) = together([None, mine], width=4)
    beside = together([lambda: train(ENDED, 0, device=device), mine, lambda: train(ENDED, 2, device=device)], width=4)
    others = [lambda: train(ENDED, 0, (8,), device=device), mine, lambda: train(FIXED, 2, device=device)]
    for found in (beside[1], together(others, width=4)[1]):
        same(found[0], expected[0])
        same(found[1], expected[1])


def test_a_member_that_diverges_harms_no_other():
    def diverges():
        model = LSTMLanguageModel(FIXED, generator(9), 5, 6, 0.5)
        with torch.no_grad():
            model.output.bias.fill_(torch.nan)
        return likelihood(FIXED, 9, policy=model)

    bad, good = together([diverges, lambda: likelihood(FIXED, 1)], width=2)
    assert all(each.isnan().any() for each in bad[1])
    (expected,) = together([None, lambda: likelihood(FIXED, 1)], width=2)
    same(good[0], expected[0])


def test_members_with_batches_of_other_shapes_step_by_themselves():
    """As where one resumed in the middle of an epoch, whose last batch is smaller."""
    packed = together([lambda: likelihood(FIXED, 0, (8, 8, 3)), lambda: likelihood(FIXED, 1, (8, 3, 8))], width=2)
    alone = [likelihood(FIXED, 0, (8, 8, 3)), likelihood(FIXED, 1, (8, 3, 8))]
    for one, other in zip(packed, alone, strict=True):
        close(one[0], other[0], "cpu")


def test_each_of_several_models_of_a_member_has_a_row_of_its_own():
    def ensemble(seed):
        models = [LSTMLanguageModel(FIXED, generator(10 * seed + index), 5, 6, 0.5) for index in range(2)]
        descents = [Descent(model, adam(model, 0.01), 1.0) for model in models]
        for index in range(3):
            tokens = sentences(FIXED, 4, seed + 50 * index, "cpu")
            for descent in descents:
                descent(tokens, evenly(FIXED, tokens))
        return [parameter.detach().clone() for model in models for parameter in trainable(model)]

    packed = together([lambda: ensemble(1), lambda: ensemble(2)], width=3)
    for one, other in zip(packed, [ensemble(1), ensemble(2)], strict=True):
        close(one, other, "cpu")


def test_one_model_with_two_kinds_of_steps_stays_where_it_is():
    """Two optimizers in turn, whose gradients are clipped at other norms: two steps of one model, not of two."""

    def both(seed):
        model = LSTMLanguageModel(FIXED, generator(seed), 5, 6, 0.5)
        descents = [Descent(model, adam(model, 0.01), clip) for clip in (0.5, 0.01)]
        for index in range(6):
            tokens = sentences(FIXED, 4, seed + 50 * index, "cpu")
            descents[index % 2](tokens, evenly(FIXED, tokens))
        return [parameter.detach().clone() for parameter in trainable(model)]

    packed = together([lambda: both(1), lambda: both(2)], width=2)
    for one, other in zip(packed, [both(1), both(2)], strict=True):
        close(one, other, "cpu")


@pytest.mark.parametrize("which", ["tokens", "inputs"])
def test_a_word_that_there_is_not_is_refused_and_harms_no_other(which):
    def broken():
        model = LSTMLanguageModel(FIXED, generator(7), 5, 6, 0.5)
        batch = {"tokens": sentences(FIXED, 8, 1, "cpu"), "inputs": sentences(FIXED, 8, 2, "cpu")}
        batch[which][0, 0] = 53
        with pytest.raises(IndexError):
            Descent(model, adam(model, 0.01), 1.0)(batch["tokens"], torch.ones(8, 6), batch["inputs"])

    _, good = together([broken, lambda: likelihood(FIXED, 1)], width=2)
    (expected,) = together([None, lambda: likelihood(FIXED, 1)], width=2)
    same(good[0], expected[0])


def test_a_model_of_which_a_part_is_frozen_steps_alone():
    def frozen():
        model = LSTMLanguageModel(FIXED, generator(1), 5, 6, 0.5)
        model.embedding.requires_grad_(False)
        return likelihood(FIXED, 1, policy=model)

    for one in together([frozen, frozen], width=2):
        same(one[0], frozen()[0])


def test_a_part_that_is_frozen_later_is_treated_as_alone():
    def frozen():
        model = LSTMLanguageModel(FIXED, generator(1), 5, 6, 0.5)
        descent = Descent(model, adam(model, 0.01), 1.0)
        tokens = sentences(FIXED, 4, 1, "cpu")
        descent(tokens, evenly(FIXED, tokens))
        model.embedding.requires_grad_(False)
        descent(tokens, evenly(FIXED, tokens))
        return [parameter.detach().clone() for parameter in model.parameters()]

    for one in together([frozen, frozen], width=2):
        close(one, frozen(), "cpu")


def test_rows_of_models_that_are_gone_are_used_again():
    def many():
        alive = []
        for index in range(20):
            model = LSTMLanguageModel(FIXED, generator(index), 5, 6, 0.5)
            alive.append(weakref.ref(model))
            likelihood(FIXED, index, (4,), policy=model)
        del model
        gc.collect()
        return sum(each() is not None for each in alive)

    assert all(number <= STEPS for number in together([many, many], width=2))


def test_a_second_optimizer_goes_on_with_the_same_model():
    """As policy gradient does after maximum likelihood."""

    def both(seed):
        model = LSTMLanguageModel(FIXED, generator(seed), 5, 6, 0.5)
        likelihood(FIXED, seed, policy=model)
        return likelihood(FIXED, seed + 10, policy=model)[0]

    packed = together([lambda: both(1), lambda: both(2)], width=2)
    for one, other in zip(packed, [both(1), both(2)], strict=True):
        close(one, other, "cpu")


def test_a_state_that_is_loaded_after_the_model_got_its_row_is_what_is_trained():
    saved = LSTMLanguageModel(FIXED, generator(3), 5, 6, 0.5)
    optimizer = adam(saved, 0.01)
    tokens = sentences(FIXED, 4, 1, "cpu")
    Descent(saved, optimizer, 1.0)(tokens, evenly(FIXED, tokens))
    state = copy.deepcopy((saved.state_dict(), optimizer.state_dict()))

    def resumed():
        model = LSTMLanguageModel(FIXED, generator(4), 5, 6, 0.5)
        mine = adam(model, 0.01)
        descent = Descent(model, mine, 1.0)
        model.load_state_dict(state[0])
        mine.load_state_dict(copy.deepcopy(state[1]))
        descent(tokens, evenly(FIXED, tokens))
        return [parameter.detach().clone() for parameter in trainable(model)]

    for one in together([resumed, resumed], width=2):
        close(one, resumed(), "cpu")


def test_a_model_that_samples_after_a_step_has_the_new_parameters():
    def trained():
        model = LSTMLanguageModel(FIXED, generator(1), 5, 6, 0.5)
        before = model.log_prob(sentences(FIXED, 4, 1, "cpu"))
        tokens = sentences(FIXED, 4, 1, "cpu")
        Descent(model, adam(model, 0.01), 1.0)(tokens, evenly(FIXED, tokens))
        return before, model.log_prob(tokens)

    ((before, after),) = together([trained], width=2)
    torch.testing.assert_close((before, after), trained())
    assert float(after.sum()) > float(before.sum())
