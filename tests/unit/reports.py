"""A report of a host with three faults, as the forms of a report see it."""

from __future__ import annotations

import typing as t

SITE = "/etc/nginx/sites-enabled/gallery"


def component(path: str, mode: str, owner: str = "root", **changes: t.Any) -> dict[str, t.Any]:
    group = "root" if owner == "root" else "www-data"
    return {
        "path": path,
        "mode": mode,
        "owner": owner,
        "group": group,
        "acl": False,
        "type": "directory",
        "ok": True,
        "why": None,
        **changes,
    }


def route(target: str, location: str, line: int, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "url": f"https://gallery.example.com{target}",
        "status": 200,
        "served_by": "nginx",
        "ok": True,
        "server": {"name": "gallery.example.com", "component": f"{SITE}:8"},
        "location": {"text": f"location {location}", "component": f"{SITE}:{line}"},
        "path": [],
        "upstream": None,
        "finding": None,
        **changes,
    }


def check(check_id: str, status: str, title: str, evidence: str) -> dict[str, t.Any]:
    return {"id": check_id, "status": status, "title": title, "evidence": evidence}


def finding(finding_id: str, component: str, **changes: t.Any) -> dict[str, t.Any]:
    return {
        "id": finding_id,
        "severity": "error",
        "component": component,
        "message": f"{component} is at fault",
        "evidence": f"seen of {component}",
        "fix": f"Mend {component}.",
        "variable": None,
        **changes,
    }


def faulty() -> dict[str, t.Any]:
    """Two errors and a warning; two requests that arrive, and two that don't."""
    static, media = "/var/www/gallery/static", "/srv/gallery/media"
    return {
        "schema": 1,
        "host": "web1",
        "app": "gallery",
        "url": "https://gallery.example.com",
        "ok": False,
        "generated": "2026-11-29T09:00:00Z",
        "checks": [
            check(
                "directories-differ",
                "pass",
                "Static and media have different directories",
                f"{static} and {media}",
            ),
            check(
                "nginx-reads-both",
                "fail",
                "Nginx can read both",
                "www-data can't pass through /srv/gallery",
            ),
            check(
                "only-app-writes-media",
                "pass",
                "Only the app can write media, and nothing there can be run",
                "2750 gallery:www-data, the 200 newest of 48211 uploads",
            ),
            check(
                "direct-requests",
                "fail",
                "Direct requests for static and media files give 200",
                "GET /media/2026/kitten.jpg 403",
            ),
            check(
                "certificate",
                "skip",
                "Each name of the site presents its certificate",
                "the key can't be read without root",
            ),
        ],
        "findings": [
            finding(
                "not-traversable",
                "/srv/gallery",
                message="www-data can't pass through it",
                evidence="drwxr-x--- root root /srv/gallery\nopen() failed (13: Permission denied)",
                fix="Let Nginx's user through: setfacl -m u:www-data:x /srv/gallery",
                variable="flask_media_root",
            ),
            finding("disk-full", "/srv", severity="warning", evidence="1.2 GiB of 40 GiB free"),
            finding(
                "served-by-app",
                f"{SITE}:31",
                message="the app serves these files, not Nginx",
                evidence='GET /admin/static/a.css 200, ETag "1764403200.0-18220-2271937183"',
            ),
        ],
        "routes": [
            route(
                "/static/css/app.css",
                "^~ /static/",
                17,
                path=[
                    component("/", "0755"),
                    component("/var", "0755"),
                    component(static, "0750", "deploy"),
                    component(f"{static}/app.css", "0640", "deploy", type="file"),
                ],
            ),
            route(
                "/media/2026/kitten.jpg",
                "^~ /media/",
                23,
                status=403,
                ok=False,
                finding=0,
                path=[
                    component("/", "0755"),
                    component("/srv", "0755"),
                    component(
                        "/srv/gallery", "0750", ok=False, why="www-data is not in group root"
                    ),
                    component(media, "2750", "gallery", acl=True),
                    component(f"{media}/kitten.jpg", "0640", "gallery", type="file"),
                ],
            ),
            route(
                "/admin/static/a.css",
                "/",
                31,
                served_by="app",
                ok=False,
                upstream="unix:/run/gallery.sock",
                finding=2,
            ),
            route("/", "/", 31, served_by="app", upstream="unix:/run/gallery.sock"),
        ],
        "unseen": ["the environment of gunicorn (process 812): it takes root"],
        "discovered": {
            "nginx": "1.22.1, /etc/nginx/nginx.conf, worker www-data",
            "app": "gunicorn wsgi:app as gallery (unit gallery.service)",
        },
    }


def healthy() -> dict[str, t.Any]:
    """The same host, mended."""
    report = faulty()
    report.update(ok=True, findings=[], unseen=[], routes=report["routes"][:1])
    report["checks"] = [
        {**one, "status": "pass"} for one in report["checks"] if one["status"] != "skip"
    ]
    return report
