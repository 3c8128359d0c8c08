"""The static locations of role flask_site before a published tree, asked of a real Nginx."""

from __future__ import annotations

import contextlib
import grp
import gzip
import http.client
import os
import re
import shutil
import socket
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _static_release
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Look,
    Mount,
    Options,
)

from tests.unit.descriptions import media_area
from tests.unit.roles.nginx import rendered, serving

CSS = "body { color: red }\n" * 200
HASHED = f"app-{'0123456789abcdef' * 2}.js"
FILES = {
    "css/app.css": CSS,
    "small.css": "a {}",
    "cache_manifest.json": f'{{"app.js": "js/{HASHED}"}}',
    f"js/{HASHED}": "let a = 1;\n" * 300,
    "js/photo-20240131.js": "let b = 1;\n",
    "images/logo.png": "\x89PNG" * 500,
    "odd name+%.css": CSS,
}

SERVER = """\
server {
    listen unix:@dir@/http.sock;
    @locations@
}
"""


class Answer(t.NamedTuple):
    status: int
    headers: dict[str, list[str]]
    body: bytes

    def one(self, name: str) -> str | None:
        values = self.headers.get(name.lower(), [])
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("gallery.example.com", timeout=20)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Host:
    """A published tree, and Nginx before it."""

    def __init__(self, directory: Path, policy: str = "expires") -> None:
        self.encodings = ["gz"]
        self.directory = directory
        self.root = directory / "published"
        self.folder = directory / "folder"
        self.policy = policy
        is_root = os.geteuid() == 0
        group = grp.getgrnam("www-data").gr_gid if is_root else os.getgid()
        self.look = Look(os.getuid(), group, 0o750, 0o640)
        (directory / "media").mkdir()

    def publish(self, files: t.Mapping[str, str], seconds: int = 0, **options: t.Any) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (1_580_601_600 + seconds,) * 2)
        mounts = [Mount("/static/", str(self.folder), "static")]
        chosen = Options(encodings=("gz",))._replace(**options)
        planned = _static_release.plan(str(self.root), mounts, self.look, None, chosen)
        _static_release.apply(str(self.root), planned, self.look)

    def settings(self) -> dict[str, t.Any]:
        """What the template reads of the settings."""
        mount = {"url": "/static/", "location": "/static/", "directory": f"{self.root}/static"}
        area = {
            **media_area("/media/", root=str(self.directory / "media")),
            "is_main": True,
            "location": "/media/",
            "cache_control": "no-cache",
            "inline_types": {"image/png": ["png"]},
            "policy": "sandbox",
            "is_on_media_domain": False,
            "shown": [{"extensions": ["png"], "policy": "sandbox"}],
        }
        return {
            "app": {"name": "gallery"},
            "site": {
                "mode": "server",
                "proxy": False,
                "strict_transport_security": None,
                "is_in_our_server_block": True,
            },
            "static": {
                "mounts": [mount],
                "root": str(self.root),
                "encodings": self.encodings,
                "cache_policy": self.policy,
                "expires": "30d",
            },
            "media": {"areas": [area], "former_locations": []},
        }

    def locations(self) -> str:
        return rendered("locations.conf.j2", __flask_site={"settings": self.settings()})

    @contextlib.contextmanager
    def served(self) -> t.Iterator[Host]:
        with serving(self.directory, SERVER.replace("@locations@", self.locations())):
            yield self

    def get(self, target: str, method: str = "GET", **headers: str) -> Answer:
        connection = _UnixConnection(str(self.directory / "http.sock"))
        with contextlib.closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, target, headers=named)
            response = connection.getresponse()
            received: dict[str, list[str]] = {}
            for name, value in response.getheaders():
                received.setdefault(name.lower(), []).append(value)
            return Answer(response.status, received, response.read())


@contextlib.contextmanager
def new_host(policy: str = "expires") -> t.Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        yield Host(Path(directory).resolve(), policy)


@pytest.fixture(scope="module")
def host() -> t.Iterator[Host]:
    with new_host() as host:
        host.publish(FILES)
        with host.served():
            yield host


IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_and_by_gzip_the_same(host: Host, name: str) -> None:
    target = "/static/" + name.replace("%", "%25").replace(" ", "%20")
    plain, packed = host.get(target), host.get(target, Accept_Encoding="gzip")
    assert (plain.status, packed.status) == (200, 200)
    assert plain.body == FILES[name].encode()
    assert plain.one("Content-Encoding") is None
    expected = IMMUTABLE if name.endswith(HASHED) else "max-age=2592000"
    for answer in (plain, packed):
        assert answer.one("Cache-Control") == expected
        assert answer.one("X-Content-Type-Options") == "nosniff"
        assert (answer.one("Expires") is None) == (expected == IMMUTABLE)
    if len(FILES[name]) >= 1024 and not name.endswith("png"):
        assert packed.one("Content-Encoding") == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.one("Last-Modified") == plain.one("Last-Modified")
        assert packed.one("ETag") != plain.one("ETag")
        assert plain.one("Vary") == packed.one("Vary") == "Accept-Encoding"
        assert packed.one("Content-Type") == plain.one("Content-Type")
    else:
        assert packed.one("Content-Encoding") is None


@pytest.mark.parametrize("target", ["/static/css/app.css", f"/static/js/{HASHED}"])
def test_head_revalidation_and_ranges_work_of_both_trees(host: Host, target: str) -> None:
    whole = host.get(target)
    head = host.get(target, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.one("Content-Length") == str(len(whole.body))
    etag, modified = str(whole.one("ETag")), str(whole.one("Last-Modified"))
    for validator in ({"If_None_Match": etag}, {"If_Modified_Since": modified}):
        again = host.get(target, **validator)
        assert (again.status, again.body) == (304, b"")
        assert again.one("Cache-Control") == whole.one("Cache-Control")
    assert host.get(target, If_None_Match='"0-0"').status == 200
    part = host.get(target, Range="bytes=2-5")
    assert (part.status, part.body) == (206, whole.body[2:6])
    beyond = host.get(target, Range="bytes=99999999-")
    assert (beyond.status, beyond.one("Content-Range")) == (416, f"bytes */{len(whole.body)}")
    assert beyond.one("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize(
    "target",
    [
        "/static/missing.css",
        "/static/missing/",
        "/static/",
        "/static/css",
        "/static/css/",
        "/static/.env",
        "/static/js/.hidden/x.js",
        f"/_gallery_immutable/static/js/{HASHED}",
        "/_gallery_immutable/static/css/app.css",
        "/_gallery_immutable/",
        f"/static/../.immutable/static/js/{HASHED}",
        f"/static/.immutable/static/js/{HASHED}",
        "/static/..%2f.releases/",
        "/static/js/what%3fever.js",
    ],
)
def test_what_is_no_file_of_the_tree_is_404(host: Host, target: str) -> None:
    (host.root / "static/.env").write_text("SECRET")
    (host.root / ".immutable/static/js/.hidden").mkdir(exist_ok=True)
    (host.root / ".immutable/static/js/.hidden/x.js").write_text("SECRET")
    for method in ("GET", "HEAD"):
        answer = host.get(target, method)
        assert answer.status == 404
        assert answer.one("Cache-Control") is None
        if target.startswith("/static/") and ".." not in target:
            assert answer.one("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("target", ["/static/css/app.css", f"/static/js/{HASHED}"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused_in_both_trees(host: Host, target: str, method: str) -> None:
    assert host.get(target, method).status == 403


def test_the_revalidate_policy_spares_fingerprinted_files() -> None:
    with new_host("revalidate") as host:
        host.publish(FILES)
        with host.served():
            assert host.get("/static/css/app.css").one("Cache-Control") == "no-cache"
            assert host.get(f"/static/js/{HASHED}").one("Cache-Control") == IMMUTABLE


def test_a_file_that_moves_between_the_trees_is_always_served() -> None:
    with new_host() as host, contextlib.ExitStack() as stack:
        plain = {name: text for name, text in FILES.items() if "manifest" not in name}
        host.publish(plain)
        stack.enter_context(host.served())
        seen = []
        for files in (plain, FILES, plain):
            host.publish(files)
            answer = host.get(f"/static/js/{HASHED}", Accept_Encoding="gzip")
            assert answer.status == 200
            assert gzip.decompress(answer.body).decode() == FILES[f"js/{HASHED}"]
            seen.append(answer.one("Cache-Control"))
        assert seen == ["max-age=2592000", IMMUTABLE, "max-age=2592000"]


def test_etags_agree_on_hosts_of_different_histories() -> None:
    with new_host() as one, new_host() as other:
        other.publish({"css/app.css": "another\n" * 400, "small.css": "b {}"}, seconds=9)
        other.publish({"css/app.css": CSS}, seconds=77)
        one.publish(FILES)
        other.publish(FILES, seconds=12345)
        with one.served(), other.served():
            for name in ("css/app.css", "small.css", f"js/{HASHED}", "images/logo.png"):
                for encoding in ("identity", "gzip"):
                    etags = {
                        host.get(f"/static/{name}", Accept_Encoding=encoding).one("ETag")
                        for host in (one, other)
                    }
                    assert len(etags) == 1, name
                    assert re.fullmatch(r'"[0-9a-f]{8}-[0-9a-f]+"', str(etags.pop()))


def test_a_changed_file_is_never_answered_with_304() -> None:
    with new_host() as host:
        host.publish(FILES)
        with host.served():
            before = host.get("/static/css/app.css", Accept_Encoding="gzip")
            # Of the same size and time, as build tools make them.
            host.publish({**FILES, "css/app.css": CSS.replace("red", "tan")})
            for encoding in ("identity", "gzip"):
                after = host.get(
                    "/static/css/app.css",
                    Accept_Encoding=encoding,
                    If_None_Match=str(before.one("ETag")),
                    If_Modified_Since=str(before.one("Last-Modified")),
                )
                assert after.status == 200
                body = gzip.decompress(after.body) if encoding == "gzip" else after.body
                assert b"tan" in body


def test_brotli_is_asked_of_nginx_in_the_way_it_works() -> None:
    """Nginx's module for it is no part of Nginx, so only the text is looked at here."""
    with new_host() as host:
        host.encodings = ["gz", "br"]
        text = host.locations()
        assert text.count("brotli_static on;") == text.count("gzip_static on;") == 2
        # It finds no file where links are looked for from some directory on only.
        assert text.count("disable_symlinks if_not_owner;") == 2
        host.encodings = []
        text = host.locations()
        assert not re.search("brotli|gzip", text)
        assert text.count("disable_symlinks if_not_owner from=$document_root;") == 2
