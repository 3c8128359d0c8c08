# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Uploads that lie elsewhere, copied to the media root while the app goes on writing them.

A *pass* looks at every file of a source and brings to the media root what is not there yet. A file
gets its name there by link(2), which fails where there is one of that name: nothing of anybody's is
ever overwritten but an own copy that the source has outrun. The *record* knows which those are: it
has of each copy what the source was then (so an unchanged file is only looked at), the copy's own
inode and times, and whether its bytes were verified since nobody writes to the source any more.
From then on the media root is right where the two differ: what the app has removed stays removed.

Each step leaves either nothing or something whole, so a run that is killed is gone on with by the
next one. The source is only read, until :meth:`Adoption.remove`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import functools
import hashlib
import os
import posixpath
import secrets
import sqlite3
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_source import (
    GONE,
    Container,
    Directory,
    Entry,
    GoneError,
    Source,
    SourceError,
    UnsettledError,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
    Tree,
)

BLOCK_BYTES = 1 << 20
PASSES_LIMIT = 8
SHOWN = 20
# The app goes on taking uploads while these are copied.
RESERVE_BYTES = 64 << 20
# While the app writes, what changed this shortly ago may be half an upload or a temporary file that
# is about to be renamed. It is left to a later pass; the last one leaves nothing.
YOUNG_NS = 2_000_000_000
# In the media root, so that a rename or a link leads out of it. Nginx serves no name with a dot.
TEMPORARY = ".media_adopt"

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class AdoptError(Exception):
    """Uploads can't be adopted. What was copied by then is whole, and nothing was lost."""


class Look(t.NamedTuple):
    """Owner and modes of what is copied."""

    uid: int
    gid: int
    directory_mode: int
    file_mode: int


class Known(t.NamedTuple):
    """What the record has of a file.

    :ivar signature: of the source when it was read; empty when the file was just being changed.
    :ivar digest: SHA-256 of the bytes.
    :ivar copy: inode, size and mtime of the copy in the media root.
    :ivar verified: whether the copy was verified when nobody wrote to the source any more.
    """

    signature: str
    digest: bytes
    copy: str
    verified: bool


@dataclasses.dataclass
class Sample:
    """A number, and the first few of what it counts."""

    count: int = 0
    first: list[str] = dataclasses.field(default_factory=list)

    def add(self, text: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(text)

    def lines(self) -> list[str]:
        """Return the first few, and how many more there are."""
        hidden = self.count - len(self.first)
        return [*self.first, *([f"and {hidden} more"] if hidden else [])]


@dataclasses.dataclass
class Outcome:
    """What was done, or would be.

    :ivar copied: files that were missing in the media root.
    :ivar renewed: own copies that the source has outrun.
    :ivar directories: that were missing.
    :ivar unchanged: files that are as they should be.
    :ivar verified: files whose copy was compared by hash.
    :ivar removed: files taken away from the sources.
    :ivar young: files left to a later pass.
    :ivar diverged: files that the app has changed or removed in the media root since.
    :ivar skipped: what is no file: links, sockets, pipes, devices.
    :ivar conflicts: names that stand for other bytes in the media root.
    :ivar kept: files that were not removed from the sources, each with the reason.
    :ivar gone: sources of earlier runs that are there no more.
    """

    copied: Sample = dataclasses.field(default_factory=Sample)
    renewed: Sample = dataclasses.field(default_factory=Sample)
    copied_bytes: int = 0
    directories: int = 0
    unchanged: int = 0
    verified: int = 0
    removed: int = 0
    young: int = 0
    diverged: Sample = dataclasses.field(default_factory=Sample)
    skipped: Sample = dataclasses.field(default_factory=Sample)
    conflicts: Sample = dataclasses.field(default_factory=Sample)
    kept: Sample = dataclasses.field(default_factory=Sample)
    gone: list[str] = dataclasses.field(default_factory=list)

    @property
    def progress(self) -> int:
        """Number of things done so far."""
        return self.copied.count + self.renewed.count + self.directories

    @property
    def changed(self) -> bool:
        """Whether anything was done, or would be."""
        return bool(self.progress or self.removed)

    def begin_pass(self) -> None:
        """Forget what only the latest pass says."""
        self.unchanged = self.young = 0
        self.diverged, self.skipped, self.conflicts = Sample(), Sample(), Sample()


class Record:
    """What was copied from where, in a file of root's, safe to be killed at any moment.

    :param is_dry: whether to write nothing down.
    """

    def __init__(self, path: str, *, is_dry: bool = False) -> None:
        self._lock: int | None = None
        if not is_dry:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._lock)
                raise AdoptError(
                    f"Another run is at work ({path}.lock). Run the playbook again when it is over."
                ) from error
        # A killed process loses nothing that was committed, a power failure the last commits only:
        # https://www.sqlite.org/pragma.html#pragma_synchronous
        self._connection = sqlite3.connect(":memory:" if is_dry else path, isolation_level=None)
        if is_dry and os.path.exists(path):
            with contextlib.closing(sqlite3.connect(path)) as written:
                written.backup(self._connection)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(
            "CREATE TABLE IF NOT EXISTS source (id INTEGER PRIMARY KEY, text TEXT UNIQUE NOT NULL,"
            " reader TEXT, identity TEXT, verified INTEGER NOT NULL DEFAULT 0);"
            "CREATE TABLE IF NOT EXISTS file (source INTEGER NOT NULL, path BLOB NOT NULL,"
            " signature TEXT NOT NULL, digest BLOB NOT NULL, copy TEXT NOT NULL,"
            " verified INTEGER NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID;"
        )

    def close(self) -> None:
        """Close it, so that another run may open it."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)

    def sources(self) -> dict[str, tuple[str | None, str | None]]:
        """Return name of the reader and identity of every source, by its text."""
        rows = self._connection.execute("SELECT text, reader, identity FROM source ORDER BY id")
        return {text: (reader, identity) for text, reader, identity in rows}

    def number(self, text: str, reader: str | None = None, identity: str | None = None) -> int:
        """Return the number of a source, which it is given the first time."""
        self._connection.execute(
            "INSERT INTO source (text, reader, identity) VALUES (?, ?, ?)"
            " ON CONFLICT (text) DO UPDATE SET reader = excluded.reader",
            (text, reader, identity),
        )
        found = self._connection.execute("SELECT id FROM source WHERE text = ?", (text,))
        number: int = found.fetchone()[0]
        return number

    def set_verified(self, source: int) -> None:
        """Write down that all of a source was verified, when the app was restarted and answered."""
        self._connection.execute("UPDATE source SET verified = 1 WHERE id = ?", (source,))

    def is_verified(self, source: int) -> bool:
        """Return whether all of a source was verified once."""
        row = self._connection.execute("SELECT verified FROM source WHERE id = ?", (source,))
        return bool(row.fetchone()[0])

    def get(self, source: int, path: str) -> Known | None:
        """Return what is known of a file."""
        row = self._connection.execute(
            "SELECT signature, digest, copy, verified FROM file WHERE source = ? AND path = ?",
            (source, os.fsencode(path)),
        ).fetchone()
        return Known(row[0], row[1], row[2], bool(row[3])) if row else None

    def put(self, source: int, path: str, known: Known) -> None:
        """Write down what is known of a file; it holds once this returns."""
        self._connection.execute(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)",
            (source, os.fsencode(path), *known),
        )

    def forget(self, source: int, path: str | None = None) -> None:
        """Forget a file, or with ``None`` the source."""
        if path is None:
            self._connection.execute("DELETE FROM file WHERE source = ?", (source,))
            self._connection.execute("DELETE FROM source WHERE id = ?", (source,))
        else:
            self._connection.execute(
                "DELETE FROM file WHERE source = ? AND path = ?", (source, os.fsencode(path))
            )


class _Clash(Exception):
    """A file of the source can't have its name in the media root."""


class _Staged(t.NamedTuple):
    """A copy that has no name yet."""

    name: str
    digest: bytes
    copy: str


class Media:
    """The media root, entered by descriptors: the app may rename and link in it as it likes."""

    def __init__(self, root: str, look: Look) -> None:
        self._tree = Tree(root)
        self.path = self._tree.path
        self._look = look
        self._temporary: int | None = None

    def close(self) -> None:
        """Close what is open, and take the temporary directory away."""
        if self._temporary is not None:
            os.close(self._temporary)
            with contextlib.suppress(OSError):
                os.rmdir(TEMPORARY, dir_fd=self._tree.directory(""))
        self._tree.close()

    def status(self, path: str) -> os.stat_result | None:
        """Return what is at a path, or ``None``.

        :raises _Clash: when something above it is no directory.
        """
        directory, name = posixpath.split(path)
        try:
            return os.lstat(name, dir_fd=self._tree.directory(directory))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise _Clash(f"{printable(directory)} is no directory in the media root") from error
            raise

    def copy(self, path: str) -> str | None:
        """Return what tells the file at a path from others, or ``None``."""
        status = self.status(path)
        return copy_of(status) if status else None

    def open(self, path: str) -> t.BinaryIO:
        """Open a file to read."""
        return self._tree.file(path)

    def digest(self, path: str) -> bytes | None:
        """Return the SHA-256 of a file, or ``None`` where there is none."""
        try:
            with self.open(path) as file:
                return digest_of(file)
        except OSError as error:
            if error.errno in GONE:
                return None
            raise

    def make_directory(self, path: str) -> None:
        """Make a directory, with what is above it."""
        parent, name = posixpath.split(path)
        temporaries, temporary = self._temporaries(), secrets.token_hex(8)
        os.mkdir(temporary, 0o700, dir_fd=temporaries)
        descriptor = os.open(temporary, _DIRECTORY, dir_fd=temporaries)
        try:
            os.fchown(descriptor, self._look.uid, self._look.gid)
            os.fchmod(descriptor, self._look.directory_mode)
        finally:
            os.close(descriptor)
        try:
            # With its modes, so that none is left without by a kill. An empty one may be replaced.
            os.rename(temporary, name, src_dir_fd=temporaries, dst_dir_fd=self._parent(parent))
        except OSError as error:
            os.rmdir(temporary, dir_fd=temporaries)
            # The app was faster.
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise

    def _parent(self, path: str) -> int:
        try:
            return self._tree.directory(path)
        except FileNotFoundError:
            self.make_directory(path)
            return self._tree.directory(path)

    def stage(self, source: t.BinaryIO, size_bytes: int, mtime_ns: int) -> _Staged:
        """Copy a file to a name that nobody is to use.

        :raises AdoptError: when it would fill the file system.
        """
        directory = self._temporaries()
        free = os.fstatvfs(directory)
        if free.f_bavail * free.f_frsize < size_bytes + RESERVE_BYTES:
            raise AdoptError(
                f"The file system of {self.path} is nearly full, and the app's uploads go there too. What was "
                "copied is whole, and the sources have everything. Make room, or set flask_media_root to a "
                "larger one, and run the playbook again."
            )
        name = secrets.token_hex(8)
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=directory)
        try:
            hashed = hashlib.sha256()
            for block in blocks_of(source):
                hashed.update(block)
                view = memoryview(block)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fchown(descriptor, self._look.uid, self._look.gid)
            os.fchmod(descriptor, self._look.file_mode)
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
            status = os.fstat(descriptor)
        except BaseException:
            os.unlink(name, dir_fd=directory)
            raise
        finally:
            os.close(descriptor)
        return _Staged(name, hashed.digest(), copy_of(status))

    def place(self, staged: _Staged, path: str, replaced: str | None) -> None:
        """Give a staged file its name.

        :param replaced: :func:`copy_of` what it takes the place of.
        :raises _Clash: when there is something else of that name.
        """
        parent, name = posixpath.split(path)
        descriptor, temporaries = self._parent(parent), self._temporaries()
        try:
            if replaced is None:
                os.link(
                    staged.name,
                    name,
                    src_dir_fd=temporaries,
                    dst_dir_fd=descriptor,
                    follow_symlinks=False,
                )
                self.discard(staged)
            elif copy_of(os.lstat(name, dir_fd=descriptor)) == replaced:
                os.rename(staged.name, name, src_dir_fd=temporaries, dst_dir_fd=descriptor)
            else:
                raise FileExistsError
        except (FileExistsError, FileNotFoundError) as error:
            raise _Clash(f"{printable(path)}: it was changed in the media root just now") from error
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            raise AdoptError(
                f"{printable(os.path.join(self.path, parent))} is on another file system than {self.path}, so "
                "nothing can appear whole in it. Let the media root be one file system."
            ) from error

    def discard(self, staged: _Staged) -> None:
        """Take away what is not to get a name."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged.name, dir_fd=self._temporaries())

    def _temporaries(self) -> int:
        if self._temporary is None:
            top = self._tree.directory("")
            with contextlib.suppress(FileExistsError):
                os.mkdir(TEMPORARY, 0o700, dir_fd=top)
            descriptor = os.open(TEMPORARY, _DIRECTORY, dir_fd=top)
            if os.fstat(descriptor).st_uid != os.geteuid():
                os.close(descriptor)
                raise AdoptError(
                    f"{os.path.join(self.path, TEMPORARY)} is somebody else's. Move it away."
                )
            self._temporary = descriptor
        return self._temporary

    def clean(self) -> None:
        """Take away what a killed run left. Nobody else is at work: the record is locked."""
        if self.status(TEMPORARY) is None:
            return
        descriptor = self._temporaries()
        for name in os.listdir(descriptor):
            is_directory = stat.S_ISDIR(os.lstat(name, dir_fd=descriptor).st_mode)
            (os.rmdir if is_directory else os.unlink)(name, dir_fd=descriptor)


class Adoption:
    """The work of a run.

    :param root: media root; must be there.
    :param texts: sources, besides those of earlier runs that are not done with.
    :param reader: with whose rights those of ``texts`` are read; ``None`` for our own.
    """

    def __init__(
        self,
        root: str,
        look: Look,
        record: Record,
        texts: t.Sequence[str],
        reader: _as_user.Account | None,
    ) -> None:
        self.outcome = Outcome()
        self._record = record
        self._stack = contextlib.ExitStack()
        try:
            self._media = self._stack.enter_context(contextlib.closing(Media(root, look)))
            self._sources = list(self._open(texts, reader))
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close what is open."""
        self._stack.close()

    @property
    def texts(self) -> list[str]:
        """The sources that are there."""
        return [source.text for _unused, source in self._sources]

    def is_verified(self) -> bool:
        """Whether all was verified once, and nothing has come since."""
        return not self.outcome.progress and all(
            self._record.is_verified(number) for number, _unused in self._sources
        )

    def writers(self) -> list[str]:
        """Return who is known to write to the sources yet, and what to do of each."""
        found = [source.writer() for _unused, source in self._sources]
        return [writer for writer in found if writer]

    def _open(
        self, texts: t.Sequence[str], reader: _as_user.Account | None
    ) -> t.Iterator[tuple[int, Source]]:
        earlier = self._record.sources()
        opened = set()
        for text in dict.fromkeys([*texts, *earlier]):
            named, identity = earlier.get(text, (None, None))
            who = reader if text in texts else _as_user.account(named) if named else None
            try:
                source: Source
                if text.startswith("container:"):
                    source = Container(text, identity)
                    identity = source.identity
                else:
                    source = Directory(text, who)
                    self._require_apart(source)
            except (FileNotFoundError, NotADirectoryError) as error:
                if text in earlier:
                    self.outcome.gone.append(text)
                    continue
                raise AdoptError(
                    f"{printable(text)} is no directory of this host, nor of a container of its. Write the "
                    "directory of the uploads into flask_media_adopt_from."
                ) from error
            except SourceError as error:
                raise AdoptError(str(error)) from error
            self._stack.callback(source.close)
            if source.text in opened:
                continue
            opened.add(source.text)
            # Before the first copy: who is killed from here on finds it in the next run.
            yield self._record.number(source.text, who.name if who else None, identity), source

    def _require_apart(self, source: Directory) -> None:
        one, other = f"{source.path.rstrip('/')}/", f"{self._media.path}/"
        if one.startswith(other) or other.startswith(one):
            source.close()
            raise AdoptError(
                f"{printable(source.text)} and the media root {self._media.path} are the same, or one lies in "
                "the other. Set flask_media_root to a directory beside it."
            )

    def plan(self) -> Outcome:
        """Say what a copy would do, and change nothing."""
        self._pass(is_dry=True)
        self._refuse_conflicts("Nothing was changed.")
        return self.outcome

    def copy(self, young_ns: int = YOUNG_NS) -> Outcome:
        """Bring over what is there, while the app goes on writing.

        :param young_ns: what was changed so shortly ago is left to a later run.
        :raises AdoptError: when something can't be read or written, or is a conflict.
        """
        self._media.clean()
        for _unused in range(PASSES_LIMIT):
            if self._pass(young_ns):
                break
        self._refuse_conflicts("All else was copied.")
        return self.outcome

    def verify(self) -> Outcome:
        """Copy what is left, and compare every copy by hash. For when nobody writes any more.

        :raises AdoptError: when somebody does, or a copy is not what was copied.
        """
        for writer in self.writers():
            raise AdoptError(f"{writer}, and run the playbook again. What was copied is whole.")
        self._media.clean()
        for _unused in range(PASSES_LIMIT):
            before = self.outcome.progress
            whole = self._pass()
            self._refuse_conflicts("All else was copied.")
            if whole and self.outcome.progress == before and self._compare():
                for number, _source in self._sources:
                    self._record.set_verified(number)
                return self.outcome
        raise AdoptError(
            f"Files still come or change in {', '.join(self.texts)}. Somebody else writes there: stop that, "
            "and run the playbook again. Nothing was removed."
        )

    def remove(self) -> Outcome:
        """Remove from the sources each file whose bytes the media root has, asked of both now."""
        for number, source in self._sources:
            if not isinstance(source, Directory):
                self.outcome.kept.add(
                    f"{source.text}: a container's layer goes with the container, when you remove it"
                )
                continue
            kept_before = self.outcome.kept.count
            try:
                source.remove(functools.partial(self._may_remove, number))
            except SourceError as error:
                raise AdoptError(str(error)) from error
            if self.outcome.kept.count == kept_before:
                self._record.forget(number)
        return self.outcome

    def _may_remove(self, number: int, entry: Entry, file: t.BinaryIO) -> bool:
        known = self._record.get(number, entry.path)
        if known is None or not known.verified or known.signature != entry.signature:
            self.outcome.kept.add(f"{printable(entry.path)}: it has changed since it was verified")
            return False
        if not digest_of(file) == known.digest == self._media.digest(entry.path):
            self.outcome.kept.add(
                f"{printable(entry.path)}: the media root has other bytes, or none"
            )
            return False
        self.outcome.removed += 1
        return True

    def _refuse_conflicts(self, what: str) -> None:
        conflicts = self.outcome.conflicts
        if conflicts.count:
            raise AdoptError(
                f"{conflicts.count} names stand for one thing in a source and for another one in the media root "
                f"{self._media.path}, and neither is overwritten. {what} Of each, rename one, or move the one "
                "away that is not to be kept:\n" + "\n".join(f"  {x}" for x in conflicts.lines())
            )

    def _pass(self, young_ns: int = 0, *, is_dry: bool = False) -> bool:
        """Bring over what is not there yet.

        :return: whether every source could be read to its end.
        """
        self.outcome.begin_pass()
        until_ns = time.time_ns() - young_ns
        for number, source in self._sources:
            try:
                for entry in source.entries():
                    if young_ns and entry.changed_ns > until_ns:
                        self.outcome.young += 1
                    else:
                        self._take(number, entry, is_dry)
            except UnsettledError:
                return False
            except (SourceError, PublishError) as error:
                raise AdoptError(str(error)) from error
        return True

    def _take(self, number: int, entry: Entry, is_dry: bool) -> None:
        try:
            if entry.kind == "directory":
                self._take_directory(entry, is_dry)
            elif entry.kind == "file":
                self._take_file(number, entry, is_dry)
            else:
                self.outcome.skipped.add(f"{printable(entry.path)}: {entry.kind}")
        except _Clash as clash:
            self.outcome.conflicts.add(str(clash))
        except GoneError:
            # Taken away by the app meanwhile; a file that was renamed comes by its new name.
            pass
        except OSError as error:
            raise AdoptError(
                f"{printable(entry.path)}: {error.strerror}, at copying it to {self._media.path}. What was "
                "copied by then is whole. Mend this, and run the playbook again."
            ) from error

    def _take_directory(self, entry: Entry, is_dry: bool) -> None:
        status = self._media.status(entry.path)
        if status is None:
            self.outcome.directories += 1
            if not is_dry:
                self._media.make_directory(entry.path)
        elif not stat.S_ISDIR(status.st_mode):
            raise _Clash(
                f"{printable(entry.path)}: a directory in the source, none in the media root"
            )

    def _take_file(self, number: int, entry: Entry, is_dry: bool) -> None:
        path = entry.path
        known = self._record.get(number, path)
        status = self._media.status(path)
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise _Clash(f"{printable(path)}: a file in the source, none in the media root")
        is_own = known is not None and status is not None and copy_of(status) == known.copy
        is_same = known is not None and known.signature == entry.signature
        if is_same and (status is not None or (known is not None and known.verified)):
            # Not read again. Where the two differ, the app is at work in the media root already.
            self.outcome.unchanged += 1
            if not is_own:
                self.outcome.diverged.add(printable(path))
            return
        if status is None or is_own:
            self._place(number, entry, known if is_own else None, is_dry)
            return
        # From here on only the bytes can tell.
        settled = entry.is_settled()
        with self._bytes_of(entry) as file:
            digest = digest_of(file)
        if self._media.digest(path) == digest:
            self.outcome.unchanged += 1
            if not is_dry:
                signature = entry.signature if settled else ""
                self._record.put(number, path, Known(signature, digest, copy_of(status), False))
        else:
            raise _Clash(f"{printable(path)}: other bytes")

    def _place(self, number: int, entry: Entry, own: Known | None, is_dry: bool) -> None:
        """Copy a file that is missing, or that may have changed since it was copied."""
        signature = entry.signature if entry.is_settled() else ""
        if is_dry:
            if own is not None and self._has_bytes(entry, own):
                self.outcome.unchanged += 1
                return
        elif not self._renew(number, entry, own, signature):
            self.outcome.unchanged += 1
            return
        (self.outcome.renewed if own else self.outcome.copied).add(printable(entry.path))
        self.outcome.copied_bytes += entry.size_bytes

    def _has_bytes(self, entry: Entry, known: Known) -> bool:
        with self._bytes_of(entry) as file:
            return digest_of(file) == known.digest

    def _renew(self, number: int, entry: Entry, own: Known | None, signature: str) -> bool:
        """Place a copy; whether there was need of one."""
        with self._bytes_of(entry) as file:
            staged = self._media.stage(file, entry.size_bytes, entry.mtime_ns)
        known = Known(signature, staged.digest, staged.copy, False)
        try:
            if own is not None and own.digest == staged.digest:
                self._record.put(number, entry.path, own._replace(signature=signature))
                return False
            if own is None:
                # Before it has its name: then it is known as an own copy, whenever this is killed.
                self._record.put(number, entry.path, known)
            self._media.place(staged, entry.path, own.copy if own else None)
            self._record.put(number, entry.path, known)
        except _Clash:
            self._record.forget(number, entry.path)
            raise
        finally:
            self._media.discard(staged)
        return True

    def _bytes_of(self, entry: Entry) -> t.BinaryIO:
        if entry.link_to is None:
            return entry.open()
        try:
            # Its bytes came under the other name, which was taken first.
            return self._media.open(entry.link_to)
        except OSError as error:
            raise _Clash(
                f"{printable(entry.path)}: another name of {printable(entry.link_to)}, which is not there"
            ) from error

    def _compare(self) -> bool:
        """Compare every file by hash.

        :return: whether nothing changed meanwhile.
        """
        self.outcome.verified = 0
        for number, source in self._sources:
            try:
                for entry in source.entries():
                    if entry.kind == "file" and not self._compare_file(number, entry):
                        return False
            except (UnsettledError, GoneError):
                return False
            except SourceError as error:
                raise AdoptError(str(error)) from error
        return True

    def _compare_file(self, number: int, entry: Entry) -> bool:
        known = self._record.get(number, entry.path)
        if known is None:
            return False
        with self._bytes_of(entry) as file:
            digest = digest_of(file)
        if digest != known.digest:
            # Changed since, maybe without a trace in a container's coarse times.
            self._record.put(number, entry.path, known._replace(signature=""))
            return False
        if self._media.digest(entry.path) == digest:
            self.outcome.verified += 1
            if not known.verified or not known.signature:
                self._record.put(
                    number, entry.path, known._replace(verified=True, signature=entry.signature)
                )
            return True
        if self._media.copy(entry.path) == known.copy:
            raise AdoptError(
                f"{printable(os.path.join(self._media.path, entry.path))} has other bytes than were copied to "
                "it. The disk may be failing; the source still has the file. Move that one away, and run the "
                "playbook again."
            )
        # The app has changed or removed it since, in the media root where it works now.
        return True


def digest_of(file: t.BinaryIO) -> bytes:
    """Return the SHA-256 of what is left of a file."""
    hashed = hashlib.sha256()
    for block in blocks_of(file):
        hashed.update(block)
    return hashed.digest()


def blocks_of(file: t.BinaryIO) -> t.Iterator[bytes]:
    """Yield what is left of a file."""
    while True:
        block = file.read(BLOCK_BYTES)
        if not block:
            return
        yield block


def copy_of(status: os.stat_result) -> str:
    """Return what tells a copy of ours from what somebody else put in its place."""
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
