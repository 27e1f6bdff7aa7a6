"""A local file server with the faults of remote ones."""

import contextlib
import gzip
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.data import downloads


@dataclass
class Mirror:
    """Serves ``files`` by path, and keeps in ``asked`` the path and range of every request."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    address: str = ""
    ranges: bool = True
    """Whether it can continue in the middle."""
    breaks_after: int | None = None
    """Ends each answer after this many bytes, though it announced more."""
    breaks: int = 0
    """Number of answers that it still breaks off."""
    pause: float = 0.0
    """Seconds between two bytes that it sends."""
    announces: int | None = None
    """The length that it announces; None for the true one."""
    endless: bool = False
    """Sends the file again and again, and announces no length."""
    packed: bool = False
    """Sends the file packed by gzip, though nobody asked for that."""
    statuses: list[int] = field(default_factory=list)
    """Statuses that it answers first, before it serves."""

    def answer(self, request):
        path, wanted = request.path.lstrip("/"), request.headers.get("Range")
        self.asked.append((path, wanted))
        if self.statuses:
            return request.send_error(self.statuses.pop(0))
        if path not in self.files:
            return request.send_error(404)
        content, begin = self.files[path], 0
        if wanted and self.ranges:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(content)}")
                request.send_header("Content-Length", "0")
                return request.end_headers()
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        body = content[begin:]
        if self.packed:
            body = gzip.compress(body)
            request.send_header("Content-Encoding", "gzip")
        if not self.endless:
            request.send_header("Content-Length", str(self.announces or len(body)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # the client has had enough
            while self.endless:
                request.wfile.write(body)
            for at in range(len(body) if self.pause else 0):
                request.wfile.write(body[at : at + 1])
                time.sleep(self.pause)
        if self.breaks:
            self.breaks -= 1
            body = body[: self.breaks_after]
        with contextlib.suppress(ConnectionError):
            request.wfile.write(body)
        request.close_connection = True
        return None


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    """A mirror that ``bench data fetch`` asks, and an empty folder that it fetches to."""
    served = Mirror()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.answer(self)

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv(downloads.MIRROR, served.address)
    monkeypatch.setenv(downloads.VARIABLE, str(tmp_path / "place"))
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
