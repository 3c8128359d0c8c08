"""What tasks of role flask_site make of others that were skipped."""

from __future__ import annotations

import jinja2
import pytest
import yaml
from ansible.plugins.test import core

from tests.unit.roles.specs import CHECKOUT


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        ({}, "False"),
        ({"__flask_site_drop_in": {"changed": False}}, "False"),
        ({"__flask_site_drop_in": {"changed": True}}, "True"),
    ],
    ids=["no unit: none is written", "as before", "written"],
)
def test_nginx_runs_whether_a_part_of_its_unit_was_written_or_not(
    registered: dict[str, dict[str, bool]], expected: str
) -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/flask_site/tasks/main.yml").read_text("utf-8"))
    run = next(task for task in tasks if task["name"] == "Run Nginx")
    changes = run["flaskworks.static_media.flask_service"]["changes"]
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    environment.tests.update(core.TestModule().tests())
    assert environment.from_string(changes[0]["changed"]).render(**registered) == expected
