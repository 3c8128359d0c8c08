# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""From an app's static mounts to one published tree, whose paths mirror the URLs.

Publishing runs as root while the source may belong to the app, so the source is walked by
directory descriptors and no link in it is followed out of its mount.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import posixpath
import secrets
import shutil
import stat
import typing as t

TEMPORARY = ".static_release-"
BLOCK_BYTES = 1 << 20


class PublishError(Exception):
    """The mounts can't be published. Nothing was changed."""


@dataclasses.dataclass(frozen=True)
class Mount:
    """A URL prefix of the app and the folder behind it; ``None`` when the app was not asked."""

    url: str
    folder: str | None


@dataclasses.dataclass(frozen=True)
class Look:
    """Owner and modes of what is published."""

    uid: int
    gid: int
    directory_mode: int
    file_mode: int


@dataclasses.dataclass(frozen=True)
class Copy:
    """A file to publish: where from, below the mount's folder, and where to, below the root."""

    folder: str
    source: str
    target: str
    mtime: int


@dataclasses.dataclass
class Plan:
    """What publishing would change.

    :ivar directories: to make, outermost first.
    :ivar added: files that are new.
    :ivar replaced: files whose content differs.
    :ivar mended: published paths whose owner or mode differs.
    :ivar leftovers: temporary files of runs that were killed.
    :ivar unchanged: number of files that are as they should be.
    :ivar files: every file of the app, by its path below the root: its size in bytes.
    :ivar unknown: mounts whose folder is not known yet.
    """

    directories: list[str] = dataclasses.field(default_factory=list)
    added: list[Copy] = dataclasses.field(default_factory=list)
    replaced: list[Copy] = dataclasses.field(default_factory=list)
    mended: list[str] = dataclasses.field(default_factory=list)
    leftovers: list[str] = dataclasses.field(default_factory=list)
    unchanged: int = 0
    files: dict[str, int] = dataclasses.field(default_factory=dict)
    unknown: list[str] = dataclasses.field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(
            self.directories
            or self.added
            or self.replaced
            or self.mended
            or self.leftovers
            or self.unknown
        )

    def lines(self) -> list[str]:
        """Return the changes as a person reads them, one a line."""
        return [
            *(f"+ {path}/" for path in self.directories),
            *(f"+ {copy.target}" for copy in self.added),
            *(f"~ {copy.target}" for copy in self.replaced),
            *(f"o {path}" for path in self.mended),
            *(f"- {path}" for path in self.leftovers),
            *(f"? {url}" for url in self.unknown),
        ]


def plan(root: str, mounts: t.Sequence[Mount], look: Look) -> Plan:
    """Return what publishing would change.

    :param root: the static root.
    :raises PublishError: when a mount can't be read, leads out of itself, or does not fit the tree.
    """
    result = Plan()
    copies: dict[str, Copy] = {}
    # A mount within another one answers for its own URLs, as in the app's url_map.
    for mount in sorted(mounts, key=lambda mount: mount.url):
        if mount.folder is None:
            result.unknown.append(mount.url)
            continue
        prefix = mount.url.strip("/")
        for taken in [path for path in copies if path.startswith(f"{prefix}/")]:
            del copies[taken]
        for source, size, mtime in _walk(mount):
            target = posixpath.join(prefix, source)
            copies[target] = Copy(mount.folder, source, target, mtime)
            result.files[target] = size
    result.files = {path: result.files[path] for path in copies}
    _plan_directories(root, copies, look, result)
    for copy in copies.values():
        _plan_file(root, copy, look, result)
    result.leftovers = sorted(_leftovers(root))
    return result


def _walk(mount: Mount) -> t.Iterator[tuple[str, int, int]]:
    """Yield path, size in bytes and mtime of each file to publish."""
    folder = os.path.realpath(str(mount.folder))
    try:
        walk = os.fwalk(folder, onerror=_refuse_unreadable)
        for directory, names, files, descriptor in walk:
            names[:] = sorted(name for name in names if not name.startswith("."))
            relative = os.path.relpath(directory, folder)
            for name in sorted(names):
                if stat.S_ISLNK(os.lstat(name, dir_fd=descriptor).st_mode):
                    _refuse_link(os.path.join(directory, name))
            for name in sorted(files):
                if name.startswith("."):
                    continue
                status = os.lstat(name, dir_fd=descriptor)
                if stat.S_ISLNK(status.st_mode):
                    _refuse_link(os.path.join(directory, name))
                if stat.S_ISREG(status.st_mode):
                    path = os.path.normpath(os.path.join(relative, name))
                    yield path, status.st_size, int(status.st_mtime)
    except FileNotFoundError:
        raise PublishError(
            f"The app says that {mount.url} is {mount.folder}, which isn't there. Make that folder part "
            "of the package, or take its static_folder out of the app."
        ) from None


def _refuse_link(path: str) -> t.NoReturn:
    raise PublishError(
        f"{path} is a link. Publishing runs as root, and a link could lead to any file of the host; "
        "none is followed. Put the file itself into the static folder."
    )


def _refuse_unreadable(error: OSError) -> None:
    if isinstance(error, FileNotFoundError):
        raise error
    raise PublishError(f"{error.filename}: {error.strerror}")


def _plan_directories(root: str, copies: t.Iterable[str], look: Look, result: Plan) -> None:
    wanted = {""}
    for target in copies:
        parent = posixpath.dirname(target)
        while parent and parent not in wanted:
            wanted.add(parent)
            parent = posixpath.dirname(parent)
    for path in sorted(wanted):
        status = _lstat(os.path.join(root, path))
        if status is None:
            result.directories.append(path)
        elif not stat.S_ISDIR(status.st_mode):
            raise PublishError(
                f"{os.path.join(root, path)} is no directory, and one has to be there. "
                "Move it away; nothing of this collection makes it."
            )
        elif not _looks(status, look, look.directory_mode):
            result.mended.append(path)


def _plan_file(root: str, copy: Copy, look: Look, result: Plan) -> None:
    published = os.path.join(root, copy.target)
    status = _lstat(published)
    if status is None:
        result.added.append(copy)
        return
    if stat.S_ISDIR(status.st_mode):
        raise PublishError(
            f"{published} is a directory, where the app has a file. Move the directory away."
        )
    if not stat.S_ISREG(status.st_mode) or not _same_content(copy, published, status.st_size):
        result.replaced.append(_with_new_etag(copy, status, result.files[copy.target]))
    elif not _looks(status, look, look.file_mode):
        result.mended.append(copy.target)
    else:
        result.unchanged += 1


def _with_new_etag(copy: Copy, published: os.stat_result, size: int) -> Copy:
    """Return the copy with a time that makes Nginx's ETag another one.

    Nginx's ETag is mtime and size (src/http/ngx_http_core_module.c, ngx_http_set_etag), and some
    build backends give all files of all wheels one fixed time.
    """
    if (copy.mtime, size) == (int(published.st_mtime), published.st_size):
        return dataclasses.replace(copy, mtime=copy.mtime + 1)
    return copy


def _same_content(copy: Copy, published: str, size: int) -> bool:
    with _open_source(copy) as source, open(published, "rb") as target:
        if os.fstat(source.fileno()).st_size != size:
            return False
        while True:
            block = source.read(BLOCK_BYTES)
            if block != target.read(BLOCK_BYTES):
                return False
            if not block:
                return True


def _open_source(copy: Copy) -> t.BinaryIO:
    """Open a file below its folder, following no link on the way."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(os.path.realpath(copy.folder), flags | os.O_DIRECTORY)
    try:
        *directories, name = copy.source.split("/")
        for directory in directories:
            inner = os.open(directory, flags | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        return os.fdopen(os.open(name, flags | os.O_NONBLOCK, dir_fd=descriptor), "rb")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _refuse_link(os.path.join(copy.folder, copy.source))
        raise PublishError(f"{os.path.join(copy.folder, copy.source)}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise PublishError(f"{os.path.dirname(path)} is no directory. Move it away.") from None


def _looks(status: os.stat_result, look: Look, mode: int) -> bool:
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        look.uid,
        look.gid,
        mode,
    )


def _leftovers(root: str) -> t.Iterator[str]:
    for directory, _names, files in os.walk(root):
        for name in files:
            if name.startswith(TEMPORARY):
                yield os.path.relpath(os.path.join(directory, name), root)


def apply(root: str, planned: Plan, look: Look) -> None:
    """Carry out a plan.

    Each file appears whole, by a rename within its directory, so a reader sees the old one or the
    new one, also when this is killed.

    :raises PublishError: when the space does not suffice, before the first change; or when the
        source changes meanwhile.
    """
    _refuse_lack_of_space(root, planned)
    for path in planned.leftovers:
        os.unlink(os.path.join(root, path))
    for path in planned.directories:
        directory = os.path.join(root, path)
        os.makedirs(directory, exist_ok=True)
        _mend(directory, look, look.directory_mode)
    for path in planned.mended:
        published = os.path.join(root, path)
        is_directory = stat.S_ISDIR(os.lstat(published).st_mode)
        _mend(published, look, look.directory_mode if is_directory else look.file_mode)
    for copy in (*planned.added, *planned.replaced):
        _publish(root, copy, look)


def _mend(path: str, look: Look, mode: int) -> None:
    os.chown(path, look.uid, look.gid, follow_symlinks=False)
    os.chmod(path, mode)


def _publish(root: str, copy: Copy, look: Look) -> None:
    published = os.path.join(root, copy.target)
    temporary = os.path.join(os.path.dirname(published), TEMPORARY + secrets.token_hex(8))
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target, _open_source(copy) as source:
            shutil.copyfileobj(source, target, BLOCK_BYTES)
            os.fchown(target.fileno(), look.uid, look.gid)
            os.fchmod(target.fileno(), look.file_mode)
        os.utime(temporary, (copy.mtime, copy.mtime))
        os.replace(temporary, published)
    except BaseException:
        os.unlink(temporary)
        raise


def _refuse_lack_of_space(root: str, planned: Plan) -> None:
    needed = sum(planned.files[copy.target] for copy in (*planned.added, *planned.replaced))
    parent = root
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise PublishError(
            f"{needed} bytes are to be published, and {parent} has {free} bytes free. "
            "Nothing was changed. Make room, or set flask_static_root to a larger file system."
        )


def known_file(url: str, files: t.Mapping[str, int]) -> dict[str, t.Any] | None:
    """Return a file of a mount that a proof can ask for: the first style sheet, script, or other.

    :return: its ``path`` below the mount and its ``size`` in bytes; ``None`` for an empty mount.
    """
    prefix = url.lstrip("/")
    names = [
        path[len(prefix) :] for path, size in files.items() if path.startswith(prefix) and size
    ]
    order = {".css": 0, ".js": 1, ".mjs": 1}
    names.sort(key=lambda name: (order.get(posixpath.splitext(name)[1], 2), name))
    return {"path": names[0], "size": files[prefix + names[0]]} if names else None
