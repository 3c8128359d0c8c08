"""The proof of names, certificates, the media domain and body limits, each with its fault."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify

from tests.unit.plugins.plugin_utils.test_verify import healthy, judge

DOMAIN = "gallery-media.example.net"


def over_tls() -> dict[str, t.Any]:
    """The evidence of a healthy site over TLS, whose uploads have a domain of their own."""
    evidence = healthy()
    settings = evidence["settings"]
    settings["media"].update(domain=DOMAIN, origin=f"https://{DOMAIN}")
    settings["media"]["areas"][0]["is_on_media_domain"] = True
    settings["site"].update(
        scheme="https", port=443, tls={"certificate": "/c", "certificate_key": "/k"}
    )
    names = question(evidence)["names"]
    evidence["site"]["handshakes"] = [
        {"name": name, "error": None, "version": "TLSv1.3", "protocol": "h2"} for name in names
    ]
    for request in _verify.requests(settings, evidence["static"], evidence["canary"]):
        if request["kind"] in ("moved", "foreign"):
            moved = request["kind"] == "moved"
            evidence["responses"].append(
                {
                    "item": request,
                    "status": 301 if moved else 404,
                    "location": f"https://{DOMAIN}{request['path']}" if moved else "",
                    "content": "<html><center>nginx</center>",
                }
            )
    return evidence


def question(evidence: dict[str, t.Any]) -> dict[str, t.Any]:
    return _verify.site_question(evidence["settings"], evidence["static"], evidence["canary"])


def checks(evidence: dict[str, t.Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in judge(evidence)["checks"]}


def test_a_healthy_site_passes() -> None:
    evidence = over_tls()
    found = checks(evidence)
    assert (found["certificate"], found["media-domain"], found["body-limits"]) == ("pass",) * 3
    assert judge(evidence)["findings"] == []


def test_each_name_is_asked_for_by_itself() -> None:
    evidence = over_tls()
    evidence["settings"]["site"]["domains"] = ["gallery.example.com", "*.example.org"]
    asked = question(evidence)
    assert asked["names"] == ["gallery.example.com", "www.example.org", DOMAIN]
    assert (asked["scheme"], asked["certificate"]) == ("https", "/c")


def test_uri_asks_for_a_file_of_each_kind_and_the_module_for_the_rest() -> None:
    evidence = healthy()
    facts = evidence["settings"], evidence["static"], evidence["canary"]
    by_uri, rest = _verify.uri_requests(*facts), question(evidence)["requests"]
    assert [request["kind"] for request in by_uri] == ["static", "media"]
    assert len(by_uri) + len(rest) == len(_verify.requests(*facts))
    # What changes by itself counts for nothing, so the app itself is asked before and after.
    assert [r["kind"] for r in rest if r["kind"] in ("direct", "app")] == [
        "direct",
        "app",
        "direct",
    ]


def test_what_goes_by_https_names_its_host_to_tls() -> None:
    evidence = over_tls()
    facts = evidence["settings"], evidence["static"], evidence["canary"]
    assert _verify.uri_requests(*facts) == []
    assert question(evidence)["requests"] == _verify.requests(*facts)


def test_uploads_are_asked_of_their_domain_and_static_files_of_the_site() -> None:
    evidence = over_tls()
    asked = _verify.requests(evidence["settings"], evidence["static"], evidence["canary"])
    hosts = {request["kind"]: request["headers"]["Host"] for request in asked}
    assert hosts["media"] == hosts["foreign"] == DOMAIN
    assert hosts["static"] == hosts["moved"] == "gallery.example.com"


def test_areas_that_stay_with_the_app_are_asked_of_the_site() -> None:
    evidence = over_tls()
    evidence["settings"]["media"]["areas"][0]["is_on_media_domain"] = False
    asked = _verify.requests(evidence["settings"], evidence["static"], evidence["canary"])
    hosts = {request["kind"]: request["headers"]["Host"] for request in asked}
    assert hosts["media"] == "gallery.example.com"
    assert "moved" not in hosts


def _one(evidence: dict[str, t.Any], kind: str) -> dict[str, t.Any]:
    found: dict[str, t.Any] = next(r for r in evidence["responses"] if r["item"]["kind"] == kind)
    return found


def _other_certificate(e: dict[str, t.Any]) -> None:
    e["site"]["handshakes"][1]["error"] = "self-signed certificate"


def _not_moved(e: dict[str, t.Any]) -> None:
    _one(e, "moved").update(status=404, location="")


def _moved_elsewhere(e: dict[str, t.Any]) -> None:
    _one(e, "moved")["location"] = "https://elsewhere.example/"


def _app_on_media_domain(e: dict[str, t.Any]) -> None:
    _one(e, "foreign").update(status=200, content="<!doctype html>")


def _nginx_takes_less(e: dict[str, t.Any]) -> None:
    for body in e["site"]["bodies"]:
        body["status"] = 413


def _nginx_takes_as_much(e: dict[str, t.Any]) -> None:
    e["site"]["bodies"][1]["status"] = 413


@pytest.mark.parametrize(
    ("break_it", "check", "finding", "component"),
    [
        (_other_certificate, "certificate", "certificate-mismatch", DOMAIN),
        (_not_moved, "media-domain", "location-shadowed", None),
        (_moved_elsewhere, "media-domain", "location-shadowed", None),
        (_app_on_media_domain, "media-domain", "server-name-mismatch", DOMAIN),
        (_nginx_takes_less, "body-limits", "body-limit-nginx", "/"),
        (_nginx_takes_as_much, "body-limits", "body-limit-unordered", "/"),
    ],
)
def test_a_fault_gives_one_finding(
    break_it: t.Callable[[dict[str, t.Any]], None],
    check: str,
    finding: str,
    component: str | None,
) -> None:
    evidence = over_tls()
    break_it(evidence)
    report = judge(evidence)
    assert checks(evidence)[check] == "fail"
    assert [found["id"] for found in report["findings"]] == [finding]
    if component:
        assert report["findings"][0]["component"] == component


def test_where_the_app_answers_for_nginx_the_order_does_not_matter() -> None:
    evidence = healthy()
    assert [body["size"] for body in question(evidence)["bodies"]] == [1000, 1001]
    evidence["settings"]["site"]["app_answers_too_large"] = True
    assert [body["size"] for body in question(evidence)["bodies"]] == [1000]


def test_an_answer_without_a_body_proves_nothing() -> None:
    evidence = healthy()
    for body in evidence["site"]["bodies"]:
        body["status"] = 308
    assert checks(evidence)["body-limits"] == "skip"
    evidence["settings"]["site"]["body_probes"] = []
    evidence["site"]["bodies"] = []
    assert "body-limits" not in checks(evidence)


def test_the_mend_for_a_server_block_that_the_user_keeps_names_the_size() -> None:
    evidence = healthy()
    evidence["settings"]["site"].update(
        mode="include", proxy=False, client_max_body_size_bytes=2000
    )
    _nginx_takes_less(evidence)
    (found,) = judge(evidence)["findings"]
    assert "client_max_body_size 2000;" in found["fix"]


def test_a_silent_nginx_is_one_finding() -> None:
    evidence = over_tls()
    for answer in evidence["responses"]:
        answer.update(status=-1, msg="refused")
    for answer in (*evidence["site"]["handshakes"], *evidence["site"]["bodies"]):
        answer.update(error="refused", status=None)
    report = judge(evidence)
    assert [found["id"] for found in report["findings"]] == ["nginx-not-serving"]


def test_a_site_that_is_not_there_has_no_limits_of_its_own() -> None:
    evidence = healthy()
    for one in evidence["responses"]:
        if one["item"]["kind"] == "media":
            one.update(status=404, etag="")
    evidence["site"]["bodies"] = [
        {**body, "status": 413, "error": None} for body in evidence["site"]["bodies"]
    ]
    report = judge(evidence)
    assert {found["id"] for found in report["findings"]} == {"location-missing"}
    assert "body-limits" in {one["id"] for one in report["checks"] if one["status"] == "fail"}
