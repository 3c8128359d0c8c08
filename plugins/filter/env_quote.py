# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.module_utils import _quote


def env_quote(value: object) -> str:
    try:
        return _quote.env_value(value if isinstance(value, str) else json.dumps(value))
    except TypeError as error:
        raise AnsibleFilterError(
            f"env_quote takes a string or what JSON has, not a {type(value).__name__}."
        ) from error
    except _quote.QuoteError as error:
        raise AnsibleFilterError(f"env_quote: {error}") from error


class FilterModule:
    """Quoting for env files."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"env_quote": env_quote}
