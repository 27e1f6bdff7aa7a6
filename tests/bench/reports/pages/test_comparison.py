"""A comparison in words: goldens of the three formats."""

from xml.etree import ElementTree

import pytest

from bench.analysis.accepted import Key
from bench.analysis.compare import Cell, Comparison
from bench.reports.pages.comparison import FORMATS, junit, markdown, text

REAL = Key("toy", "smoke", "real data", "final", "bleu4")
PG = Key("toy", "smoke", "pg-bleu[rounds=20]", "final", "bleu4")
MLE = Key("toy", "smoke", "mle", "final", "bleu4")
SEQGAN = Key("toy", "smoke", "seqgan", "", "")


def words(of, verdict, said, *metrics):
    return [Cell(of._replace(metric=metric), verdict, said, 6) for metric in metrics]


MIXED = Comparison(
    (
        *words(REAL, "no difference", "the same", "nll_oracle", "bleu4"),
        *words(MLE, "no difference", "the same", "nll_oracle"),
        *words(MLE, "not comparable", "signature changed: v=1 → v=2", "bleu2", "bleu4"),
        *words(PG, "worse", "0.7344 → 0.3901 (-0.344, p < 0.0001, paired t, 6 seeds)", "bleu4"),
        *words(PG, "no difference", "0.93 → 0.91 (-0.02, p = 0.3, paired t, 6 seeds)", "bleu2"),
        *words(PG, "new", "only in head", "bleu5"),
        *words(PG._replace(checkpoint="pretrained"), "better", "2 → 1 nats (-1, p = 0, paired t, 6 seeds)", "nll"),
        Cell(SEQGAN, "failed", "seed 1: failed: ValueError: a|b <\x1b[31m&>"),
    ),
    family=3,
)
SAME = Comparison(tuple(words(MLE, "no difference", "the same", "bleu2", "bleu4")), 0)
VANISHED = Comparison(tuple(words(MLE, "not comparable", "data changed: d0 → d1", "bleu4")), 0)

TEXT = """\
failed: toy, smoke: seqgan
  seed 1: failed: ValueError: a|b <␛[31m&>
worse: toy, smoke: pg-bleu[rounds=20], final
  bleu4: 0.7344 → 0.3901 (-0.344, p < 0.0001, paired t, 6 seeds)
not comparable: toy, smoke: mle, final
  bleu2, bleu4: signature changed: v=1 → v=2
better: toy, smoke: pg-bleu[rounds=20], pretrained
  nll: 2 → 1 nats (-1, p = 0, paired t, 6 seeds)
new: toy, smoke: pg-bleu[rounds=20], final
  bleu5: only in head
no difference: toy, smoke: pg-bleu[rounds=20], final
  bleu2: 0.93 → 0.91 (-0.02, p = 0.3, paired t, 6 seeds)

3 of 10 cells are the same except for rounding. Changed and tested: 3. Differences are head - base, paired by seed; \
p is two-sided, after Holm's correction for the number of tests, and a verdict needs 0.05 or less. "no difference" \
means that none was shown, not that there is none.
1 failed, 0 missing, 1 worse, 0 untested, 2 not comparable, 1 better, 1 new, 4 no difference: red, 2 of 10 cells"""

MARKDOWN = """\
**0 failed, 0 missing, 1 worse, 0 untested, 1 not comparable, 0 better, 0 new, 0 no difference: red, 1 of 2 cells**

| verdict        | task | preset | model              | checkpoint | metric | what                         |
| -------------- | ---- | ------ | ------------------ | ---------- | ------ | ---------------------------- |
| worse          | toy  | smoke  | pg-bleu[rounds=20] | final      | bleu4  | 0.9 → 0.8 (-0.1, p \\< 0.01)  |
| not comparable | toy  | smoke  | mle                | final      | bleu4  | signature changed: v=1 → v=2 |

0 of 2 cells are the same except for rounding. Changed and tested: 1. Differences are head - base, paired by seed; p \
is two-sided, after Holm's correction for the number of tests, and a verdict needs 0.05 or less. "no difference" means \
that none was shown, not that there is none."""

JUNIT = """\
<?xml version='1.0' encoding='us-ascii'?>
<testsuites tests="4" failures="2" errors="0" skipped="1">
  <testsuite name="bench compare" tests="4" failures="2" errors="0" skipped="1">
    <testcase classname="toy, smoke, mle" name="final bleu4">
      <skipped type="not comparable" message="signature changed: v=1 &#8594; v=2" />
    </testcase>
    <testcase classname="toy, smoke, pg-bleu[rounds=20]" name="final bleu4">
      <failure type="worse" message="worse: 0.9 &#8594; 0.8 (-0.1, p &lt; 0.01)" />
    </testcase>
    <testcase classname="toy, smoke, real data" name="final bleu4">
      <system-out>no difference: the same</system-out>
    </testcase>
    <testcase classname="toy, smoke, seqgan" name="run">
      <failure type="failed" message="failed: seed 1: a|b &lt;?[31m&amp;&gt;" />
    </testcase>
    <system-out>1 failed, 0 missing, 1 worse, 0 untested, 1 not comparable, 0 better, 0 new, 1 no difference: \
red, 2 of 4 cells\
</system-out>
  </testsuite>
</testsuites>"""

BRIEF = (
    *words(MLE, "not comparable", "signature changed: v=1 → v=2", "bleu4"),
    *words(PG, "worse", "0.9 → 0.8 (-0.1, p < 0.01)", "bleu4"),
)


def test_text_tells_the_worst_first_and_what_is_the_same_only_counted():
    assert text(MIXED) == TEXT


def test_text_of_what_did_not_change_is_brief():
    assert text(SAME) == (
        "2 of 2 cells are the same except for rounding.\n"
        "0 failed, 0 missing, 0 worse, 0 untested, 0 not comparable, 0 better, 0 new, 2 no difference: green"
    )


def test_markdown_is_one_table():
    assert markdown(Comparison(BRIEF, 1)) == MARKDOWN


def test_markdown_of_what_did_not_change_has_no_table():
    assert "|" not in markdown(SAME)


def test_cells_with_the_same_words_share_a_line():
    assert markdown(MIXED).count("\n| not comparable") == 1
    assert "| bleu2, bleu4 " in markdown(MIXED)
    assert r"a\|b \<" in markdown(MIXED)


def test_junit_has_a_case_a_cell():
    cells = (
        *BRIEF,
        *words(REAL, "no difference", "the same", "bleu4"),
        Cell(SEQGAN, "failed", "seed 1: a|b <\x1b[31m&>"),
    )
    assert junit(Comparison(cells, 1)) == JUNIT


@pytest.mark.parametrize(("comparison", "failures", "skipped"), [(MIXED, 2, 2), (SAME, 0, 0), (VANISHED, 1, 1)])
def test_junit_counts_what_it_holds_and_fails_where_the_comparison_does(comparison, failures, skipped):
    root = ElementTree.fromstring(junit(comparison))
    (suite,) = root
    counted = [len(suite.findall(path)) for path in ("testcase", "testcase/failure", "testcase/skipped")]
    assert counted == [int(suite.get(name)) for name in ("tests", "failures", "skipped")]
    assert counted[1:] == [failures, skipped]
    assert (failures == 0) == comparison.passes
    assert root.attrib == {name: value for name, value in suite.attrib.items() if name != "name"}


def test_every_format_says_how_it_ended():
    for form in FORMATS.values():
        assert MIXED.summary in form(MIXED)
        assert VANISHED.summary in form(VANISHED)
