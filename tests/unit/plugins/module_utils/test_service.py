"""Services: what is owed to them, asked of real processes and a real init script."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _process, _service
from ansible_collections.flaskworks.static_media.plugins.module_utils._service import State

HEALTHY = State(known=True, enabled=True, running=True, main_pid=1)


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, []),
        ({"running": False, "main_pid": None}, ["start"]),
        ({"enabled": False}, ["enable"]),
        ({"newer": ("/etc/x",)}, ["restart"]),
        ({"reload_needed": True}, ["read definition"]),
        ({"reload_needed": True, "newer": ("/etc/x",)}, ["read definition", "restart"]),
        ({"socket_ready": False}, ["restart with socket"]),
        ({"socket_ready": False, "running": False}, ["restart with socket"]),
    ],
    ids=str,
)
def test_what_is_owed(changes: dict[str, t.Any], actions: list[str]) -> None:
    state = State(**{**HEALTHY.__dict__, **changes})
    assert _service.plan(state) == actions


def test_a_service_that_is_yet_to_be_installed_owes_everything() -> None:
    assert _service.plan(State()) == ["read definition", "enable", "start"]


@pytest.fixture
def process() -> t.Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        yield running.pid
        running.kill()


def test_a_file_changed_after_the_start_is_newer(process: int, tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("")
    assert _service.newer_paths(process, [str(path)]) == (str(path),)


def test_a_process_started_after_the_change_is_not_stale(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("")
    _process.settle(str(path))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        assert _service.newer_paths(running.pid, [str(path)]) == ()
        running.kill()


def test_a_link_that_leads_elsewhere_since_is_newer(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    _process.settle(str(tmp_path / "two"))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
        (tmp_path / "current").symlink_to("one")
        current = str(tmp_path / "current")
        assert _service.newer_paths(running.pid, [current]) == (current,)
        running.kill()


def test_what_is_not_there_is_not_newer(process: int, tmp_path: Path) -> None:
    assert _service.newer_paths(process, [str(tmp_path / "none")]) == ()


def test_a_process_that_is_gone_has_nothing_newer(tmp_path: Path) -> None:
    assert _service.newer_paths(2**22 - 1, [str(tmp_path)]) == ()


INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
### END INIT INFO
PID=DIRECTORY/NAME.pid
case "$1" in
start)
    [ ! -e DIRECTORY/broken ] || { echo "broken on purpose" | tee DIRECTORY/log; exit 1; }
    start-stop-daemon --start --background --make-pidfile --pidfile $PID --exec /bin/sleep -- 600 ;;
stop) start-stop-daemon --stop --oknodo --retry 5 --pidfile $PID ;;
restart) $0 stop; $0 start ;;
status) start-stop-daemon --status --pidfile $PID ;;
esac
"""


@pytest.fixture
def init_service(tmp_path: Path) -> t.Iterator[_service.SysVInit]:
    """A service of this machine's, by a name of its own; needs root, as `make test` has it."""
    name = f"flaskworks-test-{os.getpid()}"
    script = Path("/etc/init.d") / name
    service = _service.SysVInit(
        name,
        [str(tmp_path / "app.env")],
        str(tmp_path / "log"),
        str(tmp_path / f"{name}.pid"),
    )
    (tmp_path / "app.env").write_text("")
    yield service
    if script.exists():
        subprocess.run([str(script), "stop"], check=False, capture_output=True)
        script.unlink()
        subprocess.run(["update-rc.d", name, "remove"], check=True, capture_output=True)


def install(service: _service.SysVInit, directory: Path) -> None:
    script = Path(service.script)
    text = INIT_SCRIPT.replace("NAME", service.name).replace("DIRECTORY", str(directory))
    script.write_text(text)
    script.chmod(0o755)


def test_an_init_script_is_enabled_started_restarted_and_left_alone(
    init_service: _service.SysVInit, tmp_path: Path
) -> None:
    assert _service.plan(init_service.state()) == ["read definition", "enable", "start"]
    install(init_service, tmp_path)
    init_service.apply(_service.plan(init_service.state()))
    first = init_service.state()
    assert _service.plan(first) == []
    assert first.main_pid
    (tmp_path / "app.env").write_text("changed")
    assert _service.plan(init_service.state()) == ["restart"]
    init_service.apply(["restart"])
    second = init_service.state()
    assert _service.plan(second) == []
    assert second.main_pid != first.main_pid


def test_a_service_that_does_not_start_shows_its_log(
    init_service: _service.SysVInit, tmp_path: Path
) -> None:
    install(init_service, tmp_path)
    (tmp_path / "broken").write_text("")
    with pytest.raises(_service.ServiceError, match="broken on purpose"):
        init_service.apply(["start"])
