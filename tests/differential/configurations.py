"""Configurations and requests that hypothesis makes up: what Nginx starts with, in all combinations.

Every location, ``if`` and ``limit_except`` writes a log of its own, by which the one that answered is
told without a header, which would change what is inherited.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import tree
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

PREFIXES = (
    "/",
    "/a",
    "/a/",
    "/a.",
    "/b",
    "/b/",
    "/b/d",
    "/b/d/",
    "/b/c.css",
    "/c",
    "/c/",
    "/e",
    "/sp",
    "/x+",
    "/name/",
)
EXACT = ("/", "/a", "/b", "/b/", "/a.css", "/b/c.css", "/c/", "/index.html")
PATTERNS = (
    r"\.css$", r"\.(css|txt)$", r"^/b/(.*)$", r"^/([a-z])/(.*)$", "/d/", r"[.]html$", r"^/(a|b)",
    r"^/([a-z]+)\.(html|css)$", "(?i)/D/", "x", r"/[.]", r"^/c(?=/)", r"^/(?:b|c)/?$", r"\A/e\b",
)  # fmt: skip
NAMED = r"^/(?<name>[a-z]+)/(?<rest>.*)$"

ROOTS = (
    "{directory}/www",
    "{directory}/www/",
    "{directory}/other",
    "html",
    "{directory}/www/b",
    "{directory}/$host",
    "{directory}/${v}",
)
ALIASES = (
    "{directory}/other/",
    "{directory}/other",
    "{directory}/www/",
    "{directory}/www/b/",
    "other/",
    "{directory}/www/$v",
)
FILE_ALIASES = ("{directory}/www/a.css", "{directory}/www/index.html")
CAPTURE_ALIASES = (
    "{directory}/www/$1",
    "{directory}/other/$2",
    "{directory}/www/b/$1",
    "{directory}/other/",
    "{directory}/www/a.css",
)

TRIED = (
    "$uri",
    "$uri/",
    "/a.css",
    "/none",
    "$uri.html",
    "/b/",
    "/b$uri",
    "$uri/index.html",
    "$document_uri",
    "e.txt",
    "/$v",
    "/$1",
)
TRIED_LAST = (
    "=404", "=403", "=204", "@app", "@err", "@deep", "@none", "/index.html", "/b/?q=1", "$uri", "/b/c.css",
    "/a.css?$args", "/none", "$uri/index.html", "/404.html",
)  # fmt: skip

RETURNS = (
    '200 "text"', "204", "403", "404", "301 /b/", "302 http://other.example/$uri", "http://other.example/",
    '410 "gone"', "418", "307 $scheme://$host$request_uri", "200", "500", "403 no", "308 /x$is_args$args", "444", "429",
    "303 /é", "301",
)  # fmt: skip

REWRITES = (
    "^/a/(.*)$ /b/$1 last", "^ /b/ break", r"\.txt$ /b/c.css", "^/b/(.*) /c/$1? permanent",
    "^/c(.*)$ /a?x=$1", r"(.*)\.html$ $1 redirect", "^/d /e.txt?", "^/b/(.*) http://other.example/$1",
    "^/sp(.*)$ /b$1 last", "^/b(.*)$ /b/d$1 last", "^/(.*)$ /b/$1 break", "^/x(.*)$ /c$1?$args last",
    "^/a /b/?q=$uri? last", "^/none (none)", "^/e(.*)$ /sp%20ace$1 redirect", "^/c/(.*)$ $scheme://h/$1?a=b",
    "/(d)/ /c/$1/ break", "^/name name last", "/(.*)$ /b/$1?z=$1",
)  # fmt: skip

ERROR_PAGES = (
    "404 /404.html", "404 =200 /b/index.html", "403 404 = @app", "404 @err", "405 =200 $uri",
    "404 http://other.example/x", "404 =301 http://other.example/y", "404 =302 /b/", "500 /a.css",
    "301 =200 /a", "413 /a.css", "403 =404 /none", "404 = /none/", "404 /b/?e=1", "410 418 429 =503 @deep",
    "404 @app", "301 302 /404.html", "400 /a.css", "403 /b/",
)  # fmt: skip

HEADERS = (
    "X-One 1", "X-One 2 always", "X-Two $uri", "X-Two $request_uri always", "Cache-Control no-store", "X-Map $m always",
    "X-Args '$args' always", "X-Root $document_root", 'X-Empty ""', "X-V $v always", "X-Name $request_filename",
    "X-Type $sent_http_content_type always", "X-Status $status always", "X-Capture '$1' always", "Cache-Control private always",
)  # fmt: skip
EXPIRES = ("1h", "epoch", "max", "off", "-1", "0", "$e", "+30d", '"1h 30m"', "modified -1h")

CONDITIONS = (
    "$request_method = POST", "$args", "$uri ~ ^/b/(.*)$", "$uri !~* \\.CSS$", "$arg_x = 1", "-f $document_root$uri", "!-e $document_root$uri",
    "-d $document_root/b", "$v != x", "$http_x_header", '$m = ""', "$uri ~* ^/A",
)  # fmt: skip
IN_CONDITIONS = (
    "return 403;", "return 200 if;", "set $v x;", "rewrite ^ /b/ last;", "break;", "rewrite ^/(.*)$ /c/$1;",
    "add_header X-If 1 always;", "proxy_pass http://first;", "expires 2h;", "root {directory}/other;", "set $v $1;",
    "error_page 404 /a.css;", "return 404;",
)  # fmt: skip

TYPES = (
    "types { text/x-one css; text/x-two html TXT; }",
    "types { }",
    "default_type text/x-default;",
    "default_type '';",
)

PASSES = ("http://first", "http://unix:{directory}/second.sock", "http://$u")
PASSES_WITH_URI = (
    "http://first/", "http://first/up", "http://unix:{directory}/second.sock:/up/", "http://first/up/?a=b",
    "http://first$uri", "http://first/v$is_args$args", "http://$u$request_uri",
)  # fmt: skip

ALWAYS = """
    location @app {{ {log_app} proxy_pass http://first; add_header X-App 1; }}
    location @err {{ {log_err} return 503 err; }}
    location @deep {{ {log_deep} root {{directory}}/other; try_files $uri /index.html =404; }}
"""


@dataclass
class Server:
    """What stands in the server block, and how many logs it has."""

    text: str
    logs: int


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    body_bytes: int | None = None
    headers: dict[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.method} {self.target} {self.body_bytes or ''} {self.headers or ''}".strip()


class _Maker:
    def __init__(self, draw: Draw) -> None:
        self.draw = draw
        self.logs = 0

    def log(self) -> str:
        self.logs += 1
        return f"access_log {{directory}}/access.log log{self.logs - 1};"

    def chance(self, one_in: int) -> bool:
        return bool(self.draw(st.integers(0, one_in - 1)) == one_in - 1)

    def one(self, *choices: str) -> str:
        return str(self.draw(st.sampled_from(choices)))

    def settings(self) -> list[str]:
        """What may stand on any level."""
        found = []
        if self.chance(3):
            for name in self.draw(
                st.lists(st.sampled_from(HEADERS), min_size=1, max_size=2, unique=True)
            ):
                found.append(f"add_header {name};")
        if self.chance(6):
            found.append(f"expires {self.one(*EXPIRES)};")
        if self.chance(5):
            pages = st.lists(st.sampled_from(ERROR_PAGES), min_size=1, max_size=2, unique=True)
            found += [f"error_page {page};" for page in self.draw(pages)]
            if self.chance(5):
                found.append("recursive_error_pages on;")
        if self.chance(6):
            found.append(
                f"index {self.one('index.htm index.html', 'a a.css', '/b/c.css', '$v.html index.html', 'd index.htm', 'none')};"
            )
        if self.chance(8):
            found.append(self.one(*TYPES))
        if self.chance(6):
            found.append(f"client_max_body_size {self.one('0', '10', '1k')};")
        if self.chance(8):
            found.append("autoindex on;")
        if self.chance(10):
            found.append(
                self.one(
                    "charset utf-8;",
                    "gzip_static on;",
                    "gzip_static always;",
                    'auth_basic "x";',
                    "auth_basic off;",
                    "absolute_redirect off;",
                    "server_name_in_redirect on;",
                    "port_in_redirect off;",
                )
            )
        return found

    def rewrites(self, log: bool) -> list[str]:
        found = []
        if self.chance(6):
            found.append(f"rewrite {self.one(*REWRITES)};")
        if self.chance(8):
            own_log = self.log() if log else ""
            statements = self.draw(
                st.lists(st.sampled_from(IN_CONDITIONS), min_size=1, max_size=2, unique=True)
            )
            if not log:
                statements = [
                    one
                    for one in statements
                    if one.startswith(("return", "set", "rewrite", "break"))
                ]
            passes = [one for one in statements if one.startswith("proxy_pass")]
            found.append(f"if ({self.one(*CONDITIONS)}) {{ {own_log} {' '.join(statements)} }}")
            assert len(passes) < 2
        if self.chance(8):
            found.append(f"set $v {self.one('a', 'b', '$1', '$uri', '$args')};")
        if self.chance(12):
            found.append("break;")
        if self.chance(8):
            found.append(f"return {self.one(*RETURNS)};")
        return list(self.draw(st.permutations(found))) if len(found) > 1 else found

    def location(
        self, outer: str, outer_is_regex: bool, depth: int, seen: set[tuple[str, str]]
    ) -> str:
        modifier = self.one("", "", "", "^~", "^~", "=", "~", "~", "~*")
        if outer_is_regex and modifier not in ("~", "~*"):
            modifier = "~"
        if modifier in ("~", "~*"):
            pattern = self.one(*PATTERNS, NAMED)
        else:
            names = [
                one for one in (EXACT if modifier == "=" else PREFIXES) if one.startswith(outer)
            ]
            if not names:
                return ""
            pattern = self.one(*names)
            key = ("=" if modifier == "=" else "", pattern)
            if key in seen:
                return ""
            seen.add(key)
        is_regex = modifier in ("~", "~*")
        lines = [self.log(), *self.settings()]
        if self.chance(4):
            lines.append(self.base(is_regex, pattern))
        if self.chance(3):
            lines.append(self.try_files(is_regex))
        lines += self.rewrites(log=True)
        if self.chance(4):
            may_have_uri = not is_regex and self.chance(2)
            lines.append(f"proxy_pass {self.one(*(PASSES_WITH_URI if may_have_uri else PASSES))};")
        if self.chance(10):
            lines.append("internal;")
        if self.chance(10):
            lines.append(
                self.one(
                    "deny all;",
                    "allow 127.0.0.1; deny all;",
                    "deny 10.0.0.0/8;",
                    "satisfy any; deny all;",
                    'satisfy any; deny all; auth_basic "x";',
                    'satisfy any; allow all; auth_basic "x";',
                )
            )
        if self.chance(8):
            lines.append(
                f"limit_except {self.one('GET', 'POST', 'GET POST')} {{ {self.log()} {self.one('deny all;', 'allow all;')} }}"
            )
        if depth and modifier != "=" and self.chance(3):
            inner_seen: set[tuple[str, str]] = set()
            for _number in range(self.draw(st.integers(1, 2))):
                lines.append(
                    self.location("" if is_regex else pattern, is_regex, depth - 1, inner_seen)
                )
        body = "\n        ".join(line for line in lines if line)
        return f'    location {modifier} "{pattern}" {{\n        {body}\n    }}'

    def base(self, is_regex: bool, pattern: str) -> str:
        if self.chance(2):
            return f"root {self.one(*ROOTS)};"
        if is_regex:
            names = ("{directory}/www/$name/$rest",) if pattern == NAMED else CAPTURE_ALIASES
            return f"alias {self.one(*names)};"
        return f"alias {self.one(*ALIASES, *FILE_ALIASES)};"

    def try_files(self, is_regex: bool) -> str:
        tried = self.draw(st.lists(st.sampled_from(TRIED), min_size=1, max_size=3, unique=True))
        return f"try_files {' '.join(tried)} {self.one(*TRIED_LAST)};"


@st.composite
def servers(draw: Draw) -> Server:
    maker = _Maker(draw)
    lines = [
        f"access_log {{directory}}/access.log log{maker.logs};",
        "listen 127.0.0.1:{port};",
        "server_name www;",
        'set $v "";',
        "set $u first;",
        f"root {maker.one('{directory}/www', '{directory}/www/', '{directory}/other')};",
    ]
    maker.logs += 1
    lines += maker.settings()
    if maker.chance(12):
        lines.append("merge_slashes off;")
    if maker.chance(3):
        lines += maker.rewrites(log=False)
    if maker.chance(12):
        lines.append(maker.try_files(False))
    seen: set[tuple[str, str]] = set()
    locations = [maker.location("", False, 2, seen) for _number in range(draw(st.integers(1, 5)))]
    always = ALWAYS.format(log_app=maker.log(), log_err=maker.log(), log_deep=maker.log())
    text = (
        "\n    ".join(lines)
        + "\n"
        + "\n".join(locations)
        + always.replace("{{", "{").replace("}}", "}")
    )
    return Server(text, maker.logs)


def http_block(server: Server) -> str:
    formats = "\n".join(
        f"    log_format log{number} escape=none '$http_x_number\t{number}\t$uri\t$request_filename';"
        for number in range(server.logs)
    )
    return f"""{formats}
    types {{ text/css css; text/html html htm; text/plain txt; }}
    default_type application/octet-stream;
    auth_basic_user_file {{directory}}/users;
    map $uri $m {{ default ""; "/A.css" one; "~^/b/(.*)$" "b-$1"; "~*\\.TXT$" text; /c/ $uri; }}
    map $uri $e {{ default off; "~\\.css$" 1d; "~^/b" epoch; }}
    upstream first {{ server unix:{{directory}}/first.sock; }}
    server {{
    {server.text}
    }}"""


NAMES = ("a", "b", "c", "d", "e", "a.css", "c.css", "a.html", "e.txt", "index.html", "none", "empty", "404.html", "name",
         "sp%20ace.css", "sp", "x+y.css", "u..v.css", "%C3%A9.txt", "p%25q.txt", ".hidden", ".b.css", "name.", "d.css", "b.html",
         "index.htm", "%61.css", "A.CSS", "B", "..b", "...")  # fmt: skip
ODD = (
    "..",
    ".",
    "",
    "%2e%2e",
    "%2E",
    "b%2fd",
    "%2F",
    "..%2f..",
    "%23x",
    "%3Fq",
    "a%2Bb",
    "b..",
    "a;x=1",
    "%c3",
    "{x}",
    "'q'",
)
QUERIES = ("", "", "", "?", "?x=1", "?x=1&y=a%20b", "?a?b", "?x=1#f", "#f", "?/../x", "?+")


# Where something is, under one root or another
PLACES = tuple(
    dict.fromkeys(
        urllib.parse.quote("/" + name.partition("/")[2])
        for name in (*tree.FILES, *tree.DIRECTORIES)
    )
)


@st.composite
def targets(draw: Draw) -> str:
    if draw(st.integers(0, 3)):
        path = str(draw(st.sampled_from(PLACES)))
        path = path.rpartition("/")[0] if draw(st.integers(0, 4)) == 0 else path
        path += draw(st.sampled_from(("", "", "", "/")))
    else:
        names = draw(st.lists(st.sampled_from(NAMES), max_size=3))
        path = "/" + "/".join(names) + draw(st.sampled_from(("", "/") if names else ("",)))
    if draw(st.integers(0, 3)) == 0:
        names = path.split("/")
        place = draw(st.integers(1, len(names)))
        path = "/".join([*names[:place], draw(st.sampled_from(ODD)), *names[place:]])
    return (path or "/") + str(draw(st.sampled_from(QUERIES)))


METHODS = (*["GET"] * 12, "HEAD", "HEAD", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS")


@st.composite
def requests(draw: Draw) -> Request:
    target = draw(targets())
    method = draw(st.sampled_from(METHODS))
    body = draw(st.sampled_from((0, 5, 10, 11, 1024, 1025))) if method in ("POST", "PUT") else None
    headers = draw(
        st.sampled_from(({}, {}, {}, {}, {}, {"X-Header": "1"}, {"Accept-Encoding": "gzip"}))
    )
    return Request(method, target, body, headers)
