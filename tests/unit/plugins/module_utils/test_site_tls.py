"""Which descriptions of TLS, of the media domain and of upload limits are refused, and what follows from others."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_areas,
    _settings,
    _site_tls,
    _upload_limits,
)

from tests.unit.descriptions import description, media_area

HTTPS = {"flask_site_scheme": "https", "flask_site_port": 443}
SELF_SIGNED = {**HTTPS, "flask_site_ssl_self_signed": True}
OWN = {
    **HTTPS,
    "flask_site_ssl_certificate": "/etc/ssl/gallery.pem",
    "flask_site_ssl_certificate_key": "/etc/ssl/private/gallery.key",
}
INCLUDE = {**HTTPS, "flask_site_mode": "include"}
LIMIT = {"client_max_body_size": "2M"}
DOMAIN = {"flask_media_domain": "media.example.net"}


def uploads(**changes: t.Any) -> dict[str, t.Any]:
    limits = {"upload_urls": ["/upload"], "client_max_body_size": "2M", **changes}
    return {"flask_media_areas": [media_area("/media/", **limits)]}


REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    (HTTPS, "flask_site_ssl_certificate", "has a certificate and its key"),
    ({**OWN, "flask_site_ssl_certificate_key": None}, "flask_site_ssl_certificate_key", "its key"),
    ({**OWN, "flask_site_ssl_certificate": None}, "flask_site_ssl_certificate", "its key"),
    (
        {**SELF_SIGNED, "flask_site_ssl_certificate": "/a"},
        "flask_site_ssl_certificate",
        "makes another",
    ),
    ({**OWN, "flask_site_ssl_certificate": "a.pem"}, "flask_site_ssl_certificate", "absolute"),
    ({**OWN, "flask_site_ssl_certificate": "/a/../b"}, "flask_site_ssl_certificate", "plain form"),
    (
        {**OWN, "flask_site_ssl_certificate_key": "/a b"},
        "flask_site_ssl_certificate_key",
        "reads as",
    ),
    (
        {**OWN, "flask_site_ssl_certificate_key": "/var/www/gallery/media/key"},
        "flask_site_ssl_certificate_key",
        "serves to everybody",
    ),
    (
        {**OWN, "flask_site_ssl_certificate_key": "/var/www/gallery/static/key"},
        "flask_site_ssl_certificate_key",
        "serves to everybody",
    ),
    ({"flask_site_ssl_self_signed": True}, "flask_site_ssl_self_signed", "no effect"),
    ({"flask_site_ssl_certificate": "/a"}, "flask_site_ssl_certificate", "no effect"),
    ({"flask_site_hsts_max_age_seconds": 9}, "flask_site_hsts_max_age_seconds", "no effect"),
    (
        {**SELF_SIGNED, "flask_site_hsts_max_age_seconds": -1},
        "flask_site_hsts_max_age_seconds",
        "0",
    ),
    ({**INCLUDE, "flask_site_ssl_self_signed": True}, "flask_site_ssl_self_signed", "are yours"),
    ({**INCLUDE, "flask_site_ssl_certificate": "/a"}, "flask_site_ssl_certificate", "are yours"),
    ({**INCLUDE, "flask_site_domains": []}, "flask_site_domains", "certificate is for"),
    ({**SELF_SIGNED, "flask_site_port": 80}, "flask_site_port", "plain HTTP"),
    ({**SELF_SIGNED, "flask_app_bind": "127.0.0.1:80"}, "flask_app_bind", "to HTTPS"),
    ({"flask_site_acme_root": "/var/www/acme"}, "flask_site_acme_root", "challenges"),
    (
        {**SELF_SIGNED, "flask_site_http_redirect": False, "flask_site_acme_root": "/var/www/acme"},
        "flask_site_acme_root",
        "challenges",
    ),
    ({**SELF_SIGNED, "flask_site_acme_root": "acme"}, "flask_site_acme_root", "absolute"),
    *(
        (
            {**SELF_SIGNED, "flask_site_acme_root": f"/srv/a{character}b"},
            "flask_site_acme_root",
            said,
        )
        for character, said in [
            *((c, "reads as something else") for c in " ;{}$%\n"),
            ("/../", "plain"),
        ]
    ),
    ({"flask_media_domain": "gallery.example.com"}, "flask_media_domain", "own origin"),
    ({"flask_media_domain": "*.example.net"}, "flask_media_domain", "no host name"),
    ({"flask_media_domain": "https://a.example"}, "flask_media_domain", "without scheme"),
    ({**DOMAIN, "flask_site_mode": "include"}, "flask_media_domain", "server block"),
    (
        {**DOMAIN, "flask_media_areas": [media_area("/media/", access="accel")]},
        "flask_media_domain",
        "cookies",
    ),
    (
        {**uploads(client_max_body_size="1M"), "flask_app_max_content_length": "2M"},
        "flask_media_areas[0].client_max_body_size",
        "page of its own",
    ),
    ({**uploads(), **INCLUDE}, "flask_media_areas[0].upload_urls", "location that you keep"),
    (
        {"flask_media_areas": [media_area("/media/", **LIMIT, upload_urls=["/media/new"])]},
        "flask_media_areas[0].upload_urls",
        "the app is not asked",
    ),
    (
        {
            "flask_media_areas": [
                media_area("/media/", **LIMIT, upload_urls=["/upload"]),
                media_area("/other/", **LIMIT, upload_urls=["/upload"]),
            ]
        },
        "flask_media_areas[1].upload_urls",
        "one URL has one limit",
    ),
    (
        {"flask_media_areas": [media_area("/media/", inline_types={"text/html": ["html"]})]},
        "flask_media_areas[0].inline_types",
        "can run script",
    ),
]


@pytest.mark.parametrize(
    ("changes", "variable", "words"), REFUSED, ids=[f"{row[1]}-{row[2]}" for row in REFUSED]
)
def test_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.description_problems(description(**changes))
    assert words in " ".join(str(p) for p in problems if p.variable == variable)
    assert {problem.variable for problem in problems} == {variable}


@pytest.mark.parametrize(
    "changes",
    [
        SELF_SIGNED,
        OWN,
        {**SELF_SIGNED, **DOMAIN},
        DOMAIN,
        {**SELF_SIGNED, "flask_site_http_redirect": False, "flask_site_port": 8443},
        {**SELF_SIGNED, "flask_site_acme_root": "/var/www/acme"},
        {**INCLUDE, "flask_site_hsts_max_age_seconds": 9},
        {**INCLUDE, "flask_site_proxy": True, **uploads()},
        {**uploads(client_max_body_size="2M"), "flask_app_max_content_length": "2M"},
        {**DOMAIN, "flask_site_domains": ["*.example.net"]},
    ],
    ids=str,
)
def test_is_taken(changes: dict[str, t.Any]) -> None:
    assert _settings.description_problems(description(**changes)) == []


def test_the_apps_own_limit_counts_too() -> None:
    values = description(**uploads(client_max_body_size="1M"))
    answer: dict[str, t.Any] = {"mounts": [], "config": {"MAX_CONTENT_LENGTH": 2 << 20}}
    (problem,) = _settings.app_problems(values, answer)
    assert problem.variable == "flask_media_areas[0].client_max_body_size"
    answer["config"]["MAX_CONTENT_LENGTH"] = 1 << 20
    assert _settings.app_problems(values, answer) == []


FACTS: dict[str, t.Any] = {
    "error": None,
    "at_fault": None,
    "missing": False,
    "key_path": "/etc/ssl/private/gallery.key",
    "key_readers": None,
    "refused_names": {},
}


@pytest.mark.parametrize(
    ("facts", "variable", "words"),
    [
        (
            {"error": "there is no such file", "at_fault": "key", "missing": True},
            "flask_site_ssl_certificate_key",
            "path of a PEM file",
        ),
        (
            {"error": "it is not the key of /a", "at_fault": "key"},
            "flask_site_ssl_certificate_key",
            "key of that certificate",
        ),
        (
            {"error": "it is no certificate", "at_fault": "certificate"},
            "flask_site_ssl_certificate",
            "PEM form",
        ),
        ({"key_readers": "everybody; mode 0644"}, "flask_site_ssl_certificate_key", "chmod 0600"),
        (
            {"refused_names": {"gallery.example.com": "certificate has expired"}},
            "flask_site_ssl_certificate",
            "for gallery.example.com: certificate has expired",
        ),
    ],
)
def test_a_certificate_that_will_not_do_is_refused(
    facts: dict[str, t.Any], variable: str, words: str
) -> None:
    values = description(**OWN)
    (problem,) = _site_tls.host_problems(values, {**FACTS, **facts})
    assert problem.variable == variable
    assert words in str(problem)
    assert list(_site_tls.host_problems(values, FACTS)) == []
    assert list(_site_tls.host_problems(values, None)) == []


def test_two_apps_on_one_host_have_names_of_their_own() -> None:
    one = description(**SELF_SIGNED, **DOMAIN)
    other = {
        "flask_app_name": "shop",
        "flask_app_user": "shop",
        "flask_app_root": "/opt/shop",
        "flask_app_bind": "unix:/run/shop/shop.sock",
        "flask_app_env_file": "/etc/shop/shop.env",
        "flask_site_conf_file": "/etc/nginx/conf.d/shop.conf",
        "flask_site_include_file": "/etc/nginx/snippets/shop.conf",
        "flask_static_root": "/var/www/shop/static",
        "flask_media_root": "/var/www/shop/media",
        "flask_site_domains": ["shop.example.com"],
    }
    fine = description(**SELF_SIGNED, **other)
    assert _settings.apps_problems([one, fine]) == []
    same = description(**SELF_SIGNED, **other, **DOMAIN)
    assert {p.variable for p in _settings.apps_problems([one, same])} == {"flask_media_domain"}
    # The one listens to plain HTTP of that name, to lead visitors to HTTPS.
    plain = description(**{**other, "flask_site_domains": ["gallery.example.com"]})
    assert {p.variable for p in _settings.apps_problems([one, plain])} == {"flask_site_domains"}
    alone = {**one, "flask_site_http_redirect": False}
    assert _settings.apps_problems([alone, plain]) == []


def test_a_guest_sends_the_header_of_its_server() -> None:
    server = description(**SELF_SIGNED, flask_site_hsts_max_age_seconds=9)
    guest = description(
        flask_app_name="shop", flask_site_server="gallery", flask_site_mode="include"
    )
    values = _settings.with_server(guest, [server, guest])
    assert _settings.resolve(values)["site"]["strict_transport_security"] == "max-age=9"


def test_the_app_is_told_where_uploads_are_and_that_cookies_are_secret() -> None:
    env = _settings.derived_env(description(**SELF_SIGNED, **DOMAIN))
    assert env["FLASK_MEDIA_ORIGIN"] == "https://media.example.net"
    assert env["FLASK_SESSION_COOKIE_SECURE"] is True
    env = _settings.derived_env(description(flask_site_port=8080, **DOMAIN))
    assert env["FLASK_MEDIA_ORIGIN"] == "http://media.example.net:8080"
    assert "FLASK_SESSION_COOKIE_SECURE" not in env
    assert "FLASK_MEDIA_ORIGIN" not in _settings.derived_env(description())


def test_the_port_that_leads_to_https_has_to_be_free_too() -> None:
    listener = {"process": "apache2", "pid": 7, "address": "0.0.0.0:80"}
    values = description(**SELF_SIGNED)
    (problem,) = _settings._listener_problems(values, {"listeners": [listener]})
    assert problem.variable == "flask_site_http_redirect"
    listener["address"] = "0.0.0.0:443"
    (problem,) = _settings._listener_problems(values, {"listeners": [listener]})
    assert problem.variable == "flask_site_port"


def test_each_name_is_led_to_itself() -> None:
    values = description(
        **{**SELF_SIGNED, "flask_site_port": 8443},
        flask_site_domains=["a.example", "*.b.example"],
        **DOMAIN,
    )
    site = _settings.resolve(values)["site"]
    assert site["redirects"] == [
        {"from": "a.example", "to": "a.example:8443"},
        {"from": "*.b.example", "to": "$host:8443"},
        {"from": "media.example.net", "to": "media.example.net:8443"},
    ]
    assert site["packages"] == ["nginx", "openssl"]
    assert site["self_signed_names"] == ["a.example", "*.b.example", "media.example.net"]
    assert _settings.resolve(description(**OWN))["site"]["packages"] == ["nginx"]


def test_only_areas_without_the_apps_cookies_move() -> None:
    areas = [
        media_area("/media/"),
        media_area("/a/", access="accel"),
        media_area("/s/", access="signed"),
    ]
    resolved = _media_areas.resolve(description(**DOMAIN, flask_media_areas=areas))
    assert [area["is_on_media_domain"] for area in resolved] == [True, False, True]
    assert not any(
        area["is_on_media_domain"]
        for area in _media_areas.resolve(description(flask_media_areas=areas))
    )


@pytest.mark.parametrize(("rate", "burst"), [("30r/m", 30), ("2r/s", 120)])
def test_those_of_a_minute_may_come_at_once(rate: str, burst: int) -> None:
    values = description(**uploads(upload_rate=rate))
    (location,) = _settings.resolve(values)["site"]["uploads"]
    assert location["burst"] == burst
    assert [zone["name"] for zone in _upload_limits.zones(values)] == [location["zone"]]


def test_a_prefix_is_taken_off_before_the_app() -> None:
    values = description(flask_site_url_prefix="/shop/", **uploads(client_max_body_size="1G"))
    site = _settings.resolve(values)["site"]
    (location,) = site["uploads"]
    assert location["location"] == "/shop/upload"
    assert location["proxy_pass"] == "http://unix:/run/gallery/gallery.sock:/upload"
    assert not site["app_answers_too_large"]


@pytest.mark.parametrize(
    ("changes", "answers"),
    [
        ({"flask_app_max_content_length": "1M"}, True),
        ({}, False),
        ({"flask_app_max_content_length": "1M", "flask_app_service": "external"}, False),
        ({"flask_app_max_content_length": "1M", "flask_site_proxy": False}, False),
    ],
    ids=str,
)
def test_only_gunicorn_with_a_limit_answers_for_nginx(
    changes: dict[str, t.Any], answers: bool
) -> None:
    site = _settings.resolve(description(**changes))["site"]
    assert site["app_answers_too_large"] == answers


def test_the_sizes_that_have_to_pass() -> None:
    values = description(**uploads(client_max_body_size="2M"))
    app = {"mounts": [], "config": {"MAX_CONTENT_LENGTH": 1 << 20}}
    settings = _settings.with_app(values, _settings.resolve(values), app)
    assert settings["site"]["body_probes"] == [
        {"path": "/", "size": 1 << 20, "is_of_app": True},
        {"path": "/upload", "size": 2 << 20, "is_of_app": False},
    ]
    assert settings["site"]["app_answers_too_large"]


def test_host_names_are_the_same_in_capitals() -> None:
    def found(**changes: t.Any) -> list[str]:
        values = _settings.normalised(description(**changes))
        return [problem.variable for problem in _settings.description_problems(values)]

    assert found(flask_site_domains=["a.example", "A.Example"]) == ["flask_site_domains"]
    assert found(flask_media_domain="GALLERY.example.com") == ["flask_media_domain"]
    assert found(flask_site_domains=["GALLERY.example.com"], **DOMAIN) == []


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"flask_site_domains": ["GALLERY.example.com"]}, "flask_site_domains"),
        (
            {"flask_site_domains": ["b.example"], "flask_media_domain": "Media.example.net"},
            "flask_media_domain",
        ),
    ],
)
def test_two_apps_have_no_name_in_common_in_capitals(
    changes: dict[str, t.Any], variable: str
) -> None:
    text = json.dumps(description()).replace("gallery", "shop")
    apps = [description(**DOMAIN), {**json.loads(text), **changes}]
    found = _settings.apps_problems([_settings.normalised(app) for app in apps])
    assert [problem.variable for problem in found] == [variable]
