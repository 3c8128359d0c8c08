# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.module_utils import _signed_url


def signed_url(
    url: object, key: object, expires_seconds: object = None, expires_at: object = None
) -> str:
    if not isinstance(url, str) or not isinstance(key, str):
        raise AnsibleFilterError("signed_url takes a URL and a key, both strings.")
    if (expires_seconds is None) == (expires_at is None):
        raise AnsibleFilterError(
            "signed_url: write either expires_seconds, from now, or expires_at, since 1970."
        )
    if expires_at is None:
        moment = int(time.time()) + _whole("expires_seconds", expires_seconds)
    else:
        moment = _whole("expires_at", expires_at)
    try:
        return _signed_url.signed_url(url, key, moment)
    except _signed_url.SignedUrlError as error:
        raise AnsibleFilterError(f"signed_url: {error}") from error


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).isdecimal():
        raise AnsibleFilterError(f"signed_url: {name} is {value!r}. Write a whole number.")
    return int(value)


class FilterModule:
    """URLs of signed media areas."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"signed_url": signed_url}
