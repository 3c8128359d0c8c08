"""What a browser must see of a deployed site: one line a request, all headers on one response.

The lines and the files they ask for come from the same tables. ``violations()`` is a pure
function, so that test_mutations.py can show every line turn red on a faulty configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hosts import SIGNATURE, Probe, Site
from raw_http import NGINX_ETAG, Connection, Response

DIRECTORY = "behaviour-probe"

# Content of every file that must never come out. Readable by all, so that only the
# configuration stands between it and the world.
SECRET = SIGNATURE + b" secret"

# The body of Nginx's own error pages; the app's have another.
NGINX_PAGE = b"<center>nginx"

DATE = r"[A-Z][a-z]{2}, .* GMT"
ETAG = NGINX_ETAG.pattern
UTF8 = "(; charset=utf-8)?"

STATIC_ALWAYS = {"X-Content-Type-Options": "nosniff"}
STATIC_FOUND = {
    **STATIC_ALWAYS,
    "ETag": ETAG,
    "Last-Modified": DATE,
    "Cache-Control": "max-age=2592000",
    "Expires": DATE,
}
STATIC_TYPES = {
    "css": f"text/css{UTF8}",
    "js": f"(text|application)/javascript{UTF8}",
    "mjs": f"(text|application)/javascript{UTF8}",
    "json": f"application/json{UTF8}",
    "map": f"application/json{UTF8}",
    "webmanifest": f"application/manifest\\+json{UTF8}",
    "html": f"text/html{UTF8}",
    "txt": f"text/plain{UTF8}",
    "xml": f"(text|application)/xml{UTF8}",
    "vtt": f"text/vtt{UTF8}",
    "svg": f"image/svg\\+xml{UTF8}",
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "ico": "image/(x-icon|vnd\\.microsoft\\.icon)",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "wasm": "application/wasm",
    "pdf": "application/pdf",
    "mp4": "video/mp4",
    "no-such-type": "application/octet-stream",
}

MEDIA_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}
MEDIA_FOUND = {**MEDIA_ALWAYS, "Cache-Control": "no-cache"}
MEDIA_INLINE = {
    "probe.png": "image/png",
    "PROBE.PNG": "image/png",
    "probe.html.png": "image/png",
    "probe.jpg": "image/jpeg",
    "probe.jpeg": "image/jpeg",
    "probe.gif": "image/gif",
    "probe.webp": "image/webp",
    "probe.avif": "image/avif",
    "probe.mp3": "audio/mpeg",
    "probe.ogg": "audio/ogg",
    "probe.mp4": "video/mp4",
    "probe.webm": "video/webm",
    "probe.txt": "text/plain; charset=utf-8",
    "ü a%b+c.png": "image/png",
}
MEDIA_ATTACHED = (
    *("probe.html", "probe.htm", "probe.xhtml", "probe.shtml", "PROBE.HTML", "probe.png.html"),
    *("probe.svg", "probe.xml", "probe.js", "probe.mjs", "probe.css", "probe.json", "probe.wasm"),
    *("probe.php", "probe.py", "probe.sh", "probe.cgi", "probe.exe", "probe.swf", "probe.zip"),
    *("probe.no-such-type", "probe", "probe.", "probe.pdf"),
)
OCTETS = "application/octet-stream"

REFUSED_METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "MKCOL")
HIDDEN = (".env", ".git/config", ".htpasswd", f"{DIRECTORY}/.env", f"{DIRECTORY}/.hidden/probe.png")


@dataclass(frozen=True)
class Line:
    """A request, and all that its answer must show.

    ``present`` maps a header to a pattern for its whole value; the header must come ``once``.
    ``revalidate`` names the conditional header to send, with the validator of a first answer.
    """

    id: str
    target: str
    status: tuple[int, ...]
    present: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    body: bytes | None = None
    body_has: bytes = b""
    body_lacks: bytes = SECRET
    method: str = "GET"
    send: Mapping[str, str] = field(default_factory=dict)
    revalidate: str = ""
    once: bool = True


def content(name: str) -> bytes:
    return SIGNATURE + f" {name}\n".encode() * 4


def probes(site: Site) -> list[Probe]:
    """All files that the lines and the traversal corpus ask for."""
    found = list(_secrets(site))
    for url in site.static_urls:
        directory = site.static_directory(url)
        for suffix in STATIC_TYPES:
            name = f"probe.{suffix}"
            found.append(Probe(f"{directory}/{DIRECTORY}/{name}", content(name)))
    media = f"{site.media_root}/{DIRECTORY}"
    for name in (*MEDIA_INLINE, *MEDIA_ATTACHED):
        found.append(Probe(f"{media}/{name}", content(name), by_app=True))
    for name, target in _links(site):
        found.append(Probe(f"{media}/{name}", link_to=target, by_app=True))
    return found


def _secrets(site: Site) -> Iterator[Probe]:
    """What lies beside, above and hidden inside the two roots."""
    places = {
        f"{_parent(site.media_root)}/secret.txt",
        f"{site.static_root}/secret.txt",
        f"{site.static_root}2/secret.txt",
        f"{site.media_root}2/secret.txt",
        f"{site.media_root}_private/secret.txt",
        f"{site.app_root}/secret.txt",
        f"{_parent(site.env_file)}/secret.txt",
    }
    for directory in (site.media_root, *map(site.static_directory, site.static_urls)):
        places |= {f"{directory}2/secret.txt", f"{_parent(directory)}/secret.txt"}
        places |= {f"{directory}/{name}" for name in HIDDEN}
    for path in sorted(places):
        yield Probe(path, SECRET + f" {path}\n".encode())


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _links(site: Site) -> list[tuple[str, str]]:
    return [
        ("link-to-passwd.txt", "/etc/passwd"),
        ("link-to-secret.txt", f"{_parent(site.media_root)}/secret.txt"),
        ("link-to-directory", f"{site.media_root}_private"),
    ]


def lines(static_urls: Sequence[str], url_prefix: str = "/") -> list[Line]:
    media_url = f"{url_prefix}media/"
    found = [
        *_app_lines(url_prefix),
        *_media_lines(media_url),
        *_lines_of_both(media_url, MEDIA_ALWAYS),
    ]
    for url in static_urls:
        found += [*_static_lines(url), *_lines_of_both(url, STATIC_ALWAYS)]
    return found


def _app_lines(url: str) -> Iterator[Line]:
    html = {"Content-Type": "text/html; charset=utf-8"}
    yield Line("app page", url, (200,), html, body_lacks=NGINX_PAGE)
    yield Line("app 404", f"{url}{DIRECTORY}-missing", (404,), html, body_lacks=NGINX_PAGE)


def _static_lines(url: str) -> Iterator[Line]:
    base, found = f"{url}{DIRECTORY}/", STATIC_FOUND
    never = ("Content-Disposition", "Set-Cookie", "X-Sendfile")
    for suffix, mime in STATIC_TYPES.items():
        name = f"probe.{suffix}"
        present = {**found, "Content-Type": mime}
        yield Line(f"{url} 200 {suffix}", base + name, (200,), present, never, content(name))
    css, text = base + "probe.css", content("probe.css")
    whole = {**found, "Content-Type": STATIC_TYPES["css"], "Content-Length": str(len(text))}
    yield Line(f"{url} HEAD", css, (200,), whole, never, b"", method="HEAD")
    for header in ("If-None-Match", "If-Modified-Since"):
        yield Line(f"{url} 304 {header}", css, (304,), found, never, b"", revalidate=header)
    part = {**found, "Content-Range": f"bytes 2-5/{len(text)}"}
    yield Line(f"{url} 206", css, (206,), part, never, text[2:6], send={"Range": "bytes=2-5"})


def _media_lines(url: str) -> Iterator[Line]:
    base, found = f"{url}{DIRECTORY}/", {**MEDIA_FOUND, "ETag": ETAG}
    inline = ("Content-Disposition", "Set-Cookie", "Expires")
    for name, mime in MEDIA_INLINE.items():
        target = base + name.replace("%", "%25").replace(" ", "%20").replace("ü", "%C3%BC")
        present = {**found, "Content-Type": mime}
        yield Line(f"{url} 200 {name}", target, (200,), present, inline, content(name))
    for name in MEDIA_ATTACHED:
        mime = "application/(pdf|octet-stream)" if name.endswith(".pdf") else OCTETS
        present = {**found, "Content-Type": mime, "Content-Disposition": "attachment(;.*)?"}
        absent = ("Set-Cookie", "Expires")
        yield Line(f"{url} 200 {name}", base + name, (200,), present, absent, content(name))
    png, image = base + "probe.png", content("probe.png")
    whole = {**found, "Content-Type": "image/png"}
    head = {**whole, "Content-Length": str(len(image))}
    yield Line(f"{url} HEAD", png, (200,), head, inline, b"", method="HEAD")
    yield Line(f"{url} 200 with a query", png + "?x=.html", (200,), whole, inline, image)
    untidy = f"/{url}/./{DIRECTORY}//probe.png"
    yield Line(f"{url} 200 by an untidy path", untidy, (200,), whole, inline, image)
    for header in ("If-None-Match", "If-Modified-Since"):
        yield Line(f"{url} 304 {header}", png, (304,), found, inline, b"", revalidate=header)
        html = base + "probe.html"
        yield Line(f"{url} 304 {header} html", html, (304,), found, (), b"", revalidate=header)
    part = {**whole, "Content-Range": f"bytes 2-5/{len(image)}"}
    yield Line(f"{url} 206", png, (206,), part, inline, image[2:6], send={"Range": "bytes=2-5"})
    # An answer in several parts has the type multipart/byteranges, and so another disposition.
    several = {"Range": "bytes=0-1,4-5"}
    yield Line(f"{url} one range only", png, (200,), whole, inline, image, send=several)
    beyond = {"Range": "bytes=99999-"}
    # Nginx's range filter gives up after the headers were added, and its error page adds them
    # again: each comes twice, unless error_page 416 leads elsewhere.
    yield Line(f"{url} 416", png, (416,), MEDIA_ALWAYS, send=beyond, once=False)
    never = ("Content-Disposition", "Cache-Control", "Expires")
    for climb in ("_private/secret.txt", "/_private/secret.txt"):
        target = url.rstrip("/") + climb
        yield Line(f"{url} outside {climb}", target, (400, 403, 404))
    for name in ("link-to-passwd.txt", "link-to-secret.txt", "link-to-directory/secret.txt"):
        refused = (403, 404)
        yield Line(f"{url} {name}", base + name, refused, MEDIA_ALWAYS, never, body_has=NGINX_PAGE)


def _lines_of_both(url: str, always: Mapping[str, str]) -> Iterator[Line]:
    """What must not come out: the same for static files and for media."""
    base, css = f"{url}{DIRECTORY}/", f"{url}{DIRECTORY}/probe.css"
    never = ("ETag", "Cache-Control", "Expires", "Content-Disposition", "Location")

    def refused(what: str, target: str, status: tuple[int, ...] = (404,)) -> Line:
        return Line(f"{url} {what}", target, status, always, never, body_has=NGINX_PAGE)

    yield refused("404", f"{base}missing.css")
    yield refused("404 html", f"{base}missing.html")
    yield refused("404 below a file", f"{css}/x.png")
    yield refused("directory itself", url, (403, 404))
    yield refused("directory", base, (403, 404))
    yield refused("directory, no slash", base.rstrip("/"), (403, 404))
    for name in HIDDEN:
        yield refused(f"hidden {name}", url + name)
    yield refused("hidden %2eenv", f"{url}%2eenv")
    yield refused("hidden .git%2fconfig", f"{url}.git%2fconfig")
    yield refused("hidden //.env", f"{url}/{DIRECTORY}/..//.env")
    for method in REFUSED_METHODS:
        for what, target in (("", css), (" new file", f"{base}new.css")):
            yield Line(f"{url} {method}{what}", target, (403, 405), always, never, method=method)
    yield Line(f"{url} TRACE", css, (403, 405), method="TRACE")
    bare = url.rstrip("/")
    for climb in ("..", "..%2f", "%2e%2e", "/..", "/..%2f", "/%2e%2e", "2", "/2"):
        target = bare + climb + ("" if climb.endswith("%2f") else "/") + "secret.txt"
        yield Line(f"{url} outside {climb}", target, (400, 403, 404))


def ask(connection: Connection, line: Line) -> Response:
    send = dict(line.send)
    if line.revalidate:
        first = connection.request("GET", line.target)
        validator = "ETag" if line.revalidate == "If-None-Match" else "Last-Modified"
        send[line.revalidate] = first.first(validator)
    return connection.request(line.method, line.target, send)


def violations(connection: Connection, line: Line) -> list[str]:
    """What is wrong with the answer; nothing for a good one."""
    wrong = []
    before = connection.request("GET", line.target) if _could_write(line) else None
    response = ask(connection, line)
    if response.status not in line.status:
        wrong.append(f"status {response.status}, not {' or '.join(map(str, line.status))}")
    for name, pattern in line.present.items():
        values = response.all(name)
        matching = [value for value in values if re.fullmatch(pattern, value)]
        if not matching or matching != values or (line.once and len(values) > 1):
            wrong.append(f"{name}: {values}, not once {pattern!r}")
    for name in line.absent:
        if response.all(name):
            wrong.append(f"{name}: {response.all(name)}, which must not be there")
    if line.body is not None and response.body != line.body:
        wrong.append(f"body {response.body[:80]!r}, not {line.body[:80]!r}")
    if line.body_has not in response.body:
        wrong.append(f"no {line.body_has!r} in the body {response.body[:80]!r}")
    if line.body_lacks in response.body:
        wrong.append(f"{line.body_lacks!r} in the body")
    if before is not None:
        after = connection.request("GET", line.target)
        if (after.status, after.body) != (before.status, before.body):
            wrong.append(f"afterwards GET gives {after.status}, before {before.status}")
    return wrong


def _could_write(line: Line) -> bool:
    return line.method not in ("GET", "HEAD")
