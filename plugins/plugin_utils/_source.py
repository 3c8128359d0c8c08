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

# Not part of a release, wherever it lies: history, caches, and secrets.
LEFT_OUT = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".env",
    }
)
LEFT_OUT_SUFFIXES = (".pyc", ".pyo", ".egg-info")
# Not part of a release at the top of a project, while a package may have data of such a name:
# environments, and Flask's instance folder, which holds a developer's own secrets and data.
LEFT_OUT_AT_TOP = frozenset({".venv", "venv", ".tox", ".nox", "node_modules", "instance"})
# Where Flask puts it for a package in src/: https://flask.palletsprojects.com/config/#instance-folders
LEFT_OUT_PATHS = frozenset({"src/instance"})
# https://docs.python.org/3/library/venv.html: the file that makes a directory a virtualenv
VIRTUALENV = "pyvenv.cfg"
# Emacs locks a file that is being edited by a link that leads nowhere.
LOCK_PREFIX = ".#"
SDIST_SUFFIXES = (".tar.gz", ".tgz", ".zip")

# https://packaging.python.org/en/latest/specifications/dependency-specifiers/
REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[^\]]+\])?\s*(?:(?:[<>=!~]=?=?|@)\s*\S.*)?\Z"
)
GIT = re.compile(
    r"git\+(?P<host>(?:https|http|ssh|file)://[^/#]*)(?P<path>/[^#]*?)(?:@(?P<ref>[^@#]*))?(?:#.*)?\Z"
)
# SHA-1, and the SHA-256 of newer repositories
COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
# RFC 3986, 3.2.1. A user's name without password is none of a secret for ssh.
USERINFO = re.compile(r"(?P<scheme>ssh://(?=[^/\s@]*:)|(?!ssh:)\b[a-z][a-z0-9+.-]*://)[^/\s]*@")


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

    @property
    def name(self) -> str:
        """What it is called in records and messages, without a password or token."""
        return self.ref or mask(self.location)

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
                f"{mask(text)} can't be read. Write git+https://HOST/PROJECT.git@BRANCH-OR-TAG."
            )
        url = match["host"] + match["path"]
        commit = _resolve_commit(url, "HEAD" if match["ref"] is None else match["ref"])
        return Source("git", url, hashlib.sha256(commit.encode()).hexdigest(), commit)
    if _looks_like_path(text):
        raise SourceError(f"{path.absolute()}: no such file or directory on the control node.")
    if not REQUIREMENT.match(text):
        raise SourceError(
            f"{mask(text)!r} is no directory, wheel, sdist, git URL or requirement. "
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


def mask(text: str) -> str:
    """Return a text with asterisks in place of what URLs in it say of user and password."""
    return USERINFO.sub(r"\g<scheme>***@", text)


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


def _files(directory: pathlib.Path) -> t.Iterator[tuple[pathlib.Path, str | None]]:
    """Yield each file of a project, and each link with where it leads to from there.

    A link stays a link, to a file as to a directory; a copy in its place would be the file of
    another project, or a directory twice.

    :raises SourceError: for a link that leads to nothing of what is packed.
    """
    for parent, names, files in os.walk(directory):
        kept = [name for name in sorted(names) if _belongs(directory, pathlib.Path(parent, name))]
        names[:] = [name for name in kept if not os.path.islink(os.path.join(parent, name))]
        links = [name for name in kept if name not in names]
        for name in sorted([*links, *files]):
            path = pathlib.Path(parent, name)
            if not _belongs(directory, path):
                continue
            if path.is_symlink():
                yield path, _link_target(directory, path)
            elif path.is_file():
                yield path, None


def _belongs(directory: pathlib.Path, path: pathlib.Path) -> bool:
    relative = path.relative_to(directory)
    return not (
        path.name in LEFT_OUT
        or path.name.endswith(LEFT_OUT_SUFFIXES)
        or path.name.startswith(LOCK_PREFIX)
        or (len(relative.parts) == 1 and path.name in LEFT_OUT_AT_TOP)
        or relative.as_posix() in LEFT_OUT_PATHS
        or (path / VIRTUALENV).is_file()
    )


def _link_target(directory: pathlib.Path, path: pathlib.Path) -> str:
    top, target = os.path.realpath(directory), os.path.realpath(path)
    remedy = "Put there what it shall lead to, or take the link away"
    if not os.path.exists(target):
        raise SourceError(f"{path} is a link that leads nowhere ({target}). {remedy}.")
    if os.path.commonpath([top, target]) != top:
        raise SourceError(
            f"{path} is a link that leads out of the project, to {target}, which is not sent. {remedy}."
        )
    way = pathlib.Path(os.path.relpath(target, top))
    for part in (way, *way.parents):
        if not _belongs(pathlib.Path(top), pathlib.Path(top, part)) and part.parts:
            raise SourceError(
                f"{path} is a link to {target}, and {part} is no part of a release. {remedy}."
            )
    return os.path.relpath(target, os.path.realpath(path.parent))


def _fingerprint_directory(directory: pathlib.Path) -> str:
    """Times are left out: a fresh clone of the same commit is the same release."""
    digest = hashlib.sha256()
    for path, target in _files(directory):
        name = os.fsencode(path.relative_to(directory))
        if target is not None:
            digest.update(b"%s\0l%s\0" % (name, os.fsencode(target)))
            continue
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        digest.update(b"%s\0%s%s\0" % (name, executable, _sha256(path).encode()))
    return digest.hexdigest()


def _pack_directory(directory: pathlib.Path, target: str) -> str:
    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    # Followed, so that two names of one file are two files; links are told apart before.
    with tarfile.open(target, "w:gz", dereference=True) as archive:
        for path, leads_to in _files(directory):
            name = os.path.join("source", path.relative_to(directory))
            if leads_to is None:
                archive.add(path, name, recursive=False, filter=anonymous)
                continue
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, leads_to
            archive.addfile(anonymous(member))
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
        raise SourceError(f"git {arguments[0]} failed: {mask(error.stderr.strip())}") from None
    return done.stdout


def _resolve_commit(url: str, ref: str) -> str:
    """Return the commit of a tag, a branch or ``HEAD``, looked for in this order.

    What git ls-remote is told matches the end of names too, so user/main for main.
    """
    if COMMIT.match(ref):
        return ref
    # '^{}' is the commit of an annotated tag.
    names = [f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}"]
    names += ["HEAD"] if ref == "HEAD" else []
    rows = [row.split("\t", 1) for row in _git("ls-remote", "--", url, *names).splitlines()]
    found = {row[1]: row[0] for row in rows if len(row) > 1}
    for name in names:
        if name in found:
            return found[name]
    raise SourceError(
        f"{mask(url)} has no branch or tag {ref!r}. Write one behind the last @, or a whole commit id."
    )


def _pack_commit(url: str, commit: str, directory: str) -> str:
    clone = os.path.join(directory, "clone")
    target = os.path.join(directory, "source.tar.gz")
    _git("clone", "--quiet", "--no-checkout", url, clone)
    _git("archive", "--format=tar.gz", "--prefix=source/", f"--output={target}", commit, cwd=clone)
    return target
