"""Known ratios and tables from made-up numbers of pytest-benchmark."""

import csv
import io
import json
import math

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.throughput import COLUMNS, at_main_shape, growth
from bench.perf.change import brief as brief_comparison
from bench.perf.change import changes, reach
from bench.perf.change import page as comparison
from bench.perf.figure import png
from bench.perf.throughput import brief, frame, page, to_csv
from bench.reports import terminal
from bench.reports.markdown import render
from bench.reports.timings import duration, times


def markdown(*arguments):
    return render(page(*arguments))


MAIN = {"B": 64, "N": 16, "T": 20, "V": 5000}


def benchmark(kernel, variant, median, shape=MAIN, **extra):
    """One entry of pytest-benchmark's JSON."""
    place = "-".join(f"{name}{size}" for name, size in shape.items())
    about = {
        "kernel": kernel, "variant": variant, "device": "cpu", "device_name": "x86_64", "threads": 2, "shape": shape,
        "unit": "tokens", "amount": 1000, "flops": None, "bytes": None, "clock_mhz": None, **extra,
    }  # fmt: skip
    stats = {"median": median, "iqr": median / 100, "min": median * 0.9, "rounds": 5, "data": [median] * 5}
    name = f"test_{kernel}[{about['device']}-{variant}-{place}]"
    return {"name": name, "fullname": f"tests/perf/test_perf_it.py::{name}", "extra_info": about, "stats": stats}


ENVIRONMENT = {
    "commit": "c0ffee", "dirty": True, "machine": "AMD EPYC, 2 cores", "python": "3.11.7",
    "packages": {"torch": "2.13.0"}, "threads": 2,
}  # fmt: skip


def report(*benchmarks):
    return {"datetime": "2026-01-02T03:04:05+00:00", "environment": ENVIRONMENT, "benchmarks": list(benchmarks)}


CEILINGS = (
    benchmark("ceiling: matmul", "fast", 0.1, {"M": 512}, flops=2e10),
    benchmark("ceiling: matmul", "fast", 0.1, {"M": 64}, flops=1e10),
    benchmark("ceiling: copy", "fast", 0.5, {"M": 512}, bytes=1e10),
)
ROLLOUTS = (
    benchmark("rollouts", "reference", 0.67, flops=1e10, bytes=1e9),
    benchmark("rollouts", "fast", 0.067, flops=1e10, bytes=1e9),
    benchmark("rollouts", "fast", 0.0134, {**MAIN, "V": 1000}),
    benchmark("rollouts", "fast", 0.268, {**MAIN, "V": 20000}),
    benchmark("rollouts", "fast", 0.0335, {**MAIN, "T": 10}),
    benchmark("rollouts", "fast", 9.0, {**MAIN, "T": 10, "V": 1000}),
)
SAMPLING = (
    benchmark("sampling", "torch.multinomial", 0.003, {"V": 5000}, amount=2048),
    benchmark("sampling", "reference", 0.006, {"V": 5000}, amount=2048),
    benchmark("sampling", "fast", 0.0015, {"V": 5000}, amount=2048),
    benchmark("sampling", "fast", 0.0001, {"V": 5000}, amount=2048, device="cuda", device_name="H200", clock_mhz=1980),
)
BLEU = (benchmark("bleu", "fast", 0.5, {"N": 100}), benchmark("bleu", "nltk", 50.0, {"N": 100}))
MEMORY = (
    benchmark("rollouts", "fast", 5.0, peak_bytes=100 * 2**20),
    benchmark("rollouts", "reference", 5.0, peak_bytes=400 * 2**20),
)
ALL = report(*CEILINGS, *ROLLOUTS, *SAMPLING, *BLEU, *MEMORY)


@pytest.fixture
def table():
    return frame(ALL)


def row(table, kernel, variant, device="cpu", shape=None, memory=False):
    chosen = (table["kernel"] == kernel) & (table["variant"] == variant) & (table["device"] == device)
    chosen &= table["peak_bytes"].notna() == memory
    if shape:
        chosen &= table["shape"] == shape
    return table[chosen].iloc[0]


@pytest.mark.parametrize(
    ("kernel", "variant", "ratio"),
    [
        ("rollouts", "fast", 10),
        ("rollouts", "reference", 1),
        ("sampling", "fast", 4),
        ("sampling", "torch.multinomial", 2),
    ],
)
def test_ratios_are_taken_at_equal_work(table, kernel, variant, ratio):
    shape = {"rollouts": "B=64 N=16 T=20 V=5000", "sampling": "V=5000"}[kernel]
    assert row(table, kernel, variant, shape=shape)["ratio"] == pytest.approx(ratio, rel=1e-12)


def test_without_a_reference_at_equal_work_there_is_no_ratio(table):
    assert math.isnan(row(table, "rollouts", "fast", shape="B=64 N=16 T=20 V=1000")["ratio"])  # another shape
    assert math.isnan(row(table, "sampling", "fast", device="cuda")["ratio"])  # another device
    assert math.isnan(row(table, "bleu", "fast")["ratio"])
    assert row(table, "rollouts", "fast", memory=True)["ratio"] == 1  # time under a tracer, compared with the same


def test_fractions_are_of_the_best_ceiling(table):
    fast = row(table, "rollouts", "fast", shape="B=64 N=16 T=20 V=5000")
    assert fast["gflops"] == pytest.approx(1e10 / 0.067 / 1e9)
    assert fast["matmul_fraction"] == pytest.approx((1e10 / 0.067) / 2e11)
    assert fast["copy_fraction"] == pytest.approx((1e9 / 0.067) / 2e10)
    assert fast["per_second"] == pytest.approx(1000 / 0.067)


def test_without_a_ceiling_in_the_run_there_is_no_fraction():
    table = frame(report(*ROLLOUTS))
    assert table["matmul_fraction"].isna().all()
    assert table["copy_fraction"].isna().all()
    other = frame(report(CEILINGS[0], benchmark("it", "fast", 1.0, flops=1e9, threads=1)))
    assert math.isnan(row(other, "it", "fast")["matmul_fraction"])


def test_the_csv_has_every_digit(table):
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert list(lines[0]) == list(COLUMNS)
    assert len(lines) == len(ALL["benchmarks"])
    fast = lines[4]
    assert (fast["kernel"], fast["shape"], fast["amount"]) == ("rollouts", "B=64 N=16 T=20 V=5000", "1000")
    assert float(fast["ratio"]) == 0.67 / 0.067
    assert (fast["commit"], fast["dirty"], fast["torch"], fast["python"]) == ("c0ffee", "True", "2.13.0", "3.11.7")
    assert (fast["peak_bytes"], lines[-1]["peak_bytes"]) == ("", str(400 * 2**20))


def test_the_main_shape_is_that_of_the_reference(table):
    shapes = at_main_shape(table).groupby(["kernel", "device"])["shape"].unique().map(list).to_dict()
    assert shapes == {
        ("rollouts", "cpu"): ["B=64 N=16 T=20 V=5000"],
        ("sampling", "cpu"): ["V=5000"],
        ("sampling", "cuda"): ["V=5000"],
        ("bleu", "cpu"): ["N=100"],
    }


def test_without_a_reference_the_main_shape_is_that_of_a_library():
    rows = [benchmark("k", "fast", 1.0, {"V": size}) for size in (10, 100, 1_000)]
    rows.append(benchmark("k", "library", 2.0, {"V": 100}))
    assert at_main_shape(frame(report(*rows)))["shape"].tolist() == ["V=100", "V=100"]


def test_without_a_reference_the_main_shape_is_the_largest():
    rows = [benchmark("it", "fast", 1.0, {"V": size}) for size in (10, 1000, 100)]
    assert at_main_shape(frame(report(*rows)))["shape"].tolist() == ["V=1000"]


def test_of_equal_shapes_the_main_one_was_timed_most_often():
    rows = [benchmark("it", "fast", 1.0, {"V": size}) for size in (10, 1000, 100)]
    for row in rows:
        row["stats"]["rounds"] = 3 if row["extra_info"]["shape"] == {"V": 10} else 1
    assert at_main_shape(frame(report(*rows)))["shape"].tolist() == ["V=10"]


def test_growth_leaves_one_size_free(table):
    by_size = {line["size"]: line for line in growth(table)}
    assert set(by_size) == {"V", "T"}
    assert by_size["V"]["points"] == [(1000, 0.0134), (5000, 0.067), (20000, 0.268)]
    assert (by_size["V"]["main"], by_size["V"]["exponent"]) == (5000, pytest.approx(1))
    assert by_size["T"]["points"] == [(10, 0.0335), (20, 0.067)]


KERNELS = """
| kernel   | shape                 | variant           |     median (iqr) |      a second |                           as fast as | at least | of the ceiling |
| -------- | --------------------- | ----------------- | ---------------: | ------------: | -----------------------------------: | -------: | -------------: |
| rollouts | B=64 N=16 T=20 V=5000 | fast              | 67.0 ms (670 µs) | 14.9 k tokens |                      10.0× reference |  50.0 ms |     75% matmul |
|          |                       | reference         | 0.67 s (6.70 ms) | 1.49 k tokens |                                      |  50.0 ms |      7% matmul |
| sampling | V=5000                | fast              | 1.50 ms (15.0 µs) | 1.37 M tokens | 4.00× reference, 2.00× torch.multinomial |          |                |
"""  # noqa: E501


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_golden_rows_of_kernels(table):
    found = [cells(line) for line in markdown(table, "2026-01-02").splitlines() if line.startswith("|")]
    for line in KERNELS.strip().splitlines()[2:]:
        assert cells(line) in found


def test_one_round_has_no_spread():
    once = benchmark("it", "fast", 0.01)
    once["stats"]["rounds"] = 1
    assert "| 10.0 ms |" in " ".join(markdown(frame(report(once)), "2026-01-02").split())


def test_a_library_without_a_reference_is_compared_as_well(table):
    text = markdown(table, "2026-01-02")
    (fast,) = [cells(line) for line in text.splitlines() if line.startswith("| bleu")]
    assert "100× nltk" in fast


GROWTH = """
| kernel   | variant | device | size | median at each                                 | exponent |
| -------- | ------- | ------ | ---- | ---------------------------------------------- | -------: |
| rollouts | fast    | cpu    | T    | 10: 33.5 ms, 20: 67.0 ms                       |     1.00 |
| rollouts | fast    | cpu    | V    | 1,000: 13.4 ms, 5,000: 67.0 ms, 20,000: 268 ms |     1.00 |
"""
PEAKS = """
| kernel   | shape                 | variant   | device |    peak | of the reference |
| -------- | --------------------- | --------- | ------ | ------: | ---------------: |
| rollouts | B=64 N=16 T=20 V=5000 | fast      | cpu    | 100 MiB |              25% |
| rollouts | B=64 N=16 T=20 V=5000 | reference | cpu    | 400 MiB |                  |
"""


@pytest.mark.parametrize("golden", [GROWTH, PEAKS], ids=["growth", "memory"])
def test_golden_tables(table, golden):
    assert golden in markdown(table, "2026-01-02")


@pytest.mark.parametrize(
    "line",
    [
        "- Commit: c0ffee with uncommitted changes",
        "- Versions: Python 3.11.7, torch 2.13.0",
        "- Machine: AMD EPYC, 2 cores",
        "- Date: 2026-01-02",
        "- cuda: H200, 1,980 to 1,980 MHz",
        "- Failed, and left out: tests.it.",
        "- 2 threads: float32 matrix product 200 Gflop/s, copy 20.0 GB/s",
        "![Speed-up over the reference, and how cost grows](figures/it.png)",
    ],
)
def test_sentences(table, line):
    text = markdown(table, "2026-01-02", ["Failed, and left out: tests.it."], "figures/it.png")
    assert line in text.splitlines()


def test_the_terminal_has_a_table_a_device(table):
    console = Console(width=160, file=io.StringIO())
    console.print(terminal.render(brief(table)))
    text = console.file.getvalue()
    assert "cpu, 2 threads" in text
    assert "cuda, 2 threads" in text
    assert "10.0× reference" in text
    assert "ceiling:" not in text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0374, "37.4 ms"), (0.67, "0.67 s"), (0.3741, "374 ms"), (12.34, "12.3 s"), (0.00999, "9.99 ms"),
        (1.5e-5, "15.0 µs"), (2e-8, "20.0 ns"), (0, "0.00 ns"), (250, "250 s"),
    ],
)  # fmt: skip
def test_durations_have_three_digits(seconds, shown):
    assert duration(seconds) == shown


def test_ratios_have_three_digits():
    assert [times(ratio) for ratio in (0.5, 9.994, 12.345, 1234.5)] == ["0.50×", "9.99×", "12.3×", "1,234×"]


@pytest.mark.parametrize("benchmarks", [ALL["benchmarks"], ROLLOUTS, BLEU, SAMPLING, CEILINGS[:1]])
def test_the_figure_is_a_png_and_always_the_same(benchmarks):
    drawn = png(frame(report(*benchmarks)))
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Software" not in drawn
    assert drawn == png(frame(report(*benchmarks)))


def test_a_benchmark_without_our_fields_is_a_row_all_the_same():
    stranger = benchmark("it", "fast", 0.5)
    stranger["extra_info"] = {}
    table = frame(report(stranger))
    assert table.loc[0, "kernel"].startswith("test_it[")
    assert "500 ms" in markdown(table, "2026-01-02") or "0.50 s" in markdown(table, "2026-01-02")


# Two commits


def runs(base, head, pairs=5):
    """The frames of this many pairs of runs; each run is a hundredth slower than the one before."""
    frames = []
    for pair in range(pairs):
        for side, medians in (("base", base), ("head", head)):
            rows = [benchmark(kernel, "fast", median * (1 + pair / 100)) for kernel, median in medians.items()]
            frames.append(frame(report(*rows)).assign(side=side))
    return pd.concat(frames)


@pytest.fixture
def changed():
    base = {"up": 0.1, "down": 0.1, "same": 0.1, "gone": 0.1}
    head = {"up": 0.5, "down": 0.02, "same": 0.1001, "come": 0.1}
    then = frame(report(benchmark("up", "fast", 0.3)))
    table = changes(runs(base, head), then)
    return table.assign(kernel=table["id"].str.extract(r"test_(\w+)\[")[0]).set_index("kernel")


def test_verdicts_rest_on_ranks(changed):
    assert changed["verdict"].to_dict() == {
        "up": "slower", "down": "faster", "same": "no difference shown", "gone": "missing", "come": "new",
    }  # fmt: skip
    assert changed.loc["up", "ratio"] == pytest.approx(5)
    assert changed.loc["up", "p"] == pytest.approx(2 / math.comb(10, 5))
    assert changed.loc["up", "p_corrected"] == pytest.approx(3 * 2 / math.comb(10, 5))
    assert changed.loc["same", "p_corrected"] > 0.5
    assert changed.loc["up", "then_s"] == 0.3
    assert changed[["ratio", "p"]].isna().all(axis=1).to_dict() == {
        "up": False, "down": False, "same": False, "gone": True, "come": True,
    }  # fmt: skip


def test_too_few_pairs_show_nothing_and_say_so():
    table = changes(runs({"up": 0.1}, {"up": 0.5}, pairs=3), frame(report()))
    assert table["verdict"].tolist() == ["no difference shown"]
    assert reach(3, 1) == (
        "With 3 pairs of runs, p is at least 0.1; after the correction for 1 benchmark, at least 0.1. "
        "That cannot show any difference: use --pairs 4, or fewer benchmarks with -k."
    )
    assert reach(5, 3) == (
        "With 5 pairs of runs, p is at least 0.0079; after the correction for 3 benchmarks, at least 0.024."
    )


def test_other_work_under_the_same_name_is_not_compared():
    both = runs({"it": 0.1}, {"it": 0.1})
    both.loc[both["side"] == "head", "amount"] = 7
    assert changes(both, frame(report()))["verdict"].tolist() == ["not the same work"]


def test_the_comparison_for_people(changed):
    text = render(comparison(changed, ["Base: commit c0ffee"]))
    assert "- Base: commit c0ffee" in text.splitlines()
    (up,) = [cells(line) for line in text.splitlines() if "test_up" in line]
    assert up[1:] == ["300 ms", "102 ms", "0.51 s", "5.00", "0.024", "slower"]
    console = Console(width=200, file=io.StringIO())
    console.print(terminal.render(brief_comparison(changed)))
    assert "test_perf_it.py::test_up[cpu-fast" in console.file.getvalue()
    json.dumps(text)
