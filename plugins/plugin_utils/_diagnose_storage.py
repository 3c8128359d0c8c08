# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Where uploads and static files lie: whether they are there, last, and are what Nginx serves.

Of a directory of uploads one cause is told: what makes it useless first, then what will lose it.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import overlap
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_case,
    _verify_storage,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    CANARY,
    Case,
    FilesLocation,
    StaticMount,
    Upload,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
    below,
)

Answer = t.Mapping[str, t.Any]
Question = dict[str, t.Any]

# Emptied at boot, by age (tmpfiles.d(5)), or when their service stops (systemd.exec(5), PrivateTmp=).
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run")
IN_MEMORY = ("tmpfs", "ramfs")
RELEASE = re.compile(r"(.*/releases/[^/]+)(?:/|\Z)")
PACKAGES = re.compile(r"(.*/(?:site|dist)-packages)(?:/|\Z)")
# Docker names a volume so that nobody has named.
ANONYMOUS = re.compile(r"[0-9a-f]{64}\Z")
# Nobody requests what others are made of, so it need not be published.
SOURCES = re.compile(
    r"(?:^|/)(?:node_modules|__pycache__|src)/|\.(?:scss|sass|less|styl|ts|tsx|jsx|vue|py|pyc|map|md|orig|bak|psd)\Z"
)
ANCESTORS = 5
# A photograph is larger.
LITTLE_BYTES = 1 << 20
MOVE = "Set {key} to a directory of its own outside of all that a deploy replaces, such as /var/www/APP/media, and move the uploads there"


def questions(case: Case) -> t.Iterator[Question]:
    """Ask for what is mounted and free, what links lead to, and files that should be published."""
    for n, path in enumerate(_code(case)):
        yield {"kind": "files", "id": f"storage.code.{n}", "path": path, **case.app_view}
    for n, upload in enumerate(case.uploads):
        if case.app_view:
            yield {
                "kind": "storage",
                "id": f"storage.upload.{n}.view",
                "path": upload.path,
                **case.app_view,
            }
        host = case.on_host(upload.path)
        if host:
            yield {"kind": "storage", "id": f"storage.upload.{n}", "path": host}
        for m, ancestor in enumerate(_ancestors(_real(case, n, upload))):
            yield {
                "kind": "files",
                "id": f"storage.upload.{n}.git.{m}",
                "path": f"{ancestor}/.git",
                **case.app_view,
            }
    for n, each in enumerate(case.files_locations):
        if not case.nginx.get("container"):
            yield {"kind": "storage", "id": f"storage.location.{n}", "path": each.directory}
    for n, point in enumerate(_mount_points(case)):
        unit = _mount_unit(point)
        yield {"kind": "files", "id": f"storage.unit.{n}", "path": f"/etc/systemd/system/{unit}"}
    if case.upload and case.media_directory:
        inside = f"{case.media_directory}/{{canary:{CANARY}}}"
        yield {"kind": "files", "id": "storage.served-canary", "path": inside, **case.nginx_view}
    if case.upload and case.process:
        parent = posixpath.dirname(case.upload.path)
        yield {
            "kind": "paths",
            "id": "storage.upload.parent",
            "path": parent,
            "want": ["traverse", "write"],
            **case.app_user,
            **case.app_view,
        }
    for mount in case.static:
        yield from _questions_of_static(case, mount)
        if _hiding(case, mount):
            yield {
                "kind": "trees",
                "id": f"storage.{mount.key}.image",
                "path": mount.folder,
                "limit": 2000,
                "seconds": 2.0,
                "beneath_mounts": True,
                **case.app_view,
            }


def judge(case: Case, findings: Findings) -> None:
    """Find what keeps files from being where they are looked for, or from staying there."""
    _judge_mounts(case, findings)
    _judge_room(case, findings)
    for n, upload in enumerate(case.uploads):
        if findings.explained(upload.path):
            continue
        relative = _relative(case, upload)
        # Of a relative path that happens to be right, a static folder that it leads to is the greater
        # fault; a whole path outside of it mends both.
        found = (
            (relative if relative and relative.severity == "error" else None)
            or _ephemeral(case, n, upload)
            or _shared(case, n, upload)
            or relative
            or _in_release(case, n, upload)
        )
        if found:
            is_relative = found.id == "upload-folder-relative"
            urls = [case.media_url] if is_relative and case.media_url else []
            is_useless = found.severity == "error"
            findings.add(found, subjects=[upload.path, *urls] if is_useless else ())
    _judge_shared_locations(case, findings)
    _judge_media(case, findings)
    for mount in case.static:
        _judge_volume(case, mount, findings)
    # The outer directories first: what is missing with them is no fault of its own.
    for mount in sorted(case.static, key=lambda mount: len(_directory_of(case, mount))):
        _judge_static(case, mount, findings)


# What should be mounted


def _judge_mounts(case: Case, findings: Findings) -> None:
    for answer in _storages(case):
        entry = answer.get("fstab")
        if entry:
            _add_unmounted(
                case,
                entry["mount_point"],
                f"/etc/fstab has {entry['source']} for it",
                answer,
                findings,
            )
    for n, point in enumerate(_mount_points(case)):
        unit = case.answer(f"storage.unit.{n}")
        # What is mounted below may have been so after it.
        is_mounted = any(below(point, str(found.get("mount_point"))) for found in _storages(case))
        if unit and unit["exists"] and not is_mounted:
            _add_unmounted(case, point, f"{unit['path']} mounts something there", {}, findings)


def _add_unmounted(case: Case, point: str, why: str, answer: Answer, findings: Findings) -> None:
    served = [each for each in case.files_locations if below(point, each.directory)]
    what = "uploads" if any(below(point, path) for path in _media_paths(case)) else "files"
    findings.add(
        Finding(
            "mount-missing",
            "error",
            point,
            f"nothing is mounted there, so the {what} are not there either",
            f"{why}, and it lies on {answer['mount_point']} ({answer['source']})"
            if answer
            else why,
            f"Attach what is to be mounted there if it is gone, then: mount {point}. Move away first what was "
            "written below that path meanwhile, and let the app's unit have RequiresMountsFor= with it.",
            "flask_media_mount",
        ),
        subjects=[each.url for each in served],
    )


def _mount_points(case: Case) -> list[str]:
    """Return directories that a systemd unit of their own may mount (systemd.mount(5))."""
    found: dict[str, None] = {}
    for path in _media_paths(case):
        for point in [path, *_ancestors(path)][:ANCESTORS]:
            found.setdefault(point)
    return list(found)


def _mount_unit(path: str) -> str:
    """Return the name of the unit that mounts a path, as systemd-escape(1) makes it."""
    name = path.strip("/")
    return "".join(
        "-" if character == "/"
        else character if re.match(r"[A-Za-z0-9:_.]", character) and not (n == 0 and character == ".")
        else "".join(f"\\x{byte:02x}" for byte in character.encode())
        for n, character in enumerate(name)
    ) + ".mount"  # fmt: skip


# What becomes of uploads


def _relative(case: Case, upload: Upload) -> Finding | None:
    if upload.written.startswith("/"):
        return None
    # https://flask.palletsprojects.com/en/stable/api/#flask.send_from_directory
    root = str((case.app or {}).get("root_path") or "")
    read = posixpath.normpath(posixpath.join(root, upload.written))
    differs = read != upload.path
    return Finding(
        "upload-folder-relative",
        "error" if differs else "warning",
        case.config_key(upload.key),
        f"{upload.key} is a relative path: file.save() writes to {upload.path}, by the working directory, and "
        f"send_from_directory() reads {read}, by the app's own"
        + ("" if differs else "; now both are one, by chance"),
        f"{upload.key} = {upload.written!r}; the process works in {(case.process or {}).get('cwd')}",
        f"Write the whole path, {upload.key} = {case.media_directory or '/var/www/APP/media'!r}, and move the "
        "uploads there.",
        "flask_media_root",
    )


def _ephemeral(case: Case, n: int, upload: Upload) -> Finding | None:
    real = _real(case, n, upload)
    container = case.container
    if container is not None:
        # Of the host's directories, the one that Nginx serves.
        served = None if case.nginx.get("container") else case.media_directory
        return _ephemeral_in_container(container, case.mount_of(real), upload, served)
    view = case.answer(f"storage.upload.{n}.view") or case.answer(f"storage.upload.{n}") or {}
    place = next((place for place in TEMPORARY if below(place, real)), None)
    unit = str((case.process or {}).get("unit") or "")
    if place:
        # DynamicUser= implies PrivateTmp= (systemd.exec(5)).
        private = (
            unit
            and place in ("/tmp", "/var/tmp")
            and (_is_on(case, "PrivateTmp") or _is_on(case, "DynamicUser"))
        )
        why = (
            f"{place} is {unit}'s own (PrivateTmp=), unseen by Nginx, and removed when that stops"
            if private
            else f"{place} is emptied, at boot or by age"
        )
    elif view.get("fstype") in IN_MEMORY:
        why = f"it is in memory: {view['mount_point']} is a {view['fstype']}"
    else:
        return None
    return Finding(
        "media-ephemeral",
        "error",
        upload.path if place else str(view["mount_point"]),
        f"uploads do not last: {why}",
        f"{upload.key} = {upload.written!r}"
        + (f", in truth {real}" if real != upload.path else ""),
        MOVE.format(key=upload.key) + ".",
        "flask_media_root",
    )


def _ephemeral_in_container(
    container: Answer, mount: Answer | None, upload: Upload, served: str | None
) -> Finding | None:
    name = container["name"]
    what = (
        f"the directory that Nginx serves there (-v {served}:{upload.path})"
        if served
        else f"a named volume or a directory of the host there (-v media:{upload.path})"
    )
    fix = (
        f"Mount {what}, and copy the "
        f"uploads out before the container is replaced: docker cp {name}:{upload.path} ."
    )
    if mount is None:
        message = f"uploads are in the container's own layer, and end with it: no volume holds {upload.path}"
        evidence = f"{upload.key} = {upload.written!r}; mounts of {name}: {_mounts(container)}"
    elif mount.get("type") == "tmpfs":
        message = f"uploads are in memory, and end with the container: {mount['target']} is a tmpfs"
        evidence = f"{upload.key} = {upload.written!r}; mounts of {name}: {_mounts(container)}"
    elif mount.get("type") == "volume" and ANONYMOUS.match(str(mount.get("name") or "")):
        return Finding(
            "media-ephemeral",
            "warning",
            str(name),
            f"uploads are in a volume without a name ({mount['target']}): the next container gets another",
            f"{upload.key} = {upload.written!r}; volume {mount['name'][:12]}…",
            fix,
            "flask_media_root",
        )
    else:
        return None
    return Finding(
        "media-ephemeral", "error", str(name), message, evidence, fix, "flask_media_root"
    )


def _mounts(container: Answer) -> str:
    return ", ".join(str(mount["target"]) for mount in container.get("mounts") or []) or "none"


def _shared(case: Case, n: int, upload: Upload) -> Finding | None:
    real = _real(case, n, upload)
    for mount in case.static:
        if overlap(real, mount.folder):
            return _shared_finding(case, upload, real, mount.folder, mount.url)
    host = case.on_host(real)
    for mount in case.static:
        location = case.location_of(mount.url)
        if (
            host
            and location
            and not case.nginx.get("container")
            and overlap(host, _served(case, location))
        ):
            return _shared_finding(case, upload, host, _served(case, location), mount.url)
    return None


def _shared_finding(case: Case, upload: Upload, uploads: str, static: str, url: str) -> Finding:
    return Finding(
        "shared-directory",
        "error",
        uploads,
        "uploads and static files share a directory, so a deploy of the one replaces or removes the other, "
        f"and uploads are served as static files ({url})",
        f"{upload.key} is {uploads}, static files are in {static}",
        MOVE.format(key=upload.key)
        + "."
        # Until then they were reached by the static files' URL.
        + (
            ""
            if case.media_url and not case.media_url.startswith(url)
            else " Serve them from there by a location of their own, such as location ^~ /media/ "
            "{ alias /var/www/APP/media/; }, and lead the app's links to it."
        ),
        "flask_media_root",
    )


def _judge_shared_locations(case: Case, findings: Findings) -> None:
    """Find two locations that serve one directory as both, where the app names none of its own."""
    media = case.media_location
    if media is None or findings.of("shared-directory") or case.upload:
        return
    for each in case.files_locations:
        is_static = each is not media and re.search(r"/(?:static|assets)/?\Z", each.url)
        if is_static and overlap(each.directory, media.directory):
            line = (media.location.own("alias") or media.location.effective("root"))[-1]
            findings.add(
                Finding(
                    "shared-directory",
                    "error",
                    line.component,
                    f"uploads ({media.url}) and static files ({each.url}) share a directory",
                    f"{media.directory} and {each.directory}",
                    "Give uploads a directory of their own, beside that of the static files.",
                    "flask_media_root",
                )
            )


def _in_release(case: Case, n: int, upload: Upload) -> Finding | None:
    real = _real(case, n, upload)
    found = _replaced(case, n, upload, real, _reals(case))
    if found is None:
        return None
    view = case.answer(f"storage.upload.{n}.view") or case.answer(f"storage.upload.{n}") or {}
    point = str(view.get("mount_point") or (case.mount_of(real) or {}).get("target") or "/")
    if point != found[0] and below(found[0], point):
        # A mount of its own amid the code stays when that is replaced.
        return None
    directory, what, severity = found
    return Finding(
        "media-in-release",
        severity,
        case.on_host(upload.path) or upload.path,
        f"uploads lie in {what}, and are lost when that is replaced",
        f"{upload.key} = {upload.written!r}"
        + (f", in truth {real}" if real != upload.path else "")
        + f"; it lies in {directory}",
        MOVE.format(key=upload.key)
        + f", before the next deploy: cp -a {real}/. /var/www/APP/media/",
        "flask_media_root",
    )


def _replaced(
    case: Case, n: int, upload: Upload, real: str, code: t.Mapping[str, str]
) -> tuple[str, str, str] | None:
    """Return what a deploy replaces with the uploads in it: directory, what it is, how bad that is."""
    root, virtualenv = code.get("root", ""), code.get("virtualenv", "")
    if virtualenv and below(virtualenv, real):
        return virtualenv, "the virtualenv", "error"
    for pattern, what in (
        (PACKAGES, "the installed packages"),
        (RELEASE, "one release of the app"),
    ):
        match = pattern.match(real)
        if match:
            return match[1], what, "error"
    for link, target in _links(case.answer("core.upload.path") if n == 0 else None):
        if posixpath.basename(link) == "current" and below(target, real):
            return target, f"one release of the app ({link} leads there)", "error"
    if not root:
        return None
    package = _is_package(case, root)
    if package and below(root, real):
        return root, "the app's package", "error"
    imported = posixpath.dirname(root) if package else root
    if imported not in ("/", "/srv", "/opt", "/home", "/var/www") and below(imported, real):
        return imported, "the directory of the app's code", "warning"
    for m, ancestor in enumerate(_ancestors(real)):
        git = case.answer(f"storage.upload.{n}.git.{m}")
        if git and git["exists"] and below(ancestor, root):
            return ancestor, "the app's git checkout", "warning"
    return None


def _is_package(case: Case, root: str) -> bool:
    name = str((case.app or {}).get("import_name") or "")
    return bool(name) and posixpath.basename(root) == name.rpartition(".")[2]


def _links(answer: Answer | None) -> t.Iterator[tuple[str, str]]:
    for component in (answer or {}).get("components") or []:
        if component.get("link"):
            path = component["path"]
            yield (
                path,
                posixpath.normpath(posixpath.join(posixpath.dirname(path), component["link"])),
            )


# Room


def _judge_room(case: Case, findings: Findings) -> None:
    upload = case.upload
    if upload is None or findings.explained(upload.path):
        return
    room = case.answer("storage.upload.0.view") or case.answer("storage.upload.0") or {}
    error = (case.answer(CANARY) or {}).get("error") or {}
    is_refused = error.get("reason") == "disk-full"
    largest = _largest_bytes(case)
    if is_refused or _is_empty(room):
        severity, message = "error", f"hardly any upload fits in {upload.path} any more"
    elif room.get("free_bytes") is not None and room["free_bytes"] < largest:
        severity, message = (
            "warning",
            f"the largest upload ({largest} bytes) doesn't fit in {upload.path}",
        )
    else:
        return
    evidence = [_room(room)]
    if is_refused:
        evidence.append(f"a file of the app's: {error['strerror']} ({error['errno']})")
    is_useless = severity == "error"
    findings.add(
        Finding(
            "disk-full",
            severity,
            str(room.get("mount_point") or upload.path),
            message,
            "; ".join(evidence),
            "Make room or enlarge it, and find out what fills it (a quota counts too): uploads on a file system of "
            "their own don't fill the system's, nor it theirs.",
            "flask_media_mount",
        ),
        subjects=[upload.path, *([case.media_url] if is_refused and case.media_url else [])]
        if is_useless
        else (),
    )


def _is_empty(room: Answer) -> bool:
    if room.get("free_bytes") is None:
        return False
    # File systems that make inodes as they are needed count none.
    return bool(room["free_bytes"] < LITTLE_BYTES or (room["inodes"] and not room["free_inodes"]))


def _largest_bytes(case: Case) -> int:
    """Return the size of the largest upload that the app says it takes."""
    limit = ((case.app or {}).get("config") or {}).get("MAX_CONTENT_LENGTH")
    return limit if isinstance(limit, int) else 0


def _room(room: Answer) -> str:
    if room.get("free_bytes") is None:
        return "nothing is known of its room"
    totals = {"total_bytes": room["size_bytes"], "total_inodes": room["inodes"] or 0}
    return _verify_storage.free({**room, **totals})


# Whether both mean one directory


def _judge_media(case: Case, findings: Findings) -> None:
    upload, location = case.upload, case.media_location
    if upload is None or findings.explained(upload.path):
        return
    directory = case.answer("core.upload.0.directory")
    served = (
        case.answer(f"core.location.{case.files_locations.index(location)}.directory")
        if location
        else None
    )
    if directory is None:
        return
    is_served = location is not None and served is not None and served["exists"]
    if not directory["exists"]:
        if is_served and location and _are_apart(case, location):
            evidence = f"{upload.path} isn't there; Nginx serves {location.directory}"
            _add_mismatch(case, upload, evidence, findings)
        else:
            _add_missing(case, upload, findings)
        return
    if not (is_served and location and _are_apart(case, location) and _is_mismatch(case)):
        return
    response = case.response("core.media")
    evidence = f"the app wrote {(case.answer(CANARY) or {}).get('path')}, Nginx looked in {location.directory}"
    _add_mismatch(case, upload, evidence + (f": {response}" if response else ""), findings)


def _is_mismatch(case: Case) -> bool:
    """Whether a file that the app has written isn't where Nginx looks, nor sent by anybody."""
    canary, inside = case.answer(CANARY) or {}, case.answer("storage.served-canary")
    response = case.response("core.media")
    is_sent = response is not None and response.status == 200
    return (
        bool(canary.get("written")) and inside is not None and not inside["exists"] and not is_sent
    )


def _are_apart(case: Case, location: FilesLocation) -> bool:
    """Whether no directory of the app's for uploads is the served one, holds it or lies in it.

    Where one lies in the other the app knows how its URLs go on.
    """
    if case.nginx.get("container"):
        # Its names and the host's say nothing of each other.
        return True
    hosts = [case.on_host(_real(case, n, upload)) for n, upload in enumerate(case.uploads)]
    return not any(host and overlap(host, _served(case, location)) for host in hosts)


def _add_mismatch(case: Case, upload: Upload, evidence: str, findings: Findings) -> None:
    location = case.media_location
    if location is None:
        return
    container, source = case.container, case.on_host(upload.path)
    if container and source:
        # What the app calls it is a matter of the container's mounts.
        component, saved = (
            source,
            f"{upload.path} of container {container['name']}, which is {source} on the host",
        )
        fix = f"mount {location.directory} at {upload.path} in the container"
    else:
        component, saved = case.config_key(upload.key), upload.path
        source, fix = upload.path, f"set {upload.key} to {location.directory}"
    findings.add(
        Finding(
            "upload-folder-mismatch",
            "error",
            component,
            f"the app saves uploads in {saved}, and Nginx serves {location.url} from {location.directory}",
            evidence,
            f"Make both one directory: {fix}, or write {source} into the location "
            f"({location.location.component}). Then move there what is in the other.",
            "flask_media_root",
        ),
        subjects=[upload.path, *([case.media_url] if case.media_url else [])],
    )


def _add_missing(case: Case, upload: Upload, findings: Findings) -> None:
    access = case.answer("core.upload.path") or {}
    stop = access.get("blocked_by") or {}
    if stop and stop.get("reason") not in ("missing", "not-a-directory"):
        # What keeps the user from looking is the cause.
        return
    parent = case.answer("storage.upload.parent") or {}
    makes_it = bool(parent.get("allowed"))
    user = (case.process or {}).get("user")
    component = str(stop.get("component") or upload.path)
    findings.add(
        Finding(
            "media-missing",
            "warning" if makes_it else "error",
            component,
            "the directory of uploads isn't there"
            + (
                ", unless the app makes it with the first upload"
                if makes_it
                else f", and {user} may not make it"
            ),
            f"{upload.key} = {upload.written!r}",
            f"Make it, writable for {user} and readable for Nginx: install -d -o {user} "
            f"-g {case.nginx.get('worker_user') or 'www-data'} -m 2750 {upload.path}. "
            "If a deploy has removed it, restore the uploads from a backup first.",
            "flask_media_root",
        ),
        subjects=[upload.path, *([case.media_url] if case.media_url else [])],
    )


# Static files


def _questions_of_static(case: Case, mount: StaticMount) -> t.Iterator[Question]:
    location = case.location_of(mount.url)
    if location is None or not mount.url.startswith(location.url):
        return
    directory = _directory_answer(case, location)
    if directory and not directory["exists"]:
        parent = posixpath.dirname(location.directory)
        yield {
            "kind": "trees",
            "id": f"storage.{mount.key}.parent",
            "path": parent,
            "limit": 2000,
            "seconds": 2.0,
            **case.nginx_view,
        }
        yield case.request(f"storage.{mount.key}.missing", mount.url + (case.sample(mount) or ""))
        return
    lacking = _lacking(case, mount, location)
    if lacking:
        target = mount.url + _diagnosis_case.quoted(lacking[0])
        yield case.request(f"storage.{mount.key}.missing", target)
    outdated = _outdated(case, mount, location)
    if outdated:
        target = mount.url + _diagnosis_case.quoted(outdated[0])
        yield case.request(f"storage.{mount.key}.outdated", target)
        yield {
            "kind": "files",
            "id": f"storage.{mount.key}.source",
            "path": posixpath.join(mount.folder, outdated[0]),
            "hash": True,
            **case.app_view,
        }


def _judge_static(case: Case, mount: StaticMount, findings: Findings) -> None:
    location = case.location_of(mount.url)
    if location is None or any(map(findings.explained, (location.directory, mount.url))):
        return
    _judge_outdated(case, mount, location, findings)
    response = case.response(f"storage.{mount.key}.missing")
    # Whoever serves it in the place of Nginx, it is there.
    if response is None or response.status == 200 or response.by_app:
        return
    absent = _absent(case, mount, location)
    if absent is None:
        return
    component, what = absent
    is_all = component == location.directory
    findings.add(
        Finding(
            "static-missing",
            "error",
            component,
            what,
            "; ".join([str(response), *response.log[:1], f"the app has them in {mount.folder}"]),
            f"Publish the app's files again, from {mount.folder} to {location.directory}; let each deploy do it."
            if location.directory != mount.folder
            else "Install the app's release again: its own files are gone.",
            "flask_static_root",
        ),
        subjects=[component, mount.url if is_all else str(response.request["target"])],
    )


def _absent(case: Case, mount: StaticMount, location: FilesLocation) -> tuple[str, str] | None:
    """Return the path element that isn't there, and what that means."""
    directory = _directory_answer(case, location)
    if directory and not directory["exists"]:
        is_own = location.directory == mount.folder
        if not is_own and _is_elsewhere(case, mount, location, case.sample(mount)):
            return None
        return location.directory, f"the directory that {mount.url} is served from isn't there"
    lacking = _lacking(case, mount, location)
    if not lacking:
        return None
    element = _first_absent(case, location, [_inside(mount, location, name) for name in lacking])
    shown = ", ".join(lacking[:3])
    return element, f"{len(lacking)} of the app's static files are not published: {shown}"


def _hiding(case: Case, mount: StaticMount) -> Answer | None:
    """Return the volume that lies over a folder of the image's."""
    found = case.mount_of(mount.folder)
    return found if found and found.get("type") == "volume" else None


def _judge_volume(case: Case, mount: StaticMount, findings: Findings) -> None:
    """Find a volume that was filled from an image of long ago, and since then never again."""
    volume, image = _hiding(case, mount), case.answer(f"storage.{mount.key}.image")
    seen = case.answer(f"{mount.key}.tree")
    if not volume or not image or not seen or not (image["is_all"] and seen["is_all"]):
        return
    shown = {entry["path"]: entry for entry in seen["entries"]}
    hidden = [
        posixpath.relpath(entry["path"], mount.folder)
        for entry in image["entries"]
        if entry["type"] == "file" and (shown.get(entry["path"]) or {}).get("size") != entry["size"]
    ]
    if not hidden:
        return
    container = (case.container or {}).get("name")
    findings.add(
        Finding(
            "volume-hides-static",
            "error",
            str(volume["target"]),
            f"volume {volume.get('name')} lies over static files of the image, and has those of an earlier one: "
            "it was filled when it was new, and is never again",
            f"in the image of {container}, not in the volume: {', '.join(hidden[:3])} ({len(hidden)} in all)",
            f"Take the volume from {volume['target']}, so that the image's files are seen, and let each deploy copy them "
            f"to where Nginx serves them (docker cp {container}:{mount.folder}/. DIRECTORY). Uploads belong in "
            "another volume, which stays.",
            "flask_static_root",
        ),
        subjects=[mount.url, mount.folder],
    )


def _outdated(case: Case, mount: StaticMount, location: FilesLocation) -> list[str]:
    """Return files that are served as an earlier release had them.

    By size and time: what a build has made of the app's file is younger than that.
    """
    own, served = case.answer(f"{mount.key}.tree"), _tree(case, location)
    base = _served(case, location)
    if not own or not served or base == mount.folder:
        return []
    known = {entry["path"]: entry for entry in served["entries"] if entry["type"] == "file"}
    found = []
    for entry in own["entries"]:
        name = posixpath.relpath(entry["path"], mount.folder)
        other = known.get(_inside(mount, location, name, base))
        if (
            entry["type"] == "file"
            and other
            and other["size"] != entry["size"]
            and other["mtime"] < entry["mtime"]
        ):
            found.append(name)
    return sorted(found)


def _judge_outdated(
    case: Case, mount: StaticMount, location: FilesLocation, findings: Findings
) -> None:
    names = _outdated(case, mount, location)
    response = case.response(f"storage.{mount.key}.outdated")
    source = case.answer(f"storage.{mount.key}.source")
    if (
        not names
        or not response
        or response.status != 200
        or not source
        or response.sha256 == source["sha256"]
    ):
        return
    component = _inside(mount, location, names[0]) if len(names) == 1 else location.directory
    findings.add(
        Finding(
            "static-missing",
            "error",
            component,
            f"{len(names)} static files are served as an earlier release had them: {', '.join(names[:3])}",
            f"{response}, sha256 {str(response.sha256)[:12]}…; the app's {source['path']} has {str(source['sha256'])[:12]}… and is younger",
            f"Publish the app's files again, from {mount.folder} to {location.directory}; let each deploy do it.",
            "flask_static_root",
        ),
        subjects=[component],
    )


def _directory_of(case: Case, mount: StaticMount) -> str:
    location = case.location_of(mount.url)
    return location.directory if location else ""


def _lacking(case: Case, mount: StaticMount, location: FilesLocation) -> list[str]:
    """Return files of a mount that aren't where Nginx would look, as far as all of both are known."""
    own, served = case.answer(f"{mount.key}.tree"), _tree(case, location)
    if not own or not served or not own["is_all"] or not served["is_all"]:
        return []
    base = _served(case, location)
    if base == mount.folder:
        return []
    names = [
        posixpath.relpath(entry["path"], mount.folder)
        for entry in own["entries"]
        if entry["type"] == "file"
    ]
    shown = sorted(
        name for name in names if not re.search(r"(?:^|/)\.", name) and not SOURCES.search(name)
    )
    known = {entry["path"] for entry in served["entries"]}
    links = [link["path"] for link in served.get("links") or []]
    lacking = []
    for name in shown:
        path = _inside(mount, location, name, base)
        route = case.route(mount.url + _diagnosis_case.quoted(name))
        is_here = route is not None and route.path == _inside(mount, location, name)
        if is_here and path not in known and not any(below(link, path) for link in links):
            lacking.append(name)
    # Nothing of the app's in a directory that has other things: the path is wrong, not its content.
    return [] if len(lacking) == len(shown) and served["files"] else lacking


def _inside(mount: StaticMount, location: FilesLocation, name: str, base: str | None = None) -> str:
    return posixpath.normpath(
        posixpath.join(base or location.directory, mount.url[len(location.url) :].lstrip("/"), name)
    )


def _first_absent(case: Case, location: FilesLocation, paths: t.Sequence[str]) -> str:
    """Return the one path element that all of these lack, or the directory, if they have none in common."""
    base, tree = _served(case, location), _tree(case, location) or {}
    known = {location.directory}
    for entry in tree.get("entries") or []:
        known.add(
            posixpath.normpath(
                posixpath.join(location.directory, posixpath.relpath(entry["path"], base))
            )
        )
    absent = set()
    for path in paths:
        while posixpath.dirname(path) not in known and below(
            location.directory, posixpath.dirname(path)
        ):
            path = posixpath.dirname(path)
        absent.add(path)
    return absent.pop() if len(absent) == 1 else location.directory


def _is_elsewhere(
    case: Case, mount: StaticMount, location: FilesLocation, sample: str | None
) -> bool:
    """Whether the directory that is missing never was one: then its line is wrong.

    So it is where it lies amid the app's code, or another beside it has the files.
    """
    code = _reals(case).get("root")
    if (
        code
        and below(posixpath.dirname(code) or "/", location.directory)
        and posixpath.dirname(code) != "/"
    ):
        return True
    parent = case.answer(f"storage.{mount.key}.parent") or {}
    ending = "/" + (sample or "\0")
    return any(
        entry["type"] == "file" and entry["path"].endswith(ending)
        for entry in parent.get("entries") or []
    )


# What was found out


def _storages(case: Case) -> list[Answer]:
    keys = [f"storage.upload.{n}" for n in range(len(case.uploads))]
    keys += [f"storage.location.{n}" for n in range(len(case.files_locations))]
    return [answer for answer in map(case.answer, keys) if answer]


def _media_paths(case: Case) -> list[str]:
    found = [case.on_host(upload.path) for upload in case.uploads]
    if case.media_directory and not case.nginx.get("container"):
        found.append(case.media_directory)
    return [path for path in dict.fromkeys(found) if path]


def _real(case: Case, n: int, upload: Upload) -> str:
    """Return where an upload directory is in truth, as the app's process sees it."""
    answer = case.answer(f"core.upload.{n}.directory") or {}
    return str(answer.get("realpath") or upload.path)


def _directory_answer(case: Case, location: FilesLocation) -> Answer | None:
    return case.answer(f"core.location.{case.files_locations.index(location)}.directory")


def _tree(case: Case, location: FilesLocation) -> Answer | None:
    return case.answer(f"core.location.{case.files_locations.index(location)}.tree")


def _served(case: Case, location: FilesLocation) -> str:
    """Return where a served directory is in truth, as Nginx sees it."""
    answer = _directory_answer(case, location) or {}
    return str(answer.get("realpath") or location.directory)


def _code(case: Case) -> list[str]:
    """Return where the app's code is, as it is called: its root, then its virtualenv."""
    found = [(case.app or {}).get("root_path"), (case.process or {}).get("virtualenv")]
    return [str(path or "/") for path in found]


def _reals(case: Case) -> dict[str, str]:
    found = {}
    for n, (name, path) in enumerate(zip(("root", "virtualenv"), _code(case))):
        answer = case.answer(f"storage.code.{n}") or {}
        if path != "/":
            found[name] = str(answer.get("realpath") or path)
    return found


def _ancestors(path: str) -> list[str]:
    found: list[str] = []
    path = posixpath.dirname(path)
    while path != "/" and len(found) < ANCESTORS:
        found.append(path)
        path = posixpath.dirname(path)
    return found


def _is_on(case: Case, name: str) -> bool:
    value = ((case.process or {}).get("unit_properties") or {}).get(name)
    return str(value).lower() in ("yes", "true", "disconnected", "1")
