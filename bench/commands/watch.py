"""``bench watch``: the page of the results in a browser, while the runs go on."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from bench.commands.options import Command, against, check_against
from bench.errors import SIGNALLED, UsageError

if TYPE_CHECKING:
    from bench.records.store import Store

PORT = 8765


@click.command(cls=Command)
@click.argument("folder", default="results", type=click.Path(path_type=Path))
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535),
              help="Where the page is on this machine; 0: any free port.")  # fmt: skip
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
@against
def watch(folder: Path, port: int, opened: bool, against: tuple[str, ...]) -> None:
    """Show the results of a FOLDER in a browser, and the progress of its runs while they go on.

    The page is that of 'bench report' (index.html), with the runs under way above it; it refreshes itself. FOLDER may
    be empty yet, or not be there. It stays as it is, and nobody but this machine is answered, on 127.0.0.1.
    Ctrl-C ends it, with exit code 0, and touches no run; 143 after SIGTERM, 2 for a usage error.
    """
    from bench.commands.outlook import outlook
    from bench.commands.output import lasting_output, say
    from bench.commands.server import Site, serve
    from bench.commands.watched import Watched
    from bench.plans.costs import Costs
    from bench.records.store import Store
    from bench.reports.html import as_data

    store = Store(folder)
    store.check()
    with lasting_output(), _readable(store) as records:
        if against and records.records():
            check_against(against, (), records)
        watched, costs = Watched(records, folder, against), Costs.here({})

        def progress() -> bytes:
            look = watched.look()
            said = {**outlook(look, costs), "there": look.there, "problem": watched.problem, "version": watched.version}
            return as_data(said).encode("utf-8", "backslashreplace")

        with serve(Site(watched.page, progress, folder, watched.files), port) as server:
            if not folder.exists():
                say(f"'{folder}' is not there yet: the page waits for it.")
            say(f"{server.url} shows '{folder}'. Ctrl-C ends this, and no run.")
            if opened:
                threading.Thread(target=_open, args=(server.url,), daemon=True).start()
            watched.look()  # the first page is being made by the time that it is asked for
            with _ended_in_order():
                server.serve_forever()


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Take Ctrl-C for the end, and SIGTERM too, which has an exit code of its own."""

    def end(number: int, _: FrameType | None) -> None:
        sys.exit(SIGNALLED + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _open(url: str) -> None:
    import webbrowser

    from bench.commands.output import say

    if not webbrowser.open(url):
        say(f"No browser could be opened: {url} is the address.", err=True)


@contextlib.contextmanager
def _readable(store: Store) -> Iterator[Store]:
    """The folder itself or, where its records are packed, a folder with them that is gone afterwards."""
    import tarfile
    import zlib

    from bench.records.store import PACKED, Store

    archive = store.path / PACKED
    if store.runs.exists() or not archive.is_file():
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="bench-watch-") as name:
        unpacked = Path(name) / store.path.resolve().name
        unpacked.mkdir()
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(unpacked, filter="data")  # nothing outside of that folder
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise UsageError(f"'{archive}' cannot be unpacked: {error}; get another copy of it.") from error
        yield Store(unpacked)
