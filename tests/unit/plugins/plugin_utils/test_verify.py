"""From evidence to findings: each check passes on a healthy host, and each can fail."""

from __future__ import annotations

import copy
import datetime
import re
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

NGINX_ETAG = '"5e3f1c00-a"'
WERKZEUG_ETAG = '"1580601600.0-10-123456"'
MEDIA = "/var/www/gallery/media"
STATIC = "/var/www/gallery/static"


def healthy(prefix: str = "/") -> dict[str, t.Any]:
    """The evidence of a host on which all is well, for an app at ``prefix``."""
    settings = {
        "app": {
            "name": "gallery",
            "user": "gallery",
            "root": "/opt/gallery",
            "callable": "gallery:create_app()",
        },
        "static": {
            "root": STATIC,
            "mounts": [{"url": "/static/", "folder": "/x", "directory": f"{STATIC}/static"}],
        },
        "media": {
            "root": MEDIA,
            "url": "/media/",
            "location": f"{prefix}media/",
            "group": "www-data",
        },
        "site": {
            "nginx_user": "www-data",
            "url": "http://gallery.example.com",
            "port": 80,
            "proxy": True,
            "domains": ["gallery.example.com"],
            "url_prefix": prefix,
            "include_file": "/etc/nginx/snippets/gallery.conf",
        },
        "verify": {"address": "127.0.0.1"},
        "parents": ["/var/www/gallery"],
        "host": {
            "directories": {
                path: {"resolved": path, "virtualenv": None, "checkout": None, "kind": "directory"}
                for path in (STATIC, MEDIA)
            }
        },
        "answer": {
            "asked": True,
            "error": None,
            "config": {"UPLOAD_FOLDER": MEDIA},
            "heeds_forwarded_prefix": prefix != "/",
        },
    }
    static = {
        "mounts": [{"url": "/static/", "sample": {"path": "css/app.css", "size": 10}, "files": 1}]
    }
    canary = {"written": True, "name": "flask-verify-1.txt", "content": "0123456789", "size": 10}
    responses = []
    for request in _verify.requests(settings, static, canary):
        found = request["kind"] in ("static", "media")
        responses.append(
            {
                "item": request,
                "status": {"absent": 404, "directory": 403}.get(request["kind"], 200),
                "etag": NGINX_ETAG if found else "",
                "content_length": "10",
                "content": "0123456789" if found else "<html><center>nginx</center>",
            }
        )
    return {
        "settings": settings,
        "static": static,
        "canary": canary,
        "responses": responses,
        "app_access": [access(MEDIA)],
        "nginx_access": [access(STATIC), access(MEDIA, checked=3)],
    }


def access(path: str, checked: int = 0) -> dict[str, t.Any]:
    samples = {"checked": checked, "unreadable": [], "unreadable_count": 0}
    return {"path": path, "allowed": True, "missing": [], "blocked_by": None, "samples": samples}


def blocked(path: str, component: str, reason: str) -> dict[str, t.Any]:
    stop = {
        "component": component,
        "reason": reason,
        "mode": "0700",
        "owner": "root",
        "group": "root",
    }
    return {**access(path), "allowed": False, "missing": ["traverse"], "blocked_by": stop}


def judge(evidence: dict[str, t.Any]) -> dict[str, t.Any]:
    proof = _verify.Proof(evidence)
    proof.judge()
    return proof.report(
        "web1", datetime.datetime(2026, 11, 23, 10, 0, tzinfo=datetime.timezone.utc)
    )


def response(evidence: dict[str, t.Any], kind: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = next(r for r in evidence["responses"] if r["item"]["kind"] == kind)
    return found


def test_a_healthy_host_passes_every_check_and_has_no_finding() -> None:
    report = judge(healthy("/shop/"))
    assert {check["id"] for check in report["checks"]} == set(_verify.TITLES)
    assert {check["status"] for check in report["checks"]} == {"pass"}
    assert (report["ok"], report["findings"]) == (True, [])
    assert report["generated"] == "2026-11-23T10:00:00Z"


def test_only_an_app_with_a_prefix_is_checked_for_it() -> None:
    report = judge(healthy())
    assert {c["id"] for c in report["checks"]} == set(_verify.TITLES) - {"prefix-heeded"}
    assert report["ok"]


def test_an_app_with_a_prefix_that_was_not_asked_is_not_said_to_heed_it() -> None:
    evidence = healthy("/shop/")
    evidence["settings"]["answer"] = {"asked": False, "config": {}}
    status = {c["id"]: c["status"] for c in judge(evidence)["checks"]}
    assert status["prefix-heeded"] == "skip"


def test_the_public_urls_are_asked_for() -> None:
    evidence = healthy("/shop/")
    asked = _verify.requests(evidence["settings"], evidence["static"], evidence["canary"])
    assert [request["path"] for request in asked if request["kind"] != "absent"] == [
        "/shop/static/css/app.css",
        "/shop/media/flask-verify-1.txt",
        "/shop/static/",
        "/shop/media/",
        "/shop/",
    ]


Break = t.Callable[[dict[str, t.Any]], None]


def _clash(e: dict[str, t.Any]) -> None:
    e["settings"]["static"]["mounts"][0]["url"] = "/media/static/"


def _same_directory(e: dict[str, t.Any]) -> None:
    e["settings"]["host"]["directories"][MEDIA]["resolved"] = f"{STATIC}/uploads"


def _other_folder(e: dict[str, t.Any]) -> None:
    e["settings"]["answer"]["config"]["UPLOAD_FOLDER"] = "/srv/other"


def _relative_folder(e: dict[str, t.Any]) -> None:
    e["settings"]["answer"]["config"]["UPLOAD_FOLDER"] = "uploads"


def _no_folder(e: dict[str, t.Any]) -> None:
    e["settings"]["answer"]["config"] = {}


def _parent_closed(e: dict[str, t.Any]) -> None:
    parent = "/var/www/gallery"
    e["canary"] = {"written": False, "error": {"strerror": "Permission denied"}}
    e["app_access"] = [blocked(MEDIA, parent, "not-traversable")]
    e["nginx_access"] = [blocked(p, parent, "not-traversable") for p in (STATIC, MEDIA)]
    e["responses"] = [r for r in e["responses"] if r["item"]["kind"] != "media"]
    response(e, "static").update(status=404, etag="", content="nginx")


def _media_gone(e: dict[str, t.Any]) -> None:
    e["canary"] = {"written": False, "error": {"strerror": "No such file or directory"}}
    e["app_access"] = [blocked(MEDIA, MEDIA, "missing")]
    e["nginx_access"][1] = blocked(MEDIA, MEDIA, "missing")
    e["responses"] = [r for r in e["responses"] if r["item"]["kind"] != "media"]


def _media_of_root(e: dict[str, t.Any]) -> None:
    e["canary"] = {"written": False, "error": {"strerror": "Permission denied"}}
    e["app_access"] = [blocked(MEDIA, MEDIA, "not-readable")]
    e["nginx_access"][1] = blocked(MEDIA, MEDIA, "not-traversable")


def _read_only(e: dict[str, t.Any]) -> None:
    e["canary"] = {
        "written": False,
        "error": {"strerror": "Read-only file system", "reason": "read-only-filesystem"},
    }


def _upload_private(e: dict[str, t.Any]) -> None:
    path = f"{MEDIA}/a.jpg"
    unreadable = {
        "path": path,
        "component": path,
        "reason": "not-readable",
        "mode": "0600",
        "owner": "gallery",
        "group": "gallery",
    }
    e["nginx_access"][1]["samples"] = {
        "checked": 3,
        "unreadable": [unreadable],
        "unreadable_count": 12,
    }


def _in_release(e: dict[str, t.Any]) -> None:
    e["settings"]["host"]["directories"][MEDIA]["resolved"] = "/opt/gallery/media"


def _in_checkout(e: dict[str, t.Any]) -> None:
    e["settings"]["host"]["directories"][MEDIA]["checkout"] = "/var/www/gallery"


def _nginx_down(e: dict[str, t.Any]) -> None:
    for answer in e["responses"]:
        answer.update(status=-1, etag="", content=None, msg="Connection refused")


def _by_app(e: dict[str, t.Any]) -> None:
    response(e, "static")["etag"] = WERKZEUG_ETAG


def _wrong_file(e: dict[str, t.Any]) -> None:
    response(e, "static")["content_length"] = "11"


def _wrong_bytes(e: dict[str, t.Any]) -> None:
    response(e, "media")["content"] = "9876543210"


def _no_location(e: dict[str, t.Any]) -> None:
    response(e, "media").update(status=404, etag="", content="<html>nginx")


def _app_404(e: dict[str, t.Any]) -> None:
    response(e, "absent")["content"] = "<!doctype html><title>404 Not Found</title>"


def _listing(e: dict[str, t.Any]) -> None:
    response(e, "directory")["status"] = 200


def _app_down(e: dict[str, t.Any]) -> None:
    response(e, "app")["status"] = 502


def _deaf(e: dict[str, t.Any]) -> None:
    e["settings"]["site"]["url_prefix"] = "/shop/"
    e["settings"]["answer"]["heeds_forwarded_prefix"] = False


BROKEN: list[tuple[Break, str, list[tuple[str, str]]]] = [
    (_clash, "url-prefixes-differ", [("static-url-mismatch", "/media/static/")]),
    (_same_directory, "directories-differ", [("shared-directory", f"{STATIC}/uploads")]),
    (
        _other_folder,
        "upload-folder",
        [("upload-folder-mismatch", "UPLOAD_FOLDER of gallery:create_app()")],
    ),
    (
        _relative_folder,
        "upload-folder",
        [("upload-folder-relative", "UPLOAD_FOLDER of gallery:create_app()")],
    ),
    (
        _no_folder,
        "upload-folder",
        [("upload-folder-mismatch", "UPLOAD_FOLDER of gallery:create_app()")],
    ),
    (_parent_closed, "app-writes-media", [("not-traversable", "/var/www/gallery")]),
    (_parent_closed, "nginx-reads-both", [("not-traversable", "/var/www/gallery")]),
    (_media_gone, "app-writes-media", [("media-missing", MEDIA)]),
    (_media_of_root, "app-writes-media", [("owner-id-mismatch", MEDIA)]),
    (_read_only, "app-writes-media", [("read-only-filesystem", MEDIA)]),
    (_upload_private, "nginx-reads-both", [("not-readable", f"{MEDIA}/a.jpg")]),
    (_in_release, "uploads-survive-redeploy", [("media-in-release", MEDIA)]),
    (_in_checkout, "uploads-survive-redeploy", [("media-in-release", MEDIA)]),
    (_nginx_down, "direct-requests", [("nginx-not-serving", "port 80")]),
    (_nginx_down, "missing-is-404", [("nginx-not-serving", "port 80")]),
    (_by_app, "served-by-nginx", [("served-by-app", "/static/css/app.css")]),
    (_wrong_file, "served-by-nginx", [("alias-wrong-path", "/static/css/app.css")]),
    (_wrong_bytes, "served-by-nginx", [("alias-wrong-path", "/media/flask-verify-1.txt")]),
    (_no_location, "direct-requests", [("location-missing", "/media/flask-verify-1.txt")]),
    (_app_404, "missing-is-404", [("served-by-app", "/static/flask-verify-absent-ABSENT")]),
    (_listing, "no-listing", [("directory-listing", "/static/")]),
    (_app_down, "app-answers", [("app-not-answering", "/")]),
    (_deaf, "prefix-heeded", [("proxy-prefix-lost", "gallery:create_app()")]),
]


@pytest.mark.parametrize(
    ("fault", "check_id", "findings"), BROKEN, ids=[f"{row[0].__name__}-{row[1]}" for row in BROKEN]
)
def test_a_fault_fails_its_check_and_is_one_finding(
    fault: Break, check_id: str, findings: list[tuple[str, str]]
) -> None:
    evidence = copy.deepcopy(healthy())
    fault(evidence)
    report = judge(evidence)
    status = {check["id"]: check["status"] for check in report["checks"]}
    assert status[check_id] == "fail"
    assert not report["ok"]
    assert [
        (found["id"], re.sub(r"(?<=absent-)[0-9a-f]+", "ABSENT", found["component"]))
        for found in report["findings"]
    ] == findings
    for found in report["findings"]:
        assert found["fix"]
        assert "777" not in found["fix"].replace("never by mode 777", "")


def test_every_check_can_fail() -> None:
    assert {row[1] for row in BROKEN} == set(_verify.TITLES)


def test_an_app_that_is_described_is_not_checked_for_its_folder() -> None:
    evidence = healthy()
    evidence["settings"]["answer"] = {"asked": False, "config": {}}
    report = judge(evidence)
    assert {c["id"]: c["status"] for c in report["checks"]}["upload-folder"] == "skip"
    assert report["ok"]


def test_an_app_that_cannot_be_imported_fails() -> None:
    evidence = healthy()
    evidence["settings"]["answer"] = {"asked": False, "error": "no module", "config": {}}
    assert not judge(evidence)["ok"]


def test_nothing_to_ask_for_is_no_proof() -> None:
    evidence = healthy()
    evidence["responses"] = []
    report = judge(evidence)
    assert {c["id"]: c["status"] for c in report["checks"]}["direct-requests"] == "fail"


def test_requests_are_quoted_and_carry_the_host() -> None:
    evidence = healthy()
    evidence["static"]["mounts"][0]["sample"]["path"] = "a b%.css"
    asked = _verify.requests(evidence["settings"], evidence["static"], evidence["canary"])
    assert asked[0]["url"] == "http://127.0.0.1:80/static/a%20b%25.css"
    assert asked[0]["headers"]["Host"] == "gallery.example.com"


def test_the_summary_tells_url_verdict_mend_and_report() -> None:
    evidence = healthy()
    _media_gone(evidence)
    text = _verify.summary(judge(evidence), "/tmp/report.json")
    for words in ("http://gallery.example.com/", "✗", "media-missing", "mend:", "/tmp/report.json"):
        assert words in text
