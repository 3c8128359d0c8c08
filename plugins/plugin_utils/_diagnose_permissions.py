# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Who is stopped on the way to files, and who may do more with them than serving takes.

The kernel was asked as the user in question; modes only say why. What stops both the app and
Nginx, or forty files, is one fault.
"""

from __future__ import annotations

import dataclasses
import posixpath
import shlex
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _access_faults
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    CANARY,
    Case,
    FilesLocation,
    quoted,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
    below,
)

Answer = t.Mapping[str, t.Any]
Question = dict[str, t.Any]

# What a judge of where things lie tells of, and one of links.
OF_OTHERS = ("missing", "not-a-directory", "disk-full", "symlink-blocked")
# Of two that stop at one component, the one that tells more.
PRECEDENCE = (
    "selinux-label",
    "acl-mask",
    "read-only-filesystem",
    "not-traversable",
    "not-readable",
    "not-writable",
)
# What loses uploads one day stops nobody now.
LASTING = ("media-in-release", "shared-directory")
NGINX_SAMPLES, APP_SAMPLES = 200, 50


@dataclasses.dataclass(frozen=True)
class Stop:
    """A component that a user can't pass.

    :ivar facts: of the component, with the ``reason``.
    :ivar proof: what came of trying.
    """

    user: str
    is_app: bool
    facts: Answer
    proof: str = ""

    @property
    def reason(self) -> str:
        return str(self.facts["reason"])

    @property
    def component(self) -> str:
        return str(self.facts["component"])


def questions(case: Case) -> t.Iterator[Question]:
    """Ask what Nginx can read below each location, and whether the app can write it."""
    nginx = {**case.nginx_user, **case.nginx_view}
    if case.nginx.get("worker_uid") is None:
        return
    for n, each in enumerate(case.files_locations):
        if each is not case.media_location:
            yield {
                "kind": "paths",
                "id": f"permissions.location.{n}",
                "path": each.directory,
                "want": ["traverse"],
                "unwanted": ["write"],
                "sample_files": NGINX_SAMPLES,
                **nginx,
            }
            inside = None if case.nginx.get("container") else case.in_app(each.directory)
            if inside and case.process:
                yield {
                    "kind": "paths",
                    "id": f"permissions.location.{n}.app",
                    "path": inside,
                    "want": [],
                    "unwanted": ["write"],
                    "sample_files": APP_SAMPLES,
                    **case.app_user,
                    **case.app_view,
                }
    if case.media_directory:
        yield {
            "kind": "paths",
            "id": "permissions.canary",
            "path": f"{case.media_directory}/{{canary:{CANARY}}}",
            "want": ["read"],
            **nginx,
        }
        if case.nginx.get("worker_user") and not case.nginx.get("container"):
            # By name, a group that the user has joined since the workers started counts too.
            yield {
                "kind": "paths",
                "id": "permissions.media.by-name",
                "path": case.media_directory,
                "want": ["traverse"],
                "user": case.nginx["worker_user"],
            }
    if case.media_url and case.media_location and case.server is not None:
        for n, path in enumerate(_suspects(case)):
            target = case.media_url + posixpath.relpath(path, _root(case, case.media_location))
            yield case.request(f"permissions.suspect.{n}", quoted(target))


def judge(case: Case, findings: Findings) -> None:
    """Find the components at fault."""
    umask = _judge_umask(case, findings)
    stops = [*_stops_of_app(case), *_stops_of_nginx(case)]
    _judge_stops(case, stops, findings)
    for n, each in enumerate(case.files_locations):
        _judge_samples(case, n, each, umask, findings)
    _judge_media_modes(case, findings)
    _judge_writable_static(case, findings)


def _told(findings: Findings, path: str) -> Finding | None:
    """Return why a path fails, if that is known: where uploads should not lie they can be closed too."""
    return findings.explained(path, LASTING)


# Who is stopped


def _stops_of_app(case: Case) -> t.Iterator[Stop]:
    user = _app_name(case)
    access, canary = case.answer("core.upload.path") or {}, case.answer(CANARY) or {}
    error = canary.get("error") or {}
    if canary.get("written"):
        # Behaviour wins over what modes say.
        return
    stop = access.get("blocked_by")
    proof = f"a file of the app's: {error['strerror']} ({error['errno']})" if error else ""
    facts = stop or error
    if facts.get("component"):
        # What is to be mended is on the host, and may stop Nginx too.
        component = case.on_host(str(facts["component"])) or facts["component"]
        yield Stop(user, True, {**facts, "component": component}, proof)


def _stops_of_nginx(case: Case) -> t.Iterator[Stop]:
    user = _nginx_name(case)
    for n, each in enumerate(case.files_locations):
        answer = _access(case, n, each) or {}
        stop = answer.get("blocked_by")
        if stop:
            yield Stop(user, False, {**stop, "label": _label(answer, stop)}, _proof(case, each))
    stop = (case.answer("core.socket") or {}).get("blocked_by")
    if stop:
        response = case.response("core.app")
        yield Stop(
            user, False, stop, "; ".join([str(response), *response.log[:1]]) if response else ""
        )


def _label(answer: Answer, stop: Answer) -> str | None:
    """Return the SELinux label of the component that stops."""
    for component in answer.get("components") or []:
        if component["path"] == stop["component"]:
            return t.cast("str | None", component.get("label"))
    return None


def _access(case: Case, n: int, location: FilesLocation) -> Answer | None:
    is_media = location is case.media_location
    return case.answer("core.media.path" if is_media else f"permissions.location.{n}")


def _proof(case: Case, location: FilesLocation) -> str:
    """Return what came of a request for something below a location."""
    keys = [mount.key for mount in case.static if case.location_of(mount.url) is location]
    if location is case.media_location:
        keys += [f"permissions.suspect.{n}" for n in range(3)] + ["core.media"]
    for key in keys:
        response = case.response(key)
        if response and response.status != 200:
            return "; ".join([str(response), *response.log[:1]])
    return ""


def _judge_stops(case: Case, stops: t.Sequence[Stop], findings: Findings) -> None:
    by_component: dict[str, list[Stop]] = {}
    of_group: dict[int, str] = {}
    for stop in stops:
        if stop.reason in OF_OTHERS or _told(findings, stop.component):
            continue
        component = stop.component
        group = _lacked_group(case, stop)
        if group is not None:
            # One group that Nginx isn't in, however many directories are its.
            component = of_group.setdefault(group, component)
        by_component.setdefault(component, []).append(stop)
    for component, here in by_component.items():
        if not _told(findings, component):
            others = [stop.component for stop in here]
            urls = [url for other in others for url in _urls_below(case, other)]
            findings.add(_of_component(case, here), subjects=[*others, *urls])


def _lacked_group(case: Case, stop: Stop) -> int | None:
    """Return the group by which Nginx would pass, if it were in it."""
    bits = {"not-traversable": 0o010, "not-readable": 0o040, "not-writable": 0o020}
    mode, gid = stop.facts.get("mode"), stop.facts.get("gid")
    groups = {case.nginx.get("worker_gid"), *(case.nginx.get("worker_groups") or [])}
    if stop.is_app or mode is None or not gid or gid in groups:
        return None
    return int(gid) if int(str(mode), 8) & bits.get(stop.reason, 0) else None


def _urls_below(case: Case, component: str) -> t.Iterator[str]:
    for each in case.files_locations:
        # Behind a link it has another name.
        if below(component, each.directory) or below(component, _root(case, each)):
            yield each.url


def _of_component(case: Case, stops: t.Sequence[Stop]) -> Finding:
    stop = min(
        stops,
        key=lambda each: (
            PRECEDENCE.index(each.reason) if each.reason in PRECEDENCE else len(PRECEDENCE)
        ),
    )
    if stop.reason == "read-only-filesystem":
        return _read_only(case, stop)
    if _is_foreign(case, stops):
        return _foreign(case, stops)
    users = " and ".join(dict.fromkeys(each.user for each in stops))
    proofs = [each.proof for each in stops if each.proof]
    fix = _mend(case, stop, stops)
    return Finding(
        stop.reason,
        "error",
        stop.component,
        _access_faults.message(stop.reason, users),
        "; ".join([*_shown(stops), *_why(case, stop), *dict.fromkeys(proofs[:2])]),
        fix,
        "flask_media_root"
        if case.media_directory and below(case.media_directory, stop.component)
        else None,
    )


def _shown(stops: t.Sequence[Stop]) -> list[str]:
    return list(
        dict.fromkeys(f"{stop.component} is {_access_faults.shown(stop.facts)}" for stop in stops)
    )


def _why(case: Case, stop: Stop) -> t.Iterator[str]:
    if stop.reason == "acl-mask":
        yield f"ACL {', '.join(stop.facts.get('acl') or [])}"
    if stop.reason == "selinux-label":
        yield f"label {stop.facts.get('label') or 'not known'}; SELinux {case.nginx.get('selinux') or 'enforces'}"


def _mend(case: Case, stop: Stop, stops: t.Sequence[Stop]) -> str:
    by_name = case.answer("permissions.media.by-name")
    if (
        by_name
        and by_name["allowed"]
        and not stop.is_app
        and case.media_directory
        and below(stop.component, case.media_directory)
    ):
        return f"{stop.user} is in that group, but Nginx runs since before it was: systemctl reload nginx."
    if stop.reason == "not-writable":
        return _writable(stop)
    if (
        stop.reason == "acl-mask"
        and len(stop.facts.get("acl") or [])
        and stop.facts.get("acl_mask") is not None
    ):
        return _access_faults.mend(stop.reason, stop.facts, stop.user)
    texts = [_access_faults.mend(each.reason, each.facts, each.user) for each in stops]
    return " ".join(dict.fromkeys(texts))


def _writable(stop: Stop) -> str:
    """Return the mend of a directory that is the app's own, or its group's."""
    component, facts = shlex.quote(stop.component), stop.facts
    if facts.get("owner") == stop.user:
        return f"Give its owner the right back: chmod u+w {component}. Nobody else needs it."
    return f"Let {stop.user} write there, and nobody else: chown {stop.user} {component}, and see that the mode has u+w."


def _app_name(case: Case) -> str:
    process = case.process or {}
    name = str(process.get("user") or "the app")
    return f"uid {name} (the app)" if name.isdigit() else name


def _nginx_name(case: Case) -> str:
    return str(case.nginx.get("worker_user") or f"uid {case.nginx.get('worker_uid')}")


# Owners


def _is_foreign(case: Case, stops: t.Sequence[Stop]) -> bool:
    """Whether uploads are somebody's who isn't the app, and it is stopped by that."""
    stop = next((each for each in stops if each.is_app), None)
    uid = (case.process or {}).get("uid")
    roots = [
        case.on_host(path)
        for path in (*(upload.path for upload in case.uploads), _upload_real(case))
    ]
    owner = (stop.facts if stop else {}).get("uid")
    if stop is None or owner is None or uid is None or stop.component not in roots:
        return False
    mode = int(str(stop.facts.get("mode") or "0"), 8)
    in_group = stop.facts.get("gid") in {
        (case.process or {}).get("gid"),
        *((case.process or {}).get("groups") or []),
    }
    # Where the group is the app's and may write, the owner is no matter.
    return owner != uid and not (in_group and mode & 0o020) and bool(mode & 0o200)


def _foreign(case: Case, stops: t.Sequence[Stop]) -> Finding:
    stop = next(each for each in stops if each.is_app)
    process, facts = case.process or {}, stop.facts
    runs = f"{process.get('user')} (uid {process.get('uid')})"
    container = case.container
    fix = (
        "Give the uploads to the app's user, those of the former owner only: "
        f"chown -R --from={facts['uid']} {process.get('uid')} {shlex.quote(stop.component)}."
    )
    if container:
        fix += (
            f' Or run the container by the id that owns them: user: "{facts["uid"]}:{facts["gid"]}".'
            if facts["uid"]
            else ""
        )
    return Finding(
        "owner-id-mismatch",
        "error",
        stop.component,
        f"it is {facts.get('owner')}'s (uid {facts['uid']}), and the app runs as {runs}"
        + (f" in {container['name']}: names don't count there, ids do" if container else ""),
        "; ".join(
            [
                f"{stop.component} is {_access_faults.shown(facts)}",
                *([stop.proof] if stop.proof else []),
            ]
        ),
        fix,
        "flask_media_root",
    )


def _upload_real(case: Case) -> str:
    answer = case.answer("core.upload.0.directory") or {}
    return str(answer.get("realpath") or (case.upload.path if case.upload else "/"))


# Read-only


def _read_only(case: Case, stop: Stop) -> Finding:
    host, view = case.answer("storage.upload.0") or {}, case.answer("storage.upload.0.view") or {}
    unit, container = (case.process or {}).get("unit"), case.container
    properties = (case.process or {}).get("unit_properties") or {}
    path = shlex.quote(stop.component)
    if container:
        mount = case.mount_of(case.upload.path) if case.upload else None
        component = str(mount["target"] if mount else container["name"])
        why = f"{component} is mounted read-only in container {container['name']}"
        fix = "Take :ro from that mount in the app's service; Nginx's may keep it."
    elif unit and not host.get("read_only"):
        said = [
            f"{name}={properties[name]}"
            for name in ("ProtectSystem", "ProtectHome", "ReadOnlyPaths", "ReadWritePaths")
            if properties.get(name)
        ]
        component, why = (
            str(unit),
            f"{unit} has its own view: {' '.join(said) or 'read-only paths'}",
        )
        # systemd.exec(5), ReadWritePaths=
        fix = f"Write ReadWritePaths={stop.component} into [Service] of the unit (systemctl edit {unit}), then systemctl daemon-reload and restart it."
    else:
        component = str(view.get("mount_point") or host.get("mount_point") or stop.component)
        why = f"{host.get('source')} is mounted read-only: {','.join(host.get('options') or [])}"
        fix = (
            "Look in the kernel's log for why (an error makes ext4 read-only), then: "
            f"mount -o remount,rw {shlex.quote(component)}; and take ro from /etc/fstab."
        )
    return Finding(
        "read-only-filesystem",
        "error",
        component,
        f"{stop.user} can't write to {path}: for it the file system is read-only",
        "; ".join([why, *([stop.proof] if stop.proof else [])]),
        fix,
        "flask_media_root" if component == unit else None,
    )


# New files


def _judge_umask(case: Case, findings: Findings) -> int:
    """Find why Nginx can't read what the app writes now.

    :return: the bits that the umask takes and Nginx would read by; 0 where that isn't the fault.
    """
    canary, access = case.answer(CANARY) or {}, case.answer("permissions.canary") or {}
    response = case.response("core.media")
    stop = access.get("blocked_by")
    if (
        not canary.get("written")
        or not stop
        or posixpath.basename(stop["component"]) != canary["name"]
    ):
        return 0
    if stop["reason"] in OF_OTHERS or (response and response.status == 200 and response.by_nginx):
        return 0
    bit = _reading_bit(case)
    umask = int(str(canary.get("umask") or (case.process or {}).get("umask") or "0"), 8)
    proof = [str(response), *response.log[:1]] if response else []
    made = f"a new file is {_access_faults.shown(stop)}"
    user = _nginx_name(case)
    process = case.process or {}
    if umask & bit:
        wanted = "0027" if bit == 0o040 else "0022"
        findings.add(
            Finding(
                "umask-too-tight",
                "error",
                _running(case),
                f"the app's umask takes from every new file what {user} reads it by",
                "; ".join([f"umask {umask:04o}", made, *proof]),
                f"Set UMask={wanted} in [Service] of the unit (a process without one: umask {wanted} where it is "
                "started), take os.umask() out of the app's code, and restart it. Mend what is there: "
                f"find {shlex.quote(str(case.media_directory))} -type f -user {process.get('user')} -exec chmod {'g' if bit == 0o040 else 'o'}+r {{}} +",
                "flask_media_permissions",
            ),
            subjects=_media_urls(case),
        )
        return bit
    directory = str(case.media_directory)
    if stop["reason"] == "acl-mask":
        reason, why = "acl-mask", "the mask of its ACL takes what its entry would give"
    else:
        reason, why = (
            "not-readable",
            f"what the app makes there has the group {stop.get('group')}, in which {user} is not",
        )
    findings.add(
        Finding(
            reason,
            "error",
            directory,
            f"{user} can't read new uploads: {why}",
            "; ".join([made, *proof]),
            f"Let new files have the directory's group, which {user} is to be in: chmod g+s {shlex.quote(directory)}"
            if reason == "not-readable"
            else f"Look at getfacl {shlex.quote(directory)}: its default mask has to have r.",
            "flask_media_permissions",
        ),
        subjects=[*_media_urls(case), directory],
    )
    return 0


def _media_urls(case: Case) -> list[str]:
    return [case.media_url] if case.media_url else []


def _reading_bit(case: Case) -> int:
    """Return by which bit of a file's mode Nginx reads uploads: the group's or all others'."""
    answer = case.answer("core.media.path") or {}
    groups = {case.nginx.get("worker_gid"), *(case.nginx.get("worker_groups") or [])}
    return 0o040 if answer.get("gid") in groups else 0o004


# Samples of what is there


def _judge_samples(
    case: Case, n: int, location: FilesLocation, umask: int, findings: Findings
) -> None:
    answer = _access(case, n, location)
    if not answer or not answer["allowed"]:
        return
    samples = answer.get("samples") or {}
    is_media = location is case.media_location
    by_id: dict[str, list[Answer]] = {}
    for sample in samples.get("unreadable") or []:
        is_of_umask = is_media and umask and _is_by_umask(case, sample, umask)
        is_told = sample["reason"] in OF_OTHERS or _told(findings, sample["component"])
        if not is_of_umask and not is_told and not _is_sent(case, sample):
            by_id.setdefault(_id_of_sample(case, sample, is_media), []).append(sample)
    for finding, wrong in by_id.items():
        is_whole = len(wrong) == len(samples["unreadable"])
        count = samples["unreadable_count"] if is_whole else len(wrong)
        findings.add(
            _of_samples(case, finding, answer, wrong, count, is_media),
            subjects=[sample["component"] for sample in wrong],
        )


def _of_samples(
    case: Case,
    finding: str,
    answer: Answer,
    wrong: t.Sequence[Answer],
    count: int,
    is_media: bool,
) -> Finding:
    """Return the finding of files that Nginx can't read, for one reason.

    :param count: how many there are; ``wrong`` has some of them, the newest first.
    """
    first, checked = wrong[0], answer["samples"]["checked"]
    is_one = len({sample["component"] for sample in wrong}) == 1
    is_all = not is_one and count == checked
    what = "pass through" if first["is_directory"] else "read"
    more = "" if is_one else f", nor {count - 1} more of the {checked} files looked at"
    shown = f"{first['component']}: {_access_faults.shown(first)}"
    return Finding(
        finding,
        "error",
        str(answer["path"] if is_all else first["component"]),
        f"{_nginx_name(case)} can't {what} it{more}",
        "; ".join(part for part in (shown, _proof_of_sample(case, first)) if part),
        _mend_of_sample(case, first, is_media),
        "flask_media_repair" if is_media else "flask_static_root",
    )


def _is_by_umask(case: Case, sample: Answer, bit: int) -> bool:
    return sample["uid"] == (case.process or {}).get("uid") and not int(sample["mode"], 8) & bit


def _id_of_sample(case: Case, sample: Answer, is_media: bool) -> str:
    uid = (case.process or {}).get("uid")
    if is_media and sample["uid"] and uid is not None and sample["uid"] != uid:
        return "owner-id-mismatch"
    return str(sample["reason"])


def _mend_of_sample(case: Case, sample: Answer, is_media: bool) -> str:
    user, process = _nginx_name(case), case.process or {}
    component = shlex.quote(str(sample["component"]))
    stop = {**sample, "component": sample["component"]}
    if not is_media or not process:
        return _access_faults.mend(str(sample["reason"]), stop, user)
    if sample["uid"] != process.get("uid"):
        grant = _access_faults.grant(str(sample["reason"]), stop, user)
        return (
            f"Bring files in as the app's user (runuser -u {process.get('user')} -- cp …). "
            f"What is there: chown {process.get('uid')} {component}, then {grant}"
        )
    made = (
        "In the app, make directories by os.makedirs(path) without a mode of 0o700"
        if sample["is_directory"]
        else "In the app, save by open() or FileStorage.save(); after tempfile.mkstemp() or os.replace() of such a "
        "file write os.fchmod(file.fileno(), 0o640)"
    )
    return f"{made}. What is there: {_access_faults.mend(str(sample['reason']), stop, user)}"


def _suspects(case: Case) -> list[str]:
    """Return uploads that Nginx can't read by their modes, to be asked for; the newest ones."""
    tree = case.answer("core.media.tree") or {}
    groups = {case.nginx.get("worker_gid"), *(case.nginx.get("worker_groups") or [])}
    location = case.media_location
    found = []
    for entry in tree.get("entries") or []:
        mode = int(entry["mode"], 8)
        is_own = entry["uid"] == case.nginx.get("worker_uid")
        bit = 0o400 if is_own else 0o040 if entry["gid"] in groups else 0o004
        is_shown = (
            location is not None
            and below(_root(case, location), entry["path"])
            and "/." not in entry["path"]
        )
        if entry["type"] == "file" and is_shown and not mode & bit:
            found.append(str(entry["path"]))
    return found[:3]


def _is_sent(case: Case, sample: Answer) -> bool:
    """Whether Nginx sent what it should not be able to read: behaviour wins."""
    for n, path in enumerate(_suspects(case)):
        response = case.response(f"permissions.suspect.{n}")
        if path == sample["path"] and response:
            return response.status == 200 and response.by_nginx
    return False


def _proof_of_sample(case: Case, sample: Answer) -> str:
    name = posixpath.basename(str(sample["path"]))
    keys = [*(f"permissions.suspect.{n}" for n in range(3)), *(mount.key for mount in case.static)]
    for key in keys:
        response = case.response(key)
        if response and str(response.request["target"]).endswith("/" + quoted(name)):
            return "; ".join([str(response), *response.log[:1]])
    return ""


def _root(case: Case, location: FilesLocation) -> str:
    answer = case.answer(f"core.location.{case.files_locations.index(location)}.directory") or {}
    return str(answer.get("realpath") or location.directory)


# Who may do too much


def _judge_media_modes(case: Case, findings: Findings) -> None:
    _judge_world_writable(case, findings)
    if _is_same_user(case):
        _judge_same_user(case, findings)
    elif not findings.of("media-world-writable"):
        _judge_written_by_nginx(case, case.answer("core.media.path") or {}, findings)
    _judge_executable(case, findings)


def _judge_world_writable(case: Case, findings: Findings) -> None:
    tree = case.answer("core.media.tree") or {}
    root = str(tree.get("path") or case.media_root or "")
    access = case.answer("core.media.path") or {}
    directory = case.answer("core.upload.0.directory") or access
    mode = str(directory.get("mode") or "0")
    paths = list(tree.get("world_writable") or [])
    if root and int(mode, 8) & 0o002:
        component, evidence = root, f"{root}: mode {mode}"
    elif paths:
        count = tree["counts"]["world_writable"]
        component, evidence = _common(paths), f"{count} such, as {paths[0]}"
    else:
        return
    if _told(findings, component):
        return
    findings.add(
        Finding(
            "media-world-writable",
            "error",
            component,
            "every user of the host can write it, and so change what Nginx serves",
            evidence,
            f"Leave only the app the right to write: chmod -R o-w {shlex.quote(component)}; in the app's code "
            "os.umask(0) and modes of 0o777 or 0o666 have to go.",
            "flask_media_repair",
        ),
        subjects=[component],
    )


def _judge_executable(case: Case, findings: Findings) -> None:
    tree = case.answer("core.media.tree") or {}
    paths = list(tree.get("executable") or [])
    if not paths:
        return
    count, root = tree["counts"]["executable"], shlex.quote(str(tree["path"]))
    findings.add(
        Finding(
            "media-executable",
            "warning",
            _common(paths),
            "an upload can be run as a program",
            f"{count} of {tree.get('files')} files, such as {paths[0]}",
            f"find {root} -type f -exec chmod a-x {{}} +; and in the place of chmod -R 755 write "
            "chmod -R u=rwX,g=rX,o= from now on. In the app, save by open() or FileStorage.save(), not by "
            "shutil.copy(), which keeps the mode.",
            "flask_media_repair",
        )
    )


def _judge_same_user(case: Case, findings: Findings) -> None:
    process = case.process or {}
    if process.get("uid") and case.media_location:
        findings.add(
            Finding(
                "media-writable-by-nginx",
                "warning",
                _running(case),
                f"the app runs as Nginx's own user, {process.get('user')}: Nginx can write uploads, and read all "
                "that is the app's",
                f"uid {process.get('uid')} both",
                "Run the app as a user of its own, and let Nginx read uploads by a group.",
                "flask_app_user",
            )
        )


def _running(case: Case) -> str:
    """Return what the app runs as on this host: its container, unit or process."""
    process = case.process or {}
    own = (case.container or {}).get("name") or process.get("unit")
    return str(own or f"process {process.get('pid')}")


def _is_same_user(case: Case) -> bool:
    uid = (case.process or {}).get("uid")
    return uid is not None and uid == case.nginx.get("worker_uid")


def _granted(answer: Answer, directory: str) -> tuple[str, str] | None:
    """Return what a user can write, the common directory of it, and how that shows."""
    if "write" in (answer.get("granted") or []):
        return directory, f"{directory}: {_access_faults.shown(answer)}"
    found = list((answer.get("samples") or {}).get("granted") or [])
    if not found:
        return None
    shown = f"{found[0]['path']}: {_access_faults.shown(found[0])}"
    return _common([sample["path"] for sample in found]), shown


def _judge_written_by_nginx(case: Case, access: Answer, findings: Findings) -> None:
    granted = _granted(access, str(access.get("path")))
    if granted is None or _told(findings, granted[0]):
        return
    path = shlex.quote(granted[0])
    findings.add(
        Finding(
            "media-writable-by-nginx",
            "warning",
            granted[0],
            f"{_nginx_name(case)} can write it, and is only to read",
            granted[1],
            f"Take the right to write from everybody but the app: chmod -R g-w,o-w {path}; look at getfacl "
            f"{path} for an entry of {_nginx_name(case)}; where it is the owner, chown it to the app's user.",
            "flask_media_permissions",
        )
    )


def _judge_writable_static(case: Case, findings: Findings) -> None:
    process = case.process or {}
    app = "static-writable-by-app", process.get("uid"), str(process.get("user"))
    nginx = "static-writable-by-nginx", case.nginx.get("worker_uid"), _nginx_name(case)
    named: list[str] = []
    for (finding, uid, user), suffix in ((app, ".app"), (nginx, "")):
        found = []
        for n, each in enumerate(case.files_locations):
            answer = case.answer(f"permissions.location.{n}{suffix}") or {}
            granted = _granted(answer, each.directory) if _is_static(case, each) else None
            # What is not served yet changes nothing for visitors.
            is_told = findings.explained(each.url) or (granted and findings.explained(granted[0]))
            if granted and not is_told and not any(below(name, granted[0]) for name in named):
                found.append(granted)
        # Root can write everything: that it runs as root is another matter.
        if not found or uid == 0:
            continue
        named += [path for path, _unused in found]
        path = shlex.quote(found[0][0])
        # Whoever made the one so, made the others.
        findings.add(
            Finding(
                finding,
                "warning",
                found[0][0],
                f"{user} can write it, and so change what every visitor gets",
                "; ".join(shown for _unused, shown in found),
                f"Give static files to whoever deploys them, and leave {user} the right to read: "
                f"chown -R root:root {path}; chmod -R go-w {path}.",
                "flask_static_root",
            )
        )


def _is_static(case: Case, location: FilesLocation) -> bool:
    """Whether a location is that of static files, and so nothing the app writes."""
    roots = [case.on_host(upload.path) for upload in case.uploads]
    if any(
        root and (below(location.directory, root) or below(root, location.directory))
        for root in roots
    ):
        return False
    return any(case.location_of(mount.url) is location for mount in case.static)


def _common(paths: t.Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else posixpath.commonpath(paths)
