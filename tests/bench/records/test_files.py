"""Files that are written whole, and what is no file."""

import os
import stat
import threading

from bench.records.files import write_atomically


def test_a_file_is_replaced_whole(tmp_path):
    write_atomically(tmp_path / "a", "one")
    write_atomically(tmp_path / "a", b"two", keep=tmp_path / "before")
    assert ((tmp_path / "a").read_text(), (tmp_path / "before").read_text()) == ("two", "one")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "before"]


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_atomically(pipe, "content")
    reader.join()
    assert got == ["content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
