"""Cases that Nginx's own public tests are about, in words of our own: what is known to go wrong.

Each says what must come out, so that Nginx and the prediction can't be wrong together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """``answers`` are a target, a status, and what tells the answer: ``header NAME=VALUE``, ``no NAME``,
    ``file PATH`` (in the tests' tree), ``upstream URI`` or ``to LOCATION``.
    """

    title: str
    server: str
    answers: tuple[tuple[str, int, str], ...]


def _told(name: str) -> str:
    return f"{{ add_header X-Told {name}; return 204; }}"


PRECEDENCE = Known(
    "which location",
    f"""
    location = / {_told("only-root")}
    location / {_told("root")}
    location ^~ /pictures/ {_told("pictures")}
    location ~* \\.(png|webp)$ {_told("by-extension")}
    location ~ Mixed {_told("mixed")}
    location = /p {_told("exact")}
    location /p {_told("prefix")}
    location = /p/ {_told("exact-slash")}
    location /p/ {_told("prefix-slash")}
    location /small {_told("small")}
    location /LARGE {_told("large")}
    """,
    (
        ("/", 204, "header X-Told=only-root"),
        ("/?x", 204, "header X-Told=only-root"),
        ("/any", 204, "header X-Told=root"),
        ("/pictures/a.png", 204, "header X-Told=pictures"),
        ("/a.png", 204, "header X-Told=by-extension"),
        ("/a.PNG", 204, "header X-Told=by-extension"),
        ("/Mixed/a.webp", 204, "header X-Told=by-extension"),
        ("/x/Mixed", 204, "header X-Told=mixed"),
        ("/MIXED", 204, "header X-Told=root"),
        ("/p", 204, "header X-Told=exact"),
        ("/pq", 204, "header X-Told=prefix"),
        ("/p/", 204, "header X-Told=exact-slash"),
        ("/p/q", 204, "header X-Told=prefix-slash"),
        ("/small", 204, "header X-Told=small"),
        ("/LARGE", 204, "header X-Told=large"),
        ("/large", 204, "header X-Told=root"),
        ("/pictures/..%2fp", 204, "header X-Told=exact"),
        ("//pictures//a.png", 204, "header X-Told=pictures"),
    ),
)

SLASH_ADDED = Known(
    "a redirect to the location that ends in a slash",
    f"""
    add_header X-Told unset;
    location /n/ {{ proxy_pass http://first/n-n; }}
    location /n-n {_told("n-n")}
    location /n-o {_told("n-o")}
    location /m/ {{ root {{directory}}/www; }}
    location = /o/ {{ proxy_pass http://first; }}
    location ~ ^/r {{ location ~ ^/r/ {{ proxy_pass http://first; }} return 404; }}
    """,
    (
        ("/n", 301, "to /n/"),
        ("/n?a=b", 301, "to /n/?a=b"),
        ("/n/", 200, "upstream /n-n"),
        ("/n/x", 200, "upstream /n-nx"),
        ("/n-n", 204, "header X-Told=n-n"),
        ("/n-o", 204, "header X-Told=n-o"),
        ("/m", 404, "no X-Told"),
        ("/o", 301, "to /o/"),
        ("/r", 404, "no X-Told"),
    ),
)

TRY_FILES = Known(
    "try_files, with root and alias",
    """
    root {directory}/www;
    location / { try_files $uri /then; }
    location /b/none/ { try_files $uri /then-plain; }
    location /shorter/ { try_files /sh $uri =404; }
    location /is-file/ { try_files /a.css =404; }
    location /no-directory/ { try_files /a.css/ =404; }
    location /is-directory/ { try_files /b/ =404; }
    location /no-file/ { try_files /b =404; }
    location /then { proxy_pass http://first/then; }
    location /then-plain { proxy_pass http://first; }
    location ~ /a[.]css { alias {directory}/www/b; try_files $uri =404; }
    location /nested/ { alias {directory}/www/; location ~ css { try_files $uri =404; } }
    location /plain/ { alias {directory}/other/; try_files $uri =404; }
    location /fixed/ { alias {directory}/other/; try_files a.css =404; }
    location /down/ { alias {directory}/www/; try_files $uri $uri/ =404; }
    location /code/ { try_files /none =418; }
    location /named/ { try_files /none @elsewhere; }
    location /missing/ { try_files /none @nowhere; }
    location /query/ { try_files /none /then?$args&more=1; }
    location @elsewhere { proxy_pass http://first; }
    """,
    (
        ("/a.html", 200, "file www/a.html"),
        ("/u/none", 200, "upstream /then"),
        ("/b/none/x", 200, "upstream /then-plain"),
        ("/shorter/longer", 404, "no X-Got"),
        ("/is-file/", 200, "file www/a.css"),
        ("/no-directory/", 404, "no X-Got"),
        ("/is-directory/", 301, "to /b/"),
        ("/no-file/", 404, "no X-Got"),
        ("/a.css", 200, "file www/b/a.css"),
        ("/nested/a.css", 200, "file www/a.css"),
        ("/nested/b/c.css", 200, "file www/b/c.css"),
        ("/plain/e.txt", 200, "file other/e.txt"),
        ("/plain/b", 404, "no X-Got"),
        ("/fixed/none", 200, "file other/a.css"),
        ("/down/c", 301, "to /down/c/"),
        ("/down/b/", 200, "file www/b/index.html"),
        ("/code/", 418, "no X-Got"),
        ("/named/x?y", 200, "upstream /named/x?y"),
        ("/missing/x", 500, "no X-Got"),
        ("/query/?a=b", 200, "upstream /then?a=b&more=1"),
    ),
)

INDEX = Known(
    "index",
    """
    root {directory}/www;
    add_header X-Uri $uri;
    location /elsewhere/ { index /b.html; }
    location /round/ { index /round/; }
    location /nothing/ { alias {directory}/www/; index none.html; }
    location /several/ { alias {directory}/www/; index none.html a.html; }
    location /variable/ { alias {directory}/www/; index ${server_name}.html; }
    location /c/ { index a.html; }
    location /empty/ { autoindex on; }
    """,
    (
        ("/", 200, "header X-Uri=/index.html"),
        ("/b/", 200, "file www/b/index.html"),
        ("/b", 301, "to /b/"),
        ("/elsewhere/", 200, "file www/b.html"),
        ("/round/", 500, "no X-Uri"),
        ("/nothing/", 403, "no X-Uri"),
        ("/several/", 200, "file www/a.html"),
        ("/variable/", 403, "no X-Uri"),
        ("/c/", 200, "file www/c/a.html"),
        ("/empty/", 200, "header X-Uri=/empty/"),
        ("/none/", 404, "no X-Uri"),
        ("/a.css/", 404, "no X-Uri"),
    ),
)

HEADERS = Known(
    "add_header and expires",
    """
    root {directory}/www;
    add_header X-Uri $uri;
    add_header X-Sure $uri always;
    add_header X-Nothing "" always;
    expires epoch;
    location /b/ { }
    location /c/ { expires max; location /c/a.css { } }
    location /e { expires off; }
    location /a.html { expires 90m; }
    location /b/d/ { expires -5; }
    location /x { expires $arg_e; }
    location = /404.html { add_header X-Own 1; }
    """,
    (
        ("/a.css", 200, "header X-Uri=/a.css"),
        ("/a.css", 200, "header Cache-Control=no-cache"),
        ("/a.css", 200, "no X-Nothing"),
        ("/none", 404, "no X-Uri"),
        ("/none", 404, "no Cache-Control"),
        ("/none", 404, "header X-Sure=/none"),
        ("/b/c.css", 200, "header Cache-Control=no-cache"),
        ("/c/a.css", 200, "header Cache-Control=max-age=315360000"),
        ("/e.txt", 200, "no Cache-Control"),
        ("/a.html", 200, "header Cache-Control=max-age=5400"),
        ("/b/d/e.txt", 200, "header Cache-Control=no-cache"),
        ("/x+y.css?e=2048", 200, "header Cache-Control=max-age=2048"),
        ("/x+y.css?e=max", 200, "header Cache-Control=max-age=315360000"),
        ("/x+y.css?e=off", 200, "no Cache-Control"),
        ("/x+y.css", 200, "no Cache-Control"),
        ("/404.html", 200, "header X-Own=1"),
        ("/404.html", 200, "no X-Sure"),
    ),
)

ALIASES = Known(
    "where an alias leads",
    """
    location /off { alias {directory}/other/; }
    location /sibling { alias {directory}/other; }
    location /glued/ { alias {directory}/other; }
    location ~ ^/re/(.*)$ { alias {directory}/www/$1; }
    location ~ ^/fixed { alias {directory}/www/b; }
    location /in/ { alias {directory}/www/; location ~ "/[.]" { return 404; } }
    location /again/ { alias {directory}/www/; rewrite ^/again/(.*)$ /again/b/$1 break; }
    """,
    (
        ("/off/a.css", 200, "file other//a.css"),
        ("/off../www/a.css", 200, "file other/../www/a.css"),
        ("/off..%2fwww/a.css", 200, "file other/../www/a.css"),
        ("/siblingwise/a.css", 200, "file otherwise/a.css"),
        ("/glued/a.css", 200, "file othera.css"),
        ("/glued/", 200, "file otherindex.html"),
        ("/re/b/c.css", 200, "file www/b/c.css"),
        ("/fixed/x.css", 301, "to /fixed/x.css/"),
        ("/in/.hidden", 404, "no X-Got"),
        ("/in/a.css", 200, "file www/a.css"),
        ("/again/c.css", 500, "no X-Got"),
    ),
)

ALL = (PRECEDENCE, SLASH_ADDED, TRY_FILES, INDEX, HEADERS, ALIASES)
