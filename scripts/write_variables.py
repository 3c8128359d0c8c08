"""Write the README's tables of variables from the roles' argument specs.

Run it after changing a spec; a test fails when it was forgotten.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
README = CHECKOUT / "README.md"
ROLES = ("flask_app", "flask_static", "flask_media", "flask_site", "flask_verify")
BEGIN, END = "<!-- variables: make variables -->", "<!-- end of variables -->"

# Ansible's markup for documentation: https://docs.ansible.com/ansible/latest/dev_guide/ansible_markup.html
MARKUP = re.compile(r"\b[COVM]\(((?:\\.|[^)\\])*)\)")


def plain(text: str) -> str:
    """Return a description as Markdown."""
    return MARKUP.sub(lambda match: f"`{match[1]}`".replace("\\)", ")"), text)


def default_of(option: dict[str, Any]) -> str:
    """Return an option's default as Markdown."""
    if option.get("required"):
        return "required"
    if "default" not in option:
        return "unset"
    value = option["default"]
    if isinstance(value, dict) and value:
        return "images, audio, video, plain text"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`".replace("|", "\\|")


def table(role: str) -> str:
    """Return one role's table."""
    text = (CHECKOUT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    spec = yaml.safe_load(text)["argument_specs"]["main"]
    rows = [f"### {role}", "", f"{spec['short_description']}.", ""]
    rows += ["| variable | default | meaning |", "|---|---|---|"]
    for name, option in spec["options"].items():
        meaning = " ".join(plain(sentence) for sentence in option["description"])
        rows.append(f"| `{name}` | {default_of(option)} | {meaning} |")
    return "\n".join(rows) + "\n"


def rendered(readme: str) -> str:
    """Return the README with its tables written anew."""
    before, _begin, rest = readme.partition(BEGIN)
    _old, _end, after = rest.partition(END)
    tables = "\n".join(table(role) for role in ROLES)
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
