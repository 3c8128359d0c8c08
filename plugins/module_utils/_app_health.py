# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Ask a release of an app for a page, before it is switched to.

Gunicorn runs the release as the service would, by its configuration and with its env, but with one
worker and on a unix socket that nobody else gets to. Whatever happens it is ended, also when we
are killed: it watches a pipe of ours.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import glob
import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import typing as t
import urllib.parse

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user, _flask_app
from ansible_collections.flaskworks.static_media.plugins.module_utils._flask_app import (
    FlaskAppError,
    Masking,
    NotYetError,
)

# A unix socket's path has 107 bytes at most, unix(7); /run is root's and emptied at boot.
PARENT = "/run"
PREFIX = "flask-health-"
CONFIG_NAME = "gunicorn.conf.py"
SOCKET_NAME = "gunicorn.sock"
HEALTHY = range(200, 400)
BODY_LIMIT_BYTES = 64 * 1024
LOG_LIMIT_BYTES = 64 * 1024
POLL_SECONDS = 0.02
# How long what was told to end may take, and what has closed its connection to tell why.
END_SECONDS = 3.0

CONFIGURATION = """\
import os as _os
import threading as _threading

with open({file!r}, "rb") as _file:
    exec(compile(_file.read(), {file!r}, "exec"))
# Checked when it is read, and the one that the service has may not be there yet.
chdir = {directory!r}


def _end_with_parent():
    _os.read({pipe}, 1)
    _os.killpg(_os.getpgrp(), 9)


_threading.Thread(target=_end_with_parent, daemon=True).start()
"""


class HealthError(Exception):
    """The release is not healthy. Nothing was changed."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the release answered, and how long that took from Gunicorn's start on."""

    status: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """How a release is asked.

    :ivar virtualenv: the release's.
    :ivar config_file: Gunicorn's configuration, as the service has it.
    :ivar url: path, and query, of the page.
    :ivar site_url: scheme, host and port by which visitors ask.
    :ivar prefix: URL prefix that Nginx takes away, ``/`` for none.
    """

    virtualenv: str
    user: str
    directory: str
    config_file: str
    url: str
    site_url: str
    environment_files: t.Sequence[str] = ()
    prefix: str = "/"
    timeout_seconds: float = 60
    umask: int = _flask_app.UMASK

    def ask(self) -> Answer:
        """Start the release, ask it, and end it.

        :raises NotYetError: when release, user or a file isn't there.
        :raises HealthError: when it isn't healthy.
        """
        try:
            who = _flask_app.account(self.user)
            own = _flask_app.read_environment_files(self.environment_files)
            environ = _flask_app.environment(own, self.virtualenv, self.directory)
        except _as_user.AsUserError as error:
            raise HealthError(str(error)) from error
        for path in (self._gunicorn, self.config_file):
            if not os.path.lexists(path):
                raise NotYetError(f"{path} isn't there. Install the release first.")
        if self.timeout_seconds <= 0:
            raise HealthError(
                f"timeout_seconds is {self.timeout_seconds:g}, in which no app starts. Write 60, or leave it out."
            )
        masking = Masking(own.values())
        with contextlib.ExitStack() as stack:
            watched, lifeline = os.pipe()
            stack.callback(os.close, watched)
            stack.callback(os.close, lifeline)
            configuration = CONFIGURATION.format(
                file=self.config_file, directory=self.directory, pipe=watched
            )
            directory = stack.enter_context(private_directory(who, {CONFIG_NAME: configuration}))
            started = time.monotonic()
            gunicorn = stack.enter_context(
                _running(self._command(directory), who, environ, watched, self.umask)
            )
            page = page_at(
                os.path.join(directory, SOCKET_NAME),
                self.url,
                headers(self.site_url, self.prefix),
                started + self.timeout_seconds,
                gunicorn.has_ended,
            )
            if page.status is not None and page.status in HEALTHY:
                return Answer(page.status, time.monotonic() - started)
            if page.error:
                gunicorn.wait(END_SECONDS)
            ended = gunicorn.exit_status()
        raise HealthError(self._refusal(page, ended, gunicorn.log(), masking))

    @property
    def _gunicorn(self) -> str:
        return os.path.join(self.virtualenv, "bin", "gunicorn")

    def _command(self, directory: str) -> list[str]:
        # What stands in the command wins over the configuration and GUNICORN_CMD_ARGS:
        # https://docs.gunicorn.org/en/stable/configure.html
        options = {
            "--config": os.path.join(directory, CONFIG_NAME),
            "--bind": f"unix:{os.path.join(directory, SOCKET_NAME)}",
            "--pid": os.path.join(directory, "gunicorn.pid"),
            "--chdir": self.directory,
            "--workers": "1",
        }
        return [self._gunicorn, *(part for option in options.items() for part in option)]

    def _refusal(self, page: Page, ended: int | None, log: str, masking: Masking) -> str:
        what = f"The release {self.virtualenv} is not healthy"
        if page.status is not None:
            why = f"GET {self.url} was answered by {page.status} {page.reason}, which is not 200 to 399"
        elif ended is not None:
            how = f"status {ended}" if ended >= 0 else f"signal {-ended}"
            why = f"Gunicorn ended ({how}) before it answered GET {self.url}"
        elif page.timed_out:
            why = f"GET {self.url} was not answered within {self.timeout_seconds:g} seconds"
        else:
            why = f"GET {self.url} was not answered ({page.error})"
        parts = [f"{what}: {why}."]
        for name, text in (("answer", page.body), ("Gunicorn's log", log)):
            words = masking.tail(text.strip())
            if words:
                parts.append(
                    f"The end of its {name}:\n{words}"
                    if name == "answer"
                    else f"The end of {name}:\n{words}"
                )
        parts.append(
            "It was not switched to; the release in use goes on. Mend what is named above, "
            "or set flask_app_health_url to a page of the app's that answers by 200 to 399."
        )
        return "\n".join(parts)


def headers(site_url: str, prefix: str) -> dict[str, str]:
    """Return what Nginx would send on (roles/flask_site/templates/locations.conf.j2).

    :param site_url: scheme, host and port by which visitors ask.
    """
    url = urllib.parse.urlsplit(site_url)
    # A name for those that a wildcard stands for
    host = url.netloc.replace("*.", "www.", 1)
    return {
        "Host": host,
        "X-Forwarded-For": "127.0.0.1",
        "X-Forwarded-Proto": url.scheme,
        "X-Forwarded-Host": host,
        "X-Forwarded-Port": str(url.port or {"https": 443}.get(url.scheme, 80)),
        "X-Forwarded-Prefix": prefix.rstrip("/"),
        "User-Agent": "flask_app_health",
        "Connection": "close",
    }


@contextlib.contextmanager
def private_directory(
    who: _as_user.Account, files: t.Mapping[str, str], parent: str = PARENT
) -> t.Iterator[str]:
    """Yield a directory that only this user gets into, and take it away in the end.

    Those that killed runs left are taken away too: nobody holds a lock on them.

    :param files: what lies in it. Written before it is the user's, who could lead root astray by
        a link of that name.
    """
    for path in glob.glob(os.path.join(glob.escape(parent), f"{PREFIX}*")):
        with contextlib.suppress(OSError), _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(path)
    with contextlib.ExitStack() as stack:
        path, descriptor = _made_directory(stack, parent)
        stack.callback(shutil.rmtree, path, ignore_errors=True)
        for name, text in files.items():
            with open(os.path.join(path, name), "x", encoding="utf-8") as stream:
                stream.write(text)
            os.chmod(stream.name, 0o644)
        os.chown(descriptor, who.uid, who.gid)
        yield path


def _made_directory(stack: contextlib.ExitStack, parent: str) -> tuple[str, int]:
    """Return a new directory and its descriptor, locked until the stack is left."""
    while True:
        path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as attempt:
            descriptor = attempt.enter_context(_locked(path, fcntl.LOCK_EX))
            # Another run may have taken it for a killed one's before it was locked.
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                stack.push(attempt.pop_all())
                return path, descriptor


@contextlib.contextmanager
def _locked(directory: str, operation: int) -> t.Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, operation)
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _running(
    command: t.Sequence[str],
    who: _as_user.Account,
    environ: t.Mapping[str, str],
    watched: int,
    umask: int,
) -> t.Iterator[_Gunicorn]:
    """Yield Gunicorn while it runs, and end it with its process group."""
    ids: dict[str, t.Any] = {}
    if _as_user.require_switch(who):
        ids = {"user": who.uid, "group": who.gid, "extra_groups": list(who.groups)}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(watched,),
            env=dict(environ),
            cwd="/",
            umask=umask,
            start_new_session=True,
            **ids,
        )
    except OSError as error:
        raise HealthError(
            f"{command[0]} can't be run as {who.name}: {error.strerror}. Build the release anew."
        ) from error
    gunicorn = _Gunicorn(process)
    try:
        yield gunicorn
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        gunicorn.wait(END_SECONDS)
    finally:
        # Before the leader is reaped, so that its number can't be another group's yet.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        gunicorn.stop_reading()


class _Gunicorn:
    """Gunicorn, and the end of what it prints."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._output = b""
        # A thread, since a full pipe would hold up the app while we wait for its answer.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop_reading(self) -> None:
        """Wait for the end of its output; what has left its process group can hold that open."""
        self._reader.join(END_SECONDS)

    def _read(self) -> None:
        with t.cast("t.IO[bytes]", self._process.stdout) as pipe:
            while True:
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    return
                self._output = (self._output + chunk)[-LOG_LIMIT_BYTES:]

    def exit_status(self) -> int | None:
        """Return how it ended, negative for a signal, or ``None``. It is not reaped."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        found = os.waitid(os.P_PID, self._process.pid, flags)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def has_ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self.exit_status() is not None

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, for so long at most."""
        deadline = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def log(self) -> str:
        """Return the end of what it printed."""
        output = self._output
        if len(output) >= LOG_LIMIT_BYTES:
            # The first line may be cut, and with it a secret that is to be masked.
            output = output.partition(b"\n")[2]
        return output.decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Page:
    """How the page was answered.

    :ivar status: of the answer; ``None`` without one.
    :ivar error: why there is none.
    """

    status: int | None = None
    reason: str = ""
    body: str = ""
    error: str = ""
    timed_out: bool = False


def page_at(
    path: str,
    url: str,
    headers: t.Mapping[str, str],
    deadline: float,
    has_ended: t.Callable[[], bool],
) -> Page:
    """Ask for a page as soon as somebody listens, until a deadline."""
    connection = socket.socket(socket.AF_UNIX)
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return Page(timed_out=True)
        connection.settimeout(remaining)
        try:
            connection.connect(path)
            break
        except OSError as error:
            if has_ended():
                return Page(error=str(error))
            time.sleep(POLL_SECONDS)
    # A thread, since an answer that trickles in satisfies every timeout of a socket's. What comes
    # after the deadline, as when all is ended, is not waited for.
    found: list[Page] = []
    asker = threading.Thread(
        target=lambda: found.append(_request(connection, url, headers)), daemon=True
    )
    asker.start()
    asker.join(max(0.0, deadline - time.monotonic()))
    return found[0] if found else Page(timed_out=True)


def _request(connected: socket.socket, url: str, headers: t.Mapping[str, str]) -> Page:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connected
    try:
        connection.putrequest("GET", url, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        if response.status in HEALTHY:
            return Page(response.status)
        body = response.read(BODY_LIMIT_BYTES).decode("utf-8", "replace")
        return Page(response.status, response.reason, body)
    except socket.timeout:
        return Page(timed_out=True)
    except (OSError, http.client.HTTPException) as error:
        return Page(error=str(error) or type(error).__name__)
    finally:
        connection.close()


__all__ = ["Answer", "FlaskAppError", "HealthCheck", "HealthError", "NotYetError"]
