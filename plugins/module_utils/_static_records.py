# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.
"""What each release published: the records below ROOT/.releases, by which files are pruned.

A record is written before the first file of its release appears, and removed after the last one is
gone. So whatever moment a run is killed at, every published file is in a record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
)

DIRECTORY = ".releases"
TEMPORARY = ".record-"
SCHEMA = 1
RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

# 1987 to 2021: eight hexadecimal digits, and never in the future (RFC 9110, section 8.8.2.1).
MTIME_FIRST = 1 << 29
MTIME_COUNT = 1 << 30


def content_mtime(sha256: str) -> int:
    """Return the modification time of a published file, which follows from its content alone.

    Nginx's ETag is mtime and size (ngx_http_set_etag() in src/http/ngx_http_core_module.c). Build
    backends give all files of all wheels one fixed time, and an installer gives each host another.
    So neither tells contents apart, and neither is the same on two hosts; this one does both.
    """
    return MTIME_FIRST + int(sha256[:16], 16) % MTIME_COUNT


class Signature(t.NamedTuple):
    """What the kernel says of a file without reading it; a write changes at least its ctime."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def signature(status: os.stat_result) -> Signature:
    """Return the signature of a source."""
    return Signature(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class Entry(t.NamedTuple):
    """A file of a release.

    :ivar size_bytes: of what is published; ``None`` while a sibling is yet to be made.
    :ivar mtime: of what is published, in seconds.
    :ivar sha256: of the content; ``None`` for a sibling that was made here.
    :ivar immutable: whether it is published to the tree of fingerprinted files.
    :ivar source: of the app's file; ``None`` for what was made here.
    :ivar of: the file that this is a precompressed sibling of.
    :ivar shrinks: whether compressing is worth while; ``None`` when that was not asked.
    :ivar changed_under_its_name: whether its name was said to be fingerprinted and is not.
    :ivar past: whether the release has it no more. It was published under the same id.
    """

    size_bytes: int | None
    mtime: int
    sha256: str | None = None
    immutable: bool = False
    source: Signature | None = None
    of: str | None = None
    shrinks: bool | None = None
    changed_under_its_name: bool = False
    past: bool = False

    def to_json(self) -> dict[str, t.Any]:
        """Return what JSON can hold, less what is as by default."""
        missing = object()
        return {
            name: value
            for name, value in zip(self._fields, self)
            if value != self._field_defaults.get(name, missing)
        }

    @classmethod
    def from_json(cls, values: dict[str, t.Any]) -> Entry:
        """Return the entry that :meth:`to_json` wrote."""
        source = values.pop("source", None)
        return cls(source=Signature(*source) if source else None, **values)


@dataclasses.dataclass
class Record:
    """A release as it was published.

    :ivar sequence: the place among all publications; the highest is what is served.
    :ivar complete: whether all of its files are there.
    :ivar reader: with whose rights its sources were read.
    :ivar directories: those of its mounts.
    :ivar files: by URL path, without the first slash.
    """

    release: str
    sequence: int
    complete: bool = False
    reader: str | None = None
    directories: list[str] = dataclasses.field(default_factory=list)
    files: dict[str, Entry] = dataclasses.field(default_factory=dict)

    def dump(self) -> bytes:
        """Return the record as it is written."""
        values = {
            "schema": SCHEMA,
            "release": self.release,
            "sequence": self.sequence,
            "complete": self.complete,
            "reader": self.reader,
            "directories": self.directories,
            "files": {path: entry.to_json() for path, entry in sorted(self.files.items())},
        }
        return json.dumps(values, separators=(",", ":")).encode("ascii")


def parse(content: bytes) -> Record:
    """Return the record that :meth:`Record.dump` wrote.

    :raises ValueError: when it is none.
    """
    try:
        values = json.loads(content)
        if values.pop("schema") != SCHEMA:
            raise ValueError("it was written by another version")
        files = {path: Entry.from_json(entry) for path, entry in values.pop("files").items()}
        return Record(files=files, **values)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no record ({error})") from error


def check_release(release: str) -> None:
    """Refuse what is no id of a release.

    :raises PublishError: when it is none.
    """
    if not RELEASE.match(release):
        raise PublishError(
            f"release: {release!r} is no id of a release. Write letters, digits and any of '. _ -', "
            "beginning with a letter or digit, 64 at most."
        )


def load(root: str) -> list[Record]:
    """Return all records of a static root, the newest publication first.

    :raises PublishError: when one can't be read.
    """
    directory = os.path.join(root, DIRECTORY)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise PublishError(f"{directory}: {error.strerror}. Move it away.") from error
    records = []
    for name in names:
        release, suffix = os.path.splitext(name)
        if suffix == ".json" and RELEASE.match(release):
            records.append(_load(os.path.join(directory, name), release))
    return sorted(records, key=lambda record: record.sequence, reverse=True)


def _load(path: str, release: str) -> Record:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            record = parse(file.read())
        if record.release != release:
            raise ValueError("it is another release's")
    except (OSError, ValueError) as error:
        raise PublishError(
            f"{printable(path)} can't be read as the record of a release: {error}. Restore it, or remove "
            "it; what only it names is then never pruned."
        ) from error
    return record


class Records:
    """The directory of the records, held by one run at a time.

    :raises PublishError: when another run has it.
    """

    def __init__(self, root: str) -> None:
        self.path = os.path.join(root, DIRECTORY)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.path, 0o700)
        self._descriptor = os.open(
            self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.fchown(self._descriptor, os.geteuid(), os.getegid())
            os.fchmod(self._descriptor, 0o700)
        except BlockingIOError:
            self.close()
            raise PublishError(
                f"Another run publishes to {root}. Run the playbook again when that is over."
            ) from None
        except BaseException:
            self.close()
            raise
        for name in os.listdir(self._descriptor):
            if name.startswith(TEMPORARY):
                os.unlink(name, dir_fd=self._descriptor)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._descriptor)

    def write(self, record: Record) -> None:
        """Write a record, which is on disk when this returns: what it names can then be pruned."""
        temporary = TEMPORARY + record.release
        with open(temporary, "wb", opener=lambda name, _flags: self._new(name)) as file:
            file.write(record.dump())
            file.flush()
            os.fsync(file.fileno())
        os.rename(
            temporary,
            f"{record.release}.json",
            src_dir_fd=self._descriptor,
            dst_dir_fd=self._descriptor,
        )
        os.fsync(self._descriptor)

    def _new(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(name, flags, 0o600, dir_fd=self._descriptor)

    def remove(self, release: str) -> None:
        """Remove a record, whose files are gone or others'."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{release}.json", dir_fd=self._descriptor)
