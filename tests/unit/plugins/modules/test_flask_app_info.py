"""The module as Ansible runs it, check mode included."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.modules import flask_app_info

Module = t.Callable[..., dict[str, t.Any]]

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def arguments(flask_virtualenv: Path, open_directory: Path) -> dict[str, t.Any]:
    (open_directory / "shop.py").write_text(
        "from flask import Flask\napp = Flask(__name__)\napp.config.from_prefixed_env()\n"
    )
    return {
        "virtualenv": str(flask_virtualenv),
        "callable": "shop:app",
        "user": "nobody",
        "directory": str(open_directory),
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"callable": "shop:app.wsgi"}, "Gunicorn can't read it"),
        ({"callable": "shop:nothing"}, "It has: app; set flask_app_callable=shop:app"),
        ({"user": "root"}, "root: importing an app runs its code"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"umask": "none"}, "umask is 'none'"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_asked_is_refused_in_check_mode_too(
    run_module: Module,
    arguments: dict[str, t.Any],
    change: dict[str, t.Any],
    words: str,
    check: bool,
) -> None:
    answer = run_module("flask_app_info", check=check, **{**arguments, **change})
    assert answer["failed"]
    assert words in answer["msg"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"virtualenv": "/no/such/virtualenv"}, "/no/such/virtualenv/bin/python isn't there"),
        ({"user": "no-such-user"}, "no user 'no-such-user'"),
        ({"environment_files": ["/no/such/file"]}, "/no/such/file isn't there"),
    ],
)
def test_what_a_run_would_make_is_assumed_in_check_mode_only(
    run_module: Module, arguments: dict[str, t.Any], change: dict[str, t.Any], words: str
) -> None:
    refused = run_module("flask_app_info", **{**arguments, **change})
    assert refused["failed"]
    assert words in refused["msg"]
    answer = run_module("flask_app_info", check=True, **{**arguments, **change})
    assert (answer["asked"], answer["changed"]) == (False, False)
    assert words in answer["reason"]
    assert [mount["url"] for mount in answer["app"]["mounts"]] == ["/static/"]
    assert set(answer["app"]["config"].values()) == {None}


def test_the_umask_is_the_one_given(run_module: Module, arguments: dict[str, t.Any]) -> None:
    app = run_module("flask_app_info", **arguments, umask="0022")["app"]
    assert app["process"]["umask"] == "0022"


@pytest.mark.parametrize("check", [False, True])
def test_the_answer_has_what_the_documentation_promises(
    run_module: Module, arguments: dict[str, t.Any], check: bool
) -> None:
    answer = run_module(
        "flask_app_info",
        check=check,
        **arguments,
        environment={"FLASK_UPLOAD_FOLDER": "/srv/media", "FLASK_DEBUG": True},
    )
    assert (answer["asked"], answer["reason"], answer["changed"]) == (True, None, False)
    documented = yaml.safe_load(flask_app_info.RETURN)["app"]["contains"]
    assert answer["app"].keys() == documented.keys()
    assert answer["app"]["mounts"][0].keys() == documented["mounts"]["contains"].keys()
    assert answer["app"]["rules"][0].keys() == documented["rules"]["sample"][0].keys()
    assert answer["app"]["config"]["UPLOAD_FOLDER"] == "/srv/media"


def test_variables_that_are_no_strings_arrive_as_json(
    run_module: Module, arguments: dict[str, t.Any], open_directory: Path
) -> None:
    areas = {"/media/": {"root": "/srv/media"}}
    (open_directory / "shop.py").write_text(
        "from flask import Flask\napp = Flask(__name__)\napp.config.from_prefixed_env()\n"
        f"assert app.config['MEDIA_AREAS'] == {areas!r}\n"
        "assert app.config['DEBUG'] is True\n"
    )
    answer = run_module(
        "flask_app_info",
        **arguments,
        environment={"FLASK_MEDIA_AREAS": areas, "FLASK_DEBUG": True},
    )
    assert not answer.get("failed"), answer
