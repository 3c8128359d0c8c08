# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What is said of a component that stops a user, and how that user is let in and nobody else."""

from __future__ import annotations

import shlex
import typing as t

Evidence = t.Mapping[str, t.Any]

# By the reasons of path_access_info
MESSAGES = {
    "not-traversable": "{user} can't pass through it",
    "not-readable": "{user} can't read it",
    "not-writable": "{user} can't write there",
    "read-only-filesystem": "{user} can't write there: the file system is read-only",
    "acl-mask": "its ACL would let {user} in, but the ACL's mask takes that away",
    "missing": "it isn't there",
    "not-a-directory": "it is no directory",
    "symlink-blocked": "it is a link that {user} can't follow",
    "selinux-label": "its SELinux label keeps {user} out",
    "disk-full": "there is no room left",
}


def message(reason: str, user: str) -> str:
    return MESSAGES.get(reason, reason).format(user=user)


def shown(stop: Evidence) -> str:
    """Return mode and owner of a component, as far as they are known."""
    owners = f"{stop.get('owner')}:{stop.get('group')}"
    parts = (stop.get("mode"), None if owners == "None:None" else owners)
    return " ".join(str(part) for part in parts if part)


def mend(reason: str, stop: Evidence, user: str) -> str:
    """Return the mend of a component that is not of this collection's making."""
    component = shlex.quote(str(stop["component"]))
    if reason in ("not-traversable", "not-readable"):
        return f"Let {user} in, and nobody else: {grant(reason, stop, user)}"
    fixes = {
        "disk-full": "Make room, and keep uploads on a volume of their own.",
        "read-only-filesystem": "Mount it writable, if it is meant to hold uploads.",
        "selinux-label": f"Set the label that the policy has for it: restorecon -v {component}",
        "symlink-blocked": "Replace the link by the directory, or make the link its owner's.",
        "acl-mask": f"Look at getfacl {component}: take from the other entries what only the mask "
        f"holds back, then raise the mask as far as the entry of {user}.",
    }
    return fixes.get(reason, f"See to it that {user} gets there by its group; never by mode 777.")


def grant(reason: str, stop: Evidence, user: str) -> str:
    """Return the command that lets one user in. A mode would let in a group, or everybody."""
    permission = "x" if reason == "not-traversable" else "r"
    # By itself setfacl widens the mask for all other entries too, where there are some.
    option = "--no-mask " if stop.get("acl") else ""
    return f"setfacl {option}-m u:{user}:{permission} {shlex.quote(stop['component'])}"
