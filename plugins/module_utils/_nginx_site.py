# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""One file of Nginx's configuration, tested together with the whole tree before it goes live.

The tree is staged: every file that an ``include`` reaches is copied with its includes leading to
the other copies, and the candidate stands in for the live file. All else in the directory of the
configuration is reached by links, so that relative paths resolve and no key is copied.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import os
import re
import subprocess
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_process,
    _nginx_syntax,
)

# Nginx's files have no encoding; this one keeps every byte.
ENCODING = "latin-1"
RELOAD_SECONDS = 20.0


class SiteError(Exception):
    """A change that Nginx does not take. Nothing on disk differs from before.

    :ivar file: the live file at fault, when Nginx named one.
    :ivar line: the line in it.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.file = file
        self.line = line


@dataclasses.dataclass(frozen=True)
class Build:
    """What ``nginx -V`` says of a binary."""

    binary: str
    version: str
    conf_path: str
    pid_path: str
    error_log_path: str
    prefix: str

    @classmethod
    def ask(cls, binary: str) -> Build:
        """Ask a binary how it was configured."""
        done = subprocess.run([binary, "-V"], capture_output=True, text=True, check=False)
        text = done.stderr + done.stdout
        options = dict(re.findall(r"--([a-z-]+)=(\S+)", text))
        version = re.search(r"nginx/(\S+)", text)
        if version is None:
            raise SiteError(f"{binary} -V says nothing of Nginx: {text.strip()[:200]}")
        prefix = options.get("prefix", "/usr/local/nginx")
        return cls(
            binary=binary,
            version=version[1],
            prefix=prefix,
            conf_path=os.path.join(prefix, options.get("conf-path", "conf/nginx.conf")),
            pid_path=os.path.join(prefix, options.get("pid-path", "logs/nginx.pid")),
            error_log_path=os.path.join(prefix, options.get("error-log-path", "logs/error.log")),
        )


class Stage:
    """A copy of the configuration, in which a candidate stands in for one file.

    :param directory: an empty directory that only this user reads.
    :param conf_path: the live main configuration.
    :param path: the live file that the candidate is for.
    :param content: the candidate, or ``None`` to test the tree as it is.
    """

    def __init__(self, directory: str, conf_path: str, path: str, content: str | None) -> None:
        self.directory = directory
        self.conf_path = conf_path
        self.conf_directory = os.path.dirname(conf_path)
        self.path = path
        self.content = content
        self.included = False
        self._staged: dict[str, str] = {}
        self._copies = os.path.join(directory, ".staged")
        self.main = os.path.join(directory, os.path.basename(conf_path))

    def make(self) -> None:
        """Make the stage."""
        os.mkdir(self._copies, 0o700)
        for name in os.listdir(self.conf_directory):
            if name != os.path.basename(self.conf_path):
                os.symlink(
                    os.path.join(self.conf_directory, name), os.path.join(self.directory, name)
                )
        self._copy(self.conf_path, self.main)

    def probe_locations(self) -> None:
        """Include the candidate, which no server block includes yet, from one of the stage's own."""
        assert self.content is not None
        candidate = self._stage(self.path)
        text = _read(self.main)
        http = next(
            (d for d in _nginx_syntax.directives(text) if (d.name, d.depth) == ("http", 0)), None
        )
        if http is None:
            raise SiteError(f"{self.conf_path} has no http block.", self.conf_path)
        # Testing binds, and passes over what is in use: src/core/ngx_connection.c
        server = f" server {{ listen 127.0.0.1:1; include {_token(candidate)}; }} "
        _write(self.main, _nginx_syntax.replace(text, [(http.end, http.end, server)]))

    def live(self, message: str) -> str:
        """Return a message of Nginx's with the live paths instead of the staged ones."""
        for live, staged in self._staged.items():
            message = message.replace(staged + ":", live + ":").replace(f'"{staged}"', f'"{live}"')
        message = message.replace(self.main, self.conf_path)
        return message.replace(self.directory + "/", self.conf_directory + "/")

    def _copy(self, live: str, staged: str) -> None:
        is_candidate = self.content is not None and os.path.realpath(live) == os.path.realpath(
            self.path
        )
        self.included = self.included or os.path.realpath(live) == os.path.realpath(self.path)
        text = str(self.content) if is_candidate else _read(live)
        changes = []
        for directive in _nginx_syntax.directives(text):
            if directive.name == "include" and len(directive.arguments) == 1:
                argument = directive.arguments[0]
                new = self._includes(argument.value)
                if new is not None:
                    changes.append((argument.start, argument.end, new))
        _write(staged, _nginx_syntax.replace(text, changes))

    def _includes(self, argument: str) -> str | None:
        """Return what stands for the argument of an include; ``None`` leaves it to Nginx."""
        pattern = os.path.join(self.conf_directory, _path(argument))
        if not glob.has_magic(pattern):
            is_there = os.path.isfile(pattern) or self._is_candidate(pattern)
            return _token(self._stage(pattern)) if is_there else None
        found = {path for path in glob.glob(pattern) if os.path.isfile(path)}
        if self.content is not None and _matches(pattern, self.path):
            found.add(self.path)
        # As glob(3) sorts them. One line stays one line, so that messages name the right one.
        staged = [_token(self._stage(path)) for path in sorted(found, key=os.fsencode)]
        return "; include ".join(staged) or _token(os.path.join(self._copies, "none*"))

    def _is_candidate(self, path: str) -> bool:
        return self.content is not None and os.path.normpath(path) == os.path.normpath(self.path)

    def _stage(self, live: str) -> str:
        live = os.path.normpath(live)
        if live not in self._staged:
            self._staged[live] = os.path.join(self._copies, f"{len(self._staged):05d}")
            self._copy(live, self._staged[live])
        return self._staged[live]


def _matches(pattern: str, path: str) -> bool:
    """Whether glob(3) would find a path by a pattern, if it were there."""
    patterns, parts = os.path.normpath(pattern).split("/"), os.path.normpath(path).split("/")
    return len(patterns) == len(parts) and all(
        fnmatch.fnmatchcase(part, wanted) and (not part.startswith(".") or wanted.startswith("."))
        for part, wanted in zip(parts, patterns)
    )


def _path(token: str) -> str:
    return os.fsdecode(token.encode(ENCODING))


def _token(path: str) -> str:
    text = os.fsencode(path).decode(ENCODING)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(path: str) -> str:
    try:
        with open(path, encoding=ENCODING, newline="") as stream:
            return stream.read()
    except OSError as error:
        raise SiteError(f"{path}: {error.strerror}", path) from error


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding=ENCODING, newline="") as stream:
        stream.write(text)


@dataclasses.dataclass(frozen=True)
class Tested:
    """What a test of the whole tree said.

    :ivar included: whether the tree reaches the file.
    """

    included: bool
    warnings: tuple[str, ...]


def test_tree(
    build: Build, directory: str, path: str, content: str | None, *, is_server_context: bool
) -> Tested:
    """Test the whole tree with a candidate in the place of a file.

    :param directory: an empty directory for the stage.
    :raises SiteError: with Nginx's own message, in terms of the live files.
    """
    stage = Stage(directory, build.conf_path, path, content)
    stage.make()
    if content is not None and not stage.included:
        if not is_server_context:
            raise SiteError(
                f"{build.conf_path} does not include {path}, so Nginx would never read it. "
                f"Add 'include {os.path.dirname(path)}/*.conf;' to its http block, or set "
                "flask_site_conf_file to a path that it includes.",
                build.conf_path,
            )
        stage.probe_locations()
    done = subprocess.run(
        [build.binary, "-t", "-q", "-c", stage.main],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = [stage.live(line) for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if done.returncode:
        raise _refusal(lines, path)
    return Tested(stage.included, tuple(line for line in lines if "[warn]" in line))


def _refusal(lines: t.Sequence[str], path: str) -> SiteError:
    message = next((line for line in lines if "[emerg]" in line), "\n".join(lines))
    message = re.sub(r"^nginx: ", "", message)
    place = re.search(r" in (\S+?):(\d+)$", message)
    file, line = (place[1], int(place[2])) if place else (None, None)
    if file is None or file == path:
        remedy = "Nothing was changed. Change the variable that this line comes from."
    else:
        remedy = (
            f"Nothing was changed. The fault is not in {path} but in {file}, which is not this "
            "collection's: mend it there, and run the playbook again."
        )
    return SiteError(f"Nginx refuses the configuration: {message}\n{remedy}", file, line)


class Running:
    """The Nginx that runs from this configuration."""

    def __init__(self, build: Build) -> None:
        main = _read(build.conf_path)
        top = {d.name: d for d in _nginx_syntax.directives(main) if d.depth == 0 and d.arguments}
        self.error_log = self._setting(top.get("error_log"), build.error_log_path, build.prefix)
        self.master = _nginx_process.master_pid(
            self._setting(top.get("pid"), build.pid_path, build.prefix)
        )

    @staticmethod
    def _setting(directive: _nginx_syntax.Directive | None, default: str, prefix: str) -> str:
        return os.path.join(prefix, _path(directive.arguments[0].value)) if directive else default

    def is_reload_pending(self, path: str) -> bool:
        """Whether Nginx runs and has not read a file's latest state."""
        return self.master is not None and _nginx_process.is_reload_pending(self.master, path)

    def reload(self) -> None:
        """Reload Nginx.

        :raises SiteError: with the line of the error log, when Nginx went on with what it had.
        """
        if self.master is None:
            return
        start = self._log_size()
        reason = _nginx_process.reload(self.master, lambda: self._emergency(start), RELOAD_SECONDS)
        if reason:
            raise SiteError(f"Nginx does not take the configuration over: {reason}")

    def _log_size(self) -> int:
        try:
            return os.path.getsize(self.error_log)
        except OSError:
            return 0

    def _emergency(self, start: int) -> str | None:
        try:
            with open(self.error_log, "rb") as stream:
                stream.seek(start)
                lines = stream.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        # 'still could not bind()' comes last, after half a second of trying: ngx_connection.c
        if not any("still could not bind" in line or "[emerg]" in line for line in lines):
            return None
        emergencies = [line for line in lines if "[emerg]" in line]
        is_binding = all("bind()" in line for line in emergencies)
        is_over = any("still could not bind" in line for line in lines)
        return emergencies[0] if emergencies and (is_over or not is_binding) else None
