# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""One HTTP request, sent byte for byte as it was asked for, and what came back.

Client libraries tidy a target up, merge headers, follow redirects or send a body whatever the
server says meanwhile: all of which a diagnosis is about.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import os
import select
import socket
import ssl
import struct
import time
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _bounded,
    _evidence_masks,
    _site_probe,
)

TIMEOUT_SECONDS = 10.0
BODY_LIMIT_BYTES = 2 * 1024 * 1024
HEAD_LIMIT_BYTES = 64 * 1024
SENT_LIMIT_BYTES = 64 * 1024 * 1024
SHOWN_CHARACTERS = 600
# 431 and its like can have thousands of lines.
HEADERS_LIMIT = 200
_CHUNK = bytes(65536)
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

Facts = dict[str, t.Any]


class RequestError(Exception):
    """A request that can't be made, or an answer that is none, in words."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it is sent.

    :ivar host: for the ``Host`` header and, with TLS, the handshake.
    :ivar headers: in the order in which they are sent, the same name more than once if wanted.
    :ivar body_bytes: length of a body of zero bytes, or ``None`` for none.
    :ivar expect: announces the body only, and asks whether to send it (RFC 9110, 10.1.1).
    :ivar chunked: does not announce the body's length.
    :ivar unix_socket: asked instead of the address.
    :ivar process_id: asked from where this process is: in its network, or where it sees the socket.
    :ivar proxy_protocol: says first whom it is from, as a server that listens with ``proxy_protocol``
        wants it.
    :ivar protocol: ``http``, or ``uwsgi`` as Nginx's ``uwsgi_pass`` speaks.
    """

    address: str = "127.0.0.1"
    port: int = 80
    tls: bool = False
    host: str | None = None
    method: str = "GET"
    target: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body_bytes: int | None = None
    expect: bool = False
    chunked: bool = False
    unix_socket: str | None = None
    process_id: int | None = None
    proxy_protocol: bool = False
    protocol: str = "http"

    @classmethod
    def of(cls, question: t.Mapping[str, t.Any]) -> Request:
        """Read a question.

        :raises RequestError: for one that can't be a request.
        """
        given = {
            field.name: question[field.name]
            for field in dataclasses.fields(cls)
            if question.get(field.name) is not None
        }
        headers = given.pop("headers", ())
        try:
            pairs = headers.items() if isinstance(headers, t.Mapping) else headers
            given["headers"] = tuple((str(name), str(value)) for name, value in pairs)
            for name in ("port", "body_bytes", "process_id"):
                if name in given:
                    given[name] = int(given[name])
        except (TypeError, ValueError) as error:
            raise RequestError(f"the request can't be read: {error}") from error
        request = cls(**given)
        request._check()
        return request

    def _check(self) -> None:
        texts = (self.method, self.target, self.host or "", *(x for y in self.headers for x in y))
        for text in texts:
            if "\r" in text or "\n" in text or "\0" in text:
                raise RequestError(f"{text!r} would end the line that it is sent in")
        if not 0 < self.port < 65536:
            raise RequestError(f"port is {self.port}; there are 1 to 65535")
        if self.protocol not in ("http", "uwsgi"):
            raise RequestError(f"protocol is {self.protocol!r}; known are http and uwsgi")
        if not 0 <= (self.body_bytes or 0) <= SENT_LIMIT_BYTES and not self.expect:
            raise RequestError(
                f"body_bytes is {self.body_bytes}; at most {SENT_LIMIT_BYTES} are sent"
            )


def enter(request: Request) -> None:
    """Go where the request is made from. For use in :func:`_bounded.call`.

    :raises OSError: when nobody lets us.
    :raises _as_user.AsUserError: the same.
    """
    if request.process_id is not None:
        if request.unix_socket is None:
            _join_network(request.process_id)
        else:
            _bounded.in_view(request.process_id, int)


def ask(request: Request, seconds: float = TIMEOUT_SECONDS) -> Facts:
    """Make a request on a connection of its own.

    :return: ``status``, ``reason``, ``headers``, ``length`` and ``sha256`` of the body as far as it
        was read (``is_all``), its beginning as ``head``, whether the request was ``sent`` in full, and
        what went wrong as ``error``.
    :raises _bounded.Unanswered: when we may not connect.
    """
    answer: Facts = {
        "status": None,
        "reason": None,
        "headers": [],
        "length": 0,
        "sha256": None,
        "head": "",
        "is_all": False,
        "error": None,
        "sent": False,
    }
    deadline = time.monotonic() + min(seconds, TIMEOUT_SECONDS)
    try:
        with _connected(request, deadline) as stream:
            _exchange(request, _Connection(stream, deadline), answer)
    except (OSError, ValueError, RequestError, _bounded.Unanswered) as error:
        if isinstance(error, _bounded.Unanswered) and error.is_forbidden:
            raise
        answer["error"] = _words(error, request)
    return answer


def _words(error: Exception, request: Request) -> str:
    if isinstance(error, socket.timeout):
        return f"no answer within {TIMEOUT_SECONDS:.0f} seconds"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    where = request.unix_socket or f"{request.address} port {request.port}"
    if isinstance(error, OSError):
        return f"{where}: {error.strerror or error}"
    if isinstance(error, _bounded.Unanswered):
        return f"{where}: {error}"
    return str(error)


@contextlib.contextmanager
def _connected(request: Request, deadline: float) -> t.Iterator[socket.socket]:
    with _plain(request, deadline) as plain:
        plain.settimeout(_remaining(deadline))
        if request.proxy_protocol:
            # https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt, before the handshake
            plain.sendall(b"PROXY UNKNOWN\r\n")
        if not request.tls:
            yield plain
            return
        context = _site_probe.anyone()
        # What a browser would refuse is a finding, not a reason to see nothing.
        with contextlib.suppress(ssl.SSLError):
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        with context.wrap_socket(plain, server_hostname=_server_name(request)) as stream:
            yield stream


def _server_name(request: Request) -> str | None:
    name = (request.host or "").rpartition("]")[2].split(":")[0].rstrip(".")
    return name or None


def _plain(request: Request, deadline: float) -> socket.socket:
    seconds = _remaining(deadline)
    if request.unix_socket is None:
        if request.process_id is None:
            return socket.create_connection((request.address, request.port), seconds)
        descriptor = _bounded.descriptor_in_view(
            None,
            _connect_there,
            *(request.process_id, request.address, request.port, seconds),
            seconds=seconds + 1,
        )
        return socket.socket(fileno=descriptor)
    descriptor = _bounded.descriptor_in_view(
        request.process_id, _connect_unix, request.unix_socket, seconds=_remaining(deadline)
    )
    return socket.socket(fileno=descriptor)


def _join_network(process_id: int) -> None:
    there = f"/proc/{process_id}/ns/net"
    if os.stat(there).st_ino == os.stat("/proc/self/ns/net").st_ino:
        return
    with open(there, "rb") as network:
        if _libc.setns(network.fileno(), _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), there)


def _connect_there(process_id: int, address: str, port: int, seconds: float) -> int:
    # Not in its view: the C library would load from there what looks names up.
    _join_network(process_id)
    return socket.create_connection((address, port), seconds).detach()


def _connect_unix(path: str) -> int:
    directory, name = os.path.split(path)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if directory.startswith("/"):
            # A path is limited to 107 bytes (unix(7)). This process is ours alone.
            os.chdir(directory)
            path = name
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream.detach()


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise socket.timeout
    return seconds


def _exchange(request: Request, connection: _Connection, answer: Facts) -> None:
    try:
        is_begun = connection.send(_head(request))
        answer["sent"] = is_begun and not request.expect and _send_body(request, connection)
    except OSError as error:
        if isinstance(error, socket.timeout) and not connection.poll():
            raise
        # It was refused before it was read: the answer is there all the same.
        fault: OSError | None = error
    else:
        fault = None
    try:
        _read_answer(request, connection, answer)
    except RequestError:
        if fault is not None:
            raise fault from None
        raise


def _read_answer(request: Request, connection: _Connection, answer: Facts) -> None:
    while True:
        _read_head(connection, answer)
        is_interim = 100 <= answer["status"] < 200 and answer["status"] != 101
        if request.expect or not is_interim:
            break
        answer["headers"] = []
    body = _Body()
    try:
        if not _has_no_body(request, answer["status"]):
            _read_body(connection, answer["headers"], body)
        else:
            body.is_all = True
    finally:
        answer.update(body.facts())
        answer["headers"] = [
            [name, _evidence_masks.header(name, value)] for name, value in answer["headers"]
        ]


def _has_no_body(request: Request, status: int) -> bool:
    # RFC 9112, 6.3
    return request.method == "HEAD" or 100 <= status < 200 or status in (204, 304)


def _head(request: Request) -> bytes:
    headers = list(request.headers)
    named = {name.lower() for name, _unused in headers}
    if request.protocol == "uwsgi":
        return _uwsgi_packet(request, headers)
    if "host" not in named:
        headers.insert(0, ("Host", request.host or request.address))
    if request.chunked and request.body_bytes is not None:
        headers.append(("Transfer-Encoding", "chunked"))
    elif request.body_bytes is not None and "content-length" not in named:
        headers.append(("Content-Length", str(request.body_bytes)))
    if request.expect:
        headers.append(("Expect", "100-continue"))
    if "connection" not in named:
        headers.append(("Connection", "close"))
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    return _raw("".join(f"{line}\r\n" for line in [*lines, ""]))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _uwsgi_packet(request: Request, headers: t.Sequence[tuple[str, str]]) -> bytes:
    """https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html, with what Nginx's uwsgi_params names."""
    path, _unused, query = request.target.partition("?")
    variables = {
        "REQUEST_METHOD": request.method,
        "REQUEST_URI": request.target,
        "PATH_INFO": urllib.parse.unquote(path, "utf-8", "surrogateescape"),
        "QUERY_STRING": query,
        "CONTENT_TYPE": "",
        "CONTENT_LENGTH": "" if request.body_bytes is None else str(request.body_bytes),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": request.host or request.address,
        "SERVER_PORT": str(request.port),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
        "HTTP_HOST": request.host or request.address,
    }
    for name, value in headers:
        key = name.upper().replace("-", "_")
        variables[key if key.startswith("CONTENT_") else f"HTTP_{key}"] = value
    packed = b""
    for name, value in variables.items():
        for part in (_raw(name), _raw(value)):
            packed += struct.pack("<H", min(len(part), 65535)) + part
    if len(packed) > 65535:
        raise RequestError("the request is longer than the uwsgi protocol allows")
    return struct.pack("<BHB", 0, len(packed), 0) + packed


def _send_body(request: Request, connection: _Connection) -> bool:
    """Send zero bytes until all are sent, or an answer comes before."""
    left = request.body_bytes or 0
    is_chunked = request.chunked and request.protocol == "http" and request.body_bytes is not None
    while left:
        part = _CHUNK[: min(left, len(_CHUNK))]
        left -= len(part)
        framed = b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part
        if not connection.send(framed):
            return False
    if is_chunked:
        return connection.send(b"0\r\n\r\n")
    return True


class _Connection:
    """A stream with what was read ahead from it; all within a time."""

    def __init__(self, stream: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self._ahead = b""

    def send(self, raw: bytes) -> bool:
        """Send all, unless an answer comes meanwhile: then ``False``."""
        view = memoryview(raw)
        while view:
            if self.poll():
                return False
            seconds = _remaining(self._deadline)
            readable, writable, _unused = select.select([self._stream], [self._stream], [], seconds)
            if not readable and not writable:
                raise socket.timeout
            if writable:
                self._stream.settimeout(seconds)
                view = view[self._stream.send(view) :]
        return True

    def poll(self) -> bool:
        """Return whether there is an answer, or the end of one, without waiting."""
        if self._ahead:
            return True
        self._stream.setblocking(False)
        try:
            self._ahead = self._stream.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        finally:
            self._stream.setblocking(True)
        # Nothing is the end: whatever is sent now is lost.
        return True

    def more(self) -> bytes:
        """Return what comes next, or ``b""`` at the end."""
        if self._ahead:
            raw, self._ahead = self._ahead, b""
            return raw
        self._stream.settimeout(_remaining(self._deadline))
        try:
            return self._stream.recv(65536)
        except ssl.SSLEOFError:
            # Closed without a word, as many servers do.
            return b""

    def unread(self, raw: bytes) -> None:
        """Give back what is not wanted yet."""
        self._ahead = raw + self._ahead

    def line(self, limit: int) -> bytes:
        """Return a line with its end, or what there is of it."""
        raw = b""
        while b"\n" not in raw:
            if len(raw) > limit:
                raise RequestError(f"the answer has a line of more than {limit} bytes")
            more = self.more()
            if not more:
                return raw
            raw += more
        found, separator, rest = raw.partition(b"\n")
        self.unread(rest)
        return found + separator


def _read_head(connection: _Connection, answer: Facts) -> None:
    line = connection.line(HEAD_LIMIT_BYTES)
    if not line:
        raise RequestError("the connection was closed without an answer")
    words = line.decode("latin-1").rstrip("\r\n").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise RequestError(f"the answer is no HTTP: {line[:60].decode('latin-1')!r}")
    answer["status"], answer["reason"] = int(words[1]), words[2] if len(words) > 2 else ""
    read = 0
    while True:
        line = connection.line(HEAD_LIMIT_BYTES)
        read += len(line)
        if line in (b"\r\n", b"\n"):
            return
        if not line.endswith(b"\n") or read > HEAD_LIMIT_BYTES:
            raise RequestError(
                f"the answer ends within its headers, or they are more than {HEAD_LIMIT_BYTES} bytes"
            )
        name, _unused, value = line.decode("latin-1").rstrip("\r\n").partition(":")
        if len(answer["headers"]) < HEADERS_LIMIT:
            answer["headers"].append([name.strip(), value.strip()])


class _Body:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._head = b""
        self._length = 0
        self.is_all = False

    @property
    def is_full(self) -> bool:
        return self._length >= BODY_LIMIT_BYTES

    def add(self, raw: bytes) -> None:
        raw = raw[: BODY_LIMIT_BYTES - self._length]
        self._hash.update(raw)
        self._head += raw[: max(0, 4 * SHOWN_CHARACTERS - len(self._head))]
        self._length += len(raw)

    def facts(self) -> Facts:
        # Masked before it is cut, or half a secret could be left that is not known as one.
        shown = _evidence_masks.body(self._head.decode("latin-1"))[:SHOWN_CHARACTERS]
        return {
            "length": self._length,
            "sha256": self._hash.hexdigest(),
            "head": shown,
            "is_all": self.is_all,
        }


def _read_body(connection: _Connection, headers: list[list[str]], body: _Body) -> None:
    """Read as RFC 9112, 6.3 tells where it ends, and no more than is looked at."""
    values: dict[str, str] = {name.lower(): value for name, value in headers}
    if "chunked" in values.get("transfer-encoding", "").lower():
        _read_chunks(connection, body)
        return
    announced = values.get("content-length", "")
    left = int(announced) if announced.isdigit() else None
    while (left is None or left > 0) and not body.is_full:
        raw = connection.more()
        if not raw:
            if left is not None:
                raise RequestError(f"the answer ends {left} bytes before its Content-Length")
            break
        if left is not None:
            raw = raw[:left]
            left -= len(raw)
        body.add(raw)
    body.is_all = not left and not (left is None and body.is_full)


def _read_chunks(connection: _Connection, body: _Body) -> None:
    while not body.is_full:
        line = connection.line(4096)
        try:
            left = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise RequestError("the answer ends within its chunks") from None
        if left == 0:
            body.is_all = True
            return
        # The line that ends a chunk is read with it.
        left += 2
        while left > 0:
            raw = connection.more()
            if not raw:
                raise RequestError("the answer ends within a chunk")
            connection.unread(raw[left:])
            body.add(raw[: max(0, left - 2)])
            left -= len(raw[:left])
            if body.is_full:
                return
