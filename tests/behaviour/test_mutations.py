"""The proof can fail: each faulty configuration turns the lines red that are about its fault.

Runs an Nginx of its own on a unix socket; needs no deployed site.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import contract
import corpus
import forwarded
import pytest
from reference import Reference

# Text of the right configuration, and what to put in its place.
Edits = tuple[tuple[str, str], ...]
Patterns = tuple[str, ...]
Reds = dict[str, list[str]]

SERVER = "server {"
APP = "location / {"
TO_APP = "proxy_pass http://unix:@dir@/run/gallery/gallery.sock:;"
FILES = "@dir@/var/www/gallery"
NOSNIFF = "add_header X-Content-Type-Options nosniff always;"
CSP = "add_header Content-Security-Policy \"default-src 'none'; sandbox; frame-ancestors 'none'\""
CORP = "add_header Cross-Origin-Resource-Policy same-origin"
NO_CACHE = "add_header Cache-Control no-cache;"
DISPOSITION = "add_header Content-Disposition $media_disposition;"
DOTFILES = 'location ~ "/[.]" { return 404; }'
METHODS = "limit_except GET { deny all; }"
TRY = "try_files $uri =404;"
TRY_APP = "try_files $uri @app;"
OTHER_FILE = f"/media/{contract.DIRECTORY}/probe.txt"
MEDIA = "location ^~ /media/ {"
MEDIA_ALIAS = f"alias {FILES}/media/;"
MEDIA_TYPES = "types {\n                image/png png;"
OCTETS = "default_type application/octet-stream;\n            add_header"

# Patterns of line ids.
STATIC_FOUND = ("*/static/ 200 *", "*/static/ 206", "*/static/ 304 *", "*/static/ HEAD")
STATIC_MISSED = ("*/static/ 404*", "*/static/ directory*", "*/static/ hidden *")
STATIC_METHODS = tuple(f"*/static/ {method}*" for method in contract.REFUSED_METHODS)
IN_STATIC = STATIC_FOUND + STATIC_MISSED + STATIC_METHODS
MEDIA_FOUND = ("/media/ 20*", "/media/ 304 *", "/media/ HEAD", "/media/ one range only")
MEDIA_MISSED = ("/media/ 404*", "/media/ directory*", "/media/ hidden *", "/media/ link-*")
MEDIA_METHODS = tuple(f"/media/ {method}*" for method in contract.REFUSED_METHODS)
MEDIA_BARRED = MEDIA_MISSED + MEDIA_METHODS
IN_MEDIA = MEDIA_FOUND + MEDIA_BARRED + ("/media/ 416",)
INLINE = tuple(f"/media/ 200 {name}" for name in contract.MEDIA_INLINE)
INLINE += ("/media/ 200 with*", "/media/ 200 by*", "/media/ HEAD", "/media/ one range only")
ATTACHED = tuple(f"/media/ 200 {name}" for name in contract.MEDIA_ATTACHED)
EVERY_METHOD = tuple(f"* {method}*" for method in contract.REFUSED_METHODS)


def suffixes(*names: str) -> Patterns:
    return tuple(f"*/static/ 200 {name}" for name in names)


def uploads(*names: str) -> Patterns:
    return tuple(f"/media/ 200 {name}" for name in names)


def deliver(root: str) -> Edits:
    """The project's own directory as the site's root: the advice of many guides."""
    return (
        (f"{APP}\n            {TO_APP}", f"{APP} root {root}; {TRY_APP}"),
        (SERVER, f"{SERVER} location @app {{ {TO_APP} }}"),
    )


def no_always(directive: str) -> str:
    return directive.replace(" always", "")


MUTATIONS: dict[str, tuple[Edits, Patterns]] = {
    # Headers.
    "static without nosniff": (((f"{NOSNIFF} # static", ""),), IN_STATIC),
    "static nosniff not on errors": (
        ((f"{NOSNIFF} # static", no_always(NOSNIFF)),),
        STATIC_MISSED + STATIC_METHODS,
    ),
    "media without nosniff": (((f"{NOSNIFF} # media", ""),), IN_MEDIA),
    "media nosniff not on errors": (((f"{NOSNIFF} # media", no_always(NOSNIFF)),), MEDIA_BARRED),
    "media without CSP": (((f"{CSP} always;", ""),), IN_MEDIA),
    "media CSP not on errors": (((f"{CSP} always", CSP),), MEDIA_BARRED),
    "media without CORP": (((f"{CORP} always;", ""),), IN_MEDIA),
    "media CORP not on errors": (((f"{CORP} always", CORP),), MEDIA_BARRED),
    "media with another CSP": ((("; sandbox;", ";"),), IN_MEDIA),
    "a nested location loses the headers": (
        ((DISPOSITION, DISPOSITION + ' location ~ "[.]webm$" { add_header X-Video 1; }'),),
        uploads("probe.webm"),
    ),
    # Caching.
    "media without Cache-Control": (((NO_CACHE, ""),), MEDIA_FOUND),
    "media cached": (((NO_CACHE, "expires 30d;"),), MEDIA_FOUND),
    "media errors cached": (((NO_CACHE, NO_CACHE.replace(";", " always;")),), MEDIA_BARRED),
    "static without expires": ((("expires 30d;", ""),), STATIC_FOUND),
    "static Cache-Control twice": (
        (("expires 30d;", "expires 30d; add_header Cache-Control public;"),),
        STATIC_FOUND,
    ),
    "static errors cached": (
        (("expires 30d;", "expires 30d; add_header Cache-Control public always;"),),
        IN_STATIC,
    ),
    "no ETag": ((("expires 30d;", "expires 30d; etag off;"),), STATIC_FOUND),
    "If-Modified-Since not answered": (
        ((TRY, f"{TRY} if_modified_since off;"),),
        ("* 304 If-Modified-Since*",),
    ),
    # What a browser does with an upload.
    "nothing attached": (((DISPOSITION, ""),), ATTACHED),
    "all attached": (
        ((DISPOSITION, "add_header Content-Disposition attachment;"),),
        (*INLINE, "/media/ 206", "/media/ 304 If-*-Match", "/media/ 304 If-*-Since"),
    ),
    "errors attached": (((DISPOSITION, DISPOSITION.replace(";", " always;")),), MEDIA_BARRED),
    "304 attached": ((('"" "";', ""),), ("/media/ 304 If-*-Match", "/media/ 304 If-*-Since")),
    "uploads as HTML": (
        ((MEDIA_TYPES, MEDIA_TYPES + " text/html html htm shtml xhtml;"),),
        uploads("probe.*htm", "probe.*html", "PROBE.HTML"),
    ),
    "uploads as SVG": (
        ((MEDIA_TYPES, MEDIA_TYPES + " image/svg+xml svg;"),),
        uploads("probe.svg"),
    ),
    "uploads as scripts": (
        ((MEDIA_TYPES, MEDIA_TYPES + " text/javascript js mjs; text/css css;"),),
        uploads("probe.js", "probe.mjs", "probe.css"),
    ),
    "unknown uploads as HTML": (
        ((OCTETS, OCTETS.replace("application/octet-stream", "text/html")),),
        ATTACHED,
    ),
    "no charset": ((("charset utf-8;", ""),), uploads("probe.txt")),
    # Types of static files.
    "static types replaced": (
        (("expires 30d;", "expires 30d; types { text/css css; }"),),
        suffixes(*(name for name in contract.STATIC_TYPES if name not in ("css", "no-such-type"))),
    ),
    "static unknown as HTML": (
        (("expires 30d;", "expires 30d; default_type text/html;"),),
        suffixes("no-such-type"),
    ),
    "no modules": ((("text/javascript mjs;", ""),), suffixes("mjs")),
    "no fonts": ((("font/ttf ttf;", ""), ("font/otf otf;", "")), suffixes("ttf", "otf")),
    "no webmanifest": (
        (("application/manifest+json webmanifest;", ""),),
        suffixes("webmanifest"),
    ),
    # Parts of a file.
    "several ranges": ((("max_ranges 1;", ""),), ("/media/ one range only",)),
    "no ranges": (
        (("max_ranges 1;", "max_ranges 0;"), ("expires 30d;", "expires 30d; max_ranges 0;")),
        ("* 206", "/media/ 416"),
    ),
    # What must not come out.
    "static dotfiles": (((f"{DOTFILES} # static", ""),), ("*/static/ hidden *",)),
    "media dotfiles": (((f"{DOTFILES} # media", ""),), ("/media/ hidden *",)),
    "dotfile rule at server level, where ^~ passes it by": (
        ((f"{DOTFILES} # static", ""), (f"{DOTFILES} # media", ""), (SERVER, SERVER + DOTFILES)),
        ("* hidden *",),
    ),
    "autoindex": (((TRY, "autoindex on;"),), ("* directory*",)),
    "redirect to the directory": (((TRY, ""),), ("* directory, no slash",)),
    "missing files asked of the app": (
        ((TRY, TRY_APP), (SERVER, f"{SERVER} location @app {{ {TO_APP} }}")),
        ("*/ 404*", "* directory*", "/media/ link-*"),
    ),
    "symlinks followed": (
        (("disable_symlinks on from=$document_root;", ""),),
        ("/media/ link-*",),
    ),
    "any method": (
        ((METHODS, ""), (SERVER, f"{SERVER} error_page 405 =200 {OTHER_FILE};")),
        (*EVERY_METHOD, "* TRACE"),
    ),
    # Where the files are.
    "location without its slash": (
        (("/static/ {", "/static {"), (MEDIA, "location ^~ /media {")),
        ("* outside ..*", "* outside %2e%2e"),
    ),
    "alias without its slash": (
        (("/static/;", "/static;"), (MEDIA_ALIAS, MEDIA_ALIAS.replace("/;", ";"))),
        (*STATIC_FOUND, *MEDIA_FOUND, "/media/ 416", "* outside /2", "* outside /_private*"),
    ),
    "both without their slash": (
        (
            ("/static/ {", "/static {"),
            ("/static/;", "/static;"),
            (MEDIA, "location ^~ /media {"),
            (MEDIA_ALIAS, MEDIA_ALIAS.replace("/;", ";")),
        ),
        ("* outside 2", "* outside _private*"),
    ),
    "files beside the roots delivered": (
        deliver(FILES),
        (
            "/[sm]* outside /..*",
            "/[sm]* outside /%2e%2e",
            "/[sm]* outside 2",
            "* outside _private*",
        ),
    ),
    "static root delivered as a whole": (
        deliver(f"{FILES}/static"),
        ("* outside /..*", "* outside /%2e%2e", "*/static/ outside 2"),
    ),
    "a pattern of suffixes takes uploads away": (
        (
            (MEDIA, "location /media/ {"),
            (SERVER, f'{SERVER} location ~ "[.]jpe?g$" {{ root {FILES}; expires 1y; }}'),
        ),
        uploads("probe.jpg", "probe.jpeg"),
    ),
    "path not tidied": (((SERVER, f"{SERVER} merge_slashes off;"),), ("/media/ 200 by*",)),
    # Who answers.
    "no location for static files": (
        (("/static/ {", "/elsewhere/ {"), ("location ^~ /about/elsewhere/", "location ^~ /other/")),
        IN_STATIC,
    ),
    "the app's 404 replaced": (
        ((TO_APP, f"{TO_APP} proxy_intercept_errors on; error_page 404 /media/missing;"),),
        ("app 404",),
    ),
    "no app": (((TO_APP, "return 404;"),), ("app *",)),
}

# The classic faults in the paths, and a file that each is known to give away.
LEAKS: dict[str, Edits] = {
    "location without its slash": (("/static/ {", "/static {"), (MEDIA, "location ^~ /media {")),
    "alias without its slash": MUTATIONS["alias without its slash"][0],
    "both without their slash": MUTATIONS["both without their slash"][0],
    "the directory above delivered": MUTATIONS["files beside the roots delivered"][0],
    "static dotfiles": MUTATIONS["static dotfiles"][0],
    "media dotfiles": MUTATIONS["media dotfiles"][0],
    "the whole disk delivered": deliver("/"),
}

FORWARDED: dict[str, tuple[str, str]] = {
    "X-Forwarded-For appended to": ("For $remote_addr", "For $proxy_add_x_forwarded_for"),
    "X-Forwarded-Proto passed on": ("proxy_set_header X-Forwarded-Proto $scheme;", ""),
    "X-Forwarded-Host passed on": ("proxy_set_header X-Forwarded-Host $host;", ""),
    "X-Forwarded-Prefix passed on": ('proxy_set_header X-Forwarded-Prefix "";', ""),
    "X-Forwarded-Ssl passed on": ('proxy_set_header X-Forwarded-Ssl "";', ""),
    "the upstream's name as Host": ("proxy_set_header Host $host;", ""),
    "SCRIPT_NAME passed on": (SERVER, f"{SERVER} underscores_in_headers on;"),
}


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    reference = Reference()
    yield reference
    reference.close()


def mutate(reference: Reference, edits: Edits) -> str:
    text = reference.configuration()
    for old, new in edits:
        old, new = (part.replace("@dir@", str(reference.directory)) for part in (old, new))
        assert old in text, f"{old!r} is not in the configuration"
        text = text.replace(old, new)
    return text


def red_lines(reference: Reference, edits: Edits) -> Reds:
    reference.serve(mutate(reference, edits))
    with reference.site.connection() as connection:
        found = {
            line.id: contract.violations(connection, line)
            for line in contract.lines(reference.site.static_urls)
        }
    return {line: wrong for line, wrong in found.items() if wrong}


@pytest.fixture(scope="module")
def reds(reference: Reference) -> dict[str, Reds]:
    return {name: red_lines(reference, edits) for name, (edits, _) in MUTATIONS.items()}


def test_the_right_configuration_is_green(reference: Reference) -> None:
    assert red_lines(reference, ()) == {}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_turns_its_lines_red(
    reference: Reference, reds: dict[str, Reds], name: str
) -> None:
    patterns = MUTATIONS[name][1]
    expected = {
        line.id
        for line in contract.lines(reference.site.static_urls)
        if any(fnmatchcase(line.id, pattern) for pattern in patterns)
    }
    assert expected
    assert set(reds[name]) == expected


def test_every_line_can_turn_red(reference: Reference, reds: dict[str, Reds]) -> None:
    red = {line for found in reds.values() for line in found}
    assert {line.id for line in contract.lines(reference.site.static_urls)} - red == set()


def test_the_right_configuration_leaks_nothing(reference: Reference) -> None:
    reference.serve(reference.configuration())
    requests = corpus.requests(reference.site)
    assert len(requests) >= 6000
    result = corpus.run(reference.site, reference.host, requests)
    assert result.requests == len(requests)
    assert result.leaks == []


@pytest.mark.parametrize("fault", LEAKS)
def test_the_traversal_corpus_finds_a_leak(reference: Reference, fault: str) -> None:
    reference.serve(mutate(reference, LEAKS[fault]))
    result = corpus.run(reference.site, reference.host, corpus.requests(reference.site))
    print(f"{fault}: {result}")
    assert result.leaks


def test_a_file_that_is_not_published_is_a_leak(reference: Reference) -> None:
    """Also one that holds none of the known bytes."""
    reference.serve(reference.configuration())
    known = corpus.markers(reference.site, reference.host)
    with reference.site.connection() as connection:
        served = connection.request("GET", f"/media/{contract.DIRECTORY}/probe.png")
    assert corpus.leaked(served, known, corpus.published(reference.site, reference.host)) == ""
    assert "not published" in corpus.leaked(served, known, set())


def test_nothing_of_the_client_reaches_the_app(reference: Reference) -> None:
    reference.serve(reference.configuration())
    assert forwarded.violations(reference.site, reference.host) == []


@pytest.mark.parametrize("fault", FORWARDED)
def test_a_forged_header_that_reaches_the_app_is_seen(reference: Reference, fault: str) -> None:
    reference.serve(mutate(reference, (FORWARDED[fault],)))
    assert forwarded.violations(reference.site, reference.host)
    with reference.site.connection() as connection:
        assert connection.request("GET", "/").status == 200, "the app's socket is back"
