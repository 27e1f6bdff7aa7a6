"""Every way to execute rollouts on a GPU draws from the policy's own law, and recorded graphs draw the same words."""

from __future__ import annotations

import pytest
import torch

from bench.api import MODES, Execution, SequenceSpec
from seqgan.lm import LSTMLanguageModel
from seqgan.rollout import complete_prefixes, completion

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")

FIXED = SequenceSpec(4, 4, bos=4)
ENDED = SequenceSpec(4, 5, bos=4, eos=1, pad=0)
PAPER = SequenceSpec(5_000, 20, bos=0)
SIGNIFICANT = 1e-6


def on_cuda(seed=0):
    return torch.Generator("cuda").manual_seed(seed)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spec", [FIXED, ENDED], ids=["fixed", "eos"])
def test_completions_follow_the_policys_law(mode, spec, make_policy, all_sequences, goodness_of_fit):
    """20,000 completions of each prefix of one sequence against the probabilities of all sequences that begin so."""
    policy = make_policy(spec).cuda()
    rng = on_cuda(3)
    tokens, states = policy.sample_with_states(1, rng)
    finished = completion(Execution(mode), policy, 20_000, rng)(tokens, states)  # (T - 1, 1, N, T)
    everything = all_sequences(spec)
    law = policy.log_prob(everything).double().exp()
    bases = spec.vocab_size ** torch.arange(spec.seq_len)
    names = (everything * bases).sum(-1)
    for kept in range(1, spec.seq_len):
        begins = (everything[:, :kept] == tokens[0, :kept].cpu()).all(-1)
        drawn = (finished[kept - 1, 0].cpu() * bases).sum(-1)
        counts = (drawn[:, None] == names[begins]).sum(0)
        assert counts.sum() == 20_000  # no other sequence was written
        assert goodness_of_fit(counts, law[begins]) > SIGNIFICANT


@pytest.mark.parametrize("mode", MODES)
def test_words_at_the_papers_shape_follow_the_policys_law(mode, goodness_of_fit):
    """The words that finish the longest prefixes, of 64 copies of one sequence: one known law for 262,144 draws."""
    policy = LSTMLanguageModel(PAPER, on_cuda(1), init_std=1.0)
    rng = on_cuda(2)
    tokens, states = policy.sample_with_states(1, rng)
    copied = [(hidden.expand(64, -1).contiguous(), cell.expand(64, -1).contiguous()) for hidden, cell in states]
    finish = completion(Execution(mode), policy, 64, rng)
    drawn = torch.cat([finish(tokens.expand(64, -1).contiguous(), copied)[-1, ..., -1].flatten() for _ in range(64)])
    law = torch.softmax(policy.output(states[-1][0][0]).double(), -1).detach()
    assert goodness_of_fit(torch.bincount(drawn, minlength=5_000), law) > SIGNIFICANT


def test_recorded_rollouts_are_the_same_words_at_the_papers_shape():
    policy = LSTMLanguageModel(PAPER, on_cuda(1), init_std=1.0)
    tokens, states = policy.sample_with_states(64, on_cuda(2))
    plain, recorded = on_cuda(3), on_cuda(3)
    replay = completion(Execution("graph"), policy, 16, recorded)
    for _ in range(3):
        expected = complete_prefixes(policy, tokens, states, 16, plain)
        assert torch.equal(replay(tokens, states), expected)
