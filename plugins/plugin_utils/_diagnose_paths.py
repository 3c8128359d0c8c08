# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""Which ``root`` or ``alias`` leads a prefix of the app's to another place than its files are in.

https://nginx.org/en/docs/http/ngx_http_core_module.html#root and #alias: ``root`` has the whole URI behind
it, ``alias`` what follows the location's prefix, and in a regex location all that it is to lead to.
"""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _deliveries,
    _diagnosis_case,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

Case = _diagnosis_case.Case
Delivery = _deliveries.Delivery
Question = dict[str, t.Any]

SIBLINGS_ASKED = 12
# How far up a component is looked for that is another than was meant.
STEPS = 3
# How many components of a path two directories share that are of one project.
SHARED = 2


def looks(case: Case) -> t.Iterator[Question]:
    """Look at roots, and at what lies beside the directories that Nginx serves."""
    asked: dict[str, Question] = {}
    for each in case.files_locations:
        for parent, _name, _tail in _steps(each.directory):
            asked[f"paths.beside.{parent}"] = {
                "kind": "trees",
                "path": parent,
                "deep": False,
                "limit": 500,
                "seconds": 1.0,
            }
        root = _deliveries.directive_of(each.location, case)
        if root is not None and root.name == "root":
            path = _absolute(case, root.args[0])
            asked[f"paths.root.{path}"] = {"kind": "files", "path": path, "hash": False}
    for key, question in asked.items():
        yield {**question, "id": key, **case.nginx_view}


def questions(case: Case) -> t.Iterator[Question]:
    """Ask for the paths that Nginx looks up, and for those that may have been meant."""
    asked = {
        question["id"]: question
        for question in [
            *_deliveries.file_questions(case, "paths", _deliveries.targets(case)),
            *(_deliveries.file_question(case, "paths", path) for path in _meant(case)),
        ]
    }
    yield from asked.values()


def _meant(case: Case) -> t.Iterator[str]:
    """Yield paths that may have been meant by those that lead elsewhere."""
    ground = _deliveries.Ground(case)
    for delivery in _deliveries.deliveries(case):
        route = case.route(delivery.target)
        directive = _deliveries.directive_of(_last(route), case)
        if directive is not None and directive.name == "root":
            yield posixpath.join(_absolute(case, directive.args[0]), delivery.sample)
        folder = case.on_host(delivery.folder)
        if folder is not None:
            yield posixpath.join(folder, delivery.sample)
        served = _served(delivery, route)
        # Most hosts have it where it is looked for, and these would be many.
        is_there = served and ground.type(posixpath.join(served, delivery.sample)) is not None
        if served and not is_there and delivery.is_static:
            for other in _alike(case, ground, delivery, served):
                yield posixpath.join(other, delivery.sample)
    if case.media_url and case.upload:
        canary = f"{{canary:{_diagnosis_case.CANARY}}}"
        directive = _deliveries.directive_of(_last(case.route(case.media_url + "x")), case)
        if directive is not None and directive.name == "root":
            yield posixpath.join(_absolute(case, directive.args[0]), canary)
    for directive in _auth_files(case):
        yield _beside_conf(case, directive.args[0])


def _steps(directory: str) -> t.Iterator[tuple[str, str, str]]:
    """Yield a directory's last components: what each is in, its name, and what follows it."""
    tail = ""
    for _step in range(STEPS):
        parent, name = posixpath.split(directory)
        if parent == "/":
            return
        yield parent, name, tail
        directory, tail = parent, posixpath.join(name, tail)


def _alike(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, served: str
) -> t.Iterator[str]:
    """Yield directories that may be meant by one that isn't there.

    They are those whose path is another in one component, and those that other roots have for the prefix.
    """
    for parent, name, tail in _steps(served):
        answer = case.answer(f"paths.beside.{parent}") or {}
        names = [
            ground.relative(parent, entry["path"])
            for entry in answer.get("entries") or []
            if entry["type"] in ("directory", "link")
        ]
        for other in sorted(set(names) - {name})[:SIBLINGS_ASKED]:
            yield posixpath.normpath(posixpath.join(parent, other, tail))
    for each in case.files_locations:
        directive = _deliveries.directive_of(each.location, case)
        if directive is not None and directive.name == "root":
            yield _absolute(case, directive.args[0]) + delivery.url.rstrip("/")


def _served(delivery: Delivery, route: t.Any) -> str | None:
    """Return the directory that Nginx looks for a delivery in, if its path ends as the sample's."""
    path = route.path if route is not None else None
    if path is None or not path.endswith("/" + delivery.sample):
        return None
    return str(path)[: -len(delivery.sample) - 1].rstrip("/") or "/"


def judge(case: Case, findings: Findings) -> None:
    """Find the directive by which a file isn't found."""
    if case.server is None or findings.of("nginx-not-serving"):
        return
    ground = _deliveries.Ground(case)
    for delivery in _deliveries.deliveries(case):
        if _deliveries.is_delivered(case, delivery) is False:
            _judge_delivery(case, findings, ground, delivery)
    _judge_roots(case, findings, ground)
    _judge_auth_files(case, findings, ground)


def _judge_delivery(
    case: Case, findings: Findings, ground: _deliveries.Ground, delivery: Delivery
) -> None:
    # As if all were there: what try_files falls back to is a symptom.
    route = case.route(delivery.target)
    location = _last(route)
    directive = _deliveries.directive_of(location, case)
    if directive is None or route.kind == "proxy":
        return
    if _deliveries.is_explained(findings, delivery.target, delivery.url, route.path):
        return
    if _deliveries.taken(case, ground, delivery, delivery.target, route) is not None:
        # It is not this location's to serve.
        return
    response = case.response(delivery.key)
    argument = directive.args[0]
    is_own = location is not None and not _is_catch_all(location, delivery)
    evidence = "; ".join([str(response), *(response.log[:1] if response else [])])
    subjects = [delivery.target, delivery.url]
    if location is not None and location.is_regex and directive.name == "alias":
        _judge_regex(findings, location, directive, evidence, subjects)
        return
    path = route.path
    if path is None or not ground.is_missing(path):
        if is_own and response is not None and response.status == 200 and response.by_nginx:
            _judge_other_release(case, findings, ground, delivery, route, directive)
        return
    if is_own and not argument.startswith(("/", "$")):
        findings.add(
            Finding(
                "relative-path",
                "error",
                directive.component,
                f"a relative path is taken from Nginx's own prefix, so Nginx looks for {path}",
                f"{evidence}; nothing is there",
                f"Write it from the root: {directive.name} {_meant_path(case, ground, delivery, directive)};",
            ),
            subjects=[*subjects, posixpath.dirname(path)],
        )
        return
    if directive.name == "root" and _is_doubled(ground, delivery.url, argument, delivery.sample):
        _add_doubled(findings, directive, delivery.url, path, evidence, subjects)
        return
    served = _served(delivery, route)
    right = _right_place(case, ground, delivery, served) if is_own and served else None
    if right is not None:
        findings.add(
            Finding(
                "alias-wrong-path",
                "error",
                directive.component,
                f"Nginx looks for the files of {delivery.url} in {served}, and they are in {right}",
                f"{evidence}; {path} isn't there, {posixpath.join(right, delivery.sample)} is",
                f"Write {_written(directive.name, right, delivery)};",
            ),
            subjects=[*subjects, str(served), path],
        )


def _judge_regex(
    findings: Findings, location: t.Any, directive: t.Any, evidence: str, subjects: list[str]
) -> None:
    argument = directive.args[0]
    if "$" not in argument:
        why = "it names no capture, so every URL leads to that one path"
    elif location.own("try_files"):
        why = "try_files puts the whole URI behind it, as alias consumes no prefix in a regex location"
    else:
        return
    findings.add(
        Finding(
            "regex-alias",
            "error",
            directive.component,
            f"the alias in {location} can't lead to files: {why}",
            evidence,
            f"Use a prefix location: location ^~ {subjects[1]} {{ alias {argument.split('$')[0].rstrip('/')}/; … }}",
        ),
        subjects=subjects,
    )


def _judge_other_release(
    case: Case,
    findings: Findings,
    ground: _deliveries.Ground,
    delivery: Delivery,
    route: t.Any,
    directive: t.Any,
) -> None:
    """Find a directory of the same kind as the app's, of which only one component is another."""
    served, folder = _served(delivery, route), case.on_host(delivery.folder)
    if served is None or folder is None or not delivery.is_static or case.container:
        return
    own, other = folder.split("/"), ground.real(served).split("/")
    differ = [number for number, pair in enumerate(zip(own, other)) if pair[0] != pair[1]]
    if len(own) != len(other) or len(differ) != 1 or not SHARED <= differ[0] < len(own) - 1:
        return
    findings.add(
        Finding(
            "alias-wrong-path",
            "error",
            directive.component,
            f"Nginx serves {delivery.url} from {served}, and the app that runs has its files in {folder}",
            f"{case.response(delivery.key)}, and not the bytes of {posixpath.join(folder, delivery.sample)}",
            f"Write {_written(directive.name, folder, delivery)}; or lead both by one link that is switched "
            "with a release.",
        ),
        subjects=[delivery.target, delivery.url, served],
    )


def _right_place(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, served: str
) -> str | None:
    """Return where the files are that Nginx looks for elsewhere, if that isn't because none were put there.

    A directory of copies that lacks some is another fault: what was not collected.
    """
    folder = case.on_host(delivery.folder)
    if not delivery.is_static:
        # Both there, and each with something in it, are two that disagree. A container's Nginx has
        # names of its own for all.
        is_wrong = ground.is_missing(served) and folder != served
        return folder if is_wrong and not case.nginx.get("container") else None
    if _has_some(case, ground, delivery, served):
        return None
    candidates = [folder] if folder and _shared(folder, served) >= SHARED else []
    candidates += list(_alike(case, ground, delivery, served))
    for candidate in candidates:
        if (
            candidate != served
            and ground.type(posixpath.join(candidate, delivery.sample)) == "file"
        ):
            return candidate
    return None


def _has_some(case: Case, ground: _deliveries.Ground, delivery: Delivery, served: str) -> bool:
    """Return whether a directory is empty, or has some of the files that it should have."""
    for number, each in enumerate(case.files_locations):
        if each.directory == served and ground.type(served) == "directory":
            there = set(ground.names(f"core.location.{number}.tree"))
            return not there or bool(there & set(ground.names(f"{delivery.key}.tree")))
    return False


def _shared(one: str, other: str) -> int:
    """Return how many components two paths have in common from the root on."""
    common = posixpath.commonpath([one, other])
    return len([part for part in common.split("/") if part])


def _meant_path(
    case: Case, ground: _deliveries.Ground, delivery: Delivery, directive: t.Any
) -> str:
    served = _served(delivery, case.route(delivery.target))
    right = _right_place(case, ground, delivery, served) if served else None
    right = right or case.on_host(delivery.folder)
    if right is None:
        return f"/…/{directive.args[0]}"
    return _written(directive.name, right, delivery).partition(" ")[2]


def _written(name: str, directory: str, delivery: Delivery) -> str:
    """Return the directive that leads a delivery's prefix to a directory."""
    tail = delivery.url.rstrip("/")
    if name == "root" and directory.endswith(tail):
        return f"root {directory[: -len(tail)] or '/'}"
    return f"alias {directory}/"


def _judge_roots(case: Case, findings: Findings, ground: _deliveries.Ground) -> None:
    """Find what is wrong with locations of which no file is known."""
    for number, each in enumerate(case.files_locations):
        directive = _deliveries.directive_of(each.location, case)
        url = _diagnosis_case.slashed(each.url)
        if directive is None or _deliveries.is_explained(findings, directive.component, url):
            continue
        answer = case.answer(f"core.location.{number}.directory")
        if not answer or answer["exists"]:
            continue
        if any(delivery.url.startswith(url) for delivery in _deliveries.deliveries(case)):
            continue
        argument = directive.args[0]
        if not argument.startswith(("/", "$")):
            findings.add(
                Finding(
                    "relative-path",
                    "error",
                    directive.component,
                    f"a relative path is taken from Nginx's own prefix, so {url} is {each.directory}",
                    f"{directive}; {each.directory} isn't there",
                    f"Write it from the root: {directive.name} /…/{argument};",
                ),
                subjects=[url, each.directory],
            )
        elif directive.name == "root" and _is_doubled(ground, url, argument, ""):
            evidence = f"{directive}; {each.directory} isn't there"
            _add_doubled(findings, directive, url, each.directory, evidence, [url])


def _is_doubled(ground: _deliveries.Ground, url: str, root: str, sample: str) -> bool:
    """Return whether a root ends as the prefix does, and the files are where it ends only once."""
    name = posixpath.basename(url.rstrip("/"))
    return (
        posixpath.basename(root.rstrip("/")) == name
        and ground.type(posixpath.join(root, sample)) is not None
    )


def _add_doubled(
    findings: Findings,
    directive: t.Any,
    url: str,
    path: str,
    evidence: str,
    subjects: list[str],
) -> None:
    root = directive.args[0].rstrip("/")
    right = root.removesuffix(url.rstrip("/"))
    findings.add(
        Finding(
            "root-doubled",
            "error",
            directive.component,
            f"root has the whole URI behind it, so Nginx looks for {path}",
            f"{evidence}; {root} is there",
            f"Write root {right or '/'};" if right != root else f"Write alias {root}/;",
        ),
        subjects=[*subjects, path, root + url.rstrip("/")],
    )


def _auth_files(case: Case) -> list[t.Any]:
    """Return the ``auth_basic_user_file`` directives with a relative path."""
    blocks = [case.server, *_diagnosis_sites.all_locations(case.server)] if case.server else []
    found = [each for block in blocks for each in block.effective("auth_basic_user_file")]
    unique = {id(each): each for each in found if each.args}
    return [each for each in unique.values() if not each.args[0].startswith(("/", "$"))]


def _judge_auth_files(case: Case, findings: Findings, ground: _deliveries.Ground) -> None:
    for directive in _auth_files(case):
        path = _beside_conf(case, directive.args[0])
        if ground.is_missing(path):
            findings.add(
                Finding(
                    "relative-path",
                    "error",
                    directive.component,
                    f"a relative path is taken from the directory of nginx.conf, so Nginx looks for {path}",
                    f"{directive}; {path} isn't there, so whoever gives a password gets 403",
                    "Write the file's path from the root.",
                )
            )


def _beside_conf(case: Case, path: str) -> str:
    # ngx_http_auth_basic_user_file(): ngx_conf_full_name() with the directory of the configuration.
    conf_file = case.config.conf_file if case.config else "/etc/nginx/nginx.conf"
    return posixpath.normpath(posixpath.join(posixpath.dirname(conf_file), path))


def _absolute(case: Case, path: str) -> str:
    prefix = case.config.prefix if case.config else "/"
    return posixpath.normpath(posixpath.join(prefix, path))


def _last(route: t.Any) -> t.Any:
    return route.locations[-1] if route is not None and route.locations else None


def _is_catch_all(location: t.Any, delivery: Delivery) -> bool:
    """Return whether a location is for all that no other is for."""
    return not location.is_regex and len(location.pattern.rstrip("/")) < len(
        delivery.url.rstrip("/")
    )
