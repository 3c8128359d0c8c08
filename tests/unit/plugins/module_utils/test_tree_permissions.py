"""One owner and mode for a tree: what an attacker puts into it, what moves meanwhile, what is told."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import resource
import shutil
import socket
import stat
import subprocess
import tempfile
import tracemalloc
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _mounts,
    _tree_permissions,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._tree_permissions import (
    ACCESS,
    DEFAULT,
    Grant,
    TreePermissionsError,
    Wanted,
    apply,
    plan,
)
from hypothesis import given, settings
from hypothesis import strategies as st

APP, GROUP, OTHER = 61010, 61011, 61012
WANTED = Wanted(APP, GROUP, 0o2750, 0o640)
NGINX = Grant(True, 61001, "rX")
WITH_ACL = WANTED._replace(grants=(NGINX,))

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def tree(open_directory: Path) -> Path:
    """A tree that is as it should be, with one file."""
    root = open_directory / "media"
    root.mkdir()
    file(root / "a.png")
    apply(str(root), WANTED)
    return root


@pytest.fixture
def secret(open_directory: Path) -> Path:
    """A file beside the tree, of root's, that nobody is to be given."""
    path = file(open_directory / "secret", 0o600)
    assert looks(path) == (0, 0, 0o600)
    return path


def file(path: Path, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(path.name))
    # Not the group of its directory
    os.chown(path, 0, 0)
    path.chmod(mode)
    return path


def looks(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


FILE, DIRECTORY = (APP, GROUP, 0o640), (APP, GROUP, 0o2750)


def paths(report: _tree_permissions.Report) -> list[str]:
    return sorted(change.path for change in report.changes)


def once_before(
    monkeypatch: pytest.MonkeyPatch, function: str, name: str, do: t.Callable[[], object]
) -> None:
    """Do something right before the util opens a name, once."""
    original = getattr(_tree_permissions, function)
    waiting = [do]

    def hooked(opened: str, directory: int) -> int:
        if opened == name and waiting:
            waiting.pop()()
        result: int = original(opened, directory)
        return result

    monkeypatch.setattr(_tree_permissions, function, hooked)


# Roots


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("media", "no absolute path"),
        ("", "no absolute path"),
        ("/srv/\0", "no absolute path"),
        ("/", "which the system and others share"),
        ("/etc/", "which the system and others share"),
        ("/usr/../var/./www/..", "which the system and others share"),
        ("/no/such/tree", "No such file or directory. Make it first"),
        ("/etc/passwd", "Not a directory. Name a directory"),
        ("/etc/passwd/x", "Not a directory. Name a directory"),
    ],
)
@pytest.mark.parametrize("run", [plan, apply])
def test_an_unfit_path_is_refused(
    run: t.Callable[[str, Wanted], object], path: str, words: str
) -> None:
    # Owner and modes that nothing would survive a mistake with are left out of it.
    with pytest.raises(TreePermissionsError, match=words):
        run(path, Wanted())


def test_a_link_is_no_tree(tree: Path) -> None:
    link = tree.parent / "link"
    link.symlink_to(tree)
    with pytest.raises(TreePermissionsError, match="is a link"):
        plan(str(link), WANTED)


def test_a_link_of_the_apps_on_the_way_is_refused(tree: Path, secret: Path) -> None:
    (tree.parent / "other/media").mkdir(parents=True)
    way = tree.parent / "way"
    way.symlink_to(tree.parent / "other")
    os.lchown(way, APP, GROUP)
    with pytest.raises(TreePermissionsError, match=f"the link way, which {APP} made"):
        apply(str(way / "media"), WANTED)
    assert looks(tree.parent / "other/media") == (0, 0, 0o755)


@pytest.mark.parametrize("target", ["absolute", "relative"])
def test_a_link_of_roots_on_the_way_is_passed(tree: Path, target: str) -> None:
    way = tree.parent / "way"
    way.symlink_to(tree.parent if target == "absolute" else Path("x/..//."))
    (tree.parent / "x").mkdir()
    assert plan(str(way / "media"), WANTED).files == 1


def test_links_in_a_circle_are_refused(tree: Path) -> None:
    way = tree.parent / "way"
    way.symlink_to(way)
    with pytest.raises(TreePermissionsError, match="Too many levels of symbolic links"):
        plan(str(way / "media"), WANTED)


# What an attacker puts into it


def test_links_are_neither_followed_nor_changed(tree: Path, secret: Path) -> None:
    outside = tree.parent / "outside"
    file(outside / "b")
    (tree / "to-file").symlink_to(secret)
    (tree / "to-directory").symlink_to(outside)
    (tree / "to-nothing").symlink_to("nothing")
    report = apply(str(tree), WANTED)
    assert (report.symlinks, report.mended, report.files) == (3, 0, 1)
    assert looks(secret) == (0, 0, 0o600)
    assert looks(outside / "b") == (0, 0, 0o600)
    assert looks(tree / "to-file")[0] == 0


@pytest.mark.parametrize("wanted", [WANTED, WITH_ACL])
def test_a_link_that_takes_a_files_name_is_not_followed(
    tree: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    wrong = file(tree / "b.png")

    def swap() -> None:
        wrong.unlink()
        wrong.symlink_to(secret)

    once_before(monkeypatch, "_pin", "b.png", swap)
    apply(str(tree), wanted)
    assert looks(secret) == (0, 0, 0o600)
    assert looks(wrong)[0] == 0
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        os.getxattr(secret, ACCESS)


@pytest.mark.parametrize("wanted", [WANTED, WITH_ACL])
def test_what_was_judged_is_what_is_changed(
    tree: Path, secret: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    wrong = file(tree / "b.png")
    original = _tree_permissions._change

    def swap(target: str, status: os.stat_result, look: t.Any) -> None:
        if stat.S_ISREG(status.st_mode) and not wrong.is_symlink():
            wrong.rename(tree.parent / "kept")
            wrong.symlink_to(secret)
        original(target, status, look)

    apply(str(tree), wanted)
    wrong.unlink()
    file(wrong)
    monkeypatch.setattr(_tree_permissions, "_change", swap)
    report = apply(str(tree), wanted)
    assert paths(report) == ["b.png"]
    assert looks(tree.parent / "kept") == FILE
    assert looks(secret) == (0, 0, 0o600)


def test_a_link_that_takes_a_directorys_name_is_not_entered(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tree.parent / "outside"
    file(outside / "b")
    (tree / "sub").mkdir()

    def swap() -> None:
        (tree / "sub").rmdir()
        (tree / "sub").symlink_to(outside)

    once_before(monkeypatch, "_open_directory", "sub", swap)
    report = apply(str(tree), WANTED)
    assert (report.directories, report.mended) == (1, 0)
    assert looks(outside / "b") == (0, 0, 0o600)
    assert looks(outside) == (0, 0, 0o755)


@pytest.mark.parametrize("wanted", [WANTED, WANTED._replace(uid=None)])
def test_a_hard_link_of_somebody_elses_file_is_left_alone(
    tree: Path, secret: Path, wanted: Wanted
) -> None:
    os.link(secret, tree / "b.png")
    for run in (plan, apply):
        report = run(str(tree), wanted)
        assert (report.mended, report.hard_links.count) == (0, 1)
        assert report.hard_links.first == ["b.png"]
    assert looks(secret) == (0, 0, 0o600)


def test_a_hard_link_that_the_app_could_really_make_is_left_alone(
    open_directory: Path, visitor: _as_user.Account
) -> None:
    # Also under fs.protected_hardlinks: a file that everybody writes.
    shared = file(open_directory / "shared", 0o666)
    media = open_directory / "media"
    media.mkdir()
    os.chown(media, visitor.uid, visitor.gid)
    _as_user.call(visitor, os.link, str(shared), str(media / "mine"))
    report = apply(str(media), Wanted(visitor.uid, visitor.gid, 0o2750, 0o640))
    assert (report.hard_links.count, paths(report)) == (1, ["./"])
    assert looks(shared) == (0, 0, 0o666)


def test_a_hard_link_that_takes_a_files_name_is_left_alone(
    tree: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = file(tree / "b.png")

    def swap() -> None:
        wrong.unlink()
        os.link(secret, wrong)

    once_before(monkeypatch, "_pin", "b.png", swap)
    report = apply(str(tree), WANTED)
    assert (report.mended, report.hard_links.count) == (0, 1)
    assert looks(secret) == (0, 0, 0o600)


def test_a_hard_link_of_the_owners_own_is_mended_and_counted_once(tree: Path) -> None:
    wrong = file(tree / "b.png")
    os.chown(wrong, APP, 0)
    (tree / "sub").mkdir()
    os.chown(tree / "sub", APP, GROUP)
    (tree / "sub").chmod(0o2750)
    os.link(wrong, tree / "c.png")
    os.link(wrong, tree / "sub/d.png")
    planned = plan(str(tree), WANTED)
    assert (planned.mended, planned.hard_links.count) == (1, 0)
    assert dataclasses.asdict(apply(str(tree), WANTED)) == dataclasses.asdict(planned)
    assert looks(tree / "sub/d.png") == FILE


def test_an_upload_does_not_stay_setuid(tree: Path) -> None:
    wrong = file(tree / "b.png", 0o6755)
    apply(str(tree), Wanted(uid=APP))
    assert not looks(wrong)[2] & (stat.S_ISUID | stat.S_ISGID)
    wrong.chmod(0o6755)
    apply(str(tree), WANTED)
    assert looks(wrong) == FILE


def test_special_files_are_left_alone(tree: Path) -> None:
    os.mkfifo(tree / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
    report = apply(str(tree), WANTED)
    assert (report.special, report.mended) == (2, 0)
    assert looks(tree / "pipe") == (0, GROUP, 0o600)


def test_a_pipe_that_takes_a_files_name_does_not_stop_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = file(tree / "b.png")

    def swap() -> None:
        wrong.unlink()
        os.mkfifo(wrong, 0o600)

    once_before(monkeypatch, "_pin", "b.png", swap)
    assert apply(str(tree), WANTED).mended == 0
    assert looks(wrong) == (0, GROUP, 0o600)


def test_another_file_system_is_not_entered(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(tree / "sub/b.png")
    original = _tree_permissions._Walk._begin

    def elsewhere(walk: t.Any, root: int) -> None:
        original(walk, root)
        walk._device += 1

    monkeypatch.setattr(_tree_permissions._Walk, "_begin", elsewhere)
    report = apply(str(tree), WANTED)
    assert (report.mounts.first, report.mended) == (["sub"], 0)


def test_a_bind_mount_of_the_same_file_system_is_not_entered(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tree / "sub/b.png")
    file(tree / "c.png")
    file(tree / "d.png")
    points = [str(tree), f"{tree}/sub", f"{tree}/c.png", f"{tree}2/d.png"]
    monkeypatch.setattr(_mounts, "mounts", lambda: [{"mount_point": point} for point in points])
    report = apply(str(tree), WANTED)
    assert (sorted(report.mounts.first), paths(report)) == (["c.png", "sub"], ["d.png"])
    assert (report.files, report.directories) == (2, 1)
    assert looks(tree / "sub/b.png") == (0, 0, 0o600)


# What moves meanwhile


@pytest.mark.parametrize("run", [plan, apply])
def test_what_vanishes_is_no_error(
    tree: Path, monkeypatch: pytest.MonkeyPatch, run: t.Callable[..., t.Any]
) -> None:
    names = [f"{number}.png" for number in range(50)]
    for name in names:
        file(tree / name)
    (tree / "sub").mkdir()
    original = _tree_permissions._pin

    def vanish(name: str, directory: int) -> int:
        # All have been read from the directory by now, and none of the others looked at.
        for entry in list(tree.iterdir()):
            if entry.name != name and entry.is_file():
                entry.unlink()
        (tree / name).unlink()
        return original(name, directory)

    monkeypatch.setattr(_tree_permissions, "_pin", vanish)
    once_before(monkeypatch, "_open_directory", "sub", (tree / "sub").rmdir)
    report = run(str(tree), WANTED)
    assert (report.mended, report.problems.count) == (0, 0)


@pytest.mark.parametrize("run", [plan, apply])
def test_a_tree_that_vanishes_is_no_error(
    tree: Path, monkeypatch: pytest.MonkeyPatch, run: t.Callable[..., t.Any]
) -> None:
    file(tree / "sub/deep/b.png")
    original = _tree_permissions._open_directory

    def vanish(name: str, directory: int) -> int:
        fd = original(name, directory)
        if name == "deep":
            shutil.rmtree(tree)
        return fd

    monkeypatch.setattr(_tree_permissions, "_open_directory", vanish)
    assert run(str(tree), WANTED).problems.count == 0


def test_a_directory_that_is_moved_out_is_left_and_what_follows_is_mended(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        file(tree / name / "deep" / "b.png")
    original = _tree_permissions._open_directory

    def move(name: str, directory: int) -> int:
        fd = original(name, directory)
        if name == "one":
            (tree / "one").rename(tree.parent / "gone")
        return fd

    monkeypatch.setattr(_tree_permissions, "_open_directory", move)
    apply(str(tree), WANTED)
    # Entered by its descriptor, it is the same directory wherever it is.
    assert looks(tree.parent / "gone/deep/b.png") == FILE
    assert looks(tree / "two/deep/b.png") == FILE


def test_what_is_moved_in_meanwhile_is_mended_by_the_next_run_at_the_latest(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tree / "b.png")
    late = file(tree.parent / "late.png")
    once_before(monkeypatch, "_pin", "b.png", lambda: late.rename(tree / "late.png"))
    first = apply(str(tree), WANTED).mended
    second = apply(str(tree), WANTED).mended
    assert (first + second, plan(str(tree), WANTED).changed) == (2, False)


# Any tree


@pytest.mark.parametrize("grants", [None, (), (NGINX,)])
def test_a_tree_deeper_than_a_path_can_be(
    open_directory: Path, grants: tuple[Grant, ...] | None
) -> None:
    root = open_directory / "media"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    try:
        for _ in range(600):
            os.mkdir("d" * 10, dir_fd=here)
            below = os.open("d" * 10, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
        wanted = WANTED._replace(grants=grants)
        report = apply(str(root), wanted)
        assert (report.directories, report.files, report.mended) == (601, 1, 602)
        status = os.stat("f", dir_fd=here)
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (APP, 0o640)
        assert not plan(str(root), wanted).changed
    finally:
        os.close(here)
        # Python's own can't remove it.
        subprocess.run(["rm", "-rf", str(root)], check=True)


def test_too_deep_for_descriptors_is_told_and_the_rest_mended(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tree.joinpath(*["d"] * 200)
    file(deep / "f")
    file(tree / "z.png")

    @contextlib.contextmanager
    def few() -> t.Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (150, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    monkeypatch.setattr(_tree_permissions, "_many_descriptors", few)
    with pytest.raises(TreePermissionsError, match="deeper than descriptors can be open"):
        apply(str(tree), WANTED)
    assert looks(tree / "z.png") == FILE
    assert looks(deep / "f") == (0, 0, 0o600)


def test_names_of_any_bytes(tree: Path) -> None:
    for name in (b"a\nb", b"\xff.png", b"-rf", b"%s"):
        file(tree / os.fsdecode(name))
    report = apply(str(tree), WANTED)
    assert paths(report) == ["%s", "-rf", r"\xff.png", r"a\nb"]


def test_memory_does_not_grow_with_the_tree(tree: Path) -> None:
    def peak() -> int:
        tracemalloc.start()
        try:
            plan(str(tree), WANTED)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for number in range(100):
        (tree / f"{number}.png").touch()
    few = max(peak(), peak())
    for number in range(5000):
        (tree / f"{number}.png").touch()
    # A list of their names alone would take some 60 bytes each.
    assert peak() < few + 50_000


def test_nothing_of_the_process_is_left_changed(tree: Path) -> None:
    def process() -> tuple[object, ...]:
        return (
            os.getcwd(),
            resource.getrlimit(resource.RLIMIT_NOFILE),
            sorted(os.listdir("/proc/self/fd")),
        )

    before = process()
    file(tree / "sub/b.png")
    apply(str(tree), WITH_ACL)
    with pytest.raises(TreePermissionsError):
        plan(str(tree / "no"), WITH_ACL)
    assert process() == before


# What is wanted


def test_each_kind_gets_its_own(tree: Path) -> None:
    file(tree / "sub/b.png", 0o777)
    report = apply(str(tree), WANTED._replace(directory_mode=0o3751, file_mode=0o604))
    assert looks(tree / "sub") == (APP, GROUP, 0o3751)
    assert looks(tree / "sub/b.png") == (APP, GROUP, 0o604)
    assert looks(tree) == (APP, GROUP, 0o3751)
    assert (report.mended, report.directories, report.files) == (4, 2, 2)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(uid=OTHER), (OTHER, 0, 0o604)),
        (Wanted(gid=OTHER), (0, OTHER, 0o604)),
        (Wanted(file_mode=0o640), (0, 0, 0o640)),
        (Wanted(directory_mode=0o2750), (0, 0, 0o604)),
        (Wanted(uid=OTHER, file_mode=0), (OTHER, 0, 0)),
    ],
)
def test_what_is_not_said_is_left_alone(
    open_directory: Path, wanted: Wanted, expected: tuple[int, int, int]
) -> None:
    path = file(open_directory / "media/b.png", 0o604)
    planned = plan(str(path.parent), wanted)
    assert dataclasses.asdict(apply(str(path.parent), wanted)) == dataclasses.asdict(planned)
    assert looks(path) == expected
    assert not plan(str(path.parent), wanted).changed


def test_a_plan_changes_nothing(tree: Path) -> None:
    path = file(tree / "sub/b.png")
    report = plan(str(tree), WITH_ACL)
    assert report.mended == 4
    assert looks(path) == (0, 0, 0o600)
    assert DEFAULT not in os.listxattr(tree)


def test_what_is_right_is_not_touched(tree: Path) -> None:
    before = (tree / "a.png").stat().st_ctime_ns, tree.stat().st_ctime_ns
    report = apply(str(tree), WANTED)
    assert (report.changed, report.changes, report.files) == (False, [], 1)
    assert ((tree / "a.png").stat().st_ctime_ns, tree.stat().st_ctime_ns) == before


def test_only_the_first_paths_are_kept_of_many(tree: Path) -> None:
    for number in range(30):
        file(tree / f"{number}.png")
    report = apply(str(tree), WANTED)
    assert (report.mended, len(report.changes)) == (30, _tree_permissions.SHOWN)
    change = report.changes[0]
    assert (change.before, change.after) == ("root:root 0600", f"{APP}:{GROUP} 0640")


def test_who_is_still_to_come_differs_from_everybody(tree: Path) -> None:
    report = plan(str(tree), WANTED._replace(uid=_tree_permissions.TO_COME))
    assert (report.mended, report.changes[0].after) == (2, f"?:{GROUP} 2750")


modes = st.integers(0, 0o777)
ids = st.sampled_from([0, APP, GROUP, OTHER])
letters = st.sampled_from(["r", "rX", "rw", "x", "-"])
grants = st.none() | st.lists(
    st.builds(Grant, st.booleans(), ids, letters), max_size=3, unique_by=lambda some: some[:2]
).map(tuple)
wants = st.one_of(
    st.builds(Wanted, *[st.none() | ids] * 2, *[st.none() | modes] * 2, st.none()),
    st.builds(Wanted, ids, st.none() | ids, st.integers(0, 0o3777), modes, grants),
)
entries = st.lists(
    st.tuples(
        st.sampled_from(["", "a/", "a/b/", "c/"]),
        ids,
        ids,
        st.integers(0, 0o7777),
        st.integers(0, 3),
        grants,
    ),
    max_size=6,
)


@settings(max_examples=50)
@given(wants, entries)
def test_what_was_planned_is_what_is_done_and_then_nothing_is_left(
    wanted: Wanted, made: list[tuple[str, int, int, int, int, tuple[Grant, ...] | None]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        root = Path(directory, "media")
        for number, (parent, uid, gid, mode, links, acl) in enumerate(made):
            path = file(root / parent / str(number))
            os.chown(path, uid, gid)
            if acl:
                apply_acl(path, acl)
            path.chmod(mode)
            os.chown(path.parent, gid, uid)
            path.parent.chmod(mode ^ 0o700)
            for link in range(links):
                os.link(path, root / f"{number}-{link}")
        root.mkdir(exist_ok=True)
        planned = plan(str(root), wanted)
        assert dataclasses.asdict(apply(str(root), wanted)) == dataclasses.asdict(planned)
        left = plan(str(root), wanted)
        assert (left.mended, left.changes) == (0, [])
        assert left.hard_links == planned.hard_links
        assert planned.mended <= planned.files + planned.directories


def apply_acl(path: Path, acl: tuple[Grant, ...]) -> None:
    look = _tree_permissions._look(Wanted(0, 0, 0o750, 0o640, acl), is_directory=False)
    os.setxattr(path, ACCESS, look.acls[0][1] or b"")


# The root alone


@pytest.mark.parametrize("wanted", [WANTED, WITH_ACL])
def test_the_root_alone(tree: Path, wanted: Wanted) -> None:
    inside = file(tree / "sub/b.png")
    tree.chmod(0o700)
    planned = plan(str(tree), wanted, recurse=False)
    done = apply(str(tree), wanted, recurse=False)
    assert dataclasses.asdict(planned) == dataclasses.asdict(done)
    assert (paths(done), done.directories, done.files, done.has_more) == (["./"], 1, 0, True)
    assert looks(inside) == (0, 0, 0o600)
    assert (DEFAULT in os.listxattr(tree)) is bool(wanted.grants)
    assert not apply(str(tree), wanted, recurse=False).changed


def test_a_root_with_nothing_in_it_has_no_more(open_directory: Path) -> None:
    assert not plan(str(open_directory), WANTED, recurse=False).has_more
    file(open_directory / "a.png")
    assert plan(str(open_directory), WANTED, recurse=False).has_more
    assert not plan(str(open_directory), WANTED).has_more


# ACLs


def acl_of(path: Path, name: str = ACCESS) -> dict[tuple[int, int], int]:
    return _tree_permissions.effective(os.getxattr(path, name))


def can(who: _as_user.Account, path: Path, how: int) -> bool:
    answer: bool = _as_user.call(who, os.access, str(path), how)
    return answer


def test_a_user_reads_by_acl_what_is_there_and_what_comes(
    open_directory: Path, visitor: _as_user.Account
) -> None:
    root = open_directory / "media"
    there = file(root / "sub/b.png")
    assert not can(visitor, there, os.R_OK)
    assert apply(str(root), WITH_ACL).mended == 3
    assert can(visitor, there, os.R_OK)
    assert not can(visitor, there, os.W_OK) and not can(visitor, there, os.X_OK)
    assert not can(visitor, root / "sub", os.W_OK)
    app = _as_user.Account("app", APP, GROUP, (GROUP,), "/")
    # The umask is the ACL's own now (acl(5), "Object creation and default ACLs").
    _as_user.call(app, make, str(root / "sub/new/c.png"), 0o666, umask=0o077)
    assert can(visitor, root / "sub/new/c.png", os.R_OK)
    assert not plan(str(root), WITH_ACL).changed
    # mkstemp
    _as_user.call(app, make, str(root / "sub/d.png"), 0o600)
    assert not can(visitor, root / "sub/d.png", os.R_OK)
    assert paths(plan(str(root), WITH_ACL)) == ["sub/d.png"]
    assert apply(str(root), WITH_ACL).mended == 1
    assert can(visitor, root / "sub/d.png", os.R_OK)


def make(path: str, mode: int) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, mode))


def test_other_entries_are_removed_and_the_mask_is_all_that_is_granted(tree: Path) -> None:
    apply(str(tree), WANTED._replace(grants=(Grant(True, OTHER, "rwx"), Grant(False, APP, "r"))))
    assert looks(tree / "a.png")[2] == 0o670
    apply(str(tree), WITH_ACL._replace(file_mode=0o600))
    assert looks(tree / "a.png")[2] == 0o640
    assert acl_of(tree / "a.png") == {
        (0x01, 0xFFFFFFFF): 6,
        (0x02, 61001): 4,
        (0x04, 0xFFFFFFFF): 0,
        (0x20, 0xFFFFFFFF): 0,
    }
    assert acl_of(tree, DEFAULT) == acl_of(tree)
    assert acl_of(tree)[(0x02, 61001)] == 5


def test_without_grants_acls_are_removed_and_when_unset_left_alone(tree: Path) -> None:
    apply(str(tree), WITH_ACL)
    assert not plan(str(tree), WANTED).changed
    assert ACCESS in os.listxattr(tree / "a.png")
    assert apply(str(tree), WANTED._replace(grants=())).mended == 2
    assert {*os.listxattr(tree), *os.listxattr(tree / "a.png")}.isdisjoint({ACCESS, DEFAULT})
    assert looks(tree) == DIRECTORY and looks(tree / "a.png") == FILE


def test_a_change_of_an_acl_alone_is_told_as_one(tree: Path) -> None:
    apply(str(tree), WITH_ACL)
    change = plan(str(tree), WANTED._replace(grants=(NGINX, Grant(True, OTHER, "r")))).changes[0]
    assert (change.before[-11:], change.after[-7:]) == ("another ACL", "the ACL")


def test_an_acl_needs_modes(tree: Path) -> None:
    with pytest.raises(TreePermissionsError, match="acl needs directory_mode and file_mode too"):
        plan(str(tree), Wanted(uid=APP, grants=(NGINX,)))


@pytest.mark.parametrize("wanted", [WITH_ACL, WANTED._replace(grants=())])
def test_a_file_system_without_acls(
    tree: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted
) -> None:
    def getxattr(*_arguments: object, **_more: object) -> bytes:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "getxattr", getxattr)
    file(tree / "b.png")
    if wanted.grants:
        with pytest.raises(TreePermissionsError, match="keeps no POSIX ACLs"):
            apply(str(tree), wanted)
        assert looks(tree / "b.png") == (0, 0, 0o600)
    else:
        assert paths(apply(str(tree), wanted)) == ["b.png"]


# What can't be changed


def refusing(number: int, name: str) -> t.Callable[[str, os.stat_result, t.Any], None]:
    original = _tree_permissions._change

    def change(target: str, status: os.stat_result, look: t.Any) -> None:
        if os.readlink(target).endswith(name):
            raise OSError(number, os.strerror(number))
        original(target, status, look)

    return change


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EPERM, "chattr -i -a"),
        (errno.EINVAL, "user_namespaces"),
        (errno.ENOSPC, "Free some"),
        (errno.EIO, "Check its file system"),
    ],
)
def test_what_cannot_be_changed_is_told_after_the_rest_is(
    tree: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    for name in ("sub/b.png", "sub/c.png", "d.png"):
        file(tree / name)
    monkeypatch.setattr(_tree_permissions, "_change", refusing(number, "/c.png"))
    with pytest.raises(TreePermissionsError, match=advice) as caught:
        apply(str(tree), WANTED)
    assert f"1 of what is below {tree}" in str(caught.value)
    assert f"\n{tree}/sub/c.png: {os.strerror(number)}." in str(caught.value)
    assert caught.value.report is not None
    assert paths(caught.value.report) == ["d.png", "sub/", "sub/b.png"]
    assert looks(tree / "d.png") == FILE


def test_many_problems_are_counted(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        file(tree / f"{number}.png")
    monkeypatch.setattr(_tree_permissions, "_change", refusing(errno.EPERM, ".png"))
    with pytest.raises(TreePermissionsError) as caught:
        apply(str(tree), WANTED)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("20 of what is") and lines[-1] == "And 15 more of the kind."
    assert len(lines) == 2 + _tree_permissions.PROBLEMS_SHOWN


def test_a_read_only_file_system_ends_it_at_once(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file(tree / "sub/b.png")
    monkeypatch.setattr(_tree_permissions, "_change", refusing(errno.EROFS, "/sub"))
    with pytest.raises(TreePermissionsError, match="mounted read-only") as caught:
        apply(str(tree), WANTED)
    assert caught.value.report is not None and not caught.value.report.changed
    assert looks(tree / "sub/b.png") == (0, 0, 0o600)


def test_a_user_who_is_not_root_is_told_so(tree: Path, visitor: _as_user.Account) -> None:
    tree.chmod(0o755)
    file(tree / "sub/b.png", 0o644)
    (tree / "closed").mkdir(mode=0o700)

    def attempt(run: str) -> str:
        try:
            getattr(_tree_permissions, run)(str(tree), WITH_ACL)
        except TreePermissionsError as error:
            return str(error)
        return ""

    for run, count in (("plan", 1), ("apply", 5)):
        message = _as_user.call(visitor, attempt, run)
        assert message.startswith(f"{count} of what is below {tree}")
        assert "Set 'become: true' on the task." in message
    tree.chmod(0o700)
    assert "Permission denied. Set 'become: true'" in _as_user.call(visitor, attempt, "plan")
