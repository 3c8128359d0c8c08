from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gallery import create_app
from support import MakeApp


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("FLASK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def upload_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    return folder


@pytest.fixture
def make_app(upload_folder: Path) -> MakeApp:
    def make(**overrides: Any) -> Flask:
        settings = {
            "UPLOAD_FOLDER": str(upload_folder),
            "SECRET_KEY": "for the tests",
            "WTF_CSRF_ENABLED": False,
        }
        return create_app({**settings, **overrides})

    return make


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()
