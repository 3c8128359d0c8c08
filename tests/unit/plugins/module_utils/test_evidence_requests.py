"""Requests as they go over the wire, and every shape that an answer can have."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_requests
from ansible_collections.flaskworks.static_media.plugins.module_utils._evidence_requests import (
    BODY_LIMIT_BYTES,
    Request,
    RequestError,
    ask,
)

MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\n"


class Server:
    """Answers one connection as it is told, and keeps what it was sent."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.received = b""
        self.answer = b""
        # When it has read enough to answer.
        self.is_enough: t.Callable[[bytes], bool] = lambda raw: b"\r\n\r\n" in raw

    def start(self) -> None:
        self._thread.start()

    def _serve(self) -> None:
        stream, _unused = self._listener.accept()
        with stream:
            while not self.is_enough(self.received):
                chunk = stream.recv(65536)
                if not chunk:
                    break
                self.received += chunk
            # Who asked may have seen enough.
            with contextlib.suppress(OSError):
                stream.sendall(self.answer)

    def stop(self) -> bytes:
        self._thread.join(30)
        self._listener.close()
        return self.received


@pytest.fixture
def server() -> t.Iterator[Server]:
    yield Server(socket.create_server(("127.0.0.1", 0)))


def exchange(server: Server, answer: bytes, **question: t.Any) -> dict[str, t.Any]:
    server.answer = answer
    server.start()
    port = server._listener.getsockname()[1]
    try:
        return ask(Request.of({"port": port, "host": "a.example", **question}))
    finally:
        server.stop()


@pytest.mark.parametrize(
    "target",
    [
        "/media/../secret",
        "//x",
        "/%2e%2e/%00",
        "/a b",
        "/ü",
        "/x?q=1#f",
        "*",
        "http://b/",
        "/\udcff",
    ],
)
def test_a_target_is_sent_as_it_is(server: Server, target: str) -> None:
    answer = exchange(server, OK + b"\r\n", target=target)
    line = server.received.split(b"\r\n")[0]
    assert line == b"GET " + target.encode("utf-8", "surrogateescape") + b" HTTP/1.1"
    assert (answer["status"], answer["error"], answer["sent"]) == (200, None, True)


def test_headers_are_sent_in_order_and_twice(server: Server) -> None:
    headers = [["X-A", "1"], ["Range", "bytes=0-1"], ["X-A", "2"]]
    exchange(server, OK + b"\r\n", headers=headers, method="PURGE")
    assert server.received.split(b"\r\n") == [
        b"PURGE / HTTP/1.1",
        b"Host: a.example",
        b"X-A: 1",
        b"Range: bytes=0-1",
        b"X-A: 2",
        b"Connection: close",
        b"",
        b"",
    ]


def test_a_host_of_the_headers_takes_the_place_of_the_other(server: Server) -> None:
    exchange(server, OK + b"\r\n", headers={"host": "b.example"})
    assert server.received.lower().count(b"host:") == 1
    assert b"host: b.example" in server.received


@pytest.mark.parametrize(
    "question",
    [
        {"target": "/\r\nX: y"},
        {"headers": {"X": "a\nb"}},
        {"method": "GET\0"},
        {"host": "a\r\n"},
        {"headers": "abc"},
        {"port": "http"},
        {"protocol": "gopher"},
        {"body_bytes": 1 << 40},
        {"body_bytes": -1},
    ],
)
def test_what_would_be_another_request_is_refused(question: dict[str, t.Any]) -> None:
    with pytest.raises(RequestError):
        Request.of(question)


def test_headers_come_back_in_order_and_twice(server: Server) -> None:
    raw = OK + b'Cache-Control: no-cache\r\nETag: "a"\r\ncache-control:  max-age=1 \r\n\r\n'
    assert exchange(server, raw)["headers"] == [
        ["Cache-Control", "no-cache"],
        ["ETag", '"a"'],
        ["cache-control", "max-age=1"],
    ]


def test_a_cookie_comes_back_without_its_value(server: Server) -> None:
    raw = OK + b"Set-Cookie: session=abc.def; HttpOnly; Path=/\r\n\r\n"
    assert exchange(server, raw)["headers"] == [["Set-Cookie", "session=***; HttpOnly; Path=/"]]


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhelloMORE", b"hello"),
        (OK + b"\r\nto the end", b"to the end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n", b"hello!"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
         + b"Content-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.0 500\n\nold", b"old"),
    ],
)  # fmt: skip
def test_a_body_ends_where_it_ends(server: Server, raw: bytes, body: bytes) -> None:
    answer = exchange(server, raw)
    assert (answer["error"], answer["is_all"]) == (None, True)
    assert answer["length"] == len(body)
    assert answer["sha256"] == hashlib.sha256(body).hexdigest()
    assert answer["head"] == body.decode()
    assert not any(name == "Link" for name, _unused in answer["headers"])


def test_head_has_no_body(server: Server) -> None:
    answer = exchange(server, OK + b"Content-Length: 9\r\n\r\n", method="HEAD")
    assert (answer["length"], answer["is_all"], answer["error"]) == (0, True, None)


@pytest.mark.parametrize("is_chunked", [False, True])
def test_no_more_is_read_than_is_looked_at(server: Server, is_chunked: bool) -> None:
    body = os.urandom(BODY_LIMIT_BYTES + MIB)
    framed = b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    if is_chunked:
        framed = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = exchange(server, OK + framed)
    assert (answer["length"], answer["is_all"], answer["error"]) == (BODY_LIMIT_BYTES, False, None)
    assert answer["sha256"] == hashlib.sha256(body[:BODY_LIMIT_BYTES]).hexdigest()
    assert len(answer["head"]) == _evidence_requests.SHOWN_CHARACTERS


@pytest.mark.parametrize(
    ("raw", "words", "status"),
    [
        (b"", "without an answer", None),
        (b"SSH-2.0-x\r\n", "no HTTP", None),
        (b"HTTP/1.1 two\r\n\r\n", "no HTTP", None),
        (OK + b"A: b\r\n", "within its headers", 200),
        (OK + b"A: " + b"b" * 80_000 + b"\r\n\r\n", "more than", 200),
        (OK + b"A: b\r\n" * 20_000 + b"\r\n", "more than", 200),
        (OK + b"Content-Length: 9\r\n\r\nabc", "6 bytes before", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "within a chunk", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", "within its chunks", 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "within its chunks", 200),
    ],
)
def test_an_answer_that_is_none_is_said_in_words(
    server: Server, raw: bytes, words: str, status: int | None
) -> None:
    answer = exchange(server, raw)
    assert words in answer["error"]
    assert answer["status"] == status


def test_nobody_who_listens_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = ask(Request.of({"port": port}))
    assert answer["error"] == f"127.0.0.1 port {port}: Connection refused"
    answer = ask(Request.of({"unix_socket": str(tmp_path / "app.sock")}))
    assert "No such file or directory" in answer["error"]
    assert ask(Request.of({"address": "no such host", "port": 1}))["error"]


def test_who_never_answers_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = ask(Request.of({"port": listener.getsockname()[1]}), seconds=0.2)
    assert "no answer within" in answer["error"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_is_sent_in_full(server: Server, is_chunked: bool) -> None:
    size = 3 * MIB + 7
    frames = -(-size // 65536)
    framing = frames * len(b"10000\r\n\r\n") - len(b"10000") + len(b"7") + len(b"0\r\n\r\n")
    total = size + (framing if is_chunked else 0)
    server.is_enough = lambda raw: len(raw.partition(b"\r\n\r\n")[2]) >= total
    answer = exchange(server, OK + b"\r\n", method="POST", body_bytes=size, chunked=is_chunked)
    head, _unused, body = server.received.partition(b"\r\n\r\n")
    assert (answer["status"], answer["sent"]) == (200, True)
    if is_chunked:
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Length" not in head
    else:
        assert f"Content-Length: {size}".encode() in head
    assert len(body) == total


def test_an_answer_before_the_body_ends_it(server: Server) -> None:
    raw = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nno\n"
    answer = exchange(server, raw, method="POST", body_bytes=64 * MIB)
    assert (answer["status"], answer["sent"], answer["length"]) == (413, False, 3)
    assert answer["error"] is None


@pytest.mark.parametrize("status", [100, 413])
def test_a_body_is_only_announced(server: Server, status: int) -> None:
    raw = b"HTTP/1.1 %d X\r\n\r\n" % status
    answer = exchange(server, raw, method="POST", body_bytes=10**12, expect=True)
    assert b"Content-Length: 1000000000000\r\nExpect: 100-continue\r\n" in server.received
    assert server.received.endswith(b"\r\n\r\n")
    assert (answer["status"], answer["sent"], answer["error"]) == (status, False, None)


def unix_server(directory: Path, answer: bytes) -> Server:
    listener = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(directory)
    try:
        listener.bind("app.sock")
    finally:
        os.chdir(before)
    listener.listen()
    server = Server(listener)
    server.answer = answer
    server.start()
    return server


def test_a_unix_socket_is_asked_by_a_path_of_any_length(open_directory: Path) -> None:
    deep = open_directory / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    server = unix_server(deep, OK + b"Content-Length: 2\r\n\r\nhi")
    before = Path.cwd()
    answer = ask(Request.of({"unix_socket": f"{deep}/app.sock", "host": "a.example"}))
    assert Path.cwd() == before
    assert b"Host: a.example" in server.stop()
    assert (answer["status"], answer["head"]) == (200, "hi")


def test_a_unix_socket_is_asked_where_a_process_sees_it(
    stranger: int, open_directory: Path
) -> None:
    server = unix_server(Path(f"/proc/{stranger}/root{open_directory}"), OK + b"\r\ninside")
    question = {"unix_socket": f"{open_directory}/app.sock"}
    assert "No such file" in ask(Request.of(question))["error"]
    answer = ask(Request.of({**question, "process_id": stranger}))
    server.stop()
    assert (answer["status"], answer["head"]) == (200, "inside")


def test_uwsgi_is_spoken(server: Server) -> None:
    server.is_enough = lambda raw: (
        len(raw) > 4 and len(raw) == 9 + struct.unpack_from("<xH", raw)[0]
    )
    answer = exchange(
        server,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello",
        protocol="uwsgi",
        method="POST",
        target="/a%20b/x?y=1",
        headers={"X-Forwarded-Proto": "https", "Content-Type": "text/css"},
        body_bytes=5,
    )
    modifier1, size, modifier2 = struct.unpack_from("<BHB", server.received)
    assert (modifier1, modifier2) == (0, 0)
    packed, variables = server.received[4 : 4 + size], []
    while packed:
        (length,) = struct.unpack_from("<H", packed)
        variables.append(packed[2 : 2 + length].decode())
        packed = packed[2 + length :]
    found = dict(zip(variables[::2], variables[1::2], strict=True))
    assert (
        found.items()
        >= {
            "REQUEST_METHOD": "POST",
            "REQUEST_URI": "/a%20b/x?y=1",
            "PATH_INFO": "/a b/x",
            "QUERY_STRING": "y=1",
            "CONTENT_LENGTH": "5",
            "CONTENT_TYPE": "text/css",
            "HTTP_HOST": "a.example",
            "HTTP_X_FORWARDED_PROTO": "https",
        }.items()
    )
    assert (answer["status"], answer["head"]) == (200, "hello")
