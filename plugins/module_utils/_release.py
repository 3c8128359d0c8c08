# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Releases of an app: each a virtualenv of its own, ``current`` a link to the one in use.

ROOT/releases/ID/              the virtualenv
ROOT/releases/ID/release.json  its record, written last; without it the release is half-made
ROOT/current -> releases/ID
ROOT/.lock                     held by who changes any of these

Whoever holds the lock knows that everything half-made is a killed run's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import glob
import json
import os
import shutil
import typing as t

MARKER = "release.json"
PREVIOUS = "previous"
# What a build or a switch has begun, below ROOT and in a release.
LEFTOVERS = (".build-*", "current.*", f"releases/*/{MARKER}.new")

Record = dict[str, t.Any]


class ReleaseError(Exception):
    """A release can't be built, found or switched to. The one in use is untouched."""


@dataclasses.dataclass(frozen=True)
class Pruning:
    """What is taken away.

    :ivar kept: ids of the releases that stay.
    :ivar removed: ids of whole releases that are no longer wanted.
    :ivar leftovers: paths that killed runs left, half-made releases among them.
    """

    kept: list[str]
    removed: list[str]
    leftovers: list[str]


@dataclasses.dataclass(frozen=True)
class Releases:
    """The releases of one app on this host.

    :ivar root: ``flask_app_root``.
    """

    root: str

    @property
    def current(self) -> str:
        """The link that names the release in use."""
        return os.path.join(self.root, "current")

    def path(self, release: str) -> str:
        """Directory of a release, which is its virtualenv."""
        return os.path.join(self.root, "releases", release)

    def is_built(self, release: str) -> bool:
        """Whether the release is there, whole."""
        return os.path.isfile(os.path.join(self.path(release), MARKER))

    def current_id(self) -> str | None:
        """Return the id of the release in use, or ``None``.

        :raises ReleaseError: when ``current`` is something of somebody else's.
        """
        if os.path.lexists(self.current) and not os.path.islink(self.current):
            raise ReleaseError(
                f"{self.current} is no link to a release but a real directory or file, which may hold data. "
                "Nothing was changed. Move it away, or set flask_app_root to another directory."
            )
        return current_id(self.root)

    def records(self) -> dict[str, Record]:
        """Return the record of each whole release, in the order of their deploys."""
        found = {release: self._record(release) for release in built_ids(self.root)}
        return dict(sorted(found.items(), key=lambda item: _deployed(item[1])))

    def find(self, name: str, process_id: int | None = None) -> str:
        """Return the id of the release that a name stands for.

        :param name: an id, or ``previous``: the one that was in use when the current one was
            deployed.
        :param process_id: the app's main process. A run that was killed after it switched has
            left another release running than the current one; of the two, the one deployed last
            is what ``previous`` starts from. So a rollback that is run again goes no further back.
        :raises ReleaseError: which lists what is there.
        """
        records = self.records()
        if name != PREVIOUS:
            if name not in records:
                raise ReleaseError(
                    f"{self.path(name)} is not there, or half-made. {_list(records)}"
                )
            return name
        running = self.running_in([process_id]) if process_id else set()
        in_use = [each for each in records if each == self.current_id() or each in running]
        if not in_use:
            raise ReleaseError(
                f"{self.current} leads to no release, so none is the one before. {_list(records)}"
            )
        before = _before(records, in_use[-1])
        if before is None:
            raise ReleaseError(f"No release was deployed before {in_use[-1]}. {_list(records)}")
        return before

    def switch(self, release: str, *, is_deploy: bool) -> None:
        """Make a release the current one, by one rename.

        :param is_deploy: whether it counts as deployed now. One that is gone back to keeps its
            place in the order.
        :raises ReleaseError: when it isn't there.
        """
        with self.locked():
            records = self.records()
            if release not in records:
                raise ReleaseError(
                    f"{self.path(release)} is not there, or half-made. Build it first. {_list(records)}"
                )
            replaced = self.current_id()
            if is_deploy:
                deployed = _now_after(max(map(_deployed, records.values()), default=""))
                self.write_record(
                    release, {**records[release], "deployed": deployed, "replaced": replaced}
                )
            # https://pubs.opengroup.org/onlinepubs/9699919799/functions/rename.html
            temporary = f"{self.current}.{release}"
            if os.path.lexists(temporary):
                os.unlink(temporary)
            os.symlink(os.path.join("releases", release), temporary)
            os.replace(temporary, self.current)

    def plan_pruning(self, keep: int) -> Pruning:
        """Return what pruning would take away.

        The current release is kept, what any process runs, those that rollbacks from the current
        one go to, and, after a rollback, those deployed next after it.

        :param keep: how many of each.
        """
        records = self.records()
        current = self.current_id()
        order = [release for release in records if _deployed(records[release])]
        at = order.index(current) if current in order else len(order)
        kept = {*order[at : at + 1 + keep]}
        before = current if current in order else None
        for _unused in range(keep):
            before = _before(records, before) if before else None
            kept |= {before} if before else set()
        kept |= self.running_in(_process_ids())
        if current is not None:
            kept.add(current)
        return Pruning(
            sorted(kept & records.keys()), sorted(records.keys() - kept), self.leftovers(kept)
        )

    def prune(self, keep: int) -> Pruning:
        """Take away what no longer is wanted."""
        with self.locked():
            plan = self.plan_pruning(keep)
            for release in plan.removed:
                self._remove(self.path(release))
            self.clean(plan.leftovers)
        return plan

    def leftovers(self, kept: t.Collection[str] = ()) -> list[str]:
        """Return what killed runs left. True only for who holds the lock."""
        half_made = [
            path
            for path in glob.glob(os.path.join(glob.escape(self.root), "releases", "*"))
            if not os.path.lexists(os.path.join(path, MARKER))
            and os.path.basename(path) not in kept
        ]
        others = [
            path
            for pattern in LEFTOVERS
            for path in glob.glob(os.path.join(glob.escape(self.root), pattern))
            # A name of the user's own, such as current.bak, is none of ours.
            if not pattern.startswith("current") or os.path.islink(path)
        ]
        return sorted([*half_made, *others])

    def clean(self, paths: t.Iterable[str]) -> None:
        """Take away leftovers."""
        for path in paths:
            self._remove(path)

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[int]:
        """Yield a descriptor of the lock, which a process that inherits it holds too."""
        descriptor = os.open(
            os.path.join(self.root, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def running_in(self, process_ids: t.Iterable[int]) -> set[str]:
        """Return the ids of the releases that processes run in, by working directory or command."""
        return {
            release
            for pid in process_ids
            for path in _places(pid)
            for release in self._holding(path)
        }

    def write_record(self, release: str, record: Record) -> None:
        """Write a release's record, whole or not at all."""
        path = os.path.join(self.path(release), MARKER)
        temporary = f"{path}.new"
        with open(temporary, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(record, indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)

    def _record(self, release: str) -> Record:
        try:
            with open(os.path.join(self.path(release), MARKER), encoding="utf-8") as stream:
                record = json.load(stream)
        except (OSError, ValueError):
            record = None
        return record if isinstance(record, dict) else {}

    def _holding(self, path: str) -> t.Iterator[str]:
        prefix = os.path.join(os.path.realpath(self.root), "releases", "")
        if path.startswith(prefix):
            yield path[len(prefix) :].split("/", 1)[0]

    def _remove(self, path: str) -> None:
        """Remove a release or a leftover; killed in between, what is left is half-made."""
        try:
            if os.path.islink(path) or not os.path.isdir(path):
                os.unlink(path)
                return
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(path, MARKER))
            shutil.rmtree(path)
        except OSError as error:
            raise ReleaseError(
                f"{error.filename or path} can't be removed: {error.strerror}. "
                "See who uses it, and run the playbook again; the release in use goes on."
            ) from error


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


def now() -> str:
    """Return the time as records have it, which sorts as text."""
    return _written(datetime.datetime.now(datetime.timezone.utc))


def _written(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="microseconds")


def _now_after(last: str) -> str:
    """Return the time, and one that is later than ``last`` even if the clock was set back."""
    if now() > last:
        return now()
    return _written(datetime.datetime.fromisoformat(last) + datetime.timedelta(microseconds=1))


def _deployed(record: Record) -> str:
    """Return when a release was deployed last, or ``""``."""
    return str(record.get("deployed", record.get("built")) or "")


def _before(records: t.Mapping[str, Record], release: str) -> str | None:
    """Return the release to go back to from this one.

    That is the one that it replaced: another one deployed in between was gone back from, or did not
    run. When that one was pruned, or deployed again since, it is the one deployed before.

    :param records: in the order of their deploys.
    """
    earlier = [
        each for each in records if "" < _deployed(records[each]) < _deployed(records[release])
    ]
    replaced = records[release].get("replaced")
    return replaced if replaced in earlier else earlier[-1] if earlier else None


def _list(records: t.Mapping[str, Record]) -> str:
    if not records:
        return "There is no release. Deploy one."
    lines = [
        f"  {release}  deployed {_deployed(record) or 'never'}  {record.get('source', '')}".rstrip()
        for release, record in reversed(list(records.items()))
    ]
    return "\n".join(["There are:", *lines])


def _process_ids() -> t.Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _places(pid: int) -> t.Iterator[str]:
    """Yield the working directory of a process and each part of its command that is a path.

    Root in a container often may not see the former (CAP_SYS_PTRACE).
    """
    with contextlib.suppress(OSError):
        yield os.readlink(f"/proc/{pid}/cwd")
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            command = stream.read()
    except OSError:
        return
    yield from (os.fsdecode(part) for part in command.split(b"\0") if part.startswith(b"/"))
