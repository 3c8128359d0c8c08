# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What is mounted where, as the kernel tells it."""

from __future__ import annotations

import typing as t

Facts = dict[str, t.Any]


def mounts(path: str = "/proc/self/mountinfo") -> list[Facts]:
    """Read the mounts of a process (proc_pid_mountinfo(5)), in the order they were made."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            return [parse_mount(line) for line in lines]
    except OSError:
        return []


def parse_mount(line: str) -> Facts:
    """Parse a line of mountinfo."""
    # Other blanks may be part of a name.
    fields = line.rstrip("\n").split(" ")
    separator = fields.index("-", 6)
    options = fields[5].split(",")
    return {
        "mount_point": unescape(fields[4]),
        "fstype": fields[separator + 1],
        "device": unescape(fields[separator + 2]),
        "options": options,
        "read_only": "ro" in options or "ro" in fields[separator + 3].split(","),
    }


def unescape(text: str) -> str:
    """Return a field of mountinfo or fstab as the name that it stands for."""
    # Blank, tab, line feed and backslash are written as octal numbers.
    for character in " \t\n\\":
        text = text.replace(f"\\{ord(character):03o}", character)
    return text


def file_system(path: str, table: t.Sequence[Facts]) -> Facts | None:
    """Return the mount that a path without links lies on; of mounts over each other, the upper."""
    best: Facts | None = None
    for mount in table:
        point = mount["mount_point"].rstrip("/")
        covers = path == point or path.startswith(point + "/")
        if covers and (best is None or len(point) >= len(best["mount_point"].rstrip("/"))):
            best = mount
    return best
