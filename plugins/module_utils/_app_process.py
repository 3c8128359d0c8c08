# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The Python application servers that listen on a host, in containers of it too. Reads only."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _app_command,
    _as_user,
    _flask_app,
    _hosted_container,
    _proc,
    _process,
    _secrets,
)

Facts = dict[str, t.Any]

FILE_LIMIT_BYTES = 256 * 1024
SYSTEMCTL_SECONDS = 10
# Of all variables these alone are shown with their values; the others may be secret.
SHOWN_VARIABLES = re.compile(
    r"""(?:
        FLASK_(?:APP|DEBUG|ENV|RUN_HOST|RUN_PORT)
    |   SCRIPT_NAME | PYTHONPATH | VIRTUAL_ENV | FORWARDED_ALLOW_IPS | PORT | HOME | TMPDIR
    |   LISTEN_FDS | LISTEN_PID
    |   \w*(?:UPLOAD_FOLDER|UPLOADS?_(?:DIR|DIRECTORY|PATH|ROOT)|MEDIA_ROOT|MEDIA_URL)
    |   \w*UPLOAD(?:ED_[A-Z0-9_]+|S_DEFAULT)_DEST
    |   \w*(?:MAX_CONTENT_LENGTH|APPLICATION_ROOT|STATIC_FOLDER|STATIC_ROOT|STATIC_URL|STATIC_URL_PATH)
    |   \w*PREFERRED_URL_SCHEME
    )\Z""",
    re.VERBOSE,
)
# Of a unit what decides what its processes can reach. Environment= is none of it.
UNIT_PROPERTIES = (
    "ActiveState",
    "BindPaths",
    "BindReadOnlyPaths",
    "DropInPaths",
    "DynamicUser",
    "EnvironmentFiles",
    "FragmentPath",
    "Group",
    "InaccessiblePaths",
    "MainPID",
    "NeedDaemonReload",
    "PrivateTmp",
    "PrivateUsers",
    "ProtectHome",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RootDirectory",
    "RootImage",
    "RuntimeDirectory",
    "StateDirectory",
    "SupplementaryGroups",
    "TemporaryFileSystem",
    "TriggeredBy",
    "UMask",
    "User",
    "WorkingDirectory",
)
# Who holds a socket for another: systemd those that it lends, the proxies those of containers
_LENDERS = frozenset(["init", "systemd", "docker-proxy", "rootlessport"])
_EXEC_START = re.compile(r"argv\[\]=(?P<argv>.*?) ; ")
_SITE_PACKAGES = re.compile(r"(/.*)/lib(?:64)?/python3\.\d+/site-packages/")
_LIBPYTHON = re.compile(r"/libpython(3\.\d+)\.so")
_FLASK_WORD = re.compile(rb"\bflask\b", re.IGNORECASE)


def discover(addresses: t.Collection[str] = (), proc: str = "/proc") -> Facts:
    """Return ``processes``, and in ``unseen`` what could not be seen.

    :param addresses: whoever listens at one of these is told of, whatever it is.
    """
    return _Discovery(set(addresses), _proc.Proc(proc)).answer()


@dataclasses.dataclass
class _Found:
    """A process that may be one of a server's.

    :ivar listens: ``None`` where that may not be seen.
    """

    pid: int
    parent: int
    argv: list[str]
    server: str | None
    listens: list[str] | None
    container: str | None


class _Discovery:
    def __init__(self, addresses: set[str], proc: _proc.Proc) -> None:
        self._proc = proc
        self._addresses = addresses
        self._unseen: list[str] = []
        self._containers: dict[str, tuple[Facts, list[str]]] = {}
        self._mains: dict[str, Facts] = {}
        self._units: dict[str, dict[str, str]] = {}

    def answer(self) -> Facts:
        found = {each.pid: each for each in self._candidates()}
        masters: dict[int, list[_Found]] = {}
        for each in found.values():
            masters.setdefault(self._master_of(each, found).pid, []).append(each)
        processes = []
        for pid, family in masters.items():
            facts = self._describe(found[pid], [each for each in family if each.pid != pid])
            if facts:
                processes.append(facts)
        if any(found[pid].listens is None for pid in masters):
            self._unseen.append(
                "Which sockets some processes hold can't be seen, so where they listen is taken from "
                f"their command lines: {_proc.what_it_takes()}."
            )
        seen = {address for process in processes for address in process["reachable_at"]}
        for address in sorted(self._addresses):
            if not any(_matches(address, each) for each in seen) and not self._attribute(
                address, processes
            ):
                self._unseen.append(self._nobody_at(address))
        return {"processes": processes, "unseen": self._unseen}

    def _attribute(self, address: str, processes: list[Facts]) -> bool:
        """Give an address to the one server of which nothing tells where it listens."""
        silent = [each for each in processes if not each["listens"] and not each["container"]]
        if len(silent) != 1 or address not in self._proc.listening(silent[0]["pid"]).values():
            return False
        silent[0]["listens"] = silent[0]["reachable_at"] = [address]
        silent[0]["unseen"].append(
            f"That process {silent[0]['pid']} listens at {address} is concluded from nobody else doing so."
        )
        return True

    def _candidates(self) -> t.Iterator[_Found]:
        own = os.getpid()
        for pid in self._proc.pids():
            argv = self._proc.argv(pid)
            if pid == own or not argv or os.path.basename(argv[0]) in _LENDERS:
                continue
            if self._proc.is_elsewhere(pid):
                continue
            try:
                facts = _process.stat(pid, self._proc.path)
            except ProcessLookupError:
                continue
            if facts.state in "ZX":
                continue
            server = _app_command.server_of(argv) or self._by_executable(pid)
            wanted = bool(self._addresses) and server is None
            if server is None and not wanted:
                continue
            listens = self._proc.listens(pid)
            if server is None and not self._is_asked_for(listens or []):
                continue
            if listens == [] or (listens is None and server in (None, "python")):
                continue
            yield _Found(pid, facts.parent, argv, server, listens, self._proc.container_id(pid))

    def _by_executable(self, pid: int) -> str | None:
        """Return the server of a process whose title says nothing."""
        name = os.path.basename((self._proc.link(pid, "exe") or "").removesuffix(" (deleted)"))
        if name.startswith("uwsgi"):
            return "uwsgi"
        return "python" if re.match(r"python3?[\d.]*\Z", name) else None

    def _is_asked_for(self, listens: t.Iterable[str]) -> bool:
        return any(_matches(wanted, each) for wanted in self._addresses for each in listens)

    def _master_of(self, process: _Found, found: t.Mapping[int, _Found]) -> _Found:
        """Return the process that lent a process its socket, or that process itself."""
        while process.parent in found:
            parent = found[process.parent]
            if parent.container != process.container or parent.pid == process.pid:
                break
            if parent.listens is None or process.listens is None:
                if parent.server != process.server:
                    break
            elif not set(parent.listens) & set(process.listens):
                break
            if not self._may_start(parent.pid, process.pid):
                break
            process = parent
        return process

    def _may_start(self, parent: int, child: int) -> bool:
        """Whether a process can have made another its user's: a master of root's, or of the same user."""
        theirs, own = self._proc.ids(parent), self._proc.ids(child)
        if theirs is None or own is None or theirs.uid == own.uid:
            return True
        return self._proc.inner(parent, "uid", theirs.uid) == 0

    def _describe(self, master: _Found, workers: list[_Found]) -> Facts | None:
        pid = master.pid
        unseen: list[str] = []
        container = self._container(master, unseen)
        unit, properties = (None, {}) if master.container else self._unit(pid, unseen)
        argv = master.argv
        started = properties.get("ExecStart", [])
        if len(argv) == 1 and _app_command.server_of(started) == master.server:
            # A title has overwritten the command line; systemd still has it.
            argv = started
        environ = self._proc.environ(pid)
        directory = self._proc.link(pid, "cwd")
        executable = self._proc.link(pid, "exe")
        executable = executable.removesuffix(" (deleted)") if executable else None
        if environ is None or directory is None:
            unseen.append(
                f"Working directory and environment of process {pid} can't be seen: "
                f"{_proc.what_it_takes()}."
            )
        known = {
            "argv": argv,
            "title": master.argv[0],
            "server": master.server,
            "environ": environ or {},
            "directory": directory or properties.get("WorkingDirectory") or None,
            "starts": self._starts(master, environ or {}, properties),
            "exe": executable,
            "maps": self._proc.mapped_files(workers[0].pid if workers else pid),
        }
        looked = self._in_view(master, known, unseen)
        is_likely = master.server != "python" or looked["has_flask"]
        if not is_likely and not self._is_asked_for(master.listens or []):
            return None
        if master.server == "python" and looked["callable"] is None:
            unseen.append(
                f"Process {pid} runs a script of its own, so which object in it is the app can't be told "
                "without running it. Name it as flask_app_callable, with flask_app_virtualenv."
            )
        unseen += looked["unseen"]
        # As whom an app's code runs, and what it finds, its workers tell.
        at_work = workers[0].pid if workers else pid
        ids = self._proc.ids(at_work)
        if self._proc.is_of_two(pid) or self._proc.is_of_two(at_work):
            # Its code would be run as a user who has not chosen it.
            ids = None
            unseen.append(
                f"Process {at_work} has its user by a set-user-ID bit, so whose app it is can't be told."
            )
        listens = master.listens
        if listens is None:
            # Of what the command line says, a default may be none of this server's.
            known_to_kernel = set(self._proc.listening(pid).values())
            listens = [each for each in looked["listens"] if each in known_to_kernel]
        environ = environ or {}
        if ids and ids.uid == 0 and not container:
            unseen.append(
                f"Process {pid} runs the app as root. Its code is not run as root to ask it."
            )
        return {
            "pid": pid,
            "workers": sorted(each.pid for each in workers),
            "server": master.server,
            "argv": _secrets.in_command(argv),
            "exe": executable,
            "cwd": directory,
            "user": self._proc.user_name(at_work, ids.uid) if ids else None,
            "uid": ids.uid if ids else None,
            "gid": ids.gid if ids else None,
            "group": self._proc.group_name(at_work, ids.gid) if ids else None,
            "groups": ids.groups if ids else [],
            "umask": self._umask(pid),
            "listens": listens,
            "reachable_at": reachable_at(listens, container),
            "unit": unit,
            "unit_properties": {
                name: value for name, value in properties.items() if name != "ExecStart"
            },
            "container": self._with_user(container, at_work, ids),
            "callable": _secrets.in_text(looked["callable"]) if looked["callable"] else None,
            "loader": looked["loader"],
            "virtualenv": looked["virtualenv"],
            "python": looked["python"],
            "directory": looked["directory"] or directory,
            "python_path": looked["python_path"],
            "config_files": looked["config_files"],
            "script_name": looked["script_name"] or environ.get("SCRIPT_NAME"),
            "environment_names": sorted(name for name in environ if re.match(r"\w+\Z", name)),
            "environment": {
                name: _secrets.in_text(value)
                for name, value in sorted(environ.items())
                if SHOWN_VARIABLES.match(name)
            },
            "unseen": unseen,
        }

    def _starts(
        self, master: _Found, environ: t.Mapping[str, str], unit: t.Mapping[str, t.Any]
    ) -> list[str]:
        """Return where a process may have been started, which its relative names go by."""
        emperor = _app_command.emperor_of(self._proc.argv(master.parent))
        named = [emperor, unit.get("WorkingDirectory"), environ.get("PWD")]
        return [each for each in named if each and os.path.isabs(each)]

    def _with_user(self, container: Facts | None, pid: int, ids: _proc.Ids | None) -> Facts | None:
        """Return a container with the ids that a process of it has there."""
        if container is None or ids is None:
            return container
        uid, gid = self._proc.inner(pid, "uid", ids.uid), self._proc.inner(pid, "gid", ids.gid)
        return {**container, "process_user": f"{uid}:{gid}"}

    def _umask(self, pid: int) -> str | None:
        umask = _process.umask_of(pid, self._proc.path)
        return None if umask is None else f"{umask:04o}"

    def _container(self, process: _Found, unseen: list[str]) -> Facts | None:
        identity = process.container
        if identity is None:
            return None
        if identity not in self._containers:
            reasons: list[str] = []
            found = _hosted_container.look_into(identity, reasons)[1]
            facts = found and _hosted_container.describe(found)
            if found:
                self._mains[identity] = found
            if facts is None:
                facts = _hosted_container.unknown(identity)
                facts["addresses"], facts["ports"] = self._proxied(process.pid)
            self._containers[identity] = facts, reasons
        facts, reasons = self._containers[identity]
        unseen += reasons
        main = self._mains.get(identity)
        if main is not None and not _hosted_container.holds(main, process.pid, self._proc):
            unseen.append(_hosted_container.not_held(identity, process.pid))
            return _hosted_container.unknown(identity)
        return facts

    def _proxied(self, pid: int) -> tuple[list[str], list[Facts]]:
        """Return addresses and published ports of a container, as its proxies' arguments tell."""
        own = self._proc.addresses(pid)
        addresses, ports = set(), []
        for proxy in self._proc.pids():
            argv = self._proc.argv(proxy)
            if not argv or os.path.basename(argv[0]) != "docker-proxy":
                continue
            given = dict(zip(argv[1::2], argv[2::2]))
            if given.get("-proto") == "tcp" and given.get("-container-ip") in own:
                addresses.add(given["-container-ip"])
                ports.append(
                    {
                        "host_address": given["-host-ip"],
                        "host_port": int(given["-host-port"]),
                        "port": int(given["-container-port"]),
                    }
                )
        return sorted(addresses), ports

    def _unit(self, pid: int, unseen: list[str]) -> tuple[str | None, dict[str, t.Any]]:
        unit, is_users = self._proc.unit(pid)
        if unit is None:
            return None, {}
        if is_users:
            unseen.append(
                f"{unit} is a service of a user's own systemd, whose settings are not asked."
            )
            return unit, {}
        if unit not in self._units:
            self._units[unit] = show_unit(unit)
        found = self._units[unit]
        if not found:
            unseen.append(f"The settings of {unit} can't be asked: systemctl show does not answer.")
        return unit, found

    def _in_view(self, process: _Found, known: Facts, unseen: list[str]) -> Facts:
        """Read what the command line names, in the view that the process has."""
        if process.container is None:
            return look(known)
        try:
            with _as_user.view_of(process.pid) as view:
                return t.cast(Facts, _as_user.call(None, look, known, view=view))
        except _as_user.AsUserError as error:
            if os.geteuid() == 0:
                unseen.append(str(error))
            return look(known, readable=False)

    def _nobody_at(self, address: str) -> str:
        table = self._proc.listening(self._proc.pids()[0])
        if address not in table.values():
            return f"Nobody is seen to listen at {address}."
        for pid in self._proc.pids():
            name = os.path.basename((self._proc.argv(pid) or [""])[0])
            if name in _LENDERS and address in (self._proc.listens(pid) or []):
                return (
                    f"At {address} {name} listens for another, which was not found: a service that is "
                    "started by its first request (run this again after one), or a container that is no Python server."
                )
        return (
            f"Something listens at {address} that is no process to be seen here: "
            f"{_proc.what_it_takes()}."
        )


def look(known: Facts, readable: bool = True) -> Facts:
    """Return what a command line and the files that it names tell. Runs nothing."""
    environ = known["environ"]
    read = _read if readable else _nothing
    command = _app_command.parse(known["argv"], environ, known["directory"], read, known["starts"])
    virtualenv = _virtualenv(known, command) if readable else None
    script = command.script
    if script and not os.path.isabs(script) and known["directory"]:
        script = os.path.join(known["directory"], script)
    return {
        "callable": command.callable,
        "loader": command.loader,
        "listens": command.listens,
        "directory": command.directory or known["directory"],
        "script_name": command.script_name,
        "python_path": command.python_path,
        "config_files": command.config_files,
        "virtualenv": virtualenv,
        "python": _python(known, command, virtualenv),
        "has_flask": readable and _has_flask(script, virtualenv, environ),
        "unseen": command.unseen,
    }


def server_environment(
    process_id: int | None, user: str | None, proc: str = "/proc"
) -> dict[str, str]:
    """Return the variables that a process's server sets for its app. They may be secret.

    Nothing for a process of another user: its secrets are not the app's.

    :param user: whose it has to be; ``None`` when it is in a container.
    """
    if process_id is None:
        return {}
    if user is not None and not (
        _as_user.exists(user) and _flask_app.is_of(process_id, _as_user.account(user).uid, proc)
    ):
        return {}
    table = _proc.Proc(proc)
    argv = table.argv(process_id)
    if _app_command.server_of(argv) not in ("gunicorn", "uwsgi"):
        return {}
    environ, directory = table.environ(process_id) or {}, table.link(process_id, "cwd")
    if table.container_id(process_id) is None:
        return _variables(argv, environ, directory)
    with _as_user.view_of(process_id) as view:
        found = _as_user.call(None, _variables, argv, environ, directory, view=view)
    return t.cast("dict[str, str]", found)


def _variables(
    argv: t.Sequence[str], environ: t.Mapping[str, str], directory: str | None
) -> dict[str, str]:
    return _app_command.parse(argv, environ, directory, _read).environment


def _read(path: str) -> str | None:
    return _proc.read_file(path, FILE_LIMIT_BYTES)


def _nothing(_path: str) -> str | None:
    return None


def _virtualenv(known: Facts, command: _app_command.Command) -> str | None:
    """Return the virtualenv of a process; Python finds it by the pyvenv.cfg above its own name."""
    named = [command.virtualenv]
    for program in (command.python, command.script, known["argv"][0]):
        if program and "/" in program:
            whole = os.path.join(known["directory"] or "/", program)
            named.append(os.path.dirname(os.path.dirname(whole)))
    named.append(known["environ"].get("VIRTUAL_ENV"))
    found = (_SITE_PACKAGES.match(path) for path in known["maps"])
    named += dict.fromkeys(match[1] for match in found if match)
    for directory in filter(None, named):
        if os.path.isfile(os.path.join(directory, "pyvenv.cfg")):
            return os.path.normpath(directory)
    return None


def _python(known: Facts, command: _app_command.Command, virtualenv: str | None) -> str | None:
    if virtualenv:
        return os.path.join(virtualenv, "bin", "python")
    if command.python and os.path.isabs(command.python):
        return command.python
    executable = known["exe"] or ""
    if re.match(r"python[\d.]*\Z", os.path.basename(executable)):
        return str(executable)
    for path in known["maps"]:
        library = _LIBPYTHON.search(path)
        if library:
            return f"/usr/bin/python{library[1]}"
    return None


def _has_flask(script: str | None, virtualenv: str | None, environ: t.Mapping[str, str]) -> bool:
    """Return whether a Python program is likely to be a Flask app."""
    if any(name.startswith(("WERKZEUG_", "FLASK_")) for name in environ):
        return True
    if script:
        text = _read(script)
        if text and _FLASK_WORD.search(text.encode("utf-8", "replace")):
            return True
    if virtualenv:
        library = os.path.join(virtualenv, "lib")
        try:
            versions = os.listdir(library)
        except OSError:
            return False
        return any(
            os.path.isdir(os.path.join(library, version, "site-packages/flask"))
            for version in versions
        )
    return False


def show_unit(unit: str) -> dict[str, t.Any]:
    """Return the settings of a unit that decide what its processes can reach."""
    names = ",".join([*UNIT_PROPERTIES, "ExecStart"])
    try:
        done = subprocess.run(
            ["systemctl", "show", f"--property={names}", "--", unit],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SYSTEMCTL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    found: dict[str, t.Any] = dict(
        line.split("=", 1) for line in done.stdout.splitlines() if "=" in line
    )
    started = _EXEC_START.search(found.pop("ExecStart", ""))
    if started:
        # What had blanks can't be told apart any more.
        found["ExecStart"] = started["argv"].split()
    return found


def reachable_at(listens: t.Iterable[str], container: Facts | None) -> list[str]:
    """Return under which addresses this host's Nginx can reach what listens in a container."""
    if container is None or container["network_mode"] == "host":
        return _through_mounts(listens, container)
    found = _through_mounts([each for each in listens if each.startswith("unix:")], container)
    for each in listens:
        if each.startswith("unix:"):
            continue
        host, _colon, port = each.rpartition(":")
        if host.strip("[]") in ("127.0.0.1", "::1"):
            # Of the container's own network
            continue
        found += [
            f"{_bracketed(binding['host_address'])}:{binding['host_port']}"
            for binding in container["ports"]
            if str(binding["port"]) == port
        ]
        found += [
            f"{_bracketed(name)}:{port}" for name in [*container["addresses"], *container["names"]]
        ]
    return list(dict.fromkeys(found))


def _through_mounts(listens: t.Iterable[str], container: Facts | None) -> list[str]:
    """Return addresses with a socket's path as the host has it."""
    found = []
    for each in listens:
        path = each.removeprefix("unix:")
        if container is None or path == each:
            found.append(each)
            continue
        for mount in sorted(container["mounts"], key=lambda mount: -len(mount["target"])):
            target = mount["target"].rstrip("/")
            if path.startswith(f"{target}/") or path == target:
                if mount["source"]:
                    found.append(f"unix:{mount['source'].rstrip('/')}{path[len(target) :]}")
                break
    return found


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _matches(wanted: str, listening: str) -> bool:
    """Return whether a request to an address gets to who listens at another."""
    if wanted == listening:
        return True
    if wanted.startswith("unix:") or listening.startswith("unix:"):
        return wanted.replace("unix:/var/run/", "unix:/run/") == listening.replace(
            "unix:/var/run/", "unix:/run/"
        )
    host, _colon, port = listening.rpartition(":")
    asked, _colon, asked_port = wanted.rpartition(":")
    return port == asked_port and (host in ("0.0.0.0", "[::]") or asked == "localhost")
