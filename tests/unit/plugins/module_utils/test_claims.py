"""Names, groups, addresses and files of a host that are somebody else's."""

from __future__ import annotations

import os
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _host, _settings

from tests.unit.descriptions import description

ENV = "/etc/gallery"
CONF = "/etc/nginx/conf.d/gallery.conf"
SNIPPET = "/etc/nginx/snippets/gallery.conf"
UNIT = "/lib/systemd/system/gallery.service"
OWN_UNIT = "/etc/systemd/system/gallery.service"
OWN_SOCKET = "/etc/systemd/system/gallery.socket"
EXTERNAL = {"flask_app_service": "external", "flask_app_source": None}


def host(paths: dict[str, str] | None = None, **changes: t.Any) -> dict[str, t.Any]:
    """A bare host but for what is given."""
    directories = ("/var/www/gallery/static", "/var/www/gallery/media")
    facts: dict[str, t.Any] = {
        "service_manager": "systemd",
        "service_process_id": None,
        "listeners": [],
        "bind_holders": [],
        "users": {"gallery": None},
        "groups": {"gallery": None},
        "releases": [],
        "guest_files": [],
        "directories": {
            path: {"kind": "missing", "resolved": path, "virtualenv": None, "checkout": None}
            for path in directories
        },
    }
    known = dict.fromkeys(_settings.claimable_paths(description()), "missing")
    return {**facts, "paths": {**known, **(paths or {})}, **changes}


def holder(pid: int, process: str, user: str) -> dict[str, t.Any]:
    return {"pid": pid, "process": process, "user": user}


CUPS = holder(7, "cupsd", "root")
SYSTEMD = holder(1, "systemd", "root")

# Each row: changes of the description, the host, the variable that is named, a part of what is said.
REFUSED: list[tuple[dict[str, t.Any], dict[str, t.Any], str, str]] = [
    ({}, host({UNIT: "foreign"}), "flask_app_name", UNIT),
    ({}, host({OWN_UNIT: "foreign"}), "flask_app_name", "'external' if that service is the app"),
    ({}, host({OWN_SOCKET: "foreign"}), "flask_app_name", OWN_SOCKET),
    ({}, host({"/etc/init.d/gallery": "foreign"}), "flask_app_name", "/etc/init.d/gallery"),
    ({}, host({UNIT: "foreign", OWN_UNIT: "ours"}), "flask_app_name", UNIT),
    ({}, host({ENV: "foreign"}), "flask_app_env_file", "/usr/local/etc/gallery/gallery.env"),
    (EXTERNAL, host({ENV: "foreign"}), "flask_app_env_file", "closed to whoever uses it"),
    ({}, host({CONF: "foreign"}), "flask_site_conf_file", "move that file away"),
    (EXTERNAL, host({CONF: "foreign"}), "flask_site_conf_file", "has not written"),
    (
        {"flask_site_mode": "include"},
        host({SNIPPET: "foreign"}),
        "flask_site_include_file",
        "has not written",
    ),
    ({}, host({"/opt/gallery": "foreign"}), "flask_app_root", "/opt/gallery is there"),
    ({}, host({"/run/gallery": "foreign"}), "flask_app_name", "/run/gallery is there"),
    ({}, host({"/var/log/gallery": "foreign"}), "flask_app_name", "/var/log/gallery is there"),
    ({}, host(groups={"gallery": {"gid": 995}}), "flask_app_group", "get its rights"),
    (EXTERNAL, host(groups={"gallery": {"gid": 995}}), "flask_app_group", "get its rights"),
    (
        {"flask_app_group": "disk"},
        host(groups={"disk": {"gid": 6}}),
        "flask_app_group",
        "is the system's",
    ),
    ({}, host(bind_holders=[CUPS]), "flask_app_bind", "cupsd (process 7, root's)"),
    ({}, host(bind_holders=[SYSTEMD]), "flask_app_bind", "systemd (process 1"),
    (
        {"flask_app_bind": "unix:/run/others/x.sock"},
        host(service_manager="sysvinit"),
        "flask_app_bind",
        "'unix:/run/gallery/gallery.sock'",
    ),
    (
        {"flask_app_bind": "127.0.0.1:81"},
        host(service_manager="sysvinit"),
        "flask_app_bind",
        "are root's",
    ),
]


@pytest.mark.parametrize(
    ("changes", "facts", "variable", "words"),
    REFUSED,
    ids=[f"{row[2]}-{row[3]}" for row in REFUSED],
)
def test_what_is_somebody_elses_is_refused(
    changes: dict[str, t.Any], facts: dict[str, t.Any], variable: str, words: str
) -> None:
    (problem,) = _settings.host_problems(description(**changes), facts)
    assert problem.variable == variable
    assert words in str(problem)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({}, host({ENV: "empty", CONF: "empty", "/opt/gallery": "empty"})),
        ({}, host({ENV: "ours", CONF: "ours", OWN_UNIT: "ours", "/opt/gallery": "foreign"})),
        # What a killed run has made
        ({}, host({ENV: "ours"}, groups={"gallery": {"gid": 995}})),
        ({}, host({ENV: "ours", "/run/gallery": "foreign", "/var/log/gallery": "foreign"})),
        ({}, host({SNIPPET: "foreign"})),
        ({"flask_site_mode": "include"}, host({CONF: "foreign"})),
        (EXTERNAL, host({OWN_UNIT: "foreign", "/etc/init.d/gallery": "foreign"})),
        (EXTERNAL, host({"/opt/gallery": "foreign", "/var/log/gallery": "foreign"})),
        (EXTERNAL, host(bind_holders=[CUPS])),
        ({}, host(bind_holders=[holder(9, "gunicorn", "gallery"), SYSTEMD])),
        ({}, host({OWN_SOCKET: "ours"}, bind_holders=[SYSTEMD])),
        # Another flask_app_user than before
        ({}, host(service_process_id=9, bind_holders=[holder(9, "gunicorn", "old")])),
        ({}, host(service_manager="sysvinit")),
        ({"flask_app_bind": "127.0.0.1:8000"}, host(service_manager="sysvinit")),
        (
            {"flask_app_group": "web"},
            host(groups={"web": {"gid": 1001}}),
        ),
    ],
)
def test_what_is_ours_or_nobodys_is_taken(
    changes: dict[str, t.Any], facts: dict[str, t.Any]
) -> None:
    assert _settings.host_problems(description(**changes), facts) == []


GUEST = "/etc/nginx/flask.d/other/gallery.conf"


@pytest.mark.parametrize(
    ("mode", "paths", "guests", "stale"),
    [
        ("server", {CONF: "ours"}, [], []),
        ("server", {CONF: "ours", SNIPPET: "ours"}, [], [SNIPPET]),
        ("server", {CONF: "ours", SNIPPET: "foreign"}, [], []),
        ("server", {SNIPPET: "empty"}, [], []),
        ("server", {}, [GUEST], [GUEST]),
        ("include", {CONF: "ours", SNIPPET: "ours"}, [], [CONF]),
        ("include", {CONF: "foreign", SNIPPET: "ours"}, [], []),
        ("include", {CONF: "ours"}, [GUEST], [CONF, GUEST]),
    ],
)
def test_only_files_of_ours_are_taken_away(
    mode: str, paths: dict[str, str], guests: list[str], stale: list[str]
) -> None:
    facts = host(paths, guest_files=guests)
    assert _settings.stale_site_files(description(flask_site_mode=mode), facts) == stale


def test_a_guests_own_file_stays() -> None:
    values = description(flask_site_mode="include", flask_site_include_file=GUEST)
    facts = host({GUEST: "ours"}, guest_files=[GUEST])
    assert _settings.stale_site_files(values, facts) == []


MARKED = "# Ansible managed\n# By flaskworks.static_media.flask_app.\nA=1\n"


def test_a_file_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert _host.claim(str(path)) == "missing"
    for content, whose in ((MARKED, "ours"), ("", "empty"), ("A=1\n" * 2000 + MARKED, "foreign")):
        path.write_text(content)
        assert _host.claim(str(path)) == whose


def test_a_directory_is_whose_its_files_are(tmp_path: Path) -> None:
    directory = tmp_path / "etc"
    directory.mkdir()
    assert _host.claim(str(directory)) == "empty"
    (directory / ".ansible_tmpxyzREADME").write_text("By flask")
    assert _host.claim(str(directory)) == "empty"
    (directory / "lost+found").mkdir()
    assert _host.claim(str(directory)) == "empty"
    (directory / "sshd_config").write_text("Port 22\n")
    assert _host.claim(str(directory)) == "foreign"
    (directory / "below").mkdir()
    (directory / "below" / "file").write_text(MARKED)
    assert _host.claim(str(directory)) == "foreign"
    (directory / "gallery.env").write_text(MARKED)
    assert _host.claim(str(directory)) == "ours"


def test_what_is_neither_file_nor_directory_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "masked.service").symlink_to("/dev/null")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "fifo")
    for name in ("masked.service", "dangling", "fifo"):
        assert _host.claim(str(tmp_path / name)) == "foreign"


def test_guest_files_are_ours_and_of_that_name(tmp_path: Path) -> None:
    for server, content in (("a", MARKED), ("b", MARKED), ("c", "mine\n")):
        (tmp_path / server).mkdir()
        (tmp_path / server / "gallery.conf").write_text(content)
    (tmp_path / "a" / "other.conf").write_text(MARKED)
    wanted = [str(tmp_path / server / "gallery.conf") for server in "ab"]
    assert _host.guest_files("gallery", str(tmp_path)) == wanted
    assert _host.guest_files("gallery", str(tmp_path / "nowhere")) == []


@pytest.mark.parametrize(
    ("host_part", "taken", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
def test_who_listens_at_an_address_is_found(host_part: str, taken: str, clash: bool) -> None:
    with socket.socket() as listener:
        listener.bind((taken, 0))
        listener.listen()
        found = _host.bind_holders(f"{host_part}:{listener.getsockname()[1]}")
    assert (os.getpid() in [one["pid"] for one in found]) is clash


def test_who_listens_on_a_socket_is_found_with_their_user(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        assert _host.bind_holders(f"unix:{tmp_path}/s") == []
        listener.listen()
        (found,) = _host.bind_holders(f"unix:{tmp_path}/s")
    user = _host._user_of(os.getpid(), "/proc")
    assert (found["pid"], found["user"]) == (os.getpid(), user)
    assert _host.bind_holders("127.0.0.1:1", proc=str(tmp_path)) == []


def test_groups_are_known_or_none() -> None:
    assert _host.group_facts("root") == {"gid": 0}
    assert _host.group_facts("no-such-group") is None
