# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx's service may not write, whoever it runs as: ReadOnlyPaths= of systemd.exec(5)."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _nginx_process,
    _process,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import (
    Problem,
    contains,
)

DROP_IN_DIRECTORY = "/etc/systemd/system/nginx.service.d"


def drop_in(name: str) -> str:
    """Return the app's own part of Nginx's unit, so that each app comes and goes by itself."""
    return f"{DROP_IN_DIRECTORY}/flask-{name}.conf"


def read_only_paths(parents: t.Sequence[str], roots: t.Sequence[str]) -> list[str]:
    """Return what to name in ReadOnlyPaths=: the app's own directories above the roots, else the roots.

    The kernel drops a mount when the directory that it is on is removed, and what is made anew in
    its place is writable (mount_namespaces(7)). The directory above outlives its roots.
    """
    bare = [root for root in roots if not any(contains(parent, root) for parent in parents)]
    return sorted({*parents, *bare})


def problems(name: str, paths: t.Mapping[str, str]) -> t.Iterator[Problem]:
    """Yield what would be overwritten though it is somebody else's.

    :param paths: what ``flask_host_info`` says of each path.
    """
    path = drop_in(name)
    if paths.get(path) == "foreign":
        yield Problem(
            "flask_app_name",
            name,
            f"there is a part of Nginx's unit of that name that this collection has not written, {path}",
            "Write another name, or move that file away",
        )


class View(t.NamedTuple):
    """How a running Nginx sees directories.

    :ivar process_id: its master.
    :ivar is_older: whether it was started before the app's part of its unit was written.
    :ivar writable: directories whose mount is writable there. What isn't there nobody can write.
    :ivar mount_points: those of them that have a file system of their own. One that was mounted while
        Nginx ran is as writable there as on the host.
    """

    process_id: int
    is_older: bool
    writable: list[str]
    mount_points: list[str]


def view_of_nginx(
    name: str,
    directories: t.Iterable[str],
    pid_file: str = "/run/nginx.pid",
    conf_file: str = "/etc/nginx/nginx.conf",
) -> View | None:
    """Ask the kernel, in the mounts that Nginx's master has; ``None`` where that can't be seen."""
    master = _nginx_process.find_master(pid_file, conf_file)
    if master is None:
        return None
    try:
        with _as_user.view_of(master.pid) as view:
            writable = [path for path in directories if is_writable(path, view)]
        return View(
            master.pid,
            _is_older(master.pid, drop_in(name)),
            writable,
            [path for path in writable if os.path.ismount(path)],
        )
    except (_as_user.AsUserError, ProcessLookupError):
        return None


def _is_older(process_id: int, path: str) -> bool:
    try:
        changed_ns = os.stat(path).st_ctime_ns
    except OSError:
        return False
    return _process.may_predate(_process.started_at_ns(process_id), changed_ns)


def is_writable(path: str, view: int) -> bool:
    """Return whether a directory is there and its mount is writable.

    :param view: descriptor of the root directory that a process sees.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        descriptor = os.open(path.lstrip("/"), flags, dir_fd=view)
    except OSError:
        return False
    try:
        return not os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
    finally:
        os.close(descriptor)
