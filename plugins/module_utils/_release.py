# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Releases of an app: each a virtualenv of its own, ``current`` a link to the one in use.

ROOT/releases/ID/            the virtualenv
ROOT/releases/ID/release.json  written last; without it the release is half-made
ROOT/current -> releases/ID
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import json
import os
import pwd
import shutil
import subprocess
import tempfile
import typing as t

MARKER = "release.json"
OUTPUT_LINES = 25


class ReleaseError(Exception):
    """A release can't be built or switched to. The one in use is untouched."""


@dataclasses.dataclass(frozen=True)
class Release:
    """A release on this host.

    :ivar root: ``flask_app_root``.
    :ivar id: name of the release.
    """

    root: str
    id: str

    @property
    def path(self) -> str:
        """Directory of the release, which is its virtualenv."""
        return os.path.join(self.root, "releases", self.id)

    @property
    def current(self) -> str:
        """The link that names the release in use."""
        return os.path.join(self.root, "current")

    def is_built(self) -> bool:
        """Whether the release is there, whole."""
        return os.path.isfile(os.path.join(self.path, MARKER))

    def current_id(self) -> str | None:
        """Return the id of the release in use, or ``None``.

        :raises ReleaseError: when ``current`` is something of somebody else's.
        """
        if not os.path.lexists(self.current):
            return None
        if not os.path.islink(self.current):
            raise ReleaseError(
                f"{self.current} is no link to a release but a real directory or file, which may hold data. "
                "Nothing was changed. Move it away, or set flask_app_root to another directory."
            )
        return os.path.basename(os.readlink(self.current))

    def switch(self) -> None:
        """Make this release the current one, by one rename."""
        # https://pubs.opengroup.org/onlinepubs/9699919799/functions/rename.html
        temporary = f"{self.current}.{self.id}"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(os.path.join("releases", self.id), temporary)
        os.replace(temporary, self.current)

    def build(
        self,
        *,
        source: str,
        target: str,
        extra_requirements: t.Sequence[str],
        python: str,
        user: str,
    ) -> None:
        """Build the release.

        Wheels are made as the app's user, since making them runs build backends; root installs
        the wheels, which runs nothing, and then the marker makes the release whole.

        :param source: what the release was made of, for the record.
        :param target: an archive's path or a requirement, as pip takes it.
        :raises ReleaseError: with pip's own last lines. Nothing of the release is left.
        """
        if os.path.lexists(self.path):
            shutil.rmtree(self.path)
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        try:
            self._make_virtualenv(python)
            with tempfile.TemporaryDirectory(prefix=".build-", dir=self.root) as scratch:
                account = pwd.getpwnam(user)
                if os.path.isabs(target):
                    # What Ansible sent is readable to the connecting user only.
                    target = shutil.copy(target, scratch)
                    os.chmod(target, 0o644)
                os.chown(scratch, account.pw_uid, account.pw_gid)
                self._make_wheels([target, *extra_requirements], account, scratch)
                self._install(sorted(glob.glob(os.path.join(scratch, "wheels", "*.whl"))), scratch)
            record = {
                "id": self.id,
                "source": source,
                "built": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            }
            _write_last(os.path.join(self.path, MARKER), json.dumps(record, indent=2) + "\n")
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def _make_virtualenv(self, python: str) -> None:
        _run(
            [python, "-m", "venv", self.path],
            "the virtualenv could not be made",
            f"Install the package that brings venv for {python} (Debian: python3-venv)",
        )

    def _make_wheels(
        self, targets: t.Sequence[str], account: pwd.struct_passwd, scratch: str
    ) -> None:
        _run(
            [
                self._python,
                "-m",
                "pip",
                "wheel",
                "--wheel-dir",
                os.path.join(scratch, "wheels"),
                *targets,
            ],
            "pip could not build the app or one of its requirements",
            "Mend what pip names above; the release in use goes on",
            user=account,
            home=scratch,
        )

    def _install(self, wheels: t.Sequence[str], scratch: str) -> None:
        _run(
            [
                self._python,
                "-m",
                "pip",
                "install",
                "--no-index",
                "--no-deps",
                "--no-cache-dir",
                *wheels,
            ],
            "pip could not install the wheels",
            "Mend what pip names above; the release in use goes on",
            home=scratch,
        )

    @property
    def _python(self) -> str:
        return os.path.join(self.path, "bin", "python")


def current_id(root: str) -> str | None:
    """Return the id that ``current`` leads to, whether it is there or not; ``None`` without link."""
    try:
        return os.path.basename(os.readlink(os.path.join(root, "current")))
    except OSError:
        return None


def built_ids(root: str) -> list[str]:
    """Return the ids of all whole releases, sorted."""
    markers = glob.glob(os.path.join(glob.escape(root), "releases", "*", MARKER))
    return sorted(os.path.basename(os.path.dirname(marker)) for marker in markers)


def _write_last(path: str, text: str) -> None:
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def _run(
    command: t.Sequence[str],
    what: str,
    remedy: str,
    *,
    user: pwd.struct_passwd | None = None,
    home: str | None = None,
) -> None:
    """Run a command with root's umask set plain, as ``user`` when given.

    :raises ReleaseError: with the command's last lines.
    """
    environment = {
        **os.environ,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    identity: dict[str, t.Any] = {}
    if home is not None:
        environment["HOME"] = home
    if user is not None and os.geteuid() != user.pw_uid:
        environment["USER"] = environment["LOGNAME"] = user.pw_name
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        done = subprocess.run(
            command,
            cwd=home or "/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o022,
            check=False,
            **identity,
        )
    except OSError as error:
        raise ReleaseError(f"{what}: {error}. {remedy}.") from error
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-OUTPUT_LINES:])
        raise ReleaseError(f"{what}:\n{tail}\n{remedy}.")
