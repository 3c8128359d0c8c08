"""The rules of a description: what is refused, and what follows from what is not."""

from __future__ import annotations

import contextlib
import typing as t

import pytest
import yaml
from ansible_collections.flaskworks.static_media.plugins.module_utils import _rules, _settings
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.descriptions import description


def test_an_ordinary_description_is_taken() -> None:
    assert _settings.description_problems(description()) == []


# Each row: the changes, the variable that is named, a part of what is said.
REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({"flask_app_name": "Gallery"}, "flask_app_name", "lower-case"),
    ({"flask_app_name": "../x"}, "flask_app_name", "no safe name"),
    ({"flask_app_name": "root"}, "flask_app_name", "belongs to the system"),
    ({"flask_app_name": "gallery\n"}, "flask_app_name", "no safe name"),
    ({"flask_app_user": "www-data"}, "flask_app_user", "belongs to the system"),
    ({"flask_app_user": "web", "flask_site_nginx_user": "web"}, "flask_app_user", "Nginx"),
    ({"flask_app_callable": "gallery"}, "flask_app_callable", "module:app"),
    ({"flask_app_source": None}, "flask_app_source", "nothing to install"),
    ({"flask_app_keep_releases": 0}, "flask_app_keep_releases", "1 or more"),
    ({"flask_app_health_url": "health"}, "flask_app_health_url", "'/health'"),
    ({"flask_app_health_url": "http://x/"}, "flask_app_health_url", "without scheme"),
    ({"flask_app_health_url": "/a b"}, "flask_app_health_url", "no path"),
    ({"flask_app_health_url": "/\r\nX: y"}, "flask_app_health_url", "no path"),
    ({"flask_app_release": ""}, "flask_app_release", "no name of a release"),
    ({"flask_app_release": "../3f1c0a9be2"}, "flask_app_release", "12 hexadecimal"),
    (
        {"flask_app_release": "previous", "flask_app_service": "external"},
        "flask_app_release",
        "other means",
    ),
    ({"flask_media_root": "media"}, "flask_media_root", "absolute"),
    ({"flask_media_root": "/var/www/gallery/../media"}, "flask_media_root", "plain form"),
    ({"flask_media_root": "/var/www/gal lery/media"}, "flask_media_root", "character"),
    ({"flask_static_root": "/srv/%i/static"}, "flask_static_root", "character"),
    ({"flask_media_root": "/var/www/gallery/static"}, "flask_media_root", "same or one lies"),
    ({"flask_media_root": "/var/www/gallery/static/uploads"}, "flask_media_root", "lies in"),
    ({"flask_static_root": "/var/www/gallery/media/static"}, "flask_media_root", "lies in"),
    ({"flask_media_root": "/opt/gallery/media"}, "flask_media_root", "a deploy replaces"),
    ({"flask_media_root": "/opt/gallery"}, "flask_media_root", "a deploy replaces"),
    ({"flask_media_root": "/opt"}, "flask_media_root", "shared with others"),
    (
        {"flask_app_virtualenv": "/srv/venv", "flask_media_root": "/srv/venv/var/media"},
        "flask_media_root",
        "flask_app_virtualenv",
    ),
    ({"flask_media_root": "/tmp/media"}, "flask_media_root", "/tmp"),
    ({"flask_media_root": "/home/me/media"}, "flask_media_root", "/home"),
    ({"flask_media_root": "/root/media"}, "flask_media_root", "/root"),
    ({"flask_static_root": "/home/me/static"}, "flask_static_root", "/home"),
    ({"flask_media_url": "/"}, "flask_media_url", "every request"),
    ({"flask_media_url": "/media"}, "flask_media_url", "'/media/'"),
    ({"flask_media_url": "media/"}, "flask_media_url", "'/media/'"),
    ({"flask_media_url": "/me dia/"}, "flask_media_url", "decoded"),
    ({"flask_media_url": "//media/"}, "flask_media_url", "single slashes"),
    ({"flask_media_url": "/a/../media/"}, "flask_media_url", "normalised"),
    ({"flask_media_url": "/.media/"}, "flask_media_url", "leading dot"),
    (
        {"flask_static_mounts": [{"url": "/media/", "folder": "/srv/x"}]},
        "flask_static_mounts[0].url",
        "the same",
    ),
    (
        {"flask_static_mounts": [{"url": "/media/css/", "folder": "/srv/x"}]},
        "flask_static_mounts[0].url",
        "lies in",
    ),
    (
        {"flask_static_mounts": [{"url": "/static", "folder": "/srv/x"}]},
        "flask_static_mounts[0].url",
        "'/static/'",
    ),
    (
        {"flask_static_mounts": [{"url": "/static/", "folder": "static"}]},
        "flask_static_mounts[0].folder",
        "absolute",
    ),
    ({"flask_site_domains": []}, "flask_site_domains", "host names"),
    ({"flask_site_domains": "gallery.example.com"}, "flask_site_domains", "no list"),
    ({"flask_site_domains": ["https://a.example"]}, "flask_site_domains", "without scheme"),
    ({"flask_site_domains": ["a.example:80"]}, "flask_site_domains", "port"),
    ({"flask_site_domains": ["a.example; return 200"]}, "flask_site_domains", "host name"),
    ({"flask_site_domains": ["a.example", "a.example"]}, "flask_site_domains", "twice"),
    ({"flask_site_port": 0}, "flask_site_port", "65535"),
    ({"flask_app_bind": "http://127.0.0.1:8000"}, "flask_app_bind", "without a scheme"),
    ({"flask_app_bind": "unix:app.sock"}, "flask_app_bind", "unix:/path"),
    ({"flask_site_conf_file": "/etc/nginx/conf.d/x"}, "flask_site_conf_file", ".conf"),
    ({"flask_app_max_content_length": "16 cats"}, "flask_app_max_content_length", "16M"),
    ({"flask_app_max_content_length": "0"}, "flask_app_max_content_length", "no limit"),
    ({"flask_site_client_max_body_size": "-1"}, "flask_site_client_max_body_size", "16M"),
    (
        {"flask_app_max_content_length": "16M", "flask_site_client_max_body_size": "1M"},
        "flask_site_client_max_body_size",
        "refuse what the app takes",
    ),
    ({"flask_static_expires": "30 days"}, "flask_static_expires", "30d"),
    ({"flask_static_expires": "1d; deny all"}, "flask_static_expires", "time"),
    ({"flask_static_fingerprint_regex": "("}, "flask_static_fingerprint_regex", "Write a regular"),
    ({"flask_app_gunicorn_workers": 0}, "flask_app_gunicorn_workers", "at least 1"),
    (
        {"flask_media_inline_types": {"image/svg+xml": ["svg"]}},
        "flask_media_inline_types",
        "script",
    ),
    ({"flask_media_inline_types": {"text/html": ["html"]}}, "flask_media_inline_types", "script"),
    ({"flask_media_inline_types": {"image/png": "png"}}, "flask_media_inline_types", "list"),
    ({"flask_media_inline_types": {"image/png": [".png"]}}, "flask_media_inline_types", "dot"),
    ({"flask_media_inline_types": {"png": ["png"]}}, "flask_media_inline_types", "MIME"),
    ({"flask_app_env": {"A-B": "x"}}, "flask_app_env", "name of an environment"),
    ({"flask_app_env": {"A": "x\ny"}}, "flask_app_env.A", "line break"),
    (
        {"flask_app_env": {"FLASK_UPLOAD_FOLDER": "/srv/x"}},
        "flask_app_env.FLASK_UPLOAD_FOLDER",
        "Set flask_media_root instead",
    ),
    (
        {"flask_app_env": {"FLASK_STATIC_MANIFEST": "/srv/x"}},
        "flask_app_env.FLASK_STATIC_MANIFEST",
        "Set flask_static_fingerprint instead",
    ),
    ({"flask_app_env_prefix": "1X"}, "flask_app_env_prefix", "FLASK"),
    ({"flask_verify_sample_files": -1}, "flask_verify_sample_files", "0 or more"),
]


@pytest.mark.parametrize(
    ("changes", "variable", "words"), REFUSED, ids=[str(row[0]) for row in REFUSED]
)
def test_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.description_problems(description(**changes))
    named = [problem for problem in problems if problem.variable == variable]
    assert named, problems
    assert words in " ".join(map(str, named))


@pytest.mark.parametrize(
    "changes",
    [
        {"flask_media_root": "/srv/uploads"},
        {"flask_media_root": "/var/www/gallery/media/"},
        {"flask_media_root": "/var/www/gallery/staticfiles"},
        {"flask_media_url": "/user-content/v1/"},
        {"flask_media_url": "/staticfiles/"},
        {"flask_app_bind": "127.0.0.1:8000"},
        {"flask_app_bind": "[::1]:8000"},
        {
            "flask_site_domains": [
                "*.example.com",
                "localhost",
                "192.0.2.1",
                "xn--bcher-kva.example",
            ]
        },
        {"flask_app_service": "external", "flask_app_source": None},
        {"flask_site_mode": "include", "flask_site_domains": []},
        {"flask_app_name": "my-app_2", "flask_app_env_file": "/etc/my-app_2/my-app_2.env"},
        {"flask_app_env": {"FLASK_DEBUG_TB": True, "X": 3}},
    ],
    ids=str,
)
def test_is_taken(changes: dict[str, t.Any]) -> None:
    assert _settings.description_problems(description(**changes)) == []


def test_the_app_is_told_of_its_manifest_only_when_there_is_one() -> None:
    settings = _settings.resolve(description())
    assert "FLASK_STATIC_MANIFEST" not in settings["app"]["env"]
    settings = _settings.resolve(
        description(flask_static_fingerprint=True, flask_app_virtualenv="/srv/venv")
    )
    manifest = "/srv/venv/static_manifest.json"
    assert settings["app"]["env"]["FLASK_STATIC_MANIFEST"] == manifest
    assert settings["static"]["manifest"] == manifest


@pytest.mark.parametrize(
    ("modules", "encodings"),
    [
        (None, ["gz"]),
        ({"gzip_static": True, "brotli_static": False}, ["gz"]),
        ({"gzip_static": True, "brotli_static": True}, ["gz", "br"]),
        ({"gzip_static": False, "brotli_static": True}, ["br"]),
        ({"gzip_static": False, "brotli_static": False}, []),
    ],
)
def test_siblings_are_of_the_encodings_that_nginx_sends(
    modules: dict[str, bool] | None, encodings: list[str]
) -> None:
    host = {"nginx": modules}
    assert _settings.static_encodings(description(), host) == encodings
    assert _settings.static_encodings(description(flask_static_precompress=False), host) == []


def test_every_problem_is_told_at_once() -> None:
    problems = _settings.description_problems(
        description(flask_media_url="/media", flask_site_port=0, flask_static_expires="never")
    )
    message = _settings.refusal("gallery", problems)
    assert "3 problems" in message
    assert "nothing was changed" in message


def test_a_secret_value_is_not_shown() -> None:
    problems = _settings.description_problems(description(flask_app_env={"KEY": "hush\nhush"}))
    assert "hush" not in _settings.refusal("gallery", problems)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("16M", 16 << 20),
        ("1g", 1 << 30),
        ("512k", 512 << 10),
        (5, 5),
        ("64 MiB", 64 << 20),
        ("10b", 10),
    ],
)
def test_sizes_become_bytes(text: t.Any, size: int) -> None:
    assert _rules.parse_size(text) == size


@given(st.text())
def test_a_size_is_a_positive_number_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert _rules.parse_size(text) > 0


@pytest.mark.parametrize("value", [True, None, 1.5, "", "16T", "1e3"])
def test_nonsense_is_no_size(value: t.Any) -> None:
    with pytest.raises(ValueError):
        _rules.parse_size(value)


PARTS = st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), max_size=4)


@given(PARTS, PARTS)
def test_a_path_contains_what_is_below_it_and_no_sibling(outer: list[str], rest: list[str]) -> None:
    path = "/" + "/".join(outer)
    assert _rules.contains(path, "/".join([path.rstrip("/"), *rest]))
    if outer:
        assert not _rules.contains(path, path + "x")
        assert not _rules.overlap(path, path + "x/y")


@given(PARTS, PARTS)
def test_overlap_asks_no_order(one: list[str], other: list[str]) -> None:
    paths = "/" + "/".join(one) + "/", "/" + "/".join(other)
    assert _rules.overlap(*paths) == _rules.overlap(*reversed(paths))


@pytest.mark.parametrize(
    ("changes", "app_limit", "expected"),
    [
        ({}, None, 1 << 20),
        ({}, 1000, 1000 + 100 + 65536),
        ({"flask_app_max_content_length": "10M"}, None, (10 << 20) + (1 << 20) + 65536),
        ({"flask_site_client_max_body_size": "20M"}, 1000, 20 << 20),
    ],
)
def test_the_body_limit_is_derived(
    changes: dict[str, t.Any], app_limit: int | None, expected: int
) -> None:
    assert _settings.client_max_body_size_bytes(description(**changes), app_limit) == expected


def test_settings_have_no_secret() -> None:
    settings = _settings.resolve(description(flask_app_env={"FLASK_SECRET_KEY": "hush-hush"}))
    assert "hush-hush" not in yaml.safe_dump(settings)


def test_the_env_follows_from_media() -> None:
    env = _settings.resolve(description(flask_app_max_content_length="16M"))["app"]["env"]
    assert env == {
        "FLASK_UPLOAD_FOLDER": "/var/www/gallery/media",
        "FLASK_MEDIA_ROOT": "/var/www/gallery/media",
        "FLASK_MEDIA_URL": "/media/",
        "FLASK_MAX_CONTENT_LENGTH": 16777216,
    }


def test_only_parents_of_the_apps_own_are_managed() -> None:
    assert _settings.resolve(description())["parents"] == ["/var/www/gallery"]
    settings = _settings.resolve(description(flask_media_root="/srv/uploads"))
    assert settings["parents"] == ["/var/www/gallery"]


def host(**changes: t.Any) -> dict[str, t.Any]:
    """A bare host, on which an ordinary description can work."""

    def directory(path: str) -> dict[str, t.Any]:
        return {"kind": "missing", "resolved": path, "virtualenv": None, "checkout": None}

    facts: dict[str, t.Any] = {
        "listeners": [],
        "service_manager": "systemd",
        "service_process_id": None,
        "bind_holders": [],
        "users": {"gallery": None},
        "groups": {"gallery": None},
        "paths": dict.fromkeys(_settings.claimable_paths(description()), "missing"),
        "guest_files": [],
        "releases": [],
        "directories": {
            path: directory(path) for path in ("/var/www/gallery/static", "/var/www/gallery/media")
        },
    }
    for key, value in changes.items():
        if key in ("static", "media"):
            facts["directories"][f"/var/www/gallery/{key}"].update(value)
        else:
            facts[key] = value
    return facts


def test_a_release_is_one_that_is_there() -> None:
    known = host(releases=["3f1c0a9be2d4", "9d2b7c41aa07"])
    for release in ("previous", "9d2b7c41aa07"):
        values = description(flask_app_source=None, flask_app_release=release)
        assert _settings.description_problems(values) == []
        assert _settings.host_problems(values, known) == []
    values = description(flask_app_release="000000000000")
    (problem,) = _settings.host_problems(values, known)
    assert "Write one of 3f1c0a9be2d4, 9d2b7c41aa07" in str(problem)
    (problem,) = _settings.host_problems(values, host())
    assert "Leave it unset" in str(problem)


def test_a_bare_host_is_taken() -> None:
    assert _settings.host_problems(description(), host()) == []


@pytest.mark.parametrize(
    ("changes", "variable", "words"),
    [
        (
            {"listeners": [{"address": "0.0.0.0:80", "pid": 7, "process": "apache2"}]},
            "flask_site_port",
            "apache2 (process 7)",
        ),
        ({"users": {"gallery": {"uid": 0, "gid": 0, "home": "/x"}}}, "flask_app_user", "root"),
        (
            {"users": {"gallery": {"uid": 8, "gid": 8, "home": "/var/mail"}}},
            "flask_app_user",
            "else's",
        ),
        ({"media": {"virtualenv": "/var/www/gallery"}}, "flask_media_root", "virtualenv"),
        ({"media": {"checkout": "/var/www"}}, "flask_media_root", "checkout"),
        ({"media": {"resolved": "/home/me/x"}}, "flask_media_root", "link to /home/me/x"),
        ({"media": {"resolved": "/var/www/gallery/static/x"}}, "flask_media_root", "nested"),
        ({"static": {"kind": "file"}}, "flask_static_root", "a file of that name"),
        ({"current": "directory"}, "flask_app_root", "a real directory"),
    ],
    ids=str,
)
def test_a_host_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.host_problems(description(), host(**changes))
    assert variable in {problem.variable for problem in problems}
    assert words in " ".join(map(str, problems))


@pytest.mark.parametrize("process", ["nginx", None])
def test_nginx_may_listen_already(process: str | None) -> None:
    listeners = [{"address": "0.0.0.0:80", "pid": 7, "process": process}]
    assert _settings.host_problems(description(), host(listeners=listeners)) == []


def app(**config: t.Any) -> dict[str, t.Any]:
    """An app's answer that agrees."""
    mount = {
        "endpoint": "static",
        "url": "/static/",
        "folder": "/opt/g/static",
        "shadowed_by": None,
    }
    return {
        "mounts": [mount],
        "config": {"UPLOAD_FOLDER": "/var/www/gallery/media", "MAX_CONTENT_LENGTH": None, **config},
    }


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"UPLOAD_FOLDER": "/srv/other"}, "one place while Nginx serves another"),
        ({"UPLOAD_FOLDER": "uploads"}, "one place while Nginx serves another"),
        ({"MAX_CONTENT_LENGTH": "16M"}, "compares it with a number"),
        ({"MAX_CONTENT_LENGTH": True}, "compares it with a number"),
    ],
    ids=str,
)
def test_a_contradicting_app_is_refused(config: dict[str, t.Any], words: str) -> None:
    problems = _settings.app_problems(description(), app(**config))
    assert words in " ".join(map(str, problems))


@pytest.mark.parametrize("url", ["/", "/media/", "/media/css/"])
def test_an_app_with_a_clashing_mount_is_refused(url: str) -> None:
    answer = app()
    answer["mounts"][0]["url"] = url
    assert _settings.app_problems(description(), answer)


def test_an_agreeing_app_completes_the_settings() -> None:
    values = description()
    answer = app(MAX_CONTENT_LENGTH=1000)
    answer["mounts"].append(
        {**answer["mounts"][0], "endpoint": "x.static", "shadowed_by": "static"}
    )
    assert _settings.app_problems(values, answer) == []
    settings = _settings.with_app(values, _settings.resolve(values), answer)
    assert settings["site"]["client_max_body_size_bytes"] == 66636
    assert [mount["directory"] for mount in settings["static"]["mounts"]] == [
        "/var/www/gallery/static/static"
    ]
