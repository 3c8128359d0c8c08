# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which of Nginx's modules for static files this host's Nginx has, compiled in or loaded."""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _glob,
    _nginx_syntax,
    _nginx_tree,
)

# https://nginx.org/en/docs/http/ngx_http_v2_module.html#http2
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)
# Of ngx_brotli, whose two modules Debian packages one by one.
BROTLI_STATIC = "ngx_http_brotli_static_module"


def static_modules() -> dict[str, bool] | None:
    """Return whether Nginx has ``gzip_static`` and ``brotli_static``; ``None`` without Nginx."""
    binary = _nginx_tree.find_binary(None)
    if binary is None:
        return None
    try:
        text = _nginx_tree.build_text(binary)
        build = _nginx_tree.parse_build(binary, text)
    except _nginx_tree.NginxError:
        # Whoever changes its configuration says so.
        return None
    loaded = loaded_modules(build.conf_file)
    return {
        "gzip_static": "--with-http_gzip_static_module" in text,
        "brotli_static": BROTLI_STATIC in loaded or _is_compiled_in(text, "brotli"),
    }


def http2_syntax(nginx: str | None = None) -> tuple[str | None, str | None]:
    """Return Nginx's version, and how it is told of HTTP/2: by a ``directive`` or a ``parameter``.

    :raises NginxError: when the binary is none of Nginx's.
    """
    binary = _nginx_tree.find_binary(nginx)
    if binary is None:
        return None, None
    text = _nginx_tree.build_text(binary)
    version = _nginx_tree.parse_build(binary, text).version
    if "--with-http_v2_module" not in text:
        return version, None
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    return version, "directive" if numbers >= HTTP2_DIRECTIVE_SINCE else "parameter"


def _is_compiled_in(text: str, name: str) -> bool:
    arguments = re.search(r"^configure arguments:(.*)$", text, re.MULTILINE)
    return any(
        word.startswith("--add-module=") and name in os.path.basename(word.rstrip("/"))
        for word in shlex.split(arguments[1] if arguments else "")
    )


def loaded_modules(conf_file: str) -> set[str]:
    """Return the names of the modules that a configuration loads.

    Only main level is looked at, since ``load_module`` is allowed nowhere else.
    """
    return {
        os.path.splitext(os.path.basename(directive.arguments[0]))[0]
        for directive in directives(conf_file, main_level=True)
        if directive.name == "load_module" and directive.arguments
    }


def directives(conf_file: str, *, main_level: bool = False) -> t.Iterator[_nginx_syntax.Directive]:
    """Yield the directives of a configuration and of what it includes, each file's once.

    A directive's parents are those within its own file. What can't be read is passed over.

    :param main_level: pass over blocks, and what is included in them.
    """
    seen: set[str] = set()
    waiting = [conf_file]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for directive in _in_file(path):
            if main_level and directive.parents:
                continue
            yield directive
            if directive.name == "include" and directive.arguments:
                pattern = os.path.join(os.path.dirname(conf_file), directive.arguments[0])
                waiting += _glob.expand(pattern, names)


def _in_file(path: str) -> t.Iterator[_nginx_syntax.Directive]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for item in _nginx_syntax.parse(file.read()):
                if isinstance(item, _nginx_syntax.Directive):
                    yield item
    except (OSError, _nginx_syntax.NginxSyntaxError):
        # Nginx would not read on either.
        return


def names(directory: str) -> list[str]:
    """Return the names in a directory, for a pattern; none where it can't be read."""
    try:
        return os.listdir(directory or "/")
    except OSError:
        return []
