# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""An Nginx's configuration as a tree: directives with file and line, blocks with what they inherit.

Read from the texts that ``nginx -T`` printed, so the control node needs no Nginx. What a request makes
of it is in ``_nginx_routes``.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import tempfile
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _glob, _nginx_syntax

# Besides those of ngx_http_script.c: what a block takes over from the one around it is merged for every
# directive but these, which say what is done here and nowhere below.
NOT_INHERITED = frozenset({
    "api", "break", "empty_gif", "fastcgi_pass", "flv", "grpc_pass", "if", "limit_except", "listen",
    "location", "memcached_pass", "mp4", "proxy_pass", "return", "rewrite", "scgi_pass", "server_name",
    "set", "stub_status", "try_files", "uwsgi_pass",
})  # fmt: skip
# One slot for several names: the nearest level that has any of them decides.
_TOGETHER = {
    "root": ("root", "alias"),
    "alias": ("root", "alias"),
    "allow": ("allow", "deny"),
    "deny": ("allow", "deny"),
}
_NAMED_CAPTURE = re.compile(r"\(\?P?<([A-Za-z_]\w*)>", re.ASCII)
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}


class ParserMissing(Exception):
    """crossplane is not there; the message says how to get it."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What Nginx would not read either, or a file that it names and that was not handed over."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclasses.dataclass(eq=False)
class Directive:
    name: str
    args: list[str]
    file: str
    line: int
    block: list[Directive] | None = None
    parent: Directive | None = None

    @property
    def component(self) -> str:
        return f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return " ".join([self.name, *self.args])


class Block:
    """A directive with a block, and the block around it."""

    def __init__(self, directive: Directive, parent: Block | None) -> None:
        self.directive = directive
        self.parent = parent
        self._own: dict[str, list[Directive]] = {}
        for inner in directive.block or ():
            self._own.setdefault(inner.name, []).append(inner)

    @property
    def component(self) -> str:
        return self.directive.component

    @property
    def directives(self) -> list[Directive]:
        return self.directive.block or []

    def own(self, *names: str) -> list[Directive]:
        """Directives of these names that stand here, in their order."""
        if len(names) == 1:
            return self._own.get(names[0], [])
        return [inner for inner in self.directives if inner.name in names]

    def effective(self, name: str) -> list[Directive]:
        """Directives that count here: this block's, or else those of the nearest around it.

        So it is for settings that may be given several times, too: one ``add_header`` here discards all
        that are inherited, and one ``types`` the whole table.
        """
        names = _TOGETHER.get(name, (name,))
        own = self.own(*names)
        if name in NOT_INHERITED or self.parent is None:
            return own
        if name == "add_header":
            # Nginx 1.29.3 and later
            rule = self.value("add_header_inherit", "on")
            if rule == "merge":
                return [*self.parent.effective(name), *own]
            if rule == "off":
                return own
        return own or self.parent.effective(name)

    def value(self, name: str, default: str) -> str:
        """The first argument of a setting that is given once."""
        found = self.effective(name)
        return found[-1].args[0] if found and found[-1].args else default

    def is_on(self, name: str, default: bool = False) -> bool:
        return self.value(name, "on" if default else "off").lower() == "on"

    def ancestors(self) -> t.Iterator[Block]:
        """This block and those around it, innermost first."""
        block: Block | None = self
        while block is not None:
            yield block
            block = block.parent


class Location(Block):
    """``modifier`` is one of '', '=', '~', '~*', '^~' and '@'; the name of '@' begins with it."""

    def __init__(self, directive: Directive, parent: Block) -> None:
        super().__init__(directive, parent)
        self.modifier, self.pattern = _location_name(directive.args)
        self.locations = [Location(inner, self) for inner in self.own("location")]

    @property
    def is_regex(self) -> bool:
        return self.modifier in ("~", "~*")

    @property
    def chain(self) -> list[Location]:
        """This location and those that it is nested in, outermost first."""
        outer = self.parent.chain if isinstance(self.parent, Location) else []
        return [*outer, self]

    def __str__(self) -> str:
        return " ".join(["location", *self.directive.args])


@dataclasses.dataclass(frozen=True)
class Listen:
    """``address`` is an IP address, ``0.0.0.0`` or ``::`` for all, or ``unix:`` and a path (port 0)."""

    address: str
    port: int
    tls: bool = False
    is_default: bool = False


class Server(Block):
    def __init__(self, directive: Directive, parent: Block) -> None:
        super().__init__(directive, parent)
        self.locations = [Location(inner, self) for inner in self.own("location")]
        self.names = [name for inner in self.own("server_name") for name in inner.args] or [""]
        legacy_tls = any(inner.args[:1] == ["on"] for inner in self.own("ssl"))
        listens = [_listen(inner.args) for inner in self.own("listen") if inner.args]
        # As root; else Nginx takes 8000.
        self.listens = [
            dataclasses.replace(one, tls=one.tls or legacy_tls)
            for one in listens or [Listen("0.0.0.0", 80)]
        ]

    def __str__(self) -> str:
        return f"server {' '.join(name for name in self.names if name) or '(no name)'}"


@dataclasses.dataclass
class Config:
    """What the files say together.

    :ivar user: whom workers run as, or ``None`` where that is the one it was built with.
    :ivar upstreams: the addresses behind each name, without those that are down.
    :ivar problems: what could not be read; all else was.
    """

    conf_file: str
    prefix: str
    directives: list[Directive]
    problems: list[Problem]
    user: str | None = None
    http: Block = dataclasses.field(init=False)
    servers: list[Server] = dataclasses.field(default_factory=list)
    upstreams: dict[str, list[str]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        found = [one for one in self.directives if one.name == "http"]
        users = [one for one in self.directives if one.name == "user" and one.args]
        self.http = Block(found[0] if found else Directive("http", [], self.conf_file, 1, []), None)
        self.user = users[0].args[0] if users else None
        self.servers = [Server(one, self.http) for one in self.http.own("server")]
        for one in self.http.own("upstream"):
            if one.args:
                self.upstreams[one.args[0]] = _upstream_addresses(Block(one, self.http))

    @functools.cached_property
    def assigned_variables(self) -> frozenset[str]:
        """Variables of ``set`` and of named captures, in lower case: empty until they are assigned."""
        found: set[str] = set()
        waiting = list(self.directives)
        while waiting:
            directive = waiting.pop()
            waiting += directive.block or ()
            if directive.name == "set" and directive.args:
                found.add(directive.args[0].lstrip("$").lower())
            for argument in (directive.name, *directive.args):
                found.update(name.lower() for name in _NAMED_CAPTURE.findall(argument))
        return frozenset(found)


def load(files: t.Mapping[str, str], conf_file: str, prefix: str) -> Config:
    """Return the tree of ``conf_file``, with each ``include`` replaced by what it names.

    :param files: the text of each file, by its path as ``nginx -T`` prints it.
    :param prefix: of relative paths in ``root`` and ``alias``.
    :raises ParserMissing: without crossplane.
    """
    reader = _Reader(files, conf_file)
    return Config(conf_file, prefix, reader.read(conf_file), reader.problems)


def load_answer(nginx: t.Mapping[str, t.Any]) -> Config:
    """The same, of the answer of ``nginx_config_info``."""
    files = {file["path"]: file["content"] for file in nginx["files"]}
    return load(files, nginx["conf_file"], nginx["prefix"])


class _Reader:
    def __init__(self, files: t.Mapping[str, str], conf_file: str) -> None:
        self.problems: list[Problem] = []
        self._files = files
        self._directory = os.path.dirname(conf_file)
        self._statements: dict[str, list[dict[str, t.Any]]] = {}

    def read(self, conf_file: str) -> list[Directive]:
        if conf_file not in self._files:
            self.problems.append(Problem(conf_file, 1, "the file is not there"))
            return []
        return self._directives(conf_file, self._parsed(conf_file), None, (conf_file,))

    def _parsed(self, path: str) -> list[dict[str, t.Any]]:
        if path not in self._statements:
            text = self._files[path]
            try:
                for _item in _nginx_syntax.parse(text):
                    pass
            except _nginx_syntax.NginxSyntaxError as error:
                message = str(error).rpartition(" at line ")[0]
                self.problems.append(Problem(path, error.line, message))
            self._statements[path] = _parse(text)
        return self._statements[path]

    def _directives(
        self,
        file: str,
        statements: list[dict[str, t.Any]],
        parent: Directive | None,
        including: tuple[str, ...],
    ) -> list[Directive]:
        found: list[Directive] = []
        for statement in statements:
            name = statement["directive"]
            args = [_unescape(argument) for argument in statement["args"]]
            directive = Directive(name, args, file, statement["line"], None, parent)
            # In a `types` or `map` block too, as in Nginx.
            if name == "include" and len(args) == 1 and "block" not in statement:
                found += self._included(directive, including)
                continue
            if "block" in statement:
                inner = self._directives(file, statement["block"], directive, including)
                directive.block = inner
            found.append(directive)
        return found

    def _included(self, include: Directive, including: tuple[str, ...]) -> list[Directive]:
        pattern = os.path.join(self._directory, include.args[0])
        if _glob.MAGIC.search(pattern):
            paths = sorted(
                (path for path in self._files if _glob.matches(pattern, path)), key=os.fsencode
            )
        else:
            paths = [path for path in (pattern, os.path.normpath(pattern)) if path in self._files]
            paths = paths[:1]
            if not paths:
                message = f"{pattern}, which is included here, was not handed over"
                self.problems.append(Problem(include.file, include.line, message))
        found: list[Directive] = []
        for path in paths:
            if path in including:
                message = f"{path} includes itself"
                self.problems.append(Problem(include.file, include.line, message))
                continue
            statements = self._parsed(path)
            found += self._directives(path, statements, include.parent, (*including, path))
        return found


def _parse(text: str) -> list[dict[str, t.Any]]:
    """crossplane reads files; this one is gone before the answer is used."""
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        path = os.path.join(directory, "nginx.conf")
        # With a line feed at the end: crossplane drops a comment, and what is before it, without one.
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text + "\n")
        payload = _crossplane().parse(path, single=True, check_ctx=False, check_args=False)
    statements: list[dict[str, t.Any]] = payload["config"][0]["parsed"]
    return statements


@functools.lru_cache(maxsize=1)
def _crossplane() -> t.Any:
    try:
        import crossplane
    except ImportError as error:
        raise ParserMissing(
            "Nginx's configuration is read by crossplane, which the control node's Python does not"
            " have. Run there: pip install crossplane"
        ) from error
    return crossplane


@functools.lru_cache(maxsize=1)
def _known_directives() -> frozenset[str]:
    _crossplane()
    from crossplane.analyzer import DIRECTIVES

    return frozenset(DIRECTIVES)


def is_known(name: str) -> bool:
    """Whether it is a directive of Nginx itself, as far as crossplane knows."""
    return name in _known_directives()


def _unescape(argument: str) -> str:
    """As ngx_conf_read_token(); crossplane has resolved an escaped quote already."""
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), argument)


def _location_name(args: t.Sequence[str]) -> tuple[str, str]:
    """As ngx_http_core_location(): the modifier may be written onto the name."""
    if len(args) >= 2:
        return args[0], args[1]
    name = args[0] if args else ""
    for modifier in ("=", "^~", "~*", "~"):
        if name.startswith(modifier):
            return modifier, name[len(modifier) :]
    return ("@" if name.startswith("@") else ""), name


def _listen(args: t.Sequence[str]) -> Listen:
    value, options = args[0], args[1:]
    tls = "ssl" in options or "quic" in options
    is_default = "default_server" in options or "default" in options
    if value.startswith("unix:"):
        return Listen(value, 0, tls, is_default)
    address, port = _address(value)
    return Listen("0.0.0.0" if address in ("", "*") else address, port, tls, is_default)


def _address(value: str, default_port: int = 80) -> tuple[str, int]:
    """Split ``80``, ``*:80``, ``127.0.0.1``, ``host:80``, ``[::1]:80``."""
    if value.isdigit():
        return "", int(value)
    if value.startswith("["):
        host, _bracket, rest = value[1:].partition("]")
        port = rest[1:]
    else:
        host, _colon, port = value.partition(":")
    return host, int(port) if port.isdigit() else default_port


def _upstream_addresses(block: Block) -> list[str]:
    servers = [one.args for one in block.own("server") if one.args and "down" not in one.args]
    servers.sort(key=lambda args: "backup" in args)
    return [address_of(args[0]) for args in servers]


def address_of(value: str, default_port: int = 80) -> str:
    """Return ``host:port``, or ``unix:`` and the path, of what a server of an upstream is written as."""
    if value.startswith("unix:"):
        return "unix:" + re.sub("/+", "/", value.removeprefix("unix:"))
    host, port = _address(value, default_port)
    return f"[{host}]:{port}" if ":" in host else f"{host or '127.0.0.1'}:{port}"
