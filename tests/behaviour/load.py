"""Visitors of a site, many a second, who check every answer in full.

They load pages as browsers do, with all that each refers to; load the assets of pages that they
opened before a deploy; and upload pictures through the app's own form. In the end every upload
that was ever accepted must be there.

``load.py SECONDS`` loads the site of BEHAVIOUR_* (see conftest.py) and prints the figures.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import json
import re
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self
from urllib.parse import urljoin, urlsplit

import hosts
import raw_http
import uploads

# What a visitor opens: pages that between them refer to every static mount.
PAGES = ("/", "/about", uploads.UPLOAD_PAGE)
ASSET_LINKS = {"icon", "manifest", "modulepreload", "preload", "stylesheet"}
CSS_URL = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]*))\s*\)""")
# style-d41d8cd98f00b204e9800998ecf8427e.css, style.d41d8cd9.css
FINGERPRINT = re.compile(r"[-.][0-9a-f]{8,64}(?=[.][^/]*$)")

# What can be wrong, each counted by itself.
FAULTS = (
    "non-2xx",
    "transport errors",
    "truncated",
    "assets missing",
    "wrong bytes",
    "uploads lost",
    "uploads changed",
)
KINDS = ("page", "static", "media", "upload")
SAMPLES = 20
# A browser opens six connections to a host.
BROWSER_CONNECTIONS = 6
# Pictures sent by one opened form.
PICTURES_A_FORM = 10


class LoadError(Exception):
    """The load could not be made or ended, which says nothing about the site."""


@dataclass
class Result:
    """What the visitors saw."""

    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    # The first ones of each fault, with the second at which they were seen.
    samples: list[str] = field(default_factory=list)
    latencies_ms: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in KINDS})
    # Versions of the first page, told by the assets that it refers to.
    versions: int = 0
    # Connections that the server closed between two requests, as it may: RFC 9112, 9.5.
    reconnects: int = 0
    uploads_accepted: int = 0
    uploads_found: int = 0

    @property
    def requests(self) -> int:
        return sum(len(values) for values in self.latencies_ms.values())

    @property
    def ok(self) -> bool:
        return not self.faults.total()

    def percentile_ms(self, kind: str, percent: float) -> float:
        values = sorted(self.latencies_ms[kind])
        return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0.0

    def line(self) -> str:
        """All figures in one line."""
        counts = ", ".join(f"{len(self.latencies_ms[kind])} {kind}" for kind in KINDS)
        faults = ", ".join(f"{self.faults[fault]} {fault}" for fault in FAULTS)
        times = ", ".join(
            f"{kind} {'/'.join(f'{self.percentile_ms(kind, p):.0f}' for p in (50, 99, 100))}"
            for kind in KINDS
        )
        rate = self.uploads_accepted / self.seconds if self.seconds else 0.0
        return (
            f"{self.seconds:.0f} s, {self.requests} requests ({counts}), {self.versions} versions,"
            f" {self.uploads_found} of {self.uploads_accepted} uploads found ({rate:.1f}/s);"
            f" {faults}; ms p50/p99/max: {times}; {self.reconnects} reconnects"
        )

    def __str__(self) -> str:
        return "\n  ".join([self.line(), *self.samples])


class Refused(Exception):
    """An answer that is none; already counted."""


class Assets(HTMLParser):
    """What a browser fetches for a page without being asked, and the links on it."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self.url = url
        self.fetched: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "link" and ASSET_LINKS & set(found.get("rel", "").lower().split()):
            self._add(self.fetched, found.get("href", ""))
        elif tag == "script" or (tag == "img" and found.get("loading") != "lazy"):
            self._add(self.fetched, found.get("src", ""))
        elif tag == "a":
            self._add(self.links, found.get("href", ""))

    def _add(self, urls: list[str], reference: str) -> None:
        target = own_target(self.url, reference)
        if target and target not in urls:
            urls.append(target)


def brief(response: raw_http.Response) -> str:
    return (
        f"{response.status} {response.reason}, {len(response.body)} bytes, {response.body[:80]!r}"
    )


def own_target(base: str, reference: str) -> str:
    """The request target of a reference, if it leads to the site itself."""
    parts = urlsplit(urljoin(base, reference))
    if not reference or parts.scheme or parts.netloc:
        return ""
    return parts.path + (f"?{parts.query}" if parts.query else "")


def css_targets(url: str, text: str) -> list[str]:
    """What a style sheet refers to."""
    references = (next(filter(None, match.groups()), "") for match in CSS_URL.finditer(text))
    return [target for reference in references if (target := own_target(url, reference))]


class Contents:
    """The bytes that each static URL may have: those of some version of its file.

    With ``learning``, a file of no version may have those that were seen first, and no others.
    """

    def __init__(self, learning: bool = False) -> None:
        self._hashes: dict[str, set[str]] = {}
        self._learning = learning

    def add(self, hashes: Mapping[str, str]) -> None:
        """Learn a version; SHA-256 by URL path."""
        for path, digest in hashes.items():
            self._hashes.setdefault(path, set()).add(digest)

    def has(self, path: str, digest: str) -> bool:
        original = FINGERPRINT.sub("", path)
        if self._learning and path not in self._hashes and original not in self._hashes:
            self.add({path: digest})
        return digest in self._hashes.get(path, self._hashes.get(original, frozenset()))


def static_of_project(project: Path) -> dict[str, str]:
    """SHA-256 by URL path of the static files that a version of the gallery has itself."""
    package = project / "src" / "gallery"
    folders = {"/static/": package / "static", "/about/static/": package / "about" / "static"}
    return {
        url + path.relative_to(folder).as_posix(): uploads.digest(path.read_bytes())
        for url, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file()
    }


def published_static(host: hosts.Host, site: hosts.Site) -> dict[str, str]:
    """SHA-256 by URL path of what is published now, other packages' mounts included."""
    found = host.hash_tree(site.static_root)
    # Fingerprinted files are in a tree of their own.
    return {
        path.removeprefix(site.static_root).removeprefix("/.immutable"): digest
        for path, digest in found.items()
    }


class Connections:
    """HTTP/1.1 over connections that are kept and used again."""

    def __init__(self, site: hosts.Site, timeout_seconds: float) -> None:
        self.reconnects = 0
        self._address = site.address
        self._host_name = site.host_name
        self._timeout_seconds = timeout_seconds
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        fresh: bool = False,
    ) -> raw_http.Response:
        message = raw_http.encode(method, target, {"Host": self._host_name, **headers}, body)
        async with asyncio.timeout(self._timeout_seconds):
            if not fresh and self._idle:
                try:
                    return await self._send(self._idle.pop(), method, message)
                except (ConnectionError, EOFError):
                    # Closed between two requests: RFC 9112, 9.5. On a fresh one it is a fault.
                    self.reconnects += 1
            return await self._send(await self._open(), method, message, may_keep=not fresh)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._address, str):
            return await asyncio.open_unix_connection(self._address)
        return await asyncio.open_connection(*self._address)

    async def _send(
        self,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        method: str,
        message: bytes,
        may_keep: bool = True,
    ) -> raw_http.Response:
        reader, writer = connection
        keep = False
        try:
            writer.write(message)
            await writer.drain()
            response, keep = await read_response(reader, method)
        finally:
            # Else each fresh one would be one more that is idle, until no descriptor is left.
            if keep and may_keep:
                self._idle.append(connection)
            else:
                writer.close()
        return response

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
        self._idle.clear()


async def read_response(
    reader: asyncio.StreamReader, method: str
) -> tuple[raw_http.Response, bool]:
    """As raw_http.read_response(), but a body must say where it ends."""
    status = 100
    while status < 200:
        head, keep = raw_http.read_head(io.BytesIO(await read_head(reader)))
        status = head.status
    if raw_http.has_no_body(method, status):
        return head, keep
    if "chunked" in head.first("Transfer-Encoding").lower():
        body = io.BytesIO()
        while True:
            size = chunk_size(await reader.readline())
            body.write((await read_exactly(reader.readexactly(size + 2)))[:-2])
            if not size:
                break
        return raw_http.Response(status, head.reason, head.headers, body.getvalue()), keep
    length = head.first("Content-Length")
    if not length.isdigit():
        raise Truncated("no length: nothing tells a whole body from a part")
    content = await read_exactly(reader.readexactly(int(length)))
    return raw_http.Response(status, head.reason, head.headers, content), keep


class Truncated(Exception):
    """The body ended before it was whole."""


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise raw_http.ProtocolError(f"an unfinished head: {error.partial[:80]!r}") from error
        raise EOFError("the connection was closed without a response") from error
    except asyncio.LimitOverrunError as error:
        raise raw_http.ProtocolError("a head without an end") from error


async def read_exactly(reading: Awaitable[bytes]) -> bytes:
    try:
        data = await reading
    except asyncio.IncompleteReadError as error:
        expected = error.expected or 0
        raise Truncated(f"{len(error.partial)} of {expected} bytes") from error
    except ConnectionError as error:
        raise Truncated(f"within the body: {error!r}") from error
    return data


def chunk_size(line: bytes) -> int:
    size = line.partition(b";")[0].strip()
    if not line.endswith(b"\n") or not re.fullmatch(rb"[0-9a-fA-F]+", size):
        raise Truncated(f"an unfinished chunk: {line!r}")
    return int(size, 16)


@dataclass
class Session:
    """A visitor's cookie and the form that they have open."""

    cookie: str = ""
    target: str = ""
    file_field: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    sent: int = 0


class Load:
    """Visitors in a thread of their own: ``with Load(site, contents) as load: …; load.stop()``.

    Without ``contents`` no static file may change. ``kept_versions`` says how many versions before
    the newest one keep their assets; those of ``kept_versions - 1`` are fetched all the time, since
    the last one goes at the end of a deploy, and all of them by ``revisit()``, for when none runs.
    """

    def __init__(
        self,
        site: hosts.Site,
        contents: Contents | None = None,
        *,
        uploads_a_second: float = 20.0,
        pages_a_second: float = 3.0,
        kept_versions: int = 3,
        timeout_seconds: float = 30.0,
    ) -> None:
        self.result = Result()
        self._site = site
        self._contents = contents or Contents(learning=True)
        self._uploads_a_second = uploads_a_second
        self._pages_a_second = pages_a_second
        self._kept_versions = kept_versions
        self._connections = Connections(site, timeout_seconds)
        self._sessions: list[Session] = []
        self._pages = itertools.cycle(PAGES)
        # Of each page, the assets of its versions, the one seen last at the end.
        self._versions: dict[str, list[frozenset[str]]] = {page: [] for page in PAGES}
        self._seen: set[frozenset[str]] = set()
        self._older = itertools.count()
        self._compressed = itertools.count()
        # Bytes of every URL that a cache may keep for ever, and of every upload seen.
        self._immutable: dict[str, str] = {}
        self._media: dict[str, str] = {}
        self._accepted: set[str] = set()
        self._began = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = ThreadPoolExecutor(1, "load")
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        self._running = self._thread.submit(asyncio.run, self._visit_until_stopped())
        self._running.add_done_callback(lambda _: self._started.set())
        self._started.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def stop(self) -> Result:
        """Let the visitors go, look for every upload, and say what they saw."""
        self._end()
        self._raise_if_broken()
        asyncio.run(self._look_for_uploads())
        return self.result

    def revisit(self) -> None:
        """Load each page, and the assets of all its versions that the site promises to keep."""
        self._raise_if_broken()
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._revisit(), self._loop).result()

    def visit_once(self) -> Result:
        """Load each page once, and be gone; for a Load that was not begun."""
        asyncio.run(self._visit_once())
        return self.result

    def assets(self, page: str = PAGES[0]) -> frozenset[str]:
        """The static files that the page referred to when it was last seen."""
        return self._versions[page][-1] if self._versions[page] else frozenset()

    def _raise_if_broken(self) -> None:
        if self._running is not None and self._running.done():
            error = self._running.exception()
            if error is not None:
                raise LoadError("the load itself broke") from error

    def _end(self) -> None:
        if self._loop is not None and self._stopping is not None:
            with suppress(RuntimeError):  # The loop is closed where the load broke.
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.shutdown()

    async def _visit_until_stopped(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._began = time.monotonic()
        self._started.set()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._every(1 / self._pages_a_second, 16, self._visit))
                if self._uploads_a_second:
                    group.create_task(self._every(1 / self._uploads_a_second, 64, self._upload))
        finally:
            self.result.seconds = time.monotonic() - self._began
            await self._connections.close()

    async def _every(
        self, seconds: float, at_once: int, job: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Begin the job at this rate, late where so many are not done, and catch up."""
        assert self._stopping is not None
        free = asyncio.Semaphore(at_once)

        async def one() -> None:
            try:
                await job()
            except Refused:
                pass
            finally:
                free.release()

        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count(1):
                await free.acquire()
                group.create_task(one())
                wait = max(0.0, begin + number * seconds - time.monotonic())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait)
                if self._stopping.is_set():
                    return

    async def _visit(self) -> None:
        """A page and its assets, and those of an earlier version of it in another tab."""
        page = next(self._pages)
        await self._open_page(page)
        earlier = self._versions[page][:-1][-(self._kept_versions - 1) :]
        if earlier and self._kept_versions > 1:
            await self._fetch_static(earlier[next(self._older) % len(earlier)])

    async def _visit_once(self) -> None:
        self._began = time.monotonic()
        await self._revisit()
        await self._connections.close()

    async def _revisit(self) -> None:
        for page in PAGES:
            with suppress(Refused):
                await self._open_page(page)
                for version in self._versions[page][-1 - self._kept_versions :]:
                    await self._fetch_static(version)

    async def _open_page(self, page: str) -> None:
        text = await self._page(page)
        found = Assets(page, text)
        static = [url for url in found.fetched if self._is_static(url)]
        media = [url for url in found.fetched if url.startswith(self._site.media_url)]
        static += await self._fetch_sheets(static)
        self._remember(page, frozenset(static))
        # A visitor opens one of the originals.
        media += [url for url in found.links if url.startswith(self._site.media_url)][:1]
        await self._each(self._static, static)
        await self._each(self._upload_again, media)

    def _remember(self, page: str, assets: frozenset[str]) -> None:
        versions = self._versions[page]
        with suppress(ValueError):
            versions.remove(assets)
        versions.append(assets)
        del versions[: -1 - self._kept_versions]
        if page == PAGES[-1] and assets not in self._seen:
            self._seen.add(assets)
            self.result.versions = len(self._seen)

    def _is_static(self, url: str) -> bool:
        return url.startswith(self._site.static_urls)

    async def _fetch_static(self, assets: Iterable[str]) -> None:
        await self._each(self._static, sorted(assets))

    async def _fetch_sheets(self, urls: Iterable[str]) -> list[str]:
        """What the style sheets among these refer to."""
        targets: list[str] = []
        for url in urls:
            if urlsplit(url).path.endswith(".css"):
                with suppress(Refused):
                    targets += css_targets(url, (await self._static(url)).decode())
        return [target for target in dict.fromkeys(targets) if self._is_static(target)]

    async def _each(
        self, fetch: Callable[[str], Coroutine[Any, Any, object]], urls: Iterable[str]
    ) -> None:
        free = asyncio.Semaphore(BROWSER_CONNECTIONS)

        async def one(url: str) -> None:
            async with free:
                with suppress(Refused):
                    await fetch(url)

        async with asyncio.TaskGroup() as group:
            for url in urls:
                group.create_task(one(url))

    async def _page(self, url: str, headers: Mapping[str, str] | None = None) -> str:
        response = await self._ask("page", "GET", url, {"Accept": "text/html", **(headers or {})})
        text = response.body.decode()
        if not text.rstrip().endswith("</html>"):
            self._count("truncated", f"GET {url}: a page without its end: {text[-80:]!r}")
        return text

    async def _static(self, url: str) -> bytes:
        """A static file, which must have the bytes of one of its versions."""
        # Browsers ask for both kinds; a proxy in between may not.
        headers = {"Accept-Encoding": "gzip"} if next(self._compressed) % 2 else {}
        response = await self._ask("static", "GET", url, headers)
        body = response.body
        if response.first("Content-Encoding") == "gzip":
            try:
                body = gzip.decompress(body)
            except (EOFError, OSError, zlib.error) as error:
                self._fail("truncated", f"GET {url}, gzip: {error}")
        digest = uploads.digest(body)
        if not self._contents.has(urlsplit(url).path, digest):
            self._fail("wrong bytes", f"GET {url}: of no version: {digest}, {brief(response)}")
        immutable = "immutable" in response.first("Cache-Control")
        if immutable and self._immutable.setdefault(url, digest) != digest:
            self._fail("wrong bytes", f"GET {url}: immutable, and changed: {brief(response)}")
        return body

    async def _upload_again(self, url: str) -> str:
        """The hash of an upload, which must not change."""
        digest = uploads.digest((await self._ask("media", "GET", url)).body)
        if self._media.setdefault(url, digest) != digest:
            self._fail("uploads changed", f"GET {url}: it had other bytes")
        return digest

    async def _upload(self) -> None:
        session = self._sessions.pop() if self._sessions else Session()
        if session.sent % PICTURES_A_FORM == 0:
            await self._open_form(session)
        session.sent += 1
        picture = uploads.picture()
        content_type, body = uploads.multipart(
            session.fields, session.file_field, "picture.png", picture
        )
        # As the upload page's own script does. A POST is not repeated on another connection, so
        # it doesn't begin on one that the server may be closing: RFC 9110, 9.2.2.
        headers = {
            "Accept": "application/json",
            "Content-Type": content_type,
            "Cookie": session.cookie,
        }
        response = await self._ask("upload", "POST", session.target, headers, body, fresh=True)
        try:
            stored = json.loads(response.body)["stored"]
        except (ValueError, KeyError, TypeError):
            stored = None
        if stored != 1:
            self._fail("wrong bytes", f"POST {session.target}: {brief(response)}")
        self._accepted.add(uploads.digest(picture))
        self.result.uploads_accepted += 1
        self._sessions.append(session)

    async def _open_form(self, session: Session) -> None:
        headers = {"Cookie": session.cookie} if session.cookie else {}
        url = uploads.UPLOAD_PAGE
        response = await self._ask("page", "GET", url, {"Accept": "text/html", **headers})
        form = uploads.Page()
        form.feed(response.body.decode())
        if not form.file_field:
            self._fail("truncated", f"GET {url}: no form with a file field: {brief(response)}")
        for cookie in response.all("Set-Cookie"):
            session.cookie = cookie.partition(";")[0]
        session.target = urljoin(url, form.action)
        session.file_field, session.fields = form.file_field, form.fields

    async def _look_for_uploads(self) -> None:
        """Read the whole gallery: what was accepted is there, and all is as it was first seen."""
        found: set[str] = set()
        urls: set[str] = set(self._media)
        try:
            url = uploads.GALLERY_PAGE
            while url:
                page = Assets(url, await self._page(url))
                urls.update(u for u in page.links if u.startswith(self._site.media_url))
                url = next(filter(self._next_page(url), page.links), "")
        except Refused:
            pass
        await self._each(lambda url: self._find(url, found), sorted(urls))
        await self._connections.close()
        self.result.uploads_found = len(self._accepted & found)
        for digest in sorted(self._accepted - found):
            self._count("uploads lost", f"accepted, and at no URL: {digest}")

    async def _find(self, url: str, found: set[str]) -> None:
        found.add(await self._upload_again(url))

    @staticmethod
    def _next_page(url: str) -> Callable[[str], bool]:
        number = int(urlsplit(url).query.rpartition("=")[2] or 1)
        return lambda link: link == f"{uploads.GALLERY_PAGE}?page={number + 1}"

    async def _ask(
        self,
        kind: str,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        fresh: bool = False,
    ) -> raw_http.Response:
        """One request, counted; raises Refused where no whole 2xx came of it."""
        begin = time.monotonic()
        try:
            response = await self._connections.exchange(method, target, headers or {}, body, fresh)
        except Truncated as error:
            self._fail("truncated", f"{method} {target}: {error}")
        except (OSError, EOFError, raw_http.ProtocolError) as error:
            self._fail("transport errors", f"{method} {target}: {error!r}")
        finally:
            self.result.latencies_ms[kind].append((time.monotonic() - begin) * 1000)
            self.result.reconnects = self._connections.reconnects
        if not 200 <= response.status < 300:
            if kind == "static" and response.status in (404, 410):
                self._count("assets missing", f"{method} {target}")
            elif kind == "media" and target in self._media:
                self._count("uploads lost", f"{method} {target}")
            self._fail("non-2xx", f"{method} {target}: {brief(response)}")
        return response

    def _fail(self, fault: str, what: str) -> NoReturn:
        self._count(fault, what)
        raise Refused(what)

    def _count(self, fault: str, what: str) -> None:
        self.result.faults[fault] += 1
        if self.result.faults[fault] <= SAMPLES:
            second = time.monotonic() - self._began
            self.result.samples.append(f"{second:.2f} s, {fault}: {what}")


def main(arguments: list[str]) -> int:
    site = hosts.site_from_environment()
    contents = Contents()
    contents.add(published_static(hosts.host_from_environment(), site))
    with Load(site, contents) as load:
        time.sleep(float(arguments[0]))
        result = load.stop()
    print(result)
    return 0 if result.ok else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
