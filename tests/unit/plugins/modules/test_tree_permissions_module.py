"""The module as Ansible runs it: what it refuses, what it answers, and that check mode says the same."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.modules import tree_permissions

from tests.unit.plugins.conftest import COLLECTION_PARENT, Module

pytestmark = pytest.mark.usefixtures("as_root")


# Ansible packs what a module imports, and each run of it compiles all of that anew.
LOADED = """
import sys
from ansible_collections.flaskworks.static_media.plugins.modules import tree_permissions
own = [name for name in sys.modules if ".static_media.plugins.module_utils." in name]
print(*sorted(name.rpartition(".")[2] for name in own))
"""


def test_a_clean_walk_starts_with_little() -> None:
    """Half of the time that 100,000 files take is the module's start."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        env={**os.environ, "PYTHONPATH": str(COLLECTION_PARENT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "_acl",
        "_directories",
        "_mounts",
        "_names",
        "_tree_permissions",
    ]


@pytest.fixture
def arguments(open_directory: Path) -> dict[str, t.Any]:
    media = open_directory / "media"
    (media / "sub").mkdir(parents=True)
    for name in ("a\n.png", "sub/b.png"):
        (media / name).touch(mode=0o600)
    return {
        "path": str(media),
        "owner": "nobody",
        "group": "www-data",
        "directory_mode": "2750",
        "file_mode": "0640",
    }


def looks(path: str) -> tuple[int, int, int]:
    status = os.lstat(path)
    return status.st_uid, status.st_gid, status.st_mode


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"path": "/var/www"}, "/var/www, which the system and others share"),
        ({"path": "media"}, "'media' is no absolute path"),
        ({"owner": "no-such-user"}, "owner: this host has no user 'no-such-user'"),
        ({"owner": ""}, "owner: this host has no user ''"),
        ({"owner": "-1"}, "owner: this host has no user '-1'"),
        ({"owner": "4294967295"}, "owner: this host has no user '4294967295'"),
        ({"group": "no-such-group"}, "group: this host has no group 'no-such-group'"),
        ({"file_mode": 416}, "file_mode: 416 has lost its digits"),
        ({"directory_mode": 1512}, "Write it in quotes, such as '2750'"),
        ({"file_mode": "640"}, "file_mode: '640' is not four octal digits"),
        ({"file_mode": "0649"}, "file_mode: '0649' is not four octal digits"),
        ({"directory_mode": "u=rwX,g=rX"}, "letters such as u=rwX say what to change"),
        ({"file_mode": "2640"}, "Begin it with 0, such as '0640'"),
        ({"acl": [{"etype": "user", "entity": "nobody", "permissions": "rz"}]}, "'rz' has other"),
        ({"acl": [{"etype": "user", "entity": "nobody", "permissions": ""}]}, "'' has other"),
        (
            {"acl": [{"etype": "group", "entity": "no-such", "permissions": "r"}]},
            "acl[0].entity: this host has no group 'no-such'",
        ),
        (
            {
                "acl": [
                    {"etype": "user", "entity": who, "permissions": "r"} for who in ("root", "0")
                ]
            },
            "acl[1]: user 0 is there before",
        ),
        ({"acl": [], "file_mode": None}, "missing parameter(s) required by 'acl': file_mode"),
    ],
)
def test_bad_input_is_refused_untouched(
    run_module: Module, arguments: dict[str, t.Any], change: dict[str, t.Any], words: str
) -> None:
    path = arguments["path"]
    before = looks(path)
    answer = run_module("tree_permissions", **{**arguments, **change})
    assert answer["failed"] and words in answer["msg"]
    assert looks(path) == before


def test_nothing_wanted_is_refused(run_module: Module, arguments: dict[str, t.Any]) -> None:
    answer = run_module("tree_permissions", path=arguments["path"])
    assert "one of the following is required: owner, group" in answer["msg"]


@pytest.mark.parametrize(
    "acl", [None, [], [{"etype": "user", "entity": "daemon", "permissions": "rX"}]]
)
def test_check_mode_tells_what_is_done_and_then_nothing_is(
    run_module: Module, arguments: dict[str, t.Any], acl: list[dict[str, str]] | None
) -> None:
    arguments["acl"] = acl
    planned = run_module("tree_permissions", check=True, **arguments)
    assert looks(arguments["path"])[0] == 0
    done = run_module("tree_permissions", **arguments)
    assert {**planned, "invocation": None} == {**done, "invocation": None}
    assert (done["changed"], done["mended"], done["directories"], done["files"]) == (True, 4, 2, 2)
    assert sorted(done["paths"]["mended"]) == ["./", r"a\n.png", "sub/", "sub/b.png"]
    assert r"a\n.png root:root 0600" in done["diff"]["before"].splitlines()
    assert r"a\n.png nobody:www-data 0640" in done["diff"]["after"].splitlines()
    for check in (True, False):
        again = run_module("tree_permissions", check=check, **arguments)
        assert (again["changed"], again["mended"], again["diff"]["after"]) == (False, 0, "")


@pytest.mark.parametrize("check", [True, False])
def test_the_root_alone_is_set_and_more_is_told(
    run_module: Module, arguments: dict[str, t.Any], check: bool
) -> None:
    answer = run_module("tree_permissions", check=check, recurse=False, **arguments)
    assert (answer["mended"], answer["files"], answer["has_more"]) == (1, 0, True)
    assert looks(arguments["path"] + "/sub/b.png")[0] == 0


def test_numbers_are_owners_too(run_module: Module, arguments: dict[str, t.Any]) -> None:
    arguments.update(owner="61010", group=61011)
    assert run_module("tree_permissions", **arguments)["mended"] == 4
    assert looks(arguments["path"])[:2] == (61010, 61011)


def test_who_and_what_is_still_to_come_is_no_failure_in_check_mode(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    grant = {"etype": "user", "entity": "no-such-user", "permissions": "rX"}
    to_come = {**arguments, "owner": "no-such-user", "acl": [grant]}
    answer = run_module("tree_permissions", check=True, **to_come)
    assert (answer["changed"], answer["mended"]) == (True, 4)
    missing = {**arguments, "path": arguments["path"] + "/no"}
    answer = run_module("tree_permissions", check=True, **missing)
    assert (answer["changed"], answer["files"], answer["directories"]) == (False, 0, 0)
    assert "Make it first" in run_module("tree_permissions", **missing)["msg"]


def test_a_long_diff_is_cut_and_counted(run_module: Module, arguments: dict[str, t.Any]) -> None:
    for number in range(30):
        Path(arguments["path"], str(number)).touch()
    answer = run_module("tree_permissions", **arguments)
    assert (answer["mended"], len(answer["paths"]["mended"])) == (34, 10)
    assert answer["diff"]["after"].splitlines()[-1] == "and 24 more"
    assert answer["diff"]["before"].splitlines()[-1] == "and 24 more"


def test_a_hard_link_of_somebody_elses_file_is_warned_of(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    secret = Path(arguments["path"]).parent / "secret"
    secret.touch(mode=0o600)
    os.link(secret, Path(arguments["path"], "mine"))
    answer = run_module("tree_permissions", **arguments)
    assert (answer["hard_links"], answer["paths"]["hard_links"]) == (1, ["mine"])
    (warning,) = answer["warnings"]
    assert "belong to others and have other names elsewhere too" in str(warning)
    assert looks(str(secret))[0] == 0


@pytest.mark.parametrize(("content", "is_free"), [("0\n", True), ("1\n", False), (None, False)])
def test_whether_any_user_may_link_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, is_free: bool
) -> None:
    sysctl = tmp_path / "protected_hardlinks"
    if content is not None:
        sysctl.write_text(content)
    monkeypatch.setattr(tree_permissions, "PROTECTED_HARDLINKS", str(sysctl))
    assert tree_permissions._links_are_free() is is_free


def test_what_cannot_be_read_fails_with_what_was_done(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    # What the kernel makes up has no owner to set.
    answer = run_module("tree_permissions", **{**arguments, "path": "/proc/self/fdinfo"})
    assert answer["failed"]
    assert "can't be read or changed" in answer["msg"]
    assert answer["mended"] == 0
