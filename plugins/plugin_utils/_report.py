# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""What all forms of a report share: its verdict, how much of an evidence is shown, and what is harmless."""

from __future__ import annotations

import re
import typing as t

Report = t.Mapping[str, t.Any]

SCHEMA = 1
STATUSES = ("pass", "fail", "skip")
SEVERITIES = ("error", "warning")
FAIL_ON = ("error", "warning", "never")

EVIDENCE_LINES = 6
EVIDENCE_CHARACTERS = 400

# What XML 1.0 forbids (2.2), what a terminal obeys (ECMA-48), and what turns text around or hides it
# (Unicode TR36, 2.2). Names of files and headers are of whoever uploads and asks.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff"
    "\ufdd0-\ufdef\ufeff\ufff9-\uffff]"
)


def harmless(value: t.Any) -> str:
    """Return text in which whatever a reader or a terminal would obey is shown instead."""
    text = str(value).replace("\r\n", "\n")
    return _HARMFUL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def cut(value: t.Any, *, lines: int = EVIDENCE_LINES, characters: int = EVIDENCE_CHARACTERS) -> str:
    """Return the beginning of an evidence, and say so where that is not all."""
    text = harmless(value).strip("\n")
    kept = text.split("\n")
    shown = "\n".join(kept[:lines])
    if len(shown) > characters:
        return shown[: characters - 1].rstrip() + "…"
    if len(kept) > lines:
        return f"{shown}\n… ({len(kept) - lines} more)"
    return shown


def completed(report: Report) -> dict[str, t.Any]:
    """Return a report with all keys of its format, and its verdict."""
    whole = {"routes": [], "unseen": [], "discovered": {}, **report}
    return {**whole, "ok": worst(whole) != "error"}


def by_severity(report: Report) -> dict[str, list[tuple[int, t.Mapping[str, t.Any]]]]:
    """Return the findings with their numbers, errors first; of no severity where there is none."""
    groups: dict[str, list[tuple[int, t.Mapping[str, t.Any]]]] = {}
    for severity in SEVERITIES:
        found = [
            (number, finding)
            for number, finding in enumerate(report["findings"], start=1)
            if finding["severity"] == severity
        ]
        if found:
            groups[severity] = found
    return groups


def findings_of(report: Report, check: t.Mapping[str, t.Any]) -> list[int]:
    """Return the indices of the findings by which a check fails.

    A check may name them (``findings``). Else they are those whose component its evidence names.
    """
    if check["status"] != "fail":
        return []
    if "findings" in check:
        return _linked(report, check)
    return [
        index
        for index, finding in enumerate(report["findings"])
        if finding["severity"] == "error"
        and any(_names(check["evidence"], finding[key]) for key in ("component", "evidence"))
    ]


def _linked(report: Report, check: t.Mapping[str, t.Any]) -> list[int]:
    return [index for index in check.get("findings") or [] if 0 <= index < len(report["findings"])]


def _names(text: str, name: str) -> bool:
    """Return whether a text names a path, a URL or the like, and not only one that it is a part of."""
    return bool(name and re.search(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", text))


def worst(report: Report) -> str | None:
    """Return the worst severity of a report: of its findings, and of checks that fail without one."""
    severities = {finding["severity"] for finding in report["findings"]}
    for check in report["checks"]:
        if check["status"] == "fail":
            known = {report["findings"][index]["severity"] for index in _linked(report, check)}
            severities |= known or {"error"}
    return next((severity for severity in SEVERITIES if severity in severities), None)


def fails(report: Report, fail_on: str) -> bool:
    """Return whether a report fails the play, by ``flask_verify_fail_on``."""
    severity = worst(report)
    return severity == "error" if fail_on == "error" else fail_on == "warning" and bool(severity)


def failure(report: Report, page: str) -> str:
    """Return why a report fails the play, in a line.

    :param page: where the whole of it can be read.
    """
    titles = [title(check) for check in report["checks"] if check["status"] == "fail"]
    told = {index for check in report["checks"] for index in findings_of(report, check)}
    others = [
        f"{finding['id']} ({finding['component']})"
        for index, finding in enumerate(report["findings"])
        if index not in told
    ]
    return f"Not as described: {harmless('; '.join(titles or others))}. See {page}"


def counts(report: Report) -> dict[str, int]:
    """Return how many checks have each status, and how many findings each severity."""
    return {
        **{
            status: sum(check["status"] == status for check in report["checks"])
            for status in STATUSES
        },
        **{
            severity: sum(finding["severity"] == severity for finding in report["findings"])
            for severity in SEVERITIES
        },
    }


def title(check: t.Mapping[str, t.Any]) -> str:
    """Return what a check claims, in words."""
    return harmless(check.get("title") or check["id"])


def number(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 error``, ``2 errors``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def verdict(report: Report) -> str:
    """Return the verdict in a few words."""
    count = counts(report)
    found = [number(count[severity], severity) for severity in SEVERITIES if count[severity]]
    if found:
        return " and ".join(found)
    if count["fail"]:
        return f"{number(count['fail'], 'check')} failed"
    if not count["pass"]:
        return "Nothing could be checked"
    return "All is well" + (", as far as could be seen" if count["skip"] else "")


def tally(report: Report) -> str:
    """Return how the checks ended: ``17 passed, 2 failed, 1 not checked``."""
    count = counts(report)
    skipped = f", {count['skip']} not checked" if count["skip"] else ""
    return f"{count['pass']} passed, {count['fail']} failed{skipped}"
