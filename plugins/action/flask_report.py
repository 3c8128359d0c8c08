# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_report``: see the module of that name for its documentation."""

from __future__ import annotations

import datetime
import typing as t

from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report_task,
    _verify,
)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Judge, print, write, and fail by the severity of what is found."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "settings": {"type": "dict", "required": True},
                "app_access": {"type": "list", "elements": "dict", "required": True},
                "nginx_access": {"type": "list", "elements": "dict", "required": True},
                "static_access": {"type": "list", "elements": "dict", "required": True},
                "canary": {"type": "dict", "required": True},
                "private_canaries": {"type": "list", "elements": "dict", "default": []},
                "private_access": {"type": "list", "elements": "dict", "default": []},
                "static": {"type": "dict", "required": True},
                "site": {"type": "dict", "required": True},
                "storage": {"type": "dict", "required": True},
                "responses": {"type": "list", "elements": "dict", "required": True},
                **_report_task.ARGUMENTS,
            }
        )
        if self._task.check_mode:
            return {
                **result,
                "changed": False,
                "msg": "Check mode makes no requests: nothing was verified.",
            }
        earlier = _report_task.earlier(arguments["baseline"])
        proof = _verify.Proof(arguments)
        proof.judge()
        host = (task_vars or {})["inventory_hostname"]
        judged = proof.report(host, datetime.datetime.now(datetime.timezone.utc))
        published = _report_task.publish(judged, earlier, arguments)
        return {**result, "changed": False, **published}
