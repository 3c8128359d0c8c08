"""Publishing: what ends up in the tree, what is refused, and what a cache is told."""

from __future__ import annotations

import os
import socket
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _static_records,
    _static_release,
    _static_tree,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    Mount,
    Wanted,
    apply,
    known_file,
    plan,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.published import OWN, WHEEL_TIME, Site, mtime, targets


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_tree_mirrors_the_urls(site: Site) -> None:
    site.write(site.mount("/static/"), {"css/app.css": "a", "logo.svg": "b"})
    site.mount("/admin/static/", admin_js="c")
    planned = site.publish()
    assert site.published() == {
        "static/css/app.css": "a",
        "static/logo.svg": "b",
        "admin/static/admin.js": "c",
    }
    assert planned.directories == ["", "admin", "admin/static", "static", "static/css"]
    assert {mode(site.root / path) for path in site.published()} == {0o640}
    assert {mode(site.root / path) for path in planned.directories} == {0o750}
    # Nobody but root reads a record.
    records = site.root / _static_records.DIRECTORY
    assert (mode(records), {mode(path) for path in records.iterdir()}) == (0o700, {0o600})
    assert site.etag("static/logo.svg") == (mtime("b"), 1)


def test_a_plan_changes_nothing(site: Site) -> None:
    site.mount("/static/", app_css="a")
    assert site.plan().changed
    assert not site.root.exists()


def test_the_second_run_changes_nothing(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.publish()
    before = (site.root / "static/app.css").lstat()
    second = site.publish()
    assert (second.changed, second.unchanged, second.lines()) == (False, 1, [])
    after = (site.root / "static/app.css").lstat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_umask(site: Site, umask: int) -> None:
    site.mount("/static/", app_css="a")
    site.root = site.directory / "www" / "gallery" / "static"
    before = os.umask(umask)
    try:
        site.publish()
    finally:
        os.umask(before)
    assert [
        mode(site.directory / path) for path in ("www", "www/gallery", "www/gallery/static")
    ] == [
        0o755,
        0o755,
        0o750,
    ]
    assert mode(site.root / "static/app.css") == 0o640


def test_same_content_keeps_its_etag_whatever_its_time(site: Site) -> None:
    folder = site.mount("/static/", app_css="a")
    site.publish()
    site.write(folder, {"app.css": "a"}, mtime=WHEEL_TIME + 5000)
    assert not site.publish().changed
    assert site.etag("static/app.css") == (mtime("a"), 1)


def test_new_content_brings_its_own_time(site: Site) -> None:
    folder = site.mount("/static/", app_css="a")
    site.publish()
    site.write(folder, {"app.css": "b"}, mtime=WHEEL_TIME + 5000)
    assert targets(site.publish().replaced) == ["static/app.css"]
    assert site.etag("static/app.css") == (mtime("b"), 1)
    assert site.published() == {"static/app.css": "b"}


# Of the second version's time, only a later one says by itself that the file is another.
@given(
    versions=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 1, 2, -9])), max_size=8)
)
def test_an_etag_never_comes_back_for_other_content(
    tmp_path_factory: pytest.TempPathFactory, versions: list[tuple[str, int]]
) -> None:
    site = Site(tmp_path_factory.mktemp("site"))
    folder = site.mount("/static/")
    seen: dict[tuple[int, int], str] = {}
    for content, seconds in versions:
        site.write(folder, {"app.css": content}, mtime=WHEEL_TIME + seconds)
        site.publish()
        assert site.published() == {"static/app.css": content}
        assert seen.setdefault(site.etag("static/app.css"), content) == content


def test_files_of_an_earlier_release_stay(site: Site) -> None:
    folder = site.mount("/static/", old_css="a", new_css="b")
    site.publish()
    (folder / "old.css").unlink()
    planned = site.publish()
    # It is another release, so it has a record; that is all.
    assert planned.lines() == [f"+ .releases/{planned.record.release}.json"]
    assert planned.kept == 1
    assert (site.root / "static/old.css").read_text() == "a"
    assert not site.plan().changed


def test_what_a_killed_run_left_is_removed_and_nothing_else(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.publish()
    leftover = site.root / "static" / f"{_static_release.TEMPORARY}0123456789abcdef"
    leftover.write_text("half a fi")
    foreign = site.root / "static" / ".htaccess"
    foreign.write_text("theirs")
    planned = site.publish()
    assert planned.lines() == [f"- static/{leftover.name}"]
    assert (leftover.exists(), foreign.exists()) == (False, True)
    assert not site.plan().changed


class KilledError(BaseException):
    """Nothing of ours catches it."""


@pytest.mark.parametrize("moment", ["rename", "utime", "fchmod"])
def test_at_every_moment_each_file_is_whole(
    site: Site, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    folder = site.mount("/static/", app_css="a" * 9)
    site.publish()
    site.write(folder, {"app.css": "b" * 9, "more.css": "c"})

    def die(*_arguments: t.Any, **_options: t.Any) -> None:
        raise KilledError

    # A kill leaves no time to tidy up either.
    with monkeypatch.context() as patch:
        patch.setattr(os, moment, die)
        patch.setattr(os, "unlink", die)
        with pytest.raises(KilledError):
            site.publish()
    visible = {path: text for path, text in site.published().items() if "/." not in path}
    assert set(visible.values()) <= {"a" * 9, "b" * 9, "c"}
    site.publish()
    assert site.published() == {"static/app.css": "b" * 9, "static/more.css": "c"}
    assert not site.plan().changed


def test_a_failed_write_leaves_no_temporary_file(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.mount("/static/", app_css="a")

    def full(*_arguments: t.Any, **_options: t.Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(PublishError, match="No space left"):
            site.publish()
    assert site.published() == {}


def test_too_little_space_is_refused_before_the_first_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.mount("/static/", app_css="a")
    free = list(os.statvfs("/"))
    for field, words in ((4, "bytes free"), (7, "inodes free")):
        # f_bavail, f_favail (os.statvfs_result)
        lacking = os.statvfs_result([*free[:field], 0, *free[field + 1 :], 0][:11])
        with monkeypatch.context() as patch:
            patch.setattr(os, "statvfs", lambda _path, lacking=lacking: lacking)
            with pytest.raises(PublishError, match=words):
                site.publish()
    assert not site.root.exists()


@pytest.mark.parametrize("where", ["static/app.css", "static", ""])
def test_modes_are_mended_and_content_is_not_touched(site: Site, where: str) -> None:
    site.mount("/static/", app_css="a")
    site.publish()
    (site.root / where).chmod(0o777)
    planned = site.publish()
    assert planned.lines() == [f"o {where}" if where.endswith("css") else f"o {where}/"]
    assert mode(site.root / where) == (0o640 if where.endswith("css") else 0o750)
    assert site.etag("static/app.css") == (mtime("a"), 1)


@pytest.mark.usefixtures("as_root")
def test_owner_and_group_are_mended(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.publish(OWN._replace(gid=61001))
    os.chown(site.root / "static/app.css", 61002, 61002)
    site.publish(OWN._replace(gid=61001))
    status = (site.root / "static/app.css").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), 61001)


def test_dotfiles_and_what_is_no_file_are_not_published(site: Site) -> None:
    folder = site.mount("/static/", app_css="a")
    site.write(folder, {".env": "SECRET", ".git/config": "x", "css/.DS_Store": "x"})
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "app.sock"))
        planned = site.publish()
    assert site.published() == {"static/app.css": "a"}
    ignored = [
        "static/.env",
        "static/.git",
        "static/app.sock",
        "static/css/.DS_Store",
        "static/pipe",
    ]
    assert sorted(planned.ignored) == ignored


@pytest.mark.parametrize(
    "name", ["two\nlines.css", "\udcff.css", "ümläut.css", "a b%20?.css", "-n"]
)
def test_any_name_is_published(site: Site, name: str) -> None:
    site.write(site.mount("/static/"), {name: "a"})
    planned = site.publish()
    assert site.published() == {f"static/{name}": "a"}
    assert not site.plan().changed
    assert len("".join(f"{line}\n" for line in planned.lines()).splitlines()) == 4
    "".join(planned.lines()).encode("utf-8")


@pytest.mark.parametrize(
    ("path", "shown"),
    [("a b", "a b"), ("a\nb", r"a\nb"), ("\udcff", r"\xff"), ("é", "é"), ("\x1b[31m", r"\x1b[31m")],
)
def test_paths_are_shown_on_one_line(path: str, shown: str) -> None:
    assert printable(path) == shown


@pytest.mark.parametrize(
    "target", ["/etc/hostname", "../outside", "app.css", "nothing", "..", "css"]
)
@pytest.mark.parametrize("name", ["link.css", "css/link.css"])
def test_a_link_is_refused_before_the_first_change(site: Site, target: str, name: str) -> None:
    folder = site.mount("/static/", app_css="a")
    site.write(folder, {"css/x.css": "x", "../outside": "secret"})
    (folder / name).symlink_to(target)
    with pytest.raises(PublishError, match=f"{folder / name} is a link"):
        site.publish()
    assert not site.root.exists()


def test_many_links_are_named_at_once(site: Site) -> None:
    folder = site.mount("/static/")
    for number in range(9):
        (folder / f"{number}.css").symlink_to("/etc/hostname")
    with pytest.raises(PublishError) as refused:
        site.plan()
    assert str(refused.value).count("is a link") == _static_tree.PROBLEMS_SHOWN
    assert "And 4 more" in str(refused.value)


def test_a_hidden_link_harms_nobody(site: Site) -> None:
    (site.mount("/static/", app_css="a") / ".cache").symlink_to("/")
    assert targets(site.publish().added) == ["static/app.css"]


def test_the_folder_itself_may_be_reached_by_a_link(site: Site) -> None:
    folder = site.mount("/static/", app_css="a")
    current = site.directory / "current"
    current.symlink_to(folder)
    site.mounts = [Mount("/static/", str(current))]
    assert site.publish().wanted["static/app.css"].folder == str(folder)


@pytest.mark.parametrize("swapped", ["css", "css/app.css"])
def test_a_link_put_in_after_the_look_is_not_followed(site: Site, swapped: str) -> None:
    folder = site.mount("/static/")
    site.write(folder, {"css/app.css": "a"})
    secret = site.directory / "secret"
    site.write(secret, {"app.css": "secret"})
    planned = site.plan()
    (folder / swapped).rename(site.directory / "moved")
    (folder / swapped).symlink_to(secret / Path(swapped).relative_to("css"))
    with pytest.raises(PublishError, match="is a link"):
        apply(str(site.root), planned, OWN)
    assert site.published() == {}


@pytest.mark.parametrize("becomes", ["fifo", "nothing"])
def test_a_file_that_changes_its_kind_meanwhile_is_refused(site: Site, becomes: str) -> None:
    folder = site.mount("/static/", app_css="a")
    planned = site.plan()
    (folder / "app.css").unlink()
    if becomes == "fifo":
        os.mkfifo(folder / "app.css")
    with pytest.raises(PublishError, match="was changed while it was read"):
        apply(str(site.root), planned, OWN)
    assert site.published() == {}


class TestRightsOfTheReader:
    """The app says what its folders are; root must not read for it what it can't read itself."""

    @pytest.fixture
    def site(self, as_root: None, open_directory: Path) -> Site:
        return Site(open_directory)

    def test_what_the_reader_can_read_is_published(
        self, site: Site, visitor: _as_user.Account
    ) -> None:
        folder = site.mount("/static/", app_css="a")
        # By its other group
        os.chown(folder / "app.css", 0, visitor.groups[1])
        (folder / "app.css").chmod(0o640)
        assert targets(site.publish(reader=visitor).added) == ["static/app.css"]
        assert (os.geteuid(), os.getegid()) == (0, os.getgid())
        assert not site.plan(reader=visitor).changed

    @pytest.mark.parametrize("way", ["file", "hard link", "directory", "folder", "parent"])
    def test_what_the_reader_cannot_read_is_refused(
        self, site: Site, visitor: _as_user.Account, way: str
    ) -> None:
        folder = site.mount("/static/", app_css="a")
        site.write(folder, {"css/shadow": "secret"})
        private = {"file": folder / "css/shadow", "directory": folder / "css", "folder": folder}
        if way == "hard link":
            shadow = site.directory / "shadow"
            shadow.write_text("secret")
            shadow.chmod(0o600)
            (folder / "innocent.css").hardlink_to(shadow)
        elif way == "parent":
            outer = site.directory / "root"
            outer.mkdir(mode=0o700)
            folder.rename(outer / "inner")
            site.mounts = [Mount("/static/", str(outer / "inner"))]
        else:
            private[way].chmod(0o600)
        with pytest.raises(PublishError, match="visitor can't read"):
            site.plan(reader=visitor)
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (0, 0, os.getgroups())
        assert not site.root.exists()
        # The proof that the rights decide: root reads them all.
        assert site.plan().changed

    def test_a_reader_is_not_needed_to_write(self, site: Site, visitor: _as_user.Account) -> None:
        site.mount("/static/", app_css="a")
        site.root = site.directory / "private" / "static"
        site.root.parent.mkdir(mode=0o700)
        site.publish(reader=visitor)
        assert (site.root / "static/app.css").stat().st_uid == 0


def test_a_mount_within_another_answers_for_its_urls(site: Site) -> None:
    outer = site.mount("/static/", app_css="outer")
    site.write(outer, {"admin/app.css": "outer", "admin/only.css": "outer", "adminx.css": "outer"})
    site.mount("/static/admin/", app_css="inner")
    expected = {
        "static/app.css": "outer",
        "static/adminx.css": "outer",
        "static/admin/app.css": "inner",
    }
    site.publish()
    assert site.published() == expected
    site.mounts.reverse()
    assert not site.plan().changed


def test_of_two_mounts_at_one_url_the_first_answers(site: Site) -> None:
    site.mount("/static/", app_css="first")
    site.mount("/static/", app_css="second", more_css="second")
    site.publish()
    assert site.published() == {"static/app.css": "first"}


def test_a_file_where_another_mount_is_refused(site: Site) -> None:
    site.mount("/static/", admin="a file")
    site.mount("/static/admin/", app_css="a")
    with pytest.raises(PublishError, match="can't be both: rename one"):
        site.plan()


@pytest.mark.parametrize("obstacle", ["file", "link", "fifo"])
def test_what_stands_where_a_directory_must_be_is_refused(site: Site, obstacle: str) -> None:
    site.mount("/static/", app_css="a")
    elsewhere = site.directory / "elsewhere"
    elsewhere.mkdir()
    site.root.mkdir()
    place = site.root / "static"
    if obstacle == "file":
        place.write_text("theirs")
    elif obstacle == "link":
        place.symlink_to(elsewhere)
    else:
        os.mkfifo(place)
    with pytest.raises(PublishError, match=f"{place} is no directory"):
        site.publish()
    assert list(elsewhere.iterdir()) == []


def test_a_directory_where_a_file_must_be_is_refused(site: Site) -> None:
    site.mount("/static/", app_css="a", new_css="b")
    (site.root / "static/app.css").mkdir(parents=True)
    with pytest.raises(PublishError, match="is a directory, where the app has a file"):
        site.publish()
    assert site.published() == {}


def test_a_link_where_a_file_must_be_is_replaced_not_followed(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.publish()
    victim = site.directory / "victim"
    victim.write_text("untouched")
    (site.root / "static/app.css").unlink()
    (site.root / "static/app.css").symlink_to(victim)
    assert targets(site.publish().replaced) == ["static/app.css"]
    assert site.published() == {"static/app.css": "a"}
    assert (victim.read_text(), mode(victim)) == ("untouched", mode(victim))
    assert not (site.root / "static/app.css").is_symlink()


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.publish()
    elsewhere = site.directory / "elsewhere"
    elsewhere.mkdir()
    site.write(Path(t.cast("str", site.mounts[0].folder)), {"more.css": "b"})
    planned = site.plan()
    (site.root / "static").rename(site.directory / "moved")
    (site.root / "static").symlink_to(elsewhere)
    with pytest.raises(PublishError, match="static"):
        apply(str(site.root), planned, OWN)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("folder", ["missing", "file"])
def test_a_folder_that_is_none_is_refused_with_its_url(site: Site, folder: str) -> None:
    (site.directory / "file").write_text("x")
    site.mounts = [Mount("/admin/static/", str(site.directory / folder))]
    with pytest.raises(PublishError, match=rf"/admin/static/ is .*{folder}, which is no directory"):
        site.plan()


@pytest.mark.parametrize(
    "url",
    ["static/", "/static", "", "/../etc/", "/static/../../etc/", "/./", "//", "/a//b/", "/\0/"],
)
def test_what_is_no_url_prefix_is_refused(site: Site, url: str) -> None:
    folder = site.mount("/static/", app_css="a")
    site.mounts = [Mount(url, str(folder))]
    with pytest.raises(PublishError, match="is no URL prefix"):
        site.publish()
    assert not site.root.exists()


def test_the_root_of_all_urls_is_a_prefix_too(site: Site) -> None:
    site.mount("/", app_css="a")
    site.mount("/static/", app_css="b")
    site.publish()
    assert site.published() == {"app.css": "a", "static/app.css": "b"}


@pytest.mark.parametrize("root", ["/", "static", "//", "/.."])
def test_a_root_that_is_not_its_own_is_refused(site: Site, root: str) -> None:
    site.mount("/static/", app_css="a")
    with pytest.raises(PublishError, match="Set it to an absolute path of its own"):
        plan(root, site.mounts, OWN)


@pytest.mark.parametrize("nested", ["root in folder", "folder in root", "same"])
def test_a_root_that_overlaps_a_folder_is_refused(site: Site, nested: str) -> None:
    folder = site.mount("/static/", app_css="a")
    site.root = {
        "root in folder": folder / "published",
        "folder in root": folder.parent,
        "same": folder,
    }[nested]
    with pytest.raises(PublishError, match="lie in one another"):
        site.plan()


def test_a_root_that_is_a_file_is_refused(site: Site) -> None:
    site.mount("/static/", app_css="a")
    site.root.write_text("x")
    with pytest.raises(PublishError, match="Move it away"):
        site.plan()


def test_a_relative_folder_is_refused(site: Site) -> None:
    site.mounts = [Mount("/static/", "static")]
    with pytest.raises(PublishError, match="has to be absolute"):
        site.plan()


def test_a_folder_too_deep_is_refused(site: Site) -> None:
    folder = site.mount("/static/")
    folder.joinpath(*["d"] * (_static_tree.DEPTH_LIMIT + 1)).mkdir(parents=True)
    with pytest.raises(PublishError, match="deeper than 64 directories"):
        site.plan()


def test_a_mount_not_known_yet_counts_as_a_change_and_is_never_applied(site: Site) -> None:
    site.mounts = [Mount("/static/", None)]
    planned = site.plan()
    assert (planned.changed, planned.unknown) == (True, ["/static/"])
    with pytest.raises(PublishError, match="/static/ is not known"):
        apply(str(site.root), planned, OWN)
    assert not site.root.exists()


def test_no_descriptor_is_left_open(site: Site) -> None:
    folder = site.mount("/static/", app_css="a")
    site.write(folder, {f"d{number}/x": "x" for number in range(20)})
    before = len(os.listdir("/proc/self/fd"))
    site.publish()
    (folder / "link").symlink_to("/")
    with pytest.raises(PublishError):
        site.plan()
    assert len(os.listdir("/proc/self/fd")) == before


SIZES = {"empty.css": 0, "huge.css": 1 << 24}


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["b.css", "a.css", "a.js"], "a.css"),
        (["z.js", "a.png", "m.mjs"], "m.mjs"),
        (["b.png", "a.png"], "a.png"),
        (["a\nb.css", "c.png"], "c.png"),
        (["empty.css", "c.png"], "c.png"),
        (["empty.css"], None),
        (["huge.css", "c.png"], "c.png"),
        (["huge.css", "empty.css"], "huge.css"),
        ([], None),
    ],
)
def test_the_known_file_is_the_same_each_time(names: list[str], chosen: str | None) -> None:
    files = [
        Wanted(
            f"static/{name}",
            _static_records.Entry(SIZES.get(name, 7), 0x5E3F1C00, "sha256"),
            "/static/",
            "/f",
            name,
        )
        for name in names
    ]
    size = SIZES.get(chosen or "", 7)
    etag = f'"5e3f1c00-{size:x}"'
    expected = {"path": chosen, "size": size, "sha256": "sha256", "etag": etag} if chosen else None
    assert known_file(files) == known_file(reversed(files)) == expected
