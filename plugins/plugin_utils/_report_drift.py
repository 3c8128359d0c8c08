# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""A report against an earlier one: what is new, what is gone, and what is no longer as it was."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

from ansible_collections.flaskworks.static_media.plugins.module_utils._rules import Problem
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report

Report = t.Mapping[str, t.Any]
Findings = t.Sequence[t.Mapping[str, t.Any]]

VARIABLE = "flask_verify_baseline"
REMEDY = (
    "Write the path of a JSON report of flask_verify's, such as 'report/web1-gallery.json', "
    "or leave it unset"
)

# Canaries, and what is asked for as missing, have another name in each run: _media_canary.name().
_CANARY = re.compile(r"(flask-verify-(?:absent-)?)[0-9a-f]{12,32}")
_LINE = re.compile(r":\d+\Z")


class BaselineError(Exception):
    """An earlier report can't be compared with.

    :ivar problem: why, and what to write instead.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.problem = Problem(VARIABLE, path, reason, REMEDY)
        super().__init__(str(self.problem))


def load(path: str) -> dict[str, t.Any]:
    """Return an earlier report.

    :raises BaselineError: when there is none at this path that can be compared with.
    """
    try:
        report = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BaselineError(path, "there is no such file on the control node") from None
    except OSError as error:
        raise BaselineError(path, f"it can't be read: {error.strerror}") from error
    except ValueError as error:
        raise BaselineError(path, f"it is no JSON: {error}") from error
    if not isinstance(report, dict) or "schema" not in report:
        raise BaselineError(path, "it is no report of flask_verify's")
    if report["schema"] != _report.SCHEMA:
        reason = f"its schema is {report['schema']!r}, and only {_report.SCHEMA} is known"
        raise BaselineError(path, reason)
    if not _is_whole(report):
        raise BaselineError(path, "it lacks what a report of flask_verify's has")
    return report


def _is_whole(report: Report) -> bool:
    wanted = {
        "checks": ("id", "status"),
        "findings": ("id", "severity", "component", "message"),
        "routes": ("url", "status"),
    }
    lists = {key: report.get(key, [] if key == "routes" else None) for key in wanted}
    return (
        all(isinstance(report.get(key), str) for key in ("host", "app", "generated"))
        and isinstance(report.get("discovered", {}), dict)
        and all(
            isinstance(rows, list)
            and all(
                isinstance(row, dict) and all(key in row for key in wanted[name]) for row in rows
            )
            for name, rows in lists.items()
        )
    )


def problems(path: str | None) -> list[Problem]:
    """Return what is wrong with the value of ``flask_verify_baseline``, if anything is."""
    try:
        if path:
            load(path)
    except BaselineError as error:
        return [error.problem]
    return []


def compare(earlier: Report, report: Report, path: str) -> dict[str, t.Any]:
    """Return what has changed since an earlier report.

    :param path: of the earlier one.
    """
    return {
        "since": earlier["generated"],
        "host": earlier["host"],
        "app": earlier["app"],
        "path": path,
        "findings": _compared_findings(earlier["findings"], report["findings"]),
        "checks": list(_compared_checks(earlier, report)),
        "facts": list(
            _differing("name", earlier.get("discovered") or {}, report.get("discovered") or {})
        ),
        "routes": list(_differing("url", _answers(earlier), _answers(report))),
    }


def is_same(drift: Report) -> bool:
    """Return whether nothing has changed."""
    found = drift["findings"]
    return not (found["new"] or found["gone"] or list(changes(drift)))


def changes(drift: Report) -> t.Iterator[tuple[str, str]]:
    """Yield what is there still, but not as it was, each with what it was and is."""
    for finding in drift["findings"]["same"]:
        if "was" in finding:
            name = f"{finding['id']}: {finding['component']}"
            yield name, f"{finding['was']} → {finding['severity']}"
    for key, name in (("checks", "title"), ("facts", "name"), ("routes", "url")):
        for change in drift[key]:
            values = (
                "none" if change[when] is None else change[when] for when in ("before", "after")
            )
            yield str(change[name]), " → ".join(map(str, values))


def _compared_findings(earlier: Findings, now: Findings) -> dict[str, list[dict[str, t.Any]]]:
    """Tell findings by their ids and components.

    What was added above a directive moves it to another line, and makes it no other fault.
    """
    gone, new, same = list(earlier), list(now), []
    for key in (_key, _key_without_line):
        for finding in list(new):
            match = next((one for one in gone if key(one) == key(finding)), None)
            if match is not None:
                gone.remove(match)
                new.remove(finding)
                was = match["severity"]
                same.append(finding if was == finding["severity"] else {**finding, "was": was})
    return {
        name: [_brief(finding) for finding in found]
        for name, found in (("new", new), ("gone", gone), ("same", same))
    }


def _key(finding: t.Mapping[str, t.Any]) -> tuple[str, str]:
    return finding["id"], _plain(finding["component"])


def _key_without_line(finding: t.Mapping[str, t.Any]) -> tuple[str, str]:
    return finding["id"], _LINE.sub("", _plain(finding["component"]))


def _brief(finding: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    keys = ("id", "severity", "was", "component", "message")
    return {key: finding[key] for key in keys if key in finding}


def _compared_checks(earlier: Report, report: Report) -> t.Iterator[dict[str, t.Any]]:
    titles = {
        check["id"]: check.get("title") or check["id"]
        for check in (*earlier["checks"], *report["checks"])
    }
    before, after = (
        {check["id"]: check["status"] for check in one["checks"]} for one in (earlier, report)
    )
    for change in _differing("id", before, after):
        yield {**change, "title": titles[change["id"]]}


def _answers(report: Report) -> dict[str, str]:
    """Return what became of each URL, by the part of it that stays from run to run."""
    answers = {}
    for route in report.get("routes") or []:
        who = {"nginx": "by Nginx", "app": "by the app"}.get(route.get("served_by"), "by nobody")
        to = f", {route['upstream']}" if route.get("upstream") else ""
        status = "no answer" if route["status"] is None else f"{route['status']} {who}{to}"
        answers[_plain(route["url"])] = status
    return answers


def _differing(
    name: str, before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]
) -> t.Iterator[dict[str, t.Any]]:
    for key in dict.fromkeys([*after, *before]):
        if before.get(key) != after.get(key):
            yield {name: key, "before": before.get(key), "after": after.get(key)}


def _plain(text: t.Any) -> str:
    return _CANARY.sub(r"\1…", str(text))
