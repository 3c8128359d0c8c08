"""The module as Ansible runs it: who may read, and what it never says."""

from __future__ import annotations

import grp
import json
import os
import typing as t
from pathlib import Path

import pytest

Module = t.Callable[..., dict[str, t.Any]]

GROUP = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.fixture
def arguments(etc: Path) -> dict[str, str]:
    return {
        "path": str(etc / "secret_key"),
        "env_file": str(etc / "secret_key.env"),
        "name": "FLASK_SECRET_KEY",
        "group": GROUP,
    }


def modes(etc: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in etc.iterdir()}


def test_the_key_is_made_once_and_not_told(
    run_module: Module, arguments: dict[str, str], etc: Path
) -> None:
    checked = run_module("flask_secret_key", check=True, **arguments)
    assert (checked["changed"], list(etc.iterdir())) == (True, [])
    answer = run_module("flask_secret_key", **arguments)
    key = (etc / "secret_key").read_text().strip()
    assert answer["written"] == checked["written"] == [arguments["path"], arguments["env_file"]]
    assert key not in json.dumps([answer, checked])
    assert modes(etc) == {"secret_key": 0o600, "secret_key.env": 0o640}
    assert run_module("flask_secret_key", **arguments)["changed"] is False


def test_modes_are_mended(run_module: Module, arguments: dict[str, str], etc: Path) -> None:
    run_module("flask_secret_key", **arguments)
    for path in etc.iterdir():
        path.chmod(0o644)
    assert run_module("flask_secret_key", check=True, **arguments)["changed"]
    assert set(modes(etc).values()) == {0o644}
    assert run_module("flask_secret_key", **arguments)["changed"]
    assert modes(etc) == {"secret_key": 0o600, "secret_key.env": 0o640}


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A\nB"])
def test_what_is_no_name_is_refused(
    run_module: Module, arguments: dict[str, str], etc: Path, name: str
) -> None:
    answer = run_module("flask_secret_key", **{**arguments, "name": name})
    assert answer["failed"]
    assert "FLASK_SECRET_KEY" in answer["msg"]
    assert list(etc.iterdir()) == []


def test_an_empty_key_is_refused(run_module: Module, arguments: dict[str, str], etc: Path) -> None:
    (etc / "secret_key").touch()
    answer = run_module("flask_secret_key", **arguments)
    assert "Restore it" in answer["msg"]


def test_a_directory_that_is_not_there_is_named(
    run_module: Module, arguments: dict[str, str]
) -> None:
    answer = run_module("flask_secret_key", **{**arguments, "path": "/nowhere/secret_key"})
    assert answer["failed"]
    assert "/nowhere" in answer["msg"]
