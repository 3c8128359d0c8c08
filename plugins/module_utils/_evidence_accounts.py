# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The user that a question is asked as: of this host by name, or of a container by numbers."""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user, _names


def account(question: t.Mapping[str, t.Any]) -> _as_user.Account:
    """Return the user that a question names, or else its process's.

    A number without a group has the process's groups, if it is the process's, or those of the user
    that has the number on this host.

    :raises _as_user.AsUserError: when there is no such user.
    """
    user = question.get("uid", question.get("user"))
    process_id = question.get("process_id")
    own = _of_process(int(process_id)) if process_id is not None else None
    if user is None:
        if own is None:
            raise _as_user.AsUserError("The question names no user, and no process.")
        return own
    if not str(user).isdigit():
        return _as_user.account(str(user))
    uid = int(user)
    if question.get("gid") is not None:
        gid = int(question["gid"])
        groups = tuple(int(group) for group in question.get("groups") or (gid,))
        return _as_user.Account(_names.user_name(uid), uid, gid, groups, "/")
    if own is not None and own.uid == uid:
        return own
    name = _names.user_name(uid)
    if _as_user.exists(name):
        return _as_user.account(name)
    return _as_user.Account(name, uid, uid, (uid,), "/")


def _of_process(process_id: int) -> _as_user.Account | None:
    found: dict[str, list[int]] = {}
    try:
        with open(f"/proc/{process_id}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                name, _unused, values = line.partition(":")
                if name in ("Uid", "Gid", "Groups"):
                    found[name] = [int(value) for value in values.split()]
        # The second is the effective one (proc_pid_status(5)).
        uid, gid = found["Uid"][1], found["Gid"][1]
    except (OSError, LookupError, ValueError):
        return None
    groups = tuple(found.get("Groups") or (gid,))
    return _as_user.Account(_names.user_name(uid), uid, gid, groups, "/")
