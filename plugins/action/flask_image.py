# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Control-node part of ``flask_image``: see the module of that name for its documentation."""

from __future__ import annotations

import os
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _source


class ActionModule(ActionBase):  # type: ignore[misc]
    """Pack the source on the control node, and send it only where it is not built yet."""

    TRANSFERS_FILES = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None
    ) -> dict[str, t.Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("source") is None:
            return self._module(arguments, task_vars)

        text = arguments["source"]
        try:
            source = _source.identify_context(text)
        except _source.SourceError as error:
            raise AnsibleActionFail(f'flask_app_source is "{text}": {error}') from error
        arguments["source"] = source.ref or source.location
        arguments["fingerprint"] = source.fingerprint
        result = self._module(arguments, task_vars)
        if not result.get("archive_needed"):
            return result
        with tempfile.TemporaryDirectory() as directory:
            try:
                archive = str(source.pack(directory))
            except _source.SourceError as error:
                raise AnsibleActionFail(f'flask_app_source is "{text}": {error}') from error
            remote_directory = self._make_tmp_path()
            remote = self._connection._shell.join_path(remote_directory, os.path.basename(archive))
            self._transfer_file(archive, remote)
            self._fixup_perms2((remote_directory, remote))
            try:
                return self._module({**arguments, "archive": remote}, task_vars)
            finally:
                self._remove_tmp_path(remote_directory)

    def _module(
        self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None
    ) -> dict[str, t.Any]:
        result: dict[str, t.Any] = self._execute_module(
            module_name="flaskworks.static_media.flask_image",
            module_args=arguments,
            task_vars=task_vars,
        )
        return result
