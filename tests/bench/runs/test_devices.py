"""Which device is meant, and how several are dealt out, on a machine that need have none."""

import os

import pytest
import torch

from bench.errors import UsageError
from bench.runs import devices
from bench.runs.devices import VISIBLE, cards, choose_device
from bench.runs.executors.child import Child
from bench.runs.executors.processes import ProcessExecutor


@pytest.fixture
def three_cards(monkeypatch):
    """Three CUDA devices; the numbers of those that were set as the current one."""
    current = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setenv(VISIBLE, "unset later")
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setattr(devices, "_CHOSEN", [])
    devices._seen.cache_clear()
    yield current
    devices._seen.cache_clear()


def test_auto_is_what_is_there(three_cards, monkeypatch):
    assert [choose_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    assert three_cards == []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(UsageError, match=f"expected a CUDA device for device {name}, but torch finds none"):
            choose_device(name)


def test_one_of_several_is_the_only_one_until_the_next_choice(three_cards):
    assert cards() == ["0", "1", "2"]
    assert choose_device("cuda:2") == "cuda"
    assert cards() == ["2"]
    assert choose_device("cuda:1") == "cuda"
    assert cards() == ["1"]
    assert choose_device("cuda") == "cuda"
    assert cards() == ["0", "1", "2"]
    assert three_cards == [2, 1, 0]
    assert VISIBLE not in os.environ


def test_numbers_are_those_of_the_devices_that_are_seen(three_cards, monkeypatch):
    monkeypatch.setenv(VISIBLE, "5, GPU-8932f937,7")
    assert choose_device("cuda:1") == "cuda"
    assert cards() == ["GPU-8932f937"]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "auto:1", ""])
def test_other_names_are_refused(name, three_cards):
    with pytest.raises(UsageError):
        choose_device(name)


def test_a_device_that_is_not_there_is_refused(three_cards):
    with pytest.raises(UsageError, match="expected a device from cuda:0 to cuda:2, got cuda:3"):
        choose_device("cuda:3")


def say(pipe, name):
    pipe.send(os.environ.get(name))


def test_workers_get_the_devices_in_turn(three_cards, make_spec, monkeypatch):
    executor = ProcessExecutor(5)
    executor._cards = cards()
    assert [executor._card(number) for number in range(5)] == [{VISIBLE: str(card)} for card in (0, 1, 2, 0, 1)]
    executor._cards = []
    assert executor._card(0) == {}
    child = Child(say, VISIBLE, variables={VISIBLE: "2"})
    assert child.pipe.recv() == "2"
    child.close()
    assert VISIBLE not in os.environ


def test_a_record_names_the_instructions_that_its_bits_depend_on(make_spec, monkeypatch):
    monkeypatch.setattr(devices, "instructions", lambda: "AVX2")
    facts = devices.describe(make_spec())
    assert (facts["instructions"], facts["device"], facts["threads"]) == ("AVX2", "cpu", torch.get_num_threads())
