# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""An Nginx configuration as it would be after a change, judged by Nginx itself.

:class:`Stage` is that tree: every file that an include reaches and that has to differ is a copy in a
temporary directory, everything else is the live one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import shlex
import shutil
import subprocess
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _glob,
    _nginx_syntax,
)

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Large trees and slow name servers (upstream hosts are resolved) make a test slow, not wrong.
TEST_SECONDS = 120
# The first version with the option -e: https://nginx.org/en/docs/switches.html
_ERROR_LOG_OPTION = (1, 19, 5)
_MESSAGE = re.compile(
    r"^(?:nginx: |\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )\[(?P<level>\w+)\] (?:\d+#\d+: )?(?P<text>.*)$",
    re.MULTILINE,
)
_PLACE = re.compile(r" in (?P<file>/.*?):(?P<line>\d+)(?:$|, )")
# Directives whose first argument Nginx creates where it is missing, also when it only tests:
# ngx_init_cycle() in src/core/ngx_cycle.c.
_CREATED = frozenset(
    ["access_log", "error_log", "client_body_temp_path"]
    + [f"{kind}_{what}" for kind in ("proxy", "fastcgi", "uwsgi", "scgi")
       for what in ("temp_path", "cache_path")]
)  # fmt: skip
# The modules that keep bodies and answers on disk, whose directories Nginx not only makes but gives
# to its user, whose ever they are: ngx_create_paths() in src/core/ngx_file.c.
_SPOOLING = ("proxy", "fastcgi", "uwsgi", "scgi")
_DUMPED = re.compile(r"^# configuration file (.*):$", re.MULTILINE)


class NginxError(Exception):
    """The change is refused, and nothing is left of it. Says what, where and what to do next.

    :ivar facts: what a program would want to know: ``file``, ``line``, ``foreign``,
        ``broken_before`` and ``messages``.
    """

    def __init__(self, message: str, **facts: t.Any) -> None:
        super().__init__(message)
        unknown = {"file": None, "line": None, "foreign": False, "broken_before": False}
        self.facts = {**unknown, "messages": [], **facts}


@dataclasses.dataclass(frozen=True)
class Build:
    """An Nginx binary, and the paths that it was built with.

    :ivar temp_paths: its directives that name a directory for bodies or answers.
    """

    binary: str
    version: str
    prefix: str
    conf_file: str
    pid_file: str
    body_temp_path: str = ""
    temp_paths: tuple[str, ...] = ()

    @property
    def conf_directory(self) -> str:
        """Return what relative paths of the configuration, but not of logs, are relative to."""
        return os.path.dirname(self.conf_file)

    @property
    def has_error_log_option(self) -> bool:
        return tuple(int(n) for n in re.findall(r"\d+", self.version)[:3]) >= _ERROR_LOG_OPTION


@dataclasses.dataclass(frozen=True)
class Message:
    """A line that Nginx said, in terms of the live tree."""

    level: str
    text: str
    file: str | None
    line: int | None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What Nginx says of a staged tree.

    :ivar read: the files that it read, by their live names, when it passed.
    """

    passed: bool
    messages: tuple[Message, ...]
    read: tuple[str, ...] = ()

    @property
    def fault(self) -> Message:
        """Return the message that says why it did not pass."""
        grave = [m for m in self.messages if m.level in ("emerg", "alert", "crit")]
        said = grave or list(self.messages)
        return said[0] if said else Message("emerg", "Nginx gave no reason", None, None)


@dataclasses.dataclass(frozen=True)
class Change:
    """What is to become of one file.

    :ivar path: as the user names it. May be a symlink: then what it leads to is written, but
        the link is what is removed.
    :ivar content: ``None`` to remove it.
    """

    path: str
    content: bytes | None

    @functools.cached_property
    def target(self) -> str:
        if self.content is None and os.path.islink(self.path):
            return _entry(self.path)
        return os.path.realpath(self.path)

    def is_at(self, name: str) -> bool:
        """Return whether the change is what is found at a path, through links or not."""
        if _entry(name) == self.target:
            return True
        return os.path.islink(name) and os.path.realpath(name) == self.target


def _entry(path: str) -> str:
    """Return the directory entry that a path names: its links are followed, but the last."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def find_binary(given: str | None) -> str | None:
    """Return the path of Nginx, or ``None`` when it is not installed."""
    path = os.environ.get("PATH", "")
    return shutil.which(given or "nginx", path=f"{path}:{SEARCH_PATH}")


def read_build(binary: str) -> Build:
    """Ask a binary for its version and paths."""
    return parse_build(binary, build_text(binary))


def build_text(binary: str) -> str:
    """Return what a binary says of how it was built.

    :raises NginxError: when it can't be run.
    """
    try:
        finished = subprocess.run(
            [binary, "-V"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=TEST_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NginxError(
            f"{binary} -V can't be run: {error}. Install Nginx, or name its binary as nginx."
        ) from error
    return finished.stdout.decode("utf-8", "replace")


def parse_build(binary: str, text: str) -> Build:
    """Read the answer of ``nginx -V``. What was not set is as auto/options in Nginx's source has it."""
    version = re.search(r"^(?:nginx|openresty|[\w-]+) version: \S+?/(\S+)", text, re.MULTILINE)
    arguments = re.search(r"^configure arguments:(.*)$", text, re.MULTILINE)
    if not version or not arguments:
        raise NginxError(
            f"{binary} -V does not answer as Nginx does. Name Nginx's binary as nginx."
        )
    options = dict(
        word[2:].partition("=")[::2] for word in shlex.split(arguments[1]) if word.startswith("--")
    )
    prefix = options.get("prefix", "/usr/local/nginx")
    conf_file = os.path.join(prefix, options.get("conf-path", "conf/nginx.conf"))
    pid_file = os.path.join(prefix, options.get("pid-path", "logs/nginx.pid"))
    body_temp_path = options.get("http-client-body-temp-path", "client_body_temp")
    spooling = [name for name in _SPOOLING if f"without-http_{name}_module" not in options]
    return Build(
        binary,
        version[1],
        prefix,
        conf_file,
        pid_file,
        os.path.join(prefix, body_temp_path),
        tuple(f"{name}_temp_path" for name in ("client_body", *spooling)),
    )


@dataclasses.dataclass
class _File:
    """A file of the tree while its staged copy is put together."""

    name: str
    text: str
    staged: str
    edits: list[tuple[int, int, str]] = dataclasses.field(default_factory=list)

    def replace(self, start: int, end: int, text: str) -> None:
        """Replace a span. Its line feeds are kept, so that line numbers stay true."""
        self.edits.append((start, end, text + "\n" * self.text.count("\n", start, end)))

    def result(self) -> bytes:
        parts = []
        position = 0
        for start, end, text in sorted(self.edits):
            parts += [self.text[position:start], text]
            position = end
        parts.append(self.text[position:])
        return "".join(parts).encode("utf-8", "surrogateescape")


class Stage:
    """The tree as it would be after a change, or as it is.

    :param together_with: changes that others are about to make.
    :param spares_temp_paths: whether the test also leaves directories for bodies as they are, which
        Nginx would make and give to its user when it starts.
    :ivar included: whether an include reaches the changed file.
    :ivar http_includes: patterns of the includes at the http level, for advice.
    :ivar pid_file: where the live Nginx keeps its process id.
    """

    def __init__(
        self,
        build: Build,
        directory: str,
        change: Change | None,
        together_with: t.Sequence[Change] = (),
        *,
        spares_temp_paths: bool = False,
    ) -> None:
        self._spares_temp_paths = spares_temp_paths
        # Those set for all servers.
        self._temp_paths: set[str] = set()
        self.included = False
        self.http_includes: list[str] = []
        self.pid_file = build.pid_file
        self._build = build
        self._change = change
        self._changes = [*([change] if change else []), *together_with]
        self._directory = directory
        self._mirror = os.path.join(directory, "root")
        self._names: dict[str, str] = {}
        self._files: list[_File] = []
        self._staged: dict[tuple[str, str], str | None] = {}
        self._open: list[str] = []
        self._count = 0
        self._http_end: tuple[_File, int] | None = None
        self._sets_pid = False
        self._unread: _nginx_syntax.NginxSyntaxError | None = None
        self._unread_file = ""
        self._staged_change = ""
        conf_directory = os.path.realpath(build.conf_directory)
        self._conf_file = (
            f"{self._mirror}{conf_directory.rstrip('/')}/{os.path.basename(build.conf_file)}"
        )
        self._stage(build.conf_file, ())
        if spares_temp_paths and self._http_end is not None:
            file, end = self._http_end
            unset = [name for name in build.temp_paths if name not in self._temp_paths]
            file.edits.append((end, end, "".join(map(self._temp_path, unset))))

    def _temp_path(self, name: str) -> str:
        return f" {name} {_nginx_syntax.quote(self._path(f'created/{name}'))};"

    def add_probe(self) -> None:
        """Include the changed file in a server of its own, at the end of the http block."""
        change = self._change
        if self._http_end is None or change is None or change.content is None:
            return
        self._open.append(os.path.realpath(self._build.conf_file))
        text = _text(change.content)
        probed = self._follow(change.path, text, ("http", "server"), change.target)
        staged = self._keep(probed)
        listen = _nginx_syntax.quote(f"unix:{self._path('probe.sock')}")
        file, end = self._http_end
        file.edits.append(
            (end, end, f" server {{ listen {listen}; include {_nginx_syntax.quote(staged)}; }} ")
        )

    def test(self, directives: str = "") -> Verdict:
        """Write the staged tree and let Nginx judge it.

        :param directives: what Nginx is also started with, by ``-g``.
        """
        self._write()
        build = self._build
        # -T is -t that also tells which files were read.
        command = [build.binary, "-T", "-q", "-p", f"{build.prefix.rstrip('/')}/"]
        command += ["-c", self._conf_file]
        if build.has_error_log_option:
            # Else messages about this test end up in the live error log too.
            command += ["-e", "stderr"]
        if not self._sets_pid:
            # A test creates the pid file where there is none: ngx_create_pidfile().
            directives += f" pid {_nginx_syntax.quote(self._path('nginx.pid'))};"
        if directives:
            command += ["-g", directives.strip()]
        try:
            finished = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd="/",
                timeout=TEST_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NginxError(
                f"{build.binary} can't test the configuration: {error}. Nothing was changed."
            ) from error
        dump = finished.stdout.decode("utf-8", "replace")
        said = finished.stderr.decode("utf-8", "replace")
        # Those lines that a level does not begin are summaries.
        messages = {self._message(found): None for found in _MESSAGE.finditer(said)}
        passed = finished.returncode == 0
        names = dumped(dump)
        if passed:
            self._require_same_reading(set(names))
        if not passed and not messages:
            messages = {Message("emerg", self._live(said.strip()), None, None): None}
        read = tuple(self._live(name) for name in names) if passed else ()
        return Verdict(passed, tuple(messages), read)

    def _require_same_reading(self, names: set[str]) -> None:
        """Refuse to go on where Nginx read the files otherwise than they were followed here."""
        if self._unread:
            raise NginxError(
                f"{self._unread_file} can't be followed: {self._unread}, though Nginx reads it. So "
                "what the change would do can't be told. Write that line another way. Nothing was "
                "changed.",
                file=self._unread_file,
                line=self._unread.line,
            )
        if self._staged_change and self._staged_change not in names:
            raise NginxError(
                "An include of the changed file was found, but Nginx did not read it. So what the "
                "change would do can't be told. Nothing was changed."
            )

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _stage(self, name: str, context: tuple[str, ...]) -> str | None:
        """Stage what a path holds, and return what to include instead of it.

        :return: ``None`` when the path itself serves.
        """
        key = (name, _kind(context))
        if key not in self._staged:
            self._staged[key] = self._stage_anew(name, context)
        return self._staged[key]

    def _stage_anew(self, name: str, context: tuple[str, ...]) -> str | None:
        real = os.path.realpath(name)
        if real in self._open:
            chain = " → ".join([*self._open[self._open.index(real) :], real])
            raise NginxError(
                f"The configuration includes itself without end: {chain}. Remove one of these "
                "include directives. Nothing was changed.",
                file=real,
            )
        content = self._read(name)
        if content is None:
            return self._gone(name)
        is_changed = self._change is not None and self._change.is_at(name)
        is_differing = any(change.is_at(name) for change in self._changes)
        is_needed = not context or is_differing or bool(_glob.MAGIC.search(name))
        if not is_needed and not re.search(rb"include|_log|_path", content):
            return None
        file = self._follow(name, _text(content), context, real)
        if not is_needed and not file.edits:
            return None
        if is_changed:
            self._staged_change = file.staged
        return self._keep(file)

    def _read(self, name: str) -> bytes | None:
        """Return what a path would hold, or ``None`` for what can't be read."""
        for change in self._changes:
            if change.is_at(name):
                self.included = self.included or change is self._change
                return change.content
        try:
            if not os.path.isfile(name):
                return None
            with open(name, "rb") as file:
                return file.read()
        except OSError:
            return None

    def _gone(self, name: str) -> str | None:
        """Return what to include for a file that Nginx won't be able to read, to say so itself."""
        is_removed = any(change.is_at(name) for change in self._changes)
        if not is_removed and not _glob.MAGIC.search(name):
            return None
        path = self._path(f"missing/{len(self._names)}")
        self._names[path] = name
        return path

    def _keep(self, file: _File) -> str:
        self._files.append(file)
        self._names[file.staged] = file.name
        return file.staged

    def _follow(self, name: str, text: str, context: tuple[str, ...], real: str) -> _File:
        """Put together what a file's staged copy is to be, and those of all that it includes."""
        # The main file alone has a place of its own: what is relative is relative to it.
        self._count += 1
        place = self._path(f"files/{self._count}.conf") if self._open else self._conf_file
        file = _File(name, text, place)
        self._open.append(real)
        try:
            for item in _nginx_syntax.parse(text):
                if isinstance(item, _nginx_syntax.BlockEnd):
                    at_main = not context and not item.block.parents
                    if at_main and item.block.name == "http" and self._http_end is None:
                        self._http_end = (file, item.start)
                    continue
                inside = (*context, *(parent.name for parent in item.parents))
                if not item.opens:
                    self._rewrite(file, item, inside)
        except _nginx_syntax.NginxSyntaxError as error:
            self._unread, self._unread_file = error, name
        self._open.pop()
        return file

    def _rewrite(
        self, file: _File, directive: _nginx_syntax.Directive, inside: tuple[str, ...]
    ) -> None:
        arguments = directive.arguments
        if directive.name == "include" and len(arguments) == 1:
            self._rewrite_include(file, directive, inside)
        elif directive.name == "pid" and len(arguments) == 1 and not inside:
            self.pid_file = os.path.join(self._build.prefix, arguments[0])
            if os.path.isdir(os.path.dirname(self.pid_file)):
                quoted = _nginx_syntax.quote(self._path("nginx.pid"))
                file.replace(directive.start, directive.end, f"pid {quoted};")
                self._names[self._path("nginx.pid")] = self.pid_file
            self._sets_pid = True
        elif directive.name in _CREATED and arguments:
            if inside == ("http",) and directive.name in self._build.temp_paths:
                self._temp_paths.add(directive.name)
            is_spared = self._spares_temp_paths and directive.name in self._build.temp_paths
            self._rewrite_created(file, directive.words[1], is_spared)

    def _rewrite_include(
        self, file: _File, directive: _nginx_syntax.Directive, inside: tuple[str, ...]
    ) -> None:
        pattern = os.path.join(self._build.conf_directory, directive.arguments[0])
        if inside == ("http",):
            self.http_includes.append(pattern)
        # In geo blocks an include is no pattern: ngx_http_geo_include().
        is_pattern = _glob.MAGIC.search(pattern) and inside[-1:] != ("geo",)
        names = _glob.expand(pattern, self._list) if is_pattern else [pattern]
        if names == [pattern] and not is_pattern:
            staged = self._stage(pattern, inside)
            if staged is None:
                # As written: a relative path is found by way of the mirror.
                return
            includes = [staged]
        else:
            includes = [self._stage(name, inside) or name for name in names]
        text = " ".join(f"include {_nginx_syntax.quote(name)};" for name in includes)
        file.replace(directive.start, directive.end, text)

    def _rewrite_created(
        self, file: _File, word: _nginx_syntax.Word, is_spared: bool = False
    ) -> None:
        """Keep the test from creating what the live Nginx has not created yet.

        :param is_spared: also from changing what there is.
        """
        if word.value in ("off", "stderr") or re.search(r"[$:]", word.value):
            return
        path = os.path.join(self._build.prefix, word.value.rstrip("/"))
        is_creatable = os.access(os.path.dirname(path), os.W_OK | os.X_OK)
        if not is_spared and (os.path.lexists(path) or not is_creatable):
            return
        staged = self._path(f"created/{len(self._names)}")
        self._names[staged] = path
        file.replace(word.start, word.end, _nginx_syntax.quote(staged))

    def _list(self, directory: str) -> list[str]:
        """Return the names in a directory as they would be."""
        try:
            names = set(os.listdir(directory or "/"))
        except OSError:
            names = set()
        for change in self._changes:
            parent, name = os.path.split(change.target)
            if os.path.realpath(directory or "/") == parent:
                names.discard(name)
                if change.content is not None:
                    names.add(name)
        return list(names)

    def _write(self) -> None:
        for name in ("files", "created"):
            os.makedirs(self._path(name))
        self._write_mirror(os.path.dirname(self._conf_file))
        for file in self._files:
            with open(file.staged, "wb") as stream:
                stream.write(file.result())

    def _write_mirror(self, directory: str) -> None:
        """Make the staged configuration directory, with links to all that is in the live one.

        Each directory above is made alike, so that a relative path may climb too.
        """
        os.makedirs(directory)
        taken = os.path.basename(self._conf_file)
        while True:
            live = directory[len(self._mirror) :] or "/"
            with contextlib.suppress(OSError):
                for name in os.listdir(live):
                    if name != taken:
                        os.symlink(os.path.join(live, name), os.path.join(directory, name))
            if directory == self._mirror:
                return
            directory, taken = os.path.split(directory)

    def _message(self, found: re.Match[str]) -> Message:
        text = self._live(found["text"])
        places = list(_PLACE.finditer(text))
        if not places:
            return Message(found["level"], text, None, None)
        return Message(found["level"], text, places[-1]["file"], int(places[-1]["line"]))

    def _live(self, text: str) -> str:
        """Put live paths in the place of staged ones."""
        pattern = re.compile(rf"{re.escape(self._directory)}/(?:root|[\w./]*\w)")

        def live(found: re.Match[str]) -> str:
            return self._names.get(found[0], found[0]) if found[0] != self._mirror else ""

        text = text.replace(self._conf_file, self._build.conf_file)
        return pattern.sub(live, text.replace(f"{self._mirror}/", "/"))


def _kind(context: tuple[str, ...]) -> str:
    """Return what of a file's context makes a difference to its staged copy."""
    if not context:
        return "main"
    if context == ("http",):
        return "http"
    return "geo" if context[-1] == "geo" else ""


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def dumped(text: str) -> list[str]:
    """Return the names of the files in what ``nginx -T`` prints."""
    return _DUMPED.findall(text)


def messages(text: str) -> list[Message]:
    """Return what Nginx printed about a configuration."""
    found = []
    for line in _MESSAGE.finditer(text):
        places = list(_PLACE.finditer(line["text"]))
        place = (places[-1]["file"], int(places[-1]["line"])) if places else (None, None)
        found.append(Message(line["level"], line["text"], *place))
    return found


def is_pattern(path: str) -> bool:
    """Return whether Nginx takes the argument of an include for a pattern."""
    return bool(_glob.MAGIC.search(path))
