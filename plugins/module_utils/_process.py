# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""When processes started, compared with when files changed.

A service that started before its file last changed has not read it yet. The kernel stamps both only
roughly: a start is cut down to the tick (10 ms, proc(5)), a file's ctime lags by up to a timer
interrupt (4 ms as distributions build kernels, 10 ms at most). So a process that started close to
the change counts as older, lest a pending reload is missed; and whoever starts one because of the
change calls :func:`settle` before, so that it never counts as older later.
"""

from __future__ import annotations

import functools
import operator
import os
import time
import typing as t

# One timer interrupt of a kernel built with HZ=100, the slowest there is.
CTIME_LAG_NS = 10_000_000
# What the conversion between the two clocks may be off by.
CLOCK_ERROR_NS = 1_000_000


class Stat(t.NamedTuple):
    """Of /proc/PID/stat what tells one process from another that reuses its id."""

    pid: int
    state: str
    parent: int
    start_ticks: int


def stat(pid: int, proc: str = "/proc") -> Stat:
    """Return what /proc/PID/stat says.

    :raises ProcessLookupError: when there is no such process.
    """
    try:
        with open(os.path.join(proc, str(pid), "stat"), "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"There is no process {pid}.") from error
    # The name, in parentheses, may hold any character, parentheses included.
    fields = text[text.rindex(b")") + 1 :].split()
    return Stat(pid, fields[0].decode("ascii"), int(fields[1]), int(fields[19]))


def umask_of(pid: int, proc: str = "/proc") -> int | None:
    """Return what a process and its children together take from the modes of new files.

    An app's code runs in its server's workers, and may have set a umask there.

    :return: ``None`` where the kernel doesn't tell (before Linux 4.7, proc_pid_status(5)).
    """
    found = [_umask(each, proc) for each in (pid, *_children(pid, proc))]
    known = [umask for umask in found if umask is not None]
    return functools.reduce(operator.or_, known) if known else None


def _umask(pid: int, proc: str) -> int | None:
    try:
        with open(os.path.join(proc, str(pid), "status"), "rb") as lines:
            found = [line.split()[1] for line in lines if line.startswith(b"Umask:")]
    except OSError:
        return None
    return int(found[0], 8) if found else None


def _children(pid: int, proc: str) -> t.Iterator[int]:
    for name in filter(str.isdigit, os.listdir(proc)):
        try:
            if stat(int(name), proc).parent == pid:
                yield int(name)
        except ProcessLookupError:
            continue


def started_at_ns(pid: int, proc: str = "/proc") -> int:
    """Return when a process started, in nanoseconds since the epoch, cut down to the tick.

    :raises ProcessLookupError: when there is no such process.
    """
    ticks = stat(pid, proc).start_ticks
    return ticks * _tick_ns() + _boot_ns()


def may_predate(started_ns: int, changed_ns: int) -> bool:
    """Return whether what started at ``started_ns`` can have been there before the change.

    :param started_ns: from :func:`started_at_ns`.
    :param changed_ns: a file's ``st_ctime_ns``.
    """
    return started_ns < changed_ns + CTIME_LAG_NS + CLOCK_ERROR_NS


def settle(path: str) -> None:
    """Wait until a process that starts now is told from one that started before ``path`` changed.

    This takes some 20 ms at most, and nothing for a change of long ago. A ctime in the future,
    stamped before the clock was set back, is stamped anew.
    """
    changed_ns = os.stat(path).st_ctime_ns
    now_ns = time.time_ns()
    if changed_ns > now_ns + CLOCK_ERROR_NS:
        os.chmod(path, os.stat(path).st_mode & 0o7777)
        changed_ns = os.stat(path).st_ctime_ns
    # One tick more than may_predate() allows for, since the start will be cut down by up to one.
    ready_ns = changed_ns + CTIME_LAG_NS + 2 * CLOCK_ERROR_NS + _tick_ns()
    if ready_ns > now_ns:
        time.sleep((ready_ns - now_ns) / 1e9)


def _tick_ns() -> int:
    ticks_per_second: int = os.sysconf("SC_CLK_TCK")
    return 1_000_000_000 // ticks_per_second


def _boot_ns() -> int:
    """Return the moment of boot as ctime's clock would have stamped it.

    CLOCK_BOOTTIME counts the time asleep too, as starttime does.
    """
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
