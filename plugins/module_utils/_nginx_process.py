# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The running Nginx: its master, its workers, and a reload that is seen through to its end.

Nothing here asks a service manager, so it works alike under systemd, init scripts and in containers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import time

from ansible_collections.flaskworks.static_media.plugins.module_utils import _process

# setproctitle's texts: ngx_master_process_cycle() and ngx_worker_process_init() in Nginx's
# src/os/unix/ngx_process_cycle.c. The master's goes on with its command line.
_MASTER = "nginx: master process"
_WORKER = "nginx: worker process"
_SHUTTING_DOWN = "nginx: worker process is shutting down"

RELOAD_SECONDS = 60
# Old workers are told to stop 0.1 s after the new ones were started; one that is held up by a slow
# disk is told all the same, so it is not waited for long.
_OLD_WORKERS_SECONDS = 10
_POLL_SECONDS = 0.02
_LOG_LIMIT_BYTES = 64 * 1024
_GRAVE = re.compile(r"\[(?:emerg|alert|crit)\] \d+#\d+: (?P<message>.*)")


class ReloadRefusedError(Exception):
    """Nginx went on with the configuration it had. Carries its own words, as far as it logged any."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


class ReloadUnfinishedError(Exception):
    """Whether Nginx took the configuration could not be seen in time."""


@dataclasses.dataclass(frozen=True)
class Worker:
    """A worker, by what tells it from another that reuses its process id.

    :ivar serves: whether it takes connections; else it starts, or finishes what it has.
    :ivar starts: whether it is about to serve.
    """

    pid: int
    start_ticks: int
    serves: bool
    starts: bool


@dataclasses.dataclass(frozen=True)
class Master:
    """The master process of one configuration."""

    pid: int
    start_ticks: int
    proc: str = "/proc"

    def alive(self) -> bool:
        try:
            found = _process.stat(self.pid, self.proc)
        except ProcessLookupError:
            return False
        return found.start_ticks == self.start_ticks and found.state not in "ZX"

    def workers(self) -> list[Worker]:
        """Return its workers, those that just start or shut down included."""
        found = []
        for pid in _pids(self.proc):
            try:
                facts = _process.stat(pid, self.proc)
            except ProcessLookupError:
                continue
            if facts.parent != self.pid or facts.state in "ZX":
                continue
            title = _title(pid, self.proc)
            # A child bears the master's title until it has switched to the worker's user.
            if title.startswith((_WORKER, _MASTER)):
                serves = title.startswith(_WORKER) and not title.startswith(_SHUTTING_DOWN)
                found.append(Worker(pid, facts.start_ticks, serves, title.startswith(_MASTER)))
        return found

    def pending_since(self, changed_ns: int) -> bool:
        """Return whether a worker that serves may have been started before a change.

        A worker that crashed after the change was started anew by a master that had not read it;
        that is not seen.
        """
        for worker in self.workers():
            with contextlib.suppress(ProcessLookupError):
                started_ns = _process.started_at_ns(worker.pid, self.proc)
                if worker.serves and _process.may_predate(started_ns, changed_ns):
                    return True
        return False


def find_master(pid_file: str, conf_file: str, proc: str = "/proc") -> Master | None:
    """Return the master that serves this configuration, or ``None``.

    The pid file names it. Without a valid one it is looked for among all processes of this pid
    namespace that have this root directory: on a container host, those of other containers are
    visible too, and are others' business.

    :param conf_file: the configuration. A master whose command line names none has it by default.
    """
    named = _read_pid_file(pid_file)
    if named is not None and _serves(named, conf_file, proc):
        return _master(named, proc)
    candidates = {}
    for pid in _pids(proc):
        if _serves(pid, conf_file, proc) and _same_root(pid, proc):
            with contextlib.suppress(ProcessLookupError):
                candidates[pid] = _process.stat(pid, proc).parent
    # A worker that starts bears this title too, and so does the new master of an upgrade.
    oldest = [pid for pid, parent in candidates.items() if parent not in candidates]
    return _master(min(oldest), proc) if oldest else None


def masters(proc: str = "/proc") -> list[Master]:
    """Return every master that is to be seen, those in containers of this host included."""
    found = {}
    for pid in _pids(proc):
        if _title(pid, proc).startswith(_MASTER):
            with contextlib.suppress(ProcessLookupError):
                found[pid] = _process.stat(pid, proc)
    return [
        Master(pid, facts.start_ticks, proc)
        for pid, facts in sorted(found.items())
        # A worker that starts bears this title too, and so does the new master of an upgrade.
        if facts.parent not in found and facts.state not in "ZX"
    ]


@dataclasses.dataclass(frozen=True)
class Switches:
    """What a master was started with: https://nginx.org/en/docs/switches.html

    :ivar binary: as it was called.
    :ivar directives: of ``-g``.
    """

    binary: str = ""
    conf_file: str | None = None
    prefix: str | None = None
    directives: str = ""


def switches(master: Master) -> Switches:
    """Return the switches in a master's title, which has its command line with blanks between."""
    words = _title(master.pid, master.proc)[len(_MASTER) :].split()
    if not words:
        return Switches()
    values: dict[str, list[str]] = {}
    option = ""
    for word in words[1:]:
        found = re.match(r"-[?hvVtTq]*([cpges])(.*)\Z", word)
        if found:
            option = found[1]
            values[option] = [found[2]] if found[2] else []
        elif re.match(r"-[?hvVtTq]+\Z", word):
            option = ""
        elif option:
            values[option].append(word)
    return Switches(
        words[0],
        " ".join(values.get("c", [])) or None,
        " ".join(values.get("p", [])) or None,
        " ".join(values.get("g", [])),
    )


def _master(pid: int, proc: str) -> Master | None:
    try:
        return Master(pid, _process.stat(pid, proc).start_ticks, proc)
    except ProcessLookupError:
        return None


def _read_pid_file(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            content = file.read(32).strip()
    except OSError:
        return None
    return int(content) if content.isdigit() else None


def _pids(proc: str) -> list[int]:
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def _title(pid: int, proc: str) -> str:
    try:
        with open(os.path.join(proc, str(pid), "cmdline"), "rb") as file:
            content = file.read()
    except OSError:
        return ""
    return content.replace(b"\0", b" ").decode("utf-8", "surrogateescape").strip()


def _serves(pid: int, conf_file: str, proc: str) -> bool:
    """Return whether a process is a master of this configuration, as far as its title tells."""
    title = _title(pid, proc)
    if not title.startswith(_MASTER) or not _same_pids(pid, proc):
        return False
    given = re.search(r" -c ?(/\S+)", title)
    return not given or os.path.realpath(given[1]) == os.path.realpath(conf_file)


def _same_pids(pid: int, proc: str) -> bool:
    try:
        theirs = os.readlink(os.path.join(proc, str(pid), "ns/pid"))
        ours = os.readlink(os.path.join(proc, "self/ns/pid"))
    except OSError:
        # Not ours to look into, so not ours to signal either.
        return False
    return theirs == ours


def _same_root(pid: int, proc: str) -> bool:
    try:
        theirs = os.stat(os.path.join(proc, str(pid), "root"))
        ours = os.stat(os.path.join(proc, "self/root"))
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def reload(master: Master, seconds: float = RELOAD_SECONDS) -> None:
    """Make Nginx read its configuration anew, and return when new workers serve.

    :raises ReloadRefusedError: when Nginx goes on with what it had, or its new workers died.
    :raises ReloadUnfinishedError: when neither was seen in time.
    """
    logs = _Logs(master)
    before = {(worker.pid, worker.start_ticks) for worker in master.workers()}
    deadline = time.monotonic() + seconds
    try:
        os.kill(master.pid, signal.SIGHUP)
    except ProcessLookupError:
        raise ReloadRefusedError([f"master process {master.pid} ended"]) from None
    while True:
        # Asked before the workers are counted: idle after that, it has started all it will start.
        idle = _is_idle(master)
        new = _new(master, before)
        if any(worker.serves for worker in new):
            break
        if not master.alive():
            raise ReloadRefusedError(logs.messages() or [f"master process {master.pid} ended"])
        if idle and not any(worker.starts for worker in new):
            raise ReloadRefusedError(logs.messages())
        if time.monotonic() > deadline:
            # Where the kernel does not tell what a process waits for, only the log tells.
            if messages := logs.messages():
                raise ReloadRefusedError(messages)
            raise ReloadUnfinishedError(
                f"Nginx's master process {master.pid} has started no new worker within {seconds:g} s."
            )
        time.sleep(_POLL_SECONDS)
    _wait_for_old_workers(master, before)
    if not any(worker.serves for worker in _new(master, before)):
        raise ReloadRefusedError(logs.messages() or ["the new worker processes ended at once"])


def _new(master: Master, before: set[tuple[int, int]]) -> list[Worker]:
    return [w for w in master.workers() if (w.pid, w.start_ticks) not in before]


def _wait_for_old_workers(master: Master, before: set[tuple[int, int]]) -> None:
    """Wait until none of the old workers takes connections any more."""
    deadline = time.monotonic() + _OLD_WORKERS_SECONDS
    while time.monotonic() < deadline:
        if not any(
            (worker.pid, worker.start_ticks) in before and worker.serves
            for worker in master.workers()
        ):
            return
        time.sleep(_POLL_SECONDS)


def _is_idle(master: Master) -> bool:
    """Return whether the master has handled its signals and waits for the next, in sigsuspend(2).

    ``False`` also where the kernel does not tell.
    """
    directory = os.path.join(master.proc, str(master.pid))
    try:
        with open(os.path.join(directory, "status"), encoding="ascii", errors="replace") as lines:
            pending = [
                int(line.split()[1], 16)
                for line in lines
                if line.startswith(("SigPnd:", "ShdPnd:"))
            ]
        with open(os.path.join(directory, "wchan"), encoding="ascii") as file:
            waits_for = file.read()
    except OSError:
        return False
    hup = 1 << (signal.SIGHUP - 1)
    return not any(mask & hup for mask in pending) and "sigsuspend" in waits_for


class _Logs:
    """What Nginx writes, from now on, to the log files that its master holds open."""

    def __init__(self, master: Master) -> None:
        self._ends: dict[str, int] = {}
        directory = os.path.join(master.proc, str(master.pid), "fd")
        with contextlib.suppress(OSError):
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                with contextlib.suppress(OSError):
                    target = os.readlink(path)
                    if os.path.isfile(path) and "log" in os.path.basename(target):
                        self._ends[path] = os.stat(path).st_size

    def messages(self) -> list[str]:
        """Return the grave messages, each once, in the order of writing."""
        found: dict[str, None] = {}
        for path, end in self._ends.items():
            with contextlib.suppress(OSError), open(path, "rb") as file:
                file.seek(end)
                text = file.read(_LOG_LIMIT_BYTES).decode("utf-8", "replace")
                for match in _GRAVE.finditer(text):
                    found[match["message"]] = None
        return list(found)
