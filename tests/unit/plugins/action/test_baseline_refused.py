"""An earlier report that can't be compared with is refused before the host is asked for anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit import reports
from tests.unit.plugins.conftest import COLLECTION_PARENT

# Nothing listens there: who asks the host is told that it can't be reached.
NOWHERE = "web1 ansible_host=127.0.0.1 ansible_port=1 ansible_connection=ssh\n"


def asked_for_settings(directory: Path, baseline: Path) -> str:
    """What Ansible says of a description with this baseline."""
    description = {
        "flask_app_name": "gallery",
        "flask_app_source": "/home/me/gallery",
        "flask_app_callable": "gallery:create_app()",
        "flask_site_domains": ["gallery.example.com"],
        "flask_verify_baseline": str(baseline),
    }
    inventory = directory / "inventory"
    inventory.write_text(NOWHERE)
    finished = subprocess.run(
        [
            *(Path(sys.executable).with_name("ansible"), "web1", f"--inventory={inventory}"),
            "--module-name=flaskworks.static_media.flask_settings",
            f"--extra-vars={json.dumps(description)}",
        ],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION_PARENT),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_SSH_RETRIES": "0",
            "LC_ALL": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    assert finished.returncode != 0
    return " ".join(finished.stdout.replace("\\n", " ").split())


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "there is no such file on the control node"),
        ({**reports.faulty(), "schema": 2}, "its schema is 2, and only 1 is known"),
    ],
)
def test_it_is_refused_before_the_host_is_asked(
    tmp_path: Path, report: dict[str, object] | None, reason: str
) -> None:
    path = tmp_path / "earlier.json"
    if report:
        path.write_text(json.dumps(report))
    said = asked_for_settings(tmp_path, path)
    assert "nothing was changed" in said
    assert "flask_verify_baseline is" in said
    assert reason in said
    assert "UNREACHABLE" not in said


def test_a_good_one_is_not_refused(tmp_path: Path) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps(reports.faulty()))
    said = asked_for_settings(tmp_path, path)
    assert "UNREACHABLE" in said
