"""What all forms of a report share: verdicts, exit status, and text that harms nobody."""

from __future__ import annotations

import typing as t
import unicodedata

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports import check, faulty, finding, healthy

FAILING = check("nginx-reads-both", "fail", "Nginx can read both", "it can't")
ERROR = finding("not-readable", "/a")
WARNING = finding("disk-full", "/b", severity="warning")


def report(*findings: dict[str, t.Any], checks: t.Sequence[t.Any] = ()) -> dict[str, t.Any]:
    return {**healthy(), "findings": list(findings), "checks": list(checks)}


@pytest.mark.parametrize(
    ("judged", "error", "warning"),
    [
        (report(), False, False),
        (report(WARNING), False, True),
        (report(ERROR), True, True),
        (report(WARNING, ERROR), True, True),
        # Nobody has said why it fails, so it can't be told to be harmless.
        (report(checks=[FAILING]), True, True),
        (report(WARNING, checks=[FAILING]), True, True),
        (report(WARNING, checks=[{**FAILING, "findings": [0]}]), False, True),
        (report(WARNING, checks=[{**FAILING, "findings": [7]}]), True, True),
        (report(checks=[{**FAILING, "status": "skip"}]), False, False),
    ],
)
def test_the_exit_status_is_by_severity(
    judged: dict[str, t.Any], error: bool, warning: bool
) -> None:
    assert _report.fails(judged, "error") is error
    assert _report.fails(judged, "warning") is warning
    assert not _report.fails(judged, "never")
    assert _report.completed(judged)["ok"] is not error


def test_an_older_report_is_completed() -> None:
    judged = healthy()
    for key in ("routes", "unseen", "discovered"):
        del judged[key]
    whole = _report.completed(judged)
    assert (whole["routes"], whole["unseen"], whole["discovered"]) == ([], [], {})


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (faulty(), "2 errors and 1 warning"),
        (report(WARNING, checks=[{**FAILING, "status": "pass"}]), "1 warning"),
        (report(checks=[FAILING]), "1 check failed"),
        (healthy(), "All is well"),
        (report(), "Nothing could be checked"),
        (report(checks=[{**FAILING, "status": "skip"}]), "Nothing could be checked"),
        (
            report(checks=[{**FAILING, "status": "skip"}, {**FAILING, "status": "pass"}]),
            "All is well, as far as could be seen",
        ),
    ],
)
def test_the_verdict_is_a_few_words(judged: dict[str, t.Any], words: str) -> None:
    assert _report.verdict(judged) == words


def test_a_failing_check_has_the_findings_that_it_names() -> None:
    judged = faulty()
    assert [_report.findings_of(judged, one) for one in judged["checks"]] == [[], [0], [], [], []]
    judged["checks"][3]["findings"] = [0, 2]
    assert _report.findings_of(judged, judged["checks"][3]) == [0, 2]
    # /srv is no name in "/srv/gallery", and an empty evidence is in every text.
    judged["findings"] = [finding("x", "/srv", evidence="")]
    assert _report.findings_of(judged, judged["checks"][1]) == []


def test_a_failure_names_the_checks_or_what_fails_none() -> None:
    assert "Nginx can read both; Direct requests" in _report.failure(faulty(), "/r.html")
    only = report(ERROR)
    assert _report.failure(only, "/r.html") == "Not as described: not-readable (/a). See /r.html"


@given(st.text())
def test_harmless_text_has_nothing_that_is_obeyed(text: str) -> None:
    shown = _report.harmless(text)
    kinds = {unicodedata.category(letter) for letter in shown if letter not in "\n\t"}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
    assert not any(unicodedata.bidirectional(one) in {"RLO", "LRO", "RLI", "PDF"} for one in shown)
    shown.encode("utf-8")


def test_what_harms_is_shown() -> None:
    assert _report.harmless("a\x1b[2J\u202egnp.exe\udc80\r\nb") == (
        "a\\x1b[2J\\u202egnp.exe\\udc80\nb"
    )
    assert _report.harmless("Größe\tπ 🐈") == "Größe\tπ 🐈"


@given(st.text(), st.integers(1, 9), st.integers(10, 500))
def test_an_evidence_is_cut_to_size(text: str, lines: int, characters: int) -> None:
    shown = _report.cut(text, lines=lines, characters=characters)
    assert len(shown.split("\n")) <= lines + 1
    assert len(shown) <= characters + len("\n… (12345 more)")


def test_what_is_cut_away_is_told() -> None:
    assert _report.cut("1\n2\n3\n4", lines=2) == "1\n2\n… (2 more)"
    assert _report.cut("x" * 500).endswith("x…")
    assert _report.cut("all of it\n") == "all of it"
