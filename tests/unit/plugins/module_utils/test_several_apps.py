"""Several apps on one host, and apps under a URL prefix: what is refused, and what follows."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _rules, _settings
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.descriptions import description


def shop(**changes: t.Any) -> dict[str, t.Any]:
    """A second app, in the first one's server block."""
    values = description(
        flask_app_name="shop",
        flask_app_source="/home/me/shop",
        flask_app_callable="shop:create_app()",
        flask_app_user="shop",
        flask_app_group="shop",
        flask_app_root="/opt/shop",
        flask_app_virtualenv="/opt/shop/current",
        flask_app_directory="/opt/shop/current",
        flask_app_env_file="/etc/shop/shop.env",
        flask_app_bind="unix:/run/shop/shop.sock",
        flask_static_root="/var/www/shop/static",
        flask_media_root="/var/www/shop/media",
        flask_site_domains=[],
        flask_site_conf_file="/etc/nginx/conf.d/shop.conf",
        flask_site_mode="include",
        flask_site_server="gallery",
        flask_site_url_prefix="/shop/",
        flask_site_include_file="/etc/nginx/flask.d/gallery/shop.conf",
    )
    return {**values, **changes}


def test_two_apps_of_one_server_are_taken() -> None:
    values = _settings.with_server(shop(), [description(), shop()])
    assert _settings.description_problems(values) == []
    assert _settings.apps_problems([description(), shop()]) == []


def test_an_app_has_the_names_and_the_port_of_its_server() -> None:
    server = description(flask_site_domains=["example.com"], flask_site_port=8080)
    values = _settings.with_server(shop(), [server, shop()])
    assert values["flask_site_domains"] == ["example.com"]
    assert _settings.resolve(values)["site"]["url"] == "http://example.com:8080/shop"


def test_an_app_of_no_server_keeps_its_own() -> None:
    assert _settings.with_server(description(), [shop()]) == description()


@pytest.mark.parametrize(
    ("changes", "variable", "words"),
    [
        ({"flask_site_server": "shop"}, "flask_site_server", "the app itself"),
        ({"flask_site_server": "../x"}, "flask_site_server", "no name of an app"),
        ({"flask_site_mode": "server"}, "flask_site_mode", "no server block of its own"),
        ({"flask_site_url_prefix": "/"}, "flask_site_url_prefix", "'/shop/'"),
        ({"flask_site_url_prefix": "/shop"}, "flask_site_url_prefix", "'/shop/'"),
        ({"flask_site_url_prefix": "shop/"}, "flask_site_url_prefix", "'/shop/'"),
        ({"flask_site_url_prefix": "/a/../b/"}, "flask_site_url_prefix", ""),
    ],
)
def test_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.description_problems(shop(**changes))
    assert variable in {problem.variable for problem in problems}
    assert words in "\n".join(map(str, problems))


@pytest.mark.parametrize(
    ("changes", "variable", "words"),
    [
        ({"flask_app_name": "gallery"}, "flask_app_name", "would share it"),
        ({"flask_app_user": "gallery"}, "flask_app_user", "would share it"),
        ({"flask_app_root": "/opt/gallery"}, "flask_app_root", "would share it"),
        ({"flask_app_bind": "unix:/run/gallery/gallery.sock"}, "flask_app_bind", "share"),
        ({"flask_app_env_file": "/etc/gallery/gallery.env"}, "flask_app_env_file", "share"),
        (
            {"flask_app_env_file": "/etc/gallery/shop.env"},
            "flask_app_env_file",
            "share its directory",
        ),
        ({"flask_media_root": "/var/www/gallery/media"}, "flask_media_root", "in one another"),
        ({"flask_media_root": "/var/www/gallery/media/x"}, "flask_media_root", "in one another"),
        ({"flask_static_root": "/var/www/gallery/media/x"}, "flask_static_root", "in one another"),
        ({"flask_site_server": "blog"}, "flask_site_server", "Write one of gallery"),
        ({"flask_site_url_prefix": "/media/"}, "flask_site_url_prefix", "uploads of gallery"),
        ({"flask_site_url_prefix": "/media/x/"}, "flask_site_url_prefix", "uploads of gallery"),
        (
            {
                "flask_site_mode": "server",
                "flask_site_server": None,
                "flask_site_domains": ["gallery.example.com"],
            },
            "flask_site_domains",
            "flask_site_server=gallery",
        ),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_apps_in_each_other_s_way_are_refused(
    changes: dict[str, t.Any], variable: str, words: str, swapped: bool
) -> None:
    apps = [description(), shop(**changes)]
    problems = _settings.apps_problems(apps[::-1] if swapped else apps)
    assert problems
    if not swapped:
        assert variable in {problem.variable for problem in problems}
        assert words in "\n".join(map(str, problems))


def test_two_apps_under_one_prefix_of_a_server_are_refused() -> None:
    blog = shop(
        flask_app_name="blog",
        flask_app_user="blog",
        flask_app_root="/opt/blog",
        flask_app_env_file="/etc/blog/blog.env",
        flask_app_bind="unix:/run/blog/blog.sock",
        flask_static_root="/var/www/blog/static",
        flask_media_root="/var/www/blog/media",
        flask_site_conf_file="/etc/nginx/conf.d/blog.conf",
        flask_site_include_file="/etc/nginx/flask.d/gallery/blog.conf",
    )
    [problem] = _settings.apps_problems([description(), shop(), blog])
    assert (problem.variable, problem.value) == ("flask_site_url_prefix", "/shop/")


def test_one_name_on_two_ports_is_taken() -> None:
    other = shop(
        flask_site_mode="server",
        flask_site_server=None,
        flask_site_domains=["gallery.example.com"],
        flask_site_port=8080,
    )
    assert _settings.apps_problems([description(), other]) == []


@pytest.mark.parametrize("heeds", [True, False, None])
def test_an_app_that_loses_its_prefix_is_refused(heeds: bool | None) -> None:
    app = {
        "mounts": [{"endpoint": "static", "url": "/static/", "folder": "/x"}],
        "config": {"UPLOAD_FOLDER": "/var/www/shop/media", "MAX_CONTENT_LENGTH": None},
        "heeds_forwarded_prefix": heeds,
    }
    problems = [
        problem
        for problem in _settings.app_problems(shop(), app)
        if problem.variable == "flask_site_url_prefix"
    ]
    # Who was not asked is not accused.
    assert bool(problems) is (heeds is False)
    assert not [
        problem
        for problem in _settings.app_problems(description(), app)
        if problem.variable == "flask_site_url_prefix"
    ]


def test_the_public_finds_static_and_media_below_the_prefix() -> None:
    settings = _settings.resolve(shop())
    assert settings["media"]["location"] == "/shop/media/"
    assert settings["site"]["proxy_pass"] == "http://unix:/run/shop/shop.sock:/"
    [mount] = _settings.served_mounts(
        "/var/www/shop/static", [{"url": "/static/", "folder": "/x"}], "/shop/"
    )
    # What is published mirrors the app's own URLs, so that a new prefix publishes nothing anew.
    assert (mount["location"], mount["directory"]) == (
        "/shop/static/",
        "/var/www/shop/static/static",
    )


def test_sessions_of_two_apps_are_kept_apart() -> None:
    env = "FLASK_SESSION_COOKIE_PATH"
    assert _settings.derived_env(shop())[env] == "/shop/"
    assert env not in _settings.derived_env(description())
    # An app whose cookie is for more than its prefix may say so.
    values = shop(flask_app_env={env: "/"})
    assert _settings.description_problems(values) == []


def test_an_app_at_the_root_is_passed_its_requests_as_they_are() -> None:
    # With a URI Nginx would decode them: https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_pass
    assert _settings.resolve(description())["site"]["proxy_pass"] == (
        "http://unix:/run/gallery/gallery.sock:"
    )


SEGMENTS = st.lists(st.from_regex(r"[a-z][a-z0-9_-]{0,5}", fullmatch=True), max_size=3)


@given(SEGMENTS, SEGMENTS)
def test_a_public_url_is_the_prefix_and_the_app_s_own(prefix: list[str], url: list[str]) -> None:
    one, other = ("/" + "".join(f"{part}/" for part in parts) for parts in (prefix, url))
    both = _rules.public(one, other)
    assert both == "/" + "".join(f"{part}/" for part in [*prefix, *url])
