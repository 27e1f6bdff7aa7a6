"""Standard output that goes away: what runs goes on."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.commands.output import lasting_output

PRINTS = """
import sys, click
from rich.console import Console
from bench.commands.output import lasting_output

with lasting_output():
    for line in range(2_000):
        Console().print(f"line {line}")
        click.echo("echoed")
print("done", file=sys.stderr)
sys.exit(7)
"""


def ends(shell):
    done = subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", PRINTS], capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_nobody_reads_it():
    assert ends('set -o pipefail; "$@" | head -1') == (7, "line 0\n", "done\n")


def test_it_was_closed_before():
    assert ends('exec "$@" <&- >&- 2>&-') == (7, "", "")
    assert ends('exec "$@" >&-') == (7, "", "done\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_told_once():
    code, out, error = ends('exec "$@" > /dev/full')
    assert (code, out) == (7, "")
    assert error == "bench: cannot print: No space left on device; it goes on silently.\ndone\n"


def command(shell, *arguments, **environment):
    return subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-m", "bench", *map(str, arguments)], capture_output=True,
        encoding="utf-8", timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
    )  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_an_answer_that_cannot_be_printed_is_a_failure():
    done = command('exec "$@" > /dev/full', "list", "metrics")
    assert (done.returncode, done.stderr) == (1, "bench: cannot print: No space left on device.\n")


STORE = Path(__file__).parents[2] / "golden" / "store"


def test_a_command_whose_output_nobody_reads_does_all_its_work(tmp_path):
    report = tmp_path / "report.xml"
    gate = ("compare", STORE, STORE, "--fail-on-regression", "--junit", report)
    done = command('set -o pipefail; "$@" | true', *gate)
    assert (done.returncode, done.stderr) == (0, "")
    assert report.is_file()
    done = command('set -o pipefail; "$@" 2>&1 | true', "compare", STORE, tmp_path / "nowhere")
    assert done.returncode == 2


class Full(io.StringIO):
    """A file on a full disk, which notices when it is flushed."""

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Counting(io.StringIO):
    flushed = 0

    def flush(self):
        self.flushed += 1


def test_the_streams_are_back_where_the_last_flush_fails(monkeypatch):
    full, beside = Full(), Counting()
    monkeypatch.setattr(sys, "stdout", full)
    monkeypatch.setattr(sys, "stderr", beside)
    with pytest.raises(OSError, match="No space left"), lasting_output(whole=True):
        print("an answer")
    assert (sys.stdout, sys.stderr, beside.flushed) == (full, beside, 1)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_mistake_that_cannot_be_told_is_a_failure_without_a_traceback():
    done = command('exec "$@" 2> /dev/full', "compare", "nowhere", "nowhere")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_terminal_without_arrows_shows_directions_all_the_same(tmp_path):
    file = tmp_path / "samples.txt"
    file.write_text("a b c d\nb c d e\n" * 3)
    arguments = "score", file, "--references", file, "--metrics", "bleu,length"
    plain = command('exec "$@"', *arguments, PYTHONIOENCODING="ascii").stdout
    assert "bleu2 ^ " in plain
    assert "length_mean > words" in plain
    assert "v lower is better, ^ higher is better, > nearer to the real text" in plain
