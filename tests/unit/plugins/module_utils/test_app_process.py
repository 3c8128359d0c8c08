"""Which processes count as an app's server, and what is told of them, by a /proc made for it."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _app_process,
    _hosted_container,
    _proc,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _app_question

from tests.unit.processes import CONTAINER, Processes

MASTER, WORKER, OTHER = 5_000_010, 5_000_011, 5_000_020
GUNICORN = ["/srv/app/venv/bin/python3", "/srv/app/venv/bin/gunicorn", "wsgi:app"]
SOCKET = "unix:/run/app/app.sock"


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path / "proc")


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> dict[str, t.Any]:
    properties: dict[str, t.Any] = {"PrivateTmp": "yes", "MainPID": str(MASTER)}
    monkeypatch.setattr(_app_process, "show_unit", lambda _name: properties)
    return properties


def discover(processes: Processes, *addresses: str) -> dict[str, t.Any]:
    return _app_process.discover(addresses, str(processes.path))


def only(processes: Processes, *addresses: str) -> dict[str, t.Any]:
    (found,) = discover(processes, *addresses)["processes"]
    return t.cast("dict[str, t.Any]", found)


def test_a_master_and_its_workers_are_one(processes: Processes) -> None:
    # A master that runs as root, and workers that don't.
    processes.add(MASTER, GUNICORN, listens=[SOCKET, "127.0.0.1:8000"], uid=0, gid=0)
    processes.add(WORKER, GUNICORN, parent=MASTER, shares=MASTER, groups=[61001, 61005])
    processes.add(WORKER + 1, GUNICORN, parent=MASTER, shares=MASTER, umask="0007")
    found = only(processes)
    assert (found["pid"], found["workers"]) == (MASTER, [WORKER, WORKER + 1])
    assert (found["server"], found["callable"], found["loader"]) == (
        "gunicorn",
        "wsgi:app",
        "gunicorn",
    )
    assert found["listens"] == ["127.0.0.1:8000", SOCKET] == found["reachable_at"]
    assert (found["user"], found["uid"], found["groups"]) == ("61001", 61001, [61001, 61005])
    assert found["umask"] == "0027", "what master and workers take, together"
    assert (found["cwd"], found["directory"]) == ("/srv/app", "/srv/app")
    assert found["exe"] == "/usr/bin/python3.11"
    assert found["unseen"] == []


def test_no_code_is_run_as_a_user_who_has_not_chosen_it(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_proc.Proc, "user_name", lambda _self, _pid, uid: f"user{uid}")
    # Both bear titles that a user of no rights gave them, and hold a socket of that user's.
    processes.add(MASTER, GUNICORN, listens=[SOCKET])
    processes.add(WORKER, GUNICORN, parent=MASTER, shares=MASTER, uid=61002)
    status = processes.path / str(WORKER) / "status"
    status.write_text(status.read_text().replace("Uid:\t61002", "Uid:\t61001"))
    asked = [_app_question.question(each) for each in discover(processes)["processes"]]
    (question,) = [question for question, _reason in asked if question]
    assert (question["process_id"], question["user"]) == (MASTER, "user61001")


def test_what_a_command_line_names_is_read_only_if_it_is_a_file(
    processes: Processes, tmp_path: Path
) -> None:
    # Opened, it would wait for whoever writes; and a name may have what no name has.
    os.mkfifo(tmp_path / "conf.py")
    argv = [*GUNICORN[:2], "-c", str(tmp_path / "conf.py"), "wsgi:app"]
    processes.add(MASTER, argv, listens=[SOCKET])
    assert only(processes)["callable"] == "wsgi:app"
    processes.add(OTHER, ["gunicorn", "-c", "/dev/zero", "other:app"], listens=["127.0.0.1:1"])
    assert len(discover(processes)["processes"]) == 2


def test_a_socket_that_is_bound_by_a_relative_path(processes: Processes) -> None:
    processes.add(MASTER, GUNICORN, listens=["unix:app.sock"], cwd="/home/sammy/project")
    found = only(processes, "unix:/home/sammy/project/app.sock")
    assert found["reachable_at"] == ["unix:/home/sammy/project/app.sock"]
    assert discover(processes, "unix:/home/sammy/project/app.sock")["unseen"] == []


def test_what_does_not_listen_is_no_server(processes: Processes) -> None:
    processes.add(MASTER, GUNICORN)
    processes.add(OTHER, ["uwsgi", "--emperor", "/etc/uwsgi/vassals"])
    assert discover(processes)["processes"] == []


def test_a_supervisor_of_python_is_not_the_master(processes: Processes) -> None:
    script = "/usr/bin/supervisord"
    processes.add(OTHER, ["/usr/bin/python3", script], listens=["127.0.0.1:9001"])
    processes.add(MASTER, GUNICORN, parent=OTHER, listens=[SOCKET])
    assert only(processes)["pid"] == MASTER


def test_a_socket_that_systemd_lends_is_the_apps(processes: Processes) -> None:
    lent = Path(processes.path, "5000001/fd")
    processes.add(MASTER, GUNICORN, listens=["unix:/run/lent.sock"])
    for link in (processes.path / str(MASTER) / "fd").iterdir():
        (lent / link.name).symlink_to(os.readlink(link))
    found = only(processes)
    assert (found["pid"], found["listens"]) == (MASTER, ["unix:/run/lent.sock"])


def test_a_socket_of_a_service_that_is_not_started_yet(processes: Processes) -> None:
    processes.add(OTHER, ["/lib/systemd/systemd"], listens=["unix:/run/lent.sock"], uid=0)
    answer = discover(processes, "unix:/run/lent.sock")
    assert answer["processes"] == []
    (unseen,) = answer["unseen"]
    assert "At unix:/run/lent.sock systemd listens for another" in unseen
    assert "started by its first request" in unseen


def test_other_programs_of_pythons_are_others_business(
    processes: Processes, tmp_path: Path
) -> None:
    script = tmp_path / "daemon.py"
    script.write_text("import socket\n")
    processes.add(MASTER, ["/usr/bin/python3", str(script)], listens=["127.0.0.1:5000"])
    assert discover(processes)["processes"] == []
    # Unless it is what Nginx passes requests to.
    found = only(processes, "127.0.0.1:5000")
    assert (found["server"], found["callable"]) == ("python", None)
    assert "runs a script of its own" in found["unseen"][0]


@pytest.mark.parametrize("by", ["script", "environ", "virtualenv"])
def test_a_script_that_serves_flask_itself(processes: Processes, tmp_path: Path, by: str) -> None:
    script = tmp_path / "app.py"
    script.write_text("from flask import Flask\n" if by == "script" else "import mine\n")
    (tmp_path / "venv/lib/python3.11/site-packages/flask").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").touch()
    python = f"{tmp_path}/venv/bin/python" if by == "virtualenv" else "/usr/bin/python3"
    environ = {"WERKZEUG_SERVER_FD": "3"} if by == "environ" else {}
    processes.add(
        MASTER, [python, "app.py"], listens=["127.0.0.1:5000"], cwd=str(tmp_path), environ=environ
    )
    assert only(processes)["server"] == "python"


def test_what_is_none_of_pythons_is_told_of_when_it_is_asked_for(processes: Processes) -> None:
    processes.add(MASTER, ["node", "server.js"], exe="/usr/bin/node", listens=["0.0.0.0:3000"])
    assert discover(processes)["processes"] == []
    found = only(processes, "127.0.0.1:3000")
    assert (found["server"], found["listens"]) == (None, ["0.0.0.0:3000"])


def test_nobody_at_an_address_is_said(processes: Processes) -> None:
    processes.add(MASTER, GUNICORN, listens=[SOCKET])
    assert discover(processes, SOCKET, "unix:/var/run/app/app.sock")["unseen"] == []
    (unseen,) = discover(processes, "127.0.0.1:81")["unseen"]
    assert unseen == "Nobody is seen to listen at 127.0.0.1:81."


@pytest.mark.parametrize(
    ("listens", "shown"),
    [
        ("[::1]:8000", "[::1]:8000"),
        ("[::]:8000", "[::]:8000"),
        ("[::ffff:127.0.0.1]:8000", "127.0.0.1:8000"),
    ],
)
def test_addresses_of_ipv6(processes: Processes, listens: str, shown: str) -> None:
    processes.add(MASTER, GUNICORN, listens=[listens])
    assert only(processes)["listens"] == [shown]


def test_a_virtualenv_is_found_by_the_names_of_its_programs(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/pyvenv.cfg").touch()
    virtualenv = f"{tmp_path}/venv"
    found = {}
    for pid, argv, environ, maps in (
        (1, [f"{virtualenv}/bin/python", "-m", "gunicorn", "a:b"], {}, []),
        (2, ["/usr/bin/python3", f"{virtualenv}/bin/gunicorn", "a:b"], {}, []),
        (3, ["venv/bin/python", "-m", "gunicorn", "a:b"], {}, []),
        (4, ["gunicorn", "a:b"], {"VIRTUAL_ENV": virtualenv}, []),
        (5, ["gunicorn: master [a:b]"], {}, [f"{virtualenv}/lib/python3.11/site-packages/x.so"]),
        (6, ["/usr/bin/python3", "/usr/bin/gunicorn", "a:b"], {"VIRTUAL_ENV": "/gone"}, []),
        (7, ["uwsgi", "-H", virtualenv, "-w", "a:b"], {}, []),
        (8, ["uwsgi", "-w", "a:b"], {}, ["/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0"]),
    ):
        exe = "/usr/bin/uwsgi-core" if argv[0] == "uwsgi" else "/usr/bin/python3.11"
        processes.add(
            MASTER + pid, argv, environ=environ, maps=maps, cwd=str(tmp_path), exe=exe,
            listens=[f"127.0.0.1:{8000 + pid}"],
        )  # fmt: skip
    for each in discover(processes)["processes"]:
        found[each["pid"] - MASTER] = (each["virtualenv"], each["python"])
    of_the_system = {6: "/usr/bin/python3", 8: "/usr/bin/python3.11"}
    for number, answer in found.items():
        if number in of_the_system:
            assert answer == (None, of_the_system[number]), number
        else:
            assert answer == (virtualenv, f"{virtualenv}/bin/python"), number
    assert len(found) == 8


def test_a_unit_of_systemd(processes: Processes, unit: dict[str, t.Any]) -> None:
    cgroup = "0::/system.slice/system-app.slice/app@1.service\n"
    processes.add(MASTER, GUNICORN, listens=[SOCKET], cgroup=cgroup)
    found = only(processes)
    assert found["unit"] == "app@1.service"
    assert found["unit_properties"] == {"PrivateTmp": "yes", "MainPID": str(MASTER)}


@pytest.mark.parametrize(
    ("cgroup", "unit_name"),
    [
        ("12:pids:/x\n1:name=systemd:/system.slice/app.service\n", "app.service"),
        ("0::/system.slice/app.service/sub\n", "app.service"),
        ("0::/user.slice/user-1000.slice/session-1.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", None),
        ("0::/\n", None),
    ],
)
def test_the_forms_of_control_groups(
    processes: Processes, unit: dict[str, t.Any], cgroup: str, unit_name: str | None
) -> None:
    processes.add(MASTER, GUNICORN, listens=[SOCKET], cgroup=cgroup)
    assert only(processes)["unit"] == unit_name


def test_a_users_own_unit_is_not_asked(processes: Processes, unit: dict[str, t.Any]) -> None:
    cgroup = "0::/user.slice/user-7.slice/user@7.service/app.slice/app.service\n"
    processes.add(MASTER, GUNICORN, listens=[SOCKET], cgroup=cgroup)
    found = only(processes)
    assert (found["unit"], found["unit_properties"]) == ("app.service", {})
    assert "user's own systemd" in found["unseen"][0]


def test_a_title_in_place_of_the_command_line(processes: Processes, unit: dict[str, t.Any]) -> None:
    unit["ExecStart"] = ["/srv/app/venv/bin/gunicorn", "--chdir", "/srv/two", "two:app"]
    cgroup = "0::/system.slice/app.service\n"
    processes.add(MASTER, ["gunicorn: master [gallery]"], listens=[SOCKET], cgroup=cgroup)
    found = only(processes)
    assert (found["callable"], found["directory"]) == ("two:app", "/srv/two")
    # Of another server, it is none of this process's.
    unit["ExecStart"] = ["/usr/bin/uwsgi", "-w", "other:app"]
    assert only(processes)["callable"] is None


ENGINE = {
    "State": {"Running": True, "Pid": MASTER},
    "Id": CONTAINER,
    "Name": "/web",
    "Image": "sha256:1234",
    "Config": {
        "Image": "gallery:1",
        "User": "",
        "WorkingDir": "/app",
        "Hostname": "abc",
        "Env": ["SECRET_KEY=secret-of-the-image"],
    },
    "HostConfig": {"NetworkMode": "default", "ReadonlyRootfs": False},
    "NetworkSettings": {
        "Ports": {
            "8000/tcp": [
                {"HostIp": "127.0.0.1", "HostPort": "8080"},
                {"HostIp": "::", "HostPort": "8081"},
            ],
            "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
            "9/tcp": None,
        },
        "Networks": {"front": {"IPAddress": "172.17.0.2", "Aliases": ["app"]}},
    },
    "Mounts": [
        {
            "Type": "volume",
            "Name": "media",
            "Source": "/var/lib/docker/volumes/media/_data",
            "Destination": "/app/media",
            "RW": True,
        },
        {"Type": "bind", "Source": "/srv/run", "Destination": "/run/app", "RW": True},
    ],
}


class FakeEngine:
    path = "/usr/bin/docker"


def in_container(
    processes: Processes, monkeypatch: pytest.MonkeyPatch, facts: t.Any, **more: t.Any
) -> dict[str, t.Any]:
    answer = (FakeEngine(), facts) if facts else (None, None)
    monkeypatch.setattr(_hosted_container, "find", lambda *_arguments: answer)
    processes.add(MASTER, GUNICORN, container=CONTAINER, network="2", **more)
    return only(processes)


def test_a_container_and_how_it_is_reached(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (map_of_ids,) = ("         0     100000      65536\n",)
    found = in_container(
        processes, monkeypatch, ENGINE, listens=["0.0.0.0:8000", SOCKET], uid=101000, gid=100033
    )
    assert found["listens"] == ["0.0.0.0:8000", SOCKET]
    assert found["reachable_at"] == [
        "unix:/srv/run/app.sock",
        "127.0.0.1:8080",
        "[::]:8081",
        "172.17.0.2:8000",
        "abc:8000",
        "app:8000",
        "web:8000",
    ]
    container = found["container"]
    assert (container["name"], container["image"], container["user"]) == ("web", "gallery:1", "")
    assert container["mounts"][0] == {
        "type": "volume",
        "source": "/var/lib/docker/volumes/media/_data",
        "target": "/app/media",
        "name": "media",
        "read_write": True,
    }
    assert container["process_user"] == "101000:100033"
    (processes.path / str(MASTER) / "uid_map").write_text(map_of_ids)
    (processes.path / str(MASTER) / "gid_map").write_text(map_of_ids)
    container = only(processes)["container"]
    assert container["process_user"] == "1000:33", "as it is called in its user namespace"
    assert "secret-of-the-image" not in json.dumps(found)


def test_a_process_that_only_says_that_it_is_in_a_container_is_none_of_it(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A user's own mount, below containers/ID/, in a namespace of theirs.
    processes.add(OTHER, ["sleep", "9"], container="b" * 64)
    facts = {**ENGINE, "State": {"Running": True, "Pid": OTHER}}
    found = in_container(processes, monkeypatch, facts, listens=["0.0.0.0:8000"])
    assert found["container"]["name"] is None
    assert "isn't in the mount namespace" in found["unseen"][0]
    question, reason = _app_question.question(found)
    assert question is None and "can't be looked into" in str(reason)


def test_what_only_its_own_container_reaches(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = in_container(
        processes, monkeypatch, ENGINE, listens=["127.0.0.1:8000", "unix:/tmp/a.sock"]
    )
    assert found["reachable_at"] == []


def test_the_proxy_of_a_published_port_is_not_the_server(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes.add(OTHER, ["/usr/bin/docker-proxy", "-proto", "tcp"], listens=["127.0.0.1:8080"])
    monkeypatch.setattr(_hosted_container, "find", lambda *_given: (FakeEngine(), ENGINE))
    processes.add(MASTER, GUNICORN, container=CONTAINER, network="2", listens=["0.0.0.0:8000"])
    answer = discover(processes, "127.0.0.1:8080", "app:8000")
    assert [each["pid"] for each in answer["processes"]] == [MASTER]
    assert answer["unseen"] == []


def test_a_container_in_the_hosts_network(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {**ENGINE, "HostConfig": {"NetworkMode": "host"}}
    found = in_container(processes, monkeypatch, facts, listens=["127.0.0.1:8000"])
    assert found["reachable_at"] == ["127.0.0.1:8000"]


def test_a_container_without_an_engine_to_ask(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = "docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2"
    processes.add(OTHER, f"/usr/bin/{proxy} -container-port 8000".split())
    trie = processes.path / str(MASTER) / "net/fib_trie"
    in_container(processes, monkeypatch, None, listens=["0.0.0.0:8000"])
    trie.write_text("           |-- 172.17.0.2\n              /32 host LOCAL\n")
    found = only(processes)
    assert found["container"]["id"] == CONTAINER
    assert found["container"]["name"] is None
    assert found["reachable_at"] == ["0.0.0.0:80", "172.17.0.2:8000"]
    assert "neither docker nor podman knows it" in found["unseen"][0]


def test_in_a_container_ourselves_its_processes_are_the_hosts(processes: Processes) -> None:
    own = processes.path / "5000001/mountinfo"
    processes.add(MASTER, GUNICORN, listens=[SOCKET], container=CONTAINER)
    own.write_text((processes.path / str(MASTER) / "mountinfo").read_text())
    (processes.path / "5000001/ns/pid").unlink()
    (processes.path / "5000001/ns/pid").symlink_to(f"pid:[{CONTAINER}]")
    assert only(processes)["container"] is None


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{CONTAINER}.scope\n",
        f"12:pids:/docker/{CONTAINER}\n",
        f"0::/machine.slice/libpod-{CONTAINER}.scope/container\n",
        f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{CONTAINER}.scope\n",
    ],
)
def test_the_id_of_a_container_by_its_control_group(processes: Processes, cgroup: str) -> None:
    processes.add(MASTER, GUNICORN, cgroup=cgroup)
    assert _proc.Proc(str(processes.path)).container_id(MASTER) == CONTAINER


SECRETS = {
    "SECRET_KEY": "secret-one",
    "DATABASE_URL": "postgres://u:secret-two@db/x",
    "MEDIA_URL": "https://u:secret-three@cdn/x",
    "odd name": "secret-four",
}


def test_no_secret_of_environment_arguments_or_configuration_is_told(
    processes: Processes, tmp_path: Path
) -> None:
    (tmp_path / "gunicorn.conf.py").write_text('token = "secret-five"\nraw_env = ["A=secret-six"]')
    (tmp_path / "a.ini").write_text("[uwsgi]\nenv = A=secret-seven\nset = key=secret-eight")
    environ = {**SECRETS, "APP_UPLOAD_FOLDER": "/srv/media", "FLASK_DEBUG": "1"}
    processes.add(
        MASTER,
        ["gunicorn", "-e", "A=secret-nine", "--env=B=secret-ten", "a:b('x', password='secret-11')"],
        listens=[SOCKET], cwd=str(tmp_path), environ=environ,
    )  # fmt: skip
    processes.add(
        OTHER,
        ["uwsgi", "--ini", "a.ini", "--env", "A=secret-12", "--api-token", "secret-13"],
        listens=["127.0.0.1:3031"], cwd=str(tmp_path), environ=environ,
    )  # fmt: skip
    answer = discover(processes)
    text = json.dumps(answer)
    assert "secret-" not in text
    gunicorn = answer["processes"][0]
    assert gunicorn["environment"] == {
        "APP_UPLOAD_FOLDER": "/srv/media",
        "FLASK_DEBUG": "1",
        "MEDIA_URL": "https://u:********@cdn/x",
    }
    assert {"SECRET_KEY", "DATABASE_URL"} <= set(gunicorn["environment_names"])
    assert gunicorn["callable"] == "a:b('x', password='********')"


def test_what_its_server_sets_is_for_the_app_alone(processes: Processes, tmp_path: Path) -> None:
    argv = ["gunicorn", "--env", "TOKEN=t", "a:b"]
    processes.add(MASTER, argv, listens=[SOCKET], uid=65534)
    proc = str(processes.path)
    assert _app_process.server_environment(MASTER, "nobody", proc) == {"TOKEN": "t"}
    assert _app_process.server_environment(MASTER, "daemon", proc) == {}
    assert _app_process.server_environment(MASTER, "no-such-user", proc) == {}
    assert _app_process.server_environment(None, "nobody", proc) == {}


def test_what_is_in_a_machine_of_its_own_is_another_hosts(processes: Processes) -> None:
    processes.add(MASTER, GUNICORN, listens=[SOCKET], machine="2")
    assert discover(processes)["processes"] == []


def test_a_vassal_by_its_emperors_directory(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[uwsgi]\nmodule = a:b\nchdir = /srv/app")
    processes.add(OTHER, ["uwsgi", "--emperor", str(tmp_path)], exe="/usr/bin/uwsgi-core")
    argv = ["/usr/bin/uwsgi-core", "--ini", "a.ini"]
    processes.add(MASTER, argv, parent=OTHER, listens=[SOCKET], exe="/usr/bin/uwsgi-core")
    assert only(processes)["callable"] == "a:b"


def test_the_server_of_which_nothing_tells_where_it_listens(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root without CAP_SYS_PTRACE sees a uWSGI that changed its user and set a title."""
    processes.add(MASTER, ["uWSGI master"], listens=["127.0.0.1:3031"], exe="/usr/bin/uwsgi-core")
    monkeypatch.setattr(_proc.Proc, "open_files", lambda *_arguments: None)
    found = only(processes, "127.0.0.1:3031")
    assert found["listens"] == found["reachable_at"] == ["127.0.0.1:3031"]
    assert "concluded from nobody else" in found["unseen"][-1]
    # With two of them it can't be told which.
    processes.add(OTHER, ["uWSGI master"], exe="/usr/bin/uwsgi-core")
    answer = discover(processes, "127.0.0.1:3031")
    assert [each["listens"] for each in answer["processes"]] == [[], []]
    assert any(
        "listens at 127.0.0.1:3031 that is no process to be seen" in each
        for each in answer["unseen"]
    )
