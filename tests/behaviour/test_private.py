"""Who may read what: media areas of every access, asked as each kind of visitor.

The public area is test_contract.py's. Anonymous has no cookie; ann and bob log in by the app's page.
"""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

import hosts
import play
import pytest
import uploads
from raw_http import Response

HOSTILE = b"<script>alert(document.domain)</script>"
SHOWN = b"\x89PNG\r\n\x1a\n behaviour-probe"
# What every response with a private file carries, and nothing besides: a header more could be the
# app's, which Nginx drops, and one that comes twice is seen as two.
PROTECTION = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Nginx's own, of values that differ each time.
FILE_HEADERS = {
    "Server",
    "Date",
    "Content-Type",
    "Content-Length",
    "Last-Modified",
    "ETag",
    "Connection",
    "Accept-Ranges",
}
NAMES = [
    "plain.png",
    "page.html",
    "with space.html",
    "100% of it%2f.txt",
    "what? #1 + 2 & 3;.html",
    "zoë 日本.png",
    'it\'s "quoted".html',
    "no extension",
    "UPPER.PNG",
]


@dataclass(frozen=True)
class Kept:
    """A document in its three places, by its URLs."""

    document: str
    members: str
    shared: str
    content: bytes
    name: str


class Visitor(uploads.Visitor):
    """One who may log in, and keeps documents."""

    def log_in(self, name: str) -> Response:
        fields = {"name": name, "password": f"{name}'s password"}
        return self.submit(f"{self.site.url_prefix}login", fields)

    def token(self, url: str) -> str:
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', self.text(url))
        assert found, url
        return found[1]

    def text(self, url: str) -> str:
        response = self.ask("GET", url)
        assert response.status == 200, response
        return response.body.decode()

    def submit(self, url: str, fields: dict[str, str], form: str = "") -> Response:
        """Send a form of the page at ``form``, or at the same URL."""
        body = urlencode({**fields, "csrf_token": self.token(form or url)}).encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", url, kind, body)

    def links(self, prefix: str) -> set[str]:
        page = self.text(f"{self.site.url_prefix}documents/")
        return {html.unescape(url) for url in re.findall(r'href="([^"]+)"', page) if prefix in url}

    def keep(self, name: str, content: bytes, *, members: bool = False) -> str:
        page = f"{self.site.url_prefix}documents/"
        area = f"{self.site.url_prefix}members/" if members else page
        before = self.links(area)
        fields = {"csrf_token": self.token(page), **({"for_members": "y"} if members else {})}
        # As browsers write a name in a form: HTML, "Multipart form data".
        sent = name.replace('"', "%22")
        kind, body = uploads.multipart(fields, "document", sent, content)
        response = self.ask("POST", page, {"Content-Type": kind}, body)
        assert response.status == 303, response
        (url,) = self.links(area) - before - {page}
        return url

    def share(self, document: str) -> str:
        page = f"{self.site.url_prefix}documents/"
        response = self.submit(f"{document}/link", {}, form=page)
        assert response.status == 201, response
        found = re.search(
            r'id="shared" readonly value="http://[^/"]+([^"]+)"', response.body.decode()
        )
        assert found, response.body.decode()
        return html.unescape(found[1])


@pytest.fixture
def anonymous(site: hosts.Site) -> Iterator[Visitor]:
    visitor = Visitor(site)
    yield visitor
    visitor.connection.close()


def member(site: hosts.Site, name: str) -> Visitor:
    visitor = Visitor(site)
    response = visitor.log_in(name)
    assert (response.status, response.all("Location")) == (303, [f"{site.url_prefix}documents/"])
    return visitor


@pytest.fixture(scope="module")
def ann(site: hosts.Site) -> Iterator[Visitor]:
    visitor = member(site, "ann")
    yield visitor
    visitor.connection.close()


@pytest.fixture(scope="module")
def bob(site: hosts.Site) -> Iterator[Visitor]:
    visitor = member(site, "bob")
    yield visitor
    visitor.connection.close()


@pytest.fixture(scope="module")
def kept(ann: Visitor) -> dict[str, Kept]:
    """A document of each name, in every area. They are the app's uploads, and stay."""
    found = {}
    for name in NAMES:
        content = (SHOWN if name.lower().endswith("png") else HOSTILE) + name.encode()
        document = ann.keep(name, content)
        found[name] = Kept(
            document,
            ann.keep(name, content, members=True),
            ann.share(document),
            content,
            name,
        )
    return found


@pytest.fixture(scope="module")
def sign(site: hosts.Site, host: hosts.Host) -> Callable[[str, int], str]:
    """Signs as the app does, by the app's own key and code."""
    script = f"""
import json, sys
sys.path[:0] = __import__("glob").glob("{site.app_root}/current/lib/python3*/site-packages")
from gallery.signed_links import signed_path
path, expires_at, key = json.load(sys.stdin)
print(signed_path(path, key, expires_at), end="")
"""
    variables = host.read(site.env_file).decode()
    key = re.search(r'^FLASK_MEDIA_SIGNING_KEY="([^"]+)"$', variables, re.MULTILINE)
    assert key

    def signed(path: str, seconds: int) -> str:
        request = json.dumps([path, int(time.time()) + seconds, key[1]])
        return host.python(script, request.encode()).decode()

    return signed


def is_inline(name: str) -> bool:
    return name.lower().endswith((".png", ".txt"))


def holds(response: Response, kept: Kept) -> bool:
    """Whether it gives away any of the file."""
    return kept.content[:8] in response.body or kept.content[-8:] in response.body


def all_headers(response: Response) -> dict[str, str]:
    names = [name for name, _value in response.headers]
    assert len(names) == len({name.lower() for name in names}), response
    return {name: value for name, value in response.headers if name not in FILE_HEADERS}


@pytest.mark.parametrize("name", NAMES)
def test_document_is_its_owners_alone(
    kept: dict[str, Kept], ann: Visitor, bob: Visitor, anonymous: Visitor, name: str
) -> None:
    one = kept[name]
    response = ann.ask("GET", one.document)
    assert (response.status, response.body) == (200, one.content), response
    assert response.nginx_served_a_file
    headers = all_headers(response)
    disposition = headers.pop("Content-Disposition")
    assert headers == {**PROTECTION, "Cache-Control": "private, no-cache"}
    assert disposition.startswith("inline" if is_inline(name) else "attachment"), response
    # RFC 6266: the plain form where it suffices, else the encoded one.
    encoded = re.search(r"filename\*=UTF-8''(\S+)", disposition)
    assert (unquote(encoded[1]) if encoded else name) == name
    assert encoded or name.replace('"', '\\"') in disposition

    for visitor, status in ((bob, 404), (anonymous, 302)):
        refused = visitor.ask("GET", one.document)
        assert refused.status == status
        assert not holds(refused, one)


@pytest.mark.parametrize("name", NAMES)
def test_members_read_what_is_theirs(
    kept: dict[str, Kept], ann: Visitor, bob: Visitor, anonymous: Visitor, name: str
) -> None:
    one = kept[name]
    for visitor in (ann, bob):
        response = visitor.ask("GET", one.members)
        assert (response.status, response.body) == (200, one.content), response
        assert response.nginx_served_a_file
        expected = {**PROTECTION, "Cache-Control": "private, no-cache"}
        if not is_inline(name):
            expected["Content-Disposition"] = "attachment"
        assert all_headers(response) == expected
    for forged in (
        {},
        {"Cookie": "session=eyJ1c2VyIjoiYW5uIn0.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb"},
    ):
        refused = anonymous.ask("GET", one.members, forged)
        assert refused.status == 401
        assert not holds(refused, one)


@pytest.mark.parametrize("name", NAMES)
def test_link_lets_read_whoever_has_it_until_it_expires(
    kept: dict[str, Kept],
    anonymous: Visitor,
    ann: Visitor,
    sign: Callable[[str, int], str],
    name: str,
) -> None:
    one = kept[name]
    response = anonymous.ask("GET", one.shared)
    assert (response.status, response.body) == (200, one.content), response
    assert response.nginx_served_a_file
    expected = {
        **PROTECTION,
        "Cache-Control": "private, max-age=60",
        "Referrer-Policy": "no-referrer",
    }
    if not is_inline(name):
        expected["Content-Disposition"] = "attachment"
    assert all_headers(response) == expected

    path, _mark, query = one.shared.partition("?")
    expired = sign(unquote(path), -1)
    # The owner's own cookie is no signature.
    for visitor in (anonymous, ann):
        refused = visitor.ask("GET", expired)
        assert refused.status == 410
        assert not holds(refused, one)
        longer = re.sub(r"expires=\d+", f"expires={int(time.time()) + 99999}", one.shared)
        other = "A" if "md5=B" in query else "B"
        for forged in (path, longer, re.sub("md5=.", f"md5={other}", one.shared)):
            refused = visitor.ask("GET", forged)
            assert refused.status == 403, forged
            assert not holds(refused, one)
            assert not refused.all("Cache-Control")


@pytest.mark.parametrize("name", ["plain.png", "page.html"])
@pytest.mark.parametrize("area", ["document", "members", "shared"])
def test_head_range_and_conditions_are_answered_by_nginx(
    kept: dict[str, Kept], ann: Visitor, anonymous: Visitor, area: str, name: str
) -> None:
    one = kept[name]
    url: str = getattr(one, area)
    whole = ann.ask("GET", url)
    head = ann.ask("HEAD", url)
    assert (head.status, head.body) == (200, b"")
    assert all_headers(head) == all_headers(whole)
    for header in ("Content-Length", "Content-Type", "ETag", "Last-Modified"):
        assert head.first(header) == whole.first(header)

    for asked, start, end in (("2-5", 2, 6), ("-3", len(one.content) - 3, len(one.content))):
        part = ann.ask("GET", url, {"Range": f"bytes={asked}"})
        assert (part.status, part.body) == (206, one.content[start:end])
        assert all_headers(part) == {
            **all_headers(whole),
            "Content-Range": f"bytes {start}-{end - 1}/{len(one.content)}",
        }
    assert ann.ask("GET", url, {"Range": "bytes=99999-"}).status == 416
    # Two of them would be one multipart body, whose type hides the file's.
    assert ann.ask("GET", url, {"Range": "bytes=0-0,2-2"}).status == 200

    for validator in (
        {"If-None-Match": whole.first("ETag")},
        {"If-Modified-Since": whole.first("Last-Modified")},
    ):
        again = ann.ask("GET", url, validator)
        assert (again.status, again.body) == (304, b"")
        for header in ("Cache-Control", "X-Content-Type-Options", "Content-Security-Policy"):
            assert again.all(header) == whole.all(header)
        # Whoever knows the validators is let in by them no more than before.
        refused = anonymous.ask("GET", url.partition("?")[0], validator)
        assert refused.status in (302, 401, 403)
    assert ann.ask("GET", url, {"If-None-Match": '"0-0"'}).status == 200
    refused = anonymous.ask("GET", url.partition("?")[0], {"Range": "bytes=0-3"})
    assert refused.status in (302, 401, 403)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(kept: dict[str, Kept], ann: Visitor, method: str) -> None:
    for one in (kept["plain.png"], kept["page.html"]):
        for url in (one.document, one.members, one.shared):
            response = ann.ask(method, url)
            # 400: Gunicorn's, of a method that it doesn't know.
            assert response.status in (400, 403, 405, 501), response
            assert not holds(response, one)


def ways_around(site: hosts.Site, one: Kept, path: str) -> list[str]:
    """Requests for a document, whose path in its area is ``path``, by other ways than its own."""
    prefix, static = site.url_prefix, site.static_urls[0]
    inside = quote(path)
    found = [f"/_{site.app}_accel/documents/{inside}", f"/_{site.app}_accel/documents/"]
    found += [f"/_{site.app}_auth/members/", f"/_{site.app}_auth/members/{inside}"]
    found += [f"{prefix}documents/{inside}", f"{prefix}documents/{path}.name"]
    for public in (site.media_url, static, f"/_{site.app}_immutable{static}"):
        for climb in ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..;/", "%252e%252e/", "./../"):
            found += [
                f"{public}{climb}documents/{inside}",
                f"{public}{climb}_{site.app}_accel/documents/{inside}",
                f"{public}{climb}{climb}documents/{inside}",
            ]
        found.append(f"{public[:-1]}../documents/{inside}")
    return found


def test_no_other_way_leads_to_a_document(
    site: hosts.Site, host: hosts.Host, kept: dict[str, Kept], ann: Visitor
) -> None:
    for name in ("plain.png", "page.html"):
        one = kept[name]
        path = f"ann/{one.document.rpartition('/')[2]}"
        # It is there, so what is not found is kept from the visitor.
        root = site.media_root.rpartition("/")[0]
        assert host.read(f"{root}/documents/{path}") == one.content
        for target in ways_around(site, one, path):
            response = ann.ask("GET", target)
            # 400: Nginx's, of what climbs above the root.
            assert response.status in (400, 404), (target, response)
            assert not holds(response, one), target
    for target in (f"/_{site.app}_accel/documents/{path}", f"/_{site.app}_auth/members/"):
        assert ann.ask("GET", target).status == 404


def test_climbing_to_the_other_areas_leads_to_their_own_guards(
    site: hosts.Site, kept: dict[str, Kept], anonymous: Visitor
) -> None:
    one = kept["plain.png"]
    for url, status in ((one.members, 401), (one.shared.partition("?")[0], 403)):
        below = url.removeprefix(site.url_prefix)
        for climb in ("..", "%2e%2e", ".//.."):
            response = anonymous.ask("GET", f"{site.media_url}{climb}/{below}")
            assert response.status == status, response
            assert not holds(response, one)
        assert anonymous.ask("GET", f"{site.media_url[:-1]}../{below}").status == 404


@pytest.mark.parametrize("header", ["X-Accel-Redirect", "X-Sendfile", "X-Original-URI"])
def test_what_a_client_claims_changes_nothing(
    site: hosts.Site, kept: dict[str, Kept], bob: Visitor, anonymous: Visitor, header: str
) -> None:
    one = kept["plain.png"]
    path = f"documents/ann/{one.document.rpartition('/')[2]}"
    root = site.media_root.rpartition("/")[0]
    claims = [f"/_{site.app}_accel/{path}", f"{root}/{path}", one.members, site.media_url]
    mapping = f"{root}=/_{site.app}_accel"
    for claim in claims:
        forged = {header: claim, "X-Sendfile-Type": "X-Accel-Redirect", "X-Accel-Mapping": mapping}
        for url, status in ((one.document, 302), (one.members, 401), (site.url_prefix, 200)):
            response = anonymous.ask("GET", url, forged)
            assert response.status == status
            assert not holds(response, one)
        assert bob.ask("GET", one.document, forged).status == 404
        assert bob.ask("GET", one.members, forged).body == one.content
        # The page that Nginx asks, asked by the visitor.
        assert anonymous.ask("GET", f"{site.url_prefix}may-read", forged).status == 401


def test_directories_dotfiles_and_links_are_not_to_be_had(
    site: hosts.Site, host: hosts.Host, ann: Visitor, sign: Callable[[str, int], str]
) -> None:
    root = site.media_root.rpartition("/")[0]
    secret = hosts.SIGNATURE + b" secret"
    probes = []
    for area in ("members", "shared"):
        folder = f"{root}/{area}/probe"
        probes += [
            hosts.Probe(f"{folder}/.hidden.png", secret, by_app=True),
            hosts.Probe(f"{folder}/link.png", link_to="/etc/passwd", by_app=True),
            hosts.Probe(f"{folder}/link.html", link_to="/etc/passwd", by_app=True),
        ]
    host.place(probes, site.app_user)
    try:
        for area in ("members", "shared"):
            for name in (
                "",
                "probe",
                "probe/",
                "probe/.hidden.png",
                "probe/link.png",
                "probe/link.html",
            ):
                url = sign(f"{site.url_prefix}{area}/{name}", 60)
                response = ann.ask("GET", url)
                assert response.status in (403, 404), response
                assert b"secret" not in response.body
                assert b"root:" not in response.body
    finally:
        host.remove_placed()


def test_the_key_is_for_root_and_the_app_alone(site: hosts.Site, control: play.Control) -> None:
    key_file = f"/etc/nginx/flask_keys/{site.app}/signing_key.conf"
    assert control.shell(f"stat --format='%U:%G %a' {key_file}") == "root:root 600"
    directory = key_file.rpartition("/")[0]
    assert control.shell(f"stat --format='%U:%G %a' {directory}") == "root:root 700"
    assert control.shell(f"stat --format='%U:%G %a' {site.env_file}") == f"root:{site.app} 640"
    key = control.shell(f"grep -oP '(?<=^FLASK_MEDIA_SIGNING_KEY=\")[^\"]+' {site.env_file}")
    assert len(key) >= 32
    found = control.shell(
        f"grep --recursive --files-with-matches --exclude-dir=proc -F {key}"
        " /etc /opt /var /tmp /run /root 2>/dev/null || true"
    )
    assert set(found.split()) == {key_file, site.env_file}
    control.shell("sync")
    journal = control.shell("journalctl --no-pager 2>/dev/null || true")
    assert key not in journal


def test_another_key_is_shown_by_no_run(
    kept: dict[str, Kept], control: play.Control, anonymous: Visitor
) -> None:
    old = control.inventory_variable("flask_media_signing_key")
    new = "another-key-" + "0123456789abcdef" * 2
    # Handed in by the inventory: of what is on its command line Ansible itself tells.
    own = control.directory / "inventory.yml"
    own.write_text(json.dumps({"flask": {"vars": {"flask_media_signing_key": new}}}))
    done = control.run("site", f"--inventory={own}", "--check", "--diff", "-vvv")
    assert done.returncode == 0, done.output
    # The env file, the service that reads it, and Nginx's file of the key.
    assert done.changed >= 3
    for key in (old, new):
        assert key not in done.output
    assert anonymous.ask("GET", kept["plain.png"].shared).status == 200


# What somebody takes out of Nginx's file, and what is found then.
OPENED = {
    "auth_request /_gallery_auth/members/;": {("auth-bypassed", "/members/")},
    'if ($secure_link = "") { return 403; }': {("auth-bypassed", "/shared/")},
    "internal;": {
        ("accel-not-internal", "/_gallery_accel/documents/"),
        ("accel-not-internal", "/_gallery_auth/members/"),
    },
}


def test_verify_removes_what_a_killed_one_left_in_private_areas(
    site: hosts.Site, control: play.Control
) -> None:
    for area in ("documents", "members", "shared"):
        left = control.module(
            "media_canary", directory=f"/var/www/gallery/{area}", user=site.app_user
        )
        control.shell(f"touch --date='2 minutes ago' {left['path']}")
    done = control.run("verify")
    assert done.returncode == 0, done.output
    assert control.leftovers() == ""


def test_verify_finds_what_was_opened(control: play.Control) -> None:
    file, saved = "/etc/nginx/conf.d/gallery.conf", "/root/gallery.conf"
    control.shell(f"cp --preserve {file} {saved}")
    edit = f"""
import pathlib
file = pathlib.Path({file!r})
text = file.read_text()
for line in {list(OPENED)!r}:
    assert line in text, line
    text = text.replace(line, "")
file.write_text(text)
"""
    control.host.python(edit)
    try:
        control.shell("nginx -t && nginx -s reload")
        done = control.run("verify")
        assert "private-media-closed" in done.failed_checks()
        assert done.findings() == set().union(*OPENED.values())
        assert control.leftovers() == ""
    finally:
        control.shell(f"cp --preserve {saved} {file} && rm {saved} && nginx -t && nginx -s reload")
    done = control.run("verify", "-vvv")
    assert done.returncode == 0, done.output
    assert done.report
    statuses = {check["id"]: check["status"] for check in done.report["checks"]}
    assert statuses["private-media-closed"] == "pass"
    key = control.inventory_variable("flask_media_signing_key")
    assert key not in done.output
    assert key not in json.dumps(done.report)


def test_without_the_app_there_is_no_file(
    kept: dict[str, Kept], ann: Visitor, anonymous: Visitor, control: play.Control
) -> None:
    control.shell("systemctl stop gallery.socket gallery.service")
    try:
        for one in kept.values():
            for url in (one.document, one.members):
                response = ann.ask("GET", url)
                assert response.status in (500, 502), response
                assert not holds(response, one)
            # Nobody has to be asked for these.
            assert anonymous.ask("GET", one.shared).body == one.content
    finally:
        control.shell("systemctl start gallery.socket gallery.service")
    one = kept["plain.png"]
    assert ann.ask("GET", one.members).body == one.content


def test_a_login_ends(site: hosts.Site, kept: dict[str, Kept]) -> None:
    visitor = member(site, "bob")
    one = kept["plain.png"]
    assert visitor.ask("GET", one.members).status == 200
    page = f"{site.url_prefix}documents/"
    assert visitor.submit(f"{site.url_prefix}logout", {}, form=page).status == 303
    assert visitor.ask("GET", one.members).status == 401
    assert visitor.ask("GET", one.document).status == 302
    visitor.connection.close()


def test_figures(kept: dict[str, Kept], ann: Visitor, figures: Any) -> None:
    """What each access costs, on one kept connection, in requests a second."""
    one = kept["plain.png"]
    rates = {}
    for area in ("document", "members", "shared"):
        begin, count = time.monotonic(), 0
        while time.monotonic() - begin < 1:
            assert ann.ask("GET", getattr(one, area)).status == 200
            count += 1
        rates[area] = count
    figures(
        "requests a second on one connection: "
        f"accel {rates['document']}, auth_request {rates['members']}, signed {rates['shared']}"
    )
