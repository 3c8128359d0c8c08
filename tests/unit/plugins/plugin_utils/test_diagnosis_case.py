"""How a site's questions are asked, and what is said of its Nginx."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_case,
    _diagnosis_checks,
    _diagnosis_report,
    _diagnosis_sites,
)
from ansible_collections.flaskworks.static_media.plugins.plugin_utils._findings import Findings

from tests.unit import diagnosis

TLS = diagnosis.SITE.replace("listen 80;", "listen 443 ssl;")


@pytest.mark.parametrize("address", ["unix:/run/gallery/gallery.sock", "127.0.0.1:8000"])
def test_the_app_is_asked_without_tls(address: str) -> None:
    conf = TLS.replace("unix:/run/gallery/gallery.sock", address)
    made = diagnosis.case(conf, process={"listens": [address], "reachable_at": [address]})
    assert made.request("one", "/")["tls"]
    direct = made.direct("two", "/")
    assert direct is not None and not direct["tls"], "it would wait for a handshake"


def test_an_nginx_in_a_container_is_asked_in_its_own_network() -> None:
    made = diagnosis.case(nginx={"container": {"name": "proxy"}})
    assert made.request("one", "/")["process_id"] == diagnosis.NGINX["master_pid"]
    direct = made.direct("two", "/")
    assert direct is not None and direct["process_id"] is None


def test_what_nobody_answered_is_no_pass() -> None:
    refused = "127.0.0.1 port 80: Connection refused"
    made = diagnosis.case()
    made.answers = {
        key: {"status": None, "error": refused, "request": made.request(key, "/x")}
        for key in ("core.app", "core.static.0", "core.media")
    }
    told = {each["id"]: each for each in _diagnosis_checks.checks(made, Findings())}
    for id in ("app-answers", "static-by-nginx", "nothing-exposed", "body-limits", "proxy"):
        assert told[id]["status"] == "skip" and refused in told[id]["evidence"], told[id]
    made.answers["core.app"]["status"] = 200
    assert made.silence is None


@pytest.mark.parametrize(
    ("nginx", "said"),
    [
        ({}, "workers run as www-data"),
        ({"worker_user": None}, "unseen"),
        ({"worker_user": None, "running": False}, "does not run"),
    ],
)
def test_what_is_said_of_nginx(nginx: dict[str, t.Any], said: str) -> None:
    assert said in _diagnosis_report.discovered(diagnosis.case(nginx=nginx))["nginx"]


TWO = "\n".join(
    f"server {{ server_name {name}.example.com; location / {{ proxy_pass http://127.0.0.1:{port}; }} }}"
    for name, port in (("one", 8001), ("two", 8002))
)


@pytest.mark.parametrize(
    ("hints", "callables", "told"),
    [
        ({"domains": ["two.example.com"]}, ("a:app", "b:app"), [False, True]),
        ({"callable": "b:app"}, ("a:app", None), [False, True]),
        ({"user": "x"}, ("a:app", "b:app"), [True, True]),
    ],
)
def test_what_is_known_of_one_site_is_not_said_of_another(
    hints: dict[str, t.Any], callables: tuple[str | None, ...], told: list[bool]
) -> None:
    config = diagnosis.case(TWO).config
    processes = [
        {**diagnosis.PROCESS, "callable": callable, "listens": [f"127.0.0.1:{8001 + n}"]}
        for n, callable in enumerate(callables)
    ]
    found = _diagnosis_sites.sites(config, processes, hints)
    assert [bool(site.hints) for site in found] == told


def test_what_an_unknown_app_has_is_not_said_to_be_read() -> None:
    made = diagnosis.case("server { location / { proxy_pass http://127.0.0.1:3000; } }")
    made.app = None
    told = {each["id"]: each for each in _diagnosis_checks.checks(made, Findings())}
    assert told["nginx-reads-both"]["status"] == "skip"


def test_the_way_of_a_file_that_nobody_placed_is_not_shown() -> None:
    made = diagnosis.case()
    made.answers = {"core.media": diagnosis.response("/media/flask-verify-absent", 404)}
    assert list(_diagnosis_report.routes(made, [])) == []
    made.answers[_diagnosis_case.CANARY] = {"written": True, "path": "/var/www/gallery/media/x"}
    assert len(list(_diagnosis_report.routes(made, []))) == 1


def test_why_no_upload_was_asked_for() -> None:
    made = diagnosis.case(answers={_diagnosis_case.CANARY: {"written": False}})
    told = {each["id"]: each for each in _diagnosis_checks.checks(made, Findings())}
    assert told["uploads-served"]["evidence"] == _diagnosis_checks.NO_CANARY
