# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_report``: see the module of that name for its documentation."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Judge, print, write, and fail when a check fails."""

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
                "directory": {"type": "path", "required": True},
            }
        )
        if self._task.check_mode:
            return {
                **result,
                "changed": False,
                "msg": "Check mode makes no requests: nothing was verified.",
            }
        proof = _verify.Proof(arguments)
        proof.judge()
        host = (task_vars or {})["inventory_hostname"]
        report = proof.report(host, datetime.datetime.now(datetime.timezone.utc))
        path = pathlib.Path(arguments["directory"]).absolute() / f"{host}-{report['app']}.json"
        _write(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        display.display(_verify.summary(report, str(path)))
        failed = [check["title"] for check in report["checks"] if check["status"] == "fail"]
        if failed:
            result.update(failed=True, msg="Not as described: " + "; ".join(failed))
        findings = [found["id"] for found in report["findings"]]
        return {**result, "changed": False, "findings": findings, "path": str(path)}


def _write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
