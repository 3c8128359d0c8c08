"""Routes: what tests/differential can't ask a real Nginx, and what must be said to be unknown.

That predictions are those of Nginx is shown there.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_regex,
    _nginx_routes,
    _nginx_uri,
    _nginx_urls,
)

CONF = "/etc/nginx/nginx.conf"
TREE = {
    "/srv": "directory",
    "/srv/a.css": "file",
    "/srv/d": "directory",
    "/srv/secret": "unreadable",
    "/srv/closed/x": "denied",
    "/usr/share/nginx/html/a.css": "file",
}


def config_of(http: str) -> _nginx_config.Config:
    config = _nginx_config.load({CONF: f"http {{ {http} }}"}, CONF, "/usr/share/nginx")
    assert not config.problems
    return config


def route(server: str, target: str, http: str = "", **request: t.Any) -> _nginx_routes.Route:
    config = config_of(f"{http} auth_basic_user_file /x; server {{ root /srv; {server} }}")
    return _nginx_routes.route(config, config.servers[0], target, exists=TREE.get, **request)


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        ("location / { content_by_lua_block { x() } }", "content_by_lua_block"),
        ("access_by_lua_file x.lua;", "access_by_lua_file"),
        ("location / { js_content main.x; }", "js_content"),
        ("location / { auth_request /auth; }", "auth_request /auth"),
        ("location / { frobnicate on; }", "frobnicate"),
        ("location / { try_files $geo_x =404; }", "$geo_x"),
        ("location / { try_files $uri$hostname =404; }", "$hostname"),
        ("location / { mp4; }", "mp4"),
        ("location ~ (?R) { }", "(?R)"),
        ("location / { if (-x /srv/a.css) { return 403; } }", "executable"),
        ("if ($geoip_country_code = DE) { return 403; }", "$geoip_country_code"),
        ("location / { add_header X; }", "would refuse"),
        ("location / { try_files /none =x; }", "would refuse"),
        ("if ($invalid_referer) { return 403; }", "$invalid_referer"),
    ],
)
def test_what_is_not_understood_is_unknown_with_the_reason(server: str, reason: str) -> None:
    found = route(server, "/a.css", "geo $geo_x { default a; }")
    assert (found.kind, found.status) == ("unknown", None)
    assert reason in found.reason


def test_lua_that_only_filters_is_no_reason() -> None:
    assert route("location / { log_by_lua_block { x() } brotli on; }", "/a.css").kind == "file"


def test_who_may_see_it_is_said_and_can_be_taken_for_granted() -> None:
    server = 'location / { auth_basic "x"; auth_request /z; }'
    closed = route('location / { auth_basic "x"; }', "/a.css")
    assert (closed.kind, closed.status) == ("error", 401)
    assert [one.name for one in closed.guards] == ["auth_basic"]
    opened = route(server, "/a.css", authorized=True)
    assert (opened.kind, opened.status) == ("file", 200)
    assert [one.name for one in opened.guards] == ["auth_basic", "auth_request"]
    asked = route('auth_basic "x";', "/a.css", headers={"Authorization": "Basic eA=="})
    assert asked.kind == "unknown"
    assert route('auth_basic "x"; location / { auth_basic off; }', "/a.css").status == 200


def test_a_signed_link_is_not_judged_but_can_be_taken_for_good() -> None:
    server = 'location / { secure_link $arg_s; if ($secure_link != "1") { return 403; } }'
    assert "secret" in route(server, "/a.css").reason
    assert route(server, "/a.css", authorized=True).kind == "file"


def test_headers_that_others_change_are_doubtful() -> None:
    found = route("location / { more_set_headers 'X: 1'; }", "/a.css", "more_clear_headers Y;")
    assert [one.name for one in found.header_doubts] == ["more_set_headers", "more_clear_headers"]


def test_without_a_file_of_passwords_everybody_passes() -> None:
    config = config_of('auth_basic "x"; server { root /srv; }')
    found = _nginx_routes.route(config, config.servers[0], "/a.css", exists=TREE.get)
    assert (found.status, found.guards) == (200, [])


@pytest.mark.parametrize(
    ("server", "client", "status"),
    [
        ("allow 10.0.0.0/8; deny all;", "10.1.2.3", 200),
        ("allow 10.0.0.0/8; deny all;", "192.0.2.1", 403),
        ("deny 2001:db8::/32;", "2001:db8::1", 403),
        ("deny all; location / { allow all; }", "192.0.2.1", 200),
        ('satisfy any; allow 10.0.0.0/8; deny all; auth_basic "x";', "10.1.2.3", 200),
        ('satisfy any; allow 10.0.0.0/8; deny all; auth_basic "x";', "192.0.2.1", 401),
        ('allow 10.0.0.0/8; deny all; auth_basic "x";', "10.1.2.3", 401),
    ],
)
def test_addresses_are_allowed_and_denied(server: str, client: str, status: int) -> None:
    assert route(server, "/a.css", client=client).status == status


@pytest.mark.parametrize(
    ("server", "target", "status"),
    [
        ("", "/secret", 403),
        ("", "/closed/x", 403),
        ("try_files $uri =404;", "/closed/x", 404),
        ("location / { try_files $uri =404; }", "/closed/x", 404),
        # It is there for stat(2), and can't be opened then.
        ("location / { try_files $uri =404; }", "/secret", 403),
    ],
)
def test_what_nginx_may_not_read(server: str, target: str, status: int) -> None:
    assert route(server, target).status == status


def test_what_it_looked_for_is_told() -> None:
    found = route("location / { try_files $uri $uri/ /a.css; }", "/none")
    assert found.paths == ["/srv/none", "/srv/a.css"]
    assert (found.path, found.uri) == ("/srv/a.css", "/a.css")
    assert any("try_files" in step for step in found.steps)


def test_names_may_be_in_any_script() -> None:
    tree = {"/srv/日本/é.css": "file"}
    config = config_of(
        'server { location /日本/ { alias /srv/日本/; try_files $uri =404; add_header X "日本$uri"; } }'
    )
    for target in ("/日本/é.css", "/%E6%97%A5%E6%9C%AC/%C3%A9.css"):
        found = _nginx_routes.route(config, config.servers[0], target, exists=tree.get)
        assert (found.kind, found.path, found.uri) == ("file", "/srv/日本/é.css", "/日本/é.css")
        assert found.headers == [("X", "日本/日本/é.css", False)]
        assert f"/日本/é.css: `location /日本/` at {CONF}:1" in found.steps
    assert "/日本" in route("if (-x /日本) { return 403; }", "/").reason


def test_a_relative_root_is_below_the_prefix() -> None:
    assert route("location / { root html; }", "/a.css").path == "/usr/share/nginx/html/a.css"


UPSTREAMS = "upstream app { server unix:/run/a.sock; server 10.0.0.1:81 backup; }"


@pytest.mark.parametrize(
    ("directive", "upstream", "uri"),
    [
        ("proxy_pass http://app;", "unix:/run/a.sock", "/x/%20y?a=b"),
        ("proxy_pass http://app/;", "unix:/run/a.sock", "/%20y?a=b"),
        ("proxy_pass http://127.0.0.1:8000/v1/;", "127.0.0.1:8000", "/v1/%20y?a=b"),
        ("proxy_pass http://[::1]:8000;", "[::1]:8000", "/x/%20y?a=b"),
        ("proxy_pass https://other;", "other:443", "/x/%20y?a=b"),
        ("proxy_pass http://unix:/run/b.sock:/u;", "unix:/run/b.sock", "/u%20y?a=b"),
        ("uwsgi_pass app;", "unix:/run/a.sock", "/x/%20y?a=b"),
        ("uwsgi_pass unix:///run/b.sock;", "unix:/run/b.sock", "/x/%20y?a=b"),
        ("uwsgi_pass unix:/run/b.sock;", "unix:/run/b.sock", "/x/%20y?a=b"),
        ("fastcgi_pass 127.0.0.1:9000;", "127.0.0.1:9000", "/x/%20y?a=b"),
        ("grpc_pass grpc://127.0.0.1:50051;", "127.0.0.1:50051", "/x/%20y?a=b"),
        ("set $there app; proxy_pass http://$there;", "unix:/run/a.sock", "/x/%20y?a=b"),
    ],
)
def test_upstreams(directive: str, upstream: str, uri: str) -> None:
    found = route(f"location /x/ {{ {directive} }}", "/x/%20y?a=b", UPSTREAMS)
    assert (found.kind, found.status) == ("proxy", None)
    assert (found.upstream, found.upstream_uri) == (upstream, uri)


def test_all_addresses_of_an_upstream() -> None:
    found = route("location / { proxy_pass http://app; }", "/", UPSTREAMS)
    assert found.upstreams == ["unix:/run/a.sock", "10.0.0.1:81"]


@pytest.mark.parametrize("written", ["0", "10k", "2M", "1g", "1048576"])
def test_body_limits(written: str) -> None:
    sizes = {"0": 0, "10k": 10240, "2M": 2 << 20, "1g": 1 << 30, "1048576": 1 << 20}
    server = f"client_max_body_size {written}; location / {{ proxy_pass http://x; }}"
    assert route(server, "/").client_max_body_size == sizes[written]


def test_the_default_limit_is_a_mebibyte() -> None:
    server = "location / { proxy_pass http://x; }"
    assert route(server, "/", method="POST", body_bytes=(1 << 20) + 1).status == 413
    assert route(server, "/", method="POST", body_bytes=1 << 20).kind == "proxy"


def test_a_redirect_says_where_by_host_port_and_scheme() -> None:
    listens = "listen 80; listen 8443 ssl; server_name a.example;"
    assert route(listens, "/d", host="B.example:80").redirect_to == "http://b.example/d/"
    assert route(listens, "/d", port=8443).redirect_to == "https://a.example:8443/d/"


def test_maps_are_literal_before_patterns_and_hostnames_by_their_parts() -> None:
    http = (
        'map $uri $m { default d; /A.css literal; "~^/(a)" "p-$1"; "~*B$" q; }'
        "map $host $h { hostnames; default none; *.example.org sub; www.* first; }"
    )
    server = 'location / { return 200 ok; add_header M "$m $h"; }'

    def header(target: str, host: str) -> str:
        return route(server, target, http, host=host).headers[0][1]

    assert header("/a.css", "x.example.org") == "literal sub"
    assert header("/ab", "www.x") == "p-a first"
    assert header("/xb", "x") == "q none"
    assert header("/x", "example.org") == "d none"


def test_a_header_that_is_not_known_beforehand_is_as_configured() -> None:
    server = 'location / { proxy_pass http://x; add_header X "$upstream_status" always; }'
    assert route(server, "/").headers == [("X", "$upstream_status", True)]


SERVERS = """
server { listen 80; server_name one; }
server { listen 80 default_server; server_name two *.two; }
server { listen 127.0.0.1:80; server_name three; }
server { listen unix:/run/n.sock; }
server { listen [::]:80; server_name six; }
"""


@pytest.mark.parametrize(
    ("address", "port", "host", "index"),
    [
        ("10.0.0.1", 80, "one", 0),
        ("10.0.0.1", 80, "ONE.:80", 0),
        ("10.0.0.1", 80, "a.two", 1),
        ("10.0.0.1", 80, "none", 1),
        ("10.0.0.1", 80, None, 1),
        # Only the block with the very address counts there.
        ("127.0.0.1", 80, "one", 2),
        ("unix:/run/n.sock", 0, "one", 3),
        ("::1", 80, "one", 4),
        ("10.0.0.1", 81, "one", None),
    ],
)
def test_servers(address: str, port: int, host: str | None, index: int | None) -> None:
    config = config_of(SERVERS)
    found = _nginx_routes.choose_server(config, address, port, host)
    assert found is (None if index is None else config.servers[index])


@pytest.mark.parametrize(
    ("target", "uri", "args"),
    [
        ("/a/b", "/a/b", ""),
        ("//a///b/", "/a/b/", ""),
        ("/a/./b/.", "/a/b/", ""),
        ("/a/../b/..", "/", ""),
        ("/a/%2e%2e/b", "/b", ""),
        ("/a%2fb%2F%2fc", "/a/b/c", ""),
        ("/a%23b%3fc%25d", "/a#b?c%d", ""),
        ("/a?b=/../c", "/a", "b=/../c"),
        ("/a//b#c", "/a/b", ""),
        ("http://h/a?b", "/a", "b"),
        ("http://h", "/", ""),
        ("/..a/...", "/..a/...", ""),
    ],
)
def test_targets_are_normalised(target: str, uri: str, args: str) -> None:
    found = _nginx_uri.parse(target)
    assert (found.uri, found.args) == (uri, args)


@pytest.mark.parametrize(
    "target",
    ["/..", "/a/../..", "/%2e%2e/", "/%", "/%0", "/%zz", "/%00", "/a b", "a", "*", "/\x7f"],
)
def test_bad_targets_are_refused(target: str) -> None:
    with pytest.raises(_nginx_uri.BadRequest):
        _nginx_uri.parse(target)
    assert route("", target).status == 400


@pytest.mark.parametrize(
    ("pattern", "matching", "differing"),
    [
        (r"^/(?<name>a+)$", "/aa", "/b"),
        (r"^/(?'name'a)$", "/a", "/b"),
        (r"a\z", "a", "a\n"),
        (r"a\Z", "a\n", "a\nb"),
        (r"a$", "a\n", "a\nb"),
        (r"^\h\H\N$", "\ta.", "aaa"),
        (r"^[[:alpha:][:digit:]_]+$", "aZ09_", "-"),
        (r"^[]a]+$", "]a", "b"),
        (r"^[\w.&&-]+$", "a.&-", "/"),
        (r"^a{,3}$", "a{,3}", "aa"),
        (r"^a{2}b{1,}$", "aabb", "ab"),
        (r"^\Q.*\E$", ".*", "xx"),
        (r"^(a)(?:b)(?=c)c\1$", "abca", "abc"),
        (r"^(?<x>a)\k<x>$", "aa", "ab"),
        (r"^\x41\x{42}$", "AB", "A"),
        (r"(?i)^A(?-i:b)$", "ab", "aB"),
        (r"^.$", "\xe9", "\n"),
        (r"^\/\.\-$", "/.-", "/x-"),
        (r"^a(?#comment)b$", "ab", "a"),
        (r"^\w$", "a", "\xe9"),
    ],
)
def test_patterns(pattern: str, matching: str, differing: str) -> None:
    compiled = _nginx_regex.compile_pattern(pattern)
    assert compiled.search(matching)
    assert not compiled.search(differing)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\p{L}",
        r"a\Kb",
        r"(*UTF8)a",
        r"(?R)",
        r"(?1)",
        r"a(?i)b",
        r"\G",
        "(?|a|b)",
        "[a",
        "(",
        r"(?<=a*)b",
        "[[:^alpha:]]",
    ],
)
def test_patterns_that_python_lacks_are_refused(pattern: str) -> None:
    with pytest.raises(_nginx_regex.NotTranslated):
        _nginx_regex.compile_pattern(pattern)


@pytest.mark.parametrize(
    ("url", "host", "port", "expected"),
    [
        ("/a?b", None, None, ("http", "", 80, "/a?b")),
        ("/a", "h", 443, ("https", "h", 443, "/a")),
        ("/a", "h", 8080, ("http", "h", 8080, "/a")),
        ("https://h", None, 81, ("https", "h", 443, "/")),
        ("http://h:8/x", "i", 81, ("http", "h", 8, "/x")),
        ("http://[::1]:8/x", None, None, ("http", "[::1]", 8, "/x")),
    ],
)
def test_urls(url: str, host: str | None, port: int | None, expected: tuple[t.Any, ...]) -> None:
    assert _nginx_urls.question(url, host, port)[1:] == expected


@pytest.mark.parametrize("url", ["", "a", "ftp://h/", "www.example.com/x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(_nginx_urls.UrlError, match="neither a URL"):
        _nginx_urls.question(url, None, None)


def stopped(
    reason: str,
    component: str = "/x",
    missing: t.Sequence[str] = ("traverse",),
    resolved: str | None = "/x",
) -> dict[str, t.Any]:
    stop = {"reason": reason, "component": component}
    return {"resolved": resolved, "missing": list(missing), "blocked_by": stop}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"resolved": "/x", "missing": [], "blocked_by": None}, "directory"),
        (stopped("not-a-directory"), "file"),
        (stopped("not-a-directory", missing=["traverse", "read"]), "unreadable"),
        (stopped("not-traversable"), "directory"),
        (stopped("missing", resolved=None), None),
        (stopped("not-a-directory", "/", resolved=None), None),
        (stopped("not-traversable", "/", resolved=None), "denied"),
        (stopped("not-traversable", "/"), "denied"),
    ],
)
def test_what_is_there_is_told_by_path_access_info(
    answer: dict[str, t.Any], kind: str | None
) -> None:
    assert _nginx_urls.kind(answer) == kind


def test_the_host_is_asked_in_rounds_and_nothing_twice() -> None:
    config = config_of(
        "server { listen 80; root /srv; location / { try_files $uri /d/none /a.css; } }"
    )
    rounds: list[list[str]] = []

    def ask(paths: list[str]) -> dict[str, str | None]:
        rounds.append(paths)
        return {path: TREE.get(path) for path in paths}

    questions = [_nginx_urls.question(url, None, None) for url in ("/x", "/a.css", "/x")]
    found = _nginx_urls.routes(config, questions, None, ask)
    assert [one["path"] for one in found] == ["/srv/a.css"] * 3
    assert found[0]["location"] == {"name": "location /", "defined_at": f"{CONF}:1"}
    asked = [path for paths in rounds for path in paths]
    assert sorted(asked) == sorted(set(asked))
    assert len(rounds) < 4


def test_where_nobody_listens_it_is_said() -> None:
    config = config_of("server { listen 81; }")
    (found,) = _nginx_urls.routes(
        config, [_nginx_urls.question("/", None, None)], None, dict.fromkeys
    )
    assert (found["kind"], found["server"]) == ("unknown", None)
    assert "port 80" in found["reason"]


def test_a_pattern_that_would_be_tried_for_ever_is_refused() -> None:
    for pattern in ("^(a+)+$", "^(/?[^/]*)*Y$", "(.*)*Z", "^(?:[a-z]+){2,}!"):
        with pytest.raises(_nginx_regex.NotTranslated, match="for ever"):
            _nginx_regex.compile_pattern(pattern)
    for pattern in (r"\.(?:png|css)(\?.*)?$", "^(.+[.]php)(/.+)$", "^/(?:[^/]+/)*x$"):
        assert _nginx_regex.compile_pattern(pattern)
