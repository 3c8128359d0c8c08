# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""The Compose file of an app's container, as data.

Every instance, that is an image with its settings, is a Compose project of its own, with a directory
of its own for its socket. So the next one is started beside the one in use, and Nginx is led from
the one to the other by a link: SOCKETS/APP.sock -> INSTANCE/APP.sock.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import _docker

Data = dict[str, t.Any]

# SOURCE:TARGET or SOURCE:TARGET:ro, as Compose has it:
# https://docs.docker.com/reference/compose-file/services/#short-syntax-5
VOLUME = re.compile(
    r"(?P<source>/[\w.+@/-]*|[A-Za-z0-9][\w.-]*):(?P<target>/[\w.+@/-]*)(?::(?P<mode>ro|rw))?\Z"
)
NETWORK = re.compile(r"[A-Za-z0-9][\w.-]*\Z")
# https://docs.docker.com/reference/cli/docker/image/tag/: no part of it can be taken for an option.
IMAGE = re.compile(r"[A-Za-z0-9][\w.:/@+-]*\Z")


@dataclasses.dataclass(frozen=True)
class Volume:
    """A directory of the host's, or a named volume, and where the container has it."""

    source: str
    target: str
    writable: bool = True

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Parse ``SOURCE:TARGET[:ro]``.

        :raises ValueError: when it is none.
        """
        match = VOLUME.match(text)
        if match is None:
            raise ValueError(f"{text!r} is no SOURCE:TARGET")
        return cls(match["source"], match["target"].rstrip("/") or "/", match["mode"] != "ro")

    @property
    def is_named(self) -> bool:
        """Whether the engine keeps it under a name."""
        return not self.source.startswith("/")


@dataclasses.dataclass(frozen=True)
class Service:
    """How an app's container is run.

    :ivar image: id of the image.
    :ivar user: numeric ids, which are the host's.
    :ivar environment: all of the app's env.
    :ivar gunicorn_file: our configuration of Gunicorn's.
    :ivar python: in the image, the Python that has Gunicorn and the app.
    :ivar media_root: a path that is the same on the host and in the container.
    :ivar sockets: directory of the host's that has an instance's directory.
    """

    app: str
    image: str
    uid: int
    gid: int
    environment: t.Mapping[str, str]
    gunicorn_file: str
    python: str
    media_root: str
    sockets: str
    volumes: t.Sequence[Volume] = ()
    networks: t.Sequence[str] = ()
    stop_seconds: int = 45

    @property
    def socket_name(self) -> str:
        """Name of the socket, in the container and on the host."""
        return f"{self.app}.sock"

    @property
    def socket(self) -> str:
        """Where the app listens, in the container."""
        return f"{socket_directory(self.app)}/{self.socket_name}"

    def instance(self, gunicorn_text: str) -> str:
        """Return the name of this image with these settings, which is its Compose project's.

        :param gunicorn_text: content of ``gunicorn_file``.
        """
        same = [dataclasses.asdict(self), gunicorn_text]
        digest = hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()
        return f"{self.app}-{_docker.short_id(self.image)}-{digest[:6]}"

    def file(self, instance: str) -> Data:
        """Return the Compose file."""
        mounts = [
            Volume(self.media_root, self.media_root),
            Volume(os.path.join(self.sockets, instance), socket_directory(self.app)),
            Volume(self.gunicorn_file, self.gunicorn_file, False),
            *self.volumes,
        ]
        service: Data = {
            "image": self.image,
            "labels": {_docker.APP_LABEL: self.app, _docker.INSTANCE_LABEL: instance},
            "user": f"{self.uid}:{self.gid}",
            "environment": dict(sorted(self.environment.items())),
            # In place of an entry point of the image's: it might not pass this on.
            "entrypoint": [self.python, "-m", "gunicorn", "--config", self.gunicorn_file],
            "init": True,
            "read_only": True,
            "tmpfs": ["/tmp"],
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "restart": "unless-stopped",
            "stop_grace_period": f"{self.stop_seconds}s",
            "volumes": [_mount(volume) for volume in mounts],
        }
        file: Data = {"services": {"app": service}}
        named = [volume.source for volume in self.volumes if volume.is_named]
        if named:
            # Kept under its own name, so that every instance has the same one.
            file["volumes"] = {name: {"name": name} for name in named}
        if self.networks:
            service["networks"] = list(self.networks)
            file["networks"] = {name: {"external": True} for name in self.networks}
        else:
            # None of its own for every instance: the engine has few of them to give.
            service["network_mode"] = "bridge"
        return file


def socket_directory(app: str) -> str:
    """Return where a container has the directory of its socket."""
    return f"/run/{app}"


def socket_path(sockets: str, app: str) -> str:
    """Return the longest path that an instance's socket has on the host."""
    return os.path.join(sockets, f"{app}-{'0' * 12}-{'0' * 6}", f"{app}.sock")


def _mount(volume: Volume) -> Data:
    # The long form: the engine makes no directory, root's, for one that isn't there.
    return {
        "type": "volume" if volume.is_named else "bind",
        "source": volume.source,
        "target": volume.target,
        "read_only": not volume.writable,
    }


def text(file: Data) -> str:
    """Return a Compose file as YAML.

    Every string is quoted as JSON has it, which YAML shares, and ``$`` is doubled:
    https://docs.docker.com/reference/compose-file/interpolation/
    """
    return "\n".join([*_lines(file, ""), ""])


def _lines(value: t.Any, indent: str) -> t.Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, (dict, list)) and item:
                yield f"{indent}{_scalar(name)}:"
                yield from _lines(item, indent + "  ")
            else:
                yield f"{indent}{_scalar(name)}: {_scalar(item)}"
    else:
        for item in value:
            if isinstance(item, dict):
                first, *rest = _lines(item, indent + "  ")
                yield f"{indent}- {first.lstrip()}"
                yield from rest
            else:
                yield f"{indent}- {_scalar(item)}"


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNPRINTABLE = re.compile("[\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff]")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _scalar(value: t.Any) -> str:
    if isinstance(value, str) and _PLAIN.match(value) and value.lower() not in _WORDS:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return quoted
    # What YAML has no characters for: https://yaml.org/spec/1.2.2/#51-character-set
    quoted = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
    return quoted.replace("$", "$$")
