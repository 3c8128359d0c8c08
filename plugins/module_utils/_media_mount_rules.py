# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The rules for ``flask_media_mount``, and the settings that follow from it."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_areas,
    _media_mount,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._directories import (
    TOO_WIDE_DIRECTORIES,
    UNFIT_DIRECTORIES,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    Values,
    contains,
    overlap,
    path_problem,
)

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
FSTYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
# Their files are gone when the host is started anew.
FLEETING = ("tmpfs", "ramfs")
# What each of them would do to uploads
UNFIT_OPTIONS = {
    "ro": "the app could not write there",
    "noauto": "it would not be there after the next boot",
    "x-systemd.automount": "systemd would take it away while nobody looks, and the app's service with it",
    "remount": "it is no option of a mount that is not there yet",
}


# Besides all that have "pass" in their names
SECRET_OPTIONS = ("secret", "key")
# Of the form NAME%PASSWORD too
USER_OPTIONS = ("user", "username")
HIDDEN = "(hidden)"


def path_of(values: Values) -> str | None:
    """Return where the mount is; by default at the media root."""
    mount = values.get("flask_media_mount")
    if mount is None:
        return None
    return str(mount.get("path") or values["flask_media_root"])


def problems(values: Values) -> t.Iterator[Problem]:
    """Yield what can't work in ``flask_media_mount`` on any host."""
    mount = values.get("flask_media_mount")
    if mount is None:
        return
    secret = _secret_option(mount["opts"])
    if secret:
        # Others would show all options.
        yield Problem(
            "flask_media_mount.opts",
            HIDDEN,
            f"with {secret}=, a secret would stand in /etc/fstab, which everybody reads",
            "Write it into a file of root's with mode 0600, and name that: credentials=/root/FILE with cifs, "
            "secretfile=/root/FILE with ceph",
        )
        return
    for name in ("src", "opts"):
        if not mount[name] or CONTROL.search(mount[name]):
            yield Problem(
                f"flask_media_mount.{name}",
                mount[name],
                "it is empty or has control characters, so mount(8) could not read it",
                "Write a field of fstab(5), such as "
                + ("'/dev/vdb1' or 'UUID=…'" if name == "src" else "'noexec,nosuid,nodev'"),
            )
    yield from _type_problems(mount)
    yield from _option_problems(mount)
    yield from _path_problems(values)


def _secret_option(opts: str) -> str | None:
    """Return the name of an option whose value is a secret, and no file that has one.

    As mount.cifs(8), mount.ceph(8) and mount.ecryptfs(8) have them.
    """
    for option in opts.split(","):
        name, _equals, value = (part.strip() for part in option.partition("="))
        plain = name.lower()
        if not value or plain.endswith("file"):
            continue
        if "pass" in plain or plain in SECRET_OPTIONS or (plain in USER_OPTIONS and "%" in value):
            return name
    return None


def _type_problems(mount: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    fstype, name = mount["fstype"], "flask_media_mount.fstype"
    if not FSTYPE.match(fstype) or fstype == "swap":
        yield Problem(
            name, fstype, "it is no type of a file system", "Write one such as 'ext4' or 'nfs'"
        )
    elif fstype in FLEETING:
        yield Problem(
            name,
            fstype,
            "it is in memory, so all uploads would be gone when the host is started anew",
            "Write the type of a disk, such as 'ext4'",
        )
    elif (fstype == "none") != _media_mount.is_bind(mount["opts"]):
        yield Problem(
            name,
            fstype,
            f"opts are {mount['opts']!r}, and a directory is mounted by fstype 'none' with 'bind' in opts",
            "Write fstype 'none' and opts 'bind,noexec,nosuid,nodev' for a directory, else its own type",
        )


def _option_problems(mount: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    opts = mount["opts"]
    if re.search(r"\s|,,|^,|,$", opts):
        yield Problem(
            "flask_media_mount.opts",
            opts,
            "options are separated by single commas, without blanks",
            "Write them such as 'noexec,nosuid,nodev'",
        )
    for option in opts.split(","):
        if option in UNFIT_OPTIONS:
            yield Problem(
                "flask_media_mount.opts",
                opts,
                f"with {option}, {UNFIT_OPTIONS[option]}",
                f"Leave {option} out",
            )


def _path_problems(values: Values) -> t.Iterator[Problem]:
    mount, path = values["flask_media_mount"], t.cast(str, path_of(values))
    roots = _media_areas.roots(values)
    name = "flask_media_mount.path"
    remedy = "Leave it unset to mount at flask_media_root"
    unfit = next((place for place in UNFIT_DIRECTORIES if contains(place, path)), None)
    others = {
        variable: values[variable]
        for variable in ("flask_static_root", "flask_app_root", "flask_app_env_file")
    }
    clash = next((variable for variable, other in others.items() if overlap(path, other)), None)
    problem = path_problem(name, path)
    if problem:
        yield problem
    elif unfit or path in TOO_WIDE_DIRECTORIES:
        yield Problem(name, path, "that directory is the system's, or shared with others", remedy)
    elif not any(contains(path, root) for root in roots.values()):
        yield Problem(
            name,
            path,
            f"no upload lies there: the app's are in {', '.join(roots.values())}",
            f"{remedy}, or write a directory that holds the roots of flask_media_areas",
        )
    elif clash:
        yield Problem(
            name,
            path,
            f"{clash} is {others[clash]!r}, and what uploads lie on is closed to all else",
            remedy,
        )
    elif mount["src"].startswith("/") and overlap(path, mount["src"]):
        yield Problem(
            "flask_media_mount.src",
            mount["src"],
            f"it is to be mounted at {path}, and would hide itself",
            "Write a directory elsewhere",
        )


def shared_problems(one: Values, other: Values) -> t.Iterator[Problem]:
    """Yield where two apps of a host can't have the mounts that they describe."""
    mine, theirs = one.get("flask_media_mount"), other.get("flask_media_mount")
    if mine is None or theirs is None:
        return
    names = f"{other['flask_app_name']} and {one['flask_app_name']}"
    paths = t.cast(str, path_of(one)), t.cast(str, path_of(other))
    keys = ("src", "fstype", "opts")
    is_same = [mine[key] for key in keys] == [theirs[key] for key in keys]
    if paths[0] == paths[1] and not is_same:
        yield Problem(
            "flask_media_mount",
            # The options of an app that is not set up now may hold a secret.
            {key: mine[key] for key in ("src", "fstype")},
            f"{names} describe different mounts at {paths[0]}",
            "Write the same one for both, or mount each at a place of its own",
        )
    elif paths[0] != paths[1] and mine["src"] == theirs["src"]:
        yield Problem(
            "flask_media_mount.src",
            mine["src"],
            f"{names} would have the same file system at {paths[1]} and {paths[0]}, so each would have the "
            "other's uploads",
            "Write the same path for both, above the roots of both, or mount something of its own",
        )


def resolve(values: Values) -> dict[str, t.Any] | None:
    """Return the mount as tasks and templates read it, or ``None``.

    ``sentinel`` is the name of the file that is there while the mount is, ``unit`` is systemd's name.
    """
    mount = values.get("flask_media_mount")
    if mount is None:
        return None
    path = t.cast(str, path_of(values))
    return {
        **{key: mount[key] for key in ("src", "fstype", "opts")},
        "path": path,
        "sentinel": _media_areas.use_mark(values["flask_app_name"]),
        "unit": _media_mount.unit_name(path),
    }
