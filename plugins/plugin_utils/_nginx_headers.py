# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What Nginx sends in front of a body: type, ``expires``, ``add_header``, where a redirect leads.

As ngx_http_headers_filter_module.c, ngx_http_charset_filter_module.c and ngx_http_header_filter_module.c
of Nginx's src/http do it.
"""

from __future__ import annotations

import re

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_script,
    _nginx_uri,
)

# add_header without `always`, and expires, know only these.
SAFE_STATUS = frozenset({200, 201, 204, 206, 301, 302, 303, 304, 307, 308})
_DEFAULT_TYPES = {"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}
_CHARSET_TYPES = (
    "text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript",
    "application/rss+xml",
)  # fmt: skip
_TIME_UNITS = {
    "y": 31536000, "M": 2592000, "w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "": 1,
}  # fmt: skip
_SIZE_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

Header = tuple[str, str, bool]


def size(text: str) -> int:
    """As ngx_parse_offset()."""
    unit = _SIZE_UNITS.get(text[-1:].lower(), 0)
    digits = text[:-1] if unit else text
    return int(digits) * (unit or 1) if digits.isdigit() else 0


def seconds(text: str) -> int | None:
    """As ngx_parse_time(); ``None`` where it is no time."""
    if not re.fullmatch(r"(?:\d+[yMwdhms]? *)+", text):
        return None
    found = re.findall(r"(\d+)([yMwdhms]?)", text)
    return sum(int(number) * _TIME_UNITS[unit] for number, unit in found)


def content_type(level: _nginx_config.Block, extension: str) -> str:
    """By a URI's extension, from the innermost table of types."""
    tables = level.effective("types")
    types = dict(_DEFAULT_TYPES) if not tables else {}
    for table in tables:
        for line in table.block or ():
            types.update(
                {
                    _nginx_uri.to_bytes(one.lower()): _nginx_uri.to_bytes(line.name)
                    for one in line.args
                }
            )
    default = _nginx_uri.to_bytes(level.value("default_type", "text/plain"))
    return types.get(extension.lower(), default) if extension else default


def with_charset(level: _nginx_config.Block, content_type: str, status: int | None) -> str:
    charset = level.value("charset", "off")
    # As ngx_http_set_charset(): a redirect gets none.
    if (
        status in (301, 302)
        or charset == "off"
        or not content_type
        or ";" in content_type
        or "$" in charset
    ):
        return content_type
    types = [one for found in level.effective("charset_types") for one in found.args]
    if (
        content_type not in ([*types, "text/html"] if types else _CHARSET_TYPES)
        and "*" not in types
    ):
        return content_type
    return f"{content_type}; charset={charset}"


def absolute(request: _nginx_script.Request, location: str) -> str:
    """A path becomes a URL, as ngx_http_header_filter() makes it one."""
    level = request.level
    if not location.startswith("/") or not level.is_on("absolute_redirect", True):
        return location
    host = request.host
    if level.is_on("server_name_in_redirect"):
        host = request.variable("server_name")
    scheme, port = request.connection.scheme, request.connection.port
    is_usual = port in (0, 443 if scheme == "https" else 80)
    shown = "" if is_usual or not level.is_on("port_in_redirect", True) else f":{port}"
    return f"{scheme}://{host}{shown}{location}"


def sent(request: _nginx_script.Request, location: str | None) -> list[Header]:
    """Headers in their order. Without a status, all that may be sent with some."""
    status = request.status
    is_safe = status is None or status in SAFE_STATUS
    found: list[Header] = [] if location is None else [("Location", location, True)]
    if is_safe:
        found += _expires(request)
    for directive in request.level.effective("add_header"):
        name, value, *rest = [_nginx_uri.to_bytes(one) for one in directive.args[:3]]
        always = "always" in rest
        if is_safe or always:
            expanded = _expanded(request, value)
            if expanded:
                found.append((name, expanded, always))
    return found


def _expanded(request: _nginx_script.Request, value: str) -> str:
    try:
        return request.expand(value)
    except _nginx_script.Unknown:
        return value


def _expires(request: _nginx_script.Request) -> list[Header]:
    for directive in request.level.effective("expires")[-1:]:
        is_modified = directive.args[0] == "modified"
        value = _expanded(request, _nginx_uri.to_bytes(directive.args[-1]))
        if value == "epoch":
            return _pair("Thu, 01 Jan 1970 00:00:01 GMT", "no-cache")
        if value == "max":
            return _pair("Thu, 31 Dec 2037 23:55:55 GMT", "max-age=315360000")
        if value == "off" or not value:
            return []
        duration = seconds(value.lstrip("+-"))
        if value.startswith("@") or (is_modified and not value.startswith("-")):
            # By the clock, or by the file's age
            return _pair(value, f"max-age={value}")
        if duration is None:
            return []
        if value.startswith("-") and duration:
            return _pair(f"-{duration} s", "no-cache")
        return _pair(f"{duration} s", f"max-age={duration}")
    return []


def _pair(expires: str, cache_control: str) -> list[Header]:
    return [("Expires", expires, False), ("Cache-Control", cache_control, False)]
