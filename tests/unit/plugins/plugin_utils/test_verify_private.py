"""Private areas: what is asked for, and that each way of being open is found."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

from tests.unit.plugins.plugin_utils.test_verify import access, area, blocked, healthy, judge


def asked(evidence: dict[str, t.Any], path: str) -> dict[str, t.Any]:
    """The response to the request for what begins with this path."""
    found: list[dict[str, t.Any]] = [
        response for response in evidence["responses"] if response["item"]["path"].startswith(path)
    ]
    (one,) = found
    return one


def check(report: dict[str, t.Any]) -> dict[str, t.Any]:
    found: dict[str, t.Any] = next(
        check for check in report["checks"] if check["id"] == "private-media-closed"
    )
    return found


def findings(report: dict[str, t.Any]) -> list[tuple[str, str]]:
    return [(found["id"], found["component"]) for found in report["findings"]]


def test_each_area_and_each_internal_location_is_asked_for() -> None:
    shown = check(judge(healthy("/shop/")))["evidence"]
    for path in (
        "/shop/documents/flask-verify-1.txt 401",
        "/_gallery_accel/documents/flask-verify-1.txt 404",
        "/_gallery_accel_pdf/documents/flask-verify-1.txt 404",
        "/shop/members/flask-verify-1.txt 401",
        "/_gallery_auth/members/ 404",
        "/shop/shared/flask-verify-1.txt 401",
    ):
        assert f"GET {path}" in shown


@pytest.mark.parametrize("url", ["/members/", "/shared/"])
@pytest.mark.parametrize("status", [200, 204, 206])
def test_an_area_that_answers_is_found(url: str, status: int) -> None:
    evidence = healthy()
    asked(evidence, url).update(status=status)
    report = judge(evidence)
    assert check(report)["status"] == "fail"
    assert findings(report) == [("auth-bypassed", url)]


@pytest.mark.parametrize("status", [200, 404])
def test_an_app_that_sends_the_file_is_found(status: int) -> None:
    evidence = healthy()
    asked(evidence, "/documents/").update(status=status, content="secret of /documents/")
    assert findings(judge(evidence)) == [("auth-bypassed", "/documents/")]


def test_an_app_that_answers_by_a_login_page_is_right() -> None:
    evidence = healthy()
    asked(evidence, "/documents/").update(status=200, content="<!doctype html> Log in")
    assert check(judge(evidence))["status"] == "pass"


@pytest.mark.parametrize(
    "location",
    ["/_gallery_accel/documents/", "/_gallery_accel_pdf/documents/", "/_gallery_auth/members/"],
)
@pytest.mark.parametrize("status", [200, 204, 401, 403, 502])
def test_an_internal_location_that_answers_is_found(location: str, status: int) -> None:
    evidence = healthy()
    asked(evidence, location).update(status=status)
    report = judge(evidence)
    assert check(report)["status"] == "fail"
    assert findings(report) == [("accel-not-internal", location)]


def test_an_nginx_that_does_not_answer_proves_nothing() -> None:
    evidence = healthy()
    asked(evidence, "/shared/").update(status=-1, msg="refused")
    report = judge(evidence)
    assert check(report)["status"] == "fail"
    assert findings(report) == [("nginx-not-serving", "port 80")]


def test_an_area_without_a_canary_is_not_proven() -> None:
    evidence = healthy()
    evidence["responses"].remove(asked(evidence, "/shared/"))
    report = judge(evidence)
    assert check(report)["status"] == "fail"
    assert "no canary could be placed for /shared/" in check(report)["evidence"]


def unreadable(evidence: dict[str, t.Any], url: str) -> None:
    for result in evidence["private_access"]:
        if result["item"]["item"]["url"] == url:
            canary = "/var/www/gallery/shared/flask-verify-1.txt"
            result["paths"] = [blocked(canary, canary, "not-readable")]


def test_an_area_whose_canary_nginx_can_not_read_is_not_proven() -> None:
    evidence = healthy()
    unreadable(evidence, "/shared/")
    found = check(judge(evidence))
    assert found["status"] == "skip"
    assert "www-data can't read the canary of /shared/: not-readable at" in found["evidence"]
    assert "/members/" not in found["evidence"]


def test_an_area_that_answers_is_found_though_another_is_not_proven() -> None:
    evidence = healthy()
    unreadable(evidence, "/shared/")
    asked(evidence, "/members/").update(status=200)
    report = judge(evidence)
    assert check(report)["status"] == "fail"
    assert findings(report) == [("auth-bypassed", "/members/")]


def test_where_the_kernel_was_not_asked_nothing_is_proven() -> None:
    evidence = healthy()
    evidence["private_access"] = []
    assert check(judge(evidence))["status"] == "skip"


def test_with_public_areas_alone_there_is_nothing_to_prove() -> None:
    evidence = healthy()
    evidence["settings"]["media"]["areas"] = [area("/media/")]
    assert "private-media-closed" not in {check["id"] for check in judge(evidence)["checks"]}


def test_a_private_main_area_is_not_expected_to_answer() -> None:
    evidence = healthy()
    main = area("/media/", access="signed")
    evidence["settings"]["media"]["areas"] = [main]
    private = [{**evidence["canary"], "item": main}]
    evidence["private_access"] = [{"item": private[0], "paths": [access("/x")]}]
    asked_for = _verify.requests(
        evidence["settings"], evidence["static"], evidence["canary"], private
    )
    media = [request["kind"] for request in asked_for if request["path"].startswith("/media/")]
    assert media == ["private"]
    evidence["responses"] = [
        response for response in evidence["responses"] if response["item"]["kind"] != "media"
    ]
    kinds = {"direct-requests", "served-by-nginx"}
    statuses = {c["id"]: c["status"] for c in judge(evidence)["checks"] if c["id"] in kinds}
    assert set(statuses.values()) == {"pass"}
