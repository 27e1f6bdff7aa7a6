import hashlib
import struct

import pytest

from bench.reports.plots import write_plots


def size(png):
    """Width and height in pixels, from the header chunk."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert png[-8:-4] == b"IEND"
    return struct.unpack(">II", png[16:24])


@pytest.fixture
def written(frames, tmp_path):
    return {name: (tmp_path / name).read_bytes() for _, name in write_plots(*frames, tmp_path)}


def test_a_figure_of_scores_and_one_of_curves_a_task(written):
    assert list(written) == [
        *("oracle-quick-scores.png", "oracle-quick-curves.png"),
        *("quatrains-quick-scores.png", "quatrains-quick-curves.png"),
    ]
    for png in written.values():
        assert all(300 < side < 2500 for side in size(png))
        assert 5_000 < len(png) < 300_000


def test_the_same_frames_give_the_same_bytes(frames, written, tmp_path):
    write_plots(*frames, tmp_path / "again")
    again = {name: hashlib.sha256((tmp_path / "again" / name).read_bytes()).digest() for name in written}
    assert again == {name: hashlib.sha256(png).digest() for name, png in written.items()}
    assert not any(b"Software" in png for png in written.values())


def test_one_seed_is_enough(frames, tmp_path):
    assert len(write_plots(*(frame[frame["seed"] == 0] for frame in frames), tmp_path)) == 4


def test_no_curve_no_figure(frames, tmp_path):
    figures = write_plots(frames.runs, frames.scores, frames.curves.head(0), tmp_path)
    assert [name for _, name in figures] == ["oracle-quick-scores.png", "quatrains-quick-scores.png"]


def test_nothing_but_failures(frames, tmp_path):
    runs = frames.runs[frames.runs["status"] == "failed"]
    assert write_plots(runs, frames.scores.head(0), frames.curves.head(0), tmp_path) == []


def test_labels_with_brackets_make_plain_file_names(frames, tmp_path):
    renamed = [frame.assign(task="oracle[seq_len=40]")[frame["task"] == "oracle"] for frame in frames]
    names = [name for _, name in write_plots(*renamed, tmp_path)]
    assert names == ["oracle-seq-len-40-quick-scores.png", "oracle-seq-len-40-quick-curves.png"]
