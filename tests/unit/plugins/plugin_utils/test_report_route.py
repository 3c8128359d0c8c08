"""The way of a request: what it passes, where it stops, what it never reaches."""

from __future__ import annotations

import typing as t

from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _report_route

from tests.unit.reports import SITE, faulty

REPORT = faulty()
STATIC, MEDIA, ADMIN, PAGE = REPORT["routes"]


def drawn(route: dict[str, t.Any]) -> list[tuple[str, str, str]]:
    way = _report_route.steps(route, REPORT["findings"])
    return [(step.lane, step.name, step.state) for step in way]


def test_a_request_that_arrives_passes_all() -> None:
    assert drawn(STATIC) == [
        ("nginx", "/static/css/app.css", "pass"),
        ("nginx", "gallery.example.com", "pass"),
        ("nginx", "^~ /static/", "pass"),
        ("disk", "/", "pass"),
        ("disk", "var", "pass"),
        ("disk", "static", "pass"),
        ("disk", "app.css", "pass"),
        ("answer", "200 OK", "pass"),
    ]


def test_a_request_stops_at_the_component_that_is_not_passed() -> None:
    assert drawn(MEDIA)[3:] == [
        ("disk", "/", "pass"),
        ("disk", "srv", "pass"),
        ("disk", "gallery", "stop"),
        ("disk", "media", "beyond"),
        ("disk", "kitten.jpg", "beyond"),
        ("answer", "403 Forbidden", "result"),
    ]
    stop = _report_route.steps(MEDIA, REPORT["findings"])[5]
    assert stop.why == "www-data is not in group root"
    assert stop.details == ("0750 root:root",)


def test_a_component_without_a_reason_has_its_findings() -> None:
    path = [{**one, "why": None} for one in MEDIA["path"]]
    way = _report_route.steps({**MEDIA, "path": path}, REPORT["findings"])
    assert way[5].why == "www-data can't pass through it"


def test_a_request_goes_astray_at_the_location_that_its_finding_names() -> None:
    assert drawn(ADMIN)[1:] == [
        ("nginx", "gallery.example.com", "pass"),
        ("nginx", "/", "stop"),
        ("app", "unix:/run/gallery.sock", "astray"),
        ("answer", "200 OK", "result"),
    ]
    # Where nobody answers, nobody was reached.
    assert drawn({**ADMIN, "status": None})[3][2] == "beyond"


def test_a_location_that_serves_all_else_is_not_blamed_for_it() -> None:
    assert {state for _lane, _name, state in drawn(PAGE)} == {"pass"}


def test_where_nothing_is_to_blame_the_answer_is() -> None:
    wrong = {**STATIC, "ok": False, "status": 404, "finding": 1}
    assert drawn(wrong)[-2:] == [("disk", "app.css", "pass"), ("answer", "404 Not Found", "stop")]
    assert _report_route.steps(wrong, REPORT["findings"])[-1].why == "/srv is at fault"
    assert drawn({**wrong, "finding": None})[-1] == ("answer", "404 Not Found", "result")


def test_nobody_may_answer() -> None:
    silent = {**STATIC, "ok": False, "status": None, "served_by": "nobody", "server": None}
    assert drawn({**silent, "location": None, "path": []})[1:] == [
        ("nginx", "nobody answers", "stop"),
        ("answer", "no answer", "result"),
    ]
    assert _report_route.answer(silent) == "no answer"


def test_who_answered_is_told() -> None:
    assert _report_route.answer(STATIC) == "200 OK by Nginx"
    assert _report_route.answer(ADMIN) == "200 OK by the app"
    assert _report_route.answer({**STATIC, "status": 499, "served_by": "nobody"}) == "499"


def test_a_target_that_is_no_url_is_shown_as_it_was_sent() -> None:
    for url, shown in (
        ("http://[x/..%2f", "/..%2f"),
        ("/static/../a", "/static/../a"),
        ("https://h", "/"),
        ("/a\x1b", "/a\\x1b"),
    ):
        assert drawn({**STATIC, "url": url})[0][1] == shown


def test_a_finding_that_is_not_there_is_none() -> None:
    for index in (None, 7, -1):
        assert _report_route.finding_of({**STATIC, "finding": index}, REPORT["findings"]) is None


def test_the_site_is_where_the_sample_says() -> None:
    assert _report_route.steps(STATIC, [])[1].details == (f"{SITE}:8",)


def test_what_is_not_there_has_no_owner() -> None:
    gone = {
        "path": "/srv/gone",
        "type": None,
        "mode": None,
        "owner": None,
        "group": None,
        "ok": False,
    }
    route = {"url": "/a", "status": 404, "served_by": "nginx", "ok": False, "path": [gone]}
    stop = next(step for step in _report_route.steps(route, []) if step.name == "gone")
    assert (stop.label, stop.details, stop.state) == ("not there", (), "stop")
