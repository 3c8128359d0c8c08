"""From evidence to findings: each check passes on a healthy host, and each can fail."""

from __future__ import annotations

import copy
import datetime
import hashlib
import re
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

NGINX_ETAG = '"5e3f1c00-a"'
WERKZEUG_ETAG = '"1580601600.0-10-123456"'
MEDIA = "/var/www/gallery/media"
STATIC = "/var/www/gallery/static"
DROP_IN = "/etc/systemd/system/nginx.service.d/flask-gallery.conf"


# Each of them, and body-limits, fails in test_verify_site.py.
OVER_TLS = {"certificate", "media-domain"}


def healthy(prefix: str = "/") -> dict[str, t.Any]:
    """The evidence of a host on which all is well, for an app at ``prefix``."""
    settings: dict[str, t.Any] = {
        "app": {
            "name": "gallery",
            "user": "gallery",
            "root": "/opt/gallery",
            "callable": "gallery:create_app()",
            "bind": "unix:/run/gallery/gallery.sock",
            "health_url": "/",
        },
        "static": {
            "root": STATIC,
            "mounts": [{"url": "/static/", "folder": "/x", "directory": f"{STATIC}/static"}],
        },
        "media": {
            "root": MEDIA,
            "roots": [MEDIA],
            "url": "/media/",
            "areas": [
                area("/media/", prefix),
                area(
                    "/documents/",
                    prefix,
                    "accel",
                    "/_gallery_accel/documents/",
                    "/_gallery_accel_pdf/documents/",
                ),
                area("/members/", prefix, "auth_request", "/_gallery_auth/members/"),
                area("/shared/", prefix, "signed"),
            ],
            "domain": None,
            "location": f"{prefix}media/",
            "permissions": "group",
            "mount": {
                "src": "/dev/vdb1",
                "path": MEDIA,
                "fstype": "ext4",
                "opts": "noexec,nosuid,nodev",
                "sentinel": ".flask_media_gallery",
            },
            "group": "www-data",
            "mode": "2750",
            "file_mode": "0640",
            "umask": "0027",
        },
        "site": {
            "nginx_user": "www-data",
            "url": "http://gallery.example.com",
            "port": 80,
            "proxy": True,
            "domains": ["gallery.example.com"],
            "url_prefix": prefix,
            "mode": "server",
            "scheme": "http",
            "tls": None,
            "app_answers_too_large": False,
            "body_probes": [{"path": prefix, "size": 1000, "is_of_app": True}],
            "include_file": "/etc/nginx/snippets/gallery.conf",
            "client_max_body_size_bytes": 1 << 20,
            "nginx_drop_in": DROP_IN,
        },
        "verify": {"address": "127.0.0.1", "min_free_percent": 5},
        "parents": ["/var/www/gallery"],
        "host": {
            "service_manager": "systemd",
            "paths": {DROP_IN: "ours"},
            "nginx_view": {
                "process_id": 812,
                "is_older": False,
                "writable": [],
                "mount_points": [],
            },
            "directories": {
                path: {"resolved": path, "virtualenv": None, "checkout": None, "kind": "directory"}
                for path in (STATIC, MEDIA)
            },
        },
        "answer": {
            "asked": True,
            "error": None,
            "config": {"UPLOAD_FOLDER": MEDIA},
            "heeds_forwarded_prefix": prefix != "/",
        },
    }
    sample = {
        "path": "css/app.css",
        "size": 10,
        "sha256": hashlib.sha256(b"0123456789").hexdigest(),
        "etag": NGINX_ETAG,
    }
    static = {
        "mounts": [{"url": "/static/", "sample": sample, "files": 1}],
        **dict.fromkeys(("added", "replaced", "mended", "removed"), 0),
        "unchanged": 1,
        "unknown": [],
        "paths": {"added": [], "replaced": [], "removed": []},
    }
    canary = {"written": True, "name": "flask-verify-1.txt", "content": "0123456789", "size": 10}
    private = [
        {**canary, "item": item, "content": f"secret of {item['url']}"}
        for item in settings["media"]["areas"]
        if item["access"] != "public"
    ]
    statuses = {"absent": 404, "directory": 403, "private": 401, "internal": 404}
    responses = []
    for request in _verify.requests(settings, static, canary, private):
        found = request["kind"] in ("static", "media")
        responses.append(
            {
                "item": request,
                "status": statuses.get(request["kind"], 200),
                "etag": NGINX_ETAG if found else "",
                "content_length": "10",
                "content": "0123456789"
                if found
                else "<!doctype html><h1>Gallery</h1> of evenings and mornings"
                if request["kind"] in ("app", "direct")
                else "<html><center>nginx</center>",
            }
        )
    return {
        "settings": settings,
        "static": static,
        "storage": storage(),
        "canary": canary,
        "site": {
            "handshakes": [],
            "bodies": [
                {**body, "status": 100, "error": None}
                for body in _verify.site_question(settings, static, canary)["bodies"]
            ],
        },
        "responses": responses,
        "app_access": [access(MEDIA)],
        "static_access": [access(STATIC)],
        "nginx_access": [access(STATIC), access(MEDIA, checked=3)],
        "private_access": [
            {"item": placed, "paths": [access(f"{MEDIA}/flask-verify-1.txt")]} for placed in private
        ],
    }


def area(
    url: str,
    prefix: str = "/",
    access: str = "public",
    internal: str | None = None,
    pdf: str | None = None,
) -> dict[str, t.Any]:
    return {
        "url": url,
        "location": prefix + url[1:],
        "access": access,
        "internal_location": internal,
        "internal_pdf_location": pdf,
        "is_main": url == "/media/",
        "is_on_media_domain": False,
    }


def storage() -> dict[str, t.Any]:
    """A mount as described, with room on it and where Nginx writes request bodies."""
    room = {
        "total_bytes": 100 << 20,
        "free_bytes": 50 << 20,
        "total_inodes": 1000,
        "free_inodes": 500,
    }
    return {
        "mount": {
            "mounted": "/dev/vdb1 (ext4)",
            "expected": True,
            "marked": True,
            "options": ["nodev", "noexec", "nosuid"],
            "options_apply": True,
            "source_missing": False,
        },
        "filesystems": [{"mount_point": MEDIA, "roots": [MEDIA], **room}],
        "body_temp": [
            {
                "path": "/var/lib/nginx/body",
                "exists": True,
                "allowed": True,
                "blocked_by": None,
                "room": {"mount_point": "/", **room},
            }
        ],
    }


def access(path: str, checked: int = 0) -> dict[str, t.Any]:
    samples = {"checked": checked, "unreadable": [], "unreadable_count": 0}
    return {"path": path, "allowed": True, "missing": [], "blocked_by": None, "samples": samples}


def look(path: str, mode: str, owner: str = "gallery", group: str = "www-data") -> dict[str, t.Any]:
    """One of the kinds of files that were scanned."""
    facts = {"mode": mode, "owner": owner, "group": group}
    return {"path": path, "count": 1, "is_directory": False, **facts}


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
    assert {check["id"] for check in report["checks"]} == set(_verify.TITLES) - OVER_TLS
    assert {check["status"] for check in report["checks"]} == {"pass"}
    assert (report["ok"], report["findings"]) == (True, [])
    assert report["generated"] == "2026-11-23T10:00:00Z"


def test_only_an_app_with_a_prefix_is_checked_for_it() -> None:
    report = judge(healthy())
    assert {c["id"] for c in report["checks"]} == set(_verify.TITLES) - OVER_TLS - {"prefix-heeded"}
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
        "/",
        "/shop/",
        "/",
    ]


Break = t.Callable[[dict[str, t.Any]], None]


def _clash(e: dict[str, t.Any]) -> None:
    e["settings"]["static"]["mounts"][0]["url"] = "/media/static/"


def _same_directory(e: dict[str, t.Any]) -> None:
    e["settings"]["host"]["directories"][MEDIA]["resolved"] = f"{STATIC}/uploads"


def _unconfined(e: dict[str, t.Any]) -> None:
    e["settings"]["host"]["nginx_view"]["writable"] = [STATIC, MEDIA]


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


def _runnable(e: dict[str, t.Any]) -> None:
    e["nginx_access"][1]["samples"]["looks"] = [look(f"{MEDIA}/a.sh", "0750")]


def _static_of_app(e: dict[str, t.Any]) -> None:
    e["static_access"][0].update(granted=["write"], mode="0755", owner="gallery", group="gallery")


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


def _private_served(evidence: dict[str, t.Any]) -> None:
    response(evidence, "private").update(content="secret of /documents/")


def _app_down(e: dict[str, t.Any]) -> None:
    response(e, "app")["status"] = 502


def _deaf(e: dict[str, t.Any]) -> None:
    e["settings"]["site"]["url_prefix"] = "/shop/"
    e["settings"]["answer"]["heeds_forwarded_prefix"] = False


def _unpublished(e: dict[str, t.Any]) -> None:
    e["static"].update(added=4, unchanged=9)
    e["static"]["paths"]["added"] = ["static/a.css", "static/b.css", "static/c.css", "static/d.css"]


def _outdated(e: dict[str, t.Any]) -> None:
    e["static"].update(replaced=1)
    e["static"]["paths"]["replaced"] = ["static/css/app.css"]


def _stale_sibling(e: dict[str, t.Any]) -> None:
    e["static"].update(removed=1)
    e["static"]["paths"]["removed"] = ["static/css/app.css.gz"]


def _in_the_way(e: dict[str, t.Any]) -> None:
    e["static"].update(removed=1)
    e["static"]["paths"]["removed"] = ["static/css/app.css"]


def _not_comparable(e: dict[str, t.Any]) -> None:
    e["static"] = {"msg": "The app's folder holds a link."}


def _unknown_folder(e: dict[str, t.Any]) -> None:
    e["static"]["unknown"] = ["/static/"]


def _same_size(e: dict[str, t.Any]) -> None:
    response(e, "static")["content"] = "9876543210"


def _binary_of_another_time(e: dict[str, t.Any]) -> None:
    response(e, "static").update(content="\udc89PNG\ufffd", etag='"5e3f1c01-a"')


def _default_server(e: dict[str, t.Any]) -> None:
    welcome = "<!DOCTYPE html><title>Welcome to nginx!</title> Thank you for using nginx."
    response(e, "app").update(content=welcome)


def _default_404(e: dict[str, t.Any]) -> None:
    response(e, "app").update(status=404, content="<html><center>nginx</center>")


def _socket_gone(e: dict[str, t.Any]) -> None:
    for answer in e["responses"]:
        if answer["item"]["kind"] == "direct":
            answer.update(status=-1, content=None, msg="No such file or directory")


def _redirected(e: dict[str, t.Any]) -> None:
    for answer in e["responses"]:
        if answer["item"]["kind"] in ("app", "direct"):
            answer.update(status=302, location="/login", content="")
    response(e, "app")["location"] = "https://elsewhere.example.com/"


def _mount_gone(e: dict[str, t.Any]) -> None:
    """All that a mount that is gone brings with it."""
    e["storage"]["mount"].update(mounted=None, expected=False, marked=False)
    _media_of_root(e)
    e["canary"] = {"written": False, "error": {"reason": "not-traversable"}}
    e["responses"] = [one for one in e["responses"] if one["item"]["kind"] != "media"]
    _app_down(e)
    _socket_gone(e)


def _other_mounted(e: dict[str, t.Any]) -> None:
    _mount_gone(e)
    e["storage"]["mount"].update(mounted="/dev/vdc1 (ext4)")


def _unmarked(e: dict[str, t.Any]) -> None:
    e["storage"]["mount"].update(marked=False)


def _other_options(e: dict[str, t.Any]) -> None:
    e["storage"]["mount"].update(options=["nodev"], options_apply=False)


def _disk_full(e: dict[str, t.Any]) -> None:
    e["storage"]["filesystems"][0].update(free_bytes=0)
    e["canary"] = {"written": False, "error": {"reason": "disk-full", "strerror": "No space"}}


def _no_inodes(e: dict[str, t.Any]) -> None:
    e["storage"]["filesystems"][0].update(free_inodes=0)
    e["canary"] = {"written": False, "error": {"reason": "disk-full", "strerror": "No space"}}


def _body_temp_of_root(e: dict[str, t.Any]) -> None:
    stop = {"component": "/var/lib/nginx/body", "reason": "not-writable", "owner": "root"}
    e["storage"]["body_temp"][0].update(allowed=False, blocked_by=stop)


def _body_temp_full(e: dict[str, t.Any]) -> None:
    e["storage"]["body_temp"][0]["room"].update(free_bytes=0)


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
    (_runnable, "only-app-writes-media", [("media-executable", f"{MEDIA}/a.sh")]),
    (_static_of_app, "nobody-writes-static", [("static-writable-by-app", STATIC)]),
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
    (_private_served, "private-media-closed", [("auth-bypassed", "/documents/")]),
    (_app_down, "app-answers", [("app-not-answering", "/")]),
    (_mount_gone, "media-mounted", [("mount-missing", MEDIA)]),
    (_other_mounted, "media-mounted", [("mount-missing", MEDIA)]),
    (_unmarked, "media-mounted", [("mount-missing", MEDIA)]),
    (_other_options, "media-mounted", [("mount-options", MEDIA)]),
    (_disk_full, "media-has-room", [("disk-full", MEDIA)]),
    (_no_inodes, "media-has-room", [("disk-full", MEDIA)]),
    (_body_temp_of_root, "body-spooled", [("body-temp-unwritable", "/var/lib/nginx/body")]),
    (_body_temp_full, "body-spooled", [("disk-full", "/")]),
    (_unpublished, "static-published", [("static-missing", STATIC)]),
    (_outdated, "static-published", [("static-missing", STATIC)]),
    (
        _stale_sibling,
        "static-published",
        [("precompressed-stale", f"{STATIC}/static/css/app.css.gz")],
    ),
    (_in_the_way, "static-published", [("alias-wrong-path", f"{STATIC}/static/css/app.css")]),
    (_not_comparable, "static-published", [("static-missing", STATIC)]),
    (_unknown_folder, "static-published", [("static-missing", STATIC)]),
    (_same_size, "served-by-nginx", [("alias-wrong-path", "/static/css/app.css")]),
    (_binary_of_another_time, "served-by-nginx", [("alias-wrong-path", "/static/css/app.css")]),
    (_default_server, "app-answers", [("location-shadowed", "/")]),
    (_default_404, "app-answers", [("location-shadowed", "/")]),
    (_socket_gone, "app-answers", [("app-not-answering", "unix:/run/gallery/gallery.sock")]),
    (_redirected, "app-answers", [("location-shadowed", "/")]),
    (_unconfined, "nginx-confined", [("media-writable-by-nginx", MEDIA)]),
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
    elsewhere = OVER_TLS | {"body-limits"}
    assert {row[1] for row in BROKEN} == set(_verify.TITLES) - elsewhere


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


# Commands that let in more than the one who has to get in.
WIDENING = re.compile(
    r"\bchmod|chown -R|chgrp|setfacl .*(?: [og]:|-R)|\b[ugoa]+[+=][rwxX]|\b0?7[57][57]\b"
)


@pytest.mark.parametrize("fault", dict.fromkeys(row[0] for row in BROKEN))
def test_no_mend_widens_access(fault: Break) -> None:
    evidence = healthy("/shop/")
    fault(evidence)
    for found in judge(evidence)["findings"]:
        assert not WIDENING.search(found["fix"].replace("never by mode 777", "")), found


@pytest.mark.parametrize(
    ("reason", "component", "acl", "command"),
    [
        ("not-traversable", "/srv", [], "setfacl -m u:www-data:x /srv"),
        ("not-readable", "/srv", [], "setfacl -m u:www-data:r /srv"),
        ("not-traversable", "/srv/a b", [], "setfacl -m u:www-data:x '/srv/a b'"),
        # Else the mask would be widened for the entries that are there.
        (
            "not-traversable",
            "/srv",
            ["user::rwx", "user:backup:r-x", "mask::---"],
            "setfacl --no-mask -m u:www-data:x /srv",
        ),
    ],
)
def test_the_mend_of_a_foreign_directory_lets_in_one_user(
    reason: str, component: str, acl: list[str], command: str
) -> None:
    evidence = healthy()
    evidence["nginx_access"][1] = blocked(MEDIA, component, reason)
    evidence["nginx_access"][1]["blocked_by"]["acl"] = acl
    (found,) = judge(evidence)["findings"]
    assert (found["id"], found["component"]) == (reason, component)
    assert found["fix"].endswith(f": {command}")


@pytest.mark.parametrize("reason", list(_verify.ACCESS_FAULTS))
def test_every_access_fault_has_a_mend_that_does_not_widen_access(reason: str) -> None:
    evidence = healthy()
    evidence["nginx_access"][1] = blocked(MEDIA, "/srv/elsewhere", reason)
    (found,) = judge(evidence)["findings"]
    assert found["fix"]
    assert not WIDENING.search(found["fix"].replace("never by mode 777", "")), found


def test_the_mend_of_an_upload_names_the_line_and_the_variable() -> None:
    evidence = healthy()
    _upload_private(evidence)
    (found,) = judge(evidence)["findings"]
    assert "os.fchmod(file.fileno(), 0o640)" in found["fix"]
    assert "flask_media_repair: true" in found["fix"]


def asked_of(evidence: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """The requests by kind, of each kind the last."""
    asked = _verify.requests(evidence["settings"], evidence["static"], evidence["canary"])
    return {request["kind"]: request for request in asked}


def test_the_app_is_asked_through_nginx_and_at_its_socket() -> None:
    evidence = healthy("/shop/")
    evidence["settings"]["app"]["health_url"] = "/ready?full=1"
    evidence["settings"]["site"].update(port=8080, scheme="https")
    asked = asked_of(evidence)
    assert asked["app"]["url"] == "https://127.0.0.1:8080/shop/ready?full=1"
    assert asked["static"]["url"].startswith("https://127.0.0.1:8080/shop/static/")
    assert asked["direct"]["unix_socket"] == "/run/gallery/gallery.sock"
    assert asked["direct"]["url"] == "http://localhost/ready?full=1"
    assert asked["direct"]["headers"] == {
        "Host": "gallery.example.com:8080",
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "gallery.example.com:8080",
        "X-Forwarded-Port": "8080",
        "X-Forwarded-Prefix": "/shop",
        "Accept-Encoding": "identity",
    }


def test_an_app_at_a_port_is_asked_there() -> None:
    evidence = healthy()
    evidence["settings"]["app"]["bind"] = "127.0.0.1:8000"
    assert asked_of(evidence)["direct"]["url"] == "http://127.0.0.1:8000/"
    assert "unix_socket" not in asked_of(evidence)["direct"]


def test_an_app_that_nginx_does_not_proxy_is_not_asked() -> None:
    evidence = healthy()
    evidence["settings"]["site"]["proxy"] = False
    assert not {"app", "direct"} & asked_of(evidence).keys()


def status_of(evidence: dict[str, t.Any], check_id: str) -> str:
    (check,) = [check for check in judge(evidence)["checks"] if check["id"] == check_id]
    return str(check["status"])


def page(token: int) -> str:
    return f"<!doctype html><h1>Gallery</h1><input value={token:08}><p>of evenings, mornings, noons"


def with_pages(before: str, through_nginx: str, after: str) -> dict[str, t.Any]:
    evidence = healthy()
    of_app = [r for r in evidence["responses"] if r["item"]["kind"] in ("direct", "app")]
    for answer, content in zip(of_app, (before, through_nginx, after)):
        answer["content"] = content
    return evidence


def test_a_page_that_differs_each_time_is_the_apps() -> None:
    assert status_of(with_pages(page(1), page(2), page(3)), "app-answers") == "pass"
    # It changed meanwhile.
    assert status_of(with_pages(page(1), page(3), page(3)), "app-answers") == "pass"


def test_a_page_of_another_app_is_not() -> None:
    other = "<!doctype html><h1>Shop</h1><p>Buy shoes and hats, hats and shoes"
    assert status_of(with_pages(page(1), other, page(1)), "app-answers") == "fail"
    assert status_of(with_pages(page(1), "", page(1)), "app-answers") == "fail"


def test_an_app_that_was_only_asked_through_nginx_is_not_proven() -> None:
    evidence = healthy()
    evidence["responses"] = [r for r in evidence["responses"] if r["item"]["kind"] != "direct"]
    assert status_of(evidence, "app-answers") == "fail"


def test_an_app_whose_own_page_is_missing_answers_all_the_same() -> None:
    evidence = healthy()
    for answer in evidence["responses"]:
        if answer["item"]["kind"] in ("direct", "app"):
            answer["status"] = 404
    assert status_of(evidence, "app-answers") == "pass"


@pytest.mark.parametrize("etag", [NGINX_ETAG, f"W/{NGINX_ETAG}"])
def test_a_file_that_is_no_text_is_told_by_its_etag(etag: str) -> None:
    evidence = healthy()
    response(evidence, "static").update(content="\udc89PNG", etag=etag)
    assert status_of(evidence, "served-by-nginx") == "pass"


def test_a_text_of_another_charset_is_compared_by_its_bytes() -> None:
    evidence = healthy()
    content = "é" * 10
    digest = hashlib.sha256(content.encode("latin-1")).hexdigest()
    answer = response(evidence, "static")
    answer["item"]["sha256"] = digest
    answer.update(content=content, content_type="text/css; charset=ISO-8859-1")
    assert status_of(evidence, "served-by-nginx") == "pass"
    answer.update(content="è" * 10)
    assert status_of(evidence, "served-by-nginx") == "fail"


def test_files_of_an_app_that_cannot_be_asked_are_not_compared() -> None:
    evidence = healthy()
    evidence["settings"]["answer"] = {"asked": False, "error": "no module", "config": {}}
    assert status_of(evidence, "static-published") == "skip"


def test_another_mode_is_told_and_is_no_unpublished_file() -> None:
    evidence = healthy()
    evidence["static"]["mended"] = 3
    (check,) = [c for c in judge(evidence)["checks"] if c["id"] == "static-published"]
    assert (check["status"], "of 3 owner, mode or time differ" in check["evidence"]) == (
        "pass",
        True,
    )


def test_a_scan_that_ran_out_of_time_is_told() -> None:
    evidence = healthy()
    evidence["nginx_access"][1]["samples"].update(checked=200, scanned=70000, complete=False)
    (check,) = [c for c in judge(evidence)["checks"] if c["id"] == "nginx-reads-both"]
    assert check["evidence"].endswith("200 files in them (of 70000 looked at in time, not of all)")


def in_container(*mounts: dict[str, t.Any]) -> dict[str, t.Any]:
    evidence = healthy()
    evidence["settings"]["host"]["container"] = {"name": "web", "mounts": list(mounts)}
    return evidence


def test_uploads_that_a_container_mounts_survive_it() -> None:
    mount = {"type": "bind", "source": MEDIA, "target": "/data", "writable": True}
    report = judge(in_container(mount))
    assert report["ok"], report
    (check,) = [each for each in report["checks"] if each["id"] == "uploads-survive-redeploy"]
    assert check["evidence"].endswith("mounted into web")


@pytest.mark.parametrize(
    "mounts",
    [
        [],
        [{"type": "bind", "source": STATIC, "target": MEDIA, "writable": True}],
        [{"type": "tmpfs", "source": "", "target": MEDIA, "writable": True}],
        [{"type": "bind", "source": MEDIA, "target": MEDIA, "writable": False}],
    ],
    ids=str,
)
def test_uploads_in_a_containers_layer_are_a_finding(mounts: list[dict[str, t.Any]]) -> None:
    report = judge(in_container(*mounts))
    assert [each["id"] for each in report["checks"] if each["status"] == "fail"] == [
        "uploads-survive-redeploy"
    ]
    (found,) = report["findings"]
    assert (found["id"], found["component"]) == ("media-ephemeral", "web")
    assert f"docker cp --archive web:{MEDIA}/. {MEDIA}" in found["fix"]
