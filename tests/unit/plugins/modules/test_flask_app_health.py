"""The module as Ansible runs it; what it asks is tested with its module util."""

from __future__ import annotations

import typing as t

import pytest

Module = t.Callable[..., dict[str, t.Any]]

pytestmark = pytest.mark.usefixtures("as_root")

ARGUMENTS = {
    "virtualenv": "/no/such/release",
    "user": "nobody",
    "directory": "/no/such/release",
    "config_file": "/no/such/gunicorn.conf.py",
}


def test_a_release_that_a_run_would_make_is_passed_over_in_check_mode_only(
    run_module: Module,
) -> None:
    refused = run_module("flask_app_health", **ARGUMENTS)
    assert refused["failed"]
    assert "/no/such/release/bin/gunicorn isn't there" in refused["msg"]
    answer = run_module("flask_app_health", check=True, **ARGUMENTS)
    assert (answer["asked"], answer["changed"], answer["status"]) == (False, False, None)
    assert "/no/such/release" in answer["reason"]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"user": "root"}, "who is root"), ({"umask": "none"}, "umask is 'none'")],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_right_is_refused_in_check_mode_too(
    run_module: Module, change: dict[str, str], words: str, check: bool
) -> None:
    answer = run_module("flask_app_health", check=check, **{**ARGUMENTS, **change})
    assert answer["failed"]
    assert words in answer["msg"]
