"""The load itself: each fault of a server is counted as what it is, and a healthy one has none."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import hosts
import load
import pytest
import uploads

# What a server makes of its right answer to a request; None closes the connection.
Spoil = Callable[[bytes], bytes | None]

HTML = "text/html"
FORM = """<form method="post" action="/upload" enctype="multipart/form-data">
<input type="hidden" name="csrf_token" value="t"><input type="file" name="pictures"></form>"""
FONT = b"font" * 100
SCRIPT = b"import './x.mjs';\n" * 50


def answer(body: bytes, kind: str = HTML, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@dataclass
class Server:
    """A small gallery on a unix socket, whose answers a test spoils byte by byte."""

    path: str
    version: str = "v1"
    spoils: list[tuple[re.Pattern[str], Spoil]] = field(default_factory=list)
    kept_uploads: list[bytes] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    spoiled: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    requests: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    uploads: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(128)
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # Closed already.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def spoil(self, request: str, how: Spoil) -> None:
        """From now on, do this to the answers to requests that match."""
        self.spoils.append((re.compile(request), how))

    def sheet(self, version: str) -> bytes:
        return f"body {{ src: url('../font.woff2') }} /* {version} */".encode() * 20

    def contents(self, *versions: str) -> load.Contents:
        found = load.Contents()
        found.add(
            {"/static/font.woff2": uploads.digest(FONT), "/static/x.mjs": uploads.digest(SCRIPT)}
        )
        for version in versions:
            found.add({f"/static/css/{version}.css": uploads.digest(self.sheet(version))})
        return found

    def site(self) -> hosts.Site:
        return hosts.Site.deployed("gallery", "gallery.example.com", self.path, ["/static/"])

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        try:
            self._serve_each(connection)
        finally:
            with self._lock:
                self.connections -= 1

    def _serve_each(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                method, target, _ = line.decode().split()
                headers = {}
                while (header := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.decode().partition(":")
                    headers[name] = value.strip()
                body = reader.read(int(headers.get("Content-Length", 0)))
                with self._lock:
                    sent: bytes | None = self._answer(method, target, headers, body)
                for pattern, how in self.spoils:
                    if sent is not None and pattern.match(f"{method} {target}"):
                        whole, sent = sent, how(sent)
                        if sent != whole:
                            self.spoiled.release()
                self.requests.release()
                if sent is None:
                    return
                try:
                    connection.sendall(sent)
                except OSError:
                    return
                if not is_whole(sent):
                    return

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        path = target.partition("?")[0]
        if method == "POST":
            self.kept_uploads.append(picture_in(headers, body))
            self.uploads.release()
            return answer(b'{"refused": [], "stored": 1}', "application/json", "201 CREATED")
        if path in load.PAGES:
            return answer(self._page(path).encode())
        if path.startswith("/media/"):
            return answer(self.kept_uploads[int(path.rpartition("/")[2])], "image/png")
        return self._static(path, headers)

    def _static(self, path: str, headers: dict[str, str]) -> bytes:
        if path in self.gone:
            return answer(b"no", status="404 Not Found")
        sheet = re.fullmatch(r"/static/css/(\w+)\.css", path)
        content = {"/static/font.woff2": FONT, "/static/x.mjs": SCRIPT}.get(path)
        content = self.sheet(sheet[1]) if sheet else content
        assert content is not None, path
        cache = "Cache-Control: public, max-age=31536000, immutable\r\n"
        if headers.get("Accept-Encoding") == "gzip" and not path.endswith(".woff2"):
            coded = gzip.compress(content)
            return answer(coded, "text/css", more=f"{cache}Content-Encoding: gzip\r\n")
        return answer(content, "text/css", more=cache)

    def _page(self, path: str) -> str:
        pictures = "".join(f'<a href="/media/{i}">x</a>' for i in range(len(self.kept_uploads)))
        return f"""<!doctype html><html><link rel="stylesheet" href="/static/css/{self.version}.css">
            <script src="/static/x.mjs"></script><script src="https://elsewhere.example/y.js"></script>
            <img src="data:image/png;base64,AAAA">{FORM if path == "/upload" else pictures}</html>"""


def is_whole(sent: bytes) -> bool:
    """Else the connection must end, or the client would wait for the rest."""
    head, _, body = sent.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    return length is not None and int(length[1]) == len(body)


def picture_in(headers: dict[str, str], body: bytes) -> bytes:
    boundary = headers["Content-Type"].partition("boundary=")[2].encode()
    part = body.split(b"--" + boundary)[-2]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(str(tmp_path_factory.mktemp("load") / "s"))
    yield server
    server.close()


def loaded(server: Server, *versions: str) -> load.Load:
    return load.Load(
        server.site(),
        server.contents("v1", *versions),
        uploads_a_second=100,
        pages_a_second=50,
        timeout_seconds=10,
    )


def wait_for(events: threading.Semaphore, count: int) -> None:
    for _ in range(count):
        assert events.acquire(timeout=20)


def faults_of(server: Server, count: int = 3) -> set[str]:
    """The kinds of fault that visitors count while the server spoils this many answers."""
    with loaded(server) as visitors:
        wait_for(server.spoiled, count)
        return {fault for fault, number in visitors.stop().faults.items() if number}


def test_a_healthy_site_has_no_fault(server: Server) -> None:
    with loaded(server, "v2", "v3") as visitors:
        for version in ("v1", "v2", "v3", "v2"):
            server.version = version
            wait_for(server.requests, 100)
            visitors.revisit()
        result = visitors.stop()
    assert result.ok, result
    assert result.versions == 3
    assert result.uploads_accepted == result.uploads_found == len(server.kept_uploads) > 0
    assert all(result.latencies_ms[kind] for kind in load.KINDS)
    assert 0 < result.percentile_ms("page", 50) <= result.percentile_ms("page", 100)
    line = result.line()
    assert "\n" not in line
    assert f"{result.requests} requests" in line
    assert all(f"0 {fault}" in line for fault in load.FAULTS)


CSS = r"GET /static/css/"
CUT = r"GET /static/font\.woff2"


def swapped(old: bytes, new: bytes) -> Spoil:
    return lambda sent: sent.replace(old, new)


def without_length(sent: bytes) -> bytes:
    return re.sub(rb"Content-Length: \d+\r\n", b"", sent)


def chunked(end: bytes) -> Spoil:
    def sent_in_chunks(sent: bytes) -> bytes:
        body = sent.partition(b"\r\n\r\n")[2]
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        return head + b"%x\r\n%b\r\n" % (len(body), body) + end

    return sent_in_chunks


def cut_gzip(sent: bytes) -> bytes:
    """The body is as long as is said, and yet half of the file."""
    head, _, body = sent.partition(b"\r\n\r\n")
    if b"gzip" not in head:
        return sent
    return answer(body[: len(body) // 2], "text/css", more="Content-Encoding: gzip\r\n")


def broken(status: str) -> Spoil:
    return lambda sent: answer(b"<html>error</html>", status=status)


@pytest.mark.parametrize(
    ("request_line", "how", "faults"),
    [
        (CUT, lambda sent: sent[:-7], {"truncated"}),
        (CUT, without_length, {"truncated"}),
        (CUT, chunked(b"0\r\n\r\n"), set()),
        (CUT, chunked(b""), {"truncated"}),
        (CUT, chunked(b"5\r\nfo"), {"truncated"}),
        (CSS, cut_gzip, {"truncated"}),
        (r"GET /about", lambda sent: answer(b"<!doctype html><html><p>"), {"truncated"}),
        (r"POST", lambda sent: sent[:-1], {"truncated"}),
        # Whoever cannot read the gallery finds no upload.
        (r"GET /$", broken("500 Internal Server Error"), {"non-2xx", "uploads lost"}),
        (r"GET /about", broken("502 Bad Gateway"), {"non-2xx"}),
        (r"POST", broken("413 Content Too Large"), {"non-2xx"}),
        (r"GET /about", broken("302 Found"), {"non-2xx"}),
        (CSS, broken("404 Not Found"), {"non-2xx", "assets missing"}),
        (CSS, broken("410 Gone"), {"non-2xx", "assets missing"}),
        (CSS, broken("403 Forbidden"), {"non-2xx"}),
        (r"POST", lambda sent: None, {"transport errors"}),
        (r"GET /about", lambda sent: b"<html>no status line\r\n\r\n", {"transport errors"}),
        (CUT, lambda sent: b"HTTP/1.1 200 OK\r\nContent-Le", {"transport errors"}),
        (CUT, swapped(b"font", b"fxnt"), {"wrong bytes"}),
        (CUT, lambda sent: answer(FONT[:-1]), {"wrong bytes"}),
        (CSS, lambda sent: answer(b""), {"wrong bytes"}),
        (r"POST", swapped(b'"stored": 1', b'"stored": 0'), {"wrong bytes"}),
    ],
)
def test_each_fault_is_counted_as_what_it_is(
    server: Server, request_line: str, how: Spoil, faults: set[str]
) -> None:
    server.spoil(request_line, how)
    assert faults_of(server) == faults


def test_a_kept_connection_may_be_closed(server: Server) -> None:
    """Every second answer on a connection never comes; a fresh connection gets one."""
    answered = iter(range(10**6))

    def close_every_fifth(sent: bytes) -> bytes | None:
        return None if next(answered) % 5 == 4 else sent

    server.spoil(r"GET /static/x", close_every_fifth)
    with loaded(server) as visitors:
        wait_for(server.spoiled, 5)
        result = visitors.stop()
    # A fresh one that is closed is a fault, here as good as never met.
    assert result.reconnects > 0
    assert set(result.faults) <= {"transport errors"}


def test_connections_do_not_grow_with_uploads(server: Server) -> None:
    with loaded(server) as visitors:
        wait_for(server.uploads, 400)
        connections = server.connections
        visitors.stop()
    # 64 uploads at once, and 16 visitors with 6 connections each, at most.
    assert 0 < connections <= 160


def test_nobody_answers(server: Server) -> None:
    server.close()
    with loaded(server) as visitors:
        visitors.revisit()
        assert set(visitors.stop().faults) == {"transport errors"}


def test_a_lost_upload(server: Server) -> None:
    """Accepted, and never seen again."""
    with loaded(server) as visitors:
        wait_for(server.requests, 200)
        with server._lock:
            lost = server.kept_uploads.pop(0)
            # In its place, so that all others keep their URLs.
            server.kept_uploads.insert(0, uploads.picture())
        server.spoil(r"GET /media/0$", broken("404 Not Found"))
        result = visitors.stop()
    assert result.faults["uploads lost"] >= 1, result
    assert any(uploads.digest(lost) in sample for sample in result.samples)
    assert result.uploads_found == result.uploads_accepted - 1


def test_a_changed_upload(server: Server) -> None:
    with loaded(server) as visitors:
        wait_for(server.requests, 200)
        server.spoil(r"GET /media/", lambda sent: answer(b"other", "image/png"))
        wait_for(server.spoiled, 3)
        result = visitors.stop()
    assert result.faults["uploads changed"], result
    assert result.faults["uploads lost"] == result.uploads_accepted


def test_an_immutable_file_that_changes(server: Server) -> None:
    """To a version's bytes, so that nothing else shows it."""
    contents = server.contents("v1")
    contents.add({"/static/css/v1.css": uploads.digest(server.sheet("v2"))})
    with load.Load(server.site(), contents, pages_a_second=50) as visitors:
        wait_for(server.requests, 50)
        cache = "Cache-Control: immutable\r\n"
        server.spoil(CSS, lambda sent: answer(server.sheet("v2"), "text/css", more=cache))
        wait_for(server.spoiled, 3)
        assert set(visitors.stop().faults) == {"wrong bytes"}


@pytest.mark.parametrize(
    ("pruned", "faults"), [("v1", set()), ("v2", {"non-2xx", "assets missing"})]
)
def test_the_assets_of_kept_versions(server: Server, pruned: str, faults: set[str]) -> None:
    """With three kept before the newest, the first of five may go, and the second may not."""
    versions = ["v1", "v2", "v3", "v4", "v5"]
    with loaded(server, *versions) as visitors:
        for version in versions:
            server.version = version
            visitors.revisit()
        server.gone.add(f"/static/css/{pruned}.css")
        visitors.revisit()
        assert set(visitors.stop().faults) == faults


@pytest.mark.parametrize(
    ("path", "content", "known"),
    [
        ("/static/a.css", b"a", True),
        ("/static/a.css", b"A", True),
        ("/static/a.css", b"b", False),
        ("/static/b.css", b"a", False),
        ("/static/a-0123456789abcdef0123456789abcdef.css", b"a", True),
        ("/static/a.01234567.css", b"A", True),
        ("/static/a.01234567.css", b"b", False),
        ("/static/a-old.css", b"a", False),
    ],
)
def test_the_bytes_of_some_version(path: str, content: bytes, known: bool) -> None:
    contents = load.Contents()
    contents.add({"/static/a.css": uploads.digest(b"a")})
    contents.add({"/static/a.css": uploads.digest(b"A")})
    assert contents.has(path, uploads.digest(content)) is known


def test_what_is_known_of_no_version_may_not_change() -> None:
    contents = load.Contents(learning=True)
    contents.add({"/static/a.css": uploads.digest(b"a")})
    for path in ("/static/a.css", "/static/a.01234567.css", "/static/b.css"):
        assert contents.has(path, uploads.digest(b"a"))
        assert not contents.has(path, uploads.digest(b"b"))


def test_what_a_browser_fetches() -> None:
    page = load.Assets(
        "/shop/about/",
        """<link rel="icon" href="i.png"><link rel="canonical" href="/no"><script>x</script>
        <link rel="preload stylesheet" href="../a.css?v=1"><script src="/b.js"></script>
        <img src="c.png"><img src="d.png" loading="lazy"><img src="//elsewhere.example/e.png">
        <img src="c.png"><a href="?page=2">more</a>""",
    )
    assert page.fetched == ["/shop/about/i.png", "/shop/a.css?v=1", "/b.js", "/shop/about/c.png"]
    assert page.links == ["/shop/about/?page=2"]


def test_what_a_style_sheet_refers_to() -> None:
    text = """@font-face { src: url("../f.woff2"), url( '/g.woff2' ) } a { b: url(h.png#x);
        c: url(data:image/png;base64,AA) } @import url(https://elsewhere.example/z.css);"""
    assert load.css_targets("/static/css/a.css?v=1", text) == [
        *("/static/f.woff2", "/g.woff2", "/static/css/h.png"),
    ]


def test_a_load_that_breaks_proves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_contents(*_: object) -> bool:
        raise AssertionError("a bug of the tests")

    monkeypatch.setattr(load.Contents, "has", broken_contents)
    with loaded(server) as visitors:
        assert visitors._running is not None
        assert isinstance(visitors._running.exception(timeout=20), BaseExceptionGroup)
        with pytest.raises(load.LoadError):
            visitors.revisit()
        with pytest.raises(load.LoadError):
            visitors.stop()
