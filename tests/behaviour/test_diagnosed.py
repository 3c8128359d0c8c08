"""What the collection has set up is healthy also to one who is told nothing of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import play


def test_nothing_is_found_on_a_host_of_our_own(control: play.Control, tmp_path: Path) -> None:
    variables = {
        "ansible_connection": "community.docker.docker",
        "ansible_user": "root",
        "flask_verify_report_directory": str(tmp_path),
    }
    done = subprocess.run(
        [
            *("ansible-playbook", "--inventory", f"{control.name},"),
            *("--extra-vars", json.dumps(variables), "flaskworks.static_media.verify"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=control.environment,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    (path,) = tmp_path.glob("*.json")
    report = json.loads(path.read_text())
    assert report["findings"] == [], done.stdout
    # It has seen all of it: what is skipped is proven by nobody.
    assert [check["id"] for check in report["checks"] if check["status"] != "pass"] == []
    assert report["unseen"] == [], done.stdout
