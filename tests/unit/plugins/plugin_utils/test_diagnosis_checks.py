"""What a diagnosis has looked at."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_checks,
    _report,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import (
    Finding,
    Findings,
)

from tests.unit import diagnosis

PLUGIN_UTILS = Path(_diagnosis_checks.__file__).parent
# An id stands by itself in its judge's source.
ID = re.compile(r'"([a-z]+(?:-[a-z0-9]+)+)"')


def test_each_finding_fails_one_check() -> None:
    ids = [found for check in _diagnosis_checks.CHECKS for found in check.findings]
    assert len(ids) == len(set(ids))
    judged = {
        text
        for path in PLUGIN_UTILS.glob("_diagnose_*.py")
        for text in ID.findall(path.read_text(encoding="utf-8"))
    }
    assert set(ids) <= judged, sorted(set(ids) - judged)


def test_the_ids_of_checks_differ() -> None:
    ids = [check.id for check in _diagnosis_checks.CHECKS]
    assert len(ids) == len(set(ids))


def test_the_documentation_has_each_finding() -> None:
    text = (Path(__file__).resolve().parents[4] / "docs/findings.md").read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    ids = {found for check in _diagnosis_checks.CHECKS for found in check.findings}
    assert set(re.findall(r"`([a-z0-9-]+)`", rows)) == ids
    readme = (Path(__file__).resolve().parents[4] / "README.md").read_text(encoding="utf-8")
    assert f"one of {len(ids)} [findings]" in readme


def test_a_check_names_its_findings_and_a_warning_fails_no_play() -> None:
    findings = Findings()
    for severity, found in (("warning", "served-by-app"), ("error", "disk-full")):
        findings.add(Finding(found, severity, f"of {found}", "", "", ""))
    told = {
        check["id"]: check
        for check in _diagnosis_checks.checks(diagnosis.case(diagnosis.SITE), findings)
    }
    # Errors come first in the report.
    assert told["room"]["findings"] == [0]
    static = told["static-by-nginx"]
    assert (static["status"], static["findings"]) == ("fail", [1])
    report = {
        "checks": [static],
        "findings": [dataclasses.asdict(one) for one in findings.sorted()],
    }
    report["findings"][0]["severity"] = "warning"
    assert not _report.fails(report, "error")
    assert _report.fails(report, "warning")
