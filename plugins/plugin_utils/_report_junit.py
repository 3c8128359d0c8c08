# Copyright (c) 2026, the flaskworks.static_media authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is PRIVATE to the collection. It can have breaking changes at any time.

"""The report as JUnit's XML, which CI systems show."""

from __future__ import annotations

import typing as t
from xml.etree import ElementTree

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report

Report = t.Mapping[str, t.Any]


def junit(report: Report, fail_on: str = "error") -> str:
    """Return one test case a check, and one a finding by which no check fails.

    :param fail_on: warnings are failures only where they fail the play.
    """
    host, app = _report.harmless(report["host"]), _report.harmless(report["app"])
    told = {index for check in report["checks"] for index in _report.findings_of(report, check)}
    cases = [_check(report, check) for check in report["checks"]]
    cases += [
        _finding(finding, is_failure=_is_failure(finding, fail_on))
        for index, finding in enumerate(report["findings"])
        if index not in told
    ]
    count = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "time": "0",
    }
    # No more than Ant's schema allows, which all readers know: neither totals here, nor texts of cases that pass.
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": f"{app} on {host}",
            # Without a zone; what is written is UTC.
            "timestamp": _report.harmless(report["generated"]).removesuffix("Z"),
            "hostname": host,
            "id": "0",
            "package": "flaskworks.static_media",
            **count,
        },
    )
    ElementTree.SubElement(suite, "properties")
    for case in cases:
        case.set("classname", f"flask_verify.{host}.{app}")
        suite.append(case)
    ElementTree.SubElement(suite, "system-out").text = "\n\n".join(_passed(report, told, fail_on))
    ElementTree.SubElement(suite, "system-err")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).join(
        ("<?xml version='1.0' encoding='utf-8'?>\n", "\n")
    )


def _is_failure(finding: t.Mapping[str, t.Any], fail_on: str) -> bool:
    return finding["severity"] == "error" or fail_on == "warning"


def _passed(report: Report, told: t.Collection[int], fail_on: str) -> t.Iterator[str]:
    """Yield what was seen where no test case tells it."""
    for check in report["checks"]:
        if check["status"] == "pass":
            yield f"{_report.harmless(check['id'])}: {_report.cut(check['evidence'])}"
    for index, finding in enumerate(report["findings"]):
        if index not in told and not _is_failure(finding, fail_on):
            yield _text(finding)


def _check(report: Report, check: t.Mapping[str, t.Any]) -> ElementTree.Element:
    case = _case(f"{check['id']}: {check.get('title') or check['id']}")
    evidence = _report.cut(check["evidence"])
    if check["status"] == "skip":
        ElementTree.SubElement(case, "skipped", {"message": evidence})
    elif check["status"] == "fail":
        own = [report["findings"][index] for index in _report.findings_of(report, check)]
        # Where another fault explains it, that is what has to be read.
        found = own or [one for one in report["findings"] if one["severity"] == "error"]
        kind = _report.harmless(check["id"])
        failure = ElementTree.SubElement(case, "failure", {"message": evidence, "type": kind})
        failure.text = "\n\n".join([evidence, *map(_text, found)])
    return case


def _finding(finding: t.Mapping[str, t.Any], *, is_failure: bool) -> ElementTree.Element:
    case = _case(f"{finding['id']}: {finding['component']}")
    if is_failure:
        message = _report.harmless(finding["message"])
        kind = _report.harmless(finding["id"])
        failure = ElementTree.SubElement(case, "failure", {"message": message, "type": kind})
        failure.text = _text(finding)
    return case


def _case(name: str) -> ElementTree.Element:
    return ElementTree.Element("testcase", {"name": _report.harmless(name), "time": "0"})


def _text(finding: t.Mapping[str, t.Any]) -> str:
    lines = [
        f"{finding['severity']}: {finding['id']}: {finding['component']}",
        finding["message"],
        f"seen: {_report.cut(finding['evidence'])}",
        f"mend: {finding['fix']}",
    ]
    if finding.get("variable"):
        lines.append(f"set: {finding['variable']}")
    return "\n".join(map(_report.harmless, lines))
