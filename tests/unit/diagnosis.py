"""A site under diagnosis, made up: a configuration as text, and what the host would answer."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_case,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

CONF = "/etc/nginx/gallery.conf"
SITE = """server {
    listen 80;
    server_name gallery.example.com;
    location ^~ /static/ {
        alias /var/www/gallery/static/;
    }
    location ^~ /media/ {
        alias /var/www/gallery/media/;
    }
    location / {
        proxy_pass http://unix:/run/gallery/gallery.sock;
    }
}
"""
NGINX: dict[str, t.Any] = {
    "installed": True,
    "running": True,
    "version": "1.22.1",
    "prefix": "/usr/share/nginx/",
    "conf_file": "/etc/nginx/nginx.conf",
    "master_pid": 10,
    "container": None,
    "worker_user": "www-data",
    "worker_uid": 33,
    "worker_gid": 33,
    "worker_groups": [33],
    "test": {"ok": True, "message": "", "file": None, "line": None},
    "changed_since_load": [],
    "error_logs": [],
    "unseen": [],
}
PROCESS: dict[str, t.Any] = {
    "pid": 20,
    "workers": [21],
    "server": "gunicorn",
    "cwd": "/opt/gallery/src",
    "user": "gallery",
    "uid": 999,
    "gid": 999,
    "group": "gallery",
    "groups": [999],
    "umask": "0027",
    "listens": ["unix:/run/gallery/gallery.sock"],
    "unit": "gallery.service",
    "unit_properties": {},
    "container": None,
    "callable": "wsgi:app",
    "virtualenv": "/opt/gallery/venv",
    "directory": "/opt/gallery/src",
}
APP: dict[str, t.Any] = {
    "mounts": [
        {
            "endpoint": "static",
            "url": "/static/",
            "folder": "/opt/gallery/src/gallery/static",
            "exists": True,
            "shadowed_by": None,
        }
    ],
    "config": {"UPLOAD_FOLDER": "/var/www/gallery/media", "MEDIA_URL": "/media/"},
    "config_types": {"UPLOAD_FOLDER": "str"},
    "rules": [],
    "import_name": "gallery",
    "root_path": "/opt/gallery/src/gallery",
    "instance_path": "/opt/gallery/src/instance",
}
CANARY = "flask-verify-0123456789abcdef0123456789abcdef.txt"


def case(
    conf: str = SITE,
    *,
    nginx: t.Mapping[str, t.Any] | None = None,
    process: t.Mapping[str, t.Any] | None = None,
    app: t.Mapping[str, t.Any] | None = None,
    hints: t.Mapping[str, t.Any] | None = None,
    answers: t.Mapping[str, t.Any] | None = None,
) -> _diagnosis_case.Case:
    """Return a case; what is given changes the healthy site's.

    :param conf: what ``CONF`` has, included in ``http``.
    :param answers: of both rounds, by their questions' ids.
    """
    files = {
        "/etc/nginx/nginx.conf": f"events {{}}\nhttp {{\n    include {CONF};\n}}\n",
        CONF: conf,
    }
    seen = {
        **NGINX,
        "files": [{"path": path, "content": content} for path, content in files.items()],
        **(nginx or {}),
    }
    processes = {"processes": [{**PROCESS, **(process or {})}], "unseen": []}
    site = _diagnosis_sites.sites(
        _diagnosis_sites.config(seen), processes["processes"], hints or {}
    )[0]
    made = _diagnosis_case.Case(seen, processes, site)
    made.app = copy.deepcopy({**APP, **(app or {})})
    made.answers = dict(answers or {})
    return made


def config(**values: t.Any) -> dict[str, t.Any]:
    """Return the part of an app's answer that is its config."""
    return {"config": {**APP["config"], **values}}


def response(
    target: str, status: int | None, *headers: tuple[str, str], **more: t.Any
) -> dict[str, t.Any]:
    """Return the answer to a request."""
    return {
        "target": target,
        "request": {"target": target},
        "status": status,
        "headers": [list(header) for header in headers],
        "head": "",
        "log": [],
        **more,
    }


def found(made: _diagnosis_case.Case, *judges: t.Any) -> list[Finding]:
    """Return what judges find, one after the other."""
    findings = Findings()
    for judge in judges:
        judge.judge(made, findings)
    return findings.sorted()
