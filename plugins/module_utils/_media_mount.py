# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""A file system for uploads: in /etc/fstab, mounted, marked, and nothing to be written beneath it.

What is mounted is asked of the kernel (``/proc/self/mountinfo``), never of fstab. What lies beneath
a mount is looked at in a mount namespace of one's own, where the mount can be taken away.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import re
import shutil
import stat
import subprocess
import tempfile
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _as_user,
    _host,
    _mounts,
)

FSTAB = "/etc/fstab"
MOUNTINFO = "/proc/self/mountinfo"
COMMAND_SECONDS = 120
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
# Nobody but root gets in: what is written there would be hidden by the mount, and lost to its users.
CLOSED_MODE = 0o000
SHOWN = 3
# Begins the names of the files that say whose media a file system has.
SENTINEL_PREFIX = ".flask_media_"
MARK = """By flaskworks.static_media: the uploads of {path} are in this file system.
The app's service does not start without this file, since what it wrote would then lie beneath a mount that is gone.
"""
# fsck_passno of fstab(5): 2 for file systems other than the root's. What is no device has no check.
CHECKED, UNCHECKED = 2, 0
# mount(8), "Filesystem-independent mount options", as far as the kernel has a flag for each mount
_FLAGS = {
    "ro": ("ro", True),
    "rw": ("ro", False),
    "nosuid": ("nosuid", True),
    "suid": ("nosuid", False),
    "nodev": ("nodev", True),
    "dev": ("nodev", False),
    "noexec": ("noexec", True),
    "exec": ("noexec", False),
}
_IMPLIED = {
    "defaults": ("rw", "suid", "dev", "exec"),
    "user": ("noexec", "nosuid", "nodev"),
    "users": ("noexec", "nosuid", "nodev"),
    "owner": ("nosuid", "nodev"),
    "group": ("nosuid", "nodev"),
}
# Set when asked for; their absence is left to the kernel, whose default (relatime) is another.
_TIMES = ("noatime", "nodiratime")
_TAGS = {
    "UUID": "by-uuid",
    "LABEL": "by-label",
    "PARTUUID": "by-partuuid",
    "PARTLABEL": "by-partlabel",
    "ID": "by-id",
}
# sched.h, sys/mount.h
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 0x40000, 2

Facts = dict[str, t.Any]


class MediaMountError(Exception):
    """The mount can't be as it was described. Says what is in the way, and what to do."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A mount as it was described.

    :ivar sentinel: name of the file at its top that says whose media it is.
    """

    src: str
    path: str
    fstype: str
    opts: str
    sentinel: str

    @property
    def options(self) -> list[str]:
        return self.opts.split(",")

    @property
    def is_bind(self) -> bool:
        return is_bind(self.opts)

    @property
    def mark(self) -> str:
        return os.path.join(self.path, self.sentinel)


def is_bind(opts: str) -> bool:
    return bool({"bind", "rbind"} & set(opts.split(",")))


@dataclasses.dataclass(frozen=True)
class Mount:
    """What the kernel says of a mount (proc_pid_mountinfo(5))."""

    source: str
    fstype: str
    root: str
    device: str
    flags: frozenset[str]

    @property
    def shown(self) -> str:
        within = "" if self.root == "/" else f", its directory {self.root}"
        return f"{self.source} ({self.fstype}{within})"


def flags(opts: str) -> frozenset[str]:
    """Return the flags that a mount with these options has; the last word on each one counts."""
    found: dict[str, bool] = {}
    for option in opts.split(","):
        for word in _IMPLIED.get(option, (option,)):
            if word in _FLAGS:
                name, is_set = _FLAGS[word]
                found[name] = is_set
            elif word in _TIMES:
                found[word] = True
    return frozenset(name for name, is_set in found.items() if is_set)


def flags_differ(opts: str, mount: Mount) -> bool:
    """Return whether the kernel has other flags than the options say."""
    wanted = flags(opts)
    strict = {name for name, _unused in _FLAGS.values()}
    return (wanted & strict) != (mount.flags & strict) or not wanted <= mount.flags


def parse_mounts(text: str) -> t.Iterator[tuple[str, Mount]]:
    """Yield each mount with where it is, in the order of the table."""
    for line in text.split("\n"):
        if line:
            fields = line.split(" ")
            facts = _mounts.parse_mount(line)
            options = set(facts["options"]) - {"rw"}
            yield (
                facts["mount_point"],
                Mount(
                    facts["device"],
                    facts["fstype"],
                    _decoded(fields[3]),
                    fields[2],
                    frozenset(options | ({"ro"} if facts["read_only"] else set())),
                ),
            )


def mount_at(path: str, table: str = MOUNTINFO) -> Mount | None:
    """Return what is mounted at a path, the uppermost, or ``None``."""
    with open(table, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        return dict(parse_mounts(stream.read())).get(path)


def is_source(wanted: Wanted, mount: Mount) -> bool:
    """Return whether what is mounted is what was described."""
    if wanted.is_bind:
        # A directory is one and the same by whatever path it is found.
        with contextlib.suppress(OSError):
            return os.path.samefile(wanted.src, wanted.path)
        return False
    device = resolve(wanted.src)
    with contextlib.suppress(OSError):
        status = os.stat(device)
        if stat.S_ISBLK(status.st_mode):
            number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
            # Of file systems that span devices (btrfs) the kernel tells the first one's name.
            return mount.device == number or _same_path(device, mount.source)
        if stat.S_ISREG(status.st_mode):
            return _backing_file(mount.source) == os.path.realpath(device)
    return mount.source.rstrip("/") == wanted.src.rstrip("/")


def _same_path(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _backing_file(source: str) -> str | None:
    name = os.path.basename(source)
    try:
        with open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8") as stream:
            return stream.read().rstrip("\n")
    except OSError:
        return None


def resolve(src: str) -> str:
    """Return the device that a tag of fstab(5) stands for, or the source as it is."""
    tag, equals, value = src.partition("=")
    if not equals or tag not in _TAGS:
        return src
    value = value.strip('"')
    link = f"/dev/disk/{_TAGS[tag]}/{value}"
    if os.path.exists(link):
        return os.path.realpath(link)
    found = _run(["findfs", f"{tag}={value}"])
    return found.stdout.strip() if found.returncode == 0 else src


def is_missing(wanted: Wanted) -> bool:
    """Return whether the source is of this host, and not there. Of a network's nobody knows."""
    source = resolve(wanted.src)
    if source.startswith("/") and not source.startswith("//"):
        return not os.path.exists(source)
    return source.partition("=")[0] in _TAGS and "=" in source


# fstab(5): blanks, tabs, line feeds and backslashes in a field are octal numbers. A number sign
# begins a comment only where a line begins, and is escaped for those who think otherwise.
_ESCAPED = {character: f"\\{ord(character):03o}" for character in " \t\n\\#"}
_OCTAL = re.compile(r"\\([0-7]{3})")
_LINE = re.compile(r"(?P<lead>[ \t]*)(?P<fields>[^ \t].*?)(?P<trail>[ \t\r]*)\Z", re.DOTALL)


def encoded(text: str) -> str:
    """Return a field as fstab(5) has it."""
    return "".join(_ESCAPED.get(character, character) for character in text)


def _decoded(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of fstab that describes a mount."""

    number: int
    src: str
    path: str
    fstype: str
    opts: str
    rest: tuple[str, ...]


def parse_fstab(text: str) -> list[Line]:
    """Return the lines that describe mounts, numbered from 1; comments and the like are passed over."""
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        fields = re.split(r"[ \t]+", line.strip(" \t\r"))
        if len(fields) >= 3 and not fields[0].startswith("#"):
            src, path, fstype, opts = (
                _decoded(field) for field in (*fields[:3], (fields[3:4] or ["defaults"])[0])
            )
            plain = path.rstrip("/") or "/"
            found.append(Line(number, src, plain, fstype, opts, tuple(fields[4:])))
    return found


def edited(text: str, wanted: Wanted) -> str:
    """Return fstab with the line of the mount; all others are as they were, to the byte.

    :raises MediaMountError: when several lines are for that place.
    """
    lines = [line for line in parse_fstab(text) if line.path == wanted.path]
    if len(lines) > 1:
        numbers = " and ".join(str(line.number) for line in lines)
        raise MediaMountError(
            f"{FSTAB} has several lines for {wanted.path}: {numbers}. Remove all but one of them."
        )
    described = (wanted.src, wanted.path, wanted.fstype, wanted.opts)
    fields = " ".join(encoded(field) for field in described)
    if lines:
        line = lines[0]
        if (line.src, line.path, line.fstype, line.opts) == described:
            return text
        all_lines = text.split("\n")
        ending = "\r" if all_lines[line.number - 1].endswith("\r") else ""
        rest = " ".join(line.rest) or f"0 {_check_order(wanted)}"
        all_lines[line.number - 1] = f"{fields} {rest}{ending}"
        return "\n".join(all_lines)
    # A last line without its end would grow by ours.
    lead = "\n" if text and not text.endswith("\n") else ""
    return f"{text}{lead}{fields} 0 {_check_order(wanted)}\n"


def _check_order(wanted: Wanted) -> int:
    is_tag = wanted.src.partition("=")[0] in _TAGS
    is_device = (is_tag or wanted.src.startswith("/dev/")) and not wanted.is_bind
    return CHECKED if is_device else UNCHECKED


def read_fstab(path: str = FSTAB) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def write_fstab(text: str, path: str = FSTAB) -> None:
    """Replace fstab in one step, with the mode, owner and label that it has."""
    target = os.path.realpath(path)
    descriptor, temporary = tempfile.mkstemp(prefix=".fstab-", dir=os.path.dirname(target))
    try:
        with open(
            descriptor, "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(descriptor, 0o644)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(target)
                os.fchown(descriptor, status.st_uid, status.st_gid)
                shutil.copystat(target, temporary)
            os.utime(temporary)
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def beneath(path: str) -> Facts | None:
    """Return ``owned``, ``mode`` and the names of what lies at a path beneath all mounts there.

    :return: ``None`` when there is nothing of that name.
    """
    found: Facts | None = _as_user.call(None, _beneath, path, False)
    return found


def close_beneath(path: str, mode: int = CLOSED_MODE, uid: int = 0, gid: int = 0) -> None:
    """Give the directory beneath all mounts to root, with nobody's permission to get in."""
    _as_user.call(None, _beneath, path, True, mode, uid, gid)


def _beneath(path: str, closes: bool, mode: int = 0, uid: int = 0, gid: int = 0) -> Facts | None:
    """Runs in a process of its own, which it gives another view of the mounts."""
    libc = ctypes.CDLL(None, use_errno=True)
    _demand(libc.unshare(_CLONE_NEWNS), "unshare", path)
    _demand(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount", "/")
    while mount_at(path) is not None:
        _demand(libc.umount2(os.fsencode(path), _MNT_DETACH), "umount2", path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise MediaMountError(f"{path} is no directory. Move it away.") from error
    try:
        if closes:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
        status = os.fstat(descriptor)
        return {
            "uid": status.st_uid,
            "gid": status.st_gid,
            "mode": stat.S_IMODE(status.st_mode),
            "names": sorted(os.listdir(descriptor)),
        }
    finally:
        os.close(descriptor)


def _demand(returned: int, call: str, path: str) -> None:
    if returned != 0:
        raise MediaMountError(
            f"{call} {path}: {os.strerror(ctypes.get_errno())}. Mounts are root's to make, and a container "
            "needs CAP_SYS_ADMIN for it."
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done, in this order.

    :ivar is_known: whether this source was mounted and marked here before.
    """

    actions: tuple[str, ...]
    fstab_before: str
    fstab_after: str
    mounted: Mount | None
    is_known: bool


def plan(wanted: Wanted, fstab: str = FSTAB) -> Plan:
    """Return what would make the mount as it was described.

    :raises MediaMountError: when something is in the way.
    """
    if os.path.realpath(wanted.path) != wanted.path:
        raise MediaMountError(
            f"{wanted.path} leads over a link to {os.path.realpath(wanted.path)}, and mounts know no links. "
            "Write where it leads as path, and as the media root."
        )
    before = read_fstab(fstab)
    after = edited(before, wanted)
    mounted = mount_at(wanted.path)
    under = beneath(wanted.path)
    actions = []
    if mounted is not None and not is_source(wanted, mounted):
        raise MediaMountError(
            f"{mounted.shown} is mounted at {wanted.path}, and {wanted.src} was described. Unmount it "
            f"(umount {wanted.path}) if it is the wrong one, or write its source as src."
        )
    _require_nothing_beneath(wanted, under, mounted is not None)
    if mounted is None and is_missing(wanted):
        raise MediaMountError(
            f"{wanted.src} is not there, so nothing can be mounted at {wanted.path}, and nothing was written "
            "there. Attach it, or mend src; lsblk -f lists what this host has."
        )
    if under is None:
        actions.append("make")
    is_closed = under is not None and (under["uid"], under["gid"], under["mode"]) == (
        (0, 0, CLOSED_MODE)
    )
    if not is_closed:
        actions.append("close")
    line = _line_in(before, wanted)
    # It is marked before fstab names it. A line of the user's own stands where nothing is closed yet.
    is_known = is_closed and line is not None and line.src == wanted.src
    if mounted is None:
        actions.append("mount")
    elif flags_differ(wanted.opts, mounted) or (line is None or line.opts != wanted.opts):
        actions.append("remount")
    if mounted is not None and is_known and not _is_of_others(wanted):
        _require_mark(wanted)
    elif mounted is None or not _is_marked(wanted):
        # Of what is not mounted yet nobody knows.
        actions.append("mark")
    if before != after:
        actions.append("fstab")
    if _reload_needed(wanted, before != after):
        actions.append("daemon-reload")
    return Plan(tuple(actions), before, after, mounted, is_known)


def _line_in(text: str, wanted: Wanted) -> Line | None:
    return next((line for line in parse_fstab(text) if line.path == wanted.path), None)


def _is_of_others(wanted: Wanted) -> bool:
    """Return whether another app has marked what is mounted, at this same place."""
    names = [name for name in os.listdir(wanted.path) if name.startswith(SENTINEL_PREFIX)]
    expected = MARK.format(path=wanted.path).encode()
    for name in names:
        with contextlib.suppress(OSError):
            # The app may have put a link there, a pipe, or a directory.
            descriptor = os.open(
                os.path.join(wanted.path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            )
            try:
                if name != wanted.sentinel and os.read(descriptor, len(expected) + 1) == expected:
                    return True
            finally:
                os.close(descriptor)
    return False


def _require_mark(wanted: Wanted) -> None:
    """Require that what was marked once is so still.

    A disk may have another one's name after a boot, and systemd makes the source of a bind mount
    where there is none (src/core/mount.c): to mark that would let uploads go astray.
    """
    if not _is_marked(wanted):
        if os.path.lexists(wanted.mark):
            raise MediaMountError(
                f"{wanted.mark} is no regular file, as it was when it was made. The app may write there, and "
                "so may have put it there. Move it away, and, if the uploads beside it are this app's, make an "
                "empty file of that name (touch)."
            )
        raise MediaMountError(
            f"{wanted.src}, mounted at {wanted.path}, is not what was mounted there before: {wanted.sentinel} is not "
            f"in it. Unmount it (umount {wanted.path}), attach the volume that has the uploads, and run this again. "
            "If a new one is meant, copy the uploads there, that file included."
        )


def _require_nothing_beneath(wanted: Wanted, under: Facts | None, is_mounted: bool) -> None:
    names = under["names"] if under else []
    if not names:
        return
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    parent = os.path.dirname(wanted.path)
    way = (
        f"Reach them beside the mount (mount --bind {parent} /mnt), and move them from "
        f"/mnt/{os.path.basename(wanted.path)} to where they belong"
        if is_mounted
        else f"Mount {wanted.src} elsewhere, copy them there (cp -a), and move them away from here"
    )
    raise MediaMountError(
        f"The directory beneath the mount, {wanted.path}, holds {shown} ({len(names)} in all), which the "
        f"mount {'hides' if is_mounted else 'would hide'}. {way}, then run this again. Nothing was changed."
    )


def _is_marked(wanted: Wanted) -> bool:
    try:
        return stat.S_ISREG(os.lstat(wanted.mark).st_mode)
    except FileNotFoundError:
        return False


def _reload_needed(wanted: Wanted, is_edited: bool) -> bool:
    """Return whether systemd has not read fstab, or what stands beside the unit made of it."""
    if _host.service_manager() != "systemd":
        return False
    if is_edited:
        return True
    properties = "--property=NeedDaemonReload,FragmentPath"
    # The same name as systemd-escape(1) gives.
    shown = _run(["systemctl", "show", properties, "--", unit_name(wanted.path)]).stdout
    facts = dict(line.partition("=")[::2] for line in shown.splitlines())
    return facts.get("NeedDaemonReload") == "yes" or not facts.get("FragmentPath")


def unit_name(path: str) -> str:
    """Return the name of a mount's unit: systemd.unit(5), "String Escaping for Inclusion in Unit Names"."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-.mount"
    escaped = "".join(
        "-"
        if character == "/"
        else character
        if re.fullmatch(r"[A-Za-z0-9:_.]", character, re.ASCII)
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
        for character in "/".join(parts)
    )
    if escaped.startswith("."):
        escaped = f"\\x2e{escaped[1:]}"
    return f"{escaped}.mount"


def apply(wanted: Wanted, planned: Plan, mark: t.Callable[[], None], fstab: str = FSTAB) -> None:
    """Carry out a plan.

    What is mounted is tried before fstab names it: a line that can't be mounted stops the next boot.

    :param mark: writes the sentinel.
    :raises MediaMountError: with mount(8)'s own message.
    """
    for action in planned.actions:
        if action == "make":
            os.makedirs(os.path.dirname(wanted.path), mode=0o755, exist_ok=True)
            os.mkdir(wanted.path, CLOSED_MODE)
        elif action == "close":
            _close(wanted, planned.mounted is not None)
        elif action == "mount":
            _mount(wanted)
        elif action == "remount":
            _remount(wanted)
        elif action == "mark":
            _mark(wanted, planned, mark)
        elif action == "fstab":
            write_fstab(edited(read_fstab(fstab), wanted), fstab)
        else:
            _demanded(["systemctl", "daemon-reload"])


def _mark(wanted: Wanted, planned: Plan, mark: t.Callable[[], None]) -> None:
    if not planned.is_known or _is_of_others(wanted):
        if not _is_marked(wanted):
            mark()
        return
    try:
        _require_mark(wanted)
    except MediaMountError:
        _run(["umount", "--", wanted.path])
        raise


def _close(wanted: Wanted, is_mounted: bool) -> None:
    former = beneath(wanted.path)
    close_beneath(wanted.path)
    # The app may have written one since it was looked at; from here on it can't.
    under = beneath(wanted.path)
    try:
        _require_nothing_beneath(wanted, under, is_mounted)
    except MediaMountError:
        if former:
            close_beneath(wanted.path, former["mode"], former["uid"], former["gid"])
        raise


def _mount(wanted: Wanted) -> None:
    _demanded(["mount", "-t", wanted.fstype, "-o", wanted.opts, "--", wanted.src, wanted.path])
    try:
        _heed_flags(wanted)
    except MediaMountError:
        _run(["umount", "--", wanted.path])
        raise


def _remount(wanted: Wanted) -> None:
    # With source and place mount(8) takes nothing from fstab, which may have the options of before.
    options = ["remount", *(["bind"] if wanted.is_bind else []), *_without_bind(wanted)]
    _demanded(["mount", "-o", ",".join(options), "--", wanted.src, wanted.path])
    _heed_flags(wanted)


def _without_bind(wanted: Wanted) -> list[str]:
    return [option for option in wanted.options if option not in ("bind", "rbind")]


def _heed_flags(wanted: Wanted) -> None:
    """Require that the kernel has the flags. A bind mount gets them by a remount, mount(8)."""
    mounted = mount_at(wanted.path)
    if mounted is not None and flags_differ(wanted.opts, mounted) and wanted.is_bind:
        plain = [name for name in ("nosuid", "nodev", "noexec") if name not in flags(wanted.opts)]
        cleared = [name[2:] for name in plain]
        options = ["remount", "bind", *cleared, *_without_bind(wanted)]
        _demanded(["mount", "-o", ",".join(options), "--", wanted.path])
        mounted = mount_at(wanted.path)
    if mounted is None or flags_differ(wanted.opts, mounted):
        has = ",".join(sorted(mounted.flags)) if mounted else "no mount"
        raise MediaMountError(
            f"{wanted.path} was to be mounted with {wanted.opts}, and the kernel has {has}. Write options that "
            f"{wanted.fstype} knows."
        )


def _run(command: t.Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            timeout=COMMAND_SECONDS,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise MediaMountError(
            f"{command[0]} can't be run: {error.strerror}. Install util-linux."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MediaMountError(
            f"{' '.join(command)} has not ended within {COMMAND_SECONDS} seconds. Is its server there?"
        ) from error


def _demanded(command: t.Sequence[str]) -> None:
    done = _run(command)
    if done.returncode != 0:
        raise MediaMountError(f"{' '.join(command)}: {done.stdout.strip() or done.returncode}")


def write_mark(wanted: Wanted, *, uid: int, gid: int, mode: int) -> None:
    """Write the sentinel, once and whole, into a directory that another user may write too."""
    temporary = f"{wanted.sentinel}.new"
    directory = os.open(wanted.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory
            )
        except OSError as error:
            raise _unmarked(wanted, temporary, error) from error
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(MARK.format(path=wanted.path))
                stream.flush()
                os.fchown(descriptor, uid, gid)
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.replace(temporary, wanted.sentinel, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise _unmarked(wanted, wanted.sentinel, error) from error
    finally:
        os.close(directory)


def _unmarked(wanted: Wanted, name: str, error: OSError) -> MediaMountError:
    path = os.path.join(wanted.path, name)
    remedy = "Make room there, or let root write there, and run this again."
    with contextlib.suppress(OSError):
        # The app may make there what it likes.
        if stat.S_ISDIR(os.lstat(path).st_mode):
            remedy = "Move that directory away, and run this again."
    return MediaMountError(
        f"{path}, by which the uploads' file system is known again, can't be written: {error.strerror}. {remedy}"
    )


def state(wanted: Wanted) -> Facts:
    """Return what is there of a mount: ``mounted``, ``expected``, ``marked`` and ``options_apply``.

    Reads only.
    """
    mounted = mount_at(wanted.path)
    return {
        "mounted": mounted.shown if mounted else None,
        "expected": mounted is not None and is_source(wanted, mounted),
        "marked": mounted is not None and _is_marked(wanted),
        "options": sorted(mounted.flags) if mounted else [],
        "options_apply": mounted is not None and not flags_differ(wanted.opts, mounted),
        "source_missing": is_missing(wanted),
    }
