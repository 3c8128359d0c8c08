# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The container engine of a host, asked by its command line: no library of its own is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _as_user

Facts = dict[str, t.Any]

OUTPUT_LINES = 25
INSPECT_SECONDS = 30
# Which app a container belongs to, and which of its instances it is.
APP_LABEL = "flaskworks.static_media.app"
INSTANCE_LABEL = "flaskworks.static_media.instance"
CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")


class EngineError(Exception):
    """The engine isn't there, or refused. Says what it said, and what to do next."""


class NoEngineError(EngineError):
    """This host has no engine."""


class Engine:
    """Docker, or what has the command line of Docker.

    :param command: ``docker``, or ``podman`` where that is what runs others' containers.
    :raises NoEngineError: when the command isn't there.
    """

    def __init__(self, command: str = "docker") -> None:
        found = shutil.which(command, path=_as_user.PATH)
        if found is None:
            raise NoEngineError(
                "This host has no command docker. Install an engine and its plugin compose (Debian 13: "
                "docker.io, docker-cli and docker-compose), or set flask_app_runtime to 'virtualenv'."
            )
        self.path = found

    def run(
        self,
        *arguments: str,
        environ: t.Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> str:
        """Run a command of the engine's and return what it printed.

        :raises EngineError: when it fails.
        """
        return self._run([self.path, *arguments], environ, timeout_seconds)

    def require_compose(self) -> None:
        """Do nothing where Compose is there.

        :raises NoEngineError: when it isn't.
        """
        done = subprocess.run(
            [self.path, "compose", "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            check=False,
        )
        if done.returncode:
            # docker-compose 1, which Debian 12 has, is not maintained:
            # https://docs.docker.com/compose/releases/migrate/
            raise NoEngineError(
                "This host has Docker without its plugin compose (docker compose version fails). Install it "
                "(Debian 13: docker-compose; elsewhere: docker-compose-plugin of Docker's own packages). "
                "The command docker-compose, version 1, is not enough."
            )

    def _run(
        self,
        command: t.Sequence[str],
        environ: t.Mapping[str, str] | None,
        timeout_seconds: float | None,
    ) -> str:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment(environ),
            timeout=timeout_seconds,
            check=False,
        )
        if done.returncode:
            words = "\n".join(
                f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-OUTPUT_LINES:]
            )
            shown = " ".join([os.path.basename(command[0]), *command[1:2]])
            raise EngineError(
                f"{shown} failed with status {done.returncode}. Its own words:\n{words}\n"
                "Mend what they name, and run the playbook again; what was in use goes on."
            )
        return done.stdout

    def exec(
        self, container: str, command: t.Sequence[str], *, timeout_seconds: float
    ) -> tuple[int, str, str]:
        """Run a command in a running container, and return its status and what it printed."""
        try:
            done = subprocess.run(
                [self.path, "exec", container, *command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="backslashreplace",
                env=environment(),
                timeout=timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"{command[0]} did not answer in container {container[:12]} within {timeout_seconds:g} s."
            ) from error
        return done.returncode, done.stdout, done.stderr

    def logs(self, container: str) -> str:
        """Return the end of what a container printed."""
        done = subprocess.run(
            [self.path, "logs", f"--tail={OUTPUT_LINES}", container],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment(),
            check=False,
        )
        return done.stdout

    def image(self, reference: str) -> Facts | None:
        """Return the facts of an image that is on this host, or ``None``."""
        return self._inspect("image", reference)

    def container(self, reference: str) -> Facts | None:
        """Return the facts of a container, running or not, or ``None``."""
        return self._inspect("container", reference)

    def _inspect(self, kind: str, reference: str) -> Facts | None:
        try:
            done = subprocess.run(
                [self.path, kind, "inspect", reference],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=environment(),
                timeout=INSPECT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(
                f"docker {kind} inspect {reference} did not answer within {INSPECT_SECONDS} s. "
                "See to it that the engine runs (systemctl status docker), and run the playbook again."
            ) from error
        if done.returncode:
            if "no such" in done.stderr.lower():
                return None
            raise EngineError(
                f"docker {kind} inspect {reference} failed: {done.stderr.strip()}. "
                "See to it that the engine runs (systemctl status docker), and run the playbook again."
            )
        found: list[Facts] = json.loads(done.stdout)
        return found[0] if found else None

    def containers(self, app: str, instance: str | None = None) -> list[Facts]:
        """Return the facts of an app's containers, running or not.

        :param instance: only this one's.
        """
        label = f"{INSTANCE_LABEL}={instance}" if instance else f"{APP_LABEL}={app}"
        ids = self.run("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").split()
        facts = [self.container(each) for each in ids]
        return [each for each in facts if each is not None]


def environment(own: t.Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the engine's commands: its own settings (DOCKER_HOST) are kept."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}
    return _as_user.environment({**kept, **(own or {})}, home=os.environ.get("HOME", "/root"))


def short_id(image_id: str) -> str:
    """Return the name of the release that an image is: 12 hexadecimal digits of its id."""
    return image_id.rpartition(":")[2][:12]


def mounts_of(container: Facts) -> list[Facts]:
    """Return the mounts of a container, each with ``type``, ``source``, ``target`` and ``writable``."""
    found = [
        {
            "type": mount["Type"],
            "source": mount.get("Source", ""),
            "target": mount["Destination"],
            "writable": bool(mount["RW"]),
        }
        for mount in container.get("Mounts") or []
    ]
    # Those that --tmpfs makes are listed apart.
    memory = (container.get("HostConfig") or {}).get("Tmpfs") or {}
    found += [
        {"type": "tmpfs", "source": "", "target": target, "writable": True} for target in memory
    ]
    return sorted(found, key=lambda mount: str(mount["target"]))


def keeps(mounts: t.Iterable[Facts], paths: t.Iterable[str]) -> bool:
    """Whether what a container writes to a directory of the host's outlives the container.

    :param mounts: the container's.
    :param paths: of the directory, as it is called and as it is behind its links.
    """
    return any(
        mount["type"] in ("bind", "volume")
        and mount["writable"]
        and os.path.commonpath([mount["source"], path]) == os.path.normpath(mount["source"])
        for mount in mounts
        for path in paths
        if mount["source"]
    )


def facts_of(container: Facts, proc: str = "/proc") -> Facts:
    """Return what a report needs of a container."""
    state, host = container["State"], container.get("HostConfig") or {}
    return {
        "id": container["Id"][:12],
        "name": container["Name"].lstrip("/"),
        "image": short_id(container["Image"]),
        "user": container["Config"].get("User") or "root",
        "running": bool(state.get("Running")),
        "process_id": process_id(container, proc),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "mounts": mounts_of(container),
    }


def process_id(container: Facts, proc: str = "/proc") -> int | None:
    """Return the main process of a running container as this host numbers it, or ``None``.

    The engine may number them in another namespace than ours, as one whose socket is lent to a
    container does. The files that it mounts into each container tell.
    """
    pid = int(container["State"].get("Pid") or 0)
    if not container["State"].get("Running") or not pid:
        return None
    try:
        with open(os.path.join(proc, str(pid), "mountinfo"), encoding="utf-8") as stream:
            return pid if container["Id"] in stream.read() else None
    except OSError:
        return None
