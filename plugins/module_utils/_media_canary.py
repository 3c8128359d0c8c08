# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A small file of our own in the media root: written as the app would, fetched, removed.

That it can't be written is an answer, not an error: a check is made of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import re
import secrets
import socket
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _names,
    _path_access,
    _process,
)

PREFIX = "flask-verify-"
SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,16}){0,2}\Z")
NAME = re.compile(rf"\.?{PREFIX}([0-9a-f]{{24}})([0-9a-f]{{8}}){SUFFIX.pattern}")
# By it we know our own files again, and remove no other.
MARKER = "This file is a canary of flaskworks.static_media and may be removed.\n"
# Follows in one that is locked as long as it is in use (flock(2)): the kernel ends that with its
# holder, so what a killed run left is known at once.
HELD = "It is in use while somebody holds a lock on it.\n"
# A younger one may be in use by another run.
LEFTOVER_AGE_SECONDS = 60
# As a name, it is nobody's: what killed runs left is removed, and nothing else.
LEFTOVERS = ""
CONTENT_LIMIT_BYTES = 65536

Facts = dict[str, t.Any]

_REASONS = {
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
    errno.EROFS: "read-only-filesystem",
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not-a-directory",
    errno.ELOOP: "symlink-blocked",
}


class CanaryError(Exception):
    """A request that can't be right. Nothing was written or removed."""


@dataclasses.dataclass(frozen=True)
class Held:
    """A canary that stays in use until it is removed, and can be, wherever its path leads then.

    :ivar directory: descriptor of the directory that it was written to.
    :ivar file: its own descriptor, which holds the lock.
    """

    who: _as_user.Account
    name: str
    directory: int
    file: int

    def apply_removal(self) -> str | None:
        """Remove it as its user, or as who we are where that user no longer can.

        :return: why it is still there, or ``None``.
        """
        status = os.fstat(self.file)
        arguments = (self.directory, self.name, status.st_dev, status.st_ino)
        fault: str | None = None
        for who in (self.who, None):
            try:
                fault = _as_user.call(who, _unlink, *arguments)
            except _as_user.AsUserError as error:
                fault = str(error)
            if fault is None:
                break
        return fault

    def close(self) -> None:
        """Let go of it: whoever comes next may remove it."""
        os.close(self.file)
        os.close(self.directory)


def _unlink(directory: int, name: str, device: int, inode: int) -> str | None:
    """Runs in the user's process."""
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if (found.st_dev, found.st_ino) == (device, inode):
            os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        # Moved or removed by the app or another run.
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None


def new_name(suffix: str = ".txt", is_hidden: bool = False) -> str:
    """Return a name that nobody can guess, so nobody can be there first, and that we know again."""
    token = secrets.token_hex(12)
    return f"{'.' if is_hidden else ''}{PREFIX}{token}{_proof(token)}{suffix}"


def _proof(token: str) -> str:
    # No secret: it tells an empty file of ours, whose maker was killed before it wrote the marker.
    return hashlib.sha256(f"{PREFIX}{token}".encode("ascii")).hexdigest()[:8]


def check_content(suffix: str, content: str) -> None:
    """Refuse what can't be written, or would not be known again.

    :raises CanaryError: for such a suffix or content.
    """
    if not SUFFIX.match(suffix):
        raise CanaryError(
            f"suffix is {suffix!r}. Write one as of a file's name, such as .html or .tar.gz."
        )
    if len(content.encode("utf-8", "surrogatepass")) > CONTENT_LIMIT_BYTES:
        raise CanaryError(f"content is longer than {CONTENT_LIMIT_BYTES} bytes. Write less.")


def check(directory: str, name: str | None) -> None:
    """Refuse what could lead elsewhere.

    :raises CanaryError: for a relative directory, or a name that isn't a canary's.
    """
    if not directory.startswith("/"):
        raise CanaryError(
            f"directory is {directory!r}, a relative path. Write it from the root, such as /var/www/gallery/media."
        )
    if name is not None and not NAME.match(name):
        raise CanaryError(
            f"name is {name!r}, which is no canary's. Write the name that state=present returned."
        )


def place(
    who: _as_user.Account, directory: str, *, umask: int, process_id: int | None = None
) -> Facts:
    """Write a canary as the user.

    :param process_id: a process in whose view, and with whose umask if the kernel tells it, to write.
    :return: ``written``, and what was written or ``error``; the ``umask``.
    :raises _as_user.AsUserError: when the user's or the process's place can't be taken.
    """
    content = MARKER + secrets.token_hex(32) + "\n"
    return _place(who, directory, new_name(), content, umask, process_id, None)


def place_held(
    who: _as_user.Account,
    directory: str,
    *,
    umask: int,
    process_id: int | None = None,
    suffix: str = ".txt",
    content: str = "",
    is_hidden: bool = False,
) -> tuple[Facts, Held | None]:
    """Write a canary as the user, and keep hold of it.

    :param content: what follows the lines by which it is known again.
    :param is_hidden: whether its name begins with a dot.
    :return: as :func:`place`, and what removes it, if it was written.
    :raises CanaryError: for a suffix or content that can't be.
    :raises _as_user.AsUserError: when the user's or the process's place can't be taken.
    """
    check_content(suffix, content)
    name = new_name(suffix, is_hidden)
    text = f"{MARKER}{HELD}{secrets.token_hex(32)}\n{content}"
    receiver, sender = socket.socketpair()
    with receiver, sender:
        answer = _place(who, directory, name, text, umask, process_id, sender)
        if not answer["written"]:
            return answer, None
        _unused, descriptors, _flags, _address = socket.recv_fds(receiver, 1, 2)
    return answer, Held(who, name, *descriptors)


def _place(
    who: _as_user.Account,
    directory: str,
    name: str,
    content: str,
    umask: int,
    process_id: int | None,
    holder: socket.socket | None,
) -> Facts:
    if process_id is not None:
        told = _process.umask_of(process_id)
        umask = umask if told is None else told
    raw = content.encode("utf-8", "surrogatepass")
    with contextlib.ExitStack() as stack:
        view = None if process_id is None else stack.enter_context(_as_user.view_of(process_id))
        answer: Facts = _as_user.call(
            who, _write, who, directory, name, raw, holder, umask=umask, view=view
        )
    answer["umask"] = f"{umask:04o}"
    if not answer["written"]:
        return answer
    owner, group = answer.pop("uid"), answer.pop("gid")
    return {
        **answer,
        "name": name,
        "path": os.path.join(directory, name),
        "content": content,
        "sha256": hashlib.sha256(raw).hexdigest(),
        "owner": _names.user_name(owner),
        "group": _names.group_name(group),
    }


def _write(
    who: _as_user.Account, directory: str, name: str, raw: bytes, holder: socket.socket | None
) -> Facts:
    """Runs in the user's process."""
    try:
        place_descriptor = _open_directory(directory)
        try:
            status = _create(place_descriptor, name, raw, holder)
        finally:
            os.close(place_descriptor)
    except OSError as error:
        return {"written": False, "error": _explain(who, directory, error)}
    return {
        "written": True,
        "error": None,
        "size": status.st_size,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
    }


def _open_directory(directory: str) -> int:
    # O_PATH asks for no right to read: an app may write where it can't list.
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _create(
    place_descriptor: int, name: str, raw: bytes, holder: socket.socket | None
) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666, dir_fd=place_descriptor)
    try:
        with open(descriptor, "wb") as file:
            if holder is not None:
                with contextlib.suppress(OSError):
                    # Not every file system has locks; its leftovers are told by age.
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            file.write(raw)
            file.flush()
            # NFS tells of a full disk or quota only now (close(2)).
            os.fsync(descriptor)
            if holder is not None:
                # Fails where whoever would remove it has been killed.
                socket.send_fds(holder, [b"-"], [place_descriptor, descriptor])
            return os.fstat(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=place_descriptor)
        raise


def _explain(who: _as_user.Account, directory: str, error: OSError) -> Facts:
    """Say why, and name the component where that is known."""
    component, reason = directory, _REASONS.get(error.errno or 0, "not-writable")
    question = _path_access.Question(directory, ("traverse", "write"))
    stop = _path_access.walk(who, question)["blocked_by"]
    if stop:
        component, reason = stop["component"], stop["reason"]
    return {
        "errno": errno.errorcode.get(error.errno or 0, str(error.errno)),
        "strerror": error.strerror,
        "reason": reason,
        "component": component,
    }


def plan_removal(
    who: _as_user.Account, directory: str, name: str | None, *, process_id: int | None = None
) -> Facts:
    """Return which canaries would be removed.

    :param name: this one, and those that a killed run left; ``None`` for every one,
        :data:`LEFTOVERS` for no other.
    :return: ``names``, and ``error`` when the directory can't be looked at.
    """
    return _remove_as(who, directory, name, process_id, False)


def apply_removal(
    who: _as_user.Account, directory: str, name: str | None, *, process_id: int | None = None
) -> Facts:
    """Remove what :func:`plan_removal` names.

    :return: ``names`` of those removed, and ``error`` when one could not be.
    """
    return _remove_as(who, directory, name, process_id, True)


def _remove_as(
    who: _as_user.Account, directory: str, name: str | None, process_id: int | None, apply: bool
) -> Facts:
    with contextlib.ExitStack() as stack:
        view = None if process_id is None else stack.enter_context(_as_user.view_of(process_id))
        answer: Facts = _as_user.call(who, _remove, who, directory, name, apply, view=view)
    return answer


def _remove(who: _as_user.Account, directory: str, name: str | None, apply: bool) -> Facts:
    """Runs in the user's process."""
    removed: list[str] = []
    fault: OSError | None = None
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {"names": [], "error": None}
    except OSError as error:
        return {"names": [], "error": _explain(who, directory, error)}
    try:
        for candidate in _candidates(descriptor):
            try:
                if not _is_ours(descriptor, candidate, name):
                    continue
                if apply:
                    os.unlink(candidate, dir_fd=descriptor)
                removed.append(candidate)
            except FileNotFoundError:
                # Another run was faster.
                continue
            except OSError as error:
                fault = error
    finally:
        os.close(descriptor)
    return {"names": removed, "error": fault and _explain(who, directory, fault)}


def _candidates(directory: int) -> list[str]:
    # There may be a million uploads beside them.
    with os.scandir(directory) as entries:
        return sorted(entry.name for entry in entries if NAME.match(entry.name))


def _is_ours(directory: int, candidate: str, name: str | None) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(candidate, flags, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return False
        head = os.read(descriptor, len(MARKER + HELD))
        is_left = time.time() - status.st_mtime > LEFTOVER_AGE_SECONDS
        if not head:
            return is_left and _is_proven(candidate)
        is_left = is_left or (head.endswith(HELD.encode("ascii")) and _is_free(descriptor))
    finally:
        os.close(descriptor)
    return head.startswith(MARKER.encode("ascii")) and (name in (None, candidate) or is_left)


def _is_proven(candidate: str) -> bool:
    match = NAME.match(candidate)
    return match is not None and _proof(match[1]) == match[2]


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Held, or a file system without locks or, as NFS, without this one: age tells then.
        return False
    return True
