"""The modules as Ansible runs them; what they do for real is test_media_mount.py's."""

from __future__ import annotations

from pathlib import Path

from tests.unit.plugins.conftest import Module


def test_check_mode_says_what_would_be_done_and_does_nothing(
    as_root: None, run_module: Module, tmp_path: Path
) -> None:
    (tmp_path / "volume").mkdir()
    answer = run_module(
        "media_mount",
        check=True,
        src=str(tmp_path / "volume"),
        path=str(tmp_path / "media"),
        fstype="none",
        opts="bind,noexec",
        sentinel=".flask_media_gallery",
        owner="nobody-yet",
    )
    assert answer["changed"]
    assert [one for one in answer["actions"] if one != "daemon-reload"] == [
        "make",
        "close",
        "mount",
        "mark",
        "fstab",
    ]
    assert (
        f"{tmp_path}/volume {tmp_path}/media none bind,noexec 0 0\n" in answer["diff"][1]["after"]
    )
    assert not (tmp_path / "media").exists()


def test_what_is_in_the_way_fails_in_check_mode_too(
    as_root: None, run_module: Module, tmp_path: Path
) -> None:
    path = str(tmp_path / "media")
    mount = {"src": "/nowhere", "path": path, "fstype": "ext4", "sentinel": ".flask_media_x"}
    answer = run_module("media_mount", check=True, **mount)
    assert answer["failed"]
    assert "/nowhere is not there" in answer["msg"]


def test_the_info_is_the_same_in_check_mode(run_module: Module, tmp_path: Path) -> None:
    mount = {
        "src": "/nowhere",
        "path": str(tmp_path),
        "fstype": "ext4",
        "opts": "noexec",
        "sentinel": ".flask_media_gallery",
        "unit": "passed-over.mount",
    }
    for check in (False, True):
        answer = run_module(
            "media_storage_info", check=check, roots=[str(tmp_path)], mount=mount, nginx_user="root"
        )
        assert not answer["changed"]
        assert answer["mount"] == {
            "mounted": None,
            "expected": False,
            "marked": False,
            "options": [],
            "options_apply": False,
            "source_missing": True,
        }
        assert answer["filesystems"][0]["roots"] == [str(tmp_path)]
