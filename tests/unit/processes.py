"""A /proc made for the purpose, with processes, their sockets and their containers."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

# As /proc/net/tcp has addresses, in the byte order of the machines that tests run on
ADDRESSES = {
    "0.0.0.0": "00000000",
    "127.0.0.1": "0100007F",
    "172.17.0.2": "020011AC",
    "::": "0" * 32,
    "::1": "0" * 24 + "01000000",
    "::ffff:127.0.0.1": "0000000000000000FFFF00000100007F",
}
CONTAINER = "c0ffee" + "0" * 58


class Processes:
    """Process ids are such as no kernel gives, so that nothing of the real /proc is met by chance.

    :ivar path: of the /proc.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode = 1000
        self._tables: dict[str, dict[str, str]] = {}
        self.add(5_000_001, ["/sbin/init"])
        (path / "self").symlink_to("5000001")

    def add(
        self,
        pid: int,
        argv: t.Sequence[str],
        *,
        parent: int = 5_000_001,
        listens: t.Sequence[str] = (),
        shares: int | None = None,
        uid: int = 61001,
        gid: int = 61001,
        groups: t.Sequence[int] = (61001,),
        umask: str = "0022",
        cwd: str = "/srv/app",
        exe: str = "/usr/bin/python3.11",
        environ: t.Mapping[str, str] | None = None,
        cgroup: str = "0::/user.slice/session-1.scope\n",
        container: str | None = None,
        network: str = "1",
        machine: str = "1",
        files: t.Sequence[str] = (),
        maps: t.Sequence[str] = (),
        ticks: int = 100,
    ) -> int:
        """Add a process.

        :param shares: the process whose sockets it has inherited.
        :param machine: the pid namespace of what no container engine has made.
        """
        directory = self.path / str(pid)
        (directory / "fd").mkdir(parents=True)
        (directory / "ns").mkdir()
        (directory / "net").mkdir()
        for name in ("mnt", "pid", "net"):
            number = network if name == "net" else container or machine
            (directory / "ns" / name).symlink_to(f"{name}:[{number}]")
        (directory / "cwd").symlink_to(cwd)
        (directory / "exe").symlink_to(exe)
        (directory / "root").symlink_to("/")
        (directory / "cmdline").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in argv))
        environment = "".join(f"{name}={value}\0" for name, value in (environ or {}).items())
        (directory / "environ").write_bytes(os.fsencode(environment))
        (directory / "cgroup").write_text(cgroup)
        (directory / "maps").write_text(
            "".join(f"7f0000000000-7f0000001000 r-xp 00000000 08:01 42   {path}\n" for path in maps)
        )
        (directory / "mountinfo").write_text(
            f"1 0 8:1 /var/lib/docker/containers/{container}/hostname /etc/hostname rw - ext4 x rw\n"
            if container
            else "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        )
        (directory / "status").write_text(
            f"Name:\tx\nUmask:\t{umask}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n"
            f"Gid:\t{gid}\t{gid}\t{gid}\t{gid}\nGroups:\t{' '.join(map(str, groups))} \n"
        )
        fields = ["S", str(parent), *["0"] * 17, str(ticks), *["0"] * 10]
        (directory / "stat").write_text(f"{pid} (a (b) c) {' '.join(fields)}\n")
        for descriptor, path in enumerate(files, 3):
            (directory / "fd" / str(descriptor)).symlink_to(path)
        if shares is not None:
            for link in (self.path / str(shares) / "fd").iterdir():
                (directory / "fd" / link.name).symlink_to(os.readlink(link))
        self._listen(pid, listens, network)
        return pid

    def _listen(self, pid: int, listens: t.Sequence[str], network: str) -> None:
        tables = self._tables.setdefault(network, {"tcp": "", "tcp6": "", "unix": ""})
        for address in listens:
            self._inode += 1
            if address.startswith("unix:"):
                path = address[len("unix:") :]
                tables["unix"] += f"0: 00000002 00000000 00010000 0001 01 {self._inode} {path}\n"
            else:
                host, _colon, port = address.rpartition(":")
                host = host.strip("[]")
                table = "tcp6" if ":" in host else "tcp"
                tables[table] += (
                    f"0: {ADDRESSES[host]}:{int(port):04X} 00000000:0000 0A 0:0 0:0 0 0 0 {self._inode}\n"
                )
            (self.path / str(pid) / "fd" / str(self._inode)).symlink_to(f"socket:[{self._inode}]")
        for directory in self.path.iterdir():
            if directory.name.isdigit() and os.readlink(directory / "ns/net") == f"net:[{network}]":
                for name, rows in tables.items():
                    # One that is connected, and one that does not listen, are of no interest.
                    other = (
                        "9: 0100007F:0016 0100007F:9999 01 0:0 0:0 0 0 0 1\n"
                        if name == "tcp"
                        else ""
                    )
                    (directory / "net" / name).write_text(f"a header\n{other}{rows}")
