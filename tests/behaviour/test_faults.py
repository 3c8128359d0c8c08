"""Faults put on a converged host: verify is red and names each, site mends what it owns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import hosts
import play
import pytest
import uploads

MEDIA = "/var/www/gallery/media"
STATIC = "/var/www/gallery/static"
CONF = "/etc/nginx/conf.d/gallery.conf"
INCLUDED = "/etc/nginx/flask.d/gallery"
UPLOAD = f"{MEDIA}/kept.jpg"


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong on a host.

    breaks, repairs: scripts.
    is_mended: whether the site playbook owns it, and so mends it; else it stays red.
    app_says: how the app itself fails, which ends the site playbook before the proof.
    """

    name: str
    breaks: str
    repairs: str
    finding: tuple[str, str]
    is_mended: bool
    app_says: str = ""


FAULTS = [
    Fault(
        "a parent directory of the app's own lets nobody through",
        "chmod 0700 /var/www/gallery",
        "chmod 0755 /var/www/gallery",
        ("not-traversable", "/var/www/gallery"),
        is_mended=True,
    ),
    Fault(
        "a parent directory of the system lets nobody through",
        "chmod 0700 /var/www",
        "chmod 0755 /var/www",
        ("not-traversable", "/var/www"),
        is_mended=False,
        app_says=f"Permission denied: '{MEDIA}'",
    ),
    Fault(
        "the media directory is gone",
        f"mv {MEDIA} /root/media",
        f"mv /root/media {MEDIA}",
        ("media-missing", MEDIA),
        is_mended=True,
    ),
    Fault(
        "an upload is for its owner only",
        f"install -o gallery -g gallery -m 0600 /dev/null {UPLOAD}",
        f"rm {UPLOAD}",
        ("not-readable", UPLOAD),
        is_mended=False,
    ),
    Fault(
        "the media directory is root's",
        f"chown root:root {MEDIA}",
        f"chown gallery:www-data {MEDIA} && chmod 2750 {MEDIA}",
        ("owner-id-mismatch", MEDIA),
        is_mended=True,
    ),
    Fault(
        "the published static files are gone",
        f"mv {STATIC} /root/static",
        f"mv /root/static {STATIC}",
        ("static-missing", STATIC),
        is_mended=True,
    ),
    Fault(
        "a published static file is gone",
        f"mv {STATIC}/static/js/upload.mjs /root/upload.mjs",
        f"mv /root/upload.mjs {STATIC}/static/js/upload.mjs",
        ("static-missing", STATIC),
        is_mended=True,
    ),
    Fault(
        "another location takes the app's page",
        f"mkdir --parents {INCLUDED} && "
        f"""echo 'location = / {{ return 200 "Welcome"; }}' >{INCLUDED}/shadow.conf && systemctl restart nginx""",
        f"rm -r {INCLUDED} && systemctl restart nginx",
        ("location-shadowed", "/"),
        is_mended=False,
    ),
    Fault(
        "Nginx is stopped",
        "nginx -s quit; while pgrep -x nginx >/dev/null; do :; done",
        "systemctl restart nginx",
        ("nginx-not-serving", "port 80"),
        is_mended=True,
    ),
    Fault(
        "the app's file is gone from Nginx",
        f"mv {CONF} /root/gallery.conf && systemctl restart nginx",
        f"mv /root/gallery.conf {CONF} && systemctl restart nginx",
        ("location-missing", "/static/css/gallery.css"),
        is_mended=True,
    ),
]


@pytest.fixture
def healthy(control: play.Control) -> Iterator[None]:
    """Whatever a test did to the host is made good, and then verify is green."""
    yield
    after = control.run("verify")
    assert after.returncode == 0, after.output
    assert after.findings() == set()


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_is_named(control: play.Control, fault: Fault) -> None:
    control.shell(fault.breaks)
    try:
        red = control.run("verify")
    finally:
        control.shell(fault.repairs)
    assert red.returncode != 0, red.output
    assert fault.finding in red.findings(), red.output
    # One fault is one finding; static and media each lose their location with the file.
    assert {found[0] for found in red.findings()} == {fault.finding[0]}, red.output


# Those that can be there at once: a directory is either gone or otherwise wrong.
TOGETHER = [
    fault
    for fault in FAULTS
    if fault.name not in ("the media directory is gone", "a published static file is gone")
]


def test_site_mends_what_it_owns(control: play.Control, healthy: None) -> None:
    for fault in TOGETHER:
        if fault.is_mended:
            control.shell(fault.breaks)
    control.converge()


def test_site_makes_a_media_directory_that_is_gone(control: play.Control, healthy: None) -> None:
    control.shell(f"rm -rf {MEDIA}")
    control.converge()


@pytest.mark.parametrize("ends", ["by the app", "by the proof"])
def test_site_is_red_on_what_it_does_not_own(
    control: play.Control, healthy: None, ends: str
) -> None:
    # One of each end of the playbook: that verify names all of them is shown above.
    fault = next(
        fault
        for fault in FAULTS
        if not fault.is_mended and bool(fault.app_says) == (ends == "by the app")
    )
    control.shell(fault.breaks)
    red = control.run("site")
    control.shell(fault.repairs)
    assert red.returncode != 0, red.output
    if fault.app_says:
        assert fault.app_says in red.output
    else:
        assert red.findings() == {fault.finding}, red.output


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
