"""TensorBoard reads back every value of a record, and writing a run again doubles nothing."""

import json
import random
import struct

import numpy as np
import pytest

from bench.errors import UsageError
from bench.records.record import from_json, to_json
from bench.reports.trackers.history import history
from bench.reports.trackers.tensorboard import EVENTS, TensorBoard

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the package tensorboard is not installed"
)
hparams = pytest.importorskip("tensorboard.plugins.hparams.metadata")


@pytest.fixture
def board(tmp_path):
    return TensorBoard(tmp_path / "events")


def read(board, record):
    """TensorBoard's own reader of a run."""
    found = accumulator.EventAccumulator(
        str(board.folder.joinpath(*history(record).place)), size_guidance={"scalars": 0, "tensors": 0}
    )
    return found.Reload()


def files(board):
    return sorted(file for file in board.folder.rglob("*") if file.is_file())


def single(value):
    return float(np.float32(value))


def test_every_value_comes_back_with_its_step_and_time(board, make_record):
    record = make_record()
    board.write(record)
    found = read(board, record)
    start = history(record).started
    expected = {}
    for row in record.curve:
        for name, value in row["scalars"].items():
            point = (row["step"], start + row["seconds"], single(value))
            expected.setdefault(f"{row['phase']}/{name}", []).append(point)
    for checkpoint, scores in record.scores.items():
        for score in scores:
            if score.value is not None:
                expected[f"{checkpoint}/{score.metric}"] = [(0, start + 60, single(score.value))]
    assert set(found.Tags()["scalars"]) == set(expected)
    assert len(expected) == 5
    for tag, points in expected.items():
        assert [(event.step, event.wall_time, event.value) for event in found.Scalars(tag)] == points


def test_writing_again_doubles_nothing_and_leaves_the_file_alone(board, make_record):
    record = make_record()
    board.write(record)
    (file,) = files(board)
    before = (file.read_bytes(), file.stat().st_ino)
    board.write(from_json(to_json(record)))
    assert files(board) == [file]
    assert (file.read_bytes(), file.stat().st_ino) == before


def test_a_run_that_is_repeated_replaces_what_it_was(board, make_record):
    board.write(make_record(status="failed"))
    record = make_record(values=(3.0, 2.0, 1.0))
    board.write(record)
    assert [file.name for file in files(board)] == [EVENTS]
    assert [event.value for event in read(board, record).Scalars("mle/loss")] == [3.0, 2.0]


def test_what_a_killed_writer_leaves_is_not_taken_for_a_run(board, make_record):
    record = make_record()
    board.write(record)
    (file,) = files(board)
    file.rename(file.with_name("unfinished.99"))
    (file.parent / ".unfinished.99.1a2b3c4d.99.partial").write_bytes(b"half")
    board.write(record)
    assert len(files(board)) == 3
    assert [event.step for event in read(board, record).Scalars("mle/loss")] == [1, 2]


def test_settings_are_those_of_the_record_and_all_seeds_are_one_row(board, make_record):
    records = [
        make_record(seed=seed, config={"lr": 0.01, "sizes": (1, 2), "cuda": False, "cut": None}) for seed in (0, 1)
    ]
    rows = set()
    for record in records:
        board.write(record)
        found = read(board, record)
        content = found.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
        start = hparams.parse_session_start_info_plugin_data(content)
        values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
        assert values == {
            "task": "toy", "preset": "smoke", "model": "mle", "model.lr": 0.01, "model.sizes": "[1, 2]",
            "model.cuda": False, "model.cut": "none", "task.draw": 0.0,
        }  # fmt: skip
        content = found.SummaryMetadata(hparams.SESSION_END_INFO_TAG).plugin_data.content
        assert hparams.parse_session_end_info_plugin_data(content).status == 1  # STATUS_SUCCESS
        rows.add(start.group_name)
    assert len(rows) == 1


def test_a_failed_run_says_so(board, make_record):
    record = make_record(status="failed")
    board.write(record)
    content = read(board, record).SummaryMetadata(hparams.SESSION_END_INFO_TAG).plugin_data.content
    assert hparams.parse_session_end_info_plugin_data(content).status == 2  # STATUS_FAILURE


def test_samples_stay_text_in_the_page_that_tensorboard_makes_of_them(board, make_record):
    util = pytest.importorskip("tensorboard.plugin_util")
    record = make_record()
    board.write(record)
    (event,) = read(board, record).Tensors("samples")
    text = event.tensor_proto.string_val[0]
    page = util.markdown_to_safe_html(text)
    assert page.count("<pre>") == page.count("<code>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert "<h1" not in page
    assert "<strong" not in page
    lines = [line[4:] for line in text.decode().split("\n") if line]
    assert lines == [
        "the cat sat", "<script>alert(1)</script>", "two", "lines", "# heading", "```", "**bold**",
        "red␛[31m<U+202E>der",
    ]  # fmt: skip


def test_the_bytes_are_those_of_the_format(board, make_record):
    """Lengths and checksums frame each event, as TFRecord has it, and the first one says the version."""
    board.write(make_record())
    (file,) = files(board)
    data = file.read_bytes()
    at = number = 0
    while at < len(data):
        (length,) = struct.unpack("<Q", data[at : at + 8])
        number += 1
        at += 8 + 4 + length + 4
    assert at == len(data)
    assert b"brain.Event:2" in data[:64]
    assert number == 1 + 1 + 3 + 1


def test_names_from_data_stay_below_the_folder(board, make_record, tmp_path):
    for name in ("../../x", "/x", "..", "a\x00b"):
        board.write(make_record(model=name, task=name))
    assert len(files(board)) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["events"]
    assert all(file.resolve().is_relative_to(board.folder.resolve()) for file in files(board))


def test_nothing_is_drawn_from_anybodys_randomness(board, make_record):
    before = (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    board.write(make_record())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match="expected a folder"):
            TensorBoard(folder).check()


def test_checking_writes_nothing(tmp_path):
    TensorBoard(tmp_path / "new" / "events").check()
    assert list(tmp_path.iterdir()) == []


def test_hostile_settings_are_json_in_the_tab(board, make_record):
    record = make_record(config={"nested": {"a": [1, {"b": "\x1b"}]}})
    board.write(record)
    content = read(board, record).SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    start = hparams.parse_session_start_info_plugin_data(content)
    assert json.loads(start.hparams["model.nested.a"].string_value) == [1, {"b": "␛"}]
