# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Room for uploads, and for the request bodies that Nginx writes to disk before. Reads only."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _mounts,
    _nginx_modules,
    _nginx_process,
    _nginx_tree,
    _path_access,
)

Facts = dict[str, t.Any]
# Blocks below http in which the directive holds for a part of the requests only
_NARROW = frozenset(["server", "location", "if", "limit_except"])


def room(path: str) -> Facts:
    """Return what is free on a path's file system, as statvfs(3) tells it to users other than root.

    File systems that make inodes as they are needed count none: both numbers are 0 then.
    """
    numbers = os.statvfs(path)
    mount = _mounts.file_system(os.path.realpath(path), _mounts.mounts())
    return {
        "mount_point": mount["mount_point"] if mount else "/",
        "total_bytes": numbers.f_blocks * numbers.f_frsize,
        "free_bytes": numbers.f_bavail * numbers.f_frsize,
        "total_inodes": numbers.f_files,
        "free_inodes": numbers.f_favail,
    }


def filesystems(roots: t.Iterable[str]) -> list[Facts]:
    """Return the file systems that directories lie on, each once, with those directories."""
    found: dict[str, Facts] = {}
    for root in roots:
        try:
            facts = room(root)
        except OSError:
            # That it is missing is another check's.
            continue
        found.setdefault(facts["mount_point"], {**facts, "roots": []})["roots"].append(root)
    return list(found.values())


def body_temp_paths(build: _nginx_tree.Build) -> list[str]:
    """Return where Nginx writes request bodies, by its configuration on disk.

    https://nginx.org/en/docs/http/ngx_http_core_module.html#client_body_temp_path: a path is
    relative to the prefix. ``nginx -T`` is not asked, since a test gives the directories to their
    owner again (ngx_create_paths() in src/core/ngx_file.c), and so hides what is wrong.
    """
    found: list[str] = []
    has_general = False
    for directive in _nginx_modules.directives(build.conf_file):
        if directive.name == "client_body_temp_path" and directive.arguments:
            found.append(os.path.join(build.prefix, directive.arguments[0]))
            has_general |= not _NARROW & {block.name for block in directive.parents}
    if not has_general:
        found.append(build.body_temp_path)
    return list(dict.fromkeys(os.path.normpath(path) for path in found))


def body_temp(user: str) -> list[Facts]:
    """Return what Nginx's workers can do where request bodies are written.

    :return: ``path``, ``exists``, ``allowed``, ``blocked_by``, and its :func:`room`. Empty without Nginx.
    """
    binary = _nginx_tree.find_binary(None)
    if binary is None or not _as_user.exists(user):
        return []
    try:
        build = _nginx_tree.read_build(binary)
    except _nginx_tree.NginxError:
        return []
    questions = [
        _path_access.Question(path, ("traverse", "write")) for path in body_temp_paths(build)
    ]
    keys = ("path", "exists", "allowed", "blocked_by", "mode", "owner", "group")
    return [
        {**{key: answer[key] for key in keys}, "room": _room_of(answer)}
        for answer in _ask(user, questions, build)
    ]


def _room_of(answer: Facts) -> Facts | None:
    try:
        return room(answer["path"])
    except OSError:
        return None


def _ask(
    user: str, questions: list[_path_access.Question], build: _nginx_tree.Build
) -> list[Facts]:
    who = _as_user.account(user)
    master = _nginx_process.find_master(build.pid_file, build.conf_file)
    if master is not None:
        try:
            # Its service may have a view of its own, as with systemd's PrivateTmp=.
            return _path_access.ask(who, questions, process_id=master.pid)
        except _as_user.AsUserError:
            # A container may not let even root look.
            pass
    return _path_access.ask(who, questions)
