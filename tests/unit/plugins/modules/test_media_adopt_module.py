"""Whether an app knows of the media root is read from its process."""

from __future__ import annotations

import os
import pwd
import subprocess
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _process
from ansible_collections.flaskworks.static_media.plugins.modules import media_adopt


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / "gallery.env"
    path.write_text("FLASK_UPLOAD_FOLDER=/media\n")
    _process.settle(str(path))
    return path


@pytest.fixture
def app(env_file: Path) -> Iterator[int]:
    """A process that was started after the env file was written, with the value of before."""
    environ = {"PATH": os.environ["PATH"], "FLASK_UPLOAD_FOLDER": "/old"}
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as p:
        assert p.stdin and p.stdout
        # Its environment is its own once it runs the program.
        p.stdin.write(b"x")
        p.stdin.flush()
        p.stdout.read(1)
        yield p.pid
        p.stdin.close()


def params(process_id: int | None, env_file: Path, **environment: str) -> dict[str, t.Any]:
    return {
        "process_id": process_id,
        "process_paths": [str(env_file), str(env_file.parent / "missing")],
        "environment": environment,
        "owner": pwd.getpwuid(os.geteuid()).pw_name,
    }


def test_an_app_that_was_started_since(app: int, env_file: Path) -> None:
    assert media_adopt._not_told(params(app, env_file, FLASK_UPLOAD_FOLDER="/old")) == ""
    # One that reads its env file itself has nothing of it in its process.
    assert media_adopt._not_told(params(app, env_file, MY_UPLOAD_FOLDER="/media")) == ""


def test_an_app_that_does_not_heed_the_env_file(app: int, env_file: Path) -> None:
    reason = media_adopt._not_told(params(app, env_file, FLASK_UPLOAD_FOLDER="/media"))
    assert reason == "with FLASK_UPLOAD_FOLDER=/old"


def test_an_app_that_was_started_before(app: int, env_file: Path) -> None:
    env_file.write_text("FLASK_UPLOAD_FOLDER=/elsewhere\n")
    assert "gallery.env was changed" in str(media_adopt._not_told(params(app, env_file)))


def test_no_process_tells_nothing(env_file: Path) -> None:
    assert media_adopt._not_told(params(None, env_file)) is None
    assert media_adopt._not_told(params(2**22 - 1, env_file)) is None
