# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What to install, from ``flask_app_source``: told apart, identified, packed. Control node only."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import tarfile
import typing as t

# Not part of a release: history, caches, environments, and Flask's instance folder, which holds
# a developer's own secrets and data.
LEFT_OUT = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        ".tox",
        ".nox",
        "node_modules",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        "instance",
        ".env",
    }
)
LEFT_OUT_SUFFIXES = (".pyc", ".pyo", ".egg-info")
SDIST_SUFFIXES = (".tar.gz", ".tgz", ".zip")

# https://packaging.python.org/en/latest/specifications/dependency-specifiers/
REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[^\]]+\])?\s*(?:(?:[<>=!~]=?=?|@)\s*\S.*)?\Z"
)
GIT = re.compile(r"git\+(?P<url>(?:https|http|ssh|file)://[^#]+?)(?:@(?P<ref>[^/@#]+))?(?:#.*)?\Z")


class SourceError(Exception):
    """``flask_app_source`` names nothing that can be installed."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Something to install.

    :ivar kind: ``directory``, ``archive`` (wheel or sdist), ``git`` or ``requirement``.
    :ivar location: a path, a URL or the requirement itself.
    :ivar fingerprint: SHA-256 in hexadecimal of what would be installed.
    :ivar ref: the commit of a ``git`` source.
    """

    kind: str
    location: str
    fingerprint: str
    ref: str | None = None

    def pack(self, directory: str) -> str | None:
        """Write the archive to install into ``directory``, and return its path.

        :return: ``None`` for a requirement, which the host fetches itself.
        :raises SourceError: when git can't fetch the commit.
        """
        if self.kind == "directory":
            return _pack_directory(
                pathlib.Path(self.location), os.path.join(directory, "source.tar.gz")
            )
        if self.kind == "archive":
            return self.location
        if self.kind == "git":
            return _pack_commit(self.location, str(self.ref), directory)
        return None


def identify(text: str) -> Source:
    """Tell what ``flask_app_source`` names.

    :raises SourceError: saying what to write instead.
    """
    path = pathlib.Path(text).expanduser()
    if text and path.is_dir():
        if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py")):
            raise SourceError(
                f"{path} has no pyproject.toml, so pip can't install it. Add one, with at least a "
                '[project] table that has name, version and dependencies = ["flask"].'
            )
        return Source("directory", str(path.resolve()), _fingerprint_directory(path))
    if path.is_file():
        if not path.name.endswith((".whl", *SDIST_SUFFIXES)):
            raise SourceError(f"{path} is neither a wheel (.whl) nor an sdist (.tar.gz).")
        return Source("archive", str(path.resolve()), _sha256(path))
    if text.startswith("git+"):
        match = GIT.match(text)
        if not match:
            raise SourceError(
                f"{text} can't be read. Write git+https://HOST/PROJECT.git@BRANCH-OR-TAG."
            )
        commit = _resolve_commit(match["url"], match["ref"] or "HEAD")
        return Source("git", match["url"], hashlib.sha256(commit.encode()).hexdigest(), commit)
    if _looks_like_path(text):
        raise SourceError(f"{path.absolute()}: no such file or directory on the control node.")
    if not REQUIREMENT.match(text):
        raise SourceError(
            f"{text!r} is no directory, wheel, sdist, git URL or requirement. "
            "Write the path of your project, or a requirement such as 'gallery==1.2'."
        )
    return Source("requirement", text, hashlib.sha256(text.encode()).hexdigest())


def identify_context(text: str) -> Source:
    """Tell what ``flask_app_source`` names when an image is to be built from it.

    :raises SourceError: saying what to write instead.
    """
    path = pathlib.Path(text).expanduser()
    if text.startswith("git+"):
        return identify(text)
    if not path.is_dir():
        raise SourceError(
            f"{path.absolute()} is no directory on the control node. Write that of your project, with its "
            "Dockerfile, or a git URL; or set flask_app_image to an image that is built already."
        )
    if not (path / "Dockerfile").is_file():
        raise SourceError(
            f"{path} has no Dockerfile. Add one, or set flask_app_runtime to 'virtualenv'."
        )
    return Source("directory", str(path.resolve()), _fingerprint_directory(path))


def _looks_like_path(text: str) -> bool:
    """Whether somebody meant a path; ``name @ URL`` is a requirement that has slashes too."""
    if text.startswith((".", "~", "/")):
        return True
    return "@" not in text and (os.sep in text or text.endswith((".whl", *SDIST_SUFFIXES)))


def _sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _files(directory: pathlib.Path) -> t.Iterator[pathlib.Path]:
    for parent, names, files in os.walk(directory):
        names[:] = sorted(name for name in names if _belongs(name))
        for name in sorted(filter(_belongs, files)):
            path = pathlib.Path(parent, name)
            if path.is_file():
                yield path


def _belongs(name: str) -> bool:
    return name not in LEFT_OUT and not name.endswith(LEFT_OUT_SUFFIXES)


def _fingerprint_directory(directory: pathlib.Path) -> str:
    """Times are left out: a fresh clone of the same commit is the same release."""
    digest = hashlib.sha256()
    for path in _files(directory):
        name = os.fsencode(path.relative_to(directory))
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        digest.update(b"%s\0%s%s\0" % (name, executable, _sha256(path).encode()))
    return digest.hexdigest()


def _pack_directory(directory: pathlib.Path, target: str) -> str:
    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    with tarfile.open(target, "w:gz", dereference=True) as archive:
        for path in _files(directory):
            archive.add(
                path,
                os.path.join("source", path.relative_to(directory)),
                recursive=False,
                filter=anonymous,
            )
    return target


def _git(*arguments: str, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError:
        raise SourceError("git is not installed on the control node. Install it.") from None
    except subprocess.CalledProcessError as error:
        raise SourceError(f"git {arguments[0]} failed: {error.stderr.strip()}") from None
    return done.stdout


def _resolve_commit(url: str, ref: str) -> str:
    if re.match(r"[0-9a-f]{40}\Z", ref):
        return ref
    # The last line is the commit of an annotated tag ('^{}'), where there is one.
    rows = [row.split("\t") for row in _git("ls-remote", url, ref, f"{ref}^{{}}").splitlines()]
    if not rows:
        raise SourceError(f"{url} has no branch or tag {ref!r}.")
    return rows[-1][0]


def _pack_commit(url: str, commit: str, directory: str) -> str:
    clone = os.path.join(directory, "clone")
    target = os.path.join(directory, "source.tar.gz")
    _git("clone", "--quiet", "--no-checkout", url, clone)
    _git("archive", "--format=tar.gz", "--prefix=source/", f"--output={target}", commit, cwd=clone)
    return target
