"""Where uploads may be adopted from, and at which former URLs they stay."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _settings

from tests.unit.descriptions import description

STATIC = {
    "url": "/static/",
    "folder": "/srv/app/static",
    "endpoint": "static",
}

# Each row: the changes, the variable that is named, a part of what is said.
REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({"flask_media_adopt_from": ["uploads"]}, "flask_media_adopt_from", "absolute"),
    ({"flask_media_adopt_from": ["/srv/../etc"]}, "flask_media_adopt_from", "plain form"),
    ({"flask_media_adopt_from": ["/"]}, "flask_media_adopt_from", "one lies in the other"),
    ({"flask_media_adopt_from": ["/srv"]}, "flask_media_adopt_from", "more than uploads"),
    ({"flask_media_adopt_from": ["/etc/ssl"]}, "flask_media_adopt_from", "more than uploads"),
    ({"flask_media_adopt_from": ["/var/www"]}, "flask_media_adopt_from", "the same or one lies"),
    (
        {"flask_media_adopt_from": ["/var/www/gallery/media/old"]},
        "flask_media_adopt_from",
        "the same or one lies",
    ),
    ({"flask_media_adopt_from": ["/opt/gallery"]}, "flask_media_adopt_from", "is in it"),
    ({"flask_media_adopt_from": ["container:gallery"]}, "flask_media_adopt_from", "NAME:/path"),
    ({"flask_media_adopt_from": ["container:-x:/a"]}, "flask_media_adopt_from", "NAME:/path"),
    ({"flask_media_former_urls": ["/uploads"]}, "flask_media_former_urls", "'/uploads/'"),
    ({"flask_media_former_urls": ["/"]}, "flask_media_former_urls", "every request"),
    ({"flask_media_former_urls": ["/media/"]}, "flask_media_former_urls", "flask_media_url"),
    ({"flask_media_former_urls": ["/media/old/"]}, "flask_media_former_urls", "flask_media_url"),
    ({"flask_media_former_urls": ["/a/", "/a/b/"]}, "flask_media_former_urls", "one lies"),
    (
        {"flask_media_former_urls": ["/static/"], "flask_static_mounts": [STATIC]},
        "flask_media_former_urls",
        "'/static/uploads/'",
    ),
    ({"flask_media_adopt_restart": ["true"]}, "flask_media_adopt_restart", "'managed'"),
]


@pytest.mark.parametrize(("changes", "variable", "words"), REFUSED)
def test_a_wrong_description_is_refused(
    changes: dict[str, t.Any], variable: str, words: str
) -> None:
    problems = _settings.description_problems(description(**changes))
    assert [problem.variable for problem in problems] == [variable]
    assert words in str(problems[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"flask_media_adopt_from": ["/srv/gallery/releases/7/uploads", "container:a_b.c:/app/up"]},
        # A real directory may hold the code and the uploads.
        {"flask_media_adopt_from": ["/opt/gallery/current/uploads"]},
        {"flask_media_former_urls": ["/static/uploads/", "/uploads/"]},
    ],
)
def test_a_right_description_is_taken(changes: dict[str, t.Any]) -> None:
    assert _settings.description_problems(description(**changes)) == []


def app(folder: str | None) -> dict[str, t.Any]:
    return {"mounts": [STATIC], "config": {"UPLOAD_FOLDER": folder}, "error": None}


@pytest.mark.parametrize(
    ("changes", "folder", "variable", "words"),
    [
        ({}, "/srv/app/static/uploads", "flask_media_former_urls", "['/static/uploads/']"),
        ({}, "/srv/app/static", "flask_media_adopt_from", "['/srv/app/static/uploads']"),
        ({}, "/srv/app", "flask_media_adopt_from", "is in '/srv/app'"),
        ({}, "/etc/gallery", "flask_media_adopt_from", "more than uploads"),
        ({}, "/opt/gallery/current", "flask_media_adopt_from", "flask_app_directory"),
        (
            {"flask_media_adopt_from": ["/srv/app/static/a/b"], "flask_media_former_urls": ["/x/"]},
            "/elsewhere",
            "flask_media_former_urls",
            "['/x/', '/static/a/b/']",
        ),
    ],
)
def test_what_speaks_against_a_place_that_was_found(
    changes: dict[str, t.Any], folder: str, variable: str, words: str
) -> None:
    (problem,) = _settings.adoption_problems(description(**changes), app(folder))
    assert problem.variable == variable
    assert words in str(problem)


@pytest.mark.parametrize(
    ("changes", "folder", "sources"),
    [
        ({}, "/srv/app/uploads", ["/srv/app/uploads"]),
        ({}, "uploads", ["/opt/gallery/current/uploads"]),
        # It was switched by an earlier run.
        ({}, "/var/www/gallery/media", []),
        ({"flask_media_adopt_from": ["/old"]}, "/srv/app/uploads", ["/old"]),
        ({"flask_media_adopt_from": ["container:x:/up"]}, None, ["container:x:/up"]),
        (
            {"flask_media_former_urls": ["/static/uploads/"]},
            "/srv/app/static/uploads",
            ["/srv/app/static/uploads"],
        ),
    ],
)
def test_where_uploads_are(
    changes: dict[str, t.Any], folder: str | None, sources: list[str]
) -> None:
    values = description(**changes)
    assert _settings.adoption_problems(values, app(folder)) == []
    found = _settings.with_app(values, _settings.resolve(values), app(folder))
    assert found["media"]["adopt_sources"] == sources
    assert found["media"]["adopt_problem"] is None
    # What the app says is read with its rights, what the user says with root's.
    assert (found["media"]["adopt_user"] is None) == bool(values["flask_media_adopt_from"])


def test_an_app_that_does_not_say_where() -> None:
    values = description()
    found = _settings.with_app(values, _settings.resolve(values), app(None))
    assert "flask_media_adopt_from" in found["media"]["adopt_problem"]


@pytest.mark.parametrize(
    "changes",
    [
        {"flask_media_former_urls": ["/static/uploads/"]},
        {"flask_media_adopt_from": ["/srv/app/static/uploads"]},
    ],
)
def test_uploads_in_the_static_folder_are_not_published(changes: dict[str, t.Any]) -> None:
    values = description(**changes)
    found = _settings.with_app(values, _settings.resolve(values), app(None))
    assert [mount["exclude"] for mount in found["static"]["mounts"]] == [["uploads"]]


def test_former_urls_follow_the_prefix_of_the_site() -> None:
    values = description(
        flask_site_url_prefix="/shop/", flask_media_former_urls=["/static/uploads/"]
    )
    assert _settings.resolve(values)["media"]["former_locations"] == ["/shop/static/uploads/"]


def test_a_guest_s_prefix_is_no_former_url_of_its_host() -> None:
    host = description(flask_media_former_urls=["/uploads/"])
    guest = description(
        flask_app_name="shop", flask_site_server="gallery", flask_site_url_prefix="/uploads/"
    )
    problems = _settings.apps_problems([host, guest])
    assert any("the uploads of gallery are at /uploads/" in str(problem) for problem in problems)
