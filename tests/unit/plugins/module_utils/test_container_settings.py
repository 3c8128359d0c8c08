"""What a description of an app in a container may say."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.flaskworks.static_media.plugins.module_utils import _settings

from tests.unit.descriptions import description

SOCKET = "unix:/var/lib/gallery-sockets/gallery.sock"


def image(**changes: t.Any) -> dict[str, t.Any]:
    return description(
        **{
            "flask_app_runtime": "compose",
            "flask_app_source": None,
            "flask_app_image": "registry.example.com:5000/me/gallery:1.4",
            "flask_app_bind": SOCKET,
            **changes,
        }
    )


def host(values: dict[str, t.Any], **changes: t.Any) -> dict[str, t.Any]:
    directory = {"kind": "missing", "virtualenv": None, "checkout": None}
    roots = (values["flask_static_root"], values["flask_media_root"])
    return {
        "listeners": [],
        "service_manager": "systemd",
        "service_process_id": None,
        "bind_holders": [],
        "users": {"gallery": None},
        "groups": {"gallery": None},
        "paths": {
            **dict.fromkeys(_settings.claimable_paths(values), "missing"),
            **changes.pop("paths", {}),
        },
        "guest_files": [],
        "releases": [],
        "directories": {root: {**directory, "resolved": root} for root in roots},
        "container": None,
        "engine_error": None,
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"flask_app_image": "gallery@sha256:" + "0" * 64},
        {"flask_app_image": None, "flask_app_source": "/home/me/gallery"},
        {"flask_app_image": None, "flask_app_release": "previous"},
        {"flask_app_container_volumes": ["/srv/models:/models:ro", "cache:/cache"]},
        {"flask_app_container_networks": ["database"]},
        {
            "flask_app_runtime": "virtualenv",
            "flask_app_image": None,
            "flask_app_service": "external",
            "flask_app_container": "web_1",
        },
    ],
    ids=str,
)
def test_is_taken(changes: dict[str, t.Any]) -> None:
    values = image(**changes)
    assert _settings.description_problems(values) == []
    assert _settings.host_problems(values, host(values)) == []


REFUSED: list[tuple[dict[str, t.Any], str, str]] = [
    ({"flask_app_image": None}, "flask_app_image", "a project that has a Dockerfile"),
    ({"flask_app_source": "/home/me/gallery"}, "flask_app_image", "Leave one of them unset"),
    ({"flask_app_image": "--privileged"}, "flask_app_image", "no reference"),
    ({"flask_app_image": "a b"}, "flask_app_image", "no reference"),
    ({"flask_app_runtime": "virtualenv"}, "flask_app_image", "to 'compose'"),
    ({"flask_app_service": "external"}, "flask_app_runtime", "flask_app_container"),
    ({"flask_app_container": "web"}, "flask_app_container", "to 'external'"),
    (
        {
            "flask_app_runtime": "virtualenv",
            "flask_app_image": None,
            "flask_app_service": "external",
            "flask_app_container": "--all",
        },
        "flask_app_container",
        "Write its name",
    ),
    ({"flask_static_fingerprint": True}, "flask_static_fingerprint", "when the image is built"),
    ({"flask_app_bind": "127.0.0.1:8000"}, "flask_app_bind", "two containers"),
    ({"flask_app_bind": "unix:/run/gallery/gallery.sock"}, "flask_app_bind", "emptied at boot"),
    ({"flask_app_bind": "unix:/srv/gallery/app.sock"}, "flask_app_bind", "gallery.sock"),
    ({"flask_app_bind": "unix:/var/lib/gallery.sock"}, "flask_app_bind", "root and Nginx"),
    ({"flask_app_bind": "unix:/srv/others/gallery.sock"}, "flask_app_bind", "root and Nginx"),
    (
        {"flask_app_bind": f"unix:/srv/{'x' * 60}/gallery/gallery.sock"},
        "flask_app_bind",
        "Write a shorter path",
    ),
    ({"flask_app_container_volumes": ["/srv/x"]}, "flask_app_container_volumes", "SOURCE:TARGET"),
    ({"flask_app_container_volumes": ["x:/y:exec"]}, "flask_app_container_volumes", "no SOURCE"),
    ({"flask_app_container_volumes": ["../x:/y"]}, "flask_app_container_volumes", "no SOURCE"),
    (
        {"flask_app_container_volumes": ["m:/var/www/gallery/media"]},
        "flask_app_container_volumes",
        "the uploads are there",
    ),
    (
        {"flask_app_container_volumes": ["m:/var/www"]},
        "flask_app_container_volumes",
        "the uploads are there",
    ),
    (
        {"flask_app_container_volumes": ["m:/run/gallery/x"]},
        "flask_app_container_volumes",
        "the app's socket",
    ),
    (
        {"flask_app_container_volumes": ["/var/run/docker.sock:/docker.sock"]},
        "flask_app_container_volumes",
        "root on this host",
    ),
    (
        {"flask_app_container_volumes": ["/:/host:ro"]},
        "flask_app_container_volumes",
        "root on this host",
    ),
    ({"flask_app_container_networks": ["a b"]}, "flask_app_container_networks", "network ls"),
]


@pytest.mark.parametrize(("changes", "variable", "words"), REFUSED, ids=str)
def test_is_refused(changes: dict[str, t.Any], variable: str, words: str) -> None:
    problems = _settings.description_problems(image(**changes))
    named = " ".join(str(problem) for problem in problems if problem.variable == variable)
    assert words in named, problems


@pytest.mark.parametrize(
    ("changes", "facts", "variable", "words"),
    [
        (
            {},
            {"engine_error": "This host has no command docker. Install an engine."},
            "flask_app_runtime",
            "Install an engine",
        ),
        (
            {
                "flask_app_runtime": "virtualenv",
                "flask_app_image": None,
                "flask_app_service": "external",
                "flask_app_container": "web",
            },
            {"engine_error": "there is no container 'web'"},
            "flask_app_container",
            "docker ps",
        ),
        (
            {},
            {"paths": {"/var/lib/gallery-sockets": "foreign"}},
            "flask_app_bind",
            "/var/lib/gallery-sockets is there already",
        ),
        (
            {},
            {"paths": {"/etc/systemd/system/gallery.service": "ours"}},
            "flask_app_runtime",
            "systemctl disable --now gallery.socket gallery.service",
        ),
    ],
    ids=str,
)
def test_a_host_is_refused(
    changes: dict[str, t.Any], facts: dict[str, t.Any], variable: str, words: str
) -> None:
    values = image(**changes)
    problems = _settings.host_problems(values, host(values, **facts))
    assert [problem.variable for problem in problems] == [variable]
    assert words in str(problems[0])


FOLDER = "/app/gallery/static"


def answer(**mount: t.Any) -> dict[str, t.Any]:
    return {
        "mounts": [
            {
                "endpoint": "static",
                "url": "/static/",
                "folder": f"/opt/gallery/releases/3f1c0a9be2d4/image{FOLDER}",
                "container_folder": FOLDER,
                "shadowed_by": None,
                **mount,
            }
        ],
        "config": {"UPLOAD_FOLDER": "/var/www/gallery/media", "MAX_CONTENT_LENGTH": None},
    }


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (f"assets:{FOLDER}", "a named volume"),
        ("assets:/app", "a named volume"),
        (f"assets:{FOLDER}/css", "fills a named volume once"),
        (f"/srv/static:{FOLDER}:ro", "a directory"),
    ],
)
def test_a_volume_over_static_is_refused(volume: str, words: str) -> None:
    values = image(flask_app_container_volumes=[volume])
    assert _settings.description_problems(values) == []
    (problem,) = _settings.app_problems(values, answer())
    assert problem.variable == "flask_app_container_volumes"
    assert words in str(problem)
    assert "Leave it out" in str(problem)


def test_a_volume_elsewhere_is_none_of_statics_business() -> None:
    values = image(flask_app_container_volumes=["cache:/app/gallery/static-cache"])
    assert _settings.app_problems(values, answer()) == []


def test_uploads_are_not_mounted_over_the_images_static_files() -> None:
    problems = _settings.app_problems(
        image(), answer(container_folder="/var/www/gallery/media/static")
    )
    assert "flask_media_root" in {problem.variable for problem in problems}


def test_an_unset_socket_outlives_a_boot_where_the_engine_needs_it() -> None:
    unset = {**image(), "flask_app_bind": None}
    assert _settings.normalised(unset)["flask_app_bind"] == SOCKET
    bare = {**description(), "flask_app_bind": None}
    assert _settings.normalised(bare)["flask_app_bind"] == "unix:/run/gallery/gallery.sock"


def test_the_app_is_asked_in_its_image() -> None:
    module, question = _settings.app_question(image(), "/opt/gallery/releases/3f1c0a9be2d4")
    assert (module, question["release"]) == ("flask_image_info", "3f1c0a9be2d4")
    assert _settings.app_question(description(), None)[0] == "flask_app_info"


def test_the_container_of_an_image_is_found_by_its_socket() -> None:
    assert _settings.container_question(image()) == {
        "app": "gallery",
        "socket": "/var/lib/gallery-sockets/gallery.sock",
    }
    assert _settings.container_question(description()) is None
    external = description(flask_app_service="external", flask_app_container="web")
    assert _settings.container_question(external) == {"container": "web"}
