# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Files and the components of paths as they lie there. Reads only, and never what is no regular file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _mounts,
    _names,
    _path_access,
)

HASH_LIMIT_BYTES = 256 * 1024 * 1024
LABEL_ATTRIBUTE = "security.selinux"
_CHUNK_BYTES = 1 << 20

Facts = dict[str, t.Any]

_TYPES = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "directory"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISBLK, "block device"),
    (stat.S_ISCHR, "character device"),
)


def kind(mode: int) -> str:
    """Return what a mode says that something is."""
    return next((name for test, name in _TYPES if test(mode)), "unknown")


def looks(status: os.stat_result) -> Facts:
    """Return what is told of everything that exists."""
    return {
        "type": kind(status.st_mode),
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def found(path: str) -> os.stat_result | None:
    """Return what a path leads to, ``None`` when that is nothing.

    :raises OSError: when it can't be seen whether there is anything.
    """
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise


def file(path: str, is_hashed: bool) -> Facts:
    """Describe what a path leads to, and the link that it is, if it is one.

    :raises OSError: when it can't be seen whether there is anything.
    """
    answer: Facts = {
        "path": _names.printable(path),
        "exists": False,
        **dict.fromkeys(("type", "mode", "uid", "gid", "owner", "group", "size", "mtime")),
        **dict.fromkeys(("sha256", "link", "realpath", "error")),
    }
    with contextlib.suppress(OSError):
        answer["link"] = _names.printable(os.readlink(path))
    status = found(path)
    if status is None:
        return answer
    answer.update(
        looks(status),
        exists=True,
        size=status.st_size,
        mtime=status.st_mtime,
        realpath=_names.printable(os.path.realpath(path)),
    )
    if is_hashed and stat.S_ISREG(status.st_mode):
        try:
            answer["sha256"] = _sha256(path)
        except OSError as error:
            answer["error"] = error.strerror
    return answer


def _sha256(path: str) -> str:
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        # Not even the time of access changes, where the kernel allows that (open(2)).
        descriptor = os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no longer a regular file")
        if status.st_size > HASH_LIMIT_BYTES:
            raise OSError(errno.EFBIG, f"larger than {HASH_LIMIT_BYTES} bytes, so not hashed")
        digest = hashlib.sha256()
        while True:
            chunk = os.read(descriptor, _CHUNK_BYTES)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)
    finally:
        os.close(descriptor)


def components(path: str, table: t.Sequence[Facts]) -> list[Facts]:
    """Describe what a path leads through, from / on, with what its links lead through.

    :param table: mounts, to tell where another file system begins.
    """
    points = {mount["mount_point"]: mount["fstype"] for mount in table}
    passed: dict[str, Facts] = {}
    pending, current, followed = ["", *_parts(path)], "/", 0
    while pending:
        name = pending.pop(0)
        if name == "..":
            current = os.path.dirname(current)
            continue
        step = os.path.join(current, name)
        facts, target = _component(step, points)
        passed.setdefault(step, facts)
        if facts["type"] is None:
            break
        if target is None:
            current = step
            continue
        followed += 1
        if followed > _path_access.MAX_SYMLINKS:
            break
        pending = _parts(target) + pending
        if target.startswith("/"):
            current = "/"
    return list(passed.values())


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _component(path: str, points: t.Mapping[str, str]) -> tuple[Facts, str | None]:
    facts: Facts = {
        "path": _names.printable(path),
        **dict.fromkeys(("type", "mode", "uid", "gid", "owner", "group", "link", "error")),
        "acl": False,
        "label": None,
        "is_mount": path in points,
        "fstype": points.get(path),
    }
    target = None
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(path)
            facts["link"] = _names.printable(target)
    except OSError as error:
        facts["error"] = error.strerror
        return facts, None
    facts.update(looks(status))
    if target is None:
        with contextlib.suppress(OSError):
            facts["acl"] = _path_access.ACL_ATTRIBUTE in os.listxattr(path)
        with contextlib.suppress(OSError):
            # Ends with a NUL (selinux(8), libselinux)
            label = os.getxattr(path, LABEL_ATTRIBUTE).rstrip(b"\0")
            facts["label"] = _names.printable(os.fsdecode(label))
    return facts, target


def storage(path: str, table: t.Sequence[Facts], fstab: t.Sequence[Facts]) -> Facts:
    """Return the room there is, and what is mounted there, or should be.

    Of a path that is missing, the directory that it would be made in is told of. File systems that
    make inodes as they are needed count none: both numbers are 0 then.

    :raises OSError: when it can't be seen whether there is anything.
    """
    existing = os.path.realpath(path)
    exists = found(path) is not None
    while not os.path.lexists(existing) and existing != "/":
        existing = os.path.dirname(existing)
    mount = _mounts.file_system(existing, table) or {}
    answer: Facts = {
        "path": _names.printable(path),
        "exists": exists,
        "mount_point": mount.get("mount_point"),
        "fstype": mount.get("fstype"),
        "source": mount.get("device"),
        "options": mount.get("options"),
        "read_only": mount.get("read_only"),
        "fstab": _absent(os.path.realpath(path), table, fstab),
    }
    # As users other than root have it (statvfs(3))
    numbers = os.statvfs(existing)
    answer.update(
        free_bytes=numbers.f_bavail * numbers.f_frsize,
        size_bytes=numbers.f_blocks * numbers.f_frsize,
        free_inodes=numbers.f_favail,
        inodes=numbers.f_files,
    )
    return answer


def _absent(path: str, table: t.Sequence[Facts], fstab: t.Sequence[Facts]) -> Facts | None:
    """Return the innermost entry of fstab that the path should lie on, if nothing is mounted there."""
    present = {mount["mount_point"] for mount in table}
    entry = _mounts.file_system(path, fstab)
    return None if entry is None or os.path.realpath(entry["mount_point"]) in present else entry


def read_fstab(path: str = "/etc/fstab") -> list[Facts]:
    """Return what is to be mounted without being asked for (fstab(5))."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as lines:
            fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    except OSError:
        return []
    wanted = []
    for entry in fields:
        if len(entry) < 3 or not entry[1].startswith("/") or entry[2] == "swap":
            continue
        options = entry[3].split(",") if len(entry) > 3 else []
        if "noauto" not in options:
            wanted.append(
                {
                    "source": _mounts.unescape(entry[0]),
                    "mount_point": _mounts.unescape(entry[1]).rstrip("/") or "/",
                    "fstype": entry[2],
                    "options": options,
                }
            )
    return wanted
