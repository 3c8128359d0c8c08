"""The canary: written as the app would, known again, and nothing else is ever removed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_canary,
    _process,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._as_user import Account
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_canary import (
    MARKER,
    CanaryError,
    apply_removal,
    place,
    plan_removal,
)

NAME = "flask-verify-" + "0" * 32 + ".txt"


@pytest.fixture
def media(open_directory: Path, visitor: Account) -> Path:
    """A media root as the collection makes it."""
    media = open_directory / "media"
    media.mkdir()
    os.chown(media, visitor.uid, 61002)
    media.chmod(0o2750)
    return media


def write(media: Path, name: str, content: str = MARKER, age_seconds: int = 0) -> Path:
    file = media / name
    file.write_text(content)
    os.chown(file, 61001, 61002)
    moment = time.time() - age_seconds
    os.utime(file, (moment, moment))
    return file


def fault_of(who: Account, directory: Path, **options: t.Any) -> tuple[str, str, str]:
    answer = place(who, str(directory), umask=0o027, **options)
    assert answer["written"] is False
    assert "name" not in answer
    error = answer["error"]
    assert error["strerror"]
    return error["errno"], error["reason"], error["component"]


@pytest.mark.parametrize("directory", ["media", "", "./x"])
def test_a_relative_directory_is_refused(directory: str) -> None:
    with pytest.raises(CanaryError, match="relative path"):
        _media_canary.check(directory, None)


@pytest.mark.parametrize(
    "name",
    ["", "../" + NAME, "app.css", NAME + "\n", "flask-verify-.txt", NAME.upper(), "x" + NAME],
)
def test_a_name_that_is_no_canarys_is_refused(name: str) -> None:
    with pytest.raises(CanaryError, match="no canary's"):
        _media_canary.check("/media", name)


@pytest.mark.parametrize("text", ["", "27", "0999", "-027", "0o27", "00027", "0027\n"])
def test_a_umask_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(_as_user.AsUserError, match="umask"):
        _as_user.parse_umask(text)


def test_a_closed_parent_is_named(visitor: Account, media: Path) -> None:
    media.parent.chmod(0o700)
    assert fault_of(visitor, media) == ("EACCES", "not-traversable", str(media.parent))


def test_a_directory_of_roots_is_named(visitor: Account, media: Path) -> None:
    os.chown(media, 0, 0)
    media.chmod(0o755)
    assert fault_of(visitor, media) == ("EACCES", "not-writable", str(media))


def test_a_missing_directory_is_named(visitor: Account, media: Path) -> None:
    assert fault_of(visitor, media / "x" / "y") == ("ENOENT", "missing", str(media / "x"))


def test_a_file_in_its_place_is_named(visitor: Account, media: Path) -> None:
    file = write(media, "file")
    assert fault_of(visitor, file) == ("ENOTDIR", "not-a-directory", str(file))


def test_it_is_written_as_the_app_would(visitor: Account, media: Path) -> None:
    answer = place(visitor, str(media), umask=0o027)
    file = Path(answer["path"])
    status = file.stat()
    assert answer["written"] is True
    assert answer["error"] is None
    assert file.parent == media
    assert file.name == answer["name"]
    assert file.read_text() == answer["content"]
    assert answer["size"] == status.st_size == len(answer["content"])
    assert answer["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    # The group is the setgid directory's
    assert (status.st_uid, status.st_gid) == (61001, 61002)
    assert (answer["mode"], answer["owner"], answer["group"]) == ("0640", "61001", "61002")


def test_the_umask_is_the_one_given(visitor: Account, media: Path) -> None:
    assert place(visitor, str(media), umask=0o077)["mode"] == "0600"


def test_the_umask_of_a_process_is_its_own_and_its_childrens(visitor: Account, media: Path) -> None:
    # A server whose worker has set another one.
    script = "umask 022; (umask 055; echo; read -r _ <&3) 3<&0; :"
    with subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout and server.stdout.readline() == b"\n"
        answer = place(visitor, str(media), umask=0o027, process_id=server.pid)
        assert (answer["umask"], answer["mode"]) == ("0077", "0600")
        server.communicate(b"\n")
    assert _process.umask_of(server.pid) is None


def test_a_directory_that_cannot_be_listed_can_be_written(visitor: Account, media: Path) -> None:
    media.chmod(0o300)
    assert place(visitor, str(media), umask=0o027)["written"]


def test_no_two_are_alike(visitor: Account, media: Path) -> None:
    answers = [place(visitor, str(media), umask=0o027) for _unused in range(3)]
    assert len({answer["name"] for answer in answers}) == 3
    assert len({answer["content"] for answer in answers}) == 3


def test_one_of_that_name_or_a_link_in_its_place_stays(
    visitor: Account, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_media_canary, "new_name", lambda: NAME)
    target = write(media, "target", "mine")
    (media / NAME).symlink_to(target)
    assert place(visitor, str(media), umask=0o027)["error"]["errno"] == "EEXIST"
    assert target.read_text() == "mine"


@pytest.fixture
def confined(media: Path) -> t.Iterator[int]:
    """A process to which media is a full file system."""
    script = (
        'mount -t tmpfs -o size=16k,mode=0777 none "$0"\n'
        'dd if=/dev/zero of="$0"/full bs=1k count=100 2>/dev/null || echo ready; exec sleep 1000'
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, media], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_full_disk_is_named_and_no_half_file_is_left(
    visitor: Account, media: Path, confined: int
) -> None:
    assert fault_of(visitor, media, process_id=confined)[:2] == ("ENOSPC", "disk-full")
    assert os.listdir(f"/proc/{confined}/root{media}") == ["full"]
    assert list(media.iterdir()) == []


def test_only_canaries_are_removed(visitor: Account, media: Path) -> None:
    kept = {
        write(media, "photo.png", age_seconds=9999).name,
        # A user's upload of such a name
        write(media, "flask-verify-" + "1" * 32 + ".txt", "my notes", 9999).name,
        write(media, "flask-verify-" + "2" * 32 + ".txt", "", 9999).name,
        write(media, "flask-verify-3.txt", age_seconds=9999).name,
    }
    outside = write(media.parent, "outside", age_seconds=9999)
    link = media / ("flask-verify-" + "4" * 32 + ".txt")
    link.symlink_to(outside)
    fifo = media / ("flask-verify-" + "5" * 32 + ".txt")
    os.mkfifo(fifo)
    os.chown(fifo, visitor.uid, visitor.gid)
    directory = media / ("flask-verify-" + "6" * 32 + ".txt")
    directory.mkdir()
    directory.chmod(0o755)
    ours = write(media, NAME).name

    assert plan_removal(visitor, str(media), None) == {"names": [ours], "error": None}
    assert apply_removal(visitor, str(media), None) == {"names": [ours], "error": None}
    left = {entry.name for entry in media.iterdir()}
    assert left == kept | {link.name, fifo.name, directory.name}
    assert outside.exists()


def test_with_a_name_another_runs_canary_stays_until_it_is_old(
    visitor: Account, media: Path
) -> None:
    mine = write(media, NAME)
    others = write(media, _media_canary.new_name())
    left_behind = write(media, _media_canary.new_name(), age_seconds=61)
    answer = apply_removal(visitor, str(media), NAME)
    assert set(answer["names"]) == {mine.name, left_behind.name}
    assert list(media.iterdir()) == [others]


def test_a_plan_removes_nothing(visitor: Account, media: Path) -> None:
    write(media, NAME)
    assert plan_removal(visitor, str(media), NAME)["names"] == [NAME]
    assert (media / NAME).exists()


def test_removing_twice_is_no_error(visitor: Account, media: Path) -> None:
    write(media, NAME)
    assert apply_removal(visitor, str(media), NAME) == {"names": [NAME], "error": None}
    assert apply_removal(visitor, str(media), NAME) == {"names": [], "error": None}


def test_where_there_is_no_directory_there_is_nothing_to_remove(
    visitor: Account, media: Path
) -> None:
    assert apply_removal(visitor, str(media / "gone"), None) == {"names": [], "error": None}


def test_what_cannot_be_removed_is_told(visitor: Account, media: Path) -> None:
    write(media, NAME)
    os.chown(media, 0, 0)
    media.chmod(0o755)
    answer = apply_removal(visitor, str(media), NAME)
    assert answer["names"] == []
    assert (answer["error"]["reason"], answer["error"]["component"]) == ("not-writable", str(media))
    media.parent.chmod(0o700)
    error = apply_removal(visitor, str(media), NAME)["error"]
    assert (error["reason"], error["component"]) == ("not-traversable", str(media.parent))


def test_what_was_placed_is_removed(visitor: Account, media: Path) -> None:
    name = place(visitor, str(media), umask=0o027)["name"]
    assert apply_removal(visitor, str(media), name)["names"] == [name]
    assert list(media.iterdir()) == []
