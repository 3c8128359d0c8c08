"""The report for CI systems."""

from __future__ import annotations

import re
import typing as t
from xml.etree import ElementTree

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_junit
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports import check, faulty, finding, healthy


def parsed(report: dict[str, t.Any], fail_on: str = "error") -> ElementTree.Element:
    return ElementTree.fromstring(_report_junit.junit(report, fail_on).encode())


def cases(root: ElementTree.Element) -> dict[str, str]:
    """What became of each test case, by the first word of its name."""
    found = {}
    for case in root.iter("testcase"):
        kinds = [child.tag for child in case]
        found[case.attrib["name"].partition(":")[0]] = kinds[0] if kinds else "passed"
    return found


def test_each_check_is_a_case_and_so_is_a_finding_of_its_own() -> None:
    # That www-data can't pass through /srv/gallery is why nginx-reads-both fails.
    assert cases(parsed(faulty())) == {
        "directories-differ": "passed",
        "nginx-reads-both": "failure",
        "only-app-writes-media": "passed",
        "direct-requests": "failure",
        "certificate": "skipped",
        "disk-full": "passed",
        "served-by-app": "failure",
    }


def test_a_failure_has_its_findings_and_their_mend() -> None:
    root = parsed(faulty())
    failures = {one.attrib["type"]: str(one.text) for one in root.iter("failure")}
    assert "mend: Let Nginx's user through" in failures["nginx-reads-both"]
    assert "set: flask_media_root" in failures["nginx-reads-both"]
    assert "served-by-app" not in failures["nginx-reads-both"]
    # What has no finding of its own is explained by those that there are.
    assert "not-traversable" in failures["direct-requests"]
    (skipped,) = root.iter("skipped")
    assert skipped.attrib["message"] == "the key can't be read without root"


def test_what_was_seen_where_nothing_fails_is_kept() -> None:
    (said,) = parsed(faulty()).iter("system-out")
    assert "only-app-writes-media: 2750 gallery:www-data" in str(said.text)
    assert "warning: disk-full: /srv" in str(said.text)
    (said,) = parsed(faulty(), "warning").iter("system-out")
    assert "disk-full" not in str(said.text)


def test_warnings_are_failures_where_they_fail_the_play() -> None:
    assert cases(parsed(faulty(), "warning"))["disk-full"] == "failure"
    assert cases(parsed(faulty(), "never"))["disk-full"] == "passed"
    assert cases(parsed(faulty(), "never"))["served-by-app"] == "failure"


def test_it_has_what_readers_ask_for() -> None:
    """Ant's schema asks for most; Jenkins', GitLab's and GitHub's readers for less."""
    for report in (faulty(), healthy(), {**healthy(), "checks": []}):
        root = parsed(report)
        assert root.tag == "testsuites"
        (suite,) = root
        assert suite.attrib["tests"] == str(len(list(root.iter("testcase"))))
        assert suite.attrib["failures"] == str(len(list(root.iter("failure"))))
        assert suite.attrib["skipped"] == str(len(list(root.iter("skipped"))))
        assert suite.attrib["errors"] == suite.attrib["time"] == "0"
        assert {"name", "timestamp", "hostname", "id", "package"} < {*suite.attrib}
        assert not root.attrib
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
        order = [child.tag for child in suite if child.tag != "testcase"]
        assert order == ["properties", "system-out", "system-err"]
        assert suite[0].tag == "properties"
        for case in root.iter("testcase"):
            assert {*case.attrib} == {"name", "classname", "time"}
            assert [child.tag for child in case] in ([], ["failure"], ["skipped"])


@given(st.text(st.characters(codec=None)))
def test_any_text_leaves_it_well_formed(text: str) -> None:
    report = {**faulty(), "host": text, "app": text, "generated": text}
    report["checks"] = [check(text, status, text, text) for status in ("pass", "fail", "skip")]
    report["findings"] = [finding(text, text, message=text, evidence=text, fix=text, variable=text)]
    root = parsed(report)
    assert len(list(root.iter("testcase"))) in (3, 4)
    assert {one.tag for one in root.iter()} <= {
        *("testsuites", "testsuite", "properties", "testcase", "failure", "skipped"),
        *("system-out", "system-err"),
    }
