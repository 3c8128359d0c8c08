"""What tasks of role flask_site make of others that were skipped, and a later run of what they wrote."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.test import core
from ansible_collections.flaskworks.static_media.plugins.module_utils import _host, _settings

from tests.unit.descriptions import description, media_area
from tests.unit.roles.nginx import rendered
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


@pytest.mark.parametrize("access", ["public", "accel", "auth_request", "signed"])
@pytest.mark.parametrize(("mode", "template"), [("server", "server"), ("include", "locations")])
def test_a_root_that_is_served_is_known_to_be_in_use(
    tmp_path: Path, access: str, mode: str, template: str
) -> None:
    values = description(
        flask_site_mode=mode,
        flask_media_root="/var/www/gallery/media@1",
        flask_media_areas=[
            media_area("/media/"),
            media_area("/more/", access=access, auth_url="/may-read"),
        ],
    )
    settings = _settings.resolve(values)
    app = _settings.described_app([{"url": "/static/", "folder": "/nowhere"}])
    settings = _settings.with_app(values, settings, app)
    settings["static"]["encodings"] = []
    settings["host"] = {"ipv6": False}
    site = tmp_path / "gallery.conf"
    site.write_text(
        rendered(
            f"{template}.conf.j2",
            __flask_site={"settings": settings},
            __flask_site_nginx={"http2": None},
        )
    )
    for root in settings["media"]["roots"]:
        assert _host.is_named(root, [str(site)]), root
    assert not _host.is_named("/var/www/gallery", [str(site)])
    assert not _host.is_named("/var/www/gallery/med", [str(site)])
