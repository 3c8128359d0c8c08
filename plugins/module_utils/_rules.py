# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What all rules for a description of an app share: how a problem is told, and what paths, URLs and sizes are."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
import typing as t

Values = t.Mapping[str, t.Any]

# What systemd ('%'), a shell and Nginx all read as themselves.
SAFE_PATH = re.compile(r"/[\w.+@:/-]*\Z")
SAFE_URL = re.compile(r"/(?:[A-Za-z0-9_.~-]+/)+\Z")
# https://nginx.org/en/docs/syntax.html
SIZE = re.compile(r"(\d+)\s*([kKmMgG]?)(?:[iI]?[bB])?\Z")


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something in the description that can't work.

    :ivar variable: the variable to change.
    :ivar value: what it is now.
    :ivar reason: why that can't work.
    :ivar remedy: what to write instead.
    """

    variable: str
    value: t.Any
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable} is {_shown(self.value)}: {self.reason}. {self.remedy}."


def _shown(value: t.Any) -> str:
    return "not set" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def parse_size(value: t.Any) -> int:
    """Return a size in bytes.

    :param value: an integer, or a string in Nginx's units (``512k``, ``16M``, ``1G``).
    :raises ValueError: when it is no such size.
    """
    match = SIZE.match(str(value).strip())
    if isinstance(value, bool) or match is None:
        raise ValueError(f"{value!r} is no size")
    size: int = int(match.group(1)) * 1024 ** " kmg".index(match.group(2).lower() or " ")
    if size == 0:
        raise ValueError("a size of 0 means 'no limit' to Nginx and 'nothing' to Flask")
    return size


def contains(outer: str, inner: str) -> bool:
    """Whether ``inner`` is ``outer`` or lies in it; both absolute paths or URL prefixes."""
    outer_parts = [part for part in outer.split("/") if part]
    inner_parts = [part for part in inner.split("/") if part]
    return inner_parts[: len(outer_parts)] == outer_parts


def overlap(one: str, other: str) -> bool:
    """Whether two paths or URL prefixes are equal or nested."""
    return contains(one, other) or contains(other, one)


def path_problem(variable: str, value: str) -> Problem | None:
    """Return what is wrong with how a path on the host is written, if anything is."""
    if not value.startswith("/"):
        reason = "a relative path means another place to each program"
        remedy = "Write an absolute path, beginning with '/'"
    elif not SAFE_PATH.match(value):
        reason = "it has a character that systemd, a shell or Nginx reads as something else"
        remedy = "Write letters, digits, and any of '. _ - + @ :'"
    elif value != "/" and posixpath.normpath(value) != value.rstrip("/"):
        reason = "it is not written in its plain form"
        remedy = f"Write {posixpath.normpath(value)!r}"
    else:
        return None
    return Problem(variable, value, reason, remedy)


def url_problem(variable: str, value: t.Any) -> Problem | None:
    if value == "/":
        reason, remedy = (
            "it would take every request from the app",
            "Write a prefix such as '/media/'",
        )
    elif not isinstance(value, str) or not value.startswith("/") or not value.endswith("/"):
        # A missing slash lets a location match its siblings: https://nginx.org/en/docs/http/ngx_http_core_module.html#alias
        reason = "a prefix begins and ends with a slash"
        remedy = f"Write {'/' + str(value).strip('/') + '/'!r}"
    elif not SAFE_URL.match(value) or ".." in value.split("/") or "." in value.split("/"):
        reason = "Nginx compares prefixes with the decoded and normalised path"
        remedy = (
            "Write letters, digits, and any of '. _ - ~' between single slashes, such as '/media/'"
        )
    elif any(part.startswith(".") for part in value.split("/")):
        reason, remedy = (
            "names with a leading dot are not served",
            "Write a prefix such as '/media/'",
        )
    else:
        return None
    return Problem(variable, value, reason, remedy)


def public(prefix: str, url: str) -> str:
    """Return where the public finds what the app itself has at ``url``."""
    return prefix + url.lstrip("/")


def upstream(bind: str) -> str:
    """Return the app as https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass names it."""
    return f"http://{bind}" + (":" if bind.startswith("unix:") else "")


def size_or_none(value: t.Any) -> int | None:
    try:
        return None if value is None else parse_size(value)
    except ValueError:
        return None
