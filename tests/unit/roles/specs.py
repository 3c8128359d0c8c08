"""The roles' argument specs and defaults, as they are on disk."""

from __future__ import annotations

import typing as t
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = ("flask_app", "flask_static", "flask_media", "flask_site", "flask_verify")


def options_of(role: str) -> dict[str, t.Any]:
    """The options of a role's main entry point."""
    text = (CHECKOUT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    options: dict[str, t.Any] = yaml.safe_load(text)["argument_specs"]["main"]["options"]
    return options


def defaults_of(role: str) -> dict[str, t.Any]:
    """A role's defaults."""
    text = (CHECKOUT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8")
    defaults: dict[str, t.Any] = yaml.safe_load(text)
    return defaults
