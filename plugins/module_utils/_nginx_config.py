# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The Nginx that a host runs, and the configuration that it has. Changes nothing.

``nginx -t`` and ``nginx -T`` create what is missing: log files, directories, the pid file. So Nginx
is given a staged tree to judge, and the files are read beside it.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _docker,
    _glob,
    _hosted_container,
    _nginx_modules,
    _nginx_process,
    _nginx_syntax,
    _nginx_tree,
    _proc,
    _process,
    _secrets,
)

Facts = dict[str, t.Any]

FILES_LIMIT = 1000
CONTENT_LIMIT_BYTES = 4 * 1024 * 1024
# Where packages and images have it, in case that Nginx itself can't be asked
USUAL_CONF_FILES = (
    "/etc/nginx/nginx.conf",
    "/usr/local/nginx/conf/nginx.conf",
    "/usr/local/openresty/nginx/conf/nginx.conf",
    "/usr/local/etc/nginx/nginx.conf",
    "/opt/bitnami/nginx/conf/nginx.conf",
)
WEB_PORTS = (80, 443)
# Read with the configuration, unless there is a variable in their path
_CERTIFICATES = ("ssl_certificate", "ssl_certificate_key")
SELINUX = "/sys/fs/selinux/enforce"


def discover(nginx: str | None = None, conf_file: str | None = None, proc: str = "/proc") -> Facts:
    """Return what there is of Nginx.

    :param nginx: its binary, where the one of the usual directories isn't meant.
    :param conf_file: its configuration, where one of several is meant.
    """
    return _Discovery(nginx, conf_file, _proc.Proc(proc)).answer()


class _Discovery:
    def __init__(self, nginx: str | None, conf_file: str | None, proc: _proc.Proc) -> None:
        self._proc = proc
        self._given = nginx
        self._conf_file = conf_file
        self._unseen: list[str] = []
        self._secrets = _secrets.Configuration()

    def answer(self) -> Facts:
        facts: Facts = {
            "installed": False,
            "running": False,
            "binary": None,
            "version": None,
            "prefix": None,
            "conf_file": None,
            "build_arguments": None,
            "default_error_log": None,
            "master_pid": None,
            "container": None,
            "worker_user": None,
            "worker_uid": None,
            "worker_gid": None,
            "worker_groups": [],
            "worker_pids": [],
            "files": [],
            "source": None,
            "test": None,
            "loaded": None,
            "changed_since_load": [],
            "directories_changed_since_load": [],
            "listens": [],
            "error_logs": [],
            "others": [],
            "selinux": selinux(),
            "unseen": self._unseen,
        }
        masters = self._masters()
        master = masters[0] if masters else None
        facts["others"] = [self._other(each) for each in masters[1:]]
        if master:
            facts.update(running=True, installed=True, master_pid=master.pid)
            facts.update(self._of_workers(master))
            facts["listens"] = self._listens(master)
        source = self._source(master)
        facts["container"] = source.container
        build = source.build()
        if build:
            facts.update(
                installed=True,
                binary=build.binary,
                version=build.version,
                build_arguments=source.arguments,
            )
        conf_file = build.conf_file if build else source.guess()
        if conf_file is None:
            if facts["installed"]:
                self._unseen.append(
                    "The configuration of Nginx was not found. Name its binary as nginx."
                )
            return facts
        facts["prefix"] = (build.prefix if build else os.path.dirname(conf_file)).rstrip("/") + "/"
        facts["conf_file"] = conf_file
        facts["default_error_log"] = source.default_error_log
        self._read(facts, source, master)
        return facts

    def _read(self, facts: Facts, source: _Source, master: _nginx_process.Master | None) -> None:
        reading = source.read(facts["conf_file"])
        verdict = source.test()
        if verdict and verdict.passed and verdict.read:
            reading = source.completed(reading, verdict.read)
        facts["source"] = (
            "nginx -T" if verdict and verdict.read else "files" if reading["files"] else None
        )
        self._unseen += reading["unseen"]
        contents = {}
        for file in reading["files"]:
            contents[file["path"]] = file["content"]
            masked = self._secrets.masked(file["content"])
            facts["files"].append({"path": file["path"], "content": masked})
        if verdict:
            facts["test"] = self._verdict(verdict)
        if master:
            self._compare(facts, reading, master)
        facts["error_logs"] = self._error_logs(facts, contents, master)

    def _masters(self) -> list[_nginx_process.Master]:
        """Return the masters, the one that serves the web first."""
        found = []
        for master in _nginx_process.masters(self._proc.path):
            if self._proc.is_elsewhere(master.pid):
                self._unseen.append(
                    f"Nginx's master process {master.pid} is in a machine of its own (LXC, "
                    "systemd-nspawn). Verify that as a host."
                )
            else:
                found.append(master)
        if self._conf_file is not None:
            found = [master for master in found if self._serves(master, self._conf_file)]

        def rank(master: _nginx_process.Master) -> tuple[bool, bool, bool, int]:
            is_hidden = self._proc.container_id(master.pid) is not None
            is_users = not is_hidden and not self._proc.is_roots(master.pid)
            # Any user's process can bear a master's title.
            return is_users, not self._is_on_web_port(master), is_hidden, master.pid

        return sorted(found, key=rank)

    def _serves(self, master: _nginx_process.Master, conf_file: str) -> bool:
        given = _nginx_process.switches(master).conf_file
        if given is None and not self._proc.container_id(master.pid):
            build = _Source(None, master, self._proc, []).build()
            given = build.conf_file if build else None
        return given is not None and os.path.realpath(given) == os.path.realpath(conf_file)

    def _is_on_web_port(self, master: _nginx_process.Master) -> bool:
        """Return whether a master has a port of this host's that browsers ask."""
        container = self._proc.container_id(master.pid)
        if container:
            _engine, facts = _hosted_container.inspect(container, [])
            if facts is None:
                return False
            if facts["network_mode"] != "host":
                return any(port["host_port"] in WEB_PORTS for port in facts["ports"])
        listens = _addresses(self._proc.listens(master.pid) or [])
        return any(each["port"] in WEB_PORTS for each in listens)

    def _other(self, master: _nginx_process.Master) -> Facts:
        given = _nginx_process.switches(master)
        return {
            "master_pid": master.pid,
            "conf_file": given.conf_file,
            "container": self._proc.container_id(master.pid),
            "listens": _addresses(self._proc.listens(master.pid) or []),
        }

    def _source(self, master: _nginx_process.Master | None) -> _Source:
        if master is None:
            source = _Source(self._given, None, self._proc, self._unseen)
            source.given = _nginx_process.Switches(conf_file=self._conf_file)
            return source
        if self._proc.container_id(master.pid):
            return _ContainerSource(self._given, master, self._proc, self._unseen)
        return _Source(self._given, master, self._proc, self._unseen)

    def _of_workers(self, master: _nginx_process.Master) -> Facts:
        workers = master.workers()
        serving = [worker for worker in workers if worker.serves]
        pids = [worker.pid for worker in serving]
        ids = next(filter(None, map(self._proc.ids, pids)), None)
        if ids is None:
            self._unseen.append(
                f"Nginx's master process {master.pid} has no worker that serves, so as whom it serves "
                "files can't be told. See its error log."
            )
            return {}
        return {
            "worker_pids": pids,
            "worker_uid": ids.uid,
            "worker_gid": ids.gid,
            "worker_groups": ids.groups,
            "worker_user": self._proc.user_name(pids[0], ids.uid),
        }

    def _listens(self, master: _nginx_process.Master) -> list[Facts]:
        found = self._proc.listens(master.pid)
        if found is None:
            self._unseen.append(
                f"Where Nginx (process {master.pid}) listens can't be seen: {_proc.what_it_takes()}."
            )
        return _addresses(found or [])

    def _verdict(self, verdict: _nginx_tree.Verdict) -> Facts:
        fault = None if verdict.passed else verdict.fault
        return {
            "ok": verdict.passed,
            "message": self._secrets.in_message(fault.text) if fault else "",
            "file": fault.file if fault else None,
            "line": fault.line if fault else None,
            "warnings": [
                {
                    "message": self._secrets.in_message(message.text),
                    "file": message.file,
                    "line": message.line,
                }
                for message in verdict.messages
                if message.level == "warn"
            ],
        }

    def _compare(self, facts: Facts, reading: Facts, master: _nginx_process.Master) -> None:
        """Tell what changed after Nginx read it.

        All workers that serve were started by one reload, or later, in place of one that died. So
        the oldest tells when that was.
        """
        starts = []
        for pid in facts["worker_pids"] or [master.pid]:
            try:
                starts.append(_process.started_at_ns(pid, self._proc.path))
            except ProcessLookupError:
                continue
        if not starts:
            return
        loaded = min(starts)
        facts["loaded"] = timestamp(loaded)
        facts["changed_since_load"] = _later(reading["changed_ns"], loaded)
        facts["directories_changed_since_load"] = _later(reading["directories_ns"], loaded)

    def _error_logs(
        self, facts: Facts, contents: t.Mapping[str, str], master: _nginx_process.Master | None
    ) -> list[str]:
        named = error_logs(contents, facts["prefix"])
        if facts["default_error_log"]:
            named.append(os.path.join(facts["prefix"], facts["default_error_log"]))
        named = list(dict.fromkeys(named))
        held = self._proc.open_files(master.pid) if master else None
        if held is None:
            return named
        return [path for path in named if os.path.realpath(path) in held or path in held]


class _Source:
    """Nginx on this host.

    :ivar container: of the Nginx.
    :ivar arguments: of ``nginx -V``.
    """

    def __init__(
        self,
        nginx: str | None,
        master: _nginx_process.Master | None,
        proc: _proc.Proc,
        unseen: list[str],
    ) -> None:
        self._nginx = nginx
        self._proc = proc
        self._unseen = unseen
        self.master = master
        self.given = _nginx_process.switches(master) if master else _nginx_process.Switches()
        self.container: Facts | None = None
        self.arguments: str | None = None
        self.default_error_log: str | None = None
        self._build: _nginx_tree.Build | None = None

    def build(self) -> _nginx_tree.Build | None:
        """Return what Nginx says of itself, with the paths that it was started with."""
        binary = self._binary()
        if binary is None:
            return None
        try:
            text = self._build_text(binary)
            build = _nginx_tree.parse_build(binary, text)
        except (_nginx_tree.NginxError, _docker.EngineError) as error:
            self._unseen.append(str(error))
            return None
        self._build = self._started_with(build, text)
        return self._build

    def _started_with(self, build: _nginx_tree.Build, text: str) -> _nginx_tree.Build:
        arguments = re.search(r"^configure arguments:(.*)$", text, re.MULTILINE)
        self.arguments = arguments[1].strip() if arguments else ""
        conf_path = _option(self.arguments, "conf-path", "conf/nginx.conf")
        error_log = _option(self.arguments, "error-log-path", "logs/error.log")
        self.default_error_log = None if error_log == "stderr" else error_log
        prefix = self.given.prefix or build.prefix
        # ngx_process_options() in src/core/nginx.c
        return dataclasses.replace(
            build,
            prefix=prefix,
            conf_file=os.path.join(prefix, self.given.conf_file or conf_path),
        )

    def _binary(self) -> str | None:
        if self._nginx:
            return _nginx_tree.find_binary(self._nginx)
        if self.master and os.geteuid() == 0 and not self._proc.is_roots(self.master.pid):
            # Its binary, and by load_module what its configuration names, would be run as root.
            self._unseen.append(
                f"Nginx's master process {self.master.pid} is not root's, so root does not run its binary to "
                "ask it. Connect as its user, or name the binary as nginx."
            )
            return None
        if self.master:
            running = self._proc.link(self.master.pid, "exe") or self.given.binary
            # proc_pid_exe(5): of a file that has been replaced
            running = running.removesuffix(" (deleted)")
            if os.path.isabs(running) and os.access(running, os.X_OK):
                return running
        return _nginx_tree.find_binary(None) or _nginx_tree.find_binary("openresty")

    def _build_text(self, binary: str) -> str:
        return _nginx_tree.build_text(binary)

    def guess(self) -> str | None:
        """Return where the configuration is when Nginx can't be asked."""
        if self.given.conf_file and os.path.isabs(self.given.conf_file):
            return self.given.conf_file
        return self._in_view(_first_of, USUAL_CONF_FILES) if self.master else None

    def read(self, conf_file: str) -> Facts:
        """Read the files of the configuration, as its master would."""
        return t.cast(Facts, self._in_view(read_files, conf_file, os.path.dirname(conf_file)))

    def completed(self, reading: Facts, names: t.Sequence[str]) -> Facts:
        """Return the files that Nginx itself says it reads, in its order."""
        known = {file["path"]: file for file in reading["files"]}
        missing = [name for name in names if name not in known]
        more = self._in_view(_read_each, missing) if missing else {"files": [], "changed_ns": {}}
        known.update((file["path"], file) for file in more["files"])
        return {
            **reading,
            "files": [known[name] for name in names if name in known],
            "changed_ns": {**reading["changed_ns"], **more["changed_ns"]},
        }

    def _in_view(self, function: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        """Call a function that reads files in the master's own view of the file system."""
        return function(*arguments)

    def test(self) -> _nginx_tree.Verdict | None:
        """Let Nginx judge the configuration on disk, and create nothing by it."""
        build = self._build
        if build is None:
            return None
        if self.master and os.geteuid() == 0 and not self._proc.is_roots(self.master.pid):
            # A configuration runs code by load_module.
            return None
        if os.geteuid() != 0:
            self._unseen.append(
                "Whether the configuration on disk is valid is for root to ask (nginx -t reads private "
                "keys): set 'become: true'."
            )
            return None
        try:
            with tempfile.TemporaryDirectory(prefix="nginx-config-") as directory:
                stage = _nginx_tree.Stage(build, directory, None, spares_temp_paths=True)
                return stage.test(self.given.directives)
        except _nginx_tree.NginxError as error:
            message = _nginx_tree.Message(
                "emerg",
                str(error).replace(" Nothing was changed.", ""),
                error.facts["file"],
                error.facts["line"],
            )
            return _nginx_tree.Verdict(False, (message,))


class _ContainerSource(_Source):
    """Nginx in a container of this host."""

    def __init__(
        self,
        nginx: str | None,
        master: _nginx_process.Master,
        proc: _proc.Proc,
        unseen: list[str],
    ) -> None:
        super().__init__(nginx, master, proc, unseen)
        self._pid = master.pid
        self._id = self._proc.container_id(self._pid) or ""
        self._engine, found = _hosted_container.look_into(self._id, self._unseen)
        if found is not None and not _hosted_container.holds(found, self._pid, proc):
            self._unseen.append(_hosted_container.not_held(self._id, self._pid))
            self._engine = found = None
        self.container = (
            _hosted_container.describe(found) if found else _hosted_container.unknown(self._id)
        )

    def _binary(self) -> str | None:
        if self._engine is None:
            return None
        running = self._proc.link(self._pid, "exe") or self.given.binary or "nginx"
        return running.removesuffix(" (deleted)")

    def _build_text(self, binary: str) -> str:
        _status, out, err = self._run(binary, "-V")
        return out + err

    def _run(self, *command: str) -> tuple[int, str, str]:
        if self._engine is None:
            raise _docker.NoEngineError(f"No engine knows container {self._id[:12]}.")
        return self._engine.exec(self._id, command, timeout_seconds=_nginx_tree.TEST_SECONDS)

    def _in_view(self, function: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
        try:
            with _as_user.view_of(self._pid) as view:
                return _as_user.call(None, function, *arguments, view=view)
        except _as_user.AsUserError as error:
            self._unseen.append(str(error))
            return None if function is _first_of else _nothing()

    def test(self) -> _nginx_tree.Verdict | None:
        """Let Nginx judge, in its container, what its image and its mounts hold."""
        if self._build is None:
            return None
        command = [self._build.binary, "-T"]
        if self._build.has_error_log_option:
            command += ["-e", "stderr"]
        command += ["-c", self._build.conf_file, "-p", self._build.prefix]
        if self.given.directives:
            command += ["-g", self.given.directives]
        try:
            status, dump, said = self._run(*command)
        except _docker.EngineError as error:
            self._unseen.append(str(error))
            return None
        read = _nginx_tree.dumped(dump) if status == 0 else []
        return _nginx_tree.Verdict(status == 0, tuple(_nginx_tree.messages(said)), tuple(read))


def _nothing() -> Facts:
    return {"files": [], "unseen": [], "changed_ns": {}, "directories_ns": {}}


def _option(arguments: str, name: str, otherwise: str) -> str:
    found = re.search(rf"--{name}=(\S+)", arguments)
    return found[1] if found else otherwise


def _first_of(paths: t.Iterable[str]) -> str | None:
    return next((path for path in paths if os.path.isfile(path)), None)


def read_files(conf_file: str, conf_directory: str) -> Facts:
    """Read a configuration file by file along its includes, in the order in which Nginx does.

    :return: ``files``, ``unseen``; and by path when a file, and a directory that is searched, changed.
    """
    reading = _nothing()
    _follow(conf_file, conf_directory, reading, set())
    return reading


def _follow(path: str, conf_directory: str, reading: Facts, seen: set[str]) -> None:
    if path in seen:
        return
    seen.add(path)
    if len(seen) > FILES_LIMIT:
        if len(seen) == FILES_LIMIT + 1:
            reading["unseen"].append(
                f"Of more than {FILES_LIMIT} files of the configuration the rest."
            )
        return
    content = _add(path, reading)
    if content is None:
        return
    for kind, argument, is_pattern in _inputs(content):
        target = os.path.join(conf_directory, argument)
        if kind == "certificate":
            _note_change(target, reading["changed_ns"])
        elif is_pattern:
            _note_change(os.path.dirname(target), reading["directories_ns"])
            for name in _glob.expand(target, _nginx_modules.names):
                _follow(name, conf_directory, reading, seen)
        else:
            _follow(target, conf_directory, reading, seen)


def _read_each(paths: t.Sequence[str]) -> Facts:
    reading = _nothing()
    for path in paths:
        _add(path, reading)
    return reading


def _add(path: str, reading: Facts) -> str | None:
    try:
        if not os.path.isfile(path):
            if not os.path.lexists(path):
                return None
            raise OSError(0, "it is no file")
        with open(path, "rb") as stream:
            raw = stream.read(CONTENT_LIMIT_BYTES)
    except OSError as error:
        reading["unseen"].append(
            f"The file {path} of Nginx's configuration can't be read: {error.strerror}."
        )
        return None
    _note_change(path, reading["changed_ns"])
    content = raw.decode("utf-8", "backslashreplace")
    reading["files"].append({"path": path, "content": content})
    return content


def _note_change(path: str, changed_ns: dict[str, int]) -> None:
    """Note when a file changed, or the link that leads to it."""
    try:
        changed_ns[path] = max(os.stat(path).st_ctime_ns, os.lstat(path).st_ctime_ns)
    except OSError:
        return


def _inputs(content: str) -> t.Iterator[tuple[str, str, bool]]:
    """Yield what else Nginx reads because of a file."""
    try:
        for item in _nginx_syntax.parse(content):
            if not isinstance(item, _nginx_syntax.Directive) or len(item.words) != 2:
                continue
            argument = item.arguments[0]
            if item.name == "include":
                # In geo blocks an include is no pattern: ngx_http_geo_include().
                in_geo = bool(item.parents) and item.parents[-1].name == "geo"
                yield "include", argument, _nginx_tree.is_pattern(argument) and not in_geo
            elif item.name in _CERTIFICATES and not re.search("[$:]", argument):
                yield "certificate", argument, False
    except _nginx_syntax.NginxSyntaxError:
        # Nginx would not read on either.
        return


def error_logs(contents: t.Mapping[str, str], prefix: str) -> list[str]:
    """Return the files that a configuration logs errors to."""
    found = []
    for content in contents.values():
        try:
            for item in _nginx_syntax.parse(content):
                if isinstance(item, _nginx_syntax.Directive) and item.name == "error_log":
                    target = item.arguments[0] if item.arguments else ""
                    if (
                        target
                        and target != "stderr"
                        and not re.match(r"(?:syslog|memory):", target)
                    ):
                        found.append(os.path.normpath(os.path.join(prefix, target)))
        except _nginx_syntax.NginxSyntaxError:
            continue
    return found


def _later(changed_ns: t.Mapping[str, int], loaded_ns: int) -> list[Facts]:
    """Return what surely changed later: a start is cut down to the tick (10 ms, proc(5))."""
    return [
        {"path": path, "changed": timestamp(changed)}
        for path, changed in sorted(changed_ns.items())
        if changed > loaded_ns + _process.CTIME_LAG_NS + _process.CLOCK_ERROR_NS
    ]


def timestamp(time_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 1_000_000_000))


def _addresses(listens: t.Iterable[str]) -> list[Facts]:
    found: list[Facts] = []
    for text in listens:
        if text.startswith("unix:"):
            found.append({"address": text, "port": None})
        else:
            host, _colon, port = text.rpartition(":")
            found.append({"address": host.strip("[]"), "port": int(port)})
    return found


def selinux(path: str = SELINUX) -> str | None:
    """Return the mode of SELinux, or ``None`` without it."""
    try:
        with open(path, encoding="ascii") as file:
            return "enforcing" if file.read().strip() == "1" else "permissive"
    except OSError:
        return None
