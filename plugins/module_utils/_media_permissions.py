# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Who may read uploads besides the app, and by what: ``flask_media_permissions``."""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _media_areas
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
)

# Directories, files, and the umask by which an app makes both. With an ACL the umask counts for
# nothing (acl(5), "Object creation and default ACLs"), but where a file system lost it.
_MODES = {
    "group": ("2750", "0640", "0027"),
    "acl": ("0750", "0640", "0027"),
    "world": ("0755", "0644", "0022"),
}


def problems(values: Values) -> t.Iterator[Problem]:
    """Yield what can't work on any host."""
    way, group = values["flask_media_permissions"], values.get("flask_media_group")
    if group is not None and way != "group":
        reader = "Nginx's user by an ACL" if way == "acl" else "every user of the host"
        yield Problem(
            "flask_media_group",
            group,
            f"flask_media_permissions is {way!r}, which lets {reader} read and no further group",
            "Leave it unset, or set flask_media_permissions to 'group'",
        )


def host_problems(values: Values, host: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    """Yield what can't work on this host.

    :param host: the answer of the module ``flask_host_info``.
    """
    if values["flask_media_permissions"] != "acl":
        return
    for root in _media_areas.roots(values).values():
        if not host["directories"][root]["keeps_acls"]:
            yield Problem(
                "flask_media_permissions",
                "acl",
                f"the file system of {root} keeps no POSIX ACLs",
                "Mount one that does, such as ext4 or XFS without the option noacl, or write 'group'",
            )
            return


def resolve(values: Values) -> dict[str, t.Any]:
    """Return ``permissions``, ``group``, ``mode``, ``file_mode``, ``umask`` and ``acl`` of all media roots.

    ``acl`` is what ``tree_permissions`` takes; an empty one takes away what another way has left.
    """
    way, nginx_user = values["flask_media_permissions"], values["flask_site_nginx_user"]
    mode, file_mode, umask = _MODES[way]
    reader = {"etype": "user", "entity": nginx_user, "permissions": "rX"}
    return {
        "permissions": way,
        "group": (values.get("flask_media_group") or nginx_user)
        if way == "group"
        else values["flask_app_group"],
        "mode": mode,
        "file_mode": file_mode,
        "umask": umask,
        "acl": [reader] if way == "acl" else [],
    }
