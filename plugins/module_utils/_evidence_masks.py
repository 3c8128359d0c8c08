# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What must not be told of what a host answers: cookies, queries, and what a leaked file holds."""

from __future__ import annotations

import re

MASK = "***"

_QUERY = re.compile(r"\?[^\s\"'<>,]+")
_CREDENTIALS = re.compile(r"(//)[^/\s:@\"']*:[^/\s@\"']+@")
_SECRET_HEADERS = re.compile(
    r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization|x-[\w-]*(?:key|token|secret))(\s*:\s*)[^\"\r\n]+"
)
_COOKIE_VALUE = re.compile(r"^([^=;]*=)[^;]*")
_KEY = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
# NAME=value of an env file, a module or an INI file; in YAML, only of names that tell of a secret.
_ASSIGNED = re.compile(r"(?m)^([ \t]*(?:export[ \t]+)?[A-Za-z_][\w.\[\]'\"-]*[ \t]*=[ \t]*)\S.*$")
_SECRET_NAMES = re.compile(
    r"(?im)([\w.-]*(?:secret|passw|token|api_?key|credential|private|dsn|database_ur[il])[\w.-]*[\"']?\s*[:=]\s*)[^\s,;}][^\r\n,;}]*"
)
_SECRET_OPTIONS = re.compile(r"(?i)((?:pass(?:word)?\d?|user(?:name)?|cred(?:entials)?|secret)=).+")


def log_line(line: str) -> str:
    """Return a line of a log without the queries, cookies and credentials in it."""
    line = _SECRET_HEADERS.sub(rf"\1\2{MASK}", line)
    line = _CREDENTIALS.sub(rf"\1{MASK}@", line)
    return _QUERY.sub(f"?{MASK}", line)


def header(name: str, value: str) -> str:
    """Return a header's value without a cookie's or a credential's."""
    if name.lower() == "set-cookie":
        return _COOKIE_VALUE.sub(rf"\g<1>{MASK}", value)
    if _SECRET_HEADERS.match(f"{name}: -"):
        return MASK
    return _CREDENTIALS.sub(rf"\1{MASK}@", value)


def body(text: str) -> str:
    """Return the beginning of a body without the secrets of a file that should not be served."""
    text = _KEY.sub(rf"\1{MASK}", text)
    text = _CREDENTIALS.sub(rf"\1{MASK}@", text)
    text = _ASSIGNED.sub(rf"\g<1>{MASK}", text)
    return _SECRET_NAMES.sub(rf"\g<1>{MASK}", text)


def mount_option(text: str) -> str:
    """Return a mount option without the name or password for a network file system."""
    return _SECRET_OPTIONS.sub(rf"\g<1>{MASK}", text)


def source(text: str) -> str:
    """Return what is mounted without a password in it."""
    return _CREDENTIALS.sub(rf"\1{MASK}@", text)
