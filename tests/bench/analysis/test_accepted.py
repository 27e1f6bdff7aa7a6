"""The file of accepted results: written with every digit, read strictly."""

import math
import os
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import accepted
from bench.analysis.accepted import COLUMNS
from bench.analysis.compare import compare
from bench.errors import UsageError
from bench.records.frames import REAL_DATA
from bench.records.record import RunRecord, Score
from bench.records.store import Store

SCORES = {
    "pretrained": (Score("bleu4", 0.1, "", "higher", "n=5|v=1"),),
    "final": (
        Score("bleu4", 1 / 3, "", "higher", "n=5|v=1"),
        Score("nll_oracle", 0.1 + 0.2, "nats/token", "lower", "n=5|v=1"),
        Score("nll_test", None, "nats/token", "lower", "n=5|v=1", absent="no log_prob, alas"),
        Score("seconds", 12.5, "s", "lower", "v=1", "cost"),
    ),
}
FILE = """\
task,preset,model,checkpoint,metric,seed,status,value,absent,unit,direction,signature,data
toy,smoke,mle,final,bleu4,0,ok,0.25,,,higher,v=1,d0
toy,smoke,mle,final,bleu4,1,ok,0.5,,,higher,v=1,d0
toy,smoke,"mle[a=1, b=2]",,,0,skipped,,needs words,,,,
"""


@pytest.fixture
def frame(tmp_path, make_spec):
    """The accepted rows of a results folder with five runs."""
    store = Store(tmp_path / "results")
    store.open()
    store.write(RunRecord(make_spec(model="mle", seed=10), "ok", scores=SCORES, finished="2026-01-01"))
    store.write(RunRecord(make_spec(model="mle", seed=2), "ok", scores=SCORES, finished="2026-01-01"))
    store.write(RunRecord(make_spec(model="broken"), "failed", reason="ValueError: no luck", scores=SCORES))
    store.write(RunRecord(make_spec(model="cautious"), "skipped", reason="needs words"))
    store.write(RunRecord(make_spec(model=REAL_DATA), "ok", scores={"final": SCORES["final"][:1]}))
    frames = store.load()
    return accepted.tidy(frames.runs, frames.scores)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "accepted.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_there_is_a_row_a_score_and_seed_but_none_for_costs(frame):
    assert list(frame.columns) == list(accepted.COLUMNS)
    places = [tuple(row) for row in frame[["model", "checkpoint", "metric", "seed", "status"]].itertuples(index=False)]
    assert places == [
        (REAL_DATA, "final", "bleu4", 0, "ok"),
        ("broken", "", "", 0, "failed"),
        ("cautious", "", "", 0, "skipped"),
        ("mle", "final", "bleu4", 2, "ok"),
        ("mle", "final", "bleu4", 10, "ok"),
        ("mle", "final", "nll_oracle", 2, "ok"),
        ("mle", "final", "nll_oracle", 10, "ok"),
        ("mle", "final", "nll_test", 2, "ok"),
        ("mle", "final", "nll_test", 10, "ok"),
        ("mle", "pretrained", "bleu4", 2, "ok"),
        ("mle", "pretrained", "bleu4", 10, "ok"),
    ]
    assert frame["absent"].tolist()[1:3] == ["ValueError: no luck", "needs words"]
    assert frame["absent"].tolist()[7] == "no log_prob, alas"


def test_the_data_of_a_run_stand_in_each_of_its_rows(frame, make_spec):
    assert set(frame["data"]) == {""}  # none of these runs recorded it
    runs = pd.DataFrame([{"run_id": "r", "status": "ok", "reason": None, "data": "d0"}])
    score = dict.fromkeys(accepted.COLUMNS, "") | {"run_id": "r", "kind": "quality", "metric": "m", "seed": 3}
    kept = accepted.tidy(runs, pd.DataFrame([score]).drop(columns=["status", "data"]).assign(value=1.0))
    assert kept[["seed", "data"]].values.tolist() == [[3, "d0"]]


def test_what_is_written_is_read_back_to_the_last_bit(frame, write):
    content = accepted.text(frame)
    again = accepted.read(write(content))
    pd.testing.assert_frame_equal(again, frame, check_exact=True)
    assert accepted.text(again) == content
    assert {1 / 3, 0.1 + 0.2} < set(again["value"])


def test_the_order_of_columns_does_not_matter(write):
    expected = accepted.read(write(FILE))
    turned = pd.read_csv(write(FILE), dtype=str, keep_default_na=False)[list(reversed(accepted.COLUMNS))]
    pd.testing.assert_frame_equal(accepted.read(write(turned.to_csv(index=False))), expected)
    assert expected["model"].tolist() == ["mle", "mle", "mle[a=1, b=2]"]


def test_a_value_that_is_no_number_is_kept_for_the_verdict(write):
    values = accepted.read(write(FILE.replace("0.25", "nan").replace("0.5", "-inf")))["value"]
    assert math.isnan(values[0])
    assert values[1] == -math.inf


MISTAKES = {
    "empty": ("", "expected accepted results in 'PATH', which is empty"),
    "only a header": (FILE.splitlines()[0] + "\n", "in 'PATH', which has no rows"),
    "a leaderboard": (
        "task,preset,model,checkpoint,metric,mean,low,high,n,seeds_failed,status,kind,unit,direction,signature\n",
        "expected one row per seed, but 'PATH' is a leaderboard: means over seeds cannot be paired",
    ),
    "column lost": (FILE.replace(",signature,", ",sign,"), "'PATH', line 1: lacks the column 'signature'"),
    "column too many": (FILE.replace(",data\n", ",data,extra\n"), "'PATH', line 1: has an unknown column 'extra'"),
    "column twice": (FILE.replace(",data\n", ",data,data\n"), "'PATH', line 1: a column is listed twice"),
    "short line": (FILE.replace(",v=1,d0\n", ",v=1\n", 1), "'PATH', line 2: expected 13 cells, got 12"),
    "blank line": (FILE + "\n", "'PATH', line 5: expected 13 cells, got 0"),
    "torn line": (FILE[:-1].replace("needs", '"needs'), "'PATH', line 4: unexpected end of data"),
    "seed": (FILE.replace(",1,ok", ",one,ok"), "line 3, column 'seed': expected a whole number, got 'one'"),
    "status": (FILE.replace("0,ok", "0,fine"), "line 2, column 'status': expected one of started, ok, .*, got 'fine'"),
    "value": (FILE.replace("0.5", "half"), "line 3, column 'value': expected a number, got 'half'"),
    "no value": (FILE.replace("0.5", ""), "line 3, column 'value': expected either a value or the reason"),
    "value and reason": (FILE.replace("0.5,", "0.5,none"), "line 3, column 'value': expected either a value or"),
    "direction": (
        FILE.replace("higher", "up"), "line 2, column 'direction': expected one of lower, higher, real, got 'up'",
    ),
    "failed with a score": (
        FILE.replace("1,ok", "1,failed"), "line 3, column 'status': expected ok for a row with a metric",
    ),
    "value of nothing": (
        FILE.replace("skipped,,needs words", "skipped,3,"),
        "line 4, column 'metric': expected a name for a row with a value",
    ),
    "same score twice": (FILE.replace(",1,ok", ",0,ok"), "line 3: the same score is already in line 2"),
    "no text": (b"\xff\xfe\x00", "expected accepted results in 'PATH', which is not UTF-8 text"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_anything_else_is_refused_in_one_sentence_that_says_where(write, case):
    content, message = MISTAKES[case]
    assert content != FILE
    path = write(content)
    with pytest.raises(UsageError, match=message.replace("PATH", str(path))) as error:
        accepted.read(path)
    assert str(error.value).endswith("make one with 'bench accept RESULTS'.")
    assert "\n" not in str(error.value)


def test_what_is_not_there_is_reported(tmp_path):
    with pytest.raises(UsageError, match=r"cannot read the accepted results '.*none.csv': No such file or directory"):
        accepted.read(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"expected a file of accepted results, but '.*' is a folder"):
        accepted.read(tmp_path)


def test_only_finished_runs_are_accepted(frame, write):
    with pytest.raises(UsageError, match="expected only finished runs in 'here', got 1 failed; fix these"):
        accepted.require_finished(frame, Path("here"))
    accepted.require_finished(frame[frame["status"] != "failed"], Path("here"))
    with pytest.raises(UsageError, match="expected a finished run in 'here', got none"):
        accepted.require_finished(frame[frame["status"] == "skipped"], Path("here"))
    with pytest.raises(UsageError, match="expected a finished run in 'here', got none"):
        accepted.require_finished(frame.head(0), Path("here"))


VALID = (
    ",".join(COLUMNS) + "\n"
    "toy,smoke,mle,final,nll,0,ok,1.5,,nats,lower,n=5|v=1,d0\n"
    'toy,smoke,mle,final,bleu,0,ok,,"no reason, none",,higher,v=1,d0\n'
    "toy,smoke,seqgan,,,1,failed,,'=1+1,,,,\n"
).encode()


@st.composite
def mutated(draw):
    """The file with some bytes changed, left out, or put in."""
    content = bytearray(VALID)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(content)))
        until = at + draw(st.integers(0, 6))
        content[at:until] = draw(st.one_of(st.binary(max_size=4), st.sampled_from([b",", b'"', b"\n", b"nan", b"-1"])))
    return bytes(content)


@given(st.one_of(st.binary(max_size=300), mutated(), st.text().map(lambda text: text.encode("utf-16"))))
@settings(max_examples=500)
def test_any_bytes_are_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accepted.csv"
        path.write_bytes(content)
        try:
            frame = accepted.read(path)
        except UsageError as refusal:
            assert str(path) in str(refusal)  # noqa: PT017 - either outcome will do
            return
        assert list(frame.columns) == list(COLUMNS)
        compare(frame, frame)


def test_a_formula_in_a_reason_is_written_as_text_and_read_back(tmp_path):
    path = tmp_path / "accepted.csv"
    path.write_bytes(VALID)
    frame = accepted.read(path)
    assert frame["absent"].tolist()[-1] == "=1+1"
    assert accepted.text(frame).encode() == VALID


def test_what_a_spreadsheet_saved_with_semicolons_is_named(tmp_path):
    path = tmp_path / "accepted.csv"
    path.write_bytes(VALID.replace(b",", b";"))
    with pytest.raises(UsageError, match=r"line 1: expected commas between the columns, got 'task;preset.*committed"):
        accepted.read(path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(UsageError, match="got the pipe or device"):
        accepted.read(tmp_path / "pipe.csv")


def test_a_label_that_cannot_be_written_as_it_is_compares_with_itself(tmp_path, make_spec):
    store = Store(tmp_path / "results")
    store.open()
    store.write(RunRecord(make_spec(task="text:a\x1b.txt"), "ok", scores=SCORES, finished="2026-01-01"))
    frames = store.load()
    now = accepted.tidy(frames.runs, frames.scores)
    (tmp_path / "accepted.csv").write_text(accepted.text(now), encoding="utf-8")
    assert compare(accepted.read(tmp_path / "accepted.csv"), now).passes
