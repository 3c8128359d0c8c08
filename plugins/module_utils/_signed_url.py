# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""URLs that Nginx takes until they expire: https://nginx.org/en/docs/http/ngx_http_secure_link_module.html."""

from __future__ import annotations

import base64
import hashlib
import re
import urllib.parse

# What Nginx, a shell and systemd read as itself in any place; base64 and hexadecimal are of these.
KEY = re.compile(r"[A-Za-z0-9+/=_.~-]+\Z")
KEY_MIN_LENGTH = 32
KEY_MAX_LENGTH = 256

ORIGIN = re.compile(r"https?://[^/?#\s]+(?=/)")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SignedUrlError(ValueError):
    """Something of which no URL can be made. Never shows the key."""


def key_fault(key: str) -> str | None:
    """Return why this can't be the key, or ``None``."""
    if not KEY_MIN_LENGTH <= len(key) <= KEY_MAX_LENGTH:
        return (
            f"it has {len(key)} characters, and a key is found by trying where it is short: from "
            f"{KEY_MIN_LENGTH} to {KEY_MAX_LENGTH} are taken"
        )
    if not KEY.match(key):
        return "it has a character that Nginx or the env file could read as something else"
    return None


def signed_url(url: str, key: str, expires_at: int) -> str:
    """Return the URL by which a file of a signed area can be read until then.

    :param url: the file's, with or without scheme and host; its path as it is on disk, not
        percent-encoded.
    :param expires_at: seconds since 1970.
    :raises SignedUrlError: when Nginx would never take the URL.
    """
    fault = key_fault(key)
    if fault:
        raise SignedUrlError(f"The key can't be used: {fault}.")
    if expires_at < 1:
        raise SignedUrlError(f"It would expire at {expires_at}, before there was time to count.")
    origin = ORIGIN.match(url)
    path = url[origin.end() :] if origin else url
    _check_path(path)
    # Nginx signs $uri, which is decoded: src/http/modules/ngx_http_secure_link_module.c
    text = f"{expires_at}{path} {key}".encode()
    digest = hashlib.md5(text, usedforsecurity=False).digest()
    md5 = base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
    quoted = urllib.parse.quote(path)
    return f"{origin[0] if origin else ''}{quoted}?md5={md5}&expires={expires_at}"


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise SignedUrlError(
            f"{path!r} is no path of a site. Write one such as '/shared/report.pdf'."
        )
    if CONTROL.search(path):
        raise SignedUrlError(f"{path!r} has a control character. Give the file another name.")
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SignedUrlError(f"{path!r} can't be written as UTF-8.") from error
    # Nginx brings a path into its plain form before it looks at the signature.
    if any(part in ("", ".", "..") for part in path[1:].split("/")[:-1]) or path.endswith(
        ("/.", "/..")
    ):
        raise SignedUrlError(f"{path!r} has an empty part, '.' or '..'. Write the plain path.")
