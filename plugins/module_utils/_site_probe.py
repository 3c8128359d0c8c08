# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a site answers to a handshake by name, to a length before there is a body, and to requests.

``ansible.builtin.uri`` can ask neither of the first: it names no host where it is given an address, and
it sends a body in full. Of the last it makes one a run of it.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.module_utils._certificate import (
    PARTIAL_CHAIN,
)

TIMEOUT_SECONDS = 10
_HEADERS = ("etag", "content_length", "content_type", "content_disposition", "location")
_LINE_BYTES = 4096


def handshake(address: str, port: int, name: str, trusted: str) -> dict[str, t.Any]:
    """Return what a browser gets that asks for a name.

    :param trusted: the certificate that has to be presented; whoever has signed it is not asked.
    :return: ``error`` (``None`` for none), ``version`` of TLS, and ``protocol``, ``h2`` or ``http/1.1``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VerifyFlags(PARTIAL_CHAIN)
    context.set_alpn_protocols(["h2", "http/1.1"])
    answer: dict[str, t.Any] = {"name": name, "error": None, "version": None, "protocol": None}
    try:
        context.load_verify_locations(trusted)
        with _connected(address, port, name, context) as stream:
            answer.update(version=stream.version(), protocol=stream.selected_alpn_protocol())
    except ssl.SSLCertVerificationError as error:
        answer["error"] = error.verify_message
    except OSError as error:
        answer["error"] = error.strerror or str(error)
    return answer


def body_answer(
    address: str, port: int, name: str, path: str, size: int, is_tls: bool
) -> dict[str, t.Any]:
    """Return the first status that is answered to the announcement of a body.

    With ``Expect`` the server says 100 to have it sent, or refuses it (RFC 9110, 10.1.1). Nginx does
    so by itself and by its own limit, before the app knows of the request. Nothing is sent then.

    :return: ``status``, or ``None`` and an ``error``.
    """
    answer: dict[str, t.Any] = {"path": path, "size": size, "status": None, "error": None}
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {name}\r\nContent-Length: {size}\r\n"
        "Content-Type: application/octet-stream\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    try:
        with (
            _connected(address, port, name, anyone() if is_tls else None) as stream,
            stream.makefile("rb") as reader,
        ):
            stream.sendall(head.encode("ascii"))
            line = reader.readline(_LINE_BYTES)
    except OSError as error:
        return {**answer, "error": error.strerror or str(error)}
    words = line.split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return {**answer, "error": "the connection was closed without an answer"}
    return {**answer, "status": int(words[1])}


def response(address: str, port: int, request: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what ``ansible.builtin.uri`` would, of a request that names its host to TLS, too.

    By an address alone Nginx would make the handshake of another server block, which may refuse it.

    :param request: its ``url``, ``headers`` with the ``Host``, and a ``unix_socket`` to be asked in place of
        the site.
    """
    url = urllib.parse.urlsplit(request["url"])
    target = url.path + (f"?{url.query}" if url.query else "")
    name = request["headers"]["Host"]
    context = anyone() if url.scheme == "https" else None
    unix_socket = request.get("unix_socket")
    connection = (
        _connected_to_socket(unix_socket)
        if unix_socket
        else _connected(url.hostname or address, url.port or port, name, context)
    )
    client = http.client.HTTPConnection(name, timeout=TIMEOUT_SECONDS)
    try:
        with connection as stream:
            client.sock = stream
            client.request("GET", target, headers=dict(request["headers"]))
            answer = client.getresponse()
            body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return {"item": dict(request), "status": -1, "msg": str(error)}
    finally:
        client.close()
    charset = answer.headers.get_content_charset("utf-8")
    try:
        content = body.decode(charset, "replace")
    except LookupError:
        content = body.decode("utf-8", "replace")
    headers = {key.lower().replace("-", "_"): value for key, value in answer.getheaders()}
    return {
        **{key: headers[key] for key in _HEADERS if key in headers},
        "item": dict(request),
        "status": answer.status,
        "content": content,
    }


@contextlib.contextmanager
def _connected_to_socket(path: str) -> t.Iterator[t.Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(TIMEOUT_SECONDS)
        stream.connect(path)
        yield stream


def anyone() -> ssl.SSLContext:
    """Return a client that trusts whoever answers: visitors' trust is not proven by it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _connected(
    address: str, port: int, name: str, context: ssl.SSLContext | None
) -> t.Iterator[t.Any]:
    with socket.create_connection((address, port), TIMEOUT_SECONDS) as plain:
        if context is None:
            yield plain
        else:
            with context.wrap_socket(plain, server_hostname=name) as stream:
                yield stream
