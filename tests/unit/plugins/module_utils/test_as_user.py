"""Acting as another user: with all of that user's rights and limits, and nothing of root's."""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _names,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._as_user import (
    Account,
    AsUserError,
    call,
    run,
)

# dash can't name a descriptor above 9
BASH = "/bin/bash"


def _ids() -> dict[str, t.Any]:
    return {
        "uids": os.getresuid(),
        "gids": os.getresgid(),
        "groups": sorted(os.getgroups()),
        "directory": os.getcwd(),
    }


def test_a_function_runs_with_exactly_the_users_ids(visitor: Account) -> None:
    assert call(visitor, _ids) == {
        "uids": [61001] * 3,
        "gids": [61001] * 3,
        "groups": [61001, 61002],
        "directory": "/",
    }
    assert os.geteuid() == 0


def test_root_cannot_be_taken_back(visitor: Account) -> None:
    with pytest.raises(AsUserError, match="PermissionError"):
        call(visitor, os.setuid, 0)


def test_a_file_of_roots_is_closed_to_the_function(visitor: Account, open_directory: Path) -> None:
    secret = open_directory / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    with pytest.raises(AsUserError, match=r"As visitor: PermissionError.*secret"):
        call(visitor, secret.read_text)


def test_the_umask_is_set_for_the_function_alone(visitor: Account, open_directory: Path) -> None:
    open_directory.chmod(0o777)
    before = os.umask(0o022)
    os.umask(before)
    call(visitor, (open_directory / "made").touch, umask=0o077)
    assert stat.S_IMODE((open_directory / "made").stat().st_mode) == 0o600
    assert (open_directory / "made").stat().st_uid == 61001
    assert os.umask(before) == before


def test_a_large_result_comes_whole(visitor: Account) -> None:
    assert call(visitor, lambda: ["x" * 1000] * 1000) == ["x" * 1000] * 1000


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGKILL), id="killed"),
        pytest.param(lambda: os._exit(3), id="ended"),
    ],
)
def test_no_answer_is_an_error(visitor: Account, function: t.Callable[[], t.Any]) -> None:
    with pytest.raises(AsUserError, match="ended without an answer"):
        call(visitor, function)


@pytest.mark.parametrize("function", [sys.exit, lambda: {1: object()}])
def test_whatever_is_raised_comes_back_and_the_caller_runs_on_once(
    visitor: Account, open_directory: Path, function: t.Callable[[], t.Any]
) -> None:
    witness = open_directory / "witness"
    with pytest.raises(AsUserError):
        call(visitor, function)
    with witness.open("a") as file:
        file.write("x")
    assert witness.read_text() == "x"


def test_only_root_acts_as_others() -> None:
    def as_nobody() -> list[t.Any]:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        me = Account("me", os.geteuid(), os.getegid(), (os.getegid(),), "/")
        own = call(me, os.geteuid) == os.geteuid()
        with pytest.raises(AsUserError) as refusal:
            call(Account("somebody", 61001, 61001, (61001,), "/"), os.geteuid)
        with pytest.raises(AsUserError) as view_refusal, _as_user.view_of(1):
            pass
        return [own, str(refusal.value), str(view_refusal.value)]

    own, refusal, view_refusal = call(None, as_nobody)
    assert own
    assert "can't act as somebody" in refusal
    assert "become: true" in refusal
    assert "process_id" in view_refusal


def test_an_unknown_user_is_named() -> None:
    assert not _as_user.exists("no-such-user")
    with pytest.raises(AsUserError, match="no user 'no-such-user'"):
        _as_user.account("no-such-user")


def test_an_account_has_its_groups() -> None:
    root = _as_user.account("root")
    assert (root.uid, root.gid) == (0, 0)
    assert 0 in root.groups


def test_ids_without_a_name_are_shown_as_numbers() -> None:
    assert _names.user_name(0) == "root"
    assert _names.user_name(3999999999) == "3999999999"
    assert _names.group_name(3999999999) == "3999999999"


def test_a_view_of_no_process_is_refused(as_root: None) -> None:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    with (
        pytest.raises(AsUserError, match="Name a process that runs"),
        _as_user.view_of(process.pid),
    ):
        pass


CONFINED = """
mount -t tmpfs none "$0"
echo inside > "$0"/marker
exec setpriv --reuid=61001 --regid=61001 --clear-groups sh -c 'echo ready; exec sleep 1000'
"""


@pytest.fixture
def confined(as_root: None, open_directory: Path) -> t.Iterator[tuple[int, Path]]:
    """A process whose view has another file system on one directory."""
    (open_directory / "marker").write_text("outside\n")
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", CONFINED, open_directory], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process.pid, open_directory
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_function_sees_what_the_process_sees(
    confined: tuple[int, Path], visitor: Account
) -> None:
    process_id, open_directory = confined
    with _as_user.view_of(process_id) as view:
        assert call(visitor, (open_directory / "marker").read_text, view=view) == "inside\n"
        assert call(visitor, os.getresuid, view=view) == [61001] * 3
        assert call(None, (open_directory / "marker").read_text, view=view) == "inside\n"
    assert (open_directory / "marker").read_text() == "outside\n"


def test_no_module_is_loaded_from_within_a_view(
    confined: tuple[int, Path], visitor: Account
) -> None:
    with _as_user.view_of(confined[0]) as view:
        assert call(visitor, lambda: sys.path, view=view) == []
    assert sys.path


def test_a_view_opens_without_the_right_to_trace(confined: tuple[int, Path]) -> None:
    """As root in most containers."""
    process_id, open_directory = confined
    look = (
        "import sys; from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user\n"
        "with _as_user.view_of(int(sys.argv[1])) as view:\n"
        "    print(_as_user.call(None, lambda: open(sys.argv[2]).read(), view=view))\n"
        "import os; print(os.geteuid(), os.getegid())\n"
    )
    parent = Path(_as_user.__file__).parents[5]
    finished = subprocess.run(
        ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace",
         sys.executable, "-c", look, str(process_id), open_directory / "marker"],
        env={**os.environ, "PYTHONPATH": str(parent)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert finished.stdout.split() == ["inside", "0", "0"], finished.stderr


def _run(who: Account, script: str, *arguments: str, **options: t.Any) -> _as_user.Finished:
    environ = _as_user.environment({}, home="/")
    return run(
        who,
        [BASH, "-c", script, _as_user.RESULT_FD, *arguments],
        **{"environ": environ, "timeout_seconds": 60, **options},
    )


def test_a_programs_prints_do_not_disturb_its_result(visitor: Account) -> None:
    finished = _run(visitor, "echo noise; echo result >&$0; echo trouble >&2; exit 7")
    assert finished == _as_user.Finished(b"result\n", "noise\ntrouble\n", 7)


def test_a_program_runs_as_the_user(visitor: Account) -> None:
    finished = _run(visitor, "id -u; id -g; id -G; umask; pwd", umask=0o077)
    assert finished.output.split() == ["61001", "61001", "61001", "61002", "0077", "/"]


def test_nothing_of_roots_environment_leaks(
    visitor: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROOTS_SECRET", "s3cret")
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("TZ", "Europe/Vienna")
    environ = _as_user.environment({"OWN": "1"}, home="/srv", path="/bin")
    assert {name: environ[name] for name in ("HOME", "OWN", "PATH", "TZ")} == {
        "HOME": "/srv",
        "OWN": "1",
        "PATH": "/bin",
        "TZ": "Europe/Vienna",
    }
    output = _run(visitor, "/usr/bin/env", environ=environ).output
    assert "ROOTS_SECRET" not in output
    assert "/root" not in output


def test_the_users_own_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_AT.UTF-8")
    assert _as_user.environment({"LANG": "fr_FR.UTF-8", "PATH": "/own"}, home="/") == {
        **_as_user.environment({}, home="/"),
        "LANG": "fr_FR.UTF-8",
        "PATH": "/own",
    }


def test_a_program_that_hangs_is_stopped_with_all_it_started(
    visitor: Account, open_directory: Path
) -> None:
    fifo = open_directory / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    finished = _run(
        visitor, 'sleep 1000 > "$1" & echo begun; sleep 1000', str(fifo), timeout_seconds=0.5
    )
    assert finished.status is None
    assert finished.output == "begun\n"
    # Hung up: nobody holds the other end any more.
    poll = select.poll()
    poll.register(reader, 0)
    assert poll.poll(30_000) == [(reader, select.POLLHUP)]
    os.close(reader)


def test_what_a_program_leaves_behind_keeps_nobody_waiting(
    visitor: Account, open_directory: Path
) -> None:
    open_directory.chmod(0o777)
    number = open_directory / "pid"
    finished = _run(visitor, 'setsid sh -c \'echo $$ > "$0"; exec sleep 1000\' "$1" & '
                    'while ! test -s "$1"; do :; done; echo done >&$0', str(number))  # fmt: skip
    os.kill(int(number.read_text()), signal.SIGKILL)
    assert finished.result == b"done\n"
    assert finished.status == 0


def test_a_closed_output_does_not_end_the_wait(visitor: Account) -> None:
    finished = _run(
        visitor, 'eval "exec $0>&-"; exec >&- 2>&-; seq 100000 | sort >/dev/null; exit 5'
    )
    assert finished.status == 5


def test_an_endless_result_is_stopped(visitor: Account) -> None:
    with pytest.raises(AsUserError, match="more than 1000 bytes"):
        _run(visitor, "yes >&$0", result_limit_bytes=1000)


def test_only_the_end_of_a_long_output_is_kept_in_whole_lines(visitor: Account) -> None:
    output = _run(visitor, "seq 1 100000").output
    assert len(output) < _as_user.OUTPUT_LIMIT_BYTES
    assert output.endswith("99999\n100000\n")
    assert len(output.splitlines()[0]) == len(output.splitlines()[1])


def test_a_signal_is_told_from_a_status(visitor: Account) -> None:
    assert _run(visitor, "kill -SEGV $$").status == -signal.SIGSEGV


def test_a_program_that_cannot_be_run_is_an_error(visitor: Account, open_directory: Path) -> None:
    program = open_directory / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    with pytest.raises(PermissionError):
        run(visitor, [str(program)], environ={}, timeout_seconds=60)
