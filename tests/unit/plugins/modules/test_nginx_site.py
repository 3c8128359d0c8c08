"""nginx_site against a real Nginx, on a configuration and a socket of its own."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_process,
    _nginx_site,
    _nginx_tree,
)

from tests.unit.plugins.conftest import COLLECTION_PARENT

if t.TYPE_CHECKING:
    from tests.unit.plugins.conftest import Module

MAIN = """\
error_log {home}/logs/error.log notice;
pid {home}/nginx.pid;
worker_processes 2;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    include conf.d/*.conf;
    include {home}/conf/sites-enabled/*;
    server {{
        listen unix:{home}/main.sock;
        include snippets/ma[i]n.conf;
        location / {{ return 200 main; }}
    }}
}}
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Host:
    """A prefix with a configuration, and what a user would do with it."""

    def __init__(self, home: Path, nginx: str, run: Module) -> None:
        self.home = home
        self.conf = home / "conf"
        self.nginx = nginx
        self._run = run
        self.binary = home / "nginx"
        for name in ("logs", "conf/conf.d", "conf/sites-enabled", "conf/sites-available"):
            (home / name).mkdir(parents=True)
        (self.conf / "snippets").mkdir()
        (self.conf / "nginx.conf").write_text(MAIN.format(home=home))
        version = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
        self.binary.write_text(
            f"""#!/bin/sh
[ "$1" != -V ] || exec cat >&2 <<'END'
{version.strip()}
configure arguments: --prefix={home} --conf-path={self.conf}/nginx.conf --pid-path={home}/other.pid
END
exec {nginx} "$@"
"""
        )
        self.binary.chmod(0o755)

    def path(self, name: str) -> str:
        return str(self.conf / name)

    def site(self, name: str, content: str | None, check: bool = False, **more: t.Any) -> t.Any:
        wanted = {"state": "absent"} if content is None else {"content": content}
        path = name if name.startswith("/") else self.path(name)
        arguments = {"path": path, "nginx": str(self.binary), "_ansible_diff": True}
        return self._run("nginx_site", check=check, **arguments, **wanted, **more)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [self.nginx, "-p", str(self.home), "-c", self.path("nginx.conf"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def start(self) -> None:
        started = self.command()
        assert started.returncode == 0, started.stderr
        # Answered by a worker, so that all is up, the pid file included.
        assert self.get() == "main"

    def master(self) -> int:
        return int((self.home / "nginx.pid").read_text())

    def stop(self) -> None:
        pid_file = self.home / "nginx.pid"
        # Empty where Nginx has only tested.
        if not pid_file.exists() or not pid_file.read_text():
            return
        master = self.master()
        descriptor = os.pidfd_open(master)
        os.kill(master, signal.SIGTERM)
        # Readable when the process has ended: pidfd_open(2).
        assert select.select([descriptor], [], [], 30)[0], "Nginx goes on"
        os.close(descriptor)

    def get(self, path: str = "/", name: str = "main.sock") -> str:
        connection = UnixConnection(self.home / name)
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
        connection.close()
        return body

    def server(self, name: str, answer: str) -> str:
        return f"server {{ listen unix:{self.home}/{name}.sock; return 200 {answer}; }}\n"

    def state(self) -> dict[str, str]:
        """Every file's and link's content, but for the running Nginx's own."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            name = str(path.relative_to(self.home))
            if path.is_symlink():
                found[name] = f"→ {os.readlink(path)}"
            elif path.is_file() and name != "logs/error.log":
                facts = path.stat()
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found[name] = f"{digest} {facts.st_mode:o} {facts.st_uid} {facts.st_mtime_ns}"
            elif not path.is_file():
                found[name] = "directory or socket"
        return found

    def assert_sound(self) -> None:
        tested = self.command("-t")
        assert tested.returncode == 0, tested.stderr


@pytest.fixture
def host(run_module: Module) -> t.Iterator[Host]:
    nginx = shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/bin:/sbin")
    if nginx is None:
        pytest.fail("These tests run a real Nginx. Install it.")
    # Short, since a socket's path has 107 bytes at most, and for the workers' user to get to.
    with tempfile.TemporaryDirectory(prefix="ngx-") as directory:
        os.chmod(directory, 0o755)
        host = Host(Path(directory).resolve(), nginx, run_module)
        yield host
        host.stop()


def test_a_good_change_goes_live_and_then_nothing_changes(host: Host) -> None:
    host.start()
    content = host.server("a", "first")
    answer = host.site("conf.d/a.conf", content)
    assert answer["changed"] and answer["tested"] and answer["included"]
    assert answer["running"] and answer["reloaded"]
    assert answer["diff"]["before"] == "" and answer["diff"]["after"] == content
    assert host.get(name="a.sock") == "first"
    facts = (host.conf / "conf.d/a.conf").stat()
    assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid) == (0o644, 0, 0)
    before = host.state()
    again = host.site("conf.d/a.conf", content)
    assert not again["changed"] and not again["reloaded"] and again["included"]
    assert host.state() == before
    assert os.listdir(host.conf / "conf.d") == ["a.conf"]


def test_a_change_is_served_at_once_when_the_task_ends(host: Host) -> None:
    host.start()
    for turn in range(5):
        host.site("conf.d/a.conf", host.server("a", f"turn{turn}"))
        for _request in range(20):
            assert host.get(name="a.sock") == f"turn{turn}"


def test_a_bad_directive_is_refused_each_time_and_nothing_changed(host: Host) -> None:
    host.start()
    host.site("conf.d/a.conf", host.server("a", "good"))
    before = host.state()
    for check in (False, True, False):
        answer = host.site("conf.d/a.conf", "# first line\n\nserver { nonsense on; }\n", check)
        assert answer["failed"]
        assert answer["file"] == host.path("conf.d/a.conf") and answer["line"] == 3
        assert answer["messages"] == [
            f'unknown directive "nonsense" in {host.path("conf.d/a.conf")}:3'
        ]
        assert not answer["foreign"] and not answer["broken_before"]
        assert "Mend the content" in answer["msg"] and "Nothing was changed" in answer["msg"]
        assert "/tmp/ansible" not in answer["msg"] and "/root/" not in answer["msg"]
    assert host.state() == before
    assert host.get(name="a.sock") == "good"


def test_a_foreign_file_that_was_broken_before_is_named(host: Host) -> None:
    host.start()
    (host.conf / "conf.d/foreign.conf").write_bytes(b"# caf\xe9\n\nbroken on;\n")
    before = host.state()
    for check in (True, False):
        answer = host.site("conf.d/a.conf", host.server("a", "x"), check)
        assert answer["failed"] and answer["foreign"] and answer["broken_before"]
        assert (answer["file"], answer["line"]) == (host.path("conf.d/foreign.conf"), 3)
        assert "broken before" in answer["msg"]
    assert host.state() == before


def test_an_unchanged_file_in_a_tree_broken_since_is_no_success(host: Host) -> None:
    host.start()
    content = host.server("a", "x")
    host.site("conf.d/a.conf", content)
    (host.conf / "conf.d/foreign.conf").write_text("broken on;\n")
    answer = host.site("conf.d/a.conf", content)
    assert answer["failed"] and answer["foreign"] and answer["broken_before"]


def test_the_change_that_mends_a_broken_tree_is_taken(host: Host) -> None:
    (host.conf / "conf.d/a.conf").write_text("broken on;\n")
    assert host.site("conf.d/a.conf", host.server("a", "x"))["changed"]
    host.assert_sound()


def test_two_files_that_pass_alone_but_not_together(host: Host) -> None:
    host.start()
    zone = "limit_req_zone $binary_remote_addr zone=one:{size} rate=1r/s;\n"
    host.site("conf.d/a.conf", zone.format(size="1m"))
    answer = host.site("conf.d/b.conf", zone.format(size="2m"))
    assert answer["failed"] and not answer["broken_before"]
    # In the order of their names; a clash is noticed in the second one.
    assert answer["file"] == host.path("conf.d/b.conf") and not answer["foreign"]
    answer = host.site("conf.d/0.conf", zone.format(size="2m"))
    assert answer["file"] == host.path("conf.d/a.conf") and answer["foreign"]
    assert "can't go together" in answer["msg"]
    assert sorted(os.listdir(host.conf / "conf.d")) == ["a.conf"]


def test_a_site_enabled_by_a_link(host: Host) -> None:
    host.start()
    link = host.conf / "sites-enabled/a"
    link.symlink_to("../sites-available/a.conf")
    assert host.site("conf.d/0.conf", "# nothing")["broken_before"], "the link dangles"
    answer = host.site("sites-available/a.conf", host.server("a", "linked"))
    assert answer["included"] and host.get(name="a.sock") == "linked"
    answer = host.site("sites-enabled/a", host.server("a", "by-link"))
    assert answer["changed"] and host.get(name="a.sock") == "by-link"
    assert link.is_symlink(), "the file behind the link was written"
    refused = host.site("sites-available/a.conf", None)
    assert refused["failed"] and refused["file"] == host.path("nginx.conf")
    assert refused["messages"][0].startswith(f'open() "{link}" failed (2: No such file')
    assert host.site("sites-enabled/a", None)["changed"]
    assert not link.is_symlink() and (host.conf / "sites-available/a.conf").exists()
    assert host.site("sites-available/a.conf", None)["changed"]


def test_includes_within_the_content_and_below_it(host: Host) -> None:
    host.start()
    (host.conf / "deep").mkdir()
    (host.conf / "deep/one.conf").write_text("location /one { include deep/two/*.inc; }\n")
    (host.conf / "deep/two").mkdir()
    (host.conf / "deep/two/2.inc").write_text("return 200 two;\n")
    content = (
        f"server {{\n  listen unix:{host.home}/a.sock;\n"
        "  \"include\"\n    'deep/one.conf'\n  ;\n  bogus on;\n}\n"
    )
    answer = host.site("conf.d/a.conf", content)
    assert answer["line"] == 6, "lines are counted as in the content"
    host.site("conf.d/a.conf", content.replace("bogus on;", "#include nothing.conf;"))
    assert host.get("/one", "a.sock") == "two"
    answer = host.site("deep/two/1.inc", "add_header X-A b;\n", context="server")
    assert answer["included"]
    answer = host.site("deep/two/1.inc", "listen 80;\n", context="server")
    assert answer["file"] == host.path("deep/two/1.inc") and answer["line"] == 1


def test_relative_paths_resolve_as_they_do_live(host: Host) -> None:
    (host.conf / "users").write_text("a:b\n")
    (host.home / "beside").mkdir()
    (host.home / "beside/up.conf").write_text("map $uri $up { default up; }\n")
    (host.conf / "conf.d/0.conf").write_text("include ../beside/up.conf;\n")
    content = host.server("a", "$up").replace("return", "auth_basic_user_file users; return")
    assert host.site("conf.d/a.conf", content)["changed"]
    host.assert_sound()
    missing = content.replace("users", "../ssl/none.pem").replace(
        "auth_basic_user_file", "ssl_certificate_key x; ssl_certificate"
    )
    answer = host.site("conf.d/a.conf", missing.replace(".sock;", ".sock ssl;"))
    assert f'"{host.conf}/../ssl/none.pem"' in answer["messages"][0]


def test_a_literal_include_of_a_missing_file_is_nginx_to_report(host: Host) -> None:
    (host.conf / "conf.d/0.conf").write_text("\ninclude gone.conf  ;\n")
    answer = host.site("conf.d/a.conf", "# nothing\n")
    assert answer["file"] == host.path("conf.d/0.conf") and answer["line"] == 2
    assert f'open() "{host.path("gone.conf")}" failed' in answer["messages"][0]
    answer = host.site("gone.conf", "# here\n")
    assert answer["changed"] and answer["included"]


def test_removal_is_tested_too(host: Host) -> None:
    host.start()
    host.site("conf.d/0.conf", "map $uri $answer { default mapped; }\n")
    host.site("conf.d/a.conf", host.server("a", "$answer"))
    before = host.state()
    for check in (True, False):
        answer = host.site("conf.d/0.conf", None, check)
        assert answer["failed"] and answer["messages"] == ['unknown "answer" variable']
        assert "Other files need" in answer["msg"]
    assert host.state() == before
    answer = host.site("conf.d/a.conf", None)
    assert answer["changed"] and answer["reloaded"]
    with pytest.raises(OSError):
        host.get(name="a.sock")
    again = host.site("conf.d/a.conf", None)
    assert not again["changed"] and not again["reloaded"]
    assert os.listdir(host.conf / "conf.d") == ["0.conf"]


def test_a_file_that_nothing_includes_is_refused(host: Host) -> None:
    before = host.state()
    for check in (True, False):
        answer = host.site("conf.d/a.txt", host.server("a", "x"), check)
        assert answer["failed"]
        assert "nothing in" in answer["msg"] and host.path("conf.d/*.conf") in answer["msg"]
    assert host.state() == before
    hidden = host.site("conf.d/.a.conf", host.server("a", "x"))
    assert hidden["failed"], "a wildcard matches no leading period"
    assert not host.site("conf.d/none.txt", None)["changed"]


def test_locations_that_no_server_includes_yet_are_tested_in_one(host: Host) -> None:
    host.start()
    (host.conf / "conf.d/maps.conf").write_text("map $uri $mapped { default ok; }\n")
    host.site("snippets/a.conf", "location /a { return 200 $mapped; }\n", context="server")
    answer = host.site("snippets/a.conf", "location /a { return 200 $mapped; }\n", context="server")
    assert answer["included"] is False and not answer["changed"]
    answer = host.site("snippets/b.conf", "\nlocation /a { nonsense; }\n", context="server")
    assert answer["failed"] and not answer["broken_before"]
    assert (answer["file"], answer["line"]) == (host.path("snippets/b.conf"), 2)
    assert not (host.conf / "snippets/b.conf").exists()
    # A server block's own file: tested where it is included.
    answer = host.site("snippets/main.conf", "location / { return 200 b; }\n", context="server")
    assert answer["failed"] and "duplicate location" in answer["messages"][0]
    answer = host.site("snippets/main.conf", "location /b { return 200 b; }\n", context="server")
    assert answer["included"] and host.get("/b") == "b"


def test_what_nginx_tests_but_can_not_load_is_undone(host: Host) -> None:
    host.start()
    host.site("conf.d/a.conf", host.server("a", "old"), mode="0640")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(host.home / "taken.sock"))
        other.listen()
        content = host.server("a", "new") + host.server("taken", "x")
        before = {name: value for name, value in host.state().items() if "a.conf" in name}
        for _turn in range(2):
            answer = host.site("conf.d/a.conf", content)
            assert answer["failed"] and not answer["broken_before"]
            assert "Address already in use" in answer["msg"] and "is back" in answer["msg"]
            after = {name: value for name, value in host.state().items() if "a.conf" in name}
            assert after == before
            assert host.get(name="a.sock") == "old"
        answer = host.site("conf.d/new.conf", host.server("taken", "x"))
        assert answer["failed"] and os.listdir(host.conf / "conf.d") == ["a.conf"]
    same = host.site("conf.d/a.conf", host.server("a", "old"), mode="0640")
    assert not same["changed"], "the old content is not only back but loaded"


class Killed(BaseException):
    """Not caught by anything, as SIGKILL is not."""


# What a run does from its first change on, in its order
MOMENTS = ["undo.begin", "undo.begun", "write", "written", "reload", "reloaded", "undo.end"]


@pytest.mark.parametrize("before", ["new", "old"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment(
    host: Host, moment: str, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start()
    if before == "old":
        host.site("conf.d/a.conf", host.server("a", "old"))
    content = host.server("a", "new")
    target = host.conf / "conf.d/a.conf"
    change = _nginx_tree.Change(str(target), content.encode())
    site = _nginx_site.Site(_nginx_tree.read_build(str(host.binary)), change, "http")

    def kill_at(name: str) -> None:
        if name == moment:
            raise Killed

    def write(content: bytes) -> None:
        kill_at("write")
        temporary = host.conf / "conf.d/.a.conf.new"
        temporary.write_bytes(content)
        os.replace(temporary, target)
        kill_at("written")

    def wrap(owner: t.Any, name: str, first: str, last: str) -> None:
        real = getattr(owner, name)

        def wrapped(*arguments: t.Any) -> None:
            kill_at(first)
            real(*arguments)
            kill_at(last)

        monkeypatch.setattr(owner, name, wrapped)

    wrap(_nginx_site.Undo, "begin", "undo.begin", "undo.begun")
    wrap(_nginx_site.Undo, "end", "undo.end", "")
    wrap(_nginx_process, "reload", "reload", "reloaded")
    with pytest.raises(Killed), site.lock():
        site.apply(site.plan(), write)
    host.assert_sound()
    assert host.get() == "main"
    planned = host.site("conf.d/a.conf", content, check=True)
    answer = host.site("conf.d/a.conf", content)
    assert answer["changed"] and answer["reloaded"]
    assert planned["changed"] and planned["reloaded"]
    assert host.get(name="a.sock") == "new"
    again = host.site("conf.d/a.conf", content)
    assert not again["changed"]
    assert os.listdir(host.conf / "conf.d") == ["a.conf"]


@pytest.mark.parametrize("before", ["new", "old"])
def test_a_change_that_can_not_be_loaded_is_undone_by_the_next_run(
    host: Host, before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start()
    if before == "old":
        host.site("conf.d/a.conf", host.server("a", "old"))
    kept = host.state().get("conf/conf.d/a.conf")
    target = host.conf / "conf.d/a.conf"
    content = host.server("taken", "x")
    site = _nginx_site.Site(
        _nginx_tree.read_build(str(host.binary)),
        _nginx_tree.Change(str(target), content.encode()),
        "http",
    )

    def killed(master: _nginx_process.Master) -> None:
        raise Killed

    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(host.home / "taken.sock"))
        other.listen()
        monkeypatch.setattr(_nginx_process, "reload", killed)
        with pytest.raises(Killed):
            site.apply(site.plan(), lambda _content: os.replace(_written(host, content), target))
        answer = host.site("conf.d/a.conf", content)
    assert answer["failed"] and "is back" in answer["msg"]
    assert host.state().get("conf/conf.d/a.conf") == kept


def _written(host: Host, content: str) -> Path:
    path = host.home / "written"
    path.write_text(content)
    return path


def test_a_reload_that_is_due_is_made_once(host: Host) -> None:
    host.start()
    content = host.server("a", "by-hand")
    (host.conf / "conf.d/a.conf").write_text(content)
    assert not host.site("conf.d/a.conf", content, reload=False)["changed"]
    planned = host.site("conf.d/a.conf", content, check=True)
    assert planned["changed"] and planned["reloaded"]
    answer = host.site("conf.d/a.conf", content)
    assert answer["changed"] and answer["reloaded"]
    assert host.get(name="a.sock") == "by-hand"
    assert not host.site("conf.d/a.conf", content)["changed"]


def test_attributes_alone_change(host: Host) -> None:
    host.start()
    content = host.server("a", "x")
    host.site("conf.d/a.conf", content)
    assert host.site("conf.d/a.conf", content, True, mode="0600")["changed"]
    answer = host.site("conf.d/a.conf", content, mode="0600")
    assert answer["changed"]
    assert (host.conf / "conf.d/a.conf").stat().st_mode & 0o777 == 0o600
    assert not host.site("conf.d/a.conf", content, mode="0600")["changed"]


# Runs a module, and notes the mode of each file at each of Python's audit events, which come before
# whatever changes one (docs.python.org, "Audit events table").
WATCHED = """
import os, runpy, sys
name, notes, *files = sys.argv[2:]
sys.argv[2:] = []
notes = os.open(notes, os.O_WRONLY | os.O_CREAT)
def watch(event, arguments):
    for file in files:
        try:
            os.write(notes, f"{os.lstat(file).st_mode & 0o777:04o} {file}\\n".encode())
        except FileNotFoundError:
            pass
sys.addaudithook(watch)
runpy.run_module(name, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("before", ["new", "old"])
def test_a_secret_is_readable_by_root_alone_from_its_first_moment(
    host: Host, tmp_path: Path, before: str
) -> None:
    path = host.path("conf.d/key.conf")
    if before == "old":
        host.site("conf.d/key.conf", "# old key\n", mode="0600")
    arguments = {"path": path, "content": "# a key\n", "mode": "0600", "nginx": str(host.binary)}
    (tmp_path / "arguments.json").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    names = ("key.conf", ".key.conf.new", ".key.conf.previous")
    files = [host.path(f"conf.d/{name}") for name in names]
    module = "ansible_collections.flaskworks.static_media.plugins.modules.nginx_site"
    finished = subprocess.run(
        [
            sys.executable,
            "-c",
            WATCHED,
            tmp_path / "arguments.json",
            module,
            tmp_path / "notes",
            *files,
        ],
        env={**os.environ, "PYTHONPATH": str(COLLECTION_PARENT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    notes = {tuple(line.split()) for line in (tmp_path / "notes").read_text().splitlines()}
    assert ("0600", files[0]) in notes and ("0600", files[1]) in notes
    # The link of what had no file before is no secret.
    assert {mode for mode, _file in notes} <= {"0600", *(["0777"] if before == "new" else [])}
    assert not any(mode == "0777" and file != files[2] for mode, file in notes)


def test_what_was_there_is_kept_readable_by_no_more_users(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = host.conf / "conf.d/key.conf"
    target.write_text("# old key")
    target.chmod(0o600)
    os.chown(target, 61001, 61002)
    modes: list[int] = []
    copystat = shutil.copystat

    def no_link(*_arguments: t.Any, **_more: t.Any) -> None:
        raise PermissionError

    def noted(source: str, copy: str, **more: t.Any) -> None:
        modes.append(os.stat(copy).st_mode & 0o777)
        copystat(source, copy, **more)

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(shutil, "copystat", noted)
    undo = _nginx_site.Undo(str(target))
    undo.begin()
    facts = os.stat(undo.path)
    assert modes == [0o600]
    assert (facts.st_mode & 0o777, facts.st_uid, facts.st_gid) == (0o600, 61001, 61002)
    target.write_text("# new key")
    undo.restore()
    assert target.read_text() == "# old key"
    assert os.listdir(target.parent) == ["key.conf"]


def test_the_tree_that_is_tested_is_readable_by_root_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    test = _nginx_tree.Stage.test

    def noted(stage: _nginx_tree.Stage) -> _nginx_tree.Verdict:
        verdict = test(stage)
        modes.append(Path(stage._directory).parent.stat().st_mode & 0o777)
        return verdict

    monkeypatch.setattr(_nginx_tree.Stage, "test", noted)
    build = _nginx_tree.read_build(str(host.binary))
    _nginx_site.Site(build, _nginx_tree.Change(host.path("conf.d/a.conf"), b"# a"), "http").plan()
    assert modes == [0o700]


@pytest.mark.parametrize(
    "attribute", [{"owner": "nobody-of-that-name"}, {"group": "none"}, {"mode": "rw"}]
)
def test_attributes_that_there_are_not_are_refused_first(
    host: Host, attribute: dict[str, str]
) -> None:
    before = host.state()
    for check in (True, False):
        assert host.site("conf.d/a.conf", "# a", check, **attribute)["failed"]
    assert host.state() == before


def test_a_file_that_can_not_be_written_leaves_nothing_behind(host: Host) -> None:
    (host.conf / "conf.d/a.conf").write_text("# a")
    site = _nginx_site.Site(
        _nginx_tree.read_build(str(host.binary)),
        _nginx_tree.Change(host.path("conf.d/a.conf"), b"# b"),
        "http",
    )

    def full(content: bytes) -> None:
        Path(site.temporary_file).touch()
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        site.apply(site.plan(), full)
    assert os.listdir(host.conf / "conf.d") == ["a.conf"]


def test_without_a_running_nginx_only_the_file_is_written(host: Host) -> None:
    before = host.state()
    answer = host.site("conf.d/a.conf", host.server("a", "x"), check=True)
    assert answer["changed"] and not answer["running"] and not answer["reloaded"]
    assert host.state() == before, "no pid file and no log file came into being"
    answer = host.site("conf.d/a.conf", host.server("a", "x"))
    assert answer["changed"] and not answer["running"] and not answer["reloaded"]
    assert sorted(set(host.state()) - set(before)) == ["conf/conf.d/a.conf"]
    assert not host.site("conf.d/a.conf", host.server("a", "x"))["changed"]


def test_a_test_makes_no_log_files(host: Host) -> None:
    content = host.server("a", "x").replace("return", f"access_log {host.home}/logs/a.log; return")
    assert not host.site("conf.d/a.conf", content, check=True).get("failed")
    assert not host.site("conf.d/a.conf", content + "x", check=True).get("changed")
    assert os.listdir(host.home / "logs") == []
    refused = host.site("conf.d/a.conf", content.replace("logs/a.log", "none/a.log"))
    assert f'open() "{host.home}/none/a.log" failed' in refused["messages"][0]


CHANGES: dict[str, tuple[str, str | None, dict[str, t.Any]]] = {
    "good": ("conf.d/a.conf", "map $uri $a { default x; }\n", {}),
    "bad": ("conf.d/a.conf", "nonsense;\n", {}),
    "unfinished": ("conf.d/a.conf", "server {\n", {}),
    "unbalanced": ("conf.d/a.conf", "} server {\n", {}),
    "open quote": ("conf.d/a.conf", 'map $uri "$a { default x; }\n', {}),
    "same": ("conf.d/same.conf", "# same\n", {}),
    "no directory": ("nowhere/a.conf", "# nothing\n", {}),
    "is a directory": ("conf.d", "# nothing\n", {}),
    "not included": ("a.conf", "# nothing\n", {}),
    "location": ("snippets/a.conf", "location /a { }\n", {"context": "server"}),
    "bad location": ("snippets/a.conf", "server { }\n", {"context": "server"}),
    "absent": ("conf.d/same.conf", None, {}),
    "never there": ("conf.d/none.conf", None, {}),
    "the main file": ("nginx.conf", "pid HOME/nginx.pid;\nevents { }\n", {}),
    "without the main file": ("nginx.conf", None, {}),
    "itself": ("conf.d/a.conf", "include conf.d/a.conf;\n", {}),
    "crlf": ("conf.d/a.conf", "map $uri $a {\r\n  default x;\r\n}\r\n", {}),
    "byte order mark": ("conf.d/a.conf", "\ufeffmap $uri $a { default x; }\n", {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_check_mode_says_what_the_run_then_does(host: Host, name: str) -> None:
    path, content, more = CHANGES[name]
    content = content and content.replace("HOME", str(host.home))
    host.start()
    host.site("conf.d/same.conf", "# same\n")
    before = host.state()
    planned = host.site(path, content, check=True, **more)
    assert host.state() == before
    done = host.site(path, content, **more)
    if done.get("failed"):
        assert host.state() == before
    for answer in (planned, done):
        # Facts of the file as it is, which Ansible adds
        for fact in ("invocation", "uid", "gid", "owner", "group", "mode", "state", "size"):
            answer.pop(fact, None)
    assert planned == done
    host.assert_sound()


def test_an_include_of_itself_is_named(host: Host) -> None:
    answer = host.site("conf.d/a.conf", "include conf.d/*.conf;\n")
    assert answer["failed"] and "includes itself" in answer["msg"]
    assert not (host.conf / "conf.d/a.conf").exists()


def test_foreign_files_of_all_kinds_are_passed_through(host: Host) -> None:
    loop = host.conf / "conf.d/loop"
    loop.symlink_to("loop")
    (host.conf / "conf.d/dots").mkdir()
    foreign = host.conf / "conf.d"
    (foreign / "bytes.conf").write_bytes(b"# \xff\xfe include nothing;\nmap $uri $b { \xe9 1; }\n")
    (foreign / "crlf.conf").write_bytes(b"include \t extra/*.inc \r\n;\r\nmap $uri $c {\r\n}\r\n")
    (host.conf / "extra").mkdir()
    (host.conf / "extra/1.inc").write_text('map $uri $e { "include" extra/map.txt; "}" 2; }\n')
    (host.conf / "extra/map.txt").write_text("y 1;\n")
    (host.conf / "extra/map.tab").write_text("x 1;\n")
    (foreign / "od[d] name.conf").write_text("map $uri $d { include extra/map.tab; }\n")
    host.assert_sound()
    answer = host.site("conf.d/z.conf", host.server("z", "$b$c$d$e"))
    assert answer["changed"], answer
    host.assert_sound()
    answer = host.site("extra/map.tab", "x 1 1;\n")
    assert answer["file"] == host.path("extra/map.tab")
    (foreign / "od[d] name.conf").write_text("\n\nbroken;\n")
    answer = host.site("conf.d/z.conf", host.server("z", "$b"))
    assert (answer["file"], answer["line"]) == (str(foreign / "od[d] name.conf"), 3)


def test_a_configuration_directory_behind_a_link(host: Host) -> None:
    real = host.home / "elsewhere"
    host.conf.rename(real)
    host.conf.symlink_to(real)
    host.start()
    assert host.site("conf.d/a.conf", host.server("a", "1"))["included"]
    answer = host.site(str(real / "conf.d/a.conf"), host.server("a", "2"))
    assert answer["included"] and answer["changed"]
    assert host.get(name="a.sock") == "2"
    answer = host.site(str(real / "conf.d/a.conf"), "nonsense;")
    assert not answer["foreign"], answer


def test_nginx_warnings_are_passed_on(host: Host) -> None:
    content = host.server("a", "x").replace("return", "server_name n; return")
    answer = host.site("conf.d/a.conf", content + content.replace("200 x", "200 y"))
    assert answer["nginx_warnings"] == [
        f'conflicting server name "n" on unix:{host.home}/a.sock, ignored'
    ]
    assert "conflicting server name" in str(answer["warnings"])


def test_without_nginx_check_mode_goes_on(run_module: Module, tmp_path: Path) -> None:
    path = str(tmp_path / "not/yet/a.conf")
    missing = str(tmp_path / "no-nginx")
    answer = run_module("nginx_site", check=True, path=path, content="x", nginx=missing)
    assert answer["changed"] and not answer["tested"] and answer["included"] is None
    answer = run_module("nginx_site", path=path, content="x", nginx=missing)
    assert answer["failed"] and "Install it first" in answer["msg"]


def test_a_file_that_nginx_reads_along_is_loaded_when_it_has_changed(host: Host) -> None:
    host.start()
    users = host.conf / "users"
    content = host.server("a", "x").replace("return", f"include {users}; return")
    users.write_text("default_type text/plain;\n")
    arguments: dict[str, t.Any] = {"depends_on": [str(users)]}
    assert host.site("conf.d/a.conf", content, **arguments)["reloaded"]
    assert not host.site("conf.d/a.conf", content, **arguments)["changed"]
    # As a killed run leaves it: replaced, and not loaded.
    new = host.conf / "new"
    new.write_text("default_type text/html;\n")
    os.replace(new, users)
    planned = host.site("conf.d/a.conf", content, check=True, **arguments)
    assert planned["changed"] and planned["reloaded"]
    answer = host.site("conf.d/a.conf", content, **arguments)
    assert answer["changed"] and answer["reloaded"]
    assert not host.site("conf.d/a.conf", content, **arguments)["changed"]


def test_a_check_run_does_not_miss_what_another_task_makes(host: Host) -> None:
    pem = host.conf / "not-yet.pem"
    content = host.server("a", "x").replace("return", f"ssl_certificate {pem}; return")
    content = content.replace(".sock;", ".sock ssl;")
    planned = host.site("conf.d/a.conf", content, check=True, depends_on=[str(pem)])
    assert planned["changed"] and not planned["tested"]
    assert host.site("conf.d/a.conf", content, check=True)["failed"]
    assert host.site("conf.d/a.conf", content, depends_on=[str(pem)])["failed"]


def test_a_relative_path_is_refused(run_module: Module) -> None:
    answer = run_module("nginx_site", path="a.conf", content="x")
    assert answer["failed"] and "absolute path" in answer["msg"]


def test_a_binary_that_is_not_nginx_is_refused(run_module: Module, tmp_path: Path) -> None:
    path = str(tmp_path / "a.conf")
    answer = run_module("nginx_site", path=path, content="x", nginx="/bin/echo")
    assert answer["failed"] and "does not answer as Nginx does" in answer["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_files_of_the_same_run_are_tested_along_and_not_written(host: Host, check: bool) -> None:
    # As a user writes it before the first run.
    server = f"server {{ listen unix:{host.home}/mine.sock; include snippets/gallery.conf; }}\n"
    (host.conf / "sites-enabled" / "mine").write_text(server)
    snippet = host.path("snippets/gallery.conf")
    mime = "types { text/javascript mjs; }\n"
    answer = host.site("conf.d/types.conf", mime, check)
    assert answer["failed"] and answer["broken_before"], answer
    locations = "location / { return 200 hello; }\n"
    along = [{"path": snippet, "content": locations}]
    answer = host.site("conf.d/types.conf", mime, check=True, together_with=along)
    assert answer["changed"] and answer["included"], answer
    assert not os.path.exists(snippet)
    bad = [{"path": snippet, "content": "locaton / { }\n"}]
    answer = host.site("conf.d/types.conf", mime, check, together_with=bad)
    assert answer["failed"] and answer["foreign"] and answer["file"] == snippet, answer
    # The order of a run
    assert host.site("snippets/gallery.conf", locations, context="server")["included"]
    assert host.site("conf.d/types.conf", mime, together_with=along)["changed"]
    host.assert_sound()
