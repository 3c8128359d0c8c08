"""Hosts as containers: made healthy once and kept as an image, then one container a fault.

A container of a host is up in a second or two, so nothing has to be undone: it is thrown away.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import io
import json
import secrets
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOSTS = HERE / "hosts"
LOCK = ROOT / ".build" / "diagnosis.lock"
PLUGINS = ROOT / "plugins"
# Where the collection's modules lie in a container, and what stands in for Ansible there.
PROBE = "/opt/diagnosis-probe"
PACKAGE = "ansible_collections/flaskworks/static_media/plugins"
SETUP = "/opt/diagnosis"
COMMAND_SECONDS = 120
BOOT_SECONDS = 60


class MachineError(Exception):
    """A host can't be made, or a script on it failed; the message has its output."""


@dataclass(frozen=True)
class Shape:
    """A host as somebody made it.

    :ivar name: its directory below ``hosts``.
    :ivar image: what it is made on, as ``scripts/build_images.py`` names it.
    :ivar has_systemd: as PID 1. What no boot of a container can do, ``start`` in its directory does.
    :ivar options: of ``docker run``.
    """

    name: str
    image: str
    has_systemd: bool = True
    options: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return HOSTS / self.name


# An engine's own layers can't lie on a container's, and its networks take a capability; a
# container in a container makes a keyring, which Docker's own filter of system calls forbids.
DOCKER_OPTIONS = (
    "--cap-add=NET_ADMIN",
    # Without it no process enters a container, and so no app in one is asked.
    "--cap-add=SYS_PTRACE",
    "--security-opt=seccomp=unconfined",
    "--volume=/var/lib/docker",
)

# A disk of its own, such as one that is full, is a file in a loop device.
DISK_OPTIONS = ("--device-cgroup-rule=b 7:* rmw", "--device-cgroup-rule=c 10:237 rmw")

SHAPES = {
    shape.name: shape
    for shape in (
        Shape("sites_enabled", "diagnosis-debian12", options=DISK_OPTIONS),
        Shape("snippets", "diagnosis-debian13"),
        Shape("uwsgi", "diagnosis-debian12"),
        Shape("prefix_stripped", "diagnosis-debian13"),
        Shape("prefix_script_name", "diagnosis-debian12"),
        Shape("headers", "diagnosis-debian13"),
        Shape("bare_process", "diagnosis-debian12", has_systemd=False),
        Shape("accel", "diagnosis-debian12"),
        Shape("many_sites", "diagnosis-debian13"),
        Shape("default_acl", "diagnosis-debian13"),
        Shape("docker", "docker-debian12", options=DOCKER_OPTIONS),
    )
}


def docker(*arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if done.returncode:
        shown = " ".join(argument.partition("\n")[0] for argument in arguments)
        output = (done.stdout + done.stderr).decode(errors="replace").strip()
        raise MachineError(f"`docker {shown}` ended with {done.returncode}:\n{output}")
    return done.stdout.decode(errors="replace")


@functools.cache
def base_image(name: str) -> str:
    script = ROOT / "scripts" / "build_images.py"
    done = subprocess.run([sys.executable, script, name], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise MachineError(f"build_images.py {name} failed; its message is above.")
    tag: str = json.loads(done.stdout)[name]
    return tag


def archive(*members: tuple[Path, str]) -> bytes:
    """Return a tar of directories and files, each below the name given."""
    buffer = io.BytesIO()

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return None if "__pycache__" in member.name else member

    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, name in members:
            tar.add(path, name, filter=plain)
    return buffer.getvalue()


@dataclass(frozen=True)
class Machine:
    """A running container of a host."""

    shape: Shape
    container: str

    def script(self, text: str) -> str:
        """Run a script as root, with the functions of host.sh."""
        parts = [HOSTS / "common" / "host.sh", self.shape.directory / "host.sh"]
        prelude = "".join(part.read_text() for part in parts if part.exists())
        # Read as a whole before it runs, so that no command takes the rest as its input.
        whole = f"{{ {prelude}\n{text}\n}} </dev/null"
        return docker(
            *("exec", "--interactive", self.container, "sh", "-eu", "-s"), stdin=whole.encode()
        )

    def extract(self, content: bytes, directory: str) -> None:
        argv = ("tar", "--extract", "--no-same-owner", f"--directory={directory}")
        docker("exec", self.container, "mkdir", "-p", directory)
        docker("exec", "--interactive", self.container, *argv, stdin=content)

    def ask(self, module: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a module of the collection in the container, and return its answer, of failure too."""
        answer = docker(
            *("exec", "--interactive", "--env", f"PYTHONPATH={PROBE}", self.container),
            *("python3", f"{PROBE}/{PACKAGE}/modules/{module}.py"),
            stdin=json.dumps(arguments).encode(),
        )
        told: dict[str, Any] = json.loads(answer)
        return told

    def put_probe(self) -> None:
        self.extract(_probe(), PROBE)

    def read(self, path: str) -> str:
        return docker("exec", self.container, "cat", path)

    def boot(self) -> None:
        """Return when all that a boot starts is started."""
        if not self.shape.has_systemd:
            return
        # Before systemd has a bus there is nothing that could wait for it.
        booted = (
            "until state=$(systemctl is-system-running --wait 2>/dev/null);"
            ' [ "$state" = running ] || [ "$state" = degraded ]; do sleep 0.05; done'
        )
        docker("exec", self.container, "timeout", str(BOOT_SECONDS), "sh", "-c", booted)

    def start_services(self) -> None:
        start = self.shape.directory / "start"
        if start.exists():
            self.script(start.read_text())

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.container)


@functools.cache
def _probe() -> bytes:
    return archive(
        (HERE / "probe", "."),
        (PLUGINS / "modules", f"{PACKAGE}/modules"),
        (PLUGINS / "module_utils", f"{PACKAGE}/module_utils"),
    )


@contextlib.contextmanager
def locked() -> Iterator[None]:
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def host_image(shape: Shape) -> str:
    """Return the image of a healthy host; made where it is missing or its files have changed."""
    base = base_image(shape.image)
    content = archive(
        (HERE / "app", "app"), (HOSTS / "common", "common"), (shape.directory, "host")
    )
    files = sorted(
        path
        for directory in (HERE / "app", HOSTS / "common", shape.directory)
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    digest = hashlib.sha256(base.encode())
    for path in files:
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    tag = f"flaskworks-diagnosis-host:{shape.name}-{digest.hexdigest()[:12]}"
    with locked():
        if not docker("images", "--quiet", tag):
            _make(shape, base, content, tag)
    return tag


def _make(shape: Shape, base: str, content: bytes, tag: str) -> None:
    machine = start(shape, base)
    try:
        machine.extract(content, SETUP)
        setup = f"cd {SETUP}/host; . ../common/setup.sh; . ./setup; cd /; rm -r {SETUP}"
        docker("exec", machine.container, "sh", "-eu", "-c", setup)
        # What is written and not yet on disk, such as the journal, would be half of it.
        docker("stop", machine.container)
        docker("commit", machine.container, tag)
    finally:
        machine.remove()


def start(shape: Shape, image: str) -> Machine:
    options: Sequence[str] = ("--init",)
    command: Sequence[str] = ("sleep", "infinity")
    if shape.has_systemd:
        # As molecule/shared/create.yml starts it
        options = ("--cap-add=SYS_ADMIN", "--cgroupns=private", "--tmpfs=/run", "--tmpfs=/tmp")
        command = ()
    machine = Machine(shape, f"{_prefix(shape)}{secrets.token_hex(4)}")
    named = ("--detach", f"--name={machine.container}", "--hostname=web1")
    docker("run", *named, *options, *shape.options, image, *command)
    try:
        machine.boot()
    except MachineError:
        machine.remove()
        raise
    return machine


def _prefix(shape: Shape) -> str:
    return f"diagnosis-{shape.name.replace('_', '-')}-"


def start_healthy(shape: Shape) -> Machine:
    """Return a host that works, in a container of its own."""
    machine = start(shape, host_image(shape))
    try:
        machine.start_services()
        machine.script("is_healthy")
    except MachineError:
        machine.remove()
        raise
    return machine


@contextlib.contextmanager
def healthy(shape: Shape) -> Iterator[Machine]:
    """A host that works, for as long as it is needed."""
    machine = start_healthy(shape)
    try:
        yield machine
    finally:
        machine.remove()


def attached(container: str) -> Machine:
    """A container that is running already, made by whom ever."""
    found = [shape for shape in SHAPES.values() if container.startswith(_prefix(shape))]
    return Machine(found[0] if found else SHAPES["sites_enabled"], container)


def main(arguments: list[str]) -> int:
    """Start a healthy host, break it as told, and leave it running: ``machine.py HOST | STATE…``."""
    import states

    faults = [state for state in states.STATES if state.id in arguments]
    names = {*(state.host for state in faults), *(SHAPES.keys() & set(arguments))}
    if len(names) != 1 or len(faults) + len(SHAPES.keys() & set(arguments)) != len(arguments):
        print(f"Write states of one host, or a host: {', '.join(SHAPES)}", file=sys.stderr)
        return 2
    host = start_healthy(SHAPES[names.pop()])
    for state in faults:
        host.script(state.breaks)
    print(host.container)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
