"""What role flask_app writes for a service manager: the init script run, the unit read."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import jinja2
import pytest
import yaml
from ansible.plugins.filter import core

from tests.unit.roles.specs import CHECKOUT

TEMPLATES = CHECKOUT / "roles/flask_app/templates"
USER = "nobody"
MEDIA = {"roots": ["/srv/media"], "mode": "0755", "file_mode": "0644", "umask": "0022"}
UNIT = {
    "name": "app",
    "user": "app",
    "group": "app",
    "bind": "unix:/run/app/app.sock",
    "directory": "/opt/app/current",
    "virtualenv": "/opt/app/current",
    "gunicorn_file": "/etc/app/gunicorn.conf.py",
    "gunicorn_timeout_seconds": 30,
    "secret_key_file": "/etc/app/secret_key.env",
    "env_file": "/etc/app/app.env",
}


def render(name: str, app: dict[str, t.Any], mount: dict[str, t.Any] | None = None) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(core.FilterModule().filters())
    settings = {
        "app": app,
        "site": {"nginx_user": "root"},
        "media": {**MEDIA, "mount": mount},
    }
    return environment.get_template(name).render(
        __flask_app={"settings": settings}, ansible_managed="Ansible managed"
    )


@pytest.fixture
def app() -> t.Iterator[dict[str, t.Any]]:
    """An app whose Gunicorn writes its pid file."""
    if os.geteuid() != 0 or shutil.which("start-stop-daemon") is None:
        pytest.fail("This test runs an init script. Run it as root, on Debian or Ubuntu.")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        for part in ("run", "log", "venv/bin"):
            (directory / part).mkdir(parents=True)
        shutil.chown(directory / "run", USER)
        gunicorn = directory / "venv/bin/gunicorn"
        gunicorn.write_text(
            f"#!/bin/sh\necho $$ >{directory}/run/app.pid\nread -r _ <{directory}/hold\n"
        )
        gunicorn.chmod(0o755)
        os.mkfifo(directory / "hold")
        (directory / "hold").chmod(0o666)
        (directory / "key.env").write_text("FLASK_SECRET_KEY=x\n")
        (directory / "app.env").write_text("FLASK_A=1\n")
        (directory / "gunicorn.conf.py").touch()
        app = {
            "name": "app",
            "user": USER,
            "group": "nogroup",
            "bind": f"unix:{directory}/run/app.sock",
            "python": "/usr/bin/python3",
            "run_directory": f"{directory}/run",
            "directory": str(directory),
            "virtualenv": f"{directory}/venv",
            "gunicorn_file": f"{directory}/gunicorn.conf.py",
            "gunicorn_timeout_seconds": 1,
            "secret_key_file": f"{directory}/key.env",
            "env_file": f"{directory}/app.env",
        }
        yield app
        script(app, "stop")


def script(
    app: dict[str, t.Any],
    action: str,
    is_answering: bool = True,
    mount: dict[str, t.Any] | None = None,
) -> int:
    """Run the init script, with its log below the app's own directory, and return its status."""
    directory = app["directory"]
    text = render("app.init.j2", app, mount).replace(
        'LOG="/var/log/$NAME/', f'LOG="{directory}/log/'
    )
    if is_answering:
        text = text.replace("&& answers;", "&& true;")
    path = Path(directory, "script")
    path.write_text(text)
    return subprocess.run(["/bin/sh", path, action], check=False, timeout=60).returncode


def test_entries_of_any_name_reach_the_app_and_not_the_script(app: dict[str, t.Any]) -> None:
    entries = {
        "LOG": "/etc/planted.log",
        "NAME": "other",
        "APP_USER": "root",
        "PIDFILE": "/etc/planted.pid",
        "PATH": "/nowhere",
        "IFS": "x",
        "BIND": "unix:/nowhere",
    }
    lines = "".join(f"{name}={value}\n" for name, value in entries.items())
    Path(app["env_file"]).write_text(lines)
    assert script(app, "start") == 0
    pid = Path(app["run_directory"], "app.pid").read_text().strip()
    environ = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    assert {f"{name}={value}" for name, value in entries.items()} <= set(environ)
    assert os.stat(f"/proc/{pid}").st_uid != 0
    log = Path(app["directory"], "log/gunicorn.log")
    assert log.stat().st_uid == 0
    assert log.stat().st_mode & 0o007 == 0
    assert not os.path.lexists("/etc/planted.log")
    assert script(app, "status") == 0


def test_a_pid_of_another_process_does_not_count(app: dict[str, t.Any]) -> None:
    pid_file = Path(app["run_directory"], "app.pid")
    assert script(app, "status") != 0
    # This one, root's; then one of the same user's that is no Gunicorn.
    pid_file.write_text(f"{os.getpid()}\n")
    assert script(app, "status") != 0
    with subprocess.Popen(["sleep", "600"], user=USER, group="nogroup", extra_groups=[]) as other:
        try:
            comm = Path(f"/proc/{other.pid}/comm")
            while comm.read_text() != "sleep\n":
                assert other.poll() is None
            pid_file.write_text(f"{other.pid}\n")
            assert script(app, "status") != 0
            assert script(app, "start") == 0
            assert pid_file.read_text() != f"{other.pid}\n"
            assert other.poll() is None
        finally:
            other.kill()
    assert script(app, "status") == 0
    assert script(app, "stop") == 0
    assert script(app, "status") != 0


# As Gunicorn does at USR2, its pauses included: Arbiter.reexec(), Arbiter.maybe_promote_master().
SUCCEEDED = """#!/usr/bin/python3
import os, signal, sys, time

PID_FILE = sys.argv[-1].replace("gunicorn.conf.py", "run/app.pid")
first = os.environ.get("GUNICORN_PID")


def write(path):
    with open(path, "w") as stream:
        stream.write(str(os.getpid()))


def end(*_):
    os.unlink(PID_FILE)
    os._exit(0)


def reexec(*_):
    number = str(os.getpid())
    if {is_followed} and not os.fork():
        os.execve(__file__, sys.argv, {{"GUNICORN_PID": number}})


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR2, reexec)
if first:
    time.sleep(0.7)
    write(PID_FILE + ".2")
    os.kill(int(first), signal.SIGTERM)
    while os.getppid() == int(first):
        time.sleep(0.05)
    time.sleep(0.7)
    os.rename(PID_FILE + ".2", PID_FILE)
else:
    write(PID_FILE)
while True:
    signal.pause()
"""


def pids(app: dict[str, t.Any]) -> set[int]:
    """Return the processes that run the app's Gunicorn."""
    done = subprocess.run(
        ["pgrep", "-f", f"{app['virtualenv']}/bin/gunicorn"], capture_output=True, check=False
    )
    return set(map(int, done.stdout.split()))


@pytest.mark.parametrize("actions", [("stop",), ("reload", "stop"), ("stop", "start", "stop")])
def test_a_reload_leaves_nothing_behind(app: dict[str, t.Any], actions: tuple[str, ...]) -> None:
    Path(app["virtualenv"], "bin/gunicorn").write_text(SUCCEEDED.format(is_followed=True))
    app["gunicorn_timeout_seconds"] = 10
    assert script(app, "start") == 0
    before = pids(app)
    assert len(before) == 1
    assert script(app, "reload") == 0
    assert script(app, "status") == 0
    assert pids(app) - before
    for action in actions:
        assert script(app, action) == 0
        assert len(pids(app)) in {"start": {1}, "reload": {1, 2}, "stop": {0}}[action]


def test_a_reload_that_nothing_follows_fails(app: dict[str, t.Any]) -> None:
    Path(app["virtualenv"], "bin/gunicorn").write_text(SUCCEEDED.format(is_followed=False))
    assert script(app, "start") == 0
    before = pids(app)
    assert script(app, "reload") != 0
    assert pids(app) == before
    assert script(app, "status") == 0


def test_the_script_starts_nothing_without_the_mount(app: dict[str, t.Any]) -> None:
    mount = {"path": app["directory"], "sentinel": ".flask_media_app"}
    assert script(app, "start", mount=mount) != 0
    assert pids(app) == set()
    Path(mount["path"], mount["sentinel"]).touch()
    assert script(app, "start", mount=mount) == 0
    assert script(app, "status", mount=mount) == 0


def unit(
    name: str = "app.service.j2", mount: dict[str, t.Any] | None = None
) -> dict[str, list[str]]:
    """Return the options of each section of the unit."""
    sections: dict[str, list[str]] = {}
    section = ""
    for line in render(name, UNIT, mount).splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            sections.setdefault(section, []).append(line)
    return sections


def test_a_crash_loop_reaches_no_start_limit() -> None:
    sections = unit()
    assert "StartLimitIntervalSec=0" in sections["Unit"]
    assert {"Restart=on-failure", "RestartSec=1"} <= set(sections["Service"])


def test_a_call_that_is_filtered_is_an_error_and_no_end() -> None:
    assert "SystemCallErrorNumber=EPERM" in unit()["Service"]


@pytest.mark.parametrize("name", ["app.service.j2", "app.socket.j2"])
def test_the_units_are_bound_to_the_mount_that_there_is(name: str) -> None:
    mount = {"path": "/srv/media", "unit": "srv-media.mount", "sentinel": ".flask_media_app"}
    expected = {
        "RequiresMountsFor=/srv/media",
        "BindsTo=srv-media.mount",
        "AssertPathIsMountPoint=/srv/media",
        "AssertPathExists=/srv/media/.flask_media_app",
    }
    assert expected <= set(unit(name, mount)["Unit"])
    without = " ".join(unit(name)["Unit"])
    assert "Assert" not in without
    assert "BindsTo" not in without


def test_root_owns_where_it_opens_the_log() -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/flask_app/tasks/service-sysvinit.yml").read_text())
    (log,) = (
        task["ansible.builtin.file"]
        for task in tasks
        if "/var/log/" in str(task.get("ansible.builtin.file"))
    )
    assert (log["owner"], log["mode"]) == ("root", "0750")


class _Body:
    """What Gunicorn has of a request's body, in pieces; an error stands for a closed connection."""

    def __init__(self, *pieces: bytes | OSError) -> None:
        self.pieces = list(pieces)

    def read(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece[:size]


@pytest.mark.parametrize(
    ("length", "pieces", "left"),
    [
        ("17000000", [b"a", b"b"], 0),
        ("17000000", [b"a", ConnectionResetError()], 0),
        ("", [b"chunk"], 0),
        # Nginx sends none of it: reading would wait for ever.
        (str(2**40), [b"never"], 1),
    ],
)
def test_what_an_app_has_refused_unread_is_read(
    length: str, pieces: list[bytes | OSError], left: int, tmp_path: Path
) -> None:
    part = tmp_path / "part.py"
    part.write_text(render("post_request.py.j2", {}))
    hooks = runpy.run_path(str(part))
    body = _Body(*pieces)
    request = type("Request", (), {"body": body})()
    hooks["post_request"](None, request, {"CONTENT_LENGTH": length}, None)
    assert len(body.pieces) == left
