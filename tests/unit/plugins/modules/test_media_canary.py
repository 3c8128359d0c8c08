"""The module as Ansible runs it: what it refuses, what it leaves to be judged."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.modules import media_canary

Module = t.Callable[..., dict[str, t.Any]]

pytestmark = pytest.mark.usefixtures("as_root")
NOBODY = 65534


@pytest.fixture
def media(open_directory: Path) -> Path:
    media = open_directory / "media"
    media.mkdir()
    os.chown(media, NOBODY, NOBODY)
    return media


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"directory": "media"}, "relative path"),
        ({"umask": "u=rwx"}, "umask is 'u=rwx'"),
        ({"user": "no-such-user"}, "no user 'no-such-user'"),
        ({"state": "absent", "name": "../../etc/passwd"}, "no canary's"),
        ({"state": "gone"}, "state"),
        ({"process_id": 2**22 + 1}, "can't be entered"),
    ],
)
def test_what_cannot_be_right_is_refused(
    run_module: Module, media: Path, arguments: dict[str, t.Any], words: str
) -> None:
    answer = run_module("media_canary", **{"directory": str(media), "user": "nobody", **arguments})
    assert answer["failed"]
    assert words in answer["msg"]
    assert list(media.iterdir()) == []


def test_what_cannot_be_written_is_left_to_be_judged(run_module: Module, media: Path) -> None:
    media.parent.chmod(0o700)
    answer = run_module("media_canary", directory=str(media), user="nobody")
    assert answer["written"] is False
    assert answer["error"].keys() == yaml.safe_load(media_canary.RETURN)["error"]["sample"].keys()
    assert answer["error"]["component"] == str(media.parent)


def test_what_cannot_be_removed_is_a_warning(run_module: Module, media: Path) -> None:
    media.parent.chmod(0o700)
    answer = run_module("media_canary", state="absent", directory=str(media), user="nobody")
    assert answer["names"] == []
    assert answer["error"]["reason"] == "not-traversable"


def test_it_is_placed_and_removed(run_module: Module, media: Path) -> None:
    placed = run_module("media_canary", directory=str(media), user="nobody")
    documented = yaml.safe_load(media_canary.RETURN).keys() - {"names"}
    assert documented <= placed.keys()
    assert placed["changed"] is False
    assert Path(placed["path"]).read_text() == placed["content"]
    assert (placed["owner"], placed["mode"]) == ("nobody", "0640")

    common = {"state": "absent", "directory": str(media), "user": "nobody"}
    planned = run_module("media_canary", check=True, **common)
    assert (planned["names"], planned["skipped"]) == ([placed["name"]], True)
    assert Path(placed["path"]).exists()
    removed = run_module("media_canary", name=placed["name"], **common)
    assert (removed["names"], removed["changed"]) == ([placed["name"]], False)
    assert list(media.iterdir()) == []


@pytest.mark.parametrize("user", ["nobody", "no-such-user"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_check_mode_writes_nothing(run_module: Module, media: Path, state: str, user: str) -> None:
    answer = run_module("media_canary", check=True, state=state, directory=str(media), user=user)
    assert (answer["changed"], answer["skipped"]) == (False, True)
    assert list(media.iterdir()) == []
