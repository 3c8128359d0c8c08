# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What a slash at the end of a location and of its ``alias`` makes of paths.

https://nginx.org/en/docs/http/ngx_http_core_module.html#alias: what follows the location's prefix is put
behind the alias as it is. So there are four slips. Only the prefix without a slash: one directory up can
be read. Only the alias without: no file is found. Neither: what begins with the directory's name can be
read, too; with ``root`` likewise.
"""

from __future__ import annotations

import posixpath
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _deliveries,
    _diagnosis_case,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

Case = _diagnosis_case.Case
Question = dict[str, t.Any]

# Decoded before a location is chosen, but not by everything in front of Nginx.
UP = {"plain": "../", "encoded": "%2e%2e/", "slash": "..%2f"}
SIBLINGS_ASKED = 3


def looks(case: Case) -> t.Iterator[Question]:
    """Look at what begins with the name of a directory that is named without a slash."""
    for number, each, form in slips(case):
        if form in ("sibling", "root"):
            directory, name = posixpath.split(each.directory)
            yield {
                "kind": "trees",
                "id": f"alias.{number}.beside",
                "path": directory,
                "beside": name,
                "limit": 200,
                "seconds": 1.0,
                **case.nginx_view,
            }


def slips(case: Case) -> t.Iterator[tuple[int, _diagnosis_case.FilesLocation, str]]:
    """Yield the locations with a slash that lacks, and what follows: up, none, sibling or root."""
    for number, each in enumerate(case.files_locations):
        is_open = not each.url.endswith("/")
        alias = each.location.own("alias")
        if not alias:
            if is_open:
                yield number, each, "root"
            continue
        if not alias[-1].args[0].endswith("/"):
            yield number, each, "sibling" if is_open else "none"
        elif is_open:
            yield number, each, "up"


def questions(case: Case) -> t.Iterator[Question]:
    """Ask for a file in the straight way, and by the way that should not be there."""
    ground = _deliveries.Ground(case)
    for number, each, form in slips(case):
        name = _sample(case, ground, number, each)
        slash = "" if each.url.endswith("/") else "/"
        if name is not None:
            yield case.request(
                f"alias.{number}.straight", f"{each.url}{slash}{name}", method="HEAD"
            )
        if form == "up":
            # Up and down again: nothing need be known of what lies there, and nothing of it is read.
            below = posixpath.basename(each.directory) + (f"/{name}" if name is not None else "")
            for way, up in UP.items():
                yield case.request(
                    f"alias.{number}.up.{way}", f"{each.url}{up}{below}", method="HEAD"
                )
        for place, path in enumerate(_siblings(case, ground, number, each)):
            target = each.url + _diagnosis_case.quoted(path[len(each.directory) :])
            yield case.request(f"alias.{number}.sibling.{place}", target, method="HEAD")


def _sample(
    case: Case, ground: _deliveries.Ground, number: int, each: _diagnosis_case.FilesLocation
) -> str | None:
    """Return the name of a file below a location, quoted, or the canary's."""
    if case.upload and case.process and each.directory == case.media_root:
        # An upload may be one that Nginx can't read.
        return f"{{canary:{_diagnosis_case.CANARY}}}"
    names = ground.names(f"core.location.{number}.tree")
    if names:
        return _diagnosis_case.quoted(names[0])
    return None


def _siblings(
    case: Case, ground: _deliveries.Ground, number: int, each: _diagnosis_case.FilesLocation
) -> list[str]:
    """Return the files whose paths begin with a directory's, and do not lie in it."""
    answer = case.answer(f"alias.{number}.beside") or {}
    parent = posixpath.dirname(each.directory)
    found = [
        posixpath.join(parent, ground.relative(parent, entry["path"]))
        for entry in answer.get("entries") or []
        if entry["type"] == "file"
    ]
    return sorted(path for path in found if "/." not in path)[:SIBLINGS_ASKED]


def judge(case: Case, findings: Findings) -> None:
    """Find slashes that lack."""
    if findings.of("nginx-not-serving"):
        return
    judges = {"up": _judge_up, "none": _judge_none, "sibling": _judge_sibling, "root": _judge_root}
    for number, each, form in slips(case):
        is_directory = (case.answer(f"core.location.{number}.directory") or {}).get("type")
        # An alias may be one file: location /favicon.ico { alias /srv/favicon.ico; }
        if is_directory == "directory":
            judges[form](case, findings, number, each)


def _is_chosen(case: Case, each: _diagnosis_case.FilesLocation, target: str) -> bool:
    """Return whether it is this location that opens a file for the target."""
    route = case.route(target)
    chain = route.locations if route is not None else []
    return bool(chain) and chain[-1] is each.location and route.kind == "file"


def _judge_up(
    case: Case, findings: Findings, number: int, each: _diagnosis_case.FilesLocation
) -> None:
    alias = each.location.own("alias")[-1]
    straight = case.response(f"alias.{number}.straight")
    leaks = []
    asked = 0
    for way in UP:
        response = case.response(f"alias.{number}.up.{way}")
        if response is None or response.status is None:
            continue
        asked += 1
        is_same = straight is not None and response.first("ETag") == straight.first("ETag")
        # Of a directory: Nginx adds the slash that lacks.
        is_directory = straight is None and response.status == 301
        if (response.status == 200 and is_same) or is_directory:
            leaks.append(response)
    # A file that can't be had in the straight way, for whatever reason, tells nothing of the other.
    is_told = straight is None or straight.status == 200
    if not leaks and asked and is_told:
        return
    if not leaks and not _is_chosen(case, each, f"{each.url}../x"):
        return
    shown = "; ".join(str(response) for response in leaks)
    if straight is not None and leaks:
        shown += f": the file that is {straight.request['target']}"
    parent = posixpath.dirname(each.directory)
    findings.add(
        Finding(
            "alias-traversal",
            "error",
            alias.component,
            f"{each.location} has no slash at its end and its alias has one, so everything in {parent} can be "
            "read that Nginx can read",
            shown or f"{each.location} {{ {alias}; }}",
            f"Write the slash in both: {_written(each)} {{ alias {each.directory}/; … }}, at "
            f"{each.location.component}.",
        )
    )


def _judge_none(
    case: Case, findings: Findings, number: int, each: _diagnosis_case.FilesLocation
) -> None:
    alias = each.location.own("alias")[-1]
    straight = case.response(f"alias.{number}.straight")
    if straight is not None and straight.status == 200:
        return
    target = str(straight.request["target"]) if straight is not None else f"{each.url}x"
    if not _is_chosen(case, each, target):
        return
    route = case.route(target)
    findings.add(
        Finding(
            "alias-wrong-path",
            "error",
            alias.component,
            f"the alias has no slash at its end, so Nginx looks for {route.path}",
            "; ".join([str(straight), *straight.log[:1]])
            if straight
            else f"{each.location} {{ {alias}; }}",
            f"Write alias {each.directory}/;",
        ),
        subjects=[each.url, each.directory, route.path],
    )


def _judge_sibling(
    case: Case, findings: Findings, number: int, each: _diagnosis_case.FilesLocation
) -> None:
    alias = each.location.own("alias")[-1]
    leaks = _sibling_leaks(case, number, each)
    if not leaks and not _is_chosen(case, each, f"{each.url}-flask-verify-absent"):
        return
    findings.add(
        Finding(
            "alias-sibling-leak",
            "error" if leaks else "warning",
            alias.component,
            f"neither {each.location} nor its alias has a slash at its end, so "
            + ("files are" if leaks else "any file would be")
            + f" served whose path begins with {each.directory} and that lies elsewhere",
            "; ".join(leaks)
            or f"{each.location} {{ {alias}; }}, and nothing of such a name is there yet",
            f"Write the slash in both: {_written(each)} {{ alias {each.directory}/; … }}, at "
            f"{each.location.component}.",
        )
    )


def _judge_root(
    case: Case, findings: Findings, number: int, each: _diagnosis_case.FilesLocation
) -> None:
    leaks = _sibling_leaks(case, number, each)
    # With root every path is below the root, as its URL says: no fault, until something lies there.
    if leaks:
        findings.add(
            Finding(
                "alias-sibling-leak",
                "error",
                each.location.component,
                f"{each.location} has no slash at its end, so files are served whose path begins with "
                f"{each.directory} and that lies elsewhere",
                "; ".join(leaks),
                f"Write {_written(each)} {{ … }}",
            )
        )


def _written(each: _diagnosis_case.FilesLocation) -> str:
    """Return the location with its slash."""
    modifier = f"{each.location.modifier} " if each.location.modifier else ""
    return f"location {modifier}{_diagnosis_case.slashed(each.url)}"


def _sibling_leaks(case: Case, number: int, each: _diagnosis_case.FilesLocation) -> list[str]:
    leaks = []
    for place in range(SIBLINGS_ASKED):
        response = case.response(f"alias.{number}.sibling.{place}")
        is_had = response is not None and response.status == 200 and response.by_nginx
        if response and is_had and _is_chosen(case, each, str(response.request["target"])):
            leaks.append(str(response))
    return leaks
