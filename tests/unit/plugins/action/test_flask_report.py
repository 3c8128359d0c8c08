"""The action as Ansible runs it: what it writes, says and returns, and when it fails."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.flaskworks.static_media.plugins.action import flask_report
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_task

from tests.unit.plugins.plugin_utils.test_verify import MEDIA, healthy

MIB = 1 << 20


def broken() -> dict[str, t.Any]:
    evidence = healthy()
    evidence["canary"] = {
        "written": False,
        "reason": "not-writable",
        "component": MEDIA,
        "errno": 13,
        "strerror": "Permission denied",
        "name": "x",
        "size": 0,
    }
    return evidence


def nearly_full() -> dict[str, t.Any]:
    evidence = healthy()
    evidence["storage"]["filesystems"][0]["free_bytes"] = 4 * MIB
    return evidence


class Shown(list[str]):
    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    said = Shown()
    monkeypatch.setattr(_report_task.display, "display", said.append)
    return said


def run(
    evidence: t.Mapping[str, t.Any], directory: Path, *, check: bool = False, **arguments: t.Any
) -> dict[str, t.Any]:
    task = mock.MagicMock(check_mode=check, async_val=0)
    task.args = {"static_access": [], **evidence, "directory": str(directory), **arguments}
    parts = {
        name: mock.MagicMock()
        for name in ("connection", "play_context", "loader", "templar", "shared_loader_obj")
    }
    action = flask_report.ActionModule(task=task, **parts)
    return action.run(task_vars={"inventory_hostname": "web1"})


def test_a_report_is_written_in_all_its_forms(tmp_path: Path, shown: Shown) -> None:
    result = run(healthy(), tmp_path / "report")
    assert not result.get("failed")
    assert (result["findings"], result["drift"]) == ([], None)
    names = ("web1-gallery.html", "web1-gallery.json", "web1-gallery.xml")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == list(names)
    assert json.loads(Path(result["path"]).read_text())["ok"] is True
    assert "<!doctype html>" in Path(result["html_path"]).read_text()
    assert ElementTree.parse(result["junit_path"]).getroot().tag == "testsuites"
    assert f"Report: {result['html_path']}" in shown.text


def test_others_read_no_report(tmp_path: Path, shown: Shown) -> None:
    for mask, mode in ((0o022, 0o640), (0o077, 0o600)):
        former = os.umask(mask)
        try:
            result = run(healthy(), tmp_path)
        finally:
            os.umask(former)
        for key in ("path", "html_path", "junit_path"):
            assert os.stat(result[key]).st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("evidence", "fail_on", "failed"),
    [
        (healthy(), "warning", False),
        (nearly_full(), "error", False),
        (nearly_full(), "warning", True),
        (nearly_full(), "never", False),
        (broken(), "error", True),
        (broken(), "warning", True),
        (broken(), "never", False),
    ],
)
def test_it_fails_by_severity(
    tmp_path: Path, shown: Shown, evidence: dict[str, t.Any], fail_on: str, failed: bool
) -> None:
    result = run(evidence, tmp_path, fail_on=fail_on)
    assert bool(result.get("failed")) is failed
    report = json.loads(Path(result["path"]).read_text())
    assert [one["id"] for one in report["findings"]] == result["findings"]
    assert all(found in shown.text for found in result["findings"])
    if failed:
        assert result["msg"].startswith("Not as described: ")
        assert result["msg"].endswith(f"See {result['html_path']}")


def test_the_default_is_to_fail_for_errors(tmp_path: Path, shown: Shown) -> None:
    assert run(broken(), tmp_path)["failed"] is True
    assert not run(nearly_full(), tmp_path).get("failed")


def test_it_tells_what_has_changed_since_the_last_run(tmp_path: Path, shown: Shown) -> None:
    path = Path(run(healthy(), tmp_path)["path"])
    # It is read before it is replaced.
    result = run(broken(), tmp_path, baseline=str(path))
    assert [one["id"] for one in result["drift"]["findings"]["new"]] == result["findings"]
    assert json.loads(path.read_text())["drift"] == result["drift"]
    assert "Since " in Path(result["html_path"]).read_text()
    assert "+ new: " in shown.text


def test_what_is_no_report_is_refused(tmp_path: Path, shown: Shown) -> None:
    with pytest.raises(AnsibleActionFail, match=r"flask_verify_baseline.*no such file"):
        run(healthy(), tmp_path, baseline=str(tmp_path / "none.json"))
    assert not list(tmp_path.iterdir())


def test_check_mode_judges_nothing(tmp_path: Path, shown: Shown) -> None:
    assert "nothing was verified" in run(broken(), tmp_path, check=True)["msg"]
    assert not list(tmp_path.iterdir()) and not shown


def test_what_a_killed_run_left_is_in_nobodys_way(tmp_path: Path, shown: Shown) -> None:
    half = tmp_path / ".web1-gallery.json.new"
    half.write_text("{")
    half.chmod(0o666)
    run(healthy(), tmp_path)
    assert not half.exists()
