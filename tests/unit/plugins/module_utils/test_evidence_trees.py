"""Trees, files, file systems and components: what is told of them, and what is never touched."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _acl,
    _bounded,
    _evidence_files,
    _evidence_trees,
    _mounts,
)

Facts = dict[str, t.Any]


@pytest.fixture
def media(open_directory: Path) -> Path:
    media = open_directory / "media"
    media.mkdir()
    return media


def write(path: Path, content: str = "x", mode: int = 0o640, age_seconds: float = 0) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content)
    path.chmod(mode)
    moment = time.time() - age_seconds
    os.utime(path, (moment, moment))
    return path


# Trees


def test_a_tree_is_counted_and_its_oddities_named(media: Path) -> None:
    write(media / "a.png")
    run = write(media / "b" / "run.sh", mode=0o750)
    wide = write(media / "b" / "c" / "wide.txt", mode=0o666)
    hidden = write(media / ".env")
    git = write(media / ".git" / "config").parent
    (media / "link").symlink_to("/etc")
    (media / "open").mkdir()
    (media / "open").chmod(0o777)
    os.mkfifo(media / "fifo")
    facts = _evidence_trees.tree(str(media))
    assert (facts["files"], facts["directories"], facts["is_all"]) == (6, 4, True)
    assert facts["executable"] == [str(run)]
    assert sorted(facts["world_writable"]) == sorted([str(wide), f"{media}/open"])
    assert sorted(facts["dotfiles"]) == sorted([str(hidden), str(git)])
    assert facts["links"] == [{"path": f"{media}/link", "target": "/etc"}]
    assert facts["counts"] == {"dotfiles": 2, "executable": 1, "world_writable": 2, "links": 1}
    types = {entry["path"]: entry["type"] for entry in facts["entries"]}
    assert (types[f"{media}/fifo"], types[f"{media}/link"]) == ("fifo", "link")
    assert types[f"{media}/b"] == "directory"
    assert f"{git}/config" not in types


def test_a_tree_may_be_shallow_or_only_what_a_name_begins(media: Path) -> None:
    for name in ("static/a.css", "static-old/b.css", "static.zip", "media/c.png"):
        write(media / name)
    parent = str(media)

    def names(**options: t.Any) -> list[str]:
        entries = _evidence_trees.tree(parent, **options)["entries"]
        return sorted(os.path.relpath(entry["path"], parent) for entry in entries)

    assert names(is_deep=False) == ["media", "static", "static-old", "static.zip"]
    assert names(beside="static") == ["static-old", "static-old/b.css", "static.zip"]
    assert names(beside="static", is_deep=False) == ["static-old", "static.zip"]


def test_the_newest_are_described(media: Path) -> None:
    for number in range(20):
        write(media / f"d{number % 3}" / f"{number}.png", age_seconds=1000 - number)
        os.utime(media / f"d{number % 3}", (0, 0))
    facts = _evidence_trees.tree(str(media), limit=3)
    assert [Path(entry["path"]).name for entry in facts["entries"]] == [
        "19.png",
        "18.png",
        "17.png",
    ]
    entry = facts["entries"][0]
    assert (entry["mode"], entry["size"], entry["type"]) == ("0640", 1, "file")
    assert facts["files"] == 20
    assert _evidence_trees.tree(str(media), limit=0)["entries"] == []


def test_the_time_is_kept_and_what_changed_last_comes_first(media: Path) -> None:
    for name, age in (("old", 900), ("new", 100)):
        for number in range(10):
            write(media / name / f"{number}.png", age_seconds=age)
        os.utime(media / name, (time.time() - age,) * 2)
    ticks = iter(range(100))
    # The clock is read at the start, and once a directory: the root and one more are in time.
    facts = _evidence_trees.tree(str(media), seconds=2.5, clock=lambda: next(ticks))
    assert facts["is_all"] is False
    assert {Path(entry["path"]).parent.name for entry in facts["entries"]} == {"media", "new"}


def test_a_directory_of_many_is_left_in_its_midst(media: Path) -> None:
    for number in range(3 * _evidence_trees.CLOCK_EVERY):
        (media / str(number)).touch()
    ticks = iter(range(100))
    facts = _evidence_trees.tree(str(media), seconds=2.5, clock=lambda: next(ticks))
    assert (facts["is_all"], facts["files"]) == (False, 2 * _evidence_trees.CLOCK_EVERY)


def test_lists_are_bounded_and_say_so(media: Path) -> None:
    for number in range(_evidence_trees.SHOWN + 5):
        (media / f".{number}").touch()
    facts = _evidence_trees.tree(str(media))
    assert len(facts["dotfiles"]) == _evidence_trees.SHOWN
    assert facts["counts"]["dotfiles"] == _evidence_trees.SHOWN + 5


def test_no_link_is_followed_but_the_trees_own(media: Path) -> None:
    outside = write(media.parent / "outside" / "secret.txt")
    (media / "out").symlink_to(outside.parent)
    (media.parent / "current").symlink_to(media)
    facts = _evidence_trees.tree(str(media.parent / "current"))
    assert [entry["path"] for entry in facts["entries"]] == [f"{media}/out"]


def test_a_directory_that_was_changed_for_a_link_is_passed_over(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = write(media.parent / "outside" / "b" / "secret.txt").parent.parent
    (media / "a" / "b").mkdir(parents=True)
    real = os.open

    def swap(path: t.Any, flags: int, *arguments: t.Any, **options: t.Any) -> int:
        if path == f"{media}/a/b":
            (media / "a").rename(media / "moved")
            (media / "a").symlink_to(outside)
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", swap)
    facts = _evidence_trees.tree(str(media))
    assert (media / "a").is_symlink()
    assert not any("secret" in entry["path"] for entry in facts["entries"])


def test_a_tree_that_is_not_there(media: Path) -> None:
    facts = _evidence_trees.tree(str(media / "gone"))
    assert (facts["exists"], facts["files"], facts["entries"]) == (False, 0, [])
    with pytest.raises(NotADirectoryError):
        _evidence_trees.tree(str(write(media / "file")))


# Files


def test_a_file_is_described(media: Path) -> None:
    path = write(media / "a.css", "body{}", 0o604)
    os.chown(path, 61001, 61002)
    facts = _evidence_files.file(str(path), True)
    expected = {"exists": True, "type": "file", "mode": "0604", "uid": 61001, "gid": 61002}
    assert facts.items() >= expected.items()
    assert (facts["size"], facts["mtime"]) == (6, path.stat().st_mtime)
    assert facts["sha256"] == hashlib.sha256(b"body{}").hexdigest()
    assert (facts["link"], facts["realpath"]) == (None, str(path))
    assert _evidence_files.file(str(path), False)["sha256"] is None


def test_a_link_is_told_with_what_it_leads_to(media: Path) -> None:
    write(media / "releases" / "1" / "a.css")
    (media / "current").symlink_to("releases/1")
    facts = _evidence_files.file(f"{media}/current", True)
    assert (facts["type"], facts["link"]) == ("directory", "releases/1")
    assert (facts["realpath"], facts["sha256"]) == (f"{media}/releases/1", None)
    (media / "dangling").symlink_to("nowhere")
    facts = _evidence_files.file(f"{media}/dangling", True)
    assert (facts["exists"], facts["link"], facts["error"]) == (False, "nowhere", None)
    (media / "loop").symlink_to("loop")
    assert _evidence_files.file(f"{media}/loop", True)["exists"] is False


def test_only_regular_files_are_opened(media: Path) -> None:
    os.mkfifo(media / "fifo")
    facts = _evidence_files.file(f"{media}/fifo", True)
    assert (facts["type"], facts["sha256"]) == ("fifo", None)


def test_a_large_file_is_not_hashed(media: Path) -> None:
    with (media / "large").open("wb") as file:
        file.truncate(_evidence_files.HASH_LIMIT_BYTES + 1)
    facts = _evidence_files.file(f"{media}/large", True)
    assert (facts["sha256"], "not hashed" in facts["error"]) == (None, True)


# Components


def test_components_are_told_along_links(media: Path) -> None:
    target = write(media / "releases" / "1" / "a.css")
    (media / "current").symlink_to("releases/1")
    acl = _acl.encode_acl(
        [
            (_acl.USER_OBJ, 7, -1),
            (_acl.USER, 5, 61001),
            (_acl.GROUP_OBJ, 5, -1),
            (_acl.MASK, 5, -1),
            (_acl.OTHER, 0, -1),
        ]
    )
    os.setxattr(target.parent, "system.posix_acl_access", acl)
    table = [*_mounts.mounts(), {"mount_point": str(media), "fstype": "nfs4"}]
    found = _evidence_files.components(f"{media}/./current/../1/a.css", table)
    paths = [facts["path"] for facts in found]
    parents = [str(parent) for parent in reversed(media.parents)]
    assert paths[: len(parents) + 1] == [*parents, str(media)]
    tail = ["current", "releases", "releases/1", "releases/1/a.css"]
    assert paths[len(parents) + 1 :] == [f"{media}/{name}" for name in tail]
    by_path = {facts["path"]: facts for facts in found}
    assert by_path[f"{media}/current"]["link"] == "releases/1"
    assert by_path[f"{media}/current"]["type"] == "link"
    assert by_path[f"{media}/releases/1"]["acl"] is True
    assert by_path[f"{media}/releases"]["acl"] is False
    assert (by_path[str(media)]["is_mount"], by_path[str(media)]["fstype"]) == (True, "nfs4")
    assert (by_path["/"]["is_mount"], by_path["/"]["type"]) == (True, "directory")
    assert paths[0] == "/"


def test_components_end_where_nothing_is(media: Path) -> None:
    found = _evidence_files.components(f"{media}/gone/a.css", [])
    assert (found[-1]["path"], found[-1]["type"]) == (f"{media}/gone", None)
    assert found[-1]["error"] == "No such file or directory"
    (media / "loop").symlink_to("loop")
    assert _evidence_files.components(f"{media}/loop", [])[-1]["path"] == f"{media}/loop"


# Storage


def test_room_is_that_of_users(media: Path) -> None:
    facts = _evidence_files.storage(str(media), _mounts.mounts(), [])
    numbers = os.statvfs(media)
    assert facts["size_bytes"] == numbers.f_blocks * numbers.f_frsize
    assert 0 <= facts["free_bytes"] <= facts["size_bytes"]
    assert (facts["exists"], facts["fstab"]) == (True, None)
    assert facts["mount_point"] is not None


def test_what_is_missing_is_on_what_it_would_be_made_on(media: Path) -> None:
    facts = _evidence_files.storage(f"{media}/a/b", _mounts.mounts(), [])
    assert facts["exists"] is False
    assert facts["size_bytes"] > 0


def test_an_entry_of_fstab_that_is_not_mounted_is_told(tmp_path: Path, media: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_text(
        "# /dev/sdz1 /comment ext4 defaults 0 0\n"
        "\n"
        "UUID=1 / ext4 errors=remount-ro 0 1\n"
        f"//user:word@nas/share {media} cifs rw,password=word,nofail 0 0\n"
        f"/dev/sdz2 {media}/by\\040hand ext4 noauto 0 0\n"
        "/dev/sdz3 none swap sw 0 0\n"
        "short\n"
    )
    entries = _evidence_files.read_fstab(str(fstab))
    assert [entry["mount_point"] for entry in entries] == ["/", str(media)]
    table = _mounts.mounts()
    entry = _evidence_files.storage(f"{media}/uploads", table, entries)["fstab"]
    assert (entry["mount_point"], entry["fstype"]) == (str(media), "cifs")
    mounted = [*table, {**table[0], "mount_point": str(media)}]
    assert _evidence_files.storage(f"{media}/uploads", mounted, entries)["fstab"] is None
    assert _evidence_files.storage(str(media.parent), table, entries)["fstab"] is None
    assert _evidence_files.read_fstab(str(tmp_path / "gone")) == []


# In time


def test_what_never_answers_is_ended() -> None:
    def hang() -> None:
        subprocess.run(["sleep", "1000"], check=True)

    with pytest.raises(_bounded.Unanswered, match="no answer within 0 seconds"):
        _bounded.call(hang, seconds=0.1)


def test_what_dies_or_raises_is_told() -> None:
    def die() -> None:
        os.kill(os.getpid(), 9)

    def refuse() -> None:
        raise PermissionError(13, "Permission denied", "/secret")

    with pytest.raises(_bounded.Unanswered, match="wait status 9"):
        _bounded.call(die, seconds=10)
    with pytest.raises(_bounded.Unanswered, match="/secret: Permission denied"):
        _bounded.call(refuse, seconds=10)
    with pytest.raises(_bounded.Unanswered, match="ZeroDivisionError"):
        _bounded.call(lambda: 1 // 0, seconds=10)
    with pytest.raises(_bounded.Unanswered, match="TypeError"):
        _bounded.call(object, seconds=10)


def test_a_large_answer_comes_whole() -> None:
    assert _bounded.call(lambda: "x" * 5_000_000, seconds=30) == "x" * 5_000_000


def test_a_descriptor_comes_from_a_view(stranger: int, open_directory: Path) -> None:
    path = f"{open_directory}/a"
    Path(f"/proc/{stranger}/root{path}").write_text("inside")
    with pytest.raises(_bounded.Unanswered, match="No such file"):
        _bounded.descriptor_in_view(None, os.open, path, os.O_RDONLY, seconds=10)
    with open(
        _bounded.descriptor_in_view(stranger, os.open, path, os.O_RDONLY, seconds=10)
    ) as file:
        assert file.read() == "inside"
