# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A small file of our own in the media root: written as the app would, fetched, removed.

That it can't be written is an answer, not an error: a check is made of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _names,
    _path_access,
    _process,
)

NAME = re.compile(r"flask-verify-[0-9a-f]{32}\.txt\Z")
# By it we know our own files again, and remove no other.
MARKER = "This file is a canary of flaskworks.static_media and may be removed.\n"
# A younger one may be in use by another run.
LEFTOVER_AGE_SECONDS = 60

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


def new_name() -> str:
    """Return a name that nobody can guess, so nobody can be there first."""
    return f"flask-verify-{secrets.token_hex(16)}.txt"


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
    name = new_name()
    content = MARKER + secrets.token_hex(32) + "\n"
    if process_id is not None:
        told = _process.umask_of(process_id)
        umask = umask if told is None else told
    with contextlib.ExitStack() as stack:
        view = None if process_id is None else stack.enter_context(_as_user.view_of(process_id))
        answer: Facts = _as_user.call(
            who, _write, who, directory, name, content, umask=umask, view=view
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
        "sha256": hashlib.sha256(content.encode("ascii")).hexdigest(),
        "owner": _names.user_name(owner),
        "group": _names.group_name(group),
    }


def _write(who: _as_user.Account, directory: str, name: str, content: str) -> Facts:
    """Runs in the user's process."""
    try:
        place_descriptor = _open_directory(directory)
        try:
            status = _create(place_descriptor, name, content)
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


def _create(place_descriptor: int, name: str, content: str) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666, dir_fd=place_descriptor)
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode("ascii"))
            file.flush()
            # NFS tells of a full disk or quota only now (close(2)).
            os.fsync(descriptor)
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

    :param name: this one, and those that a killed run left; ``None`` for every one.
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
        for candidate in sorted(filter(NAME.match, os.listdir(descriptor))):
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
        ours = os.read(descriptor, len(MARKER)) == MARKER.encode("ascii")
    finally:
        os.close(descriptor)
    left = time.time() - status.st_mtime > LEFTOVER_AGE_SECONDS
    return ours and (name in (None, candidate) or left)
