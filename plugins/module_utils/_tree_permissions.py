# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Give a tree of files one owner, group, modes and ACLs, in one pass, while its app goes on writing.

The tree is an app's, and root walks it: so everything in it may be what an attacker wants root to
touch. Directories are entered by descriptors that follow no link. What is wrong is pinned by a
descriptor first (O_PATH, open(2)), judged again, and changed through that descriptor: whatever takes
its name meanwhile is not what is changed.

Directories are read as streams and only counts and the first few paths are kept, so memory does not
grow with the tree.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import resource
import stat
import typing as t
from collections import deque

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _acl,
    _mounts,
    _names,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._directories import (
    SHARED_DIRECTORIES,
)

SHOWN = 10
PROBLEMS_SHOWN = 5
# The id of a user or group whom a run would make; nothing has it (chown(2)).
TO_COME = -1
# Below that depth, names of subdirectories are read before the first of them is entered, since each
# stream that is held open takes another descriptor, and 32 KiB.
STREAMED_DEPTH = 64
# path_resolution(7)
MAX_SYMLINKS = 40
PATH_SHOWN = 4096

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# The entry was removed, or its server says so (open(2), errno(3)).
_GONE = (errno.ENOENT, errno.ESTALE)
# Another kind of file took a directory's name (open(2), O_DIRECTORY and O_NOFOLLOW).
_REPLACED = (errno.ENOTDIR, errno.ELOOP)
_NO_ACL = (errno.ENOTSUP, errno.EOPNOTSUPP)
_DEEP = (errno.EMFILE, errno.ENFILE)


class TreePermissionsError(Exception):
    """What is wanted can't be had.

    :ivar report: what was done all the same, or None when nothing was begun.
    """

    def __init__(self, message: str, report: Report | None = None) -> None:
        super().__init__(message)
        self.report = report


class Grant(t.NamedTuple):
    """What a user or group may do besides the owner and the owning group (acl(5)).

    :ivar permissions: letters of ``rwxX``; ``X`` is ``x`` for directories only.
    """

    is_user: bool
    id: int
    permissions: str


class Wanted(t.NamedTuple):
    """What a tree should be; ``None`` leaves it alone. Grants need both modes."""

    uid: int | None = None
    gid: int | None = None
    directory_mode: int | None = None
    file_mode: int | None = None
    grants: tuple[Grant, ...] | None = None


class _Look(t.NamedTuple):
    """What a kind of file should be.

    :ivar mode: as stat(2) gives it; with an ACL its group bits are the mask (acl(5)).
    :ivar acls: attribute and content, ``None`` for no such attribute; empty leaves ACLs alone.
    """

    uid: int | None
    gid: int | None
    mode: int | None
    acls: tuple[tuple[str, bytes | None], ...]


class Change(t.NamedTuple):
    path: str
    before: str
    after: str


@dataclasses.dataclass
class Some:
    """A count, and the first of what was counted."""

    count: int = 0
    first: list[str] = dataclasses.field(default_factory=list)

    def add(self, frame: _Frame, name: str) -> None:
        self.count += 1
        # Paths may be long: only those that are shown are put together.
        if len(self.first) < SHOWN:
            self.first.append(_shown(frame.path(name)))


@dataclasses.dataclass
class Report:
    """What was found and done, or would be; paths are below the root, which is ``.``.

    :ivar hard_links: files of others that have other names too, left alone.
    :ivar mounts: what lies on another file system or mount, left alone.
    :ivar foreign: files whose owner differed.
    :ivar has_more: whether the root holds something that was not looked at, since only the root was.
    """

    directories: int = 0
    files: int = 0
    symlinks: int = 0
    special: int = 0
    mended: int = 0
    foreign: int = 0
    has_more: bool = False
    changes: list[Change] = dataclasses.field(default_factory=list)
    hard_links: Some = dataclasses.field(default_factory=Some)
    mounts: Some = dataclasses.field(default_factory=Some)
    problems: Some = dataclasses.field(default_factory=Some)

    @property
    def changed(self) -> bool:
        return self.mended > 0


def plan(path: str, wanted: Wanted, recurse: bool = True) -> Report:
    """Return what :func:`apply` would do, and change nothing.

    :param recurse: whether to look at what is in the directory too.
    :raises TreePermissionsError: when the path is unfit, or a part of the tree can't be read.
    """
    return _Walk(path, wanted, is_plan=True).run(recurse)


def apply(path: str, wanted: Wanted, recurse: bool = True) -> Report:
    """Change what differs, and return what was changed.

    An entry that can't be changed doesn't keep the others from it.

    :param recurse: whether to go on to what is in the directory.
    :raises TreePermissionsError: when the path is unfit, or, at the end, when something can't be
        read or changed.
    """
    return _Walk(path, wanted, is_plan=False).run(recurse)


def exists(path: str) -> bool:
    """Return whether there is anything of that name, a dangling link too."""
    return os.path.lexists(path)


class _Frame:
    """A directory that was entered."""

    __slots__ = ("depth", "fd", "name", "parent", "subdirectories")

    def __init__(self, fd: int, name: str, parent: _Frame | None) -> None:
        self.fd = fd
        self.name = name
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.subdirectories: t.Iterator[str] = iter(())

    def path(self, name: str = "") -> str:
        names = [name] if name else []
        frame: _Frame = self
        while frame.parent is not None:
            names.append(frame.name)
            frame = frame.parent
        return "/".join(reversed(names)) or "."


class _Walk:
    def __init__(self, path: str, wanted: Wanted, is_plan: bool) -> None:
        self._path = path
        self._is_plan = is_plan
        self._wanted = wanted
        self._file = _look(wanted, is_directory=False)
        self._directory = _look(wanted, is_directory=True)
        self._report = Report()
        self._device = 0
        # Who may have hard links in the tree
        self._owner = 0
        self._mount_points: frozenset[str] = frozenset()
        # How many names are still to come of files that have several, and are mended by the first.
        self._names_to_come: dict[int, int] = {}

    def run(self, recurse: bool) -> Report:
        if not os.path.isdir("/proc/self/fd"):
            raise TreePermissionsError(
                "/proc is not mounted, and what is changed is reached through /proc/self/fd. Mount it "
                "(mount -t proc proc /proc)."
            )
        root = open_root(self._path)
        with contextlib.ExitStack() as stack:
            stack.callback(_close_all, frames := [_Frame(root, "", None)])
            self._begin(root)
            stack.enter_context(_many_descriptors())
            if self._file.acls:
                stack.enter_context(_restored_directory())
            self._judge_directory(frames[0])
            if recurse:
                self._descend(frames)
            else:
                with os.scandir(root) as entries:
                    self._report.has_more = any(True for _unused in entries)
        if self._report.problems.count:
            raise TreePermissionsError(self._failure(), self._report)
        return self._report

    def _begin(self, root: int) -> None:
        status = os.fstat(root)
        self._device = status.st_dev
        self._owner = status.st_uid if self._wanted.uid is None else self._wanted.uid
        self._mount_points = mount_points_below(os.readlink(f"/proc/self/fd/{root}"))
        if self._wanted.grants:
            try:
                os.getxattr(root, ACCESS)
            except OSError as error:
                if error.errno not in _NO_ACL:
                    return
                raise TreePermissionsError(
                    f"The file system of {self._path} keeps no POSIX ACLs. Mount one that does "
                    "(such as ext4 or XFS, without the option noacl), or leave out acl and let the "
                    "group read."
                ) from error

    def _descend(self, frames: list[_Frame]) -> None:
        """Walk depth first; a stack of frames, since trees may be deeper than Python's own."""
        self._open_stream(frames[-1])
        while frames:
            frame = frames[-1]
            self._stand_in(frame)
            name = next(frame.subdirectories, None)
            if name is None:
                os.close(frames.pop().fd)
                continue
            child = self._enter(frame, name)
            if child is not None:
                frames.append(child)
                self._judge_directory(child)
                self._open_stream(child)

    def _open_stream(self, frame: _Frame) -> None:
        frame.subdirectories = self._files(frame)
        if frame.depth >= STREAMED_DEPTH:
            self._stand_in(frame)
            frame.subdirectories = iter(list(frame.subdirectories))

    def _stand_in(self, frame: _Frame) -> None:
        """For the relative names by which ACLs are read."""
        if self._file.acls:
            # Whoever may not pass through it can't read its files' status either, which is reported.
            with contextlib.suppress(PermissionError):
                os.fchdir(frame.fd)

    def _files(self, frame: _Frame) -> t.Iterator[str]:
        """Judge what is in a directory; yield the names of its subdirectories.

        A million times through here is the module's whole time: what is right costs one fstatat(2).
        """
        report = self._report
        uid, gid, mode, acls = self._file
        any_uid, any_gid, any_mode = uid is None, gid is None, mode is None
        right_mode = stat.S_IFREG | (mode or 0)
        mount_points = self._mount_points
        files = 0
        try:
            with os.scandir(frame.fd) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self._could_not(error, frame, entry.name)
                        continue
                    actual = status.st_mode
                    if (
                        (actual == right_mode or (any_mode and stat.S_ISREG(actual)))
                        and (any_uid or status.st_uid == uid)
                        and (any_gid or status.st_gid == gid)
                        and (not mount_points or frame.path(entry.name) not in mount_points)
                        and (not acls or _acl_is_right(entry.name, acls))
                    ):
                        files += 1
                    elif self._is_mount(frame, entry.name, status):
                        report.mounts.add(frame, entry.name)
                    elif stat.S_ISDIR(actual):
                        yield entry.name
                    elif stat.S_ISREG(actual):
                        files += 1
                        self._judge_file(frame, entry.name)
                    elif stat.S_ISLNK(actual):
                        report.symlinks += 1
                    else:
                        report.special += 1
        except OSError as error:
            self._could_not(error, frame)
        finally:
            report.files += files

    def _is_mount(self, frame: _Frame, name: str, status: os.stat_result) -> bool:
        # Files of an overlay may have another device than their directory (overlayfs, "Inode
        # properties"), so that of a file says nothing.
        if stat.S_ISDIR(status.st_mode) and status.st_dev != self._device:
            return True
        return bool(self._mount_points) and frame.path(name) in self._mount_points

    def _judge_file(self, frame: _Frame, name: str) -> None:
        """Pin a file, judge it again, and mend it."""
        try:
            fd = _pin(name, frame.fd)
        except OSError as error:
            self._could_not(error, frame, name)
            return
        try:
            status = os.fstat(fd)
            # Otherwise something else took its name; the next run sees what.
            if not stat.S_ISREG(status.st_mode):
                return
            if not _differs(status, f"/proc/self/fd/{fd}", self._file):
                return
            if status.st_nlink > 1 and status.st_uid != self._owner:
                # Whoever writes here may have linked a file of another's to be given it: with
                # fs.protected_hardlinks=0 any file, otherwise one they can write
                # (Documentation/admin-guide/sysctl/fs.rst).
                self._report.hard_links.add(frame, name)
                return
            if self._is_plan and status.st_nlink > 1 and self._is_known(status):
                return
            self._mend(fd, status, self._file, frame, name)
            self._report.foreign += self._file.uid not in (None, status.st_uid)
        except OSError as error:
            self._could_not(error, frame, name)
        finally:
            os.close(fd)

    def _is_known(self, status: os.stat_result) -> bool:
        """Whether another name of the file was counted, by which it would have been mended."""
        rest = self._names_to_come.pop(status.st_ino, status.st_nlink)
        if rest > 1:
            self._names_to_come[status.st_ino] = rest - 1
        return rest < status.st_nlink

    def _enter(self, frame: _Frame, name: str) -> _Frame | None:
        try:
            fd = _open_directory(name, frame.fd)
        except OSError as error:
            if error.errno not in _REPLACED:
                self._could_not(error, frame, name)
            return None
        # What was mounted since, or moved in
        if os.fstat(fd).st_dev != self._device:
            self._report.mounts.add(frame, name)
            os.close(fd)
            return None
        return _Frame(fd, name, frame)

    def _judge_directory(self, frame: _Frame) -> None:
        """Before what is in it, so that what is made there meanwhile inherits the right group and ACL."""
        self._report.directories += 1
        try:
            status = os.fstat(frame.fd)
            if _differs(status, f"/proc/self/fd/{frame.fd}", self._directory):
                self._mend(frame.fd, status, self._directory, frame)
        except OSError as error:
            self._could_not(error, frame)

    def _mend(
        self, fd: int, status: os.stat_result, look: _Look, frame: _Frame, name: str = ""
    ) -> None:
        if self._is_plan:
            # What a change would be told
            if os.statvfs(fd).f_flag & os.ST_RDONLY:
                self._read_only()
        else:
            _change(f"/proc/self/fd/{fd}", status, look)
        self._report.mended += 1
        if len(self._report.changes) < SHOWN:
            self._report.changes.append(_described(frame.path(name), status, look))

    def _could_not(self, error: OSError, frame: _Frame, name: str = "") -> None:
        if error.errno in _GONE:
            return
        if error.errno == errno.EROFS:
            self._read_only()
        problems = self._report.problems
        problems.count += 1
        if problems.count <= PROBLEMS_SHOWN:
            path = _shown(os.path.normpath(os.path.join(self._path, frame.path(name))))
            problems.first.append(f"{path}: {error.strerror}. {_advice(error.errno)}")

    def _read_only(self) -> t.NoReturn:
        raise TreePermissionsError(
            f"The file system of {self._path} is mounted read-only, so nothing on it can be changed. "
            f"Look for the reason in `findmnt -T {self._path}` and `dmesg`, and mount it read-write.",
            self._report,
        )

    def _failure(self) -> str:
        report = self._report
        count, first = report.problems.count, report.problems.first
        done = "would be" if self._is_plan else "were"
        hidden = [f"And {count - len(first)} more of the kind."] if count > len(first) else []
        summary = (
            f"{count} of what is below {self._path} can't be read or changed; {report.mended} others "
            f"that differed {done} mended."
        )
        return "\n".join([summary, *first, *hidden])


def _pin(name: str, directory: int) -> int:
    return os.open(name, _PIN, dir_fd=directory)


def _open_directory(name: str, directory: int) -> int:
    return os.open(name, _DIRECTORY, dir_fd=directory)


def _close_all(frames: list[_Frame]) -> None:
    for frame in frames:
        frame.subdirectories = iter(())
        os.close(frame.fd)


@contextlib.contextmanager
def _restored_directory() -> t.Iterator[None]:
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)


@contextlib.contextmanager
def _many_descriptors() -> t.Iterator[None]:
    """Allow as many descriptors as the limit may be set to: the depth of the tree takes one a level."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Roots


def open_root(path: str) -> int:
    """Open the directory to walk, passing only links that root, or who runs this, has made.

    :raises TreePermissionsError: when it isn't one, or is nobody's own.
    """
    if not path.startswith("/") or "\0" in path:
        raise TreePermissionsError(
            f"path: {_names.printable(path)!r} is no absolute path. Write it from the root, such as "
            "/var/www/gallery/media."
        )
    try:
        fd = _walk_to(path)
    except OSError as error:
        remedy = {
            errno.ENOENT: "Make it first, or mount what holds it.",
            errno.ENOTDIR: "Name a directory.",
            errno.EACCES: "Set 'become: true' on the task.",
        }.get(error.errno or 0, "Name a directory that can be read.")
        raise TreePermissionsError(
            f"path: {_names.printable(path)}: {error.strerror}. {remedy}"
        ) from error
    real = os.readlink(f"/proc/self/fd/{fd}")
    if real in SHARED_DIRECTORIES:
        os.close(fd)
        raise TreePermissionsError(
            f"path: {_names.printable(path)} is {real}, which the system and others share. Name the directory "
            "of one app, such as /var/www/gallery/media."
        )
    return fd


def _walk_to(path: str) -> int:
    waiting = deque(name for name in path.split("/") if name not in ("", "."))
    links = 0
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        while waiting:
            name = waiting.popleft()
            found = os.open(name, _PIN, dir_fd=here)
            status = os.fstat(found)
            if not stat.S_ISLNK(status.st_mode):
                os.close(here)
                here = found
                continue
            target = os.readlink("", dir_fd=found)
            os.close(found)
            links += 1
            _check_link(path, name, status, not waiting, links)
            if target.startswith("/"):
                os.close(here)
                here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            waiting.extendleft(
                reversed([part for part in target.split("/") if part not in ("", ".")])
            )
        return os.open(f"/proc/self/fd/{here}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(here)


def _check_link(path: str, name: str, status: os.stat_result, is_last: bool, links: int) -> None:
    if links > MAX_SYMLINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if is_last:
        raise TreePermissionsError(
            f"path: {_names.printable(path)} is a link. Name the directory that it leads to."
        )
    if status.st_uid not in (0, os.geteuid()):
        raise TreePermissionsError(
            f"path: {_names.printable(path)} passes the link {_names.printable(name)}, which "
            f"{_names.user_name(status.st_uid)} made and can point anywhere. Name the directory that "
            "it leads to, or have root make the link."
        )


def mount_points_below(real: str) -> frozenset[str]:
    """Return the mount points below a path without links, relative to it.

    Bind mounts of the same file system have the same device, so only this tells them.
    """
    prefix = real.rstrip("/") + "/"
    points = [mount["mount_point"] for mount in _mounts.mounts()]
    return frozenset(point[len(prefix) :] for point in points if point.startswith(prefix))


# What differs


def _differs(status: os.stat_result, target: str, look: _Look) -> bool:
    return bool(
        (look.uid is not None and status.st_uid != look.uid)
        or (look.gid is not None and status.st_gid != look.gid)
        or (look.mode is not None and stat.S_IMODE(status.st_mode) != look.mode)
        or not all(_same_acl(_read_acl(target, name), acl) for name, acl in look.acls)
    )


def _acl_is_right(name: str, acls: tuple[tuple[str, bytes | None], ...]) -> bool:
    """Whether a file of the current directory has the ACL wanted.

    Not by /proc/self/fd/N/NAME: this is thrice as fast, and the file's own name is never followed.
    """
    try:
        return all(
            _same_acl(_read_acl(name, kind, follow_symlinks=False), acl) for kind, acl in acls
        )
    except OSError:
        return False


def _read_acl(target: str, name: str, follow_symlinks: bool = True) -> bytes | None:
    try:
        return os.getxattr(target, name, follow_symlinks=follow_symlinks)
    except OSError as error:
        if error.errno == errno.ENODATA or error.errno in _NO_ACL:
            return None
        raise


@functools.lru_cache(maxsize=1024)
def _same_acl(actual: bytes | None, wanted: bytes | None) -> bool:
    return actual == wanted or effective(actual) == effective(wanted)


def effective(raw: bytes | None) -> dict[tuple[int, int], int]:
    """Return what an ACL grants, its mask applied; nothing, where it says no more than a mode.

    A file that was made under a default ACL has its own entries unmasked, and means the same.
    """
    if raw is None:
        return {}
    try:
        entries = _acl.decode_acl(raw)
    except ValueError:
        return {(0, 0): 0}
    masks = [entry.permissions for entry in entries if entry.tag == _acl.MASK]
    if not masks and not any(entry.tag in (_acl.USER, _acl.GROUP) for entry in entries):
        return {}
    mask = masks[0] if masks else 7
    return {
        (entry.tag, entry.id): entry.permissions
        & (mask if entry.tag in (_acl.USER, _acl.GROUP_OBJ, _acl.GROUP) else 7)
        for entry in entries
        if entry.tag != _acl.MASK
    }


# What is wanted


def _look(wanted: Wanted, is_directory: bool) -> _Look:
    mode = wanted.directory_mode if is_directory else wanted.file_mode
    if wanted.grants is None:
        return _Look(wanted.uid, wanted.gid, mode, ())
    if mode is None:
        raise TreePermissionsError(
            "acl needs directory_mode and file_mode too, since an ACL holds what they say."
        )
    names = (ACCESS, DEFAULT) if is_directory else (ACCESS,)
    if not wanted.grants:
        return _Look(wanted.uid, wanted.gid, mode, tuple((name, None) for name in names))
    entries, mask = _entries(mode, wanted.grants, is_directory)
    raw = _acl.encode_acl(entries)
    shown = mode & ~0o070 | mask << 3
    return _Look(wanted.uid, wanted.gid, shown, tuple((name, raw) for name in names))


def _entries(
    mode: int, grants: tuple[Grant, ...], is_directory: bool
) -> tuple[list[tuple[int, int, int]], int]:
    named = [
        (
            _acl.USER if grant.is_user else _acl.GROUP,
            bits_of(grant.permissions, is_directory),
            grant.id,
        )
        for grant in sorted(grants, key=lambda grant: grant.id)
    ]
    group = mode >> 3 & 7
    mask = functools.reduce(lambda bits, entry: bits | entry[1], named, group)
    entries = [
        (_acl.USER_OBJ, mode >> 6 & 7, _acl.UNDEFINED_ID),
        *(entry for entry in named if entry[0] == _acl.USER),
        (_acl.GROUP_OBJ, group, _acl.UNDEFINED_ID),
        *(entry for entry in named if entry[0] == _acl.GROUP),
        (_acl.MASK, mask, _acl.UNDEFINED_ID),
        (_acl.OTHER, mode & 7, _acl.UNDEFINED_ID),
    ]
    return entries, mask


def bits_of(permissions: str, is_directory: bool) -> int:
    """Return the three bits of ``rX`` and the like."""
    bits = {"r": 4, "w": 2, "x": 1, "X": 1 if is_directory else 0, "-": 0}
    return functools.reduce(lambda known, letter: known | bits[letter], permissions, 0)


# Changes


def _change(target: str, status: os.stat_result, look: _Look) -> None:
    """Change what the descriptor behind ``target`` has pinned.

    The owner first, which takes set-user-ID bits away (chown(2)); the mode last, which an ACL
    changes. A run that is killed between them leaves a difference that the next one finds.
    """
    uid = -1 if look.uid is None or look.uid == status.st_uid else look.uid
    gid = -1 if look.gid is None or look.gid == status.st_gid else look.gid
    if (uid, gid) != (-1, -1):
        os.chown(target, uid, gid)
    for name, acl in look.acls:
        actual = _read_acl(target, name)
        if _same_acl(actual, acl):
            continue
        if acl is None:
            os.removexattr(target, name)
        else:
            os.setxattr(target, name, acl)
    if look.mode is not None and stat.S_IMODE(os.stat(target).st_mode) != look.mode:
        os.chmod(target, look.mode)


def _described(path: str, status: os.stat_result, look: _Look) -> Change:
    actual = stat.S_IMODE(status.st_mode)
    before = _text(status.st_uid, status.st_gid, actual)
    uid = status.st_uid if look.uid is None else look.uid
    gid = status.st_gid if look.gid is None else look.gid
    after = _text(uid, gid, actual if look.mode is None else look.mode)
    shown = _shown(path + "/" if stat.S_ISDIR(status.st_mode) else path)
    if before == after:
        before, after = f"{before} another ACL", f"{after} the ACL"
    return Change(shown, before, after)


def _text(uid: int, gid: int, mode: int) -> str:
    owner = "?" if uid == TO_COME else _names.user_name(uid)
    group = "?" if gid == TO_COME else _names.group_name(gid)
    return f"{owner}:{group} {mode:04o}"


def _shown(path: str) -> str:
    text = _names.printable(path)
    half = PATH_SHOWN // 2
    return text if len(text) <= PATH_SHOWN else f"{text[:half]} … {text[-half:]}"


def _advice(number: int | None) -> str:
    if number in _DEEP:
        return "It is deeper than descriptors can be open (ulimit -Hn). Move it up, or raise that limit."
    if number == errno.EINVAL:
        return "This container may not use that id (user_namespaces(7)). Run it on the host of the file system."
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "An ACL needs room on the disk. Free some, or raise the quota."
    if number in _NO_ACL:
        return "Its file system keeps no POSIX ACLs. Leave out acl and let the group read."
    if number in (errno.EPERM, errno.EACCES):
        if os.geteuid() != 0:
            return "Set 'become: true' on the task."
        return (
            "Root may not either. If `lsattr -d` shows an i or a, `chattr -i -a` it; "
            "on NFS, run this on the server."
        )
    return "Check its file system, and run this again."
