# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which server blocks lead to which app server: a *site* is one app, and Nginx's way to it."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _nginx_config

Answer = t.Mapping[str, t.Any]

# Directives that hand a request to an app server.
PASSES = ("proxy_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass", "grpc_pass")


@dataclasses.dataclass(frozen=True)
class Pass:
    """A location that hands requests to an app server.

    :ivar addresses: where it listens, ``unix:/PATH`` or ``ADDRESS:PORT``, upstream groups resolved.
    :ivar uri: what replaces the location's prefix; ``None`` where the URI is handed on as it came.
    """

    server: _nginx_config.Server
    location: _nginx_config.Location
    directive: _nginx_config.Directive
    addresses: tuple[str, ...]
    uri: str | None


@dataclasses.dataclass
class Site:
    """One app and its way through Nginx.

    :ivar config: the configuration; ``None`` where there is none to be read.
    :ivar server: the server block that is asked; ``None`` where none leads to the app.
    :ivar passes: the locations of that server block that lead to the app.
    :ivar process: the app server, of ``flask_process_info``; ``None`` where nothing listens.
    """

    config: _nginx_config.Config | None
    server: _nginx_config.Server | None
    passes: list[Pass]
    process: Answer | None
    hints: Answer


def config(nginx: Answer) -> _nginx_config.Config | None:
    """Return the configuration that was found; ``None`` where there is none to be read."""
    if not nginx.get("files"):
        return None
    where = {
        "conf_file": nginx.get("conf_file") or "/etc/nginx/nginx.conf",
        "prefix": nginx.get("prefix") or "/etc/nginx/",
    }
    return _nginx_config.load_answer({**nginx, **where})


def upstreams(found: _nginx_config.Config | None) -> list[str]:
    """Return each address that Nginx leads to, once."""
    return list(dict.fromkeys(address for way in _ways(found) for address in way.addresses))


def sites(
    found: _nginx_config.Config | None, processes: t.Sequence[Answer], hints: Answer
) -> list[Site]:
    """Return what this host serves; one site without anything, where nothing was found.

    :param processes: of ``flask_process_info``, asked also for whoever listens where Nginx leads.
    """
    ways = _ways(found)
    sites_found = [
        Site(found, own[0].server, own, process, hints)
        for process in processes
        if process.get("server") and (own := _ways_to(process, ways, hints))
    ]
    served = {id(site.server) for site in sites_found}
    listening = {address for process in processes for address in addresses(process)}
    for server in {id(way.server): way.server for way in ways}.values():
        own = [way for way in ways if way.server is server]
        if id(server) not in served and not any(
            is_remote(address) or address in listening for way in own for address in way.addresses
        ):
            # Where Nginx leads, nobody listens.
            sites_found.append(Site(found, server, own, None, hints))
    if sites_found:
        return _told(sites_found, hints)
    # Nginx leads to none of them, or there is no Nginx: that is worth a report.
    apps = [process for process in processes if process.get("callable")]
    first = next(iter(found.servers), None) if found else None
    return [Site(found, first, [], apps[0] if apps else None, hints)]


def _told(sites_found: list[Site], hints: Answer) -> list[Site]:
    """Leave what the user knows of one site with that one, where there are several.

    It is the one that has the name; or else one of which its process does not tell which app it is.
    """
    wanted = set(hints.get("domains") or [])
    named = [site for site in sites_found if site.server and wanted & set(site.server.names)]
    mute = [site for site in sites_found if not (site.process or {}).get("callable")]
    meant = named or mute or sites_found
    return [
        site if any(site is each for each in meant) else dataclasses.replace(site, hints={})
        for site in sites_found
    ]


def _ways(found: _nginx_config.Config | None) -> list[Pass]:
    if found is None:
        return []
    return [way for server in found.servers for way in passes(found, server)]


def _ways_to(process: Answer, ways: t.Sequence[Pass], hints: Answer) -> list[Pass]:
    """Return the locations of one server block that lead to a process."""
    reached = set(addresses(process))
    own = [way for way in ways if reached & set(way.addresses)]
    wanted = set(hints.get("domains") or [])
    own.sort(key=lambda way: (not wanted & set(way.server.names), not is_tls(way.server)))
    return [way for way in own if way.server is own[0].server]


def is_remote(address: str) -> bool:
    """Return whether an address is of another host, as far as it tells."""
    return not address.startswith(("unix:", "127.", "[::1]:", "localhost:"))


def is_tls(server: _nginx_config.Server) -> bool:
    return any(listen.tls for listen in server.listens)


def addresses(process: Answer) -> list[str]:
    """Return where an app server can be reached: a wildcard by any address of this host."""
    found = [
        normal(address) for address in (process.get("reachable_at") or process.get("listens") or [])
    ]
    for address in list(found):
        host, _colon, port = address.rpartition(":")
        if host in ("0.0.0.0", "[::]", "*"):
            found += [f"127.0.0.1:{port}", f"[::1]:{port}"]
    return list(dict.fromkeys(found))


def normal(address: str) -> str:
    """Return one spelling of an address."""
    if address.startswith("unix:"):
        # /var/run is a link to /run wherever there is systemd.
        path = re.sub(r"\A/var/run/", "/run/", address[len("unix:") :])
        return f"unix:{path}"
    return re.sub(r"\Alocalhost:", "127.0.0.1:", address)


def passes(config: _nginx_config.Config, server: _nginx_config.Server) -> t.Iterator[Pass]:
    """Yield the locations of a server block that lead to an app server, nested ones included."""
    for location in all_locations(server):
        for name in PASSES:
            for directive in location.own(name):
                where, uri = split_pass(directive)
                if where:
                    group = config.upstreams.get(where) or [where]
                    known = tuple(normal(_nginx_config.address_of(address)) for address in group)
                    yield Pass(server, location, directive, known, uri)


def all_locations(block: t.Any) -> t.Iterator[_nginx_config.Location]:
    for location in block.locations:
        yield location
        yield from all_locations(location)


def split_pass(directive: _nginx_config.Directive) -> tuple[str, str | None]:
    """Return where a pass leads, and the URI that it replaces the location with."""
    if not directive.args:
        return "", None
    text = directive.args[0]
    scheme = re.match(r"(?:https?|grpcs?)://", text)
    rest = text[scheme.end() :] if scheme else text
    if rest.startswith("unix:"):
        # http://unix:/path/to.sock:/uri/
        path, colon, uri = rest[len("unix:") :].partition(":")
        return f"unix:{path}", uri if colon else None
    host, slash, uri = rest.partition("/")
    return host, slash + uri if slash else None
