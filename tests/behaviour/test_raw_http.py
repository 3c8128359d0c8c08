"""The raw client itself, against scripted answers and a server that records what it was sent."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator

import pytest
import raw_http


class Recorder:
    """Answers each request on a connection with the next scripted bytes; None closes it."""

    def __init__(self, path: str) -> None:
        self.address = path
        self.requests: list[bytes] = []
        self.connections = 0
        self.answers: list[bytes | None] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while self.answers:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = connection.recv(1)
                if not data:
                    return
                head += data
            self.requests.append(head)
            answer = self.answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer)
            if b"Connection: close" in answer:
                return

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    recorder = Recorder(str(tmp_path_factory.mktemp("raw") / "s"))
    yield recorder
    recorder.stop()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    "target",
    [
        "/static/../../etc/passwd",
        "/static/..%2f..%2fetc/passwd",
        "/static/%2e%2e/",
        "/media/..\\..\\x",
        "//media/./a//b",
        "/a?b#c",
        "/media/ü.png",
        b"/media/\xff\xfe",
        "http://other.example/x",
    ],
)
def test_the_target_is_sent_byte_for_byte(server: Recorder, target: str | bytes) -> None:
    server.answers = [OK]
    raw_http.request(server.address, "h.example", "GET", target)
    sent = target if isinstance(target, bytes) else target.encode()
    assert server.requests[0].startswith(b"GET " + sent + b" HTTP/1.1\r\nHost: h.example\r\n")


def test_a_kept_connection_is_used_again(server: Recorder) -> None:
    server.answers = [OK, OK, OK]
    with raw_http.Connection(server.address, "h") as connection:
        assert [connection.request("GET", "/").body for _ in range(3)] == [b"ok"] * 3
    assert server.connections == 1


def test_a_connection_that_the_server_ends_is_opened_anew(server: Recorder) -> None:
    server.answers = [OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"), OK]
    with raw_http.Connection(server.address, "h") as connection:
        assert [connection.request("GET", "/").body for _ in range(2)] == [b"ok"] * 2
    assert server.connections == 2


def test_a_kept_connection_that_was_closed_is_tried_once_more(server: Recorder) -> None:
    server.answers = [OK, None, OK]
    with raw_http.Connection(server.address, "h") as connection:
        assert connection.request("GET", "/1").body == b"ok"
        assert connection.request("GET", "/2").body == b"ok"
    assert [sent.split()[1] for sent in server.requests] == [b"/1", b"/2", b"/2"]


def test_a_fresh_connection_without_an_answer_is_an_error(server: Recorder) -> None:
    server.answers = [None]
    with raw_http.Connection(server.address, "h") as connection, pytest.raises(EOFError):
        connection.request("GET", "/")
    assert len(server.requests) == 1


def parse(answer: bytes, method: str = "GET") -> tuple[raw_http.Response, bool]:
    return raw_http.read_response(io.BytesIO(answer), method)


def test_a_header_sent_twice_is_seen_twice() -> None:
    response, _ = parse(
        b"HTTP/1.1 200 OK\r\nCache-Control: a\r\ncache-control: b\r\nContent-Length: 0\r\n\r\n"
    )
    assert response.all("CACHE-CONTROL") == ["a", "b"]
    assert response.first("Cache-Control") == "a"
    assert response.first("Expires") == ""


@pytest.mark.parametrize(
    ("answer", "method", "body", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "GET", b"abc", True),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "GET", b"until the end", False),
        (
            CHUNKED + b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n",
            "GET",
            b"abc0123456789",
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "GET", b"x", False),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            "GET",
            b"x",
            True,
        ),
    ],
)
def test_the_body_ends_where_its_framing_says(
    answer: bytes, method: str, body: bytes, keep: bool
) -> None:
    response, kept = parse(answer, method)
    assert (response.body, kept) == (body, keep)


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>no status line",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : space before colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        CHUNKED + b"5\r\nab",
        b"HTTP/1.1 200",
    ],
)
def test_a_broken_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(raw_http.ProtocolError):
        parse(answer)


@pytest.mark.parametrize(
    ("etag", "nginx"),
    [
        ('"671d2b4e-1c2"', True),
        ('W/"671d2b4e-1c2"', True),
        ('"1730000000.123-450-2914188342"', False),
        ("", False),
    ],
)
def test_who_served_a_file_is_told_by_its_etag(etag: str, nginx: bool) -> None:
    headers = (("ETag", etag),) if etag else ()
    assert raw_http.Response(200, "OK", headers, b"").nginx_served_a_file is nginx
