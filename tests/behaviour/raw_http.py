"""An HTTP/1.1 client that sends what it is told.

curl and Python's clients resolve ``..`` and escape what they find odd before anything is sent.
Here the request target goes out byte for byte, and headers come back as a list, so that one
that was sent twice is seen twice.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import BinaryIO, Self

# (IP address, port), or the path of a unix socket.
Address = tuple[str, int] | str

# What ngx_http_set_etag() writes: hex mtime, hex size. Werkzeug's has three decimal parts.
NGINX_ETAG = re.compile(r'(W/)?"[0-9a-f]+-[0-9a-f]+"')


class ProtocolError(Exception):
    """The peer's answer is no HTTP response, or ended before it was complete."""


@dataclass(frozen=True)
class Response:
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")

    @property
    def nginx_served_a_file(self) -> bool:
        return bool(NGINX_ETAG.fullmatch(self.first("ETag")))

    def __str__(self) -> str:
        head = "".join(f"\n  {key}: {value}" for key, value in self.headers)
        return f"{self.status} {self.reason}{head}\n  ({len(self.body)} bytes) {self.body[:120]!r}"


class Connection:
    """One connection, kept alive while the server agrees and opened anew when it does not.

    With ``tls`` it is made by that context, to the name that is asked for.
    """

    def __init__(
        self,
        address: Address,
        host: str,
        timeout_seconds: float = 20.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        self.address = address
        self.host = host
        self.timeout_seconds = timeout_seconds
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._reader = self._socket = None

    def request(
        self,
        method: str,
        target: str | bytes,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        message = encode(method, target, {"Host": self.host, **(headers or {})}, body)
        reused = self._socket is not None
        try:
            return self._exchange(method, message)
        except (ConnectionError, EOFError):
            self.close()
            # A server may close a kept connection at any moment (RFC 9112, 9.5); a fresh one
            # that closes without an answer is a fault.
            if not reused:
                raise
        try:
            return self._exchange(method, message)
        except BaseException:
            self.close()
            raise

    def _exchange(self, method: str, message: bytes) -> Response:
        if self._socket is None:
            self._open()
        assert self._socket is not None and self._reader is not None
        self._socket.sendall(message)
        response, keep = read_response(self._reader, method)
        if not keep:
            self.close()
        return response

    def _open(self) -> None:
        if isinstance(self.address, str):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(self.timeout_seconds)
            self._socket.connect(self.address)
        else:
            self._socket = socket.create_connection(self.address, self.timeout_seconds)
            if self.tls is not None:
                self._socket = self.tls.wrap_socket(self._socket, server_hostname=self.host)
        self._reader = self._socket.makefile("rb")


def request(
    address: Address,
    host: str,
    method: str,
    target: str | bytes,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Response:
    """One request on a connection of its own."""
    with Connection(address, host) as connection:
        return connection.request(method, target, headers, body)


def encode(method: str, target: str | bytes, headers: Mapping[str, str], body: bytes) -> bytes:
    if isinstance(target, str):
        target = target.encode("utf-8")
    if body or method in ("POST", "PUT", "PATCH"):
        headers = {**headers, "Content-Length": str(len(body))}
    lines = [method.encode("ascii") + b" " + target + b" HTTP/1.1"]
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def read_response(reader: BinaryIO, method: str) -> tuple[Response, bool]:
    """The next final response, and whether the connection may be used again."""
    head, keep = read_head(reader)
    while head.status < 200:
        head, keep = read_head(reader)
    if has_no_body(method, head.status):
        return head, keep
    if "chunked" in head.first("Transfer-Encoding").lower():
        body = _chunked(reader)
    elif head.all("Content-Length"):
        body = _exactly(reader, int(head.first("Content-Length")))
    else:
        body, keep = reader.read(), False
    return replace(head, body=body), keep


def read_head(reader: BinaryIO) -> tuple[Response, bool]:
    """The next response without its body, and whether the connection outlives it."""
    version, status, reason = _status_line(reader)
    head = Response(status, reason, tuple(_headers(reader)), b"")
    connection = head.first("Connection").lower()
    keep = connection != "close" and (version == "HTTP/1.1" or connection == "keep-alive")
    return head, keep


def has_no_body(method: str, status: int) -> bool:
    return method == "HEAD" or status in (204, 304)


def _status_line(reader: BinaryIO) -> tuple[str, int, str]:
    line = _line(reader)
    match = re.fullmatch(r"(HTTP/1\.[01]) ([1-5][0-9][0-9])(?: (.*))?", line)
    if match is None:
        raise ProtocolError(f"not a status line: {line[:80]!r}")
    return match[1], int(match[2]), match[3] or ""


def _headers(reader: BinaryIO) -> list[tuple[str, str]]:
    found = []
    while line := _line(reader):
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ProtocolError(f"not a header: {line[:80]!r}")
        found.append((name, value.strip()))
    return found


def _line(reader: BinaryIO) -> str:
    line = reader.readline(65537)
    if not line:
        raise EOFError("the connection was closed without a response")
    if not line.endswith(b"\n"):
        raise ProtocolError(f"an unfinished line: {line[:80]!r}")
    return line.rstrip(b"\r\n").decode("latin-1")


def _exactly(reader: BinaryIO, size: int) -> bytes:
    body = reader.read(size)
    if len(body) != size:
        raise ProtocolError(f"the body ended after {len(body)} of {size} bytes")
    return body


def _chunked(reader: BinaryIO) -> bytes:
    parts = []
    while size := int(_line(reader).partition(";")[0], 16):
        parts.append(_exactly(reader, size))
        _exactly(reader, 2)
    while _line(reader):
        pass
    return b"".join(parts)
