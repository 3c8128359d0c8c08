"""How sites are asked: by every task that uses ``ansible.builtin.uri``."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]


def tasks(node: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """Every task of plays, blocks and lists of tasks."""
    for item in node if isinstance(node, list) else []:
        if isinstance(item, dict):
            yield item
            for key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
                yield from tasks(item.get(key))


def requests() -> list[tuple[str, dict[str, t.Any]]]:
    found = []
    for folder in ("roles", "playbooks", "molecule"):
        for path in sorted((CHECKOUT / folder).rglob("*.yml")):
            for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
                if "ansible.builtin.uri" in task:
                    where = f"{path.relative_to(CHECKOUT)}: {task['name']}"
                    found.append((where, task["ansible.builtin.uri"]))
    return found


def test_there_are_requests() -> None:
    assert any(where.startswith("roles/flask_verify") for where, _unused in requests())


@pytest.mark.parametrize(("where", "options"), requests(), ids=[row[0] for row in requests()])
def test_no_proxy_of_the_environment_answers_for_the_host(
    where: str, options: dict[str, t.Any]
) -> None:
    assert options.get("use_proxy") is False, where
