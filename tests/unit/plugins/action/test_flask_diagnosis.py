"""The action as Ansible runs it: what it refuses before it asks the host anything."""

from __future__ import annotations

import typing as t
from pathlib import Path
from unittest import mock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.flaskworks.static_media.plugins.action import flask_diagnosis


def run(directory: Path, **arguments: t.Any) -> dict[str, t.Any]:
    task = mock.MagicMock(check_mode=False, async_val=0)
    task.args = {"directory": str(directory), **arguments}
    parts = {
        name: mock.MagicMock()
        for name in ("connection", "play_context", "loader", "templar", "shared_loader_obj")
    }
    action = flask_diagnosis.ActionModule(task=task, **parts)
    action._execute_module = mock.MagicMock(return_value={"failed": True, "msg": "no Python"})
    try:
        return action.run(task_vars={"inventory_hostname": "web1"})
    finally:
        asked = action._execute_module.call_count
        assert asked == (0 if "domains" in arguments else 1)


@pytest.mark.parametrize("name", ['["www.example.com"]', "https://www.example.com", "a b", ""])
def test_what_is_no_host_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnsibleActionFail, match="flask_site_domains"):
        run(tmp_path, domains=[name])


def test_a_host_that_can_not_be_asked_is_told_of(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result["failed"]
    assert "no Python" in result["msg"]
    assert list(tmp_path.iterdir()) == []
