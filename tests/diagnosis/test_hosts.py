"""The healthy hosts are healthy: asked by curl, without the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

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

# Nginx's is of time and size, Werkzeug's has a third part.
NGINX_ETAG = re.compile(r'"[0-9a-f]{8}-[0-9a-f]+"')


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class Visitor:
    def __init__(self, site: Site, host: machine.Machine) -> None:
        self.site, self._host = site, host

    def get(self, path: str, options: str = "") -> Answer:
        text = self._host.script(f"site={self.site.url}\nfetch '{path}' {options}")
        head, _, body = text.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.splitlines()
        named = [line.partition(": ") for line in lines]
        assert len({name.lower() for name, _, _ in named}) == len(named), f"twice in {head}"
        headers = {name.lower(): value for name, _, value in named}
        return Answer(int(first.split()[1]), headers, body)

    def upload(self, name: str, content: str) -> str:
        """Send a file through the app, and return its URL path."""
        self._host.script(f"printf '%s' '{content}' > '/tmp/{name}'")
        path = f"{self.site.prefix}/upload"
        answer = self.get(path, f"-F 'file=@/tmp/{name}' -H 'Expect:'")
        assert answer.status == 201, answer
        return answer.body.strip()


@pytest.fixture(
    scope="module", params=SITES, ids=lambda site: site.url.rpartition("//")[2] + "-" + site.shape
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
    path = visitor.upload(name, content)
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
    again = visitor.get(path, f"-H 'If-None-Match: {answer.headers['etag']}'")
    assert again.status == 304
    assert "content-disposition" not in again.headers or "content-disposition" in answer.headers


def test_large_upload_is_taken_and_larger_is_refused(visitor: Visitor) -> None:
    path = f"{visitor.site.prefix}/upload"
    taken = "-F 'file=@-;filename=large.txt' < /tmp/large"
    visitor._host.script("head --bytes=4000000 /dev/zero > /tmp/large")
    assert visitor.get(path, f"-H Expect: {taken}").status == 201
    visitor._host.script("head --bytes=40000000 /dev/zero > /tmp/large")
    assert visitor.get(path, taken).status == 413


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


def test_nginx_can_read_media_and_write_none(visitor: Visitor) -> None:
    path = visitor.upload("modes.txt", "modes")
    name = path.rpartition("/")[2]
    # In a container it lies elsewhere, so it is looked for.
    found = visitor._host.script(f"find / -xdev -name '{name}' -printf '%m %p\\n'").split()
    assert found
    mode = int(found[0], 8)
    assert not mode & 0o133, "others can write it, or somebody can run it"
    user = visitor._host.script("ps -o user= -C nginx | grep --invert-match root | head -1").strip()
    may_write = f"if setpriv --reuid {user} --regid {user} --init-groups test -w {found[1]}; then echo may; fi"
    assert not visitor._host.script(may_write)


def test_download_is_sent_by_nginx_and_only_through_the_app() -> None:
    site = next(site for site in SITES if site.shape == "accel")
    with machine.healthy(machine.SHAPES[site.shape]) as host:
        visitor = Visitor(site, host)
        answer = visitor.get("/download/page.html")
        assert (answer.status, answer.headers["content-disposition"]) == (200, "attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert NGINX_ETAG.fullmatch(answer.headers["etag"])
        assert visitor.get("/protected/page.html").status == 404
