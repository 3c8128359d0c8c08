# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A key that is made once and never again, and an env file that hands it to an app.

The key lies in a file of its own, so that it outlives another name of the variable, which is
written anew each time. It never leaves the host.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import re
import secrets
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _quote

# https://docs.python.org/3/library/secrets.html#how-many-bytes-should-tokens-use asks for 32.
KEY_BYTES = 48
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
HEADER = """\
# By flaskworks.static_media.flask_app, from {path}, which was made on the first run and is kept.
# For a key of your own, shared by several hosts, set {name} in flask_app_env.
"""


class SecretKeyError(Exception):
    """There is a file where the key should be, and no key in it."""


@dataclasses.dataclass(frozen=True)
class SecretKey:
    """A key and the env file that is made of it.

    :ivar path: the key itself.
    :ivar env_file: the file to hand it over in.
    :ivar name: name of the environment variable.
    """

    path: str
    env_file: str
    name: str

    def plan(self) -> list[str]:
        """Return the files that would be written.

        :raises SecretKeyError: when the key can't be read.
        """
        key = self._read()
        if key is None:
            return [self.path, self.env_file]
        return [] if _content(self.env_file) == self._text(key) else [self.env_file]

    def apply(self) -> list[str]:
        """Make the key, if there is none, and write the env file, if it says something else."""
        with _locked(os.path.dirname(self.path)):
            planned = self.plan()
            if self.path in planned:
                _write(self.path, secrets.token_urlsafe(KEY_BYTES) + "\n")
            if self.env_file in planned:
                _write(self.env_file, self._text(str(self._read())))
        return planned

    def _read(self) -> str | None:
        text = _content(self.path)
        if text is None:
            return None
        key = text.strip()
        if not key or "\n" in key:
            raise SecretKeyError(
                f"{self.path} holds no key, which would be one line. No other one was made, since that "
                "logs everybody out. Restore it from a backup, or move it away for a new one."
            )
        return key

    def _text(self, key: str) -> str:
        try:
            value = _quote.env_value(key)
        except _quote.QuoteError as error:
            # That error would repeat the key.
            raise SecretKeyError(
                f"{self.path} has a control character in its key. Write a key of printable characters."
            ) from error
        return f"{HEADER.format(path=self.path, name=self.name)}{self.name}={value}\n"


def _content(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretKeyError(f"{path} can't be read: {error.strerror}. Move it away.") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretKeyError(f"{path} is no regular file. Move it away.")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read().decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _write(path: str, text: str) -> None:
    """Write a file, whole or not at all, that root alone reads until it is given to somebody."""
    temporary = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


@contextlib.contextmanager
def _locked(directory: str) -> t.Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
