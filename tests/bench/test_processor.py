"""The name of a processor tells it from others."""

import platform

import pytest
import torch

from bench import processor as module
from bench.processor import instructions, processor

XEON = (
    "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\n"
    "model name\t: Intel(R) Xeon(R) Processor\nstepping\t: 2\n"
)
ARM = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd\n"


@pytest.fixture
def says(tmp_path, monkeypatch):
    """Let Linux say something of its processors."""
    monkeypatch.setattr(module, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")

    def say(text):
        processor.cache_clear()
        module.CPUINFO.write_text(text)
        return processor()

    yield say
    processor.cache_clear()


def test_two_models_of_one_name_have_two_names(says):
    assert says(f"{XEON}\n{XEON}") == "Intel(R) Xeon(R) Processor (family 6, model 207, stepping 2)"
    assert says(XEON.replace("207", "143")) == "Intel(R) Xeon(R) Processor (family 6, model 143, stepping 2)"


def test_what_is_not_known_is_not_told(says):
    assert says(ARM) == "aarch64"
    module.CPUINFO.unlink()
    processor.cache_clear()
    assert processor() == "aarch64"


@pytest.mark.parametrize(("able", "told"), [(True, "AVX512 and bfloat16"), (False, "AVX512")])
def test_instructions_say_whether_rewards_may_be_rounded(monkeypatch, able, told):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda: able)
    assert instructions() == told


def test_the_processor_of_this_machine_has_a_name():
    processor.cache_clear()
    assert processor()
