# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Services of systemd and of init scripts: what they are, and what makes them as they should be.

A service is *stale* when what it runs from is newer than its main process. That is asked of the
host each time, so a run that was killed between writing a file and restarting is made good by the
next.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
import subprocess
import tempfile
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _process

LOG_LINES = 30


class ServiceError(Exception):
    """A service does not do as it is told."""


@dataclasses.dataclass(frozen=True)
class State:
    """What a service is now.

    :ivar known: whether the service manager can start it.
    :ivar enabled: whether it starts at boot.
    :ivar main_pid: its main process, when it runs.
    :ivar newer: paths that changed after that process started.
    :ivar reload_needed: whether the manager has not read its latest definition.
    :ivar socket_ready: whether its socket listens, as its definition has it; true without one.
    """

    known: bool = False
    enabled: bool = False
    running: bool = False
    main_pid: int | None = None
    newer: tuple[str, ...] = ()
    reload_needed: bool = False
    failed: bool = False
    socket_ready: bool = True


def newer_paths(pid: int, paths: t.Iterable[str]) -> tuple[str, ...]:
    """Return those paths that a process started too early to have read.

    A link counts twice: as itself, and as what it leads to.
    """
    try:
        started_ns = _process.started_at_ns(pid)
    except ProcessLookupError:
        return ()
    return tuple(
        path
        for path in paths
        if any(
            _process.may_predate(started_ns, ask(path).st_ctime_ns)
            for ask in (os.lstat, os.stat)
            if os.path.exists(path)
        )
    )


def plan(state: State) -> list[str]:
    """Return the actions that make a service enabled, running and fresh, in order."""
    actions = []
    if state.reload_needed or not state.known:
        actions.append("read definition")
    if not state.enabled:
        actions.append("enable")
    if not state.socket_ready:
        actions.append("restart with socket")
    elif not state.running:
        actions.append("start")
    elif state.newer:
        actions.append("restart")
    return actions


class Manager:
    """A service manager's way with one service.

    :param name: name of the service.
    :param paths: what it runs from.
    """

    def __init__(self, name: str, paths: t.Sequence[str], log_file: str | None) -> None:
        self.name = name
        self.paths = tuple(paths)
        self.log_file = log_file

    def state(self) -> State:
        """Return what the service is now."""
        raise NotImplementedError

    def apply(self, actions: t.Iterable[str]) -> None:
        """Carry out planned actions.

        :raises ServiceError: with the end of the service's log.
        """
        for path in filter(os.path.exists, self.paths):
            _process.settle(path)
        for action in actions:
            for command in self.commands(action):
                self._run(command)

    def commands(self, action: str) -> list[list[str]]:
        """Return the commands that carry out an action."""
        raise NotImplementedError

    def log(self) -> str:
        """Return the end of the service's log."""
        if self.log_file and os.path.isfile(self.log_file):
            with open(self.log_file, encoding="utf-8", errors="replace") as stream:
                return "".join(stream.readlines()[-LOG_LINES:])
        return ""

    def _run(self, command: t.Sequence[str]) -> None:
        done = _ask(command)
        if done.returncode:
            raise ServiceError(
                f"{' '.join(command)} failed: {done.output.strip()}\n"
                f"{self.log().strip()}\nMend what the log names, and run the playbook again."
            )


class Systemd(Manager):
    """A unit, by systemctl(1)."""

    def __init__(
        self, name: str, paths: t.Sequence[str], log_file: str | None, socket: bool
    ) -> None:
        super().__init__(name, paths, log_file)
        self.service = f"{name}.service"
        self.socket = f"{name}.socket" if socket else None

    def state(self) -> State:
        unit = self._show(self.service)
        pid = int(unit.get("MainPID", "0")) or None
        running = unit.get("ActiveState") == "active" and pid is not None
        definition = [path for path in (unit.get("FragmentPath"),) if path]
        socket = self._show(self.socket) if self.socket else None
        return State(
            known=unit.get("LoadState") == "loaded",
            enabled=unit.get("UnitFileState") == "enabled"
            and (socket is None or socket.get("UnitFileState") == "enabled"),
            running=running,
            main_pid=pid if running else None,
            newer=newer_paths(pid, [*definition, *self.paths]) if running and pid else (),
            reload_needed=unit.get("NeedDaemonReload") == "yes"
            or (socket is not None and socket.get("NeedDaemonReload") == "yes"),
            failed=unit.get("ActiveState") == "failed",
            socket_ready=socket is None or self._is_ready(socket),
        )

    def _is_ready(self, socket: t.Mapping[str, str]) -> bool:
        """Whether the socket listens where its definition says."""
        if socket.get("ActiveState") != "active":
            return False
        wanted = re.findall(r"^ListenStream=(.+)$", self._definition(socket), re.MULTILINE)
        # systemctl shows 'Listen=/run/x.sock (Stream)'.
        return all(f"{address.strip()} (Stream)" in socket.get("Listen", "") for address in wanted)

    @staticmethod
    def _definition(unit: t.Mapping[str, str]) -> str:
        try:
            with open(unit.get("FragmentPath", ""), encoding="utf-8") as stream:
                return stream.read()
        except OSError:
            return ""

    @staticmethod
    def _show(unit: str) -> dict[str, str]:
        properties = (
            "LoadState,ActiveState,MainPID,NeedDaemonReload,UnitFileState,FragmentPath,Listen"
        )
        done = _ask(["systemctl", "show", f"--property={properties}", unit])
        if done.returncode:
            raise ServiceError(f"systemctl show {unit} failed: {done.output.strip()}")
        return dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)

    def commands(self, action: str) -> list[list[str]]:
        units = [unit for unit in (self.socket, self.service) if unit]
        # A service that failed too often is not started again before this.
        forget = ["systemctl", "reset-failed", self.service]
        return {
            "read definition": [["systemctl", "daemon-reload"]],
            "enable": [["systemctl", "enable", "--quiet", *units]],
            "start": [forget, ["systemctl", "start", *units]],
            "restart": [forget, ["systemctl", "restart", self.service]],
            "restart with socket": [
                ["systemctl", "stop", *reversed(units)],
                ["systemctl", "start", *units],
            ],
        }[action]

    def log(self) -> str:
        return _ask(
            ["journalctl", f"--unit={self.service}", f"--lines={LOG_LINES}", "--output=cat"]
        ).output


class SysVInit(Manager):
    """An init script, as Debian Policy 9.3 has it."""

    def __init__(
        self, name: str, paths: t.Sequence[str], log_file: str | None, pid_file: str
    ) -> None:
        super().__init__(name, paths, log_file)
        self.pid_file = pid_file
        self.script = f"/etc/init.d/{name}"

    def state(self) -> State:
        known = os.access(self.script, os.X_OK)
        running = known and _ask([self.script, "status"]).returncode == 0
        pid = self._main_pid() if running else None
        return State(
            known=known,
            enabled=bool(glob.glob(f"/etc/rc[2-5].d/S[0-9][0-9]{self.name}")),
            running=running,
            main_pid=pid,
            newer=newer_paths(pid, [self.script, *self.paths]) if pid else (),
        )

    def _main_pid(self) -> int | None:
        try:
            with open(self.pid_file, encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError):
            return None

    def commands(self, action: str) -> list[list[str]]:
        return {
            "read definition": [],
            "enable": [
                ["update-rc.d", self.name, "defaults"],
                ["update-rc.d", self.name, "enable"],
            ],
            "start": [[self.script, "start"]],
            "restart": [[self.script, "restart"]],
        }[action]


@dataclasses.dataclass(frozen=True)
class _Answer:
    returncode: int
    output: str


def _ask(command: t.Sequence[str]) -> _Answer:
    """Run a command whose exit status is an answer.

    Its output goes to a file: a daemon that inherits a pipe would hold it open for as long as it
    lives.
    """
    path = f"/usr/sbin:/sbin:{os.environ.get('PATH', '/usr/bin:/bin')}"
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": path},
            check=False,
        )
        output.seek(0)
        return _Answer(done.returncode, output.read().decode("utf-8", "replace"))
