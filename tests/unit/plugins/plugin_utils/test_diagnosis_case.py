"""How a site's questions are asked, and what is said of its Nginx."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import (
    _diagnosis_checks,
    _diagnosis_report,
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
