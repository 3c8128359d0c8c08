# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Directories that are no app's own, and why."""

from __future__ import annotations

# What is there is the system's (hier(7)).
SYSTEM_DIRECTORIES = (
    "/etc",
    "/dev",
    "/proc",
    "/sys",
    "/boot",
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
)
# Emptied at boot or by age, private to one user, or the system's own.
UNFIT_DIRECTORIES = (
    "/tmp",
    "/var/tmp",
    "/home",
    "/root",
    "/run",
    "/var/run",
    "/var/lock",
    "/var/cache",
    "/var/log",
    "/var/spool",
    *SYSTEM_DIRECTORIES,
)
TOO_WIDE_DIRECTORIES = ("/", "/var", "/var/www", "/var/lib", "/srv", "/opt", "/mnt", "/media")
# No app's own, whatever else is known of it.
SHARED_DIRECTORIES = frozenset(
    (
        *UNFIT_DIRECTORIES,
        *TOO_WIDE_DIRECTORIES,
        *("/usr/bin", "/usr/lib", "/usr/local", "/usr/sbin", "/usr/share"),
    )
)
