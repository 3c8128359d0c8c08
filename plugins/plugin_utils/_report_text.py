# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The report as a person reads it on a terminal."""

from __future__ import annotations

import textwrap
import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report,
    _report_drift,
    _report_route,
)

Report = t.Mapping[str, t.Any]

MARKS = {"pass": "✓", "fail": "✗", "skip": "-"}
SEVERITY_MARKS = {"error": "✗", "warning": "!"}

NARROWEST, WIDEST = 60, 120
# With less than this beside a check's title, its evidence stands below.
FEWEST_BESIDE = 30
PASS_CHARACTERS = 100
CHECK_LINES = 3


def summary(report: Report, files: t.Sequence[str] = (), width: int = WIDEST) -> str:
    """Return the whole report as lines no wider than ``width``, but for paths.

    :param files: where the report lies, the page first.
    """
    width = min(max(width, NARROWEST), WIDEST)
    url = f": {report['url'].rstrip('/')}/" if report.get("url") else ""
    lines = _wrapped("", f"{report['app']} on {report['host']}{url}", width)
    sections = (
        _checks(report, width),
        _findings(report, width),
        _routes(report, width),
        _listed("Could not be seen", report.get("unseen") or [], width),
        _discovered(report, width),
        _drift(report.get("drift"), width),
        _verdict(report, files, width),
    )
    for section in sections:
        lines += ["", *section] if section else []
    return "\n".join(lines)


def _wrapped(prefix: str, value: t.Any, width: int, *, most_lines: int | None = None) -> list[str]:
    """Return text with a prefix, each further line below the first one's beginning.

    What has no space, such as a path, is not broken, nor is an indented line, such as a command: it is
    there to be copied.
    """
    lines: list[str] = []
    indent = " " * len(prefix)
    for paragraph in _report.harmless(value).expandtabs().split("\n"):
        if paragraph.startswith("  "):
            lines.append(paragraph)
            continue
        lines += textwrap.wrap(
            paragraph,
            width=width - len(indent),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    if most_lines is not None and len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], lines[most_lines - 1].rstrip(".,;") + " …"]
    return [
        f"{prefix if number == 0 else indent}{line}".rstrip() for number, line in enumerate(lines)
    ]


def _checks(report: Report, width: int) -> list[str]:
    titles = [_report.title(check) for check in report["checks"]]
    column = max(map(len, titles), default=0)
    room = width - column - 6
    lines = []
    for check, title in zip(report["checks"], titles):
        mark = MARKS[check["status"]]
        evidence = _report.harmless(check["evidence"]).replace("\n", "; ")
        if room >= FEWEST_BESIDE:
            shown = evidence
            if check["status"] == "pass":
                shown = textwrap.shorten(evidence, min(room, PASS_CHARACTERS), placeholder=" …")
            lines += _wrapped(f"  {mark} {title:<{column}}  ", shown, width, most_lines=CHECK_LINES)
            continue
        lines += _wrapped(f"  {mark} ", title, width)
        if check["status"] != "pass":
            lines += _wrapped("      ", evidence, width, most_lines=CHECK_LINES)
    return lines


def _findings(report: Report, width: int) -> list[str]:
    lines: list[str] = []
    for severity, found in _report.by_severity(report).items():
        lines += (
            ["", _report.number(len(found), severity)]
            if lines
            else [_report.number(len(found), severity)]
        )
        for _number, finding in found:
            mark = SEVERITY_MARKS[severity]
            lines += [
                "",
                *_wrapped(f"  {mark} ", f"{finding['id']}: {finding['component']}", width),
            ]
            lines += _wrapped("    ", finding["message"], width)
            if finding["evidence"]:
                lines += _wrapped("    seen: ", _report.cut(finding["evidence"]), width)
            lines += _wrapped("    mend: ", finding["fix"], width)
            if finding.get("variable"):
                lines += _wrapped("    set:  ", finding["variable"], width)
    return lines


def _routes(report: Report, width: int) -> list[str]:
    """Tell of the requests that are not answered as they should be."""
    lines = []
    for route in report.get("routes") or []:
        if route["ok"]:
            continue
        way = _report_route.steps(route, report["findings"])
        stop = next((step for step in way if step.state == "stop"), None)
        at = f", stopped at {stop.name} ({', '.join((stop.label, *stop.details))})" if stop else ""
        lines += _wrapped("  ✗ ", f"{route['url']}: {_report_route.answer(route)}{at}", width)
    return ["The way of these requests", "", *lines] if lines else []


def _listed(heading: str, entries: t.Sequence[str], width: int) -> list[str]:
    lines = [line for entry in entries for line in _wrapped("  - ", entry, width)]
    return [heading, "", *lines] if lines else []


def _discovered(report: Report, width: int) -> list[str]:
    found = report.get("discovered") or {}
    lines = [
        line
        for name in found
        for line in _wrapped(f"  {_report.harmless(name)}: ", found[name], width)
    ]
    return ["Found", "", *lines] if lines else []


def _drift(drift: Report | None, width: int) -> list[str]:
    if drift is None:
        return []
    lines = [f"Since {_report.harmless(drift['since'])} ({_report.harmless(drift['path'])})", ""]
    if _report_drift.is_same(drift):
        return [*lines, "  nothing has changed"]
    for mark, name in (("+", "new"), ("-", "gone")):
        for finding in drift["findings"][name]:
            lines += _wrapped(
                f"  {mark} {name}: ", f"{finding['id']}: {finding['component']}", width
            )
    for name, change in _report_drift.changes(drift):
        lines += _wrapped("  ~ ", f"{name}: {change}", width)
    same = len(drift["findings"]["same"])
    if same:
        lines.append(f"    {_report.number(same, 'finding')} as before")
    return lines


def _verdict(report: Report, files: t.Sequence[str], width: int) -> list[str]:
    said = [_report.verdict(report), _report.tally(report)]
    lines = _wrapped("  ", ": ".join(dict.fromkeys(said)) + ".", width)
    return [*lines, *(f"  Report: {path}" for path in files[:1]), *_beside(files)]


def _beside(files: t.Sequence[str]) -> list[str]:
    suffixes = " and ".join("." + path.rpartition(".")[2] for path in files[1:])
    return [f"          and the same as {suffixes}"] if suffixes else []
