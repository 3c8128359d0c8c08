# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``nginx_routes_info``: see the module of that name for its documentation."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _nginx_config,
    _nginx_urls,
)

_COLLECTION = "flaskworks.static_media"


class ActionModule(ActionBase):  # type: ignore[misc]
    """Ask the host what is there, and conclude here."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            argument_spec={
                "urls": {"type": "list", "elements": "str", "required": True},
                "host": {"type": "str"},
                "address": {"type": "str"},
                "port": {"type": "int"},
                "nginx": {"type": "dict"},
            }
        )
        nginx = arguments["nginx"]
        if nginx is None:
            nginx = self._ask("nginx_config_info", {}, task_vars)["nginx"]
        if not nginx.get("files"):
            raise AnsibleActionFail("There is no configuration of an Nginx on this host.")
        try:
            config = _nginx_config.load_answer(nginx)
            questions = [
                _nginx_urls.question(url, arguments["host"], arguments["port"])
                for url in arguments["urls"]
            ]
        except (_nginx_config.ParserMissing, _nginx_urls.UrlError) as error:
            raise AnsibleActionFail(str(error)) from error

        def ask(paths: list[str]) -> dict[str, str | None]:
            asked = {
                "user": nginx.get("worker_user") or config.user or "nobody",
                "paths": [_nginx_urls.access_question(path) for path in paths],
            }
            # A worker sees what its master does: a container's files, PrivateTmp=.
            if nginx.get("master_pid"):
                asked["process_id"] = nginx["master_pid"]
            answers = self._ask("path_access_info", asked, task_vars)["paths"]
            return dict(zip(paths, map(_nginx_urls.kind, answers)))

        routes = _nginx_urls.routes(config, questions, arguments["address"], ask)
        problems = [
            {"message": one.message, "defined_at": f"{one.file}:{one.line}"}
            for one in config.problems
        ]
        return {**result, "changed": False, "routes": routes, "problems": problems}

    def _ask(
        self, name: str, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        answer: dict[str, t.Any] = self._execute_module(
            module_name=f"{_COLLECTION}.{name}", module_args=arguments, task_vars=task_vars
        )
        if answer.get("failed"):
            raise AnsibleActionFail(f"{name}: {answer.get('msg', answer)}")
        return answer
