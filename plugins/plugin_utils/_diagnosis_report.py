# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What is told of a site: its findings, the way of each request, and what was not seen."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_case,
    _diagnosis_checks,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._diagnosis_case import (
    Case,
    Response,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

Answer = t.Mapping[str, t.Any]


def report(case: Case, findings: Findings) -> dict[str, t.Any]:
    """Return the report of a site, in the format of schema 1, but for the host's name and the time."""
    scheme = "https" if case.listen[2] else "http"
    return {
        **bare(case, findings),
        "url": f"{scheme}://{case.host}{case.prefix}",
        "checks": _diagnosis_checks.checks(case, findings),
        "routes": list(routes(case, findings.sorted())),
        "discovered": discovered(case),
    }


def bare(case: Case, findings: Findings) -> dict[str, t.Any]:
    """Return the report of a site of which only findings can be told."""
    found = findings.sorted()
    return {
        "schema": 1,
        "app": case.name,
        "url": f"http://{case.host}",
        "ok": not any(finding.severity == "error" for finding in found),
        "checks": [],
        "findings": [dataclasses.asdict(finding) for finding in found],
        "routes": [],
        "unseen": list(dict.fromkeys([*case.failed, *case.unseen])),
        "discovered": {},
    }


def stamped(
    report_of_site: dict[str, t.Any], host: str, now: datetime.datetime
) -> dict[str, t.Any]:
    """Return a report that says of which host and when it is."""
    return {**report_of_site, "host": host, "generated": now.strftime("%Y-%m-%dT%H:%M:%SZ")}


def discovered(case: Case) -> dict[str, str]:
    """Return what was found out by itself, in words."""
    nginx, process, container = case.nginx, case.process or {}, case.container
    found = {}
    if nginx.get("version"):
        found["nginx"] = f"{nginx['version']}, {nginx.get('conf_file')}, " + (
            f"workers run as {nginx['worker_user']}"
            if nginx.get("worker_user")
            else "does not run"
            if not nginx.get("running")
            else "whom its workers run as is unseen"
        )
    if case.server is not None:
        found["server"] = f"{' '.join(case.server.names) or 'no name'} ({case.server.component})"
    if process:
        where = (
            f"container {container['name']}"
            if container
            else process.get("unit") or f"process {process.get('pid')}"
        )
        listens = ", ".join(_diagnosis_sites.addresses(process)[:1])
        what = [process.get("server") or "app server", process.get("callable")]
        found["app"] = (
            f"{' '.join(filter(None, what))} as {process.get('user')} ({where}), at {listens}"
        )
    if case.upload:
        found["uploads"] = f"{case.upload.path} ({case.upload.key})"
    if case.media_url:
        found["media"] = f"{case.media_url} from {case.media_directory or 'nowhere'}"
    return found


def routes(case: Case, found: t.Sequence[Finding]) -> t.Iterator[dict[str, t.Any]]:
    """Yield the ways of the requests for each static mount, for an upload and for the app."""
    asked = [(mount.key, f"{mount.key}.path") for mount in case.static]
    if case.answer(_diagnosis_case.CANARY):
        # Else a file that isn't there was asked for.
        asked.append(("core.media", "core.media.path"))
    asked.append(("core.app", ""))
    for key, path_key in asked:
        response = case.response(key)
        if response is not None:
            yield _way(case, response, case.answer(path_key) if path_key else None, found)


def _way(
    case: Case, response: Response, access: Answer | None, found: t.Sequence[Finding]
) -> dict[str, t.Any]:
    target = str(response.request["target"])
    route = case.route(target)
    location = route.locations[-1] if route and route.locations else None
    upstream = route.upstream if route and route.kind == "proxy" else None
    by_app = response.by_app or (upstream is not None and not response.is_page_of_nginx)
    components = list(_components(access))
    stops = [component for component in components if not component["ok"]]
    return {
        "url": target,
        "status": response.status,
        "served_by": "nobody" if response.status is None else "app" if by_app else "nginx",
        "ok": response.status is not None and response.status < 400 and not stops,
        "server": case.server
        and {"name": " ".join(case.server.names) or "_", "component": case.server.component},
        "location": location and {"text": str(location), "component": location.component},
        "path": components,
        "upstream": upstream,
        "finding": _finding(target, components, location, found),
    }


def _components(access: Answer | None) -> t.Iterator[dict[str, t.Any]]:
    blocked = (access or {}).get("blocked_by") or {}
    is_behind = False
    for component in (access or {}).get("components") or []:
        # The way ends with what isn't there.
        stops = component["path"] == blocked.get("component") or component.get("type") is None
        yield {
            **{
                key: component.get(key) for key in ("path", "mode", "owner", "group", "acl", "type")
            },
            "ok": not stops and not is_behind,
            "why": blocked.get("reason") if stops else None,
        }
        is_behind = is_behind or stops


def _finding(
    target: str, components: t.Sequence[Answer], location: t.Any, found: t.Sequence[Finding]
) -> int | None:
    """Return the finding that a way leads to: of its path, of its location, of its URL."""
    names = {component["path"] for component in components if not component["ok"]}
    names.add(target)
    if location:
        names |= {location.component, *(line.component for line in location.own("alias", "root"))}
    for number, finding in enumerate(found):
        if finding.component in names:
            return number
    return None
