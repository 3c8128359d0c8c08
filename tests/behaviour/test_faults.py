"""Faults put on a converged host: verify is red and names each, site mends what it owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import hosts
import play
import pytest
import uploads

MEDIA = "/var/www/gallery/media"
UPLOAD = f"{MEDIA}/kept.jpg"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong on a host.

    mended: whether the site playbook owns it, and so mends it; else it stays red until ``repair``.
    """

    name: str
    script: str
    finding: tuple[str, str]
    mended: bool
    repair: str = ":"


FAULTS = [
    Fault(
        "a parent directory of the app's own lets nobody through",
        "chmod 0700 /var/www/gallery",
        ("not-traversable", "/var/www/gallery"),
        mended=True,
    ),
    Fault(
        "a parent directory of the system lets nobody through",
        "chmod 0700 /var/www",
        ("not-traversable", "/var/www"),
        mended=False,
        repair="chmod 0755 /var/www",
    ),
    Fault(
        "the media directory is gone",
        f"rm -rf {MEDIA}",
        ("media-missing", MEDIA),
        mended=True,
    ),
    Fault(
        "an upload is for its owner only",
        f"install -o gallery -g gallery -m 0600 /dev/null {UPLOAD}",
        ("not-readable", UPLOAD),
        mended=False,
        repair=f"rm -f {UPLOAD}",
    ),
    Fault(
        "the media directory is root's",
        f"chown root:root {MEDIA}",
        ("not-writable", MEDIA),
        mended=True,
    ),
    Fault(
        "the published static files are gone",
        "rm -rf /var/www/gallery/static",
        ("static-missing", "/var/www/gallery/static"),
        mended=True,
    ),
    Fault(
        "Nginx is stopped",
        "nginx -s quit; while pgrep -x nginx >/dev/null; do :; done",
        ("nginx-not-serving", "port 80"),
        mended=True,
    ),
    Fault(
        "the app's file is gone from Nginx",
        "rm /etc/nginx/conf.d/gallery.conf && nginx -s reload",
        ("location-missing", "/static/css/gallery.css"),
        mended=True,
    ),
]


@pytest.fixture
def healthy(control: play.Control) -> Iterator[None]:
    """Green before the fault, and green after it."""
    before = control.run("verify")
    assert before.returncode == 0, before.output
    assert before.findings() == set()
    yield
    after = control.run("verify")
    assert after.returncode == 0, after.output


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_is_named(control: play.Control, healthy: None, fault: Fault) -> None:
    control.shell(fault.script)
    try:
        red = control.run("verify")
        assert red.returncode != 0, red.output
        assert fault.finding in red.findings(), red.output
        # One fault is one finding; static and media each lose their location with the file.
        assert {found[0] for found in red.findings()} == {fault.finding[0]}, red.output
        mended = control.run("site")
        assert (mended.returncode == 0) is fault.mended, mended.output
        if not fault.mended:
            assert fault.finding in mended.findings(), mended.output
    finally:
        control.shell(fault.repair)


def test_verify_leaves_nothing_behind(control: play.Control, healthy: None) -> None:
    before = control.snapshot()
    files = control.shell(f"find {MEDIA} | sort")
    done = control.run("verify")
    assert done.changed == 0
    assert control.snapshot() == before
    assert control.shell(f"find {MEDIA} | sort") == files


def test_uploads_survive_a_redeploy(
    control: play.Control, site: hosts.Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    saved = uploads.save(site, 3)
    directory = tmp_path_factory.mktemp("versions")
    control.converge(flask_app_source=str(play.version_of_gallery(directory, "next")))
    assert uploads.check(site, saved) == {}
    with site.connection() as connection:
        new = connection.request("GET", "/static/css/next.css")
        assert (new.status, new.body) == (200, b"/* next */\n")
        changed = connection.request("GET", "/static/css/gallery.css")
        assert changed.body.endswith(b"/* next */\n")
    control.converge()
    assert uploads.check(site, saved) == {}
    with site.connection() as connection:
        # A page that was loaded before the deploy still finds what it refers to.
        assert connection.request("GET", "/static/css/next.css").status == 200
        assert not connection.request("GET", "/static/css/gallery.css").body.endswith(b"next */\n")
