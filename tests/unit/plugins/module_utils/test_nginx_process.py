"""Which processes count as the Nginx of a configuration, by a /proc made for the purpose.

Reloads are tested with a real Nginx, in modules/test_nginx_site.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_process,
    _process,
)

CONF = "/etc/nginx/nginx.conf"
MASTER = "nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"


class Proc:
    """A /proc of processes, each with its title, parent, pid namespace and root directory."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "proc"
        self.path.mkdir()
        self.roots = directory / "roots"
        self.pid_file = directory / "nginx.pid"
        self.add("self", "python3")

    def add(
        self,
        pid: int | str,
        title: str,
        parent: int = 1,
        pids: str = "1",
        root: str = "host",
        state: str = "S",
        ticks: int = 100,
    ) -> None:
        directory = self.path / str(pid)
        (directory / "ns").mkdir(parents=True)
        (directory / "ns/pid").symlink_to(f"pid:[{pids}]")
        (self.roots / root).mkdir(parents=True, exist_ok=True)
        (directory / "root").symlink_to(self.roots / root)
        (directory / "cmdline").write_bytes(title.encode() + b"\0\0")
        fields = [state, str(parent), *["0"] * 17, str(ticks), *["0"] * 10]
        (directory / "stat").write_text(f"{pid} (nginx) {' '.join(fields)}\n")

    def find(self, conf_file: str = CONF) -> int | None:
        found = _nginx_process.find_master(str(self.pid_file), conf_file, str(self.path))
        return found.pid if found else None


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    return Proc(tmp_path)


def test_the_pid_file_names_the_master(proc: Proc) -> None:
    proc.add(10, MASTER)
    # As a unit with PrivateTmp or ProtectSystem has it: a mount namespace of its own.
    proc.add(20, MASTER, root="private")
    proc.pid_file.write_text("20\n")
    assert proc.find() == 20


@pytest.mark.parametrize("content", ["", "x", "30\n", "99\n", "-1"])
def test_a_wrong_pid_file_is_not_believed(proc: Proc, content: str) -> None:
    proc.add(10, MASTER)
    proc.add(30, "vim nginx: master process")
    proc.pid_file.write_text(content)
    assert proc.find() == 10


def test_without_any_nginx_there_is_none(proc: Proc) -> None:
    assert proc.find() is None
    proc.pid_file.write_text("10\n")
    assert proc.find() is None


def test_containers_on_this_host_are_others_business(proc: Proc) -> None:
    proc.add(10, MASTER, pids="2", root="container")
    proc.add(11, MASTER, pids="1", root="container-of-the-hosts-pids")
    assert proc.find() is None
    proc.pid_file.write_text("10\n")
    assert proc.find() is None


def test_an_nginx_of_another_configuration_is_another(proc: Proc) -> None:
    proc.add(10, "nginx: master process nginx -c /opt/other.conf")
    assert proc.find() is None
    assert proc.find("/opt/other.conf") == 10
    proc.pid_file.write_text("10\n")
    assert proc.find() is None, "also where both would write the same pid file"


def test_neither_a_starting_worker_nor_an_upgrade_is_taken_for_the_master(proc: Proc) -> None:
    proc.add(40, MASTER)
    proc.add(30, MASTER, parent=40)
    assert proc.find() == 40


def test_processes_that_may_not_be_looked_into_are_left_alone(proc: Proc) -> None:
    proc.add(10, MASTER)
    (proc.path / "10/ns/pid").unlink()
    assert proc.find() is None


def test_workers_are_the_masters_own(proc: Proc) -> None:
    proc.add(10, MASTER)
    proc.add(11, "nginx: worker process", parent=10)
    proc.add(12, "nginx: worker process is shutting down", parent=10)
    proc.add(13, "nginx: cache manager process", parent=10)
    proc.add(14, "nginx: worker process", parent=10, state="Z")
    proc.add(15, MASTER, parent=10)
    proc.add(16, "nginx: worker process", parent=99)
    found = _nginx_process.find_master(str(proc.pid_file), CONF, str(proc.path))
    assert found
    workers = {w.pid: (w.serves, w.starts) for w in found.workers()}
    assert workers == {11: (True, False), 12: (False, False), 15: (False, True)}


def test_a_reload_is_pending_while_an_older_worker_serves(proc: Proc) -> None:
    proc.add(10, MASTER)
    proc.add(11, "nginx: worker process", parent=10, ticks=500)
    proc.add(12, "nginx: worker process is shutting down", parent=10, ticks=100)
    found = _nginx_process.find_master(str(proc.pid_file), CONF, str(proc.path))
    assert found
    started = _process.started_at_ns(11, str(proc.path))
    assert found.pending_since(started + 1_000_000_000)
    assert found.pending_since(started)
    assert not found.pending_since(started - 1_000_000_000)


def test_a_master_whose_id_was_reused_is_not_alive(proc: Proc) -> None:
    proc.add(10, MASTER, ticks=100)
    master = _nginx_process.Master(10, 99, str(proc.path))
    assert not master.alive()
    assert _nginx_process.Master(10, 100, str(proc.path)).alive()
