# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Facts of a host that decide whether a description can work there. Reads only."""

from __future__ import annotations

import errno
import glob
import grp
import ipaddress
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _names

# include/net/tcp_states.h
TCP_LISTEN = "0A"
# In the head of every file that the collection writes
MARK = b"By flaskworks.static_media"
_HEAD_BYTES = 4096
# What ansible-core leaves where it was killed while it put a file in place
_LEFTOVER_PREFIX = ".ansible_tmp"


def service_manager() -> str:
    """Return ``systemd`` or ``sysvinit``.

    The test is sd_booted(3)'s own, so a container without systemd as PID 1 is told apart from a
    host, whatever is installed.
    """
    return "systemd" if os.path.isdir("/run/systemd/system") else "sysvinit"


def package_manager() -> str:
    """Return ``apt`` or ``dnf``, by what is installed.

    :raises LookupError: on a distribution of another family.
    """
    for name in ("apt", "dnf"):
        if shutil.which(name, path="/usr/bin:/bin"):
            return name
    raise LookupError(
        "This host has neither apt nor dnf. Debian, Ubuntu and the RHEL family are supported."
    )


def has_ipv6(proc: str = "/proc") -> bool:
    """Return whether the kernel has an IPv6 address at all, as on ``lo``."""
    try:
        with open(os.path.join(proc, "net/if_inet6"), encoding="ascii") as lines:
            return any(True for _unused in lines)
    except OSError:
        return False


def decode_address(text: str) -> str:
    """Return the address of /proc/net/tcp's hexadecimal form (proc(5)).

    Each group of 32 bits is in the host's byte order.
    """
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[index : index + 4][::-1] for index in range(0, len(raw), 4))
    return str(ipaddress.ip_address(raw))


def listeners(port: int, proc: str = "/proc") -> list[dict[str, t.Any]]:
    """Return who listens on a TCP port: ``address``, ``pid`` and ``process``.

    :return: ``pid`` and ``process`` are ``None`` where the process is not to be seen (another
        user's, without root).
    """
    found = _tcp_listeners(port, proc)
    owners = _socket_owners({inode for _unused, inode in found}, proc)
    return [
        {
            "address": f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
            "pid": owners.get(inode, (None, None))[0],
            "process": owners.get(inode, (None, None))[1],
        }
        for address, inode in found
    ]


def _tcp_listeners(port: int, proc: str) -> list[tuple[str, str]]:
    """Return address and inode of each socket that listens on a TCP port."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            with open(os.path.join(proc, "net", table), encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            address, _sep, number = row[1].partition(":")
            if row[3] == TCP_LISTEN and int(number, 16) == port:
                found.append((decode_address(address), row[9]))
    return found


def bind_holders(bind: str, proc: str = "/proc") -> list[dict[str, t.Any]]:
    """Return who keeps others from listening at ``unix:/path`` or ``host:port``.

    :return: ``pid``, ``process`` and ``user`` of each process that is to be seen.
    """
    if bind.startswith("unix:"):
        inodes = _unix_listeners(bind[len("unix:") :], proc)
    else:
        host, _colon, port = bind.rpartition(":")
        inodes = {
            inode
            for other, inode in _tcp_listeners(int(port), proc)
            if _clash(host.strip("[]"), other)
        }
    return [
        {"pid": pid, "process": name, "user": _user_of(pid, proc)}
        for pid, name in sorted({(pid, name) for pid, name, _inode in _holders(inodes, proc)})
    ]


def _clash(host: str, other: str) -> bool:
    """Return whether two listeners of one port can't be there together."""
    try:
        addresses = ipaddress.ip_address(host), ipaddress.ip_address(other)
    except ValueError:
        # A name: whatever it stands for
        return True
    return addresses[0] == addresses[1] or any(address.is_unspecified for address in addresses)


def _user_of(pid: int, proc: str) -> str | None:
    try:
        uid = os.stat(os.path.join(proc, str(pid))).st_uid
    except FileNotFoundError:
        return None
    return _names.user_name(uid)


def service_process(name: str) -> int | None:
    """Return the main process of a service, as its manager knows it, or ``None``.

    For a container, where root may not see what another user's process holds (CAP_SYS_PTRACE).
    """
    if service_manager() == "systemd":
        done = subprocess.run(
            ["systemctl", "show", "--property=MainPID", "--value", f"{name}.service"],
            capture_output=True,
            text=True,
            check=False,
        )
        text = done.stdout
    else:
        text = _first_line(f"/run/{name}/{name}.pid")
    pid = int(text) if text.strip().isdigit() else 0
    return pid if pid and os.path.isdir(f"/proc/{pid}") else None


def app_process(bind: str, service: str, proc: str = "/proc") -> int | None:
    """Return the main process of an app, or ``None``.

    That is the service's own when it listens there. The app may be run by a service of another
    name; and none may be seen to listen, as in a container.
    """
    bound = bound_processes(bind, proc)
    main = service_process(service)
    return main if main in bound or not bound else min(bound)


def bound_process(bind: str, proc: str = "/proc") -> int | None:
    """Return the id of the process that listens at ``unix:/path`` or ``host:port``, or ``None``.

    Of a master and its workers the oldest is the master.
    """
    return min(bound_processes(bind, proc), default=None)


def bound_processes(bind: str, proc: str = "/proc") -> set[int]:
    """Return the ids of all processes that hold the socket which listens there.

    With socket activation PID 1 holds it too, and is passed over.
    """
    if bind.startswith("unix:"):
        inodes = _unix_listeners(bind[len("unix:") :], proc)
    else:
        host, _sep, port = bind.rpartition(":")
        found = _tcp_listeners(int(port), proc)
        # One that is bound to another address of the host is another service's.
        named = {inode for address, inode in found if address == host.strip("[]")}
        inodes = named or {inode for _unused, inode in found}
    return {pid for pid, _name, _inode in _holders(inodes, proc) if pid != 1}


def _unix_listeners(path: str, proc: str) -> set[str]:
    """Return the inodes of the sockets that listen at a path."""
    inodes = set()
    try:
        with open(
            os.path.join(proc, "net/unix"), encoding="utf-8", errors="surrogateescape"
        ) as lines:
            for line in lines:
                fields = line.split(maxsplit=7)
                # __SO_ACCEPTCON, include/linux/net.h
                if (
                    len(fields) == 8
                    and fields[7].rstrip("\n") == path
                    and int(fields[3], 16) & 0x10000
                ):
                    inodes.add(fields[6])
    except OSError:
        return set()
    return inodes


def _socket_owners(inodes: set[str], proc: str) -> dict[str, tuple[int, str]]:
    return {inode: (pid, name) for pid, name, inode in _holders(inodes, proc)}


def _holders(inodes: set[str], proc: str) -> t.Iterator[tuple[int, str, str]]:
    """Yield pid, name and inode of each process that holds one of these sockets."""
    targets = {f"socket:[{inode}]": inode for inode in inodes}
    if not targets:
        return
    for pid in filter(str.isdigit, os.listdir(proc)):
        held = set(_links(os.path.join(proc, pid, "fd"))) & targets.keys()
        if held:
            name = _first_line(os.path.join(proc, pid, "comm"))
            for link in held:
                yield int(pid), name, targets[link]


def _links(directory: str) -> t.Iterator[str]:
    """Yield the targets of a directory's links, less those that vanish meanwhile."""
    try:
        names = os.listdir(directory)
    except OSError:
        # The process ended, or it is another user's.
        return
    for name in names:
        try:
            yield os.readlink(os.path.join(directory, name))
        except OSError:
            continue


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""


def user_facts(name: str) -> dict[str, t.Any] | None:
    """Return ``uid``, ``gid`` and ``home`` of a user, or ``None`` when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return {"uid": entry.pw_uid, "gid": entry.pw_gid, "home": entry.pw_dir}


def kind_of(path: str) -> str | None:
    """Return whether a path is a ``link``, a ``directory`` or a ``file``; ``None`` for nothing."""
    if os.path.islink(path):
        return "link"
    if os.path.isdir(path):
        return "directory"
    return "file" if os.path.exists(path) else None


def group_facts(name: str) -> dict[str, t.Any] | None:
    """Return the ``gid`` of a group, or ``None`` when there is none."""
    try:
        return {"gid": grp.getgrnam(name).gr_gid}
    except KeyError:
        return None


def claim(path: str) -> str:
    """Return whose a file or directory is: ``ours``, ``foreign``, or nobody's.

    A file of the collection's says so in its head; a directory with such a file in it is ours too.

    :return: nobody's are ``missing`` and ``empty``.
    """
    if not os.path.lexists(path):
        return "missing"
    try:
        if not os.path.isdir(path):
            return _file_claim(path)
        names = _content(path)
    except OSError:
        return "foreign"
    if not names:
        return "empty"
    is_ours = any(_file_claim(os.path.join(path, name)) == "ours" for name in names)
    return "ours" if is_ours else "foreign"


def _content(directory: str) -> list[str]:
    """Return the names of what somebody has put into a directory."""
    return [
        name
        for name in os.listdir(directory)
        # The second is in every new file system.
        if not name.startswith(_LEFTOVER_PREFIX) and name != "lost+found"
    ]


def _file_claim(path: str) -> str:
    try:
        if not os.path.isfile(path):
            return "foreign"
        with open(path, "rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return "foreign"
    if not head:
        return "empty"
    return "ours" if MARK in head else "foreign"


def guest_files(name: str, directory: str = "/etc/nginx/flask.d") -> list[str]:
    """Return the files of ours that put an app into the server blocks of others."""
    paths = glob.glob(os.path.join(glob.escape(directory), "*", f"{glob.escape(name)}.conf"))
    return sorted(path for path in paths if claim(path) == "ours")


def keeps_acls(path: str) -> bool:
    """Return whether a file system keeps POSIX ACLs (acl(5)), as far as it tells."""
    try:
        os.getxattr(path, "system.posix_acl_access")
    except OSError as error:
        return error.errno not in (errno.ENOTSUP, errno.EOPNOTSUPP)
    return True


def is_named(path: str, files: t.Iterable[str]) -> bool:
    """Return whether one of these files is ours and serves what is in a directory."""
    alias = re.compile(rf"[\s\"]{re.escape(path)}/[\";]")
    for file in files:
        if claim(file) == "ours":
            with open(file, encoding="utf-8", errors="replace") as stream:
                if alias.search(stream.read()):
                    return True
    return False


def _is_empty(path: str) -> bool:
    try:
        return not _content(path)
    except OSError:
        return False


def directory_facts(
    path: str, mark: str = "", site_files: t.Iterable[str] = ()
) -> dict[str, t.Any]:
    """Return what a path is, where its links lead, what it lies in, and whose it is.

    :param mark: name of the file that says whose uploads are in a directory.
    :param site_files: what may be ours and tell Nginx of it.
    :return: ``owner``, ``owner_uid`` and ``is_empty`` (all of a directory that is there), whether it
        ``is_in_use`` as one of the app's already, ``kind`` (``directory``, ``missing``, ``file`` or ``special file``), ``resolved``,
        the nearest ``virtualenv`` and ``checkout`` at or above it, or ``None``, and whether its file
        system ``keeps_acls``.
    """
    resolved = os.path.realpath(path)
    ancestors = [resolved]
    while ancestors[-1] != "/":
        ancestors.append(os.path.dirname(ancestors[-1]))

    def nearest(marker: str) -> str | None:
        return next((a for a in ancestors if os.path.lexists(os.path.join(a, marker))), None)

    uid = None
    try:
        status = os.stat(resolved)
    except FileNotFoundError:
        kind = "missing"
    except NotADirectoryError:
        kind = "file above"
    else:
        mode, uid = status.st_mode, status.st_uid
        kind = (
            "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "special file"
        )
    is_there = kind == "directory"
    is_marked = bool(mark) and os.path.lexists(os.path.join(resolved, mark))
    return {
        "kind": kind,
        "owner_uid": uid,
        "owner": None if uid is None else _names.user_name(uid),
        "is_empty": is_there and _is_empty(resolved),
        "is_in_use": is_there and (is_marked or is_named(path, site_files)),
        "resolved": resolved,
        # https://docs.python.org/3/library/venv.html: the file that makes a virtualenv one
        "virtualenv": nearest("pyvenv.cfg"),
        "checkout": nearest(".git"),
        "keeps_acls": keeps_acls(next(a for a in ancestors if os.path.exists(a))),
    }
