# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError


def limit_apps(apps: object, limit: object = None) -> list[dict[str, t.Any]]:
    if not isinstance(apps, (list, tuple)) or not all(isinstance(app, dict) for app in apps):
        raise AnsibleFilterError(
            f"flask_apps: {apps!r} is no list of descriptions; nothing was changed. Write one such as "
            '[{"flask_app_name": "gallery", "flask_app_source": "/path"}].'
        )
    names = [app.get("flask_app_name") for app in apps]
    if not all(isinstance(name, str) for name in names):
        nameless = apps[[isinstance(name, str) for name in names].index(False)]
        raise AnsibleFilterError(
            f"flask_apps: {nameless!r} has no name; nothing was changed. Add a flask_app_name to it."
        )
    wanted = limit.split(",") if isinstance(limit, str) else limit
    if wanted is None:
        return list(apps)
    if not isinstance(wanted, (list, tuple)) or not set(wanted) <= set(names):
        raise AnsibleFilterError(
            f"flask_apps_limit: {limit!r} names no app of flask_apps; nothing was changed. "
            f"Write names of {', '.join(map(str, names)) or 'apps that are there: there is none'}."
        )
    return [app for app in apps if app["flask_app_name"] in wanted]


class FilterModule:
    """Filter of the playbooks."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"limit_apps": limit_apps}
