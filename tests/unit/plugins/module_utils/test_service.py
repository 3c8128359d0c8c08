"""Services: what is owed to them, asked of real processes and a real init script."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _process, _service
from ansible_collections.flaskworks.static_media.plugins.module_utils._service import (
    Answer,
    ServiceError,
    State,
    Systemd,
    SysVInit,
    Wanted,
    newer_paths,
    plan,
    settle,
)

HEALTHY = State(enabled=("enabled",), running=True, main_pid=1, started_ns=1)
SOCKET = State(
    enabled=("enabled", "enabled"), running=True, main_pid=1, started_ns=1, socket_listens=True
)
STOPPED = {"running": False, "main_pid": None, "started_ns": None}
SECOND_NS = 1_000_000_000


def changed(state: State, changes: dict[str, t.Any]) -> State:
    return State(**{**state.__dict__, **changes})


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, []),
        (STOPPED, ["start"]),
        ({**STOPPED, "failed": True}, ["start"]),
        ({"enabled": ("disabled",)}, ["enable"]),
        ({"enabled": ("enabled-runtime",)}, ["enable"]),
        ({"enabled": ("linked",)}, ["enable"]),
        ({"enabled": ("alias",)}, []),
        ({"newer": ("/etc/x",)}, ["restart"]),
        ({"reload_needed": True, "definition_newer": True}, ["daemon-reload", "restart"]),
        ({**STOPPED, "reload_needed": True, "definition_newer": True}, ["daemon-reload", "start"]),
        ({"main_pid": None, "started_ns": None}, []),
        (
            {**STOPPED, "missing": True, "enabled": ("",)},
            ["daemon-reload", "enable", "start"],
        ),
    ],
    ids=str,
)
def test_what_is_owed(changes: dict[str, t.Any], actions: list[str]) -> None:
    assert plan(changed(HEALTHY, changes), Wanted()) == actions


@pytest.mark.parametrize(
    ("changes", "actions"),
    [
        ({}, []),
        ({"newer": ("/etc/x",)}, ["restart"]),
        # The socket outlives it, so no connection is refused
        ({"reload_needed": True, "definition_newer": True}, ["daemon-reload", "restart"]),
        ({**STOPPED, "socket_listens": False}, ["start"]),
        (STOPPED, ["start"]),
        ({"socket_listens": False}, ["restart with socket"]),
        (
            {"socket_newer": True, "reload_needed": True},
            ["daemon-reload", "restart with socket"],
        ),
        ({**STOPPED, "socket_newer": True}, ["restart with socket"]),
        ({"socket_newer": True, "newer": ("/etc/x",)}, ["restart with socket"]),
        ({"enabled": ("enabled", "disabled")}, ["enable"]),
    ],
    ids=str,
)
def test_what_is_owed_to_a_service_with_a_socket(
    changes: dict[str, t.Any], actions: list[str]
) -> None:
    assert plan(changed(SOCKET, changes), Wanted()) == actions


@pytest.mark.parametrize(
    ("wanted", "changes", "actions"),
    [
        (Wanted(running=False), {}, ["stop"]),
        (Wanted(running=False), STOPPED, ["stop"]),
        (Wanted(running=False), {**STOPPED, "socket_listens": False}, []),
        (Wanted(running=False), {**STOPPED, "socket_listens": False, "failed": True}, []),
        (Wanted(enabled=False), {}, ["disable"]),
        (Wanted(enabled=False), {"enabled": ("disabled", "enabled")}, ["disable"]),
        (Wanted(enabled=False), {"enabled": ("disabled", "disabled")}, []),
        (Wanted(enabled=False), {"enabled": ("static", "indirect")}, []),
        (
            Wanted(enabled=False, running=False),
            {**STOPPED, "missing": True, "enabled": ("", ""), "socket_listens": False},
            [],
        ),
        # One that others use too: what only a restart mends waits, and the manager knows it by then.
        (Wanted(may_restart=False), {"newer": ("/x",)}, []),
        (
            Wanted(may_restart=False),
            {"reload_needed": True, "is_unread": True, "definition_newer": True},
            ["daemon-reload"],
        ),
        (Wanted(may_restart=False), {"reload_needed": True, "definition_newer": True}, []),
        (Wanted(may_restart=False), STOPPED, ["start"]),
        (Wanted(may_restart=False, on_stale="reload"), {"newer": ("/x",)}, ["reload"]),
        (Wanted(on_stale="reload"), {"newer": ("/x",)}, ["reload"]),
        (
            Wanted(on_stale="reload"),
            {"newer": ("/x.env", "/x"), "reload_is_enough": False},
            ["restart"],
        ),
        (
            Wanted(on_stale="reload"),
            {"newer": ("/x.service",), "definition_newer": True, "reload_needed": True},
            ["daemon-reload", "restart"],
        ),
    ],
    ids=str,
)
def test_what_is_wanted_otherwise(
    wanted: Wanted, changes: dict[str, t.Any], actions: list[str]
) -> None:
    assert plan(changed(SOCKET, changes), wanted) == actions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"masked": True}, "systemctl unmask"),
        ({"enabled": ("static",)}, r"no \[Install\] section"),
        ({"age_unknown": True, "main_pid": None}, "Set pid_file"),
    ],
)
def test_what_no_action_mends_is_refused(changes: dict[str, t.Any], words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        plan(changed(HEALTHY, changes), Wanted())


@pytest.mark.parametrize(
    "name", ["", "../x", "/etc/init.d/x", "-x", "a b", "x;reboot", "gallery.service", "a\n"]
)
def test_what_is_no_name_is_refused(name: str) -> None:
    for manager in (Systemd, SysVInit):
        with pytest.raises(ServiceError, match="is no name of a service"):
            manager(name)


@contextlib.contextmanager
def running() -> t.Iterator[int]:
    """A process that is there when the block begins."""
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def age(pid: int) -> int:
    return _process.started_at_ns(pid)


def test_a_file_changed_after_the_start_is_newer(tmp_path: Path) -> None:
    path = tmp_path / "app.env"
    path.write_text("1")
    settle([str(path)])
    with running() as pid:
        assert newer_paths(age(pid), [str(path)]) == ()
        # The content is the same, its mtime of long ago
        os.utime(path, (1, 1))
        assert newer_paths(age(pid), [str(path)]) == (str(path),)


@pytest.mark.parametrize("way", ["file", "link", "directory", "dangling link"])
def test_what_was_changed_just_before_the_start_never_counts_as_newer(
    tmp_path: Path, way: str
) -> None:
    path = tmp_path / "it"
    if way == "file":
        path.write_text("")
    elif way == "directory":
        path.mkdir()
    else:
        (tmp_path / "target").mkdir()
        path.symlink_to("target" if way == "link" else "nothing")
    settle([str(path)])
    with running() as pid:
        assert newer_paths(age(pid), [str(path)]) == ()


def test_a_link_that_leads_elsewhere_since_is_newer(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    current = str(tmp_path / "current")
    os.symlink("one", current)
    settle([current])
    with running() as pid:
        os.unlink(current)
        os.symlink("one", current)
        assert newer_paths(age(pid), [current]) == (current,)


def test_a_change_behind_a_link_is_newer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    link = str(tmp_path / "link")
    os.symlink("file", link)
    settle([link])
    with running() as pid:
        (tmp_path / "file").chmod(0o600)
        assert newer_paths(age(pid), [link]) == (link,)


def test_what_is_not_there_is_not_newer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert newer_paths(0, [str(tmp_path / "none"), str(tmp_path / "file" / "none")]) == ()


def test_a_change_from_the_future_does_not_restart_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the clock was set back by an hour."""
    path = tmp_path / "app.env"
    path.write_text("")
    os.utime(path, (1, 1))
    now_ns = time.time_ns
    real = os.stat
    future = {"left": True}

    def stat(name: str, **options: t.Any) -> t.Any:
        status = real(name, **options)
        if future["left"] and name == str(path):
            fields = {field: getattr(status, field) for field in dir(status) if field[:3] == "st_"}
            fields["st_ctime_ns"] = now_ns() + 3600 * SECOND_NS
            return type("Status", (), fields)()
        return status

    def utime(name: str, **options: t.Any) -> None:
        future["left"] = False
        real_utime(name, **options)

    real_utime = os.utime
    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "utime", utime)
    settle([str(path)])
    assert not future["left"]
    assert real(path).st_mtime == 1
    with running() as pid:
        assert newer_paths(age(pid), [str(path)]) == ()


MASTER = """
import subprocess, sys
for line in sys.stdin:
    if line == "start\\n":
        worker = subprocess.Popen(["sleep", "600"])
    else:
        worker.kill()
        worker.wait()
    print(flush=True)
"""


def test_after_a_reload_the_age_is_that_of_the_workers(tmp_path: Path) -> None:
    path = str(tmp_path / "config")
    by_main, by_workers = (SysVInit("x", by_children=which) for which in (False, True))
    command = [sys.executable, "-c", MASTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as master:

        def tell(word: bytes) -> None:
            assert master.stdin
            assert master.stdout
            master.stdin.write(word + b"\n")
            master.stdin.flush()
            master.stdout.readline()

        def is_stale(service: SysVInit) -> bool:
            started_ns = service._age(master.pid)
            assert started_ns is not None
            return bool(newer_paths(started_ns, [path]))

        try:
            tell(b"start")
            Path(path).write_text("")
            assert (is_stale(by_main), is_stale(by_workers)) == (True, True)
            tell(b"kill")
            settle([path])
            tell(b"start")
            assert (is_stale(by_main), is_stale(by_workers)) == (True, False)
            tell(b"kill")
            # Without workers the main process does the work
            assert is_stale(by_workers)
        finally:
            with contextlib.suppress(OSError):
                tell(b"kill")
            master.kill()


REPLACED = """
import os, subprocess, sys
command = [sys.argv[1], "-c", "print(flush=True); input()"]
child = subprocess.Popen(command, stdin=sys.stdin, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A Python under a name that no other process has."""
    name = tmp_path / "flaskworks-test"
    name.symlink_to(sys.executable)
    return str(name)


@pytest.mark.parametrize("is_same", [True, False])
def test_what_replaces_another_is_not_alone_until_that_is_gone(program: str, is_same: bool) -> None:
    command = [program, "-c", REPLACED, program if is_same else sys.executable]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout
        second = int(first.stdout.readline())
        # A child is no other head, as workers are none.
        assert _service._predecessors(first.pid) == []
        assert (first.pid in _service._predecessors(second)) == is_same
        first.kill()
        first.wait()
        assert first.pid not in _service._predecessors(second)
    assert _service._predecessors(first.pid) == []


def test_two_that_neither_started_are_heads(program: str) -> None:
    command = [program, "-c", "print(flush=True); input()"]
    with contextlib.ExitStack() as stack:
        pids = []
        for _unused in range(2):
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            stack.callback(process.kill)
            assert process.stdout
            process.stdout.readline()
            pids.append(process.pid)
        assert _service._predecessors(pids[0]) == [pids[1]]
        assert _service._predecessors(pids[1]) == [pids[0]]


def test_a_reload_waits_until_the_one_before_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    predecessors = iter([[7], [7], []])

    class Fake(SysVInit):
        def state(self) -> State:
            return HEALTHY

        def ask(self, command: t.Sequence[str], **variables: str) -> Answer:
            events.append(command[-1])
            return Answer(0, "")

    def ask(pid: int) -> list[int]:
        events.append("asked")
        return next(predecessors)

    monkeypatch.setattr(_service, "_predecessors", ask)
    Fake("gallery").apply(["reload"], Wanted(on_stale="reload"))
    assert events == ["asked", "asked", "asked", "reload"]


class Reloaded(SysVInit):
    """A service that is stale for so many answers."""

    def __init__(self, pid: int, answers: int) -> None:
        super().__init__("gallery", timeout_seconds=60)
        self.pid = pid
        self.answers = answers

    def state(self) -> State:
        self.answers -= 1
        newer = ("/opt/gallery/current",) if self.answers > 0 else ()
        return changed(HEALTHY, {"main_pid": self.pid, "newer": newer})

    def ask(self, command: t.Sequence[str], **variables: str) -> Answer:
        return Answer(0, "")


def test_a_reload_whose_new_process_has_ended_again_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_service, "RELOAD_SILENCE_SECONDS", 0)
    monkeypatch.setattr(_service, "_predecessors", lambda pid: [])
    with (
        running() as pid,
        pytest.raises(ServiceError, match=r"After reload it still needs: reload"),
    ):
        Reloaded(pid, answers=10**6).apply(["reload"], Wanted(on_stale="reload"))


def test_a_reload_whose_new_process_is_there_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_service, "_predecessors", lambda pid: [])
    monkeypatch.setattr(Reloaded, "_is_followed", lambda *_unused: True)
    monkeypatch.setattr(_service, "POLL_SECONDS", 0)
    with running() as pid:
        state = Reloaded(pid, answers=5).apply(["reload"], Wanted(on_stale="reload"))
    assert state.newer == ()


def test_a_reload_is_followed_by_a_process_that_was_started_since(program: str) -> None:
    command = [program, "-c", REPLACED, program]
    began_ns = time.time_ns()
    # A start is cut down to the tick.
    settle([os.path.dirname(program)])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout
        first.stdout.readline()
        service, state = SysVInit("x"), changed(HEALTHY, {"main_pid": first.pid})
        assert service._is_followed(state, began_ns)
        assert not service._is_followed(state, time.time_ns() + SECOND_NS)
        assert not service._is_followed(changed(HEALTHY, {"main_pid": None}), began_ns)
        first.kill()


def test_what_a_reload_does_not_read_takes_a_restart(tmp_path: Path) -> None:
    environment, link = tmp_path / "app.env", tmp_path / "current"
    environment.write_text("")
    link.write_text("")
    paths = [str(environment), str(link)]
    service = SysVInit("x", paths, reload_paths=[str(link)])
    everything = SysVInit("x", paths)
    settle(paths)
    with running() as pid:
        started_ns = age(pid)
        assert service._newer(started_ns, started_ns) == ((), True)
        link.chmod(0o600)
        assert service._newer(started_ns, started_ns) == ((str(link),), True)
        environment.chmod(0o600)
        assert service._newer(started_ns, started_ns) == ((*paths,), False)
        assert everything._newer(started_ns, started_ns) == ((*paths,), True)


def test_a_process_that_is_gone_has_no_age() -> None:
    with running() as pid:
        pass
    assert SysVInit("x")._age(pid) is None


class TestSystemd:
    """What is made of systemctl's answers; with a real systemd, Molecule's scenarios."""

    UNIT: t.ClassVar[dict[str, str]] = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "ActiveEnterTimestamp": "",
        "ActiveEnterTimestampMonotonic": "0",
        "MainPID": "0",
        "NeedDaemonReload": "no",
        "UnitFileState": "enabled",
        "FragmentPath": "",
        "DropInPaths": "",
    }

    def service(
        self,
        units: dict[str, dict[str, str]],
        paths: t.Sequence[str] = (),
        socket: bool = False,
    ) -> Systemd:
        class Fake(Systemd):
            def ask(self, command: t.Sequence[str], **variables: str) -> Answer:
                assert list(command[:2]) == ["systemctl", "show"]
                assert variables == {"TZ": "UTC"}
                unit = {**TestSystemd.UNIT, **units[command[-1]]}
                return Answer(0, "".join(f"{key}={value}\n" for key, value in unit.items()))

        return Fake("gallery", paths, socket=socket)

    def test_a_running_service_is_fresh(self, tmp_path: Path) -> None:
        unit = tmp_path / "gallery.service"
        unit.write_text("")
        settle([str(unit)])
        with running() as pid:
            units = {"gallery.service": {"MainPID": str(pid), "FragmentPath": str(unit)}}
            state = self.service(units, [str(unit)]).state()
            assert (state.running, state.main_pid, state.newer) == (True, pid, ())
            assert plan(state, Wanted()) == []
            unit.chmod(0o600)
            state = self.service(units).state()
            assert (state.newer, state.reload_needed) == ((str(unit),), True)
            assert plan(state, Wanted()) == ["daemon-reload", "restart"]

    def test_a_drop_in_counts_as_the_unit_does(self, tmp_path: Path) -> None:
        with running() as pid:
            drop_ins = [tmp_path / name for name in ("one.conf", "two.conf")]
            for drop_in in drop_ins:
                drop_in.write_text("")
            shown = {"MainPID": str(pid), "DropInPaths": " ".join(map(str, drop_ins))}
            state = self.service({"gallery.service": shown}).state()
            assert state.newer == tuple(map(str, drop_ins))

    def test_a_drop_in_that_systemd_has_not_found_counts_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_service, "UNIT_PATHS", (str(tmp_path / "none"), str(tmp_path)))
        directory = tmp_path / "gallery.service.d"
        with running() as pid:
            service = self.service({"gallery.service": {"MainPID": str(pid)}})
            assert plan(service.state(), Wanted()) == []
            directory.mkdir()
            (directory / "new.conf").write_text("")
            assert service.state().newer == (str(directory), str(directory / "new.conf"))
            assert plan(service.state(), Wanted()) == ["daemon-reload", "restart"]

    def test_a_drop_in_that_was_taken_away_counts_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_service, "UNIT_PATHS", (str(tmp_path),))
        directory = tmp_path / "gallery.service.d"
        directory.mkdir()
        (directory / "old.conf").write_text("")
        service = self.service({"gallery.service": {"MainPID": "0"}})
        settle(service.definitions())
        with running() as pid:
            service = self.service({"gallery.service": {"MainPID": str(pid)}})
            assert plan(service.state(), Wanted()) == []
            (directory / "old.conf").unlink()
            assert plan(service.state(), Wanted()) == ["daemon-reload", "restart"]

    @pytest.mark.parametrize(
        ("unit", "actions"),
        [
            (
                {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""},
                ["daemon-reload", "enable", "start"],
            ),
            ({"ActiveState": "failed"}, ["start"]),
            ({"ActiveState": "activating"}, ["start"]),
            ({"ActiveState": "reloading"}, []),
            ({"NeedDaemonReload": "yes"}, ["daemon-reload", "restart"]),
            ({"NeedDaemonReload": "yes", "ActiveState": "inactive"}, ["daemon-reload", "start"]),
            ({"UnitFileState": "generated"}, ["enable"]),
        ],
        ids=str,
    )
    def test_each_state_of_a_unit(self, unit: dict[str, str], actions: list[str]) -> None:
        assert plan(self.service({"gallery.service": unit}).state(), Wanted()) == actions

    def test_a_masked_unit_is_refused(self) -> None:
        unit = {"LoadState": "masked", "ActiveState": "inactive", "UnitFileState": "masked"}
        with pytest.raises(ServiceError, match="unmask"):
            plan(self.service({"gallery.service": unit}).state(), Wanted())

    def test_an_age_that_is_not_known_is_refused_where_it_matters(self) -> None:
        units: dict[str, dict[str, str]] = {"gallery.service": {}}
        assert plan(self.service(units).state(), Wanted()) == []
        with pytest.raises(ServiceError, match="main process is not known"):
            plan(self.service(units, ["/etc/passwd"]).state(), Wanted())

    def test_a_bare_host_with_a_socket(self) -> None:
        bare = {"LoadState": "not-found", "ActiveState": "inactive", "UnitFileState": ""}
        service = self.service({"gallery.service": bare, "gallery.socket": bare}, socket=True)
        assert plan(service.state(), Wanted()) == ["daemon-reload", "enable", "start"]

    def test_a_socket_older_than_its_unit_is_not_the_services_affair(self, tmp_path: Path) -> None:
        unit = tmp_path / "gallery.socket"
        unit.write_text("")
        changed_ns = unit.stat().st_ctime_ns
        for seconds, actions in ((-5, ["daemon-reload", "restart with socket"]), (5, [])):
            units = {
                "gallery.service": {},
                "gallery.socket": {
                    "FragmentPath": str(unit),
                    **stamps(changed_ns + seconds * SECOND_NS),
                },
            }
            assert plan(self.service(units, socket=True).state(), Wanted()) == actions

    @pytest.mark.parametrize(
        ("of", "actions"),
        [
            ("gallery.service", ["daemon-reload", "restart"]),
            ("gallery.socket", ["daemon-reload", "restart with socket"]),
        ],
    )
    def test_whose_definition_is_not_read_yet(self, of: str, actions: list[str]) -> None:
        units: dict[str, dict[str, str]] = {"gallery.service": {}, "gallery.socket": {}}
        units[of] = {"NeedDaemonReload": "yes"}
        assert plan(self.service(units, socket=True).state(), Wanted()) == actions

    def test_every_action_has_its_commands(self) -> None:
        actions = [
            "daemon-reload",
            "enable",
            "disable",
            "start",
            "stop",
            "restart",
            "reload",
            "restart with socket",
        ]
        for socket in (False, True):
            service = Systemd("gallery", socket=socket)
            for action in actions:
                commands = service.commands(action)
                assert all(command[0] == "systemctl" for command in commands)
                named = {word for command in commands for word in command if "gallery." in word}
                assert named <= {"gallery.service", "gallery.socket"}
                assert ("gallery.socket" in named) <= socket
        start = Systemd("gallery", socket=True).commands("start")
        assert start[0][1] == "reset-failed"
        assert [command[-1] for command in start[1:]] == ["gallery.socket", "gallery.service"]
        restart = Systemd("gallery", socket=True).commands("restart")
        assert [command[1] for command in restart] == ["reset-failed", "restart"]


def stamps(moment_ns: int, asleep_seconds: float = 0) -> dict[str, str]:
    """The two forms in which systemctl tells a time."""
    boot_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    monotonic_ns = moment_ns - boot_ns + int(asleep_seconds * SECOND_NS)
    text = time.strftime("%a %Y-%m-%d %H:%M:%S UTC", time.gmtime(moment_ns // SECOND_NS))
    return {
        "ActiveEnterTimestamp": text,
        "ActiveEnterTimestampMonotonic": str(monotonic_ns // 1000),
    }


def test_when_a_unit_became_active_is_known_exactly() -> None:
    moment_ns = time.time_ns() // SECOND_NS * SECOND_NS + SECOND_NS // 2
    found = _service.active_since_ns(stamps(moment_ns))
    assert found is not None
    # Two readings of two clocks lie between
    assert abs(found - moment_ns) < SECOND_NS // 4


def test_a_host_that_slept_makes_no_unit_look_younger() -> None:
    moment_ns = time.time_ns() - 100 * SECOND_NS
    found = _service.active_since_ns(stamps(moment_ns, asleep_seconds=3600))
    assert found == moment_ns // SECOND_NS * SECOND_NS


@pytest.mark.parametrize("unit", [{}, {"ActiveEnterTimestamp": ""}, TestSystemd.UNIT])
def test_a_unit_that_never_was_active_has_no_time(unit: dict[str, str]) -> None:
    assert _service.active_since_ns(unit) is None


INIT_SCRIPT = """#!/bin/sh
# pidfile: DIRECTORY/NAME.pid
### BEGIN INIT INFO
# Provides:          NAME
# Required-Start:    $remote_fs
# Required-Stop:     $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Test of flaskworks.static_media
### END INIT INFO
PID=DIRECTORY/NAME.pid
case "$1" in
start)
    env >DIRECTORY/environment
    umask >DIRECTORY/umask
    [ ! -e DIRECTORY/hangs ] || exec sleep 600
    [ ! -e DIRECTORY/broken ] || { echo "broken on purpose"; exit 1; }
    start-stop-daemon --start --background --make-pidfile --pidfile $PID --exec /bin/sleep -- 600 ;;
stop) start-stop-daemon --stop --oknodo --remove-pidfile --retry 5 --pidfile $PID ;;
restart) $0 stop && $0 start ;;
status) start-stop-daemon --status --pidfile $PID ;;
*) exit 2 ;;
esac
"""


@pytest.fixture
def name(as_root: None) -> t.Iterator[str]:
    """A name of our own for a service of this machine's."""
    name = f"flaskworks-test-{os.getpid()}"
    script = Path("/etc/init.d") / name
    yield name
    if script.exists():
        subprocess.run([script, "stop"], check=False, capture_output=True)
        script.unlink()
    subprocess.run(["update-rc.d", name, "remove"], check=True, capture_output=True)


class TestSysVInit:
    """With an init script that the machine really has."""

    def install(self, name: str, directory: Path) -> None:
        script = Path("/etc/init.d") / name
        script.write_text(INIT_SCRIPT.replace("NAME", name).replace("DIRECTORY", str(directory)))
        script.chmod(0o755)

    def service(self, name: str, directory: Path, **options: t.Any) -> SysVInit:
        (directory / "app.env").touch()
        return SysVInit(name, [str(directory / "app.env")], **options)

    def converge(self, service: SysVInit, wanted: Wanted = Wanted()) -> list[str]:  # noqa: B008
        actions = plan(service.state(), wanted)
        service.apply(actions, wanted)
        assert plan(service.state(), wanted) == []
        return actions

    def test_a_whole_life(self, name: str, tmp_path: Path) -> None:
        service = self.service(name, tmp_path)
        assert plan(service.state(), Wanted()) == ["enable", "start"]
        self.install(name, tmp_path)
        assert self.converge(service) == ["enable", "start"]
        first = service.state()
        assert first.enabled == ("enabled",)
        assert first.main_pid == int((tmp_path / f"{name}.pid").read_text())
        assert self.converge(service) == []

        (tmp_path / "app.env").write_text("A=1")
        assert service.state().newer == (str(tmp_path / "app.env"),)
        assert self.converge(service) == ["restart"]
        second = service.state()
        assert second.main_pid != first.main_pid

        self.install(name, tmp_path)
        assert self.converge(service, Wanted(on_stale="reload")) == ["restart"]

        os.kill(service.state().main_pid or 0, 9)
        gone = Wanted(enabled=False, running=False)
        assert self.converge(service, gone) in (["disable"], ["disable", "stop"])
        assert self.converge(service) == ["enable", "start"]
        assert self.converge(service, gone) == ["disable", "stop"]
        assert not service.state().running

    def test_it_starts_as_at_boot(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SECRET_OF_THE_RUN", "1")
        self.install(name, tmp_path)
        before = os.umask(0o077)
        try:
            self.converge(self.service(name, tmp_path))
        finally:
            os.umask(before)
        variables = re.findall(r"^(\w+)=", (tmp_path / "environment").read_text(), re.MULTILINE)
        # The shell adds its own
        assert set(variables) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"LANG", "PATH"}
        assert (tmp_path / "umask").read_text().strip() == "0022"

    def test_one_that_does_not_start_shows_the_end_of_its_log(
        self, name: str, tmp_path: Path
    ) -> None:
        self.install(name, tmp_path)
        (tmp_path / "broken").touch()
        log = tmp_path / "log"
        log.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(20000)))
        service = self.service(name, tmp_path, log_file=str(log))
        with pytest.raises(ServiceError) as refused:
            self.converge(service)
        message = str(refused.value)
        assert f"/etc/init.d/{name} start failed (status 1):\nbroken on purpose" in message
        assert "line 19999 \ufffd\nMend what the log names" in message
        assert len(re.findall("^line", message, re.MULTILINE)) == _service.LOG_LINES
        # The next run tries again
        assert plan(service.state(), Wanted()) == ["start"]
        (tmp_path / "broken").unlink()
        assert self.converge(service) == ["start"]

    def test_one_that_hangs_is_given_up(self, name: str, tmp_path: Path) -> None:
        self.install(name, tmp_path)
        (tmp_path / "hangs").touch()
        service = self.service(name, tmp_path, timeout_seconds=0.5)
        with pytest.raises(ServiceError, match=r"start took more than 0\.5 seconds"):
            service.apply(["start"], Wanted())

    def test_one_that_never_becomes_what_it_said_is_told(self, name: str, tmp_path: Path) -> None:
        self.install(name, tmp_path)
        script = Path("/etc/init.d") / name
        script.write_text(script.read_text().replace("--background", "--background --test"))
        service = self.service(name, tmp_path, timeout_seconds=0.5)
        with pytest.raises(ServiceError, match="After start it still needs: enable, start"):
            service.apply(["start"], Wanted())

    def test_one_whose_pid_is_not_known_is_refused(self, name: str, tmp_path: Path) -> None:
        self.install(name, tmp_path)
        self.converge(self.service(name, tmp_path))
        lost = self.service(name, tmp_path, pid_file=str(tmp_path / "none"))
        with pytest.raises(ServiceError, match="Set pid_file"):
            plan(lost.state(), Wanted())

    @pytest.mark.parametrize("content", ["", "x", "4194304000", "-1"])
    def test_a_pid_file_with_something_else_names_nobody(
        self, name: str, tmp_path: Path, content: str
    ) -> None:
        (tmp_path / "pid").write_text(content)
        assert SysVInit(name, pid_file=str(tmp_path / "pid"))._main_pid() is None

    def test_a_command_that_is_not_there_is_told(self, name: str) -> None:
        with pytest.raises(ServiceError, match=f"/etc/init.d/{name} can't be run: No such file"):
            SysVInit(name).apply(["start"], Wanted())


@pytest.mark.parametrize(
    ("paths", "definition", "reload", "actions"),
    [
        ((), False, True, []),
        (("/etc/app.env",), False, False, ["restart"]),
        (("/opt/app/current",), False, True, ["reload"]),
        ((), True, True, ["daemon-reload", "restart"]),
        (("/opt/app/current",), True, True, ["daemon-reload", "restart"]),
    ],
)
def test_check_mode_tells_what_follows_from_changes(
    paths: tuple[str, ...], definition: bool, reload: bool, actions: list[str]
) -> None:
    wanted = Wanted(on_stale="reload")
    expected = _service.expect(HEALTHY, paths, definition=definition, reload=reload)
    assert plan(expected, wanted) == actions
    stopped = State(enabled=("enabled",))
    assert _service.expect(stopped, paths, definition=definition, reload=reload) == stopped


@pytest.mark.parametrize(
    "make", [os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/shadow", path)]
)
def test_a_log_that_is_no_file_is_not_shown(tmp_path: Path, make: t.Callable[[str], None]) -> None:
    path = str(tmp_path / "log")
    make(path)
    manager = _service.SysVInit("app", pid_file=path, log_file=path)
    assert manager.log() == ""
    assert manager._main_pid() is None


def test_the_end_of_a_log_is_shown(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("one\ntwo\n")
    assert _service.SysVInit("app", log_file=str(tmp_path / "log")).log() == "one\ntwo"
