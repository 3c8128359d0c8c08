# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Services of systemd and of init scripts: what they are, and what makes them as they should be.

A service is *stale* when what it runs from is newer than its processes. That is asked of the host
each time, so a run that was killed between writing a file and restarting is made good by the next.
"""

from __future__ import annotations

import calendar
import contextlib
import dataclasses
import glob
import os
import re
import stat
import subprocess
import tempfile
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _confinement,
    _process,
)

# Two workers that fail to start, and what Gunicorn adds to that, fill sixty.
LOG_LINES = 100
LOG_LIMIT_BYTES = 64 * 1024
PID_LIMIT_BYTES = 32
POLL_SECONDS = 0.1
# How long after a reload there may be no new process of the service's until it counts as failed.
RELOAD_SILENCE_SECONDS = 10.0
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
# The longest that a file's change is waited for to lie back; it takes some 30 ms.
SETTLE_LIMIT_SECONDS = 1.0
CLOCK_ERROR_NS = 1_000_000

# Where administrators, packages and run-time tools put units, systemd.unit(5)
UNIT_PATHS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
)
_STARTS = ("start", "restart", "reload", "restart with socket")
# UnitFileState, systemctl(1): of these there is nothing left to enable. One that is indirect has
# only an Also=, and what that names is asked too.
_ENABLED = ("enabled", "alias", "indirect")
# systemd.unit(5), "Unit names", less what systemctl and shells take for more than a name
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]*")


class ServiceError(Exception):
    """A service is not as it was told to be."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a service shall be.

    :ivar on_stale: ``restart`` or ``reload``.
    :ivar may_restart: whether one that runs may be restarted. What only that would mend is then left
        to whoever starts it next.
    """

    enabled: bool = True
    running: bool = True
    on_stale: str = "restart"
    may_restart: bool = True


@dataclasses.dataclass(frozen=True)
class State:
    """What a service is now.

    :ivar enabled: systemd's UnitFileState of the service, and of its socket if it has one.
    :ivar main_pid: its main process, when it runs and that is known.
    :ivar started_ns: when that process started, since the epoch.
    :ivar newer: paths that changed after its processes started.
    :ivar reload_is_enough: whether a reload reads all that is newer.
    :ivar age_unknown: whether it runs, and no process tells since when.
    :ivar definition_newer: whether its definition is not the one that it was started by.
    :ivar reload_needed: whether the manager has to read the definition before a restart.
    :ivar is_unread: whether the manager has not read the latest definition.
    :ivar missing: whether the manager knows no such service.
    :ivar failed: whether the manager gave it up.
    :ivar masked: whether it was made impossible to start.
    :ivar socket_listens: whether its socket does; ``None`` when it has none.
    :ivar socket_newer: whether the socket's definition is not the one that it listens by.
    """

    enabled: tuple[str, ...] = ("",)
    running: bool = False
    main_pid: int | None = None
    started_ns: int | None = None
    newer: tuple[str, ...] = ()
    reload_is_enough: bool = True
    age_unknown: bool = False
    definition_newer: bool = False
    reload_needed: bool = False
    is_unread: bool = False
    missing: bool = False
    failed: bool = False
    masked: bool = False
    socket_listens: bool | None = None
    socket_newer: bool = False


def plan(state: State, wanted: Wanted) -> list[str]:
    """Return the actions that make a service as it is wanted, in order.

    :raises ServiceError: when no action can.
    """
    if state.masked and wanted.running:
        raise ServiceError("It is masked, so it can't be started: run systemctl unmask.")
    if state.age_unknown and wanted.running:
        raise ServiceError(
            "It runs, and its main process is not known, so whether it is older than what it runs from "
            "can't be told. Set pid_file, or PIDFile= in its unit."
        )
    actions = []
    is_unread = state.reload_needed if wanted.may_restart else state.is_unread
    if is_unread or (state.missing and (wanted.running or wanted.enabled)):
        actions.append("daemon-reload")
    if wanted.enabled and not set(state.enabled) <= set(_ENABLED):
        if "static" in state.enabled:
            raise ServiceError("It can't be enabled: its unit has no [Install] section. Add one.")
        actions.append("enable")
    elif not wanted.enabled and set(state.enabled) & set(_ENABLED[:2]):
        actions.append("disable")
    if not wanted.running:
        return actions + ["stop"] * (state.running or state.socket_listens is True)
    if state.running and not wanted.may_restart and owes_restart(state, wanted):
        return actions
    # A running socket's service can't lend it to one that starts, systemd.socket(5)
    if (state.running and state.socket_listens is False) or (
        state.socket_listens and state.socket_newer
    ):
        actions.append("restart with socket")
    elif not state.running:
        actions.append("start")
    elif state.definition_newer:
        actions.append("restart")
    elif state.newer:
        actions.append(wanted.on_stale if state.reload_is_enough else "restart")
    return actions


def owes_restart(state: State, wanted: Wanted) -> bool:
    """Return whether only a restart makes what runs as it should be."""
    if state.definition_newer or state.socket_listens is False or state.socket_newer:
        return True
    return bool(state.newer) and not (wanted.on_stale == "reload" and state.reload_is_enough)


def expect(state: State, paths: t.Collection[str], definition: bool, reload: bool) -> State:
    """Return what a service's state would be after changes that check mode did not make.

    :param paths: those of its paths that would change.
    :param definition: whether what defines it would.
    :param reload: whether a reload reads all of the paths again.
    """
    if not state.running or not (paths or definition):
        return state
    return dataclasses.replace(
        state,
        newer=tuple(dict.fromkeys([*state.newer, *paths])),
        reload_is_enough=state.reload_is_enough and reload,
        definition_newer=state.definition_newer or definition,
        reload_needed=state.reload_needed or definition,
        is_unread=state.is_unread or definition,
    )


def newer_paths(started_ns: int, paths: t.Iterable[str]) -> tuple[str, ...]:
    """Return those paths that something started too early to have read.

    A link counts twice: as itself, and as what it leads to.
    """
    return tuple(
        path
        for path in paths
        if any(_process.may_predate(started_ns, status.st_ctime_ns) for status in _statuses(path))
    )


def _statuses(path: str) -> t.Iterator[os.stat_result]:
    for ask in (os.lstat, os.stat):
        try:
            yield ask(path)
        except (FileNotFoundError, NotADirectoryError):
            continue


def settle(paths: t.Collection[str]) -> None:
    """Wait until a process that starts now counts as newer than all of these.

    A change in the future, stamped before the clock was set back, is stamped anew: a service would
    be older than it for ever.
    """
    for path in paths:
        for is_followed, status in zip((False, True), _statuses(path)):
            if status.st_ctime_ns > time.time_ns() + CLOCK_ERROR_NS:
                times = (status.st_atime_ns, status.st_mtime_ns)
                os.utime(path, ns=times, follow_symlinks=is_followed)
    # A start is cut down to the tick, proc(5).
    tick_ns = 1_000_000_000 // int(os.sysconf("SC_CLK_TCK"))
    deadline = time.monotonic() + SETTLE_LIMIT_SECONDS
    while newer_paths(time.time_ns() - tick_ns, paths) and time.monotonic() < deadline:
        time.sleep(0.005)


@dataclasses.dataclass(frozen=True)
class Answer:
    """Exit status and output of a command; ``None`` when it ran out of time."""

    returncode: int | None
    output: str


def ask(command: t.Sequence[str], timeout_seconds: float, **variables: str) -> Answer:
    """Run a command whose exit status is an answer.

    Its output goes to a file: a daemon that inherits a pipe would hold it open for as long as it
    lives. A daemon inherits directory, umask and environment too, so they are as at boot, as
    service(8) has them.

    :raises ServiceError: when there is no such command.
    """
    with tempfile.TemporaryFile() as output:
        returncode: int | None = None
        try:
            returncode = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                umask=0o022,
                env={**ENVIRONMENT, **variables},
                timeout=timeout_seconds,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            pass
        except OSError as error:
            raise ServiceError(f"{command[0]} can't be run: {error.strerror}.") from error
        return Answer(returncode, _tail(output))


def _tail(stream: t.IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - LOG_LIMIT_BYTES))
    lines = stream.read().decode("utf-8", "replace").splitlines()
    return "\n".join(lines[-LOG_LINES:])


def _opened(path: str) -> t.BinaryIO:
    """Open a file where another user may have put a link, to what that user can't read, or a pipe.

    :raises OSError: when it is something like that.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return open(descriptor, "rb")


class Manager:
    """A service manager's way with one service.

    :param name: name of the service, without a suffix.
    :param paths: what it runs from, its definition apart.
    :param directories: what it has mounts of its own for, as by systemd's ReadWritePaths=. Such a
        mount is gone when the directory was removed, whatever is made in its place.
    :param read_only_directories: what it has read-only mounts of its own for, by ReadOnlyPaths=.
    :param by_children: whether its age is that of its main process's children, which a reload
        replaces, as Gunicorn's and Nginx's do.
    :param reload_paths: those of its paths that a reload reads again; ``None`` for all of them.
    """

    # Whether a start is over when its command is.
    waits = False

    def __init__(
        self,
        name: str,
        paths: t.Iterable[str] = (),
        *,
        directories: t.Iterable[str] = (),
        read_only_directories: t.Iterable[str] = (),
        log_file: str | None = None,
        by_children: bool = False,
        reload_paths: t.Iterable[str] | None = None,
        timeout_seconds: float = 60,
    ) -> None:
        if not _NAME.fullmatch(name) or name.endswith((".service", ".socket")):
            raise ServiceError(
                f"name: {name!r} is no name of a service. Write it without a path and without .service, "
                "such as gallery."
            )
        self.name = name
        self.paths = tuple(paths)
        self.directories = tuple(directories)
        self.read_only_directories = tuple(read_only_directories)
        self.log_file = log_file
        self.by_children = by_children
        self.reload_paths = self.paths if reload_paths is None else tuple(reload_paths)
        self.timeout_seconds = timeout_seconds

    def state(self) -> State:
        """Return what the service is now."""
        raise NotImplementedError

    def commands(self, action: str) -> list[list[str]]:
        """Return the commands that carry out an action."""
        raise NotImplementedError

    def definitions(self) -> tuple[str, ...]:
        """Return the files that define the service."""
        raise NotImplementedError

    def apply(self, actions: t.Sequence[str], wanted: Wanted) -> State:
        """Carry out planned actions.

        :return: what the service is then.
        :raises ServiceError: with the end of the service's log.
        """
        began_ns = time.time_ns()
        for action in actions:
            is_start = action in _STARTS
            if action in ("reload", "restart"):
                self._await_successor()
            if is_start:
                settle([*self.definitions(), *self.paths])
            for command in self.commands(action):
                done = self.ask(command)
                if done.returncode != 0:
                    message = f"{' '.join(command)} {_how(done, self.timeout_seconds)}"
                    raise self._failure(message) if is_start else ServiceError(message)
        deadline = time.monotonic() + self.timeout_seconds
        active = time.monotonic()
        while True:
            state = self.state()
            owed = _owed(state, wanted)
            if not owed:
                return state
            is_awaited = not self.waits or "reload" in actions
            if "reload" in actions:
                if self._is_followed(state, began_ns):
                    active = time.monotonic()
                # What it started has ended again, and what it has done so far goes on.
                is_awaited = time.monotonic() - active < RELOAD_SILENCE_SECONDS
            if state.failed or not is_awaited or time.monotonic() > deadline:
                changed = f" (changed since: {', '.join(state.newer)})" if state.newer else ""
                raise self._failure(f"After {', '.join(actions)} it still needs: {owed}{changed}.")
            time.sleep(POLL_SECONDS)

    def ask(self, command: t.Sequence[str], **variables: str) -> Answer:
        """Run a command."""
        return ask(command, self.timeout_seconds, **variables)

    def log(self) -> str:
        """Return the end of the service's log."""
        if self.log_file:
            with contextlib.suppress(OSError), _opened(self.log_file) as stream:
                return _tail(stream)
        return ""

    def _failure(self, message: str) -> ServiceError:
        log = self.log()
        if log:
            hint = f"The end of its log:\n{log}\nMend what the log names"
        else:
            hint = "It left no log. Start it by hand to see why"
        return ServiceError(f"{message}\n{hint}, and run the playbook again.")

    def _is_followed(self, state: State, began_ns: int) -> bool:
        """Return whether the service has started a process since then, which is still there."""
        for pid in _family(state.main_pid) if state.main_pid else ():
            with contextlib.suppress(ProcessLookupError):
                if _started_ns(pid) + CLOCK_ERROR_NS >= began_ns:
                    return True
        return False

    def _await_successor(self) -> None:
        """Wait until a process that replaces another is the only one.

        Gunicorn takes no second reload before (USR2), and a restart would cut off what the first
        process still answers.
        """
        deadline = time.monotonic() + self.timeout_seconds
        while time.monotonic() < deadline:
            pid = self.state().main_pid
            if pid is None or not _predecessors(pid):
                return
            time.sleep(POLL_SECONDS)

    def _replaced(self, pid: int) -> tuple[str, ...]:
        """Return those directories that a process does not see as its unit says it should."""
        if not (self.directories or self.read_only_directories):
            return ()
        try:
            with _as_user.view_of(pid) as view:
                return (
                    *(path for path in self.directories if not _is_same(path, view)),
                    *(
                        path
                        for path in self.read_only_directories
                        if _confinement.is_writable(path, view)
                    ),
                )
        except _as_user.AsUserError:
            # It ended, or nobody may look: then its age alone tells.
            return ()

    def _newer(self, age_ns: int | None, start_ns: int | None) -> tuple[tuple[str, ...], bool]:
        """Return those of the paths that are newer, and whether a reload reads them all.

        :param age_ns: when what a reload replaces was started.
        :param start_ns: when what only a restart replaces was started.
        """
        if age_ns is None or start_ns is None:
            return (), True
        by_restart = newer_paths(
            start_ns, (path for path in self.paths if path not in self.reload_paths)
        )
        by_reload = newer_paths(age_ns, (path for path in self.paths if path in self.reload_paths))
        return (*by_restart, *by_reload), not by_restart

    def _age(self, pid: int) -> int | None:
        """Return when what runs was started, or ``None`` when it is gone."""
        try:
            started = [_started_ns(pid)]
            if self.by_children:
                started = [_started_ns(child) for child in _children(pid)] or started
        except ProcessLookupError:
            return None
        return min(started)


def _family(pid: int) -> dict[int, int]:
    """Return the processes of the same program in the same control group, each with its parent."""
    found = {}
    try:
        ours = _identity(pid)
    except OSError:
        return {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            facts = _process.stat(int(name))
            if facts.state not in "ZX" and _identity(facts.pid) == ours:
                found[facts.pid] = facts.parent
        except (OSError, ProcessLookupError):
            continue
    return found


def _predecessors(pid: int) -> list[int]:
    """Return the main processes beside this one, as of Gunicorn while one replaces another."""
    family = _family(pid)
    heads = [each for each, parent in family.items() if parent not in family]
    # The one that replaces another may be the other's child.
    return [head for head in heads if head != pid]


def _identity(pid: int) -> tuple[int, str, str]:
    texts = []
    for name in ("comm", "cgroup"):
        with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="replace") as stream:
            texts.append(stream.read())
    return os.stat(f"/proc/{pid}").st_uid, texts[0], texts[1]


def _is_same(path: str, view: int) -> bool:
    """Whether a path leads to the same directory in both views, as writable in one as in the other.

    When a mount point is removed, the kernel takes the mounts on it away everywhere
    (mount_namespaces(7)), and what ProtectSystem=strict made read-only below shows again.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        with contextlib.ExitStack() as opened:
            ours = os.open(path, flags)
            opened.callback(os.close, ours)
            theirs = os.open(path.lstrip("/"), flags, dir_fd=view)
            opened.callback(os.close, theirs)
            is_same = os.path.samestat(os.fstat(ours), os.fstat(theirs))
            read_only = {os.fstatvfs(each).f_flag & os.ST_RDONLY for each in (ours, theirs)}
            return is_same and len(read_only) == 1
    except OSError:
        return False


def _started_ns(pid: int) -> int:
    # Two clocks are read one after the other. Whenever we are held up in between, the process looks
    # older than it is, so the latest of several answers is the nearest.
    return max(_process.started_at_ns(pid) for _unused in range(3))


def _owed(state: State, wanted: Wanted) -> str:
    try:
        return ", ".join(plan(state, wanted))
    except ServiceError as error:
        return str(error)


def _how(done: Answer, timeout_seconds: float) -> str:
    if done.returncode is None:
        return f"took more than {timeout_seconds:g} seconds.\n{done.output}".strip()
    return f"failed (status {done.returncode}):\n{done.output}".strip()


def _children(pid: int) -> t.Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                facts = _process.stat(int(name))
            except ProcessLookupError:
                continue
            if facts.parent == pid and facts.state not in "ZX":
                yield facts.pid


class Systemd(Manager):
    """A unit, by systemctl(1).

    :param socket: whether NAME.socket belongs to it.
    """

    waits = True

    def __init__(
        self, name: str, paths: t.Iterable[str] = (), *, socket: bool = False, **options: t.Any
    ) -> None:
        super().__init__(name, paths, **options)
        self.service = f"{name}.service"
        self.socket = f"{name}.socket" if socket else None

    @property
    def _units(self) -> list[str]:
        return [self.socket, self.service] if self.socket else [self.service]

    def state(self) -> State:
        unit = self._show(self.service)
        units = [unit]
        listens, socket_newer = None, False
        if self.socket:
            socket = self._show(self.socket)
            units.append(socket)
            listens = socket.get("ActiveState") == "active"
            began_ns = active_since_ns(socket) if listens else None
            # NeedDaemonReload goes by mtime, which a copied file brings along.
            socket_newer = socket.get("NeedDaemonReload") == "yes" or (
                began_ns is not None and bool(newer_paths(began_ns, _files(self.socket, socket)))
            )
        running = unit.get("ActiveState") in ("active", "reloading")
        pid = (int(unit.get("MainPID") or 0) or None) if running else None
        age_ns = self._age(pid) if pid else None
        # What a reload does not read is as old as the unit, however often it was reloaded since.
        start_ns = age_ns
        if age_ns is not None and self.by_children:
            start_ns = min(age_ns, active_since_ns(unit) or age_ns)
        newer_files = (
            newer_paths(start_ns, _files(self.service, unit)) if start_ns is not None else ()
        )
        newer, reload_is_enough = self._newer(age_ns, start_ns)
        replaced = self._replaced(pid) if pid else ()
        needs_reload = unit.get("NeedDaemonReload") == "yes"
        definition_newer = bool(newer_files) or needs_reload
        return State(
            enabled=tuple(_enablement(self.name, each) for each in units),
            running=running,
            main_pid=pid,
            started_ns=age_ns,
            newer=(*newer_files, *newer, *replaced),
            reload_is_enough=reload_is_enough and not replaced,
            age_unknown=running and age_ns is None and bool(self.paths),
            definition_newer=definition_newer,
            reload_needed=definition_newer or socket_newer,
            is_unread=needs_reload or _has_unread_files(self.service, unit),
            missing=any(each.get("LoadState") == "not-found" for each in units),
            failed=any(each.get("ActiveState") == "failed" for each in units),
            masked=any(each.get("LoadState") == "masked" for each in units),
            socket_listens=listens,
            socket_newer=socket_newer,
        )

    def definitions(self) -> tuple[str, ...]:
        return tuple(path for unit in self._units for path in _files(unit, self._show(unit)))

    def _show(self, unit: str) -> dict[str, str]:
        properties = (
            "LoadState",
            "ActiveState",
            "ActiveEnterTimestamp",
            "ActiveEnterTimestampMonotonic",
            "MainPID",
            "NeedDaemonReload",
            "UnitFileState",
            "FragmentPath",
            "DropInPaths",
        )
        command = ["systemctl", "show", f"--property={','.join(properties)}", unit]
        done = self.ask(command, TZ="UTC")
        if done.returncode != 0:
            raise ServiceError(f"systemctl show {unit} {_how(done, self.timeout_seconds)}")
        return dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)

    def commands(self, action: str) -> list[list[str]]:
        # Else a start may be refused for those before it (StartLimitBurst=), and a restart has
        # stopped the service by then.
        forget = ["systemctl", "reset-failed", *self._units]
        start = [forget, *(["systemctl", "start", unit] for unit in self._units)]
        return {
            "daemon-reload": [["systemctl", "daemon-reload"]],
            "enable": [["systemctl", "enable", "--quiet", *self._units]],
            "disable": [["systemctl", "disable", "--quiet", *self._units]],
            "start": start,
            "stop": [["systemctl", "stop", *self._units]],
            "restart": [forget, ["systemctl", "restart", self.service]],
            "reload": [["systemctl", "reload", self.service]],
            "restart with socket": [["systemctl", "stop", *self._units], *start],
        }[action]

    def log(self) -> str:
        # What a service said last may still be on its way to the journal.
        self.ask(["journalctl", "--sync"])
        units = [f"--unit={unit}" for unit in self._units]
        options = ["--no-pager", f"--lines={LOG_LINES}", "--output=short-iso"]
        return self.ask(["journalctl", *units, *options]).output


def _files(name: str, unit: t.Mapping[str, str]) -> list[str]:
    """Return the files that define a unit, and the directories of its drop-ins.

    Systemd finds no drop-in in a directory that it has not seen yet (its cache of unit paths is
    made at a daemon-reload), and NeedDaemonReload says "no". A directory's own change tells of
    those that were taken away.
    """
    directories = [os.path.join(path, f"{name}.d") for path in UNIT_PATHS]
    drop_ins = [path for directory in directories for path in _confs(directory)]
    known = [unit.get("FragmentPath", ""), *unit.get("DropInPaths", "").split()]
    return list(dict.fromkeys(path for path in (*known, *drop_ins) if path))


def _has_unread_files(name: str, unit: t.Mapping[str, str]) -> bool:
    """Whether there are drop-ins that systemd has not found yet.

    By their names: of those of one name it reads the first, and none that leads to /dev/null.
    """
    known = {os.path.basename(path) for path in unit.get("DropInPaths", "").split()}
    directories = [os.path.join(path, f"{name}.d") for path in UNIT_PATHS]
    return any(
        os.path.basename(path) not in known and os.path.isfile(path)
        for directory in directories
        for path in _confs(directory)[1:]
    )


def _confs(directory: str) -> list[str]:
    if not os.path.isdir(directory):
        return []
    return [directory, *sorted(glob.glob(os.path.join(glob.escape(directory), "*.conf")))]


def _enablement(name: str, unit: t.Mapping[str, str]) -> str:
    state = unit.get("UnitFileState", "")
    # systemd-sysv-generator(8) makes a unit of an init script, whose links are what enables it.
    if state == "generated":
        return "enabled" if _has_start_links(name) else "disabled"
    return state


def active_since_ns(unit: t.Mapping[str, str]) -> int | None:
    """Return when a unit became active, since the epoch, and never a later time than it was.

    Systemd tells the time of day in whole seconds, and that since boot in microseconds, less the
    time that the host slept, which is known only up to now. The fraction is taken from the latter
    where the two agree.
    """
    monotonic_ns = int(unit.get("ActiveEnterTimestampMonotonic") or 0) * 1000
    fields = unit.get("ActiveEnterTimestamp", "").split()
    if not monotonic_ns or len(fields) < 3:
        return None
    seconds = calendar.timegm(time.strptime(" ".join(fields[1:3]), "%Y-%m-%d %H:%M:%S"))
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    whole_ns = seconds * 1_000_000_000
    exact_ns = monotonic_ns + boot_ns
    return exact_ns if whole_ns <= exact_ns < whole_ns + 1_000_000_000 else whole_ns


class SysVInit(Manager):
    """An init script, as Debian Policy 9.3 has it.

    :param pid_file: file with the main process's id; ``None`` looks where it usually is.
    """

    def __init__(
        self,
        name: str,
        paths: t.Iterable[str] = (),
        *,
        pid_file: str | None = None,
        **options: t.Any,
    ) -> None:
        super().__init__(name, paths, **options)
        self.pid_file = pid_file
        self.script = f"/etc/init.d/{name}"

    def state(self) -> State:
        running = os.path.exists(self.script) and self._status()
        pid = self._main_pid() if running else None
        age_ns = self._age(pid) if pid else None
        newer, reload_is_enough = self._newer(age_ns, age_ns)
        newer_script = newer_paths(age_ns, [self.script]) if age_ns is not None else ()
        return State(
            enabled=("enabled" if _has_start_links(self.name) else "disabled",),
            running=running,
            main_pid=pid,
            started_ns=age_ns,
            newer=(*newer_script, *newer),
            reload_is_enough=reload_is_enough,
            definition_newer=bool(newer_script),
            age_unknown=running and age_ns is None and bool(self.paths),
        )

    def definitions(self) -> tuple[str, ...]:
        return (self.script,)

    def _status(self) -> bool:
        return self.ask([self.script, "status"]).returncode == 0

    def _main_pid(self) -> int | None:
        usual = (f"/run/{self.name}/{self.name}.pid", f"/run/{self.name}.pid")
        for path in (self.pid_file,) if self.pid_file else (*self._declared_pid_files(), *usual):
            try:
                with _opened(path) as stream:
                    pid = int(stream.read(PID_LIMIT_BYTES))
                if _process.stat(pid).state not in "ZX":
                    return pid
            except (OSError, ValueError):
                continue
        return None

    def _declared_pid_files(self) -> list[str]:
        """Return what a header 'pidfile:' of the script names."""
        try:
            with open(self.script, encoding="utf-8", errors="replace") as stream:
                return re.findall(r"^#\s*pidfile:\s*(/\S+)\s*$", stream.read(), re.MULTILINE)
        except OSError:
            return []

    def commands(self, action: str) -> list[list[str]]:
        return {
            # "enable" flips links that "defaults" finds there already, update-rc.d(8).
            "enable": [
                ["update-rc.d", self.name, "defaults"],
                ["update-rc.d", self.name, "enable"],
            ],
            "disable": [["update-rc.d", self.name, "disable"]],
        }.get(action) or [[self.script, action]]


def _has_start_links(name: str) -> bool:
    return bool(glob.glob(f"/etc/rc[2-5].d/S[0-9][0-9]{glob.escape(name)}"))
