"""The site under test, and a way to put files on the host that serves it.

All requests go over the network. The host itself is only touched to place files that must, or
must never, be served, and to read what is on disk for comparison; every file placed is taken away.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

import raw_http

# Begins every file that the tests place: what a killed run left may be overwritten, nothing else.
SIGNATURE = b"behaviour-probe"


class HostError(Exception):
    """The host could not be asked, or refused."""


@dataclass(frozen=True)
class Site:
    """Where a deployed app answers, and where its files lie on the host."""

    app: str
    host_name: str
    address: raw_http.Address
    static_urls: tuple[str, ...]
    media_url: str
    static_root: str
    media_root: str
    app_user: str
    app_root: str
    env_file: str
    socket: str
    url_prefix: str = "/"

    @classmethod
    def deployed(
        cls,
        app: str,
        host_name: str,
        address: raw_http.Address,
        static_urls: Sequence[str],
        prefix: str = "",
        url_prefix: str = "/",
    ) -> Site:
        """The layout that the roles' defaults give, below the directory ``prefix``.

        ``static_urls`` are those of the public, as all URLs are.
        """
        return cls(
            app=app,
            host_name=host_name,
            address=address,
            static_urls=tuple(static_urls),
            media_url=f"{url_prefix}media/",
            static_root=f"{prefix}/var/www/{app}/static",
            media_root=f"{prefix}/var/www/{app}/media",
            app_user=app,
            app_root=f"{prefix}/opt/{app}",
            env_file=f"{prefix}/etc/{app}/{app}.env",
            socket=f"{prefix}/run/{app}/{app}.sock",
            url_prefix=url_prefix,
        )

    def static_directory(self, url: str) -> str:
        """The static root mirrors the URLs that the app itself has."""
        return f"{self.static_root}/{url.removeprefix(self.url_prefix)}".rstrip("/")

    def connection(self) -> raw_http.Connection:
        return raw_http.Connection(self.address, self.host_name)


@dataclass(frozen=True)
class Probe:
    """A file, or with ``link_to`` a symlink, that a test places.

    :ivar path: bytes that are no UTF-8 as ``os.fsdecode()`` has them.
    :ivar mode: as ``chmod`` would set it; without it, as the umask says.
    """

    path: str
    content: bytes = b""
    link_to: str = ""
    by_app: bool = False
    mode: int | None = None
    hard_link_to: str = ""


# Runs on the host. Says what it created even if it fails half-way, so that all can be removed.
PLACE = r"""
import base64, json, os, sys
work = json.load(sys.stdin)
created, error = [], ""
os.umask(int(work["umask"], 8))
try:
    for item in work["files"]:
        path, missing = item["path"], []
        parent = os.path.dirname(path)
        while not os.path.isdir(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        for parent in reversed(missing):
            os.mkdir(parent)
            created.append(parent)
        content = base64.b64decode(item["content"])
        if os.path.islink(path) and item["link_to"] == os.readlink(path):
            os.unlink(path)
        elif os.path.lexists(path):
            with open(path, "rb") as file:
                found = file.read(len(content) + 1)
                if found != content and not found.startswith(work["signature"].encode()):
                    raise OSError(path + " exists and was not placed by these tests")
            os.unlink(path)
        if item["link_to"]:
            os.symlink(item["link_to"], path)
        elif item["hard_link_to"]:
            os.link(item["hard_link_to"], path)
        else:
            with open(path, "xb") as file:
                file.write(content)
            if item["mode"] is not None:
                os.chmod(path, item["mode"])
        created.append(path)
except OSError as problem:
    error = str(problem)
json.dump({"created": created, "error": error}, sys.stdout)
"""

REMOVE = r"""
import json, os, sys
for path in reversed(json.load(sys.stdin)):
    try:
        os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
    except FileNotFoundError:
        pass
"""

# Every file below a directory, without following links, and its SHA-256.
HASH_TREE = r"""
import hashlib, json, os, sys
found = {}
for root in json.load(sys.stdin):
    for directory, names, files in os.walk(root):
        for name in files:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
json.dump(found, sys.stdout)
"""

READ = r"""
import sys
with open(sys.stdin.read(), "rb") as file:
    sys.stdout.buffer.write(file.read())
"""


@dataclass
class Host:
    """Runs Python on the host; the subclass says how."""

    placed: list[str] = field(default_factory=list)

    def command(self, user: str) -> list[str]:
        """What to put before a command so that it runs on the host as the user."""
        raise NotImplementedError

    def python(self, script: str, request: bytes = b"", user: str = "root") -> bytes:
        argv = [*self.command(user), "python3", "-c", script]
        done = subprocess.run(argv, input=request, capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise HostError(f"{' '.join(argv[:-1])} …: {done.stderr.decode().strip()}")
        return done.stdout

    def place(self, probes: Sequence[Probe], app_user: str) -> None:
        """Put the files there, as root or as the app; ``remove_placed()`` takes them away."""
        # The app first, so that it owns the directory that both put files into.
        for by_app in (True, False):
            work = {
                # As the app's own service does it; root's files are what Nginx could read.
                "umask": "027" if by_app else "022",
                "signature": SIGNATURE.decode(),
                "files": [
                    {
                        "path": probe.path,
                        "content": base64.b64encode(probe.content).decode(),
                        "link_to": probe.link_to,
                        "hard_link_to": probe.hard_link_to,
                        "mode": probe.mode,
                    }
                    for probe in probes
                    if probe.by_app is by_app
                ],
            }
            answer = json.loads(
                self.python(PLACE, json.dumps(work).encode(), app_user if by_app else "root")
            )
            self.placed += answer["created"]
            if answer["error"]:
                raise HostError(f"placing files as {app_user if by_app else 'root'}: {answer}")

    def remove_placed(self) -> None:
        self.python(REMOVE, json.dumps(self.placed).encode())
        self.placed.clear()

    def hash_tree(self, *roots: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.python(HASH_TREE, json.dumps(roots).encode()))
        return found

    def read(self, path: str) -> bytes:
        return self.python(READ, path.encode())


@dataclass
class DockerHost(Host):
    container: str = ""

    def command(self, user: str) -> list[str]:
        return ["docker", "exec", "--interactive", "--user", user, self.container]


@dataclass
class LocalHost(Host):
    """This machine."""

    switch_user: bool = True

    def command(self, user: str) -> list[str]:
        if not self.switch_user:
            return []
        if os.geteuid() == 0:
            return [] if user == "root" else ["runuser", "--user", user, "--"]
        return ["sudo", "--user", user, "--"]


def site_from_environment() -> Site:
    """The deployed site that BEHAVIOUR_* describe; what is missing is an error."""
    ip, colon, port = _variable(
        "BEHAVIOUR_ADDRESS", "where the site answers, as IP:PORT, such as 172.17.0.2:80"
    ).rpartition(":")
    if not colon or not port.isdigit():
        raise HostError(
            f"BEHAVIOUR_ADDRESS is {os.environ['BEHAVIOUR_ADDRESS']!r}; write IP:PORT,"
            " such as 172.17.0.2:80."
        )
    app = os.environ.get("BEHAVIOUR_APP", "gallery")
    host_name = os.environ.get("BEHAVIOUR_HOST", f"{app}.example.com")
    return Site.deployed(app, host_name, (ip, int(port)), static_urls(), url_prefix=url_prefix())


def host_from_environment() -> Host:
    container = _variable(
        "BEHAVIOUR_CONTAINER",
        "the Docker container that the site runs in, or 'localhost' for this machine",
    )
    return LocalHost() if container == "localhost" else DockerHost(container=container)


def static_urls() -> list[str]:
    """Where the public finds the mounts of the app under test; by default of examples/gallery."""
    default = "/static/,/about/static/,/bootstrap/static/"
    own = os.environ.get("BEHAVIOUR_STATIC_URLS", default).split(",")
    return [url_prefix() + url.removeprefix("/") for url in own]


def url_prefix() -> str:
    """Where the public finds the app under test."""
    return os.environ.get("BEHAVIOUR_URL_PREFIX", "/")


def _variable(name: str, meaning: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise HostError(f"{name} is not set. It says {meaning}.")
    return value
