"""flask_verify's canaries, placed and removed by the tasks of the role, in areas that are not public too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.module_utils import _media_canary

from tests.unit.plugins.conftest import COLLECTION_PARENT
from tests.unit.roles.specs import CHECKOUT

NOBODY = 65534


class Play:
    """The block of the role that places canaries, with the search for evidence replaced."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        tasks = yaml.safe_load((CHECKOUT / "roles/flask_verify/tasks/main.yml").read_text())
        (self._block,) = (task for task in tasks if "block" in task)
        self.areas = []
        for name, access in (
            ("media", "public"),
            ("members", "auth_request"),
            ("shared", "signed"),
        ):
            root = directory / name
            root.mkdir()
            os.chown(root, NOBODY, NOBODY)
            self.areas.append({"url": f"/{name}/", "root": str(root), "access": access})

    def canaries(self) -> list[Path]:
        return list(self.directory.glob("*/flask-verify-*"))

    def leave(self, area: str) -> None:
        """A canary as a run that was killed two minutes ago has left it."""
        path = self.directory / area / _media_canary.new_name()
        path.write_text(_media_canary.MARKER)
        os.chown(path, NOBODY, NOBODY)
        os.utime(path, (time.time() - 120,) * 2)

    def run(self, evidence: dict[str, t.Any], **app: t.Any) -> subprocess.CompletedProcess[str]:
        settings = {
            "app": {"user": "nobody"},
            "media": {"root": self.areas[0]["root"], "areas": self.areas, "umask": "0022"},
            "host": {"app_process_id": None, **app},
        }
        block = [*self._block["block"][:-1], evidence]
        plays = [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "vars": {"__flask_verify": {"settings": settings}},
                "tasks": [{**self._block, "block": block}],
            }
        ]
        playbook = self.directory / "play.yml"
        playbook.write_text(json.dumps(plays))
        return subprocess.run(
            [
                *(sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local"),
                *("-e", f"ansible_python_interpreter={sys.executable}", str(playbook)),
            ],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION_PARENT),
                "ANSIBLE_NOCOLOR": "1",
                "LC_ALL": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def play() -> t.Iterator[Play]:
    if os.geteuid() != 0:
        pytest.fail("Canaries are placed as another user. Run it as root.")
    # pytest's own directories let no other user in.
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        yield Play(Path(directory))


def look(play: Play, rc: int) -> dict[str, t.Any]:
    """Find what is there, and go on or fail."""
    script = f"stat --format='%a %n' {play.directory}/*/flask-verify-* > {play.directory}/seen; exit {rc}"
    return {"ansible.builtin.command": {"argv": ["sh", "-c", script]}}


@pytest.mark.parametrize("rc", [0, 1])
def test_they_are_removed_whatever_happens(play: Play, rc: int) -> None:
    play.leave("members")
    done = play.run(look(play, rc))
    assert (done.returncode != 0) == bool(rc), done.stdout + done.stderr
    seen = (play.directory / "seen").read_text().splitlines()
    # One in each area, and the one that was left; with the umask of the description.
    assert len(seen) == 4
    assert {line[:3] for line in seen} == {"644"}
    assert play.canaries() == []


def test_what_was_left_goes_though_none_can_be_placed(play: Play) -> None:
    play.leave("members")
    play.leave("shared")
    done = play.run(look(play, 0), app_process_id=2**22 + 1)
    assert done.returncode != 0
    assert "can't be entered" in done.stdout
    assert play.canaries() == []
