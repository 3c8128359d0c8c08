"""The module as Ansible runs it, with an init script of this machine's."""

from __future__ import annotations

import datetime
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.modules import flask_service

Module = t.Callable[..., dict[str, t.Any]]

pytestmark = pytest.mark.usefixtures("as_root")

INIT_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Test of flaskworks.static_media
### END INIT INFO
case "$1" in
start) start-stop-daemon --start --background --make-pidfile --pidfile PID --exec /bin/sleep -- 600 ;;
stop) start-stop-daemon --stop --oknodo --remove-pidfile --retry 5 --pidfile PID ;;
restart) $0 stop && $0 start ;;
status) start-stop-daemon --status --pidfile PID ;;
esac
"""


@pytest.fixture
def arguments(tmp_path: Path) -> t.Iterator[dict[str, t.Any]]:
    name = f"flaskworks-module-{os.getpid()}"
    script = Path("/etc/init.d") / name
    (tmp_path / "app.env").touch()
    yield {
        "name": name,
        "manager": "sysvinit",
        "pid_file": str(tmp_path / "pid"),
        "paths": [str(tmp_path / "app.env")],
    }
    if script.exists():
        subprocess.run([script, "stop"], check=False, capture_output=True)
        script.unlink()
    subprocess.run(["update-rc.d", name, "remove"], check=True, capture_output=True)


def install(arguments: dict[str, t.Any]) -> None:
    script = Path("/etc/init.d") / arguments["name"]
    text = INIT_SCRIPT.replace("NAME", arguments["name"]).replace("PID", arguments["pid_file"])
    script.write_text(text)
    script.chmod(0o755)


def test_check_mode_says_what_a_run_does(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    bare = run_module("flask_service", check=True, **arguments)
    assert (bare["changed"], bare["actions"]) == (True, ["enable", "start"])
    install(arguments)
    for expected in (["enable", "start"], ["restart"]):
        promised = run_module("flask_service", check=True, **arguments)
        kept = run_module("flask_service", **arguments)
        again = run_module("flask_service", check=True, **arguments)
        assert promised["actions"] == kept["actions"] == expected
        assert (promised["changed"], kept["changed"], again["changed"]) == (True, True, False)
        assert (kept["running"], kept["main_pid"]) == (True, again["main_pid"])
        (tmp_path / "app.env").write_text("A=1")


def test_the_answer_has_what_the_documentation_promises(
    run_module: Module, arguments: dict[str, t.Any], tmp_path: Path
) -> None:
    install(arguments)
    run_module("flask_service", **arguments)
    (tmp_path / "app.env").write_text("A=1")
    answer = run_module("flask_service", **arguments)
    documented = yaml.safe_load(flask_service.RETURN)
    assert answer.keys() - {"changed", "diff", "invocation"} == documented.keys()
    assert (answer["stale"], answer["newer"]) == (True, arguments["paths"])
    assert answer["diff"]["after"] == f"restart {arguments['name']}\n"
    started = datetime.datetime.fromisoformat(answer["started"])
    assert started.utcoffset() == datetime.timedelta(0)


def test_a_service_that_is_not_installed_is_refused(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    answer = run_module("flask_service", **arguments)
    assert answer["msg"].startswith(f"{arguments['name']}: update-rc.d ")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../x"}, "'../x' is no name of a service"),
        ({"socket": True}, "socket: an init script has no socket unit"),
        ({"timeout_seconds": 0}, "timeout_seconds has to be more than 0"),
        ({"manager": "upstart"}, "systemd, sysvinit"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_bad_input_is_refused_in_check_mode_too(
    run_module: Module,
    arguments: dict[str, t.Any],
    change: dict[str, t.Any],
    words: str,
    check: bool,
) -> None:
    assert words in run_module("flask_service", check=check, **{**arguments, **change})["msg"]


def test_check_mode_tells_of_changes_that_are_yet_to_be_made(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    install(arguments)
    assert run_module("flask_service", **arguments)["running"]
    (env_file,) = arguments["paths"]

    def changes(*changed: str | None) -> dict[str, t.Any]:
        return {"changes": [{"path": path, "changed": True} for path in changed]}

    def check(**options: t.Any) -> list[str]:
        answer = run_module("flask_service", check=True, **{**arguments, **options})
        return list(answer["actions"])

    reload = {"on_stale": "reload", "reload_paths": [env_file]}
    assert check() == []
    assert check(changes=[{"path": env_file, "changed": False}]) == []
    assert check(**changes(env_file)) == ["restart"]
    assert check(**changes(env_file), **reload) == ["reload"]
    assert check(**changes(env_file), on_stale="reload", reload_paths=[]) == ["restart"]
    assert "restart" in check(**changes(None), **reload)
    assert check(**changes("/no/path/of/its")) == []
    # What the files themselves say is what counts when something is done.
    assert run_module("flask_service", **arguments, **changes(env_file))["actions"] == []
