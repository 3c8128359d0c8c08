# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Routes of many URLs, with what is on the host's disk asked in rounds: see ``nginx_routes_info``."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_routes,
)

# Each path that is looked for follows from one before; try_files and index have few.
ROUNDS = 30
_URL = re.compile(r"(?:(https?)://(\[[^\]]*\]|[^/:?#]*)(?::(\d+))?)?(/.*)?", re.DOTALL)


class UrlError(Exception):
    """What was handed over is neither a URL nor a path."""


class Question(t.NamedTuple):
    url: str
    scheme: str
    host: str
    port: int
    target: str


def question(url: str, host: str | None, port: int | None) -> Question:
    """Take a URL apart; what it does not say is taken from the other arguments.

    :raises UrlError: where it is none.
    """
    found = _URL.fullmatch(url)
    if not found or not (found[1] or found[4]):
        raise UrlError(f'"{url}" is neither a URL (https://www.example.com/x) nor a path (/x).')
    scheme = found[1] or ("https" if port == 443 else "http")
    default_port = port if port and not found[1] else 443 if scheme == "https" else 80
    number = int(found[3]) if found[3] else default_port
    return Question(url, scheme, found[2] or host or "", number, found[4] or "/")


def access_question(path: str) -> dict[str, t.Any]:
    """For ``path_access_info``: whether it is a directory, and whether a file can be read."""
    return {"path": path, "want": ["traverse", "read"]}


def kind(answer: t.Mapping[str, t.Any]) -> str | None:
    """What ``exists`` of ``_nginx_routes.route`` wants to know, of an answer of ``path_access_info``."""
    stop = answer["blocked_by"]
    if stop is None:
        return "directory"
    if stop["component"] != answer["resolved"]:
        # Root, who asks along, may know what is behind it.
        return None if stop["reason"] in ("missing", "not-a-directory") else "denied"
    if "traverse" not in answer["missing"] or stop["reason"] != "not-a-directory":
        return "directory"
    return "unreadable" if "read" in answer["missing"] else "file"


def routes(
    config: _nginx_config.Config,
    questions: t.Sequence[Question],
    address: str | None,
    ask: t.Callable[[list[str]], t.Mapping[str, str | None]],
) -> list[dict[str, t.Any]]:
    """Return the answers of ``nginx_routes_info``.

    :param ask: says what is at each path of a round.
    """
    known: dict[str, str | None] = {}
    for _number in range(ROUNDS):
        wanted = _Wanted(known)
        answers = [_answer(config, one, address, wanted.exists) for one in questions]
        if not wanted.paths:
            break
        # A path that is relative can come about by `root /` and a name without a slash: nobody finds it.
        known.update(dict.fromkeys(wanted.paths))
        known.update(ask([path for path in wanted.paths if path.startswith("/")]))
    return answers


class _Wanted:
    """What a round asked for and nobody knows yet. It is taken for missing until then."""

    def __init__(self, known: t.Mapping[str, str | None]) -> None:
        self._known = known
        self.paths: dict[str, None] = {}

    def exists(self, path: str) -> str | None:
        if path not in self._known:
            self.paths[path] = None
        return self._known.get(path)


def _answer(
    config: _nginx_config.Config,
    question: Question,
    address: str | None,
    exists: _nginx_routes.Exists,
) -> dict[str, t.Any]:
    own = address or _listening_address(config, question.port)
    server = _nginx_routes.choose_server(config, own, question.port, question.host)
    if server is None:
        reason = f"No server block listens on {own} port {question.port}."
        return {**_shown(_nginx_routes.Route(None, reason=reason)), "url": question.url}
    route = _nginx_routes.route(
        config,
        server,
        question.target,
        exists=exists,
        host=question.host,
        port=question.port,
        scheme=question.scheme,
    )
    return {**_shown(route), "url": question.url}


def _listening_address(config: _nginx_config.Config, port: int) -> str:
    """Where this host asks itself, unless nobody listens there."""
    local = "127.0.0.1"
    if _nginx_routes.choose_server(config, local, port, None):
        return local
    listens = [one for server in config.servers for one in server.listens]
    return next((one.address for one in listens if one.port == port), local)


def _shown(route: _nginx_routes.Route) -> dict[str, t.Any]:
    server, location = route.server, route.location
    return {
        "kind": route.kind,
        "status": route.status,
        "server": server and {"names": server.names, "defined_at": server.component},
        "location": location and {"name": str(location), "defined_at": location.component},
        "uri": route.uri,
        "path": route.path,
        "paths": route.paths,
        "upstream": route.upstream,
        "upstreams": route.upstreams,
        "upstream_uri": route.upstream_uri,
        "redirect_to": route.redirect_to,
        "content_type": route.content_type,
        "headers": [
            {"name": name, "value": value, "always": always}
            for name, value, always in route.headers
        ],
        "client_max_body_size_bytes": route.client_max_body_size,
        "internal": route.internal,
        "guards": [{"directive": str(one), "defined_at": one.component} for one in route.guards],
        "header_doubts": [
            {"directive": one.name, "defined_at": one.component} for one in route.header_doubts
        ],
        "steps": route.steps,
        "reason": route.reason,
    }
