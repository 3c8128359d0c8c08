# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""From an app's static mounts to one published tree, whose paths mirror the URLs.

Publishing runs as root, while what a folder is and what it holds is said by the app. So a source is
read with the rights of the app's user, and both trees are entered by directory descriptors that
follow no link. Links are refused, those within a folder too: pip unpacks none from a wheel, and what
one leads to can't be told safely while another user may change it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import posixpath
import secrets
import shutil
import stat
import types
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user

TEMPORARY = ".static_release-"
BLOCK_BYTES = 1 << 20
# Deeper than any app's folder, and within what descriptors and Python's stack allow.
DEPTH_LIMIT = 64
PROBLEMS_SHOWN = 5

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A fifo that takes the place of a file would block an open without O_NONBLOCK.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class PublishError(Exception):
    """The mounts can't be published. Nothing was changed, unless the message says so."""


class Mount(t.NamedTuple):
    """A URL prefix of the app and the folder behind it; ``None`` when the app was not asked."""

    url: str
    folder: str | None


class Look(t.NamedTuple):
    """Owner and modes of what is published; an id of -1 is one that is yet to be made."""

    uid: int
    gid: int
    directory_mode: int
    file_mode: int


class Copy(t.NamedTuple):
    """A file to publish.

    :ivar url: prefix of its mount.
    :ivar source: where from, below ``folder``.
    :ivar target: where to, below the root.
    :ivar mtime: the time it shall have, in seconds.
    """

    url: str
    folder: str
    source: str
    target: str
    size_bytes: int
    mtime: int


@dataclasses.dataclass
class Plan:
    """What publishing would change.

    :ivar directories: to make, outermost first; ``""`` is the root itself.
    :ivar added: files that are new.
    :ivar replaced: files whose content differs.
    :ivar mended_directories: published directories whose owner or mode differs.
    :ivar mended_files: published files whose owner or mode differs.
    :ivar leftovers: temporary files of runs that were killed.
    :ivar copies: every file of the app, by its path below the root.
    :ivar unchanged: number of files that are as they should be.
    :ivar kept: number of published files that the app has not, or no longer.
    :ivar ignored: what is not published: names with a leading dot, and what is no file.
    :ivar unknown: mounts whose folder is not known yet.
    """

    directories: list[str] = dataclasses.field(default_factory=list)
    added: list[Copy] = dataclasses.field(default_factory=list)
    replaced: list[Copy] = dataclasses.field(default_factory=list)
    mended_directories: list[str] = dataclasses.field(default_factory=list)
    mended_files: list[str] = dataclasses.field(default_factory=list)
    leftovers: list[str] = dataclasses.field(default_factory=list)
    copies: dict[str, Copy] = dataclasses.field(default_factory=dict)
    unchanged: int = 0
    kept: int = 0
    ignored: list[str] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.lines())

    @property
    def mended(self) -> list[str]:
        """Published paths whose owner or mode differs; a directory ends in a slash."""
        return [*(f"{path}/" for path in self.mended_directories), *self.mended_files]

    def lines(self) -> list[str]:
        """Return the changes as a person reads them, one a line."""
        return [
            *(f"+ {printable(path)}/" for path in self.directories),
            *(f"+ {printable(copy.target)}" for copy in self.added),
            *(f"~ {printable(copy.target)}" for copy in self.replaced),
            *(f"o {printable(path)}" for path in self.mended),
            *(f"- {printable(path)}" for path in self.leftovers),
            *(f"? {printable(url)}" for url in self.unknown),
        ]


def printable(path: str) -> str:
    """Return a path as one line of text, whatever bytes its name is made of."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def plan(
    root: str, mounts: t.Iterable[Mount], look: Look, reader: _as_user.Account | None = None
) -> Plan:
    """Return what publishing would change.

    A mount within another one answers for all of its own URLs, as in Flask's url_map; of two with
    the same URL the first does.

    :param root: the static root.
    :param reader: with whose rights the folders are read; ``None`` for our own.
    :raises PublishError: when a mount can't be read, leads out of itself, or does not fit the tree.
    """
    root = _real_root(root)
    result = Plan()
    wanted = {""}
    problems: list[str] = []
    by_url: dict[str, Mount] = {}
    for mount in mounts:
        by_url.setdefault(mount.url, mount)
    with contextlib.closing(_Sources(reader)) as sources:
        for url, mount in sorted(by_url.items()):
            prefix = _prefix(url)
            wanted.add(prefix)
            for covered in [path for path in result.copies if _is_below(path, prefix)]:
                del result.copies[covered]
            if mount.folder is None:
                result.unknown.append(url)
            else:
                _plan_mount(root, url, mount.folder, sources, result, problems)
        for path in (*result.copies, *wanted):
            _add_parents(path, wanted)
        existing = _existing(root, result.copies, wanted, result)
        problems += _misfits(root, existing, result.copies, wanted)
        if problems:
            raise PublishError(_several(problems))
        for path in sorted(wanted):
            if path not in existing:
                result.directories.append(path)
            elif not _looks(existing[path], look, look.directory_mode):
                result.mended_directories.append(path)
        _plan_files(root, existing, look, sources, result)
    return result


def _real_root(root: str) -> str:
    if not os.path.isabs(root) or os.path.realpath(root) == "/":
        raise PublishError(
            f"The static root is {root!r}. Set it to an absolute path of its own, such as "
            "/var/www/gallery/static."
        )
    return os.path.realpath(root)


def _prefix(url: str) -> str:
    """Return the directory below the root that a URL prefix is published to."""
    parts = url.split("/")
    if not url or parts[0] or parts[-1] or {".", ".."} & set(parts) or "\0" in url or "//" in url:
        raise PublishError(
            f"{url!r} is no URL prefix. One begins and ends with a slash, such as /static/, and has "
            "no empty, '.' or '..' part."
        )
    return url.strip("/")


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def _add_parents(path: str, directories: set[str]) -> None:
    parent = posixpath.dirname(path)
    while parent and parent not in directories:
        directories.add(parent)
        parent = posixpath.dirname(parent)


def _plan_mount(
    root: str, url: str, folder: str, sources: _Sources, result: Plan, problems: list[str]
) -> None:
    """Add a mount's files to the plan, or say why they can't be published."""
    prefix = _prefix(url)
    tree = sources.open(url, folder)
    if os.path.commonpath([root, tree.path]) in (root, tree.path):
        raise PublishError(
            f"The app's folder of {url}, {tree.path}, and the static root {root} lie in one another, "
            "so that a run would publish what the last one did. Set flask_static_root to a directory "
            "of its own."
        )
    for path, status in sources.entries(tree):
        target = posixpath.join(prefix, path)
        if posixpath.basename(path).startswith("."):
            result.ignored.append(target)
        elif stat.S_ISLNK(status.st_mode):
            problems.append(_link_problem(os.path.join(tree.path, path)))
        elif stat.S_ISREG(status.st_mode):
            mtime = int(status.st_mtime)
            copy = Copy(url, tree.path, path, target, status.st_size, mtime)
            result.copies[target] = copy
            try:
                sources.file(copy).close()
            except PublishError as error:
                problems.append(str(error))
        elif not stat.S_ISDIR(status.st_mode):
            result.ignored.append(target)


def _link_problem(path: str) -> str:
    return (
        f"{printable(path)} is a link. Publishing follows none, since one could lead to any file of the "
        "host. Put the file itself into the static folder."
    )


def _several(problems: list[str]) -> str:
    hidden = len(problems) - PROBLEMS_SHOWN
    rest = [f"And {hidden} more of the kind."] if hidden > 0 else []
    return "\n".join([*problems[:PROBLEMS_SHOWN], *rest])


def _existing(
    root: str, copies: t.Mapping[str, Copy], wanted: set[str], result: Plan
) -> dict[str, os.stat_result]:
    """Return what is at the paths that are wanted, and count the rest."""
    try:
        tree = _Tree(root)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise PublishError(
            f"{root}: {error.strerror}. Move it away, or set flask_static_root to another directory."
        ) from error
    with contextlib.closing(tree):
        existing = {"": os.fstat(tree.directory(""))}
        for path, status in tree.entries(hidden=True):
            if posixpath.basename(path).startswith(TEMPORARY) and stat.S_ISREG(status.st_mode):
                result.leftovers.append(path)
            elif path in copies or path in wanted:
                existing[path] = status
            elif not stat.S_ISDIR(status.st_mode):
                result.kept += 1
    return existing


def _misfits(
    root: str,
    existing: t.Mapping[str, os.stat_result],
    copies: t.Mapping[str, Copy],
    wanted: set[str],
) -> t.Iterator[str]:
    """Yield why files and directories of the app can't be put into the tree."""
    for path in sorted(wanted):
        place = printable(os.path.join(root, path))
        if path in copies:
            yield (
                f"The app has a file {printable(copies[path].source)} in {copies[path].folder}, and files "
                f"below the URL /{printable(path)}/ too. {place} can't be both: rename one."
            )
        elif path in existing and not stat.S_ISDIR(existing[path].st_mode):
            yield (
                f"{place} is no directory, and the app has files below it. Move it away; nothing of "
                "this collection makes it."
            )
    for path in copies:
        if path in existing and stat.S_ISDIR(existing[path].st_mode):
            yield (
                f"{printable(os.path.join(root, path))} is a directory, where the app has a file. Move "
                "the directory away."
            )


def _plan_files(
    root: str,
    existing: t.Mapping[str, os.stat_result],
    look: Look,
    sources: _Sources,
    result: Plan,
) -> None:
    with contextlib.ExitStack() as stack:
        tree = stack.enter_context(contextlib.closing(_Tree(root))) if existing else None
        for copy in result.copies.values():
            status = existing.get(copy.target)
            if tree is None or status is None:
                result.added.append(copy)
            elif not stat.S_ISREG(status.st_mode):
                result.replaced.append(copy)
            elif copy.size_bytes != status.st_size or not _same_content(copy, sources, tree):
                result.replaced.append(_with_new_etag(copy, status))
            elif not _looks(status, look, look.file_mode):
                result.mended_files.append(copy.target)
            else:
                result.unchanged += 1


def _with_new_etag(copy: Copy, published: os.stat_result) -> Copy:
    """Return the copy with a time that gives it an ETag which this path never had.

    Nginx's ETag is mtime and size in whole seconds and bytes (ngx_http_set_etag() in
    src/http/ngx_http_core_module.c), and build backends give all files of all wheels one fixed
    time. So time only moves on: were a later file to get an earlier one's ETag, a cache that holds
    the earlier one would be told that it is still good.
    """
    return copy._replace(mtime=max(copy.mtime, int(published.st_mtime) + 1))


def _same_content(copy: Copy, sources: _Sources, tree: _Tree) -> bool:
    with sources.file(copy) as source, tree.file(copy.target) as target:
        while True:
            block = source.read(BLOCK_BYTES)
            if block != target.read(BLOCK_BYTES):
                return False
            if not block:
                return True


def _looks(status: os.stat_result, look: Look, mode: int) -> bool:
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        look.uid,
        look.gid,
        mode,
    )


def apply(root: str, planned: Plan, look: Look, reader: _as_user.Account | None = None) -> None:
    """Carry out a plan.

    Each file appears whole, by a rename within its directory, so a visitor gets the old one or the
    new one, also when this is killed. Nothing is synced to disk: what a power failure takes, the
    next run finds missing or different.

    :raises PublishError: when the space does not suffice, before the first change; or when a file
        can't be read or written any more.
    """
    if planned.unknown:
        raise PublishError(
            f"The app's folder of {planned.unknown[0]} is not known. Ask the app first, or set folder."
        )
    root = _real_root(root)
    _refuse_lack_of_space(root, planned)
    try:
        _make_root(root)
        with contextlib.ExitStack() as stack:
            sources = stack.enter_context(contextlib.closing(_Sources(reader)))
            tree = stack.enter_context(contextlib.closing(_Tree(root)))
            for path in planned.leftovers:
                directory, name = posixpath.split(path)
                os.unlink(name, dir_fd=tree.directory(directory))
            for path in planned.directories:
                directory, name = posixpath.split(path)
                if name:
                    os.mkdir(name, 0o700, dir_fd=tree.directory(directory))
            for path in (*planned.directories, *planned.mended_directories):
                _dress(tree.directory(path), look, look.directory_mode)
            for path in planned.mended_files:
                with tree.file(path) as file:
                    _dress(file.fileno(), look, look.file_mode)
            for copy in (*planned.added, *planned.replaced):
                _publish(copy, tree, sources, look)
    except OSError as error:
        raise PublishError(
            f"{printable(str(error.filename or root))}: {error.strerror}. What was published by then is "
            "whole. Mend this, and run the playbook again."
        ) from error


def _refuse_lack_of_space(root: str, planned: Plan) -> None:
    copies = [*planned.added, *planned.replaced]
    parent = root
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free = os.statvfs(parent)
    needed_bytes = sum(-(-copy.size_bytes // free.f_frsize) * free.f_frsize for copy in copies)
    free_bytes = free.f_bavail * free.f_frsize
    if needed_bytes > free_bytes:
        raise PublishError(
            f"{needed_bytes} bytes are to be published, and {parent} has {free_bytes} bytes free. "
            "Nothing was changed. Make room, or set flask_static_root to a larger file system."
        )
    # A file system that makes inodes as it needs them (btrfs) says 0 of 0.
    if free.f_files and len(copies) > free.f_favail:
        raise PublishError(
            f"{len(copies)} files are to be published, and {parent} has {free.f_favail} inodes free. "
            "Nothing was changed. Make room, or set flask_static_root to another file system."
        )


def _make_root(root: str) -> None:
    """Make the root, and what is above it such that Nginx can pass, whatever our umask is."""
    missing = []
    path = root
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        if path != root:
            os.chmod(path, 0o755)


def _dress(descriptor: int, look: Look, mode: int) -> None:
    os.fchown(descriptor, look.uid, look.gid)
    os.fchmod(descriptor, mode)


def _publish(copy: Copy, tree: _Tree, sources: _Sources, look: Look) -> None:
    directory, name = posixpath.split(copy.target)
    descriptor = tree.directory(directory)
    temporary = TEMPORARY + secrets.token_hex(8)
    with sources.file(copy) as source:
        try:
            with open(
                temporary,
                "wb",
                opener=lambda path, _flags: os.open(path, _NEW_FILE, 0o600, dir_fd=descriptor),
            ) as target:
                shutil.copyfileobj(source, target, BLOCK_BYTES)
                target.flush()
                _dress(target.fileno(), look, look.file_mode)
                os.utime(target.fileno(), (copy.mtime, copy.mtime))
            os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=descriptor)
            raise


class _Rights:
    """Within it, the kernel grants what it grants a user (seteuid(2)), and nothing of root's.

    The user can't signal or trace us meanwhile: the real and the saved user id stay root's
    (kill(2); ptrace(2), "Ptrace access mode checking").
    """

    def __init__(self, who: _as_user.Account | None) -> None:
        self._who = who if who is not None and _as_user.require_switch(who) else None
        self._own = (os.geteuid(), os.getegid(), os.getgroups())

    def __enter__(self) -> None:
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


class _Tree:
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

    def entries(self, hidden: bool) -> t.Iterator[tuple[str, os.stat_result]]:
        """Yield every path in the tree with what is there; a directory's files before those below.

        :param hidden: whether to look into directories whose names begin with a dot.
        """
        return self._entries(self._top, "", hidden, 0)

    def _entries(
        self, descriptor: int, relative: str, hidden: bool, depth: int
    ) -> t.Iterator[tuple[str, os.stat_result]]:
        directories = []
        for name in sorted(os.listdir(descriptor)):
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
                place = printable(os.path.join(self.path, path))
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


class _Sources:
    """The app's folders, read with the rights of its user.

    :param reader: that user; ``None`` reads with our own rights.
    """

    def __init__(self, reader: _as_user.Account | None) -> None:
        try:
            self._rights = _Rights(reader)
        except _as_user.AsUserError as error:
            raise PublishError(str(error)) from error
        self._reader = reader.name if reader else _as_user.user_name(os.geteuid())
        self._trees: dict[str, _Tree] = {}
        self._stack = contextlib.ExitStack()

    def close(self) -> None:
        """Close what is open."""
        self._stack.close()

    def open(self, url: str, folder: str) -> _Tree:
        """Open the folder of a mount.

        :raises PublishError: when it isn't there, or can't be read.
        """
        if not os.path.isabs(folder):
            raise PublishError(f"The app's folder of {url} is {folder!r}. It has to be absolute.")
        try:
            return self._tree(folder)
        except (FileNotFoundError, NotADirectoryError):
            raise PublishError(
                f"The app says that {url} is {printable(folder)}, which is no directory of this host. Make "
                "that folder part of the package, or take its static_folder out of the app."
            ) from None
        except OSError as error:
            raise self._explained(error) from error

    def _tree(self, folder: str) -> _Tree:
        if folder not in self._trees:
            with self._rights:
                self._trees[folder] = self._stack.enter_context(contextlib.closing(_Tree(folder)))
        return self._trees[folder]

    def entries(self, tree: _Tree) -> list[tuple[str, os.stat_result]]:
        """Return what a folder holds, as :meth:`_Tree.entries` does.

        :raises PublishError: when a directory can't be read.
        """
        try:
            with self._rights:
                return list(tree.entries(hidden=False))
        except OSError as error:
            raise self._explained(error) from error

    def file(self, copy: Copy) -> t.BinaryIO:
        """Open a file.

        :raises PublishError: when it can't be read, or is another thing by now.
        """
        try:
            tree = self._tree(copy.folder)
            with self._rights:
                return tree.file(copy.source)
        except OSError as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> PublishError:
        path = printable(os.fsdecode(error.filename))
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            return PublishError(_link_problem(path))
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


def known_file(copies: t.Iterable[Copy]) -> dict[str, t.Any] | None:
    """Return a file of a mount that a proof can ask for: the first style sheet, script, or other.

    :return: its ``path`` below the mount and its ``size`` in bytes; ``None`` when there is none.
    """
    order = {".css": 0, ".js": 1, ".mjs": 1}
    found = min(
        (copy for copy in copies if copy.size_bytes and printable(copy.source) == copy.source),
        key=lambda copy: (order.get(posixpath.splitext(copy.source)[1], 2), copy.source),
        default=None,
    )
    return {"path": found.source, "size": found.size_bytes} if found else None
