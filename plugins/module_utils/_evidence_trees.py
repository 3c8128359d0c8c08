# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A directory tree in so much time: how much there is, what is newest, and what looks odd.

Reads names and inodes, no file. Of a tree that has too many, what changed last is looked at first,
as an upload has changed its directory.
"""

from __future__ import annotations

import dataclasses
import heapq
import os
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _evidence_files,
    _names,
)

# Of each list of oddities.
SHOWN = 200
ENTRIES_LIMIT = 10_000
CLOCK_EVERY = 256

Facts = dict[str, t.Any]
Clock = t.Callable[[], float]


@dataclasses.dataclass
class _Found:
    limit: int
    files: int = 0
    directories: int = 0
    newest: list[tuple[float, str, os.stat_result]] = dataclasses.field(default_factory=list)
    odd: dict[str, list[t.Any]] = dataclasses.field(
        default_factory=lambda: {
            name: [] for name in ("dotfiles", "executable", "world_writable", "links")
        }
    )
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def note(self, name: str, item: t.Any) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1
        if len(self.odd[name]) < SHOWN:
            self.odd[name].append(item)

    def keep(self, path: str, status: os.stat_result) -> None:
        item = status.st_mtime, path, status
        if len(self.newest) < self.limit:
            heapq.heappush(self.newest, item)
        elif self.limit and item[:2] > self.newest[0][:2]:
            heapq.heapreplace(self.newest, item)


def tree(
    path: str,
    limit: int = 2000,
    seconds: float = 2.0,
    is_deep: bool = True,
    beside: str | None = None,
    clock: Clock = time.monotonic,
) -> Facts:
    """Look at a tree, its links excepted; what it holds hidden is named, and not looked into.

    :param limit: how many entries are described, the newest.
    :param is_deep: or only what is in the directory itself.
    :param beside: only what begins with this name in the directory, and isn't it.
    :return: ``files``, ``directories`` (but the tree's own), ``is_all``, ``entries``; ``dotfiles``,
        ``executable``, ``world_writable`` and ``links``, at most 200 of each, and their ``counts``.
    :raises OSError: when the tree itself can't be looked at.
    """
    deadline = clock() + seconds
    found = _Found(max(0, min(limit, ENTRIES_LIMIT)))
    root = os.path.realpath(path)
    unreadable: list[str] = []
    is_all = True
    status = _evidence_files.found(root)
    waiting: list[tuple[float, str, tuple[int, int]]] = []
    if status is not None:
        waiting.append((0.0, root, (status.st_dev, status.st_ino)))
    while waiting and is_all:
        _unused, directory, identity = heapq.heappop(waiting)
        try:
            below = waiting if is_deep else []
            wanted = beside if directory == root else None
            is_all = _look(directory, identity, found, below, wanted, deadline, clock)
        except OSError:
            if directory == root:
                raise
            unreadable.append(_names.printable(directory))
    counts = {name: found.counts.get(name, 0) for name in found.odd}
    return {
        "path": _names.printable(path),
        "exists": status is not None,
        "files": found.files,
        "directories": found.directories,
        "is_all": is_all and not unreadable,
        "unreadable": unreadable[:SHOWN],
        "entries": [_described(*item[1:]) for item in sorted(found.newest, reverse=True)],
        **found.odd,
        "counts": counts,
    }


def _look(
    directory: str,
    identity: tuple[int, int],
    found: _Found,
    waiting: list[tuple[float, str, tuple[int, int]]],
    beside: str | None,
    deadline: float,
    clock: Clock,
) -> bool:
    """Look at what is in a directory.

    :return: whether there was time for all of it.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(directory, flags)
    try:
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != identity:
            # Whoever may write here has put another in its place, perhaps by a link above it.
            return True
        with os.scandir(descriptor) as entries:
            for number, entry in enumerate(entries):
                if number % CLOCK_EVERY == 0 and clock() > deadline:
                    return False
                if beside is not None and not _is_beside(entry.name, beside):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    # Removed meanwhile
                    continue
                path = os.path.join(directory, entry.name)
                is_hidden = entry.name.startswith(".")
                _count(path, is_hidden, status, found)
                if stat.S_ISLNK(status.st_mode):
                    target = _names.printable(_target(entry.name, descriptor))
                    found.note("links", {"path": _names.printable(path), "target": target})
                elif stat.S_ISDIR(status.st_mode) and not is_hidden:
                    below = -status.st_mtime, path, (status.st_dev, status.st_ino)
                    heapq.heappush(waiting, below)
    finally:
        os.close(descriptor)
    return True


def _is_beside(name: str, other: str) -> bool:
    return name != other and name.startswith(other)


def _target(name: str, directory: int) -> str:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return ""


def _count(path: str, is_hidden: bool, status: os.stat_result, found: _Found) -> None:
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        found.directories += 1
    else:
        found.files += 1
    found.keep(path, status)
    if is_hidden:
        found.note("dotfiles", _names.printable(path))
    if stat.S_ISREG(mode) and mode & 0o111:
        found.note("executable", _names.printable(path))
    if not stat.S_ISLNK(mode) and mode & stat.S_IWOTH:
        found.note("world_writable", _names.printable(path))


def _described(path: str, status: os.stat_result) -> Facts:
    return {
        "path": _names.printable(path),
        **_evidence_files.looks(status),
        "size": status.st_size,
        "mtime": status.st_mtime,
    }
