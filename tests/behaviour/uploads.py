"""Pictures uploaded through the app's own page, and whether they are still there.

``uploads.py save FILE [COUNT]`` uploads pictures and writes {URL: SHA-256} to FILE;
``uploads.py check FILE`` fetches them again, fails and names what is lost or changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import hosts
from raw_http import Connection, Response

# Below the prefix that the app is under.
UPLOAD_PAGE = "/upload"
GALLERY_PAGE = "/"


class UploadError(Exception):
    """The app did not take a picture, or Nginx does not serve what it took."""


@dataclass
class Page(HTMLParser):
    """The upload form of a page, and the links of any."""

    action: str = ""
    file_field: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "form" and found.get("enctype") == "multipart/form-data":
            self.action = found.get("action", "")
        elif tag == "input" and found.get("type") == "file":
            self.file_field = found.get("name", "")
        elif tag == "input" and found.get("type") == "hidden":
            self.fields[found.get("name", "")] = found.get("value", "")
        elif tag in ("a", "img"):
            self.links.append(found.get("href") or found.get("src") or "")


class Visitor:
    """A browser's memory: a connection and the site's cookies."""

    def __init__(self, site: hosts.Site) -> None:
        self.site = site
        self.connection: Connection = site.connection()
        self._cookies: dict[str, str] = {}

    def ask(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        send = {"Accept": "text/html", **(headers or {})}
        if self._cookies:
            send["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        response = self.connection.request(method, target, send, body)
        for cookie in response.all("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        return response

    def page(self, url: str) -> Page:
        response = self.ask("GET", url)
        if response.status != 200:
            raise UploadError(f"GET {url}: {response}")
        page = Page()
        page.feed(response.body.decode())
        return page

    def url(self, own: str) -> str:
        """Where the public finds what the app itself has at ``own``."""
        return self.site.url_prefix + own.removeprefix("/")

    def media(self) -> set[str]:
        """URLs of media on the gallery's first page, where the newest are."""
        links = {
            urlsplit(urljoin("/", link)).path for link in self.page(self.url(GALLERY_PAGE)).links
        }
        return {link for link in links if link.startswith(self.site.media_url)}

    def upload(self, picture: bytes, name: str = "picture.png") -> set[str]:
        """Send a picture through the form; the URLs that it brought."""
        before = self.media()
        page = self.url(UPLOAD_PAGE)
        form = self.page(page)
        if not form.file_field:
            raise UploadError(f"{page} has no form with a file field")
        content_type, body = multipart(form.fields, form.file_field, name, picture)
        target = urljoin(page, form.action)
        response = self.ask("POST", target, {"Content-Type": content_type}, body)
        if response.status not in (201, 302, 303):
            raise UploadError(f"POST {target}: {response}")
        return self.media() - before


def picture(width: int = 64, height: int = 48) -> bytes:
    """A PNG that was never seen before: from one random colour at the top to another."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    top, bottom = os.urandom(3), os.urandom(3)
    rows = b""
    for y in range(height):
        colour = (a + (b - a) * y // height for a, b in zip(top, bottom, strict=True))
        rows += b"\0" + bytes(colour) * width
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def save(site: hosts.Site, count: int) -> dict[str, str]:
    """Upload pictures; SHA-256 by URL of all that came of them, thumbnails too."""
    visitor = Visitor(site)
    found: dict[str, str] = {}
    for _ in range(count):
        sent = picture()
        new = {url: digest(fetch(site, url)) for url in visitor.upload(sent)}
        if digest(sent) not in new.values():
            raise UploadError(f"the picture sent is at none of the new URLs {sorted(new)}")
        found |= new
    visitor.connection.close()
    return found


def check(site: hosts.Site, saved: Mapping[str, str]) -> dict[str, str]:
    """What became of those that are not as they were; empty if all is well."""
    wrong = {}
    for url, expected in saved.items():
        try:
            if digest(fetch(site, url)) != expected:
                wrong[url] = "its bytes have changed"
        except UploadError as error:
            wrong[url] = str(error)
    return wrong


def fetch(site: hosts.Site, url: str) -> bytes:
    """The file, which must come from Nginx itself."""
    with site.connection() as connection:
        response = connection.request("GET", url)
    if response.status != 200 or not response.nginx_served_a_file:
        raise UploadError(f"GET {url}: {response}")
    return response.body


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def multipart(
    fields: Mapping[str, str], file_field: str, name: str, data: bytes
) -> tuple[str, bytes]:
    boundary = uuid.uuid4().hex
    disposition = "Content-Disposition: form-data; name="
    parts = [f'{disposition}"{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    head = f'{disposition}"{file_field}"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    parts.append(head.encode() + data + b"\r\n")
    body = b"".join(f"--{boundary}\r\n".encode() + part for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + f"--{boundary}--\r\n".encode()


def main(arguments: list[str]) -> int:
    command, path = arguments[0], Path(arguments[1])
    site = hosts.site_from_environment()
    if command == "save":
        count = int(arguments[2]) if len(arguments) > 2 else 5
        saved = save(site, count)
        path.write_text(json.dumps(saved, indent=2) + "\n")
        print(f"{count} pictures uploaded, {len(saved)} files served by Nginx")
        return 0
    wrong = check(site, json.loads(path.read_text()))
    for url, what in wrong.items():
        print(f"{url}: {what}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in ("save", "check"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
