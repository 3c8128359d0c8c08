"""The tree of an Nginx's configuration: includes, inheritance, where a directive stands."""

from __future__ import annotations

import builtins
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _nginx_config

CONF = "/etc/nginx/nginx.conf"
PREFIX = "/usr/share/nginx/"


def load(text: str, **others: str) -> _nginx_config.Config:
    files = {f"/etc/nginx/{name.replace('__', '/')}": value for name, value in others.items()}
    return _nginx_config.load({CONF: text, **files}, CONF, PREFIX)


def test_a_directive_says_where_it_stands() -> None:
    config = load("http {\n    include a;\n}\n", a="# comment\nserver {\n  root /x;\n}\n")
    (server,) = config.servers
    assert server.component == "/etc/nginx/a:2"
    assert [one.component for one in server.own("root")] == ["/etc/nginx/a:3"]
    assert server.own("root")[0].parent is server.directive


def test_includes_are_found_as_glob_would() -> None:
    config = load(
        "http { include sites/*; include /etc/nginx/[bc].conf; include types; }",
        sites__b="server { server_name b; }",
        sites__a="server { server_name a; }",
        **{"sites__.hidden": "server { server_name hidden; }", "sites__sub__c": "server { }"},
        **{"b.conf": "server { server_name d; }"},
        types="types { text/css css; }",
    )
    assert [server.names for server in config.servers] == [["a"], ["b"], ["d"]]
    assert [one.name for one in config.http.own("types")[0].block or ()] == ["text/css"]
    assert config.problems == []


def test_a_file_that_is_not_there_is_a_problem_and_nothing_else_is() -> None:
    config = load("http {\n include none.conf;\n include none/*;\n server { }\n}")
    assert [str(problem) for problem in config.problems] == [
        f"{CONF}:2: /etc/nginx/none.conf, which is included here, was not handed over"
    ]
    assert len(config.servers) == 1


def test_an_include_of_itself_is_a_problem() -> None:
    config = load("http { include a; }", a="include a;\nserver { }")
    assert [problem.file for problem in config.problems] == ["/etc/nginx/a"]
    assert len(config.servers) == 1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("http {\n server {\n", 3, "unexpected end of file"),
        ("http { }\n}\n", 2, 'unexpected "}"'),
        ("http { }\nuser", 2, "unexpected end of file"),
    ],
)
def test_bad_syntax_has_a_line(text: str, line: int, message: str) -> None:
    (problem,) = load("include bad;", bad=text).problems
    assert (problem.file, problem.line, problem.message) == ("/etc/nginx/bad", line, message)


def test_words_are_read_as_nginx_reads_them() -> None:
    config = load(r"""http { server { server_name "a b" 'c"d' e\"f ~^\w+\.x$ "g\\h" "" ; } }""")
    assert config.servers[0].names == ["a b", 'c"d', 'e"f', r"~^\w+\.x$", r"g\h", ""]


def test_conditions_come_without_parentheses() -> None:
    config = load('http { server { if ( $a = "" ) { } if ($uri ~ "(x)") { } if ($b) { } } }')
    assert [one.args for one in config.servers[0].own("if")] == [
        ["$a", "=", ""],
        ["$uri", "~", "(x)"],
        ["$b"],
    ]


def test_lua_is_passed_over() -> None:
    config = load("http { server { location / { content_by_lua_block { if x then } end } } } }")
    config = load('http { server { location /a { content_by_lua_block { say("}") } } } }')
    assert [one.pattern for one in config.servers[0].locations] == ["/a"]


LEVELS = """
http {
    add_header X-Http 1;
    root /http;
    types { text/css css; }
    server {
        add_header X-Server 1;
        add_header X-Server 2;
        try_files $uri =404;
        location /inherits { }
        location /own {
            add_header X-Own 1;
            alias /own/;
            location /own/nested { types { } }
            if ($x) { add_header X-If 1; }
        }
    }
}
"""


def _values(block: _nginx_config.Block, name: str) -> list[str]:
    return [" ".join(one.args) for one in block.effective(name)]


def test_settings_are_inherited_as_long_as_none_is_given() -> None:
    config = load(LEVELS)
    (server,) = config.servers
    inherits, own = server.locations
    (nested,) = own.locations
    assert _values(inherits, "add_header") == ["X-Server 1", "X-Server 2"]
    assert _values(own, "add_header") == _values(nested, "add_header") == ["X-Own 1"]
    assert _values(inherits, "root") == ["/http"]
    assert [one.name for one in nested.effective("root")] == ["alias"]
    assert _values(inherits, "try_files") == []
    assert nested.effective("types")[0].block == []
    inner = _nginx_config.Block(own.own("if")[0], own)
    assert _values(inner, "add_header") == ["X-If 1"]
    assert [one.pattern for one in nested.chain] == ["/own", "/own/nested"]


def test_headers_are_merged_where_nginx_is_told_to() -> None:
    config = load(
        "http { add_header A 1; server { add_header_inherit merge; add_header B 2;"
        " location / { add_header_inherit off; } location /m { } } }"
    )
    server = config.servers[0]
    assert _values(server, "add_header") == ["A 1", "B 2"]
    assert [_values(one, "add_header") for one in server.locations] == [[], ["A 1", "B 2"]]


@pytest.mark.parametrize(
    ("written", "modifier", "pattern"),
    [
        ("/a", "", "/a"),
        ("= /a", "=", "/a"),
        ("=/a", "=", "/a"),
        ("^~ /a", "^~", "/a"),
        ("^~/a", "^~", "/a"),
        ("~ a$", "~", "a$"),
        ("~*a$", "~*", "a$"),
        ("@a", "@", "@a"),
    ],
)
def test_a_modifier_may_be_written_onto_the_name(written: str, modifier: str, pattern: str) -> None:
    (location,) = load(f"http {{ server {{ location {written} {{ }} }} }}").servers[0].locations
    assert (location.modifier, location.pattern) == (modifier, pattern)


@pytest.mark.parametrize(
    ("written", "address", "port", "tls", "is_default"),
    [
        ("80", "0.0.0.0", 80, False, False),
        ("*:8080 default_server", "0.0.0.0", 8080, False, True),
        ("127.0.0.1", "127.0.0.1", 80, False, False),
        ("10.0.0.1:443 ssl http2", "10.0.0.1", 443, True, False),
        ("[::]:443 ssl ipv6only=off", "::", 443, True, False),
        ("[::1]", "::1", 80, False, False),
        ("localhost:81", "localhost", 81, False, False),
        ("unix:/run/n.sock", "unix:/run/n.sock", 0, False, False),
    ],
)
def test_listens(written: str, address: str, port: int, tls: bool, is_default: bool) -> None:
    (listen,) = load(f"http {{ server {{ listen {written}; }} }}").servers[0].listens
    assert listen == _nginx_config.Listen(address, port, tls, is_default)


def test_a_server_without_listen_takes_port_80() -> None:
    assert load("http { server { } }").servers[0].listens == [_nginx_config.Listen("0.0.0.0", 80)]


def test_user_and_upstreams() -> None:
    config = load(
        "user www-data adm; http { upstream app { server unix:/run/a.sock fail_timeout=0;"
        " server 10.0.0.1 backup; server [::1]:81; server x down; } }"
    )
    assert config.user == "www-data"
    assert config.upstreams == {"app": ["unix:/run/a.sock", "[::1]:81", "10.0.0.1:80"]}


def test_without_crossplane_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, *arguments: t.Any) -> t.Any:
        if name == "crossplane":
            raise ImportError(name)
        return real(name, *arguments)

    real = builtins.__import__
    _nginx_config._crossplane.cache_clear()
    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(_nginx_config.ParserMissing, match="pip install crossplane"):
        load("http { }")
