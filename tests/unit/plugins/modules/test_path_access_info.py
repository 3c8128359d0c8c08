"""The module as Ansible runs it: what it refuses, and the form of its answer."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.modules import path_access_info

Module = t.Callable[..., dict[str, t.Any]]

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.mark.parametrize("path", ["media", "media/x"])
def test_a_relative_path_is_refused(run_module: Module, path: str) -> None:
    answer = run_module("path_access_info", user="nobody", paths=[{"path": path}])
    assert "relative path" in answer["msg"]
    assert path in answer["msg"]


def test_an_unknown_want_is_refused(run_module: Module) -> None:
    answer = run_module("path_access_info", user="nobody", paths=[{"path": "/", "want": ["fly"]}])
    assert "fly" in answer["msg"]


def test_an_unknown_user_is_refused_but_for_check_mode(run_module: Module) -> None:
    question = {"user": "no-such-user", "paths": [{"path": "/"}]}
    assert "no user 'no-such-user'" in run_module("path_access_info", **question)["msg"]
    answer = run_module("path_access_info", check=True, **question)
    assert (answer["asked"], answer["paths"], answer["changed"]) == (False, [], False)


def test_a_process_that_is_gone_is_refused(run_module: Module) -> None:
    # Above the largest that Linux gives away
    answer = run_module("path_access_info", user="nobody", paths=[], process_id=2**22 + 1)
    assert "can't be entered" in answer["msg"]


@pytest.mark.parametrize("check", [False, True])
def test_the_answer_has_what_the_documentation_promises(
    run_module: Module, open_directory: Path, check: bool
) -> None:
    (open_directory / "upload").touch(mode=0o600)
    answer = run_module(
        "path_access_info",
        check=check,
        user="nobody",
        paths=[
            {"path": str(open_directory), "want": ["traverse", "write"]},
            {"path": str(open_directory), "want": ["list"]},
        ],
        sample_files=3,
    )
    assert (answer["changed"], answer["asked"]) == (False, True)
    closed, open_ = answer["paths"]
    documented = yaml.safe_load(path_access_info.RETURN)["paths"]["contains"]
    assert closed.keys() == open_.keys() == documented.keys()
    for part in ("blocked_by", "filesystem", "samples"):
        assert closed[part].keys() == documented[part]["sample"].keys()
    (sample,) = closed["samples"]["unreadable"]
    assert sample.keys() == documented["samples"]["sample"]["unreadable"][0].keys()
    assert closed["missing"] == ["write"]
    assert (open_["allowed"], open_["blocked_by"]) == (True, None)
