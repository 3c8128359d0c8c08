"""Where a report lies, and what never gets into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_files

from tests.unit import reports


@pytest.mark.parametrize(
    ("host", "app", "name"),
    [
        ("web1", "gallery", "web1-gallery"),
        ("::1", "wsgi:app", "__1-wsgi_app"),
        ("../../etc", "/passwd", "_.._etc-_passwd"),
        ("web1", "café", "web1-café"),
        ("..", "", "-"),
    ],
)
def test_a_report_stays_in_its_directory(host: str, app: str, name: str) -> None:
    files = _report_files.place("/reports", host, app)
    assert [str(path) for path in (files.json, files.html, files.junit)] == [
        f"/reports/{name}.{suffix}" for suffix in ("json", "html", "xml")
    ]


def test_a_secret_and_a_name_that_is_no_text_reach_no_form(tmp_path: Path) -> None:
    judged = reports.faulty()
    judged["findings"][0].update(evidence="SECRET_KEY=hunter2 \x1b[2J \udcff")
    judged["discovered"]["app"] = "gunicorn --env DB_PASSWORD=hunter2"
    earlier = reports.healthy()
    earlier["discovered"]["app"] = "gunicorn --env DB_PASSWORD=hunter1"
    report, drift = _report_files.finished(judged, earlier, "/r/old.json")
    files = _report_files.place(str(tmp_path), "web1", "gallery")
    _report_files.write(report, files, "error")
    for path in tmp_path.iterdir():
        written = path.read_bytes()
        assert b"hunter" not in written and b"\x1b" not in written
    assert json.loads(files.json.read_text())["findings"][0]["evidence"].endswith("\udcff")
    assert "hunter" not in str(drift)
