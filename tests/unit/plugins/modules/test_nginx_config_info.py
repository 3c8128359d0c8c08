"""nginx_config_info against a real Nginx, on a configuration and a socket of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import types
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _hosted_container,
    _nginx_config,
    _nginx_process,
    _nginx_tree,
    _proc,
    _process,
)

from tests.unit.plugins.modules import test_nginx_site
from tests.unit.processes import CONTAINER, Processes

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

SECRETS = """\
server {
    listen unix:HOME/a.sock;
    location / {
        proxy_set_header Authorization "Basic hidden-one";
        proxy_pass http://unix:HOME/app.sock;
    }
    set $secret hidden-two;  # the secret was hidden-three
}
"""


Host = test_nginx_site.Host
host = test_nginx_site.host


@pytest.fixture
def find(host: Host, run_module: Module) -> t.Callable[[], dict[str, t.Any]]:
    def find() -> dict[str, t.Any]:
        answer = run_module("nginx_config_info", conf_file=host.path("nginx.conf"))
        assert answer["changed"] is False
        return t.cast("dict[str, t.Any]", answer["nginx"])

    return find


Find = t.Callable[[], "dict[str, t.Any]"]


def write(host: Host, name: str, content: str) -> Path:
    """Write a file of the configuration so that it is surely older than what starts now."""
    path = host.conf / name
    path.write_text(content.replace("HOME", str(host.home)))
    _process.settle(str(path))
    return path


def test_a_running_nginx(host: Host, find: Find) -> None:
    write(host, "conf.d/a.conf", host.server("a", "a"))
    write(host, "snippets/main.conf", "# nothing\n")
    host.start()
    before = host.state()
    found = find()
    assert host.state() == before, "nothing is created"
    assert (found["installed"], found["running"]) == (True, True)
    assert found["master_pid"] == host.master()
    assert found["binary"] == os.path.realpath(host.nginx)
    assert found["conf_file"] == host.path("nginx.conf")
    assert found["prefix"] == f"{host.home}/"
    assert [file["path"] for file in found["files"]] == [
        host.path("nginx.conf"),
        host.path("conf.d/a.conf"),
        host.path("snippets/main.conf"),
    ]
    assert found["files"][1]["content"] == host.server("a", "a")
    assert found["source"] == "nginx -T"
    assert found["test"] == {"ok": True, "message": "", "file": None, "line": None, "warnings": []}
    assert found["changed_since_load"] == []
    assert sorted(each["address"] for each in found["listens"]) == [
        f"unix:{host.home}/a.sock",
        f"unix:{host.home}/main.sock",
    ]
    assert found["error_logs"] == [f"{host.home}/logs/error.log"]
    assert found["worker_uid"] not in (None, 0)
    assert found["worker_gid"] in found["worker_groups"]
    assert len(found["worker_pids"]) == 2
    assert found["container"] is None
    assert found["unseen"] == []


def test_directories_for_bodies_stay_whose_they_are(host: Host, find: Find) -> None:
    host.start()
    bodies, gone = host.home / "t1", host.home / "t2"
    # As Nginx itself does when it starts, or tests what is there.
    assert bodies.stat().st_uid == find()["worker_uid"]
    os.chown(bodies, 12345, 12345)
    gone.rmdir()
    found = find()
    assert found["test"]["ok"], found["test"]
    assert bodies.stat().st_uid == 12345
    assert not gone.exists()


def test_what_changed_after_the_configuration_was_loaded(host: Host, find: Find) -> None:
    first = write(host, "conf.d/a.conf", host.server("a", "a"))
    host.start()
    assert find()["changed_since_load"] == []
    loaded = os.stat(f"/proc/{host.master()}").st_ctime_ns
    # A worker that died was started anew, and the configuration is as old as it was.
    (worker, other) = find()["worker_pids"]
    descriptor = os.pidfd_open(worker)
    # Until what is written now is surely later than the start of the other.
    first.write_text(host.server("a", "second"))
    while first.stat().st_ctime_ns < loaded + 100_000_000:
        first.write_text(host.server("a", "second"))
    os.kill(worker, signal.SIGKILL)
    assert select.select([descriptor], [], [], 30)[0], "the worker goes on"
    os.close(descriptor)
    found = find()
    assert [each["path"] for each in found["changed_since_load"]] == [str(first)]
    assert other in found["worker_pids"]
    # A name that came or went is a change of its directory.
    (host.conf / "conf.d/b.conf").write_text("# new\n")
    found = find()
    assert [each["path"] for each in found["changed_since_load"]] == [
        str(first),
        host.path("conf.d/b.conf"),
    ]
    assert [each["path"] for each in found["directories_changed_since_load"]] == [
        host.path("conf.d")
    ]


def test_a_broken_configuration_beside_a_running_nginx(host: Host, find: Find) -> None:
    host.start()
    write(host, "conf.d/a.conf", "server {\n    lisen 80;\n}\n")
    before = host.state()
    found = find()
    assert host.state() == before
    assert found["running"] is True
    assert found["test"]["ok"] is False
    assert 'unknown directive "lisen"' in found["test"]["message"]
    assert (found["test"]["file"], found["test"]["line"]) == (host.path("conf.d/a.conf"), 2)
    # There is still something to judge.
    assert found["source"] == "files"
    assert host.path("conf.d/a.conf") in [file["path"] for file in found["files"]]


def test_an_nginx_that_does_not_run(host: Host, run_module: Module) -> None:
    write(host, "conf.d/a.conf", host.server("a", "a"))
    before = host.state()
    answer = run_module(
        "nginx_config_info", nginx=str(host.binary), conf_file=host.path("nginx.conf")
    )["nginx"]
    assert host.state() == before, "neither a log nor a pid file is created"
    assert answer["running"] is False
    assert (answer["installed"], answer["master_pid"], answer["loaded"]) == (True, None, None)
    assert answer["test"]["ok"] is True
    assert host.path("conf.d/a.conf") in [file["path"] for file in answer["files"]]


def test_no_secret_of_the_configuration_is_told(host: Host, find: Find) -> None:
    write(host, "conf.d/a.conf", SECRETS)
    host.start()
    found = find()
    text = json.dumps(found)
    assert "hidden-" not in text
    assert found["test"]["ok"] is True
    masked = next(file for file in found["files"] if file["path"].endswith("a.conf"))
    assert 'proxy_set_header Authorization "********";' in masked["content"]
    assert masked["content"].count("\n") == SECRETS.count("\n")


def test_warnings_of_nginx(host: Host, find: Find) -> None:
    twice = f"server {{ listen unix:{host.home}/w.sock; server_name w; return 200 w; }}\n"
    write(host, "conf.d/w.conf", twice * 2)
    host.start()
    (warning,) = find()["test"]["warnings"]
    assert 'conflicting server name "w"' in warning["message"]


def test_options_of_the_command_line_count(host: Host, find: Find) -> None:
    started = host.command("-g", "worker_rlimit_nofile 512; worker_priority 1;")
    assert started.returncode == 0, started.stderr
    assert host.get() == "main"
    assert find()["test"]["ok"] is True
    # As it would be at a reload: the two are there twice.
    write(host, "nginx.conf", "worker_priority 2;\n" + (host.conf / "nginx.conf").read_text())
    assert '"worker_priority" directive is duplicate' in find()["test"]["message"]


def test_without_root_files_are_read_as_far_as_they_can_be(host: Host, as_root: None) -> None:
    write(host, "conf.d/a.conf", host.server("a", "a"))
    closed = write(host, "conf.d/b.conf", "# closed\n")
    closed.chmod(0o600)
    host.start()
    who = _as_user.Account("nobody", 65534, 65534, (65534,), "/")
    found = _as_user.call(who, _nginx_config.discover, None, host.path("nginx.conf"))
    assert found["master_pid"] == host.master()
    assert host.path("conf.d/a.conf") in [file["path"] for file in found["files"]]
    assert (found["source"], found["test"], found["listens"]) == ("files", None, [])
    assert found["worker_uid"] not in (None, 0)
    text = " ".join(found["unseen"])
    assert "b.conf of Nginx's configuration can't be read: Permission denied" in text
    assert "listens can't be seen: that takes root" in text
    assert "for root to ask" in text


class FakeEngine:
    """In place of Docker: the container is this machine."""

    def exec(
        self, container: str, command: t.Sequence[str], *, timeout_seconds: float
    ) -> tuple[int, str, str]:
        assert container == CONTAINER
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        return done.returncode, done.stdout, done.stderr


def in_container(
    host: Host, monkeypatch: pytest.MonkeyPatch, engine: t.Any, main: int | None = None
) -> dict[str, t.Any]:
    facts = {
        "Id": CONTAINER,
        "Name": "/proxy",
        "Config": {"Image": "nginx:1", "Env": ["TOKEN=hidden-four"]},
        "State": {"Running": True, "Pid": main or os.getpid()},
    }
    answer = (engine, facts if engine else None)
    monkeypatch.setattr(_hosted_container, "find", lambda *_given: answer)
    monkeypatch.setattr(_proc.Proc, "container_id", lambda *_given: CONTAINER)
    return _nginx_config.discover(conf_file=host.path("nginx.conf"))


def test_an_nginx_in_a_container(
    host: Host, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(host, "conf.d/a.conf", SECRETS)
    host.start()
    found = in_container(host, monkeypatch, FakeEngine())
    assert (found["container"]["name"], found["container"]["image"]) == ("proxy", "nginx:1")
    assert found["master_pid"] == host.master()
    assert found["version"] is not None
    assert (found["source"], found["test"]["ok"]) == ("nginx -T", True)
    assert [file["path"] for file in found["files"]] == [
        host.path("nginx.conf"),
        host.path("conf.d/a.conf"),
    ]
    assert found["unseen"] == []
    assert "hidden-" not in json.dumps(found)
    write(host, "conf.d/a.conf", "server { lisen 80; }")
    found = in_container(host, monkeypatch, FakeEngine())
    assert (found["source"], found["test"]["ok"], found["test"]["line"]) == ("files", False, 1)
    assert found["test"]["file"] == host.path("conf.d/a.conf")


def test_an_nginx_in_a_container_of_which_no_engine_knows(
    host: Host, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(host, "conf.d/a.conf", host.server("a", "a"))
    host.start()
    found = in_container(host, monkeypatch, None)
    assert (found["container"]["id"], found["container"]["name"]) == (CONTAINER, None)
    assert (found["source"], found["test"], found["version"]) == ("files", None, None)
    assert host.path("conf.d/a.conf") in [file["path"] for file in found["files"]]
    assert "neither docker nor podman knows it" in found["unseen"][0]


def test_nothing_is_run_in_a_container_that_a_process_only_says_it_is_in(
    host: Host, as_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start()
    with subprocess.Popen(["unshare", "--mount", "cat"], stdin=subprocess.PIPE) as other:
        while os.readlink(f"/proc/{other.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
            pass
        found = in_container(host, monkeypatch, FakeEngine(), other.pid)
        other.communicate()
    assert (found["container"]["name"], found["test"], found["binary"]) == (None, None, None)
    assert "isn't in the mount namespace" in found["unseen"][0]


@pytest.mark.parametrize(
    ("title", "switches"),
    [
        (
            "/usr/sbin/nginx -g daemon on; master_process on;",
            _nginx_process.Switches("/usr/sbin/nginx", None, None, "daemon on; master_process on;"),
        ),
        ("nginx -c /etc/a.conf -p /srv", _nginx_process.Switches("nginx", "/etc/a.conf", "/srv")),
        ("nginx -c/etc/a.conf", _nginx_process.Switches("nginx", "/etc/a.conf")),
        (
            "nginx -g daemon off; -c /etc/my nginx.conf -q",
            _nginx_process.Switches("nginx", "/etc/my nginx.conf", None, "daemon off;"),
        ),
        ("", _nginx_process.Switches()),
    ],
)
def test_the_switches_of_a_master(
    tmp_path: Path, title: str, switches: _nginx_process.Switches
) -> None:
    processes = Processes(tmp_path / "proc")
    processes.add(5_000_010, [f"nginx: master process {title}"])
    (master,) = _nginx_process.masters(str(processes.path))
    assert _nginx_process.switches(master) == switches


def test_of_several_the_one_on_a_web_port_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = Processes(tmp_path / "proc")
    title = "nginx: master process nginx -c /no/such/nginx.conf"
    processes.add(5_000_010, [title], listens=["127.0.0.1:8080"], uid=0)
    processes.add(5_000_020, [title], listens=["0.0.0.0:443", "[::]:443"], uid=0)
    processes.add(
        5_000_030, [title], listens=["0.0.0.0:80"], container=CONTAINER, network="2", uid=0
    )
    processes.add(5_000_040, [title], listens=["0.0.0.0:80"], machine="2", network="3", uid=0)
    # A worker that starts has the same title, and is no master.
    processes.add(5_000_021, [title], parent=5_000_020, shares=5_000_020)
    monkeypatch.setattr(_hosted_container, "find", lambda *_given: (None, None))
    found = _nginx_config.discover(proc=str(processes.path))
    assert found["master_pid"] == 5_000_020
    assert found["listens"] == [{"address": "0.0.0.0", "port": 443}, {"address": "::", "port": 443}]
    assert [each["master_pid"] for each in found["others"]] == [5_000_010, 5_000_030]
    assert found["others"][1]["container"] == CONTAINER
    assert "in a machine of its own" in found["unseen"][0]
    assert "no worker that serves" in found["unseen"][1]


@pytest.mark.parametrize("given", [None, "/bin/true"])
def test_nothing_of_a_users_process_with_a_masters_title_is_run_as_root(
    tmp_path: Path, as_root: None, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    mark = tmp_path / "was-run-as-root"
    binary = tmp_path / "nginx"
    binary.write_text(f"#!/bin/sh\ntouch {mark}\necho 'nginx version: nginx/1.22.1' >&2\n")
    binary.chmod(0o755)
    conf = tmp_path / "nginx.conf"
    conf.write_text("events {}\n")
    monkeypatch.setattr(
        _nginx_tree,
        "build_text",
        lambda path: (
            subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stderr
            or "nginx version: nginx/1.22.1\n"
        ),
    )
    tested: list[t.Any] = []

    def stage(*given: t.Any, **_named: t.Any) -> types.SimpleNamespace:
        tested.append(given)
        return types.SimpleNamespace(test=lambda _directives: None)

    monkeypatch.setattr(_nginx_tree, "Stage", stage)
    processes = Processes(tmp_path / "proc")
    title = f"nginx: master process {binary} -c {conf}"
    processes.add(5_000_010, [title], listens=["0.0.0.0:80"], exe=str(binary))
    found = _nginx_config.discover(given, proc=str(processes.path))
    assert found["master_pid"] == 5_000_010
    assert not mark.exists() and not tested and found["test"] is None
    assert given or any("is not root's" in line for line in found["unseen"])
    # Before root's own it does not come.
    processes.add(5_000_020, ["nginx: master process nginx -c /no/such"], uid=0, exe="/no/such")
    assert _nginx_config.discover(given, proc=str(processes.path))["master_pid"] == 5_000_020


def test_selinux(tmp_path: Path) -> None:
    enforce = tmp_path / "enforce"
    assert _nginx_config.selinux(str(enforce)) is None
    enforce.write_text("1")
    assert _nginx_config.selinux(str(enforce)) == "enforcing"
    enforce.write_text("0")
    assert _nginx_config.selinux(str(enforce)) == "permissive"


def test_a_configuration_that_includes_itself_has_an_end(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("include nginx.conf; include gone.conf; include d/*.conf;\n")
    reading = _nginx_config.read_files(str(main), str(tmp_path))
    assert [file["path"] for file in reading["files"]] == [str(main)]


def test_a_file_that_geo_includes_is_no_pattern(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("geo $x { include a[1].conf; }")
    (tmp_path / "a[1].conf").write_text("10.0.0.0/8 1;")
    (tmp_path / "a1.conf").write_text("never;")
    reading = _nginx_config.read_files(str(main), str(tmp_path))
    assert [file["path"] for file in reading["files"]] == [str(main), f"{tmp_path}/a[1].conf"]


def test_error_logs_of_a_configuration() -> None:
    contents = {
        "a": "error_log logs/a.log; error_log stderr; error_log syslog:server=x; error_log /b.log warn;",
        "b": "http { error_log /var/log/c.log; } }",
        "c": "error_log memory:32m; ",
    }
    assert _nginx_config.error_logs(contents, "/usr/share/nginx/") == [
        "/usr/share/nginx/logs/a.log",
        "/b.log",
        "/var/log/c.log",
    ]


def test_certificates_are_a_part_of_what_is_loaded(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    certificate = tmp_path / "a.pem"
    certificate.write_text("a certificate")
    main.write_text("http { server { ssl_certificate a.pem; ssl_certificate_key $x.key; } }")
    reading = _nginx_config.read_files(str(main), str(tmp_path))
    assert set(reading["changed_ns"]) == {str(main), str(certificate)}
    assert [file["path"] for file in reading["files"]] == [str(main)], "never its content"


def test_nginx_is_asked_by_a_shell_that_is_none(tmp_path: Path) -> None:
    """A binary that does not answer as Nginx does is said, and files are looked for elsewhere."""
    fake = tmp_path / "nginx"
    fake.write_text("#!/bin/sh\necho no\n")
    fake.chmod(0o755)
    subprocess.run([fake], check=True, capture_output=True)
    processes = Processes(tmp_path / "proc")
    found = _nginx_config.discover(str(fake), proc=str(processes.path))
    assert found["installed"] is False
    assert "does not answer as Nginx does" in found["unseen"][0]
