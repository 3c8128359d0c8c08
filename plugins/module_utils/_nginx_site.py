# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""One file of an Nginx configuration, put live only if Nginx takes the whole tree with it.

At every moment, also when this is killed, what is on disk passed Nginx's test.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import shutil
import tempfile
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _nginx_process,
    _nginx_tree,
    _process,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._nginx_tree import (
    Build,
    Change,
    Message,
    NginxError,
    Stage,
    Verdict,
)

LOCK_SECONDS = 120
_POLL_SECONDS = 0.1
# A unix socket's path has 107 bytes at most (unix(7)); this leaves room for the names below it.
_STAGE_PARENT_BYTES = 70
# Where the link of an Undo leads when there was no file before.
_NOTHING_BEFORE = "nothing-before"

Writer = t.Callable[[bytes], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What would change.

    :ivar before: content now, ``None`` when there is no file.
    :ivar changes: whether the content changes.
    :ivar pending: whether Nginx has yet to read what is on disk already.
    :ivar included: whether the configuration includes the file.
    :ivar master: the running Nginx, or ``None``.
    :ivar warnings: what Nginx said of the tree as it would be, though it passed.
    """

    before: bytes | None
    changes: bool
    pending: bool
    included: bool
    master: _nginx_process.Master | None
    warnings: tuple[Message, ...]


class Undo:
    """What was there before a change, kept beside the file until Nginx has loaded the change.

    Its name begins with a period, so that no include's wildcard matches it. One that a killed run
    left behind tells the next that a reload is due.
    """

    def __init__(self, target: str) -> None:
        directory, name = os.path.split(target)
        self._target = target
        self.path = os.path.join(directory, f".{name}.previous")

    def exists(self) -> bool:
        return os.path.lexists(self.path)

    def begin(self) -> None:
        """Keep what is there now. What a killed run kept is older, and stays."""
        if self.exists():
            return
        if not os.path.lexists(self._target):
            os.symlink(_NOTHING_BEFORE, self.path)
            return
        try:
            os.link(self._target, self.path, follow_symlinks=False)
        except OSError:
            # A file system without hard links
            temporary = f"{self.path}.new"
            _copy(self._target, temporary)
            os.replace(temporary, self.path)

    def restore(self) -> None:
        if os.path.islink(self.path) and os.readlink(self.path) == _NOTHING_BEFORE:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._target)
        else:
            os.replace(self.path, self._target)
        # Also where replace() did nothing, since both were the same file.
        self.end()

    def end(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class Site:
    """A change of one file, within the configuration that an Nginx was built to load.

    :param context: ``http`` for a file that the http block includes, ``server`` for one that a
        server block of the user's includes, perhaps later.
    :param together_with: changes that others are about to make, and that are tested along.
    :param depends_on: files that Nginx reads when it loads the configuration, such as certificates.
    """

    def __init__(
        self,
        build: Build,
        change: Change,
        context: str,
        temporary_directory: str | None = None,
        together_with: t.Sequence[Change] = (),
        depends_on: t.Sequence[str] = (),
    ) -> None:
        self.depends_on = depends_on
        self.build = build
        self.change = change
        self.context = context
        self.together_with = together_with
        self.undo = Undo(change.target)
        directory, name = os.path.split(change.target)
        # A period begins the name, lest an include's wildcard matches it.
        self.temporary_file = os.path.join(directory, f".{name}.new")
        is_short = len(os.fsencode(temporary_directory or "")) <= _STAGE_PARENT_BYTES
        self._temporary_directory = temporary_directory if is_short else None

    @contextlib.contextmanager
    def lock(self) -> t.Iterator[None]:
        """Keep others of these changes out, each of which would be tested without the other's."""
        deadline = time.monotonic() + LOCK_SECONDS
        descriptor = os.open(self.build.conf_directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise NginxError(
                            f"Another run has held the lock on {self.build.conf_directory} for "
                            f"{LOCK_SECONDS} s. Let it end, then run again. Nothing was changed."
                        ) from None
                    time.sleep(_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def plan(self) -> Plan:
        """Test the tree as it would be.

        :raises NginxError: when the change is refused.
        """
        self._require_directory()
        before = read(self.change)
        with tempfile.TemporaryDirectory(prefix="nginx-", dir=self._temporary_directory) as stages:
            stage = Stage(
                self.build, os.path.join(stages, "after"), self.change, self.together_with
            )
            if not stage.included and self.context == "server":
                stage.add_probe()
            verdict = stage.test()
            if not verdict.passed:
                baseline = Stage(self.build, os.path.join(stages, "before"), None)
                raise self._refusal(verdict.fault, baseline.test(), before)
        if not stage.included and self.context == "http" and self.change.content is not None:
            raise self._not_included(stage.http_includes)
        master = _nginx_process.find_master(stage.pid_file, self.build.conf_file)
        changes = before != self.change.content
        pending = self._is_pending(master) and not changes
        return Plan(before, changes, pending, stage.included, master, verdict.messages)

    def _require_directory(self) -> None:
        """Refuse a file in a directory that is neither there nor to be made in Nginx's own."""
        parent = os.path.dirname(self.change.target)
        own = os.path.realpath(self.build.conf_directory)
        existing = parent
        while not os.path.lexists(existing):
            existing = os.path.dirname(existing)
        is_own = os.path.commonpath([own, existing]) == own
        if self.change.content is not None and not (
            os.path.isdir(existing) and (existing == parent or is_own)
        ):
            raise NginxError(f"{parent} is no directory. Create it first. Nothing was changed.")

    def apply(self, plan: Plan, write: Writer, reload: bool = True) -> bool:
        """Do what was planned, and return whether Nginx was reloaded.

        :param write: puts content in the target's place in one step, and sets its attributes. Also
            called when only these are to be set.
        :raises NginxError: when Nginx refuses to load the change, which is undone then.
        """
        if plan.changes:
            os.makedirs(os.path.dirname(self.change.target), mode=0o755, exist_ok=True)
            self.undo.begin()
        elif self.undo.exists() and _is_same_file(self.undo.path, self.change.target):
            # Killed before it wrote: there is nothing to go back to.
            self.undo.end()
        try:
            if self.change.content is not None:
                write(self.change.content)
            elif plan.changes:
                os.unlink(self.change.target)
        except (OSError, SystemExit):
            self._remove_temporary_file()
            if plan.changes and read(self.change) == plan.before:
                # Nothing was written, so nothing is to be undone.
                self.undo.end()
            raise
        # Setting attributes moves the ctime, so that it is asked again.
        is_due = plan.changes or plan.pending or self._is_pending(plan.master)
        reloads = reload and plan.master is not None and is_due
        # A killed run's
        self._remove_temporary_file()
        if reloads and plan.master is not None:
            self._reload(plan.master)
        self.undo.end()
        return reloads

    def _remove_temporary_file(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.temporary_file)

    def _is_pending(self, master: _nginx_process.Master | None) -> bool:
        """Return whether Nginx may serve without what is on disk.

        Of a file that is gone there is no ctime, so only what a killed run left tells.
        """
        if master is None:
            return False
        if self.undo.exists():
            return True
        if self.change.content is None:
            return False
        return any(master.pending_since(changed_ns) for changed_ns in self._changed_ns())

    def _changed_ns(self) -> t.Iterator[int]:
        for path in (self.change.target, *self.depends_on):
            with contextlib.suppress(FileNotFoundError):
                yield os.stat(path).st_ctime_ns
                # A link that was led to another file, as certbot does
                yield os.lstat(path).st_ctime_ns

    def _reload(self, master: _nginx_process.Master) -> None:
        self._settle()
        try:
            _nginx_process.reload(master)
        except _nginx_process.ReloadRefusedError as refusal:
            raise self._undone(master, refusal) from refusal
        except _nginx_process.ReloadUnfinishedError as unfinished:
            raise NginxError(
                f"{unfinished} {self.change.path} is in place, and whether Nginx has loaded it is "
                "not known. See its error log, then run again: the reload will be tried again.",
                broken_before=False,
            ) from unfinished

    def _settle(self) -> None:
        for path in (self.change.target, *self.depends_on):
            with contextlib.suppress(FileNotFoundError):
                _process.settle(path)

    def _undone(
        self, master: _nginx_process.Master, refusal: _nginx_process.ReloadRefusedError
    ) -> NginxError:
        """Put back what was there, and return what to tell."""
        path = self.change.path
        said = "; ".join(refusal.messages) or "it gave no reason in a log file"
        next_step = "Mend that, then run again."
        if "bind()" in said:
            next_step = "Free that address or listen on another, then run again."
        facts: dict[str, t.Any] = {"messages": refusal.messages, "file": path, "foreign": False}
        if not self.undo.exists():
            return NginxError(
                f"{path} is in place as wanted, and passes Nginx's test, but Nginx refuses to load "
                f"it: {said}. It serves what it had loaded before. {next_step}",
                **facts,
            )
        self.undo.restore()
        self._settle()
        try:
            _nginx_process.reload(master)
        except (_nginx_process.ReloadRefusedError, _nginx_process.ReloadUnfinishedError) as again:
            return NginxError(
                f"Nginx refuses to load {path}: {said}. What was there before is back, but Nginx "
                f"refuses that too: {again}. So it may have been so before. {next_step}",
                broken_before=True,
                **facts,
            )
        return NginxError(
            f"{path} passes Nginx's test, but Nginx refuses to load it: {said}. What was there "
            f"before is back, and Nginx serves it. {next_step}",
            broken_before=False,
            **facts,
        )

    def _refusal(self, fault: Message, baseline: Verdict, before: bytes | None) -> NginxError:
        path = self.change.path
        is_own = fault.file is not None and self.change.is_at(fault.file)
        broken_before = not baseline.passed
        told = [f"Nginx refuses the configuration: {fault.text}."]
        if is_own and not (broken_before and before == self.change.content):
            told.append(f"Mend the content for {path}.")
        elif broken_before:
            old = baseline.fault
            said = "" if old == fault else f" ({old.text})"
            told.append(
                f"It was broken before this change{said}, and Nginx could not start anew with it. "
                "Mend that first."
            )
        elif self.change.content is None:
            told.append(f"Other files need {path}. Remove what refers to it first.")
        elif fault.file is None:
            told.append(f"Without {path} it passes: mend its content, or what that refers to.")
        else:
            told.append(f"Without {path} it passes, so the two can't go together. Change one.")
        told.append("Nothing was changed.")
        return NginxError(
            " ".join(told),
            file=fault.file,
            line=fault.line,
            foreign=bool(fault.file) and not is_own,
            broken_before=broken_before,
            messages=[fault.text],
        )

    def _not_included(self, http_includes: list[str]) -> NginxError:
        path, conf_file = self.change.path, self.build.conf_file
        patterns = [pattern for pattern in http_includes if _nginx_tree.is_pattern(pattern)]
        advice = f"Add an include of {path} to the http block of {conf_file}"
        if patterns:
            advice += f", or choose a path that it includes: {' or '.join(patterns)}"
        return NginxError(
            f"Nginx would never read {path}: nothing in {conf_file} includes it. {advice}. "
            "Nothing was changed.",
            file=conf_file,
            foreign=True,
            broken_before=False,
        )


def _copy(source: str, target: str) -> None:
    """Copy a file or a link; at no moment may more users read the copy than may read the file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(source, "rb") as file, open(os.open(target, flags, 0o600), "wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        status = os.fstat(file.fileno())
        os.fchown(copy.fileno(), status.st_uid, status.st_gid)
        # Last, and with it the label: copystat() knows extended attributes.
        shutil.copystat(source, target)
        os.fsync(copy.fileno())


def _is_same_file(one: str, other: str) -> bool:
    try:
        return os.path.samestat(os.lstat(one), os.lstat(other))
    except FileNotFoundError:
        return False


def read(change: Change) -> bytes | None:
    """Return what a change's path holds now: its content, or where the link leads that is to go.

    :return: ``None`` when there is nothing.
    :raises NginxError: when it can't be read.
    """
    try:
        if os.path.islink(change.target):
            return os.fsencode(os.readlink(change.target))
        with open(change.target, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NginxError(
            f"{change.path} can't be read: {error.strerror}. Nothing was changed."
        ) from error
