"""A real Gunicorn is found, told of without its secrets, and its app is asked by what was found."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _flask_app,
    _hosted_app,
    _hosted_container,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _app_question

from tests.unit.processes import CONTAINER

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

pytestmark = pytest.mark.usefixtures("as_root")

NOBODY = 65534
APP = """\
import os
from flask import Flask
app = Flask(__name__)
app.config.from_prefixed_env()
app.config["MEDIA_ROOT"] = os.environ.get("OF_THE_SERVER")
"""


@contextlib.contextmanager
def serving(
    command: t.Sequence[str | Path], directory: Path, environ: t.Mapping[str, str]
) -> t.Iterator[int]:
    """Run Gunicorn as nobody until it is told to end, from when it answers."""
    os.chown(directory, NOBODY, NOBODY)
    ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    ready.bind(str(directory / "ready"))
    os.chmod(directory / "ready", 0o666)
    ready.settimeout(30)
    with subprocess.Popen(
        command,
        cwd=directory,
        env={**environ, "NOTIFY_SOCKET": str(directory / "ready"), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        umask=0o027,
        start_new_session=True,
    ) as process:
        try:
            # sd_notify(3): it listens now.
            assert b"READY=1" in ready.recv(4096)
            connection = http.client.HTTPConnection("localhost", timeout=30)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(directory / "app.sock"))
            # A worker answers.
            connection.request("GET", "/")
            assert connection.getresponse().status == 404
            connection.close()
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
            ready.close()


def test_a_gunicorn_is_found_and_its_app_asked(
    run_module: Module, flask_virtualenv: Path, open_directory: Path
) -> None:
    (open_directory / "shop.py").write_text(APP)
    (open_directory / "gunicorn.conf.py").write_text(
        f'bind = "unix:{open_directory}/app.sock"\nwsgi_app = "shop:app"\ntoken = "hidden-one"\n'
        'raw_env = ["FLASK_SECRET_KEY=hidden-two"]\n'
    )
    python = flask_virtualenv / "bin/python"
    command: list[str | Path] = [
        python,
        "-m",
        "gunicorn",
        "--env",
        "OF_THE_SERVER=/hidden-three",
        "--workers=2",
    ]
    environ = {"FLASK_UPLOAD_FOLDER": "/srv/media", "FLASK_PASSWORD": "hidden-four"}
    with serving(command, open_directory, environ) as master:
        answer = run_module("flask_process_info", addresses=[f"unix:{open_directory}/app.sock"])
        found = {each["pid"]: each for each in answer["processes"]}[master]
        arguments, reason = _app_question.question(found)
        assert (reason, found["unseen"]) == (None, [])
        assert arguments is not None
        asked = run_module("flask_app_info", **arguments)
    assert "hidden-" not in json.dumps(answer)
    assert answer["unseen"] == []
    assert len(found["workers"]) == 2
    assert found["listens"] == found["reachable_at"] == [f"unix:{open_directory}/app.sock"]
    assert (found["server"], found["callable"]) == ("gunicorn", "shop:app")
    assert (found["user"], found["uid"], found["gid"]) == ("nobody", NOBODY, NOBODY)
    assert (found["umask"], found["virtualenv"]) == ("0027", str(flask_virtualenv))
    assert found["directory"] == found["cwd"] == str(open_directory)
    assert found["argv"][-2:] == ["OF_THE_SERVER=********", "--workers=2"]
    assert found["environment"] == {"FLASK_UPLOAD_FOLDER": "/srv/media"}
    assert {"FLASK_PASSWORD", "FLASK_UPLOAD_FOLDER"} <= set(found["environment_names"])
    # It is asked as it runs: with its environment, and with what Gunicorn adds to that.
    assert asked["app"]["config"]["UPLOAD_FOLDER"] == "/srv/media"
    assert asked["app"]["config"]["MEDIA_ROOT"] == "/hidden-three"
    assert asked["app"]["process"]["umask"] == "0027"
    assert asked["app"]["process"]["uid"] == NOBODY


@pytest.fixture
def arguments(flask_virtualenv: Path, open_directory: Path) -> dict[str, t.Any]:
    return {
        "virtualenv": str(flask_virtualenv),
        "user": "nobody",
        "directory": str(open_directory),
    }


def test_an_app_of_a_file(
    run_module: Module, arguments: dict[str, t.Any], open_directory: Path
) -> None:
    (open_directory / "deeper").mkdir()
    file = open_directory / "deeper/the-shop.py"
    file.write_text("import helper\n" + APP.replace("app =", "application ="))
    file.write_text(file.read_text().replace("app.config", "application.config"))
    (open_directory / "helper.py").touch()
    app = run_module("flask_app_info", callable=f"{file}:application", **arguments)["app"]
    assert app["mounts"][0]["folder"] == str(open_directory / "deeper/static")
    answer = run_module("flask_app_info", callable="/no/such.py:app", **arguments)
    assert "no Python file /no/such.py" in answer["msg"]


@pytest.mark.parametrize("name", ["shop", "shop.py", "shop:make('x')", "shop:made"])
def test_an_app_that_flask_finds(
    run_module: Module, arguments: dict[str, t.Any], open_directory: Path, name: str
) -> None:
    (open_directory / "shop.py").write_text(
        APP + "def make(name=''):\n    return app\nmade = app\napp.run()\n"
    )
    app = run_module("flask_app_info", callable=name, loader="flask", **arguments)["app"]
    assert app["import_name"] == "shop"


def test_an_app_that_flask_does_not_find(
    run_module: Module, arguments: dict[str, t.Any], open_directory: Path
) -> None:
    (open_directory / "shop.py").write_text("x = 1\n")
    answer = run_module("flask_app_info", callable="shop", loader="flask", **arguments)
    assert "flask --app shop finds no app" in answer["msg"]


def test_an_app_beside_a_python_that_is_no_virtualenvs(
    run_module: Module, arguments: dict[str, t.Any], open_directory: Path
) -> None:
    python = f"{arguments.pop('virtualenv')}/bin/python"
    (open_directory / "shop.py").write_text("import beside\n" + APP)
    (open_directory / "aside").mkdir()
    (open_directory / "aside/beside.py").touch()
    given = {"callable": "shop:app", "python": python, **arguments}
    assert "needs the module beside" in run_module("flask_app_info", **given)["msg"]
    answer = run_module("flask_app_info", python_path=[f"{open_directory}/aside"], **given)
    assert answer["asked"] is True
    answer = run_module("flask_app_info", **{**given, "python": "/no/such/python3"})
    assert "/no/such/python3 isn't there" in answer["msg"]


def test_a_python_or_a_virtualenv_is_needed(
    run_module: Module, arguments: dict[str, t.Any]
) -> None:
    del arguments["virtualenv"]
    answer = run_module("flask_app_info", callable="shop:app", **arguments)
    assert "one of the following is required: virtualenv, python" in answer["msg"]


# In place of the command docker: it does what is asked for here, and tells how it was called.
DOCKER = """\
#!/bin/sh
env > {log}
while [ "$1" != {container} ]; do
    case $1 in --workdir=*) cd "${{1#--workdir=}}" ;; esac
    echo "$1" >> {log}
    shift
done
shift
exec {switch} "$@"
"""
SWITCH = "setpriv --reuid=65534 --regid=65534 --clear-groups"


class Hosted:
    """An app in a container; this test is the container."""

    def __init__(self, directory: Path, virtualenv: Path) -> None:
        self.directory = directory
        self.path = str(directory / "docker")
        self.log = directory / "log"
        self.install(SWITCH)
        self._virtualenv = virtualenv

    def install(self, switch: str) -> None:
        text = DOCKER.format(log=self.log, container=CONTAINER, switch=switch)
        Path(self.path).write_text(text)
        os.chmod(self.path, 0o755)

    def ask(self, user: str = "65534:65534", **more: t.Any) -> dict[str, t.Any]:
        return _hosted_app.HostedApp(
            container=CONTAINER,
            virtualenv=str(self._virtualenv),
            callable=_flask_app.Callable.parse("shop:app"),
            user=user,
            directory=str(self.directory),
            **more,
        ).ask()


@pytest.fixture
def hosted(open_directory: Path, flask_virtualenv: Path, monkeypatch: pytest.MonkeyPatch) -> Hosted:
    (open_directory / "shop.py").write_text("print('prints of the app')\n" + APP)
    hosted = Hosted(open_directory, flask_virtualenv)
    found = (hosted, {"Id": CONTAINER})
    monkeypatch.setattr(_hosted_container, "find", lambda *_arguments: found)
    return hosted


def test_an_app_in_a_container(hosted: Hosted) -> None:
    environment = {
        "FLASK_UPLOAD_FOLDER": "/app/media",
        "DOCKER_HOST": "tcp://elsewhere",
        "LD_PRELOAD": "/tmp/x.so",
    }
    answer = hosted.ask(environment=environment, umask=0o077)
    assert answer["config"]["UPLOAD_FOLDER"] == "/app/media"
    assert answer["mounts"][0]["folder"] == str(hosted.directory / "static")
    assert answer["process"]["umask"] == "0077"
    log = hosted.log.read_text()
    assert "--user=65534:65534" in log
    assert "/app/media" not in log, "no value is an argument, or in the engine's environment"
    assert "elsewhere" not in log
    assert "x.so" not in log


def test_variables_for_where_modules_are_hold_in_a_container_too(hosted: Hosted) -> None:
    (hosted.directory / "aside").mkdir()
    (hosted.directory / "aside/beside.py").touch()
    (hosted.directory / "shop.py").write_text("import beside\n" + APP)
    assert hosted.ask(environment={"PYTHONPATH": f"{hosted.directory}/aside"})["rules_total"] == 1


@pytest.mark.parametrize(
    "user", ["root", "0", "00", "0:0", "root:app", "", ":33", "--privileged", "a b"]
)
def test_in_a_container_too_nobody_is_asked_as_root(hosted: Hosted, user: str) -> None:
    with pytest.raises(_flask_app.FlaskAppError, match="user is"):
        hosted.ask(user)
    assert not hosted.log.exists()


def test_a_name_of_roots_that_is_not_known_here_is_refused_there(hosted: Hosted) -> None:
    hosted.install("env")
    with pytest.raises(_flask_app.FlaskAppError, match="its user is root there"):
        hosted.ask("toor")


def test_the_environment_of_another_process_is_not_handed_into_a_container(
    hosted: Hosted,
) -> None:
    with pytest.raises(_flask_app.FlaskAppError, match="none of container"):
        hosted.ask(process_id=os.getpid())
    assert not hosted.log.exists()


def test_an_app_in_a_container_that_hangs_or_fails(hosted: Hosted) -> None:
    (hosted.directory / "shop.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(_flask_app.FlaskAppError, match="within 1 seconds"):
        hosted.ask(timeout_seconds=1)
    (hosted.directory / "shop.py").write_text("import os\nraise ValueError(os.environ['TOKEN'])\n")
    with pytest.raises(_flask_app.FlaskAppError, match="raised ValueError") as failure:
        hosted.ask(environment={"TOKEN": "hidden-five"})
    assert "hidden-five" not in str(failure.value)


def test_a_container_that_is_none(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hosted_container, "find", lambda *_arguments: (None, None))
    with pytest.raises(_flask_app.FlaskAppError, match="There is no container"):
        hosted.ask()
