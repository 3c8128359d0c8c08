# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify


class FilterModule:
    """Filters of the role flask_verify."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"verify_requests": _verify.uri_requests}
