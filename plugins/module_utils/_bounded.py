# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Ask what may never answer, such as a file system whose server is gone: within a time, or not at all."""

from __future__ import annotations

import codecs
import contextlib
import errno
import hashlib
import json
import math
import os
import selectors
import signal
import socket
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user

# Of descriptors handed over at once.
DESCRIPTORS = 4


class Unanswered(Exception):
    """There is no answer: what was asked raised an error, or took too long.

    :ivar is_forbidden: whether it is one that we may not have.
    """

    def __init__(self, why: str, is_forbidden: bool = False) -> None:
        super().__init__(why)
        self.is_forbidden = is_forbidden


def call(function: t.Callable[..., t.Any], *arguments: t.Any, seconds: float) -> t.Any:
    """Call a function in a process of its own, and return what it returned.

    :param function: returns what JSON can hold.
    :raises Unanswered: when it raised an error, was killed, or took too long.
    """

    def answer(*given: t.Any) -> tuple[t.Any, list[int]]:
        return function(*given), []

    return call_for_descriptors(answer, *arguments, seconds=seconds)[0]


def in_view(process_id: int | None, function: t.Callable[..., t.Any], *arguments: t.Any) -> t.Any:
    """Call a function where paths lead as they do for a process. For use in :func:`call`.

    :raises _as_user.AsUserError: when the view can't be entered, or the function raised.
    """
    if process_id is None:
        return function(*arguments)
    # Nothing may be loaded later, from a tree that is another's.
    codecs.lookup("unicode_escape")
    hashlib.sha256(b"")
    with _as_user.view_of(process_id) as view:
        return _as_user.call(None, function, *arguments, view=view)


def descriptor_in_view(
    process_id: int | None, function: t.Callable[..., int], *arguments: t.Any, seconds: float
) -> int:
    """Return the descriptor that a function returns, called as by :func:`in_view`.

    :raises Unanswered: as :func:`call`.
    """

    def answer() -> tuple[None, list[int]]:
        if process_id is None:
            return None, [function(*arguments)]
        receiver, sender = socket.socketpair()
        with receiver, sender:
            in_view(process_id, _hand_over, sender, function, arguments)
            return None, _received(receiver)

    return call_for_descriptors(answer, seconds=seconds)[1][0]


def _hand_over(
    sender: socket.socket, function: t.Callable[..., int], arguments: tuple[t.Any, ...]
) -> None:
    socket.send_fds(sender, [b"-"], [function(*arguments)])


def _received(receiver: socket.socket) -> list[int]:
    receiver.setblocking(False)
    try:
        return list(socket.recv_fds(receiver, 1, DESCRIPTORS)[1])
    except BlockingIOError:
        return []


def call_for_descriptors(
    function: t.Callable[..., tuple[t.Any, list[int]]], *arguments: t.Any, seconds: float
) -> tuple[t.Any, list[int]]:
    """Call a function in a process of its own, and return what it returned, and its descriptors.

    :raises Unanswered: as :func:`call`.
    """
    reader, writer = os.pipe()
    receiver, sender = socket.socketpair()
    child = os.fork()
    if child == 0:
        os.close(reader)
        receiver.close()
        _answer(writer, sender, seconds, function, arguments)
    os.close(writer)
    sender.close()
    with receiver, open(reader, "rb", buffering=0) as pipe:
        raw = _read(pipe, time.monotonic() + max(seconds, 0))
        if raw is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            # Who waits for a device can't be killed, and is not waited for.
            os.waitpid(child, os.WNOHANG)
            raise Unanswered(f"no answer within {seconds:.0f} seconds")
        _unused, status = os.waitpid(child, 0)
        descriptors = _received(receiver)
    try:
        answer = json.loads(raw)
        fault = answer.get("error")
    except ValueError:
        answer, fault = {}, f"the look ended without an answer (wait status {status})"
    if fault is not None:
        for descriptor in descriptors:
            os.close(descriptor)
        raise Unanswered(fault, answer.get("is_forbidden", False))
    return answer["result"], descriptors


def _read(pipe: t.IO[bytes], deadline: float) -> bytes | None:
    received: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                return None
            chunk = os.read(pipe.fileno(), 1 << 20)
            if not chunk:
                return b"".join(received)
            received.append(chunk)


def _answer(
    writer: int,
    sender: socket.socket,
    seconds: float,
    function: t.Callable[..., tuple[t.Any, list[int]]],
    arguments: tuple[t.Any, ...],
) -> t.NoReturn:
    # Never returns: the caller's code must not run twice.
    try:
        os.setsid()
        # Ends it also when nobody is left who would.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(max(1, math.ceil(seconds) + 1))
        try:
            result, descriptors = function(*arguments)
            if descriptors:
                socket.send_fds(sender, [b"-"], descriptors)
            raw = json.dumps({"result": result})
        except BaseException as error:  # noqa: BLE001 - handed to the parent, which raises it
            is_forbidden = isinstance(error, PermissionError)
            raw = json.dumps({"error": _words(error), "is_forbidden": is_forbidden})
        with open(writer, "wb") as pipe:
            pipe.write(raw.encode("ascii"))
    finally:
        os._exit(0)


def _words(error: BaseException) -> str:
    if isinstance(error, _as_user.AsUserError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        is_refused = error.errno in (errno.EACCES, errno.EPERM) and os.geteuid() != 0
        what = ". Set 'become: true': root may look there" if is_refused else ""
        return f"{where}{error.strerror}{what}"
    return f"{type(error).__name__}: {error}"
