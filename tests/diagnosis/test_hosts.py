"""The healthy hosts are healthy: asked over HTTP, without the collection."""

from __future__ import annotations

import contextlib
import http.client
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import machine
import pytest


@dataclass(frozen=True)
class Site:
    """What visitors are told of a site, and what they are not."""

    shape: str
    url: str
    media: str
    static: str
    prefix: str = ""


SITES = [
    Site("sites_enabled", "http://guestbook.example.com", "/media/", "/static/"),
    Site("snippets", "https://guestbook.example.com", "/media/", "/static/"),
    Site("uwsgi", "http://guestbook.example.com", "/files/", "/static/"),
    Site("prefix_stripped", "http://example.com", "/media/", "/static/", "/guestbook"),
    Site(
        "prefix_script_name", "http://guestbook.example.com", "/uploads/", "/static/", "/guestbook"
    ),
    Site("headers", "http://guestbook.example.com", "/media/", "/static/"),
    Site("bare_process", "http://guestbook.example.com", "/uploads/", "/static/"),
    Site("accel", "http://guestbook.example.com", "/media/", "/static/"),
    Site("many_sites", "http://guestbook.example.com", "/media/", "/static/"),
    Site("many_sites", "http://ledger.example.com:8080", "/media/", "/static/"),
    Site("default_acl", "http://guestbook.example.com", "/media/", "/static/"),
    Site("docker", "http://guestbook.example.com", "/media/", "/static/"),
]

SECONDS = 30
# A worker's user, groups and all
AS_NGINX = (
    "user=$(ps -o user= -C nginx | grep -v root | head -1);"
    ' setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups'
)
BOUNDARY = "diagnosis-7a1d3c"

# Nginx's is of time and size, Werkzeug's has a third part.
NGINX_ETAG = re.compile(r'"[0-9a-f]{8}-[0-9a-f]+"')


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Visitor:
    def __init__(self, site: Site, host: machine.Machine) -> None:
        self.site, self.host = site, host
        inspected = ("inspect", "--format={{.NetworkSettings.IPAddress}}", host.container)
        self._address = machine.docker(*inspected).strip()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers)

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Ask for a path as it is: neither ``..`` nor an escape is made plain."""
        url = urlsplit(self.site.url)
        connection: http.client.HTTPConnection
        if url.scheme == "https":
            # Its certificate is its own.
            unverified = ssl.create_default_context()
            unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                self._address, url.port or 443, timeout=SECONDS, context=unverified
            )
        else:
            connection = http.client.HTTPConnection(self._address, url.port or 80, timeout=SECONDS)
        with contextlib.closing(connection):
            sent = {"Host": url.netloc, **({"Content-Length": str(len(body))} if body else {})}
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**sent, **headers}.items():
                connection.putheader(name, value)
            # What is too large is refused by its announced size, before all of it is sent.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body)
            response = connection.getresponse()
            got = [(name.lower(), value) for name, value in response.getheaders()]
            assert len(dict(got)) == len(got), f"twice in {got}"
            return Answer(response.status, dict(got), response.read().decode())

    def upload(self, name: str, content: bytes) -> Answer:
        """Send a file through the app, as a form does."""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.request("POST", f"{self.site.prefix}/upload", kind, body)

    def uploaded(self, name: str, content: bytes) -> str:
        """Send a file, and return the URL path that the app tells."""
        answer = self.upload(name, content)
        assert answer.status == 201, answer
        return answer.body.strip()


@pytest.fixture(
    scope="module",
    params=SITES,
    ids=lambda site: f"{site.shape}-{urlsplit(site.url).hostname}",
)
def visitor(request: pytest.FixtureRequest) -> Iterator[Visitor]:
    with machine.healthy(machine.SHAPES[request.param.shape]) as host:
        yield Visitor(request.param, host)


def test_pages_and_all_that_they_link_to(visitor: Visitor) -> None:
    for page in (f"{visitor.site.prefix}/", f"{visitor.site.prefix}/admin/"):
        answer = visitor.get(page)
        assert answer.status == 200
        links = re.findall(r'(?:href|src)="([^"]+)"', answer.body)
        assert links
        for link in links:
            path = link.removeprefix(visitor.site.url)
            assert path.startswith(f"{visitor.site.prefix}/"), link
            linked = visitor.get(path)
            assert linked.status == 200, link
            if "/static/" in path:
                assert NGINX_ETAG.fullmatch(linked.headers["etag"]), link
                assert linked.headers["x-content-type-options"] == "nosniff", link


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("css/site.css", {"text/css"}),
        ("js/site.js", {"text/javascript", "application/javascript"}),
        ("js/module.mjs", {"text/javascript", "application/javascript"}),
        ("img/logo.svg", {"image/svg+xml"}),
    ],
)
def test_static_types(visitor: Visitor, name: str, types: set[str]) -> None:
    answer = visitor.get(f"{visitor.site.prefix}{visitor.site.static}{name}")
    assert answer.headers["content-type"].partition(";")[0] in types


@pytest.mark.parametrize(
    ("name", "content", "is_active"),
    [
        ("cat.txt", "hello", False),
        ("page.html", "<script>alert(1)</script>", True),
        ("drawing.svg", '<svg onload="alert(1)"/>', True),
    ],
)
def test_upload_comes_back(visitor: Visitor, name: str, content: str, is_active: bool) -> None:
    path = visitor.uploaded(name, content.encode())
    assert path.startswith(f"{visitor.site.prefix}{visitor.site.media}")
    answer = visitor.get(path)
    assert (answer.status, answer.body) == (200, content)
    assert NGINX_ETAG.fullmatch(answer.headers["etag"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    if is_active:
        assert (
            answer.headers["content-type"] == "application/octet-stream"
            or answer.headers["content-disposition"] == "attachment"
        )
    again = visitor.get(path, **{"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
    assert "content-disposition" not in again.headers or "content-disposition" in answer.headers


def test_large_upload_is_taken_and_larger_is_refused(visitor: Visitor) -> None:
    assert visitor.upload("large.bin", bytes(4_000_000)).status == 201
    assert visitor.upload("larger.bin", bytes(40_000_000)).status == 413


@pytest.mark.parametrize("of", ["static", "media"])
def test_what_is_not_there(visitor: Visitor, of: str) -> None:
    prefix = f"{visitor.site.prefix}{getattr(visitor.site, of)}"
    answer = visitor.get(f"{prefix}no-such-file.css")
    assert answer.status == 404
    assert answer.headers.get("cache-control", "no-store") == "no-store"
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("of", ["static", "media"])
@pytest.mark.parametrize(
    "tail", ["", ".env", ".git/config", "../wsgi.py", "%2e%2e/wsgi.py", "../../../../etc/passwd"]
)
def test_what_is_nobodys_business(visitor: Visitor, of: str, tail: str) -> None:
    prefix = f"{visitor.site.prefix}{getattr(visitor.site, of)}"
    for path in (f"{prefix}{tail}", f"{prefix.removesuffix('/')}{tail}"):
        assert visitor.get(path).status in {301, 302, 400, 403, 404}, path


def test_uploads_are_closed_and_dotfiles_among_them_hidden(visitor: Visitor) -> None:
    path = visitor.uploaded("modes.txt", b"modes")
    # In a container it lies elsewhere, so it is looked for.
    file = visitor.host.script(f"find / -xdev -name '{path.rpartition('/')[2]}'").strip()
    mode = int(visitor.host.script(f"stat --format=%a '{file}'"), 8)
    assert not mode & 0o133, "others can write it, or somebody can run it"
    for command in (f"test -w {file}", f"test -w {file.rpartition('/')[0]}"):
        assert visitor.host.script(f"{AS_NGINX} {command} && echo can || true") == ""
    hidden = file.rpartition("/")[0] + "/.env.png"
    visitor.host.script(f"cp --preserve=all '{file}' '{hidden}'")
    hidden_path = f"{path.rpartition('/')[0]}/.env.png"
    assert visitor.get(hidden_path).status in {403, 404}


def test_download_is_sent_by_nginx_and_only_through_the_app() -> None:
    site = next(site for site in SITES if site.shape == "accel")
    with machine.healthy(machine.SHAPES[site.shape]) as host:
        visitor = Visitor(site, host)
        answer = visitor.get("/download/page.html")
        assert (answer.status, answer.headers["content-disposition"]) == (200, "attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert NGINX_ETAG.fullmatch(answer.headers["etag"])
        assert visitor.get("/protected/page.html").status == 404
