"""Who does which run of a folder that several processes share, also processes of several machines.

A lease is a file that is there while its holder does the run; the holder touches it every few seconds. On the holder's
own machine it counts no longer than its process lives. Other machines cannot see that process: to them it counts until
it was not touched for minutes, by the clock of the file system, so that clocks may differ. So neither a killed process
nor a machine that went down keeps a run from being done, and no file system needs to know about locks.

A holder that was suspended for minutes goes on beside the one that took over from it. Then a run is done twice; each
record is written whole, and none that is finished is replaced by a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import uuid
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from bench.errors import Halted

__all__ = ["COMMAND", "Holder", "Leases", "machine"]

BEAT_SECONDS = 20.0
"""Between two touches."""
COMMAND = "command-"
"""How the names of leases begin that say that a command works in the folder; the others are ids of runs."""
SILENT_SECONDS = 300.0
"""A lease of another machine that was not touched for so long is nobody's."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lease.

    Attributes:
        host: The name of its machine.
        machine: What tells machines, boots and containers apart: processes are known only within one.
        process: Its number there.
        born: When it was started, since numbers are used again; empty where that is not known.
        token: Another for each lease.
    """

    host: str
    machine: str
    process: int
    born: str
    token: str

    def __str__(self) -> str:
        """In words."""
        return f"process {self.process} on {self.host}"


class Leases:
    """The leases of a folder, and those of them that this object holds.

    Args:
        folder: Made when first written to, in a folder that exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: dict[str, str] = {}  # name to token
        self._over = threading.Event()
        self._heart: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Take a lease; False where somebody holds it.

        Raises:
            Halted: where it cannot be written.
        """
        me = Holder(socket.gethostname(), machine(), os.getpid(), _born(os.getpid()), uuid.uuid4().hex)
        file = self._file(name)
        try:
            self.folder.mkdir(exist_ok=True)
            if not _create(file, json.dumps(asdict(me))) and not self._take_over(name, me):
                return False
        except OSError as error:
            raise Halted(f"cannot write to '{self.folder}': {error.strerror or error}.") from error
        self._held[name] = me.token
        if self._heart is None:
            self._heart = threading.Thread(target=self._beat, daemon=True)
            self._heart.start()
        return True

    def holder(self, name: str) -> Holder | None:
        """Who holds a lease, or is about to take one over; None where nobody does, or whoever did is gone."""
        return self._holder(self._file(name)) or self._holder(self._guard(name))

    def _holder(self, file: Path) -> Holder | None:
        try:
            holder = _read(file)
            if holder is not None and holder.machine == machine():
                return holder if _lives(holder) else None
            touched = file.stat().st_mtime
        except OSError:
            return None
        with contextlib.suppress(OSError):  # the disk is full: nothing shows that it is gone
            if self._now() - touched > SILENT_SECONDS:
                return None
        return holder or Holder("a machine that is writing its name", "", 0, "", "")

    def held(self) -> dict[str, Holder]:
        """All leases of the folder that somebody holds, by their names."""
        found = {file.stem: self.holder(file.stem) for file in self.folder.glob("*.lease")}
        return {name: holder for name, holder in found.items() if holder is not None}

    def release(self, name: str) -> None:
        """Give a lease back, if it is held here; one that somebody took over stays with them."""
        token = self._held.pop(name, None)
        file = self._file(name)
        with contextlib.suppress(OSError):
            if token is not None and _token(file) == token:
                file.unlink()

    def close(self) -> None:
        """Give all leases back."""
        self._over.set()
        if self._heart is not None:
            self._heart.join()
            self._heart, self._over = None, threading.Event()
        for name in list(self._held):
            self.release(name)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.lease"

    def _guard(self, name: str) -> Path:
        return self.folder / f"{name}.taken-over"

    def _beat(self) -> None:
        over = self._over
        while not over.wait(BEAT_SECONDS):
            for name, token in list(self._held.items()):
                file = self._file(name)
                with contextlib.suppress(OSError):
                    if _token(file) == token:
                        os.utime(file)

    def _take_over(self, name: str, me: Holder) -> bool:
        """Take a lease whose holder is gone, in front of all others who find that out at the same moment."""
        if self.holder(name) is not None:
            return False
        file, guard, facts = self._file(name), self._guard(name), json.dumps(asdict(me))
        gone = _token(guard)
        if gone is not None and self._holder(guard) is None:  # of one who died while taking over
            aside = guard.with_suffix(f".{uuid.uuid4().hex}")
            with contextlib.suppress(FileNotFoundError):
                guard.rename(aside)
                if _token(aside) != gone:  # somebody was faster
                    with contextlib.suppress(FileExistsError):
                        os.link(aside, guard)
                aside.unlink()
        if not _create(guard, facts):
            return False
        try:
            if self._holder(file) is not None:
                return False
            file.unlink(missing_ok=True)
            return _create(file, facts)
        finally:
            guard.unlink(missing_ok=True)

    def _now(self) -> float:
        """The time by the clock of the file system."""
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=".clock") as probe:
            return os.stat(probe.name).st_mtime


def _create(file: Path, content: str) -> bool:
    """Write a file that is not there yet; False where it is."""
    try:
        number = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(number, "w", encoding="utf-8") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(number)
    except BaseException:
        file.unlink(missing_ok=True)  # on a full disk nobody could take it
        raise
    return True


def _read(file: Path) -> Holder | None:
    """The holder that a lease names; None for one that is being written, or damaged."""
    with contextlib.suppress(ValueError, TypeError):
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    return None


def _token(file: Path) -> str | None:
    with contextlib.suppress(OSError):
        holder = _read(file)
        return holder.token if holder else ""
    return None


def _lives(holder: Holder) -> bool:
    """Whether the holder's process, which is one of this machine, is still there."""
    try:
        os.kill(holder.process, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    born = _born(holder.process)
    return not holder.born or born in ("", holder.born)


def _born(process: int) -> str:
    """When a process was started, in the machine's own units; empty where that cannot be known."""
    with contextlib.suppress(OSError, IndexError):
        facts = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        # One that has ended is there until its parent asks how.
        return "it has ended" if facts[0] in "ZX" else facts[19]
    return ""


@lru_cache
def machine() -> str:
    """The same for processes that can see each other: those of one boot of one machine, and of one container there."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"
