# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The way of one request, from its URL to a file or the app, as steps that can be drawn."""

from __future__ import annotations

import dataclasses
import http
import posixpath
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report

Route = t.Mapping[str, t.Any]

# Where a step belongs, in the order that a request passes them.
LANES = ("nginx", "disk", "app", "answer")


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that a request passes, or where it stops.

    :ivar lane: one of :data:`LANES`.
    :ivar label: what it is: ``server``, ``directory``, ….
    :ivar details: its file and line, or its mode and owner.
    :ivar state: ``pass``; ``stop``, where it stops or goes wrong; behind that, ``beyond`` where it never gets
        and ``astray`` where it goes instead; ``result``, a wrong answer.
    :ivar why: the reason, where it stops.
    """

    lane: str
    label: str
    name: str
    details: tuple[str, ...]
    state: str = "pass"
    why: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a finding calls it by."""
        return () if self.label == "request" else (self.name, *self.details)


def steps(route: Route, findings: t.Sequence[t.Mapping[str, t.Any]]) -> list[Step]:
    """Return the steps of a route.

    It stops at the first component of the path that says so; else at the server or location that its
    finding names; else nothing before the answer is at fault.
    """
    finding = finding_of(route, findings)
    blamed = finding["component"] if finding and not route["ok"] else None
    drafts = list(_drafts(route))
    stops = [index for index, (step, ok) in enumerate(drafts) if not ok]
    if not stops and blamed:
        stops = [index for index, (step, _ok) in enumerate(drafts) if blamed in step.names]
    stop = stops[0] if stops else len(drafts)
    # A server or location that is wrong leads elsewhere; a directory leads nowhere.
    leads = stop < len(drafts) and drafts[stop][0].lane == "nginx" and route["status"] is not None
    behind = "astray" if leads else "beyond"
    way = []
    for index, (step, _ok) in enumerate(drafts):
        state = "pass" if index < stop else "stop" if index == stop else behind
        why = step.why or (finding["message"] if finding else None)
        way.append(dataclasses.replace(step, state=state, why=why if state == "stop" else None))
    why = finding["message"] if finding and stop == len(drafts) and not route["ok"] else None
    return [*way, _answer(route, why)]


def finding_of(
    route: Route, findings: t.Sequence[t.Mapping[str, t.Any]]
) -> t.Mapping[str, t.Any] | None:
    """Return the finding by which a route is not as it should be."""
    index = route.get("finding")
    return findings[index] if index is not None and 0 <= index < len(findings) else None


def answer(route: Route) -> str:
    """Return what was answered, and by whom: ``403 Forbidden by Nginx``."""
    if route["status"] is None:
        return "no answer"
    by = {"nginx": " by Nginx", "app": " by the app"}.get(route["served_by"], "")
    return f"{_status(route['status'])}{by}"


def _status(status: int) -> str:
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _drafts(route: Route) -> t.Iterator[tuple[Step, bool]]:
    # Not parsed: what is asked may be no URL that Python takes for one.
    target = re.sub(r"\A[a-z]+://[^/]*", "", route["url"])
    yield _step("nginx", "request", target or "/", ()), True
    server = route.get("server")
    if server:
        yield _placed("server", server.get("name") or "(no name)", server)
    elif route["status"] is None:
        yield _step("nginx", "server", "nobody answers", ()), False
    location = route.get("location")
    if location:
        yield _placed("location", location["text"].removeprefix("location "), location)
    for component in route.get("path") or []:
        name = posixpath.basename(component["path"].rstrip("/")) or "/"
        kind = component.get("type")
        details: tuple[str, ...] = ()
        if kind:
            owner = f"{component['owner']}:{component['group']}"
            details = (f"{component['mode']} {owner}", *(["ACL"] if component.get("acl") else []))
        step = _step("disk", kind or "not there", name, details, component.get("why"))
        yield step, bool(component["ok"])
    if route.get("upstream"):
        yield _step("app", "upstream", route["upstream"], ()), True


def _placed(label: str, name: str, place: t.Mapping[str, t.Any]) -> tuple[Step, bool]:
    details = (place["component"],) if place.get("component") else ()
    return _step("nginx", label, name, details, place.get("why")), place.get("ok", True)


def _step(
    lane: str, label: str, name: str, details: tuple[str, ...], why: str | None = None
) -> Step:
    shown = tuple(_report.harmless(detail) for detail in details)
    return Step(lane, label, _report.harmless(name), shown, "pass", why)


def _answer(route: Route, why: str | None) -> Step:
    by = {"nginx": "by Nginx", "app": "by the app"}.get(route["served_by"], "by nobody known")
    name = "no answer" if route["status"] is None else _status(route["status"])
    state = "pass" if route["ok"] else "stop" if why else "result"
    return Step("answer", "answer", name, () if route["status"] is None else (by,), state, why)
