# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx's error logs gained from one request.

Nginx writes what it logs of a request before its answer ends, so nothing is waited for.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _bounded,
    _evidence_masks,
)

GAINED_BYTES = 256 * 1024
LINES = 20
LINE_CHARACTERS = 600
# Nginx cuts a line at 2048 bytes (NGX_MAX_ERROR_STR in src/core/ngx_log.h), so perhaps in the request.
CUT_CHARACTERS = 1000
OPEN_SECONDS = 3.0
# Of the kernel's table of routes, what is this host itself
_LOCAL = re.compile(r"\|-- ([0-9.]+)\n +/32 host LOCAL")
_CLIENT = re.compile(r", client: ([^,\s]+)")


class ErrorLogs:
    """Error logs, read from where they were when :meth:`mark` was called."""

    def __init__(self, paths: t.Iterable[str], process_id: int | None = None) -> None:
        """Open the logs.

        :param process_id: a process of the Nginx that writes them, whose view has the paths.
        """
        self.unseen: list[str] = []
        self._process_id = process_id
        self._clients = own_addresses()
        self._logs: list[_Log] = []
        for path in dict.fromkeys(paths):
            try:
                self._logs.append(_Log(path, process_id))
            except (_bounded.Unanswered, OSError) as error:
                self.unseen.append(
                    f"The error log {path} can't be read ({error}), so no line of it is shown. "
                    "Becoming root (become: true) is what it takes, if it is a file."
                )

    def mark(self) -> None:
        """Remember what the logs hold now."""
        for log in self._logs:
            log.mark()

    def gained(self, method: str, target: str, host: str | None) -> list[str]:
        """Return the lines since then that a request has caused, without its secrets."""
        found: list[str] = []
        for log in self._logs:
            for line in log.gained().split("\n"):
                if _is_of(line, method, target, host, self._clients):
                    text = line.encode("latin-1").decode("utf-8", "backslashreplace")
                    found.append(_evidence_masks.log_line(text)[:LINE_CHARACTERS])
        return found[:LINES]

    def close(self) -> None:
        """Close the logs."""
        for log in self._logs:
            log.close()


def own_addresses(proc: str = "/proc") -> frozenset[str] | None:
    """Return the addresses of this host, from which its requests come; ``None`` where they aren't told."""
    try:
        with open(f"{proc}/net/fib_trie", encoding="ascii") as file:
            found = set(_LOCAL.findall(file.read()))
    except (OSError, ValueError):
        return None
    with (
        contextlib.suppress(OSError, ValueError),
        open(f"{proc}/net/if_inet6", encoding="ascii") as file,
    ):
        numbers = [line.split()[0] for line in file if line.strip()]
        found |= {str(ipaddress.IPv6Address(int(number, 16))) for number in numbers}
    return frozenset(found)


def _is_of(
    line: str, method: str, target: str, host: str | None, clients: frozenset[str] | None = None
) -> bool:
    client = _CLIENT.search(line)
    # Somebody else asked for the same at the same time.
    if clients and client and client[1] not in clients and not client[1].startswith("unix:"):
        return False
    words = f', request: "{method} {target}'
    # As Nginx writes it: in the bytes that it got.
    words = words.encode("utf-8", "surrogateescape").decode("latin-1")
    words = words[:CUT_CHARACTERS] if len(words) > CUT_CHARACTERS else words + " HTTP/"
    if words not in line:
        return False
    return host is None or f'host: "{host}"' in line or ', host: "' not in line


class _Log:
    def __init__(self, path: str, process_id: int | None) -> None:
        self._path = path
        self._process_id = process_id
        self._descriptor = self._open()
        self._offset = 0

    def _open(self) -> int:
        return _bounded.descriptor_in_view(
            self._process_id, _open_file, self._path, seconds=OPEN_SECONDS
        )

    def mark(self) -> None:
        if self._is_rotated():
            self._reopen()
        self._offset = os.fstat(self._descriptor).st_size

    def gained(self) -> str:
        text = self._read()
        if self._is_rotated() and self._reopen():
            text += self._read()
        return text.decode("latin-1")

    def _read(self) -> bytes:
        try:
            size = os.fstat(self._descriptor).st_size
            if size < self._offset:
                # Cut off by logrotate's copytruncate.
                self._offset = 0
            raw = os.pread(self._descriptor, GAINED_BYTES, self._offset)
        except OSError:
            return b""
        self._offset += len(raw)
        return raw

    def _is_rotated(self) -> bool:
        # Renamed or removed: Nginx still writes to the old one until it reopens its logs.
        view = "" if self._process_id is None else f"/proc/{self._process_id}/root"
        try:
            named, held = os.stat(view + self._path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino)

    def _reopen(self) -> bool:
        try:
            descriptor = self._open()
        except (_bounded.Unanswered, OSError):
            return False
        self.close()
        self._descriptor, self._offset = descriptor, 0
        return True

    def close(self) -> None:
        os.close(self._descriptor)


def _open_file(path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "no regular file")
    return descriptor
