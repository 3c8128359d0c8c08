"""Releases: built whole or not at all, switched to by one rename."""

from __future__ import annotations

import getpass
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import (
    MARKER,
    Release,
    ReleaseError,
    built_ids,
    current_id,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without requirements, whose build backend is its own and needs no download."""
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tiny"\nversion = "1.0"\n'
    )
    (directory / "backend.py").write_text(
        "import os, zipfile\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    name = 'tiny-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(os.path.join(directory, name), 'w') as wheel:\n"
        "        wheel.writestr('tiny.py', f'BUILT_BY = {os.getuid()}\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('tiny-1.0.dist-info/RECORD', '')\n"
        "    return name\n"
    )
    return directory


@pytest.fixture
def archive(project: Path, tmp_path: Path) -> str:
    target = tmp_path / "source.tar.gz"
    subprocess.run(
        ["tar", "--create", "--gzip", f"--file={target}", "--transform=s,^.,source,", "."],
        cwd=project,
        check=True,
    )
    return str(target)


@pytest.fixture
def root() -> t.Iterator[Path]:
    """A root that another user can pass through, as /opt/APP is and pytest's own is not."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


# Not the tests' own, which may lie in a home that the builder has no way into.
PYTHON = "/usr/bin/python3"
BUILDER = "nobody" if os.geteuid() == 0 else getpass.getuser()


def build(release: Release, target: str) -> None:
    release.build(source="test", target=target, extra_requirements=[], python=PYTHON, user=BUILDER)


def test_a_release_is_built_as_its_user_and_installed_by_root(root: Path, archive: str) -> None:
    release = Release(str(root), "one")
    assert not release.is_built()
    build(release, archive)
    assert release.is_built()
    answer = subprocess.run(
        [f"{release.path}/bin/python", "-c", "import tiny; print(tiny.BUILT_BY, tiny.__file__)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert answer[0] != str(os.geteuid()) or os.geteuid() != 0
    assert os.stat(answer[1]).st_uid == os.geteuid()
    assert sorted(os.listdir(root)) == ["releases"]


def test_a_failed_build_leaves_nothing_and_says_why(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tar.gz"
    broken.write_bytes(b"no archive")
    release = Release(str(root), "one")
    with pytest.raises(ReleaseError, match="could not build"):
        build(release, str(broken))
    assert os.listdir(root / "releases") == []


def test_a_python_that_is_not_there_is_named(root: Path, archive: str) -> None:
    with pytest.raises(ReleaseError, match="/nowhere/python"):
        Release(str(root), "one").build(
            source="test",
            target=archive,
            extra_requirements=[],
            python="/nowhere/python",
            user=BUILDER,
        )


def test_a_half_made_release_is_made_anew(root: Path, archive: str) -> None:
    release = Release(str(root), "one")
    (root / "releases" / "one").mkdir(parents=True)
    (root / "releases" / "one" / "leftover").write_text("")
    assert not release.is_built()
    build(release, archive)
    assert not (root / "releases" / "one" / "leftover").exists()


def test_switching_names_the_release_in_use(root: Path) -> None:
    for name in ("one", "two", "two"):
        (root / "releases" / name).mkdir(parents=True, exist_ok=True)
        release = Release(str(root), name)
        release.switch()
        assert release.current_id() == name
    assert os.readlink(root / "current") == "releases/two"
    assert sorted(os.listdir(root)) == ["current", "releases"]


def test_switching_heals_a_killed_switch(root: Path) -> None:
    (root / "current.one").symlink_to("releases/one")
    Release(str(root), "one").switch()
    assert sorted(os.listdir(root)) == ["current"]


def test_a_real_directory_named_current_is_never_replaced(root: Path) -> None:
    (root / "current").mkdir()
    (root / "current" / "upload.jpg").write_text("precious")
    release = Release(str(root), "one")
    with pytest.raises(ReleaseError, match="real directory"):
        release.current_id()
    with pytest.raises(OSError):
        release.switch()
    assert (root / "current" / "upload.jpg").read_text() == "precious"


def test_a_release_without_its_marker_is_not_built(root: Path) -> None:
    release = Release(str(root), "one")
    os.makedirs(release.path)
    assert not release.is_built()
    Path(release.path, MARKER).write_text("{}")
    assert release.is_built()


def test_only_whole_releases_are_listed(root: Path) -> None:
    assert (current_id(str(root)), built_ids(str(root))) == (None, [])
    for name in ("two", "one", "half"):
        (root / "releases" / name).mkdir(parents=True)
    for name in ("two", "one"):
        (root / "releases" / name / MARKER).write_text("{}")
    (root / "current").symlink_to("releases/two")
    assert (current_id(str(root)), built_ids(str(root))) == ("two", ["one", "two"])


def test_a_real_directory_is_no_current_release(root: Path) -> None:
    (root / "current").mkdir()
    assert current_id(str(root)) is None
