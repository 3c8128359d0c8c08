# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The container that an app runs in: the next one beside the one in use, then a switch, then the end
of the old one.

SOCKETS/INSTANCE/APP.sock              where an instance listens
SOCKETS/APP.sock -> INSTANCE/APP.sock  what Nginx connects to, anew for every request

So the switch is one rename, and Nginx is told nothing. Docker ends an old instance by SIGTERM, upon
which Gunicorn finishes what it has accepted; and what it has not accepted yet is waited for before.
"""

from __future__ import annotations

import contextlib
import dataclasses
import grp
import os
import pwd
import shutil
import socket
import time
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _app_health,
    _compose,
    _docker,
    _flask_app,
    _image,
    _release,
)
from ansible_collections.flaskworks.static_media.plugins.module_utils._docker import Engine

COMPOSE_FILE = "compose.yml"
POLL_SECONDS = 0.05
# An instance that listens answers this at once; the answer itself does not matter.
DRAIN_SECONDS = 10.0


class ContainerError(Exception):
    """The container doesn't run as it should. The one in use goes on."""


@dataclasses.dataclass(frozen=True)
class Health:
    """What an instance is asked before it is switched to.

    :ivar timeout_seconds: from the container's start to the answer.
    """

    url: str
    headers: t.Mapping[str, str]
    timeout_seconds: float


@dataclasses.dataclass(frozen=True)
class Started:
    """An instance that answers.

    :ivar changed: whether it was started now, or its Compose file written.
    """

    instance: str
    changed: bool
    status: int | None


@dataclasses.dataclass(frozen=True)
class Containers:
    """The containers of one app.

    :ivar sockets: directory of their sockets.
    :ivar socket_name: name of the link in it, and of the socket of each instance.
    """

    engine: Engine
    app: str
    sockets: str
    socket_name: str

    @property
    def link(self) -> str:
        """What Nginx connects to."""
        return os.path.join(self.sockets, self.socket_name)

    def current(self) -> str | None:
        """Return the instance in use, or ``None``."""
        return current_instance(self.link)

    def is_running(self, instance: str) -> bool:
        """Whether an instance runs, and doesn't begin again and again."""
        return any(_is_steady(each) for each in self.engine.containers(self.app, instance))

    def write(self, releases: _release.Releases, release: str, content: str, apply: bool) -> bool:
        """Write the Compose file of a release; whether that changes it.

        It holds the app's env, so it is root's alone.
        """
        path = os.path.join(releases.path(release), COMPOSE_FILE)
        try:
            with open(path, encoding="utf-8") as stream:
                same = stream.read() == content
        except FileNotFoundError:
            same = False
        if not same and apply:
            descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as stream:
                stream.write(content)
            os.replace(f"{path}.new", path)
        return not same

    def start(
        self,
        releases: _release.Releases,
        release: str,
        service: _compose.Service,
        health: Health,
        *,
        group: str,
        masking: _flask_app.Masking,
        apply: bool,
    ) -> Started:
        """Run the instance of a release beside what runs, and ask it for a page.

        :param group: Nginx's, which gets to the socket.
        :raises ContainerError: when it doesn't answer as it should; it is then taken away, unless it
            is the one in use.
        """
        with open(service.gunicorn_file, encoding="utf-8") as stream:
            instance = service.instance(stream.read())
        self._refuse_ephemeral(service.media_root)
        changed = self.write(releases, release, _compose.text(service.file(instance)), apply)
        runs = self.is_running(instance)
        if not apply:
            return Started(instance, changed or not runs, None)
        if changed or not runs:
            # Where somebody has changed the file, Compose makes the container anew.
            self._make_directory(instance, service.uid, grp.getgrnam(group).gr_gid)
            path = os.path.join(releases.path(release), COMPOSE_FILE)
            self.engine.run(
                "compose",
                f"--project-name={instance}",
                f"--file={path}",
                "up",
                "--detach",
                "--no-build",
            )
        try:
            page = self._ask(instance, health)
        except ContainerError as error:
            log = self._log(instance, masking)
            if instance != self.current():
                self.remove(instance, service.stop_seconds)
            raise ContainerError(_refusal(release, str(error), log)) from error
        return Started(instance, changed or not runs, page)

    def _refuse_ephemeral(self, media_root: str) -> None:
        """Leave alone what has uploads in its own layer: they would go with it.

        :raises ContainerError: saying how to save them.
        """
        paths = [media_root, os.path.realpath(media_root)]
        for container in self.engine.containers(self.app):
            if not _docker.keeps(_docker.mounts_of(container), paths):
                name = container["Name"].lstrip("/")
                raise ContainerError(
                    f"The container {name} has not mounted {media_root}, so the uploads that it took are "
                    "in its own layer, and would go with it. Copy them out "
                    f"(docker cp --archive {name}:{media_root}/. {media_root}), end it (docker stop {name}; "
                    f"docker rm {name}), and run the playbook again."
                )

    def _make_directory(self, instance: str, uid: int, gid: int) -> None:
        path = os.path.join(self.sockets, instance)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        os.chown(path, uid, gid)
        os.chmod(path, 0o750)

    def _ask(self, instance: str, health: Health) -> int:
        deadline = time.monotonic() + health.timeout_seconds
        path = os.path.join(self.sockets, instance, self.socket_name)
        page = _app_health.page_at(
            path, health.url, health.headers, deadline, lambda: not self.is_running(instance)
        )
        if page.status is None:
            why = page.error or f"nobody answered within {health.timeout_seconds:g} seconds"
            if not self.is_running(instance):
                why = "its container ended"
            raise ContainerError(f"GET {health.url} was not answered: {why}")
        if page.status not in _app_health.HEALTHY:
            raise ContainerError(f"GET {health.url} was answered by {page.status} {page.reason}")
        return page.status

    def _log(self, instance: str, masking: _flask_app.Masking) -> str:
        for container in self.engine.containers(self.app, instance):
            with contextlib.suppress(_docker.EngineError):
                return masking.tail(self.engine.logs(container["Id"]))
        return ""

    def switch(self, instance: str, stop_seconds: int, *, apply: bool) -> list[str]:
        """Lead Nginx to an instance by one rename, and end all others.

        :return: what changes, in words.
        """
        before = self.current()
        others = sorted(self.instances() - {instance})
        changes = [f"{self.link} -> {instance}"] if before != instance else []
        changes += [f"end of {other}" for other in others]
        if not apply:
            return changes
        if before != instance:
            temporary = f"{self.link}.new"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            os.symlink(os.path.join(instance, self.socket_name), temporary)
            os.replace(temporary, self.link)
        for other in others:
            drain(os.path.join(self.sockets, other, self.socket_name))
            self.remove(other, stop_seconds)
        return changes

    def instances(self) -> set[str]:
        """Return all instances that have a container, running or not."""
        return {
            str(each["Config"]["Labels"].get(_docker.INSTANCE_LABEL))
            for each in self.engine.containers(self.app)
        }

    def remove(self, instance: str, stop_seconds: int) -> None:
        """End an instance, which may finish its requests, and take its container away."""
        for container in self.engine.containers(self.app, instance):
            self.engine.run("stop", f"--time={stop_seconds}", container["Id"])
            self.engine.run("rm", "--force", container["Id"])
        shutil.rmtree(os.path.join(self.sockets, instance), ignore_errors=True)

    def plan_pruning(self, releases: _release.Releases) -> list[str]:
        """Return the tags and directories that nothing needs any more."""
        return [*self._unneeded_tags(releases), *self._unneeded_directories()]

    def prune(self, releases: _release.Releases) -> list[str]:
        """Take them away. An image that has another tag stays."""
        with releases.locked():
            tags, directories = self._unneeded_tags(releases), self._unneeded_directories()
            for tag in tags:
                self.engine.run("image", "rm", tag)
            for directory in directories:
                shutil.rmtree(directory)
        return [*tags, *directories]

    def _unneeded_tags(self, releases: _release.Releases) -> list[str]:
        kept = {record.get("image") for record in releases.records().values()}
        found = self.engine.run(
            "image",
            "ls",
            "--no-trunc",
            "--format={{.Repository}}:{{.Tag}} {{.ID}}",
            _image.repository(self.app),
        )
        rows = [line.split() for line in found.splitlines()]
        return sorted(
            tag
            for tag, image in rows
            if image not in kept
            # The engine keeps what a container of somebody's needs.
            and not self.engine.run("ps", "--all", "--quiet", f"--filter=ancestor={image}")
        )

    def _unneeded_directories(self) -> list[str]:
        kept = {*self.instances(), self.current()}
        prefix = f"{self.app}-"
        with contextlib.suppress(FileNotFoundError):
            return sorted(
                entry.path
                for entry in os.scandir(self.sockets)
                if entry.is_dir(follow_symlinks=False)
                and entry.name.startswith(prefix)
                and entry.name not in kept
            )
        return []


def current_instance(link: str) -> str | None:
    """Return the instance that a link of sockets leads to, whether it is there or not."""
    try:
        return os.path.dirname(os.readlink(link)) or None
    except OSError:
        return None


def drain(path: str) -> None:
    """Return when an instance has accepted all that had connected to it before.

    Connections are accepted in their order: as soon as ours is answered, all before it are taken.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(max(0.1, deadline - time.monotonic()))
        connection.connect(path)
        connection.sendall(b"OPTIONS * HTTP/1.0\r\nHost: localhost\r\n\r\n")
        connection.recv(1)


def _is_steady(container: _docker.Facts) -> bool:
    state = container["State"]
    return bool(state.get("Running")) and not state.get("Restarting")


def _refusal(release: str, why: str, log: str) -> str:
    parts = [f"The release {release} is not healthy: {why}."]
    if log:
        parts.append(f"The end of its container's log:\n{log}")
    parts.append(
        "It was not switched to; the release in use goes on. Mend what is named above, or set "
        "flask_app_health_url to a page of the app's that answers by 200 to 399."
    )
    return "\n".join(parts)


def service(
    *,
    app: str,
    image: str,
    user: str,
    environment_files: t.Sequence[str],
    volumes: t.Sequence[str],
    **options: t.Any,
) -> tuple[_compose.Service, _flask_app.Masking]:
    """Return how the container is run, and what hides its secrets."""
    entry = pwd.getpwnam(user)
    own = _flask_app.read_environment_files(environment_files)
    described = _compose.Service(
        app=app,
        image=image,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        environment=own,
        volumes=[_compose.Volume.parse(volume) for volume in volumes],
        **options,
    )
    return described, _flask_app.Masking(own.values())
