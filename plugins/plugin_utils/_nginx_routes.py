# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx does with a URL: server, location, file or upstream, status and headers.

As Nginx's phases do it (src/http/ngx_http_core_module.c and the modules beside it, 1.22 to 1.31). Where
the answer depends on what isn't known here (Lua, an upstream's answer, a variable of a client's), the
route says so and guesses nothing. tests/differential compares it with a real Nginx.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_headers,
    _nginx_regex,
    _nginx_script,
    _nginx_uri,
)

Kind = t.Literal["file", "listing", "proxy", "return", "redirect", "error", "unknown"]
Exists = t.Callable[[str], t.Optional[str]]

_PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
# They answer, or decide who may ask, by means that the configuration does not tell.
_OPAQUE = re.compile(
    r"(?:access|content|rewrite|server_rewrite)_by_lua(?:_block|_file)?|js_content|js_access|perl"
    r"|auth_jwt|auth_oidc|auth_ldap|auth_pam|auth_digest|auth_gss|passenger_enabled|echo\w*"
    r"|empty_gif|flv|mp4|stub_status|api|random_index|dav_methods|image_filter|xslt_stylesheet"
    r"|secure_download|push_stream\w*|nchan_\w+|hls|f4f|session_log|vod"
)
# Modules that many packages bring, none of which decides where a request goes
_HARMLESS = re.compile(
    r"add_header_inherit|brotli\w*|zstd\w*|more_\w+|geoip2\w*|http[23]\w*|quic\w*|fancyindex\w*|headers_\w+"
    r"|vhost_traffic_status\w*|modsecurity\w*|upload_progress\w*|early_hints|keepalive_min_timeout"
    r"|(?:header_filter|body_filter|log|balancer)_by_lua\w*|lua_\w+|js_(?:import|var|set|path)|testcookie\w*"
    r"|opentelemetry\w*|otel\w*|opentracing\w*|track_\w+|concat\w*|substitutions\w*|subs_\w+|dav_ext\w*|status_zone"
)
_CHANGES_HEADERS = re.compile(
    r"more_(?:set|clear)_headers|header_filter_by_lua\w*|js_header_filter"
)
_METHOD = re.compile(r"[A-Z_-]+")
_REDIRECT_STATUS = (301, 302, 303, 307, 308)
# ngx_http_error_pages[] has a text for these.
_WITH_PAGE = frozenset({
    301, 302, 303, 307, 308, *range(400, 407), *range(408, 417), 421, 429, *range(494, 499),
    *range(500, 506), 507,
})  # fmt: skip


@dataclasses.dataclass
class Route:
    """What becomes of a request.

    :ivar uri: what the location was found by, in the end.
    :ivar locations: the location that answers and those around it, outermost first.
    :ivar kind: ``listing`` is a directory's, by ``autoindex``.
    :ivar status: ``None`` where the upstream decides.
    :ivar path: the file that Nginx opens, or would: as it puts it together, ``..`` and all.
    :ivar paths: all that it looked for, in its order.
    :ivar upstream: the first address behind ``proxy_pass`` and its like; ``upstreams`` has all.
    :ivar headers: name, value, whether ``always``: what is sent with this status, in Nginx's order. Of a
        proxied answer, all that may be. A value that is not known beforehand is as it was configured.
    :ivar client_max_body_size: bytes, 0 for no limit.
    :ivar level: the innermost block whose settings count: the location, or an ``if`` in it.
    :ivar guards: directives that decide whether the visitor may (``auth_basic``, ``auth_request``).
    :ivar header_doubts: directives of other modules that change headers in ways not known here.
    :ivar redirect_to: the ``Location`` header.
    :ivar error_page: the ``error_page`` that sent the request on, if one did.
    :ivar reason: why the kind is ``unknown``.
    """

    server: _nginx_config.Server | None
    uri: str = ""
    locations: list[_nginx_config.Location] = dataclasses.field(default_factory=list)
    kind: Kind = "unknown"
    status: int | None = None
    path: str | None = None
    paths: list[str] = dataclasses.field(default_factory=list)
    upstream: str | None = None
    upstreams: list[str] = dataclasses.field(default_factory=list)
    upstream_uri: str | None = None
    headers: list[tuple[str, str, bool]] = dataclasses.field(default_factory=list)
    content_type: str | None = None
    client_max_body_size: int = 1 << 20
    internal: bool = False
    steps: list[str] = dataclasses.field(default_factory=list)
    reason: str = ""
    level: _nginx_config.Block | None = None
    guards: list[_nginx_config.Directive] = dataclasses.field(default_factory=list)
    header_doubts: list[_nginx_config.Directive] = dataclasses.field(default_factory=list)
    redirect_to: str | None = None
    error_page: _nginx_config.Directive | None = None

    @property
    def location(self) -> _nginx_config.Location | None:
        return self.locations[-1] if self.locations else None


def choose_server(
    config: _nginx_config.Config, address: str, port: int, host: str | None
) -> _nginx_config.Server | None:
    """Return the server block that answers on a socket, for a ``Host`` header.

    :param address: where the connection arrives, or ``unix:`` and a path.
    """
    listening = _listening(config, address, port)
    if not listening:
        return None
    name = _nginx_script.normal_host(host or "")
    found = _by_name([server for server, _listen in listening], name)
    if found:
        return found
    defaults = [server for server, listen in listening if listen.is_default]
    return (defaults or [listening[0][0]])[0]


def _listening(
    config: _nginx_config.Config, address: str, port: int
) -> list[tuple[_nginx_config.Server, _nginx_config.Listen]]:
    """Those with the very address, or else those with all: ngx_http_init_connection()."""
    everywhere = "::" if ":" in address and not address.startswith("unix:") else "0.0.0.0"
    # One socket of [::] takes connections to IPv4 too, with ipv6only=off.
    for wanted in dict.fromkeys((_bare(address), everywhere, "::")):
        found = [
            (server, listen)
            for server in config.servers
            for listen in server.listens
            if _bare(listen.address) == wanted
            and listen.port == (0 if wanted.startswith("unix:") else port)
        ]
        if found:
            return found
    return []


def _bare(address: str) -> str:
    if address.startswith("unix:"):
        return address
    if address == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address


def _by_name(servers: list[_nginx_config.Server], host: str) -> _nginx_config.Server | None:
    names = _nginx_script.Names()
    patterns: list[tuple[str, _nginx_config.Server]] = []
    for server in servers:
        for name in server.names:
            if name.startswith("~"):
                patterns.append((name[1:], server))
            else:
                names.add(name, server)
    found: _nginx_config.Server | None = names.find(host)
    if found is not None:
        return found
    for pattern, server in patterns if host else ():
        try:
            if _name_pattern(pattern).search(_nginx_uri.to_bytes(host)):
                return server
        except _nginx_regex.NotTranslated:
            continue
    return None


def _name_pattern(pattern: str) -> re.Pattern[str]:
    return _nginx_regex.compile_pattern(_nginx_uri.to_bytes(pattern), _has_capital(pattern))


def _has_capital(pattern: str) -> bool:
    """With one, a server's name is compared without regard to case: ngx_http_core_server_name()."""
    return re.search(r"[A-Z]", pattern) is not None


def route(
    config: _nginx_config.Config,
    server: _nginx_config.Server,
    target: str,
    *,
    method: str = "GET",
    exists: Exists,
    host: str | None = None,
    port: int | None = None,
    scheme: str | None = None,
    client: str = "127.0.0.1",
    headers: t.Mapping[str, str] | None = None,
    body_bytes: int | None = None,
    authorized: bool = False,
) -> Route:
    """Return what becomes of a request.

    :param target: as it stands in the request's first line.
    :param exists: says of a path ``file``, ``directory`` or ``None``; also ``denied`` where Nginx can't
        even look, and ``unreadable`` for a file that it may not open. Symbolic links are followed.
    :param host: the ``Host`` header, or ``None`` for the server's own name.
    :param client: whom ``allow`` and ``deny`` see.
    :param headers: other headers of the request, by their names.
    :param body_bytes: the body's announced length.
    :param authorized: take the visitor for one whom ``auth_basic`` and ``auth_request`` let pass, with a
        link that ``secure_link`` accepts.
    """
    listen = server.listens[0]
    tls = listen.tls if port is None else any(one.tls for one in server.listens if one.port == port)
    connection = _nginx_script.Connection(
        host=server.names[0] if host is None else host,
        port=port or listen.port,
        scheme=scheme or ("https" if tls else "http"),
        client=client,
        headers=headers or {},
        body_bytes=body_bytes,
    )
    return _Router(config, server, connection, method, exists, authorized).run(target)


class _Finished(Exception):
    """The answer is in the route."""


class _Router(_nginx_script.Request):
    def __init__(
        self,
        config: _nginx_config.Config,
        server: _nginx_config.Server,
        connection: _nginx_script.Connection,
        method: str,
        exists: Exists,
        authorized: bool,
    ) -> None:
        super().__init__(config, server, connection, method, self._look)
        self._exists = exists
        self._authorized = authorized
        self._body_bytes = connection.body_bytes
        self._route = Route(server)
        self._seen: dict[str, str | None] = {}
        self._handler: _nginx_config.Directive | None = None
        # What an error page, or the error before it, has settled already; 0 is what is sent then.
        self._error_status = 0
        self._is_error_page = False

    def run(self, target: str) -> Route:
        try:
            self._first(target)
        except _Finished:
            pass
        except _nginx_script.Unknown as unknown:
            self._be_unknown(str(unknown))
        except (IndexError, ValueError):
            # Too few arguments, or a word for a number: no running Nginx has such a configuration.
            self._be_unknown("Nginx would refuse an argument of a directive on the way")
        self._route.steps = self.steps
        self._route.internal = self.level.effective("internal") != []
        return self._route

    def _be_unknown(self, reason: str) -> None:
        self._route.kind, self._route.status = "unknown", None
        self._route.reason = _nginx_uri.to_text(reason)
        self._keep_level()

    def _first(self, target: str) -> None:
        if not _METHOD.fullmatch(self.method) or self.method in ("TRACE", "CONNECT"):
            is_known = self.method in ("TRACE", "CONNECT")
            self._finalize(405 if is_known else 400, "the method is refused before anything else")
        merge = self.server.is_on("merge_slashes", True)
        try:
            parsed = _nginx_uri.parse(_nginx_uri.to_bytes(target), merge)
        except _nginx_uri.BadRequest as error:
            self.uri = self.unparsed = ""
            self._finalize(400, str(error))
        if parsed.host is not None:
            self.connection = dataclasses.replace(self.connection, host=parsed.host)
        host = self.connection.host or ""
        if host and not _nginx_script.is_host(host):
            self._finalize(400, "the Host header is refused")
        for name in self.server.names:
            if name.startswith("~") and self.matches(
                _nginx_uri.to_bytes(name[1:]), self.host, _has_capital(name)
            ):
                break
        self.set_target(parsed)
        if self.uri != parsed.unparsed.partition("?")[0]:
            self.say(f"the URI is {self.uri}, decoded and normalised")
        self._begin()

    def _variable_secure_link(self) -> str:
        if self._authorized:
            return "1"
        raise _nginx_script.Unknown("$secure_link depends on a secret")

    # Phases

    def _begin(self) -> t.NoReturn:
        """As ngx_http_handler(), from the server's rewrite phase on."""
        self.is_location_valid = True
        self.level = self.server
        self._rewrites(self.server)
        self._find_location()

    def _rewrites(self, block: _nginx_config.Block) -> None:
        self._refuse_opaque(block)
        try:
            self.run_rewrites(block)
        except _nginx_script.Return as answer:
            self._return(answer.directive)
        except _nginx_script.Redirect as redirect:
            self._route.redirect_to = redirect.location
            self._finalize(redirect.status, "a rewrite redirects")

    def _find_location(self) -> t.NoReturn:
        while True:
            self.level, self._handler, self.is_uri_changed = self.server, None, False
            found = self._search(self.server.locations)
            chain = self._chain()
            where = _nginx_script.where(chain[-1]) if chain else "no location"
            self.say(f"{self.uri}: {where}")
            if not self.is_internal and self.level.effective("internal"):
                self._finalize(404, "the location is internal, and the request comes from outside")
            location, limit = self.level, self._body_limit()
            self._enter()
            if self._body_bytes is not None and limit and self._body_bytes > limit:
                announced, self._body_bytes = self._body_bytes, None
                reason = f"the body has {announced} bytes, client_max_body_size allows {limit}"
                self._finalize(413, reason)
            if found == "redirect":
                pattern = _nginx_uri.to_bytes(getattr(location, "pattern", ""))
                self._route.redirect_to = _nginx_uri.escape_uri(pattern) + self._query()
                self._finalize(301, "the location passes requests on and ends in a slash")
            self._location_rewrites()
            if not self.is_uri_changed:
                self._access_and_content()
            self._count_change()

    def _location_rewrites(self) -> None:
        if self.level is not self.server:
            self._rewrites(self.level)

    def _count_change(self) -> None:
        self.uri_changes -= 1
        if not self.uri_changes:
            self._finalize(500, "the URI was changed ten times: Nginx takes it for a cycle")

    def _search(self, locations: list[_nginx_config.Location]) -> str:
        """Set the level; return ``exact``, ``redirect``, ``prefix``, ``regex`` or nothing.

        As ngx_http_core_find_location().
        """
        result = self._search_static(locations)
        may_be_regex = True
        if result == "prefix":
            prefix = t.cast(_nginx_config.Location, self.level)
            may_be_regex = prefix.modifier != "^~"
            inner = self._search(prefix.locations)
            result = inner or result
            if inner in ("exact", "redirect", "regex"):
                return inner
        elif result:
            return result
        if may_be_regex:
            for location in locations:
                pattern = _nginx_uri.to_bytes(location.pattern)
                if location.is_regex and self.matches(pattern, self.uri, location.modifier == "~*"):
                    self.level = location
                    self._search(location.locations)
                    return "regex"
        return result

    def _search_static(self, locations: list[_nginx_config.Location]) -> str:
        longest: _nginx_config.Location | None = None
        longest_length = -1
        redirecting: _nginx_config.Location | None = None
        for location in locations:
            pattern = _nginx_uri.to_bytes(location.pattern)
            if location.modifier == "=":
                if pattern == self.uri:
                    self.level = location
                    return "exact"
            elif location.modifier not in ("", "^~"):
                continue
            elif self.uri.startswith(pattern) and len(pattern) > longest_length:
                longest, longest_length = location, len(pattern)
            if pattern == self.uri + "/" and (redirecting is None or location.modifier == "="):
                redirecting = location
        if longest is not None and _nginx_uri.to_bytes(longest.pattern) == self.uri:
            redirecting = None
        if redirecting is not None:
            twins = [one for one in locations if one.pattern == redirecting.pattern]
            twins = [one for one in twins if one.modifier in ("", "^~", "=")]
            if any(one.own(*_PASSES) for one in twins):
                self.level = redirecting
                return "redirect"
        if longest is not None:
            self.level = longest
            return "prefix"
        return ""

    def _enter(self) -> None:
        """As ngx_http_update_location_config()."""
        for limit in self.level.own("limit_except"):
            allowed = {method.upper() for method in limit.args}
            allowed |= {"HEAD"} if "GET" in allowed else set()
            if self.method not in allowed:
                self.say(f"{_nginx_script.where(limit)} holds for {self.method}")
                self.level = _nginx_config.Block(limit, self.level)
        self.on_level_changed()

    def on_level_changed(self) -> None:
        block: _nginx_config.Block | None = self.level
        # An `if` or a `limit_except` passes requests on as the location does.
        while block is not None and block is not self.server:
            passes = block.own(*_PASSES)
            if passes:
                self._handler = passes[-1]
                break
            block = block.parent if block.directive.name in ("if", "limit_except") else None

    def _access_and_content(self) -> t.NoReturn:
        self._access()
        self._try_files()
        if self._handler is not None:
            self._pass(self._handler)
        if not self.uri:
            raise _nginx_script.Unknown(
                "try_files leaves an empty URI, with which Nginx reads past its end"
            )
        if self.uri.endswith("/") and self.method in ("GET", "HEAD", "POST"):
            self._index()
            if self.method != "POST" and self.level.is_on("autoindex"):
                self._autoindex()
        self._gzip_static()
        self._static()

    def _refuse_opaque(self, block: _nginx_config.Block) -> None:
        for level in block.ancestors():
            for directive in level.directives:
                name = directive.name
                is_off = directive.args[:1] == ["off"] or name == "map"
                is_inherited = level is block or re.fullmatch(
                    r"\w+_by_lua\w*|auth_\w+|js_access", name
                )
                if _OPAQUE.fullmatch(name) and not is_off and is_inherited:
                    raise _nginx_script.Unknown(
                        f"{_nginx_script.where(directive, directive.name)} decides"
                    )
                is_ours = isinstance(level, _nginx_config.Location) and level is block
                if is_ours and not _nginx_config.is_known(name) and not _HARMLESS.fullmatch(name):
                    raise _nginx_script.Unknown(
                        f"{_nginx_script.where(directive, directive.name)} is of a module that is not known here"
                    )

    def _access(self) -> None:
        guards = [
            directive
            for name in ("auth_basic", "auth_request")
            for directive in self.level.effective(name)[-1:]
            if directive.args[:1] != ["off"]
            # Without a file of passwords it lets everybody pass: ngx_http_auth_basic_handler().
            and (name != "auth_basic" or self.level.effective("auth_basic_user_file"))
        ]
        self._route.guards = guards
        allowed = self._is_address_allowed()
        is_any = self.level.value("satisfy", "all") == "any"
        if is_any and allowed:
            return
        if allowed is False and not (is_any and guards):
            self._finalize(403, "the visitor's address is denied")
        if self._authorized:
            return
        for directive in guards:
            if directive.name == "auth_request":
                raise _nginx_script.Unknown(f"{_nginx_script.where(directive)} decides")
            if "authorization" in {name.lower() for name in self.connection.headers}:
                raise _nginx_script.Unknown(
                    f"{_nginx_script.where(directive, directive.name)} decides by the password"
                )
        if guards:
            self._finalize(
                401, f"{_nginx_script.where(guards[0], guards[0].name)} asks for a password"
            )

    def _is_address_allowed(self) -> bool | None:
        for directive in self.level.effective("allow"):
            if directive.args and self._is_client(directive.args[0]):
                self.say(f"{_nginx_script.where(directive)}")
                return directive.name == "allow"
        return None

    def _is_client(self, rule: str) -> bool:
        if rule == "all":
            return True
        try:
            network = ipaddress.ip_network(rule, strict=False)
            return ipaddress.ip_address(self.connection.client) in network
        except ValueError:
            return rule == self.connection.client

    # What modules of the content phase do

    def _look(self, path: str) -> str | None:
        """stat(2) of a path, which knows no file by a name with a slash at its end."""
        if path not in self._seen:
            shown = _nginx_uri.to_text(path)
            self._route.paths.append(shown)
            kind = self._exists(shown)
            if kind in ("file", "unreadable") and path.endswith("/"):
                kind = None
            self.say(f"{path}: {kind or 'not there'}")
            self._seen[path] = kind
        return self._seen[path]

    def _mapped_path(self) -> str:
        path = self.path()
        if path is None:
            self._finalize(500, "an alias can't be used where the URI was rewritten")
        return path

    def _try_files(self) -> None:
        """As ngx_http_try_files_handler()."""
        for directive in self.level.own("try_files")[-1:]:
            args = [_nginx_uri.to_bytes(one) for one in directive.args]
            self.say(f"{_nginx_script.where(directive)}")
            for name in args[:-1]:
                if self._try_file(name):
                    return
            self._try_last(args[-1])

    def _try_name(self, name: str) -> tuple[str, str]:
        """Return the path in front of a name, and the name as it is put there."""
        root, alias, _directive = self.root()
        if self.path() is None:
            self._finalize(500, "an alias can't be used where the URI was rewritten")
        if alias is None and self.adds_uri_to_alias:
            alias = 0
        value = self.expand(name)
        # What the alias stands for is cut off, but only of a name with a variable in it.
        if "$" in name and alias and value.startswith(self.uri[:alias]):
            value = value[alias:]
        return root, value

    def _try_file(self, name: str) -> bool:
        wants_directory = name.endswith("/")
        root, value = self._try_name(name[:-1] if wants_directory else name)
        kind = self._look(root + value)
        if kind not in ("file", "unreadable", "directory"):
            return False
        if (kind == "directory") != wants_directory:
            return False
        alias = self.root()[1]
        if alias is None:
            if not wants_directory:
                self.set_uri(value)
                self.adds_uri_to_alias = True
        else:
            self.set_uri(self.uri[:alias] + value)
        return True

    def _try_last(self, name: str) -> t.NoReturn:
        if name.startswith("="):
            self._finalize(int(name[1:]), "nothing of try_files is there")
        _root, value = self._try_name(name)
        if value.startswith("@"):
            self._named(value)
        uri, _question, args = value.partition("?")
        self._internal_redirect(uri, args)

    def _index(self) -> None:
        """As ngx_http_index_handler()."""
        names = [one for directive in self.level.effective("index") for one in directive.args]
        is_tested = False
        for name in names or ["index.html"]:
            value = self.expand(_nginx_uri.to_bytes(name))
            if value.startswith("/"):
                self._internal_redirect(value, self.args)
            path = self._mapped_path()
            kind = self._look(path + value)
            if kind == "denied":
                self._finalize(403, f"Nginx may not look into {path}")
            if kind is not None:
                self._internal_redirect(self.uri + value, self.args)
            if not is_tested:
                self._test_directory(path)
                is_tested = True

    def _test_directory(self, path: str) -> None:
        has_slash = path.endswith("/") and path != "/"
        kind = self._exists(_nginx_uri.to_text(path[:-1] if has_slash else path))
        if kind == "directory" or kind == "denied":
            return
        if kind is None or has_slash:
            self._finalize(404, f"{path} is not there")
        self._finalize(500, f"{path} is not a directory")

    def _autoindex(self) -> t.NoReturn:
        path = self._mapped_path()
        kind = self._look(path[:-1] if len(path) > 1 else path)
        if kind == "denied":
            self._finalize(403, f"Nginx may not look at {path}")
        if kind != "directory":
            self._finalize(404, f"{path} is not there")
        self._route.path = _nginx_uri.to_text(path)
        types = {
            "json": "application/json",
            "jsonp": "application/json",
            "xml": "text/xml; charset=utf-8",
        }
        self.content_type = types.get(self.level.value("autoindex_format", "html"), "text/html")
        self._finish("listing", 200)

    def _gzip_static(self) -> None:
        rule = self.level.value("gzip_static", "off")
        accepted = {key.lower(): value for key, value in self.connection.headers.items()}
        accepts = re.search(r"\bgzip\b", accepted.get("accept-encoding", ""))
        if rule == "off" or self.uri.endswith("/") or self.method not in ("GET", "HEAD"):
            return
        if rule == "always" or accepts:
            path = self._mapped_path() + ".gz"
            if self._look(path) == "file":
                self._serve(path)

    def _static(self) -> t.NoReturn:
        """As ngx_http_static_handler(), and what ngx_http_core_content_phase() does behind it."""
        if self.method not in ("GET", "HEAD", "POST"):
            self._finalize(405, f"{self.method} is nothing that files know")
        path = self._mapped_path()
        if self.uri.endswith("/"):
            self._finalize(403, f"{path} may not be listed")
        kind = self._look(path)
        self._route.path = _nginx_uri.to_text(path)
        if kind is None:
            self._finalize(404, f"{path} is not there")
        if kind == "denied":
            self._finalize(403, f"Nginx may not look at {path}")
        if kind == "directory":
            self._route.redirect_to = _nginx_uri.escape_uri(self.uri) + "/" + self._query()
            self._finalize(301, "a directory's URL ends in a slash")
        if kind == "unreadable":
            self._finalize(403, f"Nginx may not read {path}")
        if self.method == "POST":
            self._finalize(405, "a file takes no POST")
        self._serve(path)

    def _serve(self, path: str) -> t.NoReturn:
        self._route.path = _nginx_uri.to_text(path)
        if self.level.value("disable_symlinks", "off") != "off":
            self.say("symbolic links on the way may be refused (disable_symlinks)")
        self.content_type = self._type()
        self._finish("file", 200)

    def _type(self) -> str:
        return _nginx_headers.content_type(self.level, self.extension)

    def _query(self) -> str:
        return f"?{self.args}" if self.args else ""

    def _return(self, directive: _nginx_config.Directive) -> t.NoReturn:
        """As ngx_http_script_return_code() and ngx_http_send_response()."""
        args = [_nginx_uri.to_bytes(one) for one in directive.args]
        self.say(f"{_nginx_script.where(directive)}")
        if not args[0].isdigit():
            args = ["302", args[0]]
        status, text = int(args[0]), args[1] if len(args) > 1 else ""
        if status >= 400 and not text:
            self._finalize(status, "")
        if status in _REDIRECT_STATUS:
            self._route.redirect_to = self.expand(text)
            self._finalize(status, "")
        self.content_type = self._type()
        # The text may say how the request looked, which is no reason to know nothing of the rest.
        self._finish("return", status)

    def _pass(self, directive: _nginx_config.Directive) -> t.NoReturn:
        self.say(f"{_nginx_script.where(directive, directive.name)}")
        target = _upstream_target(self, directive)
        self._route.upstreams = target.addresses
        self._route.upstream = target.addresses[0] if target.addresses else None
        self._route.upstream_uri = _nginx_uri.to_text(target.uri)
        self._finish("proxy", None)

    # Internal redirects and errors

    def _internal_redirect(self, uri: str, args: str) -> t.NoReturn:
        self._count_change()
        self.say(f"an internal redirect to {uri}")
        self.set_uri(uri)
        self.args = args
        self.is_internal = True
        self.is_unparsed_valid = False
        self.adds_uri_to_alias = False
        self._begin()

    def _named(self, name: str) -> t.NoReturn:
        self._count_change()
        if not self.uri:
            self._finalize(500, "an empty URI can't go to a named location")
        wanted = _nginx_uri.to_text(name)
        for location in self.server.locations:
            if location.modifier == "@" and location.pattern == wanted:
                self.say(f"on to {_nginx_script.where(location)}")
                self.is_internal = True
                self._handler, self.is_uri_changed = None, False
                self.level = location
                self._enter()
                self._location_rewrites()
                if self.is_uri_changed:
                    self._count_change()
                    self._find_location()
                self._access_and_content()
        self._finalize(500, f"there is no location {name}")

    def _finalize(self, status: int, reason: str) -> t.NoReturn:
        """As ngx_http_special_response_handler()."""
        if reason:
            self.say(f"{status}: {reason}")
        if status == 444:
            self._error_status = 444
            self._finish("error", 444)
        self._error_status = status
        self.content_type = ""
        pages = self.level.effective("error_page")
        if not self._is_error_page and pages and self.uri_changes:
            if not self.level.is_on("recursive_error_pages"):
                self._is_error_page = True
            for page in pages:
                if str(status) in page.args[:-1]:
                    self._send_error_page(page, status)
        if status in _WITH_PAGE:
            self.content_type = "text/html"
        if 494 <= status <= 497:
            self._error_status = 400
        self._finish("redirect" if status in _REDIRECT_STATUS else "error", status)

    def _send_error_page(self, page: _nginx_config.Directive, status: int) -> t.NoReturn:
        self.say(f"{_nginx_script.where(page)}")
        self._route.error_page = page
        # It may be that of a redirect that the page now takes the place of.
        overwrite = page.args[-2] if page.args[-2].startswith("=") else None
        if overwrite is not None:
            self._error_status = int(overwrite[1:] or 0)
        elif 494 <= status <= 497:
            self._error_status = 400
        raw = _nginx_uri.to_bytes(page.args[-1])
        uri = self.expand(raw)
        if uri.startswith("/"):
            path, _question, args = uri.partition("?")
            self.method = self.method if self.method == "HEAD" else "GET"
            self._internal_redirect(path, args)
        if uri.startswith("@"):
            self._named(uri)
        if self._error_status not in _REDIRECT_STATUS or overwrite is None:
            self._error_status = 302
        self._route.redirect_to = uri
        self.content_type = "text/html"
        self._finish("redirect", self._error_status)

    # The answer

    def _body_limit(self) -> int:
        return _nginx_headers.size(self.level.value("client_max_body_size", "1m"))

    def _chain(self) -> list[_nginx_config.Location]:
        for block in self.level.ancestors():
            if isinstance(block, _nginx_config.Location):
                return block.chain
        return []

    def _keep_level(self) -> None:
        self._route.level = self.level
        self._route.uri = _nginx_uri.to_text(self.uri)
        self._route.locations = self._chain()
        self._route.client_max_body_size = self._body_limit()
        self._route.header_doubts = [
            directive
            for block in self.level.ancestors()
            for directive in block.directives
            if _CHANGES_HEADERS.fullmatch(directive.name)
        ]

    def _finish(self, kind: Kind, status: int | None) -> t.NoReturn:
        final = self._error_status or status
        self._route.kind, self._route.status, self.status = kind, final, final
        self._keep_level()
        if status is not None:
            if final == 204:
                self.content_type = ""
            shown = _nginx_headers.with_charset(self.level, self.content_type, final)
            self._route.content_type = _nginx_uri.to_text(shown) or None
        location = self._route.redirect_to
        # It stays where an error_page has taken the place of a redirect.
        if location is not None:
            location = _nginx_headers.absolute(self, location)
            self._route.redirect_to = _nginx_uri.to_text(location)
        self._route.headers = [
            (_nginx_uri.to_text(name), _nginx_uri.to_text(value), always)
            for name, value, always in _nginx_headers.sent(self, location)
        ]
        raise _Finished


@dataclasses.dataclass
class _UpstreamTarget:
    addresses: list[str]
    uri: str


def _upstream_target(
    request: _nginx_script.Request, directive: _nginx_config.Directive
) -> _UpstreamTarget:
    """As ngx_http_proxy_pass() and ngx_http_proxy_create_request()."""
    written = _nginx_uri.to_bytes(directive.args[0])
    value = request.expand(written)
    # uwsgi_pass takes unix:///run/app.sock, too.
    has_scheme = None if value.startswith("unix:") else re.match(r"(\w+)://", value)
    rest = value[has_scheme.end() :] if has_scheme else value
    default_port = 443 if has_scheme and has_scheme[1] in ("https", "grpcs") else 80
    if rest.startswith("unix:"):
        address, _colon, uri = rest.removeprefix("unix:").partition(":")
        addresses = [_nginx_config.address_of(f"unix:{_nginx_uri.to_text(address)}")]
    else:
        name, slash, tail = rest.partition("/")
        uri = slash + tail
        if not slash and "?" in name:
            name, _question, tail = name.partition("?")
            uri = "?" + tail
        shown = _nginx_uri.to_text(name)
        known = request.config.upstreams.get(shown)
        addresses = known if known is not None else [_nginx_config.address_of(shown, default_port)]
    if directive.name != "proxy_pass":
        return _UpstreamTarget(addresses, request.unparsed)
    has_variables = "$" in written
    if has_variables and uri:
        return _UpstreamTarget(addresses, uri)
    if not uri and request.is_unparsed_valid:
        return _UpstreamTarget(addresses, request.unparsed)
    # Where a rewrite has changed the URI, it goes there as a whole.
    uri = uri if request.is_location_valid else ""
    length = 0
    block = next(
        (one for one in request.level.ancestors() if isinstance(one, _nginx_config.Location)), None
    )
    is_plain = block is not None and block.modifier in ("", "=", "^~")
    if uri and block is not None and is_plain:
        length = len(_nginx_uri.to_bytes(block.pattern))
    own = request.uri[length:]
    if request.is_quoted or request.is_internal:
        own = _nginx_uri.escape_uri(own)
    return _UpstreamTarget(addresses, uri + own + (f"?{request.args}" if request.args else ""))
