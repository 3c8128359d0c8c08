from __future__ import annotations

import json
from pathlib import Path

from flask import Flask, url_for

from support import MakeApp


def static_url(app: Flask, filename: str, endpoint: str = "static") -> str:
    with app.test_request_context():
        return url_for(endpoint, filename=filename)


def test_without_a_manifest_the_url_has_a_query(make_app: MakeApp) -> None:
    url = static_url(make_app(), "css/gallery.css")
    assert url.startswith("/static/css/gallery.css?v=")
    assert static_url(make_app(), "missing.css") == "/static/missing.css"


def test_names_of_the_manifest_are_used_by_endpoint(make_app: MakeApp, tmp_path: Path) -> None:
    manifest = tmp_path / "static_manifest.json"
    names = {
        "static": {"css/gallery.css": "css/gallery-1f.css"},
        "about.static": {"about.css": "about-2f.css"},
        "bootstrap.static": {"css/bootstrap.min.css": "css/bootstrap.min-3f.css"},
    }
    manifest.write_text(json.dumps(names))
    app = make_app(STATIC_MANIFEST=str(manifest))
    assert static_url(app, "css/gallery.css") == "/static/css/gallery-1f.css"
    assert static_url(app, "about.css", "about.static") == "/about/static/about-2f.css"
    assert "bootstrap.min-3f.css" in static_url(app, "css/bootstrap.min.css", "bootstrap.static")
    assert "?v=" in static_url(app, "images/logo.svg")
    page = app.test_client().get("/").get_data(as_text=True)
    assert "/static/css/gallery-1f.css" in page


def test_a_manifest_that_is_not_there_yet_is_no_error(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app(STATIC_MANIFEST=str(tmp_path / "static_manifest.json"))
    assert "?v=" in static_url(app, "css/gallery.css")
