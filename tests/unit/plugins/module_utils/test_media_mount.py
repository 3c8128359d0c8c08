"""The line of fstab, what the kernel says of a mount, and real mounts, each in a namespace of its own."""

from __future__ import annotations

import ctypes
import errno
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _media_mount,
    _tree_permissions,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_mount import (
    MediaMountError,
    Mount,
    Wanted,
)
from hypothesis import given
from hypothesis import strategies as st

MEDIA = "/var/www/gallery/media"
DISK = Wanted("/dev/vdb1", MEDIA, "ext4", "noexec,nosuid,nodev", ".flask_media_gallery")
OURS = "/dev/vdb1 /var/www/gallery/media ext4 noexec,nosuid,nodev 0 2"


def wanted(**changes: str) -> Wanted:
    return Wanted(**{**vars(DISK), **changes})


FIELD = st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1)
# Whatever else people and tools have written there
OTHER_LINE = st.one_of(
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])),
    st.builds(lambda *fields: " ".join(fields), FIELD, FIELD, FIELD, FIELD),
    st.just("# /dev/vdb1 /var/www/gallery/media ext4 defaults"),
    st.just("UUID=1 /\text4\terrors=remount-ro 0 1 \t"),
).filter(lambda line: not any(found.path == MEDIA for found in _media_mount.parse_fstab(line)))


@given(st.lists(OTHER_LINE), st.booleans())
def test_a_new_line_leaves_all_others_as_they_were(lines: list[str], is_ended: bool) -> None:
    text = "\n".join(lines) + "\n" * is_ended
    after = _media_mount.edited(text, DISK)
    assert after.startswith(text)
    assert after[len(text) :].lstrip("\n") == OURS + "\n"
    assert _media_mount.edited(after, DISK) == after


@given(st.lists(OTHER_LINE), st.lists(OTHER_LINE), st.sampled_from(["", "\r"]))
def test_a_line_that_is_there_is_all_that_changes(
    before: list[str], behind: list[str], ending: str
) -> None:
    former = f"/dev/vdb1\t/var/www/gallery/media/  ext4   defaults,ro 1  2{ending}"
    text = "\n".join([*before, former, *behind])
    new = OURS.replace(" 0 2", " 1 2") + ending
    assert _media_mount.edited(text, DISK) == "\n".join([*before, new, *behind])


@given(FIELD, FIELD)
def test_a_field_is_read_as_it_was_written(src: str, fstype: str) -> None:
    described = wanted(src=src, fstype=fstype)
    text = _media_mount.edited("", described)
    # mount(8) splits at blanks and tabs only, and so do we.
    (line,) = _media_mount.parse_fstab(text) if "\r" not in (src + fstype) else [None]
    assert line is None or (line.src, line.path, line.fstype) == (src, MEDIA, fstype)


def test_octal_numbers_are_read_and_written() -> None:
    text = r"//nas/my\040share /srv/with\040blank cifs defaults 0 0" + "\n"
    (line,) = _media_mount.parse_fstab(text)
    assert (line.src, line.path) == ("//nas/my share", "/srv/with blank")
    described = wanted(src=line.src, path=line.path, fstype="cifs", opts="defaults")
    assert _media_mount.edited(text, described) == text
    assert _media_mount.edited("", described).startswith(r"//nas/my\040share /srv/with\040blank ")


def test_two_lines_for_one_place_are_refused() -> None:
    with pytest.raises(MediaMountError, match=r"several lines for .*: 1 and 3"):
        _media_mount.edited(f"{OURS}\n\n{OURS}\n", DISK)


@pytest.mark.parametrize(
    ("described", "order"),
    [
        (DISK, "2"),
        (wanted(src="UUID=1"), "2"),
        (wanted(src="nas:/media", fstype="nfs"), "0"),
        (wanted(src="/srv/volume", fstype="none", opts="bind"), "0"),
    ],
)
def test_only_disks_are_checked_at_boot(described: Wanted, order: str) -> None:
    assert _media_mount.edited("", described).split()[-2:] == ["0", order]


def test_fstab_is_replaced_with_its_mode(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    fstab.write_bytes(b"# caf\xe9\n")
    fstab.chmod(0o600)
    text = _media_mount.read_fstab(str(fstab))
    _media_mount.write_fstab(_media_mount.edited(text, DISK), str(fstab))
    assert fstab.read_bytes() == b"# caf\xe9\n" + OURS.encode() + b"\n"
    assert fstab.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["fstab"]


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        ("noexec,nosuid,nodev", {"noexec", "nosuid", "nodev"}),
        ("noexec,defaults", set()),
        ("defaults,noexec", {"noexec"}),
        ("user", {"noexec", "nosuid", "nodev"}),
        ("user,exec", {"nosuid", "nodev"}),
        ("ro,noatime,size=8m", {"ro", "noatime"}),
        ("ro,rw", set()),
    ],
)
def test_the_last_word_on_a_flag_counts(opts: str, expected: set[str]) -> None:
    assert _media_mount.flags(opts) == expected


@pytest.mark.parametrize(
    ("opts", "has", "differs"),
    [
        ("noexec,nosuid,nodev", {"noexec", "nosuid", "nodev", "relatime"}, False),
        ("noexec,nosuid,nodev", {"nosuid", "nodev", "relatime"}, True),
        ("nosuid", {"nosuid", "noexec"}, True),
        ("noexec", {"noexec", "ro"}, True),
        ("noexec,noatime", {"noexec", "relatime"}, True),
        ("noexec", {"noexec", "noatime"}, False),
    ],
)
def test_flags_are_compared_with_the_kernels(opts: str, has: set[str], differs: bool) -> None:
    mount = Mount("/dev/vdb1", "ext4", "/", "8:1", frozenset(has))
    assert _media_mount.flags_differ(opts, mount) is differs


def test_the_uppermost_mount_is_what_is_there(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 8:17 / /srv/a\\040b rw,noexec - ext4 /dev/sdb1 rw\n"
        "41 40 0:33 /sub /srv/a\\040b rw,nosuid - tmpfs my\\040volume ro,size=1k\n"
    )
    mount = _media_mount.mount_at("/srv/a b", str(table))
    assert mount == Mount("my volume", "tmpfs", "/sub", "0:33", frozenset({"nosuid", "ro"}))
    assert _media_mount.mount_at("/srv", str(table)) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/var/www/gallery/media", "var-www-gallery-media.mount"),
        ("/srv/my-app/media", r"srv-my\x2dapp-media.mount"),
        ("/srv/a@b+c", r"srv-a\x40b\x2bc.mount"),
        ("/.media/.x", r"\x2emedia-.x.mount"),
        ("/", "-.mount"),
    ],
)
def test_units_are_named_as_systemd_names_them(path: str, name: str) -> None:
    """The names are those that systemd-escape --path --suffix=mount gives."""
    assert _media_mount.unit_name(path) == name


def test_a_tag_that_no_disk_has_is_missing() -> None:
    assert _media_mount.is_missing(wanted(src="UUID=00000000-dead-beef-0000-000000000000"))
    assert not _media_mount.is_missing(wanted(src="nas:/media", fstype="nfs"))
    assert not _media_mount.is_missing(wanted(src="//nas/media", fstype="cifs"))


class Host:
    """A volume, a place for it and an fstab, for real."""

    def __init__(self, directory: Path) -> None:
        self.volume = directory / "volume"
        self.media = directory / "media"
        self.fstab = directory / "fstab"
        self.volume.mkdir()
        self.volume.chmod(0o755)
        self.fstab.write_text("# none yet\n")

    def wanted(self, **changes: str) -> Wanted:
        own = {"src": str(self.volume), "path": str(self.media), "fstype": "none"}
        return wanted(**{**own, "opts": "bind,noexec,nosuid,nodev", **changes})

    def plan(self, **changes: str) -> list[str]:
        return list(_media_mount.plan(self.wanted(**changes), str(self.fstab)).actions)

    def apply(self, stop_before: str = "", **changes: str) -> None:
        """Carry a plan out, or as much of it as a run does that is killed."""
        described = self.wanted(**changes)
        planned = _media_mount.plan(described, str(self.fstab))
        actions = list(planned.actions)
        if stop_before:
            actions = actions[: actions.index(stop_before)]

        def mark() -> None:
            _media_mount.write_mark(described, uid=0, gid=0, mode=0o640)

        cut = _media_mount.Plan(tuple(actions), *list(vars(planned).values())[1:])
        _media_mount.apply(described, cut, mark, str(self.fstab))


@pytest.fixture
def on_host(as_root: None, tmp_path: Path) -> t.Callable[[t.Callable[[Host], t.Any]], t.Any]:
    """Run a function in a mount namespace of its own, which takes its mounts along."""

    def in_namespace(function: t.Callable[[Host], t.Any]) -> t.Any:
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.unshare(0x20000) == 0, os.strerror(ctypes.get_errno())
        assert libc.mount(None, b"/", None, 0x4000 | 0x40000, None) == 0
        return function(Host(tmp_path))

    return lambda function: _as_user.call(None, in_namespace, function)


OnHost = t.Callable[[t.Callable[[Host], t.Any]], t.Any]
ALL = ["make", "close", "mount", "mark", "fstab"]


def test_a_mount_is_made_and_then_there_is_nothing_to_do(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        assert host.plan() == ALL
        assert not host.media.exists()
        host.apply()
        assert host.plan() == []
        assert str(host.media) in (host.volume / ".flask_media_gallery").read_text()
        mount = _media_mount.mount_at(str(host.media))
        assert mount is not None and {"noexec", "nosuid", "nodev"} <= mount.flags
        under = _media_mount.beneath(str(host.media))
        assert under == {"uid": 0, "gid": 0, "mode": 0, "names": []}
        # What was looked at beneath is mounted as before.
        assert host.media.stat().st_mode & 0o777 == 0o755

    on_host(run)


@pytest.mark.parametrize("stop_before", ALL[1:])
def test_a_killed_run_is_made_good(on_host: OnHost, stop_before: str) -> None:
    def run(host: Host) -> None:
        host.apply(stop_before)
        host.apply()
        assert host.plan() == []
        assert _media_mount.state(host.wanted())["marked"]

    on_host(run)


def test_what_would_be_hidden_is_named_and_nothing_changes(on_host: OnHost) -> None:
    def run(host: Host) -> str:
        host.media.mkdir(mode=0o750)
        (host.media / "a.jpg").touch()
        with pytest.raises(MediaMountError) as refused:
            host.plan()
        assert host.media.stat().st_mode & 0o777 == 0o750
        return str(refused.value)

    message = on_host(run)
    assert "a.jpg (1 in all), which the mount would hide" in message
    assert "cp -a" in message


def test_what_is_hidden_already_is_named(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        _as_user.call(None, _put_beneath, str(host.media))
        with pytest.raises(MediaMountError, match=r"holds lost.jpg .* hides.*mount --bind"):
            host.plan()

    on_host(run)


def _put_beneath(path: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(0x20000)
    libc.umount2(os.fsencode(path), 2)
    Path(path, "lost.jpg").touch()


def test_a_file_that_comes_while_it_is_closed_stops_the_mount(
    on_host: OnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = _media_mount.close_beneath

    def late(path: str, *arguments: int) -> None:
        if not arguments:
            Path(path, "late.jpg").touch()
        close(path, *arguments)

    monkeypatch.setattr(_media_mount, "close_beneath", late)

    def run(host: Host) -> None:
        host.media.mkdir(mode=0o750)
        with pytest.raises(MediaMountError, match=r"late\.jpg"):
            host.apply()
        assert _media_mount.mount_at(str(host.media)) is None
        assert host.media.stat().st_mode & 0o777 == 0o750

    on_host(run)


def test_another_mount_is_refused(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        other = host.volume.with_name("other")
        other.mkdir()
        with pytest.raises(MediaMountError, match=r"is mounted at .*, and .*/other was described"):
            host.plan(src=str(other))
        assert not _media_mount.state(host.wanted(src=str(other)))["expected"]

    on_host(run)


def test_options_that_differ_are_mounted_anew(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        for opts in ("bind,nosuid", "bind,noexec,nodev,noatime", "bind,noexec,nosuid,nodev"):
            assert host.plan(opts=opts) == ["remount", "fstab"]
            host.apply(opts=opts)
            assert host.plan(opts=opts) == []
            mount = _media_mount.mount_at(str(host.media))
            assert mount is not None and not _media_mount.flags_differ(opts, mount)
        # By hand, and fstab still has them
        os.system(f"mount -o remount,bind,exec {host.media}")
        assert host.plan() == ["remount"]

    on_host(run)


def test_a_volume_that_has_lost_its_mark_is_not_marked_again(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        os.system(f"umount {host.media}")
        full = host.volume.rename(host.volume.with_name("full"))
        # As systemd does for a bind mount that it is to start
        host.volume.mkdir()
        with pytest.raises(MediaMountError, match="is not what was mounted there before"):
            host.apply()
        assert _media_mount.mount_at(str(host.media)) is None
        os.system(f"mount --bind {host.volume} {host.media}")
        with pytest.raises(MediaMountError, match="is not what was mounted there before"):
            host.plan()
        assert list(host.volume.iterdir()) == []
        os.system(f"umount {host.media}")
        host.volume.rmdir()
        full.rename(host.volume)
        host.apply()
        assert host.plan() == []

    on_host(run)


def test_a_second_app_marks_what_the_first_one_mounted_there(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        assert host.plan(sentinel=".flask_media_shop") == ["mark"]
        host.apply(sentinel=".flask_media_shop")
        assert host.plan() == host.plan(sentinel=".flask_media_shop") == []
        # The mark of another place is none.
        os.unlink(host.volume / ".flask_media_gallery")
        (host.volume / ".flask_media_shop").write_text(_media_mount.MARK.format(path="/srv/shop"))
        with pytest.raises(MediaMountError, match="is not what was mounted there before"):
            host.plan()

    on_host(run)


def test_a_line_of_the_users_own_is_taken_over(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.media.mkdir()
        host.media.chmod(0o755)
        line = f"{host.volume} {host.media} none bind,noexec,nosuid,nodev 0 0\n"
        host.fstab.write_text(line)
        assert host.plan() == ["close", "mount", "mark"]
        host.apply()
        assert host.plan() == []
        assert host.fstab.read_text() == line

    on_host(run)


def test_a_source_that_is_not_there_changes_nothing(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        with pytest.raises(MediaMountError, match="/nowhere is not there, so nothing"):
            host.apply(src="/nowhere")
        assert not host.media.exists()
        assert host.fstab.read_text() == "# none yet\n"

    on_host(run)


def test_what_mount_refuses_is_not_in_fstab(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        file = host.volume.with_name("disk")
        file.write_bytes(b"no file system" * 1000)
        with pytest.raises(MediaMountError, match="mount -t ext4"):
            host.apply(src=str(file), fstype="ext4", opts="noexec")
        assert host.fstab.read_text() == "# none yet\n"
        assert host.media.stat().st_mode & 0o777 == 0

    on_host(run)


def test_a_path_over_a_link_is_refused(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.media.symlink_to(host.volume)
        with pytest.raises(MediaMountError, match="leads over a link to"):
            host.plan()

    on_host(run)


def test_the_app_cannot_write_beneath(on_host: OnHost, visitor: _as_user.Account) -> None:
    def run(host: Host) -> None:
        for parent in (host.media, *host.media.parents):
            if parent.exists() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o055)
        host.media.mkdir()
        os.chown(host.media, visitor.uid, visitor.gid)
        host.apply()
        os.system(f"umount {host.media}")
        with pytest.raises(_as_user.AsUserError, match="PermissionError"):
            _as_user.call(visitor, Path(host.media, "x").touch)

    on_host(run)


def test_the_mark_is_no_link_of_somebody_elses(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        target = host.volume.with_name("target")
        for name in (".flask_media_gallery", ".flask_media_gallery.new"):
            (host.volume / name).symlink_to(target)
        host.apply()
        assert not target.exists()
        assert not (host.volume / ".flask_media_gallery").is_symlink()

    on_host(run)


@pytest.mark.parametrize("name", [".flask_media_gallery", ".flask_media_gallery.new"])
def test_a_directory_in_the_place_of_the_mark_is_named(on_host: OnHost, name: str) -> None:
    def run(host: Host) -> None:
        (host.volume / name).mkdir()
        with pytest.raises(MediaMountError, match=rf"media/{name}, .* Move that directory away"):
            host.apply()
        assert os.listdir(host.volume) == [name]
        (host.volume / name).rmdir()
        host.apply()
        assert host.plan() == []

    on_host(run)


def test_a_mark_that_the_app_has_replaced_is_named(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        mark = host.volume / ".flask_media_gallery"
        for command in ("mkdir", "ln --symbolic /etc/passwd", "mkfifo"):
            mark.unlink()
            assert os.system(f"{command} {mark}") == 0
            with pytest.raises(MediaMountError, match=r"is no regular file.* Move it away"):
                host.plan()
            mark.rename(host.volume / "away")
            # What the message says
            mark.touch()
            assert host.plan() == []
            os.system(f"rm -rf {host.volume}/away")

    on_host(run)


def test_a_mount_full_of_directories_of_that_name_takes_no_descriptors(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        for number in range(20):
            (host.volume / f".flask_media_{number}").mkdir()
        before = os.listdir("/proc/self/fd")
        assert host.plan() == []
        assert len(os.listdir("/proc/self/fd")) == len(before)

    on_host(run)


def test_a_disk_without_room_for_the_mark_keeps_no_half_of_it(
    on_host: OnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def run(host: Host) -> None:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(MediaMountError, match=r"No space left on device\. Make room"):
            host.apply()
        assert os.listdir(host.volume) == []

    on_host(run)


def test_a_walk_over_the_uploads_finds_nothing_to_mend(on_host: OnHost) -> None:
    def run(host: Host) -> None:
        host.apply()
        os.chmod(host.media, 0o2750)
        described = _tree_permissions.Wanted(0, 0, 0o2750, 0o640, None)
        assert _tree_permissions.plan(str(host.media), described).mended == 0

    on_host(run)
