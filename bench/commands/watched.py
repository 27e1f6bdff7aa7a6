"""What ``bench watch`` knows of a results folder: what is in it, and the page of what has ended.

Nothing is looked at while nobody asks. A record is read once, and again when its file changes. The page is made anew in
a thread of its own, when other runs have ended, and not so often that whoever trains would feel it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import Halted, UsageError
from bench.plans.costs import timed
from bench.records import under_way
from bench.records.leases import COMMAND, Holder, Leases
from bench.records.planned import Configured
from bench.records.record import RunRecord, from_json
from bench.records.store import ALONE, CHOSEN, PLAN, Store
from bench.records.under_way import UnderWay

__all__ = ["Content", "Kind", "Look", "Watched"]

LOOK_SECONDS = 1.0
"""Least time between two looks at the folder, however many ask."""
SHARE, SHARE_AT_REST = 0.05, 0.5
"""Of the time, that making pages may take while runs are under way, and while nobody is at work."""
NICENESS = 10
"""Of the thread that makes pages: whoever trains comes first."""
PAGES = ("leaderboard.md", "leaderboard.csv", "verdicts.csv")
FOLDERS = {"leaderboard": (".md",), "figures": (".png", ".svg", ".pdf")}
"""Folders of a report and the endings of their files: nothing else of the folder is served."""

Kind = tuple[str, str, str]
"""Preset, task and model as tables show them."""
Stamp = tuple[int, int]
"""What changes when a file does."""


@dataclass(frozen=True, slots=True)
class Content:
    """What the records and the plan of a folder say.

    Attributes:
        records: Run id to the record, without scores, curves and samples, of the runs that count.
        missing: Run id to the configuration and the seed, of the planned runs that have no record.
        took: Mean seconds of the runs of a kind that were completed.
        ended: The same as long as no other run has ended.
    """

    records: Mapping[str, RunRecord] = field(default_factory=dict)
    missing: Mapping[str, tuple[Configured, int]] = field(default_factory=dict)
    took: Mapping[Kind, float] = field(default_factory=dict)
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What was in the folder at one moment.

    Attributes:
        there: Whether there was such a folder.
        content: What its records say.
        holders: Run id to who does it.
        moving: Run id to how far it is.
        working: Whether any command was at work in the folder.
        version: The same as long as the page would be.
    """

    there: bool
    content: Content
    holders: Mapping[str, Holder] = field(default_factory=dict)
    moving: Mapping[str, UnderWay] = field(default_factory=dict)
    working: bool = False
    version: str = ""


class Watched:
    """A results folder that is looked at.

    Attributes:
        problem: Why the page could not be made of what is in the folder now; "" where it could.
        version: Of the page that was made last.

    Args:
        store: The records.
        folder: Where the other files of the report are.
        against: Labels of the models that verdicts compare with; empty for the usual ones.
    """

    def __init__(self, store: Store, folder: Path, against: tuple[str, ...] = ()) -> None:
        self.problem, self.version = "", ""
        self._store, self._folder, self._against = store, folder, against
        self._lock = threading.Lock()
        self._facts: dict[Path, tuple[Stamp, str, RunRecord | None]] = {}
        self._stamps: object = None
        self._content = Content()
        self._look, self._looked = Look(False, self._content), float("-inf")
        self._page, self._made = b"", threading.Event()
        self._maker: threading.Thread | None = None
        self._tried, self._ended, self._took = "", float("-inf"), 0.0

    def page(self) -> bytes:
        """The page, as it was made last; the first one is waited for."""
        self.look()
        self._made.wait()
        return self._page

    def files(self) -> list[tuple[str, ...]]:
        """The other files of the report that are there, by the parts of their paths within the folder."""
        found: list[tuple[str, ...]] = [(name,) for name in PAGES if (self._folder / name).is_file()]
        for folder, endings in FOLDERS.items():
            with contextlib.suppress(OSError):
                names = sorted(os.listdir(self._folder / folder))
                found += [(folder, name) for name in names if name.endswith(endings) and not name.startswith(".")]
        return found

    def look(self) -> Look:
        """What is in the folder now; another page is made if this one would show anything else."""
        with self._lock:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                try:
                    self._look = self._scan()
                except OSError:  # it may not be looked into, or not any more
                    self._look = self._gone()
                self._looked = time.monotonic()
            look, idle = self._look, self._maker is None or not self._maker.is_alive()
            due = self._looked >= self._ended + self._took / (SHARE if look.working else SHARE_AT_REST)
            if idle and due and look.version not in (self.version, self._tried) and (look.there or not self._page):
                self._maker = threading.Thread(target=self._make, args=(look,), daemon=True)
                self._maker.start()
            return look

    # Looking

    def _scan(self) -> Look:
        store = self._store
        if not store.path.is_dir():
            return self._gone()
        self._read()
        held = Leases(store.leases).held()
        holders = {name: each for name, each in held.items() if name != ALONE and not name.startswith(COMMAND)}
        for run_id in holders.keys() & self._content.records.keys():
            if self._content.records[run_id].status in ("ok", "skipped"):  # it is about to be given back
                del holders[run_id]
        shown = self._content.ended, bool(held), self.files()
        version = hashlib.sha256(repr(shown).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        return Look(True, self._content, holders, under_way.read(store.progress, holders), bool(held), version)

    def _gone(self) -> Look:
        return Look(False, self._content, version="not there")

    def _read(self) -> None:
        """Bring what is known of the records up to date."""
        store = self._store
        files = {file: _stamp(file) for file in store.files()}
        others = [store.runs / PLAN, store.runs / CHOSEN, *sorted(store.ratings.glob("[!.]*.json"))]
        beside = [(str(file), _stamp(file)) for file in others]
        if (files, beside) == self._stamps:
            return
        self._facts = {
            file: self._facts[file] if file in self._facts and self._facts[file][0] == stamp else _facts(file, stamp)
            for file, stamp in files.items()
        }
        found = {run_id: record for _, run_id, record in self._facts.values() if record is not None}
        current, missing = store.current(list(found.values()))
        counted = {id(record) for record in current}
        ended = [
            (file.name, stamp)
            for file, (stamp, _, record) in self._facts.items()
            if record is None or record.status not in ("started", "interrupted")
        ]
        self._content = Content(
            {run_id: record for run_id, record in found.items() if id(record) in counted},
            {each.runs[seed]: (each, seed) for each, seed in missing},
            {labels[:3]: seconds for labels, seconds in timed(current).items()},
            hashlib.sha256(repr((ended, beside)).encode("utf-8", "backslashreplace")).hexdigest(),
        )
        self._stamps = files, beside  # last: what could not be read is looked at again

    # Making the page

    def _make(self, look: Look) -> None:
        with contextlib.suppress(OSError, AttributeError):  # of this thread alone, where the system can do that
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        since, page, problem = time.monotonic(), "", ""
        try:
            page = self._html(look)
        except (Halted, UsageError) as error:
            problem = str(error)
        except Exception as error:  # as where the folder vanishes meanwhile: the page that was made before stays
            problem = f"{type(error).__name__}: {error}"
        with self._lock:
            self.problem, self._tried = problem, look.version
            if page or not self._page:
                self._page = (page or _empty(look)).encode("utf-8", "backslashreplace")
                self.version = look.version
            self._ended = time.monotonic()
            any_ended = any(record.finished for record in look.content.records.values())
            self._took = self._ended - since if any_ended else 0.0  # the first result is not waited for
        self._made.set()

    def _html(self, look: Look) -> str:
        """The page of what has ended: provisional where a command is at work, and otherwise as the report has it."""
        from bench.analysis.provisional import so_far
        from bench.analysis.results import Results
        from bench.reports import throughput_of
        from bench.reports.pages import leaderboard, site

        if not look.there:
            return _empty(look)
        frames = self._store.load()
        frames, provisional = so_far(frames) if look.working else (frames, {})
        results = Results.of(frames, self._against)
        if not results.any_ended:
            return _empty(look)
        files = [("/".join(path), "/".join(path)) for path in self.files()]
        live = site.Live(look.version, provisional)
        return site.page(results, leaderboard.page(results), files, throughput_of(self._folder), live)


def _empty(look: Look) -> str:
    from bench.reports.pages import site

    return site.waiting(site.Live(look.version, {}))


def _facts(file: Path, stamp: Stamp) -> tuple[Stamp, str, RunRecord | None]:
    """What a record says of its run, without what fills it; nothing for one that is damaged, or half-written."""
    try:
        record = from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return stamp, "", None
    short = replace(record, scores={}, frontier={}, curve=(), samples=(), nearest=(), warnings=(), traceback=None)
    return stamp, record.spec.run_id, short


def _stamp(file: Path) -> Stamp:
    try:
        facts = file.stat()
    except OSError:  # it is not there
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
