# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Build a release: a virtualenv with the app, Gunicorn and all that they require.

What comes with a source is run as the app's user only: wheels are made by that user, and root
installs wheels, which runs nothing of theirs. uv does it where the host has it, else pip.

ROOT/.build-X/work/  the user's: what is unpacked and built, and the home for that
ROOT/.build-X/*      root's: copies of the wheels that were made

Whoever builds may have left anything in the former, so root neither works there nor installs from
there. Once wheels are installed, root runs nothing of the virtualenv, whose Python would run what
their .pth files say (https://docs.python.org/3/library/site.html).
"""

from __future__ import annotations

import configparser
import contextlib
import dataclasses
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _release
from ansible_collections.flaskworks.static_media.plugins.module_utils._release import ReleaseError

OUTPUT_LINES = 25
UV_PATH = "/usr/local/bin:/usr/bin:/bin"
PIP_CONFIGURATION = "/etc/pip.conf"
MEND = "Mend what {} names above; the release in use goes on"


@dataclasses.dataclass(frozen=True)
class Build:
    """How a release is built.

    :ivar source: what the release is made of, for the record.
    :ivar target: an archive's path or a requirement, as pip takes it.
    :ivar extra_requirements: what is installed beside it.
    :ivar python: Python from which the virtualenv is made.
    :ivar user: who runs what comes with the source.
    """

    source: str
    target: str
    extra_requirements: t.Sequence[str]
    python: str
    user: str


def build(releases: _release.Releases, release: str, how: Build) -> tuple[str, str]:
    """Build a release, unless another run has done it meanwhile.

    :return: which installer was used, and why another one was not.
    :raises ReleaseError: with pip's own last lines. Nothing of the release is left.
    """
    os.makedirs(os.path.dirname(releases.path(release)), mode=0o755, exist_ok=True)
    with releases.locked() as lock:
        if releases.is_built(release):
            return "", ""
        releases.clean(releases.leftovers())
        path = releases.path(release)
        try:
            scratch = tempfile.mkdtemp(prefix=".build-", dir=releases.root)
            try:
                installer, refused = _Builder(path, how, scratch, lock).run()
            finally:
                # What the user still writes meanwhile is the next run's to take away.
                shutil.rmtree(scratch, ignore_errors=True)
            releases.write_record(
                release,
                {
                    "id": release,
                    "source": how.source,
                    "installer": installer,
                    "python": python_version(how.python),
                    "built": _release.now(),
                    "deployed": None,
                },
            )
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
    return installer, refused


def python_version(python: str) -> str | None:
    """Return what a virtualenv of this Python is good for, such as ``cpython 3.11``.

    :return: ``None`` when it can't be asked: a build then says why.
    """
    script = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [python, "-IS", "-c", script], stdout=subprocess.PIPE, text=True, cwd="/", check=True
        )
        return done.stdout.strip() or None
    return None


def release_id(releases: _release.Releases, release: str, python: str) -> str:
    """Return the name of the release that the host's Python can run.

    That is the release's own, the same on all hosts, unless it is there and was built with another
    Python: an upgrade of the distribution leaves a virtualenv whose packages the new one does not
    look for (https://docs.python.org/3/library/venv.html). It may be in use, so the one that is
    built anew has another name.
    """
    version = python_version(python)
    anew = hashlib.sha256(f"{release} {version}".encode()).hexdigest()[: len(release)]
    if version is None or releases.is_built(anew):
        return release if version is None else anew
    built_with = releases.records().get(release, {}).get("python")
    return release if built_with in (None, version) else anew


def find_uv() -> str | None:
    """Return the path of uv, where the host has it."""
    return shutil.which("uv", path=UV_PATH)


class _Builder:
    def __init__(self, path: str, how: Build, scratch: str, lock: int) -> None:
        self.path = path
        self.how = how
        self.scratch = scratch
        self.work = os.path.join(scratch, "work")
        # Root's commands hold the lock as long as they live: one that outlives a killed run would
        # write into what the next run builds.
        self.lock = lock
        self.account = pwd.getpwnam(how.user)

    def run(self) -> tuple[str, str]:
        target = self.how.target
        os.mkdir(self.work, 0o700)
        if os.path.isabs(target):
            # What Ansible sent is readable to the connecting user only.
            target = shutil.copy(target, self.scratch)
            os.chmod(target, 0o644)
        os.chown(self.work, self.account.pw_uid, self.account.pw_gid)
        # The user passes through; what else lies there has modes of its own.
        os.chmod(self.scratch, 0o711)
        uv = find_uv()
        if uv:
            try:
                self._by_uv(uv, target)
            except ReleaseError as error:
                # It reads no configuration of pip's, and root lets it build nothing.
                shutil.rmtree(self.path, ignore_errors=True)
                self._by_pip(target)
                return "pip", str(error)
            return "uv", ""
        self._by_pip(target)
        return "pip", ""

    @property
    def _python(self) -> str:
        return os.path.join(self.path, "bin", "python")

    @property
    def _wheels(self) -> str:
        return os.path.join(self.work, "wheels")

    def _by_pip(self, target: str) -> None:
        self._as_root(
            [self.how.python, "-I", "-m", "venv", self.path],
            "the virtualenv could not be made",
            f"Install the package that brings venv for {self.how.python} (Debian: python3-venv)",
        )
        pip = [self._python, "-I", "-m", "pip"]
        self._as_user(
            [*pip, "wheel", "--wheel-dir", self._wheels, target, *self.how.extra_requirements],
            "pip could not build the app or one of its requirements",
            MEND.format("pip"),
        )
        self._as_root(
            [*pip, "install", "--no-index", "--no-deps", "--no-cache-dir", *self._taken_wheels()],
            "pip could not install the wheels",
            MEND.format("pip"),
        )

    def _by_uv(self, uv: str, target: str) -> None:
        remedy = MEND.format("uv")
        self._as_root(
            [uv, "venv", "--quiet", "--no-project", "--python", self.how.python, self.path],
            "uv could not make the virtualenv",
            remedy,
            **_uv_environment(),
        )
        if os.path.isabs(target) and not target.endswith(".whl"):
            source = self._unpacked(target)
            self._as_user(
                [
                    uv,
                    "build",
                    "--quiet",
                    "--wheel",
                    "--python",
                    self.how.python,
                    "--out-dir",
                    self._wheels,
                    source,
                ],
                "uv could not build the app",
                remedy,
                **_uv_environment(),
                UV_CACHE_DIR=os.path.join(self.work, "cache"),
            )
            (target,) = self._taken_wheels()
        # --no-build: what has no wheel would be built, and root builds nothing.
        # https://docs.astral.sh/uv/reference/cli/#uv-pip-install--no-build
        self._as_root(
            [
                uv,
                "pip",
                "install",
                "--quiet",
                "--python",
                self._python,
                "--no-build",
                target,
                *self.how.extra_requirements,
            ],
            "uv could not install the app or one of its requirements",
            remedy,
            **_uv_environment(),
        )
        # uv would run the virtualenv's Python for this. What does not compile, such as a template of
        # a module, fails when it is imported.
        with contextlib.suppress(ReleaseError):
            self._as_root(
                [self.how.python, "-IS", "-m", "compileall", "-qq", os.path.join(self.path, "lib")],
                "",
                "",
            )

    def _unpacked(self, archive: str) -> str:
        """Return the directory of an archive's one project, unpacked by the user."""
        directory = os.path.join(self.work, "unpacked")
        self._as_user(
            [
                "/bin/sh",
                "-c",
                'mkdir "$1" && tar --extract --file="$2" --directory="$1"',
                "sh",
                directory,
                archive,
            ],
            "the source could not be unpacked",
            "Write a project directory, an sdist or a wheel",
        )
        names = os.listdir(directory)
        if len(names) != 1:
            raise ReleaseError(f"{os.path.basename(archive)} holds no single project directory.")
        return os.path.join(directory, names[0])

    def _taken_wheels(self) -> list[str]:
        """Return copies of the user's wheels, which that user can't change any more.

        :raises ReleaseError: when there is none, or one is no file of that user's.
        """
        own = tempfile.mkdtemp(prefix="wheels-", dir=self.scratch)
        taken = []
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            _opened(self._wheels, os.O_DIRECTORY) as made,
        ):
            for name in sorted(os.listdir(made)):
                if name.endswith(".whl"):
                    taken.append(os.path.join(own, name))
                    self._take(made, name, taken[-1])
        if not taken:
            raise ReleaseError(f"The build made no wheel. {MEND.format('the build backend')}.")
        return taken

    def _take(self, directory: int, name: str, target: str) -> None:
        try:
            with _opened(name, os.O_NONBLOCK, directory) as descriptor:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != self.account.pw_uid:
                    raise OSError(f"no file of {self.account.pw_name}'s")
                with open(descriptor, "rb", closefd=False) as made, open(target, "xb") as own:
                    shutil.copyfileobj(made, own)
        except OSError as error:
            raise ReleaseError(
                f"The build made {name}, which is no wheel but a link or the like ({error}), so it is "
                f"not installed. {MEND.format('the build backend')}."
            ) from error

    def _as_user(self, command: t.Sequence[str], what: str, remedy: str, **own: str) -> None:
        environ = {**_environment(), "HOME": self.work, **own}
        identity: dict[str, t.Any] = {}
        if os.geteuid() != self.account.pw_uid:
            environ["USER"] = environ["LOGNAME"] = self.account.pw_name
            identity = {
                "user": self.account.pw_uid,
                "group": self.account.pw_gid,
                "extra_groups": [],
            }
        _run(command, what, remedy, cwd=self.work, env=environ, **identity)

    def _as_root(self, command: t.Sequence[str], what: str, remedy: str, **own: str) -> None:
        # Whoever connected may have kept a home of their own, as sudo -E does.
        home = pwd.getpwuid(os.geteuid()).pw_dir
        environ = {**_environment(), "HOME": home, **own}
        _run(command, what, remedy, cwd="/", env=environ, pass_fds=(self.lock,))


@contextlib.contextmanager
def _opened(path: str, flags: int, directory: int | None = None) -> t.Iterator[int]:
    """Yield a descriptor of what is at a path itself, and not of what a link there leads to."""
    flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _environment() -> dict[str, str]:
    return {
        # pip's own variables and those of a proxy are the host's. Python's change what is imported,
        # and uv's children read them (pip is run by -I).
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        # As pip, by the machine's list of trusted authorities; the name depends on uv's version.
        "UV_NATIVE_TLS": "1",
        "UV_SYSTEM_CERTS": "1",
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _uv_environment(path: str = PIP_CONFIGURATION) -> dict[str, str]:
    """Return what uv has to be told of the host's pip.conf: where packages come from."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return {}
    options = {
        "UV_DEFAULT_INDEX": ("PIP_INDEX_URL", "index-url"),
        "UV_INDEX": ("PIP_EXTRA_INDEX_URL", "extra-index-url"),
        "SSL_CERT_FILE": ("PIP_CERT", "cert"),
    }
    found = {}
    for name, (variable, option) in options.items():
        value = os.environ.get(variable) or parser.get("global", option, fallback="")
        if value and name not in os.environ:
            found[name] = " ".join(value.split())
    return found


def _run(command: t.Sequence[str], what: str, remedy: str, **options: t.Any) -> None:
    """Run a command with root's umask set plain.

    :raises ReleaseError: with the command's last lines.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            umask=0o022,
            check=False,
            **options,
        )
    except OSError as error:
        raise ReleaseError(f"{what}: {error}. {remedy}.") from error
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-OUTPUT_LINES:])
        raise ReleaseError(f"{what}:\n{tail}\n{remedy}.")
