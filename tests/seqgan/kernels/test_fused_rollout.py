from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys

import pytest
import torch

from bench.api import SequenceSpec

pytest.importorskip("triton", reason="Triton is not installed; torch's CUDA builds bring it along")
fused_rollout = importlib.import_module("seqgan.kernels.fused_rollout")
Parameters, reference_complete_on_chip = fused_rollout.Parameters, fused_rollout.reference_complete_on_chip

FIXED = SequenceSpec(3, 4, bos=3)
WORD_AS_BOS = SequenceSpec(37, 5, bos=0)  # not a multiple of a tile
TILES = SequenceSpec(32, 3, bos=32)  # two tiles and nothing left over
ENDED = SequenceSpec(4, 6, bos=4, eos=1, pad=0)
ENDED_BY_PAD = SequenceSpec(17, 4, bos=17, eos=16, pad=16)  # only the end mark in the last tile
SPECS = [
    pytest.param(FIXED, id="fixed"),
    pytest.param(WORD_AS_BOS, id="bos=0"),
    pytest.param(TILES, id="whole tiles"),
    pytest.param(ENDED, id="eos"),
    pytest.param(ENDED_BY_PAD, id="eos is pad"),
]
SMALL = {"rows": 16, "words": 16}

INTERPRETED = """
import pickle, sys
from seqgan.kernels.fused_rollout import complete_on_chip
while True:
    try:
        arguments, options = pickle.load(sys.stdin.buffer)
    except EOFError:
        break
    try:
        answer = complete_on_chip(*arguments, **options)
    except Exception as error:
        answer = error
    pickle.dump(answer, sys.stdout.buffer)
    sys.stdout.buffer.flush()
"""
"""Triton decides when it is imported whether kernels are compiled or interpreted: hence a separate process."""


@pytest.fixture(scope="module")
def interpreted():
    if torch.cuda.is_available():
        pytest.skip("the kernels are compiled on this machine, where they are compared with their twins, too")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", INTERPRETED], stdin=pipe, stdout=pipe, env=environment) as process:

        def complete(*arguments, **options):
            pickle.dump((arguments, options), process.stdin)
            process.stdin.flush()
            answer = pickle.load(process.stdout)
            if isinstance(answer, Exception):
                raise answer
            return answer

        yield complete
        process.stdin.close()


@pytest.fixture
def complete(device, request):
    """The kernel as a function of tensors on the CPU: compiled on CUDA, else interpreted."""
    if device.type == "cpu":
        return request.getfixturevalue("interpreted")

    def compiled(tokens, hidden, cell, parameters, uniforms, *others, **options):
        moved = [part.to(device) for part in (tokens, hidden, cell, uniforms)]
        moved.insert(3, Parameters(*(part.to(device) for part in parameters)))
        return fused_rollout.complete_on_chip(*moved, *others, **options).cpu()

    return compiled


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def parameters_of(policy):
    input_weight, recurrent_weight, bias, second_bias = policy.lstm.all_weights[0]
    tensors = (
        policy.embedding.weight,
        input_weight,
        recurrent_weight,
        bias + second_bias,
        policy.output.weight,
        policy.output.bias,
    )
    return Parameters(*(tensor.detach() for tensor in tensors))


@torch.no_grad()
def states_of(policy, tokens):
    """(T, B, H) each: the states from which given tokens would have been drawn."""
    state, states = policy.initial_state(len(tokens)), []
    for read in policy.shift(tokens).t():
        state = policy.read(read, state)
        states.append(state)
    return [torch.stack(part).detach() for part in zip(*states, strict=True)]


def arguments_of(policy, tokens, rollouts, seed=7):
    batch, length = tokens.shape
    uniforms = torch.rand(length - 1, length - 1, batch, rollouts, generator=generator(seed))
    spec = policy.spec
    return tokens, *states_of(policy, tokens), parameters_of(policy), uniforms, spec.eos, spec.pad


def outside(policy, finished, uniforms):
    """Distance of each uniform from the interval of the word it drew, (T - 1, B, N, T); 0 where nothing was drawn."""
    length = finished.shape[-1]
    with torch.no_grad():
        logits = policy(policy.shift(finished.view(-1, length))).double()
    cumulative = torch.nn.functional.pad(logits.softmax(-1).cumsum(-1), (1, 0)).view(*finished.shape, -1)
    lower, upper = (cumulative.gather(-1, finished[..., None] + side)[..., 0] for side in (0, 1))
    drawn_by = torch.nn.functional.pad(uniforms.permute(0, 2, 3, 1), (1, 0))  # (T - 1, B, N, T)
    positions = torch.arange(length)
    kept = torch.arange(1, length)[:, None, None, None]
    drawn = (positions >= kept) & policy.spec.mask(finished.view(-1, length)).view(finished.shape)
    return torch.maximum(lower - drawn_by, drawn_by - upper).clamp(min=0) * drawn


@pytest.mark.parametrize(("batch", "rollouts"), [(5, 5), (1, 1)])
@pytest.mark.parametrize("spec", SPECS)
def test_the_kernel_is_its_twin_on_the_same_uniforms(spec, batch, rollouts, complete, make_lstm):
    # 5 inputs and 6 units: not powers of two, and fewer than a matrix product on chip needs.
    policy = make_lstm(spec, seed=2)
    tokens = policy.sample_with_states(batch, generator(1))[0]
    arguments = arguments_of(policy, tokens, rollouts)
    finished = complete(*arguments, **SMALL)
    assert finished.shape == (spec.seq_len - 1, batch, rollouts, spec.seq_len)
    assert finished.dtype == torch.int64
    expected = reference_complete_on_chip(*arguments)
    assert (finished == expected).all(-1).float().mean() > 0.98
    assert float(outside(policy, finished, arguments[4]).max()) < 1e-5
    assert float(outside(policy, expected, arguments[4]).max()) < 1e-5


def test_more_rows_than_a_program_and_more_words_than_a_tile(complete, make_lstm):
    policy = make_lstm(SequenceSpec(300, 3, bos=300), seed=3)
    tokens = policy.sample_with_states(11, generator(1))[0]
    arguments = arguments_of(policy, tokens, 13)  # 143 rows: 64 + 64 + 15
    finished = complete(*arguments)
    assert (finished == reference_complete_on_chip(*arguments)).all(-1).float().mean() > 0.98
    assert float(outside(policy, finished, arguments[4]).max()) < 1e-5


@pytest.mark.parametrize("parts", [1, 2, 4, 8, 16])
def test_parts_of_several_tiles_and_parts_that_do_not_fill_their_power_of_two(parts, complete, make_lstm):
    policy = make_lstm(SequenceSpec(131, 4, bos=131), seed=3)  # nine tiles, the last of three words
    tokens = policy.sample_with_states(4, generator(1))[0]
    arguments = arguments_of(policy, tokens, 6)
    finished = complete(*arguments, **SMALL, parts=parts)
    assert (finished == reference_complete_on_chip(*arguments)).all(-1).float().mean() > 0.98
    assert float(outside(policy, finished, arguments[4]).max()) < 1e-5


@pytest.mark.parametrize("spec", [FIXED, ENDED], ids=["fixed", "eos"])
def test_prefixes_are_kept_word_for_word(spec, complete, make_lstm):
    policy = make_lstm(spec)
    tokens = policy.sample_with_states(6, generator(1))[0]
    finished = complete(*arguments_of(policy, tokens, 4), **SMALL)
    for kept in range(1, spec.seq_len):
        assert torch.equal(finished[kept - 1, :, :, :kept], tokens[:, None, :kept].expand(-1, 4, -1))
    assert (finished != finished[:, :, :1]).any()


def test_finished_sequences_are_not_continued(complete, make_lstm):
    policy = make_lstm(ENDED)
    tokens = torch.tensor([[1, 0, 0, 0, 0, 0], [2, 1, 0, 0, 0, 0], [2, 2, 3, 1, 0, 0], [0, 0, 2, 3, 2, 2]])
    finished = complete(*arguments_of(policy, tokens, 12), **SMALL)
    for kept in range(1, 6):
        for b, row in enumerate(tokens):
            if (row[:kept] == ENDED.eos).any():
                assert (finished[kept - 1, b] == row).all()
    after = ~ENDED.mask(finished.view(-1, 6)).view(finished.shape)
    assert (finished[after] == ENDED.pad).all()
    assert after[:, 3].any()


def test_the_first_completed_word_follows_the_policys_law(complete, make_lstm, goodness_of_fit):
    policy = make_lstm(SequenceSpec(20, 2, bos=20), seed=4)
    tokens = torch.tensor([[0, 0], [11, 0]])
    finished = complete(*arguments_of(policy, tokens, 2_000))
    for b in range(2):
        law = torch.softmax(policy(policy.shift(tokens))[b, 1], -1).detach()
        assert goodness_of_fit(torch.bincount(finished[0, b, :, 1], minlength=20), law) > 1e-3


@pytest.mark.parametrize("impossible", [slice(0, 16), slice(5, 20), slice(1, 36), slice(20, 37)])
def test_impossible_words_are_never_drawn(impossible, complete, make_lstm):
    # Also entire tiles of them, at either end, and uniforms at both ends of their range.
    policy = make_lstm(WORD_AS_BOS)
    with torch.no_grad():
        policy.output.bias[impossible] = -torch.inf
    tokens = policy.sample_with_states(4, generator(1))[0]
    tokens, hidden, cell, parameters, uniforms, eos, pad = arguments_of(policy, tokens, 10)
    uniforms[..., :2], uniforms[..., 2:4] = 0.0, 1 - 2**-24
    finished = complete(tokens, hidden, cell, parameters, uniforms, eos, pad, **SMALL)
    allowed = torch.ones(37, dtype=torch.bool)
    allowed[impossible] = False
    assert allowed[finished].all()
    possible = allowed.nonzero()[:, 0]
    assert (finished[0, :, :2, 1] == possible[0]).all()
    assert float(outside(policy, finished, uniforms).max()) < 1e-5


def test_a_certain_policy_reads_the_prefix_and_all_that_it_wrote(complete, make_lstm):
    spec = SequenceSpec(21, 6, bos=21)
    policy = make_lstm(spec, seed=3)
    with torch.no_grad():
        policy.output.weight *= 1e5
        policy.output.bias *= 1e5
    tokens = torch.randint(21, (6, 6), generator=generator(2))
    finished = complete(*arguments_of(policy, tokens, 2), **SMALL)
    for kept in range(1, 6):
        expected = tokens.clone()
        for t in range(kept, 6):
            expected[:, t] = policy(policy.shift(expected))[:, t].argmax(-1)
        assert torch.equal(finished[kept - 1], expected[:, None].expand(-1, 2, -1))
    assert len(finished[0, :, 0].unique(dim=0)) > 1  # otherwise this proves nothing


def test_a_diverged_model_reads_nothing_outside_its_tables(complete, make_lstm):
    policy = make_lstm(FIXED)
    tokens = policy.sample_with_states(3, generator(1))[0]
    arguments = arguments_of(policy, tokens, 2)
    with torch.no_grad():
        arguments[3].output_bias.fill_(torch.nan)
    finished = complete(*arguments, **SMALL)
    assert (finished[0, :, :, 1:] == 0).all()


def test_sequences_of_one_word_have_nothing_to_complete(complete, make_lstm):
    policy = make_lstm(SequenceSpec(4, 1, bos=4))
    tokens = torch.zeros(3, 1, dtype=torch.long)
    assert complete(*arguments_of(policy, tokens, 2)).shape == (0, 3, 2, 1)


@pytest.mark.parametrize("which", range(5))
def test_tensors_that_do_not_fit_are_refused(which, interpreted, make_lstm):
    arguments = list(arguments_of(make_lstm(FIXED), torch.zeros(3, 4, dtype=torch.long), 2))
    if which == 3:
        arguments[3] = arguments[3]._replace(recurrent_weight=torch.zeros(24, 5))
    else:
        arguments[which] = arguments[which].double() if which == 0 else arguments[which][:-1]
    with pytest.raises(ValueError, match="expected"):
        interpreted(*arguments)


def test_eos_needs_pad_and_compiled_kernels_need_cuda(interpreted, make_lstm):
    arguments = arguments_of(make_lstm(FIXED), torch.zeros(3, 4, dtype=torch.long), 2)
    with pytest.raises(ValueError, match="eos and pad both or neither"):
        interpreted(*arguments[:-2], 1, None)
    with pytest.raises(ValueError, match="expected tensors on a CUDA device, got cpu"):
        fused_rollout.complete_on_chip(*arguments)


@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize("ones", [(), ("batch", "rollouts", "blocks", "eos")])
def test_it_compiles_for_hopper_on_a_machine_without(ones, tmp_path, monkeypatch):
    # The interpreter accepts code that the compiler refuses. Arguments that are 1 become constants of the kernel.
    compiler = importlib.import_module("triton.compiler")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", 90, 32)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = fused_rollout._kernel
    constants = {"ENDS": True, "UNITS": 16, "ROWS": 16, "WORDS": 16, "PARTS": 2, "TILES": 3, "PRECISION": "ieee"}
    constants |= dict.fromkeys(ones, 1)
    types = dict.fromkeys(kernel.arg_names, "*fp32") | {"tokens": "*i64", "finished": "*i64"}
    types |= dict.fromkeys(("batch", "rollouts", "length", "vocabulary", "eos", "pad", "blocks"), "i32")
    types |= dict.fromkeys(constants, "constexpr")
    values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    compiled = compiler.compile(compiler.ASTSource(kernel, types, values), target=target)
    assert ".target sm_90" in compiled.asm["ptx"]
