"""A release is asked before it is switched to; a small program stands for Gunicorn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _app_health, _as_user
from ansible_collections.flaskworks.static_media.plugins.module_utils._app_health import (
    Answer,
    FlaskAppError,
    HealthCheck,
    HealthError,
    NotYetError,
)

pytestmark = pytest.mark.usefixtures("as_root")

# Takes what Gunicorn takes, runs its configuration as Gunicorn does, and answers by "shop".
GUNICORN = """\
#!/usr/bin/python3
import json, os, runpy, socket, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
settings = runpy.run_path(options["--config"])
os.chdir(settings["chdir"])
exec(open("before").read())
server = socket.socket(socket.AF_UNIX)
server.bind(options["--bind"].partition(":")[2])
server.listen()
while True:
    connection, _ = server.accept()
    with connection, connection.makefile("rwb") as stream:
        request = []
        while (line := stream.readline().strip()):
            request.append(line.decode())
        if request:
            exec(open("shop").read())
"""


class Ask(t.Protocol):
    def __call__(self, shop: str, before: str = "", **changes: t.Any) -> Answer: ...


@pytest.fixture
def ask(open_directory: Path) -> Ask:
    """Ask a release that runs ``before`` when it starts, and ``shop`` at each request."""
    gunicorn = open_directory / "bin" / "gunicorn"
    gunicorn.parent.mkdir()
    gunicorn.write_text(GUNICORN)
    gunicorn.chmod(0o755)
    (open_directory / "gunicorn.conf.py").write_text("chdir = '/nowhere'\nworkers = 4\n")
    (open_directory / "app.env").write_text("SECRET=hush-hush\n")

    def ask(shop: str, before: str = "", **changes: t.Any) -> Answer:
        (open_directory / "shop").write_text(shop)
        (open_directory / "before").write_text(before)
        given: dict[str, t.Any] = {
            "virtualenv": str(open_directory),
            "user": "nobody",
            "directory": str(open_directory),
            "config_file": str(open_directory / "gunicorn.conf.py"),
            "environment_files": [str(open_directory / "app.env")],
            "url": "/health?a=b",
            "site_url": "http://shop.example.com:8080",
            "timeout_seconds": 20,
            **changes,
        }
        return HealthCheck(**given).ask()

    return ask


@pytest.fixture(autouse=True)
def nothing_is_left(open_directory: Path) -> t.Iterator[None]:
    """Whatever happened: no process, no directory."""
    before = directories()
    yield
    assert directories() <= before
    assert running(open_directory) == []


def directories() -> set[str]:
    return {name for name in os.listdir("/run") if name.startswith(_app_health.PREFIX)}


def running(directory: Path) -> list[str]:
    """Ids of processes that run what lies there."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        if f"{directory}/bin/gunicorn".encode() in command:
            found.append(name)
    return found


def answering(status: str, body: str = "") -> str:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"stream.write({(head + body).encode()!r})"


def refusal(ask: Ask, shop: str, before: str = "", **changes: t.Any) -> str:
    with pytest.raises(HealthError) as caught:
        ask(shop, before, **changes)
    text = str(caught.value)
    assert "the release in use goes on" in text
    assert "hush-hush" not in text
    return text


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "302 Found", "399 Odd"])
def test_a_healthy_release_is_told(ask: Ask, status: str) -> None:
    answer = ask(answering(status))
    assert answer.status == int(status[:3])
    assert 0 < answer.seconds < 20


def test_it_is_asked_as_nginx_asks_and_run_as_the_service_runs(
    ask: Ask, open_directory: Path
) -> None:
    witness = open_directory / "witness"
    witness.touch()
    witness.chmod(0o666)
    facts = (
        "json.dump([request, options, os.getuid(), os.environ['SECRET'], os.getcwd(), "
        "oct(os.stat(os.path.dirname(options['--pid'])).st_mode), "
        f"os.umask(0)], open({str(witness)!r}, 'w'))\n"
    )
    ask(facts + answering("200 OK"), prefix="/shop/", umask=0o022)
    request, options, uid, secret, directory, mode, umask = json.loads(witness.read_text())
    assert request[0] == "GET /health?a=b HTTP/1.1"
    assert set(request[1:]) >= {
        "Host: shop.example.com:8080",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: shop.example.com:8080",
        "X-Forwarded-Port: 8080",
        "X-Forwarded-Prefix: /shop",
    }
    assert options["--workers"] == "1"
    assert (uid, secret, directory) == (65534, "hush-hush", str(open_directory))
    assert (mode, umask) == ("0o40700", 0o022)


def test_a_site_without_a_name_of_its_own_is_asked_by_one(ask: Ask) -> None:
    shop = f"assert 'Host: www.example.com' in request and 'X-Forwarded-Port: 443' in request; {answering('200 OK')}"
    assert ask(shop, site_url="https://*.example.com").status == 200


@pytest.mark.parametrize("status", ["500 Broken", "404 Not Found", "401 Unauthorized", "503 Later"])
def test_another_status_is_refused_with_the_answer_and_the_log(ask: Ask, status: str) -> None:
    shop = "print('no table hush-hush', flush=True)\n" + answering(status, "the end hush-hush")
    text = refusal(ask, shop)
    assert f"GET /health?a=b was answered by {status}, which is not 200 to 399" in text
    assert "  the end ********" in text
    assert "  no table ********" in text


def test_a_long_answer_is_cut_to_its_end(ask: Ask) -> None:
    lines = "\n".join(f"line {number}" for number in range(1000))
    text = refusal(ask, answering("500 Broken", lines))
    assert "line 999" in text
    assert "line 100\n" not in text


def test_an_app_that_does_not_start_is_refused_with_its_words(ask: Ask) -> None:
    text = refusal(ask, "", "raise RuntimeError('no hush-hush')")
    assert "Gunicorn ended (status 1) before it answered" in text
    assert "RuntimeError: no ********" in text


def test_a_syntax_error_is_named(ask: Ask) -> None:
    assert "SyntaxError" in refusal(ask, "", "def (")


def test_an_app_that_is_killed_is_told(ask: Ask) -> None:
    assert "Gunicorn ended (signal 9)" in refusal(ask, "", "os.kill(os.getpid(), 9)")


def test_an_app_that_ends_instead_of_an_answer_is_told(ask: Ask) -> None:
    assert "Gunicorn ended (status 7)" in refusal(ask, "os._exit(7)")


def test_a_connection_that_is_closed_is_no_answer(ask: Ask) -> None:
    assert "was not answered (" in refusal(ask, "pass")


def test_what_is_no_http_is_no_answer(ask: Ask) -> None:
    assert "was not answered (" in refusal(ask, "stream.write(b'hello')")


@pytest.mark.parametrize(
    ("shop", "before"),
    [
        ("", "import time; time.sleep(3600)"),
        ("import time; time.sleep(3600)", ""),
        # It trickles, so no read ever times out.
        (
            (
                "import time\nstream.write(b'HTTP/1.1 200 OK\\r\\n')\n"
                "while True: stream.write(b'X: y\\r\\n'); stream.flush(); time.sleep(0.1)"
            ),
            "",
        ),
        # It ends by no signal but SIGKILL, and neither does its child.
        (
            (
                "import signal\nsignal.signal(15, signal.SIG_IGN)\nos.fork()\n"
                "while True: signal.pause()"
            ),
            "",
        ),
    ],
)
def test_what_never_answers_is_ended(ask: Ask, shop: str, before: str) -> None:
    assert "not answered within 1 seconds" in refusal(ask, shop, before, timeout_seconds=1)


def test_an_endless_log_holds_nothing_up(ask: Ask) -> None:
    flood = "print('x' * 10_000_000 + '\\nlast', flush=True)\n"
    assert "last" in refusal(ask, flood + answering("500 Broken"))
    assert ask(flood + answering("200 OK")).status == 200


def test_a_healthy_answer_without_end_is_one(ask: Ask) -> None:
    endless = "stream.write(b'HTTP/1.1 200 OK\\r\\n\\r\\n')\nwhile True: stream.write(b'x' * 1000)"
    assert ask(endless).status == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "no-such-user"}, "no user 'no-such-user'"),
        ({"virtualenv": "/no/such"}, "/no/such/bin/gunicorn isn't there"),
        ({"config_file": "/no/such.py"}, "/no/such.py isn't there"),
        ({"environment_files": ["/no/such.env"]}, "/no/such.env isn't there"),
    ],
)
def test_what_a_run_is_still_to_make(ask: Ask, changes: dict[str, t.Any], words: str) -> None:
    with pytest.raises(NotYetError, match=words):
        ask("", **changes)


def test_root_runs_no_app(ask: Ask) -> None:
    with pytest.raises(FlaskAppError, match="who is root"):
        ask("", user="root")


def test_no_time_is_refused(ask: Ask) -> None:
    with pytest.raises(HealthError, match="timeout_seconds is 0"):
        ask("", timeout_seconds=0)


def test_a_gunicorn_that_cannot_be_run_is_named(ask: Ask, open_directory: Path) -> None:
    (open_directory / "bin" / "gunicorn").chmod(0o644)
    with pytest.raises(HealthError, match=r"can't be run as nobody: Permission denied"):
        ask("")


def test_it_ends_with_us_however_we_are_killed(ask: Ask, open_directory: Path) -> None:
    (open_directory / "before").write_text("import time; time.sleep(3600)")
    script = (
        "from ansible_collections.flaskworks.static_media.plugins.module_utils._app_health"
        " import HealthCheck\n"
        f"d = {str(open_directory)!r}\n"
        "HealthCheck(d, 'nobody', d, d + '/gunicorn.conf.py', '/', 'http://x').ask()\n"
    )
    parent = Path(_app_health.__file__).parents[5]
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(parent)}
    ) as process:
        # Its own configuration has to be read before it can watch for us.
        while not any(
            Path("/proc", pid, "cwd").exists() and os.readlink(f"/proc/{pid}/cwd") != "/"
            for pid in running(open_directory)
        ):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while running(open_directory) and time.monotonic() < deadline:
        pass
    assert running(open_directory) == []
    # The next one takes away what it left.
    left = directories()
    assert left
    assert ask(answering("200 OK")).status == 200
    assert not left & directories()


def test_the_directory_of_another_run_is_left(ask: Ask) -> None:
    who = _as_user.account("nobody")
    with _app_health.private_directory(who, {"file": "text"}) as other:
        assert ask(answering("200 OK")).status == 200
        assert os.listdir(other) == ["file"]
    assert not os.path.exists(other)


def test_a_link_in_its_place_is_left(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    (tmp_path / f"{_app_health.PREFIX}x").symlink_to(precious)
    who = _as_user.account("nobody")
    with _app_health.private_directory(who, {}, str(tmp_path)):
        assert (precious / "file").exists()
