# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_report``: see the module of that name for its documentation."""

from __future__ import annotations

import datetime
import sys
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report,
    _report_drift,
    _report_files,
    _report_text,
    _verify,
)

display = Display()


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
                "directory": {"type": "path", "required": True},
                "baseline": {"type": "path"},
                "fail_on": {"type": "str", "choices": [*_report.FAIL_ON], "default": "error"},
            }
        )
        if self._task.check_mode:
            return {
                **result,
                "changed": False,
                "msg": "Check mode makes no requests: nothing was verified.",
            }
        earlier = _earlier(arguments["baseline"])
        proof = _verify.Proof(arguments)
        proof.judge()
        host = (task_vars or {})["inventory_hostname"]
        judged = proof.report(host, datetime.datetime.now(datetime.timezone.utc))
        report, drift = _report_files.finished(judged, earlier, arguments["baseline"])
        files = _report_files.place(arguments["directory"], host, report["app"])
        _report_files.write(report, files, arguments["fail_on"])
        paths = [str(path) for path in (files.html, files.json, files.junit)]
        display.display(_report_text.summary(report, paths, _width()))
        if _report.fails(report, arguments["fail_on"]):
            result.update(failed=True, msg=_report.failure(report, paths[0]))
        return {
            **result,
            "changed": False,
            "findings": [found["id"] for found in report["findings"]],
            "path": str(files.json),
            "html_path": str(files.html),
            "junit_path": str(files.junit),
            "drift": drift,
        }


def _earlier(path: str | None) -> dict[str, t.Any] | None:
    try:
        return _report_drift.load(path) if path else None
    except _report_drift.BaselineError as error:
        raise AnsibleActionFail(str(error)) from error


def _width() -> int:
    # Of a log, Ansible takes it to be 79.
    return display.columns if sys.stdout.isatty() else _report_text.WIDEST
