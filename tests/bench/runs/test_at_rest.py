"""A sampler that is asked is at rest."""

import time

import pytest
import torch

from bench.runs.at_rest import NOISE, AtRest, Restless


class Words:
    """Independent words; ``changes`` says what a call changes."""

    def __init__(self, changes=lambda sampler: None):
        self.shift, self.changes = 0, changes

    def sample(self, n, decoding, rng):
        drawn = (torch.randint(5, (n, 3), generator=rng) + self.shift) % 5
        self.changes(self)
        return drawn


def put_off(sampler):
    time.sleep(2 * NOISE)
    sampler.changes = lambda sampler: None


@pytest.fixture
def watch(make_spec):
    return AtRest(make_spec(device="cpu"))


def test_who_stays_the_same_may_be_asked(watch):
    with watch.asked(Words()):
        pass
    assert watch.seconds == 0


def test_who_changes_is_refused(watch):
    def learn(sampler):
        sampler.shift += 1

    with pytest.raises(Restless, match="Either it draws from another stream than the rng"), watch.asked(Words(learn)):
        pass


def test_what_is_put_off_until_somebody_asks_is_charged(watch):
    with watch.asked(Words(put_off)):
        pass
    assert NOISE < watch.seconds < 20 * NOISE


def test_first_answers_are_put_off_no_more(watch):
    words = Words(put_off)
    watch.first_answers(words)  # while the clock runs
    with watch.asked(words):
        pass
    assert watch.seconds == 0


def test_who_draws_from_a_global_stream_is_at_rest_as_well(watch):
    class Global:
        def sample(self, n, decoding, rng):
            return torch.randint(5, (n, 3))

    state = torch.get_rng_state()
    with watch.asked(Global()):
        pass
    assert torch.equal(torch.get_rng_state(), state)


def test_who_cannot_draw_is_told_by_what_is_judged(watch):
    class Broken:
        def sample(self, n, decoding, rng):
            raise RuntimeError("no")

    watch.first_answers(Broken())
    with watch.asked(Broken()):
        pass
