"""How a site's questions are asked, and what is said of its Nginx."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _diagnosis_report

from tests.unit import diagnosis

TLS = diagnosis.SITE.replace("listen 80;", "listen 443 ssl;")


@pytest.mark.parametrize("address", ["unix:/run/gallery/gallery.sock", "127.0.0.1:8000"])
def test_the_app_is_asked_without_tls(address: str) -> None:
    conf = TLS.replace("unix:/run/gallery/gallery.sock", address)
    made = diagnosis.case(conf, process={"listens": [address], "reachable_at": [address]})
    assert made.request("one", "/")["tls"]
    direct = made.direct("two", "/")
    assert direct is not None and not direct["tls"], "it would wait for a handshake"


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
