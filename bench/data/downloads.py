"""Corpora that we may not pass on: fetched from a pinned address, verified, then cleaned and split here.

``pins.json`` says for each name where its files are (owner/repository/commit/path on GitHub), how large they are and
what they must hash to, and, where that is known, what the finished splits must hash to. Everything is stored in one
folder::

    raw/OWNER/REPOSITORY/COMMIT/PATH      as downloaded
    corpora/NAME/{train,valid,test}.txt   cleaned: UTF-8, one example a line, tokens separated by single spaces
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.data.recipes import RECIPES, Watch
from bench.data.splits import SPLITS, Splits, content, write
from bench.errors import NotFetched, UsageError, unknown

VARIABLE = "SEQGAN_BENCH_DATA"
"""The environment variable that names the folder."""
MIRROR = "SEQGAN_BENCH_MIRROR"
"""The environment variable that names another address to fetch from."""
GITHUB = "https://raw.githubusercontent.com"
WEIGHTS = "oracle-published"
"""The name under which the paper's oracle is fetched: weights, not a corpus."""
HASHES = "sha256.json"
"""File next to the splits of a corpus: their hashes when they were made."""

TRIES, PAUSE = 3, 0.5
"""Attempts in a row that may bring no new byte of a file, and the growing pause between them, in seconds."""
TIMEOUTS = (10.0, 60.0)
"""Seconds to wait for a connection and for data."""
MOST = 2**25
"""Bytes of a file whose size nobody has measured: the largest that was is a seventh of it."""
SLOWEST, PATIENCE = 1_000.0, 60.0
"""Bytes a second that must arrive on average of so many seconds, or the server is given up."""
CHUNK = 1 << 13
"""Bytes written at a time: at most this much is lost when a connection breaks off."""


class FetchFailed(Exception):  # noqa: N818 - what happened, like NotFetched
    """A download or cleaning that failed, reported in one sentence. Exit code 1."""


class _Broken(Exception):  # noqa: N818 - never leaves this module
    """A failed transfer that may succeed at the next attempt."""


@dataclass(frozen=True, slots=True)
class Pin:
    """One file to fetch, with its expected size and hashes.

    Attributes:
        raw: Owner, repository, commit and path, separated by slashes.
        bytes: Its size; None where nobody has measured it.
        sha256: Hash of its bytes; None where only git's own hash is known.
        git_blob_sha1: Git's own hash of its content: sha-1 of "blob SIZE", a zero byte and the content.
    """

    raw: str
    bytes: int | None
    sha256: str | None
    git_blob_sha1: str

    @property
    def digest(self) -> str:
        """The expected hash, as text."""
        return f"sha256 {self.sha256}" if self.sha256 else f"git blob sha1 {self.git_blob_sha1}"

    def digest_of(self, file: Path) -> str:
        """The hash of a file, as text of the same form."""
        data = file.read_bytes()
        if self.sha256:
            return f"sha256 {hashlib.sha256(data).hexdigest()}"
        blob = b"blob %d\0" % len(data) + data
        return f"git blob sha1 {hashlib.sha1(blob).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Download:
    """The files and corpora that are fetched under one name.

    Attributes:
        licence: Its licence, in a line.
        pins: Its files.
        corpora: The corpora made of them: the sha-256 of each split, or None where that is not known.
    """

    licence: str
    pins: tuple[Pin, ...]
    corpora: Mapping[str, Mapping[str, str] | None]


@cache
def downloads() -> Mapping[str, Download]:
    """All that can be fetched, by name."""
    entries: dict[str, Any] = json.loads((files("bench.data") / "pins.json").read_text(encoding="utf-8"))
    return {
        name: Download(entry["licence"], tuple(Pin(**pin) for pin in entry["files"]), entry["corpora"])
        for name, entry in entries.items()
    }


def names() -> list[str]:
    """All names that ``bench data fetch`` knows, including that of the weights."""
    return sorted(downloads())


def corpora() -> list[str]:
    """All corpora that can be fetched: one name may give two."""
    return sorted(corpus for download in downloads().values() for corpus in download.corpora)


def folder() -> Path:
    """The folder of everything that is fetched: $SEQGAN_BENCH_DATA, or the user's cache folder."""
    import pooch

    return Path(os.environ.get(VARIABLE) or pooch.os_cache("seqgan-bench")).expanduser().absolute()


def corpus_path(name: str, split: str) -> Path:
    """The file of a fetched corpus's split.

    Raises:
        NotFetched: when it is not here.
        UsageError: for a name that cannot be fetched.
    """
    path = folder() / "corpora" / name / f"{split}.txt"
    if name not in corpora():
        raise unknown("downloaded corpus", name, corpora())
    if not path.is_file():
        parent = next(parent for parent, download in downloads().items() if name in download.corpora)
        raise NotFetched(f"corpus '{name}' is not here: `bench data fetch {parent}`.")
    return path


def weights_path() -> Path:
    """The file of the paper's oracle.

    Raises:
        NotFetched: when it is not here.
    """
    path = raw_path(downloads()[WEIGHTS].pins[0])
    if not path.is_file():
        raise NotFetched(f"the weights of '{WEIGHTS}' are not here: `bench data fetch {WEIGHTS}`.")
    return path


def require(name: str) -> None:
    """Check that a fetched corpus is here and has not changed since it was made.

    Raises:
        NotFetched: when it is not here.
        UsageError: when a file of it was changed, or for a name that cannot be fetched.
    """
    path = corpus_path(name, SPLITS[0]).parent
    parent = next(parent for parent, download in downloads().items() if name in download.corpora)
    known, written = downloads()[parent].corpora[name], path / HASHES
    if known is None and written.is_file():
        known = json.loads(written.read_text(encoding="utf-8"))
    if known is not None and _hashes(path) != known:
        raise UsageError(
            f"the files of '{name}' in '{path}' are not those that were fetched: `bench data fetch {parent}` makes "
            "them anew."
        )


def raw_path(pin: Pin) -> Path:
    """The path of a raw file, whether it is there or not."""
    return folder() / "raw" / pin.raw


def datasheet(name: str) -> str:
    """Origin, licence, making and traps of a downloaded corpus or of the weights, in Markdown.

    Raises:
        UsageError: for a name that is neither.
    """
    known = sorted({*corpora(), *names()})
    if name not in known:
        raise unknown("downloaded corpus", name, known)
    return (files("bench.data") / "datasheets" / f"{name}.md").read_text(encoding="utf-8")


def fetch(name: str, mirror: str | None = None, watch: Watch = lambda what, done, total: None) -> list[Path]:
    """Fetch what is missing for a name, verify it, and make its corpora again where they are not known to be right.

    Args:
        name: One of :func:`names`.
        mirror: Another address that serves the same paths; None is $SEQGAN_BENCH_MIRROR, or GitHub.
        watch: Called with the progress.

    Returns:
        The folders of the corpora, or the file of the weights.

    Raises:
        UsageError: for an unknown name, an invalid address, or music21 missing where it is needed.
        FetchFailed: when it failed. What has arrived is kept, and the next attempt continues from there.
    """
    from filelock import FileLock, Timeout

    if name not in downloads():
        raise unknown("download", name, names())
    address = source(mirror)
    if name == "nottingham":
        from bench.data.tunes import require_music21

        require_music21()
    path = folder()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / "fetch.lock", timeout=0):
            raw = _download(downloads()[name].pins, address, watch)
            return raw if name == WEIGHTS else _make(name, raw, watch)
    except Timeout as error:
        raise FetchFailed(f"another `bench data fetch` is at work in '{path}': try again when it is done.") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise FetchFailed(f"cannot write to '{path}': {reason}; set ${VARIABLE} to another folder.") from error


def source(mirror: str | None = None) -> str:
    """The address to fetch from.

    Raises:
        UsageError: for an invalid address.
    """
    address = (mirror or os.environ.get(MIRROR) or GITHUB).rstrip("/")
    if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).netloc:
        raise UsageError(f"expected an address such as {GITHUB} to fetch from, got '{address}'.")
    return address


def _download(pins: Sequence[Pin], address: str, watch: Watch) -> list[Path]:
    """Download the raw files that are missing or wrong."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it would announce every file
    keeper = pooch.create(
        folder() / "raw",
        f"{address}/",
        registry={pin.raw: f"sha256:{pin.sha256}" if pin.sha256 else None for pin in pins},
    )
    sizes = [pin.bytes for pin in pins]
    for index, pin in enumerate(pins):
        path = raw_path(pin)
        if path.exists() and pin.digest_of(path) != pin.digest:
            path.unlink()

        def moved(done: int, total: int | None, index: int = index) -> None:
            sizes[index] = total
            whole = None if None in sizes else sum(size or 0 for size in sizes)
            watch("downloading", done + sum(size or 0 for size in sizes[:index]), whole)

        keeper.fetch(pin.raw, downloader=Transfer(pin, path, moved))
        sizes[index] = path.stat().st_size
    return [raw_path(pin) for pin in pins]


def _make(name: str, raw: Sequence[Path], watch: Watch) -> list[Path]:
    """Clean and split, unless the splits are here with the known hashes."""
    wanted = downloads()[name].corpora
    folders = {corpus: folder() / "corpora" / corpus for corpus in wanted}
    if all(hashes and _hashes(folders[corpus]) == hashes for corpus, hashes in wanted.items()):
        return list(folders.values())
    watch("cleaning", 0, None)
    made: Mapping[str, Splits] = RECIPES[name](raw, watch)
    for corpus, hashes in wanted.items():
        data = {split: content(made[corpus][split]) for split in SPLITS}
        for split in SPLITS:
            found = hashlib.sha256(data[split]).hexdigest()
            if hashes and found != hashes[split]:
                hint = "; it was made with music21 10.5.1: install that version" if name == "nottingham" else ""
                raise FetchFailed(
                    f"cleaning gave a {split}.txt of '{corpus}' that differs from the known one: "
                    f"expected sha256 {hashes[split]}, got {found}{hint}."
                )
        made_now = {split: hashlib.sha256(data[split]).hexdigest() for split in SPLITS}
        if _hashes(folders[corpus]) != made_now or not (folders[corpus] / HASHES).is_file():
            files = {f"{split}.txt": data[split] for split in SPLITS}
            write(folders[corpus], files | {HASHES: json.dumps(made_now).encode()})
    return list(folders.values())


def _hashes(path: Path) -> dict[str, str]:
    """The sha-256 of every split that a corpus's folder has."""
    found = {split: path / f"{split}.txt" for split in SPLITS}
    return {split: hashlib.sha256(path.read_bytes()).hexdigest() for split, path in found.items() if path.is_file()}


class Transfer:
    """A downloader for pooch that continues where an earlier one broke off, and accepts only the pinned file.

    What arrives is kept next to the target, under its name with ``.part``. Whether the server continues in the middle
    or starts again, the hash of the complete file decides.

    Args:
        pin: The file.
        target: The path where it will be stored.
        moved: Called with the number of bytes that have arrived and, if it is known, the total.
    """

    def __init__(self, pin: Pin, target: Path, moved: Callable[[int, int | None], None]) -> None:
        self.pin, self.target, self.moved = pin, target, moved
        self.part = target.with_name(f"{target.name}.part")

    def __call__(self, url: str, output_file: str, keeper: object) -> None:
        """Download the file to where pooch wants it.

        Raises:
            FetchFailed: when it cannot be downloaded, or is not the pinned file.
        """
        trouble, idle = "", 0
        while idle < TRIES:
            time.sleep(PAUSE * idle)
            begun = self._here()
            try:
                self._go_on(url, begun)
            except _Broken as error:
                trouble = str(error)
                idle = 0 if self._here() > begun else idle + 1
                continue
            found = self.pin.digest_of(self.part)
            if found == self.pin.digest:
                os.replace(self.part, output_file)
                return
            self.part.unlink()
            if not begun:  # else the first half may have been the wrong one
                raise FetchFailed(
                    f"{url} is not the file that was pinned: expected {self.pin.digest}, got {found}. It was "
                    "deleted; if that happens again, the server, or a proxy in front of it, sends another file."
                )
        raise FetchFailed(f"{trouble}: check the network and fetch again to continue from there, or {self._by_hand()}")

    def _here(self) -> int:
        """The number of bytes that have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def _by_hand(self) -> str:
        return f"put the file at '{self.target}' yourself: it is {GITHUB}/{self.pin.raw}, {self.pin.digest}."

    def _go_on(self, url: str, begun: int) -> None:
        """Add what is missing to the .part file."""
        import requests

        if begun and begun == self.pin.bytes:
            return
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begun}-"} if begun else {})
        host = urlsplit(url).netloc
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
                if answer.status_code == requests.codes.requested_range_not_satisfiable:
                    if answer.headers.get("Content-Range") != f"bytes */{begun}":  # else it is all there
                        self.part.unlink()
                        raise _Broken(f"{host} has less than the {begun:,} bytes that have arrived")
                    return
                if answer.status_code >= 500 or answer.status_code == requests.codes.too_many_requests:
                    raise _Broken(f"{host} answered {answer.status_code} {answer.reason}")
                if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
                    raise FetchFailed(f"{url} answers {answer.status_code} {answer.reason}: {self._by_hand()}")
                goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-")
                self._keep(answer, begun if goes_on else 0)
        except requests.ConnectTimeout as error:
            raise FetchFailed(f"{host} does not answer: check the network, or {self._by_hand()}") from error
        except requests.RequestException as error:
            raise _Broken(f"cannot reach {host} ({_cause(error)})") from error

    def _keep(self, answer: Any, begun: int) -> None:
        """Write what arrives, after the first ``begun`` bytes."""
        import requests
        import urllib3

        length = answer.headers.get("Content-Length", "") if "Content-Encoding" not in answer.headers else ""
        total = begun + int(length) if length.isdecimal() else self.pin.bytes
        if total is not None and total > self._most:
            raise self._too_much(answer.url, f"{total:,}", begun)
        done = checked = begun
        broken = f"the connection broke off before the end of '{self.target.name}'"
        since = time.monotonic()
        try:
            with self.part.open("ab" if begun else "wb") as stream:
                # Not in chunks of a size: those of a slow server would take hours to come, one by one.
                while chunk := answer.raw.read1(CHUNK, decode_content=True):
                    stream.write(chunk)
                    done += len(chunk)
                    self.moved(done, total)
                    if done > self._most:
                        break
                    if (took := time.monotonic() - since) >= PATIENCE:
                        if done - checked < SLOWEST * took:
                            raise FetchFailed(
                                f"{urlsplit(answer.url).netloc} sends less than {SLOWEST:,.0f} bytes a second and was "
                                f"given up: fetch again to continue from there, or {self._by_hand()}"
                            )
                        checked, since = done, time.monotonic()
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _Broken(broken) from error
        if done > self._most:
            raise self._too_much(answer.url, "more", begun)
        if total is not None and done < total:
            raise _Broken(broken)

    @property
    def _most(self) -> int:
        """How many bytes the file may have."""
        return self.pin.bytes or MOST

    def _too_much(self, url: str, found: str, begun: int) -> FetchFailed | _Broken:
        """Throw away what arrived: it is too long to be right, unless the first half was the wrong one."""
        self.part.unlink(missing_ok=True)
        wanted = f"{self._most:,} bytes" if self.pin.bytes else f"at most {self._most:,} bytes"
        text = (
            f"{url} is not the file that was pinned: expected {wanted} and {self.pin.digest}, the server has {found}. "
            "It was deleted; if that happens again, the server, or a proxy in front of it, sends another file."
        )
        return _Broken(text) if begun else FetchFailed(text)


def _cause(error: Exception) -> str:
    """The cause of a failed connection, without the exceptions around it."""
    inner = getattr(error.args[0], "reason", error) if error.args else error
    return str(inner).rpartition(": ")[2] or type(error).__name__
