"""Uploads on a file system of their own: what happens when it is gone, another one, or full."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hosts
import play
import pytest
import uploads

MEDIA = "/var/www/gallery/media"
VOLUME = "/srv/volume"
BODY = "/var/lib/nginx/body"
UNITS = "gallery.service gallery.socket var-www-gallery-media.mount"
# More than Nginx keeps in memory, so that it is written to disk first.
LARGE_BYTES = 256 * 1024

# systemd hears of a mount from the kernel, some time after umount(8) has ended.
AWAIT_DOWN = f"timeout 90 sh -c 'while systemctl is-active {UNITS} | grep -qvxE \"inactive|failed\"; do :; done'"
AWAIT_UP = "timeout 90 sh -c 'until systemctl is-active --quiet gallery.socket; do :; done'"
# In a mount namespace of its own, where the mount can be taken away.
BENEATH = f"""unshare --mount --propagation private sh -c '
while mountpoint --quiet {MEDIA}; do umount --lazy {MEDIA}; done
stat --format="%U %G %a" {MEDIA}; find {MEDIA} -mindepth 1'"""
CLOSED = "root root 0"

# What the kernel lets happen in media, asked by doing it.
ASK_KERNEL = f"""
cp /bin/true {MEDIA}/probe && chmod 4755 {MEDIA}/probe && mknod {MEDIA}/null c 1 3
{MEDIA}/probe 2>/dev/null && echo runs
head -c 1 {MEDIA}/null 2>/dev/null && echo opens
python3 -c 'import os; os.statvfs("{MEDIA}").f_flag & os.ST_NOSUID or print("suid")'
rm {MEDIA}/probe {MEDIA}/null
"""


@pytest.fixture
def saved(site: hosts.Site) -> dict[str, str]:
    """Uploads that must be there whatever happens."""
    return uploads.save(site, 2)


@pytest.fixture(autouse=True, scope="module")
def _all_well(control: play.Control) -> Iterator[None]:
    """When all is over nothing is left to mend."""
    yield
    after = control.run("verify")
    assert after.returncode == 0, after.output
    assert after.findings() == set()


@pytest.fixture(autouse=True)
def _mounted_again(control: play.Control) -> Iterator[None]:
    """What one test fails at is not the next one's fault."""
    yield
    control.shell(f"mountpoint --quiet {MEDIA} || mount {MEDIA}; {AWAIT_UP}")


def unmount(control: play.Control) -> None:
    control.shell(f"umount {MEDIA}")


def mount(control: play.Control) -> None:
    control.shell(f"mount {MEDIA} && {AWAIT_UP}")


def beneath(control: play.Control) -> list[str]:
    return control.shell(BENEATH).splitlines()


class Form:
    """The page of the upload, as a browser has it open since before all went wrong."""

    def __init__(self, site: hosts.Site) -> None:
        self._visitor = uploads.Visitor(site)
        self._page = self._visitor.page(uploads.UPLOAD_PAGE)

    def send(self, data: bytes = b"") -> int:
        """The status of an upload."""
        content_type, body = uploads.multipart(
            self._page.fields, self._page.file_field, "a.png", data or uploads.picture()
        )
        headers = {"Content-Type": content_type}
        # What is between this browser and Nginx is not what is tested.
        self._visitor.connection.close()
        return self._visitor.ask("POST", uploads.UPLOAD_PAGE, headers, body).status


@pytest.fixture
def form(site: hosts.Site) -> Form:
    return Form(site)


def said(run: play.Run) -> str:
    """What a run printed, without the breaks of its lines."""
    return " ".join(run.output.split())


def starts(control: play.Control) -> bool:
    return (
        control.shell("systemctl start gallery.service 2>/dev/null && echo yes || echo no") == "yes"
    )


def test_without_its_mount_the_app_stops_and_nothing_lands_beneath(
    control: play.Control,
    site: hosts.Site,
    saved: dict[str, str],
    form: Form,
    figures: Callable[[str], None],
) -> None:
    unmount(control)
    # At once, since systemd needs a moment to stop it: the directory beneath is closed to it.
    refused = control.shell(f"touch {MEDIA}/beneath 2>&1 || true", user="gallery")
    assert "Permission denied" in refused
    # Until it is stopped it may still see the volume itself; never what is beneath.
    during = form.send()
    control.shell(AWAIT_DOWN)
    after = form.send()
    assert after == 502
    assert beneath(control) == [CLOSED]

    red = control.run("verify")
    assert red.returncode != 0
    assert red.findings() == {("mount-missing", MEDIA)}, red.output
    assert beneath(control) == [CLOSED]

    control.converge()
    assert uploads.check(site, saved) == {}
    uploads.save(site, 1)
    assert beneath(control) == [CLOSED]
    figures(f"uploads without the mount: {during} at once, {after} then; beneath it nothing")


def test_mounted_by_hand_it_brings_the_app_back(
    control: play.Control, site: hosts.Site, saved: dict[str, str]
) -> None:
    unmount(control)
    control.shell(AWAIT_DOWN)
    mount(control)
    assert uploads.check(site, saved) == {}
    uploads.save(site, 1)


def test_where_the_volume_is_not_there_nothing_starts(
    control: play.Control, site: hosts.Site, saved: dict[str, str], form: Form
) -> None:
    unmount(control)
    control.shell(f"{AWAIT_DOWN}; mv {VOLUME} {VOLUME}.gone")
    try:
        refused = control.run("site")
        assert refused.returncode != 0
        assert f"{VOLUME}/gallery is not there" in said(refused)
        red = control.run("verify")
        assert red.findings() == {("mount-missing", MEDIA)}, red.output
        assert red.report and "Attach" in red.report["findings"][0]["fix"]

        # Of a bind mount systemd makes the source, and mounts that: it has not the mark.
        assert not starts(control)
        assert form.send() == 502
        refused = control.run("site")
        assert refused.returncode != 0
        assert "is not what was mounted there before" in said(refused)
        red = control.run("verify")
        assert red.findings() == {("mount-missing", MEDIA)}, red.output
        assert control.shell(f"find {VOLUME} -type f") == ""
        assert beneath(control) == [CLOSED]
    finally:
        control.shell(
            f"umount {MEDIA} || true; {AWAIT_DOWN}; rm -rf {VOLUME}; mv {VOLUME}.gone {VOLUME}"
        )
    mount(control)
    assert uploads.check(site, saved) == {}


def test_another_file_system_is_not_written_to(
    control: play.Control, site: hosts.Site, saved: dict[str, str], form: Form
) -> None:
    unmount(control)
    control.shell(f"{AWAIT_DOWN}; mount -t tmpfs other {MEDIA} && chown gallery:www-data {MEDIA}")
    try:
        assert not starts(control)
        assert form.send() == 502
        red = control.run("verify")
        assert red.findings() == {("mount-missing", MEDIA)}, red.output
        refused = control.run("site")
        assert refused.returncode != 0
        assert "other (tmpfs) is mounted at" in said(refused)
        assert control.shell(f"find {MEDIA} -mindepth 1") == ""
    finally:
        unmount(control)
        control.shell(AWAIT_DOWN)
    mount(control)
    assert uploads.check(site, saved) == {}


def test_nothing_runs_from_media_and_options_are_mended(
    control: play.Control, saved: dict[str, str], site: hosts.Site
) -> None:
    assert control.shell(ASK_KERNEL) == ""
    fstab = control.shell("cat /etc/fstab")
    control.shell(
        f"mount -o remount,bind,exec,suid,dev {MEDIA}; sed -i s/,noexec,nosuid,nodev// /etc/fstab"
    )
    assert control.shell(ASK_KERNEL).split() == ["runs", "opens", "suid"]
    red = control.run("verify")
    assert red.findings() == {("mount-options", MEDIA)}, red.output
    control.converge()
    assert control.shell(ASK_KERNEL) == ""
    assert control.shell("cat /etc/fstab") == fstab
    assert uploads.check(site, saved) == {}


@pytest.mark.parametrize(
    "fill",
    [
        "head -c 100M /dev/zero >/srv/filling/f 2>/dev/null",
        "i=0; while : 2>/dev/null >/srv/filling/$i; do i=$((i + 1)); done 2>/dev/null",
    ],
    ids=["blocks", "inodes"],
)
def test_a_full_file_system_is_named_and_loses_nothing(
    control: play.Control, site: hosts.Site, saved: dict[str, str], form: Form, fill: str
) -> None:
    control.shell(f"mkdir /srv/filling; ({fill}); true")
    try:
        status = form.send()
        red = control.run("verify")
        assert red.returncode != 0
        assert red.findings() == {("disk-full", MEDIA)}, red.output
        # The app's own answer, and what it had begun is taken away.
        assert status >= 500 and status != 502
        assert control.shell(f"find {MEDIA} -name '*.part'") == ""
        assert uploads.check(site, saved) == {}
    finally:
        control.shell("rm -r /srv/filling")
    uploads.save(site, 1)


def test_little_room_is_a_warning_and_no_failure(control: play.Control) -> None:
    control.shell("head -c 20M /dev/zero >/srv/filling")
    try:
        warned = control.run("verify")
    finally:
        control.shell("rm /srv/filling")
    assert warned.returncode == 0, warned.output
    assert warned.report and warned.report["ok"]
    assert [(f["id"], f["severity"], f["component"]) for f in warned.report["findings"]] == [
        ("disk-full", "warning", MEDIA)
    ]


def test_a_directory_that_nginx_cannot_spool_to_is_named(control: play.Control, form: Form) -> None:
    control.shell(f"chown root:root {BODY}")
    try:
        assert form.send(b"x" * LARGE_BYTES) == 500
        red = control.run("verify")
    finally:
        control.shell(f"chown www-data {BODY}")
    assert red.returncode != 0
    assert red.findings() == {("body-temp-unwritable", BODY)}, red.output
