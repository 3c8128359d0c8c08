"""Which paths Nginx's unit names, and what a running Nginx sees of them; needs root, as `make test` has it."""

from __future__ import annotations

import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _confinement,
    _settings,
)

from tests.unit.descriptions import description, media_area

READ_ONLY = (
    'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && echo ready && '
    "exec -a 'nginx: master process nginx' sleep 600"
)


@pytest.mark.parametrize(
    ("parents", "roots", "paths"),
    [
        (["/var/www/a"], ["/var/www/a/static", "/var/www/a/media"], ["/var/www/a"]),
        ([], ["/data/static", "/data/media"], ["/data/media", "/data/static"]),
        (["/srv/a"], ["/srv/a/static", "/mnt/media"], ["/mnt/media", "/srv/a"]),
        (["/srv/a"], ["/srv/a/static", "/srv/ab"], ["/srv/a", "/srv/ab"]),
    ],
    ids=str,
)
def test_a_directory_of_the_apps_own_stands_for_its_roots(
    parents: list[str], roots: list[str], paths: list[str]
) -> None:
    assert _confinement.read_only_paths(parents, roots) == paths


def test_every_media_area_is_named() -> None:
    areas = [media_area("/media/"), media_area("/papers/", root="/mnt/papers")]
    settings = _settings.resolve(_settings.normalised(description(flask_media_areas=areas)))
    assert settings["site"]["read_only_paths"] == ["/mnt/papers", "/var/www/gallery"]


def test_a_file_of_somebody_elses_is_refused() -> None:
    path = _confinement.drop_in("gallery")
    assert [*_confinement.problems("gallery", {path: "ours"})] == []
    (problem,) = _confinement.problems("gallery", {path: "foreign"})
    assert path in str(problem)


def seen(script: str, paths: t.Iterable[Path], directory: Path) -> _confinement.View | None:
    """Return what a process with mounts of its own, and the title of Nginx's master, sees."""
    argv = ["unshare", "--mount", "--propagation=private", "bash", "-c", script, "bash"]
    with subprocess.Popen([*argv, str(directory)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            # Bash says it before it has become the other program; its own argument names that one too.
            command = Path(f"/proc/{process.pid}/cmdline")
            while not command.read_bytes().startswith(b"nginx: master"):
                assert process.poll() is None
            pid_file = directory.parent / "nginx.pid"
            pid_file.write_text(str(process.pid))
            return _confinement.view_of_nginx(
                "no-such-app", map(str, paths), str(pid_file), "/etc/nginx/nginx.conf"
            )
        finally:
            process.kill()


def test_the_kernel_says_what_nginx_could_write(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.fail("This test mounts. Run it as root.")
    inside, outside = tmp_path / "app", tmp_path / "other"
    for each in (inside, outside, inside / "media"):
        each.mkdir()
    view = seen(READ_ONLY, [inside / "media", outside, inside / "missing"], inside)
    assert view is not None
    assert view.writable == [str(outside)]
    assert (view.is_older, view.mount_points) == (False, [])


def test_no_nginx_sees_nothing(tmp_path: Path) -> None:
    missing = str(tmp_path / "nginx.pid")
    assert _confinement.view_of_nginx("gallery", ["/"], missing, str(tmp_path / "no.conf")) is None
