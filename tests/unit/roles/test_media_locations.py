"""The media locations of role flask_site for each access, asked of a real Nginx before a stand-in app."""

from __future__ import annotations

import contextlib
import os
import shutil
import socketserver
import tempfile
import threading
import time
import typing as t
import urllib.parse
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_areas,
    _settings,
    _signed_url,
)
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.unit.descriptions import description, media_area
from tests.unit.roles.test_static_locations import Answer, Host

KEY = "0123456789abcdef" * 4
INLINE = {"image/png": ["png"], "text/plain": ["txt"]}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONDITIONS = {
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Range",
}
# By how each reaches Nginx, percent-encoded, and as it is on disk.
NAMES = {
    "plain.png": "plain.png",
    "page.html": "page.html",
    "noextension": "noextension",
    "a%20b%25%3F%23+%26.txt": "a b%?#+&.txt",
    "%E6%97%A5%E6%9C%AC.png": "日本.png",
    "sub/%22q%22%27.html": 'sub/"q"\'.html',
    "%24arg_md5.txt": "$arg_md5.txt",
    # str.rstrip() takes the last byte of these for a blank.
    "%C3%A0": "à",
    "%E2%80%85": "\u2005",
    "%F0%9F%8E%A0": "🎠",
}


class App(BaseHTTPRequestHandler):
    """Answers as it is told by the cookie or the query, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: t.ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self) -> None:
        App.seen.append((self.path, dict(self.headers.items())))
        if self.path.startswith("/may-read"):
            # As an app does that knows when its answer last changed.
            if CONDITIONS & set(self.headers):
                self.send_response(304)
            else:
                self.send_response(int(self.headers.get("X-Test-Answer", "401")))
        elif self.path.startswith("/documents/") and "X-Test-Send" in self.headers:
            self.send_response(200)
            self.send_header("X-Accel-Redirect", self.headers["X-Test-Send"])
            self.send_header("Content-Type", "image/png")
            self.send_header("Cache-Control", "private, no-cache")
            self.send_header("Content-Disposition", "inline; filename=x.png")
        else:
            self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_POST = do_GET

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: t.Any) -> None:
        pass


class AppServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class MediaHost(Host):
    """A host with an area of each access, and an app behind."""

    prefix = "/"
    inline: t.ClassVar[dict[str, list[str]]] = INLINE
    main: t.ClassVar[dict[str, t.Any]] = {}

    def description(self) -> dict[str, t.Any]:
        areas = [
            media_area("/media/", **self.main),
            media_area("/documents/", access="accel"),
            media_area("/members/", access="auth_request", auth_url="/may-read"),
            media_area("/shared/", access="signed", cache_seconds=60),
        ]
        return description(
            flask_media_root=str(self.directory / "media"),
            flask_media_areas=areas,
            flask_media_inline_types=self.inline,
            flask_media_signing_key=KEY,
            flask_site_url_prefix=self.prefix,
            flask_app_bind=f"unix:{self.directory}/app.sock",
        )

    def settings(self) -> dict[str, t.Any]:
        values = self.description()
        site = {**_settings.resolve(values)["site"], "app_answers_too_large": False}
        media = {
            "areas": _media_areas.resolve(values),
            "former_locations": [self.prefix + "former/"] if self.prefix == "/" else [],
            "signing_key_file": f"{self.directory}/keys/signing_key.conf",
        }
        static = {**super().settings()["static"], "mounts": []}
        return {**super().settings(), "site": site, "static": static, "media": media}

    def fill(self) -> None:
        for name in ("documents", "members", "shared"):
            shutil.copytree(self.directory / "media", self.directory / name, symlinks=True)
        keys = self.directory / "keys"
        keys.mkdir()
        (keys / "signing_key.conf").write_text(
            f'secure_link_md5 "$secure_link_expires$uri {KEY}";\n'
        )

    def server(self, path: str) -> socketserver.BaseServer:
        return AppServer(path, App)

    @contextlib.contextmanager
    def app(self) -> t.Iterator[None]:
        path = self.directory / "app.sock"
        with self.server(str(path)) as server:
            path.chmod(0o777)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()
                path.unlink(missing_ok=True)

    def asked(self, target: str, **headers: str) -> tuple[Answer, list[tuple[str, dict[str, str]]]]:
        """The answer, and what the app was asked meanwhile."""
        App.seen.clear()
        return self.get(target, **headers), list(App.seen)

    def sign(self, path: str, seconds: int = 600) -> str:
        return _signed_url.signed_url(path, KEY, int(time.time()) + seconds)


class MembersHost(MediaHost):
    """Its main area is the members', and shows PDF."""

    inline: t.ClassVar[dict[str, list[str]]] = {**INLINE, "application/pdf": ["pdf"]}
    main: t.ClassVar[dict[str, t.Any]] = {"access": "auth_request", "auth_url": "/may-read"}


class SignedHost(MembersHost):
    main: t.ClassVar[dict[str, t.Any]] = {"access": "signed"}


@contextlib.contextmanager
def media_host(prefix: str = "/", kind: type[MediaHost] = MediaHost) -> t.Iterator[MediaHost]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        host = kind(Path(directory).resolve())
        host.prefix = prefix
        for name in (*NAMES.values(), ".hidden", "sub/.hidden/x.png", "blank "):
            path = host.directory / "media" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"content of " + name.encode())
        (host.directory / "media/link.png").symlink_to(host.directory / "nginx.conf")
        host.fill()
        with host.app(), host.served():
            yield host


@pytest.fixture(scope="module")
def host() -> t.Iterator[MediaHost]:
    with media_host() as host:
        yield host


def check_headers(answer: Answer, name: str, cache_control: str) -> None:
    for header, value in HEADERS.items():
        assert answer.one(header) == value
    is_inline = name.endswith((".png", ".txt"))
    assert answer.one("Content-Disposition") == (None if is_inline else "attachment")
    assert answer.one("Cache-Control") == cache_control


@pytest.mark.parametrize("name", NAMES)
def test_the_members_read_and_nobody_else(host: MediaHost, name: str) -> None:
    target = f"/members/{name}"
    for status in (401, 403):
        refused, _seen = host.asked(target, X_Test_Answer=str(status))
        assert refused.status == status
        assert b"content of" not in refused.body
        assert refused.one("Cache-Control") is None
    answer, seen = host.asked(target, X_Test_Answer="204")
    assert (answer.status, answer.body) == (200, b"content of " + NAMES[name].encode())
    check_headers(answer, name, "private, no-cache")
    ((path, headers),) = seen
    assert path == "/may-read"
    said = headers["X-Original-URI"].encode("latin-1").decode()
    assert said == f"/members/{NAMES[name]}"
    assert headers["X-Original-Method"] == "GET"


@pytest.mark.parametrize("status", ["302", "404", "500", "503"])
@pytest.mark.parametrize("name", ["plain.png", "page.html"])
def test_another_answer_gives_an_error_and_no_file(host: MediaHost, name: str, status: str) -> None:
    answer = host.get(f"/members/{name}", X_Test_Answer=status)
    assert answer.status == 500
    assert b"content of" not in answer.body


def test_what_the_app_is_told_can_not_be_forged(host: MediaHost) -> None:
    forged = {
        "X_Original_URI": "/members/mine.png",
        "X_Original_Method": "HEAD",
        "X_Forwarded_For": "6",
    }
    _answer, ((_path, headers),) = host.asked("/members/plain.png", **forged)
    assert headers["X-Original-URI"] == "/members/plain.png"
    assert headers["X-Original-Method"] == "GET"
    assert headers["X-Forwarded-For"] != "6"
    # Nor where the app is asked by the visitor.
    _answer, ((_path, headers),) = host.asked("/may-read", **forged)
    assert not {"X-Original-URI", "X-Original-Method"} & set(headers)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/members/../members//sub/./..//plain.png?x=/media/", "/members/plain.png"),
        ("/%6dembers/plain%2epng", "/members/plain.png"),
        ("/media/../members/plain.png", "/members/plain.png"),
        ("/media/%2e%2e/members/page.html", "/members/page.html"),
        ("/former/plain.png", "/members"),
    ],
)
def test_the_app_is_told_the_path_that_nginx_opens(host: MediaHost, target: str, told: str) -> None:
    answer, seen = host.asked(target, X_Test_Answer="401")
    if target.startswith("/former/"):
        assert (answer.status, seen) == (200, [])
        return
    assert answer.status == 401
    assert seen[0][1]["X-Original-URI"] == told


@pytest.mark.parametrize(
    "name", ["a%0d%0aX-Evil:%201", "a%0a.png", "%7f", "blank%20", ".hidden", "sub/.hidden/x.png"]
)
def test_no_name_can_end_or_lengthen_the_header(host: MediaHost, name: str) -> None:
    answer, seen = host.asked(f"/members/{name}", X_Test_Answer="204")
    assert answer.status == 404
    assert all("X-Evil" not in headers for _path, headers in seen)
    assert b"content of" not in answer.body


@pytest.mark.parametrize("tail", ["%A0", "%85", "%C3%A9%A0", "%C3%A0%A0", "%A0%A0", "%E2%85"])
def test_no_name_is_told_shortened(host: MediaHost, tail: str) -> None:
    name = urllib.parse.unquote_to_bytes(f"cut{tail}")
    path = os.path.join(os.fsencode(host.directory), b"members", name)
    with open(path, "wb") as file:
        file.write(b"content of")
    answer, seen = host.asked(f"/members/cut{tail}", X_Test_Answer="204")
    assert (answer.status, seen) == (404, [])


def test_the_app_is_asked_whether_and_not_whether_it_changed(host: MediaHost) -> None:
    whole = host.get("/members/plain.png", X_Test_Answer="204")
    etag, modified = str(whole.one("ETag")), str(whole.one("Last-Modified"))
    for headers, status in (
        ({"If_None_Match": etag}, 304),
        ({"If_Modified_Since": modified}, 304),
        ({"If_Match": etag}, 200),
        ({"If_Match": '"another"'}, 412),
        ({"If_Unmodified_Since": "Mon, 01 Jan 1990 00:00:00 GMT"}, 412),
        ({"Range": "bytes=0-3"}, 206),
        ({"Range": "bytes=0-3", "If_Range": '"another"'}, 200),
        ({"Range": "bytes=999-"}, 416),
    ):
        answer, ((_path, told),) = host.asked("/members/plain.png", X_Test_Answer="204", **headers)
        assert (answer.status, CONDITIONS & set(told)) == (status, set()), headers


@pytest.mark.parametrize("access", ["members", "shared"])
@pytest.mark.parametrize("name", ["plain.png", "page.html"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(host: MediaHost, access: str, name: str, method: str) -> None:
    target = host.sign(f"/{access}/{name}")
    assert host.get(target, method, X_Test_Answer="204").status in (403, 405)


@pytest.mark.parametrize(
    "target",
    [
        "/_gallery_accel/documents/plain.png",
        "/_gallery_accel/documents/page.html",
        "/_gallery_accel/documents/",
        "/_gallery_auth/members/",
        "/_gallery_auth/members/plain.png",
        "/media/../_gallery_accel/documents/plain.png",
        "/media/../documents/plain.png",
        "/media/..%2fdocuments/plain.png",
        "/media../documents/plain.png",
        "/documents/plain.png",
        "/former/../documents/plain.png",
    ],
)
def test_no_other_way_leads_to_the_files(host: MediaHost, target: str) -> None:
    for headers in ({}, {"X_Accel_Redirect": "/_gallery_accel/documents/plain.png"}):
        answer = host.get(target, **headers)
        assert answer.status == 404
        assert b"content of" not in answer.body


@pytest.mark.parametrize("name", NAMES)
def test_what_the_app_names_is_sent_with_the_headers_of_both(host: MediaHost, name: str) -> None:
    send = f"/_gallery_accel/documents/{name}"
    answer = host.get("/documents/1", X_Test_Send=send)
    assert (answer.status, answer.body) == (200, b"content of " + NAMES[name].encode())
    for header, value in HEADERS.items():
        assert answer.one(header) == value
    assert answer.one("Content-Type") == "image/png"
    assert answer.one("Cache-Control") == "private, no-cache"
    assert answer.one("Content-Disposition") == "inline; filename=x.png"
    assert answer.one("X-Accel-Redirect") is None
    part = host.get("/documents/1", X_Test_Send=send, Range="bytes=3-6")
    assert (part.status, part.body) == (206, answer.body[3:7])
    again = host.get("/documents/1", X_Test_Send=send, If_None_Match=str(answer.one("ETag")))
    assert (again.status, again.body) == (304, b"")
    posted = host.get("/documents/1", "POST", X_Test_Send=send)
    assert posted.body == answer.body


@pytest.mark.parametrize(
    "name",
    ["missing.png", ".hidden", "sub/.hidden/x.png", "link.png", "../media/plain.png", "sub/"],
)
def test_the_app_can_not_name_what_is_never_sent(host: MediaHost, name: str) -> None:
    answer = host.get("/documents/1", X_Test_Send=f"/_gallery_accel/documents/{name}")
    assert answer.status in (403, 404)
    assert b"content of" not in answer.body
    assert b"worker" not in answer.body


@pytest.mark.parametrize("name", NAMES)
def test_signed_links_read_until_they_expire(host: MediaHost, name: str) -> None:
    path = f"/shared/{NAMES[name]}"
    good = host.sign(path)
    assert good.startswith("/shared/")
    answer, seen = host.asked(good)
    assert (answer.status, answer.body) == (200, b"content of " + NAMES[name].encode())
    assert seen == []
    check_headers(answer, name, "private, max-age=60")
    assert answer.one("Referrer-Policy") == "no-referrer"
    assert host.get(host.sign(path, -1)).status == 410
    plain, _mark, query = good.partition("?")
    digest = query.partition("=")[2].partition("&")[0]
    later = int(time.time()) + 9999
    forged = [
        plain,
        f"{plain}?md5=&expires=",
        f"{plain}?expires={later}",
        f"{plain}?md5={digest}",
        f"{plain}?md5={digest}&expires={later}",
        f"{plain}?md5={digest},{later}",
        f"{plain}?md5={'A' * 22}&expires={later}",
        f"{plain}?MD5_={digest}&expires={later}",
        # Another file's
        plain + "?" + host.sign(path + "x").partition("?")[2],
        # With another key
        _signed_url.signed_url(path, KEY[::-1], later),
    ]
    for target in forged:
        refused = host.get(target)
        assert refused.status == 403, target
        assert b"content of" not in refused.body


def test_a_signature_is_of_one_area(host: MediaHost) -> None:
    query = host.sign("/shared/plain.png").partition("?")[2]
    assert host.get(f"/members/plain.png?{query}").status == 401
    assert host.get(f"/documents/plain.png?{query}").status == 404


@pytest.mark.parametrize("name", ["plain.png", "page.html"])
def test_head_and_conditions_of_both(host: MediaHost, name: str) -> None:
    for target in (f"/members/{name}", host.sign(f"/shared/{name}")):
        whole = host.get(target, X_Test_Answer="204")
        head = host.get(target, "HEAD", X_Test_Answer="204")
        assert (head.status, head.body) == (200, b"")
        assert head.one("Content-Length") == str(len(whole.body))
        etag = str(whole.one("ETag"))
        assert host.get(target, X_Test_Answer="204", If_None_Match=etag).status == 304
        # What a visitor has does not let others in.
        other = target.partition("?")[0]
        assert host.get(other, If_None_Match=etag).status in (401, 403)
        assert host.get(other, Range="bytes=0-3").status in (401, 403)
        part = host.get(target, X_Test_Answer="204", Range="bytes=0-3")
        assert (part.status, part.body) == (206, whole.body[:4])


@pytest.mark.parametrize("name", ["plain.png", "page.html"])
def test_a_range_that_is_not_there_has_each_header_once(host: MediaHost, name: str) -> None:
    for target in (f"/media/{name}", f"/former/{name}", f"/members/{name}", f"/shared/{name}"):
        signed = host.sign(target)
        answer = host.get(signed, X_Test_Answer="204", Range="bytes=999-")
        assert (answer.status, answer.one("Content-Range")) == (
            416,
            f"bytes */{len(b'content of ' + name.encode())}",
        )
        for header, value in HEADERS.items():
            assert answer.one(header) == value
        expected = "no-referrer" if target.startswith("/shared/") else None
        assert answer.one("Referrer-Policy") == expected
        # It lets nobody in.
        if target.startswith(("/members/", "/shared/")):
            refused = host.get(target, X_Test_Answer="401", Range="bytes=999-")
            assert refused.status in (401, 403)
            assert refused.one("Content-Range") is None


def test_without_the_key_no_link_is_taken() -> None:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        host = MediaHost(Path(directory).resolve())
        (host.directory / "shared").mkdir()
        for name in ("plain.png", "page.html"):
            (host.directory / "shared" / name).write_text("content of")
        with host.app(), host.served():
            for name in ("plain.png", "page.html"):
                assert host.get(host.sign(f"/shared/{name}")).status == 403


def test_with_the_app_down_there_is_no_file() -> None:
    with media_host() as host:
        (host.directory / "app.sock").rename(host.directory / "away.sock")
        for name in ("plain.png", "page.html"):
            answer = host.get(f"/members/{name}", X_Test_Answer="204")
            assert answer.status == 500
            assert b"content of" not in answer.body
            assert host.get(f"/documents/{name}").status == 502
        (host.directory / "away.sock").rename(host.directory / "app.sock")


def test_all_of_it_below_a_prefix() -> None:
    with media_host("/shop/") as host:
        answer, ((path, headers),) = host.asked("/shop/members/plain.png", X_Test_Answer="204")
        assert (answer.status, path) == (200, "/may-read")
        assert headers["X-Original-URI"] == "/shop/members/plain.png"
        assert headers["X-Forwarded-Prefix"] == "/shop"
        assert host.get(host.sign("/shop/shared/page.html")).status == 200
        assert host.get("/shop" + host.sign("/shared/page.html")).status == 403
        send = "/_gallery_accel/documents/plain.png"
        assert host.get("/shop/documents/1", X_Test_Send=send).body == b"content of plain.png"
        assert host.get("/members/plain.png", X_Test_Answer="204").status == 404
        assert host.get("/shop" + send).status == 404


@pytest.mark.parametrize("kind", [MembersHost, SignedHost])
def test_a_main_area_and_its_former_urls_are_no_less_closed(kind: type[MediaHost]) -> None:
    with media_host(kind=kind) as host:
        (host.directory / "media/a.pdf").write_bytes(b"content of a.pdf")
        for name, policy in (
            ("a.pdf", _media_areas.PDF_POLICY),
            ("plain.png", _media_areas.SANDBOX),
            ("page.html", _media_areas.SANDBOX),
        ):
            for url in (f"/media/{name}", f"/former/{name}"):
                target = host.sign(url)
                whole = host.get(target, X_Test_Answer="204")
                assert (whole.status, whole.body) == (200, b"content of " + name.encode())
                for headers, status in (
                    ({"If_None_Match": str(whole.one("ETag"))}, 304),
                    ({"If_Modified_Since": str(whole.one("Last-Modified"))}, 304),
                    ({"If_Match": '"another"'}, 412),
                    ({"Range": "bytes=0-3"}, 206),
                    ({"Range": "bytes=999-"}, 416),
                ):
                    answer = host.get(target, X_Test_Answer="204", **headers)
                    assert answer.status == status
                    for header, value in {**HEADERS, "Content-Security-Policy": policy}.items():
                        assert answer.one(header) == value
                    refused = host.get(url, X_Test_Answer="401", **headers)
                    assert refused.status in (401, 403)
                    assert b"content of" not in refused.body
                _answer, seen = host.asked(target, X_Test_Answer="204")
                told = [headers["X-Original-URI"] for _path, headers in seen]
                assert told == ([url] if kind is MembersHost else [])


@pytest.fixture(scope="module")
def scratch(host: MediaHost) -> t.Iterator[Path]:
    path = host.directory / "shared" / "scratch"
    path.mkdir()
    yield path
    shutil.rmtree(path)


# Whatever a file can be called: no slash, no control character, no leading dot, 255 bytes at most.
FILE_NAMES = st.text(
    st.characters(exclude_characters="/", exclude_categories=("Cs", "Cc")), min_size=1, max_size=60
).filter(lambda name: not name.startswith("."))


@given(name=FILE_NAMES)
@hypothesis_settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_filters_url_reads_a_file_of_any_name(
    host: MediaHost, scratch: Path, name: str
) -> None:
    file = scratch / name
    file.write_bytes(name.encode())
    try:
        answer = host.get(host.sign(f"/shared/scratch/{name}"))
        assert (answer.status, answer.body) == (200, name.encode())
    finally:
        file.unlink()
