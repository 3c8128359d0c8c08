"""One judge that fails costs its own judgement, and no report."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnose_alias,
    _diagnosis,
)

from tests.unit import diagnosis


def ask(module: str, arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Answer as a host whose answers are all unseen."""
    if module == "nginx_config_info":
        files = {
            diagnosis.NGINX["conf_file"]: f"events {{}}\nhttp {{\n include {diagnosis.CONF};\n}}\n",
            diagnosis.CONF: diagnosis.SITE,
        }
        shown = [{"path": path, "content": content} for path, content in files.items()]
        return {"nginx": {**diagnosis.NGINX, "files": shown}}
    if module == "flask_process_info":
        return {"processes": [{**diagnosis.PROCESS, "loader": "gunicorn", "python_path": []}]}
    if module == "flask_app_info":
        return {"asked": True, "app": diagnosis.APP}
    asked = [one for questions in arguments["questions"].values() for one in questions]
    return {"answers": {one["id"]: {"unseen": "out of time"} for one in asked}, "unseen": []}


@pytest.mark.parametrize("name", ["looks", "questions", "judge"])
def test_a_judge_that_fails_is_unseen_and_the_rest_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = _diagnosis.run(ask, is_strict=True)
    assert any(check["status"] == "pass" for check in whole["checks"])

    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise TypeError("SECRET_KEY=hunter2")

    monkeypatch.setattr(_diagnose_alias, name, fail, raising=False)
    (report,) = _diagnosis.run(ask)
    (line,) = [line for line in report["unseen"] if "alias" in line]
    assert "TypeError at test_diagnosis.py" in line and "hunter2" not in str(report)
    assert report["findings"] == whole["findings"]
    assert not any(check["status"] == "pass" for check in report["checks"])


def test_an_answer_that_makes_no_sense_costs_no_report() -> None:
    senseless = {**diagnosis.APP, "mounts": [{"url": None, "folder": 1}], "rules": [None]}

    def odd(module: str, arguments: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        answer = ask(module, arguments)
        return {**answer, "app": senseless} if module == "flask_app_info" else answer

    (report,) = _diagnosis.run(odd)
    assert any("Please report it" in line for line in report["unseen"])
    assert report["app"] == "gallery" and not report["checks"]


def test_a_judge_that_fails_is_an_error_to_the_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise TypeError

    monkeypatch.setattr(_diagnose_alias, "judge", fail)
    with pytest.raises(TypeError):
        _diagnosis.run(ask, is_strict=True)


def test_what_another_users_process_names_is_not_run_as_the_user_told() -> None:
    case = diagnosis.case(process={"user": "mallory"}, hints={"user": "gallery"})
    question, reason = _diagnosis.app_question(case)
    assert question is None and "runs as mallory, not as gallery" in str(reason)
    told = {"user": "gallery", "callable": "wsgi:app", "virtualenv": "/opt/gallery/venv"}
    case = diagnosis.case(process={"user": "mallory", "cwd": "/home/mallory"}, hints=told)
    assert _diagnosis.app_question(case) == (told, None)
