"""What a user can do along a path: the kernel's word, and the first component that stops them."""

from __future__ import annotations

import errno
import itertools
import os
import random
import stat
import struct
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _acl,
    _as_user,
    _mounts,
    _path_access,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._acl import AclEntry
from ansible_collections.flaskworks.static_media.plugins.module_utils._as_user import (
    Account,
    AsUserError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._path_access import (
    PathAccessError,
    Question,
    ask,
)
from hypothesis import given, settings
from hypothesis import strategies as st

VISITOR = Account("visitor", 61001, 61001, (61001, 61002), "/")
UNDEFINED_ID = 0xFFFFFFFF
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def acl(*entries: tuple[int, int, int]) -> bytes:
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def set_acl(path: Path, *entries: tuple[int, int, int]) -> None:
    os.setxattr(path, _path_access.ACL_ATTRIBUTE, acl(*entries))


def ask_one(who: Account, path: object, *want: str, **options: t.Any) -> dict[str, t.Any]:
    (answer,) = ask(who, [Question(str(path), want)], **options)
    return answer


def stop_of(who: Account, path: object, *want: str, **options: t.Any) -> tuple[str, str, str]:
    answer = ask_one(who, path, *want, **options)
    assert answer["allowed"] is False
    stop = answer["blocked_by"]
    return stop["component"], stop["reason"], stop["errno"]


@pytest.mark.parametrize("path", ["media", "./media", "", "../media"])
def test_a_relative_path_is_refused(path: str) -> None:
    with pytest.raises(PathAccessError, match="relative path"):
        Question(path, ())


def test_a_nul_is_refused() -> None:
    with pytest.raises(PathAccessError, match="NUL"):
        Question("/media\0/", ())


def test_an_unknown_want_is_refused() -> None:
    with pytest.raises(PathAccessError, match=r"Nobody can want fly\. Write some of traverse"):
        Question("/media", ("read", "fly"))


def test_the_first_closed_parent_is_named(visitor: Account, open_directory: Path) -> None:
    closed = open_directory / "a" / "b"
    (closed / "c" / "d").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "c").chmod(0o700)
    answer = ask_one(visitor, closed / "c" / "d", "traverse", "write")
    stop = answer["blocked_by"]
    assert stop["component"] == str(closed)
    assert stop["reason"] == "not-traversable"
    assert stop["errno"] == "EACCES"
    assert (stop["mode"], stop["owner"], stop["group"]) == ("0700", "root", "root")
    assert stop["acl_mask"] is None
    assert answer["missing"] == ["traverse", "write"]
    # Who asks sees past it.
    assert answer["exists"] is True
    assert answer["resolved"] == str(closed / "c" / "d")
    assert answer["mode"] == "0755"


def test_a_directory_that_lists_but_does_not_let_pass(
    visitor: Account, open_directory: Path
) -> None:
    open_directory.chmod(0o744)
    (open_directory / "file").touch()
    assert ask_one(visitor, open_directory, "list")["allowed"]
    assert stop_of(visitor, open_directory / "file", "read") == (
        str(open_directory),
        "not-traversable",
        "EACCES",
    )
    assert stop_of(visitor, open_directory, "list", "traverse")[1] == "not-traversable"


@pytest.mark.parametrize(
    ("mode", "want", "reason"),
    [
        (0o600, "read", "not-readable"),
        (0o640, "read", "not-readable"),
        (0o644, "write", "not-writable"),
        (0o644, "read", None),
        (0o606, "write", None),
    ],
)
def test_a_files_mode_for_others(
    visitor: Account, open_directory: Path, mode: int, want: str, reason: str | None
) -> None:
    file = open_directory / "file"
    file.touch()
    file.chmod(mode)
    answer = ask_one(visitor, file, want)
    assert answer["allowed"] == (reason is None)
    if reason:
        assert answer["blocked_by"]["component"] == str(file)
        assert answer["blocked_by"]["reason"] == reason
        assert answer["missing"] == [want]


def test_a_group_of_the_users_counts(visitor: Account, open_directory: Path) -> None:
    file = open_directory / "file"
    file.touch()
    file.chmod(0o640)
    os.chown(file, 0, 61002)
    assert ask_one(visitor, file, "read")["allowed"]
    os.chown(file, 0, 61003)
    assert stop_of(visitor, file, "read")[1] == "not-readable"


def test_the_owner_is_bound_by_the_owners_bits(visitor: Account, open_directory: Path) -> None:
    file = open_directory / "file"
    file.touch()
    os.chown(file, visitor.uid, visitor.gid)
    file.chmod(0o077)
    assert stop_of(visitor, file, "read")[1] == "not-readable"


def test_writing_to_a_directory_takes_passing_through_it(
    visitor: Account, open_directory: Path
) -> None:
    open_directory.chmod(0o776)
    assert stop_of(visitor, open_directory, "write") == (
        str(open_directory),
        "not-writable",
        "EACCES",
    )
    open_directory.chmod(0o773)
    assert ask_one(visitor, open_directory, "write", "traverse")["allowed"]
    assert ask_one(visitor, open_directory, "write", "list", "read")["missing"] == ["list", "read"]


def test_several_wants_are_judged_each(visitor: Account, open_directory: Path) -> None:
    answer = ask_one(visitor, open_directory, "read", "write", "traverse", "list")
    assert answer["missing"] == ["write"]
    assert answer["blocked_by"]["reason"] == "not-writable"


def test_what_is_not_there_is_missing(visitor: Account, open_directory: Path) -> None:
    answer = ask_one(visitor, open_directory / "no" / "such" / "file", "read")
    stop = answer["blocked_by"]
    assert (stop["component"], stop["reason"]) == (str(open_directory / "no"), "missing")
    assert stop["mode"] is None
    assert stop["owner"] is None
    assert answer["exists"] is False
    assert answer["resolved"] is None
    assert answer["mode"] is None
    assert answer["free_bytes"] > 0


def test_a_file_in_the_way_is_named(visitor: Account, open_directory: Path) -> None:
    (open_directory / "file").touch(mode=0o755)
    assert stop_of(visitor, open_directory / "file" / "x", "read") == (
        str(open_directory / "file"),
        "not-a-directory",
        "ENOTDIR",
    )
    assert stop_of(visitor, open_directory / "file", "list")[1] == "not-a-directory"
    assert stop_of(visitor, open_directory / "file", "traverse")[1] == "not-a-directory"


def test_an_empty_want_asks_for_the_way_only(visitor: Account, open_directory: Path) -> None:
    (open_directory / "file").touch(mode=0o600)
    assert ask_one(visitor, open_directory / "file")["allowed"]
    open_directory.chmod(0o700)
    assert not ask_one(visitor, open_directory / "file")["allowed"]


def test_links_are_followed_and_told(visitor: Account, open_directory: Path) -> None:
    (open_directory / "real" / "media").mkdir(parents=True)
    (open_directory / "link").symlink_to("real/../real")
    (open_directory / "absolute").symlink_to(open_directory / "link" / "media")
    answer = ask_one(visitor, open_directory / "absolute", "traverse")
    assert answer["allowed"]
    assert answer["resolved"] == str(open_directory / "real" / "media")
    assert [link["path"] for link in answer["symlinks"]] == [
        str(open_directory / "absolute"),
        str(open_directory / "link"),
    ]


def test_behind_a_link_the_real_component_is_named(visitor: Account, open_directory: Path) -> None:
    (open_directory / "real" / "media").mkdir(parents=True)
    (open_directory / "real").chmod(0o700)
    (open_directory / "link").symlink_to("real/media")
    assert stop_of(visitor, open_directory / "link", "traverse") == (
        str(open_directory / "real"),
        "not-traversable",
        "EACCES",
    )


def test_a_dangling_links_target_is_missing(visitor: Account, open_directory: Path) -> None:
    (open_directory / "link").symlink_to("gone/away")
    answer = ask_one(visitor, open_directory / "link", "read")
    assert answer["blocked_by"]["component"] == str(open_directory / "gone")
    assert answer["blocked_by"]["reason"] == "missing"
    assert answer["symlinks"] == [{"path": str(open_directory / "link"), "target": "gone/away"}]


def test_links_in_a_circle(visitor: Account, open_directory: Path) -> None:
    (open_directory / "one").symlink_to("two")
    (open_directory / "two").symlink_to("one")
    answer = ask_one(visitor, open_directory / "one" / "file", "read")
    stop = answer["blocked_by"]
    assert (stop["component"], stop["reason"]) == (str(open_directory / "one"), "symlink-blocked")
    assert stop["errno"] == "ELOOP"
    assert stop["is_symlink"] is True


def test_a_guarded_link_is_named(visitor: Account, open_directory: Path) -> None:
    flag = Path("/proc/sys/fs/protected_symlinks")
    before = flag.read_text()
    sticky = open_directory / "sticky"
    sticky.mkdir()
    sticky.chmod(0o1777)
    (open_directory / "target").touch(mode=0o644)
    link = sticky / "link"
    link.symlink_to(open_directory / "target")
    os.chown(link, 61003, 61003, follow_symlinks=False)
    try:
        flag.write_text("1")
        assert stop_of(visitor, link, "read") == (str(link), "symlink-blocked", "EACCES")
        flag.write_text("0")
        assert ask_one(visitor, link, "read")["allowed"]
    finally:
        flag.write_text(before)


@pytest.mark.parametrize("path", ["/", "//", "/.", "/..", "/../etc/./"])
def test_a_path_is_read_as_the_kernel_reads_it(visitor: Account, path: str) -> None:
    answer = ask_one(visitor, path, "traverse")
    assert answer["allowed"]
    assert answer["resolved"] == os.path.realpath(path)


def test_a_mask_that_takes_a_named_users_right_is_told_from_modes(
    visitor: Account, open_directory: Path
) -> None:
    media = open_directory / "media"
    media.mkdir()
    set_acl(
        media,
        (USER_OBJ, 7, UNDEFINED_ID),
        (USER, 5, visitor.uid),
        (GROUP_OBJ, 0, UNDEFINED_ID),
        (MASK, 4, UNDEFINED_ID),
        (OTHER, 0, UNDEFINED_ID),
    )
    answer = ask_one(visitor, media, "traverse", "list")
    stop = answer["blocked_by"]
    assert answer["missing"] == ["traverse"]
    assert stop["reason"] == "acl-mask"
    assert stop["acl_mask"] == "r--"
    assert stop["acl"] == [
        "user::rwx",
        "user:61001:r-x",
        "group::---",
        "mask::r--",
        "other::---",
    ]


def test_an_acl_without_the_user_is_no_fault_of_its_mask(
    visitor: Account, open_directory: Path
) -> None:
    media = open_directory / "media"
    media.mkdir()
    set_acl(
        media,
        (USER_OBJ, 7, UNDEFINED_ID),
        (USER, 7, 61009),
        (GROUP_OBJ, 0, UNDEFINED_ID),
        (MASK, 0, UNDEFINED_ID),
        (OTHER, 0, UNDEFINED_ID),
    )
    assert stop_of(visitor, media, "traverse")[1] == "not-traversable"


permissions = st.integers(0, 7)


@st.composite
def acls(draw: st.DrawFn) -> list[AclEntry]:
    users = draw(st.sets(st.sampled_from([61001, 61009]), max_size=2))
    groups = draw(st.sets(st.sampled_from([61001, 61002, 61009]), max_size=3))
    return [
        AclEntry(USER_OBJ, draw(permissions), UNDEFINED_ID),
        *(AclEntry(USER, draw(permissions), uid) for uid in sorted(users)),
        AclEntry(GROUP_OBJ, draw(permissions), UNDEFINED_ID),
        *(AclEntry(GROUP, draw(permissions), gid) for gid in sorted(groups)),
        AclEntry(MASK, draw(permissions), UNDEFINED_ID),
        AclEntry(OTHER, draw(permissions), UNDEFINED_ID),
    ]


@pytest.mark.usefixtures("as_root")
@settings(max_examples=150, deadline=None)
@given(
    entries=acls(),
    owner=st.sampled_from([0, 61001]),
    group=st.sampled_from([0, 61001, 61002]),
    want=st.sampled_from(["traverse", "list", "read", "write"]),
)
def test_our_reading_of_an_acl_is_the_kernels(
    entries: list[AclEntry], owner: int, group: int, want: str
) -> None:
    """So a mask is blamed exactly when it is to blame."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory, "media")
        path.mkdir()
        os.chown(path, owner, group)
        set_acl(path, *((entry.tag, entry.permissions, entry.id) for entry in entries))
        answer = ask_one(VISITOR, path, want)

        needed = {"traverse": 1, "list": 4, "read": 4, "write": 3}[want]
        unmasked = [entry for entry in entries if entry.tag != MASK]
        allowed = _path_access._permits(entries, VISITOR, owner, group, needed)
        without_mask = _path_access._permits(unmasked, VISITOR, owner, group, needed)
        assert answer["allowed"] == allowed
        if not allowed:
            assert (answer["blocked_by"]["reason"] == "acl-mask") == without_mask
            assert answer["blocked_by"]["acl_mask"] == _path_access.permission_text(
                next(entry.permissions for entry in entries if entry.tag == MASK)
            )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER]),
            permissions,
            st.integers(0, UNDEFINED_ID),
        )
    )
)
def test_an_acl_is_decoded_as_it_was_encoded(entries: list[tuple[int, int, int]]) -> None:
    assert _acl.decode_acl(acl(*entries)) == [AclEntry(*entry) for entry in entries]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\2", b"\2\0\0\0\1", b"\3\0\0\0", acl((0x40, 7, 0)), acl((1, 7, 0))[:-1]],
)
def test_what_is_no_acl_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        _acl.decode_acl(raw)


def test_a_refusal_that_no_mode_explains_is_selinuxs() -> None:
    facts = {"mode": "0755", "uid": 0, "gid": 0, "is_directory": True, "acl_entries": []}
    reason = _path_access.reason
    assert reason(VISITOR, "traverse", errno.EACCES, facts, True) == "selinux-label"
    assert reason(VISITOR, "traverse", errno.EACCES, facts, False) == "not-traversable"
    assert reason(VISITOR, "write", errno.EACCES, facts, True) == "not-writable"
    assert reason(VISITOR, "write", errno.EROFS, facts, True) == "read-only-filesystem"
    # An immutable directory, chattr(1)
    assert reason(VISITOR, "write", errno.EPERM, facts, True) == "not-writable"


def test_samples_name_the_unreadable_newest_first(visitor: Account, open_directory: Path) -> None:
    for index in range(15):
        file = open_directory / f"{index:02}.png"
        file.touch()
        file.chmod(0o600 if index < 12 else 0o644)
        os.utime(file, (index, index))
    answer = ask_one(visitor, open_directory, "traverse", sample_files=14)
    assert answer["allowed"]
    samples = answer["samples"]
    assert (samples["checked"], samples["scanned"]) == (14, 15)
    # The oldest of the 12 was not among the 14 newest.
    assert samples["unreadable_count"] == 11
    assert len(samples["unreadable"]) == 10
    assert samples["unreadable"][0] == {
        "path": str(open_directory / "11.png"),
        "component": str(open_directory / "11.png"),
        "reason": "not-readable",
        "is_directory": False,
        "mode": "0600",
        "uid": 0,
        "gid": 0,
        "owner": "root",
        "group": "root",
    }


def test_a_sample_in_a_closed_directory_names_that(visitor: Account, open_directory: Path) -> None:
    (open_directory / "2026").mkdir()
    (open_directory / "2026" / "a.png").touch()
    (open_directory / "2026").chmod(0o700)
    (sample,) = ask_one(visitor, open_directory, sample_files=5)["samples"]["unreadable"]
    assert sample["path"] == str(open_directory / "2026" / "a.png")
    assert sample["component"] == str(open_directory / "2026")
    assert sample["reason"] == "not-traversable"


def test_samples_pass_over_links_special_and_hidden_files(
    visitor: Account, open_directory: Path
) -> None:
    (open_directory / ".upload").touch(mode=0o600)
    (open_directory / ".git").mkdir()
    (open_directory / ".git" / "config").touch(mode=0o600)
    (open_directory / "passwords").symlink_to("/etc/shadow")
    (open_directory / "up").symlink_to("..")
    os.mkfifo(open_directory / "fifo", 0o600)
    samples = ask_one(visitor, open_directory, sample_files=5)["samples"]
    assert (samples["checked"], samples["unreadable"]) == (0, [])


def ticking(seconds: float) -> t.Callable[[], float]:
    """A clock by which so much time passes between two looks at it."""
    times = itertools.count(0.0, seconds)
    return lambda: next(times)


def test_a_scan_ends_in_time_also_in_one_directory(open_directory: Path) -> None:
    for index in range(3 * _path_access.CLOCK_EVERY):
        (open_directory / str(index)).touch()
    scan = _path_access.newest_files(str(open_directory), 2, ticking(_path_access.SCAN_SECONDS / 2))
    assert (len(scan.files), scan.scanned, scan.complete) == (
        2,
        2 * _path_access.CLOCK_EVERY,
        False,
    )


def test_a_scan_looks_into_what_changed_last_first(open_directory: Path) -> None:
    """The newest upload is found, however many old directories and files there are."""
    for number in range(50):
        old = open_directory / f"{number:02}"
        old.mkdir()
        (old / "old.png").touch()
        os.utime(old / "old.png", (number, number))
        os.utime(old, (number, number))
    newest = open_directory / "49" / "deep"
    newest.mkdir()
    (newest / "new.png").touch()
    clock = ticking(_path_access.SCAN_SECONDS / 4)
    scan = _path_access.newest_files(str(open_directory), 1, clock)
    assert scan.files == [str(newest / "new.png")]
    assert not scan.complete


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_a_scan_finds_the_newest_of_all(open_directory: Path, count: int) -> None:
    times = list(range(1, 41))
    random.Random(count).shuffle(times)
    for number, seconds in enumerate(times):
        file = open_directory / str(number % 7) / f"{seconds:02}"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (seconds, seconds))
    scan = _path_access.newest_files(str(open_directory), count)
    names = [os.path.basename(path) for path in scan.files]
    assert names == [f"{seconds:02}" for seconds in range(40, 40 - count, -1)]
    assert (scan.scanned, scan.complete) == (47, True)


def test_what_should_not_be_possible_is_told_of_files_and_of_one_of_each_look(
    visitor: Account, open_directory: Path
) -> None:
    for name, mode in (("old", 0o777), ("old/a.png", 0o666), ("b.png", 0o646), ("c.png", 0o644)):
        path = open_directory / name
        path.mkdir() if name == "old" else path.touch()
        path.chmod(mode)
    os.utime(open_directory / "old/a.png", (1, 1))
    question = Question(str(open_directory), ("traverse",), ("write", "traverse"))
    (answer,) = ask(visitor, [question], sample_files=1)
    assert (answer["allowed"], answer["granted"]) == (True, ["traverse"])
    samples = answer["samples"]
    # Of the files only the newest one was tried, and the others stand for all of their look.
    assert samples["checked"] == 1
    assert {one["path"]: one["granted"] for one in samples["granted"]} == {
        str(open_directory / "old"): ["write", "traverse"],
        str(open_directory / "old/a.png"): ["write"],
        str(open_directory / "b.png"): ["write"],
    }
    assert samples["granted_count"] == 3
    assert ask_one(visitor, open_directory, sample_files=9)["samples"]["granted"] == []


def test_looks_count_all_that_was_scanned_the_rarest_first(
    visitor: Account, open_directory: Path
) -> None:
    (open_directory / "sub").mkdir()
    for number in range(4):
        (open_directory / f"sub/{number}.png").touch()
        (open_directory / f"sub/{number}.png").chmod(0o755 if number == 2 else 0o640)
    (open_directory / ".hidden").touch()
    looks = ask_one(visitor, open_directory, sample_files=1)["samples"]["looks"]
    assert [(look["is_directory"], look["mode"], look["count"]) for look in looks[2:]] == [
        (False, "0640", 3)
    ]
    assert {(look["path"], look["owner"]) for look in looks[:2]} == {
        (str(open_directory / "sub"), "root"),
        (str(open_directory / "sub/2.png"), "root"),
    }


def test_no_samples_of_a_file_or_without_asking(visitor: Account, open_directory: Path) -> None:
    (open_directory / "file").touch()
    assert ask_one(visitor, open_directory / "file", "read", sample_files=5)["samples"] is None
    assert ask_one(visitor, open_directory)["samples"] is None


def test_a_name_that_is_no_text_can_be_told(visitor: Account, open_directory: Path) -> None:
    os.close(os.open(os.fsencode(open_directory) + b"/\xff.png", os.O_CREAT | os.O_WRONLY, 0o600))
    (sample,) = ask_one(visitor, open_directory, sample_files=5)["samples"]["unreadable"]
    assert sample["path"] == f"{open_directory}/\\xff.png"


@pytest.fixture
def confined(as_root: None, open_directory: Path) -> t.Iterator[tuple[int, Path]]:
    """A process to which ``media`` is read-only, ``tmp`` another file system."""
    for name in ("media", "tmp"):
        (open_directory / name).mkdir()
        (open_directory / name).chmod(0o777)
    script = (
        'mount --bind "$0"/media "$0"/media && mount -o remount,bind,ro "$0"/media\n'
        'mount -t tmpfs -o mode=0755,size=1M,nr_inodes=100 none "$0"/tmp && mkdir "$0"/tmp/own\n'
        'mount -o remount,ro "$0"/tmp\n'
        "echo ready; exec sleep 1000"
    )
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, open_directory], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid, open_directory
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_read_only_mount_of_a_service_is_seen_through_its_process(
    visitor: Account, confined: tuple[int, Path]
) -> None:
    process_id, open_directory = confined
    media = open_directory / "media"
    assert ask_one(visitor, media, "write")["allowed"]
    answer = ask_one(visitor, media, "traverse", "list", "write", process_id=process_id)
    assert answer["missing"] == ["write"]
    stop = answer["blocked_by"]
    assert (stop["component"], stop["reason"]) == (str(media), "read-only-filesystem")
    assert stop["errno"] == "EROFS"
    assert answer["filesystem"]["mount_point"] == str(media)
    assert answer["filesystem"]["read_only"] is True
    assert "ro" in answer["filesystem"]["options"]


def test_a_read_only_file_system(visitor: Account, confined: tuple[int, Path]) -> None:
    process_id, open_directory = confined
    answer = ask_one(visitor, open_directory / "tmp" / "own", "write", process_id=process_id)
    assert answer["exists"]
    assert answer["blocked_by"]["reason"] == "read-only-filesystem"
    assert answer["filesystem"]["fstype"] == "tmpfs"
    assert answer["filesystem"]["read_only"] is True
    assert answer["free_bytes"] <= 1024 * 1024
    assert answer["free_inodes"] < 100
    assert stop_of(visitor, open_directory / "tmp" / "own", "traverse")[1] == "missing"


def test_a_process_that_is_gone_is_refused(visitor: Account) -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    with pytest.raises(AsUserError, match=f"process {process.pid} can't be entered"):
        ask_one(visitor, "/", process_id=process.pid)


def test_nothing_is_changed(visitor: Account, open_directory: Path) -> None:
    file = open_directory / "file"
    file.write_text("content")
    file.chmod(0o646)
    os.utime(file, (1, 1))
    ask(visitor, [Question(str(file), ("read", "write")), Question(str(open_directory), ("write",))],
        sample_files=5)  # fmt: skip
    status = file.stat()
    assert (status.st_mtime, status.st_atime, stat.S_IMODE(status.st_mode)) == (1, 1, 0o646)
    assert [entry.name for entry in open_directory.iterdir()] == ["file"]


@given(st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1))
def test_a_mount_points_blanks_are_read_back(name: str) -> None:
    escaped = name
    for character in "\\ \t\n":
        escaped = escaped.replace(character, f"\\{ord(character):03o}")
    # proc_pid_mountinfo(5) is split at blanks, and nothing else.
    line = f"36 35 98:0 / /mnt/{escaped} ro,noatime master:1 - ext4 /dev/root rw,errors=continue\n"
    assert _mounts.parse_mount(line)["mount_point"] == f"/mnt/{name}"


def test_a_mount_is_parsed_with_and_without_optional_fields() -> None:
    many = "36 35 98:0 /x /srv rw,noatime shared:1 master:2 - xfs /dev/sda1 rw,attr2"
    none = "36 35 98:0 /x /srv rw,noatime - xfs /dev/sda1 ro"
    expected = {
        "mount_point": "/srv",
        "fstype": "xfs",
        "device": "/dev/sda1",
        "options": ["rw", "noatime"],
    }
    assert _mounts.parse_mount(many) == {**expected, "read_only": False}
    assert _mounts.parse_mount(none) == {**expected, "read_only": True}


@pytest.mark.parametrize(
    ("path", "device"),
    [("/", "root"), ("/srvx", "root"), ("/srv", "over"), ("/srv/a", "over"), ("/srv/m/b", "media")],
)
def test_of_mounts_the_longest_and_last_counts(path: str, device: str) -> None:
    table = [
        {"mount_point": "/", "device": "root"},
        {"mount_point": "/srv/m", "device": "media"},
        {"mount_point": "/srv", "device": "under"},
        {"mount_point": "/srv", "device": "over"},
    ]
    mount = _mounts.file_system(path, table)
    assert mount is not None
    assert mount["device"] == device


def test_asking_as_oneself_needs_no_root(open_directory: Path) -> None:
    open_directory.chmod(0o777)

    def as_somebody() -> t.Any:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(61001)
            os.setuid(61001)
        me = Account("me", os.geteuid(), os.getegid(), (os.getegid(),), "/")
        return ask_one(me, open_directory, "write")

    assert _as_user.call(None, as_somebody)["allowed"] is True
