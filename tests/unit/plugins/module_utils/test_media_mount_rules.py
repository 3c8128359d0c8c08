"""What can't be mounted is refused, and the settings that follow from what can."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _settings

from tests.unit.descriptions import description, media_area

MEDIA = "/var/www/gallery/media"


def mount(**changes: t.Any) -> dict[str, t.Any]:
    disk = {"src": "/dev/vdb1", "fstype": "ext4", "opts": "noexec,nosuid,nodev", "path": None}
    return {**disk, **changes}


def problems(**changes: t.Any) -> list[str]:
    values = _settings.normalised(description(flask_media_mount=mount(**changes)))
    return [problem.variable for problem in _settings.description_problems(values)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"path": MEDIA + "/"},
        {"src": "UUID=0aef28b9", "opts": "defaults"},
        {"src": "nas:/media", "fstype": "nfs4", "opts": "_netdev,noexec"},
        {"src": "//nas/my media", "fstype": "cifs"},
        {"src": "/srv/volume", "fstype": "none", "opts": "bind,nodev"},
    ],
)
def test_what_fstab_can_say_is_taken(changes: dict[str, t.Any]) -> None:
    assert problems(**changes) == []


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("src", {"src": ""}),
        ("src", {"src": "/dev/vdb1\nx"}),
        ("src", {"src": MEDIA, "fstype": "none", "opts": "bind"}),
        ("src", {"src": "/var/www/gallery", "fstype": "none", "opts": "bind"}),
        ("fstype", {"fstype": "ext 4"}),
        ("fstype", {"fstype": "swap"}),
        ("fstype", {"fstype": "tmpfs"}),
        ("fstype", {"fstype": "none"}),
        ("fstype", {"opts": "bind"}),
        ("opts", {"opts": "noexec, nodev"}),
        ("opts", {"opts": "noexec,,nodev"}),
        ("opts", {"opts": "ro,noexec"}),
        ("opts", {"opts": "noauto"}),
        ("opts", {"opts": "x-systemd.automount"}),
        ("path", {"path": "media"}),
        ("path", {"path": "/var/www/gallery/media\n"}),
        ("path", {"path": "/srv"}),
        ("path", {"path": "/srv/elsewhere"}),
        ("path", {"path": MEDIA + "/originals"}),
        # The static root is there too.
        ("path", {"path": "/var/www/gallery"}),
        ("path", {"path": "/var/www/../www/gallery/media"}),
    ],
)
def test_what_would_harm_or_not_be_read_is_refused(option: str, changes: dict[str, t.Any]) -> None:
    assert problems(**changes) == [f"flask_media_mount.{option}"]


@pytest.mark.parametrize(
    "option",
    [
        *("pass=", "password=", "password2=", "PASSWD=", "Password = ", "passphrase_passwd="),
        *("secret=", "key=passphrase:", "user=me%", "username=dom/me%"),
    ],
)
@pytest.mark.parametrize("opts", ["{}", "noexec,{},nodev", "{},ro,,bind", "no exec\n,{}"])
def test_a_secret_does_not_get_into_fstab_nor_is_shown(option: str, opts: str) -> None:
    described = mount(src="//nas/x", fstype="cifs", opts=opts.format(f"{option}hunter2"))
    found = _settings.description_problems(description(flask_media_mount=described))
    assert [problem.variable for problem in found] == ["flask_media_mount.opts"]
    assert "credentials=/root/FILE" in str(found[0])
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    "opts", ["credentials=/root/nas", "secretfile=/root/key", "passwd_file=/root/s3", "user=me"]
)
def test_a_file_with_the_secret_is_taken(opts: str) -> None:
    assert problems(src="//nas/x", fstype="cifs", opts=opts) == []


def test_no_secret_of_another_app_is_shown() -> None:
    theirs = mount(path="/srv/x", opts="password=hunter2")
    apps = [description(flask_media_mount=mount(path="/srv/x")), shop(flask_media_mount=theirs)]
    assert "hunter2" not in repr(_settings.apps_problems(apps))


def test_a_mount_may_hold_several_areas() -> None:
    values = description(
        flask_media_root="/srv/gallery/media",
        flask_media_areas=[media_area("/media/"), media_area("/documents/")],
        flask_media_mount=mount(path="/srv/gallery"),
    )
    assert _settings.description_problems(values) == []
    assert _settings.resolve(values)["media"]["mount"]["unit"] == "srv-gallery.mount"


def test_the_mount_is_at_the_media_root_and_marked_with_the_apps_name() -> None:
    assert _settings.resolve(description(flask_media_mount=mount()))["media"]["mount"] == {
        "src": "/dev/vdb1",
        "fstype": "ext4",
        "opts": "noexec,nosuid,nodev",
        "path": MEDIA,
        "sentinel": ".flask_media_gallery",
        "unit": "var-www-gallery-media.mount",
    }
    assert _settings.resolve(description())["media"]["mount"] is None


def shop(**changes: t.Any) -> dict[str, t.Any]:
    text = json.dumps(description()).replace("gallery", "shop")
    return {**json.loads(text), **changes}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (mount(), mount(src="/dev/vdc1"), []),
        (mount(), None, []),
        (mount(path="/srv/x"), mount(path="/srv/x"), []),
        (mount(), mount(), ["flask_media_mount.src"]),
        (mount(path="/srv/x"), mount(path="/srv/x", opts="nodev"), ["flask_media_mount"]),
    ],
)
def test_two_apps_do_not_get_each_others_uploads(
    one: dict[str, t.Any], other: dict[str, t.Any] | None, expected: list[str]
) -> None:
    apps = [description(flask_media_mount=one), shop(flask_media_mount=other)]
    found = [problem.variable for problem in _settings.apps_problems(apps)]
    assert [name for name in found if "mount" in name] == expected


def test_a_percentage_is_one() -> None:
    values = description(flask_verify_min_free_percent=100)
    (problem,) = _settings.description_problems(values)
    assert problem.variable == "flask_verify_min_free_percent"
