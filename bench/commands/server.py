"""The server of ``bench watch``: it reads, answers this machine alone, and has nothing but the report.

A page of another site, which the same browser shows, cannot read from it: it would need a name of its own for this
machine (DNS rebinding), which the header Host betrays, or this server's leave, which is never given.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from bench.errors import UsageError

__all__ = ["ADDRESS", "Site", "serve"]

ADDRESS = "127.0.0.1"
HOSTS = (ADDRESS, "localhost", "[::1]")
"""What the browser may call this machine."""
HTTP_PORT = 80
"""The port that browsers leave out."""
SLOW_SECONDS = 20
"""How long somebody may take to say what is wanted."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
FRAMED = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""What a page cannot say of itself in its own policy; both count."""
INERT = f"default-src 'none'; style-src 'unsafe-inline'; sandbox; {FRAMED}"
"""For files, of which an SVG could hold a script."""
TYPES = {
    ".md": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".png": "image/png",
    ".svg": "image/svg+xml", ".pdf": "application/pdf",
}  # fmt: skip
TEXT = "text/plain; charset=utf-8"
NOT_HERE = "There is no such page here: the address of this server without a path has the results.\n"
NOT_DONE = "This server only shows: it answers GET and HEAD.\n"
STRANGE = "This server answers at {hosts} alone, so that no other site can read from it.\n"


class Site:
    """What is served.

    Args:
        page: Gives the page.
        progress: Gives the strict JSON of how far the runs are.
        folder: Where the other files are.
        files: Gives the parts of their paths within the folder.
    """

    def __init__(
        self,
        page: Callable[[], bytes],
        progress: Callable[[], bytes],
        folder: Path,
        files: Callable[[], Sequence[tuple[str, ...]]],
    ) -> None:
        self._folder, self._files = folder, files
        self._made: Mapping[str, tuple[Callable[[], bytes], str]] = {
            "/": (page, "text/html; charset=utf-8"),
            "/index.html": (page, "text/html; charset=utf-8"),
            "/progress.json": (progress, "application/json"),
        }

    def find(self, path: str) -> tuple[bytes, str, str] | None:
        """Content, type and policy of what a path names; None for nothing that is served."""
        if path in self._made:
            make, kind = self._made[path]
            return make(), kind, FRAMED
        name = unquote(path)
        parts = next((parts for parts in self._files() if f"/{'/'.join(parts)}" == name), None)
        content = None if parts is None else read_inside(self._folder, parts)
        return None if content is None else (content, TYPES.get(os.path.splitext(name)[1], TEXT), INERT)


def read_inside(folder: Path, parts: Sequence[str]) -> bytes | None:
    """A file of a folder, by the names of the folders within it; None where any of them is a link or no file."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, at)
        for part in parts[:-1]:
            at = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            stack.callback(os.close, at)
        number = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        with os.fdopen(number, "rb") as stream:
            if stat.S_ISREG(os.fstat(number).st_mode):
                return stream.read()
    return None


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    timeout = SLOW_SECONDS

    def do_GET(self) -> None:
        """Send what is asked for."""
        self._answer(*self._found())

    do_HEAD = do_GET  # noqa: N815 - the body is left out where it would be sent

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Say in a sentence what is wrong with a request that cannot be read, or is none that is answered."""
        if code == 501:
            self._answer(405, NOT_DONE.encode(), TEXT, INERT)
        else:
            self._answer(code, f"{message or self.responses[code][0]}.\n".encode("utf-8", "replace"), TEXT, INERT)

    def version_string(self) -> str:
        """Who answers; a stranger need not know with what."""
        return "bench"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a page asks every two seconds."""

    def _found(self) -> tuple[int, bytes, str, str]:
        hosts = self.server.hosts
        given = self.headers.get_all("Host", [])
        if len(given) != 1 or given[0].strip().lower() not in hosts:
            return 403, STRANGE.format(hosts=" or ".join(f"http://{host}/" for host in hosts)).encode(), TEXT, INERT
        found = self.server.site.find(self.path.partition("?")[0])
        return (200, *found) if found else (404, NOT_HERE.encode(), TEXT, INERT)

    def _answer(self, code: int, content: bytes, kind: str, policy: str) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # nobody waits for it any more
            self.send_response(code)
            for name, value in {**HEADERS, "Content-Type": kind, "Content-Security-Policy": policy}.items():
                self.send_header(name, value)
            if code == 405:
                self.send_header("Allow", "GET, HEAD")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """A server on this machine's own address."""

    daemon_threads = True

    def __init__(self, port: int, site: Site) -> None:
        super().__init__((ADDRESS, port), Handler)
        self.site = site
        port = self.server_address[1]
        self.hosts = tuple(f"{host}:{port}" for host in HOSTS) + (HOSTS if port == HTTP_PORT else ())

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.hosts[0]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke."""


def serve(site: Site, port: int) -> Server:
    """A server that listens, to be closed by who asked for it.

    Args:
        site: What is served.
        port: Where; 0 for any free port.

    Raises:
        UsageError: for a port that cannot be had.
    """
    try:
        return Server(port, site)
    except OSError as error:
        raise UsageError(
            f"cannot listen on {ADDRESS}:{port}: {error.strerror or error}; choose another --port, or 0 "
            "for any that is free."
        ) from error
