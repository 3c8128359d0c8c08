# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""A request on its way through Nginx: its variables, and what the rewrite module makes of them.

As ngx_http_script.c, ngx_http_variables.c and ngx_http_rewrite_module.c (Nginx's src/http). Text is a
character a byte, see ``_nginx_uri``.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_regex,
    _nginx_uri,
)

# NGX_HTTP_MAX_URI_CHANGES and one: the tenth change is the last.
URI_CHANGES = 11
_VARIABLE = re.compile(r"\$(?:([1-9])|\{(\w+)\}|(\w+))", re.ASCII)
_REDIRECT = ("http://", "https://", "$scheme")
_MAP_PARAMETERS = frozenset({"default", "hostnames", "volatile"})


class Unknown(Exception):
    """What Nginx does next isn't known; the reason, for people."""


@dataclasses.dataclass
class Redirect(Exception):
    """The rewrite module answers with a redirect."""

    status: int
    location: str


@dataclasses.dataclass
class Return(Exception):
    """``return``, with its directive."""

    directive: _nginx_config.Directive


@dataclasses.dataclass(frozen=True)
class Connection:
    """What is known of a request besides its first line."""

    host: str | None = None
    port: int = 80
    scheme: str = "http"
    client: str = "127.0.0.1"
    address: str = "127.0.0.1"
    headers: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    body_bytes: int | None = None


def where(directive: _nginx_config.Directive | _nginx_config.Location, name: str = "") -> str:
    """A directive as people are told of it, or only its name."""
    return _nginx_uri.to_bytes(f"`{name or directive}` at {directive.component}")


class Request:
    def __init__(
        self,
        config: _nginx_config.Config,
        server: _nginx_config.Server,
        connection: Connection,
        method: str,
        look: t.Callable[[str], str | None],
    ) -> None:
        self.config = config
        self.server = server
        self.connection = connection
        self.method = method
        self.look = look
        self.level: _nginx_config.Block = server
        self.steps: list[str] = []
        self.uri = "/"
        self.args = ""
        self.unparsed = "/"
        self.extension = ""
        self.is_quoted = False
        self.has_plus = False
        self.is_unparsed_valid = True
        self.is_internal = False
        self.is_location_valid = True
        self.is_uri_changed = False
        self.uri_changes = URI_CHANGES
        self.adds_uri_to_alias = False
        self.captures: tuple[str, ...] = ()
        self.status: int | None = None
        self.content_type = ""
        self._assigned: dict[str, str] = {}
        # Of the engine of a run: captures are escaped until the first rewrite that matches, and (before Nginx
        # 1.31) once a replacement has had a question mark.
        self._quotes = True
        self._is_in_args = False

    def set_target(self, target: _nginx_uri.Target) -> None:
        self.uri, self.args, self.unparsed = target.uri, target.args, target.unparsed
        self.extension = target.extension
        self.is_quoted, self.has_plus = target.is_quoted, target.has_plus
        self.is_unparsed_valid = target.has_path

    def set_uri(self, uri: str) -> None:
        self.uri = uri
        self.extension = _nginx_uri.extension_of(uri)

    def say(self, step: str) -> None:
        self.steps.append(_nginx_uri.to_text(step))

    # Patterns

    def matches(self, pattern: str, subject: str, ignore_case: bool = False) -> bool:
        """Search, and remember what it captured, as ngx_http_regex_exec()."""
        try:
            found = _nginx_regex.compile_pattern(pattern, ignore_case).search(subject)
        except _nginx_regex.NotTranslated as error:
            raise Unknown(str(error)) from error
        if not found:
            return False
        self.captures = tuple(group or "" for group in (found[0], *found.groups()))
        for name, value in found.groupdict().items():
            self._assigned[name.lower()] = value or ""
        return True

    # Variables

    def expand(self, text: str, escape: bool = False) -> str:
        """Return the text with its variables in it. ``escape`` concerns captures of the request's own."""
        if "$" not in text:
            return text

        def value(found: re.Match[str]) -> str:
            if found[1]:
                number = int(found[1])
                captured = self.captures[number] if number < len(self.captures) else ""
                if escape and (self.is_quoted or self.has_plus):
                    return _nginx_uri.escape_args(captured)
                return captured
            return self.variable(found[2] or found[3])

        return _VARIABLE.sub(value, text)

    def variable(self, name: str) -> str:
        """:raises Unknown: when what it holds depends on more than the configuration and the request."""
        lowered = name.lower()
        if lowered in self._assigned:
            return self._assigned[lowered]
        for block in self.config.http.own("map"):
            if len(block.args) == 2 and block.args[1].lstrip("$").lower() == lowered:
                return self._mapped(lowered, block)
        for kind in ("geo", "split_clients"):
            for block in self.config.http.own(kind):
                if block.args and block.args[-1].lstrip("$").lower() == lowered:
                    raise Unknown(f"${name} is set by {where(block, kind)}")
        own = getattr(self, f"_variable_{lowered}", None)
        if own:
            result: str = own()
            return result
        for prefix in ("http_", "arg_", "cookie_"):
            if lowered.startswith(prefix):
                return self._from_request(prefix, lowered[len(prefix) :])
        if lowered in self.config.assigned_variables:
            return ""
        raise Unknown(f"the value of ${name} is not known")

    def _from_request(self, prefix: str, rest: str) -> str:
        headers = {key.lower(): value for key, value in self.connection.headers.items()}
        if prefix == "http_":
            if rest == "host" and "host" not in headers:
                return _nginx_uri.to_bytes(self.connection.host or "")
            return _nginx_uri.to_bytes(headers.get(rest.replace("_", "-"), ""))
        if prefix == "arg_":
            for pair in self.args.split("&"):
                key, equals, value = pair.partition("=")
                if equals and key.lower() == rest:
                    return value
            return ""
        for pair in headers.get("cookie", "").split(";"):
            key, _equals, value = pair.strip().partition("=")
            if key.lower() == rest:
                return value
        return ""

    def _variable_uri(self) -> str:
        return self.uri

    _variable_document_uri = _variable_uri

    def _variable_request_uri(self) -> str:
        return self.unparsed

    def _variable_args(self) -> str:
        return self.args

    _variable_query_string = _variable_args

    def _variable_is_args(self) -> str:
        return "?" if self.args else ""

    def _variable_document_root(self) -> str:
        return self.root()[0]

    def _variable_request_filename(self) -> str:
        path = self.path()
        if path is None:
            raise Unknown(
                "$request_filename has no value where an alias location's URI was rewritten"
            )
        return path

    def _variable_host(self) -> str:
        return self.host

    def _variable_scheme(self) -> str:
        return self.connection.scheme

    def _variable_https(self) -> str:
        return "on" if self.connection.scheme == "https" else ""

    def _variable_server_name(self) -> str:
        return _nginx_uri.to_bytes(self.server.names[0].removeprefix("."))

    def _variable_server_port(self) -> str:
        return str(self.connection.port)

    def _variable_server_addr(self) -> str:
        return self.connection.address

    def _variable_remote_addr(self) -> str:
        return self.connection.client

    def _variable_request_method(self) -> str:
        return self.method

    def _variable_server_protocol(self) -> str:
        return "HTTP/1.1"

    def _variable_content_length(self) -> str:
        length = self.connection.body_bytes
        return "" if length is None else str(length)

    def _variable_content_type(self) -> str:
        return self._from_request("http_", "content_type")

    def _variable_sent_http_content_type(self) -> str:
        if self.status is None:
            raise Unknown("the type is the upstream's")
        return self.content_type

    def _variable_status(self) -> str:
        if self.status is None:
            raise Unknown("the status is the upstream's")
        return str(self.status)

    @property
    def host(self) -> str:
        """As ngx_http_validate_host() leaves it; without one, the server's own name."""
        host = normal_host(self.connection.host or "")
        return _nginx_uri.to_bytes(host) if host else self._variable_server_name()

    def _mapped(self, name: str, block: _nginx_config.Directive) -> str:
        source = self.expand(_nginx_uri.to_bytes(block.args[0]))
        entries = [one for one in block.block or () if one.name != "hostnames" or one.args]
        is_hostnames = any(one.name == "hostnames" and not one.args for one in block.block or ())
        is_volatile = any(one.name == "volatile" and not one.args for one in block.block or ())
        value = self._map_value(source, entries, is_hostnames)
        if not is_volatile:
            # Asked once a request, also when what it was made from has changed since.
            self._assigned[name] = value
        return value

    def _map_value(
        self, source: str, entries: list[_nginx_config.Directive], is_hostnames: bool
    ) -> str:
        literal: dict[str, str] = {}
        names = Names()
        patterns: list[tuple[str, str]] = []
        default = ""
        for one in entries:
            key, value = _nginx_uri.to_bytes(one.name), _nginx_uri.to_bytes(" ".join(one.args))
            if key in _MAP_PARAMETERS:
                default = value if key == "default" else default
            elif key.startswith("~"):
                patterns.append((key[1:], value))
            elif is_hostnames:
                names.add(key.removeprefix("\\"), value)
            else:
                literal.setdefault(key.removeprefix("\\").lower(), value)
        lowered = source.lower()
        found = names.find(lowered.removesuffix(".")) if is_hostnames else literal.get(lowered)
        if found is not None:
            return self.expand(found)
        for pattern, value in patterns:
            ignore_case = pattern.startswith("*")
            if self.matches(pattern[ignore_case:], source, ignore_case):
                return self.expand(value)
        return self.expand(default)

    # Paths

    def root_directive(self) -> tuple[_nginx_config.Directive | None, _nginx_config.Block | None]:
        """The ``root`` or ``alias`` that counts, and the block that it stands in."""
        for block in self.level.ancestors():
            own = block.own("root", "alias")
            if own:
                return own[-1], block
        return None, None

    def root(self) -> tuple[str, int | None, _nginx_config.Directive | None]:
        """Return the path that a URI is put behind, how much of the URI it stands for, and its directive.

        The length is ``None`` where it stands for all, as an alias in a regex location does.
        """
        directive, block = self.root_directive()
        if directive is None:
            return self._full_name("html"), 0, None
        value = _nginx_uri.to_bytes(directive.args[0] if directive.args else "")
        if directive.name == "root":
            # One slash at the end, or "/" as a whole
            value = value.removesuffix("/")
            if not value:
                return "", 0, directive
            return self._full_name(self.expand(value)), 0, directive
        path = self._full_name(self.expand(value))
        if isinstance(block, _nginx_config.Location) and block.is_regex:
            return path, None, directive
        pattern = block.pattern if isinstance(block, _nginx_config.Location) else ""
        return path, len(_nginx_uri.to_bytes(pattern)), directive

    def path(self) -> str | None:
        """As ngx_http_map_uri_to_path(); ``None`` where an alias can't be used."""
        root, length, directive = self.root()
        if directive is not None and directive.name == "alias" and not self.is_location_valid:
            return None
        if length is None:
            return root + self.uri if self.adds_uri_to_alias else root
        return root + self.uri[length:]

    def _full_name(self, path: str) -> str:
        if path.startswith("/"):
            return path
        return _nginx_uri.to_bytes(self.config.prefix.rstrip("/") + "/") + path

    # The rewrite module

    def run_rewrites(self, block: _nginx_config.Block) -> None:
        """Run what of the rewrite module stands in a block.

        :raises Return: :raises Redirect: when it answers.
        """
        self._quotes, self._is_in_args = True, False
        self._run(block)

    def _run(self, block: _nginx_config.Block) -> bool:
        """Return whether the run goes on behind the block."""
        for directive in block.directives:
            name, args = directive.name, [_nginx_uri.to_bytes(one) for one in directive.args]
            if name == "return":
                raise Return(directive)
            if name == "break":
                if self.is_uri_changed:
                    self.is_location_valid = False
                    self.is_uri_changed = False
                return False
            if name == "set" and len(args) == 2:
                self._set(args[0].lstrip("$"), self._expand_here(args[1]))
            elif name == "rewrite" and len(args) >= 2:
                if not self._rewrite(directive, args):
                    return False
            elif name == "if":
                inner = _nginx_config.Block(directive, block)
                if self._holds(directive, args):
                    self.say(f"{where(directive)} holds")
                    if not isinstance(self._outermost(block), _nginx_config.Server):
                        self.level = inner
                        self.on_level_changed()
                    if not self._run(inner):
                        return False
            elif name.endswith(("set_by_lua", "set_by_lua_block", "set_by_lua_file")):
                raise Unknown(f"{where(directive, name)} decides")
        return True

    def on_level_changed(self) -> None:
        """An ``if`` of a location has taken its place."""

    @staticmethod
    def _outermost(block: _nginx_config.Block) -> _nginx_config.Block:
        """The server or location that an ``if`` stands in."""
        while block.directive.name == "if" and block.parent is not None:
            block = block.parent
        return block

    def _expand_here(self, text: str) -> str:
        return self.expand(text, escape=self._quotes or self._is_in_args)

    def _set(self, name: str, value: str) -> None:
        if name.lower() == "args":
            self.args = value
        else:
            self._assigned[name.lower()] = value

    def _holds(self, directive: _nginx_config.Directive, args: list[str]) -> bool:
        if len(args) == 1 and args[0].startswith("$"):
            return self.expand(args[0]) not in ("", "0")
        if len(args) == 2 and re.fullmatch(r"!?-[fdex]", args[0]):
            return self._file_test(args[0], self._expand_here(args[1]))
        if len(args) == 3 and args[0].startswith("$"):
            left, operator = self.expand(args[0]), args[1]
            if operator in ("=", "!="):
                return (left == self._expand_here(args[2])) == (operator == "=")
            if operator in ("~", "~*", "!~", "!~*"):
                found = self.matches(args[2], left, operator.endswith("*"))
                if not found:
                    self.captures = ()
                return found != operator.startswith("!")
        raise Unknown(f"the condition of {where(directive)} is not understood")

    def _file_test(self, operator: str, path: str) -> bool:
        kind = self.look(path)
        wanted = operator[-1]
        if wanted == "x":
            raise Unknown(f"whether {path} is executable is not known")
        is_so = kind is not None and kind != "denied"
        if wanted in "fd":
            is_so = kind == "directory" if wanted == "d" else kind in ("file", "unreadable")
        return is_so != operator.startswith("!")

    def _rewrite(self, directive: _nginx_config.Directive, args: list[str]) -> bool:
        pattern, replacement = args[0], args[1]
        flag = args[2] if len(args) > 2 else ""
        if not self.matches(pattern, self.uri):
            self.captures = ()
            return True
        is_redirect = flag in ("redirect", "permanent") or replacement.startswith(_REDIRECT)
        adds_args = not replacement.endswith("?")
        replacement = replacement if adds_args else replacement[:-1]
        self.is_internal = True
        self.is_unparsed_valid = False
        if flag == "break":
            self.is_location_valid = False
            self.is_uri_changed = False
        else:
            self.is_uri_changed = True
        self.say(f"{where(directive)} matches {self.uri}")
        if is_redirect:
            location = _nginx_uri.unescape_redirect(self.expand(replacement, escape=True))
            if adds_args and self.args:
                location += ("&" if "?" in replacement else "?") + self.args
            raise Redirect(301 if flag == "permanent" else 302, location)
        self._quotes = False
        path, question, own_args = replacement.partition("?")
        uri = self.expand(path, escape=self._is_in_args)
        if question:
            self._is_in_args = True
            new_args = self.expand(own_args, escape=True)
            if adds_args and self.args:
                new_args += "&" + self.args
            self.args = new_args
        elif not adds_args:
            self.args = ""
        if not uri:
            raise Return(_nginx_config.Directive("return", ["500"], directive.file, directive.line))
        self.set_uri(uri)
        self.say(f"the URI is {self.uri} now")
        return not flag


def normal_host(header: str) -> str:
    """The name in a ``Host`` header: without port and final dot, in lower case. Empty where it is none."""
    is_literal = header.startswith("[")
    host = header.partition("]")[0] + "]" if is_literal else header.partition(":")[0]
    return host.removesuffix(".").lower()


def is_host(header: str) -> bool:
    """Whether Nginx accepts it; else it answers 400."""
    if ".." in header or "/" in header or re.search(r"[\x00-\x20\x7f]", header):
        return False
    return bool(normal_host(header))


class Names:
    """What is found by a host's name: exact, the longest ``*.name``, the longest ``name.*``.

    As ngx_hash_add_key() and ngx_hash_find_combined(); ``.name`` is the name and all below it. Of two
    that conflict, Nginx warns and keeps the first.
    """

    def __init__(self) -> None:
        self._exact: dict[str, t.Any] = {}
        self._heads: dict[str, tuple[t.Any, bool]] = {}
        self._tails: dict[str, t.Any] = {}
        self._taken: set[str] = set()

    def add(self, name: str, value: t.Any) -> None:
        name = name.lower()
        if name.startswith(".") and len(name) > 1:
            if name[1:] not in self._taken:
                self._taken.add(name[1:])
                self._heads.setdefault(name[1:], (value, True))
        elif name.startswith("*.") and len(name) > 2:
            self._heads.setdefault(name[2:], (value, False))
        elif name.endswith(".*") and len(name) > 2:
            self._tails.setdefault(name[:-2], value)
        elif name not in self._taken:
            self._taken.add(name)
            self._exact[name] = value

    def find(self, host: str) -> t.Any | None:
        if host in self._exact:
            return self._exact[host]
        labels = host.split(".")
        for count in range(len(labels)):
            found = self._heads.get(".".join(labels[count:]))
            if found and (count or found[1]):
                return found[0]
        for count in range(len(labels) - 1, 0, -1):
            name = ".".join(labels[:count])
            if name in self._tails:
                return self._tails[name]
        return None
