"""Limits, headers and the way to the app: each fault is told by what came, and a healthy answer is none."""

from __future__ import annotations

import gzip
import hashlib
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnose_headers,
    _diagnose_limits,
    _diagnose_proxy,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings

from tests.unit import diagnosis

PAGE = "<html>\r\n<center><h1>413</h1></center>\r\n<hr><center>nginx/1.22.1</center>"
UPLOAD = {"rule": "/upload", "endpoint": "upload", "methods": ["POST"], "build_only": False}
CSS = "/opt/gallery/src/gallery/static/site.css"
ETAG = ["ETag", '"5e3f1c00-a"']


def answered(target: str, status: int, *headers: list[str], **more: t.Any) -> dict[str, t.Any]:
    pairs = [(name, value) for name, value in headers]
    return diagnosis.response(target, status, *pairs, **{"length": 0, **more})


def tree(*names: str) -> dict[str, t.Any]:
    root = "/opt/gallery/src/gallery/static"
    entries = [{"path": f"{root}/{name}", "type": "file", "mtime": 0.0} for name in names]
    return {"path": root, "entries": entries}


def judged(module: t.Any, case: t.Any) -> list[tuple[str, str]]:
    findings = Findings()
    list(module.questions(case))
    module.judge(case, findings)
    return [(found.id, found.component) for found in findings.found]


def app(limit: t.Any, kind: str = "int", **more: t.Any) -> dict[str, t.Any]:
    config = {**diagnosis.APP["config"], "MAX_CONTENT_LENGTH": limit, **more}
    return {
        "config": config,
        "config_types": {"MAX_CONTENT_LENGTH": kind},
        "rules": [UPLOAD],
        "rules_total": 1,
    }


@pytest.mark.parametrize(
    ("written", "status", "found"),
    [
        ("", 413, [("body-limit-nginx", f"{diagnosis.CONF}:1")]),
        ("client_max_body_size 8m;", 413, [("body-limit-nginx", f"{diagnosis.CONF}:1")]),
        # Behaviour counts: what Nginx asks for, it takes.
        ("client_max_body_size 8m;", 100, []),
        ("client_max_body_size 20m;", 413, []),
        ("client_max_body_size 0;", 413, []),
    ],
)
def test_a_limit_below_the_apps_is_told_where_nginx_refuses(
    written: str, status: int, found: list[tuple[str, str]]
) -> None:
    conf = diagnosis.SITE.replace("server {", f"server {{ {written}", 1)
    answer = answered("/upload", status, head=PAGE)
    case = diagnosis.case(conf, app=app(16 << 20), answers={"limits.small.0": answer})
    assert judged(_diagnose_limits, case) == found


def test_equal_limits_are_told_and_a_tenth_more_is_not() -> None:
    answer = answered("/upload", 413, head=PAGE)
    for size, ids in (("16m", ["body-limit-unordered"]), ("18m", [])):
        conf = diagnosis.SITE.replace("server {", f"server {{ client_max_body_size {size};", 1)
        case = diagnosis.case(conf, app=app(16 << 20), answers={"limits.close.0": answer})
        assert [id for id, _unused in judged(_diagnose_limits, case)] == ids


@pytest.mark.parametrize(
    ("limit", "kind", "id"), [("16M", "str", "config-type"), (16, "int", "body-limit-app")]
)
def test_a_limit_that_is_none_is_told_by_its_key(limit: t.Any, kind: str, id: str) -> None:
    case = diagnosis.case(app=app(limit, kind))
    assert judged(_diagnose_limits, case) == [(id, "MAX_CONTENT_LENGTH of wsgi:app")]


def test_a_body_that_cannot_wait_is_told_by_what_stops_nginx() -> None:
    conf = diagnosis.SITE.replace("server {", "server { client_max_body_size 18m;", 1)
    nginx = {"build_arguments": "--http-client-body-temp-path=/var/lib/nginx/body"}
    stop = {"component": "/var/lib/nginx", "reason": "not-traversable", "mode": "0700"}
    line = '[crit] open() "/var/lib/nginx/body/0000000001" failed (13: Permission denied)'
    for status, log, found in (
        (500, [line], [("body-temp-unwritable", "/var/lib/nginx")]),
        (404, [], []),
        # An app that closes early is another matter.
        (502, ["[warn] buffered to a temporary file /var/lib/nginx/body/0000000001"], []),
    ):
        answers = {
            "limits.temp": {"blocked_by": stop},
            "limits.temp.request": answered("/x", status, head=PAGE, log=log),
        }
        case = diagnosis.case(conf, nginx=nginx, app=app(16 << 20), answers=answers)
        assert judged(_diagnose_limits, case) == found


def asked_of_limits(case: t.Any) -> set[str]:
    return {one["id"] for one in _diagnose_limits.questions(case) if one["kind"] == "requests"}


@pytest.mark.parametrize(
    "written",
    ["proxy_request_buffering off;", "uwsgi_request_buffering off;"],
)
def test_no_view_gets_a_body_that_is_only_announced(written: str) -> None:
    # Buffering off hands the request on at once; a view that reads no body would run.
    pass_ = "uwsgi_pass" if "uwsgi" in written else "proxy_pass"
    target = "unix:/run/gallery/gallery.sock"
    plain = diagnosis.SITE.replace(f"proxy_pass http://{target}", f"{pass_} {target}").replace(
        "unix:", "http://unix:" if pass_ == "proxy_pass" else "unix:"
    )
    limit = "client_max_body_size 0;"
    held = diagnosis.case(plain.replace("server {", f"server {{ {limit}", 1), app=app(None))
    assert "limits.unlimited" in asked_of_limits(held)
    conf = plain.replace("server {", f"server {{ {limit} {written}", 1)
    assert not asked_of_limits(diagnosis.case(conf, app=app(None)))
    small = plain.replace("server {", f"server {{ {written}", 1)
    assert not asked_of_limits(diagnosis.case(small, app=app(16 << 20)))


def test_no_body_is_sent_while_nginx_runs_with_what_it_was_started_with() -> None:
    changed = [{"path": diagnosis.CONF, "changed": "2026-11-29T00:00:00Z"}]
    case = diagnosis.case(nginx={"changed_since_load": changed}, app=app(16 << 20))
    assert not asked_of_limits(case)


@pytest.mark.parametrize(
    ("rule", "is_asked"),
    [
        ("/upload", True),
        ("/<path:name>", False),
        ("/<name>", False),
        ("/flask-verify-<any:name>", False),
        ("/files/<name>", True),
    ],
)
def test_a_body_is_only_sent_where_no_view_takes_it(rule: str, is_asked: bool) -> None:
    conf = diagnosis.SITE.replace("server {", "server { client_max_body_size 18m;", 1)
    nginx = {"build_arguments": "--http-client-body-temp-path=/var/lib/nginx/body"}
    known = app(16 << 20)
    known["rules"] = [{**UPLOAD, "rule": rule}]
    case = diagnosis.case(conf, nginx=nginx, app=known)
    assert ("limits.temp.request" in asked_of_limits(case)) == is_asked
    # Of more rules than are told, one may take it.
    known["rules_total"] = 2001
    case = diagnosis.case(conf, nginx=nginx, app=known)
    assert "limits.temp.request" not in asked_of_limits(case)


def test_a_chunked_body_is_not_sent_to_a_view_that_takes_all_names() -> None:
    # Announced, a body meets the limit of /api/; handed on, that of @app.
    conf = diagnosis.SITE.replace(
        "location / {",
        "location /api/ { client_max_body_size 18m; try_files $uri @app; }\n    location @app {",
        1,
    ).replace("server {", "server { client_max_body_size 64k;", 1)
    for rule, is_asked in (("/api/upload", True), ("/api/<path:name>", False)):
        known = app(16 << 20)
        known["rules"] = [{**UPLOAD, "rule": "/api/upload"}, {**UPLOAD, "rule": rule}]
        known["rules_total"] = 2
        case = diagnosis.case(conf, app=known)
        assert ("limits.chunked" in asked_of_limits(case)) == is_asked


@pytest.mark.parametrize(
    ("written", "values", "ids"),
    [
        ("expires 1h; add_header Cache-Control public;", ["max-age=3600", "public"], ["cache-control-duplicate"]),
        ('add_header Cache-Control "max-age=31536000, immutable";', ["max-age=31536000, immutable"], ["immutable-unversioned"]),
        ("expires 30d;", ["max-age=2592000"], []),
        ("add_header Cache-Control no-cache;", ["no-cache"], []),
    ],
)  # fmt: skip
def test_caching_is_judged_by_the_headers_that_came(
    written: str, values: list[str], ids: list[str]
) -> None:
    conf = diagnosis.SITE.replace("alias", f"{written} alias", 1)
    headers = [ETAG, *(["Cache-Control", value] for value in values)]
    answer = answered("/static/site.css", 200, *headers)
    answers = {
        "core.static.0.tree": tree("site.css"),
        "core.static.0": answer,
        "headers.core.static.0.plain": answer,
    }
    found = judged(_diagnose_headers, diagnosis.case(conf, answers=answers))
    assert found == [(id, f"{diagnosis.CONF}:5") for id in ids]


def test_two_headers_that_agree_are_mended_by_one_that_says_both() -> None:
    written = "expires 30d; add_header Cache-Control public; alias"
    headers = [["Cache-Control", "max-age=2592000"], ["Cache-Control", "public"]]
    answers = {
        "core.static.0.tree": tree("site.css"),
        "core.static.0": answered("/static/site.css", 200, ETAG, *headers),
    }
    conf = diagnosis.SITE.replace("alias", written, 1)
    (found,) = diagnosis.found(diagnosis.case(conf, answers=answers), _diagnose_headers)
    assert (found.id, found.severity) == ("cache-control-duplicate", "warning")
    assert 'add_header Cache-Control "max-age=2592000, public";' in found.fix


@pytest.mark.parametrize(
    ("http", "written", "line", "fix"),
    [
        ("", "expires 1y;", f"{diagnosis.CONF}:5", "Write expires -1; in the place of this line"),
        ("", 'add_header Cache-Control "max-age=31536000";', f"{diagnosis.CONF}:5", "Write add_header Cache-Control no-cache; in"),
        ('map $uri $kept { default "max-age=31536000"; }', "add_header Cache-Control $kept;", f"{diagnosis.CONF}:1", "Write no-cache as the value of this line of the map"),
    ],
)  # fmt: skip
def test_what_makes_browsers_ask_is_written_where_the_line_is(
    http: str, written: str, line: str, fix: str
) -> None:
    conf = f"{http} {diagnosis.SITE.replace('alias', f'{written} alias', 1)}"
    answer = answered("/static/site.css", 200, ETAG, ["Cache-Control", "max-age=31536000"])
    answers = {
        "core.static.0.tree": tree("site.css"),
        "core.static.0": answer,
        "headers.core.static.0.plain": answer,
    }
    (found,) = diagnosis.found(diagnosis.case(conf, answers=answers), _diagnose_headers)
    assert (found.id, found.component) == ("immutable-unversioned", line)
    assert fix in found.fix


@pytest.mark.parametrize(
    ("name", "is_plain"),
    [
        ("css/site.css", True),
        ("logo.svg", True),
        ("site-5d41402abc4b2a76b9719d911017c592.css", False),
        ("index-DrRJxksg.js", False),
        ("jquery-3.6.0.min.js", False),
        ("v2/site.css", False),
    ],
)
def test_only_a_name_in_plain_words_is_unversioned(name: str, is_plain: bool) -> None:
    assert _diagnose_headers._is_plain(name) is is_plain


@pytest.mark.parametrize(
    ("headers", "ids"),
    [
        ([], ["active-media"]),
        ([["Content-Disposition", "attachment"]], []),
        ([["Content-Security-Policy", "default-src 'none'; sandbox"]], []),
        ([["Content-Security-Policy", "sandbox allow-scripts allow-same-origin"]], ["active-media"]),
        ([["Content-Security-Policy", "default-src 'self'"]], ["active-media"]),
    ],
)  # fmt: skip
def test_an_upload_that_is_a_page_must_run_no_scripts(
    headers: list[list[str]], ids: list[str]
) -> None:
    answer = answered("/media/x.html", 200, ETAG, ["Content-Type", "text/html"], *headers)
    found = judged(_diagnose_headers, diagnosis.case(answers={"headers.html": answer}))
    assert found == [(id, f"{diagnosis.CONF}:7") for id in ids]


def test_an_archive_is_judged_by_its_content_also_where_some_is_masked() -> None:
    for packed, ids in ((b"a = 1", []), (b"a = 2", ["precompressed-stale"])):
        raw = gzip.compress(packed)
        gz = {"path": f"{CSS}.gz", "type": "file", "mtime": 0.0}
        known = {**tree("site.css"), "entries": [*tree("site.css")["entries"], gz]}
        answers = {
            "core.static.0.tree": known,
            "headers.gz.0.plain": answered(
                "/static/site.css", 200, ETAG, head="a = ***", length=5,
                is_all=True, sha256=hashlib.sha256(b"a = 1").hexdigest(),
            ),
            "headers.gz.0.gzip": answered(
                "/static/site.css", 200, ETAG, ["Content-Encoding", "gzip"], head=raw.decode("latin-1")
            ),
        }  # fmt: skip
        conf = diagnosis.SITE.replace("alias", "gzip_static on; alias", 1)
        found = judged(_diagnose_headers, diagnosis.case(conf, answers=answers))
        assert [id for id, _unused in found] == ids


PREFIXED = diagnosis.SITE.replace("location / {", "location /shop/ {").replace(
    "gallery.sock;", "gallery.sock:/;{}"
)


@pytest.mark.parametrize(
    ("header", "heeds", "script_name", "status", "link", "found"),
    [
        (True, True, None, 200, "/shop/static/a.css", []),
        (False, True, None, 200, "/static/a.css", [("proxy-prefix-lost", f"{diagnosis.CONF}:10")]),
        (True, False, None, 200, "/static/a.css", [("proxy-prefix-lost", "wsgi:app")]),
        (True, True, "/shop", 500, "", [("proxy-prefix-lost", f"{diagnosis.CONF}:11")]),
    ],
)
def test_a_prefix_is_judged_by_links(
    header: bool, heeds: bool, script_name: str | None, status: int, link: str, found: list[t.Any]
) -> None:
    line = " proxy_set_header X-Forwarded-Prefix /shop;" if header else ""
    page = answered("/shop/", status, head=f'<link href="{link}">')
    case = diagnosis.case(
        PREFIXED.replace("{}", line),
        process={"script_name": script_name},
        app={"heeds_forwarded_prefix": heeds},
        answers={"core.app": page},
    )
    assert judged(_diagnose_proxy, case) == found


def test_a_scheme_is_judged_by_a_redirect() -> None:
    conf = diagnosis.SITE.replace("listen 80;", "listen 443 ssl;")
    rules = [{"rule": "/admin/", "endpoint": "admin", "methods": ["GET"], "build_only": False}]
    for scheme, ids in (("http", ["scheme-not-forwarded"]), ("https", [])):
        location = ["Location", f"{scheme}://gallery.example.com/admin/"]
        answers = {
            "core.app": answered("/", 200),
            "proxy.slash": answered("/admin", 308, location),
        }
        found = judged(_diagnose_proxy, diagnosis.case(conf, app={"rules": rules}, answers=answers))
        assert [id for id, _unused in found] == ids


def test_files_that_nobody_should_name_and_methods_that_write_are_told() -> None:
    conf = diagnosis.SITE.replace(
        "location / {", "location /_kept/ { alias /srv/kept/; dav_methods DELETE; }\nlocation / {"
    )
    redirects = [{"endpoint": "download", "paths": ["/_kept/"]}]
    answers = {
        "proxy.accel.2": answered("/_kept/", 403, head=PAGE),
        "proxy.dav.0": answered("/_kept/x", 415),
    }
    case = diagnosis.case(conf, app={"accel_redirects": redirects}, answers=answers)
    line = f"{diagnosis.CONF}:10"
    assert judged(_diagnose_proxy, case) == [("accel-not-internal", line), ("dav-on-media", line)]
    internal = conf.replace("alias /srv/kept/; dav_methods DELETE;", "internal; alias /srv/kept/;")
    case = diagnosis.case(internal, app={"accel_redirects": redirects}, answers=answers)
    assert judged(_diagnose_proxy, case) == []


def test_x_sendfile_is_told_unless_something_turns_it_into_what_nginx_knows() -> None:
    leaked = ["X-Sendfile", "/opt/gallery/static/site.css"]
    for more, ids in (([], ["sendfile-header"]), ([["X-Accel-Redirect", "/_kept/a"]], [])):
        answers = {
            "core.static.0.tree": tree("site.css"),
            "proxy.sendfile": answered("/static/site.css", 200, leaked, *more),
        }
        config = {**diagnosis.APP["config"], "USE_X_SENDFILE": True}
        case = diagnosis.case(app={"config": config}, answers=answers)
        assert [id for id, _unused in judged(_diagnose_proxy, case)] == ids
