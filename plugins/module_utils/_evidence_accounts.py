# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The user that a question is asked as, and the names of those whom files belong to.

A container has users of its own: their numbers mean others here, or nobody.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _bounded,
    _names,
)

_LIMIT_BYTES = 1 << 20


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


@dataclasses.dataclass(frozen=True)
class Names:
    """Names of users and groups: this host's, or those of a view with files of its own."""

    users: t.Mapping[int, str] | None = None
    groups: t.Mapping[int, str] | None = None

    @classmethod
    def of(cls, process_id: int | None, seconds: float) -> Names:
        """Read the names where a process has them.

        :raises _bounded.Unanswered: when its view can't be entered.
        """
        if process_id is None:
            return cls()
        found = _bounded.call(_bounded.in_view, process_id, _read_accounts, seconds=seconds)
        users, groups = found
        own = _read_accounts()
        # The same files: this host may know of more than is in them (nsswitch.conf(5)).
        if users["identity"] == own[0]["identity"]:
            return cls()
        return cls(dict(users["names"]), dict(groups["names"]))

    def put(self, facts: t.Any) -> None:
        """Put the names beside the numbers, however deep these are."""
        if isinstance(facts, list):
            for each in facts:
                self.put(each)
        elif isinstance(facts, dict):
            for each in list(facts.values()):
                self.put(each)
            if facts.get("uid") is not None:
                facts["owner"] = self._name(facts["uid"], self.users, _names.user_name)
            if facts.get("gid") is not None:
                facts["group"] = self._name(facts["gid"], self.groups, _names.group_name)

    @staticmethod
    def _name(id_: int, known: t.Mapping[int, str] | None, ask: t.Callable[[int], str]) -> str:
        return ask(id_) if known is None else known.get(id_, str(id_))


def _read_accounts() -> list[dict[str, t.Any]]:
    return [_read_names("/etc/passwd"), _read_names("/etc/group")]


def _read_names(path: str) -> dict[str, t.Any]:
    """Return the names of a file as passwd(5) and group(5) have it, and which file it is."""
    names: dict[int, str] = {}
    identity = None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            identity = [status.st_dev, status.st_ino]
            raw = file.read(_LIMIT_BYTES) if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        raw = b""
    for line in raw.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2].isdigit():
            names.setdefault(int(fields[2]), _names.printable(fields[0]))
    return {"names": list(names.items()), "identity": identity}
