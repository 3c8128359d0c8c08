# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Where uploads are that are to be adopted: a directory of this host, or one in a container.

Both are read while somebody may write to them. A container is read through its engine, which finds
its layer whatever the storage driver is, and that of a stopped container too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import json
import os
import posixpath
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _names,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._media_mount import (
    SENTINEL_PREFIX,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
    Rights,
    Tree,
)

CONTAINER = re.compile(r"container:(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*):(?P<path>/.*)\Z", re.DOTALL)
ENGINES = ("docker", "podman")
# A file's ctime lags behind the clock by up to a timer interrupt, 10 ms at most. What changed so
# shortly before it was read may change once more without a trace.
CTIME_LAG_NS = 50_000_000
# Engines cut times down to the second.
CONTAINER_LAG_NS = 2_000_000_000
# There is no plain file of that name, or no more.
GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ESTALE)


class SourceError(Exception):
    """Uploads can't be read. Nothing of them was changed."""


class GoneError(Exception):
    """A file was taken away, or replaced by another thing, since it was listed."""


class UnsettledError(SourceError):
    """The source changed so while it was read that it was not read to its end."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """Something below a source, valid until the next one is asked for.

    :ivar kind: ``file``, ``directory``, or what else it is.
    :ivar mtime_ns: kept by the copy.
    :ivar signature: differs once the file has changed.
    :ivar changed_ns: when it was last changed, as far as that is known.
    :ivar link_to: path below the source of the file that this is another name of, when its bytes
        are to be had only there.
    """

    path: str
    kind: str
    size_bytes: int = 0
    mtime_ns: int = 0
    signature: str = ""
    changed_ns: int = 0
    lag_ns: int = 0
    link_to: str | None = None
    opener: t.Callable[[], t.BinaryIO] | None = dataclasses.field(default=None, repr=False)

    def open(self) -> t.BinaryIO:
        """Open the file, once.

        :raises GoneError: when it is there no more.
        """
        if self.opener is None:
            raise ValueError(f"{self.path}: it is no regular file")
        return self.opener()

    def is_settled(self) -> bool:
        """Whether a change from now on is bound to show in the signature."""
        return self.changed_ns < time.time_ns() - self.lag_ns


class Source:
    """Where uploads are.

    :ivar text: as it was told.
    """

    text: str

    def entries(self) -> t.Iterator[Entry]:
        """Yield what is there, a directory before what is below it.

        :raises SourceError: when something can't be read.
        """
        raise NotImplementedError

    def writer(self) -> str | None:
        """Return who is known to write there yet, and what to do."""
        return None

    def close(self) -> None:
        """Close what is open."""


class Directory(Source):
    """A directory of this host.

    :param reader: with whose rights it is read; ``None`` reads with our own.
    :raises FileNotFoundError: when it isn't there.
    :raises SourceError: when it can't be read.
    """

    def __init__(self, path: str, reader: _as_user.Account | None) -> None:
        self.text = path
        self._reader = reader.name if reader else _names.user_name(os.geteuid())
        self._rights = Rights(reader)
        with self._explained(), self._rights:
            self._tree = Tree(path)
        self.path = self._tree.path
        # A later run means this one too, also when a link in its path leads to a new release by then.
        self.text = os.readlink(f"/proc/self/fd/{self._tree.directory('')}")
        # As root, a link that is the app's to make could lead anywhere.
        if reader is None and self.text != os.path.normpath(path):
            self.close()
            raise SourceError(
                f"{printable(path)} leads over a link, which is not followed as root. Write "
                f"{printable(self.text)}, if that is what you mean."
            )

    def close(self) -> None:
        self._tree.close()

    def entries(self) -> t.Iterator[Entry]:
        for path, status in self._listed():
            if path.startswith(SENTINEL_PREFIX):
                # Of a mount that the uploads were on, and no upload
                continue
            if stat.S_ISREG(status.st_mode):
                yield self.entry(path, status)
            else:
                yield Entry(path, kind_of(status.st_mode))

    def _listed(self) -> t.Iterator[tuple[str, os.stat_result]]:
        listing = self._tree.entries(hidden=True)
        while True:
            try:
                with self._explained(), self._rights:
                    found = next(listing, None)
            except FileNotFoundError as error:
                raise UnsettledError(f"{printable(str(error.filename))} was taken away") from error
            if found is None:
                return
            yield found

    def entry(self, path: str, status: os.stat_result) -> Entry:
        """Return a file as it is now."""
        return Entry(
            path,
            "file",
            status.st_size,
            status.st_mtime_ns,
            # Any write stamps its ctime.
            f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}",
            status.st_ctime_ns,
            CTIME_LAG_NS,
            opener=lambda: self.file(path),
        )

    def file(self, path: str) -> t.BinaryIO:
        """Open a file to read.

        :raises GoneError: when there is no plain file of that name.
        """
        try:
            with self._explained(), self._rights:
                return self._tree.file(path)
        except OSError as error:
            if error.errno in GONE:
                raise GoneError(path) from error
            raise

    def remove(self, may_remove: t.Callable[[Entry, t.BinaryIO], bool]) -> None:
        """Remove the files that a function agrees to, and the directories that are empty then.

        The top itself stays.

        :param may_remove: is handed each file, open.
        """
        directories = []
        for path, status in self._listed():
            if stat.S_ISDIR(status.st_mode):
                directories.append(path)
            elif stat.S_ISREG(status.st_mode):
                with contextlib.suppress(GoneError):
                    self._remove_file(path, may_remove)
        for path in reversed(directories):
            # What holds anything stays.
            with contextlib.suppress(OSError), self._rights:
                parent, name = posixpath.split(path)
                os.rmdir(name, dir_fd=self._tree.directory(parent))

    def _remove_file(self, path: str, may_remove: t.Callable[[Entry, t.BinaryIO], bool]) -> None:
        with self.file(path) as file:
            entry = self.entry(path, os.fstat(file.fileno()))
            if not may_remove(entry, file):
                return
            parent, name = posixpath.split(path)
            try:
                with self._rights:
                    directory = self._tree.directory(parent)
                    now = os.lstat(name, dir_fd=directory)
                    if self.entry(path, now).signature == entry.signature:
                        os.unlink(name, dir_fd=directory)
            except FileNotFoundError as error:
                raise GoneError(path) from error
            except OSError as error:
                raise SourceError(
                    f"{self._reader} can't remove {printable(os.path.join(self.path, path))}: {error.strerror}. "
                    f"Write flask_media_adopt_from: [{printable(self.text)}], which is removed as root, or "
                    "remove it yourself: the media root has all of it."
                ) from error

    @contextlib.contextmanager
    def _explained(self) -> t.Iterator[None]:
        try:
            yield
        except PublishError as error:
            raise SourceError(str(error)) from error
        except PermissionError as error:
            raise SourceError(
                f"{self._reader} can't read {printable(str(error.filename))}, and what an app names is read "
                "with the rights of its user. If these are its uploads, write flask_media_adopt_from: "
                f"[{printable(self.text)}], which is read as root."
            ) from error


def kind_of(mode: int) -> str:
    """Return what something is that is no file."""
    for test, kind in (
        (stat.S_ISDIR, "directory"),
        (stat.S_ISLNK, "link"),
        (stat.S_ISFIFO, "pipe"),
        (stat.S_ISSOCK, "socket"),
    ):
        if test(mode):
            return kind
    return "device"


class Container(Source):
    """A directory in a container, as ``container:NAME:/path``, read as a tar stream.

    :param identity: id of the container that NAME stood for in an earlier run. Another one of that
        name has a layer of its own.
    :raises FileNotFoundError: when there is no such container.
    :raises SourceError: when there is no engine, or no such path.
    """

    def __init__(self, text: str, identity: str | None, engines: t.Sequence[str] = ENGINES) -> None:
        match = CONTAINER.match(text)
        if match is None:
            raise SourceError(
                f"{text!r} names no directory of a container. Write container:NAME:/path, such as "
                "container:gallery:/app/uploads."
            )
        self.text = text
        self.name = match["name"]
        self.path = posixpath.normpath(match["path"])
        self._engine, facts = self._find(identity or self.name, engines)
        self.identity = str(facts["Id"])
        self._is_running = bool(facts["State"]["Running"])

    def _find(self, name: str, engines: t.Sequence[str]) -> tuple[str, dict[str, t.Any]]:
        commands = [command for command in map(shutil.which, engines) if command]
        if not commands:
            raise SourceError(
                f"{self.text}: this host has no command {' or '.join(engines)}. Run the playbook on the host "
                "that runs the container."
            )
        words = ""
        for command in commands:
            done = subprocess.run(
                [command, "inspect", "--type", "container", name],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
            if done.returncode == 0:
                return command, json.loads(done.stdout)[0]
            words = _last_line(done.stderr) or words
        if "no such" not in words.lower() and "no container" not in words.lower():
            raise SourceError(f"{self.text}: the engine can't be asked: {words}")
        raise FileNotFoundError(f"{self.text}: {words}")

    def writer(self) -> str | None:
        if not self._is_running:
            return None
        engine = os.path.basename(self._engine)
        return (
            f"Container {self.name} runs, and may take uploads into its own layer. Run `{engine} stop "
            f"{self.identity[:12]}` (not rm, which takes its layer along)"
        )

    def entries(self) -> t.Iterator[Entry]:
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                [self._engine, "cp", f"{self.identity}:{self.path}", "-"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            ) as process,
        ):
            is_whole = False
            try:
                stream = t.cast("t.IO[bytes]", process.stdout)
                try:
                    with tarfile.open(fileobj=stream, mode="r|") as tar:
                        yield from self._members(tar)
                    # What follows the end of the archive is padding.
                    while stream.read(1 << 16):
                        pass
                    is_whole = True
                except (tarfile.TarError, EOFError) as error:
                    process.wait()
                    raise self._failure(errors, str(error)) from error
            finally:
                if not is_whole:
                    process.kill()
            if process.wait() != 0:
                raise self._failure(errors, f"it ended with status {process.returncode}")

    def _failure(self, errors: t.IO[bytes], why: str) -> SourceError:
        errors.seek(0)
        words = _last_line(errors.read()) or why
        if "could not find" in words.lower() or "no such file" in words.lower():
            return SourceError(
                f"{self.text}: the container has no {self.path} ({words}). Write the directory of its uploads."
            )
        # A file that grows while it is read ends the stream.
        return UnsettledError(f"{self.text}: reading it came to no end ({words})")

    def _members(self, tar: tarfile.TarFile) -> t.Iterator[Entry]:
        for member in tar:
            # The first part is the directory's own name.
            path = member.name.partition("/")[2].rstrip("/")
            if not path and not member.isdir():
                raise SourceError(
                    f"{self.text} is no directory. Write the directory of the uploads."
                )
            if ".." in path.split("/") or path.startswith("/"):
                raise SourceError(f"{self.text}: its engine sent the name {printable(member.name)}")
            if path:
                yield self._entry(tar, member, path)
            # Else it keeps every member, and memory grows with their number.
            tar.members = []  # type: ignore[attr-defined]

    def _entry(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Entry:
        if not (member.isreg() or member.islnk()):
            kind = "directory" if member.isdir() else "link" if member.issym() else "special file"
            return Entry(path, kind)
        mtime_ns = round(member.mtime * 1_000_000_000)
        return Entry(
            path,
            "file",
            member.size,
            mtime_ns,
            f"{member.size}:{mtime_ns}",
            mtime_ns,
            CONTAINER_LAG_NS,
            link_to=member.linkname.partition("/")[2] if member.islnk() else None,
            opener=lambda: t.cast("t.BinaryIO", _Stream(self.text, tar.extractfile(member))),
        )


class _Stream(io.BufferedIOBase):
    """A member of a stream that may break off."""

    def __init__(self, text: str, stream: t.IO[bytes] | None) -> None:
        if stream is None:
            raise ValueError(f"{text}: it is no regular file")
        self._text = text
        self._stream = stream

    def read(self, size: int | None = -1, /) -> bytes:
        try:
            return self._stream.read(-1 if size is None else size)
        except (tarfile.TarError, EOFError) as error:
            raise UnsettledError(f"{self._text}: reading it came to no end ({error})") from error


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""
