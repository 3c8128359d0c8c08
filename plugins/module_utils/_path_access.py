# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a user can do along a path, and the first component that stops them.

The kernel decides: it is asked in a process of the user's, so modes, groups, ACLs, read-only
mounts and security modules all count. Modes and ACLs are read only to say *why* it refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import heapq
import os
import stat
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _acl,
    _as_user,
    _mounts,
    _names,
)

WANTS = ("traverse", "list", "read", "write")
ACL_ATTRIBUTE = "system.posix_acl_access"
# path_resolution(7): the kernel follows at most 40 links
MAX_SYMLINKS = 40
# How long a directory is searched for its newest files; some 100,000 files a second are looked at.
SCAN_SECONDS = 5.0
CLOCK_EVERY = 256
UNREADABLE_SHOWN = 10
# Kinds of mode and owner that are told of; an app's own are a handful.
LOOKS_SHOWN = 50

Facts = dict[str, t.Any]


class PathAccessError(Exception):
    """A question that can't be asked."""


@dataclasses.dataclass(frozen=True)
class Question:
    """A path, what the user should be able to do there, and what they should not."""

    path: str
    want: tuple[str, ...]
    unwanted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.path.startswith("/"):
            raise PathAccessError(
                f"{self.path!r} is a relative path, which depends on who looks. Write it from the root, "
                "such as /var/www/gallery/media."
            )
        if "\0" in self.path:
            raise PathAccessError(f"{self.path!r} holds a NUL character, which no path can.")
        unknown = {*self.want, *self.unwanted} - {*WANTS}
        if unknown:
            raise PathAccessError(
                f"Nobody can want {', '.join(sorted(unknown))}. Write some of {', '.join(WANTS)}."
            )


def ask(
    who: _as_user.Account,
    questions: t.Sequence[Question],
    *,
    sample_files: int = 0,
    process_id: int | None = None,
) -> list[Facts]:
    """Return an answer for each question.

    :param sample_files: how many files below each directory are tried too.
    :param process_id: process whose view of the file system is asked about.
    :raises _as_user.AsUserError: when the user's or the process's place can't be taken.
    """
    if process_id is None:
        return _ask_in(None, who, questions, sample_files, _mounts.mounts())
    with _as_user.view_of(process_id) as view:
        return _ask_in(
            view, who, questions, sample_files, _mounts.mounts(f"/proc/{process_id}/mountinfo")
        )


def _ask_in(
    view: int | None,
    who: _as_user.Account,
    questions: t.Sequence[Question],
    sample_files: int,
    table: list[Facts],
) -> list[Facts]:
    paths = [question.path for question in questions]
    # Who asks sees past what stops the user, so the path itself is described all the same.
    described = _as_user.call(None, _describe, paths, sample_files, table, view=view)
    scans = [facts.pop("scan") for facts in described]
    answers = _as_user.call(who, _ask_each, who, questions, scans, view=view)
    return [_merged(facts, answer, scan) for facts, answer, scan in zip(described, answers, scans)]


def _merged(facts: Facts, answer: Facts, scan: Facts | None) -> Facts:
    samples = _samples(answer, scan)
    # On NFS the user may see what root may not (exports(5), root_squash).
    resolved = answer["resolved"] or facts["resolved"]
    exists = facts["exists"] or answer["resolved"] is not None
    return _named({**facts, **answer, "resolved": resolved, "exists": exists, "samples": samples})


def _ask_each(
    who: _as_user.Account, questions: t.Sequence[Question], scans: t.Sequence[Facts | None]
) -> list[Facts]:
    """Runs in the user's process."""
    return [
        {
            **walk(who, question),
            "granted": _granted(question.path, question.unwanted),
            "unreadable": _unreadable(who, scan["files"] if scan else []),
            "grants": _grants(question, scan) if scan else [],
        }
        for question, scan in zip(questions, scans)
    ]


def _granted(path: str, unwanted: t.Sequence[str]) -> list[str]:
    return [want for want in unwanted if _try(path, want) == 0]


def _grants(question: Question, scan: Facts) -> list[Facts]:
    """Return what should not be possible and is, with the files tried and one of each look."""
    if not question.unwanted:
        return []
    found = []
    for path in dict.fromkeys([*scan["files"], *(look["path"] for look in scan["looks"])]):
        granted = _granted(path, question.unwanted)
        if granted:
            facts = {key: value for key, value in _component(path).items() if key in _LOOK_KEYS}
            found.append({"path": _shown(path), "granted": granted, **facts})
    return found


def _unreadable(who: _as_user.Account, files: t.Sequence[str]) -> list[Facts]:
    found = []
    for file in files:
        answer = walk(who, Question(file, ("read",)))
        stop = answer["blocked_by"]
        # A file may be gone since it was listed.
        if stop and stop["reason"] != "missing":
            found.append({"path": _shown(file), **{key: stop[key] for key in _SAMPLE_KEYS}})
    return found


_LOOK_KEYS = ("is_directory", "mode", "uid", "gid")
_SAMPLE_KEYS = ("component", "reason", *_LOOK_KEYS)


def _samples(answer: Facts, scan: Facts | None) -> Facts | None:
    unreadable, grants = answer.pop("unreadable"), answer.pop("grants")
    if scan is None:
        return None
    return {
        "checked": len(scan["files"]),
        "scanned": scan["scanned"],
        "complete": scan["complete"],
        "unreadable": [_named(sample) for sample in unreadable[:UNREADABLE_SHOWN]],
        "unreadable_count": len(unreadable),
        "granted": [_named(sample) for sample in grants[:UNREADABLE_SHOWN]],
        "granted_count": len(grants),
        "looks": [_named({**look, "path": _shown(look["path"])}) for look in scan["looks"]],
    }


def walk(who: _as_user.Account, question: Question) -> Facts:
    """Go down the path as the calling process, and stop where the kernel stops it.

    :return: ``allowed``, ``missing``, ``blocked_by``, ``resolved`` and the ``symlinks`` passed.
    """
    links: list[Facts] = []

    def answer(current: str | None, missing: t.Iterable[str], stop: Facts | None) -> Facts:
        return {
            "allowed": stop is None,
            "missing": list(missing),
            "blocked_by": stop,
            "resolved": None if current is None else _shown(current),
            "symlinks": links,
        }

    def refused(component: str, want: str, code: int | None) -> Facts:
        facts = _component(component)
        name = errno.errorcode.get(code or 0, str(code))
        return {
            **facts,
            "reason": reason(who, want, code, facts, _selinux_enforces()),
            "errno": name,
        }

    current = "/"
    pending = _parts(question.path)
    while pending:
        code = _try(current, "traverse")
        if code:
            return answer(None, question.want, refused(current, "traverse", code))
        name = pending.pop(0)
        if name == "..":
            current = os.path.dirname(current)
            continue
        step = os.path.join(current, name)
        try:
            target = os.readlink(step)
        except OSError as error:
            # EINVAL is readlink(2)'s word for "no link".
            if error.errno != errno.EINVAL:
                return answer(None, question.want, refused(step, "reach", error.errno))
            current = step
            continue
        links.append({"path": _shown(step), "target": _shown(target)})
        code = errno.ELOOP if len(links) > MAX_SYMLINKS else _follow(step)
        # Any other fault is the target's, and is met there.
        if code == errno.ELOOP or (code == errno.EACCES and not pending and _is_guarded(step)):
            return answer(None, question.want, refused(step, "follow", code))
        pending = _parts(target) + pending
        if target.startswith("/"):
            current = "/"

    faults = [(want, code) for want in question.want for code in [_try(current, want)] if code]
    stop = refused(current, *faults[0]) if faults else None
    return answer(current, [want for want, _unused in faults], stop)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


_libc = ctypes.CDLL(None, use_errno=True)


def _access(path: str, mode: int) -> int:
    """Return 0, or the errno of access(2), which :func:`os.access` keeps to itself."""
    if _libc.access(os.fsencode(path), mode) == 0:
        return 0
    return ctypes.get_errno()


def _follow(link: str) -> int:
    try:
        os.stat(link)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _is_guarded(link: str) -> bool:
    """Return whether the kernel keeps the caller from following a link that ends a path.

    proc_sys_fs(5), protected_symlinks.
    """
    try:
        with open("/proc/sys/fs/protected_symlinks", "rb") as flag:
            if flag.read().strip() == b"0":
                return False
    except OSError:
        pass
    directory = os.stat(os.path.dirname(link))
    sticky_for_all = stat.S_ISVTX | stat.S_IWOTH
    return (
        directory.st_mode & sticky_for_all == sticky_for_all
        and os.lstat(link).st_uid not in (directory.st_uid, os.geteuid())
    )  # fmt: skip


def _try(path: str, want: str) -> int:
    """Return 0 if the calling process may do it, else the errno."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return error.errno or errno.EIO
    directory = stat.S_ISDIR(mode)
    if want in ("traverse", "list") and not directory:
        return errno.ENOTDIR
    if want == "traverse":
        return _access(path, os.X_OK)
    if want == "write":
        # Creating a file takes both (path_resolution(7), unlink(2)).
        return _access(path, os.W_OK | (os.X_OK if directory else 0))
    code = _access(path, os.R_OK)
    # Opening asks the file system and the security module too; a device or FIFO might act on it.
    if not code and (directory or stat.S_ISREG(mode)):
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
        except OSError as error:
            code = error.errno or errno.EIO
    return code


_NEEDED = {"traverse": 1, "list": 4, "read": 4}
_REASONS = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "not-a-directory",
    errno.EROFS: "read-only-filesystem",
    errno.ELOOP: "symlink-blocked",
    errno.ENAMETOOLONG: "missing",
}
_REFUSALS = {
    "traverse": "not-traversable",
    "reach": "not-traversable",
    "follow": "symlink-blocked",
    "list": "not-readable",
    "read": "not-readable",
    "write": "not-writable",
}


def reason(who: _as_user.Account, want: str, code: int | None, facts: Facts, selinux: bool) -> str:
    """Say in the words of findings why the kernel refused.

    :param want: one of ``WANTS``, or ``reach`` (look a name up), or ``follow`` (a link).
    :param facts: of the component, as ``walk`` returns them.
    :param selinux: whether SELinux enforces its policy.
    """
    if code in _REASONS:
        return _REASONS[code]
    refusal = _REFUSALS[want]
    if code != errno.EACCES or facts["mode"] is None or want in ("reach", "follow"):
        return refusal
    needed = _NEEDED.get(want) or (3 if facts["is_directory"] else 2)
    entries = [_acl.AclEntry(*entry) for entry in facts["acl_entries"]]
    if not entries:
        entries = _entries_of_mode(int(facts["mode"], 8))
    owner, group = facts["uid"], facts["gid"]
    if _permits(entries, who, owner, group, needed):
        return "selinux-label" if selinux else refusal
    unmasked = [entry for entry in entries if entry.tag != _acl.MASK]
    if _permits(unmasked, who, owner, group, needed):
        return "acl-mask"
    return refusal


def _permits(
    entries: t.Sequence[_acl.AclEntry], who: _as_user.Account, owner: int, group: int, needed: int
) -> bool:
    """The access check algorithm of acl(5), as Linux has it."""
    mask = next((entry.permissions for entry in entries if entry.tag == _acl.MASK), 7)
    if mask == 0:
        # An ACL with an empty mask isn't looked at, only the mode (fs/namei.c,
        # acl_permission_check): whom it names counts among the others then.
        entries = [entry for entry in entries if entry.tag not in (_acl.USER, _acl.GROUP)]

    def grants(entry: _acl.AclEntry, limit: int = 7) -> bool:
        return entry.permissions & limit & needed == needed

    def of(*tags: int) -> list[_acl.AclEntry]:
        return [entry for entry in entries if entry.tag in tags]

    if who.uid == owner:
        return any(grants(entry) for entry in of(_acl.USER_OBJ))
    named = [entry for entry in of(_acl.USER) if entry.id == who.uid]
    if named:
        return grants(named[0], mask)
    groups = {who.gid, *who.groups}
    matching = [
        entry
        for entry in of(_acl.GROUP_OBJ, _acl.GROUP)
        if (group if entry.tag == _acl.GROUP_OBJ else entry.id) in groups
    ]
    if matching:
        return any(grants(entry, mask) for entry in matching)
    return any(grants(entry) for entry in of(_acl.OTHER))


def _entries_of_mode(mode: int) -> list[_acl.AclEntry]:
    return [
        _acl.AclEntry(tag, mode >> shift & 7, 0)
        for tag, shift in ((_acl.USER_OBJ, 6), (_acl.GROUP_OBJ, 3), (_acl.OTHER, 0))
    ]


def permission_text(permissions: int) -> str:
    """Return three bits as ``ls`` and ``getfacl`` show them."""
    return "".join(
        letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
    )


def _read_acl(path: str) -> list[_acl.AclEntry]:
    try:
        return _acl.decode_acl(os.getxattr(path, ACL_ATTRIBUTE))
    except (OSError, ValueError):
        # None set, or a file system that keeps none.
        return []


def _component(path: str) -> Facts:
    """Describe a component; what can't be seen is ``None``."""
    facts: Facts = {
        "component": _shown(path),
        "mode": None,
        "uid": None,
        "gid": None,
        "is_symlink": False,
        "is_directory": False,
        "acl_entries": [],
    }
    try:
        status = os.lstat(path)
    except OSError:
        return facts
    link = stat.S_ISLNK(status.st_mode)
    facts.update(
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        uid=status.st_uid,
        gid=status.st_gid,
        is_symlink=link,
        is_directory=stat.S_ISDIR(status.st_mode),
        acl_entries=[] if link else [tuple(entry) for entry in _read_acl(path)],
    )
    return facts


def _named(facts: Facts) -> Facts:
    """Add names for ids, and an ACL's text. Runs outside any view, where the names are known."""
    if "uid" in facts:
        known = facts["uid"] is not None
        facts["owner"] = _names.user_name(facts["uid"]) if known else None
        facts["group"] = _names.group_name(facts["gid"]) if known else None
    if "acl_entries" in facts:
        entries = [_acl.AclEntry(*entry) for entry in facts.pop("acl_entries")]
        facts["acl"] = [_acl_text(entry) for entry in entries]
        facts["acl_mask"] = next(
            (permission_text(entry.permissions) for entry in entries if entry.tag == _acl.MASK),
            None,
        )
    if facts.get("blocked_by"):
        facts["blocked_by"] = _named(facts["blocked_by"])
    return facts


def _acl_text(entry: _acl.AclEntry) -> str:
    name = ""
    if entry.tag == _acl.USER:
        name = _names.user_name(entry.id)
    elif entry.tag == _acl.GROUP:
        name = _names.group_name(entry.id)
    return f"{_acl.NAMES[entry.tag]}:{name}:{permission_text(entry.permissions)}"


def _selinux_enforces() -> bool:
    try:
        # In bytes: the user may not be able to load a codec from this Python's library.
        with open("/sys/fs/selinux/enforce", "rb") as flag:
            return flag.read().strip() == b"1"
    except OSError:
        return False


def _shown(path: str) -> str:
    # A name that is no UTF-8 could not be printed, nor be sent as JSON to every reader.
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _describe(paths: t.Sequence[str], sample_files: int, table: list[Facts]) -> list[Facts]:
    """Describe each path as it is, whoever may see it. Runs as who asks, in the view."""
    described = []
    for path in paths:
        existing = os.path.realpath(path)
        facts: Facts = {
            "path": _shown(path),
            "exists": False,
            "resolved": None,
            "mode": None,
            "uid": None,
            "gid": None,
        }
        with contextlib.suppress(OSError):
            status = os.stat(path)
            facts.update(
                exists=True,
                resolved=_shown(existing),
                mode=f"{stat.S_IMODE(status.st_mode):04o}",
                uid=status.st_uid,
                gid=status.st_gid,
            )
        while not os.path.lexists(existing) and existing != "/":
            existing = os.path.dirname(existing)
        facts["filesystem"] = _mounts.file_system(existing, table)
        try:
            room = os.statvfs(existing)
        except OSError:
            facts.update(free_bytes=None, free_inodes=None)
        else:
            facts.update(free_bytes=room.f_bavail * room.f_frsize, free_inodes=room.f_favail)
        is_sampled = sample_files > 0 and os.path.isdir(path)
        facts["scan"] = newest_files(path, sample_files)._asdict() if is_sampled else None
        described.append(facts)
    return described


class Scan(t.NamedTuple):
    """What a scan found.

    :ivar files: the newest regular files, the newest first.
    :ivar scanned: how many entries were looked at.
    :ivar complete: whether that was all of them.
    :ivar looks: modes and owners of all that was looked at, the rarest first, each with its
        ``count`` and one ``path``.
    """

    files: list[str]
    scanned: int
    complete: bool
    looks: list[Facts]


def newest_files(directory: str, limit: int, clock: t.Callable[[], float] = time.monotonic) -> Scan:
    """Return the newest regular files below a directory, as far as they are found in time.

    Of the directories known so far the one that changed last is looked into next: a new file has
    changed its directory. So what the time does not suffice for is what has not changed for long,
    but for directories that are new below one that is not.

    Hidden files and directories are passed over: Nginx is to refuse them, and atomic writers
    use them while a file isn't ready.
    """
    deadline = clock() + SCAN_SECONDS
    scanned = 0
    looks: dict[tuple[int, int, int], list[t.Any]] = {}
    newest: list[tuple[float, str]] = []
    waiting = [(0.0, directory)]
    while waiting:
        if clock() > deadline:
            return Scan(_sorted(newest), scanned, False, _looks(looks))
        try:
            with os.scandir(heapq.heappop(waiting)[1]) as entries:
                for entry in entries:
                    scanned += 1
                    if scanned % CLOCK_EVERY == 0 and clock() > deadline:
                        return Scan(_sorted(newest), scanned, False, _looks(looks))
                    if entry.name.startswith("."):
                        continue
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if not is_directory and not entry.is_file(follow_symlinks=False):
                        continue
                    status = entry.stat(follow_symlinks=False)
                    look = status.st_mode, status.st_uid, status.st_gid
                    if look in looks:
                        looks[look][0] += 1
                    else:
                        looks[look] = [1, entry.path]
                    if is_directory:
                        heapq.heappush(waiting, (-status.st_mtime, entry.path))
                    else:
                        item = status.st_mtime, entry.path
                        if len(newest) < limit:
                            heapq.heappush(newest, item)
                        else:
                            heapq.heappushpop(newest, item)
        except OSError:
            # Removed meanwhile, or closed to who asks too.
            continue
    return Scan(_sorted(newest), scanned, True, _looks(looks))


def _looks(counted: t.Mapping[tuple[int, int, int], list[t.Any]]) -> list[Facts]:
    rarest = sorted(counted.items(), key=lambda item: item[1][0])[:LOOKS_SHOWN]
    return [
        {
            "is_directory": stat.S_ISDIR(mode),
            "mode": f"{stat.S_IMODE(mode):04o}",
            "uid": uid,
            "gid": gid,
            "count": count,
            "path": path,
        }
        for (mode, uid, gid), (count, path) in rarest
    ]


def _sorted(newest: t.Iterable[tuple[float, str]]) -> list[str]:
    return [path for _unused, path in sorted(newest, reverse=True)]
