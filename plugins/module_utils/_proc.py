# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""What /proc tells of a process, also of one in a container of this host. Reads only.

What may not be seen is ``None``, and never taken for what isn't there.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import pwd
import re
import stat
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _host

T = t.TypeVar("T")
NAMES_LIMIT_BYTES = 4 * 1024 * 1024

# As Docker, Podman, containerd and CRI-O name a control group
_CGROUP_ID = re.compile(r"(?:^|[/-])([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
# The files that an engine mounts into each container
_MOUNTED_ID = re.compile(
    r"/(?:containers|overlay-containers)/([0-9a-f]{64})/(?:userdata/)?"
    r"(?:hostname|hosts|resolv\.conf)\s"
)
# cgroups(7): the hierarchy of systemd's own, of version 1 or 2
_UNIT = re.compile(r"^(?:0:|\d+:name=systemd):(/.*)$", re.MULTILINE)


def what_it_takes() -> str:
    """Return what it takes to look into a process that we may not look into (ptrace(2))."""
    if os.geteuid() == 0:
        return "that takes CAP_SYS_PTRACE, which root lacks in this container"
    return "that takes root: set 'become: true'"


def read_file(path: str, limit_bytes: int) -> str | None:
    """Return the text of a file that a process has named, or ``None`` where it can't be read.

    Nothing but a file is opened to be read: a pipe waits for ever, and devices do things when they are.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return stream.read(limit_bytes).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None


class Ids(t.NamedTuple):
    """As whom a process acts, in this host's numbers."""

    uid: int
    gid: int
    groups: list[int]


class Proc:
    """A /proc.

    :ivar path: where it is mounted.
    """

    def __init__(self, path: str = "/proc") -> None:
        self.path = path
        self._sockets: dict[str, dict[str, str]] = {}

    def pids(self) -> list[int]:
        return sorted(int(name) for name in os.listdir(self.path) if name.isdigit())

    def argv(self, pid: int) -> list[str]:
        """Return the arguments of a process; a title that it has set itself is one argument."""
        text = self._text(pid, "cmdline")
        if not text:
            return []
        # A title's rest is filled up with zeros.
        return text.rstrip("\0").split("\0")

    def ids(self, pid: int) -> Ids | None:
        lines = self._text(pid, "status").splitlines()
        found = {name: value.split() for name, _colon, value in (li.partition(":") for li in lines)}
        try:
            # Real, effective, saved, file system's
            return Ids(
                int(found["Uid"][1]),
                int(found["Gid"][1]),
                sorted(int(number) for number in found["Groups"]),
            )
        except (KeyError, IndexError, ValueError):
            return None

    def is_roots(self, pid: int) -> bool:
        """Return whether a process is root's in all ways; one with a set-user-ID bit is of whoever runs it."""
        return self._uids(pid) == {"0"}

    def is_of_two(self, pid: int) -> bool:
        """Return whether a process has its user by a set-user-ID bit: another one wrote its arguments."""
        return len(self._uids(pid)) > 1

    def _uids(self, pid: int) -> set[str]:
        found = re.search(r"^Uid:\s+(.*)$", self._text(pid, "status"), re.MULTILINE)
        return set(found[1].split()) if found else set()

    def link(self, pid: int | str, name: str) -> str | None:
        """Return where a link such as ``cwd`` or ``exe`` leads, in the process's own view."""
        path = self._file(pid, name)
        try:
            return self._look(pid, lambda: os.readlink(path))
        except OSError:
            return None

    def environ(self, pid: int) -> dict[str, str] | None:
        """Return the variables that a process was started with."""

        def read() -> bytes:
            with open(self._file(pid, "environ"), "rb") as stream:
                return stream.read()

        try:
            content = self._look(pid, read)
        except OSError:
            return None
        pairs = (os.fsdecode(pair).partition("=") for pair in content.split(b"\0"))
        return {name: value for name, separator, value in pairs if separator}

    def mapped_files(self, pid: int) -> list[str]:
        """Return the files that a process has mapped into its memory."""

        def read() -> list[str]:
            with open(self._file(pid, "maps"), encoding="utf-8", errors="surrogateescape") as lines:
                return [line.rstrip("\n").split(maxsplit=5)[-1] for line in lines if "/" in line]

        try:
            return list(dict.fromkeys(self._look(pid, read)))
        except OSError:
            return []

    def open_files(self, pid: int) -> list[str] | None:
        """Return what the descriptors of a process lead to."""
        directory = self._file(pid, "fd")

        def read() -> list[str]:
            found = []
            for name in os.listdir(directory):
                with contextlib.suppress(FileNotFoundError):
                    found.append(os.readlink(os.path.join(directory, name)))
            return found

        try:
            return self._look(pid, read)
        except OSError:
            return None

    def listens(self, pid: int) -> list[str] | None:
        """Return where a process listens: ``unix:/path`` or ``host:port``."""
        held = self.open_files(pid)
        if held is None:
            return None
        table = self.listening(pid)
        found = {
            self._whole(pid, table[target[8:-1]])
            for target in held
            if target.startswith("socket:[") and target[8:-1] in table
        }
        return sorted(found)

    def _whole(self, pid: int, address: str) -> str:
        """Return an address with the whole path of its socket.

        The kernel tells the path that bind(2) was called with, which ``--bind unix:app.sock`` leaves
        relative to the process's working directory.
        """
        path = address.removeprefix("unix:")
        directory = self.link(pid, "cwd")
        if path == address or path.startswith(("/", "@")) or directory is None:
            return address
        return f"unix:{os.path.normpath(os.path.join(directory, path))}"

    def listening(self, pid: int) -> dict[str, str]:
        """Return by inode where anybody listens in the network of a process."""
        network = self.link(pid, "ns/net") or self.container_id(pid) or ""
        if network not in self._sockets:
            self._sockets[network] = {
                inode: address
                for table in ("tcp", "tcp6", "unix")
                for inode, address in self._table(pid, table)
            }
        return self._sockets[network]

    def _table(self, pid: int, name: str) -> t.Iterator[tuple[str, str]]:
        for line in self._text(pid, f"net/{name}").splitlines()[1:]:
            if name == "unix":
                fields = line.split(maxsplit=7)
                # __SO_ACCEPTCON, include/linux/net.h
                if len(fields) == 8 and int(fields[3], 16) & 0x10000:
                    yield fields[6], f"unix:{fields[7]}"
                continue
            row = line.split()
            if len(row) > 9 and row[3] == _host.TCP_LISTEN:
                text, _colon, port = row[1].partition(":")
                address = ipaddress.ip_address(_host.decode_address(text))
                mapped = address.ipv4_mapped if address.version == 6 else None
                shown = f"[{address}]" if address.version == 6 and not mapped else mapped or address
                yield row[9], f"{shown}:{int(port, 16)}"

    def addresses(self, pid: int) -> set[str]:
        """Return the IPv4 addresses of the network that a process is in."""
        text = self._text(pid, "net/fib_trie")
        return set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text))

    def inner(self, pid: int, kind: str, number: int) -> int:
        """Return the id, within its own user namespace, of what has another in ours.

        :param kind: ``uid`` or ``gid``: user_namespaces(7).
        """
        for line in self._text(pid, f"{kind}_map").splitlines():
            inner, outer, length = (int(field) for field in line.split())
            if outer <= number < outer + length:
                return inner + number - outer
        return number

    def container_id(self, pid: int) -> str | None:
        """Return the id of the container that a process is in, unless we are in it ourselves."""
        found = self._container_id(str(pid))
        return found if found and found != self._container_id("self") else None

    def _container_id(self, pid: str) -> str | None:
        mounted = _MOUNTED_ID.search(self._text(pid, "mountinfo"))
        if mounted:
            return mounted[1]
        ids = _CGROUP_ID.findall(self._text(pid, "cgroup"))
        return str(ids[-1]) if ids else None

    def unit(self, pid: int) -> tuple[str | None, bool]:
        """Return the service of systemd's that a process belongs to, and whether a user runs it."""
        for path in _UNIT.findall(self._text(pid, "cgroup")):
            names = [part for part in path.split("/") if part.endswith(".service")]
            if names:
                manager = re.match(r"user@\d+\.service\Z", names[0])
                if not (manager and len(names) == 1):
                    return names[-1], bool(manager)
        return None, False

    def is_elsewhere(self, pid: int) -> bool:
        """Return whether a process is in a machine of its own that no container engine has made.

        Such are LXC's and systemd-nspawn's: what is there is another host's.
        """
        theirs, ours = self.link(pid, "ns/pid"), self.link("self", "ns/pid")
        return None not in (theirs, ours) and theirs != ours and self.container_id(pid) is None

    def user_name(self, pid: int, uid: int) -> str:
        """Return the name of a user as the process itself would find it, else the number."""
        return self._name(pid, uid, "passwd", lambda: pwd.getpwuid(uid).pw_name)

    def group_name(self, pid: int, gid: int) -> str:
        """Return the name of a group as the process itself would find it, else the number."""
        return self._name(pid, gid, "group", lambda: grp.getgrgid(gid).gr_name)

    def _name(self, pid: int, number: int, table: str, here: t.Callable[[], str]) -> str:
        if self.container_id(pid):
            path = self._file(pid, f"root/etc/{table}")
            for line in (read_file(path, NAMES_LIMIT_BYTES) or "").splitlines():
                fields = line.split(":")
                if len(fields) > 2 and fields[2] == str(number):
                    return fields[0]
            return str(number)
        try:
            return here()
        except KeyError:
            return str(number)

    def _file(self, pid: int | str, name: str) -> str:
        return os.path.join(self.path, str(pid), name)

    def _text(self, pid: int | str, name: str) -> str:
        try:
            with open(self._file(pid, name), encoding="utf-8", errors="surrogateescape") as stream:
                return stream.read()
        except OSError:
            return ""

    def _look(self, pid: int | str, function: t.Callable[[], T]) -> T:
        """Call a function that looks into a process, as its own user where root may not.

        Root in a container often lacks CAP_SYS_PTRACE; the process's own user needs none
        (ptrace(2), "Ptrace access mode checking").
        """
        try:
            return function()
        except PermissionError:
            owner = os.stat(os.path.join(self.path, str(pid)))
            if os.geteuid() != 0 or owner.st_uid == 0:
                raise
        group = os.getegid()
        os.setegid(owner.st_gid)
        try:
            os.seteuid(owner.st_uid)
            try:
                return function()
            finally:
                os.seteuid(0)
        finally:
            os.setegid(group)
