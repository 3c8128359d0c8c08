"""Who reads uploads, and what follows from it: modes, umask and ACL."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_permissions,
    _settings,
)

from tests.unit.descriptions import description

NGINX = {"etype": "user", "entity": "www-data", "permissions": "rX"}


def media(**changes: t.Any) -> dict[str, t.Any]:
    found: dict[str, t.Any] = _settings.resolve(description(**changes))["media"]
    return found


@pytest.mark.parametrize(
    ("changes", "group", "modes", "umask", "acl"),
    [
        ({}, "www-data", ("2750", "0640"), "0027", []),
        ({"flask_media_group": "uploads"}, "uploads", ("2750", "0640"), "0027", []),
        (
            {"flask_media_permissions": "acl", "flask_app_group": "shop"},
            "shop",
            ("0750", "0640"),
            "0027",
            [NGINX],
        ),
        ({"flask_media_permissions": "world"}, "gallery", ("0755", "0644"), "0022", []),
    ],
    ids=str,
)
def test_all_follows_from_the_way(
    changes: dict[str, t.Any], group: str, modes: tuple[str, str], umask: str, acl: list[t.Any]
) -> None:
    found = media(**changes)
    assert (found["group"], (found["mode"], found["file_mode"])) == (group, modes)
    assert (found["umask"], found["acl"]) == (umask, acl)


@pytest.mark.parametrize("way", ["group", "acl", "world"])
def test_a_file_made_under_the_umask_has_the_mode(way: str) -> None:
    found = media(flask_media_permissions=way)
    umask = int(found["umask"], 8)
    assert 0o666 & ~umask == int(found["file_mode"], 8)
    # What a directory inherits beyond that is the setgid bit.
    assert 0o777 & ~umask == int(found["mode"], 8) & 0o777


@pytest.mark.parametrize("way", ["group", "acl", "world"])
def test_nobody_but_the_app_writes_and_nobody_runs(way: str) -> None:
    found = media(flask_media_permissions=way)
    assert int(found["mode"], 8) & 0o022 == 0
    assert int(found["file_mode"], 8) & 0o133 == 0
    assert all("w" not in entry["permissions"] for entry in found["acl"])


@pytest.mark.parametrize(("way", "words"), [("acl", "by an ACL"), ("world", "every user")])
def test_a_group_that_would_read_nothing_is_refused(way: str, words: str) -> None:
    values = description(flask_media_permissions=way, flask_media_group="uploads")
    (problem,) = _settings.description_problems(values)
    assert problem.variable == "flask_media_group"
    assert words in str(problem) and "'group'" in problem.remedy
    assert not list(_media_permissions.problems({**values, "flask_media_permissions": "group"}))


@pytest.mark.parametrize("way", ["group", "acl", "world"])
@pytest.mark.parametrize("keeps_acls", [True, False])
def test_acls_need_a_file_system_that_keeps_them(way: str, keeps_acls: bool) -> None:
    values = description(flask_media_permissions=way)
    host = {"directories": {"/var/www/gallery/media": {"keeps_acls": keeps_acls}}}
    found = [str(problem) for problem in _media_permissions.host_problems(values, host)]
    assert bool(found) is (way == "acl" and not keeps_acls)
    assert all("keeps no POSIX ACLs" in one and "'group'" in one for one in found)


def test_an_app_is_asked_with_the_umask_it_runs_with() -> None:
    for way, umask in (("group", "0027"), ("world", "0022")):
        question = _settings.app_question(description(flask_media_permissions=way), None)[1]
        assert question["umask"] == umask
