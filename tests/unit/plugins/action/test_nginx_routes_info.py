"""The action plugin as a play runs it: the host is asked by modules, the answer is made here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user

COLLECTION_PARENT = Path(_as_user.__file__).parents[5]

pytestmark = pytest.mark.usefixtures("as_root")


def ask(directory: Path, **arguments: t.Any) -> dict[str, t.Any]:
    """Run it in check mode, on this machine."""
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible"), "localhost", "--check"),
            *(
                "-i",
                "localhost,",
                "-c",
                "local",
                "-e",
                f"ansible_python_interpreter={sys.executable}",
            ),
            *("-m", "flaskworks.static_media.nginx_routes_info", "-a", json.dumps(arguments)),
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION_PARENT),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_HOME": str(directory / "ansible"),
        },
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    printed = json.loads(done.stdout[done.stdout.index("{") :])
    answer: dict[str, t.Any] = printed["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return answer


def nginx(directory: Path) -> dict[str, t.Any]:
    text = f"""http {{ server {{
        server_name www.example.com;
        location /open/ {{ alias {directory}/open/; }}
        location /closed/ {{ alias {directory}/closed/; }}
        location / {{ root {directory}/open; try_files $uri @app; }}
        location @app {{ proxy_pass http://127.0.0.1:8000; }}
    }} }}"""
    return {
        "files": [{"path": "/etc/nginx/nginx.conf", "content": text}],
        "conf_file": "/etc/nginx/nginx.conf",
        "prefix": "/usr/share/nginx/",
        "worker_user": "nobody",
        "master_pid": None,
    }


def test_it_asks_as_nginx_what_is_there(open_directory: Path) -> None:
    for name, mode in (("open", 0o755), ("closed", 0o700)):
        (open_directory / name).mkdir()
        (open_directory / name / "a.css").write_text("")
        (open_directory / name).chmod(mode)
    (open_directory / "open/secret").write_text("")
    (open_directory / "open/secret").chmod(0o600)
    urls = ["/open/a.css", "/closed/a.css", "/secret", "/none", "/open", "/open/none"]
    urls = [f"http://www.example.com{url}" for url in urls]
    answer = ask(open_directory, urls=urls, nginx=nginx(open_directory))
    assert [(one["kind"], one["status"]) for one in answer["routes"]] == [
        ("file", 200),
        ("error", 403),
        ("error", 403),
        ("proxy", None),
        # Only a location that passes requests on is redirected to.
        ("proxy", None),
        ("error", 404),
    ], answer
    first = answer["routes"][0]
    assert first["location"] == {
        "name": "location /open/",
        "defined_at": "/etc/nginx/nginx.conf:3",
    }
    assert first["path"] == f"{open_directory}/open/a.css"
    assert answer["problems"] == []
    assert answer["changed"] is False


def test_what_is_no_url_is_said(open_directory: Path) -> None:
    answer = ask(open_directory, urls=["static"], nginx=nginx(open_directory))
    assert '"static" is neither a URL' in answer["msg"]


def test_without_a_configuration_it_is_said(open_directory: Path) -> None:
    answer = ask(open_directory, urls=["/"], nginx={"files": []})
    assert "no configuration of an Nginx" in answer["msg"]
