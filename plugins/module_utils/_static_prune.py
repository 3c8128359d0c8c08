# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Removing what only releases that are no longer kept have published.

By their records and not by a look around: what no record names is somebody else's, and so is what
took the place of a published file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _precompress,
    _static_records,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_records import (
    Entry,
    Record,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_release import (
    add_parents,
    content_of,
    listing,
    place,
    real_root,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
    Tree,
)


@dataclasses.dataclass
class Prune:
    """What pruning would remove.

    :ivar files: in the order of removing, below the root.
    :ivar directories: that are then empty, innermost first.
    :ivar releases: whose records go, after their files.
    :ivar kept: the releases that stay, the newest publication first.
    :ivar foreign: files of those releases that somebody else has changed. They are left alone.
    """

    files: list[str] = dataclasses.field(default_factory=list)
    directories: list[str] = dataclasses.field(default_factory=list)
    releases: list[str] = dataclasses.field(default_factory=list)
    kept: list[str] = dataclasses.field(default_factory=list)
    foreign: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.releases)

    def lines(self) -> list[str]:
        """Return the changes as a person reads them, one a line."""
        return [
            *(f"- {printable(path)}" for path in self.files),
            *(f"- {printable(path)}/" for path in self.directories),
            *(f"- {_static_records.DIRECTORY}/{release}.json" for release in self.releases),
        ]


def plan(root: str, keep: t.Iterable[str] | None, keep_releases: int | None) -> Prune:
    """Return what pruning would remove.

    The newest publication stays in any case, since it is what is served.

    :param keep: ids of releases that stay.
    :param keep_releases: how many publications before the newest one stay.
    :raises PublishError: when neither is given, or the tree can't be read.
    """
    root = real_root(root)
    if keep is None and keep_releases is None:
        raise PublishError("Say which releases stay: set keep, keep_releases, or both.")
    if keep_releases is not None and keep_releases < 0:
        raise PublishError(f"keep_releases is {keep_releases}. Write 0 or more.")
    ids = set(keep or ())
    for release in ids:
        _static_records.check_release(release)
    records = _static_records.load(root)
    kept: list[Record] = []
    gone: list[Record] = []
    for position, record in enumerate(records):
        stays = position <= (keep_releases or 0) or record.release in ids
        (kept if stays else gone).append(record)
    result = Prune(
        releases=[record.release for record in reversed(gone)],
        kept=[record.release for record in kept],
    )
    if gone:
        _plan_files(root, kept, gone, result)
    return result


def _plan_files(
    root: str, kept: t.Sequence[Record], gone: t.Sequence[Record], result: Prune
) -> None:
    existing, _leftovers = listing(root)
    staying = {path for record in kept for path in record.files}
    candidates: dict[str, list[Entry]] = {}
    for record in gone:
        for path, entry in record.files.items():
            if path not in staying:
                candidates.setdefault(path, []).append(entry)
    if not existing:
        return
    with contextlib.closing(Tree(root)) as tree:
        # A file's siblings are judged by it and go before it: a kill leaves none behind.
        for path in sorted(candidates, key=_file_after_siblings):
            for immutable in (False, True):
                target = place(path, immutable)
                status = existing.get(target)
                if status is None or stat.S_ISDIR(status.st_mode):
                    continue
                if _is_ours(target, status, candidates[path], existing, tree):
                    result.files.append(target)
                else:
                    result.foreign.append(target)
    _plan_directories(existing, candidates, kept, result)


def _file_after_siblings(path: str) -> tuple[str, int]:
    stem, _dot, suffix = path.rpartition(".")
    is_sibling = suffix in (_precompress.GZIP, _precompress.BROTLI)
    return (stem, 0) if is_sibling else (path, 1)


def _is_ours(
    target: str,
    status: os.stat_result,
    entries: t.Sequence[Entry],
    existing: t.Mapping[str, os.stat_result],
    tree: Tree,
) -> bool:
    """Return whether a file is still what a run published at that path."""
    if not stat.S_ISREG(status.st_mode):
        return False
    mtime = int(status.st_mtime)
    for entry in entries:
        if entry.mtime == mtime and entry.size_bytes in (None, status.st_size):
            return True
        file = existing.get(target.rpartition(".")[0]) if entry.of else None
        if file is not None and int(file.st_mtime) == mtime:
            return True
    # A release between these had it too, and its record is gone: the time vouches for the content.
    return mtime == _static_records.content_mtime(content_of(tree, target))


def _plan_directories(
    existing: t.Mapping[str, os.stat_result],
    candidates: t.Iterable[str],
    kept: t.Sequence[Record],
    result: Prune,
) -> None:
    """Find the directories of these files in which nothing is left."""
    mounts: set[str] = set()
    for record in kept:
        for directory in record.directories:
            mounts.add(directory)
            add_parents(directory, mounts)
    ours: set[str] = set()
    for path in candidates:
        for immutable in (False, True):
            add_parents(place(path, immutable), ours)
    removed = set(result.files)
    children: dict[str, int] = {}
    for path in existing:
        if path and path not in removed:
            parent = posixpath.dirname(path)
            children[parent] = children.get(parent, 0) + 1
    for directory in sorted(ours - mounts, key=lambda path: (-path.count("/"), path)):
        status = existing.get(directory)
        if status is None or not stat.S_ISDIR(status.st_mode) or children.get(directory):
            continue
        result.directories.append(directory)
        children[posixpath.dirname(directory)] -= 1


def apply(root: str, planned: Prune) -> None:
    """Carry out a plan: the files, then their records, so that a killed run is gone on with.

    :raises PublishError: when a file can't be removed.
    """
    root = real_root(root)
    try:
        with contextlib.ExitStack() as stack:
            records = stack.enter_context(contextlib.closing(_static_records.Records(root)))
            tree = stack.enter_context(contextlib.closing(Tree(root)))
            for path in planned.files:
                directory, name = posixpath.split(path)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=tree.directory(directory))
            for path in planned.directories:
                directory, name = posixpath.split(path)
                # Something of another's may have been put there meanwhile.
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=tree.directory(directory))
            for release in planned.releases:
                records.remove(release)
    except OSError as error:
        raise PublishError(
            f"{printable(str(error.filename or root))}: {error.strerror}. Mend this, and run the "
            "playbook again."
        ) from error
