"""Room and mounts: what is a fault, what a warning, and what is said of it."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify_storage

from tests.unit.plugins.plugin_utils.test_verify import MEDIA, healthy, judge

MIB = 1 << 20


def room(**changes: t.Any) -> dict[str, t.Any]:
    evidence = healthy()
    evidence["storage"]["filesystems"][0].update(changes)
    return evidence


@pytest.mark.parametrize(
    ("changes", "severity", "shown"),
    [
        ({"free_bytes": 0}, "error", "0 bytes of 100 MiB free"),
        ({"free_inodes": 0}, "error", "0 of 1000 inodes"),
        ({"free_bytes": 4 * MIB}, "warning", "below 5 %"),
        ({"free_inodes": 49}, "warning", "below 5 %"),
        ({"total_bytes": 3 * MIB, "free_bytes": MIB - 1}, "warning", "largest request is 1 MiB"),
        # btrfs counts no inodes.
        ({"total_inodes": 0, "free_inodes": 0}, None, ""),
        ({"free_bytes": 5 * MIB}, None, ""),
    ],
)
def test_no_room_is_a_fault_and_little_a_warning(
    changes: dict[str, int], severity: str | None, shown: str
) -> None:
    report = judge(room(**changes))
    found = [(one["id"], one["severity"], one["component"]) for one in report["findings"]]
    assert found == ([("disk-full", severity, MEDIA)] if severity else [])
    assert report["ok"] is (severity != "error")
    status = {check["id"]: check["status"] for check in report["checks"]}
    assert status["media-has-room"] == ("fail" if severity == "error" else "pass")
    assert shown in str(report["findings"])


def test_a_warning_hides_no_fault() -> None:
    evidence = room(free_bytes=2 * MIB)
    evidence["responses"] = [
        {**one, "status": 502} if one["item"]["kind"] == "app" else one
        for one in evidence["responses"]
    ]
    assert [one["id"] for one in judge(evidence)["findings"]] == [
        "disk-full",
        "app-not-answering",
    ]


def test_the_largest_upload_of_any_area_counts() -> None:
    evidence = healthy()
    evidence["settings"]["media"]["areas"].append(
        {"url": "/videos/", "access": "public", "client_max_body_size_bytes": 60 * MIB}
    )
    assert _verify_storage.largest_body_bytes(evidence["settings"]) == 60 * MIB
    (found,) = (one for one in judge(evidence)["findings"] if one["component"] == MEDIA)
    assert (found["severity"], found["id"]) == ("warning", "disk-full")


def test_one_file_system_is_one_finding() -> None:
    evidence = room(mount_point="/", free_bytes=0)
    evidence["storage"]["body_temp"][0]["room"].update(free_bytes=0)
    report = judge(evidence)
    assert [(one["id"], one["component"]) for one in report["findings"]] == [("disk-full", "/")]
    status = {check["id"]: check["status"] for check in report["checks"]}
    assert (status["media-has-room"], status["body-spooled"]) == ("fail", "fail")


def test_a_volume_that_is_not_there_is_to_be_attached() -> None:
    evidence = healthy()
    gone = {"mounted": None, "expected": False, "marked": False, "source_missing": True}
    evidence["storage"]["mount"].update(gone)
    (found,) = judge(evidence)["findings"]
    assert found["fix"].startswith("Attach /dev/vdb1")


@pytest.mark.parametrize(
    ("stop", "exists", "component", "fix"),
    [
        (
            "/var/lib/nginx/body",
            True,
            "/var/lib/nginx/body",
            "install -d -o www-data -g root -m 0700 /var/lib/nginx/body",
        ),
        (
            "/var/lib/nginx/body",
            False,
            "/var/lib/nginx/body",
            "install -d -o www-data -g root -m 0700 /var/lib/nginx/body",
        ),
        ("/var/lib/nginx", True, "/var/lib/nginx", "setfacl -m u:www-data:x /var/lib/nginx"),
    ],
)
def test_what_nginx_cannot_spool_to_is_given_to_it_alone(
    stop: str, exists: bool, component: str, fix: str
) -> None:
    evidence = healthy()
    blocked = {"component": stop, "owner": "root", "group": "root", "mode": "0700"}
    evidence["storage"]["body_temp"][0].update(
        exists=exists, allowed=False, room=None, blocked_by=blocked
    )
    (found,) = judge(evidence)["findings"]
    assert (found["id"], found["component"]) == ("body-temp-unwritable", component)
    assert found["fix"].endswith(fix)


def test_a_host_without_nginx_or_mount_is_not_judged_by_them() -> None:
    evidence = healthy()
    evidence["settings"]["media"]["mount"] = None
    evidence["storage"].update(mount=None, body_temp=[])
    status = {check["id"]: check["status"] for check in judge(evidence)["checks"]}
    assert "media-mounted" not in status
    assert status["body-spooled"] == "skip"
