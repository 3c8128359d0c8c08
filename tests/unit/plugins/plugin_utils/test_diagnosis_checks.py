"""What a diagnosis has looked at."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _diagnosis_checks

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
