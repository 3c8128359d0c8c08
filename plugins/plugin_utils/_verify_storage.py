# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Judges where uploads lie: whether their mount is there, and whether there is room."""

from __future__ import annotations

import dataclasses
import shlex
import typing as t

Evidence = t.Mapping[str, t.Any]

TITLES = {
    "media-mounted": "The file system of the uploads is mounted",
    "media-has-room": "There is room for uploads",
    "body-spooled": "Nginx can write large requests to disk",
}


@dataclasses.dataclass
class Judgement:
    """What became of one check.

    :ivar status: ``pass``, ``fail`` or ``skip``.
    :ivar findings: each with the fields of a finding. A warning fails nothing.
    """

    check_id: str
    status: str
    evidence: str
    findings: list[dict[str, str]] = dataclasses.field(default_factory=list)


def judge(settings: Evidence, storage: Evidence) -> t.Iterator[Judgement]:
    """Yield a judgement of each check that applies.

    :param storage: the answer of ``media_storage_info``.
    """
    mount = settings["media"].get("mount")
    if mount:
        yield _mounted(mount, storage["mount"], settings["app"]["name"])
    if mount and is_gone(storage):
        yield Judgement("media-has-room", "skip", f"{mount['path']} is not as described")
    else:
        yield _has_room(settings, storage["filesystems"])
    yield _spooled(settings, storage["body_temp"])


def is_gone(storage: Evidence) -> bool:
    """Return whether what is at the media root are not the uploads."""
    state = storage.get("mount")
    return state is not None and not (state["expected"] and state["marked"])


def _mounted(mount: Evidence, state: Evidence, app: str) -> Judgement:
    path, sentinel = mount["path"], f"{mount['path']}/{mount['sentinel']}"
    remedy = f"Run the site playbook, which mounts it, or: mount {shlex.quote(path)}"
    if not state["mounted"]:
        problem = f"nothing is mounted at {path}"
        message = f"the uploads of {app} are not there, and it can take no more"
        fix = f"{remedy}."
        if state["source_missing"]:
            fix = f"Attach {mount['src']}, which is not there. Then run the site playbook."
    elif not state["expected"]:
        problem = f"{state['mounted']} is mounted at {path}, not {mount['src']}"
        message = f"another file system is where the uploads of {app} should be"
        fix = f"Unmount it (umount {shlex.quote(path)}) if nobody needs it there. {remedy}."
    elif not state["marked"]:
        problem = f"{sentinel} is not there"
        message = (
            f"the file system does not say that it has the uploads of {app}, so it would not start"
        )
        fix = (
            f"Unmount it, attach the volume that has the uploads, and run the site playbook. If a new one is meant, "
            f"copy the uploads there, {mount['sentinel']} included."
        )
    elif not state["options_apply"]:
        problem = (
            f"the kernel has {', '.join(state['options']) or 'no options'}, not {mount['opts']}"
        )
        finding = _finding(
            "mount-options",
            path,
            "it is mounted otherwise than described",
            problem,
            "Run the site playbook, which mounts it again with these.",
        )
        return Judgement("media-mounted", "fail", problem, [finding])
    else:
        options = ",".join(state["options"])
        return Judgement("media-mounted", "pass", f"{state['mounted']} at {path}, {options}")
    return Judgement(
        "media-mounted",
        "fail",
        problem,
        [_finding("mount-missing", path, message, problem, fix)],
    )


def _has_room(settings: Evidence, filesystems: t.Sequence[Evidence]) -> Judgement:
    largest = largest_body_bytes(settings)
    findings = []
    for filesystem in filesystems:
        place = ", ".join(filesystem["roots"])
        found = _shortage(filesystem, settings["verify"]["min_free_percent"], largest)
        if found:
            severity, evidence = found
            findings.append(
                _finding(
                    "disk-full",
                    filesystem["mount_point"],
                    f"no upload fits in {place} any more"
                    if severity == "error"
                    else f"there is little room left for uploads in {place}",
                    evidence,
                    "Make room, or enlarge that file system. Uploads on one of their own "
                    "(flask_media_mount) don't fill the system's.",
                    severity,
                )
            )
    shown = "; ".join(f"{one['mount_point']}: {free(one)}" for one in filesystems)
    return _judgement("media-has-room", findings, shown or "no media root is there")


def largest_body_bytes(settings: Evidence) -> int:
    """Return the size of the largest request that Nginx takes."""
    sizes = [settings["site"].get("client_max_body_size_bytes")]
    sizes += [area.get("client_max_body_size_bytes") for area in settings["media"]["areas"]]
    return max(size or 0 for size in sizes)


def _shortage(room: Evidence, min_free_percent: int, largest: int) -> tuple[str, str] | None:
    """Return severity and evidence of a lack of room, or ``None``."""
    counts_inodes = room["total_inodes"] > 0
    if room["free_bytes"] == 0 or (counts_inodes and room["free_inodes"] == 0):
        return "error", free(room)
    if room["free_bytes"] < largest:
        return "warning", f"{free(room)}; the largest request is {_size(largest)}"
    few_bytes = room["free_bytes"] * 100 < room["total_bytes"] * min_free_percent
    few_inodes = counts_inodes and (
        room["free_inodes"] * 100 < room["total_inodes"] * min_free_percent
    )
    if few_bytes or few_inodes:
        return "warning", f"{free(room)}; below {min_free_percent} %"
    return None


def free(room: Evidence) -> str:
    """Return in words what is free on a file system."""
    text = f"{_size(room['free_bytes'])} of {_size(room['total_bytes'])} free"
    if room["total_inodes"]:
        text += f", {room['free_inodes']} of {room['total_inodes']} inodes"
    return text


def _size(number: int) -> str:
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    size, unit = float(number), units.pop(0)
    while size >= 1024 and units:
        size, unit = size / 1024, units.pop(0)
    return f"{size:.3g} {unit}" if size < 1000 else f"{size:.0f} {unit}"


def _spooled(settings: Evidence, places: t.Sequence[Evidence]) -> Judgement:
    user, largest = settings["site"]["nginx_user"], largest_body_bytes(settings)
    if not places:
        return Judgement("body-spooled", "skip", "Nginx is not installed, or does not say where")
    findings = []
    for place in places:
        room = place["room"]
        found = _shortage(room, settings["verify"]["min_free_percent"], largest) if room else None
        if not place["allowed"]:
            findings.append(_unwritable(place, user))
        elif room and found:
            severity, evidence = found
            # Nginx answers 500, and the app is not asked:
            # https://nginx.org/en/docs/http/ngx_http_core_module.html#client_body_buffer_size
            findings.append(
                _finding(
                    "disk-full",
                    room["mount_point"],
                    f"there is {'no' if severity == 'error' else 'little'} room for large requests, which "
                    f"Nginx writes to {place['path']}",
                    evidence,
                    "Make room, or set client_body_temp_path to a directory on a larger file system.",
                    severity,
                )
            )
    shown = ", ".join(place["path"] for place in places)
    return _judgement("body-spooled", findings, f"{user} can write {shown}")


def _unwritable(place: Evidence, user: str) -> dict[str, str]:
    path: str = place["path"]
    stop: Evidence = place["blocked_by"] or {}
    component: str = stop.get("component", path)
    if not place["exists"]:
        evidence = f"{path} is not there"
    else:
        evidence = (
            f"{component} is {stop.get('owner')}:{stop.get('group')}, mode {stop.get('mode')}"
        )
    quoted = shlex.quote(path)
    if component == path:
        # As Nginx itself makes it, when it starts
        fix = f"install -d -o {user} -g root -m 0700 {quoted}"
    else:
        fix = f"setfacl -m u:{user}:x {shlex.quote(component)}"
    return _finding(
        "body-temp-unwritable",
        component,
        f"{user} can't write there, so Nginx answers 500 to every request that is larger than its buffer",
        evidence,
        f"Give it back to Nginx: {fix}",
    )


def _judgement(check_id: str, findings: list[dict[str, str]], evidence: str) -> Judgement:
    errors = [found for found in findings if found["severity"] == "error"]
    shown = "; ".join(f"{found['component']}: {found['evidence']}" for found in errors or findings)
    return Judgement(check_id, "fail" if errors else "pass", shown or evidence, findings)


def _finding(
    finding_id: str,
    component: str,
    message: str,
    evidence: str,
    fix: str,
    severity: str = "error",
) -> dict[str, str]:
    return {
        "id": finding_id,
        "severity": severity,
        "component": component,
        "message": message,
        "evidence": evidence,
        "fix": fix,
    }
