"""Let Nginx send the private files that the app answers with.

Werkzeug names such a file by ``X-Sendfile: /path``, where USE_X_SENDFILE is set. Nginx knows only
``X-Accel-Redirect``, with the URL of a location that visitors can't ask for. Which directory is
which location is said by the server's configuration, and never by a request: Rack took it from
request headers (CVE-2025-61780).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Nginx makes its own of these for the file that it sends, or drops them.
REPLACED = (
    "accept-ranges",
    "cache-control",
    "content-length",
    "content-range",
    "etag",
    "last-modified",
)

# Nginx has them too, and judges them by the file. A 304 or 412 of the app's would be about another
# ETag, and have none of the headers that protect, not even in a cache that already has them:
# https://www.rfc-editor.org/rfc/rfc9111#section-4.3.4
JUDGED_BY_NGINX = (
    "HTTP_IF_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_RANGE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_RANGE",
)

BLOCK_BYTES = 64 * 1024

Headers = list[tuple[str, str]]


def init_app(app: Flask) -> None:
    """Use it if ``MEDIA_AREAS`` has an area whose ``access`` is ``accel``."""
    areas = {
        url: area
        for url, area in (app.config.get("MEDIA_AREAS") or {}).items()
        if area["access"] == "accel"
    }
    if areas:
        app.config["USE_X_SENDFILE"] = True
        app.wsgi_app = XAccelRedirect(app.wsgi_app, areas)  # type: ignore[method-assign]


class XAccelRedirect:
    """WSGI middleware that turns ``X-Sendfile`` into ``X-Accel-Redirect``.

    :param areas: by URL, each with ``root``, ``accel_location``, ``cache_control``, and
        ``inline_types``, outside of which every file becomes a download; ``accel_pdf_location``
        is where Nginx sends the same files without a sandbox, in which no viewer shows PDF.
    """

    def __init__(self, app: WSGIApplication, areas: Mapping[str, Mapping[str, Any]]) -> None:
        self.app = app
        self.urls = tuple(areas)
        self.areas = list(areas.values())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        bodies: list[Iterable[bytes]] = []

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            path = next((value for name, value in headers if name.lower() == "x-sendfile"), None)
            if path is not None:
                headers = [pair for pair in headers if pair[0].lower() != "x-sendfile"]
                status, headers, body = self._send(environ, path, status, headers)
                bodies[:] = [body]
            return start_response(status, headers, exc_info)

        reads = environ["REQUEST_METHOD"] in ("GET", "HEAD")
        if reads and environ.get("PATH_INFO", "").startswith(self.urls):
            for name in JUDGED_BY_NGINX:
                environ.pop(name, None)
        answer = self.app(environ, start)
        if not bodies:
            return answer
        # The app's own body is empty, since X-Sendfile stands for it.
        return ClosingIterator(bodies[0], getattr(answer, "close", None))

    def _send(
        self, environ: WSGIEnvironment, path: str, status: str, headers: Headers
    ) -> tuple[str, Headers, Iterable[bytes]]:
        real = os.path.realpath(path)
        for area in self.areas:
            root = os.path.realpath(area["root"])
            if _lies_in(real, root):
                return status, _redirected(headers, area, os.path.relpath(real, root)), ()
            if _lies_in(os.path.normpath(path), os.path.normpath(area["root"])):
                # A link leads out of the area. Nginx would not follow it, and neither do we.
                return "404 Not Found", [("Content-Length", "0")], ()
        return status, headers, _streamed(environ, path, status, headers)


def _lies_in(path: str, root: str) -> bool:
    return path.startswith(root.rstrip(os.sep) + os.sep)


def _redirected(headers: Headers, area: Mapping[str, Any], name: str) -> Headers:
    kept = [pair for pair in headers if pair[0].lower() not in REPLACED]
    found = {key.lower(): value for key, value in kept}
    media_type = found.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in area["inline_types"]:
        # Of "inline; filename=…" the file's name is kept.
        parameters = found.get("content-disposition", "").partition(";")[1:]
        kept = [pair for pair in kept if pair[0].lower() != "content-disposition"]
        kept.append(("Content-Disposition", "attachment" + "".join(parameters)))
    location = area["accel_location"]
    if media_type == "application/pdf" and media_type in area["inline_types"]:
        location = area.get("accel_pdf_location") or location
    return [
        *kept,
        # Nginx reads it as a URL: an unescaped '%' or '?' in a name would make it another's.
        ("X-Accel-Redirect", location + quote(os.fsencode(name))),
        ("Cache-Control", area["cache_control"]),
        ("Content-Length", "0"),
    ]


def _streamed(
    environ: WSGIEnvironment, path: str, status: str, headers: Headers
) -> Iterable[bytes]:
    """Send a file of no area as Flask does without USE_X_SENDFILE."""
    code = int(status.split(None, 1)[0])
    if environ["REQUEST_METHOD"] == "HEAD" or code not in (200, 206):
        return ()
    part = re.match(r"bytes (\d+)-(\d+)/", dict(headers).get("Content-Range", ""))
    if code == 206 and part:
        return _bytes_of(path, int(part[1]), int(part[2]) + 1)
    return _bytes_of(path, 0, os.stat(path).st_size)


def _bytes_of(path: str, begin: int, end: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(begin)
        while begin < end and (data := file.read(min(end - begin, BLOCK_BYTES))):
            begin += len(data)
            yield data
