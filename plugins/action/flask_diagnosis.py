# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_diagnosis``: see the module of that name for its documentation."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis,
    _diagnosis_report,
    _report_task,
)

# As in server_name, patterns but for regular expressions
DOMAIN = re.compile(r"(?:\*\.)?[\w-]+(?:\.[\w-]+)*(?:\.\*)?")
# Options, and what the diagnosis calls them.
HINTS = {
    "callable": "callable",
    "virtualenv": "virtualenv",
    "user": "user",
    "app_directory": "directory",
    "domains": "domains",
}


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
                **_report_task.ARGUMENTS,
            }
        )
        for name in arguments["domains"]:
            if not DOMAIN.fullmatch(name):
                raise AnsibleActionFail(
                    f"domains has {name!r}, which is no host name. Write flask_site_domains as a list, such as "
                    """-e '{"flask_site_domains": ["www.example.com"]}'."""
                )
        variables = task_vars or {}
        # Refused before the host is asked anything.
        earlier = _report_task.earlier(arguments["baseline"])

        def ask(name: str, options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
            answer: dict[str, t.Any] = self._execute_module(
                module_name=f"flaskworks.static_media.{name}",
                module_args=dict(options),
                task_vars=variables,
            )
            return answer

        hints = {hint: arguments[option] for option, hint in HINTS.items() if arguments[option]}
        try:
            found = _diagnosis.run(ask, hints)
        except _diagnosis.AskError as error:
            return {**result, "failed": True, "msg": f"The host could not be asked: {error}"}
        host, now = variables["inventory_hostname"], datetime.datetime.now(datetime.timezone.utc)
        sites = []
        for site in found:
            judged = _diagnosis_report.stamped(site, host, now)
            is_same = earlier is not None and (len(found) == 1 or site["app"] == earlier["app"])
            sites.append(_report_task.publish(judged, earlier if is_same else None, arguments))
        failures = [site.pop("msg") for site in sites if site.pop("failed", False)]
        if failures:
            result.update(failed=True, msg=" ".join(failures))
        return {**result, "changed": False, "sites": sites}
