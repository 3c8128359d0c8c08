"""How an app that was found is asked, and why some are not."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _app_question

PROCESS: dict[str, t.Any] = {
    "pid": 10,
    "workers": [11, 12],
    "server": "gunicorn",
    "callable": "wsgi:app",
    "loader": "gunicorn",
    "user": "app",
    "uid": 998,
    "cwd": "/srv/app",
    "directory": "/srv/app",
    "python_path": [],
    "umask": "0027",
    "virtualenv": "/srv/app/venv",
    "python": "/srv/app/venv/bin/python",
    "container": None,
}
CONTAINER = {"id": "c0ffee", "name": "web", "process_user": "1000:33"}


def test_an_app_in_a_virtualenv() -> None:
    arguments, reason = _app_question.question(PROCESS)
    assert reason is None
    assert arguments == {
        "callable": "wsgi:app",
        "loader": "gunicorn",
        "user": "app",
        "directory": "/srv/app",
        "python_path": [],
        "process_id": 11,
        "timeout_seconds": 30,
        "umask": "0027",
        "virtualenv": "/srv/app/venv",
    }


def test_an_app_beside_the_systems_python_and_without_workers() -> None:
    process = {**PROCESS, "virtualenv": None, "python": "/usr/bin/python3", "workers": []}
    arguments, _reason = _app_question.question({**process, "umask": None})
    assert arguments is not None
    assert (arguments["python"], arguments["process_id"]) == ("/usr/bin/python3", 10)
    assert not {"virtualenv", "umask"} & arguments.keys()


@pytest.mark.parametrize(
    ("user", "asked_as"), [("1000:33", "1000:33"), ("0:0", "65534:65534"), (None, "65534:65534")]
)
def test_an_app_in_a_container_is_never_asked_as_root(user: str | None, asked_as: str) -> None:
    container = {**CONTAINER, "process_user": user}
    arguments, _reason = _app_question.question({**PROCESS, "uid": 0, "container": container})
    assert arguments is not None
    assert (arguments["container"], arguments["user"]) == ("c0ffee", asked_as)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"server": None}, "no server of Python's"),
        ({"callable": None}, "Set flask_app_callable"),
        ({"callable": "a:b(key='********')"}, "takes a secret"),
        ({"callable": "a:b.c"}, "neither a plain name nor a call"),
        ({"virtualenv": None, "python": None}, "which Python"),
        ({"user": "root", "uid": 0}, "Run it as a user of its own"),
        ({"user": "998"}, "no name on this host"),
        ({"user": None}, "as whom it runs"),
        ({"cwd": None}, "its environment can't be seen"),
        ({"container": {**CONTAINER, "name": None}}, "can't be looked into"),
    ],
)
def test_why_an_app_is_not_asked(changes: dict[str, t.Any], why: str) -> None:
    arguments, reason = _app_question.question({**PROCESS, **changes})
    assert arguments is None
    assert reason is not None
    assert why in reason
    assert reason.startswith("The app of process 10 is not asked: ")
