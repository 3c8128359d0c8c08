# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a container's own file system has below its mounts: what its image has brought. Reads only."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _evidence_files,
    _mounts,
    _names,
)

OPAQUE_ATTRIBUTE = "trusted.overlay.opaque"

Facts = dict[str, t.Any]
Clock = t.Callable[[], float]


class LayersError(Exception):
    """The file system can't be looked into."""


def layers(mountinfo: str) -> list[str]:
    """Return the directories that a process's root is laid from, the uppermost first.

    :param mountinfo: path of the process's (proc_pid_mountinfo(5)).
    :raises LayersError: where it is no overlay, or one whose directories can't be told.
    """
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            roots = [fields for fields in map(_fields, lines) if fields[4] == "/"]
    except OSError as error:
        raise LayersError(f"{mountinfo}: {error.strerror}") from error
    separator = roots[-1].index("-", 6) if roots else 0
    if not roots or roots[-1][separator + 1] != "overlay":
        raise LayersError("the root of that process is no overlay of layers")
    options: dict[str, str] = {}
    for option in roots[-1][separator + 3].split(","):
        name, _sep, value = option.partition("=")
        options[name] = _mounts.unescape(value)
    found = [options.get("upperdir", ""), *options.get("lowerdir", "").split(":")]
    found = [directory for directory in found if directory]
    if not found or not all(directory.startswith("/") for directory in found):
        raise LayersError("the layers of that process are not told by whole paths")
    return found


def _fields(line: str) -> list[str]:
    return line.rstrip("\n").split(" ")


def tree(
    directories: t.Sequence[str],
    path: str,
    limit: int,
    seconds: float,
    clock: Clock = time.monotonic,
) -> Facts:
    """Describe the files at a path of a container, whatever is mounted over them.

    :param directories: of :func:`layers`.
    :return: ``files``, ``is_all`` and ``entries``, as of a tree.
    """
    deadline = clock() + seconds
    found: dict[str, os.stat_result] = {}
    # What a higher layer has taken away from those below it
    gone: set[str] = set()
    is_all = True
    for layer in directories:
        top = layer + path
        if os.path.realpath(top) != os.path.join(os.path.realpath(layer), path.lstrip("/")):
            # A link of the container's would lead out of its layer.
            continue
        going = {parent for parent in _parents(path) if _hides(layer + parent)}
        for directory, _unused, names in os.walk(top):
            if clock() > deadline or len(found) > limit:
                is_all = False
                break
            place = path if directory == top else path + directory[len(top) :]
            if _hides(directory):
                going.add(place)
            for name in names:
                inside = os.path.join(place, name)
                try:
                    status = os.lstat(os.path.join(directory, name))
                except OSError:
                    continue
                if _is_whiteout(status):
                    going.add(inside)
                elif not any(_is_in(each, inside) for each in gone):
                    found.setdefault(inside, status)
        gone |= going
    entries = [
        {
            "path": _names.printable(name),
            **_evidence_files.looks(status),
            "size": status.st_size,
            "mtime": status.st_mtime,
        }
        for name, status in sorted(found.items())
        if stat.S_ISREG(status.st_mode)
    ]
    return {
        "path": _names.printable(path),
        "exists": bool(entries),
        "error": None,
        "files": len(entries),
        "is_all": is_all,
        "entries": entries[:limit],
    }


def _parents(path: str) -> t.Iterator[str]:
    while path not in ("/", ""):
        path = os.path.dirname(path)
        yield path


def _is_in(outer: str, path: str) -> bool:
    return path == outer or path.startswith(outer.rstrip("/") + "/")


def _hides(directory: str) -> bool:
    """Whether a directory or its absence hides what lower layers have of that name.

    https://docs.kernel.org/filesystems/overlayfs.html#whiteouts-and-opaque-directories
    """
    try:
        if _is_whiteout(os.lstat(directory)):
            return True
        return os.getxattr(directory, OPAQUE_ATTRIBUTE) == b"y"
    except OSError:
        return False


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
