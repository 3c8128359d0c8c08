# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""From an app's static mounts to one published tree, whose paths mirror the URLs.

Files whose names are fingerprints are published below ``.immutable``, all others beside it, so that
Nginx tells them apart by where they are. Those of earlier releases stay, until the records of
their releases are pruned.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import posixpath
import re
import secrets
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _fingerprints,
    _precompress,
    _static_records,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._names import printable
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_records import (
    Entry,
    Record,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._static_tree import (
    PublishError,
    Sources,
    Tree,
    link_problem,
    several,
)

TEMPORARY = ".static_release-"
IMMUTABLE = ".immutable"
BLOCK_BYTES = 1 << 20
# A proof fetches its sample whole.
SAMPLE_LIMIT_BYTES = 1 << 20

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_Key = t.TypeVar("_Key")
_Result = t.TypeVar("_Result")


class Mount(t.NamedTuple):
    """A URL prefix of the app and the folder behind it; ``None`` when the app was not asked.

    :ivar exclude: paths below the folder that are not published.
    """

    url: str
    folder: str | None
    endpoint: str | None = None
    exclude: tuple[str, ...] = ()


class Look(t.NamedTuple):
    """Owner and modes of what is published; an id of -1 is one that is yet to be made."""

    uid: int
    gid: int
    directory_mode: int
    file_mode: int


class Options(t.NamedTuple):
    """How a release is published.

    :ivar release: its id; ``None`` derives one from the content.
    :ivar encodings: of the precompressed siblings, such as ``gz``.
    :ivar fingerprint_regex: matches the URL paths of fingerprinted files, besides manifests.
    :ivar fingerprint: whether each file gets a fingerprinted name too.
    :ivar manifest: where to write which name became which, by endpoint.
    """

    release: str | None = None
    encodings: tuple[str, ...] = ()
    fingerprint_regex: re.Pattern[str] | None = None
    fingerprint: bool = False
    manifest: str | None = None


PLAIN = Options()


class Wanted(t.NamedTuple):
    """A file that is to be published.

    :ivar path: of its URL, without the first slash.
    :ivar url: prefix of its mount.
    :ivar folder: of its mount.
    :ivar source: the app's file, below ``folder``; ``None`` for a sibling that is made here.
    :ivar encoding: of a sibling that is made here.
    :ivar second_name: whether it is a file of the app's by a name that was made here.
    """

    path: str
    entry: Entry
    url: str
    folder: str
    source: str | None
    encoding: str | None = None
    second_name: bool = False

    @property
    def target(self) -> str:
        """Where to, below the root."""
        return place(self.path, self.entry.immutable)


class _Source(t.NamedTuple):
    url: str
    folder: str
    source: str
    status: os.stat_result


@dataclasses.dataclass
class Plan:
    """What publishing would change.

    :ivar record: of the release, as it will be written.
    :ivar previous: the record of that release, if there is one.
    :ivar directories: to make, outermost first; ``""`` is the root itself.
    :ivar added: files that are new.
    :ivar replaced: files whose content differs.
    :ivar mended_directories: published directories whose owner or mode differs.
    :ivar mended_files: published files whose owner, mode or time differs.
    :ivar removed: published files that stand in the way of others of the same URL, and siblings
        that differ from their file.
    :ivar leftovers: temporary files of runs that were killed.
    :ivar wanted: every file of the release, by its URL path.
    :ivar unchanged: number of files that are as they should be.
    :ivar kept: number of published files that the app has not, or no longer.
    :ivar ignored: what is not published: names with a leading dot, and what is no file.
    :ivar unknown: mounts whose folder is not known yet.
    :ivar changed_names: files whose names were said to be fingerprinted, and are not.
    :ivar manifest: path and content of the manifest to write.
    """

    record: Record
    previous: Record | None = None
    directories: list[str] = dataclasses.field(default_factory=list)
    added: list[Wanted] = dataclasses.field(default_factory=list)
    replaced: list[Wanted] = dataclasses.field(default_factory=list)
    mended_directories: list[str] = dataclasses.field(default_factory=list)
    mended_files: list[Wanted] = dataclasses.field(default_factory=list)
    removed: list[str] = dataclasses.field(default_factory=list)
    leftovers: list[str] = dataclasses.field(default_factory=list)
    wanted: dict[str, Wanted] = dataclasses.field(default_factory=dict)
    unchanged: int = 0
    kept: int = 0
    ignored: list[str] = dataclasses.field(default_factory=list)
    unknown: list[str] = dataclasses.field(default_factory=list)
    changed_names: list[str] = dataclasses.field(default_factory=list)
    manifest: tuple[str, bytes] | None = None

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.lines())

    @property
    def mended(self) -> list[str]:
        """Published paths whose owner, mode or time differs; a directory ends in a slash."""
        return [
            *(f"{path}/" for path in self.mended_directories),
            *(wanted.target for wanted in self.mended_files),
        ]

    def lines(self) -> list[str]:
        """Return the changes as a person reads them, one a line."""
        record = f"{_static_records.DIRECTORY}/{self.record.release}.json"
        sign = "+" if self.previous is None else "~"
        return [
            *(f"+ {printable(path)}/" for path in self.directories),
            *(f"+ {printable(wanted.target)}" for wanted in self.added),
            *(f"~ {printable(wanted.target)}" for wanted in self.replaced),
            *(f"o {printable(path)}" for path in self.mended),
            *(f"- {printable(path)}" for path in (*self.removed, *self.leftovers)),
            *([f"~ {printable(self.manifest[0])}"] if self.manifest else []),
            *([f"{sign} {record}"] if self.writes_record and not self.unknown else []),
            *(f"? {printable(url)}" for url in self.unknown),
        ]

    @property
    def writes_record(self) -> bool:
        """Whether the release's record differs from what it was."""
        if self.previous == self.record:
            return False
        return self.previous is None or _unsigned(self.previous) != _unsigned(self.record)

    @property
    def pending(self) -> bool:
        """Whether applying does anything, which may be no more than to remember what was looked at."""
        return self.changed or self.previous != self.record


def _unsigned(record: Record) -> Record:
    """Return a record less what only saves the next run from reading."""
    files = {
        path: entry._replace(source=None, shrinks=None) if entry.source else entry
        for path, entry in record.files.items()
    }
    return dataclasses.replace(record, files=files, reader=None)


def place(path: str, immutable: bool) -> str:
    """Return where a URL path is published, below the root."""
    return f"{IMMUTABLE}/{path}" if immutable else path


def plan(
    root: str,
    mounts: t.Iterable[Mount],
    look: Look,
    reader: _as_user.Account | None = None,
    options: Options = PLAIN,
) -> Plan:
    """Return what publishing would change.

    A mount within another one answers for all of its own URLs, as in Flask's url_map; of two with
    the same URL the first does.

    :param root: the static root.
    :param reader: with whose rights the folders are read; ``None`` for our own.
    :raises PublishError: when a mount can't be read, leads out of itself, or does not fit the tree.
    """
    root = real_root(root)
    if options.release is not None:
        _static_records.check_release(options.release)
    return _Planner(root, look, reader, options).plan(mounts)


def real_root(root: str) -> str:
    """Return the static root behind its links.

    :raises PublishError: when it is no directory of its own.
    """
    if not os.path.isabs(root) or os.path.realpath(root) == "/":
        raise PublishError(
            f"The static root is {root!r}. Set it to an absolute path of its own, such as "
            "/var/www/gallery/static."
        )
    return os.path.realpath(root)


def _prefix(url: str) -> str:
    """Return the directory below the root that a URL prefix is published to."""
    parts = url.split("/")
    hidden = any(part.startswith(".") for part in parts)
    if not url or parts[0] or parts[-1] or hidden or "\0" in url or "//" in url:
        raise PublishError(
            f"{url!r} is no URL prefix. One begins and ends with a slash, such as /static/, and has "
            "no part that is empty or begins with a dot."
        )
    return url.strip("/")


def _is_below(path: str, directory: str) -> bool:
    return not directory or path.startswith(f"{directory}/")


def add_parents(path: str, directories: set[str]) -> None:
    """Add the directories that a path lies in."""
    parent = posixpath.dirname(path)
    while parent and parent not in directories:
        directories.add(parent)
        parent = posixpath.dirname(parent)


def listing(root: str) -> tuple[dict[str, os.stat_result], list[str]]:
    """Return what is in a published tree, its records excepted, and the leftovers of killed runs.

    :raises PublishError: when it can't be read.
    """
    try:
        tree = Tree(root)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise PublishError(
            f"{root}: {error.strerror}. Move it away, or set flask_static_root to another directory."
        ) from error
    leftovers = []
    with contextlib.closing(tree):
        found = {"": os.fstat(tree.directory(""))}
        for path, status in tree.entries(hidden=True, but=_static_records.DIRECTORY):
            if f"/{TEMPORARY}" in f"/{path}" and stat.S_ISREG(status.st_mode):
                leftovers.append(path)
            else:
                found[path] = status
    return found, leftovers


def content_of(tree: Tree, path: str) -> str:
    """Return the SHA-256 of a published file."""
    with tree.file(path) as file:
        return _measured(file, False)[0]


class _Planner:
    """Makes one plan."""

    def __init__(
        self, root: str, look: Look, reader: _as_user.Account | None, options: Options
    ) -> None:
        self.root = root
        self.look = look
        self.reader = reader
        self.options = options
        self.records = _static_records.load(root)
        self.result = Plan(Record("", 0, reader=reader.name if reader else None))
        self.problems: list[str] = []
        self.files: dict[str, _Source] = {}
        self.entries: dict[str, Entry] = {}
        self.fingerprinted: set[str] = set()
        self.prefixes: set[str] = set()
        self.second_names: dict[str, dict[str, str]] = {}

    def plan(self, mounts: t.Iterable[Mount]) -> Plan:
        """Return it, or raise what makes it impossible."""
        by_url: dict[str, Mount] = {}
        for mount in mounts:
            by_url.setdefault(mount.url, mount)
        with contextlib.closing(Sources(self.reader)) as sources:
            for url, mount in sorted(by_url.items()):
                self._add_mount(url, mount, sources)
            self._refuse()
            self._measure(sources)
            self._refuse()
            self._decide_names()
            self._want_files()
            self._want_siblings(sources)
            if self.options.fingerprint:
                self._want_second_names(by_url)
        existing, self.result.leftovers = listing(self.root)
        directories = self._directories()
        self.problems += self._misfits(existing, directories)
        self._refuse()
        self._compare_directories(existing, directories)
        self._compare_files(existing)
        self._compare_siblings(existing)
        self._refuse()
        self._fill_record(existing)
        self._compare_manifest()
        return self.result

    def _refuse(self) -> None:
        if self.problems:
            raise PublishError(several(self.problems))

    def _add_mount(self, url: str, mount: Mount, sources: Sources) -> None:
        """Add a mount's files, or say why they can't be published."""
        prefix, folder = _prefix(url), mount.folder
        self.prefixes.add(prefix)
        for covered in [path for path in self.files if _is_below(path, prefix)]:
            del self.files[covered]
        if folder is None:
            self.result.unknown.append(url)
            return
        tree = sources.open(url, folder)
        if os.path.commonpath([self.root, tree.path]) in (self.root, tree.path):
            raise PublishError(
                f"The app's folder of {url}, {tree.path}, and the static root {self.root} lie in one "
                "another, so that a run would publish what the last one did. Set flask_static_root to "
                "a directory of its own."
            )
        manifests = []
        for path, status in sources.entries(tree):
            target = posixpath.join(prefix, path)
            if any(_is_below(f"{path}/", excluded) for excluded in mount.exclude):
                continue
            if stat.S_ISDIR(status.st_mode) and posixpath.basename(path) == ".vite":
                manifests.append(f"{path}/{_fingerprints.VITE_MANIFEST}")
            if posixpath.basename(path).startswith("."):
                self.result.ignored.append(target)
            elif stat.S_ISLNK(status.st_mode):
                self.problems.append(link_problem(os.path.join(tree.path, path)))
            elif stat.S_ISREG(status.st_mode):
                self.files[target] = _Source(url, tree.path, path, status)
                if _fingerprints.is_manifest(path):
                    manifests.append(path)
            elif not stat.S_ISDIR(status.st_mode):
                self.result.ignored.append(target)
        for path in manifests:
            content = sources.read(tree.path, path, _fingerprints.MANIFEST_LIMIT_BYTES)
            if content is not None:
                proven = _fingerprints.proven(path, content)
                self.fingerprinted |= {posixpath.join(prefix, name) for name in proven}

    def _known(self, path: str, signature: _static_records.Signature) -> Entry | None:
        """Return what a record says of a source that was not touched since."""
        for record in self.records:
            entry = record.files.get(path)
            if (
                entry is not None
                and entry.source == signature
                and record.reader == self.result.record.reader
            ):
                return entry
        return None

    def _measure(self, sources: Sources) -> None:
        """Fill the entries: from a record where the source is untouched, else by reading it."""

        def unread() -> t.Iterator[tuple[str, t.Callable[[], tuple[str, int, bool | None]]]]:
            for path, source in self.files.items():
                signature = _static_records.signature(source.status)
                known = self._known(path, signature)
                asks = bool(self.options.encodings) and _precompress.may_shrink(
                    path, signature.size_bytes
                )
                if known is not None and known.sha256 and (known.shrinks is not None or not asks):
                    self.entries[path] = Entry(
                        signature.size_bytes,
                        _static_records.content_mtime(known.sha256),
                        known.sha256,
                        source=signature,
                        shrinks=known.shrinks,
                    )
                    continue
                try:
                    file = sources.file(source.folder, source.source)
                except PublishError as error:
                    self.problems.append(str(error))
                    continue
                yield path, functools.partial(_read_through, file, asks)

        for path, (sha256, size_bytes, shrinks) in _side_by_side(unread()):
            source = self.files[path]
            if size_bytes != source.status.st_size:
                self.problems.append(_changed_problem(os.path.join(source.folder, source.source)))
            self.entries[path] = Entry(
                size_bytes,
                _static_records.content_mtime(sha256),
                sha256,
                source=_static_records.signature(source.status),
                shrinks=shrinks,
            )

    def _decide_names(self) -> None:
        """Decide which files are published as immutable."""
        regex = self.options.fingerprint_regex
        for path, entry in self.entries.items():
            if path in self.fingerprinted or (regex is not None and regex.search(f"/{path}")):
                if self._had_other_content(path, entry):
                    self.result.changed_names.append(path)
                    entry = entry._replace(changed_under_its_name=True)
                else:
                    entry = entry._replace(immutable=True)
                self.entries[path] = entry

    def _had_other_content(self, path: str, entry: Entry) -> bool:
        """Return whether browsers may keep another content of that name for a year."""
        return any(
            before.changed_under_its_name or (before.immutable and before.sha256 != entry.sha256)
            for before in (record.files.get(path) for record in self.records)
            if before is not None and before.of is None
        )

    def _want_files(self) -> None:
        for path, entry in self.entries.items():
            source = self.files[path]
            self.result.wanted[path] = Wanted(path, entry, source.url, source.folder, source.source)

    def _want_siblings(self, sources: Sources) -> None:
        """Take the app's own siblings where they equal their file, and make the others."""
        for path, entry in self.entries.items():
            if _base(path, self.entries, self.options.encodings) is not None:
                continue
            for encoding in self.options.encodings:
                sibling = f"{path}.{encoding}"
                own = self.result.wanted.get(sibling)
                if own is not None:
                    if not self._same_content(encoding, own, self.result.wanted[path], sources):
                        self.problems.append(
                            f"{printable(os.path.join(own.folder, str(own.source)))} is not "
                            f"{printable(posixpath.basename(path))} when it is unpacked, and Nginx "
                            "would send it in its place. Make it anew, leave it out, or set "
                            "flask_static_precompress to false."
                        )
                    own = own._replace(
                        entry=own.entry._replace(
                            mtime=entry.mtime, immutable=entry.immutable, of=path
                        )
                    )
                elif entry.shrinks:
                    own = self._made_sibling(sibling, encoding, self.result.wanted[path])
                if own is not None:
                    self.result.wanted[sibling] = own

    @staticmethod
    def _made_sibling(path: str, encoding: str, of: Wanted) -> Wanted:
        entry = Entry(None, of.entry.mtime, immutable=of.entry.immutable, of=of.path)
        return of._replace(path=path, entry=entry, source=None, encoding=encoding)

    def _same_content(self, encoding: str, sibling: Wanted, file: Wanted, sources: Sources) -> bool:
        for record in self.records:
            known, of = record.files.get(sibling.path), record.files.get(file.path)
            if (
                record.complete
                and known is not None
                and of is not None
                and known.of == file.path
                and (known.sha256, of.sha256) == (sibling.entry.sha256, file.entry.sha256)
            ):
                return True
        try:
            with contextlib.ExitStack() as stack:
                packed, plain = (
                    stack.enter_context(sources.file(one.folder, str(one.source)))
                    for one in (sibling, file)
                )
                return _precompress.same_content(encoding, packed, plain)
        except _precompress.CompressError as error:
            raise PublishError(str(error)) from error

    def _want_second_names(self, by_url: t.Mapping[str, Mount]) -> None:
        """Give each file a name that changes with its content, beside its own."""
        for wanted in list(self.result.wanted.values()):
            entry = wanted.entry
            if entry.of is not None or entry.immutable or not entry.sha256:
                continue
            path = _fingerprints.fingerprinted_name(wanted.path, entry.sha256)
            if path in self.result.wanted:
                continue
            own = entry._replace(immutable=True, source=None, changed_under_its_name=False)
            second = wanted._replace(path=path, entry=own, second_name=True)
            self.result.wanted[path] = second
            for encoding in self.options.encodings:
                sibling = self.result.wanted.get(f"{wanted.path}.{encoding}")
                if sibling is not None and sibling.entry.of == wanted.path:
                    own = sibling.entry._replace(immutable=True, source=None, of=path)
                    self.result.wanted[f"{path}.{encoding}"] = sibling._replace(
                        path=f"{path}.{encoding}", entry=own, second_name=True
                    )
            prefix = _prefix(wanted.url)
            names = self.second_names.setdefault(by_url[wanted.url].endpoint or wanted.url, {})
            start = len(prefix) + 1 if prefix else 0
            names[wanted.path[start:]] = path[start:]

    def _directories(self) -> set[str]:
        found = {"", *self.prefixes}
        for wanted in self.result.wanted.values():
            add_parents(wanted.target, found)
        for prefix in self.prefixes:
            add_parents(prefix, found)
        return found

    def _misfits(
        self, existing: t.Mapping[str, os.stat_result], directories: set[str]
    ) -> t.Iterator[str]:
        """Yield why files and directories of the app can't be put into the tree."""
        targets = {wanted.target: wanted for wanted in self.result.wanted.values()}
        for path in sorted(directories):
            shown = printable(os.path.join(self.root, path))
            if path in targets:
                found = targets[path]
                yield (
                    f"The app has a file {printable(str(found.source))} in {found.folder}, and files "
                    f"below the URL /{printable(path)}/ too. {shown} can't be both: rename one."
                )
            elif path in existing and not stat.S_ISDIR(existing[path].st_mode):
                yield (
                    f"{shown} is no directory, and the app has files below it. Move it away; nothing "
                    "of this collection makes it."
                )
        for path in targets:
            if path in existing and stat.S_ISDIR(existing[path].st_mode):
                yield (
                    f"{printable(os.path.join(self.root, path))} is a directory, where the app has a "
                    "file. Move the directory away."
                )

    def _compare_directories(
        self, existing: t.Mapping[str, os.stat_result], directories: set[str]
    ) -> None:
        for path in sorted(directories):
            if path not in existing:
                self.result.directories.append(path)
            elif not _looks(existing[path], self.look, self.look.directory_mode):
                self.result.mended_directories.append(path)

    def _compare_files(self, existing: t.Mapping[str, os.stat_result]) -> None:
        ours = set()
        with contextlib.ExitStack() as stack:
            tree = stack.enter_context(contextlib.closing(Tree(self.root))) if existing else None
            for wanted in self.result.wanted.values():
                ours.add(wanted.target)
                status = existing.get(wanted.target)
                if tree is None or status is None:
                    self.result.added.append(wanted)
                elif not stat.S_ISREG(status.st_mode) or not self._has_content(
                    wanted, status, tree
                ):
                    self.result.replaced.append(wanted)
                elif int(status.st_mtime) != wanted.entry.mtime or not _looks(
                    status, self.look, self.look.file_mode
                ):
                    self.result.mended_files.append(wanted)
                else:
                    self.result.unchanged += 1
                other = place(wanted.path, not wanted.entry.immutable)
                if other in existing and not stat.S_ISDIR(existing[other].st_mode):
                    ours.add(other)
                    self.result.removed.append(other)
        self.result.kept = sum(
            1
            for path, status in existing.items()
            if path not in ours and not stat.S_ISDIR(status.st_mode)
        )

    def _has_content(self, wanted: Wanted, status: os.stat_result, tree: Tree) -> bool:
        """Return whether a published file has the content that is wanted.

        Its time follows from its content, so it is only read where a record casts doubt on that.
        """
        same_time = int(status.st_mtime) == wanted.entry.mtime
        size_bytes = wanted.entry.size_bytes
        if wanted.encoding is not None:
            # What was made of the same content is as good, whatever run or level made it.
            size_bytes = self._made_size_bytes(wanted)
            return same_time and size_bytes in (None, status.st_size)
        if size_bytes != status.st_size:
            return False
        if same_time and not self._is_ambiguous(wanted):
            return True
        return content_of(tree, wanted.target) == wanted.entry.sha256

    def _made_size_bytes(self, wanted: Wanted) -> int | None:
        for record in self.records:
            entry = record.files.get(wanted.path)
            if entry is None or entry.of is None or entry.size_bytes is None:
                continue
            if entry.mtime == wanted.entry.mtime:
                return entry.size_bytes
        return None

    def _is_ambiguous(self, wanted: Wanted) -> bool:
        """Return whether another content of this path has the same size and time: one in 2**30."""
        return any(
            entry.sha256 != wanted.entry.sha256
            for entry in (record.files.get(wanted.path) for record in self.records)
            if entry is not None
            and (entry.size_bytes, entry.mtime) == (wanted.entry.size_bytes, wanted.entry.mtime)
        )

    def _compare_siblings(self, existing: t.Mapping[str, os.stat_result]) -> None:
        """Find siblings of the release's files that Nginx would send though the release has none."""
        for wanted in self.result.wanted.values():
            if wanted.entry.of is not None:
                continue
            for encoding in (_precompress.GZIP, _precompress.BROTLI):
                path = f"{wanted.path}.{encoding}"
                target = f"{wanted.target}.{encoding}"
                status = existing.get(target)
                if path in self.result.wanted or status is None or stat.S_ISDIR(status.st_mode):
                    continue
                file = existing.get(wanted.target)
                if any(path in record.files for record in self.records) or (
                    file is not None and int(file.st_mtime) == int(status.st_mtime)
                ):
                    self.result.removed.append(target)
                    self.result.kept -= 1
                elif encoding in self.options.encodings:
                    self.problems.append(
                        f"{printable(os.path.join(self.root, target))} is none that this collection "
                        f"made, and Nginx would send it in the place of "
                        f"{printable(posixpath.basename(wanted.path))}. Move it away."
                    )

    def _fill_record(self, existing: t.Mapping[str, os.stat_result]) -> None:
        record = self.result.record
        record.release = self.options.release or self._content_id()
        record.complete = True
        record.directories = sorted(self.prefixes)
        self.result.previous = next(
            (before for before in self.records if before.release == record.release), None
        )
        newest = self.records[0] if self.records else None
        is_newest = newest is not None and newest.release == record.release
        record.sequence = (newest.sequence if newest else 0) + (0 if is_newest else 1)
        for path, wanted in self.result.wanted.items():
            entry = wanted.entry
            if wanted.encoding is not None and wanted.target in existing:
                entry = entry._replace(size_bytes=existing[wanted.target].st_size)
            record.files[path] = entry
        if self.result.previous is not None:
            for path, entry in self.result.previous.files.items():
                if path not in record.files:
                    record.files[path] = entry._replace(past=True, source=None)

    def _content_id(self) -> str:
        digest = hashlib.sha256()
        for path, wanted in sorted(self.result.wanted.items()):
            if wanted.source is not None and not wanted.second_name:
                line = [path, wanted.entry.sha256, wanted.entry.immutable]
                digest.update(json.dumps(line).encode("ascii"))
        return digest.hexdigest()[:12]

    def _compare_manifest(self) -> None:
        path = self.options.manifest
        if path is None or not self.options.fingerprint or self.result.unknown:
            return
        content = json.dumps(self.second_names, indent=1, sort_keys=True).encode("ascii") + b"\n"
        try:
            with open(path, "rb") as file:
                if file.read() == content:
                    return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise PublishError(f"{path}: {error.strerror}. Move it away.") from error
        self.result.manifest = (path, content)


def _base(path: str, files: t.Container[str], encodings: t.Sequence[str]) -> str | None:
    """Return the file that a path is a sibling of by its name, if there is one."""
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and suffix in encodings and stem in files else None


def _changed_problem(path: str) -> str:
    return f"{printable(path)} was changed while it was read. Run the playbook again when that is over."


def _looks(status: os.stat_result, look: Look, mode: int) -> bool:
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
        look.uid,
        look.gid,
        mode,
    )


def _read_through(file: t.BinaryIO, asks: bool) -> tuple[str, int, bool | None]:
    with file:
        return _measured(file, asks)


def _measured(file: t.BinaryIO, asks: bool) -> tuple[str, int, bool | None]:
    """Return a file's SHA-256, its size in bytes, and when asked whether it shrinks."""
    digest = hashlib.sha256()
    meter = _precompress.Meter() if asks else None
    size_bytes = 0
    while True:
        block = file.read(BLOCK_BYTES)
        if not block:
            return digest.hexdigest(), size_bytes, meter.shrinks() if meter else None
        size_bytes += len(block)
        digest.update(block)
        if meter:
            meter.feed(block)


def _side_by_side(
    jobs: t.Iterable[tuple[_Key, t.Callable[[], _Result]]],
) -> t.Iterator[tuple[_Key, _Result]]:
    """Yield the results of jobs, in their order; as many run at once as there are processors."""
    processors = len(os.sched_getaffinity(0))
    waiting: collections.deque[tuple[_Key, concurrent.futures.Future[_Result]]]
    waiting = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(processors) as pool:
        for key, job in jobs:
            waiting.append((key, pool.submit(job)))
            # So many that none waits for another, and no more files are open than that.
            if len(waiting) > 4 * processors:
                done, result = waiting.popleft()
                yield done, result.result()
        for done, result in waiting:
            yield done, result.result()


def apply(root: str, planned: Plan, look: Look, reader: _as_user.Account | None = None) -> None:
    """Carry out a plan.

    Each file appears whole, by a rename within its directory, so a visitor gets the old one or the
    new one, also when this is killed. Only the record is synced to disk: what a power failure takes
    of the others, the next run finds missing or different.

    :raises PublishError: when the space does not suffice, before the first change; or when a file
        can't be read or written any more.
    """
    if planned.unknown:
        raise PublishError(
            f"The app's folder of {planned.unknown[0]} is not known. Ask the app first, or set folder."
        )
    root = real_root(root)
    _refuse_lack_of_space(root, planned)
    try:
        _make_root(root)
        with contextlib.ExitStack() as stack:
            records = stack.enter_context(contextlib.closing(_static_records.Records(root)))
            sources = stack.enter_context(contextlib.closing(Sources(reader)))
            tree = stack.enter_context(contextlib.closing(Tree(root)))
            _Publisher(planned, tree, sources, look, records).run()
    except _precompress.CompressError as error:
        raise PublishError(f"{error} What was published by then is whole.") from error
    except OSError as error:
        raise PublishError(
            f"{printable(str(error.filename or root))}: {error.strerror}. What was published by then is "
            "whole. Mend this, and run the playbook again."
        ) from error


def _refuse_lack_of_space(root: str, planned: Plan) -> None:
    files = [*planned.added, *planned.replaced]
    parent = root
    while not os.path.isdir(parent):
        parent = os.path.dirname(parent)
    free = os.statvfs(parent)
    sizes = {}
    for wanted in files:
        # A sibling that is yet to be made is smaller than its file.
        of = planned.wanted[wanted.entry.of or wanted.path].entry
        size_bytes = wanted.entry.size_bytes if wanted.encoding is None else of.size_bytes
        sizes[wanted.entry.sha256 or (of.sha256, wanted.encoding)] = size_bytes or 0
    needed_bytes = sum(-(-size // free.f_frsize) * free.f_frsize for size in sizes.values())
    free_bytes = free.f_bavail * free.f_frsize
    if needed_bytes > free_bytes:
        raise PublishError(
            f"{needed_bytes} bytes are to be published, and {parent} has {free_bytes} bytes free. "
            "Nothing was changed. Make room, or set flask_static_root to a larger file system."
        )
    # A file system that makes inodes as it needs them (btrfs) says 0 of 0.
    if free.f_files and len(sizes) > free.f_favail:
        raise PublishError(
            f"{len(sizes)} files are to be published, and {parent} has {free.f_favail} inodes free. "
            "Nothing was changed. Make room, or set flask_static_root to another file system."
        )


def _make_root(root: str) -> None:
    """Make the root, and what is above it such that Nginx can pass, whatever our umask is."""
    missing = []
    path = root
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        if path != root:
            os.chmod(path, 0o755)


class _Begun(t.NamedTuple):
    """A sibling that is being made, by a temporary name."""

    wanted: Wanted
    temporary: str
    descriptor: int


class _Publisher:
    """Carries out one plan."""

    def __init__(
        self,
        planned: Plan,
        tree: Tree,
        sources: Sources,
        look: Look,
        records: _static_records.Records,
    ) -> None:
        self.planned = planned
        self.tree = tree
        self.sources = sources
        self.look = look
        self.records = records
        self.there: dict[tuple[str | None, str | None], str] = {}
        self.stale = set(planned.removed)

    def run(self) -> None:
        """Carry it out."""
        planned, look = self.planned, self.look
        files = [*planned.added, *planned.replaced]
        if files or planned.removed:
            self.records.write(dataclasses.replace(planned.record, complete=False))
        for path in planned.leftovers:
            self._unlink(path)
        for path in planned.directories:
            directory, name = posixpath.split(path)
            if name:
                os.mkdir(name, 0o700, dir_fd=self.tree.directory(directory))
        for path in (*planned.directories, *planned.mended_directories):
            self._dress(self.tree.directory(path), look.directory_mode)
        for wanted in planned.mended_files:
            with self.tree.file(wanted.target) as file:
                self._dress(file.fileno(), look.file_mode, wanted.entry.mtime)
        changing = {wanted.path for wanted in files}
        for path, wanted in planned.wanted.items():
            if path not in changing:
                self.there.setdefault(self._content(wanted), wanted.target)
        replaced = {wanted.target for wanted in planned.replaced if wanted.entry.of}
        self.stale |= replaced
        self._publish(files)
        for path in sorted(self.stale - replaced):
            self._unlink(path)
        if planned.manifest is not None:
            _write_manifest(*planned.manifest)
        if planned.pending:
            self.records.write(planned.record)

    def _content(self, wanted: Wanted) -> tuple[str | None, str | None]:
        """Return what two files share that are the same."""
        if wanted.encoding is None:
            return wanted.entry.sha256, None
        return self.planned.wanted[str(wanted.entry.of)].entry.sha256, wanted.encoding

    def _publish(self, files: t.Sequence[Wanted]) -> None:
        siblings: dict[str, list[Wanted]] = {}
        for wanted in files:
            if wanted.entry.of is not None:
                siblings.setdefault(wanted.entry.of, []).append(wanted)
        changing = {wanted.path for wanted in files}
        alone = [of for of in siblings if of not in changing]
        again: list[Wanted] = []

        def jobs() -> t.Iterator[tuple[_Begun, t.Callable[[], None]]]:
            begun = set()
            for path in (*(w.path for w in files if w.entry.of is None), *alone):
                wanted = self.planned.wanted[path]
                if path in changing:
                    self._forget_siblings(wanted)
                    self._put(wanted)
                for sibling in siblings.get(path, []):
                    content = self._content(sibling)
                    if sibling.encoding is None or content in self.there:
                        self._put(sibling)
                    elif content in begun:
                        again.append(sibling)
                    else:
                        begun.add(content)
                        yield self._compression(wanted, sibling, sibling.encoding)

        for begun_sibling, _unused in _side_by_side(jobs()):
            # Not by the thread: only here are the ids surely our own.
            with open(begun_sibling.descriptor, "wb") as file:
                entry = begun_sibling.wanted.entry
                self._dress(file.fileno(), self.look.file_mode, entry.mtime)
            self._finish(begun_sibling.wanted, begun_sibling.temporary)
        for wanted in again:
            self._put(wanted)

    def _forget_siblings(self, wanted: Wanted) -> None:
        """Remove the siblings of what a file was before: none outlives it."""
        for encoding in (_precompress.GZIP, _precompress.BROTLI):
            path = f"{wanted.target}.{encoding}"
            if path in self.stale:
                self._unlink(path)

    def _compression(
        self, wanted: Wanted, sibling: Wanted, encoding: str
    ) -> tuple[_Begun, t.Callable[[], None]]:
        source = self.tree.file(wanted.target)
        descriptor = self.tree.directory(posixpath.dirname(sibling.target))
        temporary = TEMPORARY + secrets.token_hex(8)
        target = os.open(temporary, _NEW_FILE, 0o600, dir_fd=descriptor)

        def compress() -> None:
            with source:
                _precompress.compress(encoding, source.fileno(), target)

        return _Begun(sibling, temporary, target), compress

    def _finish(self, wanted: Wanted, temporary: str) -> None:
        """Let a file appear that is ready by a temporary name."""
        directory, name = posixpath.split(wanted.target)
        descriptor = self.tree.directory(directory)
        if wanted.encoding is not None:
            size_bytes = os.lstat(temporary, dir_fd=descriptor).st_size
            files = self.planned.record.files
            files[wanted.path] = files[wanted.path]._replace(size_bytes=size_bytes)
        os.rename(temporary, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        self.there.setdefault(self._content(wanted), wanted.target)

    def _put(self, wanted: Wanted) -> None:
        """Publish a file: by a link where its content is there, else by a copy."""
        directory, _name = posixpath.split(wanted.target)
        temporary = TEMPORARY + secrets.token_hex(8)
        there = self.there.get(self._content(wanted))
        linked = there is not None and self._link(there, directory, temporary)
        if not linked:
            self._copy(wanted, directory, temporary)
        self._finish(wanted, temporary)
        if linked:
            # Of two names of one file, rename(2) leaves both.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self.tree.directory(directory))

    def _link(self, there: str, directory: str, temporary: str) -> bool:
        source_directory, source = posixpath.split(there)
        descriptor = os.dup(self.tree.directory(source_directory))
        try:
            os.link(
                source,
                temporary,
                src_dir_fd=descriptor,
                dst_dir_fd=self.tree.directory(directory),
                follow_symlinks=False,
            )
        except OSError:
            # Some file systems have no hard links, and all have a limit.
            return False
        finally:
            os.close(descriptor)
        return True

    def _copy(self, wanted: Wanted, directory: str, temporary: str) -> None:
        descriptor = self.tree.directory(directory)
        target = os.open(temporary, _NEW_FILE, 0o600, dir_fd=descriptor)
        try:
            if wanted.source is None:
                of = self.planned.wanted[str(wanted.entry.of)]
                with self.tree.file(of.target) as plain:
                    _precompress.compress(str(wanted.encoding), plain.fileno(), target)
            else:
                digest = hashlib.sha256()
                with self.sources.file(wanted.folder, wanted.source) as source:
                    for block in iter(lambda: source.read(BLOCK_BYTES), b""):
                        digest.update(block)
                        _precompress.write_all(target, block)
                if digest.hexdigest() != wanted.entry.sha256:
                    raise PublishError(_changed_problem(os.path.join(wanted.folder, wanted.source)))
            self._dress(target, self.look.file_mode, wanted.entry.mtime)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self.tree.directory(directory))
            raise
        finally:
            os.close(target)

    def _dress(self, descriptor: int, mode: int, mtime: int | None = None) -> None:
        os.fchown(descriptor, self.look.uid, self.look.gid)
        os.fchmod(descriptor, mode)
        if mtime is not None:
            os.utime(descriptor, (mtime, mtime))

    def _unlink(self, path: str) -> None:
        directory, name = posixpath.split(path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.tree.directory(directory))


def _write_manifest(path: str, content: bytes) -> None:
    """Write the manifest after the files that it names; every app may read it."""
    temporary = os.path.join(os.path.dirname(path), TEMPORARY + secrets.token_hex(8))
    try:
        descriptor = os.open(temporary, _NEW_FILE, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, 0o644)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def known_file(files: t.Iterable[Wanted]) -> dict[str, t.Any] | None:
    """Return a file of a mount that a proof can ask for: the first style sheet, script, or other.

    One that is large is only taken when all are.

    :return: its ``path`` below the mount, its ``size`` in bytes, its ``sha256`` and the ``etag``
        that Nginx gives it; ``None`` when there is none.
    """
    order = {".css": 0, ".js": 1, ".mjs": 1}
    found = min(
        (
            (
                wanted.entry.size_bytes > SAMPLE_LIMIT_BYTES,
                order.get(posixpath.splitext(wanted.source)[1], 2),
                wanted.source,
                wanted.entry,
            )
            for wanted in files
            if wanted.source is not None
            and not wanted.second_name
            and wanted.entry.size_bytes
            and printable(wanted.source) == wanted.source
        ),
        key=lambda item: item[:3],
        default=None,
    )
    if found is None:
        return None
    _unused, _order, source, entry = found
    # ngx_http_set_etag, src/http/ngx_http_core_module.c
    etag = f'"{entry.mtime:x}-{entry.size_bytes:x}"'
    return {"path": source, "size": entry.size_bytes, "sha256": entry.sha256, "etag": etag}
