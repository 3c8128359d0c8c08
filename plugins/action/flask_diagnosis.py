# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_diagnosis``: see the module of that name for its documentation."""

from __future__ import annotations

import datetime
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.flaskworks.static_media.plugins.action import flask_report
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis,
    _diagnosis_report,
    _report,
    _report_text,
)

display = Display()

HINTS = ("callable", "virtualenv", "user", "app_directory", "domains")


class ActionModule(ActionBase):  # type: ignore[misc]
    """Ask the host by modules, judge, print, write, and fail by the severity of what is found."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "callable": {"type": "str"},
                "virtualenv": {"type": "path"},
                "user": {"type": "str"},
                "app_directory": {"type": "path"},
                "domains": {"type": "list", "elements": "str", "default": []},
                "directory": {"type": "path", "required": True},
                "baseline": {"type": "path"},
                "fail_on": {"type": "str", "choices": [*_report.FAIL_ON], "default": "error"},
            }
        )
        variables = task_vars or {}
        earlier = flask_report.earlier_report(arguments["baseline"])

        def ask(name: str, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
            answer: dict[str, t.Any] = self._execute_module(
                module_name=f"flaskworks.static_media.{name}",
                module_args=dict(options),
                task_vars=variables,
            )
            return answer

        hints = {key: arguments[key] for key in HINTS if arguments[key]}
        host, now = variables["inventory_hostname"], datetime.datetime.now(datetime.timezone.utc)
        paths, findings, failures = [], [], []
        for found in _diagnosis.run(ask, hints):
            judged = _diagnosis_report.stamped(found, host, now)
            report, _drift = flask_report.finished(judged, earlier, arguments["baseline"])
            files = _report.files(arguments["directory"], host, report["app"])
            flask_report.write(report, files, arguments["fail_on"])
            shown = [str(path) for path in (files.html, files.json, files.junit)]
            display.display(_report_text.summary(report, shown, flask_report.width()))
            paths.append(str(files.json))
            findings += [finding["id"] for finding in report["findings"]]
            if _report.fails(report, arguments["fail_on"]):
                failures.append(_report.failure(report, shown[0]))
        if failures:
            result.update(failed=True, msg=" ".join(failures))
        return {**result, "changed": False, "findings": findings, "paths": paths}
