# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.module_utils import _quote


def nginx_quote(value: object, regex: bool = False) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise AnsibleFilterError(
            f"nginx_quote takes a string or a whole number, not {value!r} ({type(value).__name__})."
        )
    try:
        return _quote.nginx_word(str(value), regex=regex)
    except _quote.QuoteError as error:
        raise AnsibleFilterError(f"nginx_quote: {error}") from error


class FilterModule:
    """Quoting for Nginx configuration."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"nginx_quote": nginx_quote}
