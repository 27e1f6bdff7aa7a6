"""The same kernels on several machines, side by side."""

import json

import pytest

from bench.perf.machines import page
from bench.reports.markdown import render

SHAPE = {"B": 64, "V": 5000}


def benchmark(kernel, variant, median, device="cpu", shape=SHAPE):
    about = {
        "kernel": kernel, "variant": variant, "device": device, "device_name": "GPU-9", "threads": 2, "shape": shape,
        "unit": "tokens", "amount": 1000, "flops": None, "bytes": None,
    }  # fmt: skip
    stats = {"median": median, "iqr": 0.0, "min": median, "rounds": 5}
    return {"name": kernel, "fullname": f"test_{kernel}[{variant}]", "extra_info": about, "stats": stats}


def report(machine, *benchmarks):
    environment = {"commit": "c0ffee" * 4, "dirty": False, "machine": machine, "packages": {"torch": "2.13.0"}}
    return {"environment": environment, "benchmarks": list(benchmarks)}


SMALL = report(
    "Old, 2 cores",
    benchmark("rollouts", "reference", 8.0),
    benchmark("rollouts", "fast", 0.5),
    benchmark("bleu", "fast", 0.25),
    benchmark("bleu", "nltk", 25.0),
)
LARGE = report(
    "New, 16 cores",
    benchmark("rollouts", "reference", 4.0, "cuda"),
    benchmark("rollouts", "fast", 0.25, "cuda"),
    benchmark("rollouts", "triton", 0.02, "cuda"),
    benchmark("bleu", "fast", 0.125),
)


def test_each_machine_and_device_is_a_column():
    text = render(page([("old", SMALL), ("new", LARGE)]))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    assert lines[0] == ["kernel", "shape", "old, cpu", "new, cuda", "new, cpu"]
    assert lines[2:] == [
        ["rollouts", "B=64 V=5000", "0.50 s (16.0×)", "20.0 ms (triton, 200×)", ""],
        ["bleu", "B=64 V=5000", "250 ms", "", "125 ms"],
    ]
    assert "- old, cpu: Old, 2 cores, 2 threads, torch 2.13.0, commit c0ffeec0ffee" in text
    assert "- new, cuda: GPU-9 beside New, 16 cores" in text


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("old", SMALL), ("new", LARGE)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "throughput.json").write_text(json.dumps(content))
    return tmp_path


def test_the_command_runs_nothing_and_writes_the_page(bench, files):
    answer = bench("perf", "--beside", "old/throughput.json", "--beside", "GPU=new/throughput.json", "--output", "out")
    assert (answer.code, answer.err) == (0, "")
    text = (files / "out" / "machines.md").read_text(encoding="utf-8")
    assert "old, cpu | GPU, cuda | GPU, cpu |" in " ".join(text.split())
    assert not (files / "out" / "throughput.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--beside", "nowhere.json"), "cannot read 'nowhere.json'"),
        (("--beside", "old/throughput.json", "--beside", "old/throughput.json"), "machines with different names"),
        (("--beside", "old/throughput.json", "--compare", "old/throughput.json"), "--beside runs nothing"),
    ],
)
def test_mistakes_are_said_in_one_sentence(bench, files, arguments, message):
    answer = bench("perf", *arguments, "--output", "out")
    assert answer.code == 2
    assert message in " ".join(answer.err.split())
