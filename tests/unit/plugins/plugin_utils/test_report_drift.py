"""A report against an earlier one."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_drift

from tests.unit.reports import SITE, faulty, finding, healthy


def found(drift: dict[str, t.Any], name: str) -> list[tuple[str, str]]:
    return [(one["id"], one["component"]) for one in drift["findings"][name]]


def compared(earlier: dict[str, t.Any], report: dict[str, t.Any]) -> dict[str, t.Any]:
    return _report_drift.compare(earlier, report, "/r.json")


def test_a_report_against_itself_shows_no_drift() -> None:
    drift = compared(faulty(), faulty())
    assert _report_drift.is_same(drift)
    assert len(drift["findings"]["same"]) == 3
    assert drift["since"] == "2026-11-29T09:00:00Z"


def test_a_host_that_broke_and_was_mended() -> None:
    broke = compared(healthy(), faulty())
    assert found(broke, "new") == [
        ("not-traversable", "/srv/gallery"),
        ("disk-full", "/srv"),
        ("served-by-app", f"{SITE}:31"),
    ]
    assert found(compared(faulty(), healthy()), "gone") == found(broke, "new")
    assert [(one["id"], one["before"], one["after"]) for one in broke["checks"]] == [
        ("nginx-reads-both", "pass", "fail"),
        ("direct-requests", "pass", "fail"),
        ("certificate", None, "skip"),
    ]
    assert not _report_drift.is_same(broke)


def test_another_component_is_another_fault() -> None:
    earlier, report = healthy(), healthy()
    earlier["findings"] = [finding("not-readable", "/a"), finding("not-readable", "/b")]
    report["findings"] = [finding("not-readable", "/b"), finding("not-readable", "/c")]
    drift = compared(earlier, report)
    assert found(drift, "gone") == [("not-readable", "/a")]
    assert found(drift, "same") == [("not-readable", "/b")]
    assert found(drift, "new") == [("not-readable", "/c")]


def test_a_fault_that_grew_worse_is_told() -> None:
    earlier, report = faulty(), faulty()
    report["findings"][1]["severity"] = "error"
    drift = compared(earlier, report)
    assert drift["findings"]["same"][1]["was"] == "warning"
    assert list(_report_drift.changes(drift)) == [("disk-full: /srv", "warning → error")]
    assert not _report_drift.is_same(drift)


def test_a_directive_on_another_line_is_the_same_fault() -> None:
    earlier, report = healthy(), healthy()
    earlier["findings"] = [finding("alias-traversal", f"{SITE}:{line}") for line in (10, 20)]
    report["findings"] = [finding("alias-traversal", f"{SITE}:{line}") for line in (20, 30, 40)]
    drift = compared(earlier, report)
    assert (len(drift["findings"]["same"]), len(drift["findings"]["new"])) == (2, 1)
    assert not drift["findings"]["gone"]
    # One line may have several faults, and a fault of one id be mended there while another comes.
    report["findings"] = [finding("dotfile-exposed", f"{SITE}:10")]
    assert found(compared(earlier, report), "new") == [("dotfile-exposed", f"{SITE}:10")]


def test_facts_and_answers_that_differ_are_told() -> None:
    earlier, report = faulty(), faulty()
    earlier["discovered"] = {"nginx": "1.18.0", "python": "3.9"}
    report["routes"][0].update(status=404)
    report["routes"][3].update(upstream="127.0.0.1:8000")
    drift = compared(earlier, report)
    assert {one["name"]: (one["before"], one["after"]) for one in drift["facts"]} == {
        "nginx": ("1.18.0", report["discovered"]["nginx"]),
        "app": (None, report["discovered"]["app"]),
        "python": ("3.9", None),
    }
    assert [(one["before"], one["after"]) for one in drift["routes"]] == [
        ("200 by Nginx", "404 by Nginx"),
        ("200 by the app, unix:/run/gallery.sock", "200 by the app, 127.0.0.1:8000"),
    ]


def test_names_that_each_run_makes_are_no_drift() -> None:
    earlier, report = healthy(), healthy()
    for one, digit in ((earlier, "a"), (report, "b")):
        canary = f"/media/flask-verify-{digit * 32}.txt"
        absent = f"/static/flask-verify-absent-{digit * 12}"
        one["findings"] = [finding("served-by-app", canary), finding("directory-listing", absent)]
        one["routes"] = [{**one["routes"][0], "url": f"http://h{canary}"}]
    assert _report_drift.is_same(compared(earlier, report))


def test_an_older_report_without_routes_is_compared() -> None:
    earlier = faulty()
    for key in ("routes", "unseen", "discovered"):
        del earlier[key]
    assert found(compared(earlier, faulty()), "new") == []


def test_a_report_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "web1-gallery.json"
    path.write_text(json.dumps(faulty()))
    assert _report_drift.load(str(path)) == faulty()
    assert _report_drift.problems(str(path)) == []
    assert _report_drift.problems(None) == []


def without(key: str) -> str:
    return json.dumps({name: value for name, value in faulty().items() if name != key})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no such file"),
        ("{", "it is no JSON"),
        ("[]", "it is no report"),
        ('{"ok": true}', "it is no report"),
        (json.dumps({**faulty(), "schema": 2}), "its schema is 2"),
        (without("checks"), "it lacks"),
        (without("generated"), "it lacks"),
        (json.dumps({**faulty(), "findings": [{"id": "x"}]}), "it lacks"),
        (json.dumps({**faulty(), "findings": "x"}), "it lacks"),
        (json.dumps({**faulty(), "routes": [1]}), "it lacks"),
        (json.dumps({**faulty(), "discovered": []}), "it lacks"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    (problem,) = _report_drift.problems(str(path))
    assert problem.variable == "flask_verify_baseline"
    assert reason in problem.reason
    assert str(path) in str(problem)
    assert "Write the path of a JSON report" in str(problem)


def test_what_can_not_be_read_is_refused(tmp_path: Path) -> None:
    (problem,) = _report_drift.problems(str(tmp_path))
    assert "it can't be read: Is a directory" in problem.reason
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (problem,) = _report_drift.problems(str(tmp_path / "binary.json"))
    assert "it is no JSON" in problem.reason
