"""What is copied out of an image: whoever made it could have put anything into it."""

from __future__ import annotations

import io
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _image, _release

Member = tuple[str, str, str]


def archive(*members: Member) -> tarfile.TarFile:
    """Members are (kind, name, content or link)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        for kind, name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1_700_000_000
            info.uid, info.mode = 1000, 0o4777
            if kind == "file":
                info.size = len(content)
                packed.addfile(info, io.BytesIO(content.encode()))
                continue
            info.type = {
                "directory": tarfile.DIRTYPE,
                "symlink": tarfile.SYMTYPE,
                "link": tarfile.LNKTYPE,
                "device": tarfile.CHRTYPE,
                "pipe": tarfile.FIFOTYPE,
            }[kind]
            info.linkname = content
            packed.addfile(info)
    stream.seek(0)
    return tarfile.open(fileobj=stream, mode="r|")


def extracted(directory: Path, *members: Member) -> tuple[list[str], list[str]]:
    target = directory / "target"
    target.mkdir()
    left_out = _image.extract(archive(("directory", "static", ""), *members), str(target))
    found = [str(path.relative_to(target)) for path in target.rglob("*")]
    return left_out, sorted(found)


def test_files_keep_their_times_and_get_safe_modes(tmp_path: Path) -> None:
    left_out, found = extracted(
        tmp_path, ("directory", "static/css", ""), ("file", "static/css/a.css", "body{}")
    )
    assert (left_out, found) == ([], ["css", "css/a.css"])
    file = tmp_path / "target/css/a.css"
    assert file.read_text() == "body{}"
    assert (file.stat().st_mtime, file.stat().st_mode & 0o7777) == (1_700_000_000, 0o644)
    assert file.stat().st_uid == os.geteuid()


def test_links_within_the_folder_are_kept(tmp_path: Path) -> None:
    left_out, found = extracted(
        tmp_path,
        ("file", "static/a.css", "a"),
        ("symlink", "static/b.css", "a.css"),
        ("directory", "static/d", ""),
        ("symlink", "static/d/c.css", "../a.css"),
        ("link", "static/e.css", "static/a.css"),
    )
    assert (left_out, found) == ([], ["a.css", "b.css", "d", "d/c.css", "e.css"])
    assert (tmp_path / "target/d/c.css").read_text() == "a"
    assert (tmp_path / "target/e.css").samefile(tmp_path / "target/a.css")


@pytest.mark.parametrize(
    "member",
    [
        ("symlink", "static/x", "/etc/shadow"),
        ("symlink", "static/x", "../../secret"),
        ("symlink", "static/x", "a/../../../secret"),
        ("link", "static/x", "/etc/shadow"),
        ("link", "static/x", "../secret"),
        ("link", "static/x", "other/secret"),
        ("link", "static/x", "static/none"),
        ("device", "static/x", ""),
        ("pipe", "static/x", ""),
    ],
    ids=str,
)
def test_what_leads_out_is_left_out_and_named(tmp_path: Path, member: Member) -> None:
    (tmp_path / "secret").write_text("secret")
    assert extracted(tmp_path, member) == (["static/x"], [])


@pytest.mark.parametrize("name", ["static/../../x", "../x", "static/../x"])
def test_a_name_that_leads_out_is_left_out(tmp_path: Path, name: str) -> None:
    assert extracted(tmp_path, ("file", name, "x")) == ([name], [])
    assert not (tmp_path / "x").exists()


# Each leads to the directory that holds the folder's parent, though none says so by itself.
LEADING_OUT: list[list[Member]] = [
    [
        ("directory", "static/a/b", ""),
        ("symlink", "static/a/b/up", "../.."),
        ("symlink", "static/a/b/y", "up/../outside"),
    ],
    [("symlink", "static/y", "z/outside"), ("symlink", "static/z", "..")],
    [("symlink", "static/y", "../outside")],
]


@pytest.mark.parametrize("members", LEADING_OUT, ids=str)
def test_nothing_is_written_through_a_link(tmp_path: Path, members: list[Member]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = next(name for _kind, name, _link in members if name.endswith("/y"))
    left_out, found = extracted(
        tmp_path, *members, ("file", f"{link}/x", "x"), ("link", "static/w", f"{link}/x")
    )
    assert list(outside.iterdir()) == []
    assert {link, f"{link}/x", "static/w"} <= set(left_out)
    assert link.removeprefix("static/") not in found


def test_folders_are_where_the_host_has_their_copies() -> None:
    answer: dict[str, t.Any] = {
        "mounts": [{"url": "/static/", "folder": "/app/static", "exists": True}]
    }
    (mount,) = _image.on_host(answer, "/opt/g/releases/1")["mounts"]
    assert mount["folder"] == "/opt/g/releases/1/image/app/static"
    assert mount["container_folder"] == "/app/static"
    assert _image.copy_of("/r", "/../../etc") == "/r/image/etc"


def test_a_release_that_is_a_virtualenv_is_no_image(tmp_path: Path) -> None:
    releases = _release.Releases(str(tmp_path))
    with pytest.raises(_image.ImageError, match="is no release of an image"):
        _image.image_of(releases, "3f1c0a9be2d4")
