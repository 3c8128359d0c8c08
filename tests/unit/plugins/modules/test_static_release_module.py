"""The module as Ansible runs it: check mode, the form of its answer, what it refuses."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.modules import static_release

Module = t.Callable[..., dict[str, t.Any]]


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, t.Any]:
    folder = tmp_path / "folder"
    (folder / "css").mkdir(parents=True)
    (folder / "css/app.css").write_text("body {}")
    (folder / "a\nb.js").write_text("1")
    (folder / ".env").write_text("SECRET=1")
    return {
        "root": str(tmp_path / "published"),
        "mounts": [{"endpoint": "static", "url": "/static/", "folder": str(folder)}],
        "owner": pwd.getpwuid(os.getuid()).pw_name,
        "group": grp.getgrgid(os.getgid()).gr_name,
    }


def test_check_mode_says_what_a_run_does(run_module: Module, arguments: dict[str, t.Any]) -> None:
    promised = run_module("static_release", check=True, **arguments)
    assert not os.path.exists(arguments["root"])
    assert run_module("static_release", **arguments) == promised
    assert promised["changed"]
    for check in (True, False):
        again = run_module("static_release", check=check, **arguments)
        assert (again["changed"], again["unchanged"], again["diff"]["after"]) == (False, 2, "")


def test_the_answer_has_what_the_documentation_promises(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    answer = run_module("static_release", **arguments)
    documented = yaml.safe_load(static_release.RETURN)
    published = {
        key for key, value in documented.items() if "state=pruned" not in value["returned"]
    }
    assert answer.keys() - {"changed", "diff", "invocation"} == published
    assert answer["paths"].keys() == documented["paths"]["contains"].keys() - {"foreign"}
    (mount,) = answer["mounts"]
    assert mount.keys() == documented["mounts"]["contains"].keys()
    file = Path(mount["directory"]) / "css" / "app.css"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    # As Nginx makes it of the published file.
    etag = f'"{int(file.stat().st_mtime):x}-7"'
    assert mount == {
        "url": "/static/",
        "directory": f"{arguments['root']}/static",
        "files": 2,
        "sample": {"path": "css/app.css", "size": 7, "sha256": digest, "etag": etag},
    }
    assert answer["paths"]["ignored"] == ["static/.env"]
    assert answer["diff"]["after"].splitlines() == [
        "+ /",
        "+ static/",
        "+ static/css/",
        r"+ static/a\nb.js",
        "+ static/css/app.css",
        f"+ .releases/{answer['release']}.json",
    ]


def test_a_host_without_nginx_is_refused_but_for_check_mode(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    arguments["group"] = "no-such-group"
    assert run_module("static_release", check=True, **arguments)["changed"]
    answer = run_module("static_release", **arguments)
    assert "group: this host has no 'no-such-group'. Install Nginx first" in answer["msg"]
    assert not os.path.exists(arguments["root"])


def test_an_app_that_is_not_installed_yet_is_unknown_in_check_mode(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    mounts = [{"url": "/static/", "folder": None}]
    for change in ({"mounts": mounts}, {"source_user": "no-such-user"}):
        answer = run_module("static_release", check=True, **{**arguments, **change})
        assert (answer["changed"], answer["unknown"]) == (True, ["/static/"])
        assert run_module("static_release", **{**arguments, **change})["failed"]
    assert not os.path.exists(arguments["root"])


@pytest.mark.usefixtures("as_root")
def test_a_folder_that_the_source_user_cannot_read_is_refused(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    # pytest's own directories are closed to all but their user
    answer = run_module("static_release", source_user="nobody", **arguments)
    assert "nobody can't read" in answer["msg"]
    assert not os.path.exists(arguments["root"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": "/"}, "Set it to an absolute path of its own"),
        ({"file_mode": "rw"}, "file_mode: 'rw' is no mode"),
        ({"directory_mode": "77777"}, "directory_mode: '77777' is no mode"),
        ({"mounts": [{"url": "/../", "folder": "/x"}]}, "'/../' is no URL prefix"),
        ({"mounts": [{"url": "/x/", "folder": "/no/such"}]}, "/no/such, which is no directory"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_bad_input_is_refused_in_check_mode_too(
    run_module: Module,
    arguments: dict[str, t.Any],
    change: dict[str, t.Any],
    words: str,
    check: bool,
) -> None:
    answer = run_module("static_release", check=check, **{**arguments, **change})
    assert words in answer["msg"]
    assert not os.path.exists(arguments["root"])


def test_a_long_list_is_cut_and_counted(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    for number in range(1100):
        (tmp_path / "folder" / f"{number}.css").touch()
    answer = run_module("static_release", check=True, **arguments)
    assert (answer["added"], len(answer["paths"]["added"])) == (1102, 20)
    assert answer["diff"]["after"].splitlines()[-1] == "and 106 more"


def test_pruning_says_in_check_mode_what_a_run_does(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    run_module("static_release", **arguments, release="one")
    (tmp_path / "folder/css/app.css").unlink()
    run_module("static_release", **arguments, release="two")
    pruning = {"root": arguments["root"], "state": "pruned", "keep_releases": 0}
    promised = run_module("static_release", check=True, **pruning)
    assert promised["diff"]["after"].splitlines() == [
        "- static/css/app.css",
        "- static/css/",
        "- .releases/one.json",
    ]
    assert run_module("static_release", **pruning) == promised
    documented = yaml.safe_load(static_release.RETURN)
    pruned = {
        key
        for key, value in documented.items()
        if "state=pruned" in value["returned"] or value["returned"] == "success"
    }
    assert promised.keys() - {"changed", "diff", "invocation"} == pruned
    assert (promised["removed"], promised["pruned"], promised["releases"]) == (1, ["one"], ["two"])
    assert not run_module("static_release", **pruning)["changed"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "pruned"}, "Say which releases stay"),
        ({"state": "pruned", "keep": ["../x"]}, "no id of a release"),
        ({"mounts": None}, "mounts"),
        ({"release": "../x"}, "no id of a release"),
        ({"fingerprint_regex": "("}, "is no regular expression"),
        ({"precompress": ["zip"]}, "must be one or more of"),
    ],
)
def test_bad_releases_are_refused(
    run_module: Module,
    arguments: dict[str, t.Any],
    change: dict[str, t.Any],
    words: str,
    check: bool,
) -> None:
    answer = run_module("static_release", check=check, **{**arguments, **change})
    assert words in answer["msg"]
    assert not os.path.exists(arguments["root"])


def test_precompressed_and_fingerprinted_files_are_counted(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    (tmp_path / "folder/large.css").write_text("body {}\n" * 999)
    manifest = tmp_path / "static_manifest.json"
    options = {"precompress": ["gz"], "fingerprint": True, "manifest": str(manifest)}
    promised = run_module("static_release", check=True, **arguments, **options)
    answer = run_module("static_release", **arguments, **options)
    assert answer == promised
    # Three files, each by two names; of one of them a sibling, by two names too.
    assert (answer["added"], answer["precompressed"], answer["immutable"]) == (8, 2, 4)
    assert answer["mounts"][0]["files"] == 3
    assert f"~ {manifest}" in answer["diff"]["after"].splitlines()
    assert not run_module("static_release", **arguments, **options)["changed"]


def test_a_name_that_is_no_fingerprint_is_warned_of(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    options = {"fingerprint_regex": "[.]css$"}
    run_module("static_release", **arguments, **options)
    (tmp_path / "folder/css/app.css").write_text("another")
    answer = run_module("static_release", **arguments, **options)
    assert answer["paths"]["changed_names"] == ["static/css/app.css"]
    assert "another content under a name" in str(answer["warnings"])
