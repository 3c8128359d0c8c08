"""Spec = defaults = README."""

from __future__ import annotations

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

from scripts import write_variables
from tests.unit.roles.specs import ROLES, defaults_of, options_of


@pytest.mark.parametrize("role", ROLES)
def test_the_spec_and_the_defaults_are_equal(role: str) -> None:
    specified = {
        name: option["default"] for name, option in options_of(role).items() if "default" in option
    }
    assert specified == defaults_of(role)
    assert list(specified) == list(defaults_of(role))


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_named_after_its_role_and_typed(role: str) -> None:
    for name, option in options_of(role).items():
        assert name.startswith(f"{role}_")
        assert option["type"]
        assert option["description"]


def test_no_two_roles_define_the_same_option() -> None:
    names = [name for role in ROLES for name in options_of(role)]
    assert len(names) == len(set(names))


def test_the_readme_has_the_specs_tables() -> None:
    readme = write_variables.README.read_text(encoding="utf-8")
    assert readme == write_variables.rendered(readme), "run: make variables"


def test_the_readme_has_every_check() -> None:
    readme = write_variables.README.read_text(encoding="utf-8")
    for check_id in _verify.TITLES:
        assert f"`{check_id}`" in readme
