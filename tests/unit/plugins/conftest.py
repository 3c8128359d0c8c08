"""What tests share that act as other users, or run a module as Ansible would."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user

COLLECTION_PARENT = Path(_as_user.__file__).parents[5]
PYTHON_CANDIDATES = (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3")


@pytest.fixture
def as_root() -> None:
    if os.geteuid() != 0:
        pytest.fail("This test acts as other users. Run it as root.")


@pytest.fixture
def visitor(as_root: None) -> _as_user.Account:
    """A user of no name, with one more group, whom no file of the machine's belongs to."""
    return _as_user.Account("visitor", 61001, 61001, (61001, 61002), "/")


@pytest.fixture
def open_directory() -> t.Iterator[Path]:
    """A directory that any user gets to, as pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="flaskworks-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory).resolve()


@pytest.fixture
def stranger(as_root: None, open_directory: Path) -> t.Iterator[int]:
    """A process to which the open directory is a file system of its own, seen by nobody else.

    What is in it is at ``/proc/PID/root``.
    """
    script = 'mount -t tmpfs none "$0" && echo ready && exec sleep 1000'
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", script, open_directory], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


class Module(t.Protocol):
    def __call__(
        self, name: str, /, *, check: bool = False, **arguments: t.Any
    ) -> dict[str, t.Any]: ...


@pytest.fixture
def run_module(tmp_path: Path) -> Module:
    """Run a module of the collection in a process of its own, and return its answer."""

    def run(name: str, /, *, check: bool = False, **arguments: t.Any) -> dict[str, t.Any]:
        arguments["_ansible_check_mode"] = check
        file = tmp_path / "arguments.json"
        file.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        finished = subprocess.run(
            [
                sys.executable,
                "-m",
                f"ansible_collections.flaskworks.static_media.plugins.modules.{name}",
                file,
            ],
            env={**os.environ, "PYTHONPATH": str(COLLECTION_PARENT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.stdout, finished.stderr
        answer: dict[str, t.Any] = json.loads(finished.stdout)
        assert (finished.returncode != 0) == bool(answer.get("failed"))
        return answer

    return run


@pytest.fixture(scope="session")
def flask_virtualenv() -> t.Iterator[Path]:
    """A virtualenv with Flask, two of its extensions and Gunicorn that every user can run.

    Its packages are copies of the test environment's own, so nothing is downloaded.
    """
    with tempfile.TemporaryDirectory(prefix="flaskworks-venv-") as directory:
        os.chmod(directory, 0o755)
        virtualenv = Path(directory, "venv")
        subprocess.run([_python_for_all(), "-m", "venv", "--without-pip", virtualenv], check=True)
        (site_packages,) = virtualenv.glob("lib/python3.*/site-packages")
        for distribution in _closure({"flask", "flask-admin", "bootstrap-flask", "gunicorn"}):
            for file in distribution.files or ():
                if ".." not in file.parts and file.suffix != ".pyc":
                    target = site_packages / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(str(file.locate()), target)
        subprocess.run(["chmod", "-R", "go+rX", directory], check=True)
        yield virtualenv


def _python_for_all() -> str:
    for candidate in PYTHON_CANDIDATES:
        real = os.path.realpath(candidate)
        if not os.path.exists(real):
            continue
        try:
            subprocess.run([real, "-c", ""], check=True, user=65534, group=65534, extra_groups=[])
        except PermissionError:
            continue
        return real
    pytest.fail(f"None of {', '.join(PYTHON_CANDIDATES)} can be run by every user.")


def _closure(names: set[str]) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            # Wanted only on another platform or Python
            continue
        for requirement in found[name].requires or ():
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            if match and "extra ==" not in requirement and match[0].lower() not in found:
                waiting.add(match[0].lower())
    return list(found.values())
