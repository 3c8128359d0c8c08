"""The report on a terminal."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _report_drift,
    _report_text,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reports import SITE, check, faulty, finding, healthy

FILES = ["/r/web1-gallery.html", "/r/web1-gallery.json", "/r/web1-gallery.xml"]


def drifted() -> dict[str, t.Any]:
    earlier = healthy()
    earlier["findings"] = [finding("umask-too-tight", "gallery.service")]
    report = faulty()
    return {**report, "drift": _report_drift.compare(earlier, report, "/r/old.json")}


def test_the_summary_tells_all_in_order() -> None:
    text = _report_text.summary(drifted(), FILES, 120)
    told = [
        "gallery on web1: https://gallery.example.com/",
        "✓ Static and media have different directories",
        "✗ Nginx can read both",
        "- Each name of the site presents its certificate",
        "the key can't be read without root",
        "2 errors",
        "✗ not-traversable: /srv/gallery",
        "www-data can't pass through it",
        "seen: drwxr-x--- root root /srv/gallery\n          open() failed",
        "mend: Let Nginx's user through: setfacl -m u:www-data:x /srv/gallery",
        "set:  flask_media_root",
        f"✗ served-by-app: {SITE}:31",
        "1 warning",
        "! disk-full: /srv",
        "kitten.jpg: 403 Forbidden by Nginx, stopped at gallery (directory, 0750",
        "Could not be seen",
        "- the environment of gunicorn",
        "nginx: 1.22.1",
        "Since 2026-11-29T09:00:00Z (/r/old.json)",
        "+ new: not-traversable: /srv/gallery",
        "- gone: umask-too-tight: gallery.service",
        "~ Nginx can read both: pass → fail",
        "2 errors and 1 warning: 2 passed, 2 failed, 1 not checked.",
        "Report: /r/web1-gallery.html",
        "and the same as .json and .xml",
    ]
    places = [text.find(one) for one in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)


def test_what_there_is_none_of_has_no_heading() -> None:
    report = healthy()
    report["discovered"] = {}
    text = _report_text.summary(report, FILES[:1])
    for heading in ("error", "warning", "Could not", "Found", "Since", "The way", "the same as"):
        assert heading not in text
    assert text.endswith("  All is well: 4 passed, 0 failed.\n  Report: /r/web1-gallery.html")


def test_an_app_whose_address_nobody_knows_has_a_summary() -> None:
    report = {**healthy(), "url": None}
    report["checks"] = [{**one, "title": None} for one in report["checks"]]
    lines = _report_text.summary(report).splitlines()
    assert lines[0] == "gallery on web1"
    assert lines[2].startswith("  ✓ directories-differ ")


def test_nothing_new_is_told_too() -> None:
    report = faulty()
    report["drift"] = _report_drift.compare(faulty(), report, "/r/old.json")
    assert "nothing has changed" in _report_text.summary(report)


@pytest.mark.parametrize("width", [80, 120])
def test_lines_are_as_wide_as_the_terminal(width: int) -> None:
    report = drifted()
    report["findings"][0].update(evidence="word " * 90, message="word " * 60)
    report["unseen"] = ["word " * 60]
    lines = _report_text.summary(report, FILES, width).splitlines()
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 10


def test_a_narrow_terminal_has_the_evidence_of_what_fails() -> None:
    text = _report_text.summary(faulty(), [], 80)
    assert "  ✗ Nginx can read both\n      www-data can't pass through /srv/gallery\n" in text
    assert "2750 gallery:www-data" not in text
    assert "2750 gallery:www-data" in _report_text.summary(faulty(), [], 120)


def test_a_command_is_not_broken() -> None:
    command = "setfacl " + "-m u:www-data:x " * 8
    report = faulty()
    report["findings"][0]["fix"] = f"Let Nginx's user through, and nobody else:\n  {command}"
    assert f"          {command.strip()}\n" in _report_text.summary(report, [], 80)


def test_evidence_is_cut_to_size_and_paths_are_not_broken() -> None:
    report = faulty()
    path = "/srv/" + "a" * 200
    report["findings"][0].update(component=path, evidence="\n".join(map(str, range(100, 150))))
    report["checks"][0]["evidence"] = "long " * 100
    text = _report_text.summary(report, [], 80)
    assert path in text
    assert "105" in text and "106" not in text and "(44 more)" in text
    assert text.count("long") < 21


@given(
    st.text(st.characters(codec=None), max_size=40),
    st.integers(0, 200),
    st.sampled_from(["id", "component", "message", "evidence", "fix", "variable"]),
)
def test_no_text_reaches_the_terminal_as_a_command(text: str, width: int, key: str) -> None:
    report = faulty()
    report["findings"][0][key] = text
    report["checks"].append(check(text, "fail", text, text))
    report["routes"][1]["path"][2].update(path=f"/{text}", why=text)
    report["unseen"] = [text]
    report["discovered"] = {text: text}
    shown = _report_text.summary(report, [], width)
    assert not any(letter in shown for letter in "\x1b\x07\x08\r\x9b\u202e\x00")
    shown.encode("utf-8")
