"""Whether Nginx's service is kept from writing: a pass, a fault, and what only its next start applies."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify_confinement

STATIC, MEDIA = "/srv/gallery/static", "/srv/gallery/media"
DROP_IN = "/etc/systemd/system/nginx.service.d/flask-gallery.conf"


def verdict(view: dict[str, t.Any] | None = None, **host: t.Any) -> _verify_confinement.Verdict:
    whole = {"process_id": 8, "is_older": False, "writable": [], "mount_points": [], **(view or {})}
    known = {"service_manager": "systemd", "paths": {DROP_IN: "ours"}, "nginx_view": whole, **host}
    settings = {
        "host": known,
        "site": {"nginx_drop_in": DROP_IN},
        "static": {"root": STATIC},
        "media": {"roots": [MEDIA]},
    }
    return _verify_confinement.judge(settings)


def test_read_only_roots_pass() -> None:
    assert verdict()[:3] == ("pass", f"its process 8 sees {STATIC}, {MEDIA} read-only", "")


@pytest.mark.parametrize(
    "host",
    [{"service_manager": "sysvinit"}, {"paths": {DROP_IN: "missing"}}, {"nginx_view": None}],
    ids=str,
)
def test_where_nothing_can_be_expected_nothing_is_said_to_hold(host: dict[str, t.Any]) -> None:
    assert (verdict(**host).status, verdict(**host).finding) == ("skip", "")


@pytest.mark.parametrize(
    "view",
    [
        {"is_older": True, "writable": [STATIC, MEDIA]},
        {"writable": [MEDIA], "mount_points": [MEDIA]},
    ],
    ids=str,
)
def test_what_the_next_start_applies_is_pending(view: dict[str, t.Any]) -> None:
    found = verdict(view)
    assert (found.status, found.finding) == ("skip", "nginx-restart-pending")
    assert "flask_site_nginx_restart" in found.fix


@pytest.mark.parametrize(
    ("path", "finding"),
    [(STATIC, "static-writable-by-nginx"), (MEDIA, "media-writable-by-nginx")],
)
def test_what_is_writable_all_the_same_is_a_fault(path: str, finding: str) -> None:
    found = verdict({"writable": [path]})
    assert (found.status, found.finding, found.component) == ("fail", finding, path)
