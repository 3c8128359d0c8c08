from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask, url_for
from werkzeug.routing import BuildError

from gallery import create_app
from gallery.config import ConfigError
from support import MakeApp


def static_rules(app: Flask) -> dict[str, str]:
    return {
        rule.endpoint: rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.rpartition(".")[2] == "static"
    }


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLASK_UPLOAD_FOLDER", str(tmp_path))
    monkeypatch.setenv("FLASK_SECRET_KEY", "a secret")
    monkeypatch.setenv("FLASK_MEDIA_URL", "/files/")
    monkeypatch.setenv("FLASK_MAX_CONTENT_LENGTH", "1048576")
    app = create_app()
    assert app.config["UPLOAD_FOLDER"] == str(tmp_path)
    assert app.config["MAX_CONTENT_LENGTH"] == 1048576
    with app.test_request_context():
        assert url_for("media", filename="originals/a b.png") == "/files/originals/a%20b.png"


def test_defaults(make_app: MakeApp) -> None:
    app = make_app()
    assert app.config["MAX_CONTENT_LENGTH"] == 16 * 1024 * 1024
    assert app.config["MEDIA_URL"] == "/media/"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPLOAD_FOLDER", None),
        ("UPLOAD_FOLDER", ""),
        ("UPLOAD_FOLDER", "media"),
        ("UPLOAD_FOLDER", 7),
        ("MEDIA_URL", "/"),
        ("MEDIA_URL", "media/"),
        ("MEDIA_URL", "/media"),
        ("MEDIA_URL", "/<media>/"),
        ("MEDIA_URL", "https://media.example.com/"),
        ("MEDIA_ORIGIN", "https://media.example.net/"),
        ("MEDIA_ORIGIN", "https://a.example; script-src *"),
        ("MEDIA_ORIGIN", "media.example.net"),
        ("MEDIA_ORIGIN", None),
        ("MAX_CONTENT_LENGTH", "16M"),
        ("MAX_CONTENT_LENGTH", None),
        ("MAX_CONTENT_LENGTH", 0),
        ("MAX_CONTENT_LENGTH", True),
        ("SECRET_KEY", None),
        ("SECRET_KEY", 1234567890),
    ],
)
def test_setting_that_can_not_work_is_refused(make_app: MakeApp, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} .*Set FLASK_{name} to "):
        make_app(**{name: value})


def test_upload_folder_need_not_be_there_yet(make_app: MakeApp, tmp_path: Path) -> None:
    make_app(UPLOAD_FOLDER=str(tmp_path / "later"))
    assert not (tmp_path / "later").exists()


def test_static_mounts(make_app: MakeApp) -> None:
    assert static_rules(make_app()) == {
        "static": "/static/<path:filename>",
        "about.static": "/about/static/<path:filename>",
        "bootstrap.static": "/bootstrap/static/<path:filename>",
    }


def test_media_is_built_but_never_answered(make_app: MakeApp, upload_folder: Path) -> None:
    (upload_folder / "a.txt").write_text("seen")
    app = make_app()
    with app.test_request_context():
        assert url_for("media", filename="a.txt") == "/media/a.txt"
    assert app.test_client().get("/media/a.txt").status_code == 404


def test_development_server_answers_media(make_app: MakeApp, upload_folder: Path) -> None:
    (upload_folder / "a.txt").write_text("seen")
    client = make_app(DEBUG=True).test_client()
    assert client.get("/media/a.txt").text == "seen"
    assert client.get("/media/../a.txt").status_code == 404


def test_static_url_changes_with_the_file(make_app: MakeApp, tmp_path: Path) -> None:
    app = make_app()
    app.static_folder = str(tmp_path)
    file = tmp_path / "a.css"
    with app.test_request_context():
        file.write_text("one")
        first = url_for("static", filename="a.css")
        file.write_text("other")
        assert url_for("static", filename="a.css") != first
        assert url_for("static", filename="missing.css") == "/static/missing.css"


def test_proxy_headers_are_followed(make_app: MakeApp) -> None:
    app = make_app()
    seen: dict[str, str] = {}

    def see() -> str:
        seen["url"] = url_for("pages.index", _external=True)
        return ""

    app.add_url_rule("/see", view_func=see)
    app.test_client().get(
        "/see",
        headers={
            "X-Forwarded-Host": "gallery.example.com",
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Prefix": "/art",
        },
    )
    assert seen["url"] == "https://gallery.example.com/art/"


def test_every_static_file_that_a_page_names_is_there(make_app: MakeApp) -> None:
    client = make_app().test_client()
    for page in ("/", "/upload", "/about"):
        text = client.get(page).text
        urls = {part.split('"')[0] for part in text.replace('src="', 'href="').split('href="')[1:]}
        static = {url for url in urls if "/static/" in url}
        assert len(static) >= 6
        for url in static:
            assert client.get(url).status_code == 200, url


def test_unknown_endpoint_is_still_an_error(make_app: MakeApp) -> None:
    with make_app().test_request_context(), pytest.raises(BuildError):
        url_for("nowhere.static", filename="a.css")
