# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What browsers are told of files: how long they keep them, what they take them for, what they may do.

Only answers that came count, and only those that Nginx gave; its configuration then tells which line is at
fault. Other people's headers are theirs: of those that a file has, only such are judged that fail or leak.
"""

from __future__ import annotations

import dataclasses
import hashlib
import posixpath
import re
import typing as t
import zlib

from ansible_collections.flaskworks.static_media.plugins.module_utils import _evidence_masks
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    ABSENT,
    Case,
    FilesLocation,
    Response,
    quoted,
    slashed,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

DAY = 86400
# Longer than that, nobody comes back to ask whether a file has changed.
LONG_SECONDS = 31 * DAY
# A miss of a minute harms no rollout.
ERROR_SECONDS = 60
PLACES_LIMIT = 8
TYPES_LIMIT = 8
STALE_LIMIT = 6
# An archive that a deploy copied before its file is not older for that.
STALE_SECONDS = 60
MASKED = _evidence_masks.MASK

# What browsers refuse to use as anything else: scripts and modules, style sheets, pictures of SVG.
# https://html.spec.whatwg.org/multipage/links.html#link-type-stylesheet and #fetch-a-single-module-script
NEEDED = {
    ".css": re.compile(r"text/css\Z"),
    ".js": re.compile(r"(?:text|application)/(?:x-)?(?:java|ecma)script\Z"),
    ".mjs": re.compile(r"(?:text|application)/(?:x-)?(?:java|ecma)script\Z"),
    ".svg": re.compile(r"image/svg\+xml\Z"),
    ".wasm": re.compile(r"application/wasm\Z"),
    ".html": re.compile(r"(?:text/html|application/xhtml\+xml)\Z"),
    ".png": re.compile(r"image/png\Z"),
    ".webp": re.compile(r"image/webp\Z"),
    ".woff2": re.compile(r"(?:font/woff2|application/font-woff2|application/x-font-woff2)\Z"),
    ".woff": re.compile(r"(?:font/woff|application/font-woff|application/x-font-woff)\Z"),
    ".ttf": re.compile(
        r"(?:font/ttf|font/sfnt|application/(?:x-)?font-(?:ttf|truetype)|application/x-font-ttf)\Z"
    ),
    ".otf": re.compile(
        r"(?:font/otf|font/sfnt|application/(?:x-)?font-opentype|application/vnd\.ms-opentype)\Z"
    ),
    ".webmanifest": re.compile(r"application/(?:manifest\+)?json\Z"),
}
# Used all the same, as far as browsers go today.
FORGIVEN = (".png", ".webp", ".woff", ".woff2", ".ttf", ".otf", ".webmanifest")
USUAL = {".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html", ".css": "text/css",
         ".svg": "image/svg+xml", ".wasm": "application/wasm", ".png": "image/png", ".webp": "image/webp",
         ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".webmanifest": "application/manifest+json"}  # fmt: skip

# Headers that matter for a file by itself. Others (Referrer-Policy, Permissions-Policy, X-Frame-Options)
# mean nothing but for pages.
OF_FILES = (
    "x-content-type-options",
    "strict-transport-security",
    "content-security-policy",
    "cross-origin-resource-policy",
)
OF_PAGES = (
    *OF_FILES,
    "x-frame-options",
    "referrer-policy",
    "permissions-policy",
    "cross-origin-opener-policy",
)

# What a browser runs scripts of when it opens it: https://mimesniff.spec.whatwg.org/#scriptable-mime-type
ACTIVE_TYPE = re.compile(r"(?:text/html|text/xml|application/xml|[\w.-]+/[\w.-]+\+xml)\Z")
CANARIES = ("html", "svg", "png", "pdf")

# A name in plain words: without a digit there is neither a hash nor a version in it.
PLAIN_NAME = re.compile(r"[A-Za-z]+(?:[._-][A-Za-z]+)*\Z")
MIXED_CASE = re.compile(r"[a-z][A-Z]|[A-Z]{2}")
# A release's or build's own directory is a version, too.
VERSION = re.compile(r"\d")
MANIFESTS = ("manifest.json", "cache_manifest.json", "asset-manifest.json", "rev-manifest.json")


@dataclasses.dataclass(frozen=True)
class Place:
    """A prefix below which static files are, and what lies there.

    :ivar names: of files, relative to the prefix.
    :ivar entries: their facts, by name.
    """

    key: str
    url: str
    entries: dict[str, t.Mapping[str, t.Any]]

    @property
    def names(self) -> list[str]:
        return list(self.entries)


def questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    """Ask for a file of each kind that matters, and place uploads of each kind that browsers treat apart."""
    if case.server is None:
        return
    for place in _places(case):
        yield case.request(f"{place.key}.absent", place.url + ABSENT)
        plain = _plain_name(place)
        if plain:
            yield case.request(f"{place.key}.plain", place.url + quoted(plain))
    for key, place, name in _doubtful_types(case):
        yield case.request(key, place.url + quoted(name))
    for key, place, name in _archives(case):
        target = place.url + quoted(name)
        yield case.request(f"{key}.plain", target)
        yield case.request(f"{key}.gzip", target, headers={"Accept-Encoding": "gzip"})
        # Its last four bytes are the length of what is in it: RFC 1952, 2.3.1
        yield case.request(
            f"{key}.end",
            target + ".gz",
            headers={"Range": "bytes=-4", "Accept-Encoding": "identity"},
        )
    yield from _canary_questions(case)


def judge(case: Case, findings: Findings) -> None:
    if case.server is None or findings.of("nginx-not-serving"):
        return
    _judge_duplicates(case, findings)
    _judge_immutable(case, findings)
    _judge_errors(case, findings)
    _judge_archives(case, findings)
    _judge_dropped(case, findings)
    _judge_types(case, findings)
    _judge_active(case, findings)
    _judge_disposition(case, findings)
    _judge_pdf(case, findings)


# What is where


def _places(case: Case) -> list[Place]:
    """Return the prefixes of static files: what the app mounts, or what Nginx serves beside uploads."""
    found: dict[str, Place] = {}
    for mount in case.static:
        if not mount.shadowed_by:
            entries = _entries(case.answer(f"{mount.key}.tree"), mount.folder)
            found[mount.url] = Place(f"headers.{mount.key}", mount.url, entries)
    for n, each in enumerate(case.files_locations):
        url = slashed(each.url)
        if _is_of_uploads(case, each) or _is_internal(each.location):
            continue
        entries = _entries(case.answer(f"core.location.{n}.tree"), each.directory)
        known = found.get(url)
        # What is published may differ from what the app has: it is this that visitors get.
        if entries or known is None:
            found[url] = Place(f"headers.location.{n}", url, entries)
    if case.app is not None:
        # What else Nginx serves here is not the app's.
        mounts = [mount.url for mount in case.static]
        found = {url: place for url, place in found.items() if url in mounts}
    return list(found.values())[:PLACES_LIMIT]


def _is_of_uploads(case: Case, each: FilesLocation) -> bool:
    uploads = [case.on_host(upload.path) for upload in case.uploads]
    return slashed(each.url) == case.media_url or each.directory in uploads


def _is_internal(block: _nginx_config.Block) -> bool:
    return bool(block.effective("internal"))


def _entries(tree: t.Mapping[str, t.Any] | None, root: str) -> dict[str, t.Mapping[str, t.Any]]:
    found = {}
    for entry in (tree or {}).get("entries") or []:
        name = posixpath.relpath(entry["path"], root)
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if entry["type"] == "file" and not is_hidden:
            found[name] = entry
    return found


def _level(case: Case, target: str) -> _nginx_config.Block | None:
    """Return the block whose settings count for a file that is there."""
    route = case.route(target)
    return route.level if route else None


def _media_target(case: Case, suffix: str) -> str:
    return f"{case.media_url}x.{suffix}"


def _served(
    case: Case, findings: Findings
) -> t.Iterator[tuple[Response, _nginx_config.Block, str]]:
    """Yield the files that came from Nginx, where each was configured, and what is to be shown of it."""
    keys = [mount.key for mount in case.static]
    keys += [f"{place.key}.plain" for place in _places(case)]
    for key in [*keys, "core.media"]:
        response = case.response(key)
        if response is None or response.status != 200 or not response.by_nginx:
            continue
        target = str(response.request["target"])
        shown = _media_target(case, "txt") if key == "core.media" else target
        level = _level(case, shown)
        if level is not None and not findings.explained(target):
            yield response, level, target


def _own_line(
    case: Case, directive: _nginx_config.Directive, value: str
) -> _nginx_config.Directive:
    """Return where a value comes from: the line of a map, for a variable that one makes."""
    if len(directive.args) < 2 and directive.name != "expires":
        return directive
    written = directive.args[0] if directive.name == "expires" else directive.args[1]
    table = _map(case, written)
    for line in (table.block or []) if table else []:
        if line.args[:1] == [value]:
            return line
    return directive


def _map(case: Case, variable: str) -> _nginx_config.Directive | None:
    if case.config is None or not re.fullmatch(r"\$\w+", variable):
        return None
    found = [one for one in case.config.http.own("map") if one.args[1:2] == [variable]]
    return found[0] if found else None


class _Copies:
    """Findings on lines: one that was copied into several places is one slip, named where it is first."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[_nginx_config.Directive, str]]] = {}

    def add(self, line: _nginx_config.Directive, shown: str) -> None:
        self._found.setdefault(str(line), {}).setdefault(line.component, (line, shown))

    def __iter__(self) -> t.Iterator[tuple[_nginx_config.Directive, str, str]]:
        """Yield the first of each, where else it is (for a message), and what was seen."""
        for copies in self._found.values():
            known = sorted(copies.values(), key=lambda one: (one[0].file, one[0].line))
            others = ", ".join(line.component for line, _shown in known[1:])
            shown = "; ".join(dict.fromkeys(text for _line, text in known))
            yield known[0][0], f" (so does {others})" if others else "", shown


def _added(level: _nginx_config.Block, name: str) -> list[_nginx_config.Directive]:
    """Return the lines that add a header here."""
    return [
        one
        for one in level.effective("add_header")
        if one.args and one.args[0].lower() == name.lower()
    ]


def _cache_words(values: t.Iterable[str]) -> list[tuple[str, str]]:
    found = []
    for value in values:
        for part in value.split(","):
            name, _equals, argument = part.strip().partition("=")
            if name:
                found.append((name.lower(), argument.strip('"')))
    return found


def _max_age(values: t.Iterable[str]) -> int:
    """Return for how many seconds a browser keeps it without asking."""
    words = dict(_cache_words(values))
    if "no-store" in words or "no-cache" in words:
        return 0
    age = words.get("max-age", "")
    return int(age) if age.isdigit() else 0


# Caching


def _judge_duplicates(case: Case, findings: Findings) -> None:
    copies = _Copies()
    contradictions: set[str] = set()
    joined: dict[str, str] = {}
    for response, level, target in _served(case, findings):
        values = response.all("Cache-Control")
        if len(values) < 2:
            continue
        lines = [*level.effective("expires")[-1:], *_added(level, "Cache-Control")]
        if len(lines) < 2 or findings.explained(target):
            continue
        if _is_contradiction(values):
            contradictions.add(str(lines[0]))
        joined.setdefault(str(lines[0]), ", ".join(values))
        shown = f"{response}: " + "; ".join(f"Cache-Control: {value}" for value in values)
        copies.add(lines[0], f"{shown} (by {', '.join(line.component for line in lines)})")
    for line, others, shown in copies:
        differ = str(line) in contradictions
        findings.add(
            Finding(
                "cache-control-duplicate",
                "error" if differ else "warning",
                line.component,
                f"this line makes a second Cache-Control header{others}, beside that of add_header: "
                + (
                    "they differ, and a cache may heed either"
                    if differ
                    else "a cache joins the two, and what reads only one of them misses the other"
                ),
                shown,
                f"Take {line} out, and let one add_header Cache-Control say it all"
                + ("." if differ else f': add_header Cache-Control "{joined[str(line)]}";'),
                "flask_static_cache_policy",
            ),
        )


def _is_contradiction(values: t.Sequence[str]) -> bool:
    """Whether several headers say more than their union, as ``max-age=3600`` and ``public`` do.

    RFC 9111, 4.2.1: of a directive that comes twice, the first counts, or the answer is stale.
    """
    words = _cache_words(values)
    names = {name for name, _unused in words}
    ages = {argument for name, argument in words if name == "max-age"}
    kept = any(age not in ("", "0") for age in ages) or "immutable" in names
    return (
        len(ages) > 1
        or (kept and bool(names & {"no-cache", "no-store"}))
        or {"public", "private"} <= names
    )


def _is_plain(name: str) -> bool:
    """Whether nothing in a name changes with the content: conservative, so that few are."""
    directory, base = posixpath.split(name)
    stem, suffix = posixpath.splitext(base)
    return (
        not VERSION.search(directory)
        and bool(PLAIN_NAME.match(stem))
        and not MIXED_CASE.search(stem)
        and suffix.lower() in (".css", ".js", ".mjs", ".svg", ".png", ".jpg", ".webp")
    )


def _plain_name(place: Place) -> str | None:
    if any(posixpath.basename(name) in MANIFESTS for name in place.names):
        # Which names it made is for the manifest to say, and that isn't read here.
        return None
    names = [name for name in place.names if _is_plain(name)]
    rank = {".css": 0, ".js": 1, ".mjs": 2}
    return min(
        names, key=lambda name: (rank.get(posixpath.splitext(name)[1], 9), name), default=None
    )


def _judge_immutable(case: Case, findings: Findings) -> None:
    copies = _Copies()
    for place in _places(case):
        response = case.response(f"{place.key}.plain")
        if response is None or response.status != 200 or not response.by_nginx:
            continue
        target = str(response.request["target"])
        values = response.all("Cache-Control")
        is_immutable = "immutable" in dict(_cache_words(values)) and _max_age(values) > DAY
        if not is_immutable and _max_age(values) <= LONG_SECONDS:
            continue
        if findings.explained(target) or _is_linked_with_query(case, target):
            continue
        level = _level(case, target)
        line = _cache_line(case, level, values) if level else None
        if line is not None and not findings.explained(line.component):
            copies.add(line, f"{response}: " + "; ".join(f"Cache-Control: {one}" for one in values))
    for line, others, shown in copies:
        findings.add(
            Finding(
                "immutable-unversioned",
                "warning",
                line.component,
                "this line has browsers keep files for a year or so, without asking, whose names do not change when "
                f"their content does{others}: after a deploy, visitors go on with the old ones",
                shown,
                f"{_asking(line)}, so that browsers ask (a 304 costs little); keep long times for names with a hash "
                "of the content.",
                "flask_static_cache_policy",
            )
        )


def _asking(line: _nginx_config.Directive) -> str:
    """Return what to write in the place of a line, such that it adds no second header."""
    if line.name in ("add_header", "expires"):
        # https://nginx.org/en/docs/http/ngx_http_headers_module.html#expires
        asking = "expires -1;" if line.name == "expires" else "add_header Cache-Control no-cache;"
        return f"Write {asking} in the place of this line"
    return "Write no-cache as the value of this line of the map"


def _is_linked_with_query(case: Case, target: str) -> bool:
    """Whether the app's page asks for a version of it, as ``site.css?v=3`` does."""
    page = case.response("core.app")
    return page is not None and f"{target}?" in page.head


def _cache_line(
    case: Case, level: _nginx_config.Block, values: t.Sequence[str]
) -> _nginx_config.Directive | None:
    """Return the line by which a file is kept so long."""
    for directive in _added(level, "Cache-Control"):
        for value in values:
            line = _own_line(case, directive, value)
            is_kept = _max_age([value]) > DAY or "immutable" in value
            if is_kept and (line is not directive or directive.args[1:2] == [value]):
                return line
    expires = level.effective("expires")[-1:]
    if expires:
        return expires[0]
    return next(iter(_added(level, "Cache-Control")), None)


def _judge_errors(case: Case, findings: Findings) -> None:
    copies = _Copies()
    severity = "warning"
    keys = [f"{place.key}.absent" for place in _places(case)] + ["core.media.absent"]
    for key in keys:
        response = case.response(key)
        if response is None or response.status not in (404, 410) or not response.is_page_of_nginx:
            continue
        values = response.all("Cache-Control")
        if _max_age(values) <= ERROR_SECONDS:
            continue
        target = str(response.request["target"])
        route = case.route(target, exists=lambda _path: None)
        lines = _added(route.level, "Cache-Control") if route and route.level else []
        lines = [line for line in lines if "always" in line.args]
        if not lines or findings.explained(target):
            continue
        severity = "error" if _max_age(values) > DAY else severity
        copies.add(lines[0], f"{response}: Cache-Control: {', '.join(values)}")
    for line, others, shown in copies:
        findings.add(
            Finding(
                "error-cacheable",
                severity,
                line.component,
                f"by this line browsers and caches keep the answer that a file is missing{others}, also when it is there "
                "the next moment, as in the middle of a deploy",
                shown,
                "Take the word always out of this line: without it, only answers with a file have the header.",
            )
        )


# Files that were compressed beforehand


def _archives(case: Case) -> list[tuple[str, Place, str]]:
    """Return the files whose archive is older than they are, and one of each place that looks right."""
    found = []
    for place in _places(case):
        old: list[str] = []
        other: list[str] = []
        for name, entry in sorted(place.entries.items()):
            archive = place.entries.get(f"{name}.gz")
            if archive is None:
                continue
            is_old = float(archive["mtime"]) < float(entry["mtime"]) - 1
            (old if is_old else other).append(name)
        level = _level(case, place.url + "x.css")
        if level is not None and level.value("gzip_static", "off") != "off":
            found += [(place, name) for name in [*old, *other][:STALE_LIMIT]]
    return [(f"headers.gz.{n}", place, name) for n, (place, name) in enumerate(found)][
        : 2 * STALE_LIMIT
    ]


def _judge_archives(case: Case, findings: Findings) -> None:
    stale: list[tuple[str, str]] = []
    for key, place, name in _archives(case):
        plain, packed = case.response(f"{key}.plain"), case.response(f"{key}.gzip")
        if plain is None or packed is None or (plain.status, packed.status) != (200, 200):
            continue
        # A weak one is of what Nginx compressed itself, just now.
        if packed.first("Content-Encoding") != "gzip" or packed.first("ETag").startswith("W/"):
            continue
        entry, archive = place.entries[name], place.entries[f"{name}.gz"]
        why = _difference(plain, packed, case.response(f"{key}.end"))
        age = float(entry["mtime"]) - float(archive["mtime"])
        if why is None and age > STALE_SECONDS and not _is_same(plain, packed):
            why = f"it is {age:.0f} seconds older than {name}"
        if why is not None and not findings.explained(str(plain.request["target"])):
            stale.append(
                (str(archive["path"]), f"{plain}: {plain.answer.get('length')} bytes; gzip: {why}")
            )
    if not stale:
        return
    path, shown = stale[0]
    more = f" (and {len(stale) - 1} more of those looked at)" if len(stale) > 1 else ""
    findings.add(
        Finding(
            "precompressed-stale",
            "error",
            path,
            f"browsers get an old {posixpath.basename(path).removesuffix('.gz')}{more}: Nginx sends this archive in its "
            "place (gzip_static) to all who take gzip, and does not look whether it is of the same content",
            shown,
            "Compress anew with each change of a file, with the file's time: gzip --keep --best --force FILE && "
            "touch --reference=FILE FILE.gz.",
            "flask_static_precompress",
        ),
        subjects=[found for found, _unused in stale],
    )


def _unpacked(response: Response) -> tuple[bytes, bool]:
    """Return the begin of what is in an archive, and whether that is all."""
    raw = response.head.encode("latin-1", "replace")
    unpacking = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        return unpacking.decompress(raw), unpacking.eof
    except zlib.error:
        return b"", False


def _difference(plain: Response, packed: Response, end: Response | None) -> str | None:
    """Return by what an archive is of another content, or ``None`` where nothing shows that."""
    length = int(plain.answer.get("length") or 0)
    if end is not None and end.status == 206 and len(end.head) == 4:
        inside = int.from_bytes(end.head.encode("latin-1", "replace"), "little")
        if inside != length % (1 << 32):
            return f"{inside} bytes in the archive"
    content, is_all = _unpacked(packed)
    if is_all:
        # Of a large file, only the begin was read.
        known = plain.sha256 if plain.answer.get("is_all", True) else None
        differs = known is not None and hashlib.sha256(content).hexdigest() != known
        return f"{len(content)} other bytes in the archive" if differs else None
    shown = plain.head.encode("latin-1", "replace")
    # What looks like a secret is not shown as it is.
    common = 0 if MASKED in plain.head else min(len(content), len(shown))
    return "other bytes in the archive" if content[:common] != shown[:common] else None


def _is_same(plain: Response, packed: Response) -> bool:
    """Whether an archive is known to have the very content."""
    content, is_all = _unpacked(packed)
    return is_all and hashlib.sha256(content).hexdigest() == plain.sha256


# Headers of security


def _judge_dropped(case: Case, findings: Findings) -> None:
    lost: dict[tuple[str, ...], list[tuple[_nginx_config.Directive, list[str], str]]] = {}
    for response, level, _target in _served(case, findings):
        _note_dropped(response, level, OF_FILES, lost)
    page = case.response("core.app")
    if page is not None and page.status == 200:
        around = _level(case, case.public("/"))
        if around is not None:
            _note_dropped(page, around, OF_PAGES, lost)
    for outer, places in lost.items():
        places.sort(key=lambda one: (one[0].file, one[0].line))
        first, names, _shown = places[0]
        others = dict.fromkeys(line.component for line, _names, _text in places)
        others.pop(first.component)
        findings.add(
            Finding(
                "headers-dropped",
                "warning",
                first.component,
                f"this line keeps out {', '.join(names)} of {outer[0]}: a level that has any add_header of its own "
                "inherits none" + (f"; so does {', '.join(others)}" if others else ""),
                "; ".join(dict.fromkeys(shown for _line, _names, shown in places)),
                f"Repeat here what is at {', '.join(outer)}, or put those lines into a file and include it at both "
                "levels.",
            )
        )


def _note_dropped(
    response: Response,
    level: _nginx_config.Block,
    names: t.Sequence[str],
    lost: dict[tuple[str, ...], list[tuple[_nginx_config.Directive, list[str], str]]],
) -> None:
    levels = [block for block in level.ancestors() if block.own("add_header")]
    if not levels:
        return
    own, inner = levels[0].own("add_header"), levels[0].parent
    outer = [
        one
        for one in (inner.effective("add_header") if inner else [])
        if one.args
        and one.args[0].lower() in names
        and not response.all(one.args[0])
        # Without a value there is none: it is an empty one that is dropped.
        and one.args[1:2] not in ([], [""])
        and not one.args[1].startswith("$")
    ]
    mentioned = {one.args[0].lower() for one in own if one.args}
    outer = [one for one in outer if one.args[0].lower() not in mentioned]
    if outer:
        places = tuple(dict.fromkeys(one.component for one in outer))
        missing = list(dict.fromkeys(one.args[0] for one in outer))
        shown = f"{response}: no {', '.join(missing)}"
        lost.setdefault(places, []).append((own[0], missing, shown))


# Types


def _doubtful_types(case: Case) -> list[tuple[str, Place, str]]:
    """Return a file of each kind whose type seems not to be what browsers need."""
    found: dict[tuple[int, str], tuple[Place, str]] = {}
    for place in _places(case):
        for name in sorted(place.names):
            suffix = posixpath.splitext(name)[1].lower()
            if suffix not in NEEDED:
                continue
            target = place.url + quoted(name)
            route = case.route(target)
            if route is None or route.kind != "file" or route.level is None:
                continue
            kind = str(route.content_type or "").partition(";")[0].strip()
            if not NEEDED[suffix].match(kind):
                found.setdefault((id(_table_level(route.level)), suffix), (place, name))
    return [
        (f"headers.type.{n}", place, name)
        for n, (place, name) in enumerate(list(found.values())[:TYPES_LIMIT])
    ]


def _table_level(level: _nginx_config.Block) -> _nginx_config.Block | None:
    """Return the block whose table of types counts."""
    for block in level.ancestors():
        if block.own("types"):
            return block
    return None


def _judge_types(case: Case, findings: Findings) -> None:
    wrong: dict[str, list[tuple[str, Response, _nginx_config.Block]]] = {}
    for key, place, name in _doubtful_types(case):
        response, target = case.response(key), place.url + quoted(name)
        if response is None or response.status != 200 or not response.by_nginx:
            continue
        suffix = posixpath.splitext(name)[1].lower()
        kind = response.first("Content-Type").partition(";")[0].strip()
        level = _level(case, target)
        if NEEDED[suffix].match(kind) or findings.explained(target) or level is None:
            continue
        wrong.setdefault(_types_component(case, level, suffix), []).append(
            (suffix, response, level)
        )
    for component, files in wrong.items():
        suffixes = sorted({suffix for suffix, _response, _level in files})
        lines = "; ".join(f"{one}: {one.first('Content-Type')}" for _suffix, one, _level in files)
        severity = "warning" if set(suffixes) <= set(FORGIVEN) else "error"
        table = " ".join(f"{USUAL[suffix]} {suffix[1:]};" for suffix in suffixes)
        if component.startswith("replaced "):
            findings.add(
                Finding(
                    "types-replaced",
                    severity,
                    component.removeprefix("replaced "),
                    f"this table takes the place of the whole table of http, which has {', '.join(suffixes)}; "
                    "browsers do not use such files when they come as another type",
                    lines,
                    "Take this block out, and write what it adds into a types block at http level, such as "
                    "/etc/nginx/conf.d/types.conf: tables of one level add up.",
                )
            )
        else:
            findings.add(
                Finding(
                    "mime-type-missing",
                    severity,
                    component,
                    f"Nginx's table of types has no {', '.join(suffixes)}, so that such files come as a type that browsers "
                    "do not use for them",
                    lines,
                    f"Write types {{ {table} }} at http level, such as in /etc/nginx/conf.d/types.conf, and reload Nginx.",
                )
            )


def _types_component(case: Case, level: _nginx_config.Block, suffix: str) -> str:
    table = _table_level(level)
    http = case.config.http if case.config else None
    if table is None or http is None:
        return http.component if http else level.component
    lines = table.own("types")
    if table is not http and _has(http.own("types"), suffix):
        return f"replaced {lines[-1].component}"
    # Without the usual ones, it is the list itself that is not included.
    is_there = _has(http.own("types"), ".css") or _has(http.own("types"), ".html")
    return (http.own("types") if is_there else [http.directive])[0].component


def _has(tables: t.Iterable[_nginx_config.Directive], suffix: str) -> bool:
    return any(suffix[1:] in line.args for table in tables for line in table.block or [])


# Uploads


def _canary_questions(case: Case) -> t.Iterator[dict[str, t.Any]]:
    upload = case.upload
    if case.media_url is None or case.media_location is None:
        return
    if upload is None or not case.process:
        # Somebody's own page will do as well.
        for suffix in ("html", "svg"):
            name = _existing(case, suffix)
            if name:
                yield case.request(f"headers.{suffix}", case.media_url + quoted(name))
        return
    for suffix in CANARIES:
        key = f"headers.canary.{suffix}"
        target = f"{case.media_url}{{canary:{key}}}"
        yield {
            "kind": "canaries",
            "id": key,
            "directory": upload.path,
            "suffix": f".{suffix}",
            **case.app_user,
            **case.app_view,
        }
        yield case.request(f"headers.{suffix}", target)
        if suffix == "png":
            # RFC 9110, 13.1.2: any that there is
            yield case.request("headers.png.304", target, headers={"If-None-Match": "*"})


def _existing(case: Case, suffix: str) -> str | None:
    location = case.media_location
    for n, each in enumerate(case.files_locations):
        if each is location:
            names = _entries(case.answer(f"core.location.{n}.tree"), each.directory)
            return next((name for name in names if name.endswith(f".{suffix}")), None)
    return None


def _upload(case: Case, suffix: str) -> tuple[Response, _nginx_config.Block] | None:
    """Return what came for an upload of that kind, if Nginx served it, and where that is configured."""
    response = case.response(f"headers.{suffix}")
    if response is None or response.status != 200 or not response.by_nginx:
        return None
    level = _level(case, _media_target(case, suffix))
    return (response, level) if level is not None else None


def _is_download(response: Response) -> bool:
    return response.first("Content-Disposition").lower().startswith("attachment")


def _is_harmless(response: Response) -> bool:
    """Whether what it is runs no script in the site's name: each policy holds for itself."""
    return _is_download(response) or any(
        _stops_scripts(policy)
        for value in response.all("Content-Security-Policy")
        for policy in value.split(",")
    )


def _stops_scripts(policy: str) -> bool:
    words: dict[str, list[str]] = {}
    for part in policy.split(";"):
        name, *values = part.lower().split() or [""]
        words.setdefault(name, values)
    if "sandbox" in words and not {"allow-scripts", "allow-same-origin"} <= set(words["sandbox"]):
        return True
    scripts = words.get("script-src", words.get("default-src"))
    return scripts in ([], ["'none'"])


def _judge_active(case: Case, findings: Findings) -> None:
    shown: dict[str, list[str]] = {}
    for suffix in ("html", "svg"):
        found = _upload(case, suffix)
        if found is None or findings.explained(str(case.media_url)):
            continue
        response, level = found
        kind = response.first("Content-Type").partition(";")[0].strip().lower()
        if not ACTIVE_TYPE.match(kind) or _is_harmless(response):
            continue
        component = _location(level).component
        shown.setdefault(component, []).append(f"{response}: {kind}, to be shown")
    if not shown:
        return
    # Where files of one kind have a location of their own, it is still one thing that was forgotten.
    component = next(iter(shown))
    lines = [line for found in shown.values() for line in found]
    findings.add(
        Finding(
            "active-media",
            "error",
            component,
            "an upload that is a page or a drawing with scripts runs in the site's name, with its visitors' sessions",
            "; ".join(lines)
            + "; neither Content-Disposition: attachment nor a policy that stops scripts",
            "Write into this location: types { image/png png; image/jpeg jpg jpeg; image/gif gif; image/webp webp; } "
            "default_type application/octet-stream; add_header X-Content-Type-Options nosniff always; "
            "add_header Content-Security-Policy \"default-src 'none'; sandbox\" always;",
            "flask_media_inline_types",
        )
    )


def _location(level: _nginx_config.Block) -> _nginx_config.Block:
    """Return the outermost location: what is in it is for all uploads."""
    found = [block for block in level.ancestors() if isinstance(block, _nginx_config.Location)]
    return found[-1] if found else level


def _judge_disposition(case: Case, findings: Findings) -> None:
    found, again = _upload(case, "png"), case.response("headers.png.304")
    if found is None or again is None or again.status != 304:
        return
    response, level = found
    if _is_download(response) or not _is_download(again):
        return
    added = _added(level, "Content-Disposition")
    line = added[-1] if added else level.directive
    table = _map(case, line.args[1]) if len(line.args) > 1 else None
    findings.add(
        Finding(
            "disposition-on-304",
            "error",
            (table or line).component,
            "a browser that asks again for a picture is told to download it, and keeps that: a 304 has no type, so the "
            "map gives its default",
            f"{response}: {response.first('Content-Disposition') or 'no Content-Disposition'}; If-None-Match: "
            f"{again.status}, Content-Disposition: {again.first('Content-Disposition')}",
            'Write the line "" ""; into this map: for an answer without a type, the header is left out.',
        )
    )


def _judge_pdf(case: Case, findings: Findings) -> None:
    found = _upload(case, "pdf")
    if found is None:
        return
    response, level = found
    policies = response.all("Content-Security-Policy")
    is_sandboxed = any(re.search(r"(?:\A|[;,])\s*sandbox\b", policy.lower()) for policy in policies)
    if not is_sandboxed or _is_download(response):
        return
    if response.first("Content-Type").partition(";")[0].strip() != "application/pdf":
        return
    added = _added(level, "Content-Security-Policy")
    line = _own_line(case, added[-1], policies[-1]) if added else level.directive
    findings.add(
        Finding(
            "pdf-sandboxed",
            "warning",
            line.component,
            "PDFs are to be shown, but no viewer of a browser works in a sandbox: visitors see an empty page",
            f"{response}: application/pdf, Content-Security-Policy: {policies[-1]}, no Content-Disposition: attachment",
            "Let PDFs be downloaded (add_header Content-Disposition attachment;), or give them, in a location of their "
            "own, a policy without sandbox: \"default-src 'none'; object-src 'self'; frame-ancestors 'none'\".",
            "flask_media_inline_types",
        )
    )
