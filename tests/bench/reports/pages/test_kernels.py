"""Timings on the page: known shares of bounds, known exponents, and files that are none."""

import math

import pytest

from bench.analysis import throughput
from bench.reports import write_reports
from bench.reports.pages import leaderboard, site
from bench.reports.pages.kernels import BAR, BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, devices


@pytest.fixture
def device(timings):
    (found,) = devices(throughput.parse(timings))
    return found


def test_a_kernel_stands_against_its_bound_and_its_reference(device):
    scoring, rollouts = device.kernels  # nearest to its bound first
    assert (rollouts.median, rollouts.least, rollouts.share, rollouts.faster) == (
        "0.50 s",
        "125 ms",
        "25% matmul",
        "4.00×",
    )
    assert (rollouts.bar, rollouts.beyond) == (BAR / 4, False)
    assert rollouts.reference == BAR * 0.125 / 2.0  # the same bound, against the reference's own time
    assert (scoring.share, scoring.bar, scoring.beyond, scoring.reference) == ("150% copy", BAR, True, None)
    assert device.about == "a machine; torch 2.13.0; commit c0ffee"


def test_growth_is_a_line_of_the_exponents_slope_on_logarithmic_axes(device):
    (panel,) = device.panels
    assert panel.size == "rollouts or sequences, N"
    (line,) = panel.lines
    assert (line.name, line.exponent, line.told) == ("rollouts", "1.00", "4: 125 ms, 16: 0.50 s")
    (x, y), (x_2, y_2) = line.points
    assert LEFT < x < x_2 < WIDTH - RIGHT
    assert HEIGHT - BOTTOM > y > y_2 > TOP
    across, up = (x_2 - x) / (WIDTH - LEFT - RIGHT), (y - y_2) / (HEIGHT - TOP - BOTTOM)
    assert math.isclose(across, up, abs_tol=0.01)  # both axes span the same factor
    assert all(LEFT <= place <= WIDTH - RIGHT for place, _ in panel.across)


def test_ceilings_are_told_and_are_no_kernels(timings):
    table = throughput.parse(timings)
    ceiling = table.iloc[[0]].assign(kernel="ceiling: matmul", shape="N=1", gflops=2560.0)
    (found,) = devices(throughput.parse(throughput_text(table, ceiling)))
    assert "at most 2,560 Gflop/s in a large matrix product" in found.about
    assert len(found.kernels) == 2


def throughput_text(*tables):
    first, *others = (table.to_csv(index=False) for table in tables)
    return first + "".join(text.partition("\n")[2] for text in others)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "kernel,variant\na,b\n",
        lambda text: text.replace("0.125", "fast"),
        lambda text: text.replace("N=4", "N=many"),
        lambda text: text.replace("N=4", "N=0"),
        lambda text: text.replace(",5,0.5,", ",5,-0.5,"),
        lambda text: text.partition("\n")[0],
        lambda text: "\0" * 50,
        lambda text: text.replace("machine\n", "wonder\n", 1),
    ],
    ids=["empty", "other columns", "a word", "a size", "no size", "negative", "no rows", "zeros", "a column lacks"],
)
def test_another_file_is_not_shown_and_the_page_says_so(damage, timings, results):
    assert throughput.parse(timings) is not None
    text = damage(timings)
    assert text != timings
    assert throughput.parse(text) is None
    page = site.page(results, leaderboard.page(results), (), text)
    assert "is not one that <code>bench perf</code> wrote" in page
    assert "Kernels on" not in page


def test_names_that_are_elements_are_text(timings, results):
    page = site.page(results, leaderboard.page(results), (), timings)
    assert "<i>scoring" not in page
    assert "&lt;i&gt;scoring&lt;/i&gt;" in page


def test_a_folder_with_timings_shows_them_and_one_without_nothing_of_them(timings, results, tmp_path, no_figures):
    write_reports(results, tmp_path)
    assert 'class="kernels"' not in (tmp_path / "index.html").read_text(encoding="utf-8")
    (tmp_path / "throughput.csv").write_text(timings, encoding="utf-8")
    write_reports(results, tmp_path)
    first = (tmp_path / "index.html").read_bytes()
    assert b"Kernels on cpu" in first
    write_reports(results, tmp_path)
    assert (tmp_path / "index.html").read_bytes() == first


def test_a_folder_in_the_place_of_the_file_stops_nothing(results, tmp_path, no_figures):
    (tmp_path / "throughput.csv").mkdir()
    write_reports(results, tmp_path)
    assert "cannot be read" in (tmp_path / "index.html").read_text(encoding="utf-8")
