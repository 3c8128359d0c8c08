# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which container something runs in. Reads only."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _container,
    _docker,
    _proc,
)


def look_up(question: t.Mapping[str, t.Any] | None) -> tuple[_docker.Facts | None, str | None]:
    """Return the facts of an app's container, and why they can't be had.

    :param question: ``container``, a name; or ``app`` and ``socket`` of one that we run.
    """
    if not question:
        return None, None
    try:
        engine = _docker.Engine()
        name = question.get("container")
        if name:
            found = engine.container(name)
            if found is None:
                return None, f"there is no container {name!r}"
            return _docker.facts_of(found), None
        engine.require_compose()
        instance = _container.current_instance(question["socket"])
        running = engine.containers(question["app"], instance) if instance else []
    except _docker.EngineError as error:
        return None, str(error)
    return (_docker.facts_of(running[0]) if running else None), None


# Docker first: its command may be Podman's own, by way of the package podman-docker.
ENGINES = ("docker", "podman")


def find(
    container: str, reasons: list[str] | None = None
) -> tuple[_docker.Engine | None, _docker.Facts | None]:
    """Return the engine that runs a container, and all that it knows of it.

    :param container: its id or name.
    :param reasons: gets why an engine doesn't answer.
    """
    for command in ENGINES:
        try:
            engine = _docker.Engine(command)
            found = engine.container(container)
        except _docker.NoEngineError:
            continue
        except _docker.EngineError as error:
            if reasons is not None:
                # Docker may begin with a warning about its own settings.
                reasons.append(re.sub(r"WARNING: [^\n]*\n", "", str(error)).splitlines()[0])
            continue
        if found is not None:
            return engine, found
    return None, None


def inspect(
    container: str, unseen: list[str]
) -> tuple[_docker.Engine | None, _docker.Facts | None]:
    """Return the engine that runs a container of this host, and what a diagnosis needs of it.

    :param container: its id.
    :param unseen: gets why nothing can be known.
    """
    engine, found = look_into(container, unseen)
    return (engine, describe(found)) if found is not None else (None, None)


def look_into(
    container: str, unseen: list[str]
) -> tuple[_docker.Engine | None, _docker.Facts | None]:
    """Return the engine that runs a container of this host, and all that it knows of it."""
    reasons: list[str] = []
    engine, found = find(container, reasons)
    if found is not None:
        return engine, found
    why = "; ".join(reasons) or "neither docker nor podman knows it"
    unseen.append(
        f"Container {container[:12]} can't be looked into: {why}. That takes root "
        "('become: true') and the command of the engine that runs it."
    )
    return None, None


def holds(container: _docker.Facts, pid: int, table: _proc.Proc) -> bool:
    """Return whether a process is in a container: in the mount namespace of its main process.

    Of which it is a process tells by names that any user can give to a mount or a control group of
    their own; but into another's namespace none gets (mount_namespaces(7)).
    """
    main = int((container.get("State") or {}).get("Pid") or 0)
    theirs = table.link(main, "ns/mnt") if main else None
    return theirs is not None and theirs == table.link(pid, "ns/mnt")


def not_held(container: str, pid: int) -> str:
    """Return what is said of a process that is not where it says."""
    return (
        f"Process {pid} says that it is in container {container[:12]}, and isn't in the mount namespace of "
        "that. It is not asked as one of its processes."
    )


def unknown(container: str) -> _docker.Facts:
    """Return what stands in for a container that no engine could be asked about."""
    return {
        "id": container,
        "name": None,
        "image": None,
        "user": None,
        "working_directory": None,
        "read_only": None,
        "network_mode": None,
        "networks": [],
        "names": [],
        "addresses": [],
        "mounts": [],
        "ports": [],
    }


def describe(container: _docker.Facts) -> _docker.Facts:
    """Return what a diagnosis needs of a container, and nothing of its environment."""
    config = container.get("Config") or {}
    network = container.get("NetworkSettings") or {}
    host = container.get("HostConfig") or {}
    names = {str(config.get("Hostname") or "")}
    addresses = {str(network.get("IPAddress") or "")}
    for each in (network.get("Networks") or {}).values():
        names.update(each.get("Aliases") or [])
        names.update(each.get("DNSNames") or [])
        addresses.update([each.get("IPAddress") or "", each.get("GlobalIPv6Address") or ""])
    name = str(container.get("Name") or "").lstrip("/")
    return {
        "id": str(container["Id"]),
        "name": name,
        "image": str(config.get("Image") or container.get("Image") or ""),
        "user": str(config.get("User") or ""),
        "working_directory": str(config.get("WorkingDir") or "/"),
        "read_only": bool(host.get("ReadonlyRootfs")),
        "network_mode": str(host.get("NetworkMode") or ""),
        "networks": sorted(network.get("Networks") or {}),
        "names": sorted({name, *names} - {""}),
        "addresses": sorted(addresses - {""}),
        "mounts": mounts(container),
        "ports": ports(network.get("Ports") or {}),
    }


def mounts(container: _docker.Facts) -> list[_docker.Facts]:
    """Return the mounts of a container, each with its volume's name where it is one."""
    names = {
        str(each["Destination"]): each.get("Name")
        for each in container.get("Mounts") or []
        if each["Type"] == "volume"
    }
    return [
        {
            "type": mount["type"],
            "source": mount["source"],
            "target": mount["target"],
            "name": names.get(mount["target"]),
            "read_write": mount["writable"],
        }
        for mount in _docker.mounts_of(container)
    ]


def ports(published: t.Mapping[str, t.Any]) -> list[_docker.Facts]:
    """Return the TCP ports that a container has on the host."""
    found = [
        {
            "host_address": binding.get("HostIp") or "0.0.0.0",
            "host_port": int(binding["HostPort"]),
            "port": int(key.partition("/")[0]),
        }
        for key, bindings in published.items()
        if key.partition("/")[2] in ("", "tcp")
        for binding in bindings or []
    ]
    return sorted(found, key=lambda port: (port["host_port"], port["host_address"]))
