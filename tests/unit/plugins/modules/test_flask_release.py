"""The module as Ansible runs it: what it refuses, and that check mode changes nothing."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import Releases

Module = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three releases, deployed in order."""
    root = tmp_path / "root"
    for name in ("aaa", "bbb", "ccc"):
        (root / "releases" / name).mkdir(parents=True)
        Releases(str(root)).write_record(name, {"id": name, "deployed": None})
        Releases(str(root)).switch(name, is_deploy=True)
    return root


def tree(root: Path) -> list[tuple[str, str]]:
    return sorted(
        (str(path), path.read_text() if path.is_file() else "") for path in root.rglob("*")
    )


def test_previous_is_found(run_module: Module, root: Path) -> None:
    answer = run_module("flask_release", state="found", root=str(root), id="previous")
    assert (answer["id"], answer["previous"], answer["changed"]) == ("bbb", "ccc", False)
    assert answer["path"] == f"{root}/releases/bbb"


@pytest.mark.parametrize("state", ["found", "current"])
def test_an_unknown_release_is_refused_with_the_list(
    run_module: Module, root: Path, state: str
) -> None:
    answer = run_module("flask_release", state=state, root=str(root), id="zzz")
    assert answer["failed"]
    for name in ("zzz is not there", "  aaa  deployed", "  ccc  deployed"):
        assert name in answer["msg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"state": "current"}, "id"),
        ({"state": "found"}, "id"),
        ({"state": "built"}, "source"),
        ({"state": "pruned", "keep_releases": -1}, "Write 0 or more"),
    ],
)
def test_what_is_missing_is_named(
    run_module: Module, root: Path, arguments: dict[str, t.Any], words: str
) -> None:
    answer = run_module("flask_release", root=str(root), **arguments)
    assert answer["failed"]
    assert words in answer["msg"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"state": "current", "id": "aaa"},
        {"state": "current", "id": "not-yet-built"},
        {"state": "current", "id": "previous", "rollback": True},
        {"state": "pruned", "keep_releases": 0},
        {"state": "built", "id": "ddd", "source": "x", "requirement": "x", "user": "nobody"},
    ],
)
def test_check_mode_tells_and_changes_nothing(
    run_module: Module, root: Path, arguments: dict[str, t.Any]
) -> None:
    before = tree(root)
    answer = run_module("flask_release", check=True, root=str(root), **arguments)
    assert answer["changed"]
    assert answer["diff"]["before"] != answer["diff"]["after"]
    assert tree(root) == before


def test_a_switch_is_made_once(run_module: Module, root: Path) -> None:
    for changed in (True, False):
        answer = run_module("flask_release", state="current", root=str(root), id="aaa")
        assert (answer["changed"], answer["id"]) == (changed, "aaa")
    assert Releases(str(root)).find("previous") == "ccc"


def test_pruning_tells_what_it_has_taken_away(run_module: Module, root: Path) -> None:
    (root / ".build-1").mkdir()
    for removed, leftovers in ((["aaa"], [f"{root}/.build-1"]), ([], [])):
        answer = run_module("flask_release", state="pruned", root=str(root), keep_releases=1)
        assert (answer["removed"], answer["leftovers"]) == (removed, leftovers)
        assert (answer["kept"], answer["id"]) == (["bbb", "ccc"], "ccc")


def test_a_real_directory_is_refused_untouched(run_module: Module, tmp_path: Path) -> None:
    (tmp_path / "root" / "current").mkdir(parents=True)
    (tmp_path / "root" / "current" / "upload.jpg").write_text("precious")
    for arguments in (
        {"state": "current", "id": "previous"},
        {"state": "pruned"},
        {"state": "built", "id": "d", "source": "x", "requirement": "x", "user": "nobody"},
    ):
        answer = run_module("flask_release", root=str(tmp_path / "root"), **arguments)
        assert answer["failed"]
        assert "real directory" in answer["msg"]
    assert (tmp_path / "root" / "current" / "upload.jpg").read_text() == "precious"


def test_another_python_asks_for_the_source_again(run_module: Module, root: Path) -> None:
    built = {"state": "built", "id": "aaa", "source": "x", "user": "nobody", "root": str(root)}
    assert run_module("flask_release", **built)["archive_needed"] is False
    Releases(str(root)).write_record("aaa", {"id": "aaa", "python": "cpython 2.7"})
    answer = run_module("flask_release", **built)
    assert answer["archive_needed"]
    assert answer["id"] != "aaa"
    assert answer["path"] == f"{root}/releases/{answer['id']}"
    assert run_module("flask_release", check=True, **built)["changed"]
