"""The server of ``bench watch``, asked over a real socket: what it answers, and what it keeps to itself."""

import contextlib
import os
import socket
import threading

import pytest

from bench.commands.server import Site, serve
from bench.errors import UsageError

PAGE = "<!doctype html><title>白</title>".encode()


@pytest.fixture
def folder(tmp_path):
    """A results folder beside a secret, with links out of it and what is no file."""
    (tmp_path / "secret.md").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "far.png").write_bytes(b"secret")
    folder = tmp_path / "results"
    (folder / "figures" / "deeper.png").mkdir(parents=True)
    (folder / "runs").mkdir()
    (folder / "runs" / "record.json").write_text("{}")
    (folder / "store.json").write_text("{}")
    (folder / "leaderboard.csv").write_text("model\n=1+1\n")
    (folder / "figures" / "a b.svg").write_text("<svg><script>1</script></svg>")
    (folder / "figures" / "linked.png").symlink_to(tmp_path / "secret.md")
    os.mkfifo(folder / "figures" / "pipe.png")
    (folder / "leaderboard.md").symlink_to(tmp_path / "secret.md")
    return folder


@pytest.fixture
def server(folder):
    figures = ["a b.svg", "linked.png", "pipe.png", "deeper.png", "gone.png"]
    files = [("leaderboard.csv",), ("leaderboard.md",), *(("figures", name) for name in figures)]
    with serve(Site(lambda: PAGE, lambda: b'{"version":"1"}', folder, lambda: files), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    """Sends lines, and returns the status, the headers and the body."""
    port = server.server_address[1]

    def send(path="/", method="GET", host=(f"127.0.0.1:{port}",), raw=None):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            hosts = "".join(f"Host: {each.replace('PORT', str(port))}\r\n" for each in host)
            connection.sendall(raw or f"{method} {path} HTTP/1.1\r\n{hosts}\r\n".encode("latin-1"))
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), headers, body

    return send


def test_it_has_the_page_the_progress_and_the_files_of_the_report(ask):
    for path in ("/", "/index.html", "/?x=1"):
        assert ask(path)[::2] == (200, PAGE)
    status, headers, body = ask("/progress.json")
    assert (status, headers["Content-Type"], body) == (200, "application/json", b'{"version":"1"}')
    assert ask("/leaderboard.csv")[2] == b"model\n=1+1\n"
    status, headers, body = ask("/figures/a%20b.svg")
    assert (status, headers["Content-Type"]) == (200, "image/svg+xml")
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'; sandbox;")


@pytest.mark.parametrize(
    "path",
    [
        "/runs/record.json", "/store.json", "/figures", "/figures/", "/runs/", "/favicon.ico", "*",
        "/figures/gone.png", "/figures/deeper.png", "/figures/pipe.png",  # named, and no files
        "/figures/linked.png", "/leaderboard.md",  # links out of the folder
        "/../secret.md", "/figures/../../secret.md", "/figures/%2e%2e/%2e%2e/secret.md", "/..%2fsecret.md",
        "/figures/..%5c..%5csecret.md", "/%2e%2e%2fsecret.md%00.png", "/figures//a%20b.svg", "/./leaderboard.csv",
        "//evil.example/leaderboard.csv", "http://evil.example/", "/leaderboard.csv/", "/%252e%252e/secret.md",
    ],
)  # fmt: skip
def test_nothing_else_is_served(ask, path):
    status, headers, body = ask(path)
    assert status in (400, 404)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert b"secret" not in body
    assert body.endswith(b".\n")


def test_a_folder_of_figures_that_is_a_link_is_not_followed(ask, folder):
    (folder / "figures").rename(folder / "other")
    (folder / "figures").symlink_to(folder / "other")
    assert ask("/figures/a%20b.svg")[0] == 404


@pytest.mark.parametrize(
    "host",
    [
        ("evil.example",), ("evil.example:PORT",), ("127.0.0.1",), ("localhost",), ("127.0.0.1:1",), (), ("",),
        ("127.0.0.1:PORT", "evil.example"), ("evil.example", "127.0.0.1:PORT"), ("127.0.0.1:PORT.evil.example",),
        ("0.0.0.0:PORT",), ("127.1:PORT",), ("localhost.:PORT",), ("user@127.0.0.1:PORT",),
    ],
)  # fmt: skip
def test_another_name_of_this_machine_is_refused(ask, host):
    for path in ("/", "/progress.json", "/leaderboard.csv", "/nothing"):
        status, _, body = ask(path, host=host)
        assert (status, body.count(b"alone, so that no other site can read")) == (403, 1)
    assert ask("/", "HEAD", host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT"])
def test_its_own_names_are_answered(ask, host):
    assert ask(host=(host,))[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", "get"])
def test_it_only_shows(ask, method):
    status, headers, body = ask(method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert body == b"This server only shows: it answers GET and HEAD.\n"


def test_head_has_no_body(ask):
    for path in ("/", "/leaderboard.csv", "/nothing"):
        (status, headers, nothing), (same, whole, body) = ask(path, "HEAD"), ask(path)
        assert (status, nothing, headers["Content-Length"]) == (same, b"", whole["Content-Length"])
        assert int(headers["Content-Length"]) == len(body) > 0


def test_every_answer_says_what_a_browser_may_do_with_it(ask):
    for status, headers, _ in (ask(), ask("/nothing"), ask(host=("evil.example",)), ask(method="POST")):
        assert status in (200, 403, 404, 405)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize(
    "raw", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n", b"\xff\xfe / HTTP/9.9\r\n\r\n", b"\0" * 99999]
)
def test_what_is_no_request_is_not_answered_with_the_page_and_does_not_end_it(server, ask, raw):
    answer = b""
    connection = socket.create_connection(server.server_address, timeout=10)
    with connection, contextlib.suppress(ConnectionError):
        # It may have hung up before all was sent: then the system says so at whatever is done next.
        connection.sendall(raw)
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            answer += part
    assert PAGE not in answer
    assert ask()[0] == 200


def test_who_says_nothing_keeps_nobody_waiting(server, ask):
    with contextlib.ExitStack() as silent:
        for _ in range(20):
            silent.enter_context(socket.create_connection(server.server_address, timeout=10))
        assert ask()[0] == 200


def test_a_port_in_use_is_one_sentence(server):
    port = server.server_address[1]
    with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*; choose another --port, or 0"):
        serve(server.site, port)


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"
