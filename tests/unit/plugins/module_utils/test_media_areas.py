"""The rules of media areas: what is refused, and what follows from what is not."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import (
    _media_areas,
    _settings,
)

from tests.unit.descriptions import description, media_area

KEY = "0123456789abcdef" * 2 + "x"


def areas(*more: dict[str, t.Any], **main: t.Any) -> dict[str, t.Any]:
    """A description's ``flask_media_areas``: the main one and these."""
    return {"flask_media_areas": [media_area("/media/", **main), *more]}


CONTAINER = {
    "flask_app_runtime": "compose",
    "flask_app_bind": "unix:/var/lib/gallery-sockets/gallery.sock",
}

# Each row: the changes, the variable that is named, a part of what is said.
REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({"flask_media_areas": []}, "flask_media_areas", "none of them"),
    ({"flask_media_areas": [media_area("/x/")]}, "flask_media_areas", "none of them"),
    (areas(media_area("/media/")), "flask_media_areas", "more than one"),
    (areas(media_area("documents/")), "flask_media_areas[1].url", "slash"),
    (areas(media_area("/documents")), "flask_media_areas[1].url", "slash"),
    (areas(media_area("/")), "flask_media_areas[1].url", "every request"),
    (areas(media_area("/.x/")), "flask_media_areas[1].url", "dot"),
    (areas(media_area("/a/../b/")), "flask_media_areas[1].url", "normalised"),
    (areas(media_area("/a;b/")), "flask_media_areas[1].url", "normalised"),
    (areas(media_area("/media/private/")), "flask_media_areas[1].url", "nested"),
    (areas(media_area("/a/"), media_area("/a/")), "flask_media_areas[1].url", "nested"),
    (areas(media_area("/a/b/"), media_area("/a-b/")), "flask_media_areas[2].root", "could be had"),
    (
        areas(media_area("/a/", root="/var/www/gallery/media/a")),
        "flask_media_areas[1].root",
        "could be had",
    ),
    (areas(root="/srv/uploads"), "flask_media_areas[0].root", "flask_media_root is"),
    (
        {"flask_media_root": "/var/media", **areas(media_area("/log/"))},
        "flask_media_areas[1].root",
        "it would be '/var/log'",
    ),
    (
        {"flask_media_root": "/var/lib/gallery", **areas(media_area("/nginx/"))},
        "flask_media_areas[1].root",
        "such as '/var/lib/gallery-nginx'",
    ),
    *(
        (areas(media_area("/a/", root=root)), "flask_media_areas[1].root", "the system's own")
        for root in ["/var/log", "/var/log/uploads", "/var/spool", "/lib32", "/libx32", "/var/lock"]
    ),
    *(
        (areas(media_area("/a/", root=root)), "flask_media_areas[1].root", said)
        for root, said in [
            ("uploads", "relative path"),
            ("/srv/../etc/x", "plain form"),
            *(
                (f"/srv/a{character}b", "reads as something else")
                for character in " ;{}$%\n\t\"'\\\0*,"
            ),
        ]
    ),
    (
        {**CONTAINER, **areas(media_area("/a/", root="/srv/a:b"))},
        "flask_media_areas[1].root",
        "separates",
    ),
    ({**CONTAINER, "flask_media_root": "/srv/a:b"}, "flask_media_root", "separates"),
    (
        {**areas(media_area("/old/")), "flask_media_former_urls": ["/old/"]},
        "flask_media_areas[1].url",
        "flask_media_former_urls",
    ),
    (areas(access="auth_request"), "flask_media_areas[0].auth_url", "whom to ask"),
    (
        areas(access="auth_request", auth_url="may-read"),
        "flask_media_areas[0].auth_url",
        "whom to ask",
    ),
    (
        areas(access="auth_request", auth_url="/may?read"),
        "flask_media_areas[0].auth_url",
        "whom to ask",
    ),
    (
        areas(access="auth_request", auth_url="/may read"),
        "flask_media_areas[0].auth_url",
        "whom to ask",
    ),
    (areas(access="auth_request", auth_url="/"), "flask_media_areas[0].auth_url", "everybody"),
    (areas(access="auth_request", auth_url="//x"), "flask_media_areas[0].auth_url", "everybody"),
    (
        areas(access="auth_request", auth_url="/a/../may-read"),
        "flask_media_areas[0].auth_url",
        "as it is",
    ),
    (
        areas(access="auth_request", auth_url="/media/may-read"),
        "flask_media_areas[0].auth_url",
        "in the area itself",
    ),
    (areas(auth_url="/may-read"), "flask_media_areas[0].auth_url", "nobody would be asked"),
    (
        areas(media_area("/a/", access="accel", auth_url="/may-read")),
        "flask_media_areas[1].auth_url",
        "nobody would be asked",
    ),
    (
        {**areas(access="accel"), "flask_media_former_urls": ["/old/"]},
        "flask_media_areas[0].access",
        "lead nowhere",
    ),
    (areas(cache_seconds=-1), "flask_media_areas[0].cache_seconds", "length of time"),
    (
        areas(inline_types={"text/html": ["html"]}),
        "flask_media_areas[0].inline_types",
        "run script",
    ),
    *(
        (areas(inline_types={kind: ["x"]}), "flask_media_areas[0].inline_types", "run script")
        for kind in [
            *("image/svg+xml", "application/xhtml+xml", "application/mathml+xml", "text/xml"),
            *("application/xml", "application/xml-dtd", "application/rss+xml", "text/xsl"),
            *("application/xslt+xml", "text/javascript", "application/javascript", "text/css"),
            *("application/x-javascript", "application/ecmascript", "text/javascript1.5"),
            *("text/jscript", "text/livescript", "multipart/x-mixed-replace", "multipart/related"),
            "message/rfc822",
        ]
    ),
    (
        {"flask_media_inline_types": {"text/css": ["css"]}},
        "flask_media_inline_types",
        "run script",
    ),
    (
        areas(inline_types={"image/png": ["png"], "image/jpeg": ["jpg", "png"]}),
        "flask_media_areas[0].inline_types",
        "'image/png' has 'png' too",
    ),
    (
        areas(inline_types={"image/png png; } #": ["png"]}),
        "flask_media_areas[0].inline_types",
        "no MIME type",
    ),
    (areas(inline_types={1: ["png"]}), "flask_media_areas[0].inline_types", "no MIME type"),
    (
        areas(media_area("/a/", inline_types={"image/png": ["png; }"]})),
        "flask_media_areas[1].inline_types",
        "no list of names",
    ),
    (areas(upload_urls=["upload"]), "flask_media_areas[0].upload_urls", "no URL"),
    *(
        (areas(upload_urls=[url], upload_rate="30r/m"), "flask_media_areas[0].upload_urls", said)
        for url, said in [
            ("/a/../upload", "hold nowhere"),
            ("/a/./upload", "hold nowhere"),
            ("//upload", "hold nowhere"),
            ("/a//upload", "hold nowhere"),
            ("/upload//", "hold nowhere"),
            ("/upload/.", "hold nowhere"),
            ("/upload/..", "hold nowhere"),
            ("/", "no URL"),
        ]
    ),
    (areas(upload_urls=["/upload"]), "flask_media_areas[0].upload_urls", "none is set"),
    (areas(access="auth_request", auth_url="/may//"), "flask_media_areas[0].auth_url", "everybody"),
    (areas(upload_rate="30r/m"), "flask_media_areas[0].upload_rate", "upload_urls names none"),
    (
        areas(upload_urls=["/upload"], upload_rate="many"),
        "flask_media_areas[0].upload_rate",
        "no rate",
    ),
    (
        areas(upload_urls=["/upload"], client_max_body_size="big"),
        "flask_media_areas[0].client_max_body_size",
        "no size",
    ),
    (areas(access="signed"), "flask_media_signing_key", "nothing to sign with"),
    ({"flask_media_signing_key": "k" * 31}, "flask_media_signing_key", "31 characters"),
    ({"flask_media_signing_key": "k" * 257}, "flask_media_signing_key", "257 characters"),
    ({"flask_media_signing_key": KEY + "$uri"}, "flask_media_signing_key", "something else"),
    ({"flask_media_signing_key": KEY + '"'}, "flask_media_signing_key", "something else"),
    ({"flask_media_signing_key": KEY + ";"}, "flask_media_signing_key", "something else"),
    ({"flask_media_signing_key": KEY + "\n"}, "flask_media_signing_key", "something else"),
    ({"flask_media_signing_key": KEY + "ä"}, "flask_media_signing_key", "something else"),
    ({"flask_media_signing_key": "1" * 40}, "flask_media_signing_key", "as a number"),
    ({"flask_media_signing_key": "12e34" + "5" * 30}, "flask_media_signing_key", "as a number"),
    (
        {
            "flask_media_signing_key": KEY,
            "flask_app_env": {"FLASK_MEDIA_SIGNING_KEY": "other secret"},
        },
        "flask_app_env.FLASK_MEDIA_SIGNING_KEY",
        "follows from another",
    ),
]


@pytest.mark.parametrize(("changes", "variable", "said"), REFUSED)
def test_what_can_not_work_is_refused(changes: dict[str, t.Any], variable: str, said: str) -> None:
    problems = _settings.description_problems(description(**changes))
    matching = [problem for problem in problems if problem.variable == variable]
    assert matching, problems
    text = str(matching[0])
    assert said in text
    for secret in ("flask_media_signing_key", "FLASK_MEDIA_SIGNING_KEY"):
        value = changes.get(secret) or changes.get("flask_app_env", {}).get(secret)
        assert not value or value not in text


ACCESS = areas(
    media_area("/documents/", access="accel"),
    media_area("/members/", access="auth_request", auth_url="/may/read"),
    media_area("/shared/", access="signed", cache_seconds=60),
)


def test_an_area_of_each_access_is_taken() -> None:
    values = description(**ACCESS, flask_media_signing_key=KEY)
    assert _settings.description_problems(values) == []


@pytest.mark.parametrize(
    ("bind", "asked"),
    [
        ("unix:/run/gallery/gallery.sock", "http://unix:/run/gallery/gallery.sock:/may/read"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/may/read"),
    ],
)
def test_what_follows_of_each_access(bind: str, asked: str) -> None:
    values = description(**ACCESS, flask_app_bind=bind, flask_site_url_prefix="/shop/")
    found = {area["url"]: area for area in _media_areas.resolve(values)}
    assert [area["location"] for area in found.values()] == [
        "/shop/media/",
        "/shop/documents/",
        "/shop/members/",
        "/shop/shared/",
    ]
    assert [area["root"] for area in found.values()] == [
        f"/var/www/gallery/{name}" for name in ("media", "documents", "members", "shared")
    ]
    assert found["/documents/"]["internal_location"] == "/_gallery_accel/documents/"
    assert found["/members/"]["internal_location"] == "/_gallery_auth/members/"
    assert found["/members/"]["auth_proxy_pass"] == asked
    assert {area["cache_control"] for area in found.values()} == {
        "no-cache",
        "private, no-cache",
        "private, max-age=60",
    }


def test_the_key_is_in_no_settings() -> None:
    settings = _settings.resolve(description(**ACCESS, flask_media_signing_key=KEY))
    assert KEY not in json.dumps(settings)
    file = "/etc/nginx/flask_keys/gallery/signing_key.conf"
    assert settings["media"]["signing_key_file"] == file
    assert _settings.resolve(description())["media"]["signing_key_file"] is None


@pytest.mark.parametrize(
    ("claim", "changes", "stale"),
    [
        ("ours", {}, True),
        ("foreign", {}, False),
        (None, {}, False),
        ("ours", areas(access="signed"), False),
    ],
)
def test_a_key_that_signs_nothing_is_taken_away(
    claim: str | None, changes: dict[str, t.Any], stale: bool
) -> None:
    values = description(**changes)
    path = _media_areas.signing_key_file(values)
    found = _media_areas.stale_signing_key_files(values, {"paths": {path: claim}})
    assert found == ([path] if stale else [])


def test_the_app_is_told_of_its_areas() -> None:
    told = _media_areas.env(description(**ACCESS))
    assert told is not None
    assert told["/shared/"] == {"root": "/var/www/gallery/shared", "access": "signed"}
    assert told["/documents/"]["accel_location"] == "/_gallery_accel/documents/"
    assert told["/documents/"]["cache_control"] == "private, no-cache"
    assert "image/png" in told["/documents/"]["inline_types"]
    assert "accel_pdf_location" not in told["/documents/"]
    assert _media_areas.env(description()) is None
    pdf = {"flask_media_inline_types": {"application/pdf": ["pdf"]}}
    told = _media_areas.env(description(**ACCESS, **pdf)) or {}
    assert told["/documents/"]["accel_pdf_location"] == "/_gallery_accel_pdf/documents/"
    assert {"accel_location", "accel_pdf_location"}.isdisjoint(told["/members/"])


def root_on_a_host(**facts: t.Any) -> list[str]:
    """The variables that are refused on a host where the app's root is like this."""
    values = description()
    there = {"kind": "directory", "owner": "x", "is_in_use": False, **facts}
    host = {
        "users": {"gallery": {"uid": 998, "gid": 998, "home": "/opt/gallery"}},
        "directories": {"/var/www/gallery/media": there},
    }
    return [problem.variable for problem in _media_areas.host_problems(values, host)]


@pytest.mark.parametrize(
    "facts",
    [
        {"kind": "missing", "owner_uid": None, "is_empty": False},
        # By an administrator, or a new file system
        {"owner_uid": 0, "is_empty": True},
        # Converged
        {"owner_uid": 998, "is_empty": False},
        # Restored by root
        {"owner_uid": 0, "is_empty": False, "is_in_use": True},
        {"owner_uid": 7, "is_empty": False, "is_in_use": True},
    ],
    ids=str,
)
def test_a_root_of_the_apps_or_of_nobody_is_taken(facts: dict[str, t.Any]) -> None:
    assert root_on_a_host(**facts) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"owner_uid": 0, "is_empty": False},
        {"owner_uid": 7, "is_empty": False},
        {"owner_uid": 7, "is_empty": True},
    ],
    ids=str,
)
def test_a_root_of_somebody_else_is_not_given_to_the_app(facts: dict[str, t.Any]) -> None:
    assert root_on_a_host(**facts) == ["flask_media_root"]


def test_nobody_is_the_user_of_an_app_that_is_not_there_yet() -> None:
    host = {
        "users": {"gallery": None},
        "directories": {
            "/var/www/gallery/media": {
                "kind": "directory",
                "owner": "999",
                "owner_uid": 999,
                "is_empty": False,
                "is_in_use": False,
            }
        },
    }
    (problem,) = _media_areas.host_problems(description(), host)
    assert "touch /var/www/gallery/media/.flask_media_gallery" in str(problem)


def test_what_runs_nothing_may_be_shown() -> None:
    shown = {
        "application/pdf": ["pdf"],
        "application/json": ["json"],
        "application/postscript": ["ps"],
        "text/plain": ["txt", "txt"],
        "text/vtt": ["vtt"],
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ["docx"],
    }
    assert _settings.description_problems(description(**areas(inline_types=shown))) == []
