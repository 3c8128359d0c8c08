"""A play on some apps of a host: those that are named, or a refusal."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.flaskworks.static_media.plugins.filter.limit_apps import limit_apps

GALLERY = {"flask_app_name": "gallery", "flask_app_source": "/g"}
SHOP = {"flask_app_name": "shop", "flask_app_source": "/s"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, [GALLERY, SHOP]),
        ("shop", [SHOP]),
        ("shop,gallery", [GALLERY, SHOP]),
        (["gallery"], [GALLERY]),
        ([], []),
    ],
)
def test_the_named_apps_are_returned_in_the_host_s_order(
    limit: object, expected: list[dict[str, str]]
) -> None:
    assert limit_apps([GALLERY, SHOP], limit) == expected


@pytest.mark.parametrize(
    ("apps", "limit", "words"),
    [
        ([GALLERY], "shop", "flask_apps_limit: 'shop' names no app"),
        ([GALLERY, SHOP], ["shop", "blog"], "Write names of gallery, shop"),
        ([GALLERY], 1, "flask_apps_limit: 1 names no app"),
        ([], "shop", "there is none"),
        ("gallery", None, "flask_apps: 'gallery' is no list of descriptions"),
        (GALLERY, None, "is no list of descriptions"),
        ([GALLERY, "shop"], None, "is no list of descriptions"),
        ([GALLERY, {"flask_app_source": "/s"}], None, "Add a flask_app_name to it"),
    ],
)
def test_what_names_no_app_is_refused(apps: object, limit: object, words: str) -> None:
    with pytest.raises(AnsibleFilterError) as failure:
        limit_apps(apps, limit)
    assert words in str(failure.value)
    assert "nothing was changed" in str(failure.value)
