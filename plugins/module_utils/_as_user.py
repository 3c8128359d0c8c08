# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Do something as another user: with that user's ids, groups and umask, and nothing of root's."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pwd
import re
import selectors
import signal
import subprocess
import sys
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _names

UMASK = 0o027
# Everything else of root's environment stays with root.
KEPT_ENVIRONMENT = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESULT_FD = "{result_fd}"
OUTPUT_LIMIT_BYTES = 64 * 1024
RESULT_LIMIT_BYTES = 8 * 1024 * 1024


class AsUserError(Exception):
    """Something could not be done as that user."""


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of this host, with the groups that a new session of theirs would have."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """How a program ended.

    :ivar result: what it wrote to the file descriptor handed to it, or ``b""``.
    :ivar output: the end of what it printed, standard error included.
    :ivar status: exit status, negative for a signal; ``None`` when it ran out of time.
    """

    result: bytes
    output: str
    status: int | None


def account(name: str) -> Account:
    """Look up a user.

    :raises AsUserError: when there is none of that name.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise AsUserError(
            f"This host has no user {name!r}. Create it, or name the user that the service runs as."
        ) from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, tuple(groups), entry.pw_dir)


def parse_umask(text: str) -> int:
    """Return the number that an octal umask stands for.

    :raises AsUserError: when it is none.
    """
    if not re.match(r"0?[0-7]{3}\Z", text):
        raise AsUserError(f"umask is {text!r}. Write an octal number in quotes, such as '0027'.")
    return int(text, 8)


def exists(name: str) -> bool:
    """Return whether this host has a user of that name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def require_switch(who: Account) -> bool:
    """Return whether ids have to be changed to act as this user.

    :raises AsUserError: when they have to be, and can't.
    """
    if os.geteuid() == 0:
        return True
    if os.geteuid() == who.uid:
        return False
    raise AsUserError(
        f"User {_names.user_name(os.geteuid())} can't act as {who.name}: only root can. "
        f"Set 'become: true' on the task, or connect as {who.name}."
    )


@contextlib.contextmanager
def view_of(process_id: int) -> t.Iterator[int]:
    """Yield a file descriptor of the root directory that a process sees.

    A service with ProtectSystem= or PrivateTmp= (systemd.exec(5)) has mounts of its own, so a
    path can lead it elsewhere than everybody else.

    :raises AsUserError: when the process is gone, or its view can't be entered.
    """
    if os.geteuid() != 0:
        raise AsUserError(
            f"Only root can look through the eyes of process {process_id}. "
            "Set 'become: true' on the task, or leave out process_id."
        )
    link = f"/proc/{process_id}/root"
    try:
        descriptor = _open_view(link, process_id)
    except OSError as error:
        raise AsUserError(
            f"The view of process {process_id} can't be entered ({link}: {error.strerror}). "
            "Name a process that runs, or leave out process_id."
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_view(link: str, process_id: int) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(link, flags)
    except PermissionError:
        # Root in a container often lacks CAP_SYS_PTRACE; the process's own user needs none
        # (ptrace(2), "Ptrace access mode checking").
        owner = os.stat(f"/proc/{process_id}")
        group = os.getegid()
        os.setegid(owner.st_gid)
        try:
            os.seteuid(owner.st_uid)
            try:
                return os.open(link, flags)
            finally:
                os.seteuid(0)
        finally:
            os.setegid(group)


def call(
    who: Account | None,
    function: t.Callable[..., t.Any],
    *arguments: t.Any,
    umask: int = UMASK,
    view: int | None = None,
) -> t.Any:
    """Call a function in a process of the user's, and return what it returned.

    :param who: the user; ``None`` stays who we are, for a look that needs root in a view.
    :param function: returns what JSON can hold.
    :param view: root directory to enter first, by :func:`view_of`.
    :raises AsUserError: when the ids can't be changed, or the function raised.
    """
    switch = who is not None and require_switch(who)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _answer(writer, who if switch else None, function, arguments, umask, view)
    os.close(writer)
    with open(reader, "rb") as pipe:
        raw = pipe.read()
    _unused, status = os.waitpid(child, 0)
    name = who.name if who else _names.user_name(os.geteuid())
    try:
        answer = json.loads(raw)
    except ValueError:
        raise AsUserError(
            f"A look as {name} ended without an answer (wait status {status}). "
            "See the kernel's log for a killed process."
        ) from None
    if "error" in answer:
        raise AsUserError(f"As {name}: {answer['error']}")
    return answer["result"]


def _answer(
    writer: int,
    who: Account | None,
    function: t.Callable[..., t.Any],
    arguments: tuple[t.Any, ...],
    umask: int,
    view: int | None,
) -> t.NoReturn:
    # Never returns: the caller's code must not run twice.
    try:
        try:
            if view is not None:
                # From here on a module would be loaded from a tree that the app may write.
                sys.path.clear()
                os.fchdir(view)
                os.chroot(".")
            os.chdir("/")
            if who is not None:
                os.setgroups(who.groups)
                os.setgid(who.gid)
                os.setuid(who.uid)
            os.umask(umask)
            answer = {"result": function(*arguments)}
        except BaseException as error:  # noqa: BLE001 - handed to the parent, which raises it
            answer = {"error": f"{type(error).__name__}: {error}"}
        with open(writer, "wb") as pipe:
            pipe.write(json.dumps(answer).encode("ascii"))
    finally:
        os._exit(0)


def environment(own: t.Mapping[str, str], *, home: str, path: str = PATH) -> dict[str, str]:
    """Return the environment for a program: the user's own over the least that programs expect."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {"LANG": "C.UTF-8", **kept, "PATH": path, "HOME": home, **own}


def run(
    who: Account,
    command: t.Sequence[str],
    *,
    environ: t.Mapping[str, str],
    timeout_seconds: float,
    umask: int = UMASK,
    result_limit_bytes: int = RESULT_LIMIT_BYTES,
) -> Finished:
    """Run a program as the user, and end with it all that it started in its session.

    :data:`RESULT_FD` in the command stands for the number of a file descriptor for its result,
    which its prints can't disturb.

    :raises OSError: when the program can't be started.
    :raises AsUserError: when the ids can't be changed, or the result is too large.
    """
    ids: dict[str, t.Any] = {}
    if require_switch(who):
        ids = {"user": who.uid, "group": who.gid, "extra_groups": list(who.groups)}
    result_reader, result_writer = os.pipe()
    with open(result_reader, "rb", buffering=0) as result_pipe:
        try:
            process = subprocess.Popen(
                [str(result_writer) if part == RESULT_FD else part for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(result_writer,),
                env=dict(environ),
                cwd="/",
                umask=umask,
                start_new_session=True,
                **ids,
            )
        finally:
            os.close(result_writer)
        with t.cast("t.IO[bytes]", process.stdout) as output_pipe:
            return _finished(process, result_pipe, output_pipe, timeout_seconds, result_limit_bytes)


def run_with_input(
    command: t.Sequence[str],
    content: bytes,
    *,
    environ: t.Mapping[str, str],
    timeout_seconds: float,
    result_limit_bytes: int = RESULT_LIMIT_BYTES,
) -> Finished:
    """Run a program of the system's as who we are; its result is what it prints.

    :param content: its standard input, which no other process gets to see.
    :raises OSError: when the program can't be started.
    :raises AsUserError: when the result is too large.
    """
    with open(os.memfd_create("input"), "w+b") as given:
        given.write(content)
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            cwd="/",
            start_new_session=True,
        )
    pipes = t.cast("tuple[t.IO[bytes], t.IO[bytes]]", (process.stdout, process.stderr))
    with pipes[0], pipes[1]:
        return _finished(process, *pipes, timeout_seconds, result_limit_bytes)


def _finished(
    process: subprocess.Popen[bytes],
    result_pipe: t.IO[bytes],
    output_pipe: t.IO[bytes],
    timeout_seconds: float,
    result_limit_bytes: int,
) -> Finished:
    """Wait for a program, and end with it all that it started in its session."""
    try:
        result, output, in_time = _collect(
            process, result_pipe, output_pipe, timeout_seconds, result_limit_bytes
        )
    finally:
        # Before the leader is reaped, so that its number can't be another group's yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if len(result) > result_limit_bytes:
        program = t.cast("t.Sequence[str]", process.args)[0]
        raise AsUserError(
            f"{program} answered more than {result_limit_bytes} bytes, and was stopped."
        )
    if len(output) >= OUTPUT_LIMIT_BYTES:
        # The first line may be cut, and with it a secret that is to be masked.
        output = output.partition(b"\n")[2]
    return Finished(
        result, output.decode("utf-8", "replace"), process.returncode if in_time else None
    )


def _collect(
    process: subprocess.Popen[bytes],
    result_pipe: t.IO[bytes],
    output_pipe: t.IO[bytes],
    timeout_seconds: float,
    result_limit_bytes: int,
) -> tuple[bytes, bytes, bool]:
    """Read both pipes until the program has ended or its time is up."""
    deadline = time.monotonic() + timeout_seconds
    received = {"result": b"", "output": b""}
    with selectors.DefaultSelector() as selector:
        selector.register(result_pipe, selectors.EVENT_READ, "result")
        selector.register(output_pipe, selectors.EVENT_READ, "output")
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return received["result"], received["output"], False
            events = selector.select(min(remaining, 0.2 if selector.get_map() else 0.01))
            # The pipes alone don't tell: what the program left behind can hold them open for ever.
            if not events and _has_ended(process):
                break
            for key, _unused in events:
                chunk = os.read(key.fd, 65536)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                received[key.data] += chunk
                received["output"] = received["output"][-OUTPUT_LIMIT_BYTES:]
            if len(received["result"]) > result_limit_bytes:
                break
    return received["result"], received["output"], True


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # WNOWAIT leaves it to be reaped, so its number isn't given away.
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None
