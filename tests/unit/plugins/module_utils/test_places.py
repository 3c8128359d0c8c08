"""Directories, names, addresses and limits that are not the app's to take, or can't work."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _settings
from ansible_collections.flaskworks.static_media.plugins.plugin_utils import _verify
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.descriptions import description

EXTERNAL = {
    "flask_app_service": "external",
    "flask_app_source": None,
    "flask_app_virtualenv": "/srv/deployed/venv",
    "flask_app_directory": "/srv/deployed",
}
INCLUDE = {"flask_site_mode": "include", "flask_site_scheme": "https", "flask_site_port": 443}

# Each row: the changes, the variable that is named, a part of what is said.
REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({"flask_app_env_file": "/etc/gallery.env"}, "flask_app_env_file", "/etc/gallery/gallery.env"),
    ({"flask_app_env_file": "/etc/default/gallery"}, "flask_app_env_file", "be named gallery"),
    ({"flask_app_env_file": "/gallery.env"}, "flask_app_env_file", "be named gallery"),
    ({"flask_app_env_file": "/tmp/gallery/env"}, "flask_app_env_file", "secret key"),
    ({"flask_app_env_file": "/run/gallery/env"}, "flask_app_env_file", "secret key"),
    (
        {"flask_app_env_file": "/var/www/gallery/gallery.env"},
        "flask_app_env_file",
        "another owner and mode",
    ),
    ({"flask_app_env_file": "/opt/gallery/gallery.env"}, "flask_app_env_file", "flask_app_root"),
    ({"flask_app_root": "/opt"}, "flask_app_root", "shared with others"),
    ({"flask_app_root": "/srv"}, "flask_app_root", "'/opt/gallery'"),
    ({"flask_app_root": "/home/gallery/app"}, "flask_app_root", "/home"),
    ({"flask_app_root": "/usr/lib/gallery"}, "flask_app_root", "/usr"),
    ({"flask_media_root": "/srv/../var/media"}, "flask_media_root", "plain form"),
    ({"flask_app_virtualenv": "/srv/venv"}, "flask_app_virtualenv", "Leave it unset"),
    ({"flask_app_directory": "/srv/code"}, "flask_app_directory", "Leave it unset"),
    (
        {**EXTERNAL, "flask_media_root": "/srv/deployed/media"},
        "flask_media_root",
        "flask_app_directory is '/srv/deployed'",
    ),
    (
        {**EXTERNAL, "flask_app_directory": "/", "flask_media_root": "/srv/deployed/venv/media"},
        "flask_media_root",
        "flask_app_virtualenv",
    ),
    (
        {**EXTERNAL, "flask_app_directory": "/var/www/gallery"},
        "flask_media_root",
        "such as '/srv/gallery/media'",
    ),
    ({"flask_app_bind": "localhost:8000"}, "flask_app_bind", "'127.0.0.1:8000'"),
    ({"flask_app_bind": "app.example:8000"}, "flask_app_bind", "addresses"),
    ({"flask_app_bind": "[1:2]:8000"}, "flask_app_bind", "addresses"),
    ({**EXTERNAL, "flask_app_bind": "[1:2]:8000"}, "flask_app_bind", "addresses"),
    ({"flask_app_bind": "127.0.0.1:65536"}, "flask_app_bind", "1 to 65535"),
    ({"flask_app_bind": "127.0.0.1:0"}, "flask_app_bind", "1 to 65535"),
    ({"flask_app_bind": "127.0.0.1:80"}, "flask_app_bind", "Nginx listens"),
    ({**EXTERNAL, "flask_app_bind": "localhost:80"}, "flask_app_bind", "Nginx listens"),
    ({"flask_app_bind": "unix:/run/" + "a" * 103}, "flask_app_bind", "107 characters"),
    ({**INCLUDE, "flask_site_domains": []}, "flask_site_domains", "certificate"),
    ({"flask_app_name": "flask_mime_types"}, "flask_app_name", "belongs to the system"),
    ({"flask_app_name": "opt"}, "flask_app_name", "belongs to the system"),
]


@pytest.mark.parametrize(
    ("changes", "variable", "words"), REFUSED, ids=[f"{row[1]}-{row[2]}" for row in REFUSED]
)
def test_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.description_problems(description(**changes))
    named = [problem for problem in problems if problem.variable == variable]
    assert named, problems
    assert words in " ".join(map(str, named))


@pytest.mark.parametrize(
    "changes",
    [
        {"flask_app_env_file": "/usr/local/etc/gallery/gallery.env"},
        {"flask_app_env_file": "/etc/flask/gallery/env"},
        {"flask_app_directory": "/opt/gallery/current/share"},
        EXTERNAL,
        {**EXTERNAL, "flask_app_directory": "/"},
        {**EXTERNAL, "flask_app_root": "/home/gallery"},
        {**EXTERNAL, "flask_app_bind": "localhost:8000"},
        {**EXTERNAL, "flask_app_bind": "192.0.2.7:80"},
        {"flask_app_bind": "[::1]:8000"},
        INCLUDE,
    ],
    ids=str,
)
def test_is_taken(changes: dict[str, t.Any]) -> None:
    assert _settings.description_problems(description(**changes)) == []


@pytest.mark.parametrize("variable", _settings.PATHS)
@pytest.mark.parametrize("spelling", ["{}/", "//{}", "{}//", "/.{}", "{}/."])
def test_a_path_is_one_string_however_it_is_spelt(variable: str, spelling: str) -> None:
    plain = description()
    spelt = description(**{variable: spelling.format(plain[variable])})
    assert _settings.normalised(spelt) == plain


@pytest.mark.parametrize("variable", _settings.UNSET_PATHS)
def test_a_path_that_may_be_unset_is_one_string_too(variable: str) -> None:
    assert _settings.normalised(description(**{variable: "//srv/./x/"}))[variable] == "/srv/x"
    assert _settings.normalised(description()).get(variable) is None


def test_paths_within_other_variables_are_plain_too() -> None:
    values = _settings.normalised(
        description(
            flask_app_bind="unix:/run//gallery/./gallery.sock",
            flask_static_mounts=[{"url": "/static/", "folder": "/srv/app/static/"}],
        )
    )
    assert values["flask_app_bind"] == "unix:/run/gallery/gallery.sock"
    assert values["flask_static_mounts"] == [{"url": "/static/", "folder": "/srv/app/static"}]


@given(st.text(alphabet="/.a", max_size=12))
def test_what_climbs_is_left_to_be_refused(rest: str) -> None:
    path = "/" + rest
    plain = _settings.normalised(description(flask_media_root=path))["flask_media_root"]
    if ".." in path.split("/"):
        assert plain == path
        assert _settings.description_problems(description(flask_media_root=plain))
    else:
        assert [part for part in plain.split("/") if part] == [
            part for part in path.split("/") if part not in ("", ".")
        ]
        assert plain == "/" or not plain.endswith("/")


def test_a_parent_that_others_deploy_to_is_theirs() -> None:
    apart = {"flask_static_root": "/srv/gallery/static", "flask_media_root": "/srv/gallery/media"}
    holding = {**EXTERNAL, "flask_app_directory": "/srv/gallery/code", **apart}
    assert _settings.description_problems(description(**holding)) == []
    assert _settings.resolve(description(**holding))["parents"] == []
    holding = {**EXTERNAL, "flask_app_virtualenv": "/srv/gallery/venv", **apart}
    assert _settings.resolve(description(**holding))["parents"] == []
    assert _settings.resolve(description(**EXTERNAL, **apart))["parents"] == ["/srv/gallery"]


@pytest.mark.parametrize(
    ("changes", "url"),
    [
        ({}, "http://gallery.example.com"),
        ({"flask_site_port": 443}, "http://gallery.example.com:443"),
        (INCLUDE, "https://gallery.example.com"),
        ({**INCLUDE, "flask_site_port": 8443}, "https://gallery.example.com:8443"),
        ({**INCLUDE, "flask_site_url_prefix": "/shop/"}, "https://gallery.example.com/shop"),
    ],
    ids=str,
)
def test_the_url_is_what_a_browser_asks(changes: dict[str, t.Any], url: str) -> None:
    assert _settings.resolve(description(**changes))["site"]["url"] == url


def test_a_guest_is_asked_as_the_server_that_it_is_put_into() -> None:
    server = description(**INCLUDE)
    guest = description(
        flask_app_name="shop", flask_site_server="gallery", flask_site_mode="include"
    )
    values = _settings.with_server(guest, [server, guest])
    assert (values["flask_site_scheme"], values["flask_site_port"]) == ("https", 443)


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
def test_a_port_that_is_unset_is_the_schemes(scheme: str, port: int) -> None:
    unset = description(flask_site_scheme=scheme, flask_site_port=None)
    assert _settings.normalised(unset)["flask_site_port"] == port
    assert _settings.normalised({**unset, "flask_site_port": 8080})["flask_site_port"] == 8080


@pytest.mark.parametrize(("timeout", "seconds"), [(1, 60), (30, 60), (55, 60), (120, 125)])
def test_nginx_waits_for_gunicorn(timeout: int, seconds: int) -> None:
    values = description(flask_app_gunicorn_timeout_seconds=timeout)
    assert _settings.resolve(values)["site"]["proxy_read_timeout_seconds"] == seconds


def test_nginx_takes_what_the_app_takes() -> None:
    values = description(flask_site_client_max_body_size="1M")
    answer: dict[str, t.Any] = {"mounts": [], "config": {"MAX_CONTENT_LENGTH": (1 << 20) + 1}}
    (problem,) = _settings.app_problems(values, answer)
    assert problem.variable == "flask_site_client_max_body_size"
    assert "1048577 bytes" in str(problem)
    answer["config"]["MAX_CONTENT_LENGTH"] = 1 << 20
    assert _settings.app_problems(values, answer) == []


@pytest.mark.parametrize("changes", [{}, INCLUDE], ids=["http", "https"])
def test_the_proof_asks_as_a_browser_does(changes: dict[str, t.Any]) -> None:
    settings = _settings.resolve(description(**changes))
    asked = _verify.requests(settings, {"mounts": []}, {"written": False})
    start = "https://127.0.0.1:443/" if changes else "http://127.0.0.1:80/"
    assert asked
    assert all(request["url"].startswith(start) for request in asked if request["kind"] != "direct")
