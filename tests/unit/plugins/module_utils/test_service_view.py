"""A service that has lost its mount of a directory is stale; needs root, as `make test` has it."""

from __future__ import annotations

import contextlib
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.flaskworks.static_media.plugins.module_utils import _service

READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && echo ready && read -r _end'
AS_WE = "echo ready && read -r _end"


@contextlib.contextmanager
def in_a_namespace(script: str, directory: Path) -> t.Iterator[int]:
    """Run a script with mounts of its own, as a hardened service has them."""
    command = ["unshare", "--mount", "--propagation=private", "sh", "-c", script, "sh"]
    with subprocess.Popen(
        [*command, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


class Known(_service.Systemd):
    """A unit that runs as a given process."""

    def __init__(self, pid: int, directory: Path, option: str = "directories") -> None:
        options: dict[str, t.Any] = {option: [str(directory)]}
        super().__init__("gallery", **options)
        self.pid = pid

    def ask(self, command: t.Sequence[str], **variables: str) -> _service.Answer:
        shown = f"LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nMainPID={self.pid}\n"
        return _service.Answer(0, shown)


def test_a_directory_that_only_the_service_sees_read_only_makes_it_stale(tmp_path: Path) -> None:
    with in_a_namespace(READ_ONLY, tmp_path) as pid:
        state = Known(pid, tmp_path).state()
        assert state.newer == (str(tmp_path),)
        assert "restart" in _service.plan(state, _service.Wanted())


def test_a_directory_that_both_see_alike_does_not(tmp_path: Path) -> None:
    with in_a_namespace(AS_WE, tmp_path) as pid:
        state = Known(pid, tmp_path).state()
        assert state.newer == ()
        assert _service.plan(state, _service.Wanted()) == []


def test_a_directory_that_the_service_could_write_makes_it_stale_where_it_must_not(
    tmp_path: Path,
) -> None:
    with in_a_namespace(AS_WE, tmp_path) as pid:
        state = Known(pid, tmp_path, "read_only_directories").state()
        assert state.newer == (str(tmp_path),)
        assert _service.plan(state, _service.Wanted()) == ["restart"]
        assert _service.plan(state, _service.Wanted(may_restart=False)) == []
        assert _service.owes_restart(state, _service.Wanted(may_restart=False))
    with in_a_namespace(READ_ONLY, tmp_path) as pid:
        assert Known(pid, tmp_path, "read_only_directories").state().newer == ()


def test_a_process_that_is_gone_sees_nothing(tmp_path: Path) -> None:
    assert Known(2**22 - 1, tmp_path).state().newer == ()
