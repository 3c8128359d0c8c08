# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Trees that are entered by descriptors, and folders that are read with another user's rights.

Publishing runs as root, while what a folder is and what it holds is said by the app. So a source is
read with the rights of the app's user, and both trees are entered by directory descriptors that
follow no link. Links are refused, those within a folder too: pip unpacks none from a wheel, and what
one leads to can't be told safely while another user may change it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
import threading
import types
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _names,
)

# Deeper than any app's folder, and within what descriptors and Python's stack allow.
DEPTH_LIMIT = 64
PROBLEMS_SHOWN = 5

# Ids belong to the whole process (nptl(7)), so no program is started while they are another's.
IDS = threading.RLock()

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo that takes the place of a file would block an open without O_NONBLOCK.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class PublishError(Exception):
    """The mounts can't be published. Nothing was changed, unless the message says so."""


def several(problems: list[str]) -> str:
    hidden = len(problems) - PROBLEMS_SHOWN
    rest = [f"And {hidden} more of the kind."] if hidden > 0 else []
    return "\n".join([*problems[:PROBLEMS_SHOWN], *rest])


def link_problem(path: str) -> str:
    return (
        f"{_names.printable(path)} is a link. Publishing follows none, since one could lead to any file of the "
        "host. Put the file itself into the static folder."
    )


class Rights:
    """Within it, the kernel grants what it grants a user (seteuid(2)), and nothing of root's.

    The user can't signal or trace us meanwhile: the real and the saved user id stay root's
    (kill(2); ptrace(2), "Ptrace access mode checking").
    """

    def __init__(self, who: _as_user.Account | None) -> None:
        self._who = who if who is not None and _as_user.require_switch(who) else None
        self._own = (os.geteuid(), os.getegid(), os.getgroups())

    def __enter__(self) -> None:
        IDS.acquire()
        if self._who is not None:
            os.setgroups(self._who.groups)
            os.setegid(self._who.gid)
            os.seteuid(self._who.uid)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._who is not None:
            uid, gid, groups = self._own
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)
        IDS.release()


class Tree:
    """A directory tree that is entered by descriptors, so no link in it leads anywhere.

    What fails is an OSError that names the path in full.

    :param path: of its top, which may be reached by links.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path)
        self._top = os.open(self.path, _DIRECTORY)
        # Files come directory by directory, so the last one serves for most.
        self._last = ("", self._top)

    def close(self) -> None:
        """Close what is open."""
        self._forget()
        os.close(self._top)

    def _forget(self) -> None:
        path, descriptor = self._last
        self._last = ("", self._top)
        if path:
            os.close(descriptor)

    def directory(self, path: str) -> int:
        """Return a descriptor of a directory, good until another one is asked for."""
        if path != self._last[0]:
            self._forget()
            if path:
                with self._naming(path):
                    self._last = (path, self._enter(path))
        return self._last[1]

    def _enter(self, path: str) -> int:
        descriptor = os.dup(self._top)
        for name in path.split("/"):
            outer = descriptor
            try:
                descriptor = os.open(name, _DIRECTORY, dir_fd=outer)
            finally:
                os.close(outer)
        return descriptor

    def file(self, path: str) -> t.BinaryIO:
        """Open a plain file to read."""
        directory, name = posixpath.split(path)
        parent = self.directory(directory)
        with self._naming(path):
            descriptor = os.open(name, _FILE, dir_fd=parent)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.ESTALE, "is no plain file any more")
        return os.fdopen(descriptor, "rb")

    def entries(
        self, hidden: bool, but: str | None = None
    ) -> t.Iterator[tuple[str, os.stat_result]]:
        """Yield every path in the tree with what is there; a directory's files before those below.

        :param hidden: whether to look into directories whose names begin with a dot.
        :param but: a directory at the top that is passed over.
        """
        return self._entries(self._top, "", hidden, 0, but)

    def _entries(
        self, descriptor: int, relative: str, hidden: bool, depth: int, but: str | None = None
    ) -> t.Iterator[tuple[str, os.stat_result]]:
        directories = []
        for name in sorted(os.listdir(descriptor)):
            if name == but:
                continue
            try:
                status = os.lstat(name, dir_fd=descriptor)
            except FileNotFoundError:
                continue
            yield relative + name, status
            if stat.S_ISDIR(status.st_mode) and (hidden or not name.startswith(".")):
                directories.append(name)
        for name in directories:
            path = relative + name
            if depth == DEPTH_LIMIT:
                place = _names.printable(os.path.join(self.path, path))
                raise PublishError(
                    f"{place} lies deeper than {DEPTH_LIMIT} directories. Move it up."
                )
            with self._naming(path):
                inner = os.open(name, _DIRECTORY, dir_fd=descriptor)
            try:
                yield from self._entries(inner, f"{path}/", hidden, depth + 1)
            finally:
                os.close(inner)

    @contextlib.contextmanager
    def _naming(self, path: str) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.path.join(self.path, path)) from None


class Sources:
    """The app's folders, read with the rights of its user.

    :param reader: that user; ``None`` reads with our own rights.
    """

    def __init__(self, reader: _as_user.Account | None) -> None:
        try:
            self._rights = Rights(reader)
        except _as_user.AsUserError as error:
            raise PublishError(str(error)) from error
        self._reader = reader.name if reader else _names.user_name(os.geteuid())
        self._trees: dict[str, Tree] = {}
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Close what is open."""
        self._stack.close()

    def open(self, url: str, folder: str) -> Tree:
        """Open the folder of a mount.

        :raises PublishError: when it isn't there, or can't be read.
        """
        if not os.path.isabs(folder):
            raise PublishError(f"The app's folder of {url} is {folder!r}. It has to be absolute.")
        try:
            return self._tree(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise PublishError(
                f"The app says that {url} is {_names.printable(folder)}, which is no directory of this host. Make "
                "that folder part of the package, or take its static_folder out of the app."
            ) from None
        except OSError as error:
            raise self._explained(error) from error

    def _tree(self, folder: str) -> Tree:
        if folder not in self._trees:
            with self._rights:
                self._trees[folder] = self._stack.enter_context(contextlib.closing(Tree(folder)))
        return self._trees[folder]

    def entries(self, tree: Tree) -> list[tuple[str, os.stat_result]]:
        """Return what a folder holds, as :meth:`Tree.entries` does.

        :raises PublishError: when a directory can't be read.
        """
        try:
            with self._rights:
                return list(tree.entries(hidden=False))
        except OSError as error:
            raise self._explained(error) from error

    def file(self, folder: str, path: str) -> t.BinaryIO:
        """Open a file of a folder that was opened.

        :raises PublishError: when it can't be read, or is another thing by now.
        """
        try:
            tree = self._tree(folder)
            with self._rights:
                return tree.file(path)
        except OSError as error:
            raise self._explained(error) from error

    def read(self, folder: str, path: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file that may be there, or ``None``."""
        try:
            with self._rights, self._tree(folder).file(path) as file:
                content = file.read(limit_bytes + 1)
        except OSError:
            return None
        return content if len(content) <= limit_bytes else None

    def _explained(self, error: OSError) -> PublishError:
        path = _names.printable(os.fsdecode(error.filename))
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return PublishError(link_problem(path))
        if error.errno in (errno.ENOENT, errno.ESTALE):
            return PublishError(
                f"{path} was changed while it was read. Run the playbook again when that is over."
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return PublishError(
                f"{self._reader} can't read {path}, and only what the app can read is published. Let "
                f"{self._reader} read it, or take it out of the static folder."
            )
        return PublishError(f"{path}: {error.strerror}")
